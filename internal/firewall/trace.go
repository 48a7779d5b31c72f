package firewall

import (
	"slices"

	"sekimori/packet"
)

// TraceVerdict is how a traced packet ends.
type TraceVerdict uint8

// The ends of a packet. TraceUndecided: what is known of the packet and of the
// rules does not decide it.
const (
	TraceAccept TraceVerdict = iota
	TraceDrop
	TraceReject
	TraceUndecided
)

// String returns accept, drop, reject or undecided.
func (v TraceVerdict) String() string {
	return [...]string{"accept", "drop", "reject", "undecided"}[v]
}

// TraceStep is one rule or policy that the packet met.
type TraceStep struct {
	Hook  Hook
	Table string // family and name
	Chain string
	Rule  int // 0 for a chain's policy
	Line  int // in the file that the rules came from, or 0
	Text  string
	// Effect is what the rule did: "no match", a verdict, "set meta mark", …
	Effect string
	// Depth is the number of jumps that led to the rule's chain.
	Depth int
	// Matched is true for a rule that did something, or might have; Maybe where
	// that hangs on what is not known.
	Matched, Maybe bool
}

// Trace is a packet's way and end.
type Trace struct {
	Way     Way
	Verdict TraceVerdict
	Steps   []TraceStep
	// Because is what decided, as far as one rule did.
	Because Because
	// Depends are the things that an undecided verdict hangs on: conditions
	// without a fixed answer, parts that could not be decoded, fields of the
	// packet that were not given.
	Depends []string
	// Translated is the rule that rewrote the destination, nil if none did.
	Translated *Because
	// Unrouted is true where routing, not a rule, ends the way: no route, or
	// forwarding is off.
	Unrouted bool
}

// WayOf returns the way that a packet takes on this host: by its destination
// where that is known, else by the interfaces it is given.
func (e *Engine) WayOf(in packet.Set, hasIn, hasOut bool) Way {
	switch {
	case hasOut && !hasIn:
		return WayOutput
	case hasIn && hasOut:
		return WayForward
	case e.facts.Known && !in.Overlaps(e.space.Prefixes(packet.Dst, e.facts.Local...)):
		v := e.newEnv()
		if !in.Overlaps(e.delivered(&v)) {
			return WayForward
		}
	}
	return WayInput
}

// Packets returns the packets that a description means: what it does not say is
// left open, but for what goes without saying. A packet is whole, without a mark
// if it comes from a wire, and begins a connection; if it does so by TCP, with
// SYN alone; a connection that there is already has not been translated.
func (e *Engine) Packets(p packet.Packet) packet.Set {
	sp := e.space
	given := func(f packet.Field) bool {
		_, ok := p.Get(f)
		return ok
	}
	if !given(packet.State) {
		p = p.With(packet.State, 0)
	}
	if st, _ := p.Get(packet.State); st == 0 && !given(packet.TCPFlags) {
		p = e.syn(p)
	}
	s := sp.Point(p)
	if !given(packet.Fragment) {
		s = s.And(e.firstFragment())
	}
	if st, _ := p.Get(packet.State); (st == 1 || st == 2) && !given(packet.Status) {
		translated := sp.Bit(packet.Status, 15-statusSNAT).Or(sp.Bit(packet.Status, 15-statusDNAT))
		s = s.Minus(translated)
	}
	if !given(packet.Mark) && p.In != "" {
		s = s.And(sp.Values(packet.Mark, packet.Range{}))
	}
	return s
}

func (e *Engine) syn(p packet.Packet) packet.Packet {
	if proto, ok := p.Get(packet.Protocol); ok && proto == protoTCP {
		return p.With(packet.TCPFlags, 0x02)
	}
	return p
}

// tracer collects the steps of a trace.
type tracer struct {
	steps []TraceStep
	hook  Hook
}

// Trace follows packets (usually one) along a way and tells rule by rule what
// happened. What the set leaves open may lead to several ends; the verdict is
// then undecided.
func (e *Engine) Trace(rs *Ruleset, way Way, in packet.Set) (Trace, error) {
	var t Trace
	err := e.Do(func() error {
		t = e.traceWay(rs, way, in)
		return nil
	})
	return t, err
}

func (e *Engine) traceWay(rs *Ruleset, way Way, in packet.Set) Trace {
	if way == WayInput {
		in = e.withoutOutput(in)
	}
	tr := &tracer{}
	f := &follower{e: e, rs: rs, calls: newCallGraph(rs), way: way, reasons: true, refusals: true}
	f.enter = func(h Hook) { tr.hook = h }
	f.trace = func(v visit) { tr.rule(v) }
	f.policy = func(c *Chain, reached, ended packet.Set) { tr.policy(c, reached, ended) }
	res := f.run(in)
	t := Trace{Way: way, Steps: tr.steps}
	ends := []struct {
		v TraceVerdict
		s packet.Set
	}{{TraceAccept, res.Accept}, {TraceDrop, res.Drop}, {TraceReject, res.Reject}}
	n := 0
	for _, end := range ends {
		if !end.s.Empty() {
			t.Verdict = end.v
			n++
		}
	}
	switch n {
	case 0:
		t.Verdict, t.Unrouted = TraceDrop, true
	case 1:
		t.Because = decidedBy(res)
	default:
		t.Verdict = TraceUndecided
		t.Depends = e.dependencies(res, in)
	}
	for _, fl := range res.Flows {
		if fl.Translated != nil {
			b := because(Reason{Rule: fl.Translated})
			t.Translated = &b
		}
	}
	return t
}

func (t *tracer) rule(v visit) {
	r := v.rule
	t.steps = append(t.steps, TraceStep{
		Hook: t.hook, Table: r.Chain.Table.Place(), Chain: r.Chain.Name, Rule: r.Number, Line: r.Line,
		Text: r.Text, Effect: v.effect, Depth: v.depth,
		Matched: !v.matched.Empty(), Maybe: !v.matched.Empty() && !v.reached.SubsetOf(v.matched),
	})
}

func (t *tracer) policy(c *Chain, reached, ended packet.Set) {
	t.steps = append(t.steps, TraceStep{
		Hook: t.hook, Table: c.Table.Place(), Chain: c.Name, Text: "policy " + c.Base.Policy.String(),
		Effect: c.Base.Policy.String(), Matched: true, Maybe: !reached.SubsetOf(ended),
	})
}

func decidedBy(res Result) Because {
	for _, r := range res.Refused {
		if !r.Set.Empty() {
			return because(r)
		}
	}
	for _, f := range res.Flows {
		for _, r := range f.Accepted {
			if !r.Set.Empty() {
				return because(r)
			}
		}
	}
	return because(Reason{})
}

// dependencies names what the end of the packets hangs on.
func (e *Engine) dependencies(res Result, in packet.Set) []string {
	var out []string
	add := func(s string) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, s := range []packet.Set{res.Accept, res.Drop, res.Reject} {
		for _, k := range e.space.UnknownKeys(s) {
			text, _ := e.Reason(k)
			add(text)
		}
	}
	for _, f := range e.space.OpenFields(in, res.Accept) {
		add(f + " (not given)")
	}
	return out
}
