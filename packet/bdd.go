package packet

// A ref names a boolean function over the variables of a Space: the index of a
// node shifted left by one, and in the lowest bit whether the function is the
// node's or its complement. Equal functions have equal refs.
type ref uint32

// The only terminal is node 0, the constant false.
const (
	zero ref = 0
	one  ref = 1
)

// A level is the position of a variable in the order; smaller is tested first.
type level = uint16

const bottom level = 1<<16 - 1 // of the terminal; no variable has it

// node is "if variable then hi else lo". lo is never complemented and differs
// from hi, which makes the representation canonical.
type node struct {
	lo, hi ref
	level  level
}

// entry remembers that op(a, b) or, for if-then-else, ite(a, b, c) is r. An
// entry with a == zero is free: no operation is remembered for a terminal.
type entry struct{ a, b, c, r ref }

// Operations other than if-then-else stand in entry.c. No node has such a
// number, because Config.MaxNodes is capped below it.
const (
	opAnd ref = 0xffff_ff00 + iota
	opXor
	opExists
	opFix
	// opMeets is the lowest of a block: the third operand of meets is added.
	opMeets ref = 0xf000_0000
)

const (
	defaultMaxNodes = 20_000_000
	limitMaxNodes   = 1 << 30
	initialTable    = 1 << 9
	maxCache        = 1 << 20 // entries of 16 bytes
	stepsPerNode    = 16
)

// graph is a store of reduced ordered decision diagrams with complement edges.
// Nodes are never freed: a graph lives as long as one question.
type graph struct {
	nodes []node
	// table is an open hash, 0 is free: a node's number in the lower half of an
	// entry, its hash in the upper, so that a probe that fails rarely looks at a
	// node. Its length is a power of two; at most three quarters are in use.
	table []uint64
	// cache is direct mapped and forgets; its length is a power of two.
	cache    []entry
	maxNodes int
	// steps counts what had to be worked out since the outermost Do began. The
	// cache forgets, so nodes alone do not bound the work.
	steps int
	seen  []uint64 // scratch of visit: one bit a node, all clear in between
}

func newGraph(maxNodes int) graph {
	g := graph{
		nodes:    make([]node, 1, room(initialTable)),
		table:    make([]uint64, initialTable),
		cache:    make([]entry, initialTable),
		maxNodes: maxNodes,
	}
	g.nodes[0].level = bottom
	return g
}

func (g *graph) level(f ref) level { return g.nodes[f>>1].level }

// cofactors of f by the variable at l, which must not be below f's own.
func (g *graph) cofactors(f ref, l level) (lo, hi ref) {
	n := &g.nodes[f>>1]
	if n.level != l {
		return f, f
	}
	return n.lo ^ f&1, n.hi ^ f&1
}

func hash3(a, b, c uint32) uint32 {
	h := uint64(a)*0x9e3779b97f4a7c15 ^ uint64(b)*0xc2b2ae3d27d4eb4f ^ uint64(c)*0x165667b19e3779f9
	return uint32(h >> 32)
}

// make returns "if the variable at l then hi else lo"; both must lie below l.
func (g *graph) make(l level, lo, hi ref) ref {
	if lo == hi {
		return lo
	}
	flip := lo & 1
	lo, hi = lo^flip, hi^flip
	hash := hash3(uint32(lo), uint32(hi), uint32(l))
	mask := uint32(len(g.table) - 1)
	i := hash & mask
	for g.table[i] != 0 {
		if id := uint32(g.table[i]); uint32(g.table[i]>>32) == hash {
			if n := &g.nodes[id]; n.lo == lo && n.hi == hi && n.level == l {
				return ref(id)<<1 | flip
			}
		}
		i = (i + 1) & mask
	}
	if len(g.nodes) >= g.maxNodes {
		panic(exhausted{g, "more nodes than Config.MaxNodes"})
	}
	id := len(g.nodes)
	g.table[i] = uint64(hash)<<32 | uint64(id)
	if id == cap(g.nodes) {
		g.grow()
	}
	g.nodes = append(g.nodes, node{lo, hi, l})
	return ref(id)<<1 | flip
}

// grow makes room for twice as many nodes.
func (g *graph) grow() {
	old := g.table
	g.table = make([]uint64, 2*len(old))
	g.nodes = append(make([]node, 0, room(len(g.table))), g.nodes...)
	mask := uint32(len(g.table) - 1)
	for _, e := range old {
		if e == 0 {
			continue
		}
		i := uint32(e>>32) & mask
		for g.table[i] != 0 {
			i = (i + 1) & mask
		}
		g.table[i] = e
	}
}

// room is how many nodes a table of that length is for.
func room(table int) int { return table / 4 * 3 }

func (g *graph) growCache() {
	old := g.cache
	g.cache = make([]entry, 2*len(old))
	for _, e := range old {
		if e.a != zero {
			*g.slot(e.a, e.b, e.c) = e
		}
	}
}

func (g *graph) slot(a, b, c ref) *entry {
	return &g.cache[hash3(uint32(a), uint32(b), uint32(c))&uint32(len(g.cache)-1)]
}

func (g *graph) recall(a, b, c ref) (ref, bool) {
	e := g.slot(a, b, c)
	return e.r, e.a == a && e.b == b && e.c == c
}

func (g *graph) remember(a, b, c, r ref) {
	if g.steps++; g.steps > stepsPerNode*max(g.maxNodes, 1<<18) {
		panic(exhausted{g, "more work than Config.MaxNodes allows"})
	}
	if len(g.nodes) > 2*len(g.cache) && len(g.cache) < maxCache {
		g.growCache()
	}
	*g.slot(a, b, c) = entry{a, b, c, r}
}

func (g *graph) variable(l level) ref { return g.make(l, zero, one) }

func (g *graph) and(a, b ref) ref {
	switch {
	case a == b || b == one:
		return a
	case a == one:
		return b
	case a == zero || b == zero || a == b^1:
		return zero
	}
	if a > b {
		a, b = b, a
	}
	if r, ok := g.recall(a, b, opAnd); ok {
		return r
	}
	l := min(g.level(a), g.level(b))
	a0, a1 := g.cofactors(a, l)
	b0, b1 := g.cofactors(b, l)
	lo := g.and(a0, b0)
	hi := g.and(a1, b1)
	r := g.make(l, lo, hi)
	g.remember(a, b, opAnd, r)
	return r
}

func (g *graph) or(a, b ref) ref { return g.and(a^1, b^1) ^ 1 }

func (g *graph) xor(a, b ref) ref {
	flip := (a ^ b) & 1
	a, b = a&^1, b&^1
	switch {
	case a == b:
		return flip
	case a == zero:
		return b ^ flip
	case b == zero:
		return a ^ flip
	}
	if a > b {
		a, b = b, a
	}
	if r, ok := g.recall(a, b, opXor); ok {
		return r ^ flip
	}
	l := min(g.level(a), g.level(b))
	a0, a1 := g.cofactors(a, l)
	b0, b1 := g.cofactors(b, l)
	lo := g.xor(a0, b0)
	hi := g.xor(a1, b1)
	r := g.make(l, lo, hi)
	g.remember(a, b, opXor, r)
	return r ^ flip
}

// ite is "if c then t else e".
func (g *graph) ite(c, t, e ref) ref {
	if c&1 != 0 {
		c, t, e = c^1, e, t
	}
	switch {
	case c == zero:
		return e
	case t == e:
		return t
	case t == one || t == c:
		return g.or(c, e)
	case t == zero || t == c^1:
		return g.and(c^1, e)
	case e == zero || e == c:
		return g.and(c, t)
	case e == one || e == c^1:
		return g.or(c^1, t)
	case t == e^1:
		return g.xor(c, e)
	}
	flip := t & 1
	t, e = t^flip, e^flip
	l := min(g.level(c), g.level(t), g.level(e))
	c0, c1 := g.cofactors(c, l)
	if c0 == zero && c1 == one && g.level(t) > l && g.level(e) > l {
		return g.make(l, e, t) ^ flip
	}
	if r, ok := g.recall(c, t, e); ok {
		return r ^ flip
	}
	t0, t1 := g.cofactors(t, l)
	e0, e1 := g.cofactors(e, l)
	lo := g.ite(c0, t0, e0)
	hi := g.ite(c1, t1, e1)
	r := g.make(l, lo, hi)
	g.remember(c, t, e, r)
	return r ^ flip
}
