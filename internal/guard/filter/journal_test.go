package filter

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestJournalMatch(t *testing.T) {
	entries := map[string][]string{
		"ssh":    {"_SYSTEMD_UNIT=ssh.service", "_COMM=sshd", "_UID=0", "SYSLOG_IDENTIFIER=sshd"},
		"logger": {"_SYSTEMD_UNIT=user@1000.service", "_COMM=logger", "_UID=1000", "SYSLOG_IDENTIFIER=sshd"},
		"copy":   {"_SYSTEMD_UNIT=user@1000.service", "_COMM=sshd", "_UID=1000", "SYSLOG_IDENTIFIER=sshd"},
		"two":    {"_COMM=a", "_COMM=sshd", "_UID=0"},
		"none":   {"SYSLOG_IDENTIFIER=sshd"},
	}
	for _, c := range []struct {
		match     string
		want      string // who matches, sorted
		forgeable bool
	}{
		{"", "copy logger none ssh two", true},
		{"_SYSTEMD_UNIT=ssh.service", "ssh", false},
		{"_SYSTEMD_UNIT=ssh.service + _COMM=sshd", "copy ssh two", false},
		{"_COMM=sshd _UID=0", "ssh two", false},
		{"_COMM=sshd _UID=0 _UID=1000", "copy ssh two", false},
		{"_UID=1000 _COMM=sshd _UID=0 _COMM=logger", "copy logger ssh two", false},
		{"_COMM=none\n_COMM=sshd _UID=0", "ssh two", false},
		{"+ _COMM=none + + _COMM=logger +", "logger", false},
		{"SYSLOG_IDENTIFIER=sshd", "copy logger none ssh", true},
		{"SYSLOG_IDENTIFIER=sshd _UID=0", "ssh", false},
		{"_COMM=none + SYSLOG_IDENTIFIER=sshd", "copy logger none ssh", true},
		{"_COMM=", "", false},
	} {
		m, err := ParseJournalMatch(nonEmptyLines(c.match))
		if err != nil {
			t.Errorf("%q: %v", c.match, err)
			continue
		}
		var got []string
		for name, fields := range entries {
			if m.Matches(func(f, v string) bool { return slices.Contains(fields, f+"="+v) }) {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want || m.Forgeable() != c.forgeable {
			t.Errorf("%q: %v, forgeable %v", c.match, got, m.Forgeable())
		}
		// What it prints is what it means.
		again, err := ParseJournalMatch(nonEmptyLines(m.String()))
		if err != nil || again.String() != m.String() {
			t.Errorf("%q: %v, %v", c.match, again, err)
		}
	}
	for _, bad := range []string{"sshd", "=x", "_comm=x", "_COMM", "_COMM='x", `_COMM=x\`, "0A=x"} {
		if m, err := ParseJournalMatch([]string{bad}); err == nil {
			t.Errorf("%q: %v, want an error", bad, m)
		}
	}
}

// What is written of a journalmatch is read as the same, and matches the same.
func FuzzJournalMatch(f *testing.F) {
	for _, s := range []string{
		"_SYSTEMD_UNIT=ssh.service + _COMM=sshd _UID=0", "+ _A=b +\n_C=d", `'_SYSTEMD_SLICE=system-openvpn\x2dserver.slice' + "_A=x y"`, `_A=\' _A=`, "_A=+ + _B='+'",
	} {
		f.Add(s, "_A", "b")
	}
	f.Fuzz(func(t *testing.T, s, field, value string) {
		m, err := ParseJournalMatch(nonEmptyLines(s))
		if err != nil {
			return
		}
		again, err := ParseJournalMatch([]string{m.String()})
		if err != nil || again.String() != m.String() {
			t.Fatalf("%q is written as %q, read as %q, %v", s, m, again, err)
		}
		has := func(f, v string) bool { return f == field && v == value || f == "_UID" && v == "0" }
		if m.Matches(has) != again.Matches(has) || m.Forgeable() != again.Forgeable() || !slices.Equal(m.Fields(), again.Fields()) {
			t.Fatalf("%q and %q mean different things", s, m)
		}
		if m.Any() && !m.Matches(func(string, string) bool { return false }) {
			t.Fatalf("%q asks for nothing, and not all entries match", s)
		}
	})
}

func TestJournalMatchOfAFile(t *testing.T) {
	_, err := compileText("[Definition]\nfailregex = ^x <ADDR>$\njournalmatch = _COMM=x\n  what\n")
	if err == nil || !strings.Contains(err.Error(), `want FIELD=value, have "what"`) || !strings.HasPrefix(err.Error(), "filter.d/x.conf:4: ") {
		t.Error(err)
	}
}

func compileText(conf string) (*Filter, error) {
	d, err := Load(fstest.MapFS{"filter.d/x.conf": {Data: []byte(conf)}}, "x", nil)
	if err != nil {
		return nil, err
	}
	return Compile(d)
}

// Words are split as Python's shlex does it, by which fail2ban reads them.
func TestShellWordsAgainstPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	const script = `
import sys, shlex
for l in sys.stdin.read().split("\0"):
    try: sys.stdout.write("\x01".join(shlex.split(l)) + "\0")
    except ValueError: sys.stdout.write("error\0")
`
	var in []string
	pieces := []string{"a", " ", "'", `"`, `\`, "+", "=", `\x2d`, "  b", "#"}
	for i := range 4096 {
		var s strings.Builder
		for n := i; n > 0; n /= len(pieces) {
			s.WriteString(pieces[n%len(pieces)])
		}
		in = append(in, s.String())
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", script)
	cmd.Stdin = strings.NewReader(strings.Join(in, "\x00"))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		words, err := shellWords(in[i])
		got := strings.Join(words, "\x01")
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %q, Python has %q", in[i], got, want)
		}
	}
}

// A forged entry finds nobody, and changes nothing of a session of the service.
func TestForgedEntries(t *testing.T) {
	f, err := compileText(`[Definition]
failregex = ^<F-MLFID>\[\d+\]</F-MLFID>: <F-NOFAIL>from</F-NOFAIL> <ADDR>$
            ^<F-MLFID>\[\d+\]</F-MLFID>: failed for <F-USER>\S+</F-USER>$
            ^<F-MLFID>\[\d+\]</F-MLFID>: bad <ADDR>$
            ^<F-MLFID>\[\d+\]</F-MLFID>: <F-MLFFORGET><F-MLFGAINED>accepted</F-MLFGAINED></F-MLFFORGET>$
journalmatch = _UID=0
`)
	if err != nil {
		t.Fatal(err)
	}
	run, err := NewSet(f).NewRun(Settings{Clock: judgeClock(t)})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range []struct{ uid, line string }{
		{"0", "[7]: from 192.0.2.1"},
		{"1000", "[7]: from 203.0.113.9"}, // would be blamed for what follows
		{"1000", "[7]: accepted"},         // would end the session
		{"1000", "[7]: bad 203.0.113.9"},
		{"0", "[7]: failed for root"},
		{"", "[7]: bad 203.0.113.9"}, // nobody knows who wrote it
	} {
		hits, refused := run.Entry([]byte(e.line), 1124013600, func(f, v string) bool { return f == "_UID" && v == e.uid })
		for i := range hits {
			got = append(got, "hit "+hits[i].ID+" "+hits[i].User())
		}
		for i := range refused {
			got = append(got, "refused "+refused[i].ID)
		}
	}
	want := []string{"refused 203.0.113.9", "hit 192.0.2.1 root", "refused 203.0.113.9"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
