package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"sekimori/internal/firewall"
	"sekimori/internal/host"
	"sekimori/packet"
	"sekimori/policy"
)

// Answer is how a proof ended.
type Answer uint8

// The answers. Unsure: it could not be decided.
const (
	Holds Answer = iota
	Fails
	Unsure
)

// String returns yes, no or undecided.
func (a Answer) String() string { return [...]string{"yes", "no", "undecided"}[a] }

// Kind is what a proof is about.
type Kind uint8

// The kinds.
const (
	KindSession  Kind = iota // the connection by which somebody works lives on
	KindReturn               // and could be opened again
	KindAdmins               // a login from where the policy lets administrators in
	KindNetwork              // what keeps a host on its network
	KindOutgoing             // answers of this host leave it
)

// Proof is one thing that has to stay possible, and whether it surely does with the
// policy applied: whatever a rate limit or an undecodable rule does. The limit that
// our own rule has for each source is taken as not exceeded.
type Proof struct {
	Kind   Kind
	Family firewall.Family
	// About is the session, the network or the service.
	About string
	// Answer is for the time after, Now whether it holds now.
	Answer, Now Answer
	// Part is true where some of the packets surely pass, though not all.
	Part bool
	// Needed is true where the host must not be left without it.
	Needed bool
	// Example is a packet that is not surely accepted, Because what decides about it.
	Example packet.Packet
	Because firewall.Because
	// Why says what else there is to know.
	Why string
}

// prover proves what must stay in one family.
type prover struct {
	in     Input
	e      *firewall.Engine
	family firewall.Family
	facts  firewall.Facts
	now    *firewall.Ruleset
	after  *firewall.Ruleset
	out    []Proof
}

// prove adds the proofs of both families. That nobody who could come is let in to
// sshd is a proof that fails: without it, there would be none to fail.
func (p *Plan) prove(in Input, candidate *firewall.Ruleset) {
	addressed := p.proveFamily(in, firewall.IPv4, candidate)
	addressed = p.proveFamily(in, firewall.IPv6, candidate) || addressed
	some := slices.ContainsFunc(p.Proofs, func(o Proof) bool { return o.Kind == KindAdmins })
	if addressed && !some && in.Policy.Policy.Inbound != nil {
		p.Proofs = append(p.Proofs, Proof{
			Kind: KindAdmins, Family: firewall.IPv4, About: "anybody by ssh", Answer: Fails, Now: Unsure, Needed: true,
			Why: "whom the policy lets in to ssh cannot come: no such interface, or addresses of this host or of nobody",
		})
	}
}

// proveFamily adds the proofs of one family, and tells whether the host has
// addresses of it.
func (p *Plan) proveFamily(in Input, family firewall.Family, candidate *firewall.Ruleset) bool {
	pr := prover{
		in: in, family: family, facts: in.Host.Facts(),
		now: withinRates(in.Live, false), after: withinRates(candidate, false),
	}
	pr.e = firewall.NewEngine(family, pr.facts, in.MaxNodes, pr.now, pr.after)
	err := pr.e.Do(func() error {
		pr.sessions()
		pr.admins()
		pr.network()
		return nil
	})
	p.Proofs = append(p.Proofs, pr.out...)
	if err != nil {
		p.Undecided = append(p.Undecided, fmt.Sprintf("%s: what must stay possible: %v", nameOf(family), err))
		p.Proofs = append(p.Proofs, Proof{Kind: KindAdmins, Family: family, About: "logins", Answer: Unsure, Now: Unsure, Needed: true, Why: err.Error()})
	}
	return len(pr.addresses()) > 0
}

func (p *prover) is(a netip.Addr) bool { return a.Is4() == (p.family == firewall.IPv4) }

// sessions proves that each session lives on, and could be opened again.
func (p *prover) sessions() {
	for _, s := range p.in.Sessions {
		client, server := s.Client.Addr().Unmap().WithZone(""), s.Server.Addr().Unmap().WithZone("")
		if !s.Remote() || !p.is(client) {
			continue
		}
		again := packet.Packet{Src: client, Dst: server}.With(packet.Protocol, 6).With(packet.DstPort, uint64(s.Server.Port()))
		back := p.ask(Proof{Kind: KindReturn, About: client.String()}, firewall.WayInput, p.from(p.e.Packets(again), client))
		if s.Stale { // there is nothing to be cut, but somebody who will want to come back
			p.out = append(p.out, back)
			continue
		}
		about := fmt.Sprintf("%s -> %s", s.Client, s.Server)
		tcp := packet.Packet{Src: client, Dst: server}.With(packet.Protocol, 6).
			With(packet.SrcPort, uint64(s.Client.Port())).With(packet.DstPort, uint64(s.Server.Port()))
		in := p.from(p.e.Packets(tcp.With(packet.State, established)), client)
		proof := p.ask(Proof{Kind: KindSession, About: about, Needed: true}, firewall.WayInput, in)
		if p.tracked() {
			proof.Why = "its packets belong to a connection that is known"
		} else if proof.Answer == Holds {
			// Nothing has tracked connections so far: to the new rules, the next packet of
			// the session begins one, in the midst of it.
			fresh := p.e.Packets(tcp.With(packet.State, 0).With(packet.TCPFlags, 0x10))
			middle := p.ask(Proof{Kind: KindSession, About: about, Needed: true}, firewall.WayInput, p.from(fresh, client))
			proof.Why = "connections are not tracked yet; it is admitted as a new one, too"
			if middle.Answer != Holds {
				proof.Answer, proof.Example, proof.Because = middle.Answer, middle.Example, middle.Because
				proof.Why = "connections are not tracked yet, so that its next packet would count as a new connection"
			}
		}
		p.out = append(p.out, proof)
		answers := packet.Packet{Src: server, Dst: client}.With(packet.Protocol, 6).With(packet.State, established).
			With(packet.SrcPort, uint64(s.Server.Port())).With(packet.DstPort, uint64(s.Client.Port()))
		p.out = append(p.out, p.ask(Proof{Kind: KindOutgoing, About: about, Needed: true}, firewall.WayOutput, p.to(p.e.Packets(answers), client)), back)
	}
}

// established is the number of that state of conntrack in packets.
const established = 1

// tracked tells whether the kernel has been tracking connections, so that the ones
// that there are will be known to new rules.
func (p *prover) tracked() bool { return p.in.Host.Conntrack.Count > 0 }

// ask fills in whether packets are surely accepted on a way, now and afterwards.
func (p *prover) ask(o Proof, way firewall.Way, packets packet.Set) Proof {
	o.Family = p.family
	packets = packets.And(p.e.Sent(way))
	var left packet.Set
	o.Answer, left = p.surely(p.after, way, packets)
	o.Now, _ = p.surely(p.now, way, packets)
	if o.Answer == Holds {
		return o
	}
	o.Part = !left.Equal(packets)
	if way == firewall.WayOutput { // what no packet on the way has is no part of the example
		left = left.Exists(packet.InInterface)
	} else {
		left = left.Exists(packet.OutInterface)
	}
	o.Example, _ = left.Sample()
	if t, err := p.e.Trace(p.after, way, p.e.Space().Point(o.Example)); err == nil {
		o.Because = t.Because
		if t.Unrouted {
			o.Because = firewall.Because{Text: "routing leads it elsewhere"}
		}
	}
	return o
}

// surely tells whether all packets are accepted whatever the unknowns are, and
// those that are not.
func (p *prover) surely(rs *firewall.Ruleset, way firewall.Way, packets packet.Set) (Answer, packet.Set) {
	r := p.e.Follow(rs, way, packets, false)
	left := packets.Minus(p.e.Certain(r.Accept))
	if left.Empty() {
		return Holds, left
	}
	if sure, _ := p.e.Possible(r.Accept); packets.SubsetOf(sure) || packets.Minus(r.Accept.May()).Empty() {
		return Unsure, left
	}
	return Fails, left
}

// from restricts packets to the interfaces by which an address comes.
func (p *prover) from(s packet.Set, a netip.Addr) packet.Set {
	return s.And(p.routed(packet.Src, packet.InInterface)).And(p.e.Space().Prefixes(packet.Src, netip.PrefixFrom(a, a.BitLen())))
}

// to restricts packets to the interfaces by which an address is sent to.
func (p *prover) to(s packet.Set, a netip.Addr) packet.Set {
	return s.And(p.routed(packet.Dst, packet.OutInterface)).And(p.e.Space().Prefixes(packet.Dst, netip.PrefixFrom(a, a.BitLen())))
}

// routed returns the packets whose address (Src, say) is behind the interface
// (InInterface) by which this host would send to it: people come that way. Where
// routing is not known for certain, any interface but lo counts.
func (p *prover) routed(address, iface packet.Field) packet.Set {
	sp := p.e.Space()
	outside := sp.Interfaces(iface, func(name string) bool { return p.isOutside(name) })
	if !p.facts.Known || p.facts.RoutesPartial != "" {
		return outside
	}
	routes := slices.DeleteFunc(slices.Clone(p.facts.Routes), func(r firewall.Route) bool { return !p.is(r.Dst.Addr()) })
	slices.SortStableFunc(routes, func(a, b firewall.Route) int {
		return cmp.Or(b.Dst.Bits()-a.Dst.Bits(), cmp.Compare(a.Metric, b.Metric))
	})
	set, left := sp.None(), sp.All()
	for i, r := range routes {
		here := sp.Prefixes(address, r.Dst).And(left)
		if !r.Refuse {
			set = set.Or(here.And(sp.Interfaces(iface, func(name string) bool { return name == r.Interface })))
		}
		// Routes of equal weight are hops of one: each may be used.
		if i+1 == len(routes) || routes[i+1].Dst != r.Dst || routes[i+1].Metric != r.Metric {
			left = left.Minus(sp.Prefixes(address, r.Dst))
		}
	}
	return set.And(outside)
}

// isOutside tells whether packets from elsewhere come by an interface.
func (p *prover) isOutside(name string) bool {
	return slices.ContainsFunc(p.facts.Interfaces, func(i firewall.HostInterface) bool { return i.Name == name && !i.Loopback })
}

// admins proves that whoever the policy lets in to sshd gets in, whatever else is
// loaded.
func (p *prover) admins() {
	pol := p.in.Policy.Policy
	ports := []int{22}
	if pol.SSH != nil && len(pol.SSH.Ports) > 0 {
		ports = pol.SSH.Ports
	}
	if pol.Inbound == nil {
		return
	}
	asked := map[string]bool{}
	for _, r := range pol.Inbound {
		for _, port := range ports {
			if !slices.ContainsFunc(r.Allow, func(s policy.Service) bool { return admits(s, port) }) {
				continue
			}
			peers := r.From
			if len(peers) == 0 {
				peers = []policy.Peer{"anywhere"}
			}
			for _, peer := range peers {
				if id := fmt.Sprint(peer, port); !asked[id] {
					asked[id] = true
					p.admin(peer, port)
				}
			}
		}
	}
}

func admits(s policy.Service, port int) bool {
	return slices.ContainsFunc(s.Matches(), func(m policy.Match) bool {
		return m.Any || m.Protocol == 6 && int(m.Lo) <= port && port <= int(m.Hi)
	})
}

// admin proves that one network can log in at one of the host's addresses.
func (p *prover) admin(peer policy.Peer, port int) {
	sources := p.peer(peer).And(p.routed(packet.Src, packet.InInterface))
	if own := p.ownAddresses(); len(own) > 0 {
		sources = sources.Minus(p.e.Space().Prefixes(packet.Src, own...))
	}
	sources = sources.Minus(p.e.Space().Prefixes(packet.Src, nobody(p.family)...))
	about := fmt.Sprintf("%s to port %d", peer, port)
	if sources.And(p.e.Sent(firewall.WayInput)).Empty() {
		return // none of this family, or none that could come
	}
	var best *Proof
	for _, to := range p.addresses() {
		login := packet.Packet{Dst: to}.With(packet.Protocol, 6).With(packet.DstPort, uint64(port))
		o := p.ask(Proof{Kind: KindAdmins, About: about, Needed: true, Why: "at " + to.String()}, firewall.WayInput, p.e.Packets(login).And(sources))
		if best == nil || o.Answer == Holds {
			best = &o
		}
		if o.Answer == Holds {
			break
		}
	}
	if best == nil {
		return // no address of this family
	}
	// Replies, and what follows: the rest of the connection.
	rest := packet.Packet{Dst: addressOf(best.Why)}.With(packet.Protocol, 6).With(packet.DstPort, uint64(port)).With(packet.State, established)
	if o := p.ask(*best, firewall.WayInput, p.e.Packets(rest).And(sources)); best.Answer == Holds && o.Answer != Holds {
		best.Answer, best.Now, best.Part, best.Example, best.Because = o.Answer, o.Now, o.Part, o.Example, o.Because
	}
	p.out = append(p.out, *best)
}

func addressOf(why string) netip.Addr {
	a, _ := netip.ParseAddr(why[len("at "):])
	return a
}

// peer is what comes from a zone, a list or an address; a zone's interfaces are
// those that lead there.
func (p *prover) peer(peer policy.Peer) packet.Set {
	sp := p.e.Space()
	if peer == "anywhere" {
		return sp.All()
	}
	if z, ok := p.in.Policy.Policy.Zones[string(peer)]; ok {
		set := sp.Interfaces(packet.InInterface, func(name string) bool {
			return slices.ContainsFunc(z.Interfaces, func(i policy.Interface) bool { return matches(string(i), name) })
		})
		if z.Networks == nil {
			return set
		}
		var networks []packet.AddrRange
		for _, n := range z.Networks {
			networks = append(networks, rangeOf(string(n))...)
		}
		return set.And(sp.Addresses(packet.Src, networks...))
	}
	if rs, ok := p.in.Lists[string(peer)]; ok {
		return sp.Addresses(packet.Src, rs...)
	}
	return sp.Addresses(packet.Src, rangeOf(string(peer))...)
}

// nobody are addresses that are no host's: the unspecified one, loopback,
// multicast, broadcast and what is reserved beside it.
func nobody(f firewall.Family) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range map[firewall.Family][]string{
		firewall.IPv4: {"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"},
		firewall.IPv6: {"::/128", "::1/128", "ff00::/8"},
	}[f] {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func (p *prover) ownAddresses() []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(p.facts.Local), func(l netip.Prefix) bool { return !p.is(l.Addr()) })
}

// addresses are those at which somebody may log in, those of sessions first.
func (p *prover) addresses() []netip.Addr {
	var out []netip.Addr
	add := func(a netip.Addr) {
		if p.is(a) && !a.IsLoopback() && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	for _, s := range p.in.Sessions {
		add(s.Server.Addr().Unmap().WithZone(""))
	}
	for _, i := range p.in.Host.Interfaces {
		for _, a := range i.Addresses {
			if addr := a.Prefix.Addr(); !addr.IsLinkLocalUnicast() || p.onlyLinkLocal(i) {
				add(addr)
			}
		}
	}
	return out
}

func (p *prover) onlyLinkLocal(i host.Interface) bool {
	return !slices.ContainsFunc(i.Addresses, func(a host.Address) bool { return p.is(a.Prefix.Addr()) && !a.Prefix.Addr().IsLinkLocalUnicast() })
}

// network proves that what keeps a host on its network comes in, and its own part
// of it goes out.
func (p *prover) network() {
	sp := p.e.Space()
	support := policy.LifeSupport(sp, p.in.Facts).And(p.arriving())
	// Neighbour discovery is not tracked by conntrack (nf_conntrack_proto_icmpv6.c),
	// all else is new or belongs to something known.
	support = support.And(sp.States(packet.New | packet.Established | packet.Related | packet.Untracked))
	about := "DHCP"
	if p.family == firewall.IPv6 {
		about = "neighbour and router discovery, multicast listeners, errors (ICMPv6), DHCPv6"
	}
	if !support.And(p.e.Sent(firewall.WayInput)).Empty() {
		o := p.ask(Proof{Kind: KindNetwork, About: about}, firewall.WayInput, support)
		o.Needed = o.Now == Holds
		p.out = append(p.out, o)
	}
	errors := sp.States(packet.Related).And(p.arriving()).And(sp.Values(packet.Protocol, packet.Range{Lo: 1, Hi: 1})).
		And(sp.Values(packet.SrcPort, icmpType(3), icmpType(11), icmpType(12)))
	if p.family == firewall.IPv4 {
		o := p.ask(Proof{Kind: KindNetwork, About: "errors of known connections (fragmentation needed)"}, firewall.WayInput, errors)
		o.Needed = o.Now == Holds
		p.out = append(p.out, o)
	}
}

// icmpType is a type with all its codes.
func icmpType(n uint64) packet.Range { return packet.Range{Lo: n << 8, Hi: n<<8 | 0xff} }

// arriving are whole packets from elsewhere that are for this host: routing would
// send others on, or drop them.
func (p *prover) arriving() packet.Set {
	sp := p.e.Space()
	s := sp.Interfaces(packet.InInterface, p.isOutside).And(sp.Values(packet.Fragment, packet.Range{})).And(sp.Values(packet.Mark, packet.Range{})).
		Minus(translated(sp)).                                                               // those are forwarded
		Minus(sp.Prefixes(packet.Src, append(nobody(p.family)[1:], p.ownAddresses()...)...)) // the unspecified address has its uses
	if !p.facts.Known {
		return s
	}
	here := slices.DeleteFunc(slices.Concat(p.facts.Local, p.facts.Multicast, p.facts.Broadcast), func(d netip.Prefix) bool { return !p.is(d.Addr()) })
	return s.And(sp.Prefixes(packet.Dst, here...)).Minus(sp.Prefixes(packet.Dst, netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")))
}

// translated are the packets of connections that have been translated
// (IPS_SRC_NAT, IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h).
func translated(sp *packet.Space) packet.Set {
	const status, snat, dnat = 16, 4, 5 // the width of the field, and the bits
	return sp.Bit(packet.Status, status-1-snat).Or(sp.Bit(packet.Status, status-1-dnat))
}

// matches tells whether an interface is meant by a name or a pattern.
func matches(pattern, name string) bool {
	if n := len(pattern); n > 0 && pattern[n-1] == '*' {
		return len(name) >= n-1 && name[:n-1] == pattern[:n-1]
	}
	return pattern == name
}

// rangeOf reads an address, a prefix or a range of a checked policy.
func rangeOf(text string) []packet.AddrRange {
	if p, err := netip.ParsePrefix(text); err == nil {
		return []packet.AddrRange{{Lo: p.Masked().Addr(), Hi: lastOf(p)}}
	}
	for i, c := range text {
		if c != '-' {
			continue
		}
		lo, errLo := netip.ParseAddr(text[:i])
		hi, errHi := netip.ParseAddr(text[i+1:])
		if errLo == nil && errHi == nil {
			return []packet.AddrRange{{Lo: lo, Hi: hi}}
		}
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return []packet.AddrRange{{Lo: a, Hi: a}}
	}
	return nil
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
