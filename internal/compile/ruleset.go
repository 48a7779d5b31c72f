package compile

import (
	"net/netip"
	"slices"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/packet"
	"sekimori/policy"
)

// Ruleset is the reading of a text that is a firewall.Ruleset. Limits are its
// limiters, by the text of the firewall.Varies that stands for them.
func Ruleset(rs *firewall.Ruleset, limits map[string]acl.Limit) Reading {
	return rulesetReading{rs: rs, limits: limits}
}

type rulesetReading struct {
	rs      *firewall.Ruleset
	limits  map[string]acl.Limit
	foreign bool // others translate destinations, too
}

// withForeign is the same on a host where somebody else publishes ports.
func (r rulesetReading) withForeign() Reading {
	r.foreign = true
	return r
}

func (r rulesetReading) Judge(family packet.Family, interfaces []string, maxNodes int) Judge {
	fam := firewall.IPv4
	if family == packet.V6 {
		fam = firewall.IPv6
	}
	e := firewall.NewEngine(fam, firewall.Facts{Named: interfaces}, maxNodes, r.rs)
	return rulesetJudge{r, e}
}

type rulesetJudge struct {
	rulesetReading
	e *firewall.Engine
}

func (j rulesetJudge) Space() *packet.Space { return j.e.Space() }

// Domain leaves out fragments, which whoever tracks connections sees put together,
// and gives packets the interfaces that they have on their way.
func (j rulesetJudge) Domain(way firewall.Way) packet.Set {
	sp := j.Space()
	none := func(f packet.Field) packet.Set {
		return sp.Interfaces(f, func(name string) bool { return name == ":none" })
	}
	in, out := none(packet.InInterface), none(packet.OutInterface)
	switch way {
	case firewall.WayInput:
		in = in.Not()
	case firewall.WayForward:
		in, out = in.Not(), out.Not()
	default:
		out = out.Not()
	}
	return in.And(out).And(sp.Values(packet.Fragment, packet.Range{}))
}

// Accepts asks about new connections with all chains, and about the rest without
// those of address translation, which are asked about new connections alone: what
// an earlier packet of a connection met is not in question.
func (j rulesetJudge) Accepts(way firewall.Way) packet.Set {
	opens := j.Space().States(packet.New)
	domain := j.Domain(way)
	rs := *j.rs
	if j.foreign && way == firewall.WayForward {
		rs.Tables = append([]*firewall.Table{publishing(j.e.Family())}, rs.Tables...)
	}
	if !translates(&rs) {
		return j.e.Follow(&rs, way, domain, false).Accept
	}
	first := j.e.Follow(&rs, way, domain.And(opens), false).Accept
	rs.Tables = withoutNAT(j.rs.Tables)
	return first.Or(j.e.Follow(&rs, way, domain.Minus(opens), false).Accept)
}

func isNAT(c *firewall.Chain) bool { return c.Base != nil && c.Base.Type == "nat" }

func translates(rs *firewall.Ruleset) bool {
	return slices.ContainsFunc(rs.Tables, func(t *firewall.Table) bool { return slices.ContainsFunc(t.Chains, isNAT) })
}

func withoutNAT(ts []*firewall.Table) []*firewall.Table {
	var out []*firewall.Table
	for _, t := range ts {
		if !slices.ContainsFunc(t.Chains, isNAT) {
			out = append(out, t)
			continue
		}
		c := *t
		c.Chains = slices.DeleteFunc(slices.Clone(t.Chains), isNAT)
		out = append(out, &c)
	}
	return out
}

// elsewhere is the address to which others translate: one that no packet and no
// policy has.
func elsewhere(family firewall.Family) netip.Addr {
	if family == firewall.IPv6 {
		return netip.MustParseAddr("100::ffff:1") // RFC 6666, discard-only
	}
	return netip.MustParseAddr("0.0.0.1")
}

// publishing is a table of somebody who translates destinations, of packets that
// are not known to us.
func publishing(family firewall.Family) *firewall.Table {
	c := &firewall.Chain{
		Name: "publish",
		Base: &firewall.Base{Hook: firewall.Prerouting, Priority: -101, Type: "nat", Policy: firewall.Accept},
	}
	c.Table = &firewall.Table{Family: family, Name: "others", Chains: []*firewall.Chain{c}}
	c.Rules = []*firewall.Rule{{Chain: c, Number: 1, Text: "published", Steps: []firewall.Step{
		firewall.Match{Cond: firewall.Varies{Text: policy.Published}},
		firewall.NAT{Kind: firewall.DNAT, Family: family, Addr: firewall.NATTarget{Lo: elsewhere(family).AsSlice()}},
	}}}
	return c.Table
}

func (j rulesetJudge) Limit(unknown string) (acl.Limit, bool) {
	text, undecoded := j.e.Reason(unknown)
	l, ok := j.limits[text]
	return l, ok && !undecoded
}

// translated are the packets that new connections begin with and to which the
// text's chains of address translation give one new address.
type translated struct {
	source  bool
	to      netip.Addr // not valid for masquerade
	port    uint16
	packets packet.Set
}

// translations evaluates the chains of address translation as what they are: first
// a match, then the answer. Packets are as they are when the chain is asked.
func (j rulesetJudge) translations() []translated {
	var out []translated
	opens := j.Domain(firewall.WayForward).And(j.Space().States(packet.New))
	seen := map[translated]bool{}
	for _, t := range j.rs.Tables {
		for _, c := range t.Chains {
			if !isNAT(c) {
				continue
			}
			for _, r := range c.Rules {
				n, ok := r.Steps[len(r.Steps)-1].(firewall.NAT)
				if !ok || n.Family != 0 && n.Family != firewall.Inet && n.Family != j.e.Family() {
					continue
				}
				key := answer(n)
				if seen[key] {
					continue
				}
				seen[key] = true
				alone := &firewall.Ruleset{Tables: append(marking(j.rs.Tables), asked(c, key))}
				key.packets = j.e.Follow(alone, firewall.WayForward, opens, false).Accept
				out = append(out, key)
			}
		}
	}
	return out
}

// answer is the translation of a rule, without its packets.
func answer(n firewall.NAT) translated {
	a := translated{source: n.Kind == firewall.SNAT || n.Kind == firewall.Masquerade}
	a.to, _ = netip.AddrFromSlice(n.Addr.Lo)
	for _, b := range n.Port.Lo {
		a.port = a.port<<8 | uint16(b)
	}
	return a
}

// asked is a chain of address translation as one that accepts what would get one
// answer, and drops the rest.
func asked(c *firewall.Chain, key translated) *firewall.Table {
	base := *c.Base
	base.Type, base.Policy = "filter", firewall.Drop
	copied := &firewall.Chain{Name: c.Name, Base: &base}
	copied.Table = &firewall.Table{Family: c.Table.Family, Name: c.Table.Name, Chains: []*firewall.Chain{copied}}
	for _, r := range c.Rules {
		one := *r
		one.Chain = copied
		one.Steps = slices.Clone(r.Steps)
		if n, ok := r.Steps[len(r.Steps)-1].(firewall.NAT); ok {
			verdict := firewall.Verdict{Kind: firewall.Drop}
			if answer(n) == key {
				verdict.Kind = firewall.Accept
			}
			one.Steps[len(one.Steps)-1] = verdict
			if n.Family == firewall.IPv4 || n.Family == firewall.IPv6 {
				one.Steps = slices.Insert(one.Steps, len(one.Steps)-1, firewall.Step(firewall.Match{Cond: ofFamily(n.Family)}))
			}
		}
		copied.Rules = append(copied.Rules, &one)
	}
	return copied.Table
}

// ofFamily holds for packets of a family.
func ofFamily(f firewall.Family) firewall.Cond {
	n := []byte{byte(f)}
	return firewall.Compare{Value: firewall.Whole(firewall.FieldNFProto, 0, 0, 8), In: []firewall.Interval{{Lo: n, Hi: n}}}
}
