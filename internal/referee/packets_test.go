//go:build linux

package referee

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// pools are the constants of a ruleset, near which packets are drawn.
type pools struct {
	v4, v6  []netip.Prefix
	ports   []uint16
	numbers []uint8 // time to live, DSCP, ICMP types
	macs    [][6]byte
}

var (
	addr4Re = regexp.MustCompile(`\b(\d{1,3}(?:\.\d{1,3}){3})(?:/(\d{1,2})\b)?`)
	addr6Re = regexp.MustCompile(`(?i)\b([0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?:/(\d{1,3})\b)?`)
	macRe   = regexp.MustCompile(`(?i)\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b`)
	portRe  = regexp.MustCompile(`\b\d{1,5}\b`)
)

// constants reads the pools out of a ruleset's text.
func constants(text string) pools {
	var p pools
	add := func(m []string, bits int) {
		a, err := netip.ParseAddr(m[1])
		if err != nil {
			return
		}
		if n, err := strconv.Atoi(m[2]); err == nil && n <= bits {
			bits = n
		}
		pre := netip.PrefixFrom(a, bits).Masked()
		if a.Is4() && !slices.Contains(p.v4, pre) {
			p.v4 = append(p.v4, pre)
		} else if a.Is6() && !slices.Contains(p.v6, pre) {
			p.v6 = append(p.v6, pre)
		}
	}
	for _, m := range macRe.FindAllString(text, -1) {
		if hw, err := net.ParseMAC(m); err == nil && hw[0]&1 == 0 {
			p.macs = append(p.macs, [6]byte(hw))
		}
	}
	text = macRe.ReplaceAllString(text, "")
	for _, m := range addr4Re.FindAllStringSubmatch(text, -1) {
		add(m, 32)
	}
	for _, m := range addr6Re.FindAllStringSubmatch(text, -1) {
		add(m, 128)
	}
	for _, m := range portRe.FindAllString(addr4Re.ReplaceAllString(text, ""), -1) {
		n, err := strconv.ParseUint(m, 10, 16)
		if err != nil || n == 0 {
			continue
		}
		p.ports = append(p.ports, uint16(n))
		if n < 256 {
			p.numbers = append(p.numbers, uint8(n))
		}
	}
	slices.Sort(p.ports)
	p.ports = slices.Compact(p.ports)
	slices.Sort(p.numbers)
	p.numbers = slices.Compact(p.numbers)
	return p
}

func one[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// near is an address in a prefix, at its ends, or just outside.
func near(r *rand.Rand, p netip.Prefix) netip.Addr {
	first := p.Masked().Addr()
	b := first.AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	last, _ := netip.AddrFromSlice(b)
	switch r.IntN(6) {
	case 0:
		return first
	case 1:
		return last
	case 2:
		if first.Prev().IsValid() {
			return first.Prev()
		}
	case 3:
		if last.Next().IsValid() {
			return last.Next()
		}
	}
	b = first.AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		if r.IntN(2) == 0 {
			b[i/8] |= 1 << (7 - i%8)
		}
	}
	inside, _ := netip.AddrFromSlice(b)
	return inside
}

var (
	specials = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("224.0.0.0/3"),
		netip.MustParsePrefix("::/8"), netip.MustParsePrefix("fe00::/7"),
	}
	groups = []netip.Addr{
		netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("ff02::1"),
	}
)

// ordinary reports whether an address is one that routing takes from a wire as a
// source or a unicast destination: what routing refuses says nothing about rules.
func (w *world) ordinary(a netip.Addr) bool {
	for _, p := range specials {
		if p.Contains(a) {
			return false
		}
	}
	for _, l := range w.links {
		for _, p := range []netip.Prefix{l.v4, l.v6} {
			if p.Contains(a) && (a == nth(p, 0) || a == nth(p, 255) && a.Is4()) {
				return false
			}
		}
	}
	return true
}

// source is an address that a packet on link l may come from.
func (w *world) source(r *rand.Rand, p pools, l *link, v6 bool) netip.Addr {
	for {
		var a netip.Addr
		switch k := r.IntN(10); {
		case k < 3:
			a = near(r, l.network(v6))
		case k < 4:
			a = near(r, w.links[r.IntN(len(w.links))].network(v6))
		case k < 5:
			a = near(r, remoteOf(v6))
		case k < 9:
			a = p.address(r, v6)
		default:
			a = near(r, anyOf(v6))
		}
		if w.ordinary(a) && !w.own(a) {
			return a
		}
	}
}

func (w *world) destination(r *rand.Rand, p pools, v6 bool) netip.Addr {
	for {
		var a netip.Addr
		switch k := r.IntN(20); {
		case k < 10:
			return w.links[r.IntN(len(w.links))].network(v6).Addr()
		case k < 13:
			a = near(r, w.links[r.IntN(len(w.links))].network(v6))
		case k < 15:
			a = near(r, remoteOf(v6))
		case k < 19:
			a = p.address(r, v6)
		default:
			a = one(r, groups...)
			if a.Is6() == v6 {
				return a
			}
		}
		if w.ordinary(a) {
			return a
		}
	}
}

func (l *link) network(v6 bool) netip.Prefix {
	if v6 {
		return l.v6
	}
	return l.v4
}

func remoteOf(v6 bool) netip.Prefix {
	if v6 {
		return remote[1]
	}
	return remote[0]
}

func anyOf(v6 bool) netip.Prefix {
	if v6 {
		return netip.MustParsePrefix("2000::/3")
	}
	return netip.MustParsePrefix("0.0.0.0/0")
}

func (p *pools) address(r *rand.Rand, v6 bool) netip.Addr {
	from := p.v4
	if v6 {
		from = p.v6
	}
	if len(from) == 0 {
		return near(r, anyOf(v6))
	}
	return near(r, from[r.IntN(len(from))])
}

func (p *pools) port(r *rand.Rand) uint16 {
	if len(p.ports) == 0 || r.IntN(8) == 0 {
		return uint16(r.UintN(1 << 16))
	}
	n := p.ports[r.IntN(len(p.ports))]
	return n + uint16(one(r, 0, 0, 0, 1, -1))
}

func (p *pools) number(r *rand.Rand, usual uint8) uint8 {
	if len(p.numbers) == 0 || r.IntN(2) == 0 {
		return usual
	}
	return p.numbers[r.IntN(len(p.numbers))] + uint8(one(r, 0, 0, 1, -1))
}

// packets draws n packets, each with an identification of its own: 60,000 at most.
func (w *world) packets(r *rand.Rand, n int, p pools) []probe {
	out := make([]probe, 0, n)
	met := map[*tuple]bool{}
	for i := range n {
		v6 := r.IntN(2) == 0
		if w.only != 0 && r.IntN(10) > 0 {
			v6 = w.only == 6
		}
		var x probe
		for {
			x = w.packet(r, p, v6)
			if w.marks && x.flow != nil && met[x.flow] {
				continue // what one packet does to the connection's mark, the next would see
			}
			met[x.flow] = true
			if x.flow != nil || !w.known[tupleKey{x.proto, x.src, x.dst, x.sport, x.dport}] {
				break
			}
		}
		x.id = uint32(1000 + i)
		x.to = w.link(x.in).mac
		x.ttl = max(x.ttl, 2)
		out = append(out, x)
	}
	return out
}

func (w *world) packet(r *rand.Rand, p pools, v6 bool) probe {
	x := probe{ttl: p.number(r, 64), size: r.IntN(3) * r.IntN(60), mac: [6]byte{2, 0, 0, 0, 0, 1}}
	if r.IntN(3) == 0 {
		x.tos = p.number(r, 0) << 2
	}
	if len(p.macs) > 0 && r.IntN(2) == 0 {
		x.mac = p.macs[r.IntN(len(p.macs))]
	}
	if !v6 && r.IntN(2) == 0 {
		x.frag = 0x4000
	}
	if len(w.tuples) > 0 && r.IntN(6) == 0 && w.ofConnection(r, p, &x, v6) {
		return x
	}
	l := &w.links[r.IntN(len(w.links))]
	x.in = l.name
	x.src, x.dst = w.source(r, p, l, v6), w.destination(r, p, v6)
	x.sport, x.dport = p.port(r), p.port(r)
	if r.IntN(2) == 0 {
		x.sport = uint16(1024 + r.UintN(59000))
	}
	x.proto = one(r, tcp, tcp, tcp, tcp, tcp, udp, udp, udp, icmp, icmp, one[uint8](r, gre, esp, sctp))
	w.special(r, &x)
	switch x.proto {
	case tcp:
		x.flags = one(r, synBit, synBit, synBit, ackBit, ackBit|8, synBit|ackBit, rstBit, finBit|ackBit, synBit|urgBit, 0, uint8(r.UintN(256)))
	case icmp:
		x.icmp(r, p)
	}
	return x
}

// special makes a few packets fragments, where nothing puts them together before
// rules see them, and gives a few of IPv6 an extension header.
func (w *world) special(r *rand.Rand, x *probe) {
	if r.IntN(12) > 0 {
		return
	}
	// In units of eight bytes. 1 is left out: matches of x_tables on TCP drop that
	// fragment at sight (tcp_mt).
	offset := one[uint16](r, 0, 2, 8, 185)
	switch {
	case x.dst.Is6():
		x.extended, x.ext = true, one[uint8](r, 0, 60)
		if w.fragments && r.IntN(2) == 0 {
			x.ext, x.frag = 44, offset<<3|one[uint16](r, 0, 1)
		}
	case w.fragments && !w.here(x.dst):
		x.frag = offset | 0x2000
	}
}

// here reports whether IPv4 packets to an address are put together (ip_local_deliver)
// before the input hook.
func (w *world) here(a netip.Addr) bool { return w.own(a) || !w.ordinary(a) }

// icmp makes the packet an ICMP message of the family.
func (x *probe) icmp(r *rand.Rand, p pools) {
	kind := one[uint8](r, 8, 8, 0, 3, 5, 11, 12, 13, 14, 15, 17, 30, p.number(r, 8))
	if !x.dst.Is4() {
		x.proto = icmp6
		kind = one[uint8](r, 128, 128, 129, 1, 2, 3, 4, 130, 131, 132, 133, 134, 135, 136, 137, 139, 143, 200, p.number(r, 128))
	}
	x.sport = uint16(kind) << 8
	if r.IntN(3) == 0 {
		x.sport |= uint16(p.number(r, 4) & 15)
	}
}

// ofConnection makes the packet one of an established connection, or an ICMP
// error about one.
func (w *world) ofConnection(r *rand.Rand, p pools, x *probe, v6 bool) bool {
	u := w.tuples[r.IntN(len(w.tuples))]
	if u.src.Is6() != v6 {
		return false
	}
	x.flow, x.proto = u, u.proto
	if r.IntN(5) == 0 {
		w.errorAbout(r, p, x)
		return true
	}
	x.in, x.src, x.dst, x.sport, x.dport = u.in, u.src, u.dst, u.sport, u.dport
	if u.in == "" || u.replyIn != "" && r.IntN(2) == 0 {
		x.reply = true
		x.in, x.src, x.dst, x.sport, x.dport = u.replyIn, u.dst, u.src, u.dport, u.sport
	}
	if u.proto == tcp {
		x.flags = one[uint8](r, ackBit, ackBit, ackBit|8, ackBit|urgBit)
		if !x.reply && r.IntN(6) == 0 {
			x.flags = synBit // ignored, but still part of the connection
		}
	}
	return true
}

// errorAbout makes the packet an ICMP error about a packet of its connection,
// sent to the sender of that one.
func (w *world) errorAbout(r *rand.Rand, p pools, x *probe) {
	u := x.flow
	q := probe{src: u.src, dst: u.dst, proto: u.proto, sport: u.sport, dport: u.dport, flags: ackBit, ttl: 60}
	if r.IntN(2) == 0 {
		x.reply = true
		q.src, q.dst, q.sport, q.dport = u.dst, u.src, u.dport, u.sport
	}
	l := &w.links[r.IntN(len(w.links))]
	x.quote, x.in, x.dst, x.size, x.flags = &q, l.name, q.src, 0, 0
	x.src = w.source(r, p, l, q.src.Is6())
	x.proto = icmp
	x.sport = one[uint16](r, 3<<8, 3<<8|3, 11<<8, 12<<8)
	if q.src.Is6() {
		x.proto = icmp6
		x.sport = one[uint16](r, 1<<8, 1<<8|4, 2<<8, 3<<8)
	}
}

// lines counts the rules of a text, for reports.
func lines(text string) int { return strings.Count(text, "\n") }
