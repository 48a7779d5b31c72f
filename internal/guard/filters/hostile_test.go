package filters

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekimori/internal/guard/filter"
)

// hostile lines are built to make patterns go back and forth.
func hostile() map[string][]byte {
	lines := repeated(1)
	for what, line := range repeated(400) {
		lines[what+", many times"] = line
	}
	maps.Copy(lines, built())
	return lines
}

// repeated lines have a part n times, with which patterns can do different things.
func repeated(n int) map[string][]byte {
	const p = "Aug  3 04:05:06 host "
	many := func(s string) string { return strings.Repeat(s, n) }
	return inBytes(map[string]string{
		"words that could be names":   p + "sshd[1]: Failed password for " + many("a.b-c ") + "from",
		"addresses of both kinds":     p + "sshd[1]: Failed password for x from " + many("1.2.3.4 2001:db8::1 ") + "port",
		"colons":                      p + "postfix/smtpd[1]: " + many("a:") + " warning: unknown[1.2.3.4]: SASL LOGIN authentication failed",
		"commas and equal signs":      p + "dovecot: auth: " + many("x=y, ") + "authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=x rhost=1.2.3.4",
		"brackets in brackets":        p + "[" + many("[1]: ") + "1.2.3.4] [error] [client 1.2.3.4] " + many("(x) "),
		"quotes":                      p + many(`"x" `) + `authentication failed for "` + many(`a" `) + `from 1.2.3.4`,
		"a request that does not end": `1.2.3.4 - - [03/Aug/2026:04:05:06 +0000] "GET /` + many("a/../%20?x=") + ` HTTP/1.1`,
		"dates in the message":        many("Aug  3 04:05:06 2026 ") + many("2026-08-03 04:05:06,123 ") + "x",
		"spaces and tabs":             p + "named[1]: " + many(" \t") + "client 1.2.3.4#1: query (cache) 'x/A/IN' denied" + many(" \t"),
		"what follows never":          p + "asterisk[1]: NOTICE[1]: chan_sip.c: Registration from '" + many("x' failed for '1.2.3.4:5060' - ") + "no",
		"from and from":               p + many("authentication failure from ") + many("user from ") + "1.2.3.4",
		"error: fatal: PAM:":          p + "sshd[1]: " + many("error: ") + many("fatal: PAM: ") + "Failed password for x from",
	})
}

// built lines are long, broken, or made for one filter.
func built() map[string][]byte {
	p := "Aug  3 04:05:06 host "
	words := strings.Repeat("word ", 10_000)
	return inBytes(map[string]string{
		"10,000 words":    p + "sshd[1]: Failed password for " + words,
		"10 MB":           p + "sshd[1]: Failed password for " + strings.Repeat("x", 10<<20),
		"many from":       p + "sshd[1]: Failed password for invalid user " + strings.Repeat(" from 192.0.2.1", 600) + " x",
		"many ports":      p + "sshd[1]: Invalid user " + strings.Repeat("a from 192.0.2.1 port 1 ", 400),
		"auth failure":    p + "vsftpd: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=" + strings.Repeat("rhost=192.0.2.1 ", 500),
		"dovecot":         p + "dovecot: imap-login: Disconnected (auth failed, 1 attempts): " + strings.Repeat("user=<x>, rip=192.0.2.1, ", 300),
		"domino":          "[012345:00001-00] 08-09-2014 06:14:27   smtp: " + strings.Repeat("word ", 1500) + "authentication failure",
		"domino short":    "[012345:00001-00] 08-09-2014 06:14:27   smtp: " + strings.Repeat("ab ", 24) + "authentication failure",
		"postfix":         p + "postfix/smtpd[1]: NOQUEUE: reject: RCPT from " + strings.Repeat("a[192.0.2.1]: 554 5.7.1 ", 300),
		"apache":          "[Mon Aug 03 04:05:06 2026] [error] [client 192.0.2.1] user " + strings.Repeat("x not found: ", 600) + "y",
		"nginx":           `2026/08/03 04:05:06 [error] 1#1: *1 user "` + strings.Repeat(`a": password mismatch, client: 192.0.2.1, server: x, request: "`, 100),
		"exim":            "2026-08-03 04:05:06 login authenticator failed for " + strings.Repeat("(x) [192.0.2.1]: 535 Incorrect authentication data ", 120),
		"NULs":            p + "sshd[1]: Failed password for " + strings.Repeat("\x00", 5000) + " from 192.0.2.1 port 1 ssh2",
		"not UTF-8":       p + "sshd[1]: Failed password for " + strings.Repeat("\xff\xc3", 3000) + " from 192.0.2.1 port 1 ssh2",
		"spaces":          p + "sshd[1]: Failed password for" + strings.Repeat(" ", 8000) + "from 192.0.2.1",
		"dates":           strings.Repeat("2026-08-03 04:05:06 ", 400) + "Failed password",
		"brackets":        strings.Repeat("[", 4000) + " Access denied for user " + strings.Repeat("]", 3000),
		"addresses":       p + "sshd[1]: Failed password for " + strings.Repeat("1.1.1.1 ", 1000) + " from " + strings.Repeat("1:", 400),
		"bind":            p + "named[1]: client @0x1 " + strings.Repeat("192.0.2.1#1 (", 500) + " denied",
		"quotes in JSON":  `{"reqId":"a","level":2,"time":"2026-08-03T04:05:06Z","remoteAddr":"192.0.2.1","user":"--","app":"core","method":"GET","url":"` + strings.Repeat(`\"`, 3000),
		"logfmt":          "logger=context " + strings.Repeat(`a="b" `, 1000) + `msg="Invalid username or password"`,
		"squid and words": p + strings.Repeat("authentication failed ", 350),
	})
}

func inBytes(lines map[string]string) map[string][]byte {
	out := map[string][]byte{}
	for what, line := range lines {
		out[what] = []byte(line)
	}
	return out
}

// A judged is a filter that hostile lines are shown to.
type judged struct {
	name    string
	session *filter.Session
}

// everyFilter returns our filters, and fail2ban's where it is installed, each
// with all that it can find. They are asked without looking for literals first:
// every pattern is tried.
func everyFilter(t testing.TB) []judged {
	var out []judged
	add := func(name string, f *filter.Filter) {
		s, err := f.NewSession(settings())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, judged{name, s})
	}
	for _, e := range All() {
		mode := "normal"
		if len(e.Modes) > 0 {
			mode = "aggressive"
		}
		add(e.Name, compile(t, e.Name, map[string]string{"mode": mode}))
	}
	dir := installed()
	files, _ := filepath.Glob(dir + "/filter.d/*.conf")
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".conf")
		for _, options := range []map[string]string{{"mode": "aggressive"}, {}} {
			d, err := filter.Load(os.DirFS(dir), name, options)
			if err != nil {
				continue // it has no such mode, or is a part of others
			}
			if c, err := filter.Compile(d); err == nil {
				add("fail2ban's "+name, c)
			}
			break
		}
	}
	return out
}

// installed is where fail2ban's filters are.
func installed() string {
	if dir := os.Getenv("SEKIMORI_FAIL2BAN"); dir != "" {
		return dir
	}
	return "/etc/fail2ban"
}

// overshoot is what the last steps may take beyond what is allowed: no more than
// going through a line of the greatest length that is looked at.
const overshoot = 2 * filter.MaxLine

// No line takes more effort than is allowed, whatever the filter; where that
// does not suffice to decide, it is counted; and but for one line in a hundred it
// does suffice, although these lines are made for the contrary.
func TestNoLineTakesMoreThanItsEffort(t *testing.T) {
	lines, all := hostile(), everyFilter(t)
	worst, which, undecided := 0, "", map[string]int{}
	for _, j := range all {
		for what, line := range lines {
			before := j.session.Counts().Exhausted
			j.session.Line(line)
			e := j.session.Effort()
			if e > worst {
				worst, which = e, j.name+": "+what
			}
			switch exhausted := j.session.Counts().Exhausted > before; {
			case e > filter.MaxEffort+overshoot:
				t.Errorf("%s: %s takes %d", j.name, what, e)
			case e <= filter.MaxEffort && exhausted:
				t.Errorf("%s: %s is given up after %d", j.name, what, e)
			case exhausted:
				undecided[j.name]++
			}
		}
	}
	total := 0
	for _, n := range undecided {
		total += n
	}
	t.Logf("%d filters, %d lines: the worst takes %d of %d: %s; not decided: %v", len(all), len(lines), worst, filter.MaxEffort, which, undecided)
	if total*100 > len(all)*len(lines) {
		t.Errorf("%d of %d lines could not be decided: %v", total, len(all)*len(lines), undecided)
	}
}

// Twice the line never takes more than four times the effort, and a little:
// nothing grows faster than the square of the length, which the limit ends.
func TestEffortGrowsWithTheLine(t *testing.T) {
	all, long := everyFilter(t), repeated(80)
	for what, line := range repeated(40) {
		for _, j := range all {
			j.session.Line(line)
			once := j.session.Effort()
			j.session.Line(long[what])
			if e := j.session.Effort(); e > 4*once+6000 && e < filter.MaxEffort {
				t.Errorf("%s: %s takes %d, and %d at twice the length", j.name, what, once, e)
			}
		}
	}
}

// BenchmarkHostileLine says how long the costliest of the hostile lines takes in
// any filter: the best of five times, so that it is the line that is measured.
func BenchmarkHostileLine(b *testing.B) {
	lines, all := hostile(), everyFilter(b)
	for b.Loop() {
		worst, which := time.Duration(0), ""
		for _, j := range all {
			for what, line := range lines {
				best := time.Hour
				for range 5 {
					start := time.Now()
					j.session.Line(line)
					best = min(best, time.Since(start))
				}
				if best > worst {
					worst, which = best, j.name+": "+what
				}
			}
		}
		b.ReportMetric(float64(worst)/1e6, "ms/worst-line")
		b.Logf("%d filters, %d lines: %.2f ms: %s", len(all), len(lines), float64(worst)/1e6, which)
	}
}
