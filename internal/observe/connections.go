package observe

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// Bounds of what a snapshot holds of connections.
const (
	maxConnections = 500_000
	maxInbound     = 2000
	maxSample      = 5
)

// stateSynSent is TCP_SYN_SENT of tcp_states.h. Of the other states those count
// in which a socket still belongs to a process: not TIME-WAIT, not SYN-RECV.
const (
	stateSynSent = 2
	openStates   = 1<<stateEstablished | 1<<stateSynSent | 1<<4 | 1<<5 | 1<<8 | 1<<9 | 1<<11
)

// connection is one TCP connection of the host.
type connection struct {
	local, peer netip.AddrPort
	opening     bool
	uid         uint32
	inode       uint64
}

// decodeConnection decodes one answer of sock_diag.
func decodeConnection(b []byte) (connection, error) {
	if len(b) < 72 || b[0] != afInet && b[0] != afInet6 {
		return connection{}, fmt.Errorf("tcp connection: %w", errShort)
	}
	return connection{
		local: unmapped(diagAddr(b[0], b[8:], b[4:])), peer: unmapped(diagAddr(b[0], b[24:], b[6:])),
		opening: b[1] == stateSynSent, uid: u32(b[64:]), inode: uint64(u32(b[68:])),
	}, nil
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// procConnections reads the connections of a net directory of /proc.
func procConnections(f rootfs.FS, dir string) ([]connection, error) {
	var out []connection
	for family, name := range map[int]string{4: "/tcp", 6: "/tcp6"} {
		data, err := f.Proc(dir + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		number := 0
		for line := range bytes.Lines(data) {
			if number++; number == 1 {
				continue
			}
			c, ok, err := parseConnection(family, line)
			if err != nil {
				return nil, fmt.Errorf("/%s%s: line %d: %w", dir, name, number, err)
			}
			if ok && len(out) < maxConnections {
				out = append(out, c)
			}
		}
	}
	return out, nil
}

// parseConnection reads one line of /proc/net/tcp, false for a socket that is no
// open connection.
func parseConnection(family int, line []byte) (c connection, ok bool, err error) {
	f := bytes.Fields(line)
	if len(f) < 10 {
		return c, false, fmt.Errorf("%d fields, expected at least 10", len(f))
	}
	state, err := strconv.ParseUint(string(f[3]), 16, 8)
	if err != nil || state > 31 {
		return c, false, fmt.Errorf("state %q", f[3])
	}
	if openStates&(1<<state) == 0 {
		return c, false, nil
	}
	if c.local, err = parseHexAddr(family, f[1]); err != nil {
		return c, false, err
	}
	if c.peer, err = parseHexAddr(family, f[2]); err != nil {
		return c, false, err
	}
	uid, err := strconv.ParseUint(string(f[7]), 10, 32)
	if err != nil {
		return c, false, fmt.Errorf("uid %q", f[7])
	}
	if c.inode, err = strconv.ParseUint(string(f[9]), 10, 64); err != nil {
		return c, false, fmt.Errorf("inode %q", f[9])
	}
	c.local, c.peer, c.uid, c.opening = unmapped(c.local), unmapped(c.peer), uint32(uid), state == stateSynSent
	return c, true, nil
}

// tally sorts connections into those that came in and those that went out, which
// it counts by process and port.
func tally(s *host.Snapshot, list []connection, byInode map[uint64][]int) (truncated bool) {
	listening := map[uint16]bool{}
	for _, k := range s.Sockets {
		if k.Proto == "tcp" {
			listening[k.Local.Port()] = true
		}
	}
	own := ownAddresses(s)
	groups := map[outKey]*outGroup{}
	for _, c := range list {
		pids := byInode[c.inode]
		if listening[c.local.Port()] && !c.opening {
			if len(s.Inbound) == maxInbound {
				truncated = true
				continue
			}
			s.Inbound = append(s.Inbound, host.Inbound{Local: c.local, Peer: c.peer, Owners: pids})
			continue
		}
		addOutbound(groups, "tcp", c, pids, own)
	}
	for _, k := range s.Sockets {
		if k.Proto == "udp" && k.Connected() {
			c := connection{local: unmapped(k.Local), peer: unmapped(k.Peer), uid: k.UID, inode: k.Inode}
			addOutbound(groups, "udp", c, k.Owners, own)
		}
	}
	for _, g := range groups {
		s.Outbound = append(s.Outbound, g.result())
	}
	slices.SortFunc(s.Outbound, func(a, b host.Outbound) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Port, b.Port), cmp.Compare(a.PID, b.PID), cmp.Compare(a.UID, b.UID))
	})
	slices.SortFunc(s.Inbound, func(a, b host.Inbound) int {
		return cmp.Or(a.Local.Compare(b.Local), a.Peer.Compare(b.Peer))
	})
	return truncated
}

func ownAddresses(s *host.Snapshot) map[netip.Addr]bool {
	own := map[netip.Addr]bool{}
	for _, i := range s.Interfaces {
		for _, a := range i.Addresses {
			own[a.Prefix.Addr()] = true
		}
	}
	return own
}

type outKey struct {
	proto string
	port  uint16
	pid   int
	uid   uint32
}

// outGroup counts the connections of one process to one port.
type outGroup struct {
	host.Outbound
	peers    map[netip.Addr]bool
	networks map[netip.Prefix]bool
}

func addOutbound(groups map[outKey]*outGroup, proto string, c connection, pids []int, own map[netip.Addr]bool) {
	key := outKey{proto: proto, port: c.peer.Port(), uid: c.uid}
	if len(pids) > 0 {
		key.pid = pids[0]
	}
	g := groups[key]
	if g == nil {
		g = &outGroup{
			Outbound: host.Outbound{Proto: proto, Port: key.port, PID: key.pid, UID: key.uid, Local: true},
			peers:    map[netip.Addr]bool{}, networks: map[netip.Prefix]bool{},
		}
		groups[key] = g
	}
	g.Connections++
	if c.opening {
		g.Opening++
	}
	addr := c.peer.Addr().WithZone("")
	g.peers[addr] = true
	bits := 24
	if addr.Is6() {
		bits = 48
	}
	if p, err := addr.Prefix(bits); err == nil {
		g.networks[p] = true
	}
	g.Local = g.Local && (addr.IsLoopback() || own[addr])
}

func (g *outGroup) result() host.Outbound {
	g.Peers, g.Networks = len(g.peers), len(g.networks)
	all := make([]netip.Addr, 0, len(g.peers))
	for a := range g.peers {
		all = append(all, a)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	g.Sample = all[:min(len(all), maxSample)]
	return g.Outbound
}
