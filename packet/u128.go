package packet

import "math/bits"

// u128 is an unsigned number of up to 128 bits.
type u128 struct{ hi, lo uint64 }

func (a u128) less(b u128) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

func (a u128) next() u128 {
	lo, carry := bits.Add64(a.lo, 1, 0)
	return u128{a.hi + carry, lo}
}

func (a u128) previous() u128 {
	lo, borrow := bits.Sub64(a.lo, 1, 0)
	return u128{a.hi - borrow, lo}
}

// bit i counts from the least significant.
func (a u128) bit(i int) bool {
	if i >= 64 {
		return a.hi>>(i-64)&1 != 0
	}
	return a.lo>>i&1 != 0
}

func (a u128) setBit(i int) u128 {
	if i >= 64 {
		a.hi |= 1 << (i - 64)
	} else {
		a.lo |= 1 << i
	}
	return a
}

func (a u128) or(b u128) u128  { return u128{a.hi | b.hi, a.lo | b.lo} }
func (a u128) and(b u128) u128 { return u128{a.hi & b.hi, a.lo & b.lo} }
func (a u128) not() u128       { return u128{^a.hi, ^a.lo} }

func (a u128) trailingZeros() int {
	if a.lo != 0 {
		return bits.TrailingZeros64(a.lo)
	}
	return 64 + bits.TrailingZeros64(a.hi)
}

// ones is the number with the n lowest bits set.
func ones(n int) u128 {
	switch {
	case n >= 128:
		return u128{^uint64(0), ^uint64(0)}
	case n >= 64:
		return u128{1<<(n-64) - 1, ^uint64(0)}
	}
	return u128{0, 1<<n - 1}
}
