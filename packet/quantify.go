package packet

// cube is the conjunction of the variables at the given ascending levels.
func (g *graph) cube(levels []level) ref {
	r := one
	for i := len(levels) - 1; i >= 0; i-- {
		r = g.make(levels[i], zero, r)
	}
	return r
}

// exists quantifies the variables of cube away: f holds for some values of them.
func (g *graph) exists(f, cube ref) ref {
	if f <= one {
		return f
	}
	l := g.level(f)
	for g.level(cube) < l {
		cube = g.rest(cube)
	}
	if cube == one {
		return f
	}
	if r, ok := g.recall(f, cube, opExists); ok {
		return r
	}
	f0, f1 := g.cofactors(f, l)
	var r ref
	if g.level(cube) == l {
		rest := g.rest(cube)
		r = g.exists(f0, rest)
		if r != one {
			r = g.or(r, g.exists(f1, rest))
		}
	} else {
		lo := g.exists(f0, cube)
		hi := g.exists(f1, cube)
		r = g.make(l, lo, hi)
	}
	g.remember(f, cube, opExists, r)
	return r
}

// meets tells whether a, b and care hold together somewhere, without making
// nodes. care must be numbered lower than opXor-opMeets; a Space makes it first.
func (g *graph) meets(a, b, care ref) bool {
	switch {
	case a == zero || b == zero || care == zero || a == b^1 || a == care^1 || b == care^1:
		return false
	case care == one && (a == one || b == one || a == b):
		return true
	case a == one && b == one:
		return true
	}
	if a > b {
		a, b = b, a
	}
	op := opMeets + care
	key := a
	if a == one { // a terminal cannot stand first in the cache
		key, b = b, one
	}
	if r, ok := g.recall(key, b, op); ok {
		return r == one
	}
	a, l := key, min(g.level(key), g.level(b), g.level(care))
	a0, a1 := g.cofactors(a, l)
	b0, b1 := g.cofactors(b, l)
	c0, c1 := g.cofactors(care, l)
	r := zero
	if g.meets(a1, b1, c1) || g.meets(a0, b0, c0) {
		r = one
	}
	g.remember(a, b, op, r)
	return r == one
}

// fix replaces variables of f by constants: cube is a conjunction of variables
// that become true and complements of variables that become false.
func (g *graph) fix(f, cube ref) ref {
	if f <= one {
		return f
	}
	l := g.level(f)
	for g.level(cube) < l {
		cube = g.rest(cube)
	}
	if cube == one {
		return f
	}
	flip := f & 1
	f ^= flip
	if r, ok := g.recall(f, cube, opFix); ok {
		return r ^ flip
	}
	f0, f1 := g.cofactors(f, l)
	var r ref
	if g.level(cube) == l {
		if lo, _ := g.cofactors(cube, l); lo == zero {
			r = g.fix(f1, g.rest(cube))
		} else {
			r = g.fix(f0, g.rest(cube))
		}
	} else {
		lo := g.fix(f0, cube)
		hi := g.fix(f1, cube)
		r = g.make(l, lo, hi)
	}
	g.remember(f, cube, opFix, r)
	return r ^ flip
}

// rest is a conjunction of literals without its first.
func (g *graph) rest(cube ref) ref {
	lo, hi := g.cofactors(cube, g.level(cube))
	if lo == zero {
		return hi
	}
	return lo
}

// visit calls do once for each node that f is made of, the terminal left out.
func (g *graph) visit(f ref, do func(node)) {
	if need := (len(g.nodes) + 63) / 64; len(g.seen) < need {
		g.seen = append(g.seen, make([]uint64, need-len(g.seen))...)
	}
	stack := []uint32{uint32(f >> 1)}
	var visited []uint32
	for len(stack) > 0 {
		id := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if id == 0 || g.seen[id/64]&(1<<(id%64)) != 0 {
			continue
		}
		g.seen[id/64] |= 1 << (id % 64)
		visited = append(visited, id)
		n := g.nodes[id]
		stack = append(stack, uint32(n.lo>>1), uint32(n.hi>>1))
	}
	for _, id := range visited {
		g.seen[id/64] = 0
	}
	for _, id := range visited {
		do(g.nodes[id])
	}
}
