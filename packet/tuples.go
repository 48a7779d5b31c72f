package packet

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"slices"
)

// column is up to 128 bits of a field of a tuple.
type column struct {
	bits []ref
	top  level // the smallest level in bits
}

// row is one element: a span for every column.
type row []span

// Tuples returns the packets in which, for some element, every field lies in
// that element's interval for it: a set or map with concatenated keys. fields
// are numbers as in [Space.Between]; every element has one interval a field.
func (sp *Space) Tuples(fields [][]Set, elems [][]Interval) Set {
	columns := sp.columns(fields)
	rows := make([]row, 0, len(elems))
	for _, elem := range elems {
		if len(elem) != len(fields) {
			panic(fmt.Sprintf("packet: an element of %d intervals for %d fields", len(elem), len(fields)))
		}
		rows = appendRows(rows, fields, elem)
	}
	order := make([]int, len(columns))
	for i := range order {
		order[i] = i
	}
	// Columns that are tested first come first, so that the others hang below.
	slices.SortStableFunc(order, func(a, b int) int { return int(columns[a].top) - int(columns[b].top) })
	return Set{sp, sp.tuples(columns, order, rows)}
}

func (sp *Space) columns(fields [][]Set) []column {
	var columns []column
	for _, field := range fields {
		bits := make([]ref, len(field))
		for i, s := range field {
			bits[i] = sp.own(s)
		}
		for len(bits) > 0 {
			// The first part of a field wider than 128 bits is the odd one.
			n := (len(bits)-1)%128 + 1
			c := column{bits: bits[:n], top: bottom}
			for _, f := range c.bits {
				c.top = min(c.top, sp.graph.level(f))
			}
			columns = append(columns, c)
			bits = bits[n:]
		}
	}
	return columns
}

// appendRows appends what elem means over the columns of fields; a wide field
// needs several rows, an empty interval none.
func appendRows(rows []row, fields [][]Set, elem []Interval) []row {
	parts := []row{nil}
	for i, iv := range elem {
		alternatives := chop(iv, len(fields[i]))
		var next []row
		for _, p := range parts {
			for _, a := range alternatives {
				next = append(next, append(slices.Clip(p), a...))
			}
		}
		parts = next
	}
	return append(rows, parts...)
}

// chop writes an interval of numbers of width bits as alternatives of one span
// for each column of up to 128 bits.
func chop(iv Interval, width int) []row {
	size := (width + 7) / 8
	if len(iv.Lo) != size || len(iv.Hi) != size {
		panic(fmt.Sprintf("packet: an interval of %d and %d bytes for a number of %d bits", len(iv.Lo), len(iv.Hi), width))
	}
	if width == 0 {
		return []row{{}}
	}
	n := (width-1)%128 + 1
	bytes := (n + 7) / 8
	lo, hi := bigEndian(iv.Lo[:bytes]), bigEndian(iv.Hi[:bytes])
	if width == n {
		if s, ok := clip(lo, hi, n); ok {
			return []row{{s}}
		}
		return nil
	}
	rest := width - n
	below := func(s span, lo, hi []byte) (rows []row) {
		for _, r := range chop(Interval{lo, hi}, rest) {
			rows = append(rows, append(row{s}, r...))
		}
		return rows
	}
	least, most := make([]byte, size-bytes), slices.Repeat([]byte{0xff}, size-bytes)
	limit := ones(n)
	if limit.less(hi) {
		hi, iv.Hi = limit, append(slices.Clone(iv.Hi[:bytes]), most...)
	}
	switch {
	case hi.less(lo):
		return nil
	case lo == hi:
		return below(span{lo, lo, one}, iv.Lo[bytes:], iv.Hi[bytes:])
	}
	rows := below(span{lo, lo, one}, iv.Lo[bytes:], most)
	if between := (span{lo.next(), hi.previous(), one}); !between.hi.less(between.lo) {
		rows = append(rows, below(between, least, most)...)
	}
	return append(rows, below(span{hi, hi, one}, least, iv.Hi[bytes:])...)
}

func bigEndian(b []byte) u128 {
	var buf [16]byte
	copy(buf[16-len(b):], b)
	return u128{binary.BigEndian.Uint64(buf[:8]), binary.BigEndian.Uint64(buf[8:])}
}

// tuples groups the rows by their span in the first column of order; each group
// hangs below its span. Spans that overlap go into different layers, so that
// every layer is built in linear time.
func (sp *Space) tuples(columns []column, order []int, rows []row) ref {
	if len(rows) == 0 {
		return zero
	}
	if len(order) == 0 {
		return one
	}
	c := order[0]
	if len(order) == 1 {
		spans := make([]span, len(rows))
		for i, r := range rows {
			spans[i] = r[c]
		}
		return sp.numbers(columns[c].bits, union(spans))
	}
	slices.SortFunc(rows, func(a, b row) int { return compareSpans(a[c], b[c]) })
	var spans []span
	for len(rows) > 0 {
		s, n := rows[0][c], 1
		for n < len(rows) && compareSpans(rows[n][c], s) == 0 {
			n++
		}
		s.leaf = sp.tuples(columns, order[1:], rows[:n])
		spans = append(spans, s)
		rows = rows[n:]
	}
	var built []ref
	for _, layer := range layers(spans) {
		built = append(built, sp.numbers(columns[c].bits, layer))
	}
	return sp.graph.orAll(built)
}

// orAll joins in pairs: small results stay small for long.
func (g *graph) orAll(fs []ref) ref {
	switch len(fs) {
	case 0:
		return zero
	case 1:
		return fs[0]
	}
	return g.or(g.orAll(fs[:len(fs)/2]), g.orAll(fs[len(fs)/2:]))
}

// layers distributes sorted spans over as few groups as possible in which no two
// overlap.
func layers(spans []span) [][]span {
	var out [][]span
	var ends endHeap
	for _, s := range spans {
		if len(ends) > 0 && ends[0].hi.less(s.lo) {
			l := ends[0].layer
			out[l] = append(out[l], s)
			ends[0].hi = s.hi
			heap.Fix(&ends, 0)
			continue
		}
		heap.Push(&ends, end{s.hi, len(out)})
		out = append(out, []span{s})
	}
	return out
}

// end is where a layer's last span ends.
type end struct {
	hi    u128
	layer int
}

// endHeap has the layer that ends first on top.
type endHeap []end

func (h endHeap) Len() int           { return len(h) }
func (h endHeap) Less(i, j int) bool { return h[i].hi.less(h[j].hi) }
func (h endHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *endHeap) Push(x any)        { *h = append(*h, x.(end)) }
func (h *endHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
