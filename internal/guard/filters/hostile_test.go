//go:build linux

package filters

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"sekimori/internal/guard/filter"
)

// threadTime is the processor time of this thread: what a line costs, whatever
// else the machine is busy with.
func threadTime(t *testing.T) time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// hostile lines are built to make patterns go back and forth.
func hostile() map[string]string {
	p := "Aug  3 04:05:06 host "
	words := strings.Repeat("word ", 10_000)
	return map[string]string{
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
	}
}

// No line costs more than 5 ms, whatever the filter; where that does not
// suffice to decide, it is counted.
func TestNoLineCostsMuch(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	type named struct {
		name string
		set  *filter.Set
	}
	var sets []named
	for _, e := range All() {
		mode := "normal"
		if len(e.Modes) > 0 {
			mode = "aggressive"
		}
		sets = append(sets, named{e.Name, filter.NewSet(compile(t, e.Name, map[string]string{"mode": mode}))})
	}
	dir := os.Getenv("SEKIMORI_FAIL2BAN")
	if dir == "" {
		dir = "/etc/fail2ban"
	}
	files, _ := filepath.Glob(dir + "/filter.d/*.conf")
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".conf")
		d, err := filter.Load(os.DirFS(dir), name, map[string]string{"mode": "aggressive"})
		if err != nil {
			continue
		}
		if c, err := filter.Compile(d); err == nil {
			sets = append(sets, named{"fail2ban's " + name, filter.NewSet(c)})
		}
	}
	worst, exhausted := time.Duration(0), 0
	for _, s := range sets {
		// Without looking for literals first: every pattern is tried.
		run, err := s.set.Filters()[0].NewSession(settings())
		if err != nil {
			t.Fatal(err)
		}
		for what, line := range hostile() {
			text := []byte(line)
			run.Line(text) // memory is there from now on
			best := time.Hour
			for range 2 {
				before := threadTime(t)
				run.Line(text)
				best = min(best, threadTime(t)-before)
			}
			if best > worst {
				worst = best
				t.Logf("%v: %s, %s", best, s.name, what)
			}
			if best > slower*5*time.Millisecond {
				t.Errorf("%s: %s costs %v", s.name, what, best)
			}
		}
		if n := run.Counts().Exhausted; n > 0 {
			exhausted++
			t.Logf("%s: %d lines could not be decided", s.name, n)
		}
	}
	t.Logf("%d filters, the worst line costs %v, %d filters met one they could not decide", len(sets), worst, exhausted)
}
