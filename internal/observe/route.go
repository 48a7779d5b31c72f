package observe

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"sekimori/internal/host"
)

// Numbers of rtnetlink(7), linux/if_link.h, if_addr.h, rtnetlink.h,
// fib_rules.h and neighbour.h that the decoders below need. They are the same
// on every architecture.
const (
	iflaAddress, iflaIfname, iflaMTU, iflaLink, iflaMaster = 1, 3, 4, 5, 10
	iflaLinkinfo, iflaLinkNetnsid, iflaXDP                 = 18, 37, 43
	iflaInfoKind                                           = 1
	iflaAfSpec, iflaInetConf, iflaInet6Conf                = 26, 1, 2
	iflaXDPAttached, iflaXDPProgID                         = 2, 4
	iflaXDPDrvID, iflaXDPSkbID, iflaXDPHwID                = 5, 6, 7

	iffUp, iffLoopback, iffRunning = 0x1, 0x8, 0x40

	ifaAddress, ifaLocal, ifaFlags = 1, 2, 8

	rtaDst, rtaSrc, rtaOif, rtaGateway, rtaPriority = 1, 2, 4, 5, 6
	rtaPrefsrc, rtaMultipath, rtaTable, rtaVia      = 7, 9, 15, 18

	fraDst, fraSrc, fraIifname, fraGoto, fraPriority     = 1, 2, 3, 4, 6
	fraFwmark, fraSuppressPrefixlen, fraTable, fraFwmask = 10, 14, 15, 16
	fraOifname, fraPad, fraProtocol                      = 17, 18, 21

	ndaDst, ndaLladdr = 1, 2

	afInet, afInet6 = 2, 10
)

// link is what a RTM_NEWLINK message says, XDP programs included.
type link struct {
	host.Interface
	xdp []uint32 // ids of attached programs, 0 where the kernel hides it
	// conf4 and conf6 are the interface's parameters as arrays of 32-bit numbers.
	conf4, conf6 []byte
}

// decodeLink decodes a RTM_NEWLINK message: struct ifinfomsg and attributes.
func decodeLink(b []byte) (link, error) {
	var l link
	if len(b) < 16 {
		return l, fmt.Errorf("link: %w", errShort)
	}
	if err := checkAttrs(b[16:]); err != nil {
		return l, fmt.Errorf("link: %w", err)
	}
	flags := u32(b[8:])
	l.Index = int(int32(u32(b[4:])))
	l.Link = linkLayer(u16(b[2:]))
	l.Up, l.Loopback, l.Running = flags&iffUp != 0, flags&iffLoopback != 0, flags&iffRunning != 0
	for typ, v := range attrs(b[16:]) {
		switch typ {
		case iflaIfname:
			l.Name = text(v)
		case iflaMTU:
			l.MTU = int(u32(v))
		case iflaAddress:
			l.MAC = mac(v)
		case iflaLink:
			l.Peer = int(u32(v))
		case iflaLinkNetnsid:
			l.PeerElsewhere = true
		case iflaMaster:
			l.Master = int(u32(v))
		case iflaLinkinfo:
			for t, w := range attrs(v) {
				if t == iflaInfoKind {
					l.Kind = text(w)
				}
			}
		case iflaXDP:
			l.xdp = decodeXDP(v)
		case iflaAfSpec:
			l.conf4, l.conf6 = decodeConf(v)
		}
	}
	return l, nil
}

// decodeConf finds IFLA_INET_CONF and IFLA_INET6_CONF within IFLA_AF_SPEC.
func decodeConf(b []byte) (conf4, conf6 []byte) {
	for family, v := range attrs(b) {
		for typ, w := range attrs(v) {
			switch {
			case family == afInet && typ == iflaInetConf:
				conf4 = slices.Clone(w)
			case family == afInet6 && typ == iflaInet6Conf:
				conf6 = slices.Clone(w)
			}
		}
	}
	return conf4, conf6
}

func decodeXDP(b []byte) []uint32 {
	var ids []uint32
	attached := false
	for typ, v := range attrs(b) {
		switch typ {
		case iflaXDPAttached:
			attached = u8(v) != 0
		case iflaXDPProgID, iflaXDPDrvID, iflaXDPSkbID, iflaXDPHwID:
			if id := u32(v); id != 0 && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	if attached && len(ids) == 0 {
		ids = []uint32{0}
	}
	return ids
}

func linkLayer(arphrd uint16) string {
	switch arphrd {
	case 1:
		return "ether"
	case 772:
		return "loopback"
	case 65534:
		return "none"
	}
	return "arphrd " + strconv.Itoa(int(arphrd))
}

// mac writes a hardware address; the zero address of a loopback is none.
func mac(b []byte) string {
	if slices.Max(append([]byte{0}, b...)) == 0 {
		return ""
	}
	return net.HardwareAddr(b).String()
}

// decodeAddress decodes a RTM_NEWADDR message: struct ifaddrmsg and attributes.
func decodeAddress(b []byte) (index int, a host.Address, err error) {
	if len(b) < 8 {
		return 0, a, fmt.Errorf("address: %w", errShort)
	}
	if err := checkAttrs(b[8:]); err != nil {
		return 0, a, fmt.Errorf("address: %w", err)
	}
	var local, other netip.Addr
	flags := uint32(b[2])
	for typ, v := range attrs(b[8:]) {
		switch typ {
		case ifaAddress:
			other = addr(v)
		case ifaLocal:
			local = addr(v)
		case ifaFlags:
			flags = u32(v)
		}
	}
	// On a point-to-point link IFA_LOCAL is ours and IFA_ADDRESS the other end;
	// elsewhere IPv6 sends IFA_ADDRESS alone.
	if !local.IsValid() {
		local = other
	} else if other != local {
		a.Peer = other
	}
	a.Prefix = netip.PrefixFrom(local, int(b[1]))
	if !a.Prefix.IsValid() {
		return 0, a, fmt.Errorf("address: family %d with %s/%d", b[0], local, b[1])
	}
	a.Scope = scope(b[3])
	for _, f := range [...]struct {
		bit  uint32
		name string
	}{{0x01, "secondary"}, {0x08, "dadfailed"}, {0x20, "deprecated"}, {0x40, "tentative"}} {
		if flags&f.bit == 0 {
			continue
		}
		// IFA_F_SECONDARY and IFA_F_TEMPORARY are the same bit.
		if f.bit == 0x01 && b[0] == afInet6 {
			f.name = "temporary"
		}
		a.Flags = append(a.Flags, f.name)
	}
	if flags&0x80 == 0 {
		a.Flags = append(a.Flags, "dynamic")
	}
	return int(u32(b[4:])), a, nil
}

func scope(n uint8) string {
	switch n {
	case 0:
		return "global"
	case 200:
		return "site"
	case 253:
		return "link"
	case 254:
		return "host"
	case 255:
		return "nowhere"
	}
	return strconv.Itoa(int(n))
}

// decodeRoute decodes a RTM_NEWROUTE message: struct rtmsg and attributes. ok
// is false for what is no route of a table: an entry of the cache, or of
// another family than IPv4 and IPv6 (multicast routing).
func decodeRoute(b []byte) (r host.Route, ok bool, err error) {
	if len(b) < 12 {
		return r, false, fmt.Errorf("route: %w", errShort)
	}
	if err := checkAttrs(b[12:]); err != nil {
		return r, false, fmt.Errorf("route: %w", err)
	}
	const cloned = 0x200 // RTM_F_CLONED
	family, flags := b[0], u32(b[8:])
	if family != afInet && family != afInet6 || flags&cloned != 0 {
		return r, false, nil
	}
	zero := unspecified(family)
	r.Family, r.TOS, r.Table, r.Protocol = familyNumber(family), b[3], uint32(b[4]), b[5]
	r.Scope, r.Type = scope(b[6]), routeType(b[7])
	dst, src := zero, netip.Addr{}
	if b[2] != 0 {
		src = zero
	}
	hop := host.Hop{Down: flags&0x11 != 0} // RTNH_F_DEAD, RTNH_F_LINKDOWN
	for typ, v := range attrs(b[12:]) {
		switch typ {
		case rtaDst:
			dst = addr(v)
		case rtaSrc:
			src = addr(v)
		case rtaOif:
			hop.Interface = int(u32(v))
		case rtaGateway:
			hop.Gateway = addr(v)
		case rtaVia:
			hop.Gateway = via(v)
		case rtaPriority:
			r.Metric = u32(v)
		case rtaPrefsrc:
			r.PrefSrc = addr(v)
		case rtaTable:
			r.Table = u32(v)
		case rtaMultipath:
			if r.Hops, err = decodeHops(v); err != nil {
				return r, false, err
			}
		}
	}
	r.Dst = netip.PrefixFrom(dst, int(b[1]))
	if src.IsValid() {
		r.Src = netip.PrefixFrom(src, int(b[2]))
	}
	if !r.Dst.IsValid() || src.IsValid() && !r.Src.IsValid() {
		return r, false, fmt.Errorf("route: family %d to %s/%d from %s/%d", family, dst, b[1], src, b[2])
	}
	if len(r.Hops) == 0 && (hop.Interface != 0 || hop.Gateway.IsValid()) {
		r.Hops = []host.Hop{hop}
	}
	return r, true, nil
}

// decodeHops decodes RTA_MULTIPATH: struct rtnexthop and attributes each.
func decodeHops(b []byte) ([]host.Hop, error) {
	var hops []host.Hop
	for len(b) > 0 {
		n := int(u16(b))
		if n < 8 || n > len(b) {
			return nil, fmt.Errorf("route: next hop: %w", errShort)
		}
		h := host.Hop{Interface: int(u32(b[4:])), Weight: int(b[3]) + 1, Down: b[2]&0x11 != 0}
		for typ, v := range attrs(b[8:n]) {
			switch typ {
			case rtaGateway:
				h.Gateway = addr(v)
			case rtaVia:
				h.Gateway = via(v)
			}
		}
		hops = append(hops, h)
		b = b[min((n+3)&^3, len(b)):]
	}
	return hops, nil
}

// via reads struct rtvia: a gateway of the other family.
func via(b []byte) netip.Addr {
	if len(b) < 2 {
		return netip.Addr{}
	}
	return addr(b[2:])
}

func unspecified(family uint8) netip.Addr {
	if family == afInet {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func familyNumber(family uint8) int {
	if family == afInet {
		return 4
	}
	return 6
}

func routeType(n uint8) string {
	names := [...]string{
		"unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw", "nat",
	}
	if int(n) < len(names) {
		return names[n]
	}
	return strconv.Itoa(int(n))
}

// compareRoutes orders routes as a table is read: by family, table and
// destination.
func compareRoutes(a, b host.Route) int {
	return cmp.Or(
		cmp.Compare(a.Family, b.Family), cmp.Compare(a.Table, b.Table), a.Dst.Compare(b.Dst), a.Src.Compare(b.Src),
		cmp.Compare(a.TOS, b.TOS), cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Type, b.Type), cmp.Compare(firstHop(a), firstHop(b)),
	)
}

func firstHop(r host.Route) int {
	if len(r.Hops) == 0 {
		return 0
	}
	return r.Hops[0].Interface
}
