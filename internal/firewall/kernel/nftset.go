package kernel

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"sekimori/internal/firewall"
)

// Attributes of sets (enum nft_set_attributes). Without meaning for packets are
// the types of key (4) and data (6) beyond what they tell of the key's parts, the
// policy (8), id (10), timeout (11), gc interval (12), user data (13), pad (14),
// handle (16), the back-end's name (19) and the number of elements (20).
const (
	setAttrTable       = 1
	setAttrName        = 2
	setAttrFlags       = 3
	setAttrKeyType     = 4
	setAttrKeyLen      = 5
	setAttrDataType    = 6
	setAttrDataLen     = 7
	setAttrDesc        = 9
	setAttrObjType     = 15
	setAttrExpr        = 17
	setAttrExpressions = 18
)

// Flags of sets (enum nft_set_flags).
const (
	setAnonymous = 0x1
	setInterval  = 0x4
	setMap       = 0x8
	setObject    = 0x40
	setConcat    = 0x80
	setKnown     = 0x1ff
)

// dataVerdict is the data type of verdict maps (NFT_DATA_VERDICT).
const dataVerdict = 0xffffff00

// set is a set of nf_tables on its way to a [firewall.Set].
type set struct {
	*firewall.Set
	flags   uint32
	keyLen  int
	dataLen int
	verdict bool
	objType uint32
	objects bool
	// parts are the fields of the key in bytes, each at a multiple of 4.
	parts []part
	elems []rawElem
	// objrefs are the objects of an object map, one for each element.
	objrefs []string
}

// part is one field of a key: length and place in bytes.
type part struct{ off, len int }

// rawElem is an element before ends of intervals have been joined to starts.
type rawElem struct {
	key, keyEnd []byte
	flags       uint32
	elem        firewall.Elem
	objref      string
}

func (s *set) opaque(err error) {
	if s.Opaque == "" {
		s.Opaque = err.Error()
	}
}

func (n *nftables) set(m Message) error {
	var a attrs
	err := a.parse(m.Data, types(setAttrTable, setAttrName, setAttrFlags, setAttrKeyType, setAttrKeyLen, setAttrDataType,
		setAttrDataLen, 8, setAttrDesc, 10, 11, 12, 13, 14, setAttrObjType, 16, setAttrExpr, setAttrExpressions, 19, 20))
	r := &reader{attrs: a}
	tn, name := r.text(setAttrTable), r.text(setAttrName)
	if r.err != nil {
		return cmp.Or(err, r.err)
	}
	t, ferr := n.find(m, tn)
	if ferr != nil {
		return fmt.Errorf("set %q: %w", name, ferr)
	}
	if t.sets[name] != nil {
		return fmt.Errorf("set %s %s comes twice", t.Place(), name)
	}
	s := &set{Set: &firewall.Set{Name: name}}
	t.sets[name] = s
	t.Sets = append(t.Sets, s.Set)
	if err != nil {
		s.opaque(err)
	}
	s.describe(r)
	return nil
}

// describe reads what the set says of its keys and data.
func (s *set) describe(r *reader) {
	s.flags = r.flags(setAttrFlags, setKnown)
	s.keyLen = int(r.num(setAttrKeyLen))
	s.dataLen = int(r.numOr(setAttrDataLen, 0))
	s.verdict = s.flags&setMap != 0 && r.numOr(setAttrDataType, 0) == dataVerdict
	s.objects = s.flags&setObject != 0
	s.objType = r.numOr(setAttrObjType, 0)
	if r.err == nil && (s.keyLen <= 0 || s.keyLen > 64 || s.dataLen > 64) {
		r.err = fmt.Errorf("keys of %d and data of %d bytes", s.keyLen, s.dataLen)
	}
	if r.err != nil {
		s.opaque(r.err)
		return
	}
	s.parts = []part{{0, s.keyLen}}
	lens, err := concatLens(r.attrs[setAttrDesc])
	switch {
	case err != nil:
		s.opaque(err)
	case len(lens) > 0:
		if parts, ok := layout(lens, s.keyLen); ok {
			s.parts = parts
		} else {
			s.opaque(fmt.Errorf("fields of %v bytes in a key of %d", lens, s.keyLen))
		}
	case s.flags&setInterval == 0:
		s.parts = typeParts(r.numOr(setAttrKeyType, 0), s.keyLen)
	case s.flags&setConcat != 0:
		s.opaque(fmt.Errorf("a concatenation with intervals that does not name its fields"))
	}
	for _, p := range s.parts {
		s.Fields = append(s.Fields, 8*p.len)
	}
}

// concatLens reads NFTA_SET_DESC: the lengths of a concatenation's fields (in
// bytes, whatever the header says of bits).
func concatLens(desc []byte) ([]int, error) {
	r := read(desc, types(1, 2)) // size, concat
	if r.err != nil || !r.has(2) {
		return nil, r.err
	}
	var lens []int
	for f, err := range list(r.attrs[2], 1) { // NFTA_LIST_ELEM
		if err != nil {
			return nil, err
		}
		fr := read(f, types(1)) // NFTA_SET_FIELD_LEN
		n := int(fr.num(1))
		if fr.err != nil {
			return nil, fr.err
		}
		if n <= 0 || n > 64 {
			return nil, fmt.Errorf("a field of %d bytes", n)
		}
		lens = append(lens, n)
	}
	return lens, nil
}

// layout places fields at multiples of 4 bytes; it reports whether they fill the
// key.
func layout(lens []int, keyLen int) ([]part, bool) {
	parts := make([]part, len(lens))
	off := 0
	for i, n := range lens {
		parts[i] = part{off, n}
		off += (n + 3) &^ 3
	}
	if len(lens) == 1 {
		return parts, lens[0] == keyLen
	}
	return parts, off == keyLen
}

// typeParts finds the fields of a key from nft's numbers of its types, six bits
// for each (TYPE_BITS in nft's datatype.h). The kernel keeps them for information
// only. Where they do not fit the length, the key is one field: which is the
// same, as long as there are no intervals.
func typeParts(typ uint32, keyLen int) []part {
	whole := []part{{0, keyLen}}
	if typ < 64 {
		return whole
	}
	var lens []int
	for ; typ > 0; typ >>= 6 {
		n := typeLen(typ & 63)
		if n == 0 {
			return whole
		}
		lens = append(lens, n)
	}
	slices.Reverse(lens)
	if parts, ok := layout(lens, keyLen); ok {
		return parts
	}
	return whole
}

// typeLen is the length in bytes of nft's data types by number (enum datatypes in
// nft's datatype.h), 0 for those that have none of their own.
func typeLen(t uint32) int {
	switch t {
	case 2, 12, 14, 15, 16, 17, 27, 29, 31, 32, 33, 34, 36, 37, 39, 42, 45:
		return 1 // nfproto, inet_proto, icmp_type, tcp_flag, …
	case 10, 11, 13, 21:
		return 2 // ether_type, arp_op, inet_service, iface_type
	case 7, 19, 20, 22, 23, 24, 25, 26, 28, 35, 38, 44:
		return 4 // ipv4_addr, mark, iface_index, uid, ct_state, …
	case 9:
		return 6 // ether_addr
	case 43, 46:
		return 8 // time, cgroupsv2
	case 8, 30, 41:
		return 16 // ipv6_addr, ct_label, ifname
	}
	return 0
}

// Attributes of element lists and elements. Without meaning for packets are an
// element's timeout (4), expiration (5), user data (6) and pad (8).
const (
	elemsAttrTable = 1
	elemsAttrSet   = 2
	elemsAttrList  = 3

	elemAttrKey         = 1
	elemAttrData        = 2
	elemAttrFlags       = 3
	elemAttrExpr        = 7
	elemAttrObjref      = 9
	elemAttrKeyEnd      = 10
	elemAttrExpressions = 11
)

// Flags of elements (enum nft_set_elem_flags).
const (
	elemIntervalEnd = 1
	elemCatchAll    = 2
)

func (n *nftables) elements(m Message) error {
	var a attrs
	err := a.parse(m.Data, types(elemsAttrTable, elemsAttrSet, elemsAttrList, 4))
	r := &reader{attrs: a}
	tn, sn := r.text(elemsAttrTable), r.text(elemsAttrSet)
	if r.err != nil {
		return cmp.Or(err, r.err)
	}
	t, ferr := n.find(m, tn)
	if ferr != nil {
		return fmt.Errorf("elements of set %q: %w", sn, ferr)
	}
	s := t.sets[sn]
	if s == nil {
		return fmt.Errorf("their set %s %q is not there", t.Place(), sn)
	}
	if err != nil {
		s.opaque(err)
	}
	for b, err := range list(a[elemsAttrList], 1) {
		if err == nil {
			err = s.element(b)
		}
		if err != nil {
			s.opaque(fmt.Errorf("element %d: %w", len(s.elems)+1, err))
		}
	}
	return nil
}

func (s *set) element(b []byte) error {
	r := read(b, types(elemAttrKey, elemAttrData, elemAttrFlags, 4, 5, 6, elemAttrExpr, 8, elemAttrObjref, elemAttrKeyEnd, elemAttrExpressions))
	e := rawElem{flags: r.flags(elemAttrFlags, elemIntervalEnd|elemCatchAll)}
	if r.err != nil {
		return r.err
	}
	var err error
	if e.flags&elemCatchAll == 0 {
		if e.key, err = s.keyBytes(r.attrs[elemAttrKey]); err != nil {
			return fmt.Errorf("key: %w", err)
		}
	}
	if r.has(elemAttrKeyEnd) {
		if e.keyEnd, err = s.keyBytes(r.attrs[elemAttrKeyEnd]); err != nil {
			return fmt.Errorf("end of key: %w", err)
		}
	}
	if r.has(elemAttrObjref) {
		e.objref = r.text(elemAttrObjref)
	}
	if e.flags&elemIntervalEnd == 0 {
		if err := s.elementData(&r, &e); err != nil {
			return err
		}
	}
	e.elem.Cond = elementCond(s.Name, &r)
	s.elems = append(s.elems, e)
	return r.err
}

// keyBytes reads a key, which has the set's length.
func (s *set) keyBytes(b []byte) ([]byte, error) {
	r := read(b, types(1)) // NFTA_DATA_VALUE
	if r.err != nil {
		return nil, r.err
	}
	return r.fixed(1, s.keyLen)
}

func (s *set) elementData(r *reader, e *rawElem) error {
	switch {
	case s.flags&setMap == 0:
		if r.has(elemAttrData) {
			return fmt.Errorf("data in a set that is no map")
		}
		return nil
	case s.verdict:
		v, err := decodeData(r.attrs[elemAttrData])
		if err != nil {
			return err
		}
		if v.verdict == nil {
			return fmt.Errorf("a value in a verdict map")
		}
		fv, err := v.verdict.step()
		if err != nil {
			return err
		}
		e.elem.Verdict = fv
		return nil
	}
	v, err := decodeData(r.attrs[elemAttrData])
	if err != nil {
		return err
	}
	if v.verdict != nil || len(v.value) != s.dataLen {
		return fmt.Errorf("data of %d bytes instead of %d", len(v.value), s.dataLen)
	}
	e.elem.Data = v.value
	return nil
}

// elementCond says what the expressions of an element make of its use: a limit,
// quota or connlimit can end the rule.
func elementCond(setName string, r *reader) firewall.Cond {
	var exprs []expr
	var err error
	if r.has(elemAttrExpr) {
		var x expr
		x, err = oneExpression(r.attrs[elemAttrExpr])
		exprs = []expr{x}
	}
	if err == nil && r.has(elemAttrExpressions) {
		exprs, err = expressions(r.attrs[elemAttrExpressions])
	}
	if err != nil {
		return firewall.Undecoded{Text: "an expression in an element of set " + setName + ": " + err.Error()}
	}
	var conds firewall.And
	for _, x := range exprs {
		if c, _ := statefulCond(x); c != nil {
			conds = append(conds, c)
		}
	}
	if len(conds) == 0 {
		return nil
	}
	return conds
}

// finishSets turns the elements of all sets into those of firewall's.
func (n *nftables) finishSets() {
	for _, t := range n.tables {
		for _, s := range t.sets {
			if s.Opaque == "" {
				s.finish()
			}
			if s.Opaque != "" {
				s.Elems, s.objrefs = nil, nil
			}
		}
	}
}

func (s *set) finish() {
	s.splitWhereUnpadded()
	halfOpen := s.flags&setInterval != 0 && !slices.ContainsFunc(s.elems, func(e rawElem) bool { return e.keyEnd != nil })
	if halfOpen && len(s.parts) == 1 {
		s.joinIntervals()
		return
	}
	if s.flags&setInterval == 0 {
		slices.SortStableFunc(s.elems, func(a, b rawElem) int {
			return cmp.Or(cmp.Compare(a.flags&elemCatchAll, b.flags&elemCatchAll), bytes.Compare(a.key, b.key))
		})
	}
	for _, e := range s.elems {
		if e.flags&elemIntervalEnd != 0 {
			s.opaque(fmt.Errorf("the end of an interval in a set that does not keep them so"))
			return
		}
		hi := e.keyEnd
		if hi == nil {
			hi = e.key
		}
		s.add(e, e.key, hi)
	}
}

// splitWhereUnpadded makes the key one field where an element has something in
// the padding between fields: it then counts.
func (s *set) splitWhereUnpadded() {
	for _, e := range s.elems {
		for _, k := range [][]byte{e.key, e.keyEnd} {
			for i, b := range k {
				if b != 0 && !slices.ContainsFunc(s.parts, func(p part) bool { return i >= p.off && i < p.off+p.len }) {
					if e.keyEnd != nil {
						s.opaque(fmt.Errorf("an interval over the padding of a key"))
						return
					}
					s.parts, s.Fields = []part{{0, s.keyLen}}, []int{8 * s.keyLen}
					return
				}
			}
		}
	}
}

// add appends an element whose key goes from lo to hi, both included.
func (s *set) add(e rawElem, lo, hi []byte) {
	if e.flags&elemCatchAll == 0 {
		e.elem.Key = make([]firewall.Interval, len(s.parts))
		for i, p := range s.parts {
			e.elem.Key[i] = firewall.Interval{Lo: lo[p.off : p.off+p.len], Hi: hi[p.off : p.off+p.len]}
		}
	}
	s.Elems = append(s.Elems, e.elem)
	s.objrefs = append(s.objrefs, e.objref)
}

// joinIntervals joins starts and ends of half-open intervals. A start lasts until
// the next start or end (nft leaves out the end between adjacent intervals), the
// last one until the highest key; an end without a start is the mark that nft
// puts before the first interval.
func (s *set) joinIntervals() {
	var catchAll []rawElem
	keyed := make([]rawElem, 0, len(s.elems))
	for _, e := range s.elems {
		if e.flags&elemCatchAll != 0 {
			catchAll = append(catchAll, e)
		} else {
			keyed = append(keyed, e)
		}
	}
	slices.SortStableFunc(keyed, func(a, b rawElem) int {
		return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(b.flags&elemIntervalEnd, a.flags&elemIntervalEnd))
	})
	for i, e := range keyed {
		if e.flags&elemIntervalEnd != 0 {
			continue
		}
		hi := bytes.Repeat([]byte{0xff}, s.keyLen)
		if i+1 < len(keyed) {
			if bytes.Equal(keyed[i+1].key, e.key) {
				s.opaque(fmt.Errorf("two intervals that begin with %x", e.key))
				return
			}
			hi = before(keyed[i+1].key)
		}
		s.add(e, e.key, hi)
	}
	for _, e := range catchAll {
		s.add(e, nil, nil)
	}
}

// before returns the key before b, which is not all zeros.
func before(b []byte) []byte {
	out := bytes.Clone(b)
	for i := len(out) - 1; i >= 0; i-- {
		out[i]--
		if out[i] != 0xff {
			break
		}
	}
	return out
}
