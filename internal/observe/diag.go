package observe

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"

	"sekimori/internal/host"
)

// Numbers of linux/inet_diag.h, packet_diag.h and tcp_states.h.
const (
	inetDiagV6Only, inetDiagLocals, inetDiagMark, inetDiagCgroupID = 11, 12, 15, 21

	packetDiagInfo, packetDiagUID = 0, 5

	stateEstablished, stateClose, stateListen = 1, 7, 10

	protoTCP, protoUDP, protoSCTP, protoUDPLite, protoRaw = 6, 17, 132, 136, 255
)

// inetDiagRequest builds struct inet_diag_req_v2: all sockets of a family and
// protocol in one of the given states.
func inetDiagRequest(family, protocol uint8, states uint32) []byte {
	b := make([]byte, 56)
	b[0], b[1] = family, protocol
	binary.NativeEndian.PutUint32(b[4:], states)
	return b
}

// decodeInetDiag decodes one answer: struct inet_diag_msg and attributes. An
// SCTP endpoint bound to several addresses gives several sockets.
func decodeInetDiag(proto string, b []byte) ([]host.Socket, error) {
	if len(b) < 72 {
		return nil, fmt.Errorf("%s socket: %w", proto, errShort)
	}
	if err := checkAttrs(b[72:]); err != nil {
		return nil, fmt.Errorf("%s socket: %w", proto, err)
	}
	if b[0] != afInet && b[0] != afInet6 {
		return nil, fmt.Errorf("%s socket: family %d", proto, b[0])
	}
	s := host.Socket{
		Proto:     proto,
		Family:    familyNumber(b[0]),
		Local:     diagAddr(b[0], b[8:], b[4:]),
		Interface: int(u32(b[40:])),
		UID:       u32(b[64:]),
		Inode:     uint64(u32(b[68:])),
	}
	peer := diagAddr(b[0], b[24:], b[6:])
	if peer.Port() != 0 || !peer.Addr().IsUnspecified() {
		s.Peer = peer
	}
	only, known := false, false
	locals := []netip.AddrPort{s.Local}
	for typ, v := range attrs(b[72:]) {
		switch typ {
		case inetDiagV6Only:
			only, known = u8(v) != 0, true
		case inetDiagMark:
			s.Mark = u32(v)
		case inetDiagCgroupID:
			s.CgroupID = u64(v)
		case inetDiagLocals:
			if l := diagLocals(v, s.Local.Port()); len(l) > 0 {
				locals = l
			}
		}
	}
	var out []host.Socket
	for _, l := range locals {
		s.Local = l
		s.Takes4, s.Takes6, s.V6OnlyUnknown = takes(s, only, known)
		out = append(out, s)
	}
	return out, nil
}

func diagAddr(family uint8, a, port []byte) netip.AddrPort {
	if family == afInet {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a)), binary.BigEndian.Uint16(port))
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(a)), binary.BigEndian.Uint16(port))
}

// diagLocals reads INET_DIAG_LOCALS: an array of struct sockaddr_storage.
func diagLocals(b []byte, port uint16) []netip.AddrPort {
	var out []netip.AddrPort
	for ; len(b) >= 128; b = b[128:] {
		switch u16(b) {
		case afInet:
			out = append(out, netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:])), port))
		case afInet6:
			out = append(out, netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:])), port))
		}
	}
	return out
}

// takes says which IP versions reach a socket. only and known are its
// IPV6_V6ONLY. A connected socket takes those of its peer; a raw one takes its
// own family's.
func takes(s host.Socket, only, known bool) (four, six, unknown bool) {
	local := s.Local.Addr()
	switch {
	case s.Family == 4, local.Is4(), local.Is4In6():
		return true, false, false
	case s.Proto == "raw" || !local.IsUnspecified():
		return false, true, false
	case s.Peer.IsValid():
		return s.Peer.Addr().Is4In6(), !s.Peer.Addr().Is4In6(), false
	}
	return !only, true, !known
}

// packetDiagRequest builds struct packet_diag_req with PACKET_SHOW_INFO.
func packetDiagRequest() []byte {
	b := make([]byte, 20)
	b[0] = 17 // AF_PACKET
	binary.NativeEndian.PutUint32(b[8:], 1)
	return b
}

// decodePacketDiag decodes struct packet_diag_msg and attributes.
func decodePacketDiag(b []byte) (host.PacketSocket, error) {
	if len(b) < 16 {
		return host.PacketSocket{}, fmt.Errorf("packet socket: %w", errShort)
	}
	if err := checkAttrs(b[16:]); err != nil {
		return host.PacketSocket{}, fmt.Errorf("packet socket: %w", err)
	}
	s := host.PacketSocket{Type: packetType(b[1]), EtherType: u16(b[2:]), Inode: uint64(u32(b[4:]))}
	for typ, v := range attrs(b[16:]) {
		switch typ {
		case packetDiagInfo:
			s.Interface = int(u32(v))
		case packetDiagUID:
			s.UID = u32(v)
		}
	}
	return s, nil
}

func packetType(n uint8) string {
	if n == 3 {
		return "raw"
	}
	return "dgram"
}

// compareSockets orders sockets by protocol, port and address.
func compareSockets(a, b host.Socket) int {
	return cmp.Or(
		cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Local.Port(), b.Local.Port()), a.Local.Compare(b.Local), cmp.Compare(a.Family, b.Family),
		cmp.Compare(a.Interface, b.Interface), a.Peer.Compare(b.Peer), cmp.Compare(a.Inode, b.Inode),
	)
}
