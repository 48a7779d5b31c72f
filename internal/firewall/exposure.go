package firewall

import (
	"cmp"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"

	"sekimori/packet"
)

// ReachVerdict sums up who may reach a port.
type ReachVerdict uint8

// The verdicts, from the least to the most alarming but for the last: where
// something that could not be decoded makes a difference, it is undecided.
const (
	ReachNone ReachVerdict = iota
	ReachSome
	ReachAnyone
	ReachUndecided
)

// String returns none, some, anyone or undecided.
func (v ReachVerdict) String() string {
	return [...]string{"none", "some", "anyone", "undecided"}[v]
}

// Because is the rule, or the policy of a base chain, that decides.
type Because struct {
	Table string // family and name, as in "inet filter"; "" where no chain is asked
	Chain string
	Rule  int // number in the chain, 0 for the chain's policy
	Line  int // in the text that the rules came from, 0 for a kernel's
	Text  string
}

// Sources are addresses that may reach a port by one interface, for one reason.
type Sources struct {
	Interface string
	Sources   []netip.Prefix
	Except    []netip.Prefix
	// Certain is false where the answer hangs on Depends: rate limits and other
	// conditions without a fixed answer.
	Certain bool
	Depends []string
	Because Because
	// Group is the multicast or broadcast address that must be used, if only
	// packets to it pass; such packets come from the interface's own networks.
	Group netip.Prefix
}

// Reach says who may reach a port with a new connection.
type Reach struct {
	Verdict ReachVerdict
	From    []Sources
	// Blocked is why other sources are refused, as far as one reason can say it.
	Blocked *Because
	// Undecided are the things that could not be decoded and make a difference.
	Undecided []string
}

// Port is what is asked about: a transport protocol and destination port, and
// the address and interface to which a socket is bound.
type Port struct {
	Protocol uint8
	Number   uint16
	// Addr is the bound address; an invalid or unspecified one is any.
	Addr netip.Addr
	// Interface is the device to which the socket is bound, "" for any.
	Interface string
}

// protocols with ports (IANA numbers).
const (
	protoTCP     = 6
	protoUDP     = 17
	protoDCCP    = 33
	protoSCTP    = 132
	protoUDPLite = 136
)

func (p Port) hasPort() bool {
	switch p.Protocol {
	case protoTCP, protoUDP, protoDCCP, protoSCTP, protoUDPLite:
		return true
	}
	return false
}

// Exposure answers who may reach what of a host, in one family.
type Exposure struct {
	e        *Engine
	outside  packet.Set     // new connections from outside
	excluded packet.Set     // sources that are left out
	own      []netip.Prefix // the same, in the fewest prefixes
	inside   []accessFlow   // delivered to this host
	through  []accessFlow   // translated, and forwarded
	policies reasonIndex    // that refuse
	rules    *Ruleset
}

type accessFlow struct {
	Flow
	reasons reasonIndex
}

// NewExposure evaluates the ruleset for everything that can arrive from outside.
// The error is [Undecided] where the node budget was exhausted.
func (e *Engine) NewExposure(rs *Ruleset) (*Exposure, error) {
	x := &Exposure{e: e}
	err := e.Do(func() error {
		x.evaluate(rs)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return x, nil
}

func (x *Exposure) evaluate(rs *Ruleset) {
	e := x.e
	x.excluded = e.ownSources()
	x.own = x.excluded.Prefixes(packet.Src)
	x.outside = e.newFromOutside().Minus(x.excluded)
	x.rules = rs
	in := e.accepting(rs, WayInput, e.withoutOutput(x.outside))
	x.policies = index(in.Refused)
	for _, f := range in.Flows {
		x.inside = append(x.inside, accessFlow{f, index(f.Accepted)})
	}
	if !translates(rs) {
		return
	}
	fwd := e.accepting(rs, WayForward, x.outside)
	x.policies = index(slices.Concat(in.Refused, fwd.Refused))
	for _, f := range fwd.Flows {
		if f.Translated != nil {
			x.through = append(x.through, accessFlow{f, index(f.Accepted)})
		}
	}
}

// accepting is [Engine.Follow] with the reasons of what is accepted, and of the
// refusals those by policies alone.
func (e *Engine) accepting(rs *Ruleset, way Way, in packet.Set) Result {
	f := &follower{e: e, rs: rs, calls: newCallGraph(rs), way: way, reasons: true}
	return f.run(in)
}

// translates reports whether a ruleset rewrites destinations.
func translates(rs *Ruleset) bool {
	return anyNAT(rs, func(n NAT) bool { return n.Kind == DNAT || n.Kind == Redirect })
}

// ownSources are the sources that are not "outside": loopback and the host's own
// addresses.
func (e *Engine) ownSources() packet.Set {
	own := append([]netip.Prefix{loopback4, loopback6}, e.facts.Local...)
	return e.space.Prefixes(packet.Src, own...)
}

// newFromOutside returns whole packets that begin a connection and come in by an
// interface other than loopback, to an address that is not loopback: routing
// refuses 127.0.0.0/8 from a wire (ip_route_input_slow) but where route_localnet is
// set.
func (e *Engine) newFromOutside() packet.Set {
	sp := e.space
	s := e.Arriving(sp.States(packet.New).Or(sp.States(packet.Untracked)))
	for _, i := range e.facts.Interfaces {
		if i.Loopback {
			s = s.Minus(e.ifaceSet(Interface{Name: i.Name}))
		}
	}
	if !e.facts.Known {
		s = s.Minus(e.ifaceSet(Interface{Name: "lo"}))
	}
	local := sp.Prefixes(packet.Dst, loopback4, loopback6)
	for _, name := range e.facts.RouteLocalnet {
		local = local.Minus(e.ifaceSet(Interface{Name: name}).And(sp.Prefixes(packet.Dst, loopback4)))
	}
	s = s.Minus(local)
	if e.family == IPv4 {
		s = s.And(sp.Values(packet.Fragment, packet.Range{}, packet.Range{Lo: 0x4000, Hi: 0x4000}))
	} else {
		s = s.And(sp.Values(packet.Fragment, packet.Range{}))
	}
	tcp := sp.Values(packet.Protocol, packet.Range{Lo: protoTCP, Hi: protoTCP})
	return s.Minus(tcp).Or(s.And(tcp).And(e.synOnly()))
}

// synOnly is the flags of a first segment: SYN, and none of ACK, RST, FIN.
func (e *Engine) synOnly() packet.Set {
	b := e.space.Bits(packet.TCPFlags) // CWR ECE URG ACK PSH RST SYN FIN
	return b[6].Minus(b[3]).Minus(b[5]).Minus(b[7])
}

// hostPrefixes are the addresses of this host that packets from outside can be
// sent to.
func (e *Engine) hostPrefixes() []netip.Prefix {
	if !e.facts.Known {
		return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	}
	return slices.Concat(e.facts.Local, e.facts.Anycast)
}

// Socket says who may reach a socket: by whatever port and address the packet
// was sent to, if translation leads it there.
func (x *Exposure) Socket(p Port) (Reach, error) {
	return x.ask(func() Reach {
		e := x.e
		host := e.hostPrefixes()
		if p.Addr.IsValid() && !p.Addr.IsUnspecified() {
			host = []netip.Prefix{netip.PrefixFrom(p.Addr.Unmap().WithZone(""), p.Addr.Unmap().BitLen())}
		}
		r := x.reach(p, x.inside, func(v *env) packet.Set { return x.arrives(p, v, host) })
		if p.Protocol == protoUDP || !p.hasPort() {
			x.addGroups(p, &r)
		}
		return r
	})
}

// Arriving says who may get a packet in that was sent to this port of this host,
// whether it ends at a socket here or is translated and forwarded.
func (x *Exposure) Arriving(p Port) (Reach, error) {
	return x.ask(func() Reach {
		e := x.e
		plain := e.newEnv()
		sent := x.arrives(p, &plain, e.hostPrefixes())
		flows := slices.Concat(x.inside, x.through)
		return x.reach(p, flows, func(*env) packet.Set { return sent })
	})
}

func (x *Exposure) ask(f func() Reach) (Reach, error) {
	var r Reach
	err := x.e.Do(func() error {
		r = f()
		return nil
	})
	return r, err
}

// arrives returns the packets that, as they are at this point, are for the port
// at one of the addresses.
func (x *Exposure) arrives(p Port, v *env, to []netip.Prefix) packet.Set {
	e := x.e
	s := e.space.Values(packet.Protocol, packet.Range{Lo: uint64(p.Protocol), Hi: uint64(p.Protocol)})
	if p.hasPort() {
		n := []byte{byte(p.Number >> 8), byte(p.Number)}
		s = s.And(e.space.Between(e.dportBits(v), []packet.Interval{{Lo: n, Hi: n}}))
	}
	if p.Interface != "" {
		s = s.And(e.ifaceSet(Interface{Name: p.Interface}))
	}
	return s.And(e.addrs(e.dstBits(v), to))
}

// hit is what one flow lets through to a port.
type hit struct {
	flow *accessFlow
	set  packet.Set
}

func (x *Exposure) reach(p Port, flows []accessFlow, want func(*env) packet.Set) Reach {
	e := x.e
	all := e.space.None()
	var hits []hit
	for i := range flows {
		f := &flows[i]
		if s := f.Set.And(want(&f.env)); !s.Empty() {
			hits = append(hits, hit{f, s})
			all = all.Or(s)
		}
	}
	var r Reach
	open := false
	// Interfaces by which the same may come are asked about once.
	seen := map[packet.Set][]Sources{}
	for _, name := range e.outsideInterfaces() {
		here := all.And(e.ifaceSet(Interface{Name: name}))
		if here.Empty() {
			continue
		}
		alike := here.Exists(packet.InInterface)
		from, ok := seen[alike]
		if !ok {
			n := len(r.From)
			open = x.byInterface(p, name, hits, here, &r) || open
			seen[alike] = slices.Clone(r.From[n:])
			continue
		}
		for _, s := range from {
			s.Interface = shownInterface(name)
			r.From = append(r.From, s)
		}
	}
	x.conclude(p, open, &r)
	return r
}

// outsideInterfaces are the interfaces by which packets come from outside.
func (e *Engine) outsideInterfaces() []string {
	var out []string
	if e.facts.Known {
		for _, i := range e.facts.Interfaces {
			if !i.Loopback && !e.hidden(i) {
				out = append(out, i.Name)
			}
		}
		return out
	}
	for _, n := range e.names {
		if n != noInterface && n != "lo" {
			out = append(out, n)
		}
	}
	return out
}

// Interfaces returns the interfaces by which packets come from outside, named
// as in [Sources].
func (x *Exposure) Interfaces() []string {
	names := x.e.outsideInterfaces()
	for i, n := range names {
		names[i] = shownInterface(n)
	}
	return names
}

// byInterface adds what may come by one interface, and tells whether that is
// most of all addresses.
func (x *Exposure) byInterface(p Port, name string, hits []hit, here packet.Set, r *Reach) (open bool) {
	e := x.e
	on := e.ifaceSet(Interface{Name: name})
	sure, maybe := e.Possible(here)
	sureFrom, maybeFrom := x.sources(sure), x.sources(maybe)
	if !sureFrom.Equal(maybeFrom) {
		r.Verdict = ReachUndecided
		for _, k := range e.space.UnknownKeys(here) {
			if text, undecoded := e.Reason(k); undecoded && !slices.Contains(r.Undecided, text) {
				r.Undecided = append(r.Undecided, text)
			}
		}
	}
	certainFrom := x.sources(e.Certain(here))
	left := sureFrom
	for _, certain := range []bool{true, false} {
		from := certainFrom
		if !certain {
			from = sureFrom.Minus(certainFrom)
		}
		left = x.byReason(p, name, hits, on, from, certain, r)
		if !left.Empty() {
			r.From = append(r.From, x.entry(name, left, certain, Because{}, here))
		}
	}
	return x.most(sureFrom)
}

// byReason splits sources by the rule that lets them in, and returns those that
// no single rule explains.
func (x *Exposure) byReason(p Port, name string, hits []hit, on, from packet.Set, certain bool, r *Reach) packet.Set {
	e := x.e
	for _, h := range hits {
		reasons := h.flow.reasons.all
		if h.flow.Translated == nil {
			reasons = h.flow.reasons.about(p)
		}
		for _, why := range reasons {
			if from.Empty() {
				return from
			}
			set := why.Set.And(h.set).And(on)
			if set.Empty() {
				continue
			}
			possible, _ := e.Possible(set)
			part := x.sources(possible).And(from)
			if part.Empty() {
				continue
			}
			from = from.Minus(part)
			r.From = append(r.From, x.entry(name, part, certain, because(why.Reason), set))
		}
		if len(h.flow.reasons.all) == 0 {
			possible, _ := e.Possible(h.set.And(on))
			part := x.sources(possible).And(from)
			if !part.Empty() {
				from = from.Minus(part)
				r.From = append(r.From, x.entry(name, part, certain, Because{Text: "no rule stands in the way"}, h.set))
			}
		}
	}
	return from
}

// sources projects packets on their source addresses.
func (x *Exposure) sources(s packet.Set) packet.Set {
	return s.Only(packet.Src)
}

func because(r Reason) Because {
	switch {
	case r.Rule != nil:
		return Because{Table: r.Rule.Chain.Table.Place(), Chain: r.Rule.Chain.Name, Rule: r.Rule.Number, Line: r.Rule.Line, Text: r.Rule.Text}
	case r.Chain != nil:
		return Because{Table: r.Chain.Table.Place(), Chain: r.Chain.Name, Text: "policy " + r.Chain.Base.Policy.String()}
	}
	return Because{Text: "no rule stands in the way"}
}

// entry lists the sources in the shortest form: as prefixes, or as everything
// with exceptions. What is excluded anyway may be covered or not.
func (x *Exposure) entry(name string, from packet.Set, certain bool, why Because, set packet.Set) Sources {
	e := x.e
	s := Sources{Interface: shownInterface(name), Certain: certain, Because: why}
	if !certain {
		for _, k := range e.space.UnknownKeys(set) {
			if text, undecoded := e.Reason(k); !undecoded && !slices.Contains(s.Depends, text) {
				s.Depends = append(s.Depends, text)
			}
		}
	}
	if x.most(from) {
		// Everything with exceptions, unless the addresses themselves are fewer.
		s.Sources = []netip.Prefix{e.everyAddress()}
		s.Except = x.cover(e.space.All().Minus(from).Minus(x.excluded))
		if n := len(s.Except); n > 0 && n <= fewPrefixes {
			if plain := x.cover(from); len(plain) <= n {
				s.Sources, s.Except = plain, nil
			}
		}
		return s
	}
	s.Sources = x.cover(from)
	return s
}

// fewPrefixes bounds the exceptions with which it is worth the while to look
// whether the addresses themselves make a shorter list.
const fewPrefixes = 32

func (e *Engine) everyAddress() netip.Prefix {
	if e.family == IPv4 {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// cover returns the fewest prefixes that hold the sources and beside them only
// excluded ones.
func (x *Exposure) cover(s packet.Set) []netip.Prefix {
	if s.Empty() {
		return nil
	}
	ps := s.Or(x.excluded).Prefixes(packet.Src)
	return slices.DeleteFunc(ps, func(p netip.Prefix) bool {
		return slices.ContainsFunc(x.own, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) })
	})
}

func shownInterface(name string) string {
	switch prefix, ok := strings.CutSuffix(name, AnyOther); {
	case !ok:
		return name
	case prefix == "":
		return "any other"
	default:
		return prefix + "*"
	}
}

// most reports whether sources are at least half of all that can be routed: of
// the IPv4 addresses, or of 2000::/3.
func (x *Exposure) most(s packet.Set) bool {
	bits := uint(31)
	if x.e.family == IPv6 {
		s, bits = s.And(x.e.space.Prefixes(packet.Src, netip.MustParsePrefix("2000::/3"))), 124
	}
	return s.Count(packet.Src).Cmp(new(big.Int).Lsh(big.NewInt(1), bits)) >= 0
}

// conclude sums up: the verdict, and why the rest is refused.
func (x *Exposure) conclude(p Port, open bool, r *Reach) {
	switch {
	case r.Verdict == ReachUndecided:
	case open:
		r.Verdict = ReachAnyone
	case len(r.From) > 0:
		r.Verdict = ReachSome
	}
	slices.SortStableFunc(r.From, func(a, b Sources) int { return cmp.Compare(a.Interface, b.Interface) })
	if len(r.From) == 0 || r.Verdict == ReachSome {
		r.Blocked = x.blocked(p)
	}
}

// blocked tells why most packets to a port are refused: by a policy, or by the
// rule that refuses one of them.
func (x *Exposure) blocked(p Port) *Because {
	e := x.e
	for _, why := range x.policies.about(p) {
		b := because(why.Reason)
		return &b
	}
	plain := e.newEnv()
	sent := e.withoutOutput(x.outside.And(x.arrives(p, &plain, e.hostPrefixes())))
	for i := range x.inside {
		sent = sent.Minus(x.inside[i].Set.May())
	}
	one, ok := sent.Sample()
	if !ok {
		return nil
	}
	for _, why := range e.Follow(x.rules, WayInput, sent.And(e.space.Point(one)), true).Refused {
		if !why.Set.Empty() {
			b := because(why)
			return &b
		}
	}
	return nil
}

// String names the place for people: `inet filter input rule 3`.
func (b Because) String() string {
	switch {
	case b.Table == "":
		return b.Text
	case b.Rule == 0:
		return fmt.Sprintf("%s %s %s", b.Table, b.Chain, b.Text)
	}
	return fmt.Sprintf("%s %s rule %d", b.Table, b.Chain, b.Rule)
}
