//go:build linux

package referee

import (
	"fmt"
	"strings"
)

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
