//go:build linux

package referee

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// The constants of random rulesets: few enough that rules meet each other.
var (
	nets4 = strings.Fields(`192.0.2.0/24 192.0.2.64/26 192.0.2.17 192.0.2.1 198.51.100.0/25 198.51.100.1 198.51.100.33
		203.0.113.0/24 203.0.113.128/28 203.0.113.7 10.0.0.0/8 10.1.2.0/23 172.16.0.0/12 8.8.8.8 0.0.0.0/1`)
	nets6 = strings.Fields(`2001:db8:1::/64 2001:db8:1::40/122 2001:db8:1::11 2001:db8:1::1 2001:db8:2::/65 2001:db8:2::1
		2001:db8:f::/48 2001:db8:f:8::/61 2001:db8:f::7 2001:db8::/32 2001:4860::8888 2000::/3`)
	portList = []string{"22", "25", "53", "80", "443", "8080", "1000-2000", "1024-65535", "5000", "5000-5003", "0-1023"}
	devices  = []string{"h0", "h1"}
)

// gen writes random rules.
type gen struct {
	r    *rand.Rand
	open bool // conditions without a fixed answer are allowed
	used bool // and there is one
	// stateless leaves out what makes the kernel track connections, and thus put
	// fragments together before rules see them.
	stateless bool
}

func (g *gen) one(from ...string) string { return from[g.r.IntN(len(from))] }

func (g *gen) chance(percent int) bool { return g.r.IntN(100) < percent }

func (g *gen) some(n int, f func() string) []string {
	seen := map[string]bool{}
	var out []string
	for range 1 + g.r.IntN(n) {
		if s := f(); !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

func (g *gen) net(v6 bool) string {
	if v6 {
		return g.one(nets6...)
	}
	return g.one(nets4...)
}

// hostAddr is a single address, often one of the host's.
func (g *gen) hostAddr(v6 bool) string {
	if v6 {
		return g.one("2001:db8:1::1", "2001:db8:2::1", "2001:db8:2::33", "2001:db8:f::7", "2001:db8:1::44")
	}
	return g.one("192.0.2.1", "198.51.100.1", "198.51.100.33", "203.0.113.7", "192.0.2.44")
}

func (g *gen) singlePort() string { return g.one("22", "25", "53", "80", "443", "8080", "5000") }

func (g *gen) mark() string { return g.one("0", "1", "2", "3", "0x10", "0x12", "0xff", "0x80000001") }

func braces(items []string) string { return "{ " + strings.Join(items, ", ") + " }" }

// nftTable is a table being written.
type nftTable struct {
	*gen
	family string // inet, ip, ip6, netdev
	name   string
	sets   strings.Builder
	named  int
	nat    bool
	b      strings.Builder
	// while a chain is written:
	hook  string // of the base chains that lead here
	raw   bool   // notrack makes sense
	below []string
	six   int // the address family that a rule has chosen: 0 none yet, 1 IPv4, 2 IPv6
}

func (t *nftTable) v6() bool {
	switch t.family {
	case "ip":
		return false
	case "ip6":
		return true
	}
	if t.six == 0 {
		t.six = 1
		if t.chance(45) {
			t.six = 2
		}
	}
	return t.six == 2
}

func ipWord(v6 bool) string {
	if v6 {
		return "ip6"
	}
	return "ip"
}

// set is an anonymous or named set of keys.
func (t *nftTable) set(typeof, flags string, items []string) string {
	if t.chance(60) {
		return braces(items)
	}
	t.named++
	name := fmt.Sprintf("s%d", t.named)
	fmt.Fprintf(&t.sets, "\tset %s {\n\t\ttype %s\n", name, typeof)
	if flags != "" {
		fmt.Fprintf(&t.sets, "\t\tflags %s\n", flags)
		if flags == "interval" {
			t.sets.WriteString("\t\tauto-merge\n")
		}
	}
	fmt.Fprintf(&t.sets, "\t\telements = %s\n\t}\n", braces(items))
	return "@" + name
}

func (t *nftTable) not() string { return t.one("", "", "", "!= ") }

func (t *nftTable) addrSet(v6 bool) string {
	typeof := "ipv4_addr"
	if v6 {
		typeof = "ipv6_addr"
	}
	items := t.disjointNets(v6)
	return t.set(typeof, "interval", items)
}

// disjointNets are networks none of which holds another.
func (t *nftTable) disjointNets(v6 bool) []string {
	if v6 {
		return t.some(4, func() string {
			return t.one("2001:db8:1::40/122", "2001:db8:1::11", "2001:db8:2::/65", "2001:db8:f:8::/61", "2001:4860::8888", "2001:db8:f::5-2001:db8:f::25")
		})
	}
	return t.some(4, func() string {
		return t.one("192.0.2.64/26", "192.0.2.17", "198.51.100.0/25", "203.0.113.128/28", "10.0.0.0/8", "203.0.113.5-203.0.113.25")
	})
}

func (t *nftTable) disjointPorts() []string {
	return t.some(4, func() string { return t.one("22", "25", "53", "80", "443", "1000-2000", "5000", "8080-8090") })
}

func (t *nftTable) ports() string {
	switch t.r.IntN(4) {
	case 0:
		return t.not() + t.set("inet_service", "interval", t.disjointPorts())
	case 1:
		return t.one("< ", "> ", "<= ", ">= ") + t.one("1024", "80", "5000")
	}
	return t.not() + t.one(portList...)
}

func (t *nftTable) address() string {
	v6 := t.v6()
	field := ipWord(v6) + t.one(" saddr ", " daddr ", " saddr ")
	switch t.r.IntN(5) {
	case 0, 1:
		return field + t.not() + t.addrSet(v6)
	case 2:
		if !v6 {
			return field + "& 255.255.0.255 " + t.one("== ", "!= ") + "192.0.0.17"
		}
	}
	return field + t.not() + t.net(v6)
}

func (t *nftTable) transport() string {
	switch t.r.IntN(8) {
	case 0:
		return "udp dport " + t.ports()
	case 1:
		return "tcp sport " + t.ports()
	case 2:
		return t.one("meta l4proto { tcp, udp } ", "meta l4proto tcp ", "") + "th dport " + t.ports()
	case 3:
		return "meta l4proto " + t.one("tcp", "udp", "!= tcp", "{ tcp, udp }", "!= { tcp, udp, icmp }", "50", "{ icmp, ipv6-icmp }", "132")
	case 4:
		if t.v6() {
			return "ip6 nexthdr " + t.one("tcp", "udp", "ipv6-icmp", "!= tcp")
		}
		return "ip protocol " + t.one("tcp", "udp", "icmp", "!= tcp", "{ tcp, icmp }")
	case 5:
		return t.one("sctp dport ", "udp sport ", "th sport ") + t.one(portList...)
	}
	return "tcp dport " + t.ports()
}

func (t *nftTable) flags() string {
	return t.one(
		"tcp flags syn", "tcp flags & (fin|syn|rst|ack) == syn", "tcp flags { syn, ack }", "tcp flags != syn",
		"tcp flags & (syn|ack) == syn", "tcp flags & (fin|syn) == fin|syn", "tcp flags syn,ack", "tcp flags == 0x0",
		"tcp flags ! fin,rst", "tcp flags { syn, syn|ack }", "tcp flags & (fin|syn|rst|psh|ack|urg) == 0x0",
		"tcp flags syn / fin,syn,rst,ack", "tcp flags != { ack, syn }",
	)
}

func (t *nftTable) conntrack() string {
	m := []string{
		"ct state new", "ct state established,related", "ct state { established, related }", "ct state invalid",
		"ct state != new", "ct state untracked", "ct state { new, untracked }", "ct state new,invalid", "ct state != { established, related }",
		"ct mark " + t.not() + t.mark(), "ct mark & 0x3 == 1", "ct mark { 1, 3 }", "ct mark 1-2",
		"ct status dnat", "ct status assured", "ct direction original", "ct direction reply", "ct status != dnat", "ct status & confirmed == confirmed",
		"ct status snat",
	}
	if v6 := t.v6(); true {
		m = append(m, fmt.Sprintf("ct original %s daddr %s", ipWord(v6), t.net(v6)), fmt.Sprintf("ct original %s saddr %s", ipWord(v6), t.net(v6)))
	}
	return t.one(m...)
}

func (t *nftTable) interfaces() string {
	m := []string{`iifname "h0"`, `iifname != "h0"`, `iifname "h*"`, `iifname { "h0", "lo" }`, `iifname "h1"`, `iif "h1"`, `iif != "h0"`, `iifname "eth0"`}
	if t.hook == "forward" || t.hook == "postrouting" || t.chance(10) && t.hook != "ingress" {
		m = append(m, `oifname "h0"`, `oifname != "h1"`, `oif "h1"`, `oifname { "h1", "lo" }`, `iifname . oifname { "h0" . "h1", "h1" . "h1" }`, `oifname "h*"`)
	}
	return t.one(m...)
}

func (t *nftTable) metaMark() string {
	return t.one("meta mark "+t.not()+t.mark(), "meta mark & 0xf == 0x2", "meta mark & 0x10 != 0", "meta mark 1-10", "meta mark { 1, 3, 0x10-0x20 }", "meta mark > 2")
}

func (t *nftTable) header() string {
	if t.v6() {
		return t.one("ip6 hoplimit < 64", "ip6 hoplimit { 1, 64 }", "ip6 dscp cs1", "ip6 dscp { cs0, cs2 }", "ip6 length > 40", "meta nfproto ipv6",
			"icmpv6 type { nd-neighbor-solicit, echo-request }", "icmpv6 type echo-request", "icmpv6 type != echo-request",
			"icmpv6 type { 1, 2, 3, 4, 128-136 }", "icmpv6 code 1", "meta protocol ip6", "icmpv6 type . icmpv6 code { 1 . 4, 128 . 0 }")
	}
	return t.one("ip ttl < 64", "ip ttl 10-70", "ip ttl != 64", "ip dscp cs1", "ip dscp != { cs0, cs2 }", "ip length 20-60", "ip frag-off & 0x4000 != 0",
		"meta nfproto ipv4", "icmp type echo-request", "icmp type { echo-reply, destination-unreachable, time-exceeded }", "icmp type != echo-request",
		"icmp code 3", "meta protocol ip", "@th,16,16 80", "@nh,96,8 10", "ip hdrlength 5", "icmp type . icmp code { 3 . 3, 8 . 0 }", "@th,0,8 { 0, 200-255 }")
}

// concat is a look-up of several keys at once.
func (t *nftTable) concat() string {
	v6 := t.v6()
	ip := ipWord(v6)
	typeof := map[bool]string{false: "ipv4_addr", true: "ipv6_addr"}[v6]
	switch t.r.IntN(4) {
	case 0:
		items := t.some(4, func() string { return t.hostAddr(v6) + " . " + t.singlePort() })
		return ip + t.one(" daddr", " saddr") + " . tcp dport " + t.not() + t.set(typeof+" . inet_service", "", items)
	case 1:
		items := t.some(3, func() string { return t.net(v6) + " . " + t.one("22", "80-90", "443", "1000-2000") })
		return ip + " saddr . tcp dport " + t.not() + braces(items)
	case 2:
		items := t.some(4, func() string { return t.one("tcp", "udp") + " . " + t.singlePort() })
		return "meta l4proto . th dport " + t.not() + t.set("inet_proto . inet_service", "", items)
	}
	items := t.some(3, func() string { return `"` + t.one(devices...) + `" . ` + t.net(v6) })
	return "iifname . " + ip + " saddr " + braces(items)
}

func (t *nftTable) fib() string {
	if t.hook == "postrouting" || t.hook == "ingress" {
		return "meta pkttype host"
	}
	m := []string{"fib daddr type local", "fib daddr type != local", "fib saddr type unicast", "fib daddr type { local, broadcast }", "fib daddr type multicast"}
	if t.hook != "forward" {
		m = append(m, "fib daddr . iif type local", "fib saddr . iif oif 0", "fib saddr oif missing", "fib saddr . iif oif exists")
	}
	return t.one(m...)
}

func (t *nftTable) varying() string {
	t.used = true
	return t.one("limit rate 100/second", "limit rate over 10/second", "numgen random mod 2 0", "numgen inc mod 3 1")
}

func (t *nftTable) match() string {
	if t.family == "netdev" {
		switch t.r.IntN(5) {
		case 0:
			return t.transport()
		case 1:
			return t.flags()
		case 2:
			return t.header()
		case 3:
			return t.metaMark()
		}
		return t.address()
	}
	if t.open && t.chance(4) {
		return t.varying()
	}
	switch k := t.r.IntN(20); {
	case k < 5:
		return t.transport()
	case k < 8:
		return t.address()
	case k < 9:
		return t.flags()
	case k < 12:
		return t.conntrack()
	case k < 14:
		return t.interfaces()
	case k < 15:
		return t.metaMark()
	case k < 17:
		return t.header()
	case k < 19:
		return t.concat()
	}
	return t.fib()
}
