package near_test

import (
	"strings"
	"testing"

	"sekimori/internal/near"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "ssh", 3},
		{"allow", "alow", 1},
		{"allow", "allwo", 1}, // a swap is one
		{"replya", "replay", 1},
		{"kitten", "sitting", 3},
		{strings.Repeat("a", 65), "a", 64},
	} {
		if got := near.Distance(c.a, c.b); got != c.want || near.Distance(c.b, c.a) != got {
			t.Errorf("%q, %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
