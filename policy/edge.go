package policy

import (
	"slices"

	"sekimori/packet"
)

// edge is what the edge of the network drops of packets on a way: what comes in or
// goes out by one of its interfaces and has a blocked port, as source or as
// destination; and what is sent to everybody outside.
func (m meaning) edge(way Way) packet.Set {
	e := m.f.Policy.Edge
	at := func(f packet.Field) packet.Set {
		if e.Scope == "all" {
			return m.on(f, "lo").Not()
		}
		return m.on(f, e.Interface...)
	}
	drop := m.sp.None()
	if way != FromHost {
		drop = at(packet.InInterface).And(m.blocked(m.services))
	}
	if way == ToHost {
		return drop
	}
	out := m.blocked(m.services)
	// What has another destination by the time it leaves.
	elsewhere := m.status().And(m.sp.States(packet.Established | packet.Related))
	if way == Through && m.f.Policy.Containers != "" {
		elsewhere = elsewhere.Or(m.unknown(Published).And(m.sp.States(packet.New)))
	}
	if way == Through && m.f.Policy.Router != nil {
		for _, t := range m.destinations() {
			mine := t.Packets
			if m.f.Policy.Containers != "" {
				mine = mine.Minus(m.unknown(Published))
			}
			elsewhere = elsewhere.Or(mine)
			if t.Port != 0 {
				out = m.sp.If(mine, m.blocked(func(ss []Service) packet.Set { return m.arrivingAt(ss, t.Port) }), out)
			}
		}
	}
	if slices.Contains(e.Block, "broadcast") {
		all := m.broadcast()
		if m.f.forwards() {
			all = all.Minus(elsewhere)
		}
		out = out.Or(all)
	}
	return drop.Or(at(packet.OutInterface).And(out))
}

// status are the packets of connections whose destination was translated: bit 5 of
// the conntrack status (IPS_DST_NAT).
func (m meaning) status() packet.Set { return m.sp.Bit(packet.Status, 15-5) }

// blocked is what the blocked services are about, either way: to finds those with
// such a destination port.
func (m meaning) blocked(to func([]Service) packet.Set) packet.Set {
	set := m.sp.None()
	for _, b := range m.f.Policy.Edge.Block {
		if b == "broadcast" {
			continue
		}
		for _, t := range Service(b).Matches() {
			set = set.Or(m.match(t, packet.SrcPort))
		}
		set = set.Or(to([]Service{Service(b)}))
	}
	return set
}

// arrivingAt is what services are about if the destination port is the one given.
func (m meaning) arrivingAt(ss []Service, port uint16) packet.Set {
	set := m.sp.None()
	for _, s := range ss {
		for _, t := range s.Matches() {
			if t.Lo <= port && port <= t.Hi && t.Family == 0 {
				set = set.Or(number(m.sp, packet.Protocol, uint64(t.Protocol)))
			} else if t.Family != 0 {
				set = set.Or(m.match(t, packet.DstPort))
			}
		}
	}
	return set
}

// broadcast is what is sent to everybody on a link, or to a group, except what
// keeps hosts on the network: neighbour discovery, IGMP, MLD and DHCP.
func (m meaning) broadcast() packet.Set {
	all := m.sp.Values(packet.DstType, packet.Range{Lo: 3, Hi: 3}, packet.Range{Lo: 5, Hi: 5}) // RTN_BROADCAST, RTN_MULTICAST
	igmp, udp, icmpv6 := number(m.sp, packet.Protocol, 2), number(m.sp, packet.Protocol, 17), number(m.sp, packet.Protocol, 58)
	if m.sp.Family() == packet.V4 {
		return all.Minus(igmp).Minus(udp.And(m.sp.Values(packet.DstPort, packet.Range{Lo: 67, Hi: 68})))
	}
	messages := m.sp.Values(packet.SrcPort, icmpTypes(130, 137), icmpTypes(143, 143))
	return all.Minus(icmpv6.And(messages)).Minus(udp.And(m.sp.Values(packet.DstPort, packet.Range{Lo: 546, Hi: 547})))
}
