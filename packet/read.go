package packet

import (
	"fmt"
	"net/netip"
)

// maxList bounds the answers of Ranges, AddrRanges, Prefixes: a set such as
// "every second address" has an exact answer that nobody could read or store.
const maxList = 1 << 20

// spansOf returns the numbers of the width variables from first on for which f,
// a function of these alone, holds: ascending, disjoint, not adjacent. With
// blocks they are cut where a prefix ends, so that each is one prefix. It is
// false if there would be more than limit of them.
func (g *graph) spansOf(f ref, first level, width, limit int, blocks bool) ([]span, bool) {
	var out []span
	var walk func(f ref, depth int, prefix u128) bool
	walk = func(f ref, depth int, prefix u128) bool {
		if f == zero {
			return true
		}
		if f == one {
			s := span{prefix, prefix.or(ones(width - depth)), one}
			if n := len(out); !blocks && n > 0 && out[n-1].hi.next() == s.lo {
				out[n-1].hi = s.hi
				return true
			}
			out = append(out, s)
			return len(out) <= limit
		}
		lo, hi := g.cofactors(f, first+level(depth))
		return walk(lo, depth+1, prefix) && walk(hi, depth+1, prefix.setBit(width-1-depth))
	}
	ok := walk(f, 0, u128{})
	return out, ok
}

// list is spansOf for the values that f has in s.
func (s Set) list(f Field, blocks bool) []span {
	v := s.sp.field(f)
	out, ok := s.sp.graph.spansOf(s.project(f), v.first, v.width, maxList, blocks)
	if !ok {
		panic(exhausted{&s.sp.graph, fmt.Sprintf("a list of more than %d ranges", maxList)})
	}
	return out
}

// Ranges returns the values that field f, of at most 64 bits, has in packets of
// s: ascending, as few ranges as possible. More than a million of them exhaust
// the budget (see [Space.Do]), here and in AddrRanges and Prefixes.
func (s Set) Ranges(f Field) []Range {
	if s.sp.field(f).width > 64 {
		panic("packet: Ranges of a field of more than 64 bits")
	}
	var out []Range
	for _, x := range s.list(f, false) {
		out = append(out, Range{x.lo.lo, x.hi.lo})
	}
	return out
}

// AddrRanges returns the addresses that f, Src or Dst, has in packets of s:
// ascending, as few ranges as possible.
func (s Set) AddrRanges(f Field) []AddrRange {
	s.sp.needAddress(f)
	var out []AddrRange
	for _, x := range s.list(f, false) {
		out = append(out, AddrRange{s.sp.address(x.lo), s.sp.address(x.hi)})
	}
	return out
}

// Prefixes returns the addresses that f, Src or Dst, has in packets of s:
// ascending, as few prefixes as cover them exactly.
func (s Set) Prefixes(f Field) []netip.Prefix {
	s.sp.needAddress(f)
	var out []netip.Prefix
	for _, x := range s.list(f, true) {
		out = append(out, s.sp.prefix(x))
	}
	return out
}

// InterfaceNames returns the names that f, InInterface or OutInterface, has in
// packets of s, in the order in which they were interned.
func (s Set) InterfaceNames(f Field) []string {
	if f != InInterface && f != OutInterface {
		panic("packet: only InInterface and OutInterface have names")
	}
	var names []string
	for _, r := range s.Ranges(f) {
		names = append(names, s.sp.ifnames[r.Lo:r.Hi+1]...)
	}
	return names
}

// prefix writes a span that is one prefix.
func (sp *Space) prefix(s span) netip.Prefix {
	host := s.hi.and(s.lo.not()).next().trailingZeros()
	return netip.PrefixFrom(sp.address(s.lo), sp.family.addressBits()-host)
}

func (sp *Space) needAddress(f Field) {
	if f != Src && f != Dst {
		panic("packet: only Src and Dst have addresses")
	}
}
