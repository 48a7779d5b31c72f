package referee_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/iptables"
	"sekimori/packet"
)

// readAssignment reads a file that says which networks lie behind an interface:
//
//	lmd = [10.13.42.128/29, 10.0.0.1-10.0.0.9]
//	lup = all_but_those_ips [
//	    10.0.0.0/8
//	]
func readAssignment(tb testing.TB, name string) assignment {
	tb.Helper()
	text, err := os.ReadFile(corpus(tb, "iptables", "golden", name))
	if err != nil {
		tb.Fatal(err)
	}
	a := assignment{}
	rest := string(text)
	for strings.TrimSpace(rest) != "" {
		iface, after, ok := strings.Cut(rest, "=")
		kind, after, opened := strings.Cut(after, "[")
		list, after, closed := strings.Cut(after, "]")
		iface, kind = strings.TrimSpace(iface), strings.TrimSpace(kind)
		if !ok || !opened || !closed || strings.ContainsAny(iface, " \n[]") || kind != "" && kind != "all_but_those_ips" {
			tb.Fatalf("%s: %q is no assignment", name, rest)
		}
		var rs []packet.AddrRange
		for item := range strings.SplitSeq(list, ",") {
			if item = strings.TrimSpace(item); item != "" {
				rs = append(rs, addrRange(tb, item))
			}
		}
		if kind != "" {
			rs = allBut(rs)
		}
		if _, twice := a[iface]; twice {
			tb.Fatalf("%s: %s comes twice", name, iface)
		}
		a[iface], rest = rs, after
	}
	return a
}

// addrRange reads a prefix, a range with "-", or an address.
func addrRange(tb testing.TB, s string) packet.AddrRange {
	tb.Helper()
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			tb.Fatal(err)
		}
		return packet.AddrRange{Lo: p.Masked().Addr(), Hi: lastOf(p)}
	}
	lo, hi, many := strings.Cut(s, "-")
	if !many {
		hi = lo
	}
	a, err := netip.ParseAddr(lo)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := netip.ParseAddr(hi)
	if err != nil {
		tb.Fatal(err)
	}
	return packet.AddrRange{Lo: a, Hi: b}
}

// allBut returns the IPv4 addresses that are in none of the ranges.
func allBut(rs []packet.AddrRange) []packet.AddrRange {
	rs = slices.Clone(rs)
	slices.SortFunc(rs, func(a, b packet.AddrRange) int { return a.Lo.Compare(b.Lo) })
	var out []packet.AddrRange
	next := netip.MustParseAddr("0.0.0.0") // the first address not dealt with; invalid at the end
	for _, r := range rs {
		if next.IsValid() && next.Less(r.Lo) {
			out = append(out, packet.AddrRange{Lo: next, Hi: r.Lo.Prev()})
		}
		if next.IsValid() && !r.Hi.Less(next) {
			next = r.Hi.Next()
		}
	}
	if next.IsValid() {
		out = append(out, packet.AddrRange{Lo: next, Hi: netip.MustParseAddr("255.255.255.255")})
	}
	return out
}

// relation is who may connect to whom: classes of addresses that neither as
// source nor as destination differ, and the pairs of them that may connect. A class
// is named by its ranges.
type relation struct {
	Classes []string
	Edges   []string
}

// className writes the addresses of a class.
func className(rs []packet.AddrRange) string {
	var b strings.Builder
	for i, r := range rs {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(r.Lo.String())
		if r.Lo != r.Hi {
			b.WriteString("-" + r.Hi.String())
		}
	}
	return b.String()
}

// relationOf computes the classes of a set of pairs of Src and Dst.
func relationOf(sp *packet.Space, pairs packet.Set) relation {
	var classes [][]packet.AddrRange
	rows := alike(sp, pairs, packet.Src, packet.Dst)
	columns := alike(sp, pairs, packet.Dst, packet.Src)
	for _, r := range rows {
		for _, c := range columns {
			both := sp.Addresses(packet.Src, r...).And(sp.Addresses(packet.Src, c...))
			if !both.Empty() {
				classes = append(classes, both.AddrRanges(packet.Src))
			}
		}
	}
	var out relation
	for _, from := range classes {
		out.Classes = append(out.Classes, className(from))
		for _, to := range classes {
			if pairs.Overlaps(sp.Addresses(packet.Src, from...).And(sp.Addresses(packet.Dst, to...))) {
				out.Edges = append(out.Edges, className(from)+" -> "+className(to))
			}
		}
	}
	slices.Sort(out.Classes)
	slices.Sort(out.Edges)
	return out
}

// alike divides the addresses of field f into those that are paired with the same
// addresses of field other.
func alike(sp *packet.Space, pairs packet.Set, f, other packet.Field) [][]packet.AddrRange {
	var out [][]packet.AddrRange
	for rest := sp.All(); !rest.Empty(); {
		one := rest.AddrRanges(f)[0].Lo
		row := pairs.And(sp.Addresses(f, packet.AddrRange{Lo: one, Hi: one})).Only(other)
		same := pairs.Xor(row).Exists(other).Not()
		out = append(out, same.AddrRanges(f))
		rest = rest.Minus(same)
	}
	return out
}

// golden is what the program wrote about one dump.
type golden struct {
	certified map[string]bool     // by interface: no packet with a false source passes
	matrices  map[string]relation // by heading
	pairs     map[string][][2][]packet.AddrRange
}

// readGolden reads the program's output: the lines
//
//	("eth0","True (certified)")
//
// and the sections
//
//	=========== TCP port 10000->22 =========
//	a |-> {0.0.0.0 .. 126.255.255.255} u 128.0.0.1
//	…
//	(a,b)
func readGolden(t *testing.T, name string) golden {
	t.Helper()
	text, err := os.ReadFile(corpus(t, "iptables", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	g := golden{certified: map[string]bool{}, matrices: map[string]relation{}, pairs: map[string][][2][]packet.AddrRange{}}
	_, rest, ok := strings.Cut(string(text), "\nSpoofing certification results:\n")
	certs, matrices, ok2 := strings.Cut(rest, "\n== calculating service matrices ==\n")
	if !ok || !ok2 {
		t.Fatalf("%s: no certificates or no matrices", name)
	}
	for line := range strings.SplitSeq(certs, "\n") {
		iface, verdict, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(line, `("`), `")`), `","`)
		yes := verdict == "True (certified)"
		if !ok || !yes && verdict != "Probably not (False)" {
			t.Fatalf("%s: %q is no certificate", name, line)
		}
		g.certified[iface] = yes
	}
	for _, section := range strings.Split(matrices, "=========== ")[1:] {
		heading, body, _ := strings.Cut(section, " =========\n")
		g.matrix(t, heading, body)
	}
	return g
}

func (g golden) matrix(t *testing.T, heading, body string) {
	t.Helper()
	nodes := map[string][]packet.AddrRange{}
	var m relation
	for line := range strings.SplitSeq(body, "\n") {
		if letter, text, ok := strings.Cut(line, " |-> "); ok {
			var rs []packet.AddrRange
			for item := range strings.SplitSeq(text, " u ") {
				rs = append(rs, addrRange(t, strings.Replace(strings.Trim(item, "{}"), " .. ", "-", 1)))
			}
			nodes[letter] = rs
			m.Classes = append(m.Classes, className(rs))
			continue
		}
		if line == "" {
			continue
		}
		from, to, ok := strings.Cut(strings.Trim(line, "()"), ",")
		if !ok || nodes[from] == nil || nodes[to] == nil {
			t.Fatalf("%s: %q is neither a class nor a pair of classes", heading, line)
		}
		m.Edges = append(m.Edges, className(nodes[from])+" -> "+className(nodes[to]))
		g.pairs[heading] = append(g.pairs[heading], [2][]packet.AddrRange{nodes[from], nodes[to]})
	}
	slices.Sort(m.Classes)
	slices.Sort(m.Edges)
	g.matrices[heading] = m
}

// goldenCase is one dump, and how the program was asked about it.
type goldenCase struct {
	output, save           string
	table                  string
	way                    firewall.Way
	assignment             string // "" for that of lo alone
	certificates, matrices int
	// finer is where fewer may connect than the program says, by heading: pairs of
	// ranges, each "FROM -> TO".
	finer map[string][]string
	// blind turns the dump into what the program sees of it, from which then follows
	// exactly what it says: old and new text, alternating.
	blind []string
}

// Both differences come from the last step of the program, which leaves rules
// without interfaces, and goes up where that loses something:
//
//   - REJECT of all ports of four printers stands in a chain that is asked for packets
//     that leave by eth1.109. The program knows no output interfaces, so it leaves
//     out what refuses with one; after it an ACCEPT of the same chain, for one source.
//   - What comes in by eth1.110 is accepted for two telephone exchanges. Because the
//     networks of eth1.110 are those of eth1.1024 as well, the program cannot write
//     sources in the interface's place, and lets in all sources; but 192.168.212.0/23
//     is refused on eth1.110 (chain NOTFROMHERE, and by the assignment as well).
var tumBlind = []string{
	"-A filter_109 -d 131.159.20.15/32 -p tcp -m state --state NEW -m tcp --dport 1:65535 --tcp-flags FIN,SYN,RST,ACK SYN -j REJECT --reject-with icmp-port-unreachable\n", "",
	"-A filter_109 -d 131.159.20.16/32 -p tcp -m state --state NEW -m tcp --dport 1:65535 --tcp-flags FIN,SYN,RST,ACK SYN -j REJECT --reject-with icmp-port-unreachable\n", "",
	"-A filter_109 -d 131.159.20.19/32 -p tcp -m state --state NEW -m tcp --dport 1:65535 --tcp-flags FIN,SYN,RST,ACK SYN -j REJECT --reject-with icmp-port-unreachable\n", "",
	"-A filter_109 -d 131.159.20.20/32 -p tcp -m state --state NEW -m tcp --dport 1:65535 --tcp-flags FIN,SYN,RST,ACK SYN -j REJECT --reject-with icmp-port-unreachable\n", "",
	"-A FORWARD -d 131.159.15.247/32 -i eth1.110 -o eth1.152 -j ACCEPT\n", "-A FORWARD -d 131.159.15.247/32 -o eth1.152 -j ACCEPT\n",
	"-A FORWARD -d 131.159.15.248/32 -i eth1.110 -o eth1.152 -j ACCEPT\n", "-A FORWARD -d 131.159.15.248/32 -o eth1.152 -j ACCEPT\n",
}

var goldenCases = map[string]goldenCase{
	"parser": {
		output: "parser_test.fffuu", save: "parser-stress.save", table: "filter", way: firewall.WayForward,
		certificates: 1, matrices: 2,
	},
	"synology": {
		output: "synology_iptables-save_jun_2015_cleanup.fffuu", save: "synology-cleanup.save", table: "filter", way: firewall.WayInput,
		certificates: 1, matrices: 3,
	},
	"sqrl": {
		output: "sqrl_2015_aug_iptables-save-spoofing-protection.fffuu", save: "sqrl-2015.save", table: "raw", way: firewall.WayForward,
		assignment: "ipassmt-sqrl", certificates: 11, matrices: 2,
	},
	"tum": {
		output: "i8_iptables-save-2015-05-15_15-23-41_cheating.fffuu", save: "tum-2015-05-15.save", table: "filter", way: firewall.WayForward,
		assignment: "ipassmt-tum-i8", certificates: 23, matrices: 2,
		finer: map[string][]string{
			"TCP port 10000->22": {
				"138.246.253.5 -> 131.159.20.15-131.159.20.16",
				"138.246.253.5 -> 131.159.20.19-131.159.20.20",
				"192.168.212.0-192.168.213.255 -> 131.159.15.247-131.159.15.248",
			},
			"TCP port 10000->80": {
				"138.246.253.5 -> 131.159.20.15-131.159.20.16",
				"138.246.253.5 -> 131.159.20.19-131.159.20.20",
			},
		},
		blind: tumBlind,
	},
}

// TestGolden holds what follows from our sets against the complete output of a
// verified program (fffuu) about four dumps, each about one chain of one table:
//
//   - Its certificates: an interface is certified if and only if no new packet may be
//     accepted that came in by it with a source outside of its networks. A new TCP
//     packet here has any flags.
//   - Its matrices: which source addresses may open a TCP connection from one port to
//     another on which destinations (for some outcome of the unknowns, by some input
//     interface that may carry the source, and some output interface). Compared are
//     the classes of addresses and who may connect to whom, exactly; names and order
//     of the classes mean nothing.
func TestGolden(t *testing.T) {
	for name, c := range goldenCases {
		t.Run(name, func(t *testing.T) {
			g := readGolden(t, c.output)
			if len(g.certified) != c.certificates || len(g.matrices) != c.matrices {
				t.Fatalf("read %d certificates and %d matrices", len(g.certified), len(g.matrices))
			}
			text, err := os.ReadFile(corpus(t, "iptables", "save", c.save))
			if err != nil {
				t.Fatal(err)
			}
			c.open(t, string(text), func(sp *packet.Space, may packet.Set, a assignment) {
				g.certificates(t, sp, may, a)
				g.compare(t, sp, may, a, c.finer)
			})
			if len(c.blind) > 0 {
				c.open(t, replace(t, string(text), c.blind), func(sp *packet.Space, may packet.Set, a assignment) {
					g.compare(t, sp, may, a, nil)
				})
			}
		})
	}
}

// replace replaces texts that each occur once.
func replace(t *testing.T, text string, pairs []string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if n := strings.Count(text, pairs[i]); n != 1 {
			t.Fatalf("%q occurs %d times", pairs[i], n)
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

// open hands on the new packets that may be accepted, and the networks of the
// interfaces.
func (c goldenCase) open(t *testing.T, text string, ask func(sp *packet.Space, may packet.Set, a assignment)) {
	t.Helper()
	a := networks(map[string]string{"lo": "127.0.0.0/8"})
	if c.assignment != "" {
		a = readAssignment(t, c.assignment)
	}
	rs, err := iptables.Parse(firewall.IPv4, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	rs = alone(t, rs, c.table)
	e := firewall.NewEngine(firewall.IPv4, firewall.Facts{Named: a.names()}, 0, rs)
	err = e.Do(func() error {
		in := e.Sent(c.way).And(e.Space().States(packet.New))
		ask(e.Space(), e.Follow(rs, c.way, in, false).Accept.May(), a)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// compare compares all matrices.
func (g golden) compare(t *testing.T, sp *packet.Space, may packet.Set, a assignment, finer map[string][]string) {
	t.Helper()
	open := may.And(fresh(sp)).And(a.holds(sp))
	for heading := range g.matrices {
		g.connections(t, sp, open, heading, finer[heading])
	}
}

func (g golden) certificates(t *testing.T, sp *packet.Space, may packet.Set, a assignment) {
	t.Helper()
	for iface, want := range g.certified {
		sources, ok := a[iface]
		if !ok {
			t.Fatalf("a certificate for %s, whose networks are not known", iface)
		}
		lies := may.And(by(sp, iface)).Minus(sp.Addresses(packet.Src, sources...))
		if got := lies.Empty(); got != want {
			sample, _ := lies.Sample()
			t.Errorf("%s: certified by the reference %v, by us %v (%s)", iface, want, got, sample)
		}
	}
}

// connections compares one matrix: ours is the reference's without the pairs of
// finer.
func (g golden) connections(t *testing.T, sp *packet.Space, open packet.Set, heading string, finer []string) {
	t.Helper()
	var sport, dport uint64
	if _, err := fmt.Sscanf(heading, "TCP port %d->%d", &sport, &dport); err != nil {
		t.Fatalf("%q: %v", heading, err)
	}
	ours := open.And(sp.Values(packet.Protocol, packet.Range{Lo: 6, Hi: 6})).
		And(sp.Values(packet.SrcPort, packet.Range{Lo: sport, Hi: sport})).
		And(sp.Values(packet.DstPort, packet.Range{Lo: dport, Hi: dport})).
		Only(packet.Src, packet.Dst)
	product := func(from, to []packet.AddrRange) packet.Set {
		return sp.Addresses(packet.Src, from...).And(sp.Addresses(packet.Dst, to...))
	}
	theirs := sp.None()
	for _, p := range g.pairs[heading] {
		theirs = theirs.Or(product(p[0], p[1]))
	}
	less := sp.None()
	for _, text := range finer {
		from, to, _ := strings.Cut(text, " -> ")
		less = less.Or(product([]packet.AddrRange{addrRange(t, from)}, []packet.AddrRange{addrRange(t, to)}))
	}
	if !less.SubsetOf(theirs) {
		t.Errorf("%s: the reference does not say what ours is to be finer than", heading)
	}
	report(t, heading+": may connect, but not according to the reference", ours.Minus(theirs.Minus(less)))
	report(t, heading+": may connect according to the reference alone", theirs.Minus(less).Minus(ours))
	if len(finer) > 0 {
		return // other pairs, other classes
	}
	if diff := cmp.Diff(g.matrices[heading], relationOf(sp, ours)); diff != "" {
		t.Errorf("%s: classes and edges (-reference +ours):\n%s", heading, diff)
	}
}
