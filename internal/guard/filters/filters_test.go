package filters

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"sekimori/internal/guard/filter"
	"sekimori/internal/guard/logdate"
)

func compile(t testing.TB, name string, options map[string]string) *filter.Filter {
	t.Helper()
	d, err := filter.Load(FS(), name, options)
	if err != nil {
		t.Fatal(err)
	}
	f, err := filter.Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func settings() filter.Settings {
	return filter.Settings{Year: 2026, Clock: logdate.Clock{Now: time.Date(2026, 8, 14, 10, 0, 0, 0, time.UTC), Local: time.UTC}}
}

func TestEveryFilterIsListedAndCompilesInAllModes(t *testing.T) {
	names, err := fs.Glob(FS(), "filter.d/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != len(entries)+1 {
		t.Errorf("%d files, %d entries and prefix.conf", len(names), len(entries))
	}
	for i, e := range All() {
		if i > 0 && entries[i-1].Name >= e.Name {
			t.Errorf("%s is not in its place", e.Name)
		}
		for _, mode := range append([]string{"normal"}, e.Modes...) {
			for _, logtype := range []string{"file", "journal"} {
				f := compile(t, e.Name, map[string]string{"mode": mode, "logtype": logtype})
				if set := filter.NewSet(f); len(set.Always()) > 0 {
					t.Errorf("%s, mode %s: a pattern has no literal to look for", e.Name, mode)
				}
				for _, p := range f.Describe() {
					if p.Way == "bounded" {
						t.Errorf("%s: %s is not linear", e.Name, p.Text)
					}
				}
			}
		}
	}
}

// An entry of a journal counts only if the service itself wrote it: each
// alternative asks for something that an ordinary user's process cannot have. A
// name (_COMM) is none: anybody may call a program sshd.
func TestJournalEntriesHaveToBeOfTheService(t *testing.T) {
	for _, e := range All() {
		m := compile(t, e.Name, nil).Journal()
		if m.Forgeable() {
			t.Errorf("%s: anybody may write entries that count: %q", e.Name, m)
		}
		for alternative := range strings.SplitSeq(m.String(), " + ") {
			trusted := false
			for term := range strings.FieldsSeq(alternative) {
				field, value, _ := strings.Cut(strings.Trim(term, "'"), "=")
				switch field {
				case "_SYSTEMD_UNIT":
					trusted = trusted || strings.HasSuffix(value, ".service") && !strings.HasPrefix(value, "user@")
				case "_SYSTEMD_SLICE":
					trusted = trusted || strings.HasPrefix(value, "system-") && strings.HasSuffix(value, ".slice")
				case "_UID":
					trusted = trusted || value == "0"
				case "_EXE":
					trusted = trusted || strings.HasPrefix(value, "/usr/bin/") || strings.HasPrefix(value, "/bin/")
				}
			}
			if !trusted {
				t.Errorf("%s: a user may write entries with %s", e.Name, alternative)
			}
		}
	}
}

// A sample file has lines "+ADDRESS USER<tab>line" of what must be found,
// "-<tab>line" of what must not, "=MODE" for the mode of what follows, which also
// forgets the sessions before. What stands below "# As ... wrote them" is from such a
// server: it was attacked on a loopback network with addresses of documentation.
func TestSamples(t *testing.T) {
	for _, e := range All() {
		data, err := os.ReadFile("samples/" + e.Name)
		if err != nil {
			t.Errorf("%s has no samples: %v", e.Name, err)
			continue
		}
		hits, misses := 0, 0
		run := newRun(t, e.Name, "normal")
		for n, line := range strings.Split(strings.TrimRight(string(data), "\n"), "\n") {
			if line == "" || line[0] == '#' {
				continue
			}
			if line[0] == '=' {
				run = newRun(t, e.Name, line[1:])
				continue
			}
			want, text, ok := strings.Cut(line, "\t")
			if !ok {
				t.Fatalf("samples/%s:%d: no tab", e.Name, n+1)
			}
			got := "-"
			if found := run.Line([]byte(text)); len(found) > 0 {
				got = strings.TrimSpace("+" + found[0].ID + " " + found[0].User())
			}
			if got[0] == '+' {
				hits++
			} else {
				misses++
			}
			if got != want {
				t.Errorf("samples/%s:%d: %s, want %s: %s", e.Name, n+1, got, want, text)
			}
		}
		if hits == 0 || misses == 0 {
			t.Errorf("%s: %d samples match, %d do not: want some of each", e.Name, hits, misses)
		}
	}
}

func newRun(t *testing.T, name, mode string) *filter.Run {
	run, err := filter.NewSet(compile(t, name, map[string]string{"mode": mode})).NewRun(settings())
	if err != nil {
		t.Fatal(err)
	}
	return run
}
