//go:build linux

package referee

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"sekimori/internal/lab"
)

// envScale carries the flags into the lab, which hands on no others than go's.
const envScale = "SEKIMORI_REFEREE"

// scale is how much is judged.
type scale struct {
	rulesets, packets int
	seed              uint64
}

func flags() *scale {
	s := &scale{}
	flag.IntVar(&s.rulesets, "referee.rulesets", 25, "random rulesets to judge")
	flag.IntVar(&s.packets, "referee.packets", 4000, "packets for each ruleset")
	flag.Uint64Var(&s.seed, "referee.seed", 1, "seed of the first random ruleset")
	return s
}

func TestMain(m *testing.M) {
	s := flags()
	flag.Parse()
	if os.Getenv(envScale) == "" {
		os.Setenv(envScale, fmt.Sprintf("%d %d %d", s.rulesets, s.packets, s.seed))
	}
	lab.Main(m)
}

// scaleOf reads the flags inside or outside of the lab.
func scaleOf(t testing.TB) scale {
	t.Helper()
	var s scale
	if _, err := fmt.Sscan(os.Getenv(envScale), &s.rulesets, &s.packets, &s.seed); err != nil {
		t.Fatalf("%s=%q: %v", envScale, os.Getenv(envScale), err)
	}
	return s
}
