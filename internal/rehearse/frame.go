package rehearse

import (
	"encoding/binary"
	"net/netip"
)

// TCP flags.
const (
	flagSYN = 0x02
	flagACK = 0x10
)

// frame builds the Ethernet frame of a probe, with right checksums: connection
// tracking takes a wrong one for invalid. Tag is the identification of an IPv4
// packet, or the flow label of an IPv6 one. Flags are those of TCP.
func frame(p Probe, to [6]byte, tag uint16, flags byte) []byte {
	body := transport(p, flags)
	b := append([]byte{}, to[:]...)
	b = append(b, 2, 0, 0, 0, 0, 1) // a locally administered address
	if p.Src.Is4() {
		b = binary.BigEndian.AppendUint16(b, 0x0800)
		ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, p.Protocol, 0, 0}
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(body)))
		binary.BigEndian.PutUint16(ip[4:], tag)
		ip = append(append(ip, p.Src.AsSlice()...), p.Dst.AsSlice()...)
		binary.BigEndian.PutUint16(ip[10:], checksum(ip))
		return append(append(b, ip...), body...)
	}
	b = binary.BigEndian.AppendUint16(b, 0x86dd)
	b = binary.BigEndian.AppendUint32(b, 6<<28|uint32(tag))
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	hops := byte(64)
	if p.Protocol == icmpv6 {
		hops = 255 // neighbour discovery asks for it (RFC 4861 section 7.1)
	}
	b = append(b, p.Protocol, hops)
	return append(append(append(b, p.Src.AsSlice()...), p.Dst.AsSlice()...), body...)
}

// transport builds what follows the IP header.
func transport(p Probe, flags byte) []byte {
	var b []byte
	at := 0 // of the checksum
	switch p.Protocol {
	case tcp:
		b = binary.BigEndian.AppendUint16(b, p.SrcPort)
		b = binary.BigEndian.AppendUint16(b, p.DstPort)
		b = binary.BigEndian.AppendUint32(b, 1000)
		ack := uint32(0)
		if flags&flagACK != 0 {
			ack = 1
		}
		b = binary.BigEndian.AppendUint32(b, ack)
		b = append(b, 5<<4, flags, 0xff, 0xff, 0, 0, 0, 0)
		at = 16
	case udp:
		b = binary.BigEndian.AppendUint16(b, p.SrcPort)
		b = binary.BigEndian.AppendUint16(b, p.DstPort)
		b = append(b, 0, 8+4, 0, 0, 't', 'e', 's', 't')
		at = 6
	default: // ICMP
		b = binary.BigEndian.AppendUint16(b, p.SrcPort)
		b = append(b, 0, 0, 0, 1, 0, 1)
		if p.Protocol == icmpv6 && p.SrcPort>>8 >= 133 {
			// Neighbour discovery: four bytes, an address, without options.
			b = append(b[:4], 0, 0, 0, 0)
			b = append(b, p.Dst.AsSlice()...)
		}
		at = 2
	}
	sum := b
	if p.Protocol != icmp {
		sum = append(pseudo(p.Src, p.Dst, p.Protocol, len(b)), b...)
	}
	c := checksum(sum)
	if c == 0 && p.Protocol == udp {
		c = 0xffff // zero means that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(b[at:], c)
	return b
}

// pseudo is the header that the checksum covers as well (RFC 793, RFC 8200).
func pseudo(src, dst netip.Addr, protocol byte, length int) []byte {
	b := append(src.AsSlice(), dst.AsSlice()...)
	if src.Is4() {
		return append(b, 0, protocol, byte(length>>8), byte(length))
	}
	return append(b, 0, 0, byte(length>>8), byte(length), 0, 0, 0, protocol)
}

// checksum is the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i, c := range b {
		if i%2 == 0 {
			sum += uint32(c) << 8
		} else {
			sum += uint32(c)
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
