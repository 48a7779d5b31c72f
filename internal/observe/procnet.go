package observe

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// procSockets reads all tables of sockets below a net directory of /proc.
func procSockets(f rootfs.FS, dir string) (sockets []host.Socket, unseen []host.Unseen) {
	for _, proto := range []string{"tcp", "udp", "udplite", "sctp", "raw"} {
		s, err := procTable(f, dir, proto)
		if err != nil {
			unseen = append(unseen, host.Unseen{Section: host.SectionSockets, Reason: fmt.Sprintf("%s sockets: %v", proto, err)})
		}
		sockets = append(sockets, s...)
	}
	slices.SortFunc(sockets, compareSockets)
	return sockets, unseen
}

// procTable reads the sockets of one protocol, of both families. A table that is
// not there is a protocol or a family that the kernel does not have, except for
// the tables that every kernel with networking has.
func procTable(f rootfs.FS, dir, proto string) ([]host.Socket, error) {
	if proto == "sctp" {
		data, err := f.Proc(dir + "/sctp/eps")
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return parseSCTP(data)
	}
	var out []host.Socket
	for _, family := range []int{4, 6} {
		name := dir + "/" + proto
		if family == 6 {
			name += "6"
		}
		data, err := f.Proc(name)
		if errors.Is(err, fs.ErrNotExist) && (family == 6 || proto == "udplite") {
			continue
		}
		if err != nil {
			return nil, err
		}
		s, err := parseSocketTable(proto, family, data)
		if err != nil {
			return nil, fmt.Errorf("/%s: %w", name, err)
		}
		out = append(out, s...)
	}
	return out, nil
}

// parseSocketTable reads the text of /proc/net/tcp and its siblings (proc(5)):
// a heading, then one socket a line. Only sockets that take packets from anyone
// or, connected UDP and raw ones, from one peer are given.
func parseSocketTable(proto string, family int, data []byte) ([]host.Socket, error) {
	var out []host.Socket
	number := 0
	for line := range bytes.Lines(data) {
		if number++; number == 1 {
			continue
		}
		s, ok, err := parseSocketLine(proto, family, line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if ok {
			out = append(out, s)
		}
	}
	return out, nil
}

func parseSocketLine(proto string, family int, line []byte) (s host.Socket, ok bool, err error) {
	// sl local remote st tx:rx tr:when retransmits uid timeout inode …
	var buf [16][]byte
	f := buf[:0]
	for field := range bytes.FieldsSeq(line) {
		if f = append(f, field); len(f) == 10 {
			break
		}
	}
	if len(f) < 10 {
		return s, false, fmt.Errorf("%d fields, expected at least 10", len(f))
	}
	state, err := strconv.ParseUint(string(f[3]), 16, 8)
	if err != nil {
		return s, false, fmt.Errorf("state %q", f[3])
	}
	if proto == "tcp" && state != stateListen || proto != "tcp" && state != stateClose && state != stateEstablished {
		return s, false, nil
	}
	s.Proto, s.Family = proto, family
	if s.Local, err = parseHexAddr(family, f[1]); err != nil {
		return s, false, err
	}
	peer, err := parseHexAddr(family, f[2])
	if err != nil {
		return s, false, err
	}
	if peer.Port() != 0 || !peer.Addr().IsUnspecified() {
		s.Peer = peer
	}
	uid, err := strconv.ParseUint(string(f[7]), 10, 32)
	if err != nil {
		return s, false, fmt.Errorf("uid %q", f[7])
	}
	s.UID = uint32(uid)
	if s.Inode, err = strconv.ParseUint(string(f[9]), 10, 64); err != nil {
		return s, false, fmt.Errorf("inode %q", f[9])
	}
	s.Takes4, s.Takes6, s.V6OnlyUnknown = takes(s, false, false)
	return s, true, nil
}

// parseHexAddr reads ADDRESS:PORT in hexadecimal. The address is 32-bit words in
// the byte order of the machine, the port a number.
func parseHexAddr(family int, b []byte) (netip.AddrPort, error) {
	bad := func() (netip.AddrPort, error) { return netip.AddrPort{}, fmt.Errorf("address %q", b) }
	h, p, found := bytes.Cut(b, []byte(":"))
	size := 4
	if family == 6 {
		size = 16
	}
	if !found || len(h) != 2*size {
		return bad()
	}
	var raw [16]byte
	if _, err := hex.Decode(raw[:size], h); err != nil {
		return bad()
	}
	for i := 0; i < size; i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	port, err := strconv.ParseUint(string(p), 16, 16)
	if err != nil {
		return bad()
	}
	return netip.AddrPortFrom(addr(raw[:size]), uint16(port)), nil
}

// parseSCTP reads the text of /proc/net/sctp/eps: ENDPT SOCK STY SST HBKT LPORT
// UID INODE LADDRS. An endpoint of a one-to-many socket accepts associations
// once it listens (SST 10); all are given, because a closed one is rare.
func parseSCTP(data []byte) ([]host.Socket, error) {
	var out []host.Socket
	number := 0
	for line := range bytes.Lines(data) {
		if number++; number == 1 {
			continue
		}
		f := bytes.Fields(line)
		if len(f) < 8 {
			return nil, fmt.Errorf("line %d: %d fields, expected at least 8", number, len(f))
		}
		port, err1 := strconv.ParseUint(string(f[5]), 10, 16)
		uid, err2 := strconv.ParseUint(string(f[6]), 10, 32)
		inode, err3 := strconv.ParseUint(string(f[7]), 10, 64)
		if err := cmp.Or(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		for _, a := range f[8:] {
			local, err := netip.ParseAddr(string(a))
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			s := host.Socket{Proto: "sctp", Family: 4, Local: netip.AddrPortFrom(local, uint16(port)), UID: uint32(uid), Inode: inode}
			if local.Is6() {
				s.Family = 6
			}
			s.Takes4, s.Takes6, s.V6OnlyUnknown = takes(s, false, false)
			out = append(out, s)
		}
	}
	return out, nil
}

// procPackets reads /proc/net/packet.
func procPackets(f rootfs.FS, dir string) ([]host.PacketSocket, error) {
	data, err := f.Proc(dir + "/packet")
	if err != nil {
		return nil, err
	}
	return parsePackets(data)
}

// parsePackets reads the text of /proc/net/packet: sk RefCnt Type Proto Iface R
// Rmem User Inode.
func parsePackets(data []byte) ([]host.PacketSocket, error) {
	var out []host.PacketSocket
	number := 0
	for line := range bytes.Lines(data) {
		if number++; number == 1 {
			continue
		}
		f := bytes.Fields(line)
		if len(f) < 9 {
			return nil, fmt.Errorf("line %d: %d fields, expected 9", number, len(f))
		}
		typ, err1 := strconv.ParseUint(string(f[2]), 10, 8)
		ether, err2 := strconv.ParseUint(string(f[3]), 16, 16)
		index, err3 := strconv.ParseUint(string(f[4]), 10, 31)
		uid, err4 := strconv.ParseUint(string(f[7]), 10, 32)
		inode, err5 := strconv.ParseUint(string(f[8]), 10, 64)
		if err := cmp.Or(err1, err2, err3, err4, err5); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		out = append(out, host.PacketSocket{
			Type: packetType(uint8(typ)), EtherType: uint16(ether), Interface: int(index), UID: uint32(uid), Inode: inode,
		})
	}
	slices.SortFunc(out, comparePackets)
	return out, nil
}

func comparePackets(a, b host.PacketSocket) int {
	return cmp.Or(cmp.Compare(a.Interface, b.Interface), cmp.Compare(a.EtherType, b.EtherType), cmp.Compare(a.Inode, b.Inode))
}
