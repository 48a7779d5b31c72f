package firewall

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// The helpers below write rules by hand; everything else in the tests of
// rulesets comes from real text or real kernels.

func number16(f Field, at int, lo, hi uint16) Cond {
	return Compare{Value: Whole(f, 0, at, 16), In: []Interval{{Lo: be16(lo), Hi: be16(hi)}}}
}

func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

func dport(n uint16) Cond { return number16(FieldTransport, 16, n, n) }

func l4proto(n byte) Cond {
	return Compare{Value: Whole(FieldL4Proto, 0, 0, 8), In: []Interval{{Lo: []byte{n}, Hi: []byte{n}}}}
}

func saddr(p string) Cond {
	prefix := netip.MustParsePrefix(p)
	lo, hi := prefixEnds(prefix)
	at, width := 96, 32
	if prefix.Addr().Is6() {
		at, width = 64, 128
	}
	return Compare{Value: Whole(FieldNetwork, 0, at, width), In: []Interval{{Lo: lo, Hi: hi}}}
}

func match(cs ...Cond) Step { return Match{And(cs)} }

func mark(n uint32) Value { return Constant(binary.BigEndian.AppendUint32(nil, n)) }

func markIs(n uint32) Cond {
	b := binary.BigEndian.AppendUint32(nil, n)
	return Compare{Value: Whole(FieldMark, 0, 0, 32), In: []Interval{{Lo: b, Hi: b}}}
}

// table makes a table and gives its chains their numbers and places.
func table(f Family, name string, chains ...*Chain) *Table {
	t := &Table{Family: f, Name: name, Chains: chains}
	for _, c := range chains {
		c.Table = t
		for i, r := range c.Rules {
			r.Chain, r.Number = c, i+1
			if r.Text == "" {
				r.Text = fmt.Sprintf("rule %d", i+1)
			}
		}
	}
	return t
}

func base(h Hook, prio int32, policy VerdictKind, rules ...*Rule) *Chain {
	return &Chain{Name: h.String(), Base: &Base{Hook: h, Priority: prio, Type: "filter", Policy: policy}, Rules: rules}
}

func chain(name string, rules ...*Rule) *Chain { return &Chain{Name: name, Rules: rules} }

func rule(steps ...Step) *Rule { return &Rule{Steps: steps} }
