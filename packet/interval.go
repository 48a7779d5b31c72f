package packet

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sort"
)

// Interval is a range of big-endian numbers, both ends included. With Lo above
// Hi it is empty.
type Interval struct{ Lo, Hi []byte }

// Range is a range of numbers, both ends included.
type Range struct{ Lo, Hi uint64 }

// AddrRange is a range of addresses of one family, both ends included.
type AddrRange struct{ Lo, Hi netip.Addr }

// span is a range of numbers and the function that holds below it.
type span struct {
	lo, hi u128
	leaf   ref
}

func compareU128(a, b u128) int {
	if c := cmp.Compare(a.hi, b.hi); c != 0 {
		return c
	}
	return cmp.Compare(a.lo, b.lo)
}

func compareSpans(a, b span) int {
	if c := compareU128(a.lo, b.lo); c != 0 {
		return c
	}
	return compareU128(a.hi, b.hi)
}

// union sorts and joins spans that all lead to the same function.
func union(spans []span) []span {
	if !slices.IsSortedFunc(spans, compareSpans) {
		slices.SortFunc(spans, compareSpans)
	}
	n := 0
	for _, s := range spans {
		if n > 0 && !spans[n-1].hi.less(s.lo) {
			if spans[n-1].hi.less(s.hi) {
				spans[n-1].hi = s.hi
			}
			continue
		}
		spans[n] = s
		n++
	}
	return spans[:n]
}

// builder makes "the number formed by bits lies in a span, and its leaf holds".
type builder struct {
	sp    *Space
	bits  []ref
	level []level // of the bits
	plain bool    // the bits are variables in ascending order, above all leaves
}

func (sp *Space) builder(bits []ref, leaves level) *builder {
	b := &builder{sp: sp, bits: bits, plain: true}
	last := -1
	for _, f := range bits {
		n := sp.graph.nodes[f>>1]
		b.plain = b.plain && f > one && f&1 == 0 && n.lo == zero && n.hi == one && int(n.level) > last && n.level < leaves
		last = int(n.level)
		b.level = append(b.level, n.level)
	}
	return b
}

// split returns "if bit i then hi else lo". Plain ascending variables above all
// leaves need no search for their place.
func (b *builder) split(i int, lo, hi ref) ref {
	if b.plain {
		return b.sp.graph.make(b.level[i], lo, hi)
	}
	return b.sp.graph.ite(b.bits[i], hi, lo)
}

// build looks at the numbers that share their bits before i. The spans are
// sorted and disjoint, and all meet that block; under and over tell that the
// first begins before it and that the last ends behind it. Each span is split at
// most twice a bit, so the work is linear in the number of spans.
func (b *builder) build(i int, spans []span, under, over bool) ref {
	if len(spans) == 0 {
		return zero
	}
	left := len(b.bits) - i
	if len(spans) == 1 {
		s := &spans[0]
		if (under || s.lo.trailingZeros() >= left) && (over || s.hi.not().trailingZeros() >= left) {
			return s.leaf
		}
	}
	bit, last := left-1, len(spans)-1
	// The first span that ends in the upper half.
	m := sort.Search(len(spans), func(k int) bool { return k == last && over || spans[k].hi.bit(bit) })
	both := m <= last && (m == 0 && under || !spans[m].lo.bit(bit))
	lower := spans[:m]
	if both {
		lower = spans[:m+1]
	}
	lo := b.build(i+1, lower, under, both)
	hi := b.build(i+1, spans[m:], both, over)
	return b.split(i, lo, hi)
}

// numbers returns the packets in which the number formed by bits, at most 128
// of them, lies in one of the spans, and the span's leaf holds. The spans are
// sorted and disjoint.
func (sp *Space) numbers(bits []ref, spans []span) ref {
	top := level(bottom)
	for i := range spans {
		top = min(top, sp.graph.level(spans[i].leaf))
	}
	return sp.builder(bits, top).build(0, spans, false, false)
}

// clip keeps what of the range fits into width bits.
func clip(lo, hi u128, width int) (span, bool) {
	limit := ones(width)
	if limit.less(hi) {
		hi = limit
	}
	return span{lo, hi, one}, !hi.less(lo)
}

// Between returns the packets in which the number formed by bits, the most
// significant first, lies in one of the intervals. The bits may be any sets:
// plain header bits, constants, complements, results of other operations. The
// ends of the intervals have ceil(len(bits)/8) bytes and are right-aligned.
// Intervals may overlap and stand in any order. For the bits of one field, in
// order, the work is linear in the number of intervals once they are sorted.
func (sp *Space) Between(bits []Set, ivs []Interval) Set {
	if len(ivs) == 1 {
		if f, ok := sp.block(bits, ivs[0]); ok {
			return Set{sp, f}
		}
	}
	elems := make([][]Interval, len(ivs))
	for i := range ivs {
		elems[i] = ivs[i : i+1]
	}
	return sp.Tuples([][]Set{bits}, elems)
}

// block is Between for one interval that fixes the first bits and leaves the rest
// open: a value or a prefix, as most rules have. It is false for any other.
func (sp *Space) block(bits []Set, iv Interval) (ref, bool) {
	size := (len(bits) + 7) / 8
	if len(iv.Lo) != size || len(iv.Hi) != size {
		return zero, false
	}
	spare := 8*size - len(bits)
	at := func(b []byte, i int) byte { return b[(spare+i)/8] >> (7 - (spare+i)%8) & 1 }
	for i := range spare {
		if (iv.Lo[0]|iv.Hi[0])>>(7-i)&1 != 0 {
			return zero, false
		}
	}
	fixed := 0
	for fixed < len(bits) && at(iv.Lo, fixed) == at(iv.Hi, fixed) {
		fixed++
	}
	for i := fixed; i < len(bits); i++ {
		if at(iv.Lo, i) != 0 || at(iv.Hi, i) != 1 {
			return zero, false
		}
	}
	// From the last bit up: plain header bits then stack on each other.
	f := one
	for i := fixed - 1; i >= 0; i-- {
		bit := sp.own(bits[i])
		if at(iv.Lo, i) == 0 {
			bit ^= 1
		}
		f = sp.graph.stack(bit, f)
	}
	return f, true
}

// stack is and for a literal a above everything in b, and for anything else.
func (g *graph) stack(a, b ref) ref {
	n := g.nodes[a>>1]
	if n.lo != zero || n.hi != one || n.level >= g.level(b) {
		return g.and(a, b)
	}
	if a&1 != 0 {
		return g.make(n.level, b, zero)
	}
	return g.make(n.level, zero, b)
}

// Values returns the packets whose field f, of at most 64 bits, lies in one of
// the ranges. Numbers that do not fit into the field contribute nothing.
func (sp *Space) Values(f Field, rs ...Range) Set {
	v := sp.field(f)
	if v.width > 64 {
		panic(fmt.Sprintf("packet: Values of a field of %d bits, at most 64 are possible", v.width))
	}
	spans := make([]span, 0, len(rs))
	for _, r := range rs {
		if s, ok := clip(u128{0, r.Lo}, u128{0, r.Hi}, v.width); ok {
			spans = append(spans, s)
		}
	}
	return Set{sp, sp.numbers(sp.refs(f), union(spans))}
}

// Addresses returns the packets whose field f, Src or Dst, lies in one of the
// ranges. Ranges of the other family, or from one family to the other,
// contribute nothing; an IPv4-mapped IPv6 address counts as IPv6.
func (sp *Space) Addresses(f Field, rs ...AddrRange) Set {
	spans := make([]span, 0, len(rs))
	for _, r := range rs {
		lo, ok := sp.number(r.Lo)
		hi, ok2 := sp.number(r.Hi)
		if ok && ok2 && !hi.less(lo) {
			spans = append(spans, span{lo, hi, one})
		}
	}
	return sp.addresses(f, spans)
}

// Prefixes is [Space.Addresses] for prefixes. Host bits are ignored, as nft and
// iptables do; an invalid prefix contributes nothing.
func (sp *Space) Prefixes(f Field, ps ...netip.Prefix) Set {
	spans := make([]span, 0, len(ps))
	for _, p := range ps {
		lo, ok := sp.number(p.Addr())
		if !ok || !p.IsValid() {
			continue
		}
		host := ones(sp.family.addressBits() - p.Bits())
		spans = append(spans, span{lo.and(host.not()), lo.or(host), one})
	}
	return sp.addresses(f, spans)
}

func (sp *Space) addresses(f Field, spans []span) Set {
	sp.needAddress(f)
	return Set{sp, sp.numbers(sp.refs(f), union(spans))}
}

// number returns an address of the space's family as a number.
func (sp *Space) number(a netip.Addr) (u128, bool) {
	switch {
	case a.Is4() && sp.family == V4:
		b := a.As4()
		return u128{0, uint64(binary.BigEndian.Uint32(b[:]))}, true
	case a.Is6() && sp.family == V6:
		b := a.As16()
		return u128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}, true
	}
	return u128{}, false
}

// address is the inverse of number.
func (sp *Space) address(n u128) netip.Addr {
	if sp.family == V4 {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(n.lo))))
	}
	return netip.AddrFrom16([16]byte(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, n.hi), n.lo)))
}

// Interfaces returns the packets whose InInterface or OutInterface f has a name
// that match accepts. match is asked once for every name.
func (sp *Space) Interfaces(f Field, match func(name string) bool) Set {
	if f != InInterface && f != OutInterface {
		panic("packet: only InInterface and OutInterface have names")
	}
	var rs []Range
	for i, name := range sp.ifnames {
		if match(name) {
			rs = append(rs, Range{uint64(i), uint64(i)})
		}
	}
	return sp.Values(f, rs...)
}

// States returns the packets whose conntrack state is in mask.
func (sp *Space) States(mask StateMask) Set {
	var rs []Range
	for i := range uint64(5) {
		if mask>>i&1 != 0 {
			rs = append(rs, Range{i, i})
		}
	}
	return sp.Values(State, rs...)
}
