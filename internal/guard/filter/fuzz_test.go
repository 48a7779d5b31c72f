package filter

import (
	"testing"
	"testing/fstest"

	"sekimori/internal/guard/logdate"
)

// FuzzFilterFile reads arbitrary filters: they compile and run, or say why not.
func FuzzFilterFile(f *testing.F) {
	f.Add("[Definition]\nfailregex = ^Failed for <F-USER>.*</F-USER> from <HOST>$\n", "Aug 14 10:00:00 Failed for x from 192.0.2.1")
	f.Add("[INCLUDES]\nbefore = x.conf\n[DEFAULT]\na = %(b)s\nb = %(a)s\n[Definition]\nfailregex = %(a)s\n", "")
	f.Add("[Definition]\nmode = <mode>\nfailregex = <a-<mode>> <HOST>\n[Init]\nmaxlines = 3\n", "a")
	f.Add("[Definition]\nprefregex = ^<F-MLFID>\\S+</F-MLFID> <F-CONTENT>.+</F-CONTENT>$\nfailregex = ^<F-NOFAIL>a</F-NOFAIL> <ADDR>\n ^b<SKIPLINES>c\nmaxlines=2\nignoreregex = x\n", "1 b\n")
	f.Add("[Definition]\ndatepattern = ^%%Y-%%m {DATE}\n {NONE}\nfailregex = <HOST>\n", "2026-01 x")
	shared := benchClock()
	shared.Library = &logdate.Library{}
	f.Fuzz(func(t *testing.T, conf, line string) {
		if len(conf) > 4000 || len(line) > 500 {
			return
		}
		fsys := fstest.MapFS{"filter.d/x.conf": {Data: []byte(conf)}}
		d, err := Load(fsys, "x", map[string]string{"mode": "b"})
		if err != nil {
			return
		}
		c, err := Compile(d)
		if err != nil {
			return
		}
		run, err := NewSet(c).NewRun(shared)
		if err != nil {
			return
		}
		for range 3 {
			for _, h := range run.Line([]byte(line)) {
				if h.Addr.IsValid() && h.Addr.Addr().Is4In6() {
					t.Errorf("%s is a mapped address", h.Addr)
				}
				for _, n := range h.Fields() {
					h.Field(n)
				}
			}
		}
	})
}

// FuzzLine runs arbitrary lines through a filter with everything in it: in a
// set and alone it finds the same, and who is blamed is an address in the line.
func FuzzLine(f *testing.F) {
	conf := `[Definition]
prefregex = ^<F-MLFID>\s*\S+ d\[\d+\]</F-MLFID>: (?:error: )?<F-CONTENT>.+</F-CONTENT>$
failregex = ^Failed login of <F-USER>.*</F-USER> from <HOST>(?: port \d+)?$
            ^<F-NOFAIL>Connection from</F-NOFAIL> <HOST>
            ^<F-MLFFORGET>Disconnected</F-MLFFORGET> after too many failures
            ^<F-MLFFORGET><F-MLFGAINED>Accepted</F-MLFGAINED></F-MLFFORGET> <F-USER>\S+</F-USER> from <HOST>
ignoreregex = from 127\.0\.0\.1
`
	d, err := Load(fstest.MapFS{"filter.d/x.conf": {Data: []byte(conf)}}, "x", nil)
	if err != nil {
		f.Fatal(err)
	}
	c, err := Compile(d)
	if err != nil {
		f.Fatal(err)
	}
	set := NewSet(c)
	for _, l := range []string{
		"Aug 14 10:00:00 h d[1]: Failed login of x from 192.0.2.1 port 22", "h d[1]: Connection from 2001:db8::1", "h d[1]: Disconnected after too many failures",
		"2026-02-30T10:00:00 h d[1]: error: Failed login of from ::ffff:192.0.2.1", "h d[1]: Accepted x from 192.0.2.1", "\xff\x00 d[1]: Failed login of \x1b[31m from 1.2.3.4",
	} {
		f.Add(l, l)
	}
	shared := benchClock()
	shared.Library = &logdate.Library{}
	f.Fuzz(func(t *testing.T, first, second string) {
		run, err := set.NewRun(shared)
		if err != nil {
			t.Fatal(err)
		}
		alone, err := c.NewSession(shared)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range []string{first, second, first} {
			a, b := alone.Line([]byte(l)), run.Line([]byte(l))
			if len(a) != len(b) {
				t.Fatalf("%q: %d matches alone, %d in a set", l, len(a), len(b))
			}
			for i := range a {
				if a[i].ID != b[i].ID || a[i].Pattern != b[i].Pattern || a[i].User() != b[i].User() {
					t.Fatalf("%q: %s alone, %s in a set", l, a[i].ID, b[i].ID)
				}
			}
		}
	})
}
