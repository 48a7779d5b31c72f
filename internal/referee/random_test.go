//go:build linux

package referee

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sekimori/internal/lab"
)

// random is the ruleset of a seed: nft, one or both of the iptables, or a mixture.
func random(seed uint64) rules {
	g := &gen{r: rand.New(rand.NewPCG(seed, 0)), open: seed%4 == 0, stateless: seed%5 == 0}
	var rs rules
	add := func(loader, text string) {
		if g.stateless {
			text = withoutTracking(text)
		}
		rs.parts = append(rs.parts, part{loader, text})
	}
	kind := seed % 8 // 0 to 3: nft alone; 4 and 5 iptables-nft; 6 iptables-legacy; 7 a mixture
	sets := kind >= 4 && g.chance(40)
	if sets {
		add("ipset", g.ipsets())
	}
	backend := "nft"
	if kind >= 6 {
		backend = "legacy"
	}
	if kind < 4 || kind == 7 {
		add("nft", g.nft())
	}
	if kind >= 4 {
		add("iptables-"+backend+"-restore", g.iptables(false, sets))
		add("ip6tables-"+backend+"-restore", g.iptables(true, sets))
	}
	if kind == 7 && g.chance(30) {
		add("iptables-nft-restore", g.iptables(false, sets))
	}
	rs.open = g.used || kind == 7 // in which order legacy and nft chains of equal priority come is not known
	return rs
}

// withoutTracking leaves out the rules that ask for connections.
func withoutTracking(text string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
		rule := strings.HasPrefix(line, "\t\t") || strings.HasPrefix(line, "-A")
		return rule && trackRe.MatchString(line)
	}), "\n")
}

// TestRefereeRandom judges random rulesets.
func TestRefereeRandom(t *testing.T) {
	t.Parallel()
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
