package packet

import (
	"fmt"
	"slices"
)

// Box is a set of packets in which the fields are independent of each other:
// every constrained field has a set of values, and all combinations are in it.
type Box struct {
	set  Set
	text string
}

// part is the constraint of one field: values is a function of its variables
// alone, holds for valid values only, and neither for none nor for all of them.
type part struct {
	field  Field
	values ref
}

// String returns the box for an administrator to read, fields that are not
// constrained left out: tcp dport 22 from 203.0.113.0/24 in eth0. Where the
// opposite is shorter it stands behind "except"; a box with everything is "any
// packet". A field with more than 4096 values, ranges or prefixes is not written
// out but says so.
func (b Box) String() string { return b.text }

// Set returns the packets of the box, to ask for prefixes, ports or interfaces.
func (b Box) Set() Set { return b.set }

// Boxes returns s as disjoint boxes, to be read: few, but not always as few as
// possible. With more than limit of them it returns the first limit boxes, and
// false. Without a limit (0) it returns all; more than a million exhaust the
// budget (see [Space.Do]). Their order depends on s alone.
func (s Set) Boxes(limit int) (boxes []Box, complete bool) {
	c := cutter{sp: s.sp, limit: limit, plans: map[ref]plan{}}
	if limit <= 0 {
		c.limit = maxList
	}
	c.plan(s.f)
	complete = c.cut(s.f, nil)
	if !complete && limit <= 0 {
		panic(exhausted{&s.sp.graph, fmt.Sprintf("a list of more than %d boxes", maxList)})
	}
	return c.boxes, complete
}

// cutter makes boxes of functions field by field, in the order of the variables.
// The values of a field that lead to the same rest stand in one box. If all
// values lead to something in common ("from 192.0.2.1", whatever the port), that
// may be cut off as boxes without this field first, and the rests become
// smaller; a plan says where this saves boxes.
type cutter struct {
	sp    *Space
	limit int
	boxes []Box
	plans map[ref]plan
}

// plan is how many boxes a function needs, and what is to be cut off first.
type plan struct {
	boxes  int
	common ref
}

// Planning has bounds of its own: past them a set is cut as it comes.
const (
	maxPlans = 4096 // functions looked at
	maxRests = 64   // of a function that may have something cut off
)

// branch is one way a field can go: values lead to rest.
type branch struct{ values, rest ref }

// branches returns how f goes on behind the field of its first variable, and
// whether some valid values lead nowhere.
func (c *cutter) branches(f ref) (field Field, out []branch, partial bool) {
	g := &c.sp.graph
	field, _ = c.sp.owner(g.level(f))
	v, valid := c.sp.fields[field], c.sp.validFor(field)
	for _, b := range g.partition(f, v.first+level(v.width-1)) {
		switch b.values = g.and(b.values, valid); {
		case b.values == zero:
		case b.rest == zero:
			partial = true
		default:
			out = append(out, b)
		}
	}
	return field, out, partial
}

func (c *cutter) plan(f ref) int {
	if f <= one {
		return int(f) // zero needs no box, one needs one
	}
	if p, ok := c.plans[f]; ok {
		return p.boxes
	}
	if len(c.plans) >= maxPlans {
		return 1
	}
	c.plans[f] = plan{boxes: 1} // counts against the bound from now on
	g := &c.sp.graph
	_, branches, partial := c.branches(f)
	best := plan{common: zero}
	common := one
	for _, b := range branches {
		best.boxes += c.plan(b.rest)
		common = g.and(common, b.rest)
	}
	if !partial && common != zero && len(branches) > 1 && len(branches) <= maxRests {
		boxes := c.plan(common)
		for _, b := range branches {
			boxes += c.plan(g.and(b.rest, common^1))
		}
		if boxes < best.boxes {
			best = plan{boxes, common}
		}
	}
	c.plans[f] = best
	return best.boxes
}

// cut makes boxes of f under the constraints collected so far, and is false when
// there are too many.
func (c *cutter) cut(f ref, parts []part) bool {
	if f == zero {
		return true
	}
	if f == one {
		if len(c.boxes) == c.limit {
			return false
		}
		c.boxes = append(c.boxes, c.box(parts))
		return true
	}
	common := c.plans[f].common
	if !c.cut(common, parts) {
		return false
	}
	field, branches, _ := c.branches(f)
	for _, b := range branches {
		next := parts[:len(parts):len(parts)]
		if b.values != c.sp.validFor(field) {
			next = append(next, part{field, b.values})
		}
		if !c.cut(c.sp.graph.and(b.rest, common^1), next) {
			return false
		}
	}
	return true
}

func (c *cutter) box(parts []part) Box {
	f := one
	for i := len(parts) - 1; i >= 0; i-- {
		f = c.sp.graph.and(parts[i].values, f)
	}
	return Box{Set{c.sp, f}, c.sp.boxText(parts)}
}

// partition returns which functions of the variables behind last f turns into,
// and for which values of the variables up to last.
func (g *graph) partition(f ref, last level) []branch {
	deepest := level(0)
	g.visit(f, func(n node) { deepest = max(deepest, n.level) })
	if deepest <= last { // nothing comes behind: no need to look at the values
		return []branch{{f, one}, {f ^ 1, zero}}
	}
	memo := map[ref][]branch{}
	var walk func(f ref) []branch
	walk = func(f ref) []branch {
		l := g.level(f)
		if l > last {
			return []branch{{one, f}}
		}
		if out, ok := memo[f]; ok {
			return out
		}
		lo, hi := g.cofactors(f, l)
		out := g.join(l, walk(lo), walk(hi))
		memo[f] = out
		return out
	}
	return walk(f)
}

// join returns the branches of "if the variable at l then hi else lo".
func (g *graph) join(l level, lo, hi []branch) []branch {
	out := make([]branch, 0, len(lo)+len(hi))
	find := finder(hi)
	used := make([]bool, len(hi))
	for _, b := range lo {
		values := zero
		if i := find(b.rest); i >= 0 {
			values, used[i] = hi[i].values, true
		}
		out = append(out, branch{g.make(l, b.values, values), b.rest})
	}
	for i, b := range hi {
		if !used[i] {
			out = append(out, branch{g.make(l, zero, b.values), b.rest})
		}
	}
	return out
}

// finder returns a function that finds the branch with a rest, or -1.
func finder(branches []branch) func(rest ref) int {
	if len(branches) <= 8 {
		return func(rest ref) int {
			return slices.IndexFunc(branches, func(b branch) bool { return b.rest == rest })
		}
	}
	at := make(map[ref]int, len(branches))
	for i, b := range branches {
		at[b.rest] = i
	}
	return func(rest ref) int {
		if i, ok := at[rest]; ok {
			return i
		}
		return -1
	}
}
