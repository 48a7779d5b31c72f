package logdate

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"sekimori/internal/guard/pyre"
)

func clock() Clock {
	return Clock{Now: time.Date(2026, 8, 14, 10, 0, 0, 0, time.UTC), Local: time.UTC}
}

// What is read by hand is what the templates read.
func TestFastFormsAgreeWithTemplates(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	fastReads := 0
	base, err := New([]string{lnBeg}, Options{Year: 2026})
	if err != nil {
		t.Fatal(err)
	}
	for range 30_000 {
		quickly := &Detector{}
		*quickly = *base
		quickly.templates = nil
		for _, u := range base.templates {
			v := *u
			quickly.templates = append(quickly.templates, &v)
		}
		m, budget := pyre.NewMachine(), 1_000_000
		var line string
		if r.IntN(2) == 0 {
			quickly.Find(m, []byte("Mar  7 10:11:12 host x: y"), &budget)
			line = fmt.Sprintf("%s%s%02d%s%02d:%02d:%02d%s", pick("Jan", "Feb", "Dec", "Mar", "may", "Xyz"), pick(" ", " ", "  "), r.IntN(34), pick(" ", " ", "  "),
				r.IntN(26), r.IntN(61), r.IntN(62), pick(" host x", " 2026 a b", ".123 host", " 200", ": something", " 2003x and", "0 abc def"))
		} else {
			quickly.Find(m, []byte("2026-03-07T10:11:12 host x: y"), &budget)
			line = fmt.Sprintf("%s-%02d-%02d%s%02d:%02d:%02d%s%s%s", pick("2026", "2013", "2031", "1999", "2029"), 1+r.IntN(13), r.IntN(33), pick("T", " ", "  ", "x"),
				r.IntN(25), r.IntN(61), r.IntN(61), pick("", ".1", ",123", ".123456", ".1234567", "."), pick("", "+01:00", "-0330", "Z", " +0200", " Z", " UTC", "+1:00", "+25:00", "-11:30x"),
				pick(" host sshd", ": abcdefgh", "x host abcd", "", " Zebra crossing"))
		}
		slow := *quickly
		slow.templates = nil
		for _, u := range quickly.templates {
			c := *u.template
			c.quick = quickNone
			v := *u
			v.template = &c
			slow.templates = append(slow.templates, &v)
		}
		b1, b2 := 1_000_000, 1_000_000
		f1, t1, ok1 := quickly.Find(m, []byte(line), &b1)
		s1, r1 := quickly.Read(clock())
		f2, t2, ok2 := slow.Find(m, []byte(line), &b2)
		s2, r2 := slow.Read(clock())
		if quickly.hasRead {
			fastReads++
		}
		if f1 != f2 || t1 != t2 || ok1 != ok2 || s1 != s2 || r1 != r2 {
			t.Fatalf("%q: by hand %d-%d %t, %f %t; by templates %d-%d %t, %f %t", line, f1, t1, ok1, s1, r1, f2, t2, ok2, s2, r2)
		}
	}
	if fastReads < 500 {
		t.Errorf("only %d lines were read by hand", fastReads)
	}
}

func TestFormsOfDates(t *testing.T) {
	for _, c := range []struct{ line, date, want string }{
		{"Mar  7 10:11:12 host sshd[1]: x", "Mar  7 10:11:12", "2026-03-07T10:11:12Z"},
		{"Dec 31 23:59:59 host x", "Dec 31 23:59:59", "2025-12-31T23:59:59Z"},
		{"Feb 29 10:11:12 2024 x", "Feb 29 10:11:12 2024", "2024-02-29T10:11:12Z"},
		{"[Sat Jun 01 11:23:08 2013] [error]", "Sat Jun 01 11:23:08 2013", "2013-06-01T11:23:08Z"},
		{`192.0.2.1 - - [31/Oct/2006:09:22:55 -0130] "GET`, "31/Oct/2006:09:22:55 -0130", "2006-10-31T10:52:55Z"},
		{"2005-01-23T21:59:59.981746+02:00 x", "2005-01-23T21:59:59.981746+02:00", "2005-01-23T19:59:59Z"},
		{"2026/01/23 21:59:59 [error] 1#1: x", "2026/01/23 21:59:59", "2026-01-23T21:59:59Z"},
		{"130322 11:46:11 [Warning] x", "130322 11:46:11", "2013-03-22T11:46:11Z"},
		{"msg=audit(1371577201.123:222): y", "1371577201.123", "2013-06-18T17:40:01Z"},
		{"@4000000050c0ed2a1f6e8c64 z", "@4000000050c0ed2a1f6e8c64", "2012-12-06T19:08:26Z"},
		{"23:10:11 x", "23:10:11", "2026-08-13T23:10:11Z"},
		{"<09/16/08@05:03:30> x", "<09/16/08@05:03:30>", "2008-09-16T05:03:30Z"},
		{"Jan 23, 2025 9:59:59 PM x", "Jan 23, 2025 9:59:59 PM", "2025-01-23T21:59:59Z"},
		{"PDT Apr 16 21:05:29 x", "PDT Apr 16 21:05:29", "2026-04-17T04:05:29Z"},
	} {
		d, err := New(nil, Options{Year: 2026})
		if err != nil {
			t.Fatal(err)
		}
		budget := 100_000
		from, to, ok := d.Find(pyre.NewMachine(), []byte(c.line), &budget)
		sec, ok2 := d.Read(clock())
		if got := time.Unix(int64(sec), 0).UTC().Format(time.RFC3339); !ok || !ok2 || c.line[from:to] != c.date || got != c.want {
			t.Errorf("%q: %q %s, want %q %s", c.line, c.line[from:to], got, c.date, c.want)
		}
	}
}

func TestDatesThatCannotBe(t *testing.T) {
	for _, line := range []string{"Feb 30 10:11:12 host x", "2026-02-29T10:11:12 host x", "Feb 29 10:11:12 2025 x", "2026-01-01 10:11:61 abc"} {
		d, err := New(nil, Options{Year: 2026})
		if err != nil {
			t.Fatal(err)
		}
		budget := 100_000
		d.Find(pyre.NewMachine(), []byte(line), &budget)
		if sec, ok := d.Read(clock()); ok {
			t.Errorf("%q is read as %v", line, time.Unix(int64(sec), 0).UTC())
		}
	}
}
