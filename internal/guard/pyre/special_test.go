package pyre

import (
	"math/rand/v2"
	"testing"
)

// Instructions for special cases, and code that is compiled once for each
// answer to a conditional, mean what the general ones mean.
func TestSpecialCasesMeanTheSame(t *testing.T) {
	m, matches, asked := NewMachine(), 0, 0
	for seed := range 40_000 {
		g := &generator{r: rand.New(rand.NewPCG(uint64(seed), 8))}
		g.alternatives()
		pattern := g.b.String()
		if seed%4 == 0 {
			// A group, something between, and a conditional that asks for it.
			h := &generator{r: g.r}
			h.alternatives()
			pattern = `(?:(?P<k>` + g.pick("a", `\w`, "ab?", "[ab]+") + `)|` + g.pick("b", `\w+?`, "") + `)` +
				g.pick("", h.b.String(), `(?:\d{1,2}-){2}`, `\w*a`, "(?:[ab]{1,3}c){2}") + `(?(k)` + g.pick("a", "c", `\w`, "$") + "|" + g.pick("b", "c", "") + ")"
		}
		flags := Flags(g.r.IntN(8))
		re, err := Compile(pattern, flags)
		if err != nil {
			continue
		}
		plain := compilePlain(t, pattern, flags)
		if len(plain.conds) > 0 && len(re.conds) == 0 {
			asked++
		}
		for _, text := range g.texts(6) {
			a, b := 50_000, 50_000
			want := m.Search(plain, []byte(text), &a)
			var spans [][2]int
			for i := range plain.groups {
				from, to := -1, -1
				if want == Matched {
					from, to = m.Span(i)
				}
				spans = append(spans, [2]int{from, to})
			}
			got := m.Search(re, []byte(text), &b)
			if want == Exhausted || got == Exhausted {
				continue
			}
			if got != want {
				t.Fatalf("%q flags %d on %q: %d, want %d", pattern, flags, text, got, want)
			}
			if want != Matched {
				continue
			}
			matches++
			for i := range spans {
				if from, to := m.Span(i); from != spans[i][0] || to != spans[i][1] {
					t.Fatalf("%q flags %d on %q: group %d is %d-%d, want %d-%d", pattern, flags, text, i, from, to, spans[i][0], spans[i][1])
				}
			}
		}
	}
	if matches < 10_000 || asked < 1000 {
		t.Errorf("only %d matches, and %d conditionals with known answers", matches, asked)
	}
}

// compilePlain compiles a pattern with general instructions only.
func compilePlain(t *testing.T, pattern string, flags Flags) *Regexp {
	tree, p, err := parse(pattern, flags)
	if err != nil {
		t.Fatal(err)
	}
	re, err := assemble(&compiler{plain: true}, pattern, flags, tree, p)
	if err != nil {
		t.Fatal(err)
	}
	return re
}
