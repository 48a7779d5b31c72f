package firewall

import (
	"reflect"
	"slices"

	"sekimori/packet"
)

// A run is consecutive rules that do nothing but give one final verdict, as in
// blocklists. Their order among each other is of no consequence, so they are
// judged together: once for the run in place of once for each rule.

// shortRun is the length from which a run is worth the trouble.
const shortRun = 8

// runEnd returns the end of the run that begins at rules[i].
func runEnd(rules []*Rule, i int) int {
	kind, ok := plainVerdict(rules[i])
	j := i + 1
	for ; ok && j < len(rules); j++ {
		if k, plain := plainVerdict(rules[j]); !plain || k != kind {
			break
		}
	}
	return j
}

// plainVerdict returns the verdict of a rule that consists of conditions and it.
func plainVerdict(r *Rule) (VerdictKind, bool) {
	if len(r.Steps) == 0 {
		return 0, false
	}
	v, ok := r.Steps[len(r.Steps)-1].(Verdict)
	if !ok || v.Kind != Accept && v.Kind != Drop && v.Kind != Reject {
		return 0, false
	}
	for _, s := range r.Steps[:len(r.Steps)-1] {
		if _, ok := s.(Match); !ok {
			return 0, false
		}
	}
	return v.Kind, true
}

// judgeRun gives the verdict of a run to the packets of live that it takes.
func (w *walk) judgeRun(rules []*Rule, live packet.Set) ruleOutcome {
	none := w.e.space.None()
	ro := ruleOutcome{none, none, none, none}
	kind, _ := plainVerdict(rules[0])
	var met []packet.Set
	for i := 0; i < len(rules); {
		j, all := w.alike(rules, i)
		if j > i+1 {
			met = append(met, w.cond(all).met())
		} else {
			w.rule = rules[i]
			met = append(met, w.matches(rules[i]))
		}
		i = j
	}
	hit := live.And(union(met, none))
	switch kind {
	case Accept:
		ro.accept = hit
	case Reject:
		ro.reject = hit
	}
	ro.taken = hit
	if w.decide != nil && (w.refusals || kind == Accept) {
		for _, r := range rules {
			w.rule = r
			why := Reason{Rule: r, Chain: r.Chain, Verdict: kind, Set: w.matches(r), reached: live}
			if w.refusals {
				why.Set, why.reached = why.in(live), packet.Set{}
			}
			if !why.Set.Empty() {
				w.decide(why)
			}
		}
	}
	return ro
}

// matches returns the packets that meet all conditions of a rule.
func (w *walk) matches(r *Rule) packet.Set {
	t := w.plain(w.e.space.All())
	for i, s := range r.Steps {
		if m, ok := s.(Match); ok {
			w.step = i
			c := w.cond(m.Cond)
			t = truth{t.holds.And(c.holds), t.loads.And(c.loads)}
		}
	}
	return t.met()
}

// union is the union of many sets, taken in pairs so that the large ones are met
// but few times.
func union(sets []packet.Set, none packet.Set) packet.Set {
	for len(sets) > 1 {
		half := sets[:0:0]
		for i := 0; i+1 < len(sets); i += 2 {
			half = append(half, sets[i].Or(sets[i+1]))
		}
		if len(sets)%2 == 1 {
			half = append(half, sets[len(sets)-1])
		}
		sets = half
	}
	if len(sets) == 0 {
		return none
	}
	return sets[0]
}

// alike returns the end of the rules from i on that differ in the intervals of
// one address alone, and the condition that stands for all of them: one
// comparison with many intervals is built in a single pass.
func (w *walk) alike(rules []*Rule, i int) (int, Cond) {
	first, others := split(rules[i])
	if first == nil {
		return i + 1, nil
	}
	in := slices.Clone(first.In)
	j := i + 1
	for ; j < len(rules); j++ {
		next, rest := split(rules[j])
		if next == nil || !slices.Equal(next.Value, first.Value) || !reflect.DeepEqual(rest, others) {
			break
		}
		in = append(in, next.In...)
	}
	return j, And(append(slices.Clip(others), Compare{Value: first.Value, In: in}))
}

// split takes a rule's conditions apart: the first comparison of an address, and
// the others. It returns nil where there is none, or where a condition is
// different for each rule.
func split(r *Rule) (*Compare, []Cond) {
	var address *Compare
	var others []Cond
	simple := true
	var take func(c Cond)
	take = func(c Cond) {
		if parts, ok := c.(And); ok {
			for _, p := range parts {
				take(p)
			}
			return
		}
		simple = simple && simpleCond(c) && !ownAnswer(c)
		if cmp, ok := c.(Compare); ok && address == nil && len(cmp.Value) >= 32 && cmp.Value[0].Field == FieldNetwork {
			address = &cmp
			return
		}
		others = append(others, c)
	}
	for _, s := range r.Steps {
		if m, ok := s.(Match); ok {
			take(m.Cond)
		}
	}
	if !simple {
		return nil, nil
	}
	return address, others
}

// ownAnswer reports whether each rule has its own answer to a condition, however
// alike they look.
func ownAnswer(c Cond) bool {
	switch c := c.(type) {
	case And:
		return slices.ContainsFunc(c, ownAnswer)
	case Or:
		return slices.ContainsFunc(c, ownAnswer)
	case Not:
		return ownAnswer(c.Of)
	case Total:
		return ownAnswer(c.Of)
	case Varies:
		return c.Hidden
	}
	return false
}
