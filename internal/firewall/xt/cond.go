package xt

import (
	"encoding/binary"

	"sekimori/internal/firewall"
)

// The parts of a header that matches look at, in bits from its beginning.
const (
	portBits   = 32  // both ports of TCP, UDP, SCTP, DCCP and UDP-Lite
	tcpBits    = 160 // the TCP header without options
	udpBits    = 64
	icmpBits   = 64
	flagsStart = 104 // TCP flags
)

// valueKey names a value that rules share.
type valueKey struct {
	field       firewall.Field
	width, from int
	n           int
}

// value returns bits of a field. A ruleset has few different ones, so they are
// kept: a value for an address alone takes a kilobyte.
func (c *Context) value(f firewall.Field, width, from, n int) firewall.Value {
	k := valueKey{f, width, from, n}
	v, ok := c.values[k]
	if !ok {
		if c.values == nil {
			c.values = make(map[valueKey]firewall.Value)
		}
		v = firewall.Whole(f, width, from, n)
		c.values[k] = v
	}
	return v
}

func (c *Context) network(from, n int) firewall.Value {
	return c.value(firewall.FieldNetwork, 0, from, n)
}

func (c *Context) transport(from, n int) firewall.Value {
	return c.value(firewall.FieldTransport, 0, from, n)
}

func (c *Context) free(name string, width int) firewall.Value {
	return c.value(firewall.Field(name), width, 0, width)
}

// addressBits is the width of the family's addresses.
func (c *Context) addressBits() int {
	if c.Family == firewall.IPv6 {
		return 128
	}
	return 32
}

// source and destination are the addresses of the IP header.
func (c *Context) source() firewall.Value {
	if c.Family == firewall.IPv6 {
		return c.network(64, 128)
	}
	return c.network(96, 32)
}

func (c *Context) destination() firewall.Value {
	if c.Family == firewall.IPv6 {
		return c.network(192, 128)
	}
	return c.network(128, 32)
}

// bigEndian returns n in as many bytes as bits need.
func bigEndian(n uint64, bits int) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return b[8-(bits+7)/8:]
}

// between holds where the value is one of lo to hi.
func between(v firewall.Value, lo, hi uint64) firewall.Cond {
	if lo > hi {
		return firewall.Const(false)
	}
	return firewall.Compare{Value: v, In: []firewall.Interval{interval(lo, hi, len(v))}}
}

func interval(lo, hi uint64, bits int) firewall.Interval {
	return firewall.Interval{Lo: bigEndian(lo, bits), Hi: bigEndian(hi, bits)}
}

func equal(v firewall.Value, n uint64) firewall.Cond { return between(v, n, n) }

// spanned is [between] for values of any width, such as addresses.
func spanned(v firewall.Value, lo, hi []byte) firewall.Cond {
	return firewall.Compare{Value: v, In: []firewall.Interval{{Lo: lo, Hi: hi}}}
}

// maskedEqual holds where the value agrees with want in the bits of mask. A mask
// that is a prefix gives one interval over the whole value.
func maskedEqual(v firewall.Value, want, mask []byte) firewall.Cond {
	lo, hi := make([]byte, len(mask)), make([]byte, len(mask))
	for i := range mask {
		lo[i] = want[i] & mask[i]
		hi[i] = lo[i] | ^mask[i]
	}
	switch ones := prefixLength(mask); {
	case ones == 0:
		return firewall.Const(true)
	case ones > 0:
		return spanned(v, lo, hi)
	}
	var bits firewall.Value
	var packed []byte
	for i := range v {
		if mask[i/8]>>(7-i%8)&1 == 1 {
			bits = append(bits, v[i])
			packed = append(packed, want[i/8]>>(7-i%8)&1)
		}
	}
	key := packBits(packed)
	return spanned(bits, key, key)
}

// prefixLength is the number of leading ones of a mask, or -1 if others follow
// a zero.
func prefixLength(mask []byte) int {
	n := 0
	for n < 8*len(mask) && mask[n/8]>>(7-n%8)&1 == 1 {
		n++
	}
	for i := n; i < 8*len(mask); i++ {
		if mask[i/8]>>(7-i%8)&1 == 1 {
			return -1
		}
	}
	return n
}

// packBits packs bits, most significant first, right-aligned into bytes.
func packBits(bits []byte) []byte {
	out := make([]byte, (len(bits)+7)/8)
	pad := 8*len(out) - len(bits)
	for i, b := range bits {
		out[(pad+i)/8] |= b << (7 - (pad+i)%8)
	}
	return out
}

// anyBit holds where at least one of the bits of mask is set in a 32-bit value.
func anyBit(v firewall.Value, mask uint32) firewall.Cond {
	if mask == 0 {
		return firewall.Const(false)
	}
	return firewall.Not{Of: maskedEqual(v, make([]byte, 4), bigEndian(uint64(mask), 32))}
}

func negate(not bool, c firewall.Cond) firewall.Cond {
	switch k := c.(type) {
	case firewall.Const:
		return firewall.Const(bool(k) != not)
	case firewall.Not:
		if not {
			return k.Of
		}
	}
	if not {
		return firewall.Not{Of: c}
	}
	return c
}

// all joins conditions, leaving out those that always hold.
func all(conds ...firewall.Cond) firewall.Cond {
	var and firewall.And
	for _, c := range conds {
		switch k := c.(type) {
		case nil:
		case firewall.Const:
			if !k {
				return k
			}
		case firewall.And:
			and = append(and, k...)
		default:
			and = append(and, c)
		}
	}
	switch len(and) {
	case 0:
		return firewall.Const(true)
	case 1:
		return and[0]
	}
	return and
}

// either holds where one of the conditions does.
func either(conds ...firewall.Cond) firewall.Cond {
	var or firewall.Or
	for _, c := range conds {
		switch k := c.(type) {
		case firewall.Const:
			if k {
				return k
			}
		case firewall.Or:
			or = append(or, k...)
		default:
			or = append(or, c)
		}
	}
	switch len(or) {
	case 0:
		return firewall.Const(false)
	case 1:
		return or[0]
	}
	return or
}

// header says that n bits of the transport header are there. Non-first
// fragments have none.
func header(n int) firewall.Cond {
	return firewall.Present{Header: firewall.FieldTransport, Bits: n, First: true}
}

// varies is a condition without a fixed answer that keeps state; fixed one that
// has the same answer for a packet each time.
func varies(text string) firewall.Cond { return firewall.Varies{Text: text, Stateful: true} }
func fixed(text string) firewall.Cond  { return firewall.Varies{Text: text} }
