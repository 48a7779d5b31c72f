package packet

import (
	"net/netip"
)

// Sample returns a packet of s, and false if there is none. The same set gives
// the same packet. Protocol, addresses, and ports or ICMP type and code are
// always given; other parts only where s depends on them, so that [Set.Contains]
// holds for the sample. Values that people know are preferred: tcp, a new
// connection, documentation addresses.
func (s Set) Sample() (Packet, bool) {
	if s.Empty() {
		return Packet{}, false
	}
	c := chooser{s.sp, s.sp.graph.and(s.f, s.sp.valid)}
	// First what makes the packet small, and what the next choices hang on.
	var p Packet
	for _, f := range []Field{Protocol, State, TCPFlags, Fragment, DstPort, SrcPort} {
		if always := f == Protocol || f == DstPort || f == SrcPort; always || c.depends(f) {
			protocol, _ := p.Get(Protocol)
			if f == DstPort && !hasPorts(uint32(protocol)) && !c.depends(f) {
				continue // the checksum of ICMP, of no interest
			}
			p = p.With(f, c.choose(f, s.sp.usual(f, uint32(protocol))).lo)
		}
	}
	p.Src = s.sp.address(c.address(Src, s.sp.usualAddresses("198.51.100.7", "2001:db8::7")))
	p.Dst = s.sp.address(c.address(Dst, s.sp.usualAddresses("203.0.113.5", "2001:db8:1::5")))
	for _, f := range s.sp.support(c.f) {
		if f == Src || f == Dst || !c.depends(f) {
			continue
		}
		if _, chosen := p.Get(f); chosen {
			continue
		}
		v := s.sp.fields[f]
		switch n := c.choose(f, s.sp.usual(f, 0)); {
		case f == InInterface:
			p.In = s.sp.ifnames[n.lo]
		case f == OutInterface:
			p.Out = s.sp.ifnames[n.lo]
		case f < numFixed:
			p = p.With(f, n.lo)
		case v.unknown:
			p = p.WithUnknown(v.name, n.lo == 1)
		default:
			p = p.withExtra(extraValue{v.name, v.width, n})
		}
	}
	return p, true
}

// chooser narrows a set of packets, field by field, to one that is left.
type chooser struct {
	sp *Space
	f  ref // not zero; valid packets alone
}

// depends tells whether the values of f matter for what is left.
func (c *chooser) depends(f Field) bool { return Set{c.sp, c.f}.dependsOn(f) }

// choose gives f a value: the lowest in the first of the usual ranges that has
// one, and otherwise the lowest of all.
func (c *chooser) choose(f Field, usual []span) u128 {
	return c.fix(f, c.lowest(f, usual))
}

// address is choose, but does not take an address that looks like a network's
// if the next one will do.
func (c *chooser) address(f Field, usual []span) u128 {
	n := c.lowest(f, usual)
	if next := n.next(); n.lo&0xff == 0 && c.sp.graph.and(c.f, c.equals(f, next)) != zero {
		n = next
	}
	return c.fix(f, n)
}

func (c *chooser) equals(f Field, n u128) ref {
	return c.sp.masked(f, n, ones(c.sp.fields[f].width))
}

func (c *chooser) fix(f Field, n u128) u128 {
	c.f = c.sp.graph.and(c.f, c.equals(f, n))
	return n
}

func (c *chooser) lowest(f Field, usual []span) u128 {
	g := &c.sp.graph
	values := Set{c.sp, c.f}.project(f)
	for _, u := range usual {
		if some := g.and(values, c.sp.numbers(c.sp.refs(f), []span{u})); some != zero {
			values = some
			break
		}
	}
	var n u128
	v := c.sp.fields[f]
	for i := range v.width {
		lo, hi := g.cofactors(values, v.first+level(i))
		values = lo
		if lo == zero {
			values = hi
			n = n.setBit(v.width - 1 - i)
		}
	}
	return n
}

// usual are the values of f that a reader expects, the most expected first.
func (sp *Space) usual(f Field, protocol uint32) []span {
	var out []span
	add := func(lo, hi uint64) { out = append(out, span{u128{0, lo}, u128{0, hi}, one}) }
	switch {
	case f == Protocol:
		add(protoTCP, protoTCP)
		add(protoUDP, protoUDP)
		if sp.family == V4 {
			add(protoICMP, protoICMP)
		}
		add(protoICMPv6, protoICMPv6)
	case f == TCPFlags:
		add(0x02, 0x02)
	case f == DstPort && hasPorts(protocol):
		for _, n := range []uint64{80, 443, 22, 53} {
			add(n, n)
		}
		add(1, 1<<16-1)
	case f == SrcPort && hasPorts(protocol):
		add(40000, 60000)
		add(1024, 1<<16-1)
		add(1, 1<<16-1)
	case f == SrcPort && protocol == protoICMP:
		add(8<<8, 8<<8)
		add(8<<8, 8<<8+0xff)
	case f == SrcPort && protocol == protoICMPv6:
		add(128<<8, 128<<8)
		add(128<<8, 128<<8+0xff)
	case f == SrcType || f == DstType:
		add(1, 2) // unicast, local
	}
	return out
}

// usualAddresses are the example itself, its documentation network, and then
// what is neither special nor multicast.
func (sp *Space) usualAddresses(v4, v6 string) []span {
	ranges := [][2]string{
		{v6, v6},
		{"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"2000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"fc00::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	}
	if sp.family == V4 {
		ranges = [][2]string{{v4, v4}, {"1.0.0.0", "126.255.255.255"}, {"128.0.0.0", "223.255.255.255"}}
	}
	var out []span
	for _, r := range ranges {
		lo, _ := sp.number(netip.MustParseAddr(r[0]))
		hi, _ := sp.number(netip.MustParseAddr(r[1]))
		out = append(out, span{lo, hi, one})
	}
	return out
}
