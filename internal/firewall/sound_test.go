package firewall

import (
	"net/netip"
	"slices"
	"testing"

	"sekimori/packet"
)

// twoNets is a router with an address on each of two interfaces.
func twoNets() Facts {
	p := netip.MustParsePrefix
	return Facts{
		Known: true,
		Interfaces: []HostInterface{
			{Index: 1, Name: "lo", Loopback: true, Addresses: []netip.Prefix{p("127.0.0.1/8")}},
			{Index: 2, Name: "eth0", Addresses: []netip.Prefix{p("203.0.113.5/24")}},
			{Index: 3, Name: "eth1", Addresses: []netip.Prefix{p("10.0.0.1/24")}},
		},
		Local:    []netip.Prefix{p("203.0.113.5/32"), p("10.0.0.1/32"), p("127.0.0.0/8")},
		Routes:   []Route{{Dst: p("0.0.0.0/0"), Interface: "eth0"}, {Dst: p("10.0.0.0/24"), Interface: "eth1"}},
		Forward4: true,
	}
}

func natChain(rules ...*Rule) *Chain {
	c := base(Prerouting, -100, Accept, rules...)
	c.Base.Type = "nat"
	return c
}

func address(f Field, at int, a string) (Value, []byte) {
	return Whole(f, 0, at, 32), netip.MustParseAddr(a).AsSlice()
}

func inSet(at int, addrs ...string) Cond {
	s := &Set{Name: "s", Fields: []int{32}}
	var key Value
	for _, a := range addrs {
		v, b := address(FieldNetwork, at, a)
		key = v
		s.Elems = append(s.Elems, Elem{Key: []Interval{{Lo: b, Hi: b}}})
	}
	return Lookup{Key: []Value{key}, Set: s}
}

func exposureOf(t *testing.T, f Facts, tables ...*Table) *Exposure {
	t.Helper()
	rs := &Ruleset{Tables: tables}
	x, err := NewEngine(IPv4, f, 0, rs).NewExposure(rs)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func socket(t *testing.T, x *Exposure, p Port) Reach {
	t.Helper()
	r, err := x.Socket(p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What one rule makes of packets of two interfaces are two destinations: a set
// is asked about each.
func TestTranslatedFlowsAreAskedApart(t *testing.T) {
	port := NATTarget{Lo: be16(8080)}
	for _, allowed := range []string{"10.0.0.1", "203.0.113.5"} {
		rs := &Ruleset{Tables: []*Table{
			table(IPv4, "nat", natChain(rule(match(l4proto(6), dport(80)), NAT{Kind: Redirect, Port: port}))),
			table(IPv4, "filter", base(Input, 0, Drop, rule(match(inSet(128, allowed)), Verdict{Kind: Accept}))),
		}}
		e := NewEngine(IPv4, twoNets(), 0, rs)
		r := e.Follow(rs, WayInput, e.withoutOutput(e.Arriving(e.space.All())), false)
		for in, to := range map[string]string{"eth0": "203.0.113.5", "eth1": "10.0.0.1"} {
			p, err := packet.ParsePacket("tcp 198.51.100.7:4242 -> " + to + ":80 new in " + in)
			if err != nil {
				t.Fatal(err)
			}
			if got := !r.Accept.And(e.Packets(p)).Empty(); got != (to == allowed) {
				t.Errorf("%s allowed: redirected to %s: accepted: %v", allowed, to, got)
			}
		}
	}
}

// dnat to ip daddr . tcp dport map { … : addr . port }: both parts are looked up
// with what the packet came with.
func TestMapOfAddressAndPort(t *testing.T) {
	dst, from := address(FieldNetwork, 128, "203.0.113.5")
	_, to := address(FieldNetwork, 128, "10.0.0.20")
	m := &Set{Name: "m", Fields: []int{32, 16}, Elems: []Elem{{
		Key:  []Interval{{Lo: from, Hi: from}, {Lo: be16(80), Hi: be16(80)}},
		Data: append(slices.Clone(to), be16(8080)...),
	}}}
	key := []Value{dst, Whole(FieldTransport, 0, 16, 16)}
	x := exposureOf(t, twoNets(), table(IPv4, "nat", natChain(rule(match(l4proto(6)), NAT{
		Kind: DNAT,
		Addr: NATTarget{Map: m, Key: key}, Port: NATTarget{Map: m, Key: key, DataOffset: 4},
	}))))
	ps, err := x.Published(x.rules)
	if err != nil {
		t.Fatal(err)
	}
	if len(ps) != 1 || ps[0].To != netip.MustParseAddr("10.0.0.20") || ps[0].ToPort != 8080 || ps[0].Reach.Verdict != ReachAnyone {
		t.Errorf("published: %+v", ps)
	}
}

func TestGroups(t *testing.T) {
	accept := Verdict{Kind: Accept}
	daddr := func(p string) Cond {
		lo, hi := prefixEnds(netip.MustParsePrefix(p))
		return Compare{Value: Whole(FieldNetwork, 0, 128, 32), In: []Interval{{Lo: lo, Hi: hi}}}
	}
	cases := []struct {
		name string
		port Port
		rule *Rule
		want ReachVerdict
	}{
		{"neighbours", Port{Protocol: 17, Number: 5353}, rule(match(daddr("224.0.0.251/32")), accept), ReachSome},
		{"UDP-Lite", Port{Protocol: 136, Number: 5353}, rule(match(daddr("224.0.0.251/32")), accept), ReachSome},
		{"a host without an address", Port{Protocol: 17, Number: 67}, rule(match(saddr("0.0.0.0/32"), daddr("255.255.255.255/32")), accept), ReachSome},
		{"not decoded", Port{Protocol: 17, Number: 5353}, rule(match(daddr("224.0.0.251/32"), Undecoded{"osf"}), accept), ReachUndecided},
		{"TCP", Port{Protocol: 6, Number: 5353}, rule(match(daddr("224.0.0.251/32")), accept), ReachNone},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := socket(t, exposureOf(t, twoNets(), table(IPv4, "filter", base(Input, 0, Drop, c.rule))), c.port)
			if r.Verdict != c.want {
				t.Errorf("%+v, want %s", r, c.want)
			}
		})
	}
}

// A raw socket gets the packets of its protocol, whatever their ports, and those
// that begin nothing as well.
func TestRawSockets(t *testing.T) {
	accept := Verdict{Kind: Accept}
	for name, r := range map[string]*Rule{
		"a port":                rule(match(l4proto(6), dport(22)), accept),
		"packets of no session": rule(match(l4proto(6), State{StateInvalid}), accept),
	} {
		x := exposureOf(t, twoNets(), table(IPv4, "filter", base(Input, 0, Drop, r)))
		if got := socket(t, x, Port{Protocol: 6, Raw: true}); got.Verdict != ReachAnyone || got.From[0].Because.Rule != 1 {
			t.Errorf("%s: %+v", name, got)
		}
		if got := socket(t, x, Port{Protocol: 6}); got.Verdict != ReachNone {
			t.Errorf("%s: port 0: %+v", name, got)
		}
	}
}

// Each interface is told its own rule, though the same come by both.
func TestReasonsOfInterfaces(t *testing.T) {
	by := func(name string) *Rule {
		return rule(match(Interface{Name: name}, dport(22)), Verdict{Kind: Accept})
	}
	f := twoNets()
	x := exposureOf(t, f, table(IPv4, "filter", base(Input, 0, Drop, by("eth0"), by("eth1"))))
	r := socket(t, x, Port{Protocol: 6, Number: 22})
	for i, s := range r.From {
		if s.Because.Rule != i+1 {
			t.Errorf("%s: because of rule %d", s.Interface, s.Because.Rule)
		}
	}
	if len(r.From) != 2 {
		t.Errorf("from %+v", r.From)
	}
}

// What is open to anyone by one interface is, whatever the others are.
func TestOpenOutranksUndecided(t *testing.T) {
	x := exposureOf(t, twoNets(), table(IPv4, "filter", base(Input, 0, Drop,
		rule(match(Interface{Name: "eth0"}), Verdict{Kind: Accept}),
		rule(match(Undecoded{"osf"}), Verdict{Kind: Accept}))))
	if r := socket(t, x, Port{Protocol: 6, Number: 22}); r.Verdict != ReachAnyone || len(r.Undecided) != 1 {
		t.Errorf("%+v", r)
	}
}

// An expression of a nat chain that could not be decoded may translate.
func TestOpaqueTranslation(t *testing.T) {
	tables := []*Table{
		table(IPv4, "nat", natChain(rule(match(l4proto(6), dport(80)), Opaque{Name: "target X", Content: "x"}))),
		table(IPv4, "filter", base(Input, 0, Drop, rule(match(dport(8080)), Verdict{Kind: Accept})),
			base(Forward, 0, Drop, rule(match(dport(8080)), Verdict{Kind: Accept}))),
	}
	x := exposureOf(t, twoNets(), tables...)
	r, err := x.Arriving(Port{Protocol: 6, Number: 80})
	if err != nil || r.Verdict != ReachUndecided {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = x.Arriving(Port{Protocol: 6, Number: 81}); err != nil || r.Verdict != ReachNone {
		t.Errorf("%+v, %v", r, err)
	}
}

// Marks that a chain sets on a device below an interface are there above it.
func TestMarksFromBelow(t *testing.T) {
	ingress := base(Ingress, 0, Accept, rule(Assign{Field: FieldMark, Value: mark(7)}))
	ingress.Base.Devices = []string{"eth0"}
	rs := &Ruleset{Tables: []*Table{
		table(Netdev, "n", ingress),
		table(Inet, "f", base(Input, 0, Drop, rule(match(markIs(7)), Verdict{Kind: Accept}))),
	}}
	e := NewEngine(IPv4, lowerFacts(), 0, rs)
	p, err := packet.ParsePacket("tcp 198.51.100.7:4242 -> 203.0.113.5:22 in eth0.5")
	if err != nil {
		t.Fatal(err)
	}
	if e.Follow(rs, WayInput, e.withoutOutput(e.Packets(p)), false).Accept.Empty() {
		t.Error("surely refused")
	}
}

// What this host sends and redirects goes to its own loopback address.
func TestRedirectOfOwnPackets(t *testing.T) {
	c := base(Output, -100, Accept, rule(match(l4proto(6), dport(80)), NAT{Kind: Redirect, Port: NATTarget{Lo: be16(8080)}}))
	c.Base.Type = "nat"
	rs := &Ruleset{Tables: []*Table{
		table(IPv4, "nat", c),
		table(IPv4, "f", base(Postrouting, 0, Drop, rule(match(inSet(128, "127.0.0.1")), Verdict{Kind: Accept}))),
	}}
	e := NewEngine(IPv4, twoNets(), 0, rs)
	p, err := packet.ParsePacket("tcp 203.0.113.5:4242 -> 198.51.100.7:80 out eth0 new")
	if err != nil {
		t.Fatal(err)
	}
	tr, err := e.Trace(rs, WayOutput, e.Packets(p))
	if err != nil || tr.Verdict != TraceAccept {
		t.Errorf("%+v, %v", tr, err)
	}
}

// Two questions about the way back are two: one takes the host's own addresses,
// the other does not.
func TestWaysBackAreTwo(t *testing.T) {
	drop := Verdict{Kind: Drop}
	rs := &Ruleset{Tables: []*Table{table(IPv4, "f", base(Input, 0, Accept,
		rule(match(ReversePath{AcceptLocal: true}), drop), rule(match(Not{ReversePath{}}), drop)))}}
	f := twoNets()
	f.RoutesPartial = "policy routing"
	e := NewEngine(IPv4, f, 0, rs)
	if r := e.Follow(rs, WayInput, e.withoutOutput(e.newFromOutside()), false); r.Accept.Empty() {
		t.Error("surely refused")
	}
}
