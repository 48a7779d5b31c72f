//go:build linux

package referee

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sekimori/internal/lab"
)

// world is the host on trial, which is the lab's own namespace, and the wires
// that lead to it.
type world struct {
	links  []link
	tuples []*tuple
	known  map[tupleKey]bool // both directions of tuples
	nl     *nfnl
	legacy map[string]bool // legacy loaders used since the last clear
	ipsets bool
	// fragments is true where the rules on trial do not track connections, so that
	// the kernel does not put fragments together first.
	fragments bool
	only      uint8 // 4 or 6 where most packets are to be of that family
	marks     bool  // the rules on trial change the marks of connections
}

// link is one interface of the host and the far end of its cable.
type link struct {
	name   string
	mac    [6]byte
	peer   int // a packet socket at the far end
	v4, v6 netip.Prefix
	gw     bool // routes lead to a gateway here
}

// addresses of the host on its links, and of the gateways beyond.
func (l *link) addresses() []netip.Addr { return []netip.Addr{l.v4.Addr(), l.v6.Addr()} }

// The networks behind the gateway on the second link.
var remote = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:f::/48")}

// newWorld makes a host with the links named, two at least. With anywhere, every
// address has a route (by the second link); else only the remote networks do.
func newWorld(t testing.TB, anywhere bool, names ...string) *world {
	t.Helper()
	w := &world{nl: dialNFNL(t), known: map[tupleKey]bool{}, legacy: map[string]bool{}}
	lab.Netns(t, "wire")
	for k, v := range map[string]string{
		"net/ipv4/ip_forward":                        "1",
		"net/ipv6/conf/all/forwarding":               "1",
		"net/ipv4/conf/all/rp_filter":                "0",
		"net/ipv4/conf/default/rp_filter":            "0",
		"net/ipv4/conf/all/send_redirects":           "0",
		"net/ipv4/conf/default/send_redirects":       "0",
		"net/ipv4/conf/all/log_martians":             "0",
		"net/ipv6/conf/all/accept_dad":               "0",
		"net/ipv6/conf/default/accept_dad":           "0",
		"net/ipv6/conf/default/accept_ra":            "0",
		"net/ipv6/conf/default/router_solicitations": "0",
		"net/netfilter/nf_conntrack_log_invalid":     "0",
	} {
		sysctl(t, k, v)
	}
	for i, name := range names {
		w.links = append(w.links, newLink(t, i, name))
	}
	w.routes(t, anywhere)
	for i := range w.links {
		w.links[i].settle(t)
	}
	return w
}

// settle waits until the kernel has given the link all of its addresses and
// routes, which it does when it notices the carrier.
func (l *link) settle(t testing.TB) {
	t.Helper()
	for range 300 {
		routes := lab.Run(t, "ip", "-6", "route", "show", "table", "local", "dev", l.name)
		if strings.Contains(routes, "local "+l.v6.Addr().String()) &&
			strings.Contains(routes, "local fe80:") && strings.Contains(routes, "multicast ff00::/8") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s does not come up", l.name)
}

func sysctl(t testing.TB, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644); err != nil {
		t.Fatalf("sysctl %s: %v", name, err)
	}
}

func newLink(t testing.TB, i int, name string) link {
	t.Helper()
	l := link{
		name: name,
		v4:   netip.MustParsePrefix([]string{"192.0.2.1/24", "198.51.100.1/24", "100.64.2.1/24", "100.64.3.1/24", "100.64.4.1/24", "100.64.5.1/24", "100.64.6.1/24", "100.64.7.1/24"}[i]),
		v6:   netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::1/64", i+1)),
	}
	peer := fmt.Sprintf("p%d", i)
	lab.Veth(t, name, peer, "wire")
	lab.Address(t, name, l.v4.String())
	lab.Address(t, name, l.v6.String())
	iface, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	copy(l.mac[:], iface.HardwareAddr)
	lab.In(t, "wire", func() {
		sysctl(t, "net/ipv6/conf/"+peer+"/disable_ipv6", "1") // it is not to speak for itself
		far, err := net.InterfaceByName(peer)
		if err != nil {
			t.Error(err)
			return
		}
		l.peer, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Errorf("packet socket: %v", err)
			return
		}
		_ = unix.SetsockoptInt(l.peer, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
		if err := unix.Bind(l.peer, &unix.SockaddrLinklayer{Ifindex: far.Index}); err != nil {
			t.Errorf("bind packet socket to %s: %v", peer, err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() { unix.Close(l.peer) })
	return l
}

// routes leads the remote networks, or everything, to a gateway on the second link.
func (w *world) routes(t testing.TB, anywhere bool) {
	t.Helper()
	out := &w.links[1]
	out.gw = true
	for i, own := range []netip.Prefix{out.v4, out.v6} {
		gw := own.Addr().Next()
		lab.Run(t, "ip", "neigh", "replace", gw.String(), "lladdr", "02:00:00:00:00:02", "dev", out.name)
		dst := remote[i].String()
		if anywhere {
			dst = "default"
		}
		family := []string{"-4", "-6"}[i]
		lab.Run(t, "ip", family, "route", "replace", dst, "via", gw.String(), "dev", out.name)
	}
}

func (w *world) link(name string) *link {
	i := slices.IndexFunc(w.links, func(l link) bool { return l.name == name })
	return &w.links[i]
}

// own reports whether an address belongs to the host.
func (w *world) own(a netip.Addr) bool {
	return slices.ContainsFunc(w.links, func(l link) bool { return slices.Contains(l.addresses(), a) })
}

// send puts packets on their wires; the kernel has judged all of them when it
// returns, because a packet socket's write runs the receiver as well.
func (w *world) send(t testing.TB, ps []probe) {
	t.Helper()
	for i := range ps {
		l := w.link(ps[i].in)
		if _, err := unix.Write(l.peer, ps[i].frame(ps[i].to)); err != nil {
			t.Fatalf("send on %s: %v", l.name, err)
		}
	}
}

// The table that notes what passed everything. It drops what it has noted, so
// that no conntrack entry is ever confirmed and no packet bears on another; and
// what the host itself would say (the answers of reject) stays unsaid.
const probeTable = "zz-probe"

func (w *world) probeText() string {
	var names []string
	for _, l := range w.links {
		names = append(names, fmt.Sprintf("%q", l.name))
	}
	set := "{ " + strings.Join(names, ", ") + " }"
	return `table inet ` + probeTable + ` {
	set seen4 { typeof ip id; size 100000; flags dynamic; }
	set seen6 { typeof ip6 flowlabel; size 100000; flags dynamic; }
	chain i {
		type filter hook input priority 2147483646;
		iifname ` + set + ` update @seen4 { ip id }
		iifname ` + set + ` update @seen6 { ip6 flowlabel }
		iifname ` + set + ` drop
	}
	chain p {
		type filter hook postrouting priority 2147483646;
		iifname ` + set + ` update @seen4 { ip id }
		iifname ` + set + ` update @seen6 { ip6 flowlabel }
		iifname ` + set + ` drop
	}
	chain o {
		type filter hook output priority 2147483646;
		oifname ` + set + ` drop
	}
}
`
}

// judge sends packets and returns those that the kernel let pass. The rules on
// trial have to be loaded before.
func (w *world) judge(t testing.TB, ps []probe) []bool {
	t.Helper()
	lab.RunInput(t, w.probeText(), "nft", "-f", "-")
	for _, u := range w.tuples {
		if err := w.nl.setEntry(u, 0); err != nil {
			t.Fatalf("restore conntrack entry %+v: %v", *u, err)
		}
	}
	w.send(t, ps)
	var seen [2]map[uint32]bool
	for i, set := range []string{"seen4", "seen6"} {
		var err error
		if seen[i], err = w.nl.setElems(probeTable, set); err != nil {
			t.Fatalf("read set %s: %v", set, err)
		}
	}
	lab.Run(t, "nft", "delete", "table", "inet", probeTable)
	passed := make([]bool, len(ps))
	for i := range ps {
		k := 0
		if !ps[i].v4() {
			k = 1
		}
		passed[i] = seen[k][ps[i].id]
	}
	return passed
}

// tuple is a conntrack entry: the original direction's addresses and ports, and
// the interface by which each direction comes to the host ("" not from a wire).
type tuple struct {
	proto        uint8
	src, dst     netip.Addr
	sport, dport uint16 // ICMP: the identifier is sport
	in, replyIn  string
	mark         uint32
	masked       netip.Addr // the address that replies are sent to, where the source is translated
}

type tupleKey struct {
	proto        uint8
	src, dst     netip.Addr
	sport, dport uint16
}

func (u *tuple) key() tupleKey      { return tupleKey{u.proto, u.src, u.dst, u.sport, u.dport} }
func (u *tuple) replyKey() tupleKey { return tupleKey{u.proto, u.dst, u.src, u.dport, u.sport} }

// ctStatus is IPS_SEEN_REPLY, IPS_ASSURED and IPS_CONFIRMED.
const ctStatus = 2 | 4 | 8

// establish makes conntrack entries of connections to, from and through the host.
func (w *world) establish(t testing.TB, r *rand.Rand, n int) {
	t.Helper()
	for i := range n {
		u := w.newTuple(r, i)
		if w.known[u.key()] || w.known[u.replyKey()] {
			continue
		}
		if err := w.nl.setEntry(u, unix.NLM_F_EXCL); err != nil {
			t.Fatalf("create conntrack entry %+v: %v", *u, err)
		}
		w.tuples = append(w.tuples, u)
		w.known[u.key()], w.known[u.replyKey()] = true, true
	}
}

func (w *world) newTuple(r *rand.Rand, i int) *tuple {
	v6 := i%2 == 1
	pick := func(l *link) (own, other netip.Addr) {
		p := l.v4
		if v6 {
			p = l.v6
		}
		return p.Addr(), nth(p, 2+r.Uint32N(200))
	}
	a, b := &w.links[0], &w.links[1]
	if r.IntN(2) == 0 {
		a, b = b, a
	}
	own, other := pick(a)
	_, far := pick(b)
	u := &tuple{proto: tcp, sport: 61000 + uint16(i), dport: []uint16{22, 80, 443, 25, 8080, 53}[r.IntN(6)]}
	if r.IntN(2) == 0 {
		u.proto = udp
	}
	if r.IntN(4) > 0 {
		u.mark = r.Uint32N(4)
	}
	switch r.IntN(3) {
	case 0: // to the host
		u.src, u.dst, u.in = other, own, a.name
	case 1: // from the host
		u.src, u.dst, u.replyIn = own, other, a.name
	default: // through it
		u.src, u.dst, u.in, u.replyIn = other, far, a.name, b.name
	}
	return u
}

// nth is the n-th address of a network.
func nth(p netip.Prefix, n uint32) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	b[len(b)-1] = byte(n)
	a, _ := netip.AddrFromSlice(b)
	return a
}

// translation is the CTA_NAT_SRC attribute of a connection whose source is
// translated to another IPv4 address.
func (u *tuple) translation() []byte {
	if !u.masked.IsValid() {
		return nil
	}
	return attr(6|nested, attr(1, u.masked.AsSlice()), attr(2, u.masked.AsSlice()))
}

// setEntry makes a connection that has seen both directions, TCP with liberal
// window checks. Where there is one already, it puts its mark back.
func (n *nfnl) setEntry(u *tuple, exclusive uint16) error {
	side := func(src, dst netip.Addr, sport, dport uint16) []byte {
		kind := uint16(1)
		if src.Is6() {
			kind = 3
		}
		ip := attr(1|nested, attr(kind, src.AsSlice()), attr(kind+1, dst.AsSlice()))
		return append(ip, attr(2|nested, attr(1, []byte{u.proto}), attr(2, be16(sport)), attr(3, be16(dport)))...)
	}
	body := slices.Concat(
		attr(1|nested, side(u.src, u.dst, u.sport, u.dport)),
		attr(2|nested, side(u.dst, u.src, u.dport, u.sport)),
		u.translation(),
		attr(3, be32(ctStatus)),
		attr(7, be32(1_000_000)),
		attr(8, be32(u.mark)),
	)
	if u.proto == tcp {
		liberal := []byte{8, 8} // IP_CT_TCP_FLAG_BE_LIBERAL
		body = append(body, attr(4|nested, attr(1|nested, attr(1, []byte{3}), attr(4, liberal), attr(5, liberal)))...)
	}
	family := uint8(unix.NFPROTO_IPV4)
	if u.src.Is6() {
		family = unix.NFPROTO_IPV6
	}
	return n.ask(subsysCtnetlink, ctNew, unix.NLM_F_ACK|unix.NLM_F_CREATE|exclusive, family, body, nil)
}
