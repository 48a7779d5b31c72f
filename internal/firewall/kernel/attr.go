package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"

	"sekimori/internal/firewall"
)

// attr is one netlink attribute (struct nlattr in linux/netlink.h).
type attr struct {
	typ  uint16
	data []byte
}

// nlaTypeMask removes the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER, which say
// nothing that the type of the attribute does not.
const nlaTypeMask = 0x3fff

// next cuts the first attribute off b.
func next(b []byte) (a attr, rest []byte, err error) {
	if len(b) < 4 {
		return a, nil, fmt.Errorf("%d stray bytes where an attribute should be", len(b))
	}
	n := int(binary.LittleEndian.Uint16(b))
	a.typ = binary.LittleEndian.Uint16(b[2:]) & nlaTypeMask
	if n < 4 || n > len(b) {
		return a, nil, fmt.Errorf("attribute %d says it has %d bytes where %d are left", a.typ, n, len(b))
	}
	a.data = b[4:n:n]
	return a, b[min((n+3)&^3, len(b)):], nil
}

// list iterates over the attributes of a list, all of which must be of type want.
// An error is the last thing it yields.
func list(b []byte, want uint16) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for len(b) > 0 {
			a, rest, err := next(b)
			if err == nil && a.typ != want {
				err = fmt.Errorf("attribute %d in a list of attributes %d", a.typ, want)
			}
			if !yield(a.data, err) || err != nil {
				return
			}
			b = rest
		}
	}
}

// maxAttr is above the highest attribute that any of the objects here has.
const maxAttr = 24

// attrs are the attributes of one object by type. A missing one is nil, an empty
// one is not.
type attrs [maxAttr][]byte

// has reports whether the attribute is there.
func (a *attrs) has(t int) bool { return a[t] != nil }

// known is a set of attribute types.
type known uint32

// types returns the set of the types given.
func types(ts ...int) known {
	var k known
	for _, t := range ts {
		k |= 1 << t
	}
	return k
}

// parse fills a with the attributes of one object. An attribute that is not among
// those known, or that comes twice, is an error: its meaning is not known, so
// neither is the object's.
func (a *attrs) parse(b []byte, k known) error {
	*a = attrs{}
	for len(b) > 0 {
		at, rest, err := next(b)
		if err != nil {
			return err
		}
		t := int(at.typ)
		if t >= maxAttr || k&(1<<t) == 0 {
			return fmt.Errorf("attribute %d is not known", t)
		}
		if a[t] != nil {
			return fmt.Errorf("attribute %d comes twice", t)
		}
		a[t] = at.data
		b = rest
	}
	return nil
}

// errMissing is the error of a required attribute that is not there.
var errMissing = errors.New("missing")

func (a *attrs) fixed(t, n int) ([]byte, error) {
	switch {
	case a[t] == nil:
		return nil, fmt.Errorf("attribute %d: %w", t, errMissing)
	case len(a[t]) != n:
		return nil, fmt.Errorf("attribute %d has %d bytes instead of %d", t, len(a[t]), n)
	}
	return a[t], nil
}

// u32 reads a number in network order, as nf_tables has them everywhere.
func (a *attrs) u32(t int) (uint32, error) {
	b, err := a.fixed(t, 4)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b), nil
}

// u32or is u32 for an attribute that may be missing.
func (a *attrs) u32or(t int, def uint32) (uint32, error) {
	if !a.has(t) {
		return def, nil
	}
	return a.u32(t)
}

func (a *attrs) u64(t int) (uint64, error) {
	b, err := a.fixed(t, 8)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

func (a *attrs) u8(t int) (uint8, error) {
	b, err := a.fixed(t, 1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (a *attrs) u16(t int) (uint16, error) {
	b, err := a.fixed(t, 2)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint16(b), nil
}

// str reads a string, with or without the NUL at its end.
func (a *attrs) str(t int) (string, error) {
	if a[t] == nil {
		return "", fmt.Errorf("attribute %d: %w", t, errMissing)
	}
	s := strings.TrimSuffix(string(a[t]), "\x00")
	if strings.ContainsRune(s, 0) {
		return "", fmt.Errorf("attribute %d: a string with a NUL in it", t)
	}
	return s, nil
}

// reader reads several attributes of one object and keeps the first error, for
// objects of which every part is needed.
type reader struct {
	attrs
	err error
}

func take[T any](r *reader, v T, err error) T {
	if r.err == nil {
		r.err = err
	}
	return v
}

func (r *reader) num(t int) uint32 {
	v, err := r.u32(t)
	return take(r, v, err)
}

// family reads one of the families, which are bytes in numbers.
func (r *reader) family(t int) firewall.Family {
	v := r.num(t)
	if v > 255 {
		take(r, 0, fmt.Errorf("family %d is not known", v))
	}
	return firewall.Family(v)
}

func (r *reader) numOr(t int, def uint32) uint32 {
	v, err := r.u32or(t, def)
	return take(r, v, err)
}

func (r *reader) num64(t int) uint64 {
	v, err := r.u64(t)
	return take(r, v, err)
}

func (r *reader) byte(t int) uint8 {
	v, err := r.u8(t)
	return take(r, v, err)
}

func (r *reader) text(t int) string {
	v, err := r.str(t)
	return take(r, v, err)
}

// flags reads a bit mask that may be missing, of which only the bits of allowed
// are understood.
func (r *reader) flags(t int, allowed uint32) uint32 {
	v := r.numOr(t, 0)
	if v&^allowed != 0 {
		take(r, 0, fmt.Errorf("flags %#x are not known", v&^allowed))
	}
	return v
}

// read parses an object of which only the attributes of k may be there.
func read(b []byte, k known) reader {
	var r reader
	r.err = r.parse(b, k)
	return r
}
