//go:build linux

package referee

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"sekimori/internal/lab"
)

// TestConntrackStates holds what the model is told about each packet's conntrack
// state, mark and status against what the kernel finds.
func TestConntrackStates(t *testing.T) {
	t.Parallel()
	lab.Enter(t, func(t *testing.T) {
		w := newWorld(t, true, "h0", "h1")
		r := rand.New(rand.NewPCG(2, 2))
		w.establish(t, r, 300)
		of := func(state uint64) func(*probe) bool { return func(p *probe) bool { return p.state() == state } }
		cases := []struct {
			match string
			holds func(*probe) bool
		}{
			{"ct state new", of(stateNew)},
			{"ct state established", of(stateEstablished)},
			{"ct state related", of(stateRelated)},
			{"ct state invalid", of(stateInvalid)},
			{"ct state untracked", of(stateUntracked)},
			{"ct mark 2", func(p *probe) bool { return p.flow != nil && p.flow.mark == 2 }},
			{fmt.Sprintf("ct status %d", ctStatus), func(p *probe) bool { return p.flow != nil }},
			{"ct direction reply", func(p *probe) bool { return p.flow != nil && p.reply != (p.quote != nil) }},
		}
		for _, c := range cases {
			lab.LoadNFT(t, "flush ruleset; table inet t { chain c { type filter hook prerouting priority 0; policy drop; "+c.match+" accept; }; }")
			ps := w.packets(r, 20_000, pools{})
			count := 0
			for i, passed := range w.judge(t, ps) {
				if want := c.holds(&ps[i]); passed != want {
					t.Errorf("%s: the kernel says %v of %s", c.match, passed, ps[i].model())
				} else if want {
					count++
				}
			}
			if count < 10 {
				t.Errorf("%s: %d packets only", c.match, count)
			}
		}
	})
}
