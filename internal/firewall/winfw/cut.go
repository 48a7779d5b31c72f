package winfw

import (
	"fmt"
	"net/netip"
	"slices"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// Addresses that only packets over loopback have, which is not filtered.
var (
	nobody4 = packet.AddrRange{Lo: netip.AddrFrom4([4]byte{127, 0, 0, 1}), Hi: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	nobody6 = packet.AddrRange{Lo: netip.IPv6Loopback(), Hi: netip.IPv6Loopback()}
)

// maxPieces is how many rules a rule of the policy may become before a block rule
// is preferred.
const maxPieces = 48

// piece is a rule to be, with addresses of both families.
type piece struct {
	Rule
	local, remote Addresses
	origin        acl.Origin
}

// refusal is what a rule of the list drops.
type refusal struct {
	whole  []both // all that the rule is about
	parts  []both // what no rule before it has decided
	origin acl.Origin
	// blocked is true once a block rule says so.
	blocked bool
}

// both is a set of packets of each family.
type both [2]packet.Set

// cutter cuts the rules of one direction into pieces, for both families at once.
type cutter struct {
	dir      Direction
	spaces   [2]*packet.Space
	accepted both // by the rules so far
	dropped  both
	refused  []refusal
	out      []piece
	// bad is what could not be said; open is true where a refusal is among it.
	bad  acl.UnsupportedList
	open bool
}

// others stands for interfaces that the list does not name.
const others = ":other"

func newCutter(dir Direction, rules []acl.Rule) *cutter {
	names := []string{others}
	for _, r := range rules {
		for _, i := range allInterfaces(&r) {
			if i != "lo" {
				names = append(names, string(i))
			}
		}
	}
	c := &cutter{dir: dir}
	for i, f := range []packet.Family{packet.V4, packet.V6} {
		c.spaces[i] = packet.NewSpace(packet.Config{Family: f, Interfaces: names, MaxNodes: 8_000_000})
	}
	return c
}

// do runs f inside of both spaces.
func (c *cutter) do(f func() error) error {
	return c.spaces[0].Do(func() error {
		return c.spaces[1].Do(func() error {
			c.accepted, c.dropped = c.union(nil), c.union(nil)
			return f()
		})
	})
}

// rule takes one rule; what it cannot say it returns.
func (c *cutter) rule(r *acl.Rule, rest acl.Action) string {
	whole := c.parts(r)
	parts := minus(whole, c.dropped) // no rule before has refused that
	switch {
	case r.Action == acl.Drop:
		mine := minus(whole, c.accepted)
		c.refused = append(c.refused, refusal{whole: whole, parts: mine, origin: r.Origin})
		c.dropped = c.union(append(mine, c.dropped))
		if rest == acl.Drop {
			return ""
		}
		last := len(c.refused) - 1
		what := c.block(last)
		if what != "" { // more can be refused than is asked, but not less
			c.refused[last].parts = whole
			c.open = c.block(last) != ""
		}
		return what
	case rest == acl.Drop:
		if what := c.allow(r, whole, parts); what != "" {
			return what
		}
	}
	c.accepted = c.union(append(parts, c.accepted))
	return ""
}

// allow writes allow rules for a whole, of which parts have not been refused. That
// they overlap with earlier ones is no matter; that they keep clear of refusals is,
// or that the refusals are block rules. First without any new block rule, then with
// those that are short, then with all.
func (c *cutter) allow(r *acl.Rule, whole, parts []both) string {
	if within(c.union(parts), c.accepted) {
		return "" // said already
	}
	what := ""
	for _, short := range []int{0, 8, 1 << 30} {
		c.blockShort(whole, short)
		var pieces []piece
		pieces, what = c.pieces(c.clear(whole), Allow, r.Origin)
		if what == "" && (weight(pieces) <= maxPieces || short > 8) {
			c.out = append(c.out, pieces...)
			return ""
		}
	}
	return what
}

// weight is how long pieces are: long lists of addresses count as more.
func weight(ps []piece) int {
	n := 0
	for _, p := range ps {
		n += 1 + (len(p.local.V4)+len(p.local.V6)+len(p.remote.V4)+len(p.remote.V6))/32
	}
	return n
}

// blockShort makes block rules of the refusals that a whole meets, where they need
// no more pieces than that.
func (c *cutter) blockShort(whole []both, most int) {
	all := c.union(whole)
	for i := range c.refused {
		d := &c.refused[i]
		if not := c.union(d.parts); most == 0 || d.blocked || !not[0].Overlaps(all[0]) && !not[1].Overlaps(all[1]) {
			continue
		}
		if pieces, what := c.pieces(d.parts, Block, d.origin); what == "" && weight(pieces) <= most {
			d.blocked = true
			c.out = append(c.out, pieces...)
		}
	}
}

// clear is a whole without what has been refused and is not blocked. Where a rule
// that refuses was about more, but that has been accepted before, the whole keeps
// clear of all that the rule was about: that has fewer corners.
func (c *cutter) clear(whole []both) []both {
	var about, refused []both
	for _, d := range c.refused {
		if !d.blocked {
			about, refused = append(about, d.whole...), append(refused, d.parts...)
		}
	}
	wide, exact := minus(whole, c.union(about)), minus(whole, c.union(refused))
	if within(c.union(minus(exact, c.union(wide))), c.accepted) {
		return wide
	}
	return exact
}

// within tells whether a is part of b, for both families.
func within(a, b both) bool { return a[0].SubsetOf(b[0]) && a[1].SubsetOf(b[1]) }

// union is what is in any of the parts.
func (c *cutter) union(parts []both) both {
	u := both{c.spaces[0].None(), c.spaces[1].None()}
	for _, p := range parts {
		u = both{u[0].Or(p[0]), u[1].Or(p[1])}
	}
	return u
}

func minus(parts []both, b both) []both {
	out := make([]both, len(parts))
	for i, p := range parts {
		out[i] = both{p[0].Minus(b[0]), p[1].Minus(b[1])}
	}
	return out
}

// block writes a refusal as block rules.
func (c *cutter) block(d int) string {
	if c.refused[d].blocked {
		return ""
	}
	pieces, what := c.pieces(c.refused[d].parts, Block, c.refused[d].origin)
	if what != "" {
		return what
	}
	c.refused[d].blocked = true
	c.out = append(c.out, pieces...)
	return ""
}

// pieces cuts parts into boxes.
func (c *cutter) pieces(parts []both, action Action, o acl.Origin) ([]piece, string) {
	var out []piece
	for _, p := range parts {
		pieces, what := c.cut(p, action, o)
		if what != "" {
			return nil, what
		}
		out = append(out, pieces...)
	}
	return out, ""
}

// cut cuts a set of each family into boxes, and joins a box of IPv4 with one of
// IPv6 that differs from it by its addresses alone.
func (c *cutter) cut(sets both, action Action, o acl.Origin) ([]piece, string) {
	var out []piece
	at := map[string][]int{} // of IPv4, by everything but addresses
	for i, s := range sets {
		boxes, _ := s.Boxes(0)
		for _, b := range boxes {
			cut, what := c.box(b.Set(), i)
			if what != "" {
				return nil, what
			}
			for _, p := range cut {
				p.Action, p.origin = action, o
				key := fmt.Sprint(p.Protocol, p.LocalPorts, p.RemotePorts, p.ICMP, p.Interfaces)
				if open := at[key]; i == 1 && len(open) > 0 {
					q := &out[open[0]]
					q.local.V6, q.remote.V6 = p.local.V6, p.remote.V6
					at[key] = open[1:]
					continue
				} else if i == 0 {
					at[key] = append(open, len(out))
				}
				out = append(out, p)
			}
		}
	}
	for i := range out {
		out[i].simplify()
	}
	return out, ""
}

// simplify leaves out conditions that hold for every address. Where a piece is
// about one family alone, its remote addresses say so.
func (p *piece) simplify() {
	if all(p.remote.V4) && all(p.remote.V6) {
		p.remote = Addresses{}
	}
	if (all(p.local.V4) || len(p.local.V4) == 0) && (all(p.local.V6) || len(p.local.V6) == 0) {
		p.local = Addresses{}
	}
}

func all(rs []packet.AddrRange) bool {
	if len(rs) != 1 {
		return false
	}
	p := netip.PrefixFrom(rs[0].Lo, 0)
	return rs[0].Lo == p.Masked().Addr() && rs[0].Hi == last(p.Masked())
}

// box makes one box into pieces, one for each protocol.
func (c *cutter) box(b packet.Set, family int) ([]piece, string) {
	in, local, remote := packet.InInterface, packet.Dst, packet.Src
	localPort, remotePort := packet.DstPort, packet.SrcPort
	if c.dir == Out {
		in, local, remote, localPort, remotePort = packet.OutInterface, remote, local, remotePort, localPort
	}
	base := piece{}
	put := func(a *Addresses, rs []packet.AddrRange) {
		if family == 0 {
			a.V4 = rs
		} else {
			a.V6 = rs
		}
	}
	put(&base.local, b.AddrRanges(local))
	put(&base.remote, b.AddrRanges(remote))
	if names := b.InterfaceNames(in); len(names) < len(c.spaces[family].InterfaceNames()) {
		if slices.Contains(names, others) {
			return nil, "every interface but some"
		}
		base.Interfaces = names
	}
	ports := func(f packet.Field) []packet.Range {
		rs := b.Ranges(f)
		if len(rs) == 1 && rs[0].Lo == 0 && rs[0].Hi == 0xffff {
			return nil
		}
		return rs
	}
	lp, rp := ports(localPort), ports(remotePort)
	protocols := b.Ranges(packet.Protocol)
	if len(protocols) == 1 && protocols[0].Lo == 0 && protocols[0].Hi == 255 && len(lp)+len(rp) == 0 {
		base.Protocol = AnyProtocol
		return []piece{base}, ""
	}
	var out []piece
	for _, pr := range protocols {
		for n := pr.Lo; n <= pr.Hi; n++ {
			if n == 58 && family == 0 || n == 1 && family == 1 {
				continue // ICMP of the other family, which nobody takes
			}
			p := base
			p.Protocol = int(n)
			switch {
			case n == 6 || n == 17:
				p.LocalPorts, p.RemotePorts = lp, rp
			case n == 1 || n == 58:
				var what string
				if p.ICMP, what = icmpTypes(b); what != "" {
					return nil, what
				}
			case len(lp)+len(rp) > 0:
				return nil, fmt.Sprintf("ports of protocol %d", n)
			}
			out = append(out, p)
		}
	}
	return out, ""
}

// icmpTypes are the types and codes of a box, each type with one or with all codes.
func icmpTypes(b packet.Set) ([]packet.Range, string) {
	if rs := b.Ranges(packet.DstPort); len(rs) != 1 || rs[0].Lo != 0 || rs[0].Hi != 0xffff {
		return nil, "the checksum of ICMP"
	}
	rs := b.Ranges(packet.SrcPort)
	if len(rs) == 1 && rs[0].Lo == 0 && rs[0].Hi == 0xffff {
		return nil, ""
	}
	var out []packet.Range
	for _, r := range rs {
		for n := r.Lo; n <= r.Hi; {
			if n&0xff == 0 && r.Hi-n >= 0xff {
				out = append(out, packet.Range{Lo: n, Hi: n | 0xff})
				n += 0x100
				continue
			}
			out = append(out, packet.Range{Lo: n, Hi: n})
			n++
		}
	}
	return out, ""
}

// parts returns the packets that a rule is about, one part for each pair of peers
// and so without a condition that only some of them have.
func (c *cutter) parts(r *acl.Rule) []both {
	var out []both
	for _, from := range alternatives(r.From) {
		for _, to := range alternatives(r.To) {
			var b both
			for i, sp := range c.spaces {
				b[i] = c.services(sp, r.Services).And(c.peers(sp, from, packet.Src, packet.InInterface)).And(c.peers(sp, to, packet.Dst, packet.OutInterface))
				if len(r.In) > 0 {
					b[i] = b[i].And(c.named(sp, packet.InInterface, r.In))
				}
				if len(r.Out) > 0 {
					b[i] = b[i].And(c.named(sp, packet.OutInterface, r.Out))
				}
			}
			out = append(out, b)
		}
	}
	return out
}

// alternatives are the peers one by one, or none where there are none.
func alternatives(ps []acl.Peer) [][]acl.Peer {
	if len(ps) == 0 {
		return [][]acl.Peer{nil}
	}
	var out [][]acl.Peer
	for i := range ps {
		out = append(out, ps[i:i+1])
	}
	return out
}

func (c *cutter) services(sp *packet.Space, ss []acl.Service) packet.Set {
	if len(ss) == 0 {
		return sp.All()
	}
	s := sp.None()
	for _, v := range ss {
		if v.Family != 0 && v.Family != sp.Family() {
			continue
		}
		if v.Any {
			return sp.All()
		}
		one := sp.Values(packet.Protocol, packet.Range{Lo: uint64(v.Protocol), Hi: uint64(v.Protocol)})
		if v.Lo != 0 || v.Hi != 0xffff {
			field := packet.DstPort
			if v.Protocol == 1 || v.Protocol == 58 {
				field = packet.SrcPort
			}
			one = one.And(sp.Values(field, packet.Range{Lo: uint64(v.Lo), Hi: uint64(v.Hi)}))
		}
		if v.SrcLo != 0 || v.SrcHi != 0 {
			one = one.And(sp.Values(packet.SrcPort, packet.Range{Lo: uint64(v.SrcLo), Hi: uint64(v.SrcHi)}))
		}
		s = s.Or(one)
	}
	return s
}

func (c *cutter) named(sp *packet.Space, f packet.Field, is []acl.Interface) packet.Set {
	return sp.Interfaces(f, func(name string) bool { return slices.Contains(is, acl.Interface(name)) })
}

func (c *cutter) peers(sp *packet.Space, ps []acl.Peer, addr, iface packet.Field) packet.Set {
	if len(ps) == 0 {
		return sp.All()
	}
	s := sp.None()
	for _, p := range ps {
		one := sp.All()
		if len(p.Interfaces) > 0 {
			one = c.named(sp, iface, p.Interfaces)
		}
		if p.Addresses != nil {
			one = one.And(sp.Addresses(addr, p.Addresses.Ranges...))
		}
		s = s.Or(one)
	}
	return s
}
