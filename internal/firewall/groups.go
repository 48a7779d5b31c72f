package firewall

import (
	"net/netip"
	"slices"

	"sekimori/packet"
)

// addGroups adds the sources that reach a UDP socket by multicast or broadcast
// only: neighbours on the link.
func (x *Exposure) addGroups(p Port, r *Reach) {
	e := x.e
	if p.Addr.IsValid() && !p.Addr.IsUnspecified() && !p.Addr.IsMulticast() {
		return
	}
	groups := append([]netip.Prefix{multicast4, multicast6, everyone}, e.facts.Broadcast...)
	for _, i := range e.facts.Interfaces {
		if i.Loopback || e.hidden(i) {
			continue
		}
		var link []netip.Prefix
		for _, a := range i.Addresses {
			link = append(link, a.Masked())
		}
		near := e.space.Prefixes(packet.Src, link...).And(e.ifaceSet(Interface{Name: i.Name}))
		x.addGroupsOn(p, near, groups, r)
	}
}

func (x *Exposure) addGroupsOn(p Port, near packet.Set, groups []netip.Prefix, r *Reach) {
	extra := x.reach(p, x.inside, func(v *env) packet.Set { return x.arrives(p, v, groups).And(near) })
	for _, s := range extra.From {
		if r.covers(s) {
			continue
		}
		s.Group = x.group(p, s, groups)
		r.From = append(r.From, s)
		if r.Verdict == ReachNone {
			r.Verdict = ReachSome
		}
	}
}

// group is one destination by which the sources pass, to show.
func (x *Exposure) group(p Port, s Sources, groups []netip.Prefix) netip.Prefix {
	all := x.e.space.None()
	for i := range x.inside {
		f := &x.inside[i]
		all = all.Or(f.Set.And(x.arrives(p, &f.env, groups)))
	}
	possible, _ := x.e.Possible(all.And(x.e.space.Prefixes(packet.Src, s.Sources...)))
	if ps := possible.Prefixes(packet.Dst); len(ps) > 0 {
		return ps[0]
	}
	return netip.Prefix{}
}

// covers reports whether some entry already holds all sources of another.
func (r Reach) covers(s Sources) bool {
	return slices.ContainsFunc(r.From, func(o Sources) bool {
		if o.Interface != s.Interface || len(o.Except) > 0 {
			return false
		}
		return !slices.ContainsFunc(s.Sources, func(p netip.Prefix) bool {
			return !slices.ContainsFunc(o.Sources, func(q netip.Prefix) bool {
				return q.Bits() <= p.Bits() && q.Contains(p.Addr())
			})
		})
	})
}
