package pyre

import "slices"

// A conditional asks whether a group took part. Where that is known from the
// way by which a match got there, as in
//
//	(?P<a>x)?y(?(a)z|w)
//
// what lies between the group and the conditional is compiled twice, once for
// each answer: xyz|yw. Nothing is left to ask then, and what has to follow y is
// known exactly, which saves going back and forth.

const (
	// maxKnown is how many groups are followed in this way: the code between
	// doubles with each.
	maxKnown = 2
	// maxRegion bounds the code that is compiled several times, in nodes.
	maxRegion = 400
)

// An onward says where to go on, by what is known of the groups that are asked
// for: bit i of the index is set if group c.known[i] took part.
type onward []int32

// known returns the groups whose part is known wherever it is asked for.
func known(tree *node) []int {
	var asked, unsure []int
	count := 0
	var walk func(n *node, sure bool)
	walk = func(n *node, sure bool) {
		count++
		if n.kind == nCond && !slices.Contains(asked, n.group) {
			asked = append(asked, n.group)
		}
		if (n.kind == nCond || n.kind == nGroup) && !sure {
			unsure = append(unsure, n.group)
		}
		inside := sure && n.kind != nLook && n.kind != nAtomic && (n.kind != nRepeat || n.max == 1)
		for _, s := range n.subs {
			walk(s, inside)
		}
	}
	walk(tree, true)
	asked = slices.DeleteFunc(asked, func(g int) bool { return slices.Contains(unsure, g) })
	if len(asked) > maxKnown || count > maxRegion {
		return nil
	}
	return asked
}

// state returns the bit of group g in the index of an onward; 0 if it has none.
func (c *compiler) state(g int) int {
	if i := slices.Index(c.known, g); i >= 0 {
		return 1 << i
	}
	return 0
}

// concerns reports whether n has one of the known groups, or asks for it.
func (c *compiler) concerns(n *node) bool {
	if (n.kind == nGroup || n.kind == nCond) && c.state(n.group) != 0 {
		return true
	}
	return slices.ContainsFunc(n.subs, c.concerns)
}

// each calls f for each state, once for those that go on alike.
func (to onward) each(f func(next int32) int32) onward {
	out := make(onward, len(to))
	for s, next := range to {
		if i := slices.Index(to[:s], next); i >= 0 {
			out[s] = out[i]
			continue
		}
		out[s] = f(next)
	}
	return out
}

// compKnown is comp where it matters how a match gets to n.
func (c *compiler) compKnown(n *node, to onward) onward {
	if c.sawErr != "" {
		return to
	}
	if !c.concerns(n) {
		return to.each(func(next int32) int32 { return c.comp(n, next) })
	}
	switch n.kind {
	case nCat:
		return c.catKnown(n.subs, to)
	case nAlt:
		at := c.compKnown(n.subs[len(n.subs)-1], to)
		for i := len(n.subs) - 2; i >= 0; i-- {
			at = c.splitKnown(c.compKnown(n.subs[i], to), at)
		}
		return at
	case nRepeat: // once at most
		body := c.compKnown(n.subs[0], to)
		switch {
		case n.max == 0:
			return to
		case n.min == 1:
			return body
		case n.lazy:
			return c.splitKnown(to, body)
		}
		return c.splitKnown(body, to)
	case nGroup:
		after, bit := make(onward, len(to)), c.state(n.group)
		for s := range to {
			after[s] = to[s|bit]
		}
		save := func(slot int) func(int32) int32 {
			return func(next int32) int32 { return c.emit(inst{op: opSave, arg: int32(slot), next: next}) }
		}
		return c.compKnown(n.subs[0], after.each(save(2*n.group+1))).each(save(2 * n.group))
	case nCond:
		yes, no := c.compKnown(n.subs[0], to), c.compKnown(n.subs[1], to)
		bit := c.state(n.group)
		if bit == 0 {
			c.conds = append(c.conds, int32(n.group))
			return c.pairs(yes, no, func(a, b int32) int32 {
				return c.emit(inst{op: opCond, arg: int32(n.group), next: a, alt: b})
			})
		}
		out := slices.Clone(no)
		for s := range out {
			if s&bit != 0 {
				out[s] = yes[s]
			}
		}
		return out
	}
	panic("unreachable: known groups stand in nothing else")
}

// catKnown compiles a sequence, what concerns no known group in one piece.
func (c *compiler) catKnown(subs []*node, to onward) onward {
	for end := len(subs); end > 0; {
		from := end - 1
		if c.concerns(subs[from]) {
			to = c.compKnown(subs[from], to)
		} else {
			for from > 0 && !c.concerns(subs[from-1]) {
				from--
			}
			to = to.each(func(next int32) int32 { return c.cat(subs[from:end], next) })
		}
		end = from
	}
	return to
}

// splitKnown tries first, then second, in each state.
func (c *compiler) splitKnown(first, second onward) onward {
	return c.pairs(first, second, func(a, b int32) int32 {
		if a == b {
			return a
		}
		return c.emit(inst{op: opSplit, next: a, alt: b})
	})
}

// pairs calls f for each state, once for those in which a and b are alike.
func (c *compiler) pairs(a, b onward, f func(a, b int32) int32) onward {
	out := make(onward, len(a))
next:
	for s := range a {
		for t := range s {
			if a[t] == a[s] && b[t] == b[s] {
				out[s] = out[t]
				continue next
			}
		}
		out[s] = f(a[s], b[s])
	}
	return out
}
