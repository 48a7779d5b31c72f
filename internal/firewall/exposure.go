package firewall

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

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
	// Raw is true for a raw socket, which gets all packets of the protocol.
	Raw bool
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
	if p.Raw {
		return false
	}
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
	raw      map[uint8][]accessFlow
	policies reasonIndex // that refuse
	rules    *Ruleset
}

// accessFlow is a flow whose packets are those of Set that are also in given and
// in under. Most questions are about one port: what the whole flow would be is not
// worked out.
type accessFlow struct {
	Flow
	given   packet.Set // what set out
	under   packet.Set // what has to hold for them to pass, all packets where nothing
	reasons reasonIndex
}

// among returns the packets of the flow that are in s.
func (f *accessFlow) among(s packet.Set) packet.Set {
	return s.And(f.given).And(f.Set).And(f.under)
}

// NewExposure evaluates the ruleset for everything that can arrive from outside.
// The error is [Undecided] where the node budget was exhausted.
func (e *Engine) NewExposure(rs *Ruleset) (*Exposure, error) {
	x := &Exposure{e: e, raw: map[uint8][]accessFlow{}}
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
	inside, refused := e.accepting(rs, WayInput, e.withoutOutput(x.outside))
	x.inside = inside
	if translates(rs) {
		through, others := e.accepting(rs, WayForward, x.outside)
		x.through = slices.DeleteFunc(through, func(f accessFlow) bool { return f.Translated == nil })
		refused = slices.Concat(refused, others)
	}
	x.policies = index(refused)
}

// delivered returns what gets to the sockets of a protocol: connections that
// begin, and to raw sockets also what conntrack finds invalid, such as the
// answer to a question that nobody asked.
func (x *Exposure) delivered(p Port) []accessFlow {
	if p.hasPort() {
		return x.inside
	}
	flows, known := x.raw[p.Protocol]
	if !known {
		e := x.e
		s := e.fromOutside(packet.New | packet.Untracked | packet.Invalid).Minus(x.excluded)
		s = s.And(e.space.Values(packet.Protocol, packet.Range{Lo: uint64(p.Protocol), Hi: uint64(p.Protocol)}))
		flows, _ = e.accepting(x.rules, WayInput, e.withoutOutput(s))
		x.raw[p.Protocol] = flows
	}
	return flows
}

// accepting is [Engine.Follow] for the flows alone, with the reasons of what is
// accepted, and of the refusals those by policies.
func (e *Engine) accepting(rs *Ruleset, way Way, in packet.Set) (flows []accessFlow, refused []Reason) {
	f := &follower{e: e, rs: rs, calls: newCallGraph(rs), way: way, reasons: true}
	f.follow(in)
	for _, fl := range f.res.Flows {
		flows = append(flows, accessFlow{fl, in, e.space.All(), index(fl.Accepted)})
	}
	if fl := f.otherWay(); !fl.Set.Empty() {
		flows = append(flows, accessFlow{fl, in, f.admitted, index(nil)})
	}
	return flows, f.res.Refused
}

// translates reports whether a ruleset rewrites destinations, or may do so.
func translates(rs *Ruleset) bool {
	for _, t := range rs.Tables {
		nat := slices.ContainsFunc(t.Chains, func(c *Chain) bool { return c.Base != nil && c.Base.Type == "nat" })
		if nat && slices.ContainsFunc(t.Chains, hasOpaque) {
			return true
		}
	}
	return anyNAT(rs, func(n NAT) bool { return n.Kind == DNAT || n.Kind == Redirect })
}

func hasOpaque(c *Chain) bool {
	return slices.ContainsFunc(c.Rules, func(r *Rule) bool {
		return slices.ContainsFunc(r.Steps, func(s Step) bool {
			_, opaque := s.(Opaque)
			return opaque
		})
	})
}

// ownSources are the sources that are not "outside": loopback and the host's own
// addresses.
func (e *Engine) ownSources() packet.Set {
	own := append([]netip.Prefix{loopback4, loopback6}, e.facts.Local...)
	return e.space.Prefixes(packet.Src, own...)
}

// newFromOutside returns whole packets from outside that begin a connection.
func (e *Engine) newFromOutside() packet.Set {
	s := e.fromOutside(packet.New | packet.Untracked)
	tcp := e.space.Values(packet.Protocol, packet.Range{Lo: protoTCP, Hi: protoTCP})
	return s.Minus(tcp).Or(s.And(tcp).And(e.synOnly()))
}

// fromOutside returns whole packets of some conntrack states that come in by an
// interface other than loopback, to an address that is not loopback: routing
// refuses 127.0.0.0/8 from a wire (ip_route_input_slow) but where route_localnet is
// set.
func (e *Engine) fromOutside(states packet.StateMask) packet.Set {
	sp := e.space
	s := e.Arriving(sp.States(states))
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
		return s.And(sp.Values(packet.Fragment, packet.Range{}, packet.Range{Lo: 0x4000, Hi: 0x4000}))
	}
	return s.And(sp.Values(packet.Fragment, packet.Range{}))
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
		r := x.reach(p, x.delivered(p), func(v *env) packet.Set { return x.arrives(p, v, host) })
		if p.Protocol == protoUDP || p.Protocol == protoUDPLite || !p.hasPort() {
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

// conclude sums up: the verdict, and why the rest is refused.
func (x *Exposure) conclude(p Port, open bool, r *Reach) {
	switch {
	case open:
		r.Verdict = ReachAnyone // also where something is undecided about the rest
	case r.Verdict == ReachUndecided:
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
		sent = sent.Minus(x.inside[i].among(sent).May())
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
