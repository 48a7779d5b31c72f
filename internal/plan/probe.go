package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"sekimori/internal/exposure"
	"sekimori/internal/firewall"
	"sekimori/packet"
)

// Probe is a packet to ask a real kernel about, and what our own rules, by
// themselves, do with it.
type Probe struct {
	About    string
	Packet   packet.Packet
	Expected bool // it gets through
}

// Probes are packets that tell whether rules do what a plan says: the sessions,
// logins from the ends of each network of administrators, an outsider at every port
// that something listens at, what keeps a host on its network, and an example of
// each change. Only packets whose fate is certain are among them.
func Probes(in Input, p Plan) []Probe {
	var out []Probe
	own := withinRates(in.Own, false)
	for _, family := range []firewall.Family{firewall.IPv4, firewall.IPv6} {
		pr := prober{
			prover: prover{in: in, family: family, facts: in.Host.Facts(), now: own, after: own},
			seen:   map[string]bool{},
		}
		pr.e = firewall.NewEngine(family, pr.facts, in.MaxNodes, own)
		// What the budget of nodes leaves out is not asked.
		_ = pr.e.Do(func() error {
			pr.people()
			pr.outsiders()
			pr.alive()
			for _, c := range p.Changes {
				if c.Family == family && c.Way != firewall.WayOutput {
					pr.add("an example of what changes", c.Way, c.Example)
				}
			}
			return nil
		})
		out = append(out, pr.probes...)
	}
	return out
}

type prober struct {
	prover
	probes []Probe
	seen   map[string]bool
}

// add keeps a packet whose fate is certain.
func (p *prober) add(about string, way firewall.Way, q packet.Packet) {
	if q.In == "" || p.seen[q.String()] {
		return
	}
	p.seen[q.String()] = true
	s := p.e.Packets(q)
	r := p.e.Follow(p.after, way, s, false)
	switch {
	case s.Empty():
	case s.SubsetOf(p.e.Certain(r.Accept)):
		p.probes = append(p.probes, Probe{about, q, true})
	case s.SubsetOf(p.e.Certain(r.Drop.Or(r.Reject))):
		p.probes = append(p.probes, Probe{about, q, false})
	}
}

// people asks about sessions and logins.
func (p *prober) people() {
	for _, s := range p.in.Sessions {
		client, server := s.Client.Addr().Unmap().WithZone(""), s.Server.Addr().Unmap().WithZone("")
		if !s.Remote() || !p.is(client) || s.Stale {
			continue
		}
		q := packet.Packet{Src: client, Dst: server, In: p.arrivesBy(client)}.With(packet.Protocol, 6).
			With(packet.SrcPort, uint64(s.Client.Port())).With(packet.DstPort, uint64(s.Server.Port()))
		p.add("your session", firewall.WayInput, q.With(packet.State, established))
		p.add("a new login of yours", firewall.WayInput, q.With(packet.SrcPort, 50022).With(packet.State, 0))
	}
	to := p.addresses()
	if len(to) == 0 {
		return
	}
	port := uint64(22)
	if ssh := p.in.Policy.Policy.SSH; ssh != nil && len(ssh.Ports) > 0 {
		port = uint64(ssh.Ports[0])
	}
	for _, r := range p.in.Policy.Policy.Inbound {
		for _, peer := range r.From {
			sources := p.peer(peer).And(p.routed(packet.Src, packet.InInterface)).Minus(p.e.Space().Prefixes(packet.Src, p.strange()...))
			ranges := sources.AddrRanges(packet.Src)
			for _, rg := range ranges[:min(len(ranges), 8)] {
				for _, a := range []netip.Addr{rg.Lo, rg.Hi} {
					p.add("ssh from "+string(peer), firewall.WayInput, p.syn(a, to[0], port))
				}
			}
		}
	}
}

// strange are addresses that nobody else sends with: routing drops such packets.
func (p *prober) strange() []netip.Prefix {
	out := append(nobody(p.family), p.ownAddresses()...)
	for _, i := range p.facts.Interfaces {
		for _, a := range i.Addresses {
			if p.is(a.Addr()) && a.Addr().Is4() && !a.IsSingleIP() { // the network itself, and its broadcast address
				lo, hi := a.Masked().Addr(), lastOf(a)
				out = append(out, netip.PrefixFrom(lo, lo.BitLen()), netip.PrefixFrom(hi, hi.BitLen()))
			}
		}
	}
	return out
}

// arrivesBy is the interface by which an address comes, "" if that is not known.
func (p *prober) arrivesBy(a netip.Addr) string {
	sp := p.e.Space()
	names := sp.Prefixes(packet.Src, netip.PrefixFrom(a, a.BitLen())).And(p.routed(packet.Src, packet.InInterface)).InterfaceNames(packet.InInterface)
	names = slices.DeleteFunc(names, func(n string) bool { return !p.isOutside(n) })
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

func (p *prober) syn(from, to netip.Addr, port uint64) packet.Packet {
	return packet.Packet{Src: from, Dst: to, In: p.arrivesBy(from)}.With(packet.Protocol, 6).
		With(packet.SrcPort, 50023).With(packet.DstPort, port).With(packet.State, 0)
}

// outsiders asks at each port as somebody whom no policy knows.
func (p *prober) outsiders() {
	from := netip.MustParseAddr("192.0.2.66")
	if p.family == firewall.IPv6 {
		from = netip.MustParseAddr("2001:db8:ffff::66")
	}
	to := p.addresses()
	if len(to) == 0 {
		return
	}
	for _, k := range p.in.Host.Sockets {
		number := map[string]uint64{"tcp": 6, "udp": 17}[k.Proto]
		if number == 0 || k.Connected() {
			continue
		}
		q := p.syn(from, to[0], uint64(k.Local.Port())).With(packet.Protocol, number)
		p.add(fmt.Sprintf("an outsider to %d/%s", k.Local.Port(), exposure.ProtocolName(uint8(number))), firewall.WayInput, q)
	}
	p.add("an outsider to a port where nothing listens", firewall.WayInput, p.syn(from, to[0], 40404))
}

// alive asks about what keeps a host on its network.
func (p *prober) alive() {
	for _, i := range p.in.Host.Interfaces {
		if i.Loopback || !i.Up {
			continue
		}
		for _, a := range i.Addresses {
			own := a.Prefix.Addr()
			switch {
			case !p.is(own) || a.Prefix.IsSingleIP():
			case own.Is4() && slices.Contains(p.in.Facts.DHCPv4, i.Name):
				server := a.Prefix.Masked().Addr().Next()
				if server == own {
					server = server.Next()
				}
				p.add("a DHCP server's answer", firewall.WayInput, packet.Packet{Src: server, Dst: own, In: i.Name}.
					With(packet.Protocol, 17).With(packet.SrcPort, 67).With(packet.DstPort, 68).With(packet.State, 0))
			case own.Is6() && !own.IsLinkLocalUnicast():
				neighbour := a.Prefix.Masked().Addr().Next()
				if neighbour == own {
					neighbour = neighbour.Next()
				}
				p.add("a neighbour that forgot this host", firewall.WayInput, packet.Packet{Src: neighbour, Dst: own, In: i.Name}.
					With(packet.Protocol, 58).With(packet.SrcPort, 135<<8).With(packet.State, 0))
			}
		}
	}
}
