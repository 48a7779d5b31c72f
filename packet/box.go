package packet

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

// Boxes returns s as disjoint boxes, to be read. With more than limit of them it
// returns the first limit boxes, and false. Without a limit (0) it returns all,
// which may be very many. Their order depends on s alone.
func (s Set) Boxes(limit int) (boxes []Box, complete bool) {
	c := cutter{sp: s.sp, limit: limit}
	complete = c.cut(s.f, nil)
	return c.boxes, complete
}

type cutter struct {
	sp    *Space
	limit int
	boxes []Box
}

// cut makes boxes of f under the constraints collected so far, and is false when
// there are too many. It cuts at the field of f's first variable: values that
// lead to the same rest stand in one box.
func (c *cutter) cut(f ref, parts []part) bool {
	g := &c.sp.graph
	if f == zero {
		return true
	}
	if f == one {
		if c.limit > 0 && len(c.boxes) == c.limit {
			return false
		}
		c.boxes = append(c.boxes, c.box(parts))
		return true
	}
	field, _ := c.sp.owner(g.level(f))
	v := c.sp.fields[field]
	last := v.first + level(v.width-1)
	valid := c.sp.validFor(field)
	for _, rest := range g.below(f, last) {
		values := g.and(g.leading(f, last, rest), valid)
		next := parts[:len(parts):len(parts)]
		switch values {
		case zero:
			continue
		case valid:
		default:
			next = append(next, part{field, values})
		}
		if !c.cut(rest, next) {
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

// below returns the functions of the variables behind last that f turns into for
// some values of the ones up to last, the constant false left out.
func (g *graph) below(f ref, last level) []ref {
	var rests []ref
	seen := map[ref]bool{zero: true}
	var walk func(f ref)
	walk = func(f ref) {
		if seen[f] {
			return
		}
		seen[f] = true
		l := g.level(f)
		if l > last {
			rests = append(rests, f)
			return
		}
		lo, hi := g.cofactors(f, l)
		walk(lo)
		walk(hi)
	}
	walk(f)
	return rests
}

// leading returns for which values of the variables up to last f becomes rest.
func (g *graph) leading(f ref, last level, rest ref) ref {
	memo := map[ref]ref{}
	var walk func(f ref) ref
	walk = func(f ref) ref {
		l := g.level(f)
		if l > last {
			if f == rest {
				return one
			}
			return zero
		}
		if r, ok := memo[f]; ok {
			return r
		}
		lo, hi := g.cofactors(f, l)
		r0 := walk(lo)
		r1 := walk(hi)
		r := g.make(l, r0, r1)
		memo[f] = r
		return r
	}
	return walk(f)
}
