package firewall

// Field names something that can be read from a packet or from what the kernel
// keeps about it. Fields are bit vectors, most significant bit first; the
// headers are as long as needed.
type Field string

// Header fields: bit n of the value is bit n of the header on the wire.
const (
	FieldLink      Field = "@ll"
	FieldNetwork   Field = "@nh"
	FieldTransport Field = "@th"
	FieldInner     Field = "@ih"
)

// Fields with a meaning of their own for the evaluation. Numbers are in network
// order (most significant bit first): a decoder of host-endian registers
// permutes the bits.
const (
	FieldNFProto  Field = "meta nfproto"  // 8 bits
	FieldProtocol Field = "meta protocol" // 16 bits: the EtherType
	FieldL4Proto  Field = "meta l4proto"  // 8 bits; the protocol after IPv6 extension headers
	FieldMark     Field = "meta mark"     // 32 bits
	FieldIif      Field = "meta iif"      // 32 bits: compared through [InterfaceIndex]
	FieldOif      Field = "meta oif"      // 32 bits
	FieldIifName  Field = "meta iifname"  // 128 bits: 16 bytes, padded with zeros
	FieldOifName  Field = "meta oifname"  // 128 bits
	FieldCtState  Field = "ct state"      // 32 bits: one of the StateMask bits
	FieldCtStatus Field = "ct status"     // 32 bits: IPS_ bits
	FieldCtMark   Field = "ct mark"       // 32 bits
	FieldCtDir    Field = "ct direction"  // 8 bits: 0 original, 1 reply
)

// Fields of the conntrack tuple in the original direction, before any
// translation. The addresses are as wide as the family's.
const (
	FieldCtOrigSrc   Field = "ct original saddr"
	FieldCtOrigDst   Field = "ct original daddr"
	FieldCtOrigSport Field = "ct original proto-src" // 16 bits
	FieldCtOrigDport Field = "ct original proto-dst" // 16 bits
	FieldCtReplySrc  Field = "ct reply saddr"
	FieldCtReplyDst  Field = "ct reply daddr"
	FieldCtL3Proto   Field = "ct l3proto"  // 8 bits
	FieldCtProto     Field = "ct protocol" // 8 bits
)

// Any other field is free: a packet may have any value of it, and every look at
// it sees the same value. Its name is how it is shown ("ip6 flowlabel", "meta
// skuid", "ether saddr"), and [FreeField] carries its width.

// Bit is one bit of a value: a constant, or bit Index of a field, inverted or
// not.
type Bit struct {
	// Field is "" for a constant, whose value Invert then is.
	Field Field
	// Width is the width of a free field (0 for the fields above).
	Width  uint16
	Index  uint16
	Invert bool
}

// Value is a vector of bits in the order in which they are compared: the first
// is the most significant.
type Value []Bit

// Whole returns bits [from, from+n) of a field as a value. Width is the whole
// field's, and must be given for free fields only.
func Whole(f Field, width, from, n int) Value {
	v := make(Value, n)
	for i := range v {
		v[i] = Bit{Field: f, Width: uint16(width), Index: uint16(from + i)}
	}
	return v
}

// FreeField returns a field of that name and width in bits as a value. It has
// no fixed meaning here: rules that look at it agree about it, nothing more.
func FreeField(name string, width int) Value {
	return Whole(Field(name), width, 0, width)
}

// Constant returns the bytes as a value of constant bits.
func Constant(b []byte) Value {
	v := make(Value, 8*len(b))
	for i := range v {
		v[i].Invert = b[i/8]>>(7-i%8)&1 == 1
	}
	return v
}

// Reverse returns the value with its bytes in the opposite order, as byteorder
// conversion of a register does.
func (v Value) Reverse() Value {
	w := make(Value, 0, len(v))
	for i := len(v) - 8; i >= 0; i -= 8 {
		w = append(w, v[i:i+8]...)
	}
	return w
}
