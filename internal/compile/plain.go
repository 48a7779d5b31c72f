package compile

import (
	"slices"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// plain is the reading of a text whose meaning is worked out in any space: that of
// a filter which has no chains, hooks and translations.
type plain struct {
	// names are the interfaces that the text mentions; p* for a pattern.
	names []string
	// domain are the packets that can be compared, accept those that pass.
	domain, accept func(*packet.Space, firewall.Way) packet.Set
}

func (p plain) Judge(family packet.Family, interfaces []string, maxNodes int) Judge {
	names := append(slices.Clone(interfaces), noInterface)
	for _, n := range p.names {
		if n[len(n)-1] == '*' {
			n = n[:len(n)-1] + ":other"
		}
		names = append(names, n)
	}
	slices.Sort(names)
	sp := packet.NewSpace(packet.Config{Family: family, Interfaces: slices.Compact(names), MaxNodes: maxNodes})
	return plainJudge{p, sp}
}

// noInterface is the name of an interface that a packet has not.
const noInterface = ":none"

type plainJudge struct {
	plain
	sp *packet.Space
}

func (j plainJudge) Space() *packet.Space { return j.sp }

func (j plainJudge) Domain(way firewall.Way) packet.Set {
	return j.domain(j.sp, way).And(onItsWay(j.sp, way))
}

func (j plainJudge) Accepts(way firewall.Way) packet.Set {
	return j.accept(j.sp, way).And(j.Domain(way))
}

func (j plainJudge) Limit(string) (acl.Limit, bool) { return acl.Limit{}, false }

// onItsWay gives packets the interfaces that they have on their way.
func onItsWay(sp *packet.Space, way firewall.Way) packet.Set {
	none := func(f packet.Field) packet.Set {
		return sp.Interfaces(f, func(name string) bool { return name == noInterface })
	}
	in, out := none(packet.InInterface), none(packet.OutInterface)
	switch way {
	case firewall.WayInput:
		return in.Not().And(out)
	case firewall.WayForward:
		return in.Not().And(out.Not())
	}
	return in.And(out.Not())
}
