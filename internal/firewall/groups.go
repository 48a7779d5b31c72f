package firewall

import (
	"net/netip"
	"slices"

	"sekimori/packet"
)

// addGroups adds the sources that reach a socket by multicast or broadcast only:
// neighbours on the link. Should rules let in none of those but others, it is
// these: a neighbour may send with any address, and has none before DHCP.
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
		on := e.ifaceSet(Interface{Name: i.Name})
		if !x.addGroupsOn(p, on.And(e.space.Prefixes(packet.Src, link...)), groups, r) {
			x.addGroupsOn(p, on, groups, r)
		}
	}
}

// addGroupsOn adds such sources among near, and tells whether there are any.
func (x *Exposure) addGroupsOn(p Port, near packet.Set, groups []netip.Prefix, r *Reach) bool {
	extra := x.reach(p, x.delivered(p), func(v *env) packet.Set { return x.arrives(p, v, groups).And(near) })
	if extra.Verdict == ReachUndecided {
		if r.Verdict != ReachAnyone {
			r.Verdict = ReachUndecided
		}
		for _, u := range extra.Undecided {
			if !slices.Contains(r.Undecided, u) {
				r.Undecided = append(r.Undecided, u)
			}
		}
	}
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
	return extra.Verdict != ReachNone
}

// group is one destination by which the sources pass, to show.
func (x *Exposure) group(p Port, s Sources, groups []netip.Prefix) netip.Prefix {
	all := x.e.space.None()
	flows := x.delivered(p)
	for i := range flows {
		f := &flows[i]
		all = all.Or(f.among(x.arrives(p, &f.env, groups)))
	}
	possible, _ := x.e.Possible(all.And(x.e.space.Prefixes(packet.Src, s.Sources...)))
	if ps := possible.Prefixes(packet.Dst); len(ps) > 0 {
		return ps[0]
	}
	return netip.Prefix{}
}

// covers reports whether some entry already holds all sources of another, as
// surely.
func (r Reach) covers(s Sources) bool {
	return slices.ContainsFunc(r.From, func(o Sources) bool {
		if o.Interface != s.Interface || len(o.Except) > 0 || s.Certain && !o.Certain {
			return false
		}
		return !slices.ContainsFunc(s.Sources, func(p netip.Prefix) bool {
			return !slices.ContainsFunc(o.Sources, func(q netip.Prefix) bool {
				return q.Bits() <= p.Bits() && q.Contains(p.Addr())
			})
		})
	})
}
