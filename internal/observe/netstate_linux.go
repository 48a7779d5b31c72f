package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// maxRoutes bounds what a router with a full table makes a snapshot hold.
const maxRoutes = 200_000

// netstate is what rtnetlink and sock_diag say about a network namespace.
type netstate struct {
	links      []link
	addresses  map[int][]host.Address
	routes     []host.Route
	rules      []host.RouteRule
	neighbours []host.Neighbour
	unseen     []host.Unseen
}

func (n *netstate) note(section string, err error) {
	n.unseen = append(n.unseen, host.Unseen{Section: section, Reason: reason(err)})
}

// readNetstate reads links, addresses, routes, rules and neighbours of the
// calling thread's network namespace.
func readNetstate(ctx context.Context) *netstate {
	n := &netstate{}
	nl, err := dialNetlink(unix.NETLINK_ROUTE)
	if err != nil {
		for _, section := range []string{host.SectionInterfaces, host.SectionRoutes, host.SectionNeighbours} {
			n.note(section, err)
		}
		return n
	}
	defer nl.close()
	for _, part := range []struct {
		section, what string
		read          func(context.Context, *netlink) error
	}{
		{host.SectionInterfaces, "list interfaces", n.readLinks},
		{host.SectionInterfaces, "list addresses", n.readAddresses},
		{host.SectionRoutes, "list routes", n.readRoutes},
		{host.SectionRoutes, "list rules", n.readRules},
		{host.SectionNeighbours, "list neighbours", n.readNeighbours},
	} {
		if err := steady(ctx, func() error { return part.read(ctx, nl) }); err != nil {
			n.note(part.section, fmt.Errorf("%s: %w", part.what, err))
		}
	}
	return n
}

func (n *netstate) readLinks(ctx context.Context, nl *netlink) error {
	n.links = nil
	request := make([]byte, 16)
	const extMask, skipStats = 29, 1 << 3 // IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS
	request = appendAttr(request, extMask, []byte{skipStats, 0, 0, 0})
	err := nl.dump(ctx, unix.RTM_GETLINK, request, func(_ uint16, b []byte) error {
		l, err := decodeLink(b)
		n.links = append(n.links, l)
		return err
	})
	slices.SortFunc(n.links, func(a, b link) int { return a.Index - b.Index })
	return err
}

func (n *netstate) readAddresses(ctx context.Context, nl *netlink) error {
	n.addresses = map[int][]host.Address{}
	return nl.dump(ctx, unix.RTM_GETADDR, make([]byte, 8), func(_ uint16, b []byte) error {
		if len(b) > 0 && b[0] != afInet && b[0] != afInet6 {
			return nil
		}
		index, a, err := decodeAddress(b)
		n.addresses[index] = append(n.addresses[index], a)
		return err
	})
}

func (n *netstate) readRoutes(ctx context.Context, nl *netlink) error {
	n.routes = nil
	full := fmt.Errorf("more than %d routes", maxRoutes)
	for _, family := range []byte{afInet, afInet6} {
		request := make([]byte, 12)
		request[0] = family
		err := nl.dump(ctx, unix.RTM_GETROUTE, request, func(_ uint16, b []byte) error {
			r, ok, err := decodeRoute(b)
			if err != nil || !ok {
				return err
			}
			if len(n.routes) == maxRoutes {
				return full
			}
			n.routes = append(n.routes, r)
			return nil
		})
		if err != nil && !noFamily(err) {
			return err
		}
	}
	slices.SortStableFunc(n.routes, compareRoutes)
	return nil
}

// noFamily reports whether a kernel answers that it has no such family or no
// policy routing at all.
func noFamily(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT)
}

func (n *netstate) readRules(ctx context.Context, nl *netlink) error {
	n.rules = nil
	for _, family := range []byte{afInet, afInet6} {
		request := make([]byte, 12)
		request[0] = family
		err := nl.dump(ctx, unix.RTM_GETRULE, request, func(_ uint16, b []byte) error {
			r, ok, err := decodeRule(b)
			if ok {
				n.rules = append(n.rules, r)
			}
			return err
		})
		if err != nil && !noFamily(err) {
			return err
		}
	}
	return nil
}

func (n *netstate) readNeighbours(ctx context.Context, nl *netlink) error {
	n.neighbours = nil
	err := nl.dump(ctx, unix.RTM_GETNEIGH, make([]byte, 12), func(_ uint16, b []byte) error {
		e, ok, err := decodeNeighbour(b)
		// The kernel keeps multicast and broadcast "neighbours" that are none.
		if ok && e.State != "noarp" {
			n.neighbours = append(n.neighbours, e)
		}
		return err
	})
	slices.SortFunc(n.neighbours, func(a, b host.Neighbour) int {
		if a.Interface != b.Interface {
			return a.Interface - b.Interface
		}
		return a.Addr.Compare(b.Addr)
	})
	return err
}

// readSockets reads the internet and packet sockets of the calling thread's
// network namespace by sock_diag, and by /proc/net what that does not have.
func readSockets(ctx context.Context, f rootfs.FS) (sockets []host.Socket, packets []host.PacketSocket, unseen []host.Unseen) {
	note := func(err error) {
		unseen = append(unseen, host.Unseen{Section: host.SectionSockets, Reason: reason(err)})
	}
	nl, err := dialNetlink(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		note(err)
		s, notes := procSockets(f, liveNet)
		return s, nil, append(unseen, notes...)
	}
	defer nl.close()
	protocols, err := readProtocols(f, liveNet)
	if err != nil {
		note(err)
	}
	for _, p := range diagProtocols() {
		if p.optional && !protocols.has(p.names...) {
			continue
		}
		found, err := diagSockets(ctx, nl, p)
		if err != nil {
			var perr error
			if found, perr = procTable(f, liveNet, p.proto); perr != nil {
				note(fmt.Errorf("%s sockets: sock_diag: %w; /proc/net: %w", p.proto, err, perr))
			}
		}
		sockets = append(sockets, found...)
	}
	for _, name := range protocols.unlisted() {
		note(fmt.Errorf("sockets of protocol %s are not listed", name))
	}
	slices.SortFunc(sockets, compareSockets)
	if f.Exists(liveNet + "/packet") {
		if packets, err = diagPackets(ctx, nl); err != nil {
			if packets, err = procPackets(f, liveNet); err != nil {
				note(fmt.Errorf("packet sockets: %w", err))
			}
		}
	}
	return sockets, packets, unseen
}

// liveNet is where /proc has the calling thread's network namespace.
const liveNet = "proc/thread-self/net"

// diagProtocol is a protocol to ask sock_diag for.
type diagProtocol struct {
	proto    string
	number   uint8
	states   uint32
	optional bool     // asked for only where one of names is registered
	names    []string // in /proc/net/protocols
}

func diagProtocols() []diagProtocol {
	const bound = 1<<stateClose | 1<<stateEstablished
	return []diagProtocol{
		{proto: "tcp", number: protoTCP, states: 1 << stateListen},
		{proto: "udp", number: protoUDP, states: bound},
		{proto: "udplite", number: protoUDPLite, states: bound, optional: true, names: []string{"UDP-Lite", "UDPLITEv6"}},
		{proto: "sctp", number: protoSCTP, states: 1 << stateListen, optional: true, names: []string{"SCTP", "SCTPv6"}},
		{proto: "raw", number: protoRaw, states: bound},
	}
}

func diagSockets(ctx context.Context, nl *netlink, p diagProtocol) ([]host.Socket, error) {
	var out []host.Socket
	for _, family := range []uint8{afInet, afInet6} {
		start := len(out)
		err := steady(ctx, func() error {
			out = out[:start]
			return nl.dump(ctx, unix.SOCK_DIAG_BY_FAMILY, inetDiagRequest(family, p.number, p.states), func(_ uint16, b []byte) error {
				s, err := decodeInetDiag(p.proto, b)
				out = append(out, s...)
				return err
			})
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func diagPackets(ctx context.Context, nl *netlink) ([]host.PacketSocket, error) {
	var out []host.PacketSocket
	err := steady(ctx, func() error {
		out = nil
		return nl.dump(ctx, unix.SOCK_DIAG_BY_FAMILY, packetDiagRequest(), func(_ uint16, b []byte) error {
			s, err := decodePacketDiag(b)
			out = append(out, s)
			return err
		})
	})
	slices.SortFunc(out, comparePackets)
	return out, err
}

// protocols is /proc/net/protocols: the number of sockets by protocol.
type protocols map[string]int

func readProtocols(f rootfs.FS, dir string) (protocols, error) {
	data, err := f.Proc(dir + "/protocols")
	if err != nil {
		return nil, fmt.Errorf("list protocols: %w", err)
	}
	out := protocols{}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] == "protocol" {
			continue
		}
		count := 0
		if _, err := fmt.Sscan(fields[2], &count); err != nil {
			count = 1 // unreadable is not none
		}
		out[fields[0]] += count
	}
	return out, nil
}

func (p protocols) has(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { _, ok := p[n]; return ok })
}

// unlisted names the protocols with sockets that can receive from the network
// and that are none of those listed here.
func (p protocols) unlisted() []string {
	var out []string
	for _, name := range []string{"DCCP", "DCCPv6", "L2TP/IP", "L2TP/IPv6", "SMC", "SMC6", "TIPC", "RDS", "CAN_RAW", "PHONET"} {
		if p[name] > 0 {
			out = append(out, name)
		}
	}
	return out
}
