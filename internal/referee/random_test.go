//go:build linux

package referee

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"sekimori/internal/lab"
)

// random is the ruleset of a seed.
func random(seed uint64) rules {
	g := &gen{r: rand.New(rand.NewPCG(seed, 0)), open: seed%4 == 0}
	rs := rules{parts: []part{{"nft", g.nft()}}}
	rs.open = g.used
	return rs
}

// TestRefereeRandom judges random rulesets.
func TestRefereeRandom(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		s := scaleOf(t)
		w := newWorld(t, false, "h0", "h1")
		w.establish(t, rand.New(rand.NewPCG(s.seed, 1)), 300)
		var sum outcome
		bad := 0
		for i := range s.rulesets {
			seed := s.seed + uint64(i)
			t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
				out := w.trial(t, random(seed), rand.New(rand.NewPCG(seed, 2)), s.packets)
				sum.packets += out.packets
				sum.passed += out.passed
				sum.undecided += out.undecided
				sum.wrong = append(sum.wrong, out.wrong...)
				if len(out.wrong) > 0 {
					bad++
				}
			})
		}
		t.Logf("referee: %d random rulesets, %d packets, %d passed, %d undecided, %d judged wrongly in %d rulesets",
			s.rulesets, sum.packets, sum.passed, sum.undecided, len(sum.wrong), bad)
	})
}
