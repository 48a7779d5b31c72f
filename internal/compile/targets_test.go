package compile_test

import (
	"strings"
	"testing"

	"sekimori/internal/compile"
	"sekimori/internal/firewall/acl"
	"sekimori/policy"
)

// TestGoldenTargets has every file of every packet filter but nft: for the policy
// that all can say, and for the example of the language, whole where it can be
// said, else without what the filter has no words for.
func TestGoldenTargets(t *testing.T) {
	host := policy.Host{DHCPv4: []string{"eth0"}, DHCPv6: []string{"eth0"}, Users: map[string]uint32{"postfix": 101}}
	unsayable := strings.Replace(string(policy.Example()), ", broadcast]", "]", 1)
	for _, c := range []struct {
		name, text string
		host       policy.Host
		targets    []compile.Target
		o          acl.Options
	}{
		{"portable", portable(t), policy.Host{}, []compile.Target{compile.IPTables, compile.IP6Tables, compile.IPFW, compile.Windows}, acl.Options{Exclusive: true}},
		{"separate", portable(t), policy.Host{}, []compile.Target{compile.IPTables, compile.IP6Tables}, acl.Options{Separate: true}},
		{"complete", portable(t), policy.Host{}, []compile.Target{compile.IPTables, compile.IP6Tables}, acl.Options{Complete: true}},
		{"example", string(policy.Example()), host, []compile.Target{compile.IPTables, compile.IP6Tables}, acl.Options{}},
		{"registry", "version: 1\noutbound: {default: deny, rules: [{allow: [https, dns]}]}\ninbound:\n  - {allow: ssh, from: [198.51.100.0/24, \"2001:db8::/32\"]}\n  - {allow: [8000-8010/tcp, icmpv4/13]}\n", policy.Host{}, []compile.Target{compile.Windows}, acl.Options{}},
		{"degraded", unsayable, host, []compile.Target{compile.IPFW, compile.Windows}, acl.Options{Degrade: true}},
	} {
		for _, target := range c.targets {
			r := compiled(t, c.text, c.host, target, c.o)
			if r.Proof.Equivalent == c.o.Degrade {
				t.Errorf("%s %s: equivalent is %v", c.name, target, r.Proof.Equivalent)
			}
			for _, f := range r.Files {
				golden(t, c.name+"-"+strings.TrimPrefix(f.Name, "sekimori."), f.Text)
			}
		}
	}
}

// TestUnsayable: without --degrade, each line that a filter has no words for is
// named; what nothing that is less could replace is refused in any case.
func TestUnsayable(t *testing.T) {
	host := policy.Host{Users: map[string]uint32{"postfix": 101}}
	f, lists := parsed(t, string(policy.Example()))
	for target, want := range map[compile.Target][]string{
		compile.IPFW: {
			"ipfw cannot express a rate for each source (inbound[0])", "ipfw cannot express a rate for each source (inbound[3])",
			"ipfw cannot express a rate (outbound.rules[1])", "ipfw cannot express what passes through the host", "ipfw cannot express broadcast at the edge (edge)",
		},
		compile.Windows: {
			"windows cannot express a rate for each source (inbound[0])", "windows cannot express users and groups of the sending process (outbound.rules[0])",
			"windows cannot express a rate (outbound.rules[1])", "windows cannot express what passes through the host", "windows cannot express broadcast at the edge (edge)",
		},
	} {
		for _, degrade := range []bool{false, true} {
			_, err := compile.Compile(f, lists, host, target, acl.Options{Degrade: degrade})
			if err == nil {
				t.Fatalf("%s: no error", target)
			}
			for _, w := range want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%s: %q is not in\n%v", target, w, err)
				}
			}
		}
	}
}
