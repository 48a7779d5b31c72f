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

// forward is what passes through this host.
func (l *lowering) forward() *acl.Section {
	s := &acl.Section{Rules: []acl.Rule{{States: acl.Known, Origin: l.implied("known")}}}
	s.Origin = acl.Origin{Path: "router", Why: l.words.say("forward.default")}
	if l.p.Router != nil {
		s.Default = acl.Drop
	}
	names, except := l.containers()
	if l.p.Containers != "" {
		s.Rules = append(s.Rules, acl.Rule{
			States: acl.AnyState, In: names, NotIn: except, Origin: l.origin("containers", l.words.say("forward.container.out")),
		})
	}
	if l.p.Router != nil {
		s.Rules = append(s.Rules, l.own()...)
	}
	switch l.p.Containers {
	case "enforce":
		s.Rules = append(s.Rules, l.published(acl.Drop)...)
	case "observe", "off":
		why := l.origin("containers", l.words.say("forward.container.alone"))
		s.Rules = append(s.Rules,
			acl.Rule{States: acl.AnyState, Out: names, NotOut: except, Origin: why},
			acl.Rule{States: acl.AnyState, Published: true, Origin: why})
	}
	if l.p.Router != nil {
		for i, f := range l.p.Router.Forward {
			s.Rules = append(s.Rules, l.forwardRule(i, f))
		}
	}
	return s
}

// observed is what containers: enforce would drop.
func (l *lowering) observed() *acl.Section {
	names, except := l.containers()
	rules := []acl.Rule{
		{States: acl.Known, Origin: l.implied("known")},
		{
			States: acl.AnyState, In: names, NotIn: except, Origin: l.origin("containers", l.words.say("forward.container.out")),
		},
	}
	if l.p.Router != nil {
		for _, r := range l.own() {
			if r.Action == acl.Accept {
				rules = append(rules, r)
			}
		}
	}
	rules = append(rules, l.published(acl.Drop)...)
	for i := range rules {
		rules[i].Rate = nil
	}
	return &acl.Section{Rules: rules, Origin: l.origin("containers", l.words.say("forward.container.in"))}
}

// containers are the interfaces behind which containers live; except are those of
// zones that their patterns cover.
func (l *lowering) containers() (names, except []acl.Interface) {
	var zones []policy.Interface
	for _, z := range l.p.Zones {
		zones = append(zones, z.Interfaces...)
	}
	slices.Sort(zones)
	for _, c := range slices.Concat(policy.ContainerInterfaces(), l.host.Containers) {
		if covered(c, zones) {
			continue
		}
		names = append(names, acl.Interface(c))
		start, pattern := strings.CutSuffix(string(c), "*")
		for _, z := range zones {
			if n := acl.Interface(z); pattern && strings.HasPrefix(string(z), start) && !slices.Contains(except, n) {
				except = append(except, n)
			}
		}
	}
	return names, except
}

// covered tells whether one of the names stands for all that n stands for.
func covered(n policy.Interface, names []policy.Interface) bool {
	return slices.ContainsFunc(names, func(o policy.Interface) bool {
		start, pattern := strings.CutSuffix(string(o), "*")
		return o == n || pattern && strings.HasPrefix(string(n), start)
	})
}

// published lets containers' ports be reached as inbound rules say, and what goes
// to containers otherwise meet an action.
func (l *lowering) published(otherwise acl.Action) []acl.Rule {
	names, except := l.containers()
	why := l.origin("containers", l.words.say("forward.container.in"))
	var rules []acl.Rule
	for i, r := range l.p.Inbound {
		rule := l.inboundRule(i, r)
		rule.Published = true
		rules = append(rules, rule)
	}
	if l.p.Inbound == nil {
		rules = append(rules, acl.Rule{States: acl.New, Published: true, Origin: why})
	}
	return append(rules,
		acl.Rule{Action: otherwise, States: acl.AnyState, Published: true, Origin: why},
		acl.Rule{Action: otherwise, States: acl.AnyState, Out: names, NotOut: except, Origin: why})
}

// own is what passes because this host translates it, and of addresses that stand
// for others what does not.
func (l *lowering) own() []acl.Rule {
	var rules []acl.Rule
	for i, f := range l.p.Router.PortForward {
		path := fmt.Sprintf("router.port-forward[%d]", i)
		to := addressOf(f.To)
		rules = append(rules, acl.Rule{
			States: acl.New, From: l.forwardFrom(f), Services: l.services([]policy.Service{f.Port}),
			Published: true, Target: netip.AddrPortFrom(to, uint16(f.ToPort)),
			Origin: l.origin(path, l.words.say("forward.published")),
		})
	}
	for i, n := range l.p.Router.OneToOne {
		path := fmt.Sprintf("router.one-to-one[%d]", i)
		rule := acl.Rule{
			States: acl.New, To: l.peers([]policy.Peer{policy.Peer(n.Outside)}), Published: true,
			Target: netip.AddrPortFrom(addressOf(n.Inside), 0), Origin: l.origin(path, l.words.say("one-to-one", "from-address", string(n.Outside), "x", string(n.Inside))),
		}
		if n.Allow != nil {
			allow := rule
			allow.Services = l.services(n.Allow)
			rules = append(rules, allow)
		}
		rule.Action = acl.Drop
		rules = append(rules, rule)
	}
	return rules
}

func addressOf(a policy.Address) netip.Addr { return policy.Source(a).Addresses().Lo }

// forwardFrom is where a port forward is reached from.
func (l *lowering) forwardFrom(f policy.PortForward) []acl.Peer {
	ps := []policy.Peer{policy.Peer(f.From)}
	if f.Hairpin {
		ps = append(ps, l.zonesBut(f.From)...)
	}
	return l.peers(ps)
}

func (l *lowering) zonesBut(but policy.Name) []policy.Peer {
	var out []policy.Peer
	for name := range l.p.Zones {
		if name != string(but) {
			out = append(out, policy.Peer(name))
		}
	}
	slices.Sort(out)
	return out
}

func (l *lowering) forwardRule(i int, f policy.Forward) acl.Rule {
	path := fmt.Sprintf("router.forward[%d]", i)
	return acl.Rule{
		States: acl.New, From: l.peers([]policy.Peer{policy.Peer(f.From)}), To: l.peers([]policy.Peer{policy.Peer(f.To)}),
		Services: l.services(f.Allow), Origin: l.origin(path, l.zonesWords("forward.allow", f)),
	}
}

func (l *lowering) zonesWords(key string, f policy.Forward) string {
	services := l.words["services.any"]
	if f.Allow != nil {
		services = l.named(f.Allow)
	}
	return l.words.say(key, "services", services, "from", l.words.part("part.from", string(f.From)), "to", l.words.part("part.to", string(f.To)))
}

// translations are the rules of address translation: those of destinations first,
// in the order in which they decide.
func (l *lowering) translations() []acl.Translation {
	r := l.p.Router
	var out []acl.Translation
	for i, f := range r.PortForward {
		path := fmt.Sprintf("router.port-forward[%d]", i)
		to := string(f.To)
		if f.ToPort != 0 {
			to = netip.AddrPortFrom(addressOf(f.To), uint16(f.ToPort)).String()
		}
		out = append(out, acl.Translation{
			Kind: acl.Destination, From: l.forwardFrom(f), Services: l.services([]policy.Service{f.Port}), Local: true,
			ToAddress: addressOf(f.To), ToPort: uint16(f.ToPort),
			Origin: l.origin(path, l.words.say("port-forward", "services", string(f.Port), "from", l.words.part("part.from", string(f.From)), "x", to)),
		})
	}
	for i, n := range r.OneToOne {
		o := l.origin(fmt.Sprintf("router.one-to-one[%d]", i), l.words.say("one-to-one", "from-address", string(n.Outside), "x", string(n.Inside)))
		out = append(out, acl.Translation{
			Kind: acl.Destination, To: l.peers([]policy.Peer{policy.Peer(n.Outside)}), ToAddress: addressOf(n.Inside), Origin: o,
		})
	}
	for i, n := range r.OneToOne {
		o := l.origin(fmt.Sprintf("router.one-to-one[%d]", i), l.words.say("one-to-one", "from-address", string(n.Outside), "x", string(n.Inside)))
		if away := l.away(addressOf(n.Inside)); len(away) > 0 {
			out = append(out, acl.Translation{
				Kind: acl.Source, From: l.peers([]policy.Peer{policy.Peer(n.Inside)}), Out: away, ToAddress: addressOf(n.Outside), Origin: o,
			})
		}
	}
	for i, f := range r.PortForward {
		if f.Hairpin {
			out = append(out, l.hairpins(i, f)...)
		}
	}
	for i, f := range r.Forward {
		if f.Masquerade {
			path := fmt.Sprintf("router.forward[%d]", i)
			out = append(out, acl.Translation{
				Kind: acl.Masquerade, From: l.peers([]policy.Peer{policy.Peer(f.From)}), To: l.peers([]policy.Peer{policy.Peer(f.To)}),
				Services: l.services(f.Allow), Origin: l.origin(path, l.zonesWords("forward.masquerade", f)),
			})
		}
	}
	return out
}

// away are the interfaces of zones that an address is not in.
func (l *lowering) away(a netip.Addr) []acl.Interface {
	var out []acl.Interface
	for _, name := range l.zonesBut("") {
		z := l.p.Zones[string(name)]
		if slices.ContainsFunc(z.Networks, func(n policy.Prefix) bool {
			r := policy.Source(n).Addresses()
			return r.Lo.Is4() == a.Is4() && r.Lo.Compare(a) <= 0 && a.Compare(r.Hi) <= 0
		}) {
			continue
		}
		for _, i := range z.Interfaces {
			out = append(out, acl.Interface(i))
		}
	}
	return out
}

// hairpins hide the sources of what hosts of a zone send to one of their own by
// way of the outer address.
func (l *lowering) hairpins(i int, f policy.PortForward) []acl.Translation {
	services := l.services([]policy.Service{f.Port})
	if f.ToPort != 0 {
		for k := range services {
			services[k].Lo, services[k].Hi = uint16(f.ToPort), uint16(f.ToPort)
		}
	}
	var out []acl.Translation
	for _, name := range l.zonesBut(f.From) {
		t := acl.Translation{
			Kind: acl.Masquerade, From: l.peers([]policy.Peer{name}), Services: services,
			To:     []acl.Peer{{Addresses: &acl.Addresses{Ranges: []packet.AddrRange{policy.Source(f.To).Addresses()}}}},
			Origin: l.origin(fmt.Sprintf("router.port-forward[%d]", i), l.words.say("hairpin")),
		}
		for _, n := range l.p.Zones[string(name)].Interfaces {
			t.Out = append(t.Out, acl.Interface(n))
		}
		out = append(out, t)
	}
	return out
}
