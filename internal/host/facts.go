package host

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sekimori/internal/firewall"
)

// Facts gives the part of a snapshot that the meaning of a ruleset depends on.
// Known is false where interfaces or routes could not be read, so that nothing
// is concluded from what is missing.
func (s *Snapshot) Facts() firewall.Facts {
	f := firewall.Facts{
		Known:      !s.Misses(SectionInterfaces) && !s.Misses(SectionRoutes),
		Forward4:   s.forwards4(),
		Forward6:   s.Sysctls["net.ipv6.conf.all.forwarding"] != "0",
		NoTCPLoose: s.Sysctls["net.netfilter.nf_conntrack_tcp_loose"] == "0",
	}
	names := make(map[int]string, len(s.Interfaces))
	for _, i := range s.Interfaces {
		names[i.Index] = i.Name
	}
	for _, i := range s.Interfaces {
		h := firewall.HostInterface{
			Index: i.Index, Name: i.Name, Loopback: i.Loopback,
			Master: names[i.Master], Bridge: i.Kind == "bridge", VRF: i.Kind == "vrf",
		}
		if !i.PeerElsewhere && i.Kind != "veth" {
			h.Parent = names[i.Peer]
		}
		for _, a := range i.Addresses {
			h.Addresses = append(h.Addresses, a.Prefix)
			// A tentative IPv6 address has no local route yet, and is reachable in a
			// moment: it counts as the host's own already.
			f.Local = append(f.Local, netip.PrefixFrom(a.Prefix.Addr(), a.Prefix.Addr().BitLen()))
		}
		f.Interfaces = append(f.Interfaces, h)
		if s.routesLocalnet(i.Name) {
			f.RouteLocalnet = append(f.RouteLocalnet, i.Name)
		}
	}
	tables, partial := s.plainTables()
	f.RoutesPartial = partial
	f.Broadcast, f.Multicast = fixedBroadcast(), fixedMulticast()
	for _, r := range s.Routes {
		if tables[[2]uint32{uint32(r.Family), r.Table}] {
			addRoute(&f, r, names)
		}
	}
	unique(&f.Local)
	unique(&f.Broadcast)
	unique(&f.Anycast)
	unique(&f.Multicast)
	return f
}

// forwards4 reports whether IPv4 packets may be forwarded: by all interfaces, or by
// some (ip_route_input_slow asks the one they came by). What could not be read
// counts as yes.
func (s *Snapshot) forwards4() bool {
	return s.Sysctls["net.ipv4.ip_forward"] != "0" || slices.ContainsFunc(s.Interfaces, func(i Interface) bool {
		return i.Forwarding4 && !i.Loopback
	})
}

// routesLocalnet reports whether packets to 127.0.0.0/8 are taken from outside by
// an interface.
func (s *Snapshot) routesLocalnet(name string) bool {
	for _, n := range []string{"all", sysctlName(name)} {
		if v, known := s.Sysctls["net.ipv4.conf."+n+".route_localnet"]; known && v != "0" {
			return true
		}
	}
	return false
}

// sysctlName is an interface's name as part of a sysctl's, where a dot is a
// slash (sysctl(8)).
func sysctlName(iface string) string { return strings.ReplaceAll(iface, ".", "/") }

// fixedBroadcast and fixedMulticast are the addresses that have their type
// without a route: __inet_dev_addr_type in the kernel's net/ipv4/fib_frontend.c,
// and RFC 4291 section 2.7.
func fixedBroadcast() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/32"), netip.MustParsePrefix("255.255.255.255/32")}
}

func fixedMulticast() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("ff00::/8")}
}

func unique(list *[]netip.Prefix) {
	slices.SortFunc(*list, netip.Prefix.Compare)
	*list = slices.Compact(*list)
}

// Misses reports whether part of a section could not be read, or was not looked at.
func (s *Snapshot) Misses(section string) bool {
	if !s.Audited && slices.Contains(auditSections(), section) {
		return true
	}
	return slices.ContainsFunc(s.Unseen, func(u Unseen) bool { return u.Section == section })
}

// The tables that a kernel without policy routing consults, rtnetlink(7).
const (
	tableDefault = 253
	tableMain    = 254
	tableLocal   = 255
)

// plainTables are the routing tables that each packet's lookup goes through, by
// family, and why that is not the whole truth: rules with conditions, and tables
// that come before the usual ones, so that not the longest prefix of all decides.
func (s *Snapshot) plainTables() (tables map[[2]uint32]bool, partial string) {
	tables = map[[2]uint32]bool{{4, tableLocal}: true, {6, tableLocal}: true}
	seen := map[int]bool{}
	next := map[int]uint32{4: tableLocal, 6: tableLocal}
	for _, r := range s.Rules {
		seen[r.Family] = true
		if r.Action == "lookup" && r.plain() {
			tables[[2]uint32{uint32(r.Family), r.Table}] = true
			if tableDefault <= r.Table && r.Table <= next[r.Family] {
				next[r.Family] = r.Table
				continue
			}
		}
		if partial == "" {
			partial = "policy routing: " + r.String()
		}
	}
	for _, family := range []int{4, 6} {
		if !seen[family] {
			tables[[2]uint32{uint32(family), tableMain}] = true
			tables[[2]uint32{uint32(family), tableDefault}] = true
		}
	}
	return tables, partial
}

// plain reports whether a rule applies to each packet and takes each result.
func (r RouteRule) plain() bool {
	return !r.Invert && wide(r.Src) && wide(r.Dst) && r.IIF == "" && r.OIF == "" &&
		r.Mark == 0 && r.Mask == 0 && len(r.Other) == 0 && r.SuppressPrefix < 0
}

func wide(p netip.Prefix) bool { return !p.IsValid() || p.Bits() == 0 }

// String gives the rule in the manner of ip rule.
func (r RouteRule) String() string {
	b := fmt.Appendf(nil, "%d:", r.Priority)
	if r.Invert {
		b = append(b, " not"...)
	}
	if r.Src.IsValid() {
		b = fmt.Appendf(b, " from %s", r.Src)
	} else {
		b = append(b, " from all"...)
	}
	if r.Dst.IsValid() {
		b = fmt.Appendf(b, " to %s", r.Dst)
	}
	if r.Mark != 0 || r.Mask != 0 {
		b = fmt.Appendf(b, " fwmark %#x/%#x", r.Mark, r.Mask)
	}
	if r.IIF != "" {
		b = fmt.Appendf(b, " iif %s", r.IIF)
	}
	if r.OIF != "" {
		b = fmt.Appendf(b, " oif %s", r.OIF)
	}
	for _, o := range r.Other {
		b = fmt.Appendf(b, " %s", o)
	}
	b = fmt.Appendf(b, " %s", r.Action)
	switch r.Action {
	case "lookup":
		b = fmt.Appendf(b, " %d", r.Table)
	case "goto":
		b = fmt.Appendf(b, " %d", r.Goto)
	}
	if r.SuppressPrefix >= 0 {
		b = fmt.Appendf(b, " suppress_prefixlength %d", r.SuppressPrefix)
	}
	return string(b)
}

// addRoute sorts one route into the facts, unless its table is not consulted.
func addRoute(f *firewall.Facts, r Route, names map[int]string) {
	switch r.Type {
	case "local":
		f.Local = append(f.Local, r.Dst)
	case "broadcast":
		f.Broadcast = append(f.Broadcast, r.Dst)
	case "anycast":
		f.Anycast = append(f.Anycast, r.Dst)
	case "multicast":
		f.Multicast = append(f.Multicast, r.Dst)
	case "blackhole", "unreachable", "prohibit", "throw":
		f.Routes = append(f.Routes, firewall.Route{Dst: r.Dst, Refuse: true, Metric: r.Metric})
	case "unicast":
		if len(r.Hops) == 0 {
			f.RoutesPartial = cmp.Or(f.RoutesPartial, fmt.Sprintf("route %s leaves by a next hop that is not known", r.Dst))
		}
		for _, h := range r.Hops {
			if names[h.Interface] == "" {
				f.RoutesPartial = cmp.Or(f.RoutesPartial, fmt.Sprintf("route %s leaves by an unknown interface", r.Dst))
				continue
			}
			f.Routes = append(f.Routes, firewall.Route{Dst: r.Dst, Interface: names[h.Interface], Metric: r.Metric})
		}
	default:
		f.RoutesPartial = cmp.Or(f.RoutesPartial, fmt.Sprintf("route %s has type %s", r.Dst, r.Type))
	}
}
