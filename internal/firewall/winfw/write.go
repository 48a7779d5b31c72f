package winfw

import (
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// Target is what the compiler calls this firewall.
const Target = "windows"

// Write returns a script of PowerShell that replaces the rules of group sekimori,
// and as a second file, where no interface is named, the same rules as the registry
// has them. Windows has no order of rules, so the rules of the list are taken one
// by one, each without what an earlier one has refused: the rest is cut into
// disjoint boxes, and each box is an allow rule. Where that cannot be said (every interface but
// one), or not shortly, the earlier refusal becomes a block rule, which beats allow
// rules. An outbound that allows what no rule matches is the other way round: its
// refusals are block rules.
func Write(l *acl.List, o acl.Options) ([]acl.File, error) {
	reduced, bad := l.EdgeFirst().Reduced(Target, cannot)
	if l.Edge != nil && l.Edge.Broadcast { // nothing that is less can be said instead
		return nil, append(bad, &acl.Unsupported{Target: Target, What: "broadcast at the edge", Origin: l.Edge.Origin})
	}
	bad = append(bad, elsewhere(l)...)
	if len(bad) > 0 && !o.Degrade {
		return nil, bad
	}
	w := &writer{exclusive: o.Exclusive}
	for _, s := range []struct {
		dir      Direction
		sec, was *acl.Section
	}{{In, reduced.Inbound, l.Inbound}, {Out, reduced.Outbound, l.Outbound}} {
		if s.sec == nil {
			continue
		}
		cut, err := cutSection(s.dir, s.sec.Rules, s.sec.Default)
		w.defaults[s.dir] = def(s.was)
		if err == nil && s.was != nil && s.sec.Default == acl.Accept && len(cut.out) > maxPieces {
			// Where refusals are long, to refuse by default and allow the rest is shorter.
			rules := append(slices.Clone(s.sec.Rules), acl.Rule{States: acl.AnyState, Origin: acl.Origin{Why: s.sec.Why}})
			other, err := cutSection(s.dir, rules, acl.Drop)
			if err == nil && len(other.bad) == 0 && len(other.out) < len(cut.out) {
				cut, w.defaults[s.dir] = other, BlockAll
			}
		}
		if err != nil {
			return nil, err
		}
		if bad = append(bad, cut.bad...); cut.open {
			return nil, bad
		}
		if o, ok := tooLong(cut.out); ok {
			return nil, append(bad, &acl.Unsupported{Target: Target, What: fmt.Sprintf("so many addresses: more than %d in all rules", maxAddresses), Origin: o})
		}
		for _, p := range cut.out {
			w.add(s.dir, p)
		}
	}
	if len(bad) > 0 && !o.Degrade {
		return nil, bad
	}
	files := []acl.File{{Name: "sekimori.ps1", Text: w.script(bad)}}
	if !slices.ContainsFunc(w.rules, func(r Rule) bool { return len(r.Interfaces) > 0 }) {
		files = append(files, acl.File{Name: "sekimori.reg", Text: w.registry(bad)})
	}
	return files, nil
}

func def(s *acl.Section) Default {
	switch {
	case s == nil:
		return Unset
	case s.Default == acl.Accept:
		return AllowAll
	}
	return BlockAll
}

// cannot says what Windows has no words for in a rule.
func cannot(way acl.Way, r *acl.Rule) string {
	switch {
	case way == acl.ThroughHost:
		return "what passes through the host"
	case r.Rate != nil && r.Rate.PerSource:
		return "a rate for each source"
	case r.Rate != nil:
		return "a rate"
	case len(r.Users)+len(r.Groups)+len(r.ExceptUsers)+len(r.ExceptGroups) > 0:
		return "users and groups of the sending process"
	case r.Published:
		return "published ports"
	case len(r.NotIn)+len(r.NotOut) > 0 && !slices.Equal(slices.Concat(r.NotIn, r.NotOut), []acl.Interface{"lo"}):
		return "every interface but some"
	}
	for _, s := range r.Services {
		ports := s.Lo != 0 || s.Hi != 0xffff || s.SrcLo != 0 || s.SrcHi != 0
		if ports && !s.Any && s.Protocol != 6 && s.Protocol != 17 && s.Protocol != 1 && s.Protocol != 58 {
			return fmt.Sprintf("ports of protocol %d", s.Protocol)
		}
	}
	for _, i := range allInterfaces(r) {
		if strings.ContainsAny(string(i), "*?[]`") {
			return fmt.Sprintf("interfaces by a pattern, %s", i)
		}
	}
	return ""
}

func allInterfaces(r *acl.Rule) []acl.Interface {
	is := slices.Concat(r.In, r.Out)
	for _, p := range slices.Concat(r.From, r.To) {
		is = append(is, p.Interfaces...)
	}
	return is
}

// elsewhere is what stands beside the rules and cannot be said.
func elsewhere(l *acl.List) acl.UnsupportedList {
	var bad acl.UnsupportedList
	for _, t := range l.NAT {
		bad = append(bad, &acl.Unsupported{Target: Target, What: "address translation", Origin: t.Origin})
	}
	if l.Observed != nil {
		bad = append(bad, &acl.Unsupported{Target: Target, What: "counts of what passes through the host", Origin: l.Observed.Origin})
	}
	if l.Forward != nil && len(l.Forward.Rules) == 0 {
		bad = append(bad, &acl.Unsupported{Target: Target, What: "what passes through the host", Origin: l.Forward.Origin})
	}
	return bad
}

// writer gathers the rules of both directions.
type writer struct {
	rules    []Rule
	origins  []acl.Origin // of each rule
	defaults [2]Default
	// exclusive turns the allow rules of others off.
	exclusive bool
}

// errorTypes are the errors of ICMP that belong to connections, of which Windows
// does not say that it lets them in by itself.
func errorTypes() []acl.Service {
	var out []acl.Service
	for _, t := range []uint16{3, 11, 12} {
		out = append(out, acl.Service{Family: packet.V4, Protocol: 1, Lo: t << 8, Hi: t<<8 | 0xff})
	}
	return append(out, acl.Service{Family: packet.V6, Protocol: 58, Lo: 1 << 8, Hi: 4<<8 | 0xff})
}

// maxAddresses is how many stand in all rules of a direction: a long list that is
// refused stands in many, because a block rule would beat what passes all the same.
const maxAddresses = 200_000

// tooLong finds pieces with more addresses than that, and says which rule has most.
func tooLong(ps []piece) (acl.Origin, bool) {
	sum := 0
	of := map[acl.Origin]int{}
	var most acl.Origin
	for _, p := range ps {
		n := len(p.local.V4) + len(p.local.V6) + len(p.remote.V4) + len(p.remote.V6)
		sum += n
		if of[p.origin] += n; of[p.origin] > of[most] {
			most = p.origin
		}
	}
	return most, sum > maxAddresses
}

// cutSection cuts the rules of one direction.
func cutSection(dir Direction, rules []acl.Rule, rest acl.Action) (*cutter, error) {
	c := newCutter(dir, rules)
	return c, c.do(func() error {
		for i := range rules {
			r := rules[i]
			switch {
			case r.Action == acl.Count, r.States == acl.Known && dir == Out:
				continue
			case r.States == acl.Known:
				r.Services = errorTypes() // the rest is the flow's
			}
			if what := c.rule(&r, rest); what != "" {
				c.bad = append(c.bad, &acl.Unsupported{Target: Target, What: what, Origin: r.Origin})
			}
		}
		return nil
	})
}

// add makes a piece one or several rules, as many as lists of addresses need.
func (w *writer) add(dir Direction, p piece) {
	const most = 1000 // addresses in one rule
	chunk := func(rs []packet.AddrRange, i int) []packet.AddrRange {
		if len(rs) <= most {
			return rs
		}
		return rs[min(i*most, len(rs)):min((i+1)*most, len(rs))]
	}
	n := max(1, (max(len(p.remote.V4), len(p.remote.V6))+most-1)/most)
	for i := range n {
		r := p.Rule
		r.Direction = dir
		r.Remote = Addresses{V4: chunk(p.remote.V4, i), V6: chunk(p.remote.V6, i)}
		r.Local = p.local
		r.Remote.complete()
		r.Local.complete()
		prefix := map[Direction]string{In: "in", Out: "out"}[dir]
		r.Name = fmt.Sprintf("%s-%s-%d", Group, prefix, len(w.rules)+1)
		r.Display = r.Name
		if p.origin.Path != "" {
			r.Display = fmt.Sprintf("%s %s, line %d", Group, p.origin.Path, p.origin.Line)
		}
		w.rules = append(w.rules, r)
		w.origins = append(w.origins, p.origin)
	}
}

// complete gives a condition on addresses of one family one on the other as well:
// an address that no packet has which the firewall gets to see.
func (a *Addresses) complete() {
	switch {
	case len(a.V4) == 0 && len(a.V6) > 0:
		a.V4 = []packet.AddrRange{nobody4}
	case len(a.V6) == 0 && len(a.V4) > 0:
		a.V6 = []packet.AddrRange{nobody6}
	}
}
