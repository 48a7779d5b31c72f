package firewall

import "net/netip"

// Facts are what the evaluation has to know about the host beside its rules.
// The zero value stands for an unknown host: every answer that depends on it is
// then left open.
type Facts struct {
	// Known is true where the rest was observed.
	Known bool
	// Interfaces are all interfaces of the network namespace.
	Interfaces []HostInterface
	// Named are further interface names that packets may carry: those that a
	// question mentions and that neither the host nor a rule has.
	Named []string
	// Local, Broadcast, Anycast and Multicast are the addresses to which
	// routing gives that type (`ip route show table local`).
	Local, Broadcast, Anycast, Multicast []netip.Prefix
	// Routes are the unicast and unreachable routes by which the kernel would
	// send, of every table that its rules consult without condition.
	Routes []Route
	// RoutesPartial says why Routes do not tell everything (policy routing), ""
	// if they do.
	RoutesPartial string
	// Forward4 and Forward6 are net.ipv4.ip_forward and
	// net.ipv6.conf.all.forwarding.
	Forward4, Forward6 bool
	// RouteLocalnet are the interfaces that take packets to 127.0.0.0/8 from
	// outside (net.ipv4.conf.NAME.route_localnet, or all).
	RouteLocalnet []string
	// NoTCPLoose is true where net.netfilter.nf_conntrack_tcp_loose is 0.
	NoTCPLoose bool
}

// HostInterface is one interface of the host.
type HostInterface struct {
	Index int
	Name  string
	// Addresses are its addresses with their prefix lengths.
	Addresses []netip.Prefix
	// Loopback is IFF_LOOPBACK.
	Loopback bool
	// Master is the bridge, bond, team or VRF that it belongs to, "" for none.
	Master string
	// Parent is the device below a vlan, macvlan or ipvlan, "" for none.
	Parent string
	// Bridge and VRF say whether the interface itself is one.
	Bridge, VRF bool
}

// Route is one route of the host.
type Route struct {
	Dst netip.Prefix
	// Interface it leaves by; "" for a route that refuses.
	Interface string
	// Refuse is true for unreachable, blackhole, prohibit and throw routes.
	Refuse bool
	Metric uint32
}
