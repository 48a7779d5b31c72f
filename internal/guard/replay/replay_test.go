package replay

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/guard"
	"sekimori/internal/guard/filter"
	"sekimori/internal/guard/filters"
)

func jail(t testing.TB, name string, r guard.Rule) Jail {
	t.Helper()
	d, err := filter.Load(filters.FS(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := filter.Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	return Jail{name, f, r}
}

var newest = time.Date(2026, 8, 14, 12, 0, 0, 0, time.UTC)

func failed(at, ip string) string {
	return "Aug 14 " + at + " host sshd[1]: Failed password for root from " + ip + " port 22 ssh2\n"
}

func shortly(r *Result) []string {
	var out []string
	for _, d := range r.Decisions {
		out = append(out, fmt.Sprintf("%s %s %d", d.Time.Format(time.TimeOnly), d.Prefix, d.Failures))
	}
	return out
}

func TestRotationsAreReadInTheirOrder(t *testing.T) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	io.WriteString(w, failed("10:00:00", "192.0.2.1")+failed("10:00:10", "192.0.2.1"))
	w.Close()
	inputs := []Input{
		Memory("auth.log", []byte(failed("10:02:00", "192.0.2.1")+failed("10:02:10", "192.0.2.9")), newest),
		Memory("auth.log.2.gz", gz.Bytes(), newest),
		Memory("auth.log.1", []byte(failed("10:01:00", "192.0.2.1")), newest),
	}
	r, err := Run(t.Context(), inputs, Options{Jails: []Jail{jail(t, "sshd", guard.Rule{After: 4, Within: 10 * time.Minute, For: time.Hour})}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"10:02:00 192.0.2.1/32 4"}, shortly(r)); diff != "" {
		t.Error(diff)
	}
	if r.Lines != 5 || r.Failures != 5 || len(r.Sources) != 2 || r.Sources[0].Prefix.Addr() != netip.MustParseAddr("192.0.2.1") || r.Users[0].Name != "root" {
		t.Errorf("%+v", r)
	}
}

func TestDifferentLogsAreMergedByTime(t *testing.T) {
	a := failed("10:00:00", "192.0.2.1") + failed("10:00:20", "192.0.2.1")
	b := failed("10:00:10", "192.0.2.1") + failed("10:00:30", "192.0.2.2")
	r, err := Run(t.Context(), []Input{Memory("a.log", []byte(a), newest), Memory("b.log", []byte(b), newest)}, Options{
		Jails: []Jail{jail(t, "sshd", guard.Rule{After: 2, Within: time.Minute, For: time.Hour})},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"10:00:10 192.0.2.1/32 2"}, shortly(r)); diff != "" {
		t.Error(diff)
	}
}

// A line that stands for several failures counts as so many.
func TestRepeatedMessagesCountAsOftenAsTheySay(t *testing.T) {
	log := failed("10:00:00", "192.0.2.1") +
		"Aug 14 10:00:09 host sshd[1]: message repeated 4 times: [ Failed password for root from 192.0.2.1 port 22 ssh2]\n" +
		"Aug 14 10:00:10 host sshd[2]: message repeated 3 times: [ Failed password for root from 192.0.2.2 port 22 ssh2]\n" +
		"Aug 14 10:00:11 host sshd[3]: message repeated 99999999999999999999 times: [ Failed password for root from 192.0.2.3 port 22 ssh2]\n" +
		"Aug 14 10:00:12 host sshd[4]: message repeated 0 times: [ Failed password for root from 192.0.2.4 port 22 ssh2]\n"
	r, err := Run(t.Context(), []Input{Memory("auth.log", []byte(log), newest)}, Options{
		Jails: []Jail{jail(t, "sshd", guard.Rule{After: 5, Within: time.Minute, For: time.Hour})},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"10:00:09 192.0.2.1/32 5", "10:00:11 192.0.2.3/32 5"}, shortly(r)); diff != "" {
		t.Error(diff)
	}
	if r.Failures != 1+4+3+1000+1 || r.Sources[0].Failures != 1000 || r.Users[0].Failures != int(r.Failures) {
		t.Errorf("%d failures, %+v, %+v", r.Failures, r.Sources, r.Users)
	}
}

func TestBrokenInputs(t *testing.T) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	for i := range 2000 {
		io.WriteString(w, failed(fmt.Sprintf("10:%02d:%02d", i/60%60, i%60), fmt.Sprintf("192.0.2.%d", i%200)))
	}
	w.Close()
	utf16 := []byte{0xff, 0xfe}
	for _, c := range failed("10:00:00", "192.0.2.7") {
		utf16 = append(utf16, byte(c), 0)
	}
	for _, c := range []struct {
		name     string
		in       []byte
		failures uint64
		fault    string
	}{
		{"truncated", gz.Bytes()[:gz.Len()*3/4], 1, "unexpected EOF"},
		{"not gzip at all", append([]byte{0x1f, 0x8b}, "xxxxxxxxxxxx"...), 0, "gzip"},
		{"NULs", []byte("\x00\x00\x00\n" + failed("10:00:00", "192.0.2.7") + "\x00\n"), 1, ""},
		{"no end", []byte(strings.TrimSuffix(failed("10:00:00", "192.0.2.7"), "\n")), 1, ""},
		{"a line of 10 MB", []byte(strings.Repeat("x", 10<<20) + "\n" + failed("10:00:00", "192.0.2.7")), 1, ""},
		{"UTF-16", utf16, 1, ""},
		{"empty", nil, 0, ""},
		{"in the future", []byte("2027-01-01T00:00:00 host sshd[1]: Failed password for root from 192.0.2.7 port 22 ssh2\n"), 1, ""},
		{"a day that is none", []byte("Feb 30 10:00:00 host sshd[1]: Failed password for root from 192.0.2.7 port 22 ssh2\n"), 0, ""},
	} {
		r, err := Run(t.Context(), []Input{Memory(c.name, c.in, newest)}, Options{Jails: []Jail{jail(t, "sshd", guard.Rule{After: 5, Within: time.Minute, For: time.Hour})}})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if r.Failures < c.failures || c.failures == 0 && r.Failures > 0 || !strings.Contains(r.Files[0].Fault, c.fault) || (c.fault == "") != (r.Files[0].Fault == "") {
			t.Errorf("%s: %d failures, fault %q", c.name, r.Failures, r.Files[0].Fault)
		}
	}
}

// A user name fills a line up to where a filter stops: nobody may be blamed for
// what only looks like its end, and that the line does not count is told.
func TestLongLinesBlameNobody(t *testing.T) {
	const head, tail = "Aug 14 10:00:00 host sshd[1]: Failed password for invalid user ", " from 203.0.113.9 port 22 ssh2"
	rule := guard.Rule{After: 1, Within: time.Minute, For: time.Hour}
	for _, more := range []int{0, 1, 37, 4 << 10, 100 << 10, 300 << 10} {
		name := strings.Repeat("y", filter.MaxLine-len(head)-len(tail))
		line := head + name + tail + strings.Repeat(" ", more) // sshd's patterns end with the line
		if more > 37 {
			line = head + name + tail + strings.Repeat("z", more) + " from 198.51.100.66 port 22 ssh2"
		}
		log := failed("09:59:59", "192.0.2.7") + line + "\r\n" + line + "\n"
		r, err := Run(t.Context(), []Input{Memory("a", []byte(log), newest)}, Options{Jails: []Jail{jail(t, "sshd", rule)}})
		if err != nil {
			t.Fatal(err)
		}
		got := [...]int{len(r.Decisions), int(r.Files[0].Long), r.Files[0].FirstLong}
		if want := [...]int{1, 2, 2}; more > 0 && got != want {
			t.Errorf("%d bytes too many: decisions, long lines, the first of them: %d, want %d", more, got, want)
		} else if want = [...]int{2, 0, 0}; more == 0 && got != want {
			t.Errorf("as long as a line may be: decisions, long lines, the first of them: %d, want %d", got, want)
		}
	}
}

// A line whose date cannot be is not of now: it does not count, and that is told.
func TestImpossibleDatesAreNotNow(t *testing.T) {
	for date, when := range map[string]string{
		"Aug 14 23:59:59":           "2026-08-14T23:59:59Z",
		"Aug 14 24:00:00":           "",
		"Aug 14 25:00:00":           "",
		"Aug 14 29:00:00":           "",
		"Feb 30 10:00:00":           "",
		"Nov 32 10:00:00":           "",
		"2026-02-30T10:00:00Z":      "",
		"2026-02-28T24:00:00Z":      "",
		"2026-02-28T10:00:00Z":      "2026-02-28T10:00:00Z",
		"2026-02-29 10:00:00":       "",
		"Feb 29 10:00:00":           "2024-02-29T10:00:00Z", // there was none since
		"Sun Feb 29 10:00:00 2026":  "",
		"2026-02-30T10:00:00+02:00": "",
	} {
		log := date + " host sshd[1]: Failed password for root from 192.0.2.7 port 22 ssh2\n"
		r, err := Run(t.Context(), []Input{Memory("a", []byte(log), newest)}, Options{Jails: []Jail{jail(t, "sshd", guard.Rule{After: 1, Within: time.Minute, For: time.Hour})}})
		if err != nil {
			t.Fatal(err)
		}
		at := ""
		if len(r.Decisions) > 0 {
			at = r.Decisions[0].Time.Format(time.RFC3339)
		}
		if told := r.Files[0].NoDate == 1 && r.Files[0].FirstNoDate == 1; at != when || told != (when == "") {
			t.Errorf("%s: refused at %q, want %q; told of: %t", date, at, when, told)
		}
	}
}

func TestEvidenceIsFitToBeShown(t *testing.T) {
	line := "Aug 14 10:00:00 host sshd[1]: Failed password for \x1b[31mevil\x07 from 192.0.2.7 port 22 ssh2\n"
	r, err := Run(t.Context(), []Input{Memory("a", []byte(line), newest)}, Options{Jails: []Jail{jail(t, "sshd", guard.Rule{After: 1, Within: time.Minute, For: time.Hour})}})
	if err != nil || len(r.Decisions) != 1 {
		t.Fatal(r, err)
	}
	if all := fmt.Sprint(r.Decisions, r.Users); strings.ContainsAny(all, "\x1b\x07") {
		t.Errorf("%q", all)
	}
}

// The whole of a replay: lines, patterns, state, decisions.
func BenchmarkReplay(b *testing.B) {
	var log bytes.Buffer
	for i := range 200_000 {
		at := newest.Add(time.Duration(i-200_000) * time.Second)
		ip := fmt.Sprintf("198.%d.%d.%d", i>>14&255, i>>6&255, i*7&63)
		switch i % 3 {
		case 0:
			fmt.Fprintf(&log, "%s host sshd[%d]: Failed password for root from %s port 42393 ssh2\n", at.Format(time.Stamp), i, ip)
		case 1:
			fmt.Fprintf(&log, "%s host sshd[%d]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=%s  user=root\n", at.Format(time.Stamp), i, ip)
		default:
			fmt.Fprintf(&log, "%s host sshd[%d]: Received disconnect from %s: 11: Bye Bye [preauth]\n", at.Format(time.Stamp), i, ip)
		}
	}
	j := []Jail{jail(b, "sshd", guard.Rule{After: 5, Within: 10 * time.Minute, For: time.Hour})}
	b.ResetTimer()
	for b.Loop() {
		if _, err := Run(b.Context(), []Input{Memory("a", log.Bytes(), newest)}, Options{Jails: j}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(200_000*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
