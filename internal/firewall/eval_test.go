package firewall

import (
	"slices"
	"testing"

	"sekimori/packet"
)

// verdicts of the three ways in which a packet can be answered.
func verdictOf(t *testing.T, rs *Ruleset, way Way, expr string) string {
	t.Helper()
	p, err := packet.ParsePacket(expr)
	if err != nil {
		t.Fatal(err)
	}
	fam := IPv4
	if p.Dst.Is6() || p.Src.Is6() {
		fam = IPv6
	}
	e := NewEngine(fam, Facts{Named: []string{p.In}}, 0, rs)
	r := e.Follow(rs, way, e.Packets(p), true)
	sure, maybe := r.Accept.Must(), r.Accept.May()
	switch {
	case maybe.Empty():
		return "no"
	case sure.Equal(maybe) && r.Drop.Empty() && r.Reject.Empty():
		return "yes"
	}
	return "maybe"
}

func TestHooks(t *testing.T) {
	ssh := "tcp 198.51.100.7:4242 -> 203.0.113.5:22 in eth0 new"
	accept, drop := Verdict{Kind: Accept}, Verdict{Kind: Drop}
	unread := &Set{Name: "s", Fields: []int{32}, Opaque: "not understood"}
	cases := []struct {
		name   string
		tables []*Table
		want   string
	}{
		{"nothing is loaded", nil, "yes"},
		{"a policy drops", []*Table{table(Inet, "a", base(Input, 0, Drop))}, "no"},
		{"a rule accepts", []*Table{table(Inet, "a", base(Input, 0, Drop, rule(match(l4proto(6), dport(22)), accept)))}, "yes"},
		{"an accept ends its own base chain only", []*Table{
			table(Inet, "a", base(Input, -10, Accept, rule(accept))),
			table(Inet, "b", base(Input, 10, Accept, rule(drop))),
		}, "no"},
		{"a drop is final", []*Table{
			table(Inet, "a", base(Input, -10, Accept, rule(drop))),
			table(Inet, "b", base(Input, 10, Accept, rule(accept))),
		}, "no"},
		{"a dormant table is not asked", []*Table{func() *Table {
			t := table(Inet, "a", base(Input, 0, Drop))
			t.Dormant = true
			return t
		}()}, "yes"},
		{"another family's table is not asked", []*Table{table(IPv6, "a", base(Input, 0, Drop))}, "yes"},
		{"prerouting comes before input", []*Table{table(Inet, "a", base(Prerouting, -300, Drop))}, "no"},
		{"forward is not on the way", []*Table{table(Inet, "a", base(Forward, 0, Drop))}, "yes"},
		{"a mark set in prerouting is there at input", []*Table{
			table(Inet, "a", base(Prerouting, -150, Accept, rule(match(dport(22)), Assign{Field: FieldMark, Value: mark(7)}))),
			table(Inet, "b", base(Input, 0, Drop, rule(match(markIs(7)), accept))),
		}, "yes"},
		{"a mark set by a rule that does not match is not", []*Table{
			table(Inet, "a", base(Prerouting, -150, Accept, rule(match(dport(23)), Assign{Field: FieldMark, Value: mark(7)}))),
			table(Inet, "b", base(Input, 0, Drop, rule(match(markIs(7)), accept))),
		}, "no"},
		{"an exempted packet has no state", []*Table{
			table(Inet, "a", base(Prerouting, -300, Accept, rule(NoTrack{}))),
			table(Inet, "b", base(Input, 0, Drop, rule(match(State{StateNew}), accept))),
		}, "no"},
		{"before conntrack the state is invalid", []*Table{
			table(Inet, "a", base(Prerouting, -300, Accept, rule(match(State{StateInvalid}), drop))),
		}, "no"},
		{"a jump comes back", []*Table{table(Inet, "a",
			base(Input, 0, Drop, rule(Verdict{Kind: Jump, Chain: "c"}), rule(accept)), chain("c", rule(Verdict{Kind: Return})))}, "yes"},
		{"a goto does not", []*Table{table(Inet, "a",
			base(Input, 0, Drop, rule(Verdict{Kind: Goto, Chain: "c"}), rule(accept)), chain("c"))}, "no"},
		{"a missed verdict map goes on", []*Table{table(Inet, "a", base(Input, 0, Drop,
			rule(VerdictMap{Key: []Value{Whole(FieldTransport, 0, 16, 16)}, Map: &Set{Fields: []int{16}, Elems: []Elem{
				{Key: []Interval{{Lo: be16(80), Hi: be16(80)}}, Verdict: &drop},
			}}}), rule(accept)))}, "yes"},
		{"the first element that fits decides", []*Table{table(Inet, "a", base(Input, 0, Drop,
			rule(VerdictMap{Key: []Value{Whole(FieldTransport, 0, 16, 16)}, Map: &Set{Fields: []int{16}, Elems: []Elem{
				{Key: []Interval{{Lo: be16(20), Hi: be16(30)}}, Verdict: &drop},
				{Key: []Interval{{Lo: be16(22), Hi: be16(22)}}, Verdict: &accept},
			}}}), rule(accept)))}, "no"},
		{"a rate limit has no fixed answer", []*Table{table(Inet, "a", base(Input, 0, Drop,
			rule(match(Varies{Text: "limit rate 5/second", Stateful: true}), accept)))}, "maybe"},
		{"two limits are two", []*Table{table(Inet, "a", base(Input, 0, Drop,
			rule(match(Varies{Text: "limit rate 5/second", Stateful: true}), drop),
			rule(match(Not{Varies{Text: "limit rate 5/second", Stateful: true}}), accept)))}, "maybe"},
		{"two addresses made unreadable are two", []*Table{table(Inet, "a", base(Input, 0, Drop,
			rule(match(Varies{Text: "-m mac --mac-source XX", Hidden: true}), drop),
			rule(match(Not{Varies{Text: "-m mac --mac-source XX", Hidden: true}}), drop), rule(accept)))}, "maybe"},
		{"a rule asked twice has one address", []*Table{table(Inet, "a", // refused at the second call if it was marked at the first
			base(Input, 0, Drop,
				rule(Verdict{Kind: Jump, Chain: "c"}),
				rule(match(markIs(1)), Assign{Field: FieldMark, Value: mark(2)}),
				rule(Verdict{Kind: Jump, Chain: "c"})),
			chain("c",
				rule(match(Varies{Text: "-m mac --mac-source XX", Hidden: true}), VerdictMap{
					Key: []Value{Whole(FieldMark, 0, 0, 32)}, Map: &Set{Fields: []int{32}, Elems: []Elem{
						{Key: []Interval{{Lo: []byte{0, 0, 0, 0}, Hi: []byte{0, 0, 0, 0}}}, Verdict: &Verdict{Kind: Jump, Chain: "mark"}},
						{Key: []Interval{{Lo: []byte{0, 0, 0, 2}, Hi: []byte{0, 0, 0, 2}}}, Verdict: &drop},
					}},
				}),
				rule(match(markIs(2)), accept)),
			chain("mark", rule(Assign{Field: FieldMark, Value: mark(1)})))}, "no"},
		{"one content is one", []*Table{table(Inet, "a", base(Input, 0, Drop,
			rule(match(Undecoded{"geoip"}), accept), rule(match(Not{Undecoded{"geoip"}}), accept)))}, "yes"},
		{"what cannot be decoded decides nothing", []*Table{table(Inet, "a", base(Input, 0, Drop, rule(Opaque{Name: "x", Content: "x"})))}, "maybe"},
		{"but only where it makes a difference", []*Table{table(Inet, "a",
			base(Input, 0, Drop, rule(match(dport(23)), Opaque{Name: "x", Content: "x"}), rule(accept)))}, "yes"},
		{"a load that fails ends the rule", []*Table{table(Inet, "a", base(Input, 0, Accept,
			rule(match(Not{markIs(1)}, Not{Compare{Value: Whole(FieldCtMark, 0, 0, 32), In: []Interval{{Lo: []byte{0, 0, 0, 9}, Hi: []byte{0, 0, 0, 9}}}}}), drop)))}, "no"},
		{"a learning set has no fixed answer", []*Table{table(Inet, "a", base(Input, 0, Accept,
			rule(match(Lookup{Key: []Value{Whole(FieldNetwork, 0, 96, 32)}, Set: &Set{Name: "s", Fields: []int{32}, Learns: true}}), drop)))}, "maybe"},
		{"a chain of no device is not asked", []*Table{table(Netdev, "a", base(Ingress, 0, Drop))}, "yes"},
		{"a set that could not be read is asked about two addresses", []*Table{table(Inet, "a", base(Input, 0, Drop,
			rule(match(Lookup{Key: []Value{Whole(FieldNetwork, 0, 96, 32)}, Set: unread}), drop),
			rule(match(Not{Lookup{Key: []Value{Whole(FieldNetwork, 0, 128, 32)}, Set: unread}}), drop), rule(accept)))}, "maybe"},
		{"a set that could not be read is asked twice about one", []*Table{table(Inet, "a", base(Input, 0, Drop,
			rule(match(Lookup{Key: []Value{Whole(FieldNetwork, 0, 96, 32)}, Set: unread}), accept),
			rule(match(Not{Lookup{Key: []Value{Whole(FieldNetwork, 0, 96, 32)}, Set: unread}}), accept)))}, "yes"},
		{"addresses made unreadable in a run", []*Table{table(Inet, "a", base(Input, 0, Accept, slices.Concat(
			[]*Rule{rule(match(Not{Varies{Text: "XX", Hidden: true}}), drop)},
			slices.Collect(func(yield func(*Rule) bool) {
				for range shortRun {
					yield(rule(match(saddr("198.51.100.0/24"), Varies{Text: "XX", Hidden: true}), drop))
				}
			}))...))}, "maybe"},
		{"a program that a packet is queued for may mark it", []*Table{
			table(Inet, "a", base(Prerouting, -150, Accept, rule(Verdict{Kind: Queue}))),
			table(Inet, "b", base(Input, 0, Drop, rule(match(markIs(7)), accept))),
		}, "maybe"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := verdictOf(t, &Ruleset{Tables: c.tables}, WayInput, ssh); got != c.want {
				t.Errorf("%s: accepted: %s, want %s", ssh, got, c.want)
			}
		})
	}
}

func TestObstacleIsUndecidedForItsInterface(t *testing.T) {
	rs := &Ruleset{Obstacles: []Obstacle{{What: "XDP program", Why: "not understood", Interface: "eth0"}}}
	for expr, want := range map[string]string{
		"tcp 198.51.100.7:4242 -> 203.0.113.5:22 in eth0 new": "maybe",
		"tcp 198.51.100.7:4242 -> 203.0.113.5:22 in lo new":   "yes",
	} {
		rs.Tables = []*Table{table(Inet, "a", base(Input, 0, Accept, rule(match(Interface{Name: "lo"}))))}
		if got := verdictOf(t, rs, WayInput, expr); got != want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
	}
}
