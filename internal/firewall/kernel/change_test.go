package kernel

import (
	"strings"
	"testing"

	"sekimori/internal/firewall"
)

// TestLegacyUndecided says that rules of iptables-legacy are undecided, too, where
// rules of nf_tables rewrite what they look at.
func TestLegacyUndecided(t *testing.T) {
	n := newNFTables(nil, decodeIPSets(nil))
	n.ipsets.targets = map[string]bool{}
	rs := &firewall.Ruleset{}
	reg := be(8)
	d := dumpOf(firewall.IPv4,
		ex("immediate", nest(1, reg), nest(2, nest(1, []byte{0, 22}))),
		ex("payload", nest(5, reg), nest(2, be(2)), nest(3, be(2)), nest(4, be(2)), nest(6, be(1)), nest(7, be(16)), nest(8, be(1))))
	n.decode(d.Messages, rs)
	table := &firewall.Table{Family: firewall.IPv4, Name: "filter", Backend: firewall.Legacy}
	chain := &firewall.Chain{Name: "INPUT", Table: table}
	port := func(index int) firewall.Step {
		return firewall.Match{Cond: firewall.Not{Of: firewall.Total{Of: firewall.And{firewall.Compare{
			Value: firewall.Whole(firewall.FieldTransport, 0, index, 16), In: []firewall.Interval{{Lo: []byte{0, 22}, Hi: []byte{0, 22}}},
		}}}}}
	}
	chain.Rules = []*firewall.Rule{
		{Chain: chain, Number: 1, Steps: []firewall.Step{port(16)}},
		{Chain: chain, Number: 2, Steps: []firewall.Step{port(0)}},
	}
	table.Chains = []*firewall.Chain{chain}
	rs.Tables = append(rs.Tables, table)
	n.facts.undecideRules(rs)
	got := show(rs)
	if !strings.Contains(got, `not total (UNDECODED "@th, which a rule changes (ip (legacy) filter INPUT rule 1)")`) {
		t.Errorf("the destination port is still decided:\n%s", got)
	}
	if !strings.Contains(got, "not total (@th[0:16] in 0016)") {
		t.Errorf("the source port is not:\n%s", got)
	}
}

// TestTargetsChangeWhatNFTLoads says that a DSCP target anywhere makes the look at
// that field uncertain.
func TestTargetsChangeWhatNFTLoads(t *testing.T) {
	dscp := [][]byte{
		ex("payload", nest(1, be(8)), nest(2, be(1)), nest(3, be(1)), nest(4, be(1))),
		ex("cmp", nest(1, be(8)), nest(2, be(0)), value(3, 0x10)),
	}
	if got := decodeRule(firewall.IPv4, dscp...); !strings.Contains(got, "@nh[8:16] in 10") {
		t.Error(got)
	}
	target := ex("target", nest(1, str("DSCP")), nest(2, be(0)), nest(3, make([]byte, 8)))
	if got := decodeRule(firewall.IPv4, append(dscp, target)...); !strings.Contains(got, "(which a rule changes)") {
		t.Error(got)
	}
}

// TestAfterTheEnd is about what stands behind a verdict that not every packet gets.
func TestAfterTheEnd(t *testing.T) {
	accept := ex("immediate", nest(1, be(0)), nest(2, nest(2, nest(1, be(1)))))
	addr := ex("immediate", nest(1, be(8)), nest(2, nest(1, []byte{10, 0, 0, 1})))
	dnat := ex("nat", nest(1, be(1)), nest(2, be(2)), nest(3, be(8)), nest(4, be(8)), nest(7, be(1)))
	if got, want := decodeRule(firewall.Inet, addr, dnat), "dnat ip to 10.0.0.1\n-> dnat ip addr 0a000001"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := decodeRule(firewall.Inet, addr, dnat, accept); !strings.Contains(got, "OPAQUE a translation for one family") {
		t.Error(got)
	}
	if got := decodeRule(firewall.IPv4, addr, dnat, accept); strings.Contains(got, "OPAQUE") || strings.Contains(got, "-> accept") {
		t.Error(got)
	}
	d := dumpOf(firewall.Inet,
		ex("meta", nest(1, be(8)), nest(2, be(16))),
		ex("lookup", nest(1, str("m")), nest(2, be(8)), nest(3, be(0))),
		accept)
	d.Messages = append(d.Messages,
		Message{Type: msgNewSet, Family: 1, Data: concat(nest(1, str("t")), nest(2, str("m")), nest(3, be(setMap)), nest(5, be(1)), nest(6, be(dataVerdict)))},
		Message{Type: msgNewSetElem, Family: 1, Data: concat(nest(1, str("t")), nest(2, str("m")), nest(3,
			nest(1, nest(1, nest(1, []byte{6})), nest(2, nest(2, nest(1, be(0xffffffff)))))))})
	got := show(Decode(d, hostInterfaces()))
	if !strings.Contains(got, "-> m[8]{06:continue}\n") || !strings.Contains(got, "-> accept") || strings.Contains(got, "OPAQUE") {
		t.Error(got)
	}
}

func concat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// TestPrograms says which hooks BPF programs stand in the way of.
func TestPrograms(t *testing.T) {
	rs := Decode(&Dump{
		Programs: []Program{
			{Kind: "xdp", Interface: "eth0", Attach: "ingress", ID: 12, Name: "filter", CanDrop: true},
			{Kind: "cgroup-skb", Attach: "ingress /system.slice", ID: 13, CanDrop: true},
			{Kind: "tc", Interface: "eth0", Attach: "egress", ID: 14},
		},
		Unread: []Unread{{What: "nf_tables", Why: "operation not permitted (needs root)"}},
	}, nil)
	want := `obstacle xdp program "filter" (id 12) on eth0 at ingress: what a BPF program does to packets is not known at ingress
obstacle cgroup-skb program (id 13) at ingress /system.slice: what a BPF program does to packets is not known at input
obstacle nf_tables: could not be read: operation not permitted (needs root)
`
	if got := show(rs); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
