package firewall

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// hostRules is a default-drop input chain of n rules, source prefix x port, as
// in the facts about measured sizes.
func hostRules(n int, seed uint64) *Ruleset {
	r := rand.New(rand.NewPCG(seed, 1))
	var rules []*Rule
	for range n {
		kind := Verdict{Kind: Accept}
		if r.IntN(3) == 0 {
			kind.Kind = Drop
		}
		p := fmt.Sprintf("%d.%d.%d.%d/%d", 1+r.IntN(222), r.IntN(256), r.IntN(256), r.IntN(256), 8+r.IntN(25))
		rules = append(rules, rule(match(saddr(p), l4proto(6), dport(uint16(r.IntN(1<<16)))), kind))
	}
	return &Ruleset{Tables: []*Table{table(Inet, "t", base(Input, 0, Drop, rules...))}}
}

// BenchmarkEvaluate10k evaluates 10,000 host-style rules to their accept set.
func BenchmarkEvaluate10k(b *testing.B) {
	rs := hostRules(10000, 1)
	for b.Loop() {
		e := NewEngine(IPv4, Facts{}, 0, rs)
		r := e.Follow(rs, WayInput, e.Sent(WayInput), false)
		b.ReportMetric(float64(r.Accept.Nodes()), "nodes")
	}
}

// BenchmarkDiff10k compares two evaluated rulesets of 10,000 rules that differ in
// ten. What is asked again is remembered, so the first answer is the figure.
func BenchmarkDiff10k(b *testing.B) {
	older, newer := hostRules(10000, 1), hostRules(10000, 1)
	for i := range 10 {
		newer.Tables[0].Chains[0].Rules[i*997].Steps[1] = Verdict{Kind: Reject}
	}
	e := NewEngine(IPv4, Facts{}, 0, older, newer)
	in := e.Sent(WayInput)
	x, y := e.Follow(older, WayInput, in, false), e.Follow(newer, WayInput, in, false)
	start := time.Now()
	if Differ(x, y).Empty() {
		b.Fatal("no difference")
	}
	first := float64(time.Since(start).Microseconds()) / 1000
	for b.Loop() {
		if Differ(x, y).Empty() {
			b.Fatal("no difference")
		}
	}
	b.ReportMetric(first, "ms-first")
}
