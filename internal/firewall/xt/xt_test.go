package xt

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/firewall"
)

func Example() {
	c := &Context{Family: firewall.IPv4}
	// struct xt_tcp: source ports, destination ports, option, flags, inversion
	steps, text := c.DecodeMatch("tcp", 0, []byte{0, 0, 0xff, 0xff, 22, 0, 22, 0, 0, 0, 0, 0})
	fmt.Println(text, len(steps))
	steps, text = c.DecodeMatch("geoip", 1, []byte{1, 2, 3})
	fmt.Println(text)
	fmt.Printf("%T\n", steps[0].(firewall.Match).Cond)
	steps, err := c.Match("tcp", []Option{{Name: "dport", Values: []string{"70000"}}})
	fmt.Println(steps, err)
	// Output:
	// -m tcp --dport 22 1
	// -m geoip [revision 1 undecoded: not known for ip]
	// firewall.Undecoded
	// [] "70000" is not a port
}

// TestTables checks the lists of options, which are ours: every alias leads to an
// option that is there, and no count is missing.
func TestTables(t *testing.T) {
	for _, f := range []firewall.Family{firewall.IPv4, firewall.IPv6} {
		for name, e := range matchTable(f) {
			checkExtension(t, name, e, e.cond != nil || e.steps != nil)
		}
		for name, e := range targetTable(f) {
			checkExtension(t, name, e, e.steps != nil)
		}
	}
	if n := len(matchTable(firewall.IPv4)); n < 55 {
		t.Errorf("%d matches", n)
	}
}

func checkExtension(t *testing.T, name string, e *extension, meaning bool) {
	t.Helper()
	if !meaning {
		t.Errorf("%s has no meaning", name)
	}
	if (e.decode == nil) != (e.sizes == nil) {
		t.Errorf("%s: sizes %v without a decoder, or the reverse", name, e.sizes)
	}
	for option, s := range e.specs {
		own, ok := e.specs[s.Name]
		if !ok || own.Name != s.Name || own.Negatable != s.Negatable && option == s.Name || s.Values != own.Values {
			t.Errorf("%s: --%s leads to --%s, %+v", name, option, s.Name, own)
		}
		if s.Values < 0 || s.Values > 2 || strings.ContainsAny(option, "!:=") {
			t.Errorf("%s: --%s takes %d values", name, option, s.Values)
		}
	}
}

// TestClosed: what is not known is undecoded, whatever is not known about it.
func TestClosed(t *testing.T) {
	tcp := make([]byte, 12)
	for _, c := range []struct {
		name   string
		family firewall.Family
		rev    uint8
		data   []byte
	}{
		{"geoip", firewall.IPv4, 0, tcp},
		{"", firewall.IPv4, 0, nil},
		{"tcp", firewall.IPv4, 1, tcp},
		{"tcp", firewall.IPv4, 255, tcp},
		{"tcp", firewall.IPv4, 0, tcp[:11]},
		{"tcp", firewall.IPv4, 0, append(tcp, 0)},
		{"tcp", firewall.IPv4, 0, nil},
		{"tcp", firewall.Bridge, 0, tcp},
		{"tcp", firewall.ARP, 0, tcp},
		{"icmp6", firewall.IPv4, 0, make([]byte, 4)},
		{"icmp", firewall.IPv6, 0, make([]byte, 4)},
		{"tcp", firewall.IPv4, 0, []byte{0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0, 0, 0x10}}, // an unknown inversion
		{"mark", firewall.IPv4, 0, make([]byte, 12)},                                         // revision 0 is gone
		{"mark", firewall.IPv4, 1, []byte{0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0}},               // neither inverted nor not
		{"comment", firewall.IPv4, 0, []byte(strings.Repeat("x", 256))},                      // without end
		{"set", firewall.IPv4, 4, make([]byte, 48)},                                          // of which there is no listing
		{"policy", firewall.IPv4, 0, make([]byte, 308)},                                      // neither in nor out
		{"statistic", firewall.IPv4, 0, append([]byte{9}, make([]byte, 23)...)},
	} {
		x := &Context{Family: c.family}
		steps, text := x.DecodeMatch(c.name, c.rev, c.data)
		if len(steps) != 1 || !strings.Contains(text, " undecoded: ") || !strings.Contains(text, "-m "+c.name) {
			t.Errorf("match %q revision %d: %s, %v", c.name, c.rev, text, steps)
			continue
		}
		if _, ok := steps[0].(firewall.Match).Cond.(firewall.Undecoded); !ok {
			t.Errorf("match %q: %v", c.name, steps)
		}
	}
	for _, name := range []string{"MIRROR", "FOO", "", "DNAT", "SET"} {
		steps, text := (&Context{Family: firewall.IPv4}).DecodeTarget(name, 7, tcp)
		o, ok := steps[0].(firewall.Opaque)
		if len(steps) != 1 || !ok || !strings.Contains(o.Name, fmt.Sprintf("%q", name)) || !strings.Contains(text, "-j "+name) {
			t.Errorf("target %q: %s, %v", name, text, steps)
		}
	}
}

// TestUndecodedAreTold: two things that are not understood are one only if all of
// their bytes are.
func TestUndecodedAreTold(t *testing.T) {
	c := &Context{Family: firewall.IPv4}
	undecoded := func(b ...byte) firewall.Cond {
		steps, _ := c.DecodeMatch("geoip", 1, b)
		return steps[0].(firewall.Match).Cond
	}
	if undecoded(1) != undecoded(1) || undecoded(1) == undecoded(2) {
		t.Error("not told apart by their bytes")
	}
}

// TestHooks: NETMAP and owner mean different things at different hooks.
func TestHooks(t *testing.T) {
	netmap := func(hooks ...firewall.Hook) firewall.Step {
		c := &Context{Family: firewall.IPv4, Hooks: hooks}
		steps, err := c.Target("NETMAP", []Option{{Name: "to", Values: []string{"10.0.0.0/24"}}})
		if err != nil {
			t.Fatal(err)
		}
		return steps[0]
	}
	want := firewall.NAT{
		Kind: firewall.DNAT, Family: firewall.IPv4, Prefix: true,
		Addr: firewall.NATTarget{Lo: []byte{10, 0, 0, 0}, Hi: []byte{10, 0, 0, 255}},
	}
	if diff := cmp.Diff(firewall.Step(want), netmap(firewall.Prerouting)); diff != "" {
		t.Error(diff)
	}
	want.Kind = firewall.SNAT
	if diff := cmp.Diff(firewall.Step(want), netmap(firewall.Postrouting)); diff != "" {
		t.Error(diff)
	}
	for _, hooks := range [][]firewall.Hook{nil, {firewall.Prerouting, firewall.Postrouting}} {
		if _, ok := netmap(hooks...).(firewall.Opaque); !ok {
			t.Errorf("%v: %v", hooks, netmap(hooks...))
		}
	}
	owner := func(not bool, hooks ...firewall.Hook) []firewall.Step {
		c := &Context{Family: firewall.IPv4, Hooks: hooks}
		steps, err := c.Match("owner", []Option{{Name: "uid-owner", Not: not, Values: []string{"0"}}})
		if err != nil {
			t.Fatal(err)
		}
		return steps
	}
	if diff := cmp.Diff([]firewall.Step{firewall.Match{Cond: firewall.Const(false)}}, owner(false, firewall.Input)); diff != "" {
		t.Error(diff)
	}
	if got := owner(true, firewall.Input); len(got) != 0 {
		t.Errorf("inverted: %v", got)
	}
	if _, ok := owner(false, firewall.Output)[0].(firewall.Match).Cond.(firewall.And); !ok {
		t.Errorf("at the output hook: %v", owner(false, firewall.Output))
	}
}

// TestChanged: a match on what some target of the ruleset changes has no fixed
// answer, nor has one where the targets are not known.
func TestChanged(t *testing.T) {
	for _, c := range []struct {
		targets map[string]bool
		fixed   bool
	}{
		{nil, false},
		{map[string]bool{}, true},
		{map[string]bool{"DSCP": true}, true},
		{map[string]bool{"TTL": true}, false},
	} {
		x := &Context{Family: firewall.IPv4, Targets: c.targets}
		steps, _ := x.DecodeMatch("ttl", 0, []byte{0, 64})
		_, varies := steps[0].(firewall.Match).Cond.(firewall.Varies)
		if varies == c.fixed {
			t.Errorf("%v: %v", c.targets, steps)
		}
	}
}

// TestU32 evaluates tests as bits of headers; places that depend on the packet are
// not understood.
func TestU32(t *testing.T) {
	for _, c := range []struct {
		text    string
		decided bool
	}{
		{"6&0xFF=6", true},
		{"0>>22&0x3C@0>>16=22", true},
		{"0 >> 22 & 0x3C @ 12 >> 26 = 5", true},
		{"4&0x1fff=0&&12=0x0a000000:0x0affffff", true},
		{"16=1", true},
		{"17=1", false},            // behind the fixed header
		{"0>>22&0x3C@61=1", false}, // far behind the transport header
		{"0>>24@0=1", false},       // not the header's length
		{"0>>22&0x3C@0@0=1", false},
		{"0<<32=0", false},
	} {
		a := &args{c: &Context{Family: firewall.IPv4, Targets: map[string]bool{}}, name: "u32", opts: []Option{{Name: "u32", Values: []string{c.text}}}}
		cond := u32(a)
		if a.err != nil {
			t.Errorf("%s: %v", c.text, a.err)
		}
		// A load from the transport header leaves later fragments open.
		text := fmt.Sprintf("%+v", cond)
		open := strings.Contains(text, "Text:-m u32") && !strings.Contains(text, "Header:@th")
		if open == c.decided {
			t.Errorf("%s: %s", c.text, text)
		}
	}
	for _, s := range []string{"", "=", "6", "6=", "x=1", "6&=1", "6<1=1", "6=1&&", "99999999999=1", "6=1:x"} {
		a := &args{c: &Context{Family: firewall.IPv4}, name: "u32", opts: []Option{{Name: "u32", Values: []string{s}}}}
		if u32(a); a.err == nil {
			t.Errorf("%q was understood", s)
		}
	}
}

// TestSetConditions: a set of another family, or with more parts than directions,
// holds nothing; a list holds what its members do.
func TestSetConditions(t *testing.T) {
	one := &IPSet{Name: "one", Type: "hash:ip", Family: firewall.IPv4, Set: &firewall.Set{Name: "one", Fields: []int{32}}}
	six := &IPSet{Name: "six", Type: "hash:ip", Family: firewall.IPv6, Set: &firewall.Set{Name: "six", Fields: []int{128}}}
	two := &IPSet{Name: "two", Type: "hash:ip,port", Family: firewall.IPv4, Set: &firewall.Set{Name: "two", Fields: []int{32, 8, 16}}}
	lost := &IPSet{Name: "lost", Type: "hash:ip", Family: firewall.IPv4, Set: &firewall.Set{Name: "lost", Opaque: "why"}}
	list := &IPSet{Name: "list", Type: "list:set", Set: &firewall.Set{Name: "list"}, Members: []*IPSet{one, six, two}}
	all := map[string]*IPSet{}
	for _, s := range []*IPSet{one, six, two, lost, list} {
		all[s.Name] = s
	}
	c := &Context{Family: firewall.IPv4, ByName: all}
	ask := func(name, dirs string) firewall.Cond {
		steps, err := c.Match("set", []Option{{Name: "match-set", Values: []string{name, dirs}}})
		if err != nil || len(steps) != 1 {
			t.Fatalf("%s %s: %v, %v", name, dirs, steps, err)
		}
		return steps[0].(firewall.Match).Cond
	}
	for _, q := range []struct {
		name, dirs string
		never      bool
	}{{"six", "src", true}, {"two", "src", true}, {"one", "dst", false}, {"two", "src,dst", false}, {"list", "src", false}, {"lost", "src", false}} {
		if never := ask(q.name, q.dirs) == firewall.Cond(firewall.Const(false)); never != q.never {
			t.Errorf("%s by %s: never %v", q.name, q.dirs, never)
		}
	}
	if diff := cmp.Diff(ask("one", "src"), ask("list", "src")); diff != "" {
		t.Errorf("a list that has one member of use: %s", diff)
	}
	src := ask("lost", "src").(firewall.Total).Of.(firewall.Lookup).Set
	dst := ask("lost", "dst").(firewall.Total).Of.(firewall.Lookup).Set
	if src == dst || src.Name == dst.Name || src.Opaque != "why" {
		t.Errorf("unknown contents asked in two ways: %+v, %+v", src, dst)
	}
	if _, err := c.Target("SET", []Option{{Name: "add-set", Values: []string{"list", "src"}}}); err != nil {
		t.Fatal(err)
	}
	if !one.Set.Learns || !two.Set.Learns || lost.Set.Learns {
		t.Error("adding to a list changes its members, and nothing else")
	}
	if _, err := c.Target("SET", []Option{{Name: "del-set", Values: []string{"lost", "src"}}}); err != nil {
		t.Fatal(err)
	}
	if !src.Learns || src.Opaque != "" {
		t.Errorf("a set that rules change: %+v", src)
	}
}

// TestMarks: the bits of a mark after each way to change it.
func TestMarks(t *testing.T) {
	c := &Context{Family: firewall.IPv4}
	show := func(steps []firewall.Step) string {
		v := steps[len(steps)-1].(firewall.Assign).Value
		var b strings.Builder
		for _, bit := range v {
			switch {
			case bit.Field == "" && bit.Invert:
				b.WriteByte('1')
			case bit.Field == "":
				b.WriteByte('0')
			case bit.Invert:
				b.WriteByte('!')
			case bit.Field == firewall.FieldMark:
				b.WriteByte('m')
			default:
				b.WriteByte('c')
			}
		}
		return b.String()[24:] // the low byte
	}
	for _, q := range []struct {
		target string
		opts   []Option
		want   string
	}{
		{"MARK", []Option{opt("set-xmark", "0x5/0xf")}, "mmmm0101"},
		{"MARK", []Option{opt("set-mark", "0x5/0x1")}, "mmmmm1m1"},
		{"MARK", []Option{opt("and-mark", "0xf0")}, "mmmm0000"},
		{"MARK", []Option{opt("or-mark", "0x3")}, "mmmmmm11"},
		{"MARK", []Option{opt("xor-mark", "0x3")}, "mmmmmm!!"},
		{"CONNMARK", []Option{opt("set-xmark", "0x3/0xff")}, "00000011"},
		{"CONNMARK", []Option{opt("save-mark"), opt("mask", "0xf")}, "ccccmmmm"},
		{"CONNMARK", []Option{opt("restore-mark"), opt("nfmask", "0xff"), opt("ctmask", "0xf")}, "0000cccc"},
		{"CONNMARK", []Option{opt("restore-mark"), opt("nfmask", "0xff"), opt("ctmask", "0xf"), opt("left-shift-mark", "4")}, "cccc0000"},
	} {
		steps, err := c.Target(q.target, q.opts)
		if err != nil {
			t.Errorf("%s %v: %v", q.target, q.opts, err)
			continue
		}
		if got := show(steps); got != q.want {
			t.Errorf("%s %v: %s, want %s", q.target, q.opts, got, q.want)
		}
	}
}

// seeds are structures of every size that a revision has, filled in three ways.
func seeds(add func(name string, rev uint8, data []byte)) {
	for _, f := range []firewall.Family{firewall.IPv4, firewall.IPv6} {
		for _, table := range []map[string]*extension{matchTable(f), targetTable(f)} {
			for name, e := range table {
				for rev, size := range e.sizes {
					for _, fill := range []byte{0, 1, 0xff} {
						data := make([]byte, max(size, 0))
						for i := range data {
							data[i] = fill
						}
						add(name, uint8(rev), data)
					}
				}
			}
		}
	}
}

// fuzzContext has a set for some indices, so that set matches find one.
func fuzzContext(six bool) *Context {
	c := &Context{Family: firewall.IPv4, IPSets: map[uint16]*IPSet{}, ByName: map[string]*IPSet{}}
	if six {
		c.Family = firewall.IPv6
	}
	for i, typ := range []string{"hash:ip", "hash:net,port", "hash:net,iface", "list:set", "bitmap:port", "hash:mac"} {
		s := &IPSet{Name: fmt.Sprint("s", i), Type: typ, Set: &firewall.Set{Name: fmt.Sprint("s", i)}}
		c.IPSets[uint16(i)], c.ByName[s.Name] = s, s
	}
	return c
}

// checkSteps demands that compared values and their intervals have the same width.
func checkSteps(t *testing.T, text string, steps []firewall.Step) {
	t.Helper()
	var cond func(firewall.Cond)
	cond = func(c firewall.Cond) {
		switch c := c.(type) {
		case firewall.Compare:
			for _, iv := range c.In {
				if n := (len(c.Value) + 7) / 8; len(iv.Lo) != n || len(iv.Hi) != n {
					t.Errorf("%s: %d bits compared with %d bytes", text, len(c.Value), len(iv.Lo))
				}
			}
		case firewall.And:
			for _, p := range c {
				cond(p)
			}
		case firewall.Or:
			for _, p := range c {
				cond(p)
			}
		case firewall.Not:
			cond(c.Of)
		case firewall.Total:
			cond(c.Of)
		}
	}
	for _, s := range steps {
		switch s := s.(type) {
		case firewall.Match:
			cond(s.Cond)
		case firewall.Assign:
			if len(s.Value) != 32 {
				t.Errorf("%s: a mark of %d bits", text, len(s.Value))
			}
		}
	}
}

func FuzzDecodeMatch(f *testing.F) {
	seeds(func(name string, rev uint8, data []byte) { f.Add(name, rev, data, rev%2 == 1) })
	f.Fuzz(func(t *testing.T, name string, rev uint8, data []byte, six bool) {
		steps, text := fuzzContext(six).DecodeMatch(name, rev, data)
		checkSteps(t, text, steps)
		if !strings.HasPrefix(text, "-m ") || strings.Contains(text, " undecoded: ") && len(steps) != 1 {
			t.Errorf("%s: %v", text, steps)
		}
	})
}

func FuzzDecodeTarget(f *testing.F) {
	seeds(func(name string, rev uint8, data []byte) { f.Add(name, rev, data, rev%2 == 1) })
	f.Add("MARK", uint8(2), binary.LittleEndian.AppendUint64(nil, 0x0000000f00000005), false)
	f.Fuzz(func(t *testing.T, name string, rev uint8, data []byte, six bool) {
		steps, text := fuzzContext(six).DecodeTarget(name, rev, data)
		checkSteps(t, text, steps)
		if !strings.HasPrefix(text, "-j ") || strings.Contains(text, " undecoded: ") && len(steps) != 1 {
			t.Errorf("%s: %v", text, steps)
		}
	})
}
