package firewall

import (
	"slices"

	"sekimori/packet"
)

// obstacles lets everything on the way that cannot be evaluated refuse packets
// or not.
func (f *follower) obstacles() {
	e := f.e
	for _, o := range f.rs.Obstacles {
		if o.Family != 0 && o.Family != Inet && o.Family != e.family {
			continue
		}
		if len(o.Hooks) > 0 && !slices.ContainsFunc(o.Hooks, func(h Hook) bool { return slices.Contains(f.way.hooks(), h) }) {
			continue
		}
		text := o.What + ": " + o.Why
		f.mayRefuse(text, text, o.Interface)
		if o.MayAdmit {
			f.mayAdmit(text, o.Interface)
		}
	}
	if takesByProxy(f.rs) {
		f.mayAdmit("a rule that hands packets to a local program whatever their address (tproxy)", "")
	}
}

// mayAdmit makes the refusal of packets of an interface ("" any) undecided.
func (f *follower) mayAdmit(text, iface string) {
	f.admitted = f.admitted.Or(f.e.undecodedSet(text+": admits", text).And(f.on(iface)))
}

// on returns the packets that pass a device, "" being any.
func (f *follower) on(iface string) packet.Set {
	switch {
	case iface == "":
		return f.e.space.All()
	case f.way == WayOutput:
		return f.e.ifaceSet(Interface{Name: iface, Out: true})
	}
	return f.e.byWayOf(iface)
}

// takesByProxy reports whether a ruleset has a TPROXY rule.
func takesByProxy(rs *Ruleset) bool {
	return anyNAT(rs, func(n NAT) bool { return n.TProxy })
}

// anyNAT reports whether some translation of a ruleset is of a kind.
func anyNAT(rs *Ruleset, is func(NAT) bool) bool {
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				for _, s := range r.Steps {
					if n, ok := s.(NAT); ok && is(n) {
						return true
					}
				}
			}
		}
	}
	return false
}

// mayRefuse makes the verdict on packets of an interface ("" any) undecided.
func (f *follower) mayRefuse(content, text, iface string) {
	hit := f.e.undecodedSet(content, text).And(f.on(iface))
	for i := range f.flows {
		f.res.Drop = f.res.Drop.Or(f.flows[i].Set.And(hit))
		f.flows[i].Set = f.flows[i].Set.Minus(hit)
	}
}
