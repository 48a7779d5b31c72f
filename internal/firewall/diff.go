package firewall

import (
	"slices"

	"sekimori/packet"
)

// Change is packets that two rulesets treat differently, each for one reason on
// either side.
type Change struct {
	Way      Way
	Family   Family
	From, To VerdictKind
	// Packets are disjoint boxes; More is true where there are further ones.
	Packets  []packet.Box
	More     bool
	Example  packet.Packet
	Old, New Because

	among packet.Set // all packets that the question was about
}

// ends returns the ends that packets can meet.
func (r Result) ends() []struct {
	kind VerdictKind
	set  packet.Set
} {
	return []struct {
		kind VerdictKind
		set  packet.Set
	}{{Accept, r.Accept}, {Drop, r.Drop}, {Reject, r.Reject}}
}

// Differ returns the packets that meet different ends in two results of one
// engine, way and input.
func Differ(a, b Result) packet.Set {
	return a.Accept.Xor(b.Accept).Or(a.Drop.Xor(b.Drop)).Or(a.Reject.Xor(b.Reject))
}

// Diff returns what changes from one ruleset to the other for packets on a way,
// in at most limit boxes each. The engine must know both rulesets.
func (e *Engine) Diff(older, newer *Ruleset, way Way, limit int) ([]Change, error) {
	var out []Change
	err := e.Do(func() error {
		out = e.diff(older, newer, way, limit)
		return nil
	})
	return out, err
}

func (e *Engine) diff(older, newer *Ruleset, way Way, limit int) []Change {
	in := e.Sent(way)
	a, b := e.Follow(older, way, in, false), e.Follow(newer, way, in, false)
	changed := Differ(a, b)
	if changed.Empty() {
		return nil
	}
	all := e.space.None() // what meets an end at all: routing sends the rest elsewhere
	for _, end := range slices.Concat(a.ends(), b.ends()) {
		all = all.Or(end.set)
	}
	// The responsible rules are asked for only where there is a difference.
	changed = changed.May()
	a, b = e.Follow(older, way, in.And(changed), true), e.Follow(newer, way, in.And(changed), true)
	var out []Change
	for _, from := range a.ends() {
		for _, to := range b.ends() {
			moved := from.set.And(to.set)
			if from.kind == to.kind || moved.Empty() {
				continue
			}
			c := Change{Way: way, Family: e.family, From: from.kind, To: to.kind, among: all.May()}
			out = append(out, e.split(c, moved, a, b, limit)...)
		}
	}
	return out
}

// Sent returns the packets that can set out on a way.
func (e *Engine) Sent(way Way) packet.Set {
	switch way {
	case WayInput:
		return e.withoutOutput(e.Arriving(e.space.All()))
	case WayForward:
		return e.Arriving(e.space.All()).Minus(e.ifaceSet(Interface{Out: true}))
	}
	return e.ifaceSet(Interface{}).Minus(e.ifaceSet(Interface{Out: true})).And(e.trackable())
}

// split divides a change by the pair of rules that are responsible.
func (e *Engine) split(c Change, moved packet.Set, a, b Result, limit int) []Change {
	var out []Change
	for _, o := range a.reasons(c.From) {
		mine := moved.And(o.Set)
		for _, n := range b.reasons(c.To) {
			if mine.Empty() {
				break
			}
			s := mine.And(n.Set)
			if s.Empty() {
				continue
			}
			mine, moved = mine.Minus(s), moved.Minus(s)
			out = append(out, e.describe(c, s, because(o), because(n), limit))
		}
	}
	if !moved.Empty() {
		out = append(out, e.describe(c, moved, Because{Text: "several rules"}, Because{Text: "several rules"}, limit))
	}
	return out
}

// describe fills in which packets a change is about.
func (e *Engine) describe(c Change, s packet.Set, older, newer Because, limit int) Change {
	c.Old, c.New = older, newer
	boxes, complete := c.plain(s).Boxes(limit)
	c.More = !complete
	for _, b := range boxes {
		// What the others need said, this one may not.
		if one, single := c.plain(b.Set()).Boxes(1); single && len(one) == 1 {
			b = one[0]
		}
		c.Packets = append(c.Packets, b)
	}
	c.Example = e.example(c.Way, s)
	return c
}

// example is a packet of s, one from outside if there is one.
func (e *Engine) example(way Way, s packet.Set) packet.Packet {
	switch way { // what no packet on the way has is no part of the example
	case WayInput:
		s = s.Exists(packet.OutInterface)
	case WayOutput:
		s = s.Exists(packet.InInterface)
	}
	for _, i := range e.facts.Interfaces {
		outside := s.Minus(e.ifaceSet(Interface{Name: i.Name, Out: way == WayOutput}))
		if i.Loopback && !outside.Empty() {
			s = outside
		}
	}
	p, _ := s.Sample()
	return p
}

// plain adds packets to s that the question was not about, so that what is the
// same for all that it was about (the addresses of this host, no mark) needs no
// words.
func (c Change) plain(s packet.Set) packet.Set {
	for _, f := range []packet.Field{
		packet.Dst, packet.Mark, packet.InInterface, packet.OutInterface, packet.State, packet.Status, packet.Fragment,
		packet.SrcType, packet.DstType, packet.Src,
	} {
		wide := s.Exists(f)
		switch {
		case wide.And(c.among).Equal(s.And(c.among)):
			s = wide
		case f == packet.InInterface || f == packet.OutInterface:
			s = s.Or(wide.Minus(c.among.Only(f)))
		}
	}
	return s
}

// reasons returns why packets met an end, most specific first; a reason without
// a rule and a chain stands last, for what no chain was asked about.
func (r Result) reasons(k VerdictKind) []Reason {
	var out []Reason
	if k == Accept {
		rest := r.Accept
		for _, f := range r.Flows {
			out = append(out, f.Accepted...)
		}
		for _, o := range out {
			rest = rest.Minus(o.Set)
		}
		if !rest.Empty() {
			out = append(out, Reason{Verdict: Accept, Set: rest})
		}
		return out
	}
	for _, o := range r.Refused {
		if o.Verdict == k {
			out = append(out, o)
		}
	}
	return slices.Clip(out)
}
