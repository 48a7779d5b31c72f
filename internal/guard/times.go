package guard

// A window holds the times of the last failures of one source, the oldest first,
// as seconds since 1970. Where they are kept is for times to know.
type window struct {
	block uint32
	n     uint32
	class uint8 // of the block; 0 for none
}

// A times keeps the windows of all sources in blocks of two, four, eight, ...
// numbers, many blocks in one piece of memory.
type times struct{ classes [24]class }

type class struct {
	pieces [][]uint32
	used   uint32 // blocks that were ever in use
	free   uint32 // the first block that is free again, plus one; it holds the next
}

// pieceTimes is the size of a piece of memory, in numbers, unless a block is larger.
const pieceTimes = 4096

// block returns the memory of a block.
func (t *times) block(of uint8, i uint32) []uint32 {
	size := uint32(1) << of
	per := max(pieceTimes/size, 1)
	return t.classes[of].pieces[i/per][i%per*size:][:size:size]
}

// of returns the numbers of w; they may be changed in place.
func (t *times) of(w window) []uint32 {
	if w.class == 0 {
		return nil
	}
	return t.block(w.class, w.block)[:w.n]
}

// insert puts at into w, which stays sorted.
func (t *times) insert(w *window, at uint32) {
	if w.class == 0 || w.n == 1<<w.class {
		t.enlarge(w)
	}
	b := t.block(w.class, w.block)
	i := w.n
	for ; i > 0 && b[i-1] > at; i-- {
		b[i] = b[i-1]
	}
	b[i] = at
	w.n++
}

// drop removes the n oldest numbers.
func (t *times) drop(w *window, n int) {
	if n > 0 {
		all := t.of(*w)
		copy(all, all[n:])
		w.n -= uint32(n)
	}
}

func (t *times) enlarge(w *window) {
	bigger := window{n: w.n, class: w.class + 1}
	c := &t.classes[bigger.class]
	if c.free > 0 {
		bigger.block = c.free - 1
		c.free = t.block(bigger.class, bigger.block)[0]
	} else {
		size := uint32(1) << bigger.class
		per := max(pieceTimes/size, 1)
		if bigger.block = c.used; bigger.block/per >= uint32(len(c.pieces)) {
			c.pieces = append(c.pieces, make([]uint32, per*size))
		}
		c.used++
	}
	copy(t.block(bigger.class, bigger.block), t.of(*w))
	t.release(w)
	*w = bigger
}

// release gives the memory of w back.
func (t *times) release(w *window) {
	if w.class > 0 {
		c := &t.classes[w.class]
		t.block(w.class, w.block)[0] = c.free
		c.free = w.block + 1
	}
	*w = window{}
}
