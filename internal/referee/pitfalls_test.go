//go:build linux

package referee

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sekimori/internal/lab"
	"sekimori/packet"
)

// Packets of the named cases. The host is 192.0.2.1 on h0 and 198.51.100.1 on h1.
func segment(src, dst string, sport, dport uint16, flags uint8) probe {
	return probe{src: netip.MustParseAddr(src), dst: netip.MustParseAddr(dst), proto: tcp, sport: sport, dport: dport, flags: flags, in: "h0", ttl: 64}
}

func syn(dport uint16) probe { return segment("192.0.2.10", "192.0.2.1", 40000, dport, synBit) }
func ack(dport uint16) probe { return segment("192.0.2.10", "192.0.2.1", 40000, dport, ackBit) }
func syn6(dport uint16) probe {
	return segment("2001:db8:1::10", "2001:db8:1::1", 40000, dport, synBit)
}

func (p probe) from(src string) probe { p.src = netip.MustParseAddr(src); return p }
func (p probe) to4(dst string) probe  { p.dst = netip.MustParseAddr(dst); return p }
func (p probe) on(link string) probe  { p.in = link; return p }
func (p probe) bits(flags uint8) probe {
	p.flags = flags
	return p
}

func (p probe) as(proto uint8) probe {
	p.proto, p.flags = proto, 0
	return p
}

// behind gives an IPv6 packet an extension header.
func (p probe) behind(header uint8) probe {
	p.extended, p.ext = true, header
	return p
}

func (p probe) fragment(bits uint16) probe {
	p.frag = bits
	return p
}

func echo() probe {
	return probe{src: netip.MustParseAddr("192.0.2.10"), dst: netip.MustParseAddr("192.0.2.1"), proto: icmp, sport: 8 << 8, dport: 7, in: "h0", ttl: 64}
}

// expect is a packet and what has to become of it.
type expect struct {
	p    probe
	want verdict
}

func pass(p probe) expect  { return expect{p, accepted} }
func block(p probe) expect { return expect{p, refused} }
func open(p probe) expect  { return expect{p, undecided} }

// hook is a table with one chain at a hook of the host.
func hook(h, priority, policy, body string) string {
	return fmt.Sprintf("table inet t_%s_%s { chain c { type filter hook %s priority %s; policy %s; %s; }; }\n",
		h, strings.NewReplacer("-", "m", "+", "p").Replace(priority), h, priority, policy, body)
}

func input(policy, body string) string { return hook("input", "0", policy, body) }

type pitfall struct {
	name   string
	rules  []part
	expect []expect
}

func nftCase(name, text string, es ...expect) pitfall {
	return pitfall{name, []part{{"nft", text}}, es}
}

// probes are the fourteen combinations that a look at one table gets wrong.
func probes() []pitfall {
	legacyDrop := part{"iptables-legacy-restore", "*filter\n-A INPUT -p tcp --dport 22 -j DROP\nCOMMIT\n"}
	return []pitfall{
		nftCase("accept at -10, drop at 10", hook("input", "-10", "accept", "tcp dport 22 accept")+hook("input", "10", "accept", "tcp dport 22 drop"),
			block(syn(22)), pass(syn(23))),
		nftCase("drop at -10, accept at 10", hook("input", "-10", "accept", "tcp dport 22 drop")+hook("input", "10", "accept", "tcp dport 22 accept"),
			block(syn(22)), pass(syn(23))),
		nftCase("a miss in a verdict map goes on", input("drop", "tcp dport vmap { 22 : drop }; tcp dport 80 accept"), block(syn(22)), pass(syn(80))),
		nftCase("goto skips a later accept", `table inet t { chain g { tcp dport 23 drop; }; chain c { type filter hook input priority 0; policy drop; goto g; accept; }; }`,
			block(syn(22)), block(syn(23))),
		nftCase("jump falls back", `table inet t { chain g { tcp dport 23 drop; }; chain c { type filter hook input priority 0; policy drop; jump g; accept; }; }`,
			pass(syn(22)), block(syn(23))),
		nftCase("table ip does not touch IPv6", `table ip t { chain c { type filter hook input priority 0; policy drop; }; }`, block(syn(22)), pass(syn6(22))),
		{"iptables-legacy refuses what nft accepts", []part{{"nft", input("drop", "accept")}, legacyDrop}, []expect{block(syn(22)), pass(syn(23))}},
		nftCase("flags as a set are exact", input("drop", "tcp flags { syn, ack } accept"),
			pass(syn(22)), pass(ack(22)), block(syn(22).bits(synBit|ackBit)), block(ack(22).bits(ackBit|8))),
		nftCase("flags as bits are a test of bits", input("drop", "tcp flags syn,ack accept"),
			pass(syn(22)), pass(syn(22).bits(synBit|ackBit)), pass(ack(22).bits(ackBit|8)), block(syn(22).bits(rstBit))),
		nftCase("notrack makes nothing new or established", hook("prerouting", "-300", "accept", "notrack")+input("drop", "ct state new,established accept; ct state untracked tcp dport 80 accept"),
			block(syn(22)), pass(syn(80))),
		nftCase("a mark set before matches later", hook("prerouting", "-150", "accept", "tcp dport 22 meta mark set 7")+input("drop", "meta mark 7 accept"),
			pass(syn(22)), block(syn(23))),
		nftCase("a drop in raw is not seen in input", hook("prerouting", "-300", "accept", "tcp dport 22 drop")+input("drop", "accept"), block(syn(22)), pass(syn(23))),
		nftCase("input sees the port after redirect", `table inet n { chain c { type nat hook prerouting priority -100; tcp dport 8080 redirect to :80; }; }
`+input("drop", "tcp dport 80 accept"), pass(syn(8080)), pass(syn(80)), block(syn(8081))),
		nftCase("a drop at netdev ingress is not seen in inet", `table netdev d { chain c { type filter hook ingress device "h0" priority 0; tcp dport 22 drop; }; }
`+input("drop", "accept"), block(syn(22)), pass(syn(23)), pass(syn(22).on("h1"))),
	}
}

// semantics are the peculiarities of nf_tables that others have got wrong.
func semantics() []pitfall {
	return []pitfall{
		nftCase("1: what cannot be loaded ends the rule", input("accept", "@th,16,16 != 22 meta l4proto 50 drop; tcp dport != 22 drop"),
			pass(syn(22)), block(syn(23)), pass(echo())),
		nftCase("1: a connection's mark that is not there ends the rule", input("accept", "ct mark != 1 drop"),
			block(syn(22)), pass(syn(22).bits(finBit))),
		nftCase("1: a key of the other family ends the rule", input("accept", "ct original ip daddr != 10.0.0.1 drop"), block(syn(22)), pass(syn6(22))),
		nftCase("1: reject guards its rule", input("accept", "counter reject with tcp reset"), block(syn(22)), pass(syn(22).as(udp))),
		nftCase("2: ct state with commas is a mask, in braces a set", input("drop", "tcp dport 22 ct state established,new accept; tcp dport 23 ct state { established, related } accept"),
			pass(syn(22)), block(syn(23))),
		nftCase("3: ranges of host-endian keys", hook("prerouting", "-150", "accept", "tcp dport 22 meta mark set 0x15; tcp dport 23 meta mark set 0x21; tcp dport 24 meta mark set 0x01000000")+
			input("drop", "meta mark 0x10-0x20 accept; meta mark > 0xffffff accept"), pass(syn(22)), block(syn(23)), pass(syn(24))),
		nftCase("3: length is host-endian", input("drop", "meta length 30-50 accept"), pass(syn(22)), block(probe{src: syn(1).src, dst: syn(1).dst, proto: udp, sport: 1, dport: 2, size: 60, in: "h0", ttl: 64})),
		nftCase("4: the ends of intervals", `table inet t { set s { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.64/26, 192.0.2.200-192.0.2.210 }; }
	chain c { type filter hook input priority 0; policy drop; ip saddr @s accept; }; }`,
			pass(syn(1).from("10.0.0.0")), pass(syn(1).from("10.255.255.255")), block(syn(1).from("11.0.0.0")), block(syn(1).from("192.0.2.63")), pass(syn(1).from("192.0.2.64")),
			pass(syn(1).from("192.0.2.127")), block(syn(1).from("192.0.2.128")), pass(syn(1).from("192.0.2.210")), block(syn(1).from("192.0.2.211"))),
		nftCase("4: overlapping concatenations, the first wins", input("accept", "ip saddr . tcp dport vmap { 10.1.0.0/16 . 22-30 : accept, 10.0.0.0/8 . 20-40 : drop }"),
			pass(syn(22).from("10.1.0.1")), block(syn(22).from("10.2.0.1")), block(syn(35).from("10.1.0.1")), pass(syn(41).from("10.1.0.1"))),
		nftCase("4: an interface in a concatenation is padded", input("drop", `iifname . tcp dport { "h0" . 22, "h1" . 23 } accept`), pass(syn(22)), block(syn(23)), pass(syn(23).on("h1"))),
		nftCase("4: the catch-all element", input("accept", "tcp dport vmap { 22 : accept, * : drop }"), pass(syn(22)), block(syn(23)), pass(echo())),
		nftCase("5: invalid is a state", input("accept", "ct state invalid drop"), pass(syn(22)), block(syn(22).bits(rstBit))),
		nftCase("5: notrack after conntrack does nothing", hook("prerouting", "-150", "accept", "notrack")+input("drop", "ct state new accept"), pass(syn(22))),
		nftCase("5: a mark of the packet is not one of the connection", hook("prerouting", "-150", "accept", "meta mark set 3")+input("drop", "ct mark 3 accept"), block(syn(22))),
		nftCase("6: a limit may or may not be used up", input("accept", "tcp dport 22 limit rate over 1/second drop; tcp dport 23 limit rate 1/second accept; tcp dport 23 drop"),
			open(syn(22)), open(syn(23)), pass(syn(24))),
		nftCase("7: a verdict of a map skips the rest of the rule, and so does a miss; continue does not", input("accept", "tcp dport vmap { 22 : continue, 23 : accept } drop"),
			block(syn(22)), pass(syn(23)), pass(syn(24))),
		nftCase("7: policies are of base chains", `table inet t { chain g { return; }; chain c { type filter hook input priority 0; policy accept; tcp dport 22 goto g; drop; }; }`,
			pass(syn(22)), block(syn(23))),
		nftCase("8: translation in inet is by family", `table inet n { chain c { type nat hook prerouting priority -100; meta nfproto ipv4 tcp dport 8080 dnat ip to 192.0.2.1:80; }; }
`+input("drop", "tcp dport 80 accept"), pass(syn(8080)), block(syn6(8080))),
		nftCase("8: a destination translated elsewhere is forwarded", `table ip n { chain c { type nat hook prerouting priority -100; tcp dport 8080 dnat to 203.0.113.7:80; }; }
`+input("drop", "accept")+hook("forward", "0", "drop", "ip daddr 203.0.113.7 tcp dport 80 ct original ip daddr 192.0.2.1 ct status dnat accept"), pass(syn(8080)), pass(syn(80)),
			block(syn(80).to4("203.0.113.7"))),
		nftCase("9: what a rule sets it can read", input("accept", "tcp dport 22 meta mark set 5 meta mark 5 drop"), block(syn(22)), pass(syn(23))),
		nftCase("9: names of interfaces, whole and begun", input("drop", `tcp dport 22 iifname "h*" accept; tcp dport 23 iifname "h" accept; tcp dport 24 iif "h0" accept`),
			pass(syn(22)), pass(syn(22).on("h1")), block(syn(23)), pass(syn(24)), block(syn(24).on("h1"))),
		nftCase("10: neighbouring fields are loaded as one", input("accept", "tcp sport 40000 tcp dport 22 drop; ip saddr 192.0.2.10 ip daddr 192.0.2.1 tcp dport 23 drop"),
			block(syn(22)), block(syn(23)), pass(syn(24)), pass(syn(23).from("192.0.2.11"))),
		nftCase("there is no output interface before routing", hook("prerouting", "0", "accept", `oifname "h1" drop; oifname != "h0" tcp dport 22 drop`), block(syn(22)), pass(syn(23).to4("203.0.113.7"))),
		nftCase("routing takes a hop off before forward", hook("forward", "0", "drop", "ip ttl 63 accept"), pass(syn(22).to4("203.0.113.7"))),
		nftCase("a connection's mark cannot be set where there is no connection, and the rule goes on", input("accept", "ct mark set 1 drop"), block(syn(22)), block(syn(22).bits(rstBit))),
		nftCase("a redirect to where the packet goes already is no translation", `table ip n { chain c { type nat hook prerouting priority -100; tcp dport { 80, 8080 } redirect to :80; }; }
`+input("accept", "ct status dnat drop"), pass(syn(80)), block(syn(8080))),
		nftCase("redirect drops where the interface has no address", `table ip n { chain c { type nat hook prerouting priority -100; tcp dport 80 redirect; }; }`,
			block(syn(80).on("bare").to4("192.0.2.1")), pass(syn(80)), pass(syn(81).on("bare"))),
		nftCase("an extension header does not hide the protocol", input("drop", "tcp dport 22 accept; ip6 nexthdr tcp tcp dport 23 accept"),
			pass(syn6(22).behind(60)), pass(syn6(23)), block(syn6(23).behind(60))),
		nftCase("the last fragment of a datagram has no ports, but may be read as if it had", hook("forward", "0", "accept", "tcp dport 22 drop"),
			block(syn(22).to4("203.0.113.7").fragment(0x2000)), pass(syn(23).to4("203.0.113.7").fragment(0x2000)),
			open(syn(22).to4("203.0.113.7").fragment(0x0010))),
		nftCase("a nat chain is asked about tracked packets only, and does not make them tracked",
			`table ip n { chain c { type nat hook prerouting priority -100; tcp dport 22 drop; }; }`, open(syn(22)), pass(syn(23))),
		nftCase("a nat chain is asked where another rule makes packets tracked",
			`table ip n { chain c { type nat hook prerouting priority -100; tcp dport 22 drop; }; }
`+input("accept", "ct state new tcp dport 23 drop"), block(syn(22)), block(syn(23)), pass(syn(24)), pass(syn(22).bits(rstBit))),
		{
			"the tuple of a protocol without ports has none",
			[]part{{"iptables-nft-restore", "*filter\n-A INPUT -m conntrack --ctorigdstport 1 -j DROP\nCOMMIT\n"}},
			[]expect{pass(syn(1).as(esp)), block(syn(1))},
		},
		{
			"legacy and nft chains of equal priority come in an order that is not known",
			[]part{
				{"nft", `table ip m { chain c { type filter hook prerouting priority -150; tcp dport 22 meta mark set 1; }; }
`},
				{"iptables-legacy-restore", "*mangle\n-A PREROUTING -m mark --mark 1 -j DROP\nCOMMIT\n"},
			},
			[]expect{open(syn(22)), pass(syn(23))},
		},
		{
			"of a hash:net,iface set only the longest prefix counts",
			[]part{
				{"ipset", "create i hash:net,iface\nadd i 10.0.0.0/8,h0\nadd i 10.1.0.0/16,h1\n"},
				{"iptables-legacy-restore", "*filter\n-A INPUT -m set --match-set i src,src -j DROP\nCOMMIT\n"},
			},
			[]expect{block(syn(1).from("10.2.0.1")), pass(syn(1).from("10.1.0.1")), block(syn(1).from("10.1.0.1").on("h1"))},
		},
	}
}

// TestPitfalls puts each of the known peculiarities before kernel and model.
func TestPitfalls(t *testing.T) {
	t.Parallel()
	lab.Enter(t, func(t *testing.T) {
		w := newWorld(t, false, "h0", "h1", "bare")
		lab.Run(t, "ip", "-4", "addr", "flush", "dev", "bare")
		for _, c := range append(probes(), semantics()...) {
			t.Run(c.name, func(t *testing.T) { w.pitfall(t, c) })
		}
	})
}

// TestTranslatedConnection: the reply to a connection that has been translated is
// sent to the host, and yet forwarded. The entry is not known to the model, which
// has to leave it open.
func TestTranslatedConnection(t *testing.T) {
	t.Parallel()
	lab.Enter(t, func(t *testing.T) {
		w := newWorld(t, false, "h0", "h1")
		rs := rules{parts: []part{{"nft", "table ip n { chain c { type nat hook postrouting priority 100; masquerade; }; }\n" +
			input("drop", "ct state established accept") + hook("forward", "0", "drop", "tcp sport 443 accept")}}}
		if err := w.load(t, rs); err != nil {
			t.Fatal(err)
		}
		ms, _ := modelsOf(t)
		var ps []probe
		for i, port := range []uint16{443, 444} {
			u := &tuple{proto: tcp, src: netip.MustParseAddr("192.0.2.10"), dst: netip.MustParseAddr("203.0.113.7"), sport: 50000, dport: port, masked: netip.MustParseAddr("198.51.100.1")}
			if err := w.nl.setEntry(u, unix.NLM_F_EXCL); err != nil {
				t.Fatal(err)
			}
			p := segment("203.0.113.7", "198.51.100.1", port, 50000, ackBit).on("h1")
			p.id, p.to, p.mac = uint32(1000+i), w.link("h1").mac, [6]byte{2, 0, 0, 0, 0, 1}
			ps = append(ps, p)
		}
		passed := w.judge(t, ps)
		for i, want := range []bool{true, false} { // as the forward chain says, not the input chain
			if passed[i] != want {
				t.Errorf("the kernel let it pass: %v, want %v: %s", passed[i], want, ps[i].model())
			}
			const translated = ctStatus | 1<<4 | 1<<7 | 1<<8 // IPS_SRC_NAT, and both sorts done
			m := ps[i].model().With(packet.State, stateEstablished).With(packet.Status, translated)
			if got := ms[0].verdict(m); got != undecided {
				t.Errorf("the model says %s: %s", got, m)
			}
		}
	})
}

func (w *world) pitfall(t *testing.T, c pitfall) {
	t.Helper()
	if err := w.load(t, rules{parts: c.rules}); err != nil {
		t.Fatal(err)
	}
	ms, _ := modelsOf(t)
	var ps []probe
	for i, e := range c.expect {
		e.p.id = uint32(1000 + i)
		e.p.to, e.p.mac = w.link(e.p.in).mac, [6]byte{2, 0, 0, 0, 0, 1}
		ps = append(ps, e.p)
	}
	passed := w.judge(t, ps)
	for i, e := range c.expect {
		if e.want != undecided && passed[i] != (e.want == accepted) {
			t.Errorf("the kernel let it pass: %v, want %s: %s", passed[i], e.want, ps[i].model())
		}
		if got := ms.of(&ps[i]).verdict(ps[i].model()); got != e.want {
			t.Errorf("the model says %s, want %s: %s", got, e.want, ps[i].model())
		}
	}
}
