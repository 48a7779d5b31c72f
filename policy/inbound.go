package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sekimori/packet"
)

// Host is what the meaning of a policy depends on beside its text.
type Host struct {
	DHCPv4, DHCPv6 []string // the interfaces on which a DHCP client runs
	// Users and Groups are the numbers behind names.
	Users, Groups map[string]uint32
	// Containers are the interfaces behind which containers and virtual machines
	// of this host live, beside those that the usual programs make.
	Containers []Interface
}

// Inbound returns the packets to this host that the policy lets in, and false
// if it leaves inbound alone. It is worked out straight from the policy: what a
// compiled ruleset does is compared with it. lists are those of File.Lists.
//
// Let in are: everything on lo; connection states established and related;
// LifeSupport; and what a rule allows, in state new. Nothing else is: not what
// is invalid or untracked. A rate is a packet.Space.Unknown with the path of
// the rule as its key, inbound[2].rate; it holds while the limit is not
// exceeded. Fragments are not looked at: whoever tracks connections sees
// packets reassembled.
//
// Use it inside sp.Do, as all that makes sets.
func (f *File) Inbound(sp *packet.Space, lists map[string][]packet.AddrRange, host Host) (packet.Set, bool) {
	if f.Policy.Inbound == nil {
		return packet.Set{}, false
	}
	return f.meaning(sp, lists, host, sp.Unknown).inbound(), true
}

func (m meaning) inbound() packet.Set {
	return m.rules().And(m.sp.States(packet.New)).Or(Implicit(m.sp, m.host))
}

// rules is what the inbound rules let in of packets that open a connection.
func (m meaning) rules() packet.Set {
	in := m.sp.None()
	left := m.sp.All()
	for i, r := range m.f.Policy.Inbound {
		match := m.inboundRule(r).And(left)
		left = left.Minus(match)
		if r.Rate != "" {
			match = match.And(m.unknown(fmt.Sprintf("inbound[%d].rate", i)))
		}
		if r.Allow != nil {
			in = in.Or(match)
		}
	}
	return in
}

// Implicit returns the packets that every inbound lets in: those on lo, those
// of established and related connections, and LifeSupport.
func Implicit(sp *packet.Space, host Host) packet.Set {
	lo := sp.Interfaces(packet.InInterface, func(name string) bool { return name == "lo" })
	return lo.Or(sp.States(packet.Established | packet.Related)).Or(LifeSupport(sp, host))
}

// LifeSupport returns the packets without which a host falls off its network,
// whatever state connection tracking has for them: the ICMPv6 messages that
// RFC 4890 sections 4.4.1 and 4.4.2 want to reach a host, and what is sent to
// its DHCP clients. Echo requests are left to the rules, and redirects too.
// ARP is no matter of these rules.
func LifeSupport(sp *packet.Space, host Host) packet.Set {
	clients := func(names []string) packet.Set {
		return sp.Interfaces(packet.InInterface, func(name string) bool { return slices.Contains(names, name) })
	}
	udp := number(sp, packet.Protocol, 17)
	if sp.Family() == packet.V4 {
		reply := udp.And(number(sp, packet.SrcPort, 67)).And(number(sp, packet.DstPort, 68)) // RFC 2131 section 4.1
		return reply.And(clients(host.DHCPv4))
	}
	// Servers answer to the link-local address that asked, from whatever address
	// and port of theirs (RFC 8415 sections 7.2 and 18.3.10).
	link := netip.MustParsePrefix("fe80::/10")
	reply := udp.And(number(sp, packet.DstPort, 546)).And(sp.Prefixes(packet.Dst, link))
	return neighbourly(sp).Or(reply.And(clients(host.DHCPv6)))
}

// neighbourly are the messages of ICMPv6 among neighbours, and about errors.
func neighbourly(sp *packet.Space) packet.Set {
	messages := sp.Values(
		packet.SrcPort,
		icmpTypes(1, 4),     // destination unreachable, packet too big, time exceeded, parameter problem
		icmpTypes(130, 136), // MLD; router solicitation and advertisement; neighbour solicitation and advertisement
		icmpTypes(141, 143), // inverse neighbour discovery, MLDv2
		icmpTypes(148, 149), // SEND
		icmpTypes(151, 153), // multicast router discovery
	)
	return number(sp, packet.Protocol, 58).And(messages)
}

// icmpTypes is a range of types with all their codes, as SrcPort has them.
func icmpTypes(from, to uint64) packet.Range { return packet.Range{Lo: from << 8, Hi: to<<8 | 0xff} }

func number(sp *packet.Space, f packet.Field, n uint64) packet.Set {
	return sp.Values(f, packet.Range{Lo: n, Hi: n})
}

// meaning turns the words of a policy into sets of one space.
type meaning struct {
	f       *File
	sp      *packet.Space
	lists   map[string][]packet.AddrRange
	host    Host
	unknown Unknowns
	// made are the sets of peers, which may be large lists that many rules name.
	made map[madePeer]packet.Set
}

// madePeer is a peer as one end of a packet.
type madePeer struct {
	peer           Peer
	iface, address packet.Field
}

func (f *File) meaning(sp *packet.Space, lists map[string][]packet.AddrRange, host Host, unknown Unknowns) meaning {
	return meaning{f, sp, lists, host, unknown, map[madePeer]packet.Set{}}
}

// inboundRule is what a rule is about, whatever it says of it.
func (m meaning) inboundRule(r InboundRule) packet.Set {
	set := m.services(slices.Concat(r.Allow, r.Deny))
	if r.From != nil {
		from := m.sp.None()
		for _, p := range r.From {
			from = from.Or(m.party(p, packet.InInterface, packet.Src))
		}
		set = set.And(from)
	}
	if r.To != nil {
		var ranges []packet.AddrRange
		for _, s := range r.To {
			ranges = append(ranges, m.addresses(string(s))...)
		}
		set = set.And(m.sp.Addresses(packet.Dst, ranges...))
	}
	return set
}

func (m meaning) services(ss []Service) packet.Set {
	set := m.sp.None()
	for _, s := range ss {
		for _, match := range s.Matches() {
			set = set.Or(m.match(match, packet.DstPort))
		}
	}
	return set
}

// match is what one protocol with its ports is about; port is the field to look
// for them, where they are ports.
func (m meaning) match(t Match, port packet.Field) packet.Set {
	switch {
	case t.Family != 0 && t.Family != m.sp.Family():
		return m.sp.None()
	case t.Any:
		return m.sp.All()
	}
	if t.Family != 0 { // ICMP
		port = packet.SrcPort
	}
	set := number(m.sp, packet.Protocol, uint64(t.Protocol))
	if t.Lo == 0 && t.Hi == 0xffff {
		return set
	}
	return set.And(m.sp.Values(port, packet.Range{Lo: uint64(t.Lo), Hi: uint64(t.Hi)}))
}

// party is what has a zone, a list or an address on one side: by the interface
// there, and by the address.
func (m meaning) party(p Peer, iface, address packet.Field) packet.Set {
	key := madePeer{p, iface, address}
	set, ok := m.made[key]
	if !ok {
		set = m.newParty(p, iface, address)
		m.made[key] = set
	}
	return set
}

func (m meaning) newParty(p Peer, iface, address packet.Field) packet.Set {
	zone, ok := m.f.Policy.Zones[string(p)]
	switch {
	case p == anywhere:
		return m.sp.All()
	case !ok:
		return m.sp.Addresses(address, m.addresses(string(p))...)
	}
	set := m.on(iface, zone.Interfaces...)
	if zone.Networks != nil {
		set = set.And(m.sp.Addresses(address, m.networks(zone)...))
	}
	return set
}

// networks are the addresses of a zone that has some.
func (m meaning) networks(z Zone) []packet.AddrRange {
	var ranges []packet.AddrRange
	for _, n := range z.Networks {
		ranges = append(ranges, m.addresses(string(n))...)
	}
	return ranges
}

// matches tells whether an interface is meant by a name or a pattern.
func (i Interface) matches(name string) bool {
	if start, ok := strings.CutSuffix(string(i), "*"); ok {
		return strings.HasPrefix(name, start)
	}
	return string(i) == name
}

// addresses are those of a list, or of an address, prefix or range.
func (m meaning) addresses(s string) []packet.AddrRange {
	if !looksLikeAddress(s) {
		return m.lists[s]
	}
	r, _ := parseAddresses(s) // Parse has looked at it
	return []packet.AddrRange{r}
}
