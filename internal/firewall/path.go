package firewall

import (
	"cmp"
	"net/netip"
	"slices"

	"sekimori/packet"
)

// Way is where a packet goes.
type Way uint8

// The ways: to a socket of this host, through this host, and from this host.
const (
	WayInput Way = iota
	WayForward
	WayOutput
)

// String names the way for people.
func (w Way) String() string {
	return [...]string{"to this host", "through this host", "from this host"}[w]
}

// hooks returns the hooks on a way, in order.
func (w Way) hooks() []Hook {
	switch w {
	case WayInput:
		return []Hook{Ingress, Prerouting, Input}
	case WayForward:
		return []Hook{Ingress, Prerouting, Forward, Postrouting, Egress}
	}
	return []Hook{Output, Postrouting, Egress}
}

// Result is what becomes of the packets that set out on a way. The sets are of
// packets as they arrived (as they were sent, for [WayOutput]).
type Result struct {
	// Accept, Drop and Reject hold the packets that meet that end; with unknowns
	// in them, see [Engine.Possible] and [Engine.Certain].
	Accept, Drop, Reject packet.Set
	// Flows are the accepted packets by what translation made of them.
	Flows []Flow
	// Refused are the reasons of drops and rejects, if asked for.
	Refused []Reason
}

// Flow is accepted packets that were translated alike.
type Flow struct {
	Set packet.Set
	// Translated is the rule that rewrote the destination, nil if none did.
	Translated *Rule
	// Accepted are the reasons, if asked for; they cover Set.
	Accepted []Reason

	env env
}

// priorities of what the kernel itself does at a hook
// (linux/netfilter_ipv4.h, enum nf_ip_hook_priorities).
const (
	priorityDefrag    = -400
	priorityConntrack = -200
	priorityDstNAT    = -100
	prioritySrcNAT    = 100
)

// follower carries packets along a way.
type follower struct {
	e       *Engine
	rs      *Ruleset
	calls   *callGraph
	way     Way
	reasons bool // attribute verdicts
	// refusals says to attribute those of rules that refuse, too: there may be
	// 100,000 of them where nobody wants to know.
	refusals bool
	trace    func(visit)
	enter    func(h Hook)                              // told of each hook, or nil
	policy   func(c *Chain, reached, ended packet.Set) // told of each policy that decides, or nil
	start    env                                       // of the packets that set out
	flows    []Flow
	res      Result
	// admitted are the packets that may pass whatever the rules say.
	admitted packet.Set
	// refusedBy are the refusals by chains that saw the packets on a device below,
	// until they are known to have come by it.
	refusedBy []Reason
}

// Follow sends the packets of in along a way through the ruleset. With reasons,
// each verdict is attributed to the rule that decided it, which costs more.
// The packets are taken as they come from a wire: without a mark, and untracked
// only where conntrack itself does not track them; see [Engine.Arriving].
func (e *Engine) Follow(rs *Ruleset, way Way, in packet.Set, reasons bool) Result {
	f := &follower{e: e, rs: rs, calls: newCallGraph(rs), way: way, reasons: reasons, refusals: reasons}
	return f.run(in)
}

func (f *follower) run(in packet.Set) Result {
	f.follow(in)
	f.admit()
	f.res.within(in, f.refusals)
	return f.res
}

// follow sends packets through the hooks. What it leaves in f.res does not look
// at what all packets of in have in common, and does not know of f.admitted.
func (f *follower) follow(in packet.Set) {
	none := f.e.space.None()
	f.res = Result{Accept: none, Drop: none, Reject: none}
	f.admitted = none
	v := f.e.newEnv()
	v.version = f.e.nextVersion()
	v.known, in = f.e.assume(in)
	noOut := v.known.noOut
	f.start = v
	f.flows = []Flow{{Set: in, env: v}}
	f.obstacles()
	f.vrfs()
	f.bridged()
	for _, h := range f.way.hooks() {
		if f.enter != nil {
			f.enter(h)
		}
		if h == Input || h == Forward {
			f.route(h)
		}
		f.leavesUnknown(h, noOut)
		if h == Input && f.e.family == IPv4 {
			f.defragment() // ip_local_deliver
		}
		f.atHook(h)
	}
	for _, fl := range f.flows {
		f.res.Accept = f.res.Accept.Or(fl.Set)
		f.res.Flows = append(f.res.Flows, fl)
	}
}

// admit makes undecided what was refused, where something that could not be
// evaluated may have sent it another way.
func (f *follower) admit() {
	fl := f.otherWay()
	extra := fl.Set.And(f.admitted)
	if extra.Empty() {
		return
	}
	f.res.Accept = f.res.Accept.Or(extra)
	f.res.Drop, f.res.Reject = f.res.Drop.Minus(extra), f.res.Reject.Minus(extra)
	fl.Set = extra
	f.res.Flows = append(f.res.Flows, fl)
}

// otherWay are the packets that were refused, as they would go another way where
// f.admitted holds. There are none where it never does.
func (f *follower) otherWay() Flow {
	v := f.start
	v.tracked = true
	v.version = f.e.nextVersion()
	if f.admitted.Empty() {
		return Flow{Set: f.e.space.None(), env: v}
	}
	return Flow{Set: f.res.Drop.Or(f.res.Reject).Minus(f.res.Accept), env: v}
}

// leavesUnknown makes the rules of the hooks before routing see no output
// interface, whichever the packets will have.
func (f *follower) leavesUnknown(h Hook, never bool) {
	noOut := never || h == Ingress || h == Prerouting || h == Input
	for i := range f.flows {
		v := &f.flows[i].env
		if v.known.noOut != noOut {
			v.known.noOut = noOut
			v.version = f.e.nextVersion()
		}
	}
}

// within restricts a result to the packets that were asked about; its reasons
// only if they are to be looked at without the flow that they belong to.
func (r *Result) within(in packet.Set, reasons bool) {
	r.Accept, r.Drop, r.Reject = r.Accept.And(in), r.Drop.And(in), r.Reject.And(in)
	for i := range r.Flows {
		r.Flows[i].Set = r.Flows[i].Set.And(in)
	}
	if !reasons {
		return
	}
	r.Refused = within(r.Refused, in)
	for i := range r.Flows {
		r.Flows[i].Accepted = within(r.Flows[i].Accepted, in)
	}
}

// route keeps the packets that routing sends to the hook. On an unknown host it
// keeps them all: the caller has said which way is meant.
func (f *follower) route(h Hook) {
	e := f.e
	if !e.facts.Known {
		return
	}
	forwards := map[bool]bool{true: e.facts.Forward4, false: e.facts.Forward6}[e.family == IPv4]
	for i := range f.flows {
		fl := &f.flows[i]
		here := e.delivered(&fl.env)
		switch {
		case h == Input:
			fl.Set = fl.Set.And(here).Minus(e.martian(&fl.env))
		case !forwards:
			fl.Set = e.space.None()
		default:
			fl.Set = fl.Set.Minus(here).And(e.leaving(&fl.env))
			e.oneHop(&fl.env)
		}
	}
}

// martian returns the packets that routing refuses because they come from a wire
// and are, by translation perhaps, for 127.0.0.0/8 (ip_route_input_slow).
func (e *Engine) martian(v *env) packet.Set {
	from := e.space.All()
	for _, i := range e.facts.Interfaces {
		if i.Loopback {
			from = from.Minus(e.ifaceSet(Interface{Name: i.Name}))
		}
	}
	for _, name := range e.facts.RouteLocalnet {
		from = from.Minus(e.ifaceSet(Interface{Name: name}))
	}
	return from.And(e.addrs(e.dstBits(v), []netip.Prefix{loopback4}))
}

// delivered returns the packets that routing hands to this host's sockets: those
// to an address of its own, to a broadcast address or to a group.
func (e *Engine) delivered(v *env) packet.Set {
	bits := e.dstBits(v)
	here := slices.Concat(e.facts.Local, e.facts.Broadcast, e.facts.Anycast,
		[]netip.Prefix{multicast4, multicast6, everyone})
	return e.addrs(bits, here)
}

// stage is one thing that happens at a hook.
type stage struct {
	priority int32
	order    int
	chain    *Chain
	track    bool
	defrag   bool
	nat      []*Chain
}

// stages returns what happens at a hook, in order. Base chains of equal priority
// are asked in the opposite order of their making (nf_hook_entries_grow); the
// nat chains all stand behind the one hook of the translation core.
func (f *follower) stages(h Hook) []stage {
	var out []stage
	var nat []stage
	n := 0
	for _, t := range f.rs.Tables {
		if t.Dormant || !f.e.judges(t, h) {
			continue
		}
		for _, c := range t.Chains {
			if c.Base == nil || c.Base.Hook != h || c.Base.hangsOnNothing() {
				continue
			}
			n++
			s := stage{priority: c.Base.Priority, order: -n, chain: c}
			if c.Base.Type == "nat" {
				nat = append(nat, s)
			} else {
				out = append(out, s)
			}
		}
	}
	if h == Prerouting || h == Output {
		out = append(out, stage{priority: priorityConntrack, track: true})
		if f.tracking() {
			out = append(out, stage{priority: priorityDefrag, defrag: true})
		}
	}
	if h != Forward && f.translates() {
		sortStages(nat)
		s := stage{priority: priorityDstNAT, order: 1}
		if h == Postrouting || h == Input {
			s.priority = prioritySrcNAT
		}
		s.nat = []*Chain{}
		for _, c := range nat {
			s.nat = append(s.nat, c.chain)
		}
		out = append(out, s)
	}
	sortStages(out)
	return out
}

// hangsOnNothing reports whether a chain belongs to devices of which none is
// there: the kernel keeps such a chain, and asks it about nothing.
func (b *Base) hangsOnNothing() bool {
	return (b.Hook == Ingress || b.Hook == Egress) && len(b.Devices) == 0
}

// translates reports whether the translation core of the family is at work: from
// the first nat chain at any hook on, it looks at all hooks (nf_nat_register_fn).
func (f *follower) translates() bool {
	return slices.ContainsFunc(f.rs.Tables, func(t *Table) bool {
		return !t.Dormant && f.e.judges(t, Prerouting) && slices.ContainsFunc(t.Chains, func(c *Chain) bool {
			return c.Base != nil && c.Base.Type == "nat"
		})
	})
}

func sortStages(s []stage) {
	slices.SortStableFunc(s, func(a, b stage) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.order, b.order))
	})
}

// judges reports whether a table's chains at a hook see packets of the engine's
// family.
func (e *Engine) judges(t *Table, h Hook) bool {
	switch t.Family {
	case Inet:
		return true
	case Netdev:
		return h == Ingress || h == Egress
	case Bridge, ARP:
		return false
	}
	return t.Family == e.family
}

func (f *follower) atHook(h Hook) {
	for _, group := range f.groups(h) {
		orders := f.orders(group)
		f.eachOrder(len(orders), h, group[0].priority, func(k int) {
			for _, s := range orders[k] {
				f.stage(h, s)
			}
		})
	}
}

func (f *follower) stage(h Hook, s stage) {
	switch {
	case s.track:
		f.track()
	case s.defrag:
		f.defragment()
	case s.nat != nil:
		f.translation(h, s)
	default:
		for i := range f.flows {
			f.flows[i].Set = f.baseChain(&f.flows[i], s.chain)
		}
	}
	f.flows = slices.DeleteFunc(f.flows, func(fl Flow) bool { return fl.Set.Empty() })
}

// translation asks the nat chains of a hook, in each order that they may have.
func (f *follower) translation(h Hook, s stage) {
	ways := 2
	if f.tracking() || !slices.ContainsFunc(s.nat, func(c *Chain) bool { return len(c.Rules) > 0 }) {
		ways = 1
	}
	orders := f.natOrders(s.nat)
	f.each(ways, "whether connections are tracked, for which no rule asks", func(k int) {
		if k == 0 {
			f.eachOrder(len(orders), h, s.priority, func(k int) { f.translate(h, orders[k]) })
		}
	})
}

// defragment puts fragments together: from here on rules see the whole that a
// fragment is part of, which it is judged as.
func (f *follower) defragment() {
	for i := range f.flows {
		v := &f.flows[i].env
		if !v.known.whole {
			v.known.whole, v.defragged = true, true
			v.version = f.e.nextVersion()
		}
	}
}

// track is conntrack's look at the packets: from here on they have a state. A
// new connection begins without a mark.
func (f *follower) track() {
	e := f.e
	for i := range f.flows {
		v := &f.flows[i].env
		v.tracked = true
		v.version = e.nextVersion()
		if v.known.states&packet.New != 0 {
			fresh := e.space.Bits(packet.CtMark)
			for k := range fresh {
				fresh[k] = e.unlessNew(v, e.space.None(), fresh[k])
			}
			v.ctmark = fresh
		}
	}
}

// baseChain judges a flow's packets by one base chain and returns those that it
// accepts.
func (f *follower) baseChain(fl *Flow, c *Chain) packet.Set {
	in := fl.Set
	rest := f.e.space.None()
	if len(c.Base.Devices) > 0 {
		on := f.e.onDevices(c.Base)
		rest, in = in.Minus(on), in.And(on)
		rest = f.below(fl, c, rest)
	}
	if in.Empty() {
		return rest
	}
	w := f.newWalk(fl.env, c.Base.Hook)
	var accepted []Reason
	if f.reasons {
		w.refusals = f.refusals
		w.decide = func(r Reason) {
			switch {
			case r.Verdict == Accept:
				accepted = append(accepted, r)
			case f.refusals:
				f.res.Refused = append(f.res.Refused, r)
			}
		}
	}
	o := f.judge(w, c, in)
	fl.env = w.env
	if f.reasons && (c.Base.Hook == Input || c.Base.Hook == Forward || f.way == WayOutput && c.Base.Hook == Output) {
		fl.attribute(c, accepted, o.rest)
	}
	return o.accept.Or(o.rest).Or(rest)
}

func (f *follower) newWalk(v env, h Hook) *walk {
	return &walk{e: f.e, calls: f.calls, env: v, hook: h, memo: map[memoKey]outcome{}, trace: f.trace}
}

// judge evaluates a base chain and its policy; what the policy accepts is left
// in the outcome's rest.
func (f *follower) judge(w *walk, c *Chain, in packet.Set) outcome {
	o := w.chain(c, in)
	if f.policy != nil && !o.rest.Empty() {
		f.policy(c, in, o.rest)
	}
	if c.Base.Policy == Drop {
		if f.reasons && !o.rest.Empty() {
			f.res.Refused = append(f.res.Refused, Reason{Chain: c, Verdict: Drop, Set: o.rest})
		}
		o.drop = o.drop.Or(o.rest)
		o.rest = f.e.space.None()
	}
	f.res.Drop = f.res.Drop.Or(o.drop)
	f.res.Reject = f.res.Reject.Or(o.reject)
	return o
}

// attribute makes the rules that accepted in this chain the reason of what they
// accepted, in place of any earlier one; what only the policy let pass keeps an
// earlier rule as its reason.
func (fl *Flow) attribute(c *Chain, accepted []Reason, policy packet.Set) {
	var kept []Reason
	for _, old := range fl.Accepted {
		if old.Rule == nil {
			continue
		}
		old.Set = old.Set.And(policy)
		policy = policy.Minus(old.Set)
		if !old.Set.Empty() {
			kept = append(kept, old)
		}
	}
	fl.Accepted = append(accepted, kept...)
	if !policy.Empty() {
		fl.Accepted = append(fl.Accepted, Reason{Chain: c, Verdict: Accept, Set: policy})
	}
}

// onDevices returns the packets of the devices that a netdev chain hangs on.
func (e *Engine) onDevices(b *Base) packet.Set {
	s := e.space.None()
	for _, d := range b.Devices {
		c := Interface{Name: d, Out: b.Hook == Egress}
		if n := len(d); n > 0 && d[n-1] == '*' {
			c.Name, c.Prefix = d[:n-1], true
		}
		s = s.Or(e.ifaceSet(c))
	}
	return s
}

// nextVersion numbers environments, so that what was computed in one is not
// taken for another's.
func (e *Engine) nextVersion() int {
	e.version++
	return e.version
}

// Arriving restricts packets to what can come in from a wire: with an input
// interface and no mark, untracked only as conntrack leaves neighbour discovery
// and multicast listener reports untracked (nf_conntrack_proto_icmpv6.c).
func (e *Engine) Arriving(s packet.Set) packet.Set {
	sp := e.space
	s = s.Minus(e.ifaceSet(Interface{}))
	s = s.And(sp.Values(packet.Mark, packet.Range{}))
	return s.And(e.trackable())
}

// trackable is the relation between a packet and its conntrack state.
func (e *Engine) trackable() packet.Set {
	sp := e.space
	untracked := sp.States(packet.Untracked)
	if e.family == IPv4 {
		return untracked.Not()
	}
	var types []packet.Range
	for _, t := range []uint64{130, 131, 132, 133, 134, 135, 136, 143} {
		types = append(types, packet.Range{Lo: t << 8, Hi: t<<8 | 0xff})
	}
	icmp6 := sp.Values(packet.Protocol, packet.Range{Lo: 58, Hi: 58})
	never := icmp6.And(sp.Values(packet.SrcPort, types...))
	// Multicast router discovery is invalid to older kernels and untracked to newer.
	discovery := icmp6.And(sp.Values(packet.SrcPort, packet.Range{Lo: 151 << 8, Hi: 152<<8 | 0xff}))
	either := sp.States(packet.Untracked | packet.Invalid)
	return sp.If(never, untracked, sp.If(discovery, either, untracked.Not()))
}

// withoutOutput keeps packets without an output interface, as on the way in.
func (e *Engine) withoutOutput(s packet.Set) packet.Set {
	return s.And(e.ifaceSet(Interface{Out: true}))
}
