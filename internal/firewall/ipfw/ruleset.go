package ipfw

import (
	"net/netip"
	"slices"

	"sekimori/packet"
)

// Ruleset is what a text leaves in the kernel, if nothing else was there before.
type Ruleset struct {
	// Rules are in the order in which they are asked.
	Rules []*Rule
	// Disabled has bit n set where set n is disabled.
	Disabled uint32
	// Tables are the lookup tables by name or number.
	Tables map[string]*Table
	// KeepsStates is true where the text sets net.inet.ip.fw.dyn_keep_states, so
	// that connections survive the deletion of the rule that made their state.
	KeepsStates bool
}

// Rule is one rule.
type Rule struct {
	Number int // 1 to 65535
	Set    int // 0 to 31
	Line   int // of the text
	Text   string
	// Comment is what stands behind //.
	Comment string

	action action
	target int // of skipto
	when   [][]pattern
	keep   *stateful
	prob   bool
}

// Enabled tells whether the rule's set is in force.
func (rs *Ruleset) Enabled(r *Rule) bool { return rs.Disabled>>r.Set&1 == 0 }

// Table is a lookup table of addresses.
type Table struct {
	Prefixes []netip.Prefix
}

// action is what a rule does with a packet.
type action uint8

const (
	allow action = iota
	deny
	count
	checkState
	skipTo
)

// stateful says that a rule looks states up before it is asked, and makes one
// for what it matches.
type stateful struct {
	// limit is "" for keep-state, or the text of a limit on the number of states.
	limit string
}

// pattern is one option of a rule: with Not, it holds where the test does not.
type pattern struct {
	not  bool
	test test
}

// test is what can be asked about a packet; match returns the packets for which
// the answer is yes, where it can be asked at all.
type test interface {
	match(j *judge) packet.Set
}

// Interfaces are the names of interfaces that rules mention, with a * at the end of
// patterns, and lo for the loopback interface.
func (rs *Ruleset) Interfaces() []string {
	var out []string
	for _, r := range rs.Rules {
		for _, ps := range r.when {
			for _, p := range ps {
				t, ok := p.test.(iface)
				if !ok || t.name == "" {
					continue
				}
				name := t.name
				if name == Loopback {
					name = "lo"
				}
				if t.prefix {
					name += "*"
				}
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
