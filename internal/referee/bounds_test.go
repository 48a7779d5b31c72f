package referee_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sekimori/internal/firewall"
	"sekimori/packet"
)

// assignment says which sources an interface may carry: what is sent by a host of
// a network that lies behind it, if nobody lies about its address. An interface
// that is not in it may carry any source.
type assignment map[string][]packet.AddrRange

// networks makes an assignment from prefixes.
func networks(byName map[string]string) assignment {
	a := assignment{}
	for name, text := range byName {
		p := netip.MustParsePrefix(text)
		a[name] = []packet.AddrRange{{Lo: p.Masked().Addr(), Hi: lastOf(p)}}
	}
	return a
}

// lastOf is the last address of an IPv4 network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

func (a assignment) names() []string {
	var out []string
	for name := range a {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// holds returns the packets whose interface may carry their source.
func (a assignment) holds(sp *packet.Space) packet.Set {
	s := sp.All()
	for name, sources := range a {
		s = s.Minus(by(sp, name).Minus(sp.Addresses(packet.Src, sources...)))
	}
	return s
}

// by returns the packets that came in by an interface.
func by(sp *packet.Space, name string) packet.Set {
	return sp.Interfaces(packet.InInterface, func(n string) bool { return n == name })
}

// fresh returns the packets that the reference speaks of: each begins a connection
// for conntrack, TCP with SYN and none of FIN, RST, PSH, ACK and URG, and has its
// transport header (it is no later fragment, which no rule ever sees on a host
// whose rules ask for a conntrack state: conntrack puts them together first).
func fresh(sp *packet.Space) packet.Set {
	var whole []packet.Range
	for flags := range uint64(8) {
		whole = append(whole, packet.Range{Lo: flags << 13, Hi: flags << 13})
	}
	tcp := sp.Values(packet.Protocol, packet.Range{Lo: 6, Hi: 6})
	var syn []packet.Range
	for _, ecn := range []uint64{0, 0x40, 0x80, 0xc0} { // the reference does not know these
		syn = append(syn, packet.Range{Lo: ecn | 2, Hi: ecn | 2})
	}
	return sp.States(packet.New).
		And(sp.Values(packet.Fragment, whole...)).
		And(tcp.Not().Or(sp.Values(packet.TCPFlags, syn...)))
}

// alone returns the ruleset that has one of the tables only: the reference knows
// no others.
func alone(tb testing.TB, rs *firewall.Ruleset, table string) *firewall.Ruleset {
	tb.Helper()
	for _, t := range rs.Tables {
		if t.Name == table {
			return &firewall.Ruleset{Tables: []*firewall.Table{t}}
		}
	}
	tb.Fatalf("there is no table %s", table)
	return nil
}

// wayOf is the way on which a built-in chain is asked.
func wayOf(chain string) firewall.Way {
	if chain == "INPUT" {
		return firewall.WayInput
	}
	return firewall.WayForward
}

// The interfaces and their networks with which the bounds were computed.
var boundAssignments = map[string]map[string]string{
	"docker-topos":         {"lo": "127.0.0.0/8"},
	"gopherproxy":          {"lo": "127.0.0.0/8"},
	"sargon":               {"lo": "127.0.0.0/8"},
	"medium-company":       {"lo": "127.0.0.0/8", "eth0": "172.16.2.0/24"},
	"openwrt":              {"lo": "127.0.0.0/8", "eth0": "192.168.1.0/24", "tun0": "10.8.0.0/24", "br-lan": "192.168.1.0/24"},
	"synology-legacyiface": {"lo": "127.0.0.0/8", "eth0": "192.168.1.0/24"},
}

// vague are the packets of which the program, for want of knowledge, keeps more in
// an upper bound than may be accepted. The other upper bounds are exact.
var vague = map[string]func(sp *packet.Space) packet.Set{
	// It knows no types of ICMP, and so takes echo requests for all of it.
	"medium-company.FORWARD": noEchoRequest,
	"medium-company.INPUT":   noEchoRequest,
	// Where an interface without networks matters, rules that drop are left out:
	// here those against impossible sources, on eth0 and eth1.
	"sargon.INPUT": func(sp *packet.Space) packet.Set {
		tcp := sp.Values(packet.Protocol, packet.Range{Lo: 6, Hi: 6}).And(sp.Values(packet.DstPort, packet.Range{Lo: 655, Hi: 655}))
		udp := sp.Values(packet.Protocol, packet.Range{Lo: 17, Hi: 17}).And(sp.Values(packet.DstPort, packet.Range{Lo: 10035, Hi: 10035}))
		var bogus []netip.Prefix
		for p := range strings.FieldsSeq("0.0.0.0/8 10.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.2.0/24 192.168.0.0/16 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4") {
			bogus = append(bogus, netip.MustParsePrefix(p))
		}
		return tcp.Or(udp).And(sp.Prefixes(packet.Src, bogus...))
	},
}

func noEchoRequest(sp *packet.Space) packet.Set {
	icmp := sp.Values(packet.Protocol, packet.Range{Lo: 1, Hi: 1})
	return icmp.Minus(sp.Values(packet.SrcPort, packet.Range{Lo: 8 << 8, Hi: 8<<8 | 0xff}))
}

// exactLower are the pairs in which the lower bound is all that is accepted for
// certain. In the others it lacks what passes a rule with a module that the program
// does not know (recent, types of ICMP), or an interface without networks.
var exactLower = []string{"docker-topos.FORWARD", "gopherproxy.INPUT", "openwrt.FORWARD", "sqrl-2015.FORWARD"}

// TestBounds holds what a chain accepts against two lists of rules that a verified
// program (fffuu, of the Iptables_Semantics project) made of the same dump: an
// upper bound of what the chain accepts, and a lower one. In them nothing is left
// but protocol, addresses and ports; what the program does not know, and what
// cannot be known (limits, recent), went up in the one and down in the other.
//
// Ours is the filter table alone, in which a packet of [fresh], on an interface
// that may carry its source, meets the chain. Compared over all packets, in one
// space:
//
//	upper  has every packet that may be accepted (for some outcome of the
//	       unknowns) with some input and some output interface
//	lower  has no packets but those that with some input interface are accepted
//	       for certain (for every outcome of the unknowns), whatever the output
//	       interface: the program knows no output interfaces
//
// Where a bound is more than just a bound, vague and exactLower say so.
//
// The input interface is some, not any, because the program writes the networks
// of an interface in its place.
func TestBounds(t *testing.T) {
	files, err := filepath.Glob(corpus(t, "iptables", "bounds", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no bounds in the corpus: %v", err)
	}
	pairs := map[string]int{}
	for _, f := range files {
		ext := filepath.Ext(f)
		if ext != ".upper" && ext != ".lower" {
			t.Errorf("%s is neither an upper nor a lower bound", f)
		}
		pairs[strings.TrimSuffix(filepath.Base(f), ext)]++
	}
	for pair, n := range pairs {
		if n != 2 {
			t.Errorf("%s: %d bounds, not 2", pair, n)
			continue
		}
		t.Run(pair, func(t *testing.T) {
			name, chain, _ := strings.Cut(pair, ".")
			checkBounds(t, name, chain)
		})
	}
}

func checkBounds(t *testing.T, name, chain string) {
	t.Helper()
	a := networks(boundAssignments[name])
	if name == "sqrl-2015" {
		a = readAssignment(t, "ipassmt-sqrl")
	}
	if len(a) == 0 {
		t.Fatalf("no assignment of interfaces for %s", name)
	}
	rs := alone(t, readSave(t, corpus(t, "iptables", "save", name+".save")), "filter")
	e := firewall.NewEngine(firewall.IPv4, firewall.Facts{Named: a.names()}, 0, rs)
	err := e.Do(func() error {
		sp := e.Space()
		way := wayOf(chain)
		in := e.Sent(way).And(fresh(sp)).And(a.holds(sp))
		accept := e.Follow(rs, way, in, false).Accept

		may := accept.May().Exists(packet.InInterface, packet.OutInterface)
		upper := readListing(t, sp, corpus(t, "iptables", "bounds", name+"."+chain+".upper"), chain)
		report(t, "accepted, but not in the upper bound", may.Minus(upper))

		refusedSomewhere := in.Minus(accept.Must()).Exists(packet.OutInterface)
		must := in.Exists(packet.OutInterface).Minus(refusedSomewhere).Exists(packet.InInterface)
		lower := readListing(t, sp, corpus(t, "iptables", "bounds", name+"."+chain+".lower"), chain)
		lower = lower.And(in.Exists(packet.InInterface, packet.OutInterface))
		report(t, "in the lower bound, but not accepted for certain", lower.Minus(must))

		pair := name + "." + chain
		slack := sp.None()
		if of, ok := vague[pair]; ok {
			slack = of(sp)
		}
		all := in.Exists(packet.InInterface, packet.OutInterface)
		report(t, "refused, although the upper bound knows enough to say so too", upper.And(all).Minus(slack).Minus(may))
		if exact := lower.Equal(must); exact != slices.Contains(exactLower, pair) {
			t.Errorf("that the lower bound is exact is now %v", exact)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// report fails with a few boxes of a set that should be empty.
func report(t *testing.T, what string, s packet.Set) {
	t.Helper()
	if s.Empty() {
		return
	}
	sample, _ := s.Sample()
	boxes, complete := s.Boxes(10)
	var lines []string
	for _, b := range boxes {
		lines = append(lines, b.String())
	}
	t.Errorf("%s, such as %s:\n%s\nall of them listed: %v", what, sample, strings.Join(lines, "\n"), complete)
}

// readListing reads one chain of `iptables -L -n` and returns what it accepts. It
// knows no more than protocol, addresses and ports, and fails at anything else.
func readListing(t *testing.T, sp *packet.Space, path, chain string) packet.Set {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	accept, live, found := sp.None(), sp.All(), false
	current := ""
	for i, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || f[0] == "target":
		case f[0] == "Chain":
			if len(f) != 4 || f[2] != "(policy" || f[3] != "ACCEPT)" {
				t.Fatalf("%s:%d: a chain with another policy than ACCEPT: %s", path, i+1, line)
			}
			current = f[1]
			found = found || current == chain
		case current != chain:
			t.Fatalf("%s:%d: a rule of %s, not of %s", path, i+1, current, chain)
		default:
			m, err := listedRule(sp, f)
			if err != nil {
				t.Fatalf("%s:%d: %v", path, i+1, err)
			}
			switch f[0] {
			case "ACCEPT":
				accept = accept.Or(live.And(m))
			case "DROP":
			default:
				t.Fatalf("%s:%d: unknown target %s", path, i+1, f[0])
			}
			live = live.Minus(m)
		}
	}
	if !found {
		t.Fatalf("%s: no chain %s", path, chain)
	}
	return accept.Or(live)
}

// listedRule returns the packets that a line of a listing matches:
//
//	ACCEPT     udp  --  172.64.0.0/10        0.0.0.0/0            udp spts:67:68 dpts:67:68
func listedRule(sp *packet.Space, f []string) (packet.Set, error) {
	m := sp.All()
	if len(f) < 5 || f[2] != "--" {
		return m, fmt.Errorf("not a rule: %q", f)
	}
	protocols := map[string]uint64{"icmp": 1, "tcp": 6, "udp": 17}
	proto := f[1]
	if proto != "all" {
		n, ok := protocols[proto]
		if !ok {
			return m, fmt.Errorf("unknown protocol %s", proto)
		}
		m = sp.Values(packet.Protocol, packet.Range{Lo: n, Hi: n})
	}
	for i, field := range []packet.Field{packet.Src, packet.Dst} {
		text := f[3+i]
		if !strings.Contains(text, "/") {
			text += "/32"
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return m, err
		}
		m = m.And(sp.Prefixes(field, p))
	}
	if len(f) == 5 {
		return m, nil
	}
	if f[5] != proto || proto != "tcp" && proto != "udp" {
		return m, fmt.Errorf("match %q of a rule for %s", f[5], proto)
	}
	for _, word := range f[6:] {
		ports, err := listedPorts(sp, word)
		if err != nil {
			return m, err
		}
		m = m.And(ports)
	}
	return m, nil
}

// listedPorts reads dpt:22, spt:53, dpts:67:68 and spts:67:68.
func listedPorts(sp *packet.Space, word string) (packet.Set, error) {
	name, rest, _ := strings.Cut(word, ":")
	field, ok := map[string]packet.Field{
		"dpt": packet.DstPort, "dpts": packet.DstPort, "spt": packet.SrcPort, "spts": packet.SrcPort,
	}[name]
	lo, hi, many := strings.Cut(rest, ":")
	if !many {
		hi = lo
	}
	if !ok || many != strings.HasSuffix(name, "s") {
		return sp.None(), fmt.Errorf("unknown match %q", word)
	}
	a, err := strconv.ParseUint(lo, 10, 16)
	if err != nil {
		return sp.None(), err
	}
	b, err := strconv.ParseUint(hi, 10, 16)
	if err != nil {
		return sp.None(), err
	}
	return sp.Values(field, packet.Range{Lo: a, Hi: b}), nil
}
