package policy

import (
	"fmt"
	"slices"
	"strconv"

	"sekimori/packet"
)

// Way is where a packet goes.
type Way uint8

// The ways: to a socket of this host, from one, and through this host.
const (
	ToHost Way = iota
	FromHost
	Through
)

// OwnerKnown is the unknown for packets that a process of this host sent: rules
// about users are about no others.
const OwnerKnown = "owner known"

// Published is the unknown for packets whose destination somebody else has
// translated, as those who publish the ports of containers do.
const Published = "published"

// Unknowns gives the packets for which something without a fixed answer holds: a
// rate that is not exceeded, by its path (inbound[2].rate), OwnerKnown or
// Published. Where it is nil, that is packet.Space.Unknown.
type Unknowns func(key string) packet.Set

// Passes returns the packets that the policy as a whole lets pass on a way, as
// they set out: before the host translates anything. A section that is left out
// refuses nothing. Packets that the policy itself sends elsewhere (see
// Translations) are no packets to the host.
//
// It is worked out straight from the policy: what a compiled ruleset does is
// compared with it.
func (f *File) Passes(sp *packet.Space, way Way, lists map[string][]packet.AddrRange, host Host, unknowns Unknowns) packet.Set {
	if unknowns == nil {
		unknowns = sp.Unknown
	}
	m := f.meaning(sp, lists, host, unknowns)
	pass := sp.All()
	switch {
	case way == ToHost && f.Policy.Inbound != nil:
		pass = m.inbound()
	case way == FromHost && f.Policy.Outbound != nil:
		pass = m.outbound()
	case way == Through:
		pass = m.through()
	}
	if f.Policy.Edge != nil {
		pass = pass.Minus(m.edge(way))
	}
	return pass
}

// Interfaces returns the interfaces, and patterns of some, that the meaning of the
// policy depends on.
func (f *File) Interfaces(host Host) []Interface {
	p := &f.Policy
	out := []Interface{"lo"}
	for _, name := range sortedKeys(p.Zones) {
		out = append(out, p.Zones[name].Interfaces...)
	}
	for _, name := range slices.Concat(host.DHCPv4, host.DHCPv6) {
		out = append(out, Interface(name))
	}
	if p.Edge != nil {
		out = append(out, p.Edge.Interface...)
	}
	if p.Containers != "" {
		out = append(out, ContainerInterfaces()...)
		out = append(out, host.Containers...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// on returns the packets whose interface is one of those named.
func (m meaning) on(f packet.Field, names ...Interface) packet.Set {
	return m.sp.Interfaces(f, func(name string) bool {
		return slices.ContainsFunc(names, func(i Interface) bool { return i.matches(name) })
	})
}

func ifaces(names []string) []Interface {
	out := make([]Interface, len(names))
	for i, n := range names {
		out[i] = Interface(n)
	}
	return out
}

// outbound is what may leave. Rules are about packets that open connections; what
// is no rule's business has the default, also where it opens none.
func (m meaning) outbound() packet.Set {
	o := m.f.Policy.Outbound
	opens := m.sp.States(packet.New)
	left, out := m.sp.All(), m.sp.None()
	for i, r := range o.Rules {
		match := m.outboundRule(r).And(opens).And(left)
		left = left.Minus(match)
		if r.Rate != "" {
			match = match.And(m.unknown(fmt.Sprintf("outbound.rules[%d].rate", i)))
		}
		if r.Allow != nil {
			out = out.Or(match)
		}
	}
	if o.Default != "deny" {
		out = out.Or(left)
	}
	return out.Or(m.on(packet.OutInterface, "lo")).Or(m.sp.States(packet.Established | packet.Related)).Or(m.asking())
}

// outboundRule is what a rule is about, whatever it says of it.
func (m meaning) outboundRule(r OutboundRule) packet.Set {
	match := m.services(slices.Concat(r.Allow, r.Deny))
	if r.To != nil {
		to := m.sp.None()
		for _, p := range r.To {
			to = to.Or(m.party(p, packet.OutInterface, packet.Dst))
		}
		match = match.And(to)
	}
	match = match.And(m.owner("meta skuid", r.Users, r.ExceptUsers, m.host.Users))
	return match.And(m.owner("meta skgid", r.Groups, r.ExceptGroups, m.host.Groups))
}

// owner is what processes of some users, or of all but some, have sent. What no
// process has sent is not theirs.
func (m meaning) owner(field string, of, except []User, numbers map[string]uint32) packet.Set {
	theirs := func(us []User) packet.Set {
		var rs []packet.Range
		for _, u := range us {
			if n, ok := u.Number(numbers); ok {
				rs = append(rs, packet.Range{Lo: uint64(n), Hi: uint64(n)})
			}
		}
		return m.unknown(OwnerKnown).And(m.sp.Values(m.sp.Extra(field, 32), rs...))
	}
	set := m.sp.All()
	if of != nil {
		set = theirs(of)
	}
	if except != nil {
		set = set.Minus(theirs(except))
	}
	return set
}

// Number returns the number of a user or group: itself, or what its name stands
// for.
func (u User) Number(numbers map[string]uint32) (uint32, bool) {
	if n, err := strconv.ParseUint(string(u), 10, 32); err == nil {
		return uint32(n), true
	}
	n, ok := numbers[string(u)]
	return n, ok
}

// asking is what a host must be able to send, or it falls off its network: the
// messages of LifeSupport, and what its DHCP clients ask.
func (m meaning) asking() packet.Set {
	udp := number(m.sp, packet.Protocol, 17)
	if m.sp.Family() == packet.V4 {
		ask := udp.And(number(m.sp, packet.SrcPort, 68)).And(number(m.sp, packet.DstPort, 67))
		return ask.And(m.on(packet.OutInterface, ifaces(m.host.DHCPv4)...))
	}
	servers := m.sp.Addresses(packet.Dst, m.addresses("ff02::1:2")...).Or(m.sp.Addresses(packet.Dst, m.addresses("fe80::/10")...))
	ask := udp.And(number(m.sp, packet.SrcPort, 546)).And(number(m.sp, packet.DstPort, 547)).And(servers)
	return neighbourly(m.sp).Or(ask.And(m.on(packet.OutInterface, ifaces(m.host.DHCPv6)...)))
}
