package rehearse

import (
	"fmt"
	"net/netip"

	"sekimori/packet"
)

// Job is what is to be tried out.
type Job struct {
	// Outside identifies the namespace that must not be touched.
	Outside string `json:"outside"`
	// Rules are in nft's language.
	Rules      []byte      `json:"rules"`
	Interfaces []Interface `json:"interfaces"`
	Routes     []Route     `json:"routes"`
	// Forward turns forwarding on.
	Forward bool    `json:"forward"`
	Probes  []Probe `json:"probes"`
}

// Interface is one of the host's, lo left out.
type Interface struct {
	Name      string         `json:"name"`
	Addresses []netip.Prefix `json:"addresses"`
}

// Route is a route of the host.
type Route struct {
	Dst       netip.Prefix `json:"dst"`
	Interface string       `json:"interface"`
}

// Probe is one packet to send, in at In.
type Probe struct {
	In       string     `json:"in"`
	Protocol uint8      `json:"protocol"`
	Src      netip.Addr `json:"src"`
	Dst      netip.Addr `json:"dst"`
	// SrcPort and DstPort are ports; of ICMP, SrcPort is type and code.
	SrcPort uint16 `json:"src_port"`
	DstPort uint16 `json:"dst_port"`
	// Established marks a packet in the midst of a TCP connection.
	Established bool `json:"established,omitempty"`
}

// The protocols that probes can have (IANA).
const (
	icmp   = 1
	tcp    = 6
	udp    = 17
	icmpv6 = 58
)

// NewProbe makes a probe of a packet, as far as one can be sent: false for other
// protocols, and for what does not say where it comes from and goes to.
func NewProbe(p packet.Packet) (Probe, bool) {
	get := func(f packet.Field, otherwise uint64) uint64 {
		if v, ok := p.Get(f); ok {
			return v
		}
		return otherwise
	}
	proto := get(packet.Protocol, tcp)
	out := Probe{
		In: p.In, Src: p.Src, Dst: p.Dst, Protocol: uint8(proto),
		SrcPort: uint16(get(packet.SrcPort, 40000)), DstPort: uint16(get(packet.DstPort, 40001)),
	}
	state := get(packet.State, 0)
	out.Established = state == 1
	_, typed := p.Get(packet.SrcPort)
	if (proto == icmp || proto == icmpv6) && !typed {
		return out, false // its type or code is open
	}
	known := proto == tcp || proto == udp || proto == icmp && p.Src.Is4() || proto == icmpv6 && p.Src.Is6()
	usable := p.In != "" && p.Src.IsValid() && p.Dst.IsValid() && p.Src.Is4() == p.Dst.Is4() && !p.Src.IsUnspecified() && !p.Src.IsMulticast()
	return out, known && usable && (state == 0 || state == 1 && proto == tcp)
}

// String writes the probe as [packet.ParsePacket] reads it.
func (p Probe) String() string {
	name := map[uint8]string{icmp: "icmp", tcp: "tcp", udp: "udp", icmpv6: "icmpv6"}[p.Protocol]
	state := "new"
	if p.Established {
		state = "established"
	}
	if p.Protocol == icmp || p.Protocol == icmpv6 {
		return fmt.Sprintf("%s %s -> %s type %d code %d in %s %s", name, p.Src, p.Dst, p.SrcPort>>8, p.SrcPort&0xff, p.In, state)
	}
	return fmt.Sprintf("%s %s -> %s in %s %s", name, netip.AddrPortFrom(p.Src, p.SrcPort), netip.AddrPortFrom(p.Dst, p.DstPort), p.In, state)
}
