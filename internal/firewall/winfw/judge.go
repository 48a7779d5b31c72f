package winfw

import (
	"fmt"
	"net/netip"
	"slices"

	"sekimori/packet"
)

// Judge returns the packets that pass in one direction: In those to this host,
// Out those from it. The loopback interface has the name lo. Where the default is
// [Unset] the packets that no rule decides are undecided, by a boolean. Use it
// inside [packet.Space.Do].
func (f *Firewall) Judge(sp *packet.Space, d Direction) packet.Set {
	j := &judge{sp: sp, dir: d}
	return j.opens(f, d).Or(sp.States(packet.Established)).Or(j.loopback())
}

// opens returns the packets seen in direction j.dir that belong to flows which
// packets of direction d may open: for the other direction, those whose answer it is.
func (j *judge) opens(f *Firewall, d Direction) packet.Set {
	match := map[Action]packet.Set{Allow: j.sp.None(), Block: j.sp.None(), Bypass: j.sp.None()}
	for i := range f.Rules {
		if r := &f.Rules[i]; r.Direction == d && !r.Disabled {
			match[r.Action] = match[r.Action].Or(j.rule(r))
		}
	}
	def := f.Inbound
	if d == Out {
		def = f.Outbound
	}
	rest := j.sp.None()
	switch def {
	case AllowAll:
		rest = j.sp.All()
	case Unset:
		rest = j.sp.Unknown("the default of the profile")
	}
	return match[Bypass].Or(match[Allow].Or(rest).Minus(match[Block]))
}

// Domain returns the packets of a direction about which Windows and a firewall with connection
// tracking can be compared: whole ones; no addresses of the loopback network, which
// only packets on lo have; of ICMP's errors those that everybody lets in
// (destination unreachable, time exceeded, parameter problem, packet too big), as
// part of a connection, and not those that this host itself sends, of which it is
// not documented whether rules are asked about them; no ICMP of the other family. Invalid and untracked packets are nothing that Windows knows.
//
// An established connection was opened at one end: packets of those that neither
// end may open are none.
func (f *Firewall) Domain(sp *packet.Space, d Direction) packet.Set {
	j := &judge{sp: sp, dir: d}
	errors := j.number(packet.Protocol, 1).And(sp.Values(packet.SrcPort, types(3, 3), types(11, 12)))
	others := j.number(packet.Protocol, 1).And(sp.Values(packet.SrcPort, types(4, 5)))
	if sp.Family() == packet.V6 {
		errors = j.number(packet.Protocol, 58).And(sp.Values(packet.SrcPort, types(1, 4)))
		others = sp.None()
	}
	loop := netip.MustParsePrefix("127.0.0.0/8")
	if sp.Family() == packet.V6 {
		loop = netip.MustParsePrefix("::1/128")
	}
	martian := sp.Prefixes(packet.Src, loop).Or(sp.Prefixes(packet.Dst, loop)).Minus(j.loopback())
	part := sp.Values(packet.Fragment, packet.Range{Lo: 0, Hi: 0})
	if sp.Family() == packet.V4 {
		part = part.Or(sp.Values(packet.Fragment, packet.Range{Lo: 0x4000, Hi: 0x4000}))
	}
	foreign := 58 // ICMP of the other family is nothing that anybody takes
	if sp.Family() == packet.V6 {
		foreign = 1
	}
	martian = martian.Or(j.number(packet.Protocol, foreign))
	related := sp.States(packet.Related)
	if d == Out {
		related = sp.None()
	}
	opened := j.opens(f, In).Or(j.opens(f, Out)).And(sp.States(packet.Established))
	return sp.If(errors, related, sp.States(packet.New).Or(opened)).Minus(others).Minus(martian).And(part)
}

// types is a range of ICMP types with all their codes.
func types(lo, hi uint64) packet.Range { return packet.Range{Lo: lo << 8, Hi: hi<<8 | 0xff} }

type judge struct {
	sp  *packet.Space
	dir Direction
}

func (j *judge) number(f packet.Field, n int) packet.Set {
	return j.sp.Values(f, packet.Range{Lo: uint64(n), Hi: uint64(n)})
}

func (j *judge) loopback() packet.Set {
	return j.interfaces([]string{"lo"})
}

func (j *judge) interfaces(names []string) packet.Set {
	field := packet.InInterface
	if j.dir == Out {
		field = packet.OutInterface
	}
	return j.sp.Interfaces(field, func(name string) bool { return slices.Contains(names, name) })
}

// rule returns the packets that match all conditions of a rule.
func (j *judge) rule(r *Rule) packet.Set {
	s := j.sp.All()
	if r.Protocol != AnyProtocol {
		s = j.number(packet.Protocol, r.Protocol)
	}
	local, remote := packet.Dst, packet.Src
	localPort, remotePort := packet.DstPort, packet.SrcPort
	if j.dir == Out {
		local, remote, localPort, remotePort = remote, local, remotePort, localPort
	}
	if len(r.LocalPorts) > 0 {
		s = s.And(j.sp.Values(localPort, r.LocalPorts...))
	}
	if len(r.RemotePorts) > 0 {
		s = s.And(j.sp.Values(remotePort, r.RemotePorts...))
	}
	if len(r.ICMP) > 0 {
		s = s.And(j.sp.Values(packet.SrcPort, r.ICMP...))
	}
	// ICMP of one family is nothing that the other has.
	if r.Protocol == 1 && j.sp.Family() == packet.V6 || r.Protocol == 58 && j.sp.Family() == packet.V4 {
		s = s.And(j.sp.Unknown("whether the protocol of the other family is meant"))
	}
	if len(r.Interfaces) > 0 {
		s = s.And(j.interfaces(r.Interfaces))
	}
	if len(r.Profiles) > 0 {
		active := j.sp.None()
		for _, p := range r.Profiles {
			active = active.Or(j.sp.Unknown("profile " + p))
		}
		s = s.And(active)
	}
	for _, v := range r.Varies {
		s = s.And(j.sp.Unknown(v))
	}
	return s.And(j.addresses(local, r.Local)).And(j.addresses(remote, r.Remote))
}

func (j *judge) addresses(f packet.Field, a Addresses) packet.Set {
	if a.empty() {
		return j.sp.All()
	}
	rs, others := a.V4, a.V6
	if j.sp.Family() == packet.V6 {
		rs, others = others, rs
	}
	s := j.sp.Addresses(f, rs...)
	for _, k := range a.Keywords {
		s = s.Or(j.sp.Unknown(fmt.Sprintf("address %s", k)))
	}
	if len(rs) == 0 && len(others) > 0 {
		s = s.Or(j.sp.Unknown("whether addresses of one family restrict the other"))
	}
	return s
}
