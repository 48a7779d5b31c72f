package firewall

import (
	"net/netip"
	"testing"

	"sekimori/packet"
)

func lowerFacts() Facts {
	return Facts{
		Known: true,
		Interfaces: []HostInterface{
			{Index: 1, Name: "lo", Loopback: true},
			{Index: 2, Name: "eth0"},
			{Index: 3, Name: "eth0.5", Parent: "eth0"},
			{Index: 4, Name: "eth1", Master: "br0"},
			{Index: 5, Name: "eth2", Master: "br0"},
			{Index: 6, Name: "br0", Bridge: true},
		},
		Local: []netip.Prefix{netip.MustParsePrefix("203.0.113.5/32")},
	}
}

func TestDevicesBelow(t *testing.T) {
	drop := rule(match(dport(22)), Verdict{Kind: Drop})
	ingress := func(dev string) *Ruleset {
		c := base(Ingress, 0, Accept, drop)
		c.Base.Devices = []string{dev}
		return &Ruleset{Tables: []*Table{table(Netdev, "n", c)}}
	}
	bridge := func(steps ...Step) *Ruleset {
		return &Ruleset{Tables: []*Table{table(Bridge, "b", base(Input, 0, Accept, rule(steps...)))}}
	}
	cases := []struct {
		name string
		rs   *Ruleset
		in   string
		want string
	}{
		{"ingress of the device itself", ingress("eth0"), "eth0", "no"},
		{"ingress of a vlan's parent", ingress("eth0"), "eth0.5", "no"},
		{"ingress of another device", ingress("eth0"), "br0", "yes"},
		{"ingress of a bridge port", ingress("eth1"), "br0", "maybe"},
		{"a bridge table refuses", bridge(match(dport(22)), Verdict{Kind: Drop}), "br0", "no"},
		{"a bridge table refuses on one port", bridge(match(dport(22), Interface{Name: "eth2"}), Verdict{Kind: Drop}), "br0", "maybe"},
		{"a bridge table is about something else", bridge(match(dport(80)), Verdict{Kind: Drop}), "br0", "yes"},
		{"a bridge table does not see other interfaces", bridge(Verdict{Kind: Drop}), "eth0", "yes"},
		{"an XDP program of the parent", &Ruleset{Obstacles: []Obstacle{{What: "XDP", Interface: "eth0"}}}, "eth0.5", "maybe"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := NewEngine(IPv4, lowerFacts(), 0, c.rs)
			p, err := packet.ParsePacket("tcp 198.51.100.7:4242 -> 203.0.113.5:22 in " + c.in)
			if err != nil {
				t.Fatal(err)
			}
			r := e.Follow(c.rs, WayInput, e.withoutOutput(e.Packets(p)), true)
			got := "maybe"
			switch {
			case r.Accept.Empty():
				got = "no"
			case r.Drop.Empty():
				got = "yes"
			}
			if got != c.want {
				t.Errorf("accepted: %s, want %s", got, c.want)
			}
		})
	}
}
