package iptables_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/iptables"
	"sekimori/internal/firewall/kernel"
	"sekimori/internal/firewall/xt"
)

// FuzzParse: whatever the text, there is either a ruleset or a list of errors with
// lines in it; and every rule of a ruleset is read again from its own text.
func FuzzParse(f *testing.F) {
	for _, file := range families() {
		b, err := os.ReadFile(file.rules)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			table, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
			if ok && table != "#" {
				f.Add("*"+table+"\n:USER - [0:0]\n-A "+rest+"\nCOMMIT\n", file.family == firewall.IPv6)
			}
		}
	}
	f.Add("*filter\n:A - [0:0]\n:B - [0:0]\n-A A -j B\n-A B -g A\nCOMMIT\n", false)
	f.Add("*filter\n[1:2] -A INPUT -s ! 10.0.0.0/8 -m geoip --src-cc XX -j FOO --bar \"a \\\" b\"\nCOMMIT\n", false)
	f.Add("\x00\xff*", true)
	f.Fuzz(func(t *testing.T, src string, six bool) {
		family := firewall.IPv4
		if six {
			family = firewall.IPv6
		}
		iptables.Family([]byte(src))
		rs, err := iptables.Parse(family, []byte(src))
		if err != nil {
			lines := 1 + strings.Count(src, "\n")
			for _, e := range errorList(t, err) {
				if e.Line < 1 || e.Line > lines || e.Message == "" {
					t.Errorf("error %+v in %d lines", e, lines)
				}
			}
			return
		}
		for _, table := range rs.Tables {
			for _, c := range table.Chains {
				for _, r := range c.Rules {
					again := alone2(t, family, table, r.Text)
					if diff := cmp.Diff(r.Text, again.Text); diff != "" {
						t.Errorf("%s", diff)
					}
				}
			}
		}
	})
}

// alone2 reads one rule again, in a table with the same chains.
func alone2(t *testing.T, family firewall.Family, table *firewall.Table, text string) *firewall.Rule {
	t.Helper()
	var b strings.Builder
	b.WriteString("*" + table.Name + "\n")
	for _, c := range table.Chains {
		if c.Base == nil {
			b.WriteString(":" + c.Name + " - [0:0]\n")
		}
	}
	rs, err := iptables.Parse(family, []byte(b.String()+text+"\nCOMMIT\n"))
	if err != nil {
		t.Fatalf("%q read again: %v", text, err)
	}
	for _, c := range rs.Tables[0].Chains {
		if len(c.Rules) > 0 {
			return c.Rules[0]
		}
	}
	t.Fatalf("%q read again: no rule", text)
	return nil
}

// structures calls add with the bytes of every match or target in the recorded
// tables.
func structures(tb testing.TB, add func(target bool, name string, rev uint8, data []byte, six bool)) {
	tb.Helper()
	n := 0
	for _, r := range recordings(tb) {
		for _, table := range r.Dump.Tables {
			kernel.Structures(table, func(target bool, name string, rev uint8, data []byte) {
				n++
				add(target, name, rev, data, firewall.Family(table.Family) == firewall.IPv6)
			})
		}
	}
	if n < 300 {
		tb.Fatalf("%d structures in the recorded tables", n)
	}
}

// protocolOf is the option that a match needs before it.
func protocolOf(text string) string {
	for _, p := range [][2]string{
		{"-m tcp ", "tcp"},
		{"-m udp ", "udp"},
		{"-m udplite ", "udplite"},
		{"-m sctp ", "sctp"},
		{"-m dccp ", "dccp"},
		{"-m esp ", "esp"},
		{"-m ipcomp ", "ipcomp"},
		{"-m tcpmss ", "tcp"},
		{"-m osf ", "tcp"},
		{"-m icmp ", "icmp"},
		{"-m icmp6 ", "ipv6-icmp"},
		{"-m icmpv6 ", "ipv6-icmp"},
		{"-m mh ", "mh"},
		{"-m multiport ", "tcp"},
		{"-m ah ", "ah"},
	} {
		if strings.HasPrefix(text+" ", p[0]) {
			return "-p " + p[1] + " "
		}
	}
	return ""
}

// FuzzBytesAndText: what the bytes of a match or target are printed as means, read
// again, what the bytes mean. What is not understood says so.
func FuzzBytesAndText(f *testing.F) {
	structures(f, func(target bool, name string, rev uint8, data []byte, six bool) { f.Add(target, name, rev, data, six) })
	f.Add(false, "tcp", uint8(0), make([]byte, 12), false)
	f.Add(false, "geoip", uint8(1), []byte{1}, false)
	f.Fuzz(func(t *testing.T, target bool, name string, rev uint8, data []byte, six bool) {
		family := firewall.IPv4
		if six {
			family = firewall.IPv6
		}
		decode := func() ([]firewall.Step, string) {
			c := &xt.Context{
				Family: family, Targets: map[string]bool{}, Hooks: []firewall.Hook{firewall.Input},
				IPSets: map[uint16]*xt.IPSet{},
			}
			if target {
				return c.DecodeTarget(name, rev, data)
			}
			return c.DecodeMatch(name, rev, data)
		}
		steps, text := decode()
		again, text2 := decode()
		if text != text2 || !cmp.Equal(steps, again) {
			t.Errorf("%s, and then %s", text, text2)
		}
		if strings.Contains(text, " undecoded: ") {
			if len(steps) == 0 {
				t.Errorf("%s: nothing says that it is not understood", text)
			}
			return
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return // the text of a rule is one line
		}
		if changes(name) {
			return // the rule itself makes what it looks at uncertain
		}
		protocol := protocolOf(text)
		if family == firewall.IPv6 && strings.HasPrefix(text, "-m ah") {
			protocol = ""
		}
		rs, err := iptables.Parse(family, []byte("*filter\n:INPUT ACCEPT\n-A INPUT "+protocol+text+"\nCOMMIT\n"))
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		got := rs.Tables[0].Chains[0].Rules[0].Steps
		if protocol != "" {
			got = got[1:]
		}
		if diff := cmp.Diff(steps, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s\n-bytes +text\n%s", text, diff)
		}
	})
}

func changes(name string) bool {
	return slices.Contains(xt.ChangingTargets(), name)
}

// FuzzParseSets: a text of sets that is understood has sets that can be matched,
// of the family that they say.
func FuzzParseSets(f *testing.F) {
	f.Add("create -exist a hash:net family inet maxelem 65536\nadd a 192.0.2.0/24\ncreate b hash:net family inet maxelem 4\nswap a b\ndestroy a\n")
	f.Add("create six hash:net family inet6 maxelem 1024\nadd six 2001:db8::/32\nadd six ::1\nflush six\n# text\n")
	f.Add("add nothing 1.2.3.4\ncreate a hash:ip\n")
	f.Add(strings.Repeat("\x8d", 61))
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 {
			return
		}
		sets, err := iptables.ParseSets([]byte(text))
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		for name, s := range sets {
			for _, e := range s.Set.Elems {
				bits := 32
				if s.Family == firewall.IPv6 {
					bits = 128
				}
				if len(e.Key) != 1 || len(e.Key[0].Lo)*8 != bits || bytes.Compare(e.Key[0].Lo, e.Key[0].Hi) > 0 {
					t.Errorf("set %q has the element %v", name, e.Key)
				}
			}
		}
	})
}
