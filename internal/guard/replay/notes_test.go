package replay

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/guard"
	"sekimori/internal/guard/source"
)

func strict(t *testing.T) Options {
	return Options{Jails: []Jail{jail(t, "sshd", guard.Rule{After: 1, Within: time.Minute, For: time.Hour})}}
}

func entryOf(uid, comm, unit, ip string) string {
	return "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1786700000000000\n_HOSTNAME=host\nSYSLOG_IDENTIFIER=sshd\n_PID=7\n_UID=" + uid +
		"\n_COMM=" + comm + "\n_SYSTEMD_UNIT=" + unit + "\nMESSAGE=Failed password for root from " + ip + " port 22 ssh2\n\n"
}

// An entry counts if sshd itself wrote it; of the others the first is told of.
func TestForgedEntriesAreToldOf(t *testing.T) {
	in := entryOf("0", "sshd", "ssh.service", "192.0.2.1") +
		entryOf("1000", "logger", "user@1000.service", "203.0.113.1") +
		entryOf("1000", "sshd", "user@1000.service", "203.0.113.2") + // a copy of logger that is called so
		entryOf("0", "sshd-session", "session-3.scope", "192.0.2.2") +
		"__CURSOR=s=2\nSYSLOG_IDENTIFIER=sshd\nMESSAGE=Failed password for root from 203.0.113.3 port 22 ssh2\n\n"
	r, err := Run(t.Context(), []Input{Memory("j", []byte(in), newest)}, strict(t))
	if err != nil {
		t.Fatal(err)
	}
	var blamed []string
	for _, s := range r.Sources {
		blamed = append(blamed, s.Prefix.Addr().String())
	}
	if diff := cmp.Diff([]string{"192.0.2.1", "192.0.2.2"}, blamed); diff != "" {
		t.Error(diff)
	}
	want := []Forged{{
		Jail: "sshd", Entries: 3, Name: "j", Num: 20, Fields: "_UID=1000 _COMM=logger _SYSTEMD_UNIT=user@1000.service",
		Line: "host sshd[7]: Failed password for root from 203.0.113.1 port 22 ssh2",
	}}
	if diff := cmp.Diff(want, r.Forged); diff != "" {
		t.Error(diff)
	}
	if r.Incomplete() != 0 {
		t.Errorf("%+v", r.Files)
	}
}

// Dates that cannot be are told of with the first of their lines.
func TestDatesThatCannotBe(t *testing.T) {
	in := "what\n" +
		"2026-08-14T25:00:00 host sshd[1]: Failed password for root from 192.0.2.1 port 22 ssh2\n" +
		"1969-08-14T10:00:00 host sshd[1]: Failed password for root from 192.0.2.1 port 22 ssh2\n" +
		"2099-08-14T10:00:00 host sshd[1]: Failed password for root from 192.0.2.1 port 22 ssh2\n" +
		"failed, but nothing like a date: password for root\n" +
		"2026-08-14T10:00:00 host sshd[1]: Failed password for root from 192.0.2.1 port 22 ssh2\n" +
		"2026-09-14T10:00:00 host sshd[1]: Failed password for root from 192.0.2.1 port 22 ssh2\n"
	r, err := Run(t.Context(), []Input{Memory("a", []byte(in), newest)}, strict(t))
	if err != nil {
		t.Fatal(err)
	}
	f := r.Files[0]
	if f.NoDate != 3 || f.FirstNoDate != 2 || !strings.HasPrefix(f.NoDateExample, "2026-08-14T25:00:00 host sshd[1]: Failed") {
		t.Errorf("%+v", f)
	}
	if r.Failures != 2 || r.Future != 1 || r.Undated != 0 {
		t.Errorf("%d failures, %d in the future, %d undated", r.Failures, r.Future, r.Undated)
	}
}

// What could not be read is told of; all the rest counts.
func TestIncompleteLogs(t *testing.T) {
	inputs := []Input{
		Memory("journal", []byte(entryOf("0", "sshd", "ssh.service", "192.0.2.1")+entryOf("0", "sshd", "ssh.service", "192.0.2.2")[:150]), newest),
		Memory("program", []byte("\x7fELF\x02\x01\x01"), newest),
		{Name: "closed", Newest: newest, Open: func() (io.ReadCloser, error) { return nil, errors.New("permission denied") }},
		Memory("a.log", []byte(failed("10:00:00", "192.0.2.3")), newest),
		Memory("json", []byte(`{"__REALTIME_TIMESTAMP":"1786700000000000","_UID":"0","_COMM":"sshd","SYSLOG_IDENTIFIER":"sshd","MESSAGE":"Failed password for root from 192.0.2.4 port 1 ssh2"}`+
			"\n{\"__REALTIME\n"), newest),
	}
	r, err := Run(t.Context(), inputs, strict(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Sources) != 3 || r.Incomplete() != 4 {
		t.Errorf("%d sources, %d logs are incomplete", len(r.Sources), r.Incomplete())
	}
	for i, want := range []string{"is cut off in an entry", "a program", "permission denied", "", ""} {
		if got := r.Files[i].Fault; !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", r.Files[i].Name, got, want)
		}
	}
	if f := r.Files[4].Flaws; f != (source.Flaws{Bad: 1, FirstBad: 2, Why: "unexpected end of JSON input"}) {
		t.Errorf("%+v", f)
	}
}

func TestSinceLeavesOut(t *testing.T) {
	o := strict(t)
	o.Since = time.Date(2026, 8, 14, 10, 1, 0, 0, time.UTC)
	in := failed("10:00:00", "192.0.2.1") + failed("10:00:30", "192.0.2.1") + failed("10:02:00", "192.0.2.2")
	r, err := Run(t.Context(), []Input{Memory("a", []byte(in), newest)}, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failures != 1 || r.Early != 2 || r.EarlyLast.Format(time.TimeOnly) != "10:00:30" {
		t.Errorf("%+v", r)
	}
}
