//go:build linux

package referee

import (
	"fmt"
	"strings"
)

// iptTable writes one table of an iptables-save text.
type iptTable struct {
	*gen
	v6    bool
	table string
	chain string // the built-in chain that leads to the rule, "" in a user's chain
	below []string
	sets  bool // the ipsets of ipsets() are there
	multi bool // the rule has a multiport match already
}

func (t *iptTable) bang() string { return t.one("", "", "", "! ") }

func (t *iptTable) proto() string {
	t.multi = false
	switch t.r.IntN(8) {
	case 0, 1, 2:
		return "-p tcp" + t.tcp()
	case 3:
		return "-p udp -m udp" + t.ports()
	case 4:
		if t.v6 {
			return "-p ipv6-icmp -m icmp6 " + t.bang() + "--icmpv6-type " + t.one("128", "1", "1/4", "135", "echo-reply")
		}
		return "-p icmp -m icmp " + t.bang() + "--icmp-type " + t.one("8", "3", "3/3", "any", "echo-reply", "11")
	case 5:
		return t.one("! -p tcp", "-p esp", "-p icmp", "-p 132", "-p sctp -m sctp --dport 80", "! -p udp", "-p gre")
	case 6:
		t.multi = true
		return t.one("-p tcp", "-p udp") + " -m multiport " + t.bang() + t.one("--dports ", "--sports ", "--ports ") + t.one("22,80", "1000:2000,53", "25,443,5000:5003", "80")
	}
	return ""
}

func (t *iptTable) ports() string {
	s := ""
	if t.chance(80) {
		s += " " + t.bang() + "--dport " + t.one("22", "80", "443", "1000:2000", "53", ":1023", "1024:", "5000:5003")
	}
	if t.chance(20) {
		s += " " + t.bang() + "--sport " + t.one("53", "1024:", "80")
	}
	return s
}

func (t *iptTable) tcp() string {
	s := " -m tcp" + t.ports()
	if t.chance(25) {
		s += " " + t.bang() + "--tcp-flags " + t.one("FIN,SYN,RST,ACK SYN", "SYN,ACK SYN,ACK", "ALL NONE", "FIN,SYN FIN,SYN", "ALL FIN,PSH,URG", "SYN,RST SYN")
	}
	return s
}

func (t *iptTable) addresses() string {
	s := ""
	if t.chance(35) {
		s += " " + t.bang() + "-s " + t.iptNet()
	}
	if t.chance(25) {
		s += " " + t.bang() + "-d " + t.iptNet()
	}
	return s
}

func (t *iptTable) iptNet() string {
	if !t.v6 && t.chance(5) {
		return "192.0.0.17/255.255.0.255"
	}
	return t.net(t.v6)
}

func (t *iptTable) interfaces() string {
	s := ""
	if t.chain != "POSTROUTING" && t.chance(20) {
		s += " " + t.bang() + "-i " + t.one("h0", "h1", "h+", "eth0")
	}
	if (t.chain == "FORWARD" || t.chain == "POSTROUTING" || t.chain == "" && t.chance(20)) && t.chance(30) {
		s += " " + t.bang() + "-o " + t.one("h0", "h1", "h+", "lo")
	}
	return s
}

// module is a match of an extension.
func (t *iptTable) module() string {
	ip := func(v4, v6 string) string {
		if t.v6 {
			return v6
		}
		return v4
	}
	b := t.bang()
	m := []string{
		"-m conntrack " + b + "--ctstate " + t.one("NEW", "ESTABLISHED,RELATED", "INVALID", "NEW,INVALID", "UNTRACKED", "DNAT", "ESTABLISHED", "RELATED", "SNAT", "NEW,DNAT"),
		"-m conntrack " + b + "--ctstate " + t.one("NEW", "ESTABLISHED,RELATED", "INVALID"),
		"-m state " + b + "--state " + t.one("NEW", "RELATED,ESTABLISHED", "INVALID", "UNTRACKED"),
		"-m conntrack " + b + "--ctorigdst " + t.net(t.v6),
		"-m conntrack " + b + "--ctorigsrc " + t.net(t.v6),
		"-m conntrack --ctstate NEW " + b + "--ctproto " + t.one("6", "17", "1"),
		"-m conntrack " + b + "--ctreplsrc " + t.net(t.v6),
		"-m conntrack " + b + "--ctdir " + t.one("ORIGINAL", "REPLY"),
		"-m conntrack " + b + "--ctstatus " + t.one("ASSURED", "SEEN_REPLY", "CONFIRMED", "NONE", "EXPECTED,ASSURED"),
		"-m conntrack --ctorigdstport " + t.one("22", "80", "1000:2000"),
		"-m iprange " + b + "--src-range " + ip("192.0.2.10-192.0.2.40", "2001:db8:1::10-2001:db8:1::40"),
		"-m iprange " + b + "--dst-range " + ip("198.51.100.1-203.0.113.7", "2001:db8:2::1-2001:db8:f::7"),
		"-m mark " + b + "--mark " + t.one("0x1", "0x2/0x3", "0x0", "0x10/0x10", "0x80000001"),
		"-m connmark " + b + "--mark " + t.one("0x1", "0x2/0x3", "0x0", "0x3"),
		"-m pkttype " + b + "--pkt-type " + t.one("unicast", "multicast", "broadcast"),
		"-m length " + b + "--length " + t.one("20:60", "40", "61:", ":50"),
		"-m physdev " + b + "--physdev-in " + t.one("h0", "eth0"),
		"-m dscp " + b + "--dscp " + t.one("0x00", "0x02", "0x08"),
		"-m comment --comment " + t.one("hello", `"a b"`),

		"-m addrtype " + b + "--dst-type " + t.one("LOCAL", "UNICAST", "LOCAL,MULTICAST", ip("BROADCAST", "MULTICAST"), "MULTICAST"),
		"-m addrtype " + b + "--src-type " + t.one("LOCAL", "UNICAST"),
	}
	if t.chain == "INPUT" || t.chain == "PREROUTING" || t.chain == "FORWARD" {
		m = append(m, "-m addrtype --dst-type LOCAL --limit-iface-in", "-m mac "+b+"--mac-source "+t.one("02:00:00:00:00:01", "02:00:00:00:00:99"))
	}
	if t.v6 {
		m = append(m, "-m hl "+t.one("--hl-eq 64", "--hl-lt 64", "--hl-gt 10"))
	} else {
		m = append(m, "-m ttl "+t.one("--ttl-eq 64", "--ttl-lt 64", "--ttl-gt 10"), "-m tos --tos 0x08/0x3f", "-m u32 "+b+`--u32 "0>>22&0x3C@0>>16=0x16,0x50:0x60"`)
	}
	if (t.table == "raw" || t.table == "mangle") && t.chain == "PREROUTING" {
		m = append(m, "-m rpfilter --loose --accept-local", "-m rpfilter", "-m rpfilter --invert")
	}
	if t.sets {
		m = append(m, "-m set "+b+"--match-set "+ip("a4", "a6")+" "+t.one("src", "dst"), "-m set "+b+"--match-set "+ip("n4", "n6")+" "+t.one("src", "dst"),
			"-m set "+b+"--match-set "+ip("p4", "p6")+" "+t.one("src,dst", "dst,dst"), "-m set "+b+"--match-set "+ip("x4", "x6")+" "+t.one("src,dst", "dst,src"),
			"-m set "+b+"--match-set "+ip("i4", "i6")+" src,src")
	}
	if t.open && t.chance(20) {
		t.used = true
		m = []string{
			"-m limit --limit 100/sec", "-m statistic --mode random --probability 0.5", "-m hashlimit --hashlimit-upto 5/sec --hashlimit-mode srcip --hashlimit-name hl",
			"-m recent --name r --set --rsource", "-m recent --name r --update --seconds 60 --hitcount 3 --rsource",
		}
	}
	return t.one(m...)
}

func (t *iptTable) target() string {
	m := []string{"-j ACCEPT", "-j ACCEPT", "-j DROP", "-j DROP", "-j RETURN"}
	if len(t.below) > 0 {
		m = append(m, "-j "+t.one(t.below...), "-j "+t.one(t.below...), "-g "+t.one(t.below...))
	}
	switch t.table {
	case "filter":
		m = append(m, "-j REJECT", "-j LOG --log-prefix x", "")
	case "mangle":
		m = append(m, "-j MARK --set-xmark "+t.one("0x1", "0x2/0x3", "0x10/0x10", "0x0/0xf", "0x80000001"), "-j MARK --set-xmark "+t.one("0x1", "0x3/0x3"),
			"-j CONNMARK --set-xmark "+t.one("0x1", "0x2/0x3"), "-j CONNMARK --restore-mark", "-j CONNMARK --save-mark", "-j MARK --or-mark 0x2", "-j MARK --and-mark 0xfe",
			"-j CONNMARK --restore-mark --nfmask 0x3 --ctmask 0x3")
		if t.chain == "PREROUTING" && !t.v6 {
			m = append(m, "-j TTL --ttl-set 64", "-j DSCP --set-dscp 0x08")
		}
	case "raw":
		m = append(m, "-j NOTRACK", "-j CT --notrack", "-j CT --notrack")
	}
	j := t.one(m...)
	t.used = t.used || strings.Contains(j, "-j TTL") || strings.Contains(j, "-j DSCP") // what they change is not followed
	return j
}

func (t *iptTable) translation() string {
	addr := t.hostAddr(t.v6)
	port := addr
	if t.v6 {
		port = "[" + addr + "]"
	}
	ports := t.one("-p tcp -m tcp", "-p udp -m udp") + " --dport " + t.one("22", "80", "1000:2000")
	if t.chain == "PREROUTING" {
		m := []string{
			t.interfaces() + " " + t.addresses() + " " + ports + " -j DNAT --to-destination " + addr, ports + " -j DNAT --to-destination " + port + ":" + t.singlePort(),
			ports + " -j REDIRECT --to-ports " + t.singlePort(), t.addresses() + " " + ports + " -j REDIRECT", t.addresses() + " -j DNAT --to-destination " + addr,
		}
		if !t.v6 {
			m = append(m, "-d 198.51.100.0/25 -j NETMAP --to 203.0.113.0/25", ports+" -m addrtype --dst-type LOCAL -j DNAT --to-destination "+addr)
		}
		return t.one(m...)
	}
	return t.one("-o h1 -j MASQUERADE", t.addresses()+" -j SNAT --to-source "+addr, t.addresses()+" -j MASQUERADE", ports+" -j MASQUERADE --to-ports 10000-20000")
}

func (t *iptTable) rule() string {
	if t.table == "nat" && t.chain != "" && t.chain != "INPUT" && t.chance(60) {
		return t.translation()
	}
	parts := []string{t.addresses(), t.interfaces(), t.proto()}
	for t.chance(45) {
		parts = append(parts, t.module())
	}
	target := t.target()
	if t.table == "nat" {
		target = t.one("-j ACCEPT", "-j RETURN", "")
		if len(t.below) > 0 && t.chance(50) {
			target = "-j " + t.one(t.below...)
		}
	}
	if t.table == "filter" && target == "-j REJECT" && strings.Contains(parts[2], "-p tcp") && t.chance(50) {
		target = "-j REJECT --reject-with tcp-reset"
	}
	parts = append(parts, target)
	return strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
}

// text writes the table.
func (t *iptTable) text(builtin ...string) string {
	var heads, rules strings.Builder
	for _, c := range builtin {
		policy := "ACCEPT"
		if (c == "INPUT" || c == "FORWARD") && t.table == "filter" && t.chance(40) || t.table != "nat" && t.chance(4) {
			policy = "DROP"
		}
		fmt.Fprintf(&heads, ":%s %s [0:0]\n", c, policy)
	}
	for i := range t.r.IntN(4) {
		name := fmt.Sprintf("%s-u%d", t.table, i)
		fmt.Fprintf(&heads, ":%s - [0:0]\n", name)
		for range 1 + t.r.IntN(4) {
			fmt.Fprintf(&rules, "-A %s %s\n", name, t.rule())
		}
		t.below = append(t.below, name)
	}
	for _, c := range builtin {
		t.chain = c
		for range t.r.IntN(6) {
			fmt.Fprintf(&rules, "-A %s %s\n", c, t.rule())
		}
	}
	t.chain = ""
	return "*" + t.table + "\n" + heads.String() + rules.String() + "COMMIT\n"
}

// iptables writes a random iptables-save text.
func (g *gen) iptables(v6, sets bool) string {
	table := func(name string) *iptTable { return &iptTable{gen: g, v6: v6, table: name, sets: sets} }
	var b strings.Builder
	if g.chance(30) {
		b.WriteString(table("raw").text("PREROUTING"))
	}
	if g.chance(40) {
		b.WriteString(table("mangle").text("PREROUTING", "INPUT", "FORWARD", "POSTROUTING"))
	}
	if !g.stateless && g.chance(40) {
		b.WriteString(table("nat").text("PREROUTING", "POSTROUTING"))
	}
	b.WriteString(table("filter").text("INPUT", "FORWARD"))
	return b.String()
}

// ipsets are the sets that random rulesets match on.
func (g *gen) ipsets() string {
	var b strings.Builder
	for _, v6 := range []bool{false, true} {
		n, family := "4", "inet"
		if v6 {
			n, family = "6", "inet6"
		}
		hosts := g.some(6, func() string { return g.hostAddr(v6) })
		nets := g.some(4, func() string { return g.net(v6) })
		fmt.Fprintf(&b, "create a%s hash:ip family %s\ncreate n%s hash:net family %s\ncreate p%s hash:ip,port family %s\ncreate x%s hash:net,port family %s\ncreate i%s hash:net,iface family %s\n",
			n, family, n, family, n, family, n, family, n, family)
		for _, h := range hosts {
			fmt.Fprintf(&b, "add a%s %s\nadd p%s %s,%s:%s\n", n, h, n, h, g.one("tcp", "udp"), g.singlePort())
		}
		for _, p := range nets {
			if strings.HasSuffix(p, "/1") {
				continue
			}
			flag := ""
			if g.chance(25) {
				flag = " nomatch"
			}
			fmt.Fprintf(&b, "add n%s %s%s\nadd x%s %s,tcp:%s\nadd i%s %s,%s\n", n, p, flag, n, p, g.one("22", "80", "1000-2000"), n, p, g.one(devices...))
		}
	}
	return b.String()
}
