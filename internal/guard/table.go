package guard

import "net/netip"

// A key is a prefix without pointers: half the size, and nothing for the
// collector of garbage to follow.
type key struct {
	addr [16]byte
	bits uint8 // of 128, also for IPv4
}

func keyOf(p netip.Prefix) key {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return key{p.Addr().As16(), uint8(bits)}
}

// A table is a map that forgets the key not touched for longest when it is full.
type table[V any] struct {
	m          map[key]int32
	slots      []slot[V]
	head, tail int32 // least and most recently touched; -1 for none
	free       int32
	limit      int
	forgotten  uint64
}

type slot[V any] struct {
	key        key
	value      V
	prev, next int32
}

func newTable[V any](limit int) table[V] {
	return table[V]{m: map[key]int32{}, head: -1, tail: -1, free: -1, limit: limit}
}

func (t *table[V]) size() int { return len(t.m) }

func (t *table[V]) get(p netip.Prefix) (V, bool) {
	k := keyOf(p)
	if i, ok := t.m[k]; ok {
		return t.slots[i].value, true
	}
	var zero V
	return zero, false
}

// touch returns the value of k, a new one if there is none, and makes it the
// last to be forgotten. The pointer is valid until the next call.
func (t *table[V]) touch(p netip.Prefix) *V {
	k := keyOf(p)
	i, ok := t.m[k]
	if ok {
		if i != t.tail {
			t.unlink(i)
			t.link(i)
		}
		return &t.slots[i].value
	}
	if len(t.m) >= t.limit {
		t.forgotten++
		t.drop(t.slots[t.head].key)
	}
	if i = t.free; i >= 0 {
		t.free = t.slots[i].next
	} else {
		i = int32(len(t.slots))
		t.slots = append(t.slots, slot[V]{})
	}
	t.slots[i] = slot[V]{key: k}
	t.m[k] = i
	t.link(i)
	return &t.slots[i].value
}

func (t *table[V]) link(i int32) {
	s := &t.slots[i]
	s.prev, s.next = t.tail, -1
	if t.tail >= 0 {
		t.slots[t.tail].next = i
	} else {
		t.head = i
	}
	t.tail = i
}

func (t *table[V]) unlink(i int32) {
	s := &t.slots[i]
	if s.prev >= 0 {
		t.slots[s.prev].next = s.next
	} else {
		t.head = s.next
	}
	if s.next >= 0 {
		t.slots[s.next].prev = s.prev
	} else {
		t.tail = s.prev
	}
}

func (t *table[V]) remove(p netip.Prefix) { t.drop(keyOf(p)) }

func (t *table[V]) drop(k key) {
	i, ok := t.m[k]
	if !ok {
		return
	}
	t.unlink(i)
	delete(t.m, k)
	t.slots[i] = slot[V]{next: t.free}
	t.free = i
}

// removeIf removes what f says, in the order in which it would be forgotten.
func (t *table[V]) removeIf(f func(*V) bool) {
	for i := t.head; i >= 0; {
		next := t.slots[i].next
		if f(&t.slots[i].value) {
			t.drop(t.slots[i].key)
		}
		i = next
	}
}
