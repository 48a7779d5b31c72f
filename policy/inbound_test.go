package policy_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sekimori/packet"
	"sekimori/policy"
)

// noFiles is for policies whose lists stand in the policy.
func noFiles(path string) ([]byte, error) { return nil, fmt.Errorf("no file %s", path) }

// accepted calls f with what a policy lets in.
func accepted(t testing.TB, text string, family packet.Family, host policy.Host, f func(sp *packet.Space, in packet.Set)) {
	t.Helper()
	p, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	lists, err := p.Lists(noFiles)
	if err != nil {
		t.Fatal(err)
	}
	sp := packet.NewSpace(packet.Config{Family: family, Interfaces: []string{"lo", "eth0", "eth1", "wg0", "other"}})
	err = sp.Do(func() error {
		in, ok := p.Inbound(sp, lists, host)
		if !ok {
			t.Fatal("inbound is left alone")
		}
		f(sp, in)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestInboundExample reads what the example lets in beyond what is implicit.
func TestInboundExample(t *testing.T) {
	want := map[packet.Family]string{
		packet.V4: `icmp type echo-request in except lo state new if inbound[3].rate
tcp dport 22 from 198.51.100.0/24 in except lo state new if inbound[0].rate
tcp dport 25,587,993 from 10.0.0.0/24 in eth1 state new
tcp dport 80,443 in except lo state new`,
		packet.V6: `icmpv6 type echo-request in except lo state new if inbound[3].rate
tcp dport 22 from 2001:db8:a::/48 in except lo state new if inbound[0].rate
tcp dport 25,587,993 from fd00:10::/64 in eth1 state new
tcp dport 80,443 in except lo state new`,
	}
	for _, family := range []packet.Family{packet.V4, packet.V6} {
		accepted(t, string(policy.Example()), family, policy.Host{}, func(sp *packet.Space, in packet.Set) {
			boxes, _ := in.Minus(policy.Implicit(sp, policy.Host{})).Boxes(20)
			var lines []string
			for _, b := range boxes {
				lines = append(lines, b.String())
			}
			slices.Sort(lines)
			if d := cmp.Diff(want[family], strings.Join(lines, "\n")); d != "" {
				t.Errorf("%v (-want +got):\n%s", family, d)
			}
		})
	}
}

// TestImplicit asks for single packets, of a policy that allows ssh alone.
func TestImplicit(t *testing.T) {
	const ssh = "version: 1\ninbound: [{allow: ssh}]\n"
	host := policy.Host{DHCPv4: []string{"eth0"}, DHCPv6: []string{"eth1"}}
	tests := []struct {
		family packet.Family
		packet string
		in     bool
	}{
		{packet.V4, "tcp 192.0.2.1:4242 -> 203.0.113.5:22 in eth0 new", true},
		{packet.V4, "tcp 192.0.2.1:4242 -> 203.0.113.5:22 in eth0 invalid", false},
		{packet.V4, "tcp 192.0.2.1:4242 -> 203.0.113.5:22 in eth0 untracked", false},
		{packet.V4, "tcp 192.0.2.1:4242 -> 203.0.113.5:80 in eth0 new", false},
		{packet.V4, "tcp 192.0.2.1:4242 -> 203.0.113.5:80 in eth0 established", true},
		{packet.V4, "tcp 127.0.0.1:4242 -> 127.0.0.1:80 in lo new", true},
		{packet.V4, "icmp 192.0.2.1 -> 203.0.113.5 type 3 code 4 in eth0 related", true},
		{packet.V4, "icmp 192.0.2.1 -> 203.0.113.5 type 8 code 0 in eth0 new", false},
		{packet.V4, "udp 192.0.2.1:67 -> 255.255.255.255:68 in eth0 new", true},
		{packet.V4, "udp 192.0.2.1:67 -> 255.255.255.255:68 in eth1 new", false},
		{packet.V4, "udp 192.0.2.1:53 -> 203.0.113.5:68 in eth0 new", false},
		{packet.V6, "udp [fe80::1]:547 -> [fe80::2]:546 in eth1 new", true},
		{packet.V6, "udp [fe80::1]:547 -> [fe80::2]:546 in eth0 new", false},
		{packet.V6, "udp [2001:db8::1]:547 -> [2001:db8::2]:546 in eth1 new", false},
		{packet.V6, "icmpv6 fe80::1 -> ff02::1 type 134 code 0 in eth0 untracked", true},
		{packet.V6, "icmpv6 fe80::1 -> fe80::2 type 135 code 0 in eth0 untracked", true},
		{packet.V6, "icmpv6 fe80::1 -> fe80::2 type 136 code 0 in eth0 new", true},
		{packet.V6, "icmpv6 2001:db8::1 -> 2001:db8::2 type 2 code 0 in eth0 invalid", true},
		{packet.V6, "icmpv6 fe80::1 -> fe80::2 type 137 code 0 in eth0 untracked", false},
		{packet.V6, "icmpv6 2001:db8::1 -> 2001:db8::2 type 128 code 0 in eth0 new", false},
		{packet.V6, "icmpv6 2001:db8::1 -> 2001:db8::2 type 139 code 0 in eth0 new", false},
	}
	for _, tt := range tests {
		accepted(t, ssh, tt.family, host, func(sp *packet.Space, in packet.Set) {
			p, err := packet.ParsePacket(tt.packet)
			if err != nil {
				t.Fatal(err)
			}
			if err := sp.Fits(p); err != nil {
				t.Fatal(err)
			}
			if got := in.Contains(p); got != tt.in || got == in.Not().Contains(p) {
				t.Errorf("%s: let in: %v", tt.packet, got)
			}
		})
	}
}

// A drawn rule is a rule as this test writes it and judges by it.
type drawn struct {
	deny   bool
	lo, hi int // ports of tcp
	from   string
	rate   bool
}

func (d drawn) String() string {
	verdict, more := "allow", ""
	if d.deny {
		verdict = "deny"
	}
	if d.from != "" {
		more = ", from: " + d.from
	}
	if d.rate {
		more += ", rate: 5/s"
	}
	return fmt.Sprintf("  - {%s: %d-%d/tcp%s}\n", verdict, d.lo, d.hi, more)
}

// TestInboundLaw compares the set with a judge that goes rule by rule, packet
// by packet.
func TestInboundLaw(t *testing.T) {
	peers := []string{"", "anywhere", "lan", "vpn", "friends", "192.0.2.0/30", "192.0.2.2-192.0.2.9"}
	sources := []string{"192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.9", "192.0.2.10", "10.0.0.1", "10.1.0.1"}
	rapid.Check(t, func(rt *rapid.T) {
		var rules []drawn
		lines := []string{"version: 1\nzones:\n  lan: {interfaces: eth1, networks: 10.0.0.0/16}\n  vpn: {interfaces: \"wg*\"}\nlists:\n  friends: [192.0.2.1, more]\n  more: [192.0.2.3-192.0.2.4]\n" +
			"inbound:\n  - {allow: ssh, from: 203.0.113.1}\n"}
		for range rapid.IntRange(0, 6).Draw(rt, "rules") {
			lo := rapid.IntRange(80, 84).Draw(rt, "lo")
			r := drawn{rapid.Bool().Draw(rt, "deny"), lo, rapid.IntRange(lo, 84).Draw(rt, "hi"), rapid.SampledFrom(peers).Draw(rt, "from"), false}
			r.rate = !r.deny && rapid.Bool().Draw(rt, "rate")
			lines = append(lines, r.String())
			rules = append(rules, r)
		}
		text := strings.Join(lines, "")
		accepted(t, text, packet.V4, policy.Host{}, func(sp *packet.Space, in packet.Set) {
			for range 20 {
				src := rapid.SampledFrom(sources).Draw(rt, "src")
				iface := rapid.SampledFrom([]string{"eth0", "eth1", "wg0"}).Draw(rt, "in")
				port := rapid.IntRange(79, 85).Draw(rt, "port")
				p, err := packet.ParsePacket(fmt.Sprintf("tcp %s:4242 -> 203.0.113.5:%d in %s new", src, port, iface))
				if err != nil {
					rt.Fatal(err)
				}
				must, may := judge(rules, src, iface, port)
				if got := in.Must().Contains(p); got != must {
					rt.Fatalf("%v: must be let in: %v, not %v, by\n%s", p, got, must, text)
				}
				if got := in.May().Contains(p); got != may {
					rt.Fatalf("%v: may be let in: %v, not %v, by\n%s", p, got, may, text)
				}
			}
		})
	})
}

// judge says whether a packet must, and may, be let in.
func judge(rules []drawn, src, iface string, port int) (must, may bool) {
	a := netip.MustParseAddr(src)
	last := a.As4()[3]
	documentation := netip.MustParsePrefix("192.0.2.0/24").Contains(a)
	for _, r := range rules {
		from := map[string]bool{
			"": true, "anywhere": true, "lan": iface == "eth1" && src == "10.0.0.1", "vpn": iface == "wg0",
			"friends":      documentation && (last == 1 || last == 3 || last == 4),
			"192.0.2.0/30": documentation && last < 4, "192.0.2.2-192.0.2.9": documentation && 2 <= last && last <= 9,
		}[r.from]
		if from && r.lo <= port && port <= r.hi {
			return !r.deny && !r.rate, !r.deny
		}
	}
	return false, false
}

func BenchmarkInbound1000Rules(b *testing.B) {
	text := string(manyRules(1000))
	for b.Loop() {
		accepted(b, text, packet.V4, policy.Host{}, func(*packet.Space, packet.Set) {})
	}
}
