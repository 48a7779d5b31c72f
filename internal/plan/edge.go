package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"sekimori/internal/host"
	"sekimori/policy"
)

// EdgeHits is what a block at the edge of the network would hit on a host.
type EdgeHits struct {
	Interfaces []string
	Block      []string
	// Scope is outside or all; Neighbours are the interfaces of local networks, to
	// which only all applies.
	Scope      string
	Neighbours []string
	Listeners  []EdgeHit
	Flows      []EdgeHit
}

// EdgeHit is a socket, or connections of it.
type EdgeHit struct {
	Proto   string
	Port    uint16 // this host's, or the peers' of a flow
	Process string
	Peer    string
	Entry   string // the word of the policy
	Why     string
}

// Flow is a connection that the kernel tracks, as the one who opened it wrote it.
type Flow struct {
	Proto    string
	Src, Dst netip.AddrPort
}

// Edge says which listeners, and which of the flows that were seen, a block would
// hit: those whose port it names, at either end, and for broadcast those that live
// on it. Flows are those of connection tracking, as far as it could be read.
func Edge(s *host.Snapshot, e *policy.Edge, flows []Flow) EdgeHits {
	out := EdgeHits{Scope: cmp.Or(string(e.Scope), "outside")}
	for _, i := range e.Interface {
		out.Interfaces = append(out.Interfaces, string(i))
	}
	for _, i := range s.Interfaces {
		outside := slices.ContainsFunc(e.Interface, func(p policy.Interface) bool { return matches(string(p), i.Name) })
		if !i.Loopback && !outside && i.Master == 0 && len(i.Addresses) > 0 {
			out.Neighbours = append(out.Neighbours, i.Name)
		}
	}
	names := map[int]string{}
	for _, p := range s.Processes {
		names[p.PID] = p.Name
	}
	for _, b := range e.Block {
		out.Block = append(out.Block, string(b))
		if b == "broadcast" {
			out.broadcast(s, names, flows)
			continue
		}
		for _, m := range policy.Service(b).Matches() {
			out.port(s, names, string(b), m)
			out.tracked(flows, string(b), m)
		}
	}
	return out
}

// protocolNumber is the IANA number of a socket's protocol.
func protocolNumber(name string) uint8 {
	return map[string]uint8{"tcp": 6, "udp": 17, "sctp": 132, "udplite": 136}[name]
}

func (o *EdgeHits) port(s *host.Snapshot, names map[int]string, entry string, m policy.Match) {
	hits := func(proto string, port uint16) bool {
		return protocolNumber(proto) == m.Protocol && m.Protocol != 0 && port >= m.Lo && port <= m.Hi
	}
	for _, k := range s.Sockets {
		if k.Proto == "raw" || k.Local.Addr().IsLoopback() {
			continue
		}
		hit := EdgeHit{Proto: k.Proto, Port: k.Local.Port(), Process: processOf(k, names), Entry: entry}
		switch {
		case k.Connected() && (hits(k.Proto, k.Peer.Port()) || hits(k.Proto, k.Local.Port())) && !k.Peer.Addr().IsLoopback():
			hit.Peer, hit.Port, hit.Why = k.Peer.String(), k.Peer.Port(), "connected: neither questions nor answers would pass"
			o.Flows = append(o.Flows, hit)
		case !k.Connected() && hits(k.Proto, k.Local.Port()):
			hit.Why = "neither what is sent to it nor its answers would pass"
			o.Listeners = append(o.Listeners, hit)
		}
	}
	for _, f := range s.Outbound {
		if f.Local || !hits(f.Proto, f.Port) {
			continue
		}
		hit := EdgeHit{Proto: f.Proto, Port: f.Port, Process: names[f.PID], Entry: entry, Why: fmt.Sprintf("%d connections to %d addresses", f.Connections, f.Peers)}
		if len(f.Sample) > 0 {
			hit.Peer = f.Sample[0].String()
		}
		o.Flows = append(o.Flows, hit)
	}
	for _, c := range s.Inbound {
		if m.Protocol != 6 || !hits("tcp", c.Local.Port()) || c.Peer.Addr().IsLoopback() {
			continue
		}
		name := ""
		if len(c.Owners) > 0 {
			name = names[c.Owners[0]]
		}
		o.Flows = append(o.Flows, EdgeHit{Proto: "tcp", Port: c.Local.Port(), Process: name, Peer: c.Peer.String(), Entry: entry, Why: "open now"})
	}
}

// speaking are the ports of programs that live on broadcast and multicast. DHCP is
// excepted from the block.
func speaking() map[uint16]string {
	return map[uint16]string{
		137: "NetBIOS names are asked for by broadcast", 138: "NetBIOS announces itself by broadcast", 319: "PTP is multicast", 320: "PTP is multicast",
		520: "RIP is broadcast or multicast", 698: "OLSR is multicast", 1900: "SSDP is multicast", 3702: "WS-Discovery is multicast",
		5353: "mDNS is multicast", 5355: "LLMNR is multicast", 5405: "corosync may use multicast", 6771: "local peer discovery is multicast", 9: "wake on LAN is broadcast",
	}
}

// tracked adds what connection tracking knows, most of it not this host's own.
func (o *EdgeHits) tracked(flows []Flow, entry string, m policy.Match) {
	for _, f := range flows {
		if protocolNumber(f.Proto) != m.Protocol || m.Protocol == 0 || f.Src.Addr().IsLoopback() {
			continue
		}
		for _, end := range []netip.AddrPort{f.Dst, f.Src} {
			if port := end.Port(); port >= m.Lo && port <= m.Hi && !o.has(f.Proto, port, f.Src) {
				o.Flows = append(o.Flows, EdgeHit{
					Proto: f.Proto, Port: port, Process: "", Peer: f.Src.String(), Entry: entry, Why: "to " + f.Dst.String() + ", tracked",
				})
				break
			}
		}
	}
}

// has tells whether the flow of a source is listed already.
func (o *EdgeHits) has(proto string, port uint16, src netip.AddrPort) bool {
	return slices.ContainsFunc(o.Flows, func(h EdgeHit) bool { return h.Proto == proto && h.Port == port && h.Peer == src.String() })
}

func (o *EdgeHits) broadcast(s *host.Snapshot, names map[int]string, flows []Flow) {
	for _, f := range flows {
		if f.Dst.Addr().IsMulticast() || f.Dst.Addr() == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			o.Flows = append(o.Flows, EdgeHit{
				Proto: f.Proto, Port: f.Dst.Port(), Peer: f.Src.String(), Entry: "broadcast", Why: "to " + f.Dst.String() + ", tracked",
			})
		}
	}
	for _, k := range s.Sockets {
		if k.Connected() || k.Local.Addr().IsLoopback() {
			continue
		}
		hit := EdgeHit{Proto: k.Proto, Port: k.Local.Port(), Process: processOf(k, names), Entry: "broadcast"}
		switch why, ok := speaking()[k.Local.Port()]; {
		case k.Proto == "udp" && ok:
			hit.Why = why + ": what it sends out that way would not leave"
		case k.Local.Addr().IsMulticast():
			hit.Why = "bound to a multicast address"
		case k.Proto == "raw" && (k.Local.Port() == 89 || k.Local.Port() == 112):
			hit.Why = "OSPF and VRRP are multicast: its neighbours would lose it"
		default:
			continue
		}
		o.Listeners = append(o.Listeners, hit)
	}
}

func processOf(k host.Socket, names map[int]string) string {
	if len(k.Owners) > 0 {
		return names[k.Owners[0]]
	}
	return ""
}
