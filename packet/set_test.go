package packet_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sekimori/packet"
)

// TestFirstMatch compares ten thousand packets with going through the rules.
func TestFirstMatch(t *testing.T) {
	rules := hostRules(2000, 4)
	rng := rand.New(rand.NewPCG(8, 8))
	sp := newSpace(packet.V4)
	accepted := firstMatch(sp, rules)
	yes := 0
	for range 10_000 {
		r := rules[rng.IntN(len(rules))]
		base := binary.BigEndian.Uint32(r.src.Addr().AsSlice())
		src := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, base|rng.Uint32()>>rng.IntN(32))))
		port := r.port
		proto := []uint64{6, 6, 6, 17}[rng.IntN(4)]
		i := slices.IndexFunc(rules, func(r rule) bool { return r.port == port && r.src.Contains(src) })
		want := proto == 6 && i >= 0 && rules[i].accept
		p := packet.Packet{Src: src}.With(packet.Protocol, proto).With(packet.DstPort, port)
		if accepted.Contains(p) != want || accepted.And(sp.Point(p)).Empty() == want {
			t.Fatalf("%s: want %v", p, want)
		}
		if want {
			yes++
		}
	}
	if yes < 1000 || yes > 9000 {
		t.Fatalf("%d of the packets are accepted: the test proves little", yes)
	}
}

// TestPoint: the set of a packet contains the packet, and nothing that differs
// from it in one part.
func TestPoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sp := newSpace(packet.V6)
		p, q := drawPacket(t, packet.V6), drawPacket(t, packet.V6)
		p.In, p.Out = "eth0", ""
		q.In = rapid.SampledFrom([]string{"", "eth0", "wg0"}).Draw(t, "in")
		if err := sp.Fits(p); err != nil {
			if sp.All().Contains(p) || !sp.Point(p).Empty() {
				t.Fatalf("%v, and yet it is contained", err)
			}
			return
		}
		s := sp.Point(p)
		if !s.Contains(p) || s.Empty() || s.Not().Contains(p) {
			t.Fatalf("%s is not in its own set", p)
		}
		if sp.Fits(q) != nil {
			return
		}
		if got, want := s.Contains(q), sp.Point(q).SubsetOf(s); got != want {
			t.Fatalf("%s contains %s: %v, but subset: %v", p, q, got, want)
		}
	})
}

// TestManyLimits: hundreds of overlapping sources, each with a limit of its own,
// must not ask for every combination of outcomes.
func TestManyLimits(t *testing.T) {
	sp := packet.NewSpace(packet.Config{Family: packet.V4, MaxNodes: 100_000})
	rules := hostRules(500, 3)
	var accepted, without packet.Set
	err := sp.Do(func() error {
		accepted, without = sp.None(), sp.None()
		for i, r := range rules {
			from := sp.Prefixes(packet.Src, r.src)
			accepted = accepted.Or(from.And(sp.Unknown(fmt.Sprint(i))))
			without = without.Or(from)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !accepted.May().Equal(without) || !accepted.Must().Empty() {
		t.Error("may should be all the sources, must none")
	}
	if got := len(sp.UnknownKeys(accepted)); got != len(rules) {
		t.Errorf("depends on %d limits, want %d", got, len(rules))
	}
}

func TestSamplePreferences(t *testing.T) {
	sp, sp6 := shorthand{newSpace(packet.V4)}, shorthand{newSpace(packet.V6)}
	tests := []struct {
		set  packet.Set
		want string
	}{
		{sp.All(), "tcp 198.51.100.7:40000 -> 203.0.113.5:80"},
		{sp6.All(), "tcp [2001:db8::7]:40000 -> [2001:db8:1::5]:80"},
		{sp.proto(6).Not(), "udp 198.51.100.7:40000 -> 203.0.113.5:80"},
		{sp.proto(1), "icmp 198.51.100.7 -> 203.0.113.5 type echo-request code 0"},
		{sp6.proto(58), "icmpv6 2001:db8::7 -> 2001:db8:1::5 type echo-request code 0"},
		{sp.proto(47), "gre 198.51.100.7 -> 203.0.113.5 sport 0"},
		{sp.from("10.0.0.0/8").And(sp.in("wg0")), "tcp 10.0.0.1:40000 -> 203.0.113.5:80 in wg0"},
		{sp.from("10.0.0.0/32"), "tcp 10.0.0.0:40000 -> 203.0.113.5:80"},
		{sp.from("224.0.0.0/4"), "tcp 224.0.0.1:40000 -> 203.0.113.5:80"},
		{sp.value(packet.DstPort, 1000, 2000).And(sp.value(packet.SrcPort, 0, 10)), "tcp 198.51.100.7:1 -> 203.0.113.5:1000"},
		{sp.States(packet.New).Not(), "tcp 198.51.100.7:40000 -> 203.0.113.5:80 established"},
		{sp.Bit(packet.Mark, 31).Or(sp.Unknown("x")), `tcp 198.51.100.7:40000 -> 203.0.113.5:80 mark 0x0 if "x"`},
		{sp.value(sp.Extra("ip ttl", 8), 5, 9), `tcp 198.51.100.7:40000 -> 203.0.113.5:80 with "ip ttl"/8 0x5`},
	}
	for _, tt := range tests {
		p, ok := tt.set.Sample()
		if !ok || p.String() != tt.want || !tt.set.Contains(p) {
			t.Errorf("%s, want %s", p, tt.want)
		}
	}
	if p, ok := sp.None().Sample(); ok || p.String() != "" {
		t.Errorf("a sample of nothing: %q", p)
	}
}

func TestCountAll(t *testing.T) {
	sp := packet.NewSpace(packet.Config{Family: packet.V4, Interfaces: []string{"a", "b", "c"}})
	sp.Extra("x", 9)
	sp.Unknown("u")
	// 8+16+16 bits, 3 names twice, 5 states, 16+8+16 bits, 12 types twice, 4*32 bits.
	want := new(big.Int).Lsh(big.NewInt(3*3*5*12*12), 40+40+128)
	if got := sp.All().Count(); got.Cmp(want) != 0 {
		t.Errorf("%s packets, want %s", got, want)
	}
	if got := sp.Unknown("u").Count(); got.Cmp(want) != 0 {
		t.Errorf("%s packets where u holds, want %s", got, want)
	}
	if got := sp.None().Count(); got.Sign() != 0 {
		t.Errorf("%s packets in none", got)
	}
}

func TestInterfaces(t *testing.T) {
	for _, count := range []int{1, 2, 3, 4096, packet.MaxInterfaces} {
		names := make([]string, count)
		for i := range names {
			names[i] = fmt.Sprintf("veth%d", i)
		}
		sp := packet.NewSpace(packet.Config{Family: packet.V4, Interfaces: append(names, names[0])})
		if got := sp.All().InterfaceNames(packet.OutInterface); !slices.Equal(got, names) {
			t.Errorf("%d names: %d come back", count, len(got))
		}
		last := sp.Interfaces(packet.OutInterface, func(n string) bool { return n == names[count-1] })
		if got := last.InterfaceNames(packet.OutInterface); !slices.Equal(got, names[count-1:]) {
			t.Errorf("%d names: the last comes back as %v", count, got)
		}
		if got := sp.All().Count(packet.InInterface); got.Int64() != int64(count) {
			t.Errorf("%d names: %s are counted", count, got)
		}
	}
	if got := packet.NewSpace(packet.Config{Family: packet.V4}).InterfaceNames(); !slices.Equal(got, []string{"any"}) {
		t.Errorf("without names: %v", got)
	}
}

func TestExtraAndUnknown(t *testing.T) {
	sp := newSpace(packet.V4)
	a, b, c := sp.Extra("ip ttl", 8), sp.Extra("ip ttl", 8), sp.Extra("ip ttl", 4)
	if a != b || a == c || sp.Width(a) != 8 || sp.Width(c) != 4 {
		t.Error("the same name and width should be the same field, and nothing else")
	}
	u, v := sp.Unknown("ip ttl"), sp.Unknown("other")
	if !u.Equal(sp.Unknown("ip ttl")) || u.Equal(v) {
		t.Error("the same key should be the same boolean")
	}
	s := v.Or(u).And(sp.Bit(a, 0))
	if got := sp.UnknownKeys(s); !slices.Equal(got, []string{"ip ttl", "other"}) {
		t.Errorf("keys %q", got)
	}
	if got := sp.UnknownKeys(s.Or(u.Not())); !slices.Equal(got, []string{"ip ttl"}) && len(got) != 2 {
		t.Errorf("keys %q", got)
	}
	if got := sp.UnknownKeys(u.Or(u.Not())); got != nil {
		t.Errorf("a set with everything depends on %q", got)
	}
}

func TestOpenFields(t *testing.T) {
	sp := shorthand{newSpace(packet.V4)}
	ssh := sp.proto(6).And(sp.value(packet.DstPort, 22, 22))
	tests := []struct {
		in, s packet.Set
		want  []string
	}{
		{sp.All(), sp.All(), nil},
		{sp.All(), ssh, []string{"protocol", "destination port"}},
		{sp.proto(6), ssh, []string{"destination port"}},
		{ssh, ssh, nil},
		{sp.All(), sp.States(packet.New).And(sp.Unknown("u")), []string{"conntrack state"}},
		{sp.All(), sp.value(packet.State, 0, 4), nil},
		// The fourth to seventh value of State are no packets, the others all in.
		{sp.All(), sp.Bit(packet.State, 0).And(sp.Bit(packet.State, 1)).Not(), nil},
		{sp.All(), sp.value(sp.Extra("ip ttl", 8), 1, 1), []string{"ip ttl"}},
	}
	for i, tt := range tests {
		if got := sp.OpenFields(tt.in, tt.s); !slices.Equal(got, tt.want) {
			t.Errorf("case %d: %q, want %q", i, got, tt.want)
		}
	}
}

// TestDo: exhaustion ends in ErrBudget at the Do of that very space; other
// panics and errors pass.
func TestDo(t *testing.T) {
	small := packet.NewSpace(packet.Config{Family: packet.V4, MaxNodes: 1000})
	before := small.Prefixes(packet.Src, netip.MustParsePrefix("10.0.0.0/8"))
	explode := func() error {
		s := small.None()
		for i := range uint64(1000) {
			s = s.Xor(small.Values(packet.DstPort, packet.Range{Lo: i * i % 65536, Hi: i * i % 65536}).And(small.Values(packet.Mark, packet.Range{Lo: i, Hi: i})))
		}
		return nil
	}
	if err := small.Do(explode); !errors.Is(err, packet.ErrBudget) || !strings.Contains(err.Error(), "Config.MaxNodes") {
		t.Errorf("got %v", err)
	}
	if got := fmt.Sprint(before.Contains(packet.Packet{Src: netip.MustParseAddr("10.1.2.3")}), before.Nodes()); got != "true 8" {
		t.Errorf("a set from before: %s", got)
	}
	if got := panics(func() { _ = explode() }); !strings.Contains(got, "outside of Space.Do") {
		t.Errorf("outside of Do: %s", got)
	}
	other := newSpace(packet.V4)
	if got := panics(func() { _ = other.Do(explode) }); !strings.Contains(got, "outside of Space.Do") {
		t.Errorf("inside another space's Do: %s", got)
	}
	if err := other.Do(func() error { return small.Do(explode) }); !errors.Is(err, packet.ErrBudget) {
		t.Errorf("nested: %v", err)
	}
	broken := errors.New("broken")
	if err := other.Do(func() error { return broken }); err != broken {
		t.Errorf("an error of the function: %v", err)
	}
	// 2^31 prefixes are no answer.
	err := other.Do(func() error { other.Bit(packet.Src, 31).Prefixes(packet.Src); return nil })
	if !errors.Is(err, packet.ErrBudget) || !strings.Contains(err.Error(), "a list of more than") {
		t.Errorf("endless list: %v", err)
	}
	err = other.Do(func() error {
		for i := range 400 {
			other.Extra(fmt.Sprint(i), 128)
		}
		return nil
	})
	if !errors.Is(err, packet.ErrBudget) || !strings.Contains(err.Error(), "more than 16384 unknowns") {
		t.Errorf("too many extra fields: %v", err)
	}
}

// TestWorkIsBounded: operations that make no nodes, but cannot be remembered all,
// come to an end as well.
func TestWorkIsBounded(t *testing.T) {
	sp := packet.NewSpace(packet.Config{Family: packet.V4, MaxNodes: 12000})
	var sets []packet.Set
	for i := range uint64(250) {
		sets = append(sets, sp.Values(packet.DstPort, packet.Range{Lo: 200 * i, Hi: 200*i + 100}).And(sp.Values(packet.SrcPort, packet.Range{Lo: i, Hi: i})))
	}
	err := sp.Do(func() error {
		for range 500 {
			for _, a := range sets {
				for _, b := range sets {
					a.And(b)
				}
			}
		}
		return nil
	})
	if !errors.Is(err, packet.ErrBudget) || !strings.Contains(err.Error(), "more work") {
		t.Errorf("got %v", err)
	}
	// The next question starts anew.
	if err := sp.Do(func() error { sets[0].And(sets[1]).Or(sets[2]); return nil }); err != nil {
		t.Error(err)
	}
}

// panics runs f and returns what it panics with.
func panics(f func()) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprint(p)
		}
	}()
	f()
	return "no panic"
}

func TestMisuse(t *testing.T) {
	sp, other := newSpace(packet.V4), newSpace(packet.V4)
	tests := map[string]func(){
		"packet: sets of different spaces cannot be combined": func() { sp.All().And(other.All()) },
		"packet: use of a zero Set":                           func() { sp.All().Or(packet.Set{}) },
		"packet: field 5000 does not exist in this space":     func() { sp.Width(5000) },
		"packet: no such bit in this field":                   func() { sp.Bit(packet.State, 3) },
		"packet: an interval of 1 and 2 bytes for a number of 16 bits": func() {
			sp.Between(sp.Bits(packet.DstPort), []packet.Interval{{Lo: []byte{1}, Hi: []byte{0, 1}}})
		},
		"packet: an element of 0 intervals for 1 fields": func() {
			sp.Tuples([][]packet.Set{sp.Bits(packet.DstPort)}, [][]packet.Interval{nil})
		},
		"packet: Config.Family is 0, want packet.V4 or packet.V6": func() { packet.NewSpace(packet.Config{}) },
		"packet: empty interface name; give packets without an interface a name such as \"none\"": func() {
			packet.NewSpace(packet.Config{Family: packet.V4, Interfaces: []string{""}})
		},
		"packet: Values of a field of 128 bits, at most 64 are possible": func() { newSpace(packet.V6).Values(packet.Src) },
		"packet: only Src and Dst have addresses":                        func() { sp.All().Prefixes(packet.Mark) },
		"packet: only InInterface and OutInterface have names":           func() { sp.All().InterfaceNames(packet.Mark) },
		`packet: extra field "x" has 129 bits, want 1 to 128`:            func() { sp.Extra("x", 129) },
	}
	for want, f := range tests {
		if got := panics(f); got != want {
			t.Errorf("panics with %q, want %q", got, want)
		}
	}
}

// TestSmallSpacesAreSmall: one space per question has to be cheap, and asking
// whether a set contains a packet must not fill the space.
func TestSmallSpacesAreSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sp := packet.NewSpace(packet.Config{Family: packet.V6, Interfaces: []string{"lo", "eth0", "other"}})
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 64<<10 {
		t.Errorf("an empty space takes %d bytes", used)
	}
	s := sp.Prefixes(packet.Src, netip.MustParsePrefix("2001:db8::/32")).And(sp.States(packet.New))
	p, err := packet.ParsePacket("tcp [2001:db8::1]:1000 -> [2001:db8::2]:22 in eth0 new")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { s.Contains(p) }); n > 2 {
		t.Errorf("Contains allocates %v times", n)
	}
	a, b := s.Not(), sp.Bit(packet.Mark, 3)
	if n := testing.AllocsPerRun(100, func() { a.And(b).Or(s).Minus(b).SubsetOf(s) }); n > 0 {
		t.Errorf("operations done before allocate %v times", n)
	}
}
