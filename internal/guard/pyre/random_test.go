package pyre

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// A generator writes random patterns, most of them valid, over few letters, so
// that random texts match now and then.
type generator struct {
	r      *rand.Rand
	groups int
	depth  int
	b      strings.Builder
	// letters, if set, are what literals and texts are mostly made of.
	letters []string
}

func (g *generator) pick(s ...string) string { return s[g.r.IntN(len(s))] }

func (g *generator) alternatives() {
	g.depth++
	for i := 0; ; i++ {
		for range 1 + g.r.IntN(3) {
			g.item()
		}
		if g.r.IntN(4) != 0 || i > 2 {
			break
		}
		g.b.WriteByte('|')
	}
	g.depth--
}

func (g *generator) item() {
	had := g.groups
	g.atom()
	switch g.r.IntN(18) {
	case 0, 1, 2, 3, 4:
		g.b.WriteString(g.pick("*", "+", "?", "{2}", "{1,2}", "{,2}", "{0,3}", "{1,}", "*?", "+?", "??", "{1,3}?"))
	case 5:
		// Python 3.11 loses track of groups inside what is possessive.
		if g.groups == had {
			g.b.WriteString(g.pick("*+", "?+", "++", "{1,2}+"))
		}
	}
}

func (g *generator) atom() {
	n := 20
	if g.depth > 4 {
		n = 12
	}
	switch g.r.IntN(n) {
	case 0, 1, 2, 3:
		if g.letters != nil {
			g.b.WriteString(g.pick(g.letters...))
			return
		}
		g.b.WriteString(g.pick("a", "b", "c", "ab", " ", "é", "A", "1", "-"))
	case 4:
		g.b.WriteString(".")
	case 5:
		g.b.WriteString(g.pick("[ab]", "[^a]", `[\w-]`, "[a-c]", `[^\s]`, "[é-ü]", "[]a]", `[\d.]`))
	case 6:
		g.b.WriteString(g.pick(`\w`, `\s`, `\d`, `\S`, `\W`, `\D`))
	case 7:
		g.b.WriteString(g.pick("^", "$", `\b`, `\B`, `\A`, `\Z`))
	case 8:
		if g.groups > 0 {
			fmt.Fprintf(&g.b, `\%d`, 1+g.r.IntN(g.groups))
			return
		}
		g.b.WriteString("b")
	case 9:
		if g.groups > 0 {
			fmt.Fprintf(&g.b, "(?(%d)%s|%s)", 1+g.r.IntN(g.groups), g.pick("a", "b", "ab", ""), g.pick("b", "c", ""))
			return
		}
		g.b.WriteString("a")
	case 10:
		g.b.WriteString(g.pick("(?<=a)", "(?<!b)", "(?<=ab)", `(?<=\w)`, "(?<![ac])"))
	case 11:
		g.b.WriteString(g.pick("a", "c"))
	case 12, 13:
		g.groups++
		g.b.WriteString("(")
		g.alternatives()
		g.b.WriteString(")")
	case 14:
		if g.r.IntN(2) == 0 {
			g.b.WriteString("(?:(?!" + g.pick("a", "ab", "b ", "é") + ")" + g.pick(".", "[^b]", `\w`) + ")" + g.pick("*", "+", "*?", "{1,3}", "{,2}?", "{2,}"))
			return
		}
		g.b.WriteString(g.pick("(?=", "(?!"))
		g.alternatives()
		g.b.WriteString(")")
	case 15:
		g.b.WriteString(g.pick("(?i:", "(?s:", "(?m:"))
		g.alternatives()
		g.b.WriteString(")")
	case 16:
		g.b.WriteString("(?>" + g.pick("a|ab", "a*", `\w+`, "b??", "[ab]{1,2}?") + ")")
	default:
		g.b.WriteString("(?:")
		g.alternatives()
		g.b.WriteString(")")
	}
}

func (g *generator) texts(n int) []string {
	out := make([]string, n)
	for i := range out {
		var b strings.Builder
		for range g.r.IntN(10) {
			if g.letters != nil && g.r.IntN(3) > 0 {
				b.WriteString(g.pick(g.letters...))
			}
			b.WriteString(g.pick("a", "b", "c", "a", "b", "A", " ", "\n", "é", "1", "-", "_"))
		}
		out[i] = b.String()
	}
	return out
}

func TestRandomPatternsMeanWhatPythonSays(t *testing.T) {
	py, m := startPython(t), NewMachine()
	n := 6000
	if testing.Short() {
		n = 500
	}
	for seed := range n {
		g := &generator{r: rand.New(rand.NewPCG(uint64(seed), 5))}
		g.alternatives()
		sameAsPython(t, py, m, g.b.String(), Flags(g.r.IntN(8)), g.texts(6))
		if t.Failed() && seed > 300 {
			break
		}
	}
}
