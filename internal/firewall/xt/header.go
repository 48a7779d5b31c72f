package xt

import (
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
// ip6_packet_match in ip6_tables.c). The text begins with a space, if it is not
// empty.
func (c *Context) Header(h Header) (steps []firewall.Step, text string) {
	var b strings.Builder
	add := func(not bool, cond firewall.Cond, option string) {
		if cond = negate(not, cond); cond != firewall.Cond(firewall.Const(true)) {
			steps = append(steps, firewall.Match{Cond: cond})
		}
		if option != "" {
			if not {
				b.WriteString(" !")
			}
			b.WriteString(option)
		}
	}
	c.addressPart(h.Src, h.SrcMask, h.NotSrc, c.source(), " -s ", add)
	c.addressPart(h.Dst, h.DstMask, h.NotDst, c.destination(), " -d ", add)
	interfacePart(h.In, h.NotIn, false, " -i ", add)
	interfacePart(h.Out, h.NotOut, true, " -o ", add)
	switch {
	case h.AnyProto:
	case h.Proto != 0 && h.Proto < 256:
		add(h.NotProto, equal(c.value(firewall.FieldL4Proto, 0, 0, 8), uint64(h.Proto)), " -p "+c.protocolName(uint8(h.Proto)))
	case h.Proto != 0:
		add(h.NotProto, firewall.Const(false), fmt.Sprintf(" -p %d", h.Proto))
	}
	switch later := (firewall.Not{Of: equal(c.network(51, 13), 0)}); {
	case h.Frag:
		add(h.NotFrag, later, " -f")
	case h.NotFrag: // inverts a question that is not asked
		add(true, firewall.Const(true), "")
	}
	return steps, b.String()
}

func (c *Context) addressPart(addr, mask []byte, not bool, v firewall.Value, option string, add func(bool, firewall.Cond, string)) {
	if len(mask) == 0 {
		return
	}
	ones := prefixLength(mask)
	if ones == 0 && !not && allZero(addr) {
		return
	}
	text := c.address(addr) + "/" + fmt.Sprint(ones)
	if ones < 0 {
		text = c.address(addr) + "/" + c.address(mask)
	}
	cond := maskedEqual(v, addr, mask)
	for i := range addr {
		if addr[i]&^mask[i] != 0 {
			cond = firewall.Const(false) // no masked address is equal to it
		}
	}
	add(not, cond, option+text)
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

func interfacePart(name string, not, out bool, option string, add func(bool, firewall.Cond, string)) {
	if name == "" || name == "+" {
		if not {
			add(true, firewall.Const(true), option+"+")
		}
		return
	}
	prefix, open := strings.CutSuffix(name, "+")
	add(not, firewall.Interface{Out: out, Name: prefix, Prefix: open}, option+name)
}

// protocolName is [ProtocolName], kept for the next rule.
func (c *Context) protocolName(n uint8) string {
	if s, ok := c.protocolNames[n]; ok {
		return s
	}
	if c.protocolNames == nil {
		c.protocolNames = make(map[uint8]string)
	}
	c.protocolNames[n] = ProtocolName(n)
	return c.protocolNames[n]
}
