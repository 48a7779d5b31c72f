package kernel

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sekimori/internal/firewall"
)

// text is a rule in the words of nft while it is put together.
type text struct {
	// l3 and l4 are the protocols as far as the rule, or its table, says.
	l3    firewall.Family
	l4    int
	frags []frag
	// guardL2, guardL3 and guardL4 are the fragments (counted from 1) by which the rule
	// says so, which nft leaves out where what follows implies them.
	guardL2, guardL3, guardL4 int
}

// frag is one statement of a rule: in nft's words, and in those of iptables-save
// where it has them.
type frag struct {
	nft  string
	save saveOption
	dead bool
}

// say adds a statement to the rule's text.
func (r *rule) say(s string) { r.text.frags = append(r.text.frags, frag{nft: s}) }

// render returns the rule's text.
func (r *rule) render() string {
	if r.t.iptables {
		if s, ok := r.renderSave(); ok {
			return s
		}
	}
	var b strings.Builder
	for _, f := range r.text.frags {
		if f.dead {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(f.nft)
	}
	if r.out.Comment != "" {
		b.WriteString(` comment "` + r.out.Comment + `"`) // nft has no way to escape a quote
	}
	return strings.TrimSpace(b.String())
}

func (r *rule) sayVerdict(v *firewall.Verdict) {
	r.say(v.String())
	r.text.frags[len(r.text.frags)-1].save = saveVerdict(v)
}

// selector is a value as nft names it.
type selector struct {
	name string
	typ  dataType
	// host is true where the register holds the number in host order.
	host bool
	// raw is true for bits of a header that have no name.
	raw bool
}

// selectorOf names a value that is a whole field.
func (r *rule) selectorOf(o *operand) (selector, bool) {
	if o.original != nil {
		o = o.original
	}
	if o.kind != plain {
		return selector{name: o.text, typ: fieldType(o.text), host: o.host != o.swapped}, false
	}
	v := o.bits
	if len(v) == 0 || v[0].Field == "" {
		return selector{}, false
	}
	f := v[0].Field
	host := len(v) > 8 && v[0].Index == v[len(v)-8].Index+uint16(len(v)-8)
	w := v
	if host {
		w = v.Reverse()
	}
	for i, b := range w {
		if b.Field != f || b.Invert || b.Index != w[0].Index+uint16(i) {
			return selector{}, false
		}
	}
	if needOf(f) >= 0 && needOf(f) != needCt {
		prefix, fields := r.n.header(f, r.text.l3, r.text.l4)
		for _, h := range fields {
			if h.off == int(w[0].Index) && h.len == len(v) && !host {
				r.imply(f, prefix)
				return selector{name: prefix + h.name, typ: h.typ}, true
			}
		}
		return selector{name: rawName(f, int(w[0].Index), len(v)), typ: typeHex, raw: true}, !host
	}
	if n := fieldWidth(v[0]); w[0].Index != 0 || len(v) != n && (n > 0 || len(v) != 32 && len(v) != 128) {
		return selector{}, false
	}
	return selector{name: tupleName(shownName(f), len(v)), typ: fieldType(tupleName(string(f), len(v))), host: host}, true
}

// shownName is nft's short form of a field's name.
func shownName(f firewall.Field) string {
	switch f {
	case firewall.FieldIif, firewall.FieldOif, firewall.FieldIifName, firewall.FieldOifName, "meta iifgroup", "meta oifgroup":
		return strings.TrimPrefix(string(f), "meta ")
	}
	return string(f)
}

// tupleName adds the family, which the width tells, to the name of an address in
// a tuple of conntrack.
func tupleName(name string, bits int) string {
	dir, what, ok := strings.Cut(strings.TrimPrefix(name, "ct "), " ")
	if !ok || what != "saddr" && what != "daddr" || !strings.HasPrefix(name, "ct ") {
		return name
	}
	return "ct " + dir + map[bool]string{true: " ip ", false: " ip6 "}[bits == 32] + what
}

func fieldWidth(b firewall.Bit) int {
	if b.Width != 0 {
		return int(b.Width)
	}
	switch b.Field {
	case firewall.FieldNFProto, firewall.FieldL4Proto, firewall.FieldCtDir, firewall.FieldCtL3Proto, firewall.FieldCtProto:
		return 8
	case firewall.FieldProtocol, firewall.FieldCtOrigSport, firewall.FieldCtOrigDport:
		return 16
	case firewall.FieldIifName, firewall.FieldOifName:
		return 128
	case firewall.FieldCtOrigSrc, firewall.FieldCtOrigDst, firewall.FieldCtReplySrc, firewall.FieldCtReplyDst:
		return -1
	}
	return 32
}

func rawName(f firewall.Field, off, n int) string { return fmt.Sprintf("%s,%d,%d", f, off, n) }

// imply drops the fragment that says the protocol: the name of the header does.
func (r *rule) imply(f firewall.Field, prefix string) {
	t := &r.text
	switch {
	case f == firewall.FieldNetwork && t.guardL3 > 0 && (prefix == "ip " || prefix == "ip6 " || prefix == "arp "):
		t.frags[t.guardL3-1].dead = true
		t.guardL3 = 0
	case f == firewall.FieldTransport && t.guardL4 > 0 && prefix != "" && prefix != "th ":
		t.frags[t.guardL4-1].dead = true
		t.guardL4 = 0
		if t.guardL3 > 0 && (prefix == "icmp " || prefix == "icmpv6 ") {
			t.frags[t.guardL3-1].dead = true
			t.guardL3 = 0
		}
	case f == firewall.FieldLink && t.guardL2 > 0 && prefix == "ether ":
		t.frags[t.guardL2-1].dead = true
		t.guardL2 = 0
	}
}

// valueText shows the value of a register that is used as one of the type.
func (r *rule) valueText(o *operand, typ dataType, host bool) string {
	if b, ok := o.isConst(); ok {
		return typ.format(turned(b, host), r.n)
	}
	if o.kind == mapped {
		return r.keyText(o.key) + " map " + r.setText(o.m, o.key, []dataType{typ}, host)
	}
	if o.original != nil {
		o = o.original
	}
	if o.kind != plain {
		return o.text
	}
	if s, ok := r.selectorOf(o); ok && !s.raw {
		return s.name
	}
	if s, ok := r.markText(o.bits); ok {
		return s
	}
	return r.bitsText(o.bits)
}

// turned is b in network order.
func turned(b []byte, host bool) []byte {
	if !host {
		return b
	}
	out := bytes.Clone(b)
	slices.Reverse(out)
	return out
}

// markText shows a mark some of whose bits are set, cleared or flipped.
func (r *rule) markText(v firewall.Value) (string, bool) {
	if len(v) != 32 {
		return "", false
	}
	w := v.Reverse()
	var f firewall.Field
	var mask, or, xor uint32
	for i, b := range w {
		bit := uint32(1) << (31 - i)
		switch {
		case b.Field == "" && b.Invert:
			or |= bit
		case b.Field == "":
		case int(b.Index) != i || f != "" && f != b.Field || needOf(b.Field) >= 0 && needOf(b.Field) != needCt:
			return "", false
		default:
			f = b.Field
			mask |= bit
			if b.Invert {
				xor |= bit
			}
		}
	}
	s := shownName(f)
	if mask|or != 0xffffffff {
		s += fmt.Sprintf(" & 0x%08x", mask|or) // as nft does, which works it out the same way
	}
	if or != 0 {
		s += fmt.Sprintf(" | 0x%08x", or)
	}
	if xor != 0 {
		s += fmt.Sprintf(" ^ 0x%08x", xor)
	}
	return s, f != ""
}

// bitsText shows any bits: runs of fields, and constants.
func (r *rule) bitsText(v firewall.Value) string {
	var parts []string
	for i := 0; i < len(v); {
		j := i + 1
		for j < len(v) && v[j].Field == v[i].Field && v[j].Invert == v[i].Invert && (v[i].Field == "" || int(v[j].Index) == int(v[i].Index)+j-i) {
			j++
		}
		switch {
		case v[i].Field == "" && !v[i].Invert:
			parts = append(parts, fmt.Sprintf("0/%d", j-i))
		case v[i].Field == "":
			parts = append(parts, fmt.Sprintf("1/%d", j-i))
		case v[i].Invert:
			parts = append(parts, "!"+rawName(v[i].Field, int(v[i].Index), j-i))
		default:
			parts = append(parts, r.runText(v[i:j]))
			if j-i == len(v) {
				return parts[0]
			}
		}
		i = j
	}
	if s, ok := r.concatText(v); ok {
		return s
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// concatText shows whole fields that stand in one register after the other, filled
// up with zeros.
func (r *rule) concatText(v firewall.Value) (string, bool) {
	var names []string
	for len(v) > 0 {
		n := 1
		for n < len(v) && v[n].Field == v[0].Field && v[n].Index == v[n-1].Index+1 && !v[n].Invert {
			n++
		}
		pad := n
		for pad%32 != 0 && pad < len(v) && v[pad] == (firewall.Bit{}) {
			pad++
		}
		if v[0].Field == "" || pad%32 != 0 && pad != len(v) {
			return "", false
		}
		names = append(names, r.valueText(&operand{bits: v[:n]}, typeHex, false))
		v = v[pad:]
	}
	return strings.Join(names, " . "), len(names) > 1
}

// runText names consecutive bits of a field: those of several header fields in a
// row, which nft loads at once, by all of their names.
func (r *rule) runText(v firewall.Value) string {
	prefix, fields := r.n.header(v[0].Field, r.text.l3, r.text.l4)
	var names []string
	at := int(v[0].Index)
	for _, h := range fields {
		if h.off == at && at+h.len <= int(v[0].Index)+len(v) {
			names = append(names, prefix+h.name)
			at += h.len
		}
	}
	if at != int(v[0].Index)+len(v) {
		return rawName(v[0].Field, int(v[0].Index), len(v))
	}
	r.imply(v[0].Field, prefix)
	return strings.Join(names, " . ")
}

// sayRelation adds the text of a comparison.
func (r *rule) sayRelation(rel relation, d comparison) {
	r.text.frags = append(r.text.frags, frag{nft: d.text, save: d.save})
	if !rel.neg && bytes.Equal(rel.lo, rel.hi) && rel.v.kind == plain {
		r.learnProtocol(rel)
	}
}

// learnProtocol notes what a comparison says of the protocols.
func (r *rule) learnProtocol(rel relation) {
	v := rel.v.bits
	t := &r.text
	guard := len(t.frags)
	switch {
	case len(v) == 8 && v[0].Field == firewall.FieldL4Proto && v[0].Index == 0:
		t.l4, t.guardL4 = int(rel.lo[0]), guard
	case len(v) == 8 && v[0].Field == firewall.FieldNFProto && v[0].Index == 0:
		t.l3, t.guardL3 = firewall.Family(rel.lo[0]), guard
	case len(v) == 16 && v[0].Field == firewall.FieldProtocol && v[0].Index == 0:
		if f := etherFamily(rel.lo); f != 0 {
			t.l3, t.guardL3 = f, guard
		}
	case len(v) == 16 && v[0].Field == firewall.FieldLink && v[0].Index == 96:
		if f := etherFamily(rel.lo); f != 0 {
			t.l3 = f
		}
	case len(v) == 16 && v[0].Field == "meta iiftype" && number(turned(rel.lo, true)) == 1:
		t.guardL2 = guard
	case len(v) == 8 && v[0].Field == firewall.FieldNetwork &&
		(t.l3 == firewall.IPv4 && v[0].Index == 72 || t.l3 == firewall.IPv6 && v[0].Index == 48):
		t.l4, t.guardL4 = int(rel.lo[0]), 0
	}
}

func etherFamily(b []byte) firewall.Family {
	switch number(b) {
	case 0x0800:
		return firewall.IPv4
	case 0x86dd:
		return firewall.IPv6
	case 0x0806:
		return firewall.ARP
	}
	return 0
}

func (r *rule) relationText(rel relation) string {
	if f, one := onlyField(rel.v.bits); rel.v.kind == plain && one && f == firewall.FieldCtState {
		return stateText(rel)
	}
	s, ok := r.selectorOf(rel.v)
	point := bytes.Equal(rel.lo, rel.hi)
	if short, cut := rel.withoutZeros(); cut && !point {
		if named, ok := r.selectorOf(short.v); ok {
			return named.relation(short, r.n)
		}
	}
	if rel.v.kind != plain || ok && !(s.raw && point) {
		return s.relation(rel, r.n)
	}
	if point {
		if s, ok := r.fieldsText(rel); ok {
			return s
		}
	}
	return r.bitsText(rel.v.bits) + rangeWords(rel.neg, rangeText(rel.lo, rel.hi))
}

func rangeWords(neg bool, value string) string {
	if neg {
		return " != " + value
	}
	return " " + value
}

// withoutZeros leaves out constant zeros at the top of a value that is looked for
// in a range.
func (rel relation) withoutZeros() (relation, bool) {
	k := 0
	for k < len(rel.v.bits) && rel.v.bits[k] == (firewall.Bit{}) {
		k++
	}
	n := len(rel.v.bits) - k
	size := (n + 7) / 8
	if k == 0 || n == 0 || !isZero(rel.lo[:len(rel.lo)-size]) {
		return rel, false
	}
	most := fill(0xff, size)
	most[0] >>= 8*size - n
	short := rel
	short.v = &operand{bits: rel.v.bits[k:]}
	short.lo, short.hi = rel.lo[len(rel.lo)-size:], rel.hi[len(rel.hi)-size:]
	if !isZero(rel.hi[:len(rel.hi)-size]) || bytes.Compare(short.hi, most) > 0 {
		short.hi = most
	}
	return short, true
}

// stateText shows which states of conntrack are meant, whatever the form.
func stateText(rel relation) string {
	c := rel.v.within(rel.lo, rel.hi)
	if rel.neg {
		c = negate(c)
	}
	s, ok := c.(firewall.State)
	if !ok {
		return fmt.Sprintf("ct state in { %v }", c)
	}
	all := firewall.StateInvalid | firewall.StateEstablished | firewall.StateRelated | firewall.StateNew | firewall.StateUntracked
	if rest := all &^ s.Mask; rest&(rest-1) == 0 {
		return "ct state != " + flagWords(typeCtState, uint64(rest))
	}
	return "ct state " + flagWords(typeCtState, uint64(s.Mask))
}

// relation is the comparison of a whole field.
func (s selector) relation(rel relation, n *nftables) string {
	if rel.v.kind == unknown {
		return "[" + s.name + "]" + rangeWords(rel.neg, rangeText(rel.lo, rel.hi))
	}
	lo, hi := rel.lo, rel.hi
	if s.host {
		if !bytes.Equal(lo, hi) {
			return s.name + rangeWords(rel.neg, "(host order) "+rangeText(lo, hi))
		}
		lo, hi = turned(lo, true), turned(hi, true)
	}
	op := " "
	if rel.neg {
		op = " != "
	} else if s.typ == typeTCPFlags || s.typ == typeCtStatus {
		op = " == " // without it, nft takes flags for any of them
	}
	if s.typ == typeBool && len(lo) == 1 && rel.neg && bytes.Equal(lo, hi) {
		op, lo, hi = " ", []byte{1 - lo[0]&1}, []byte{1 - lo[0]&1}
	}
	if rel.v.kind == truth {
		word := "missing"
		if isZero(lo) == rel.neg {
			word = "exists"
		}
		return s.name + " " + word
	}
	if word := s.typ.strictly(rel, lo, hi, n); word != "" {
		return s.name + " " + word
	}
	return s.name + op + s.typ.interval(lo, hi, n)
}

// strictly shows a comparison that excludes its constant.
func (t dataType) strictly(rel relation, lo, hi []byte, n *nftables) string {
	switch {
	case !rel.strict || rel.neg:
		return ""
	case isZero(lo) && !isOnes(hi):
		return "< " + t.format(after(hi), n)
	case isOnes(hi) && !isZero(lo):
		return "> " + t.format(before(lo), n)
	}
	return ""
}

// interval shows the constants from lo to hi.
func (t dataType) interval(lo, hi []byte, n *nftables) string {
	if bytes.Equal(lo, hi) {
		return t.format(lo, n)
	}
	if t == typeIfname {
		if k := slices.IndexFunc(hi, func(b byte) bool { return b == 0xff }); k > 0 && isZero(lo[k:]) && bytes.Equal(lo[:k], hi[:k]) {
			return fmt.Sprintf("%q", string(lo[:k])+"*")
		}
	}
	if p, ok := prefixOf(lo, hi); ok && (t == typeIPv4 || t == typeIPv6) {
		return p
	}
	switch {
	case isZero(lo):
		return "<= " + t.format(hi, n)
	case isOnes(hi) && t != typeIPv4 && t != typeIPv6:
		return ">= " + t.format(lo, n)
	}
	return t.format(lo, n) + "-" + t.format(hi, n)
}

// prefixOf shows an interval of addresses that is one prefix.
func prefixOf(lo, hi []byte) (string, bool) {
	a, ok := netip.AddrFromSlice(lo)
	if !ok || len(hi) != len(lo) {
		return "", false
	}
	n := 0
	for n < 8*len(lo) && (lo[n/8]^hi[n/8])>>(7-n%8)&1 == 0 {
		n++
	}
	for i := n; i < 8*len(lo); i++ {
		if lo[i/8]>>(7-i%8)&1 != 0 || hi[i/8]>>(7-i%8)&1 != 1 {
			return "", false
		}
	}
	return netip.PrefixFrom(a, n).String(), true
}
