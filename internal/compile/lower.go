package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
	"sekimori/policy"
)

// Lower puts a policy into an access list: names of lists, zones, services and
// users are looked up, what every policy implies is spelled out, and each rule
// carries its line and a sentence in a language ("en" or "ja"). A section that the
// policy leaves out is nil. The error says what could not be looked up.
func Lower(f *policy.File, lists Lists, host policy.Host, lang string) (*acl.List, error) {
	w, err := wordsOf(lang)
	if err != nil {
		return nil, err
	}
	l := &lowering{f: f, p: &f.Policy, lists: lists, host: host, words: w, owners: map[uint32]string{}}
	out := &acl.List{Owners: l.owners}
	if l.p.Guard != nil {
		out.LogGroup = acl.GuardGroup
	}
	if l.p.Inbound != nil {
		out.Inbound = l.inbound()
	}
	if l.p.Outbound != nil {
		out.Outbound = l.outbound()
	}
	if l.p.Router != nil || l.p.Containers == "enforce" {
		out.Forward = l.forward()
	}
	if l.p.Containers == "observe" {
		out.Observed = l.observed()
	}
	if l.p.Router != nil {
		out.NAT = l.translations()
	}
	if l.p.Edge != nil {
		out.Edge = l.edge()
	}
	if len(l.problems) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(l.problems, "\n"))
	}
	return out, nil
}

type lowering struct {
	f        *policy.File
	p        *policy.Policy
	lists    Lists
	host     policy.Host
	words    words
	owners   map[uint32]string
	problems []string
}

// origin says where a rule comes from.
func (l *lowering) origin(path, why string) acl.Origin {
	line, _, _ := l.f.Position(path)
	return acl.Origin{Path: path, Line: line, Why: why}
}

// implied is the origin of what every policy has.
func (l *lowering) implied(key string) acl.Origin {
	return acl.Origin{Why: l.words.say("implicit." + key)}
}

// The messages of ICMPv6 without which a host falls off its network, as in
// policy.LifeSupport.
func neighbourly() []acl.Service {
	var out []acl.Service
	for _, r := range [][2]uint16{{1, 4}, {130, 136}, {141, 143}, {148, 149}, {151, 153}} {
		out = append(out, acl.Service{Family: packet.V6, Protocol: 58, Lo: r[0] << 8, Hi: r[1]<<8 | 0xff})
	}
	return out
}

func interfaces(names []string) []acl.Interface {
	out := make([]acl.Interface, len(names))
	for i, n := range names {
		out[i] = acl.Interface(n)
	}
	return out
}

// linkLocal is where a client of DHCPv6 is answered.
func linkLocal() []acl.Peer {
	lo, hi := netip.MustParseAddr("fe80::"), netip.MustParseAddr("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	return []acl.Peer{{Addresses: &acl.Addresses{Ranges: []packet.AddrRange{{Lo: lo, Hi: hi}}}}}
}

func (l *lowering) inbound() *acl.Section {
	rules := []acl.Rule{
		{States: acl.Known, Origin: l.implied("known")},
		{States: acl.AnyState, In: []acl.Interface{"lo"}, Origin: l.implied("lo")},
		{States: acl.AnyState, Services: neighbourly(), Origin: l.implied("icmpv6")},
	}
	if in := l.host.DHCPv4; len(in) > 0 {
		rules = append(rules, acl.Rule{
			States: acl.AnyState, In: interfaces(in), Origin: l.implied("dhcp4"),
			Services: []acl.Service{{Family: packet.V4, Protocol: 17, Lo: 68, Hi: 68, SrcLo: 67, SrcHi: 67}},
		})
	}
	if in := l.host.DHCPv6; len(in) > 0 {
		rules = append(rules, acl.Rule{
			States: acl.AnyState, In: interfaces(in), To: linkLocal(), Origin: l.implied("dhcp6"),
			Services: []acl.Service{{Family: packet.V6, Protocol: 17, Lo: 546, Hi: 546}},
		})
	}
	for i, r := range l.p.Inbound {
		rules = append(rules, l.inboundRule(i, r))
	}
	return &acl.Section{
		Rules: rules, Default: acl.Drop,
		Origin: acl.Origin{Path: "inbound", Why: l.words.say("inbound.default")},
	}
}

func (l *lowering) inboundRule(i int, r policy.InboundRule) acl.Rule {
	path := fmt.Sprintf("inbound[%d]", i)
	key, action := "inbound.allow", acl.Accept
	if r.Deny != nil {
		key, action = "inbound.deny", acl.Drop
	}
	out := acl.Rule{Action: action, States: acl.New, From: l.peers(r.From), Rate: l.rate(path, r.Rate)}
	var to []policy.Peer
	for _, s := range r.To {
		to = append(to, policy.Peer(s))
	}
	out.To = l.peers(to)
	services := slices.Concat(r.Allow, r.Deny)
	out.Services = l.services(services)
	out.Origin = l.origin(path, l.words.say(key, "services", l.named(services),
		"from", l.words.part("part.from", list(l.words, r.From)),
		"to", l.words.part("part.to", list(l.words, to)),
		"rate", l.words.rate(r.Rate)))
	return out
}

// list names several things.
func list[S ~string](w words, ss []S) string {
	if len(ss) == 1 && ss[0] == "anywhere" {
		return ""
	}
	out := make([]string, len(ss))
	for i, s := range ss {
		out[i] = string(s)
	}
	return strings.Join(out, w["and"])
}

// named names services.
func (l *lowering) named(ss []policy.Service) string {
	if slices.Contains(ss, "any") {
		return l.words["services.any"]
	}
	return list(l.words, ss)
}

func (l *lowering) services(ss []policy.Service) []acl.Service {
	var out []acl.Service
	for _, s := range ss {
		for _, m := range s.Matches() {
			out = append(out, acl.Service{Family: m.Family, Protocol: m.Protocol, Any: m.Any, Lo: m.Lo, Hi: m.Hi})
		}
	}
	return out
}

func (l *lowering) rate(path string, r policy.Rate) *acl.Rate {
	limit, ok := r.Limit()
	if !ok {
		return nil
	}
	return &acl.Rate{ID: path + ".rate", Count: limit.Count, Per: limit.Per, PerSource: limit.PerSource, Burst: limit.Burst}
}

// peers are the alternatives of a from or to; nil is anywhere. Addresses without a
// zone are gathered, except lists, which keep their names.
func (l *lowering) peers(ps []policy.Peer) []acl.Peer {
	var out []acl.Peer
	var loose []packet.AddrRange
	for _, p := range ps {
		zone, isZone := l.p.Zones[string(p)]
		ranges, isList := l.lists[string(p)]
		switch {
		case p == "anywhere":
			return nil
		case isZone:
			peer := acl.Peer{}
			for _, i := range zone.Interfaces {
				peer.Interfaces = append(peer.Interfaces, acl.Interface(i))
			}
			if zone.Networks != nil {
				peer.Addresses = &acl.Addresses{}
				for _, n := range zone.Networks {
					peer.Addresses.Ranges = append(peer.Addresses.Ranges, policy.Source(n).Addresses())
				}
				peer.Addresses.Ranges = acl.Join(peer.Addresses.Ranges)
			}
			out = append(out, peer)
		case isList:
			out = append(out, acl.Peer{Addresses: &acl.Addresses{Name: string(p), Ranges: ranges}})
		default:
			loose = append(loose, policy.Source(p).Addresses())
		}
	}
	if len(loose) > 0 {
		out = append(out, acl.Peer{Addresses: &acl.Addresses{Ranges: acl.Join(loose)}})
	}
	return out
}
