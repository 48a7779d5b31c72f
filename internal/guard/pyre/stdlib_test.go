package pyre

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// What RE2 can express too, it matches in the same way: leftmost, first.
func TestSameAsGoRegexp(t *testing.T) {
	m, compared, matched := NewMachine(), 0, 0
	for seed := range 40_000 {
		g := &generator{r: rand.New(rand.NewPCG(uint64(seed), 11))}
		g.alternatives()
		p := g.b.String()
		// In Go, $ is not before a final newline, classes are ASCII, {,n} is text.
		if strings.ContainsAny(p, `\$`) || strings.Contains(p, "(?<") || strings.Contains(p, "(?=") || strings.Contains(p, "(?!") ||
			strings.Contains(p, "(?(") || strings.Contains(p, "(?>") || strings.Contains(p, "{,") || strings.Contains(p, "++") ||
			strings.Contains(p, "*+") || strings.Contains(p, "?+") || strings.Contains(p, "}+") || strings.Contains(p, "[]") {
			continue
		}
		std, err := regexp.Compile(p)
		if err != nil {
			continue
		}
		re, err := Compile(p, 0)
		if err != nil {
			continue // ^* is nothing to repeat in Python
		}
		for _, text := range g.texts(6) {
			budget := 1_000_000
			r := m.Search(re, []byte(text), &budget)
			want := std.FindStringIndex(text)
			compared++
			if (r == Matched) != (want != nil) {
				t.Fatalf("%q on %q: we say %v, Go says %v", p, text, r, want)
			}
			if want == nil {
				continue
			}
			matched++
			if a, b := m.Span(0); a != want[0] || b != want[1] {
				t.Fatalf("%q on %q: %d-%d, Go says %v", p, text, a, b, want)
			}
		}
	}
	if matched < 3000 {
		t.Errorf("%d compared, only %d matched", compared, matched)
	}
}
