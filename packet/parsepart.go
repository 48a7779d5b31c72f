package packet

import (
	"slices"
	"strings"
)

// keywords begin a part of an expression; the second word says what follows.
var keywords = []struct {
	name, want string
	parse      func(ps *parser, keyword, arg token) error
}{
	{"in", "the name of an interface", func(ps *parser, k, arg token) error { return ps.name(arg, &ps.p.In) }},
	{"out", "the name of an interface", func(ps *parser, k, arg token) error { return ps.name(arg, &ps.p.Out) }},
	{"proto", "a protocol", (*parser).protoPart},
	{"sport", "a port", numberPart(SrcPort, "a port", "the source port")},
	{"dport", "a port", numberPart(DstPort, "a port", "the destination port")},
	{"type", "an ICMP type", (*parser).typePart},
	{"code", "an ICMP code", (*parser).codePart},
	{"state", "a conntrack state", namePart(State, stateNames, "a conntrack state", "the state")},
	{"status", "conntrack status bits", bitsPart(Status, statusNames, "a conntrack status")},
	{"flags", "TCP flags", bitsPart(TCPFlags, flagNames, "a TCP flag")},
	{"frag", "the fragment field", numberPart(Fragment, "a fragment field", "frag")},
	{"srctype", "an address type", namePart(SrcType, addressTypeNames, "an address type", "srctype")},
	{"dsttype", "an address type", namePart(DstType, addressTypeNames, "an address type", "dsttype")},
	{"mark", "a number", numberPart(Mark, "a mark", "mark")},
	{"ctmark", "a number", numberPart(CtMark, "a mark", "ctmark")},
	{"with", `a quoted field name, "/" and its width`, (*parser).extraPart},
	{"if", "a quoted condition", func(ps *parser, k, arg token) error { return ps.unknown(arg, true) }},
	{"unless", "a quoted condition", func(ps *parser, k, arg token) error { return ps.unknown(arg, false) }},
}

// part reads one keyword and what belongs to it, or the name of a state.
func (ps *parser) part(t token) error {
	if !t.quoted {
		if n, ok := numberOf(stateNames, t.text); ok {
			ps.p = ps.p.With(State, uint64(n))
			return ps.once(t, "the state")
		}
		for _, k := range keywords {
			if k.name != t.text {
				continue
			}
			arg, err := ps.argument(t, k.want)
			if err != nil {
				return err
			}
			return k.parse(ps, t, arg)
		}
	}
	return ps.unexpected(t)
}

func (ps *parser) unexpected(t token) error {
	if _, ok := numberOf(protocolNames, t.text); ok {
		return ps.fail(t, "the protocol %s must come first", t.text)
	}
	words := namesIn(stateNames)
	for _, k := range keywords {
		words = append(words, k.name)
	}
	if len(ps.given) == 0 && !ps.p.Src.IsValid() && !ps.p.Dst.IsValid() {
		words = append(words, namesIn(protocolNames)...)
	}
	if hint := nearest(t.text, words); hint != "" {
		return ps.fail(t, "unexpected %q%s", t.text, hint)
	}
	return ps.fail(t, "unexpected %q; expected a part such as: in eth0, new, flags syn, mark 0x1", t.text)
}

func (ps *parser) name(arg token, to *string) error {
	what := "the input interface"
	if to == &ps.p.Out {
		what = "the output interface"
	}
	if arg.text == "" {
		return ps.fail(arg, "the name of an interface is empty")
	}
	*to = arg.text
	return ps.once(arg, what)
}

func (ps *parser) protoPart(_, arg token) error {
	n, ok := numberOf(protocolNames, arg.text)
	if !ok {
		v, err := ps.number(arg, "a protocol", 8)
		if err != nil {
			return err
		}
		n = uint32(v)
	}
	ps.p = ps.p.With(Protocol, uint64(n))
	return ps.once(arg, "the protocol")
}

func numberPart(f Field, want, what string) func(*parser, token, token) error {
	return func(ps *parser, _, arg token) error {
		n, err := ps.number(arg, want, scalarBits(f))
		if err != nil {
			return err
		}
		if f == SrcPort && (ps.given["the type"] || ps.given["the code"]) {
			return ps.fail(arg, "sport is the same two bytes as type and code")
		}
		ps.p = ps.p.With(f, n)
		return ps.once(arg, what)
	}
}

// namePart reads a name from the table, or a number that the table has.
func namePart(f Field, table []named, want, what string) func(*parser, token, token) error {
	return func(ps *parser, _, arg token) error {
		n, ok := numberOf(table, arg.text)
		if !ok {
			v, err := ps.number(arg, want, scalarBits(f))
			if err != nil {
				return ps.fail(arg, "%q is not %s; expected one of %s%s",
					arg.text, want, strings.Join(namesIn(table), ", "), nearest(arg.text, namesIn(table)))
			}
			n = uint32(v)
		}
		ps.p = ps.p.With(f, uint64(n))
		return ps.once(arg, what)
	}
}

// bitsPart reads names of bits with commas between them, "none", or a number.
func bitsPart(f Field, table []named, want string) func(*parser, token, token) error {
	return func(ps *parser, k, arg token) error {
		var bits uint64
		if arg.text != "" && arg.text[0] >= '0' && arg.text[0] <= '9' {
			n, err := ps.number(arg, want, scalarBits(f))
			if err != nil {
				return err
			}
			bits = n
		} else if arg.text != "none" {
			at := arg.at
			for name := range strings.SplitSeq(arg.text, ",") {
				n, ok := numberOf(table, name)
				if !ok {
					return ps.fail(token{at: at}, "%q is not %s; expected none or some of %s%s",
						name, want, strings.Join(namesIn(table), ","), nearest(name, namesIn(table)))
				}
				bits |= uint64(n)
				at += len(name) + 1
			}
		}
		ps.p = ps.p.With(f, bits)
		return ps.once(arg, k.text)
	}
}

func (ps *parser) typePart(_, arg token) error {
	protocol, known := ps.p.Get(Protocol)
	names := typeNames(uint32(protocol))
	n, ok := numberOf(names, arg.text)
	if !ok {
		v, err := ps.number(arg, "an ICMP type", 8)
		switch {
		case err != nil && names != nil:
			return ps.fail(arg, "%q is not a type of %s; expected a number from 0 to 255 or a name such as echo-request%s",
				arg.text, nameOf(protocolNames, uint32(protocol)), nearest(arg.text, namesIn(names)))
		case err != nil && slices.Contains(append(namesIn(icmpTypes), namesIn(icmpv6Types)...), arg.text):
			if known {
				return ps.fail(arg, "%s is a type of icmp and icmpv6 alone", arg.text)
			}
			return ps.fail(arg, "%s stands for a number only behind icmp or icmpv6; write that first", arg.text)
		case err != nil:
			return err
		}
		n = uint32(v)
	}
	return ps.transportByte(arg, n<<8, 0xff00, "the type")
}

func (ps *parser) codePart(_, arg token) error {
	n, err := ps.number(arg, "an ICMP code", 8)
	if err != nil {
		return err
	}
	return ps.transportByte(arg, uint32(n), 0xff, "the code")
}

func (ps *parser) transportByte(arg token, value, mask uint32, what string) error {
	if ps.given["the source port"] {
		return ps.fail(arg, "%s is part of the same two bytes as the source port", what)
	}
	x := &ps.p.scalars[SrcPort]
	x.value |= value
	x.mask |= mask
	return ps.once(arg, what)
}

// extraPart reads "ip ttl"/8 0x40.
func (ps *parser) extraPart(k, arg token) error {
	t, err := ps.argument(k, `"/" and a width behind the field name`)
	if err != nil {
		return err
	}
	text, ok := strings.CutPrefix(t.text, "/")
	if !ok || t.quoted || !arg.quoted {
		return ps.fail(t, `expected a quoted field name, "/" and its width, as in: with "ip ttl"/8 64`)
	}
	width, err := ps.number(token{text, t.at + 1, false}, "a width", 8)
	if err != nil || width < 1 || width > 128 {
		return ps.fail(t, "%q is not a width; expected a number from 1 to 128", text)
	}
	v, err := ps.argument(k, "a number")
	if err != nil {
		return err
	}
	n, err := ps.wide(v, int(width))
	if err != nil {
		return err
	}
	before := len(ps.p.extras)
	ps.p = ps.p.withExtra(extraValue{arg.text, int(width), n})
	if len(ps.p.extras) == before {
		return ps.fail(arg, "the field %q is given twice", arg.text)
	}
	return nil
}

func (ps *parser) unknown(arg token, holds bool) error {
	before := len(ps.p.unknowns)
	ps.p = ps.p.WithUnknown(arg.text, holds)
	if len(ps.p.unknowns) == before {
		return ps.fail(arg, "the condition %q is given twice", arg.text)
	}
	return nil
}
