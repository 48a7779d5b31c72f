package compile

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
	"sekimori/policy"
)

// outbound is what may leave this host.
func (l *lowering) outbound() *acl.Section {
	o := l.p.Outbound
	rules := []acl.Rule{
		{States: acl.Known, Origin: l.implied("known")},
		{States: acl.AnyState, Out: []acl.Interface{"lo"}, Origin: l.implied("lo")},
		{States: acl.AnyState, Services: neighbourly(), Origin: l.implied("icmpv6")},
	}
	if out := l.host.DHCPv4; len(out) > 0 {
		rules = append(rules, acl.Rule{
			States: acl.AnyState, Out: interfaces(out), Origin: l.implied("ask-dhcp4"),
			Services: []acl.Service{{Family: packet.V4, Protocol: 17, Lo: 67, Hi: 67, SrcLo: 68, SrcHi: 68}},
		})
	}
	if out := l.host.DHCPv6; len(out) > 0 {
		group := netip.MustParseAddr("ff02::1:2") // RFC 8415 section 7.1
		to := linkLocal()
		to[0].Addresses.Ranges = append(to[0].Addresses.Ranges, packet.AddrRange{Lo: group, Hi: group})
		rules = append(rules, acl.Rule{
			States: acl.AnyState, Out: interfaces(out), To: to, Origin: l.implied("ask-dhcp6"),
			Services: []acl.Service{{Family: packet.V6, Protocol: 17, Lo: 547, Hi: 547, SrcLo: 546, SrcHi: 546}},
		})
	}
	for i, r := range o.Rules {
		rules = append(rules, l.outboundRule(i, r))
	}
	s := &acl.Section{Rules: rules, Origin: acl.Origin{Path: "outbound", Why: l.words.say("outbound.default.allow")}}
	if o.Default == "deny" {
		s.Default, s.Why = acl.Drop, l.words.say("outbound.default.deny")
	}
	return s
}

func (l *lowering) outboundRule(i int, r policy.OutboundRule) acl.Rule {
	path := fmt.Sprintf("outbound.rules[%d]", i)
	key, action := "outbound.allow", acl.Accept
	if r.Deny != nil {
		key, action = "outbound.deny", acl.Drop
	}
	services := slices.Concat(r.Allow, r.Deny)
	owner := l.words.part("part.users", list(l.words, slices.Concat(r.Users, r.Groups))) +
		l.words.part("part.except-users", list(l.words, slices.Concat(r.ExceptUsers, r.ExceptGroups)))
	return acl.Rule{
		Action: action, States: acl.New, To: l.peers(r.To), Services: l.services(services), Rate: l.rate(path, r.Rate),
		Users: l.numbers(r.Users, l.host.Users), Groups: l.numbers(r.Groups, l.host.Groups),
		ExceptUsers: l.numbers(r.ExceptUsers, l.host.Users), ExceptGroups: l.numbers(r.ExceptGroups, l.host.Groups),
		Origin: l.origin(path, l.words.say(key, "services", l.named(services), "owner", owner,
			"to", l.words.part("part.to", list(l.words, r.To)),
			"rate", l.words.rate(r.Rate))),
	}
}

// numbers looks up users or groups.
func (l *lowering) numbers(us []policy.User, known map[string]uint32) []uint32 {
	var out []uint32
	for _, u := range us {
		n, ok := u.Number(known)
		if !ok {
			n = acl.NameID(string(u))
			if other := l.owners[n]; other != "" && other != string(u) {
				l.problems = append(l.problems, fmt.Sprintf("%s and %s cannot be told apart; write the number of one of them", u, other))
			}
			l.owners[n] = string(u)
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// withNames is a host on which the users and groups that it does not know have the
// numbers that stand for their names.
func withNames(f *policy.File, host policy.Host) policy.Host {
	if f.Policy.Outbound == nil {
		return host
	}
	fill := func(known map[string]uint32, us ...[]policy.User) map[string]uint32 {
		out := maps.Clone(known)
		for _, u := range slices.Concat(us...) {
			if _, ok := u.Number(known); !ok {
				if out == nil {
					out = map[string]uint32{}
				}
				out[string(u)] = acl.NameID(string(u))
			}
		}
		return out
	}
	for _, r := range f.Policy.Outbound.Rules {
		host.Users = fill(host.Users, r.Users, r.ExceptUsers)
		host.Groups = fill(host.Groups, r.Groups, r.ExceptGroups)
	}
	return host
}

// edge is the stateless block.
func (l *lowering) edge() *acl.Edge {
	e := l.p.Edge
	out := &acl.Edge{All: e.Scope == "all"}
	for _, i := range e.Interface {
		out.Interfaces = append(out.Interfaces, acl.Interface(i))
	}
	var services []policy.Service
	for _, b := range e.Block {
		if b == "broadcast" {
			out.Broadcast = true
		} else {
			services = append(services, policy.Service(b))
		}
	}
	out.Services = l.services(services)
	out.Origin = l.origin("edge", l.words.say("edge", "services", list(l.words, e.Block)))
	return out
}
