package xt

import (
	"cmp"
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// Header is what a rule of x_tables asks of a packet beside its matches: the
// options -s, -d, -i, -o, -p and -f.
type Header struct {
	// Addresses and masks have the family's length; nil for any.
	Src, SrcMask, Dst, DstMask []byte
	NotSrc, NotDst             bool
	// In and Out are names of interfaces; `eth+` stands for all that begin so,
	// "" and "+" for any.
	In, Out       string
	NotIn, NotOut bool
	// Proto is the protocol, 0 for any. AnyProto is true where a rule of ip6tables
	// does not look at the protocol whatever Proto says.
	Proto    uint16
	NotProto bool
	AnyProto bool
	// Frag asks for fragments other than the first (IPv4).
	Frag, NotFrag bool
}

// Header gives the conditions their meaning (ip_packet_match in ip_tables.c,
// ip6_packet_match in ip6_tables.c).
func (c *Context) Header(h Header) []firewall.Step {
	steps := make([]firewall.Step, 0, 6)
	add := func(not bool, cond firewall.Cond) {
		if cond = negate(not, cond); cond != firewall.Cond(firewall.Const(true)) {
			steps = append(steps, firewall.Match{Cond: cond})
		}
	}
	if asksAddress(h.Src, h.SrcMask, h.NotSrc) {
		add(h.NotSrc, addressIs(c.source(), h.Src, h.SrcMask))
	}
	if asksAddress(h.Dst, h.DstMask, h.NotDst) {
		add(h.NotDst, addressIs(c.destination(), h.Dst, h.DstMask))
	}
	add(h.NotIn, interfaceIs(h.In, false))
	add(h.NotOut, interfaceIs(h.Out, true))
	switch {
	case h.AnyProto || h.Proto == 0:
	case h.Proto > 255:
		add(h.NotProto, firewall.Const(false))
	default:
		add(h.NotProto, equal(c.value(firewall.FieldL4Proto, 0, 0, 8), uint64(h.Proto)))
	}
	if h.Frag {
		add(h.NotFrag, firewall.Not{Of: equal(c.network(51, 13), 0)})
	} else if h.NotFrag { // inverts a question that is not asked
		add(true, firewall.Const(true))
	}
	return steps
}

// HeaderText prints the conditions as iptables-save does, with a space before
// each.
func (c *Context) HeaderText(h Header) string {
	var b strings.Builder
	add := func(not bool, option, value string) {
		if not {
			b.WriteString(" !")
		}
		b.WriteString(option)
		b.WriteString(value)
	}
	if asksAddress(h.Src, h.SrcMask, h.NotSrc) {
		add(h.NotSrc, " -s ", c.networkText(h.Src, h.SrcMask))
	}
	if asksAddress(h.Dst, h.DstMask, h.NotDst) {
		add(h.NotDst, " -d ", c.networkText(h.Dst, h.DstMask))
	}
	if h.In != "" || h.NotIn {
		add(h.NotIn, " -i ", cmp.Or(h.In, "+"))
	}
	if h.Out != "" || h.NotOut {
		add(h.NotOut, " -o ", cmp.Or(h.Out, "+"))
	}
	switch {
	case h.AnyProto || h.Proto == 0:
	case h.Proto > 255:
		add(h.NotProto, " -p ", fmt.Sprint(h.Proto))
	default:
		add(h.NotProto, " -p ", ProtocolName(uint8(h.Proto)))
	}
	if h.Frag {
		add(h.NotFrag, " -f", "")
	}
	return b.String()
}

func asksAddress(addr, mask []byte, not bool) bool {
	return len(mask) > 0 && (not || !allZero(mask) || !allZero(addr))
}

func (c *Context) networkText(addr, mask []byte) string {
	if ones := prefixLength(mask); ones >= 0 {
		return c.address(addr) + "/" + fmt.Sprint(ones)
	}
	return c.address(addr) + "/" + c.address(mask)
}

func addressIs(v firewall.Value, addr, mask []byte) firewall.Cond {
	for i := range addr {
		if addr[i]&^mask[i] != 0 {
			return firewall.Const(false) // no masked address is equal to it
		}
	}
	return maskedEqual(v, addr, mask)
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

func interfaceIs(name string, out bool) firewall.Cond {
	if name == "" || name == "+" {
		return firewall.Const(true)
	}
	prefix, open := strings.CutSuffix(name, "+")
	return firewall.Interface{Out: out, Name: prefix, Prefix: open}
}
