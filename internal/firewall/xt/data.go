package xt

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// data reads fields out of a structure of fixed, already checked size.
type data struct {
	b   []byte
	rev uint8
	// bad is the first reason why the structure could not be understood.
	bad string
}

// refuse notes that the structure says something that is not understood.
func (d *data) refuse(format string, args ...any) {
	if d.bad == "" {
		d.bad = fmt.Sprintf(format, args...)
	}
}

// flags refuses bits of a flag word that nothing is known about.
func (d *data) flags(what string, have, known uint64) {
	if have&^known != 0 {
		d.refuse("%s %#x", what, have)
	}
}

// boolean refuses all but 0 and 1 where the kernel compares with xor: `x ^ 2`
// is true for either x.
func (d *data) boolean(off, size int) bool {
	var n uint64
	switch size {
	case 1:
		n = uint64(d.u8(off))
	default:
		n = uint64(d.u32(off))
	}
	if n > 1 {
		d.refuse("inversion flag %d", n)
	}
	return n == 1
}

func (d *data) u8(off int) uint8      { return d.b[off] }
func (d *data) u16(off int) uint16    { return binary.LittleEndian.Uint16(d.b[off:]) }
func (d *data) u32(off int) uint32    { return binary.LittleEndian.Uint32(d.b[off:]) }
func (d *data) u64(off int) uint64    { return binary.LittleEndian.Uint64(d.b[off:]) }
func (d *data) be16(off int) uint16   { return binary.BigEndian.Uint16(d.b[off:]) }
func (d *data) be32(off int) uint32   { return binary.BigEndian.Uint32(d.b[off:]) }
func (d *data) raw(off, n int) []byte { return d.b[off : off+n] }

// str reads a zero-terminated string from an array of n bytes. One without its
// terminator, or with a line break, is refused: it could not be printed.
func (d *data) str(off, n int) string {
	s, _, ended := bytes.Cut(d.b[off:off+n], []byte{0})
	if !ended {
		d.refuse("a string without end")
	}
	if bytes.ContainsAny(s, "\n\r") {
		d.refuse("a line break in a string")
	}
	return string(s)
}
