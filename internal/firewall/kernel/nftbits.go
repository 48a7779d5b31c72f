package kernel

import (
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// known bits of a field in a comparison with one value: by index, which bits are
// asked for and what they must be.
type wanted struct {
	field firewall.Field
	width int
	// first is the lowest index asked for; bits are what those from there on have to
	// be, and n how many of them count.
	first int
	bits  []wantedBit
	n     int
}

type wantedBit uint8

const (
	anyBit wantedBit = iota
	zeroBit
	oneBit
)

// want collects the bits of a comparison with one value. It fails where bits of
// several fields, or contradictions, are among them.
func want(rel relation) (wanted, bool) {
	w := wanted{first: 1 << 16}
	last := -1
	for _, b := range rel.v.bits {
		if b.Field != "" {
			w.first, last = min(w.first, int(b.Index)), max(last, int(b.Index))
		}
	}
	if last < 0 {
		return w, false
	}
	w.bits = make([]wantedBit, last+1-w.first)
	for i, b := range rel.v.bits {
		v := rel.lo[i/8]>>(7-i%8)&1 == 1
		switch {
		case b.Field == "" && v != b.Invert, b.Field != "" && w.field != "" && b.Field != w.field:
			return w, false
		case b.Field == "":
			continue
		case w.field == "":
			w.field, w.width = b.Field, fieldWidth(b)
		}
		at := &w.bits[int(b.Index)-w.first]
		if *at == anyBit {
			w.n++
		}
		*at = zeroBit
		if v != b.Invert {
			*at = oneBit
		}
	}
	return w, true
}

// at returns what the bit of an index has to be.
func (w wanted) at(i int) wantedBit {
	if i -= w.first; i < 0 || i >= len(w.bits) {
		return anyBit
	}
	return w.bits[i]
}

// cut returns mask and value of the bits from off on.
func (w wanted) cut(off, n int) (mask, value []byte, count int) {
	m, v := make([]bool, n), make([]bool, n)
	for i := range n {
		if x := w.at(off + i); x != anyBit {
			m[i], v[i] = true, x == oneBit
			count++
		}
	}
	return packBits(m), packBits(v), count
}

// fieldsText shows a comparison with one value field by field: several loads that
// nft has merged, prefixes, masks.
func (r *rule) fieldsText(rel relation) (string, bool) {
	w, ok := want(rel)
	if !ok {
		return "", false
	}
	if needOf(w.field) < 0 || needOf(w.field) == needCt {
		name := shownName(w.field)
		if s, ok := r.namePrefix(w, name, rel.neg); ok {
			return s, true
		}
		if w.width <= 0 { // an address: 4 or 16 bytes were loaded
			w.width = len(rel.v.bits)
			name = tupleName(name, w.width)
		}
		mask, value, n := w.cut(0, w.width)
		h := headerField{name: name, len: w.width, typ: fieldType(tupleName(string(w.field), w.width))}
		return r.headerText(name, h, mask, value, n, rel.neg), true
	}
	prefix, fields := r.n.header(w.field, r.text.l3, r.text.l4)
	left := w.n
	var parts []string
	for _, h := range fields {
		mask, value, n := w.cut(h.off, h.len)
		if n == 0 {
			continue
		}
		left -= n
		parts = append(parts, r.headerText(prefix+h.name, h, mask, value, n, rel.neg))
	}
	if left > 0 || len(parts) == 0 || rel.neg && len(parts) > 1 {
		return r.rawText(w, rel.neg), true
	}
	r.imply(w.field, prefix)
	return strings.Join(parts, " "), true
}

func (r *rule) headerText(name string, h headerField, mask, value []byte, n int, neg bool) string {
	op := " "
	if neg {
		op = " != "
	}
	switch {
	case n == h.len && h.typ == typeTCPFlags && !neg:
		return name + " == " + h.typ.format(value, r.n)
	case n == h.len:
		return name + op + h.typ.format(value, r.n)
	case h.typ == typeIPv4 || h.typ == typeIPv6:
		hi := make([]byte, len(value))
		for i := range hi {
			hi[i] = value[i] | ^mask[i]
		}
		if p, ok := prefixOf(value, hi); ok {
			return name + op + p
		}
		return name + " & " + h.typ.format(mask, r.n) + map[bool]string{true: " != ", false: " == "}[neg] + h.typ.format(value, r.n)
	}
	return maskText(name, h.typ, mask, value, neg, r.n)
}

// maskText shows a comparison of some bits of a field.
func maskText(name string, typ dataType, mask, value []byte, neg bool, n *nftables) string {
	op := " == "
	if neg {
		op = " != "
	}
	switch typ {
	case typeTCPFlags, typeCtStatus, typeCtState:
		m, v := flagWords(typ, number(mask)), flagWords(typ, number(value))
		switch {
		case m == "":
		case number(value) == 0 && neg:
			return name + " " + m
		case number(value) == 0:
			return name + " ! " + m
		case v != "" && typ == typeTCPFlags && neg:
			return name + " != " + v + " / " + m
		case v != "" && typ == typeTCPFlags:
			return name + " " + v + " / " + m
		}
	}
	if typ != typeMark {
		typ = typeHex
	}
	if len(mask) > 8 {
		typ = typeHex
	}
	return name + " & " + typ.format(mask, n) + op + typ.format(value, n)
}

// namePrefix shows the comparison of the beginning of an interface's name.
func (r *rule) namePrefix(w wanted, name string, neg bool) (string, bool) {
	if fieldType(string(w.field)) != typeIfname || w.n%8 != 0 {
		return "", false
	}
	n := w.n
	_, value, count := w.cut(0, n)
	if count != n {
		return "", false
	}
	s := strings.TrimRight(string(value), "\x00")
	if len(s) == len(value) && n < 8*ifNameLen {
		s += "*"
	}
	return name + rangeWords(neg, fmt.Sprintf("%q", s)), true
}

// rawText shows bits of a header that have no name.
func (r *rule) rawText(w wanted, neg bool) string {
	from := w.first &^ 7
	n := (w.first + len(w.bits) - 1 | 7) + 1 - from
	mask, value, count := w.cut(from, n)
	name := rawName(w.field, from, n)
	if count == n {
		return name + rangeWords(neg, typeHex.format(value, r.n))
	}
	return name + " & " + typeHex.format(mask, r.n) + map[bool]string{true: " != ", false: " == "}[neg] + typeHex.format(value, r.n)
}

// maxShown bounds the elements of an anonymous set that a rule's text shows.
const maxShown = 64

// setText shows a set: by name, or its elements where it has none. Data are of
// the types given, and in host order if so.
func (r *rule) setText(m *firewall.Set, key []*operand, data []dataType, host bool) string {
	if !strings.HasPrefix(m.Name, "__") {
		return "@" + m.Name
	}
	sels := make([]selector, len(key))
	for i, k := range key {
		sels[i], _ = r.selectorOf(k)
	}
	var parts []string
	for i, e := range m.Elems {
		if i == maxShown {
			parts = append(parts, fmt.Sprintf("… %d more", len(m.Elems)-i))
			break
		}
		s := r.elementText(e, sels)
		switch {
		case e.Verdict != nil:
			s += " : " + e.Verdict.String()
		case e.Data != nil:
			s += " : " + r.dataText(e.Data, data, host)
		}
		if e.DataHi != nil {
			s = strings.TrimSuffix(s, r.dataText(e.Data, data, host)) + dataTypeOf(e.Data).interval(e.Data, e.DataHi, r.n)
		}
		parts = append(parts, s)
	}
	if m.Opaque != "" {
		return "{ [" + m.Opaque + "] }"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

func (r *rule) elementText(e firewall.Elem, sels []selector) string {
	if e.Key == nil {
		return "*"
	}
	parts := make([]string, len(e.Key))
	for i, iv := range e.Key {
		var s selector
		if i < len(sels) {
			s = sels[i]
		}
		lo, hi := turned(iv.Lo, s.host), turned(iv.Hi, s.host)
		parts[i] = s.typ.element(lo, hi, r.n)
	}
	return strings.Join(parts, " . ")
}

// element is interval for what stands in a set, where only from-to is understood.
func (t dataType) element(lo, hi []byte, n *nftables) string {
	s := t.interval(lo, hi, n)
	if strings.HasPrefix(s, "<=") || strings.HasPrefix(s, ">=") {
		return t.format(lo, n) + "-" + t.format(hi, n)
	}
	return s
}

// dataTypeOf guesses the type of an end of an interval in a map of addresses.
func dataTypeOf(b []byte) dataType {
	switch len(b) {
	case 4:
		return typeIPv4
	case 16:
		return typeIPv6
	}
	return typePort
}

// dataText shows what a map holds: a value, or several in a row.
func (r *rule) dataText(b []byte, ts []dataType, host bool) string {
	var parts []string
	for i, t := range ts {
		n := map[dataType]int{typeIPv4: 4, typeIPv6: 16, typePort: 2}[t]
		if n == 0 || i == len(ts)-1 && len(ts) == 1 {
			n = len(b)
		}
		if n > len(b) {
			return fmt.Sprintf("0x%x", b)
		}
		parts = append(parts, t.format(turned(b[:n], host), r.n))
		b = b[min((n+3)&^3, len(b)):]
	}
	return strings.Join(parts, " . ")
}

// sayLookup adds the text of a look-up in a set.
func (r *rule) sayLookup(key []*operand, neg bool, s *set) {
	name := r.keyText(key)
	r.say(name + rangeWords(neg, r.setText(s.Set, key, nil, false)))
}

func (r *rule) sayVerdictMap(key []*operand, s *set) {
	name := r.keyText(key)
	r.say(name + " vmap " + r.setText(s.Set, key, nil, false))
}

// keyText shows what a set is asked with.
func (r *rule) keyText(key []*operand) string {
	parts := make([]string, len(key))
	for i, k := range key {
		parts[i] = r.valueText(k, typeHex, false)
	}
	return strings.Join(parts, " . ")
}
