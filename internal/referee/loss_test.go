//go:build linux

package referee

import (
	"math/rand/v2"
	"testing"

	"sekimori/internal/lab"
)

// TestNothingIsLost sends packets through a host without rules: whatever does
// not arrive then was not dropped by a rule, and would be blamed on the model.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	lab.Enter(t, func(t *testing.T) {
		w := newWorld(t, true, "h0", "h1")
		r := rand.New(rand.NewPCG(1, 1))
		w.establish(t, r, 300)
		ps := w.packets(r, 60_000, pools{})
		passed := w.judge(t, ps)
		n := 0
		for i, ok := range passed {
			if !ok {
				if n++; n < 10 {
					t.Errorf("lost: %s", ps[i].model())
				}
			}
		}
		t.Logf("%d of %d packets lost", n, len(ps))
	})
}
