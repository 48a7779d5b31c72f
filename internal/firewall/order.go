package firewall

import (
	"fmt"
	"slices"
	"strings"
)

// What no ruleset tells.
//
// In which order the kernel asks a chain of iptables-legacy and chains of
// nf_tables that have the same priority is decided by which was registered
// first. That cannot be observed, so every order is possible; it makes a
// difference only where a chain changes what another one sees.

// groups returns the stages at a hook by priority.
func (f *follower) groups(h Hook) [][]stage {
	var out [][]stage
	for _, s := range f.stages(h) {
		if n := len(out); n > 0 && out[n-1][0].priority == s.priority {
			out[n-1] = append(out[n-1], s)
			continue
		}
		out = append(out, []stage{s})
	}
	return out
}

// orders returns the orders in which the stages of a group may come.
func (f *follower) orders(group []stage) [][]stage {
	legacy := slices.IndexFunc(group, func(s stage) bool { return s.chain != nil && s.chain.Table.Backend == Legacy })
	if legacy < 0 || !slices.ContainsFunc(group, func(s stage) bool { return s.chain != nil && f.calls.changes(s.chain) }) {
		return [][]stage{group}
	}
	return positions(group, legacy)
}

// natOrders does the same for the chains of the translation core, of which the
// first that translates a packet wins.
func (f *follower) natOrders(chains []*Chain) [][]*Chain {
	legacy := slices.IndexFunc(chains, func(c *Chain) bool { return c.Table.Backend == Legacy })
	if legacy < 0 || len(chains[legacy].Rules) == 0 {
		return [][]*Chain{chains}
	}
	from, to := legacy, legacy+1
	for from > 0 && chains[from-1].Base.Priority == chains[legacy].Base.Priority {
		from--
	}
	for to < len(chains) && chains[to].Base.Priority == chains[legacy].Base.Priority {
		to++
	}
	out := positions(chains[from:to], legacy-from)
	for i := range out {
		out[i] = slices.Concat(chains[:from], out[i], chains[to:])
	}
	return out
}

// positions returns the list with one element at every place among the others.
func positions[T any](list []T, i int) [][]T {
	moved := list[i]
	rest := slices.Delete(slices.Clone(list), i, i+1)
	var out [][]T
	for k := range len(list) {
		out = append(out, slices.Insert(slices.Clone(rest), k, moved))
	}
	return out
}

// eachOrder runs the packets through n orders, of which it is not known which
// one is true.
func (f *follower) eachOrder(n int, h Hook, priority int32, run func(k int)) {
	f.each(n, fmt.Sprintf("the order of iptables-legacy and nf_tables chains at %s with priority %d", h, priority), run)
}

// each runs the packets through n courses of events, of which it is not known
// which one is true.
func (f *follower) each(n int, text string, run func(k int)) {
	if n == 1 {
		run(0)
		return
	}
	all := f.flows
	var done []Flow
	rest := f.e.space.All()
	for k := range n {
		now := rest
		if k < n-1 {
			u := f.e.undecodedSet(fmt.Sprintf("%s, %d", text, k), text)
			now, rest = rest.And(u), rest.Minus(u)
		}
		f.flows = slices.Clone(all)
		for i := range f.flows {
			f.flows[i].Set = f.flows[i].Set.And(now)
			f.flows[i].Accepted = within(f.flows[i].Accepted, now)
		}
		run(k)
		done = append(done, f.flows...)
	}
	f.flows = done
}

// tracking reports whether some rule makes the kernel track connections of the
// family: nat chains alone do not (nf_ct_netns_get is called by expressions), and
// are not asked about packets that are not tracked.
func (f *follower) tracking() bool {
	return slices.ContainsFunc(f.rs.Tables, func(t *Table) bool {
		return f.e.judges(t, Prerouting) && slices.ContainsFunc(t.Chains, func(c *Chain) bool {
			return slices.ContainsFunc(c.Rules, func(r *Rule) bool {
				return slices.ContainsFunc(r.Steps, asksConntrack)
			})
		})
	})
}

func asksConntrack(s Step) bool {
	switch s := s.(type) {
	case Match:
		return condAsksConntrack(s.Cond)
	case VerdictMap:
		return slices.ContainsFunc(s.Key, ofConntrack)
	case Assign:
		return s.Field == FieldCtMark || ofConntrack(s.Value)
	case NAT:
		return !s.TProxy
	}
	return false
}

func condAsksConntrack(c Cond) bool {
	switch c := c.(type) {
	case And:
		return slices.ContainsFunc(c, condAsksConntrack)
	case Or:
		return slices.ContainsFunc(c, condAsksConntrack)
	case Not:
		return condAsksConntrack(c.Of)
	case Total:
		return condAsksConntrack(c.Of)
	case State:
		return true
	case Compare:
		return ofConntrack(c.Value)
	case Lookup:
		return slices.ContainsFunc(c.Key, ofConntrack)
	}
	return false
}

func ofConntrack(v Value) bool {
	return slices.ContainsFunc(v, func(b Bit) bool { return strings.HasPrefix(string(b.Field), "ct ") })
}
