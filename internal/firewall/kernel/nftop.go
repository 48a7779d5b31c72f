package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"sekimori/internal/firewall"
)

// data is what an immediate, a comparison or an element holds.
type data struct {
	value   []byte
	verdict *verdict
}

// verdict is a verdict as nf_tables encodes it.
type verdict struct {
	code  int32
	chain string
}

// decodeData reads nested data (enum nft_data_attributes).
func decodeData(b []byte) (data, error) {
	r := read(b, types(1, 2)) // value, verdict
	switch {
	case r.err != nil:
		return data{}, r.err
	case r.has(1) == r.has(2):
		return data{}, errors.New("neither a value nor a verdict")
	case r.has(1):
		if n := len(r.attrs[1]); n == 0 || n > regBytes {
			return data{}, fmt.Errorf("a value of %d bytes", n)
		}
		return data{value: r.attrs[1]}, nil
	}
	v := read(r.attrs[2], types(1, 2)) // code, chain
	out := &verdict{code: int32(v.num(1))}
	if v.has(2) {
		out.chain = v.text(2)
	}
	return data{verdict: out}, v.err
}

// Verdicts of nf_tables (enum nft_verdicts).
const (
	nftContinue = -1
	nftBreak    = -2
	nftJump     = -3
	nftGoto     = -4
	nftReturn   = -5
)

// step returns the verdict as a step; Break is Continue, for both end the rule.
func (v *verdict) step() (*firewall.Verdict, error) {
	out := &firewall.Verdict{}
	switch {
	case v.code == nftContinue || v.code == nftBreak:
		out.Kind = firewall.Continue
	case v.code == nftJump:
		out.Kind = firewall.Jump
	case v.code == nftGoto:
		out.Kind = firewall.Goto
	case v.code == nftReturn:
		out.Kind = firewall.Return
	case v.code == nfAccept:
		out.Kind = firewall.Accept
	case v.code == nfDrop:
		// With an error in the upper bits, which kernels before 6.8 took, it need not
		// be a drop at all (CVE-2024-1086).
		out.Kind = firewall.Drop
	case v.code&0xff == nfQueue && v.code >= 0:
		out.Kind, out.Detail = firewall.Queue, fmt.Sprintf("to %d", v.code>>16)
	default:
		return nil, fmt.Errorf("verdict %d is not known", v.code)
	}
	if jumps := out.Kind == firewall.Jump || out.Kind == firewall.Goto; jumps != (v.chain != "") {
		return nil, fmt.Errorf("verdict %s with chain %q", out.Kind, v.chain)
	}
	out.Chain = v.chain
	return out, nil
}

func (r *rule) immediate(b []byte) error {
	a := read(b, types(1, 2)) // dreg, data
	reg := a.num(1)
	if a.err != nil {
		return a.err
	}
	d, err := decodeData(a.attrs[2])
	if err != nil {
		return err
	}
	if (reg == 0) != (d.verdict != nil) {
		return fmt.Errorf("register %d for such data", reg)
	}
	if d.verdict == nil {
		return r.store(reg, &operand{bits: firewall.Constant(d.value)}, len(d.value))
	}
	v, err := d.verdict.step()
	switch {
	case err != nil:
		return err
	case d.verdict.code == nftContinue: // on with the next expression
		r.say("continue")
	case d.verdict.code == nftBreak:
		r.emit(firewall.Verdict{Kind: firewall.Continue})
		r.say("break")
	default:
		r.emit(*v)
		r.sayVerdict(v)
	}
	return nil
}

// relation is a comparison as it stands in a rule, for its text and for joining
// the two halves of a range.
type relation struct {
	v      *operand
	lo, hi []byte
	neg    bool
	strict bool // written as less or greater than
	step   int  // of the condition, counted from 1
	frag   int  // of the text
}

func (r *rule) cmp(b []byte) error {
	a := read(b, types(1, 2, 3)) // sreg, op, data
	reg, op := a.num(1), a.num(2)
	if a.err != nil {
		return a.err
	}
	d, err := decodeData(a.attrs[3])
	if err != nil {
		return err
	}
	if d.verdict != nil {
		return errors.New("a comparison with a verdict")
	}
	v, err := r.source(reg, len(d.value))
	if err != nil {
		return err
	}
	rel := relation{v: v, lo: d.value, hi: d.value}
	none := false
	switch op {
	case 0:
	case 1:
		rel.neg = true
	case 2: // less: nothing is less than zero
		none, rel.strict = isZero(d.value), true
		rel.lo, rel.hi = fill(0, len(d.value)), before(d.value)
	case 3:
		rel.lo = fill(0, len(d.value))
	case 4: // greater: nothing is greater than all ones
		none, rel.strict = isOnes(d.value), true
		rel.lo, rel.hi = after(d.value), fill(0xff, len(d.value))
	case 5:
		rel.hi = fill(0xff, len(d.value))
	default:
		return fmt.Errorf("operator %d is not known", op)
	}
	if none {
		r.match(firewall.Const(false))
		r.say("never")
		return nil
	}
	r.compare(rel)
	return nil
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func isOnes(b []byte) bool { return bytes.Count(b, []byte{0xff}) == len(b) }

func fill(c byte, n int) []byte { return bytes.Repeat([]byte{c}, n) }

// after returns the number after b, which is not all ones.
func after(b []byte) []byte {
	out := bytes.Clone(b)
	for i := len(out) - 1; i >= 0; i-- {
		out[i]++
		if out[i] != 0 {
			break
		}
	}
	return out
}

func (r *rule) rangeExpr(b []byte) error {
	a := read(b, types(1, 2, 3, 4)) // sreg, op, from, to
	reg, op := a.num(1), a.num(2)
	if a.err == nil && op > 1 {
		return fmt.Errorf("operator %d is not known", op)
	}
	if a.err != nil {
		return a.err
	}
	from, err := decodeData(a.attrs[3])
	if err != nil {
		return err
	}
	to, err := decodeData(a.attrs[4])
	if err != nil {
		return err
	}
	if from.verdict != nil || to.verdict != nil || len(from.value) != len(to.value) {
		return errors.New("ends of a range that do not fit together")
	}
	v, err := r.source(reg, len(from.value))
	if err != nil {
		return err
	}
	if bytes.Compare(from.value, to.value) > 0 { // empty
		r.match(firewall.Const(op == 1))
		r.say("an empty range")
		return nil
	}
	r.compare(relation{v: v, lo: from.value, hi: to.value, neg: op == 1})
	return nil
}

// compare adds a comparison. Two that follow each other and bound the same value
// from below and above become one.
func (r *rule) compare(rel relation) {
	if joined, ok := r.join(rel); ok {
		rel = joined
		r.out.Steps = r.out.Steps[:r.last.step-1]
		r.text.frags = r.text.frags[:r.last.frag-1]
	}
	d := r.answer(rel)
	n := len(r.out.Steps)
	r.match(d.cond)
	r.sayRelation(rel, d)
	if len(r.out.Steps) > n && !r.ended {
		rel.step = len(r.out.Steps)
		rel.frag = len(r.text.frags)
		r.last = rel
	}
}

// compareKey names a comparison with one value that rules have in common, and
// comparison is what it comes to.
type compareKey struct {
	v        *operand
	neg      bool
	iptables bool
	data     string
}

type comparison struct {
	cond firewall.Cond
	text string
	save saveOption
}

// answer works a comparison out, unless that has been done before.
func (r *rule) answer(rel relation) comparison {
	keep := rel.v.shared && bytes.Equal(rel.lo, rel.hi)
	if keep {
		if d, ok := r.n.compared[compareKey{rel.v, rel.neg, r.t.iptables, string(rel.lo)}]; ok {
			return d
		}
	}
	d := comparison{cond: rel.v.within(rel.lo, rel.hi), text: r.relationText(rel)}
	if v := r.fixed(rel.v); v != rel.v {
		d.cond = firewall.Varies{Text: d.text + " (which a rule changes)", Stateful: true}
		if v.kind == unknown {
			d.cond = v.within(rel.lo, rel.hi)
		}
	} else if rel.neg {
		d.cond = negate(d.cond)
	}
	d.save = r.saveRelation(rel)
	if keep {
		r.n.compared[compareKey{rel.v, rel.neg, r.t.iptables, string(rel.lo)}] = d
	}
	return d
}

func (r *rule) join(rel relation) (relation, bool) {
	l := r.last
	if l.step == 0 || l.step != len(r.out.Steps) || l.frag != len(r.text.frags) || r.ended || r.need != [needs]int{} ||
		l.neg || rel.neg || !l.v.same(rel.v) || len(l.lo) != len(rel.lo) || rel.v.kind == unknown || rel.v.stateful {
		return rel, false
	}
	one := rel
	if bytes.Compare(l.lo, rel.lo) > 0 {
		rel.lo = l.lo
	}
	if bytes.Compare(l.hi, rel.hi) < 0 {
		rel.hi = l.hi
	}
	if bytes.Compare(rel.lo, rel.hi) > 0 {
		return one, false
	}
	rel.strict = false
	return rel, true
}

// same reports whether two values are surely the same.
func (o *operand) same(p *operand) bool {
	if o == p {
		return true
	}
	return o.kind == plain && p.kind == plain && slices.Equal(o.bits, p.bits)
}

func negate(c firewall.Cond) firewall.Cond {
	switch c := c.(type) {
	case firewall.Not:
		return c.Of
	case firewall.Const:
		return !c
	case firewall.State:
		all := firewall.StateInvalid | firewall.StateEstablished | firewall.StateRelated | firewall.StateNew | firewall.StateUntracked
		return firewall.State{Mask: all &^ c.Mask}
	}
	return firewall.Not{Of: c}
}

// Operations of bitwise (enum nft_bitwise_ops).
const (
	bitwiseMaskXor = 0
	bitwiseLshift  = 1
	bitwiseRshift  = 2
	bitwiseAnd     = 3
	bitwiseOr      = 4
	bitwiseXor     = 5
)

func (r *rule) bitwise(b []byte) error {
	a := read(b, types(1, 2, 3, 4, 5, 6, 7, 8)) // sreg, dreg, len, mask, xor, op, data, sreg2
	n, op := int(min(a.num(3), regBytes+1)), a.numOr(6, bitwiseMaskXor)
	if a.err != nil {
		return a.err
	}
	// Whole registers are worked on, whatever the length.
	size := (n + 3) &^ 3
	v, err := r.source(a.num(1), size)
	if err != nil {
		return err
	}
	var f func(firewall.Value) (firewall.Value, bool)
	var text string
	var key maskKey
	switch op {
	case bitwiseMaskXor:
		key = maskKey{v: v, size: size, mask: string(a.attrs[4]), xor: string(a.attrs[5])}
		if m := r.n.masked[key]; m != nil && v.shared {
			return r.load(&a, 2, m, size)
		}
		f, text, err = maskXor(&a, size)
	case bitwiseLshift, bitwiseRshift:
		f, text, err = shift(&a, op == bitwiseLshift)
	case bitwiseAnd, bitwiseOr, bitwiseXor:
		f, text, err = r.twoOperands(&a, op, size)
	default:
		return fmt.Errorf("operation %d is not known", op)
	}
	if err != nil {
		return err
	}
	out := r.apply(v, f, text)
	if v.shared && out.kind == plain && op == bitwiseMaskXor {
		out.shared = true
		r.n.masked[key] = out
	}
	return r.load(&a, 2, out, size)
}

// maskKey names a mask-and-xor of a value that rules have in common.
type maskKey struct {
	v         *operand
	size      int
	mask, xor string
}

// apply carries out an operation on the bits of a value; what is not plain keeps
// what is known of it.
func (r *rule) apply(v *operand, f func(firewall.Value) (firewall.Value, bool), text string) *operand {
	switch v.kind {
	case plain:
		if bits, ok := f(v.bits); ok {
			return &operand{bits: bits}
		}
		return r.unknown("a value computed by" + text)
	case varying:
		return &operand{kind: varying, text: "(" + v.text + text + ")", stateful: v.stateful, host: v.host, swapped: v.swapped}
	case mapped:
		if m := r.n.mapData(v.m, f); m != nil {
			return &operand{kind: mapped, text: v.text + text, m: m, key: v.key}
		}
	}
	return r.unknown("(" + v.text + text + ")")
}

func maskXor(a *reader, size int) (func(firewall.Value) (firewall.Value, bool), string, error) {
	mask, err := decodeData(a.attrs[4])
	if err != nil {
		return nil, "", fmt.Errorf("mask: %w", err)
	}
	xor, err := decodeData(a.attrs[5])
	if err != nil {
		return nil, "", fmt.Errorf("xor: %w", err)
	}
	if len(mask.value) > size || len(xor.value) != len(mask.value) || mask.verdict != nil {
		return nil, "", errors.New("mask and xor do not fit")
	}
	m, x := padTo(mask.value, size), padTo(xor.value, size)
	f := func(v firewall.Value) (firewall.Value, bool) {
		if len(v) != 8*size {
			return nil, false
		}
		out := make(firewall.Value, len(v))
		for i, b := range v {
			if m[i/8]>>(7-i%8)&1 == 0 {
				b = firewall.Bit{}
			}
			b.Invert = b.Invert != (x[i/8]>>(7-i%8)&1 == 1)
			out[i] = b
		}
		return out, true
	}
	return f, fmt.Sprintf(" & 0x%x ^ 0x%x", m, x), nil
}

func padTo(b []byte, n int) []byte { return append(bytes.Clone(b), make([]byte, n-len(b))...) }

// shift moves bits through 4-byte words in host order, the first of which is the
// most significant (nft_bitwise_eval_lshift).
func shift(a *reader, left bool) (func(firewall.Value) (firewall.Value, bool), string, error) {
	d, err := decodeData(a.attrs[7])
	if err != nil {
		return nil, "", err
	}
	if len(d.value) != 4 {
		return nil, "", errors.New("a shift by something else than a number")
	}
	by := int(binary.LittleEndian.Uint32(d.value))
	if by <= 0 || by >= 32 {
		return nil, "", fmt.Errorf("a shift by %d bits", by)
	}
	f := func(v firewall.Value) (firewall.Value, bool) {
		words := wordwise(v)
		zeros := make(firewall.Value, by)
		if left {
			words = append(words[by:len(words):len(words)], zeros...)
		} else {
			words = append(zeros, words[:len(words)-by]...)
		}
		return wordwise(words), true
	}
	return f, fmt.Sprintf(" %s %d", map[bool]string{true: "<<", false: ">>"}[left], by), nil
}

// wordwise turns the bytes of each 4-byte word around.
func wordwise(v firewall.Value) firewall.Value {
	out := make(firewall.Value, 0, len(v))
	for w := range slices.Chunk(v, 32) {
		out = append(out, w.Reverse()...)
	}
	return out
}

// twoOperands is and, or, xor with a second register or a constant.
func (r *rule) twoOperands(a *reader, op uint32, size int) (func(firewall.Value) (firewall.Value, bool), string, error) {
	var second *operand
	var err error
	if a.has(8) {
		second, err = r.source(a.num(8), size)
	} else {
		var d data
		if d, err = decodeData(a.attrs[7]); err == nil && (d.verdict != nil || len(d.value) > size) {
			err = errors.New("an operand that does not fit")
		}
		second = &operand{bits: firewall.Constant(padTo(d.value, max(size, len(d.value))))}
	}
	if err != nil || a.err != nil {
		return nil, "", errors.Join(err, a.err)
	}
	text := map[uint32]string{bitwiseAnd: " & ", bitwiseOr: " | ", bitwiseXor: " ^ "}[op] + r.valueText(second, typeHex, true)
	if second.kind != plain {
		return func(firewall.Value) (firewall.Value, bool) { return nil, false }, text, nil
	}
	f := func(v firewall.Value) (firewall.Value, bool) {
		if len(v) != len(second.bits) {
			return nil, false
		}
		out := make(firewall.Value, len(v))
		for i := range v {
			b, ok := combine(op, v[i], second.bits[i])
			if !ok {
				return nil, false
			}
			out[i] = b
		}
		return out, true
	}
	return f, text, nil
}

// combine is one bit of and, or, xor. Of two bits that are both unknown the result
// is only known if they are the same.
func combine(op uint32, a, b firewall.Bit) (firewall.Bit, bool) {
	if a.Field == "" {
		a, b = b, a
	}
	if b.Field != "" {
		switch inverse := a.Invert != b.Invert; {
		case a.Field != b.Field || a.Index != b.Index:
			return a, false
		case op == bitwiseXor:
			return firewall.Bit{Invert: inverse}, true
		case inverse:
			return firewall.Bit{Invert: op == bitwiseOr}, true
		}
		return a, true
	}
	switch {
	case op == bitwiseXor:
		a.Invert = a.Invert != b.Invert
		return a, true
	case b.Invert == (op == bitwiseAnd):
		return a, true // and 1, or 0
	}
	return b, true
}

func (r *rule) byteorder(b []byte) error {
	a := read(b, types(1, 2, 3, 4, 5)) // sreg, dreg, op, len, size
	op, n, size := a.num(3), int(min(a.num(4), regBytes+1)), int(min(a.num(5), regBytes))
	switch {
	case a.err != nil:
		return a.err
	case op > 1:
		return fmt.Errorf("operation %d is not known", op)
	case size != 2 && size != 4 && size != 8:
		return fmt.Errorf("size %d is not known", size)
	case n == 0 || n%size != 0 || size == 2 && n != 2:
		// Kernels before 6.5 took every second number of two bytes for more.
		return fmt.Errorf("size %d for %d bytes", size, n)
	}
	v, err := r.source(a.num(1), n)
	if err != nil {
		return err
	}
	f := func(v firewall.Value) (firewall.Value, bool) {
		if len(v) != 8*n {
			return nil, false
		}
		out := make(firewall.Value, 0, len(v))
		for w := range slices.Chunk(v, 8*size) {
			out = append(out, w.Reverse()...)
		}
		return out, true
	}
	out := r.apply(v, f, "")
	if v.kind == varying && n == size {
		out = &operand{kind: varying, text: v.text, stateful: v.stateful, host: v.host, swapped: !v.swapped}
	}
	// Other than loads, this leaves the rest of the last register as it was.
	at, err := register(a.num(2), n)
	if err != nil {
		return err
	}
	for i := range n {
		r.regs[at+i] = cell{out, i}
	}
	return nil
}
