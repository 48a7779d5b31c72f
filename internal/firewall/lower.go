package firewall

import (
	"fmt"

	"sekimori/packet"
)

// A packet that the IP hooks see on one interface may have come in by another
// below it: the parent of a vlan, or a port of a bridge. What judges packets
// there judges it too.

// upper is an interface that a device's packets go up to.
type upper struct {
	name string
	// sure is true where every packet of the interface came by that device.
	sure bool
}

// above returns the interfaces that packets of a device may appear on, but not
// the device itself.
func (e *Engine) above(device string) []upper {
	var out []upper
	seen := map[string]bool{device: true}
	var climb func(name string, sure bool)
	climb = func(name string, sure bool) {
		for _, i := range e.facts.Interfaces {
			next := ""
			switch {
			case i.Parent == name && !seen[i.Name]:
				next = i.Name
			case i.Name == name && i.Master != "" && !seen[i.Master]:
				next = i.Master
			}
			if next != "" {
				seen[next] = true
				s := sure && i.Parent == name
				out = append(out, upper{next, s})
				climb(next, s)
			}
		}
	}
	climb(device, true)
	return out
}

// byWayOf returns the packets that may have come in by a device: those on it and
// those on the interfaces above it.
func (e *Engine) byWayOf(device string) packet.Set {
	s := e.ifaceSet(Interface{Name: device})
	for _, u := range e.above(device) {
		s = s.Or(e.ifaceSet(Interface{Name: u.name}))
	}
	return s
}

// below judges the packets of in that are on interfaces above the chain's
// devices, and returns those that it lets pass.
func (f *follower) below(fl *Flow, c *Chain, in packet.Set) packet.Set {
	if c.Base.Hook == Egress {
		return in
	}
	listed := map[string]bool{}
	for _, d := range c.Base.Devices {
		listed[d] = true
	}
	for _, d := range c.Base.Devices {
		for _, u := range f.e.above(d) {
			if !listed[u.name] {
				refused := f.refusedBelow(fl, []*Chain{c}, in.And(f.e.ifaceSet(Interface{Name: u.name})), d)
				if !u.sure {
					refused = refused.And(f.cameBy(d))
				}
				in = f.refuse(in, refused)
			}
		}
	}
	return in
}

// cameBy is the unknown whether a packet came in by a device.
func (f *follower) cameBy(device string) packet.Set {
	text := "whether the packet comes by " + device
	return f.e.varyingSet(text, text)
}

// refusedBelow returns the packets that chains refuse which see them on a device
// below their own interface.
func (f *follower) refusedBelow(fl *Flow, chains []*Chain, in packet.Set, device string) packet.Set {
	e := f.e
	pass := in
	for _, c := range chains {
		if pass.Empty() {
			break
		}
		v := fl.env
		v.known.in = device
		v.version = e.nextVersion()
		w := f.newWalk(v, c.Base.Hook)
		if w.refusals = f.refusals; f.refusals {
			w.decide = func(r Reason) {
				if r.Verdict != Accept {
					f.refusedBy = append(f.refusedBy, r)
				}
			}
		}
		o := w.chain(c, pass)
		ok := o.accept
		if c.Base.Policy != Drop {
			ok = ok.Or(o.rest)
		} else if f.refusals {
			f.refusedBy = append(f.refusedBy, Reason{Chain: c, Verdict: Drop, Set: o.rest})
		}
		if len(w.nats) > 0 || w.env.version != v.version {
			text := fmt.Sprintf("what %s changes in packets of %s", c.Place(), device)
			ok = ok.Minus(e.undecodedSet(text, text))
			if len(c.Rules) > 0 {
				forget := f.newWalk(fl.env, c.Base.Hook)
				forget.rule = c.Rules[0]
				forget.forgetMarks(pass)
				fl.env = forget.env
			}
		}
		pass = ok
	}
	return in.Minus(pass)
}

// refuse drops packets of in that chains below have refused, and returns the
// rest.
func (f *follower) refuse(in, refused packet.Set) packet.Set {
	f.res.Drop = f.res.Drop.Or(refused)
	for _, r := range within(f.refusedBy, refused) {
		if !r.Set.Empty() {
			f.res.Refused = append(f.res.Refused, r)
		}
	}
	f.refusedBy = nil
	return in.Minus(refused)
}

// bridged judges packets on a bridge by the chains of bridge tables, which see
// them on its ports.
func (f *follower) bridged() {
	var chains []*Chain
	out := false
	for _, h := range []Hook{Prerouting, Input, Output, Postrouting} {
		for _, t := range f.rs.Tables {
			for _, c := range t.Chains {
				if t.Family == Bridge && !t.Dormant && c.Base != nil && c.Base.Hook == h && refuses(c) {
					if h == Prerouting || h == Input {
						chains = append(chains, c)
					} else {
						out = true
					}
				}
			}
		}
	}
	if len(chains) > 0 && !f.e.facts.Known {
		f.mayRefuse("bridge tables", "bridge tables, on interfaces that may be bridges", "")
		return
	}
	for _, i := range f.e.facts.Interfaces {
		if i.Bridge && len(chains) > 0 {
			for k := range f.flows {
				f.onPorts(&f.flows[k], i.Name, chains)
			}
		}
		if out && i.Bridge && f.way != WayInput {
			text := "bridge tables, for packets that leave by " + i.Name
			hit := f.e.undecodedSet(text, text).And(f.e.ifaceSet(Interface{Name: i.Name, Out: true}))
			for k := range f.flows {
				f.res.Drop = f.res.Drop.Or(f.flows[k].Set.And(hit))
				f.flows[k].Set = f.flows[k].Set.Minus(hit)
			}
		}
	}
}

// onPorts judges a flow's packets on a bridge by the chains that see them on its
// ports. By which port a packet comes is not known, but it is one of them.
func (f *follower) onPorts(fl *Flow, bridge string, chains []*Chain) {
	in := fl.Set.And(f.e.ifaceSet(Interface{Name: bridge}))
	refused, other := f.e.space.None(), f.e.space.All()
	var last packet.Set
	for _, i := range f.e.facts.Interfaces {
		if i.Master != bridge {
			continue
		}
		last = f.refusedBelow(fl, chains, in, i.Name)
		by := other.And(f.cameBy(i.Name))
		refused = refused.Or(last.And(by))
		other = other.Minus(by)
	}
	if last != (packet.Set{}) {
		refused = refused.Or(last.And(other))
	}
	fl.Set = f.refuse(fl.Set, refused)
}

// hidden reports whether packets of an interface appear on its master alone, as
// those of bridge ports and bond members do. Those of a VRF's members do not.
func (e *Engine) hidden(i HostInterface) bool {
	if i.Master == "" {
		return false
	}
	for _, m := range e.facts.Interfaces {
		if m.Name == i.Master {
			return !m.VRF
		}
	}
	return true
}

// refuses reports whether a base chain can refuse anything.
func refuses(c *Chain) bool {
	return c.Base.Policy == Drop || len(c.Rules) > 0
}

// vrfs makes undecided what comes by a VRF: its packets pass the hooks twice,
// once on the member and once on the VRF itself (vrf_l3_rcv).
func (f *follower) vrfs() {
	for _, i := range f.e.facts.Interfaces {
		if i.VRF && len(f.rs.Tables) > 0 {
			text := "the VRF " + i.Name + ", whose packets pass the hooks twice"
			f.mayRefuse(text, text, i.Name)
			for _, m := range f.e.facts.Interfaces {
				if m.Master == i.Name {
					f.mayRefuse(text, text, m.Name)
				}
			}
		}
	}
}
