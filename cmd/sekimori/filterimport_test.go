package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"sekimori/policy"
)

// The lines that import proposes are lines of the policy.
func TestImportProposesWhatThePolicyTakes(t *testing.T) {
	fsys := fstest.MapFS{
		"filter.d/web.conf": {Data: []byte("[Definition]\nfailregex = ^denied for <ADDR>$\n")},
		"jail.conf": {Data: []byte(`[DEFAULT]
enabled = true
filter = web
[a]
ignoreip = 127.0.0.1/8 ::1 2001:db8::/32, 192.0.2.7
[b]
maxretry = 1
findtime = 1h30m
bantime = 1w
[c]
bantime = -1
findtime = 100
bantime.increment = true
[d]
findtime = 1 year
bantime = 1d12h
bantime.increment = yes
bantime.maxtime = 5w
`)},
	}
	m, err := importJails(fsys, "f2b", false)
	if err != nil || len(m.Jails) != 4 {
		t.Fatal(m, err)
	}
	before, rest, _ := bytes.Cut(policy.Example(), []byte("guard:\n"))
	_, after, ok := bytes.Cut(rest, []byte("\napply:"))
	if !ok {
		t.Fatal("the example has no section guard before apply")
	}
	lines := 0
	for _, j := range m.Jails {
		for _, l := range j.Policy {
			lines++
			text := string(before) + l + "\napply:" + string(after)
			f, err := policy.Parse("policy.yaml", []byte(text))
			if err != nil {
				t.Errorf("[%s] %s: %v", j.Name, l, err)
				continue
			}
			if g := f.Policy.Guard; g == nil || strings.Contains(l, "never") != (len(g.Never) == 4) {
				t.Errorf("[%s] %s: %+v", j.Name, l, g)
			}
		}
	}
	if lines != 5 {
		t.Errorf("%d lines", lines)
	}
	if lost := m.Jails[2].Lost; len(lost) != 1 || !strings.HasPrefix(lost[0], "bantime = -1 (jail.conf:11): ") {
		t.Errorf("a ban without end: %q", lost)
	}
}

func TestActions(t *testing.T) {
	got := actions("iptables[name=a,\n  port=1]\n\n mail-whois[dest=x]\nufw")
	want := []string{"iptables[name=a, port=1]", "mail-whois[dest=x]", "ufw"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for i, bans := range []bool{true, false, true} {
		if justBans(got[i]) != bans {
			t.Errorf("%s: %v", got[i], !bans)
		}
	}
}
