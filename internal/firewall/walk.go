package firewall

import (
	"fmt"
	"slices"

	"sekimori/packet"
)

// outcome says what a chain makes of the packets that enter it. The four sets
// are disjoint in each valuation of the unknowns and cover what entered.
type outcome struct {
	accept, drop, reject packet.Set
	rest                 packet.Set // returned, or fell off the end
}

func (e *Engine) noOutcome() outcome {
	n := e.space.None()
	return outcome{n, n, n, n}
}

// Reason says why packets met a verdict: a rule, or the policy of a base chain
// (Rule is nil then), or neither where nothing is loaded that could refuse them.
type Reason struct {
	Rule    *Rule
	Chain   *Chain
	Verdict VerdictKind
	Set     packet.Set
	// reached, where given, bounds Set further: it is left to [Reason.in] to
	// take the two together, since most reasons are never looked at.
	reached packet.Set
}

// in returns the packets of s that the reason is about.
func (r Reason) in(s packet.Set) packet.Set {
	s = s.And(r.Set)
	if r.reached != (packet.Set{}) {
		s = s.And(r.reached)
	}
	return s
}

// visit is one rule's look at the packets that reached it, for traces.
type visit struct {
	rule             *Rule
	depth            int
	reached, matched packet.Set
	effect           string
}

// walk evaluates chains of one table in one environment, which its rules may
// change.
type walk struct {
	e      *Engine
	calls  *callGraph
	env    env
	hook   Hook
	rule   *Rule   // being evaluated
	step   int     // its step
	stack  []*Rule // the jumps that led here
	memo   map[memoKey]outcome
	nats   []natHit
	nat    bool         // the chains of the walk are nat's
	decide func(Reason) // told of every final verdict, or nil
	// refusals is false where decide need not be told of rules that refuse.
	refusals bool
	trace    func(visit) // told of every rule, or nil
	called   bool        // the rule being evaluated has been traced at its jump
}

type memoKey struct {
	chain   *Chain
	version int
}

// natHit is a translation and the packets that it was chosen for, as they were
// then.
type natHit struct {
	set  packet.Set
	nat  NAT
	rule *Rule
	env  env
}

// maxDepth bounds jumps. The kernel allows 16 (NFT_JUMP_STACK_SIZE) in
// nf_tables and as many as there are chains in x_tables; it refuses loops.
const maxDepth = 200

// chain evaluates the rules of a chain for the packets of in.
func (w *walk) chain(c *Chain, in packet.Set) outcome {
	key := memoKey{c, w.env.version}
	shared := w.decide == nil && w.trace == nil && w.calls.shareable(c)
	if shared {
		if o, ok := w.memo[key]; ok {
			return o.and(in)
		}
		o := w.rules(c, w.e.space.All())
		w.memo[key] = o
		return o.and(in)
	}
	return w.rules(c, in)
}

func (o outcome) and(in packet.Set) outcome {
	return outcome{o.accept.And(in), o.drop.And(in), o.reject.And(in), o.rest.And(in)}
}

func (w *walk) rules(c *Chain, in packet.Set) outcome {
	o := w.e.noOutcome()
	live := in
	returned := o.rest
	outer, outerStep := w.rule, w.step
	for i, next := 0, 0; i < len(c.Rules) && !live.Empty(); i = next {
		var ro ruleOutcome
		next = i + 1
		if w.trace == nil {
			next = runEnd(c.Rules, i)
		}
		if next-i >= shortRun {
			ro = w.judgeRun(c.Rules[i:next], live)
		} else {
			next = i + 1
			w.rule = c.Rules[i]
			ro = w.oneRule(c.Rules[i], live)
		}
		o.accept = o.accept.Or(ro.accept)
		o.reject = o.reject.Or(ro.reject)
		returned = returned.Or(ro.returned)
		live = live.Minus(ro.taken)
	}
	w.rule, w.step = outer, outerStep
	o.rest = live.Or(returned)
	// What met no other end was dropped: one difference here in place of a union
	// for each rule.
	o.drop = in.Minus(o.accept).Minus(o.reject).Minus(o.rest)
	return o
}

// ruleOutcome is what one rule does: taken are the packets that do not go on to
// the next rule, for whatever cause. Those taken for no other cause are dropped.
type ruleOutcome struct {
	accept, reject, returned, taken packet.Set
}

func (w *walk) oneRule(r *Rule, live packet.Set) ruleOutcome {
	none := w.e.space.None()
	ro := ruleOutcome{none, none, none, none}
	cur := live
	all := w.plain(w.e.space.All())
	match := all
	flush := func() {
		if match != all {
			cur, match = cur.And(match.met()), all
		}
	}
	effect := "no match"
	for i, s := range r.Steps {
		w.step = i
		if m, ok := s.(Match); ok {
			t := w.cond(m.Cond)
			match = truth{match.holds.And(t.holds), match.loads.And(t.loads)}
			continue
		}
		flush()
		if cur.Empty() {
			break
		}
		cur, effect = w.takeStep(s, cur, &ro)
	}
	flush()
	if w.trace != nil {
		w.traceRule(r, live, cur, ro, effect)
	}
	return ro
}

func (w *walk) traceRule(r *Rule, live, cur packet.Set, ro ruleOutcome, effect string) {
	if w.called {
		w.called = false // told before what the jump led to
		return
	}
	matched := cur.Or(ro.taken)
	switch {
	case matched.Empty() && (effect == "no match" || effect == ""):
		effect = "no match"
	case effect == "no match":
		effect = "continue" // a rule of conditions and counters only
	}
	w.trace(visit{rule: r, depth: len(w.stack), reached: live, matched: matched, effect: effect})
}

// takeStep carries out a step other than a match for the packets of cur, and
// returns those that go on to the next step.
func (w *walk) takeStep(s Step, cur packet.Set, ro *ruleOutcome) (packet.Set, string) {
	switch s := s.(type) {
	case Verdict:
		return w.verdict(s, cur, ro), s.String()
	case VerdictMap:
		return w.verdictMap(s, cur, ro)
	case Assign:
		return w.assignStep(s, cur), "set " + string(s.Field)
	case NoTrack:
		if !w.env.tracked {
			w.env.notrack = w.env.notrack.Or(cur)
			w.env.version = w.e.nextVersion()
		}
		return cur, "notrack"
	case NAT:
		return w.natStep(s, cur, ro)
	case Opaque:
		return w.opaque(s, cur, ro), "undecided: " + s.Name
	}
	name := fmt.Sprintf("step %T", s)
	return w.opaque(Opaque{Name: name, Content: name}, cur, ro), "undecided: " + name
}

// String returns the verdict as nft prints it.
func (v Verdict) String() string {
	s := v.Kind.String()
	if v.Chain != "" {
		s += " " + v.Chain
	}
	if v.Detail != "" {
		s += " " + v.Detail
	}
	return s
}

// verdict ends the rule for the packets of cur; it returns none.
func (w *walk) verdict(v Verdict, cur packet.Set, ro *ruleOutcome) packet.Set {
	none := w.e.space.None()
	switch v.Kind {
	case Accept, Drop, Reject:
		w.final(v.Kind, cur, ro)
	case Continue:
		return none // on to the next rule: not taken
	case Return:
		ro.returned = ro.returned.Or(cur)
		ro.taken = ro.taken.Or(cur)
	case Jump, Goto:
		w.call(v, cur, ro)
	case Queue:
		text := "the answer of the program behind " + v.String()
		yes := w.e.undecodedSet(text+" ("+w.id(w.rule)+")", text)
		w.forgetMarks(cur) // it may set them as well
		w.final(Accept, cur.And(yes), ro)
		w.final(Drop, cur.Minus(yes), ro)
	default:
		return w.opaque(Opaque{Name: v.String(), Content: v.String()}, cur, ro)
	}
	return none
}

func (w *walk) final(k VerdictKind, cur packet.Set, ro *ruleOutcome) {
	switch k {
	case Accept:
		ro.accept = ro.accept.Or(cur)
	case Reject:
		ro.reject = ro.reject.Or(cur)
	}
	ro.taken = ro.taken.Or(cur)
	if w.decide != nil && !cur.Empty() {
		w.decide(Reason{Rule: w.rule, Chain: w.rule.Chain, Verdict: k, Set: cur})
	}
}

// call evaluates the target of a jump or goto.
func (w *walk) call(v Verdict, cur packet.Set, ro *ruleOutcome) {
	target := w.calls.target(w.rule.Chain.Table, v.Chain)
	if target == nil || len(w.stack) >= maxDepth {
		text := "jump to " + v.Chain + ", which is not there"
		if target != nil {
			text = "jump to " + v.Chain + ": nested too deeply"
		}
		w.opaque(Opaque{Name: text, Content: text}, cur, ro)
		return
	}
	caller := w.rule
	w.stack = append(w.stack, caller)
	if w.trace != nil {
		w.trace(visit{rule: caller, depth: len(w.stack) - 1, reached: cur, matched: cur, effect: v.String()})
	}
	o := w.chain(target, cur)
	w.stack = w.stack[:len(w.stack)-1]
	w.rule, w.called = caller, w.trace != nil
	ro.accept = ro.accept.Or(o.accept)
	ro.reject = ro.reject.Or(o.reject)
	if v.Kind == Goto {
		ro.returned = ro.returned.Or(o.rest)
		ro.taken = ro.taken.Or(cur)
	} else {
		ro.taken = ro.taken.Or(cur.Minus(o.rest))
	}
}

// verdictMap gives each packet of cur the verdict of the element that its key
// meets first, and returns those that go on in the rule.
func (w *walk) verdictMap(m VerdictMap, cur packet.Set, ro *ruleOutcome) (packet.Set, string) {
	e := w.e
	if m.Map == nil || m.Map.Opaque != "" || m.Map.Learns {
		name := "a verdict map that could not be understood"
		if m.Map != nil {
			name = "verdict map " + m.Map.Name
		}
		return w.opaque(Opaque{Name: name, Content: name + w.id(w.rule)}, cur, ro), "undecided: " + name
	}
	load := w.loadable(m.Key...)
	looked := cur.And(load) // the rest breaks: not taken, next rule
	effect := "no match"
	groups := groupVerdicts(m.Map.Elems)
	key := w.keyBits(m.Key)
	goesOn := e.space.None()
	for _, g := range groups {
		if looked.Empty() {
			break
		}
		hit := looked
		if !g.rest {
			hit = looked.And(e.union(key, g.keys))
		}
		if g.cond != nil {
			hit = hit.And(w.cond(g.cond).met())
		}
		if hit.Empty() {
			continue
		}
		looked = looked.Minus(hit)
		effect = g.verdict.String()
		if g.verdict.Kind == Continue {
			goesOn = goesOn.Or(hit)
		} else {
			w.verdict(g.verdict, hit, ro)
		}
	}
	return goesOn, effect
}

// verdictGroup is elements of a map with one verdict that can be asked together.
type verdictGroup struct {
	keys    [][]packet.Interval
	rest    bool // the catch-all element
	cond    Cond
	verdict Verdict
}

// groupVerdicts gathers the elements of equal verdict, where their order is of
// no consequence; the catch-all element comes last.
func groupVerdicts(elems []Elem) []verdictGroup {
	var groups []verdictGroup
	var rest []verdictGroup
	free := disjoint(elems) && !slices.ContainsFunc(elems, func(el Elem) bool { return el.Cond != nil })
	at := map[Verdict]int{}
	for _, el := range elems {
		v := Verdict{Kind: Continue}
		if el.Verdict != nil {
			v = *el.Verdict
		}
		if el.Key == nil {
			rest = append(rest, verdictGroup{rest: true, cond: el.Cond, verdict: v})
			continue
		}
		if i, ok := at[v]; ok && free {
			groups[i].keys = append(groups[i].keys, intervals(el.Key))
			continue
		}
		at[v] = len(groups)
		groups = append(groups, verdictGroup{keys: [][]packet.Interval{intervals(el.Key)}, cond: el.Cond, verdict: v})
	}
	return append(groups, rest...)
}

// assignStep sets a mark; where it comes from a map, packets without an element
// end the rule.
func (w *walk) assignStep(s Assign, cur packet.Set) packet.Set {
	sp := w.e.space
	old := &w.env.mark
	if s.Field == FieldCtMark {
		old = &w.env.ctmark
	}
	if s.Map == nil {
		load := w.loadable(s.Value)
		cur = cur.And(load)
		val := w.e.bits(&w.env, s.Value)
		if len(val) != 32 {
			return w.forgetMarks(cur)
		}
		*old = w.e.assign(w.now(s.Field), cur.And(w.settable(s.Field)), val)
		w.env.version = w.e.nextVersion()
		return cur
	}
	if s.Map.Opaque != "" || s.Map.Learns {
		return w.forgetMarks(cur)
	}
	key := [][]packet.Set{w.e.bits(&w.env, s.Value)}
	settable := w.settable(s.Field)
	live, hits := cur.And(w.loadable(s.Value)), sp.None()
	for _, el := range s.Map.Elems {
		hit := live
		if el.Key != nil {
			hit = live.And(w.e.union(key, [][]packet.Interval{intervals(el.Key)}))
		}
		val := w.e.bits(&w.env, Constant(el.Data))
		if len(val) != 32 {
			return w.forgetMarks(cur)
		}
		*old = w.e.assign(w.now(s.Field), hit.And(settable), val)
		live, hits = live.Minus(hit), hits.Or(hit)
	}
	w.env.version = w.e.nextVersion()
	return hits
}

// settable returns the packets whose field can be set: a connection's mark only
// where there is a connection. For the others the rule goes on all the same
// (nft_ct_set_eval, connmark_tg).
func (w *walk) settable(f Field) packet.Set {
	if f == FieldCtMark {
		return w.e.hasEntry(&w.env)
	}
	return w.e.space.All()
}

// now returns the bits of a mark as they are at this point.
func (w *walk) now(f Field) []packet.Set { return w.e.bits(&w.env, Whole(f, 0, 0, 32)) }

// forgetMarks makes both marks of the packets unknown.
func (w *walk) forgetMarks(cur packet.Set) packet.Set {
	for _, m := range []struct {
		f   Field
		old *[]packet.Set
	}{{FieldMark, &w.env.mark}, {FieldCtMark, &w.env.ctmark}} {
		val := make([]packet.Set, 32)
		for i := range val {
			text := "a mark that could not be decoded"
			val[i] = w.e.undecodedSet(fmt.Sprintf("%s bit %d after %s", m.f, i, w.id(w.rule)), text)
		}
		*m.old = w.e.assign(w.now(m.f), cur, val)
	}
	w.env.version = w.e.nextVersion()
	return cur
}

// opaque lets everything happen to the packets of cur that a rule can do.
func (w *walk) opaque(s Opaque, cur packet.Set, ro *ruleOutcome) packet.Set {
	u := func(what string) packet.Set { return w.e.undecodedSet(what+": "+s.Content, s.Name) }
	hit := cur.And(u("matches"))
	ends := hit.And(u("ends"))
	refuses := u("refuses")
	if w.nat {
		unknown := NATTarget{Unknown: true}
		w.nats = append(w.nats, natHit{
			set: ends.Minus(refuses).And(u("translates")), rule: w.rule, env: w.env,
			nat: NAT{Kind: DNAT, Addr: unknown, Port: unknown},
		})
	}
	w.final(Accept, ends.Minus(refuses), ro)
	w.final(Drop, ends.And(refuses), ro)
	return w.forgetMarks(hit.Minus(ends))
}

// natStep chooses a translation for new connections and accepts, as nat chains
// do (nf_nat_setup_info gives NF_ACCEPT).
func (w *walk) natStep(n NAT, cur packet.Set, ro *ruleOutcome) (packet.Set, string) {
	if n.Family != 0 && n.Family != Inet && n.Family != w.e.family {
		return w.e.space.None(), "no match"
	}
	effect := [...]string{"snat", "dnat", "redirect", "masquerade"}[n.Kind]
	if n.TProxy {
		text := "whether a local program takes the packet (tproxy)"
		return cur.And(w.e.varyingSet(text+w.id(w.rule), text)), "tproxy"
	}
	keys := append(slices.Clone(n.Addr.Key), n.Port.Key...)
	if len(keys) > 0 {
		cur = cur.And(w.loadable(keys...))
		for _, t := range []NATTarget{n.Addr, n.Port} {
			if t.Map != nil && t.Map.Opaque == "" && !t.Map.Learns {
				cur = cur.And(w.elements(w.keyBits(t.Key), t.Map, t.Map.Elems))
			}
		}
	}
	w.nats = append(w.nats, natHit{set: cur, nat: n, rule: w.rule, env: w.env})
	w.final(Accept, cur, ro)
	return w.e.space.None(), effect
}

// id names a rule and the jumps that led to it.
func (w *walk) id(r *Rule) string {
	id := w.place(r)
	for _, c := range w.stack {
		id = c.Place() + " > " + id
	}
	return id
}

// place names a rule in a way that survives a change elsewhere in its chain: by its
// text, and how many equal ones stand before it.
func (w *walk) place(r *Rule) string {
	n := 0
	for _, o := range r.Chain.Rules {
		if o == r {
			break
		}
		if o.Text == r.Text {
			n++
		}
	}
	return fmt.Sprintf("%s: %s #%d.%d", r.Chain.Place(), r.Text, n, w.step)
}
