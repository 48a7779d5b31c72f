package firewall

import (
	"math/big"
	"net/netip"
	"slices"
	"strings"

	"sekimori/packet"
)

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
		if s := x.meet(p, f, want(&f.env)); !s.Empty() {
			hits = append(hits, hit{f, s})
			all = all.Or(s)
		}
	}
	var r Reach
	open := false
	// Interfaces by which the same may come for the same reasons are asked about once.
	seen := map[packet.Set][]answer{}
	for _, name := range e.outsideInterfaces() {
		here := e.comingBy(all, name)
		if here.Empty() {
			continue
		}
		known, ok := x.alike(name, seen[here])
		if !ok {
			n := len(r.From)
			wide, reasons := x.byInterface(p, name, hits, here, &r)
			open = open || wide
			seen[here] = append(seen[here], answer{name, slices.Clone(r.From[n:]), reasons})
			continue
		}
		for _, s := range known.from {
			s.Interface = shownInterface(name)
			r.From = append(r.From, s)
		}
	}
	x.conclude(p, open, &r)
	return r
}

// answer is who may come by an interface, and what the rules let in that are the
// reasons.
type answer struct {
	name    string
	from    []Sources
	reasons []packet.Set
}

// alike returns the answer about another interface whose reasons hold for this one
// as well.
func (x *Exposure) alike(name string, answers []answer) (answer, bool) {
	for _, a := range answers {
		if !slices.ContainsFunc(a.reasons, func(s packet.Set) bool { return !x.sameOn(s, a.name, name) }) {
			return a, true
		}
	}
	return answer{}, false
}

// sameOn reports whether a set holds the same packets of two interfaces.
func (x *Exposure) sameOn(s packet.Set, a, b string) bool {
	return x.e.comingBy(s, a) == x.e.comingBy(s, b)
}

// comingBy returns s as it is for packets of one interface, which the result no
// longer looks at.
func (e *Engine) comingBy(s packet.Set, name string) packet.Set {
	return s.Restrict(packet.InInterface, uint64(slices.Index(e.names, name)))
}

// meet returns the packets of a flow that are wanted. Where all of them have the
// port's number, the result does not look at it: sockets that are treated alike
// then lead to the same set, and to the same work, once.
func (x *Exposure) meet(p Port, f *accessFlow, wanted packet.Set) packet.Set {
	sp := x.e.space
	proto := packet.Range{Lo: uint64(p.Protocol), Hi: uint64(p.Protocol)}
	number := packet.Range{Lo: uint64(p.Number), Hi: uint64(p.Number)}
	of := sp.Values(packet.Protocol, proto)
	if p.hasPort() {
		of = of.And(sp.Values(packet.DstPort, number))
	}
	if !wanted.SubsetOf(of) {
		return f.among(wanted)
	}
	parts := [...]packet.Set{wanted.And(f.given), f.Set, f.under}
	for i, s := range parts {
		s = s.Restrict(packet.Protocol, proto.Lo)
		if p.hasPort() {
			s = s.Restrict(packet.DstPort, number.Lo)
		}
		parts[i] = s
	}
	return parts[0].And(parts[1]).And(parts[2])
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
// most of all addresses, and what the rules let in that are the reasons.
func (x *Exposure) byInterface(p Port, name string, hits []hit, here packet.Set, r *Reach) (open bool, reasons []packet.Set) {
	e := x.e
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
		var used []packet.Set
		left, used = x.byReason(p, name, hits, from, certain, r)
		reasons = append(reasons, used...)
		if !left.Empty() {
			r.From = append(r.From, x.entry(name, left, certain, Because{}, here))
		}
	}
	return x.most(sureFrom), reasons
}

// byReason splits sources by the rule that lets them in, and returns those that
// no single rule explains, and what the rules let in that do.
func (x *Exposure) byReason(p Port, name string, hits []hit, from packet.Set, certain bool, r *Reach) (packet.Set, []packet.Set) {
	var used []packet.Set
	e := x.e
	for _, h := range hits {
		reasons := h.flow.reasons.all
		if h.flow.Translated == nil {
			reasons = h.flow.reasons.about(p)
		}
		for _, why := range reasons {
			if from.Empty() {
				return from, used
			}
			let := why.in(h.set)
			set := e.comingBy(let, name)
			if set.Empty() {
				continue
			}
			possible, _ := e.Possible(set)
			part := x.sources(possible).And(from)
			if part.Empty() {
				continue
			}
			from = from.Minus(part)
			used = append(used, let)
			r.From = append(r.From, x.entry(name, part, certain, because(why.Reason), set))
		}
		if len(h.flow.reasons.all) == 0 {
			possible, _ := e.Possible(e.comingBy(h.set, name))
			part := x.sources(possible).And(from)
			if !part.Empty() {
				from = from.Minus(part)
				r.From = append(r.From, x.entry(name, part, certain, Because{Text: "no rule stands in the way"}, h.set))
			}
		}
	}
	return from, used
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
