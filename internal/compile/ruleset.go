package compile

import (
	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// Ruleset is the reading of a text that is a firewall.Ruleset. Limits are its
// limiters, by the text of the firewall.Varies that stands for them.
func Ruleset(rs *firewall.Ruleset, limits map[string]acl.Limit) Reading {
	return rulesetReading{rs, limits}
}

type rulesetReading struct {
	rs     *firewall.Ruleset
	limits map[string]acl.Limit
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

func (j rulesetJudge) Accepts(way firewall.Way) packet.Set {
	return j.e.Follow(j.rs, way, j.Domain(way), false).Accept
}

func (j rulesetJudge) Limit(unknown string) (acl.Limit, bool) {
	text, undecoded := j.e.Reason(unknown)
	l, ok := j.limits[text]
	return l, ok && !undecoded
}
