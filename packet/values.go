package packet

import (
	"fmt"
	"strconv"
	"strings"
)

// single returns the one value of a narrow field, if there is only one.
func (sp *Space) single(f Field, values ref) (uint32, bool) {
	v := sp.fields[f]
	spans, ok := sp.graph.spansOf(values, v.first, v.width, 1, false)
	if !ok || len(spans) != 1 || spans[0].lo != spans[0].hi {
		return 0, false
	}
	return uint32(spans[0].lo.lo), true
}

// rangesText writes spans; two neighbours are two items, not a range.
func rangesText(spans []span, text func(u128) string) []string {
	var out []string
	for _, s := range spans {
		switch {
		case s.lo == s.hi:
			out = append(out, text(s.lo))
		case s.lo.next() == s.hi:
			out = append(out, text(s.lo), text(s.hi))
		default:
			out = append(out, text(s.lo)+"-"+text(s.hi))
		}
	}
	return out
}

func plain(items []string) list { return list{items, len(items)} }

func decimal(n u128) string { return strconv.FormatUint(n.lo, 10) }

func (sp *Space) rangeText(f Field, values ref) (list, bool) {
	v := sp.fields[f]
	spans, ok := sp.graph.spansOf(values, v.first, v.width, maxText, false)
	return plain(rangesText(spans, decimal)), ok
}

// named writes the numbers of a few variables by their names; longer runs are
// ranges of numbers.
func (sp *Space) named(values ref, first level, width int, names []named) (list, bool) {
	spans, ok := sp.graph.spansOf(values, first, width, maxText, false)
	var out []string
	for _, s := range spans {
		if s.hi.lo-s.lo.lo > 3 {
			out = append(out, rangesText([]span{s}, decimal)...)
			continue
		}
		for n := s.lo.lo; n <= s.hi.lo; n++ {
			out = append(out, nameOf(names, uint32(n)))
		}
	}
	return list{out, len(spans)}, ok
}

func (sp *Space) tableText(names []named) lister {
	return func(f Field, values ref) (list, bool) {
		return sp.named(values, sp.fields[f].first, sp.fields[f].width, names)
	}
}

func (sp *Space) interfaceText(f Field, values ref) (list, bool) {
	v := sp.fields[f]
	spans, ok := sp.graph.spansOf(values, v.first, v.width, maxText, false)
	var out []string
	for _, s := range spans {
		for _, name := range sp.ifnames[s.lo.lo : s.hi.lo+1] {
			out = append(out, word(name))
		}
	}
	return plain(out), ok && len(out) <= maxText
}

// prefixText writes prefixes; where bits in the middle are tested instead, it
// writes address/mask.
func (sp *Space) prefixText(f Field, values ref) (list, bool) {
	v := sp.fields[f]
	var out []string
	if spans, ok := sp.graph.spansOf(values, v.first, v.width, maxText, true); ok {
		for _, s := range spans {
			out = append(out, sp.prefix(s).String())
		}
		return plain(out), true
	}
	cubes, ok := sp.graph.cubesOf(values, v.first, v.width, maxText)
	for _, c := range cubes {
		out = append(out, fmt.Sprintf("%s/%s", sp.address(c.value), sp.address(c.mask)))
	}
	return plain(out), ok
}

// maskText writes numbers as bit fields, value/mask, or as ranges if there are
// fewer of those.
func (sp *Space) maskText(f Field, values ref) (list, bool) {
	v := sp.fields[f]
	spans, okSpans := sp.graph.spansOf(values, v.first, v.width, maxText, false)
	cubes, ok := sp.graph.cubesOf(values, v.first, v.width, maxText)
	if okSpans && (!ok || len(spans) <= len(cubes)) {
		return plain(rangesText(spans, u128.hex)), true
	}
	var out []string
	for _, c := range cubes {
		out = append(out, c.value.hex()+"/"+c.mask.hex())
	}
	return plain(out), ok
}

// extraText writes small header fields in decimal, others as maskText.
func (sp *Space) extraText(f Field, values ref) (list, bool) {
	if v := sp.fields[f]; v.width <= 16 {
		if spans, ok := sp.graph.spansOf(values, v.first, v.width, maxText, false); ok && len(spans) <= 8 {
			return plain(rangesText(spans, decimal)), true
		}
	}
	return sp.maskText(f, values)
}

// flagText is nft's "syn/fin,syn,rst,ack": of the flags behind the slash exactly
// those before it are set. Without a slash all flags are meant.
func (sp *Space) flagText(f Field, values ref) (list, bool) {
	cubes, ok := sp.graph.cubesOf(values, sp.fields[f].first, sp.fields[f].width, maxText)
	var out []string
	for _, c := range cubes {
		text := bitList(flagNames, uint32(c.value.lo))
		if c.mask.lo != 0xff {
			text += "/" + bitList(flagNames, uint32(c.mask.lo))
		}
		out = append(out, text)
	}
	return plain(out), ok
}

// statusText writes dnat for a bit that is set, !dnat for one that is not, and
// + between those that belong together.
func (sp *Space) statusText(f Field, values ref) (list, bool) {
	cubes, ok := sp.graph.cubesOf(values, sp.fields[f].first, sp.fields[f].width, maxText)
	var out []string
	for _, c := range cubes {
		var bits []string
		for _, n := range statusNames {
			switch {
			case uint32(c.mask.lo)&n.number == 0:
			case uint32(c.value.lo)&n.number == 0:
				bits = append(bits, "!"+n.name)
			default:
				bits = append(bits, n.name)
			}
		}
		out = append(out, strings.Join(bits, "+"))
	}
	return plain(out), ok
}

// cubesOf returns disjoint bit patterns that cover f, a function of the width
// variables from first on alone, and is false if there are more than limit.
func (g *graph) cubesOf(f ref, first level, width, limit int) ([]pin, bool) {
	var out []pin
	var walk func(f ref, c pin) bool
	walk = func(f ref, c pin) bool {
		if f == zero {
			return true
		}
		if f == one {
			out = append(out, c)
			return len(out) <= limit
		}
		l := g.level(f)
		bit := width - 1 - int(l-first)
		lo, hi := g.cofactors(f, l)
		c.mask = c.mask.setBit(bit)
		return walk(lo, c) && walk(hi, pin{c.value.setBit(bit), c.mask})
	}
	ok := walk(f, pin{})
	return out, ok
}

// masked is "the bits of f that are in mask have the values of value".
func (sp *Space) masked(f Field, value, mask u128) ref {
	v := sp.fields[f]
	r := one
	for i := v.width - 1; i >= 0; i-- {
		l, bit := v.first+level(i), v.width-1-i
		switch {
		case !mask.bit(bit):
		case value.bit(bit):
			r = sp.graph.make(l, zero, r)
		default:
			r = sp.graph.make(l, r, zero)
		}
	}
	return r
}
