package ipfw

import (
	"net/netip"
	"sort"
	"strconv"
	"strings"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// Pass is one of the times that the list sees a packet.
type Pass uint8

// The passes. A packet through the host is seen In, then Through.
const (
	In      Pass = iota // on the way in, for this host or for others
	Out                 // on the way out, sent by this host
	Through             // on the way out, received before
)

// Verdict is what becomes of packets in one pass. Its sets are disjoint but for
// Keep, and together hold every packet.
type Verdict struct {
	Accept, Deny packet.Set
	// Rest gets to rule 65535, which allows or denies as the kernel was told at
	// boot.
	Rest packet.Set
	// Keep are the packets of Accept that make a state, or have one, so that what
	// answers them is known.
	Keep packet.Set
}

// Loopback is what FreeBSD calls the first loopback interface. The sets of Judge
// call it lo, as policies do.
const Loopback = "lo0"

// Judge asks the list about every packet of a space, in one pass. Interfaces of
// arrival and departure are those of the pass: a packet that this host sends has
// not been received, and one on its way in has nothing to be sent by yet. Addresses
// of the host are those with the type local ([packet.SrcType], [packet.DstType]).
// Use it inside [packet.Space.Do].
func (rs *Ruleset) Judge(sp *packet.Space, pass Pass) Verdict {
	return (&judge{sp: sp, rs: rs, pass: pass, pending: sp.All()}).judge()
}

// Answers returns the packets of a pass, In or Out, whose answers pass without a
// state: packets the other way round, by the interface that they came by.
func (rs *Ruleset) Answers(sp *packet.Space, pass Pass) packet.Set {
	back := Out
	if pass == Out {
		back = In
	}
	return (&judge{sp: sp, rs: rs, pass: back, pending: sp.States(packet.New), mirrored: true}).judge().Accept
}

// Domain are the packets about which ipfw and a firewall with connection tracking
// can be compared: whole ones, of new and established connections; of ICMP's errors
// those that everybody lets in (destination unreachable, time exceeded, parameter
// problem, packet too big), as part of a connection; no ICMP of the other family.
func Domain(sp *packet.Space) packet.Set {
	j := &judge{sp: sp}
	errors := j.number(packet.Protocol, 1).And(sp.Values(packet.SrcPort, types(3, 3), types(11, 12)))
	others := j.number(packet.Protocol, 1).And(sp.Values(packet.SrcPort, types(4, 5))).Or(j.number(packet.Protocol, 58))
	whole := sp.Values(packet.Fragment, packet.Range{Lo: 0, Hi: 0}, packet.Range{Lo: 0x4000, Hi: 0x4000})
	if sp.Family() == packet.V6 {
		errors = j.number(packet.Protocol, 58).And(sp.Values(packet.SrcPort, types(1, 4)))
		others = j.number(packet.Protocol, 1)
		whole = sp.Values(packet.Fragment, packet.Range{Lo: 0, Hi: 0})
	}
	return sp.If(errors, sp.States(packet.Related), sp.States(packet.New|packet.Established)).Minus(others).And(whole)
}

// types is a range of ICMP types with all their codes.
func types(lo, hi uint64) packet.Range { return packet.Range{Lo: lo << 8, Hi: hi<<8 | 0xff} }

func (j *judge) judge() Verdict {
	sp, rs := j.sp, j.rs
	j.v = Verdict{Accept: sp.None(), Deny: sp.None(), Keep: sp.None()}
	skipped := map[int]packet.Set{} // packets that come back at a rule
	for i, r := range rs.Rules {
		if back, ok := skipped[i]; ok {
			j.pending = j.pending.Or(back)
			delete(skipped, i)
		}
		if !rs.Enabled(r) {
			continue
		}
		if to := j.rule(r); r.action == skipTo && !to.Empty() {
			next := j.after(i, r.target)
			if was, ok := skipped[next]; ok {
				to = to.Or(was)
			}
			skipped[next] = to
		}
	}
	for _, back := range skipped { // behind the last rule
		j.pending = j.pending.Or(back)
	}
	j.v.Rest = j.pending
	return j.v
}

type judge struct {
	sp      *packet.Space
	rs      *Ruleset
	pass    Pass
	pending packet.Set // what no rule has decided yet
	v       Verdict
	// mirrored is true for answers: what is asked about a packet's source holds for
	// the destination of the one that it answers.
	mirrored bool
	tables   map[inTable]packet.Set
}

// after is the index of the rule that skipto goes to: the first behind rule i
// with that number or a higher one.
func (j *judge) after(i, number int) int {
	rules := j.rs.Rules
	return i + 1 + sort.Search(len(rules)-i-1, func(k int) bool { return rules[i+1+k].Number >= number })
}

// rule asks one rule; it returns what the rule sends elsewhere.
func (j *judge) rule(r *Rule) packet.Set {
	if r.keep != nil {
		known := j.pending.And(j.sp.States(packet.Established))
		j.pending = j.pending.Minus(known)
		j.v.Accept = j.v.Accept.Or(known)
		j.v.Keep = j.v.Keep.Or(known)
	}
	if r.action == checkState || r.action == count {
		return j.sp.None()
	}
	match := j.pending
	for _, ps := range r.when {
		any := j.sp.None()
		for _, p := range ps {
			s := p.test.match(j)
			if p.not {
				s = s.Not()
			}
			any = any.Or(s)
		}
		match = match.And(any)
	}
	if r.prob {
		match = match.And(j.sp.Unknown("prob in " + r.Text))
	}
	switch {
	case r.keep != nil && r.keep.limit != "":
		within := match.And(j.sp.Unknown(r.keep.limit + " in " + r.Text))
		j.v.Keep = j.v.Keep.Or(within)
		j.v.Accept = j.v.Accept.Or(within)
		j.v.Deny = j.v.Deny.Or(match.Minus(within)) // no state, no passage
	case r.action == allow:
		j.v.Accept = j.v.Accept.Or(match)
		if r.keep != nil {
			j.v.Keep = j.v.Keep.Or(match)
		}
	case r.action == deny:
		j.v.Deny = j.v.Deny.Or(match)
	}
	j.pending = j.pending.Minus(match)
	if r.action == skipTo {
		return match
	}
	return j.sp.None()
}

// later are fragments but the first: they have no transport header. The offset
// is in the lower 13 bits of the field for IPv4, in the upper ones for IPv6.
func (j *judge) later() packet.Set {
	bits := j.sp.Bits(packet.Fragment)
	bits = bits[len(bits)-13:]
	if j.sp.Family() == packet.V6 {
		bits = j.sp.Bits(packet.Fragment)[:13]
	}
	s := j.sp.None()
	for _, b := range bits {
		s = s.Or(b)
	}
	return s
}

// side returns the field of the packet in question that a test looks at.
func (j *judge) side(f packet.Field) packet.Field {
	if !j.mirrored {
		return f
	}
	switch f {
	case packet.Src:
		return packet.Dst
	case packet.Dst:
		return packet.Src
	case packet.SrcPort:
		return packet.DstPort
	case packet.DstPort:
		return packet.SrcPort
	case packet.SrcType:
		return packet.DstType
	case packet.DstType:
		return packet.SrcType
	case packet.InInterface:
		return packet.OutInterface
	case packet.OutInterface:
		return packet.InInterface
	}
	return f
}

func (j *judge) number(f packet.Field, n int) packet.Set {
	return j.sp.Values(f, packet.Range{Lo: uint64(n), Hi: uint64(n)})
}

// rtnLocal is the address type of the host's own addresses.
const rtnLocal = 2

type everything struct{}

func (everything) match(j *judge) packet.Set { return j.sp.All() }

type family struct{ of packet.Family }

func (t family) match(j *judge) packet.Set {
	if j.sp.Family() == t.of {
		return j.sp.All()
	}
	return j.sp.None()
}

type protocol struct{ n int }

func (t protocol) match(j *judge) packet.Set { return j.number(packet.Protocol, t.n) }

type self struct {
	field  packet.Field
	family packet.Family
}

func (t self) match(j *judge) packet.Set {
	if t.family != 0 && t.family != j.sp.Family() {
		return j.sp.None()
	}
	if t.field == packet.Src {
		return j.number(j.side(packet.SrcType), rtnLocal)
	}
	return j.number(j.side(packet.DstType), rtnLocal)
}

type addresses struct {
	field    packet.Field
	prefixes []netip.Prefix
}

func (t addresses) match(j *judge) packet.Set { return j.sp.Prefixes(j.side(t.field), t.prefixes...) }

type inTable struct {
	field packet.Field
	name  string
}

func (t inTable) match(j *judge) packet.Set {
	if s, ok := j.tables[t]; ok {
		return s
	}
	if j.tables == nil {
		j.tables = map[inTable]packet.Set{}
	}
	j.tables[t] = j.sp.Prefixes(j.side(t.field), j.rs.Tables[t.name].Prefixes...)
	return j.tables[t]
}

type ports struct {
	field  packet.Field
	ranges []packet.Range
}

// match: only these protocols have ports for ipfw, and only in a first fragment.
func (t ports) match(j *judge) packet.Set {
	having := j.number(packet.Protocol, 6).Or(j.number(packet.Protocol, 17)).Or(j.number(packet.Protocol, 132)).Or(j.number(packet.Protocol, 136))
	return having.Minus(j.later()).And(j.sp.Values(j.side(t.field), t.ranges...))
}

type direction struct{ in bool }

func (t direction) match(j *judge) packet.Set {
	if t.in == (j.pass == In) {
		return j.sp.All()
	}
	return j.sp.None()
}

type iface struct {
	which, name string
	prefix      bool
}

func (t iface) match(j *judge) packet.Set {
	field := packet.OutInterface
	switch {
	case t.which == "recv", t.which == "via" && j.pass == In:
		field = packet.InInterface
	}
	if field == packet.InInterface && j.pass == Out || field == packet.OutInterface && j.pass == In {
		return j.sp.None()
	}
	return j.sp.Interfaces(j.side(field), func(name string) bool {
		if name == "lo" {
			name = Loopback
		}
		return name == t.name || t.prefix && strings.HasPrefix(name, t.name)
	})
}

type tcpFlags struct{ set, clear uint8 }

func (t tcpFlags) match(j *judge) packet.Set {
	s := j.number(packet.Protocol, 6).Minus(j.later())
	for i, bit := range j.sp.Bits(packet.TCPFlags) {
		if t.set>>(7-i)&1 != 0 {
			s = s.And(bit)
		}
		if t.clear>>(7-i)&1 != 0 {
			s = s.Minus(bit)
		}
	}
	return s
}

type established struct{}

func (established) match(j *judge) packet.Set {
	bits := j.sp.Bits(packet.TCPFlags)
	return j.number(packet.Protocol, 6).Minus(j.later()).And(bits[3].Or(bits[5])) // ACK, RST
}

type fragment struct{}

func (fragment) match(j *judge) packet.Set { return j.later() }

type icmpTypes struct {
	proto  int
	ranges []packet.Range
}

func (t icmpTypes) match(j *judge) packet.Set {
	if t.proto == 58 && j.sp.Family() == packet.V4 {
		return j.sp.None()
	}
	return j.number(packet.Protocol, t.proto).Minus(j.later()).And(j.sp.Values(packet.SrcPort, t.ranges...))
}

// OwnerKnown is the unknown for packets that a process of this host sent.
const OwnerKnown = "owner known"

// owner is the user or group of a socket, of which only TCP and UDP have one:
// field is "meta skuid" or "meta skgid".
type owner struct {
	field string
	id    string
}

func (t owner) match(j *judge) packet.Set {
	having := j.number(packet.Protocol, 6).Or(j.number(packet.Protocol, 17)).Minus(j.later())
	n, err := strconv.ParseUint(t.id, 10, 32)
	if err != nil { // who that is, is for the host to say
		n = uint64(acl.NameID(t.id))
	}
	return having.And(j.sp.Unknown(OwnerKnown)).And(j.sp.Values(j.sp.Extra(t.field, 32), packet.Range{Lo: n, Hi: n}))
}

// varies is a test whose answer is not in the packet.
type varies struct{ text string }

func (t varies) match(j *judge) packet.Set { return j.sp.Unknown(t.text) }
