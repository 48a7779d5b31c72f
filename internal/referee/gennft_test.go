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

// verdict ends a rule.
func (t *nftTable) verdict() string {
	var m []string
	if len(t.below) > 0 {
		m = append(m, "jump "+t.one(t.below...), "jump "+t.one(t.below...), "goto "+t.one(t.below...))
	}
	if (t.hook == "input" || t.hook == "forward") && !t.nat {
		m = append(m, t.one("reject", "reject with tcp reset", "reject"))
	}
	m = append(m, "accept", "accept", "drop", "drop", "return", "continue")
	return t.one(m...)
}

// verdictMap is a rule that looks its verdict up.
func (t *nftTable) verdictMap() string {
	v6 := t.v6()
	pair := func(keys []string) string {
		for i := range keys {
			keys[i] += " : " + t.plainVerdict()
		}
		return braces(keys)
	}
	if t.family == "netdev" {
		return "tcp dport vmap " + pair(t.disjointPorts())
	}
	switch t.r.IntN(8) {
	case 0:
		return "iifname vmap " + pair([]string{`"h0"`, `"h1"`}[:1+t.r.IntN(2)])
	case 1:
		return "ct state vmap " + pair([]string{"established", "related", "invalid", "new"}[t.r.IntN(3):])
	case 2:
		return ipWord(v6) + " saddr vmap " + pair(t.disjointNets(v6))
	case 3:
		return "meta l4proto vmap " + pair(t.some(3, func() string { return t.one("tcp", "udp", "icmp", "50") }))
	case 4:
		keys := t.some(3, func() string { return t.net(v6) + " . " + t.one("22", "80-90", "443", "1000-2000") })
		return ipWord(v6) + " saddr . tcp dport vmap " + pair(keys)
	case 5:
		return "meta mark vmap " + pair(t.some(3, func() string { return t.one("0", "1", "2", "0x10-0x1f") }))
	case 6:
		t.named++
		name := fmt.Sprintf("s%d", t.named)
		keys := t.some(4, func() string { return t.one("tcp", "udp") + " . " + t.singlePort() })
		fmt.Fprintf(&t.sets, "\tmap %s {\n\t\ttype inet_proto . inet_service : verdict\n\t\telements = %s\n\t}\n", name, pair(keys))
		return "meta l4proto . th dport vmap @" + name
	}
	keys := t.disjointPorts()
	if t.chance(30) {
		keys = append(keys, "*")
	}
	return "tcp dport vmap " + pair(keys)
}

func (t *nftTable) plainVerdict() string {
	m := []string{"accept", "drop", "drop", "continue", "return"}
	if len(t.below) > 0 {
		m = append(m, "jump "+t.one(t.below...), "goto "+t.one(t.below...))
	}
	return t.one(m...)
}

// change is a statement that sets something.
func (t *nftTable) change() string {
	if t.family == "netdev" {
		return t.one("counter", "meta mark set "+t.mark())
	}
	m := []string{
		"meta mark set " + t.mark(), "meta mark set " + t.mark(), "meta mark set meta mark or 0x10", "meta mark set meta mark and 0xfffffffd",
		"meta mark set meta mark and 0xf0 xor 0x3", "meta mark set ct mark", "ct mark set meta mark", "ct mark set " + t.mark(), "ct mark set ct mark or 0x2",
		"meta mark set tcp dport map { 22 : 1, 80 : 2, 1000-2000 : 3 }", `meta mark set iifname map { "h0" : 1, "h1" : 2 }`,
		"meta mark set ct mark and 0x1", "counter", `log prefix "x"`,
	}
	if t.raw {
		m = append(m, "notrack", "notrack", "notrack")
	}
	if t.open && t.chance(30) {
		t.used = true
		m = append(m, "add @dyn { ip saddr }", "update @dyn { ip saddr limit rate 5/second }")
	}
	return t.one(m...)
}

// nat is a translation with the matches that it needs.
func (t *nftTable) translation() string {
	v6 := t.v6()
	guard := ipWord(v6) + t.one(" saddr ", " daddr ") + t.net(v6) + " "
	if t.family != "inet" && t.chance(50) || t.chance(20) {
		guard = `iifname "` + t.one(devices...) + `" `
	}
	to := "to "
	if t.family == "inet" {
		to = ipWord(v6) + " to "
	}
	addr := t.hostAddr(v6)
	bracket := addr
	if v6 {
		bracket = "[" + addr + "]"
	}
	ports := t.one("tcp", "udp") + " dport " + t.one("22", "80", "443", "1000-2000", "{ 22, 8080 }")
	if t.hook == "prerouting" {
		m := []string{
			guard + "dnat " + to + addr, ports + " dnat " + to + addr, ports + " dnat " + to + bracket + ":" + t.singlePort(),
			guard + ports + " dnat " + to + bracket + ":" + t.singlePort(), ports + " redirect to :" + t.singlePort(), guard + ports + " redirect",
			guard + ports + " redirect to :" + t.singlePort(), "redirect",
		}
		if t.family == "inet" {
			m = m[:len(m)-1]
		}
		if !v6 {
			a, b := t.hostAddr(false), t.hostAddr(false)
			of := ""
			if t.family == "inet" {
				of = "ip "
			}
			m = append(m, "dnat "+of+"to tcp dport map { 22 : "+a+", 80 : "+b+" }",
				"dnat ip addr . port to tcp dport map { 22 : "+a+" . 80, 8080 : "+b+" . 443 }",
				ports+" dnat "+of+"to 203.0.113.16-203.0.113.19", "ip daddr 198.51.100.0/25 dnat ip prefix to ip daddr map { 198.51.100.0/25 : 203.0.113.0/25 }")
		}
		rule := t.one(m...)
		t.used = t.used || strings.Contains(rule, "203.0.113.16-") // which one, who knows
		return rule
	}
	m := []string{guard + "snat " + to + addr, guard + "masquerade", `oifname "h1" masquerade`, ports + " masquerade to :10000-20000"}
	if t.hook == "input" {
		m = m[:1]
	}
	return t.one(m...)
}

func (t *nftTable) rule() string {
	t.six = 0
	if t.nat && t.chance(50) && t.hook != "" {
		return t.translation()
	}
	if t.chance(15) {
		pre := ""
		if t.chance(30) {
			pre = t.match() + " "
		}
		post := ""
		if t.chance(20) { // met by those that go on, and by nobody else
			post = " " + t.verdict()
		}
		return pre + t.verdictMap() + post
	}
	var parts []string
	for range t.r.IntN(3) {
		parts = append(parts, t.match())
	}
	if len(parts) == 0 && t.chance(80) {
		parts = append(parts, t.match())
	}
	if !t.nat && t.chance(30) {
		parts = append(parts, t.change())
		if t.chance(20) {
			parts = append(parts, t.match())
		}
	}
	if t.chance(10) {
		parts = append(parts, "counter")
	}
	if t.chance(70) || len(parts) == 0 {
		parts = append(parts, t.verdict())
	}
	s := strings.Join(parts, " ")
	if t.chance(5) {
		s += ` comment "a comment"`
	}
	return s
}

// chain writes a chain with up to n rules; head is "" for one that is only
// jumped to.
func (t *nftTable) chain(name, head string, n int) {
	fmt.Fprintf(&t.b, "\tchain %s {\n", name)
	if head != "" {
		fmt.Fprintf(&t.b, "\t\t%s\n", head)
	}
	if t.nat && t.hook != "" { // without a translation, nothing makes the kernel track connections
		t.six = 0
		fmt.Fprintf(&t.b, "\t\t%s\n", t.translation())
	}
	for range n {
		fmt.Fprintf(&t.b, "\t\t%s\n", t.rule())
	}
	t.b.WriteString("\t}\n")
}

// users writes the chains that base chains jump to, the deepest first.
func (t *nftTable) users() {
	t.below = nil
	for i := range t.r.IntN(4) {
		name := fmt.Sprintf("u%d", i)
		t.chain(name, "", 1+t.r.IntN(4))
		t.below = append(t.below, name)
	}
}

func (t *nftTable) base(name, kind, hook string, priorities ...string) {
	t.hook = hook
	prio := t.one(priorities...)
	t.raw = hook == "prerouting" && kind == "filter" && prio < "-2" && strings.HasPrefix(prio, "-3")
	policy := t.one("accept", "accept", "drop")
	if hook != "input" && hook != "forward" {
		policy = t.one("accept", "accept", "accept", "accept", "accept", "drop")
	}
	if kind == "nat" {
		policy = "accept"
	}
	t.chain(name, fmt.Sprintf("type %s hook %s priority %s; policy %s;", kind, hook, prio, policy), 1+t.r.IntN(6))
	t.hook, t.raw = "", false
}

func (t *nftTable) String() string {
	dyn := ""
	if strings.Contains(t.b.String(), "@dyn") {
		dyn = "\tset dyn {\n\t\ttype ipv4_addr\n\t\tsize 65535\n\t\tflags dynamic,timeout\n\t\ttimeout 1m\n\t}\n"
	}
	return fmt.Sprintf("table %s %s {\n%s%s%s}\n", t.family, t.name, dyn, t.sets.String(), t.b.String())
}

// filterTable has chains at prerouting, input and forward.
func (g *gen) filterTable(name string) string {
	t := &nftTable{gen: g, family: g.one("inet", "inet", "ip", "ip6"), name: name}
	t.users()
	if g.chance(35) {
		t.base("pre", "filter", "prerouting", "-300", "-150", "-350", "-310", "0", "-10")
	}
	if g.chance(80) {
		t.base("in", "filter", "input", "0", "0", "-150", "10", "-10", "100")
	}
	if g.chance(60) {
		t.base("forw", "filter", "forward", "0", "0", "-150", "10", "-10")
	}
	if g.chance(20) {
		t.base("in2", "filter", "input", "0", "5", "-5", "50")
	}
	if t.family == "inet" && g.chance(10) {
		t.hook = "ingress"
		fmt.Fprintf(&t.b, "\tchain ing {\n\t\ttype filter hook ingress device \"h0\" priority 0; policy accept;\n")
		t.b.WriteString("\t\t" + t.address() + " drop\n\t\t" + t.transport() + " " + t.one("drop", "meta mark set 1") + "\n\t}\n")
	}
	return t.String()
}

func (g *gen) postTable(name string) string {
	t := &nftTable{gen: g, family: g.one("inet", "ip", "ip6"), name: name}
	t.users()
	t.base("post", "filter", "postrouting", "-150", "0", "200")
	g.used = g.used || strings.Contains(t.b.String(), "priority 200") // sees what snat chose
	return t.String()
}

func (g *gen) natTable(name string) string {
	t := &nftTable{gen: g, family: g.one("inet", "ip", "ip6"), name: name, nat: true}
	t.users()
	t.base("pre", "nat", "prerouting", "-100", "-100", "-90")
	if g.chance(50) {
		t.base("post", "nat", "postrouting", "100", "100", "110")
	}
	if g.chance(10) {
		t.base("in", "nat", "input", "100")
	}
	return t.String()
}

func (g *gen) netdevTable(name string) string {
	t := &nftTable{gen: g, family: "netdev", name: name}
	t.users()
	t.hook = "ingress"
	for i, on := range [][]string{{`device "h0"`, `device "h1"`, `devices = { "h0", "h1" }`}}[0] {
		if g.chance(40) {
			t.chain(fmt.Sprintf("ing%d", i), fmt.Sprintf("type filter hook ingress %s priority %s; policy accept;", on, g.one("0", "-500", "10")), 1+g.r.IntN(3))
		}
	}
	return t.String()
}

// nft writes a random ruleset for nft.
func (g *gen) nft() string {
	var out []string
	for i := range 1 + g.r.IntN(2) {
		out = append(out, g.filterTable(fmt.Sprintf("f%d", i)))
	}
	if g.chance(25) {
		out = append(out, g.postTable("p"))
	}
	if !g.stateless && g.chance(40) {
		out = append(out, g.natTable("n0"))
	}
	if !g.stateless && g.chance(10) {
		out = append(out, g.natTable("n1"))
	}
	if g.chance(20) {
		out = append(out, g.netdevTable("d"))
	}
	g.r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return strings.Join(out, "")
}
