package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"sekimori/internal/firewall"
)

// kind says what is known of the contents of a register.
type kind uint8

const (
	// plain contents are bits of packet fields and constants.
	plain kind = iota
	// truth is 1 where a condition holds and 0 elsewhere.
	truth
	// addrType is the type of an address, as a number in host order.
	addrType
	// route is the interface that a route was found through, 0 or "" for none;
	// cond says whether one was.
	route
	// mapped is what a map holds for a key.
	mapped
	// varying contents are understood, but have no fixed answer.
	varying
	// unknown contents could not be understood.
	unknown
)

// operand is a value in registers.
type operand struct {
	kind kind
	// bits are the plain contents, in the order of the register's bytes.
	bits firewall.Value
	// text is what nft calls a value that is not plain.
	text string
	cond firewall.Cond
	addr firewall.AddrType
	// stateful values can differ each time they are loaded.
	stateful bool
	// host is true for numbers in host order that are not plain.
	host bool
	// swapped values are in the byte order opposite to the host's.
	swapped bool
	// original is what a value was before a rule was found to change it.
	original *operand
	// shared values are those of many rules, for which answers are worth keeping.
	shared bool
	// m and key are the map and what it is asked with.
	m   *firewall.Set
	key []*operand
}

// loadKey names a load that rules have in common.
type loadKey struct {
	field      firewall.Field
	width      int
	from, bits int
	hostEndian bool
}

// The number of 4-byte registers (NFT_REG32_COUNT), and their bytes.
const (
	registers = 16
	regBytes  = 4 * registers
)

// cell is one byte of the registers: byte i of a value, or nothing known.
type cell struct {
	v *operand
	i int
}

// register returns the place in bytes of a register by its number: 1 to 4 are the
// old ones of 16 bytes, 8 to 23 those of 4 (enum nft_registers).
func register(num uint32, n int) (int, error) {
	var at int
	switch {
	case num >= 1 && num <= 4:
		at = 16 * int(num-1)
	case num >= 8 && num < 8+registers:
		at = 4 * int(num-8)
	default:
		return 0, fmt.Errorf("register %d is not known", num)
	}
	if n < 1 || at+n > regBytes {
		return 0, fmt.Errorf("%d bytes do not fit into register %d", n, num)
	}
	return at, nil
}

// store puts n bytes of a value into a register and zeros up to the next one, as
// the kernel's helpers do.
func (r *rule) store(num uint32, v *operand, n int) error {
	at, err := register(num, n)
	if err != nil {
		return err
	}
	for i := range n {
		r.regs[at+i] = cell{v, i}
	}
	for i := n; i%4 != 0; i++ {
		r.regs[at+i] = cell{&r.n.zero, 0}
	}
	return nil
}

// load is store into the register that an attribute of the expression names.
func (r *rule) load(a *reader, reg int, v *operand, n int) error {
	num := a.num(reg)
	if a.err != nil {
		return a.err
	}
	return r.store(num, v, n)
}

// source returns n bytes from a register on as one value.
func (r *rule) source(num uint32, n int) (*operand, error) {
	at, err := register(num, n)
	if err != nil {
		return nil, err
	}
	return r.gather(at, n), nil
}

func (r *rule) gather(at, n int) *operand {
	cells := r.regs[at : at+n]
	v := cells[0].v
	run := true
	for i, c := range cells {
		run = run && c.v == v && c.i == cells[0].i+i
	}
	switch {
	case run && v != nil && v.kind == plain:
		if 8*n == len(v.bits) {
			return v
		}
		return &operand{bits: v.bits[8*cells[0].i : 8*(cells[0].i+n)], text: v.text}
	case run && v != nil && cells[0].i == 0:
		return v
	}
	return r.mixed(cells)
}

// mixed returns a value that is put together from several.
func (r *rule) mixed(cells []cell) *operand {
	var bits firewall.Value
	for i, c := range cells {
		switch {
		case c.v == nil:
			return r.unknown("a register that nothing was loaded into")
		case c.v.kind == plain:
			bits = append(bits, c.v.bits[8*c.i:8*c.i+8]...)
		case i == 0 && c.i == 0 && r.zeroTail(cells):
			return c.v
		case c.v.kind == unknown:
			return c.v
		case c.v.kind == varying:
			return &operand{kind: varying, text: "a value with " + c.v.text, stateful: true}
		default:
			return r.unknown("a part of " + c.v.text)
		}
	}
	return &operand{bits: bits}
}

// zeroTail reports whether the cells are a value of less than 4 bytes, and the
// zeros that fill up its register.
func (r *rule) zeroTail(cells []cell) bool {
	k := 1
	for k < len(cells) && cells[k].v == cells[0].v && cells[k].i == k {
		k++
	}
	for _, c := range cells[k:] {
		if c.v != &r.n.zero {
			return false
		}
	}
	return len(cells) <= (k+3)&^3
}

// unknown is a value that could not be understood. Its text names the rule, since
// equal texts mean equal answers.
func (r *rule) unknown(what string) *operand {
	return &operand{kind: unknown, text: what + " (" + r.place() + ")"}
}

// spoil makes all registers unknown.
func (r *rule) spoil(what string) {
	u := r.unknown(what)
	for i := range r.regs {
		r.regs[i] = cell{u, 0}
	}
}

// isConst returns the bytes of a value of constants.
func (o *operand) isConst() ([]byte, bool) {
	if o.kind != plain {
		return nil, false
	}
	out := make([]byte, len(o.bits)/8)
	for i, b := range o.bits {
		if b.Field != "" {
			return nil, false
		}
		if b.Invert {
			out[i/8] |= 0x80 >> (i % 8)
		}
	}
	return out, true
}

// within is the condition that a value, compared byte by byte as memcmp does,
// lies from lo to hi.
func (o *operand) within(lo, hi []byte) firewall.Cond {
	switch o.kind {
	case plain:
		return bitsWithin(o.bits, lo, hi)
	case truth:
		zero, one := make([]byte, len(lo)), make([]byte, len(lo))
		one[0] = 1
		no, yes := between(zero, lo, hi), between(one, lo, hi)
		switch {
		case no == yes:
			return firewall.Const(yes)
		case yes:
			return o.cond
		}
		return firewall.Not{Of: o.cond}
	case addrType:
		return o.typeWithin(lo, hi)
	case route:
		none := make([]byte, len(lo))
		if bytes.Equal(lo, none) && bytes.Equal(hi, none) {
			return firewall.Not{Of: o.cond}
		}
		if c := o.routeIs(lo, hi); c != nil {
			return c
		}
		if !between(none, lo, hi) && isOnes(hi) && isOne(lo) {
			return o.cond
		}
		return firewall.Varies{Text: o.describe(lo, hi)}
	case varying:
		return firewall.Varies{Text: o.describe(lo, hi), Stateful: o.stateful}
	}
	return firewall.Undecoded{Text: o.text + " " + rangeText(lo, hi)}
}

// routeIs recognizes the question whether the route goes back to one interface,
// where only routes through the packet's own are looked for.
func (o *operand) routeIs(lo, hi []byte) firewall.Cond {
	if p, ok := o.cond.(firewall.ReversePath); !ok || p.Loose || !bytes.Equal(lo, hi) {
		return nil
	}
	if len(lo) == 4 {
		return firewall.And{o.cond, firewall.InterfaceIndex{Index: int(binary.LittleEndian.Uint32(lo))}}
	}
	name, rest, _ := bytes.Cut(lo, []byte{0})
	if !isZero(rest) || len(lo) != ifNameLen {
		return nil
	}
	return firewall.And{o.cond, firewall.Interface{Name: string(name)}}
}

// describe shows a comparison of what is not plain.
func (o *operand) describe(lo, hi []byte) string {
	s := selector{name: o.text, typ: fieldType(o.text), host: o.host != o.swapped}
	return s.relation(relation{v: o, lo: lo, hi: hi}, nil)
}

func isOne(b []byte) bool {
	return bytes.Equal(b[:len(b)-1], make([]byte, len(b)-1)) && b[len(b)-1] == 1
}

func rangeText(lo, hi []byte) string {
	if bytes.Equal(lo, hi) {
		return fmt.Sprintf("0x%x", lo)
	}
	return fmt.Sprintf("0x%x-0x%x", lo, hi)
}

func between(b, lo, hi []byte) bool {
	return bytes.Compare(lo, b) <= 0 && bytes.Compare(b, hi) <= 0
}

// addrTypes is the number of types that a route can have (RTN_ in
// linux/rtnetlink.h), unspec included.
const addrTypes = 12

func (o *operand) typeWithin(lo, hi []byte) firewall.Cond {
	if len(lo) != 4 {
		return firewall.Undecoded{Text: o.text + " " + rangeText(lo, hi)}
	}
	c := o.addr
	for t := range uint32(addrTypes) {
		if between(binary.LittleEndian.AppendUint32(nil, t), lo, hi) {
			c.Types |= 1 << t
		}
	}
	switch c.Types {
	case 0:
		return firewall.Const(false)
	case 1<<addrTypes - 1:
		return firewall.Const(true)
	}
	return c
}

// bitsWithin is [operand.within] for plain values.
func bitsWithin(v firewall.Value, lo, hi []byte) firewall.Cond {
	if len(v) != 8*len(lo) {
		return firewall.Undecoded{Text: fmt.Sprintf("a comparison of %d with %d bits", len(v), 8*len(lo))}
	}
	f, one := onlyField(v)
	switch {
	case f == "" && one:
		b, _ := (&operand{bits: v}).isConst()
		return firewall.Const(between(b, lo, hi))
	case f == firewall.FieldCtState && one:
		return stateWithin(v, lo, hi)
	case everything(lo, hi):
		return firewall.Const(true)
	case bytes.Equal(lo, hi):
		return bitsEqual(v, lo)
	}
	if r, cut := (relation{v: &operand{bits: v}, lo: lo, hi: hi}).withoutZeros(); cut {
		v, lo, hi = r.v.bits, r.lo, r.hi
		if bytes.Compare(lo, hi) > 0 {
			return firewall.Const(false) // more than the bits that are left can be
		}
	}
	return firewall.Compare{Value: v, In: []firewall.Interval{{Lo: lo, Hi: hi}}}
}

func everything(lo, hi []byte) bool {
	for i := range lo {
		if lo[i] != 0 || hi[i] != 0xff {
			return false
		}
	}
	return true
}

// onlyField returns the field that all bits but constants belong to; "" if there
// are constants alone. It reports whether there is but one.
func onlyField(v firewall.Value) (firewall.Field, bool) {
	var f firewall.Field
	for _, b := range v {
		switch {
		case b.Field == "" || b.Field == f:
		case f == "":
			f = b.Field
		default:
			return f, false
		}
	}
	return f, true
}

// stateWithin tries the five states, of which a packet has exactly one.
func stateWithin(v firewall.Value, lo, hi []byte) firewall.Cond {
	var m firewall.StateMask
	all := []firewall.StateMask{
		firewall.StateInvalid, firewall.StateEstablished, firewall.StateRelated, firewall.StateNew, firewall.StateUntracked,
	}
	for _, s := range all {
		b := make([]byte, len(lo))
		for i, bit := range v {
			set := bit.Field != "" && uint32(s)>>(31-bit.Index)&1 == 1
			if set != bit.Invert {
				b[i/8] |= 0x80 >> (i % 8)
			}
		}
		if between(b, lo, hi) {
			m |= s
		}
	}
	switch m {
	case 0:
		return firewall.Const(false)
	case firewall.StateInvalid | firewall.StateEstablished | firewall.StateRelated | firewall.StateNew | firewall.StateUntracked:
		return firewall.Const(true)
	}
	return firewall.State{Mask: m}
}

// bitsEqual is the condition that a value is equal to b. Constant bits are
// compared here and left out, inverted ones inverted, and those of a single field
// brought into their order.
func bitsEqual(v firewall.Value, b []byte) firewall.Cond {
	if tidy(v) {
		return equal(v, b)
	}
	want := make([]bool, 0, len(v))
	bits := make(firewall.Value, 0, len(v))
	for i, bit := range v {
		w := b[i/8]>>(7-i%8)&1 == 1
		if bit.Field == "" {
			if bit.Invert != w {
				return firewall.Const(false)
			}
			continue
		}
		w = w != bit.Invert
		bit.Invert = false
		bits, want = append(bits, bit), append(want, w)
	}
	if _, one := onlyField(bits); one {
		sortBits(bits, want)
	}
	return equal(bits, packBits(want))
}

// equal is the condition that tidy bits are those of data.
func equal(bits firewall.Value, data []byte) firewall.Cond {
	if c := interfaceEqual(bits, data); c != nil {
		return c
	}
	return firewall.Compare{Value: bits, In: []firewall.Interval{{Lo: data, Hi: data}}}
}

// tidy reports whether bits are of fields alone, not inverted, and in order.
func tidy(v firewall.Value) bool {
	for i, b := range v {
		if b.Field == "" || b.Invert || i > 0 && b.Field == v[i-1].Field && b.Index < v[i-1].Index {
			return false
		}
	}
	return true
}

func sortBits(bits firewall.Value, want []bool) {
	type pair struct {
		bit  firewall.Bit
		want bool
	}
	pairs := make([]pair, len(bits))
	for i := range bits {
		pairs[i] = pair{bits[i], want[i]}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return int(a.bit.Index) - int(b.bit.Index) })
	for i, p := range pairs {
		bits[i], want[i] = p.bit, p.want
	}
}

// packBits puts bits into as many bytes as they need, right-aligned.
func packBits(bits []bool) []byte {
	out := make([]byte, (len(bits)+7)/8)
	pad := 8*len(out) - len(bits)
	for i, b := range bits {
		if b {
			out[(i+pad)/8] |= 0x80 >> ((i + pad) % 8)
		}
	}
	return out
}

// interfaceEqual recognizes comparisons of an interface's number or name; nil is
// anything else.
func interfaceEqual(bits firewall.Value, data []byte) firewall.Cond {
	if len(bits) == 0 {
		return nil
	}
	switch bits[0].Field {
	case firewall.FieldIif, firewall.FieldOif, firewall.FieldIifName, firewall.FieldOifName:
	default:
		return nil
	}
	f, one := onlyField(bits)
	if !one || !wholeFrom(bits, 0) {
		return nil
	}
	switch {
	case (f == firewall.FieldIif || f == firewall.FieldOif) && len(bits) == 32:
		return firewall.InterfaceIndex{Out: f == firewall.FieldOif, Index: int(binary.BigEndian.Uint32(data))}
	case f == firewall.FieldIif || f == firewall.FieldOif || len(bits)%8 != 0:
		return nil
	}
	name, rest, ends := bytes.Cut(data, []byte{0})
	if len(bytes.Trim(rest, "\x00")) > 0 {
		return firewall.Const(false) // names are padded with zeros
	}
	ends = ends || len(data) == ifNameLen
	return firewall.Interface{Out: f == firewall.FieldOifName, Name: string(name), Prefix: !ends}
}

// ifNameLen is IFNAMSIZ of linux/if.h.
const ifNameLen = 16

// wholeFrom reports whether bits are consecutive ones of a field, from index n on.
func wholeFrom(bits firewall.Value, n int) bool {
	for i, b := range bits {
		if b.Invert || int(b.Index) != n+i {
			return false
		}
	}
	return true
}
