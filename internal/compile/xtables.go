package compile

import (
	"net/netip"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/firewall/iptables"
	"sekimori/packet"
)

// xtablesBackend is iptables, or ip6tables: each is about one family.
func xtablesBackend(target Target, family packet.Family, of firewall.Family) backend {
	return backend{
		target: target, families: []packet.Family{family},
		ways: []firewall.Way{firewall.WayInput, firewall.WayOutput, firewall.WayForward},
		write: func(l *acl.List, o acl.Options) ([]acl.File, error) {
			return iptables.Write(of, l, o)
		},
		read: func(files []acl.File) (Reading, error) {
			rs, limits, err := iptables.Read(of, files)
			if err != nil {
				return nil, err
			}
			return xtablesReading{rulesetReading{rs: rs, limits: limits}}, nil
		},
	}
}

// xtablesReading is a ruleset about packets that nobody else has marked: some bits
// of the mark are ours.
type xtablesReading struct{ rulesetReading }

func (r xtablesReading) withForeign() Reading {
	r.foreign = true
	return r
}

func (r xtablesReading) Judge(family packet.Family, interfaces []string, maxNodes int) Judge {
	return xtablesJudge{r.rulesetReading.Judge(family, interfaces, maxNodes).(rulesetJudge)}
}

type xtablesJudge struct{ rulesetJudge }

// Domain leaves out what IPv6 does not have as well: broadcast, which ip6tables
// cannot ask for, and multicast to other addresses than those of ff00::/8, by which
// it tells (xt_addrtype.c, match_type6).
func (j xtablesJudge) Domain(way firewall.Way) packet.Set {
	sp := j.Space()
	domain := j.rulesetJudge.Domain(way).And(sp.Values(packet.Mark, packet.Range{}))
	if sp.Family() == packet.V6 {
		rtn := func(n uint64) packet.Set { return sp.Values(packet.DstType, packet.Range{Lo: n, Hi: n}) }
		groups := sp.Prefixes(packet.Dst, netip.MustParsePrefix("ff00::/8"))
		domain = domain.Minus(rtn(3)).Minus(rtn(5).Xor(groups)) // RTN_BROADCAST, RTN_MULTICAST
	}
	return domain
}

// marking are the chains that mark what passes through the host, for chains of
// address translation that cannot ask by which interface a packet came.
func marking(ts []*firewall.Table) []*firewall.Table {
	var out []*firewall.Table
	for _, t := range ts {
		for _, c := range t.Chains {
			if t.Name == "mangle" && c.Base != nil && c.Base.Hook == firewall.Forward {
				out = append(out, &firewall.Table{Family: t.Family, Name: t.Name, Chains: []*firewall.Chain{c}})
			}
		}
	}
	return out
}
