package acl

import (
	"fmt"
	"slices"
)

// Way is what a section is about.
type Way uint8

// The ways, in the order of the fields of [List].
const (
	ToHost Way = iota
	FromHost
	ThroughHost
)

// Reduced returns the list without what a firewall has no words for, such that no
// packet passes that l refuses, and what that is. cannot says what the firewall
// cannot say of a rule, "" for nothing.
//
// A rule that accepts is left out, or where it has a rate refuses, because what
// exceeds the rate must not fall through to later rules. A rule that drops is
// widened until the firewall can say it.
func (l *List) Reduced(target string, cannot func(Way, *Rule) string) (*List, UnsupportedList) {
	out := *l
	var bad UnsupportedList
	for way, s := range []**Section{&out.Inbound, &out.Outbound, &out.Forward} {
		if *s == nil {
			continue
		}
		reduced := **s
		reduced.Rules = nil
		for _, r := range (*s).Rules {
			what := cannot(Way(way), &r)
			if what == "" {
				reduced.Rules = append(reduced.Rules, r)
				continue
			}
			bad = append(bad, &Unsupported{Target: target, What: what, Origin: r.Origin})
			if r.Action == Drop || r.Action == Accept && r.Rate != nil {
				r.Action = Drop
				reduced.Rules = append(reduced.Rules, r.wider(Way(way), cannot))
			}
		}
		*s = &reduced
	}
	return &out, bad
}

// Lacking are the lines of text that say what a degraded text lacks, each once.
func (l UnsupportedList) Lacking() []string {
	var out []string
	for _, u := range l {
		line := u.What
		if u.Line > 0 {
			line = fmt.Sprintf("line %d: %s", u.Line, u.What)
		}
		if !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

// wider is a rule that drops what r does and perhaps more, in words that the
// firewall has: at the last, everything of its direction.
func (r Rule) wider(way Way, cannot func(Way, *Rule) string) Rule {
	for _, widen := range []func(){
		func() { r.Rate = nil },
		func() { r.Users, r.Groups, r.ExceptUsers, r.ExceptGroups = nil, nil, nil, nil },
		func() { r.Published = false },
		func() { r.In, r.Out, r.From, r.To = nil, nil, anywhere(r.From), anywhere(r.To) },
		func() { r.NotIn, r.NotOut = nil, nil },
		func() { r.Services = nil },
	} {
		if cannot(way, &r) == "" {
			break
		}
		widen()
	}
	return r
}

// anywhere are the same addresses, behind any interface.
func anywhere(ps []Peer) []Peer {
	out := slices.Clone(ps)
	for i := range out {
		out[i].Interfaces = nil
	}
	return out
}

// EdgeFirst returns the list with the edge's block as the first rules of what comes
// to the host and leaves it, for firewalls that have no other place for it. Broadcast
// is not among them.
func (l *List) EdgeFirst() *List {
	out := *l
	if l.Edge == nil {
		return &out
	}
	for way, s := range []**Section{&out.Inbound, &out.Outbound} {
		with := Section{Default: Accept}
		if *s != nil {
			with = **s
		}
		with.Rules = slices.Concat(l.Edge.Rules(Way(way)), with.Rules)
		*s = &with
	}
	return &out
}

// Rules returns the block as rules for a direction, for firewalls that have no
// other place for it: they must stand before all others. Broadcast is not in them.
func (e *Edge) Rules(way Way) []Rule {
	var both []Service
	for _, s := range e.Services {
		both = append(both, s)
		if s.Protocol != 1 && s.Protocol != 58 && (s.Lo != 0 || s.Hi != 0xffff) {
			both = append(both, Service{Family: s.Family, Protocol: s.Protocol, Hi: 0xffff, SrcLo: s.Lo, SrcHi: s.Hi})
		}
	}
	if len(both) == 0 {
		return nil
	}
	drop := Rule{Action: Drop, States: AnyState, Services: both, Origin: e.Origin}
	in, out := drop, drop
	if e.All {
		in.NotIn, out.NotOut = []Interface{"lo"}, []Interface{"lo"}
	} else {
		in.In, out.Out = e.Interfaces, e.Interfaces
	}
	switch way {
	case ToHost:
		return []Rule{in}
	case FromHost:
		return []Rule{out}
	}
	return []Rule{in, out}
}
