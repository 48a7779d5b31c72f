package compile_test

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"sekimori/internal/compile"
	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/firewall/iptables"
	"sekimori/packet"
	"sekimori/policy"
)

// TestClassicRules: the classic minimal rules, and with a source the same rules
// with -s, mean for IPv4 on a host with one statically configured interface what
// the shortest policy means, and what that compiles to.
func TestClassicRules(t *testing.T) {
	text, err := os.ReadFile("testdata/classic.rules")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ policy, source string }{
		{"inbound: [{allow: ssh}]", ""},
		{"inbound: [{allow: ssh, from: 198.51.100.0/24}]", "-s 198.51.100.0/24 "},
	} {
		f, lists := parsed(t, "version: 1\n"+c.policy+"\n")
		classic := strings.Replace(string(text), "-A INPUT -i eth0 ", "-A INPUT "+c.source+"-i eth0 ", 1)
		r, err := compile.Compile(f, lists, policy.Host{}, compile.IPTables, acl.Options{Complete: true})
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := iptables.Parse(firewall.IPv4, []byte(classic))
		if err != nil {
			t.Fatal(err)
		}
		ours, err := iptables.Parse(firewall.IPv4, r.Text())
		if err != nil {
			t.Fatal(err)
		}
		e := firewall.NewEngine(firewall.IPv4, oneInterface(), 0, theirs, ours)
		err = e.Do(func() error {
			sp := e.Space()
			in := e.Arriving(sp.Values(packet.Fragment, packet.Range{}))
			want := f.Passes(sp, policy.ToHost, lists, policy.Host{}, nil).And(in)
			pass := e.Follow(theirs, firewall.WayInput, in, false).Accept
			// Routing gives packets for other addresses another way.
			here := e.Follow(&firewall.Ruleset{}, firewall.WayInput, in, false).Accept
			want, pass = want.And(here), pass.And(here)
			if s, ok := want.Xor(pass).Sample(); ok {
				t.Errorf("%s: the policy and the classic rules differ about %s", c.policy, s)
			}
			if want.Empty() || want.Equal(in.And(here)) {
				t.Errorf("%s: nothing was compared", c.policy)
			}
			if s, ok := e.Follow(ours, firewall.WayInput, in, false).Accept.And(here).Xor(pass).Sample(); ok {
				t.Errorf("%s: what it compiles to and the classic rules differ about %s", c.policy, s)
			}
			out := e.Sent(firewall.WayOutput)
			if !e.Follow(theirs, firewall.WayOutput, out, false).Accept.Equal(e.Follow(ours, firewall.WayOutput, out, false).Accept) {
				t.Errorf("%s: what may leave differs", c.policy)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// oneInterface is a host with eth0, which forwards nothing.
func oneInterface() firewall.Facts {
	prefixes := func(ps ...string) []netip.Prefix {
		var out []netip.Prefix
		for _, p := range ps {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	return firewall.Facts{
		Known: true,
		Interfaces: []firewall.HostInterface{
			{Index: 1, Name: "lo", Loopback: true, Addresses: prefixes("127.0.0.1/8", "::1/128")},
			{Index: 2, Name: "eth0", Addresses: prefixes("203.0.113.5/24", "2001:db8::5/64")},
		},
		Local:     prefixes("127.0.0.0/8", "203.0.113.5/32", "::1/128", "2001:db8::5/128"),
		Broadcast: prefixes("203.0.113.255/32", "255.255.255.255/32"),
		Multicast: prefixes("224.0.0.0/4", "ff00::/8"),
		Routes: []firewall.Route{
			{Dst: netip.MustParsePrefix("203.0.113.0/24"), Interface: "eth0"},
			{Dst: netip.MustParsePrefix("0.0.0.0/0"), Interface: "eth0"},
		},
	}
}
