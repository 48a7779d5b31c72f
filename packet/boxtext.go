package packet

import (
	"fmt"
	"strings"
)

// maxText bounds the values of one field that are written out.
const maxText = 4096

// boxText writes a box with the given parts. It is made with the box, because it
// needs nodes and so belongs inside Do.
func (sp *Space) boxText(parts []part) string {
	w := boxWriter{sp: sp, parts: map[Field]ref{}}
	for _, p := range parts {
		w.parts[p.field] = p.values
	}
	w.transport()
	w.field("from", Src, w.sp.prefixText)
	w.field("to", Dst, w.sp.prefixText)
	w.field("in", InInterface, w.sp.interfaceText)
	w.field("out", OutInterface, w.sp.interfaceText)
	w.field("state", State, w.sp.tableText(stateNames))
	w.field("status", Status, w.sp.statusText)
	w.field("flags", TCPFlags, w.sp.flagText)
	w.fragment()
	w.field("srctype", SrcType, w.sp.tableText(addressTypeNames))
	w.field("dsttype", DstType, w.sp.tableText(addressTypeNames))
	w.field("mark", Mark, w.sp.maskText)
	w.field("ctmark", CtMark, w.sp.maskText)
	for _, p := range parts {
		w.further(p)
	}
	if len(w.out) == 0 {
		return "any packet"
	}
	return strings.Join(w.out, " ")
}

// boxWriter collects the parts of a box's text.
type boxWriter struct {
	sp    *Space
	parts map[Field]ref
	out   []string
}

func (w *boxWriter) add(format string, args ...any) {
	w.out = append(w.out, fmt.Sprintf(format, args...))
}

// list is the values of a field as text. cost is how much there is to read:
// neighbours that are named one by one count once.
type list struct {
	items []string
	cost  int
}

// A lister writes the values of a field, and is false if there are more than
// maxText items.
type lister func(f Field, values ref) (list, bool)

// field writes a constrained field as a list, or as what it excepts.
func (w *boxWriter) field(name string, f Field, write lister) {
	values, ok := w.parts[f]
	if !ok {
		return
	}
	w.add("%s %s", name, w.sp.shorter(f, values, write))
}

func (sp *Space) shorter(f Field, values ref, write lister) string {
	return shorterOf(values, sp.graph.and(values^1, sp.validFor(f)), func(values ref) (list, bool) {
		return write(f, values)
	})
}

func shorterOf(values, others ref, write func(ref) (list, bool)) string {
	in, ok := write(values)
	out, okOut := write(others)
	switch {
	case okOut && (!ok || out.cost < in.cost):
		return "except " + strings.Join(out.items, ",")
	case !ok:
		return fmt.Sprintf("one of more than %d values", maxText)
	}
	return strings.Join(in.items, ",")
}

// transport writes the protocol and the first four bytes of its header.
func (w *boxWriter) transport() {
	protocol, known := w.sp.single(Protocol, w.parts[Protocol])
	switch values, ok := w.parts[Protocol]; {
	case !ok:
	case known && nameOf(protocolNames, protocol)[0] >= 'a':
		w.add("%s", nameOf(protocolNames, protocol))
	default:
		text := w.sp.shorter(Protocol, values, w.sp.tableText(protocolNames))
		if strings.HasPrefix(text, "except ") || text[0] >= '0' && text[0] <= '9' {
			text = "proto " + text
		}
		w.add("%s", text)
	}
	if values, ok := w.parts[SrcPort]; ok && known && isICMP(protocol) {
		w.add("%s", w.sp.icmpText(values, typeNames(protocol)))
		delete(w.parts, SrcPort)
	}
	w.field("dport", DstPort, w.sp.rangeText)
	w.field("sport", SrcPort, w.sp.rangeText)
}

// icmpText writes type and code; types with the same codes stand together.
func (sp *Space) icmpText(values ref, names []named) string {
	first := sp.fields[SrcPort].first
	var texts []string
	for _, b := range sp.graph.partition(values, first+7) {
		types, codes := b.values, b.rest
		if codes == zero {
			continue
		}
		var text string
		if types != one {
			text = "type " + shorterOf(types, types^1, func(f ref) (list, bool) { return sp.named(f, first, 8, names) })
		}
		if codes != one {
			text += " code " + shorterOf(codes, codes^1, func(f ref) (list, bool) { return sp.named(f, first+8, 8, nil) })
		}
		texts = append(texts, strings.TrimPrefix(text, " "))
	}
	return strings.Join(texts, " or ")
}

// fragment has words for what nearly every rule on fragments asks.
func (w *boxWriter) fragment() {
	values, ok := w.parts[Fragment]
	if !ok {
		return
	}
	offset, more := uint64(0x1fff), uint64(0x2000)
	if w.sp.family == V6 {
		offset, more = 0xfff8, 0x0001
	}
	// Function of "all these bits are 0".
	clear := func(mask uint64) ref { return w.sp.masked(Fragment, u128{}, u128{0, mask}) }
	switch values {
	case clear(offset | more):
		w.add("unfragmented")
	case clear(offset|more) ^ 1:
		w.add("fragmented")
	case clear(offset):
		w.add("unfragmented or first fragment")
	case clear(offset) ^ 1:
		w.add("not first fragment")
	default:
		w.field("frag", Fragment, w.sp.maskText)
	}
}

// further writes extra fields and unknowns.
func (w *boxWriter) further(p part) {
	v := w.sp.fields[p.field]
	switch {
	case p.field < numFixed:
	case v.unknown && p.values&1 == 0:
		w.add("if %s", v.name)
	case v.unknown:
		w.add("unless %s", v.name)
	default:
		w.field(v.name, p.field, w.sp.extraText)
	}
}
