package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"sekimori/internal/firewall"
)

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
