package firewall

import (
	"fmt"
	"net/netip"
	"slices"

	"sekimori/packet"
)

// addrs returns the packets whose address (as bits, after translation) lies in
// one of the prefixes of the engine's family.
func (e *Engine) addrs(bits []packet.Set, ps []netip.Prefix) packet.Set {
	ivs := make([]packet.Interval, 0, len(ps))
	for _, p := range ps {
		if p.Addr().Is4() == (e.family == IPv4) {
			lo, hi := prefixEnds(p)
			ivs = append(ivs, packet.Interval{Lo: lo, Hi: hi})
		}
	}
	return e.space.Between(bits, ivs)
}

// prefixEnds returns the first and the last address of a prefix.
func prefixEnds(p netip.Prefix) (lo, hi []byte) {
	lo = p.Masked().Addr().AsSlice()
	hi = slices.Clone(lo)
	for i := p.Bits(); i < 8*len(hi); i++ {
		hi[i/8] |= 1 << (7 - i%8)
	}
	return lo, hi
}

func (e *Engine) dstBits(v *env) []packet.Set {
	if v.dst != nil {
		return v.dst
	}
	return e.space.Bits(packet.Dst)
}

func (e *Engine) srcBits(v *env) []packet.Set {
	if v.src != nil {
		return v.src
	}
	return e.space.Bits(packet.Src)
}

func (e *Engine) dportBits(v *env) []packet.Set {
	if v.dport != nil {
		return v.dport
	}
	return e.space.Bits(packet.DstPort)
}

var (
	multicast4 = netip.MustParsePrefix("224.0.0.0/4")
	multicast6 = netip.MustParsePrefix("ff00::/8")
	zeroNet    = netip.MustParsePrefix("0.0.0.0/8")
	everyone   = netip.MustParsePrefix("255.255.255.255/32")
	loopback4  = netip.MustParsePrefix("127.0.0.0/8")
	loopback6  = netip.MustParsePrefix("::1/128")
	linkLocal6 = netip.MustParsePrefix("fe80::/10")
)

// The address types of linux/rtnetlink.h.
const (
	rtnUnicast     = 1
	rtnLocal       = 2
	rtnBroadcast   = 3
	rtnAnycast     = 4
	rtnMulticast   = 5
	rtnUnreachable = 7
)

// addrType returns the packets whose address has one of the types. For IPv4 the
// kernel asks the local table alone (inet_addr_type): what is not in it is
// unicast. For IPv6 an address without a route is unreachable.
func (e *Engine) addrType(v *env, c AddrType) packet.Set {
	if !e.facts.Known {
		return e.freeAddrType(v, c)
	}
	bits := e.dstBits(v)
	if c.Source {
		bits = e.srcBits(v)
	}
	sp := e.space
	is := map[int]packet.Set{}
	rest := sp.All()
	take := func(t int, s packet.Set) {
		is[t] = s.And(rest)
		rest = rest.Minus(s)
	}
	local := e.addrs(bits, e.facts.Local)
	if c.LimitIn || c.LimitOut {
		local = e.localOn(bits, c.LimitOut)
	}
	take(rtnBroadcast, e.addrs(bits, append([]netip.Prefix{zeroNet, everyone}, e.facts.Broadcast...)))
	take(rtnMulticast, e.addrs(bits, []netip.Prefix{multicast4, multicast6}))
	take(rtnLocal, local)
	take(rtnAnycast, e.addrs(bits, e.facts.Anycast))
	if e.family == IPv6 {
		take(rtnUnreachable, e.unrouted(bits, c.Source))
	}
	is[rtnUnicast] = rest
	s := sp.None()
	for t := range 16 {
		if set, ok := is[t]; ok && c.Types>>t&1 == 1 {
			s = s.Or(set)
		}
	}
	return s
}

// freeAddrType is the address type on a host that is not known: a field of the
// packet, as long as the address is the one it arrived with.
func (e *Engine) freeAddrType(v *env, c AddrType) packet.Set {
	f, over := packet.DstType, v.dst
	if c.Source {
		f, over = packet.SrcType, v.src
	}
	if c.LimitIn || c.LimitOut || over != nil {
		text := fmt.Sprintf("address type %#x of an unknown host", c.Types)
		return e.varyingSet(fmt.Sprintf("%s %v %v %v %v", text, c.Source, c.LimitIn, c.LimitOut, over != nil), text)
	}
	var rs []packet.Range
	for t := range uint64(16) {
		if c.Types>>t&1 == 1 {
			rs = append(rs, packet.Range{Lo: t, Hi: t})
		}
	}
	return e.space.Values(f, rs...)
}

// localOn returns the packets whose address belongs to the interface that they
// came by or leave by.
func (e *Engine) localOn(bits []packet.Set, out bool) packet.Set {
	s := e.space.None()
	for _, i := range e.facts.Interfaces {
		var hosts []netip.Prefix
		for _, a := range i.Addresses {
			hosts = append(hosts, netip.PrefixFrom(a.Addr(), a.Addr().BitLen()))
		}
		if i.Loopback {
			hosts = append(hosts, loopback4, loopback6)
		}
		on := e.ifaceSet(Interface{Out: out, Name: i.Name})
		s = s.Or(on.And(e.addrs(bits, hosts)))
	}
	return s
}

// unrouted returns the packets to whose source, or else destination, there is no
// route.
func (e *Engine) unrouted(bits []packet.Set, source bool) packet.Set {
	if e.facts.RoutesPartial != "" {
		text := "whether there is a route (" + e.facts.RoutesPartial + ")"
		return e.varyingSet(fmt.Sprintf("%s, to the source: %v", text, source), text)
	}
	s := e.addrs(bits, e.facts.Local)
	for _, r := range e.byInterface(bits) {
		s = s.Or(r.dst)
	}
	return s.Not()
}

// routeSet is the destinations that are routed out of one interface.
type routeSet struct {
	name string
	dst  packet.Set
}

// byInterface splits the packets by the interface that the kernel would send
// them out of, by the longest prefix and then the least metric. Routes of equal
// rank (multipath) give an address to each of their interfaces.
func (e *Engine) byInterface(bits []packet.Set) []routeSet {
	routes := slices.DeleteFunc(slices.Clone(e.facts.Routes), func(r Route) bool {
		return r.Dst.Addr().Is4() != (e.family == IPv4)
	})
	slices.SortStableFunc(routes, func(a, b Route) int {
		if a.Dst.Bits() != b.Dst.Bits() {
			return b.Dst.Bits() - a.Dst.Bits()
		}
		return int(int64(a.Metric) - int64(b.Metric))
	})
	var out []routeSet
	taken := e.space.None()
	for i := 0; i < len(routes); {
		j := i
		done := taken
		for ; j < len(routes) && routes[j].Dst.Bits() == routes[i].Dst.Bits() && routes[j].Metric == routes[i].Metric; j++ {
			s := e.addrs(bits, []netip.Prefix{routes[j].Dst})
			done = done.Or(s)
			if s = s.Minus(taken); !routes[j].Refuse && !s.Empty() {
				out = addRoute(out, routes[j].Interface, s)
			}
		}
		taken, i = done, j
	}
	return out
}

func addRoute(out []routeSet, name string, s packet.Set) []routeSet {
	for k := range out {
		if out[k].name == name {
			out[k].dst = out[k].dst.Or(s)
			return out
		}
	}
	return append(out, routeSet{name, s})
}

// leaving returns the packets that routing sends out of the interface that the
// packet's OutInterface names: the relation between destination and interface.
func (e *Engine) leaving(v *env) packet.Set {
	s := e.space.None()
	for _, r := range e.byInterface(e.dstBits(v)) {
		s = s.Or(r.dst.And(e.ifaceSet(Interface{Out: true, Name: r.name})))
	}
	if e.facts.RoutesPartial == "" {
		return s
	}
	// Where rules choose among routing tables, a packet may leave by any
	// interface, but by one.
	text := "by which interface the packet leaves (" + e.facts.RoutesPartial + ")"
	elsewhere := e.varyingSet(text, text)
	any, other := e.space.None(), e.space.All()
	for _, i := range e.facts.Interfaces {
		by := other.And(e.varyingSet(text+" "+i.Name, text))
		any = any.Or(by.And(e.ifaceSet(Interface{Out: true, Name: i.Name})))
		other = other.Minus(by)
	}
	return e.space.If(elsewhere, any, s)
}

// reversePath returns the packets to whose source the kernel has a route, out of
// the interface they came by unless loose (nft_fib, xt_rpfilter).
func (e *Engine) reversePath(v *env, c ReversePath) packet.Set {
	sp := e.space
	if !e.facts.Known || e.facts.RoutesPartial != "" {
		text := "the route back to the source"
		if c.Loose {
			text = "whether there is a route back to the source"
		}
		return e.varyingSet(fmt.Sprintf("%s, local: %v", text, c.AcceptLocal), text)
	}
	bits := e.srcBits(v)
	s := sp.None()
	for _, r := range e.byInterface(bits) {
		if c.Loose {
			s = s.Or(r.dst)
		} else {
			s = s.Or(r.dst.And(e.ifaceSet(Interface{Name: r.name})))
		}
	}
	local := e.addrs(bits, e.facts.Local)
	if c.AcceptLocal {
		s = s.Or(local)
	} else {
		s = s.Minus(local)
	}
	// Packets of the loopback interface, of no address yet (DHCP) and, in IPv6,
	// of the link itself have their route by where they are.
	for _, i := range e.facts.Interfaces {
		if i.Loopback {
			s = s.Or(e.ifaceSet(Interface{Name: i.Name}))
		}
	}
	if e.family == IPv4 {
		unset := e.addrs(bits, []netip.Prefix{zeroNet})
		return s.Or(unset.And(e.addrs(e.dstBits(v), []netip.Prefix{everyone, netip.MustParsePrefix("224.0.0.0/24")})))
	}
	return s.Or(e.addrs(bits, []netip.Prefix{linkLocal6}))
}
