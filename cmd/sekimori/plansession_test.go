package main

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/plan"
)

// proc is a /proc with a shell (20) below sshd (10, and 9, which is root's), under
// sudo (30), and a multiplexer (40) that hangs on nothing.
func proc() fstest.MapFS {
	text := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	link := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: fs.ModeSymlink} }
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	return fstest.MapFS{
		"proc/9/status":   text("Name:\tsshd\nPPid:\t1\n"),
		"proc/10/status":  text("Name:\tsshd\nPPid:\t9\n"),
		"proc/20/status":  text("Name:\tbash\nPPid:\t10\n"),
		"proc/30/status":  text("Name:\tsudo\nPPid:\t20\n"),
		"proc/31/status":  text("Name:\tsekimori\nPPid:\t30\n"),
		"proc/40/status":  text("Name:\ttmux: server\nPPid:\t1\n"),
		"proc/41/status":  text("Name:\tbash\nPPid:\t40\n"),
		"proc/42/status":  text("Name:\tsekimori\nPPid:\t41\n"),
		"proc/1/status":   text("Name:\tinit\nPPid:\t0\n"),
		"proc/9/fd/4":     link("socket:[777]"),
		"proc/9/fd/5":     link("socket:[778]"), // not a connection
		"proc/9/fd/0":     link("/dev/null"),
		"proc/41/environ": text("HOME=/root\x00SSH_CONNECTION=192.0.2.9 4242 203.0.113.5 22\x00"),
		"proc/thread-self/net/tcp": text(head +
			"   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1\n" +
			"   1: 057100CB:0016 076433C6:9C40 01 00000000:00000000 00:00000000 00000000     0        0 777 1\n"),
		"proc/thread-self/net/tcp6": text(head +
			"   0: 0000000000000000FFFF0000057100CB:0016 0000000000000000FFFF0000090200C0:1092 01 00000000:00000000 00:00000000 00000000     0        0 900 1\n"),
	}
}

func TestSessions(t *testing.T) {
	none := func(string) string { return "" }
	says := func(text string) func(string) string {
		return func(name string) string {
			return map[string]string{"SSH_CONNECTION": text}[name]
		}
	}
	real := session("198.51.100.7 40000 203.0.113.5 22")
	real.From, real.Current = "the socket of sshd (pid 9)", true
	by := func(text string, stale bool) plan.Session {
		s := session(text)
		s.From, s.Current, s.Stale = "SSH_CONNECTION", true, stale
		return s
	}
	for name, c := range map[string]struct {
		pid  int
		env  func(string) string
		want []plan.Session
	}{
		"under sudo":                        {31, none, []plan.Session{real}},
		"the environment does not outdo it": {31, says("192.0.2.66 1 203.0.113.5 22"), []plan.Session{real}},
		"under a multiplexer":               {42, none, []plan.Session{by("192.0.2.9 4242 203.0.113.5 22", false)}},
		"a connection that is gone":         {42, says("192.0.2.66 1 203.0.113.5 22"), []plan.Session{by("192.0.2.66 1 203.0.113.5 22", true)}},
		"at the console":                    {1, none, nil},
		"nonsense":                          {1, says("192.0.2.66 x 203.0.113.5 22"), nil},
		"half of it":                        {1, says("192.0.2.66 1"), nil},
		"a process that is gone":            {999, none, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, sessions(proc(), c.pid, c.env), cmp.Comparer(func(a, b plan.Session) bool { return a == b })); d != "" {
				t.Error(d)
			}
		})
	}
}

// session reads a line that is right.
func session(text string) plan.Session {
	s, ok := parseConnection(text)
	if !ok {
		panic(text)
	}
	return s
}

func TestHexAddrPort(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:0016":                         "127.0.0.1:22",
		"B80D0120000000000000000001000000:01BB": "[2001:db8::1]:443",
		"0000000000000000FFFF00000100007F:0050": "127.0.0.1:80",
	} {
		got, ok := hexAddrPort(text)
		if !ok || got.String() != want {
			t.Errorf("%s: %v, %v; want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "0100007F", "0100007F:", "0100007:0016", "xx00007F:0016", "0100007F0100007F:0016", "0100007F:10016"} {
		if got, ok := hexAddrPort(text); ok {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}
