package nft

import (
	"container/heap"
	"fmt"
	"net/netip"
	"slices"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// shortRun is how many rules that differ by their sources alone stand one after
// the other; more are a map of sources, whose cost is that of one rule.
const shortRun = 8

// largeList is from how many entries on a list stays a set of its own.
const largeList = 1000

// run counts the rules at the start that differ by their sources alone.
func (d *dispatcher) run(rules []int) int {
	for n, i := range rules {
		r := d.rules[i]
		bare := r.From != nil && r.To == nil && len(r.In) == 0 && len(r.Out) == 0 && !owned(r) && r.Action != acl.Count
		if !bare || slices.ContainsFunc(r.From, func(p acl.Peer) bool {
			return len(p.Interfaces) > 0 || p.Addresses == nil || len(p.Addresses.Ranges) >= largeList
		}) {
			return n
		}
	}
	return len(rules)
}

// bySource writes such rules as one look-up for each family.
func (d *dispatcher) bySource(c *chain, rules []int) {
	for _, i := range rules {
		c.say(d.rules[i].Origin)
	}
	for _, f := range families {
		var owned []claim
		for rank, i := range rules {
			for _, p := range d.rules[i].From {
				for _, r := range ofFamily(p.Addresses.Ranges, f) {
					owned = append(owned, claim{r, rank})
				}
			}
		}
		var elems []string
		for _, cl := range firstClaims(owned) {
			elems = append(elems, rangeText(cl.AddrRange)+" : "+d.w.final(d.rules[rules[cl.rank]]))
		}
		d.lookup(c, ipWord(f)+" saddr", fmt.Sprintf("%s-%d-%d", c.name, rules[0], f), elems)
	}
}

// claim is a range that a rule is about; the lowest rank has it.
type claim struct {
	packet.AddrRange
	rank int
}

// firstClaims cuts overlapping ranges so that each address is in one: that of the
// first rule about it. The result is ascending; what touches and is of one rule is
// joined.
func firstClaims(cs []claim) []claim {
	slices.SortFunc(cs, func(a, b claim) int { return a.Lo.Compare(b.Lo) })
	var cuts []netip.Addr
	for _, c := range cs {
		cuts = append(cuts, c.Lo)
		if next := c.Hi.Next(); next.IsValid() {
			cuts = append(cuts, next)
		}
	}
	slices.SortFunc(cuts, netip.Addr.Compare)
	cuts = slices.Compact(cuts)
	var out []claim
	var open claimHeap
	next := 0
	for k, at := range cuts {
		for ; next < len(cs) && cs[next].Lo == at; next++ {
			heap.Push(&open, cs[next])
		}
		for len(open) > 0 && open[0].Hi.Less(at) {
			heap.Pop(&open)
		}
		if len(open) == 0 {
			continue
		}
		c := claim{packet.AddrRange{Lo: at, Hi: open[0].Hi}, open[0].rank}
		if k+1 < len(cuts) {
			c.Hi = cuts[k+1].Prev()
		}
		if n := len(out); n > 0 && out[n-1].rank == c.rank && out[n-1].Hi.Next() == c.Lo {
			out[n-1].Hi = c.Hi
			continue
		}
		out = append(out, c)
	}
	return out
}

// claimHeap has the claim of the lowest rank first.
type claimHeap []claim

func (h claimHeap) Len() int           { return len(h) }
func (h claimHeap) Less(i, j int) bool { return h[i].rank < h[j].rank }
func (h claimHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for package heap.
func (h *claimHeap) Push(x any) { *h = append(*h, x.(claim)) }

// Pop is for package heap.
func (h *claimHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
