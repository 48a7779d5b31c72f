package guard

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
)

// A key is a prefix as sources are counted by: IPv4, or at most the first half of
// an IPv6 address.
type key struct {
	high uint64 // the address, IPv4 in the upper half
	bits uint8  // of the address; with is6 for IPv6
}

const is6 = 0x80

func keyOf(p netip.Prefix) key {
	if p.Addr().Is4() {
		a := p.Addr().As4()
		return key{uint64(binary.BigEndian.Uint32(a[:])) << 32, uint8(p.Bits())}
	}
	a := p.Addr().As16()
	return key{binary.BigEndian.Uint64(a[:8]), uint8(p.Bits()) | is6}
}

// A table is a map that forgets the key not touched for longest when it is full.
// It holds no pointers but to pieces of memory of equal size, so that it costs
// what its entries take, and the collector of garbage nearly nothing.
type table[V any] struct {
	index      []int32 // slots by the hash of their keys, -1 for none; a power of two
	seed       maphash.Seed
	slots      [][]slot[V]
	used       int32 // slots that were ever in use
	count      int
	head, tail int32 // least and most recently touched; -1 for none
	free       int32
	limit      int
	forgotten  uint64
}

type slot[V any] struct {
	key        key
	prev, next int32
	value      V
}

const (
	// pieceBits says how many slots one piece of memory has.
	pieceBits = 10
	pieceSize = 1 << pieceBits
)

func newTable[V any](limit int) table[V] {
	return table[V]{seed: maphash.MakeSeed(), head: -1, tail: -1, free: -1, limit: limit}
}

func (t *table[V]) size() int { return t.count }

func (t *table[V]) slot(i int32) *slot[V] { return &t.slots[i>>pieceBits][i&(pieceSize-1)] }

// place returns where in the index k stands, or would.
func (t *table[V]) place(k key) (at int, ok bool) {
	mask := len(t.index) - 1
	for at = int(t.hash(k)) & mask; t.index[at] >= 0; at = (at + 1) & mask {
		if t.slot(t.index[at]).key == k {
			return at, true
		}
	}
	return at, false
}

// hash depends on a secret: who chooses addresses cannot choose their places.
func (t *table[V]) hash(k key) uint64 {
	var b [9]byte
	binary.LittleEndian.PutUint64(b[:], k.high)
	b[8] = k.bits
	return maphash.Bytes(t.seed, b[:])
}

func (t *table[V]) get(p netip.Prefix) (v V, ok bool) {
	if t.count == 0 {
		return v, false
	}
	at, ok := t.place(keyOf(p))
	if ok {
		v = t.slot(t.index[at]).value
	}
	return v, ok
}

// touch returns the value of p, a new one if there is none, and makes it the
// last to be forgotten. The pointer is valid until p is removed.
func (t *table[V]) touch(p netip.Prefix, forget func(*V)) *V {
	k := keyOf(p)
	t.grow()
	at, ok := t.place(k)
	if ok {
		i := t.index[at]
		if i != t.tail {
			t.unlink(i)
			t.link(i)
		}
		return &t.slot(i).value
	}
	if t.count >= t.limit {
		t.forgotten++
		old := t.slot(t.head)
		forget(&old.value)
		t.drop(old.key)
		at, _ = t.place(k)
	}
	i := t.free
	if i >= 0 {
		t.free = t.slot(i).next
	} else {
		if i = t.used; int(i)>>pieceBits >= len(t.slots) {
			t.slots = append(t.slots, make([]slot[V], pieceSize))
		}
		t.used++
	}
	*t.slot(i) = slot[V]{key: k}
	t.index[at] = i
	t.count++
	t.link(i)
	return &t.slot(i).value
}

// grow keeps at least half of the index free.
func (t *table[V]) grow() {
	if 2*(t.count+1) <= len(t.index) {
		return
	}
	t.index = make([]int32, max(64, 2*len(t.index)))
	for i := range t.index {
		t.index[i] = -1
	}
	for i := t.head; i >= 0; i = t.slot(i).next {
		at, _ := t.place(t.slot(i).key)
		t.index[at] = i
	}
}

func (t *table[V]) link(i int32) {
	s := t.slot(i)
	s.prev, s.next = t.tail, -1
	if t.tail >= 0 {
		t.slot(t.tail).next = i
	} else {
		t.head = i
	}
	t.tail = i
}

func (t *table[V]) unlink(i int32) {
	s := t.slot(i)
	if s.prev >= 0 {
		t.slot(s.prev).next = s.next
	} else {
		t.head = s.next
	}
	if s.next >= 0 {
		t.slot(s.next).prev = s.prev
	} else {
		t.tail = s.prev
	}
}

func (t *table[V]) remove(p netip.Prefix) { t.drop(keyOf(p)) }

func (t *table[V]) drop(k key) {
	if t.count == 0 {
		return
	}
	at, ok := t.place(k)
	if !ok {
		return
	}
	i := t.index[at]
	t.unlink(i)
	*t.slot(i) = slot[V]{next: t.free}
	t.free = i
	t.count--
	// What stands behind moves up, unless it would then stand before its place.
	mask := len(t.index) - 1
	for hole := at; ; {
		t.index[hole] = -1
		next := hole
		for {
			next = (next + 1) & mask
			j := t.index[next]
			if j < 0 {
				return
			}
			home := int(t.hash(t.slot(j).key)) & mask
			if (next-home)&mask >= (next-hole)&mask {
				t.index[hole] = j
				hole = next
				break
			}
		}
	}
}

// removeIf removes what f says, in the order in which it would be forgotten.
func (t *table[V]) removeIf(f func(*V) bool) {
	for i := t.head; i >= 0; {
		s := t.slot(i)
		next := s.next
		if f(&s.value) {
			t.drop(s.key)
		}
		i = next
	}
}
