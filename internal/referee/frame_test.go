//go:build linux

package referee

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"

	"sekimori/packet"
)

// Protocols (IANA numbers).
const (
	icmp   = 1
	tcp    = 6
	udp    = 17
	gre    = 47
	esp    = 50
	icmp6  = 58
	sctp   = 132
	finBit = 0x01
	synBit = 0x02
	rstBit = 0x04
	ackBit = 0x10
	urgBit = 0x20
)

// Conntrack states, as the State field of package packet has them.
const (
	stateNew = iota
	stateEstablished
	stateRelated
	stateInvalid
	stateUntracked
)

// probe is one packet to send, with what the kernel is to know about it.
type probe struct {
	id       uint32 // the IPv4 identification, or the IPv6 flow label
	in       string
	src, dst netip.Addr
	proto    uint8
	sport    uint16 // ICMP: type and code
	dport    uint16 // ICMP: sent as the identifier
	flags    uint8  // TCP
	frag     uint16 // IPv4 bytes 6 and 7: 0x4000 is DF; IPv6 bytes 2 and 3 of the fragment header
	ext      uint8  // IPv6: the number of the one extension header: 0 (hop by hop), 44 (fragment) or 60 (destination)
	extended bool   // IPv6: there is one
	tos, ttl uint8
	size     int     // bytes of payload
	quote    *probe  // ICMP errors: the packet that they are about
	flow     *tuple  // the conntrack entry that the packet belongs to, or is about
	reply    bool    // in the reply direction of flow
	mac, to  [6]byte // the sender's and the host's
}

func (p *probe) v4() bool { return p.dst.Is4() }

// later reports whether the packet is a fragment without a transport header.
func (p *probe) later() bool {
	if p.v4() {
		return p.frag&0x1fff != 0
	}
	return p.frag>>3 != 0
}

// state is what conntrack makes of the packet: nf_conntrack_proto_tcp.c and its
// siblings in the kernel's net/netfilter.
func (p *probe) state() uint64 {
	if p.flow != nil {
		if p.quote != nil {
			return stateRelated
		}
		return stateEstablished
	}
	switch p.proto {
	case tcp:
		return p.tcpState()
	case icmp:
		switch p.sport >> 8 {
		case 8, 13, 15, 17:
			return stateNew
		}
		return stateInvalid
	case icmp6:
		switch t := p.sport >> 8; {
		case t >= 130 && t <= 136, t == 143, t == 151, t == 152:
			return stateUntracked
		case t == 128, t == 139:
			return stateNew
		}
		return stateInvalid
	}
	return stateNew
}

// tcpState is the state of a segment of no connection (tcp_error and tcp_new).
func (p *probe) tcpState() uint64 {
	switch p.flags &^ (0x80 | 0x40 | 0x08) { // CWR, ECE, PSH
	case synBit, synBit | urgBit, ackBit, ackBit | urgBit:
		return stateNew
	}
	return stateInvalid
}

// model is the packet as package packet has it.
func (p *probe) model() packet.Packet {
	m := packet.Packet{Src: p.src, Dst: p.dst, In: p.in}.
		With(packet.Protocol, uint64(p.proto)).
		With(packet.State, p.state()).
		With(packet.Fragment, uint64(p.frag)).
		With(packet.Mark, 0).
		With(packet.TCPFlags, uint64(p.flags))
	th := p.transport()
	m = m.With(packet.SrcPort, uint64(binary.BigEndian.Uint16(th))).
		With(packet.DstPort, uint64(binary.BigEndian.Uint16(th[2:])))
	if p.proto == icmp || p.proto == icmp6 {
		m = m.WithExtra("@th byte 4", 8, th[4:5]).WithExtra("@th byte 5", 8, th[5:6])
	}
	if p.flow == nil && p.proto == gre { // version 0 has no key
		m = m.WithExtra("ct original proto-src", 16, be16(0)).WithExtra("ct original proto-dst", 16, be16(0))
	}
	if p.flow != nil {
		m = p.flow.model(m, p.reply != (p.quote != nil))
	}
	length := len(th)
	link := p.frame(p.to)[:14]
	m = m.WithExtra("meta pkttype", 8, []byte{0}). // PACKET_HOST
							WithExtra("link header present", 1, []byte{1}).
							WithExtra("link header", 112, link).
							WithExtra("bridge netfilter", 1, []byte{0})
	whole := 20 + length
	if !p.v4() {
		length += len(p.extension())
		whole = 40 + length
	}
	m = m.WithExtra("meta length", 32, be32(uint32(whole)))
	if p.v4() {
		return m.WithExtra("ip id", 16, be16(uint16(p.id))).
			WithExtra("ip ttl", 8, []byte{p.ttl}).
			WithExtra("ip tos", 8, []byte{p.tos}).
			WithExtra("ip hdrlength", 4, []byte{5}).
			WithExtra("ip length", 16, be16(uint16(20+length)))
	}
	if p.extended {
		m = m.WithExtra("ip6 extension headers", 1, []byte{1}).WithExtra("ip6 nexthdr", 8, []byte{p.ext})
	} else {
		m = m.WithExtra("ip6 extension headers", 1, []byte{0})
	}
	return m.WithExtra("ip6 flowlabel", 20, be32(p.id)[1:]).
		WithExtra("ip6 hoplimit", 8, []byte{p.ttl}).
		WithExtra("ip6 tclass", 8, []byte{p.tos}).
		WithExtra("ip6 length", 16, be16(uint16(length)))
}

// model adds what a packet of the connection is known by.
func (u *tuple) model(m packet.Packet, reply bool) packet.Packet {
	direction := []byte{0}
	if reply {
		direction[0] = 1
	}
	width := u.src.BitLen()
	return m.With(packet.CtMark, uint64(u.mark)).With(packet.Status, ctStatus).
		WithExtra("ct direction", 1, direction).
		WithExtra("ct original saddr", width, u.src.AsSlice()).WithExtra("ct original daddr", width, u.dst.AsSlice()).
		WithExtra("ct reply saddr", width, u.dst.AsSlice()).WithExtra("ct reply daddr", width, u.src.AsSlice()).
		WithExtra("ct original proto-src", 16, be16(u.sport)).WithExtra("ct original proto-dst", 16, be16(u.dport))
}

// frame is the packet on the wire, to be sent to the MAC address given.
func (p *probe) frame(to [6]byte) []byte {
	b := append(to[:len(to):len(to)], p.mac[:]...)
	if p.v4() {
		return append(append(b, 0x08, 0x00), p.datagram()...)
	}
	return append(append(b, 0x86, 0xdd), p.datagram()...)
}

// datagram is the packet from its IP header on.
func (p *probe) datagram() []byte {
	th := p.transport()
	if p.v4() {
		b := []byte{0x45, p.tos}
		b = append(b, be16(uint16(20+len(th)))...)
		b = append(b, be16(uint16(p.id))...)
		b = append(b, be16(p.frag)...)
		b = append(b, p.ttl, p.proto, 0, 0)
		b = append(append(b, p.src.AsSlice()...), p.dst.AsSlice()...)
		binary.BigEndian.PutUint16(b[10:], checksum(0, b))
		return append(b, th...)
	}
	ext := p.extension()
	first := p.proto
	if p.extended {
		first = p.ext
	}
	b := be32(6<<28 | uint32(p.tos)<<20 | p.id)
	b = append(b, be16(uint16(len(ext)+len(th)))...)
	b = append(b, first, p.ttl)
	b = append(append(b, p.src.AsSlice()...), p.dst.AsSlice()...)
	return append(append(b, ext...), th...)
}

// extension is the extension header of an IPv6 packet that has one.
func (p *probe) extension() []byte {
	switch {
	case !p.extended:
		return nil
	case p.ext == 44:
		return append([]byte{p.proto, 0}, append(be16(p.frag), 0, 0, 0, 9)...)
	}
	return []byte{p.proto, 0, 1, 4, 0, 0, 0, 0} // PadN
}

// transport is the packet from its transport header on, with the right checksum.
func (p *probe) transport() []byte {
	b := append(be16(p.sport), be16(p.dport)...)
	sum := -1 // where the checksum stands
	switch p.proto {
	case tcp:
		b = append(b, 0, 0, 0x10, 1, 0, 0, 0x20, 2, 5<<4, p.flags, 0x40, 0, 0, 0, 0, 0)
		sum = 16
	case udp:
		b = append(append(b, be16(uint16(8+p.size))...), 0, 0)
		sum = 6
	case icmp:
		b = append(be16(p.sport), 0, 0, 0, 0, 0, 1)
		binary.BigEndian.PutUint16(b[4:], p.dport)
		sum = 2
	case icmp6:
		b = append(be16(p.sport), 0, 0, 0, 0, 0, 1)
		binary.BigEndian.PutUint16(b[4:], p.dport)
		sum = 2
	case sctp:
		return p.sctpInit(b)
	case gre: // version 0, no key; NAT wants eight bytes (gre_manip_pkt)
		b = []byte{0, 0, 0x08, 0, 0, 0, 0, 0}
	default: // esp: spi and sequence number
		b = append(b, 0, 0, 0, 1)
	}
	if p.quote != nil {
		clear(b[4:])
		b = append(b, p.quote.datagram()...)
	}
	for i := range p.size {
		b = append(b, byte(i))
	}
	if sum >= 0 {
		c := checksum(p.pseudo(len(b)), b)
		if c == 0 && p.proto == udp {
			c = 0xffff
		}
		binary.BigEndian.PutUint16(b[sum:], c)
	}
	return b
}

// sctpInit is a packet with an INIT chunk, which begins an association.
func (p *probe) sctpInit(ports []byte) []byte {
	b := append(ports, make([]byte, 8)...)
	b = append(b, 1, 0, 0, 20, 0, 0, 0, 7, 0, 0, 0x20, 0, 0, 1, 0, 1, 0, 0, 0, 9)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// pseudo is the sum over the pseudo header of RFC 793 and RFC 8200.
func (p *probe) pseudo(length int) uint32 {
	if p.proto == icmp {
		return 0
	}
	sum := uint32(p.proto) + uint32(length)
	for _, a := range []netip.Addr{p.src, p.dst} {
		b := a.AsSlice()
		for i := 0; i < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
	}
	return sum
}

// checksum is the internet checksum (RFC 1071).
func checksum(sum uint32, b []byte) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
