package pyre

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLiterals(t *testing.T) {
	for _, c := range []struct {
		pattern string
		want    Literals
	}{
		{`^Failed \S+ for (\S+) from`, Literals{"failed "}},
		{`^[iI](?:llegal|nvalid) user \S+`, Literals{"illegal user ", "invalid user "}},
		{`(?:Connection (?:closed|reset)|Disconnected) by`, Literals{"connection closed by", "connection reset by", "disconnected by"}},
		{`\S+ (?:abc)? \d`, nil},
		{`\[\] \[error\]`, Literals{"[error]"}},
		{`(?i:password mismatch)`, Literals{"word mi"}},
		{`x*(?:long literal|\d+)`, nil},
		{`(?!not this)but this`, Literals{"but this"}},
	} {
		re := MustCompile(c.pattern, 0)
		if diff := cmp.Diff(c.want, re.Literals()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.pattern, diff)
		}
	}
}

// A text that matches must have a literal of every required set.
func TestEveryMatchHasItsLiterals(t *testing.T) {
	m, matches := NewMachine(), 0
	for seed := range 30_000 {
		g := &generator{r: rand.New(rand.NewPCG(uint64(seed), 6)), letters: []string{"abc", "bca", "aab", "cab"}}
		g.alternatives()
		re, err := Compile(g.b.String(), Flags(g.r.IntN(8)))
		if err != nil {
			continue
		}
		common := re.Common()
		sets := re.Required()
		if sets == nil {
			continue
		}
		for _, text := range g.texts(8) {
			budget := 100_000
			if m.Search(re, []byte(text), &budget) != Matched {
				continue
			}
			matches++
			if !strings.Contains(text, common) {
				t.Fatalf("%q matches %q, which lacks %q", re, text, common)
			}
			for _, set := range sets {
				if !containsAny(strings.ToLower(text), set) {
					t.Fatalf("%q matches %q, which has none of %q", re, text, set)
				}
			}
		}
	}
	if matches < 500 {
		t.Errorf("only %d matches: the test says nothing", matches)
	}
}

func TestCommon(t *testing.T) {
	for pattern, want := range map[string]string{
		`^\S+ (?:\[?sshd-auth\]? \S+ |\[?sshd(?:-session)?\]?(?:\[\d+\])?:?\s+)`: "sshd",
		`abc(?:Defg|xDef)`: "", `abcd (?:Defg|xDef)`: "abcd ", `(?i)literal`: "", `(?:literal)?x`: "", `Failed .*`: "Failed ",
	} {
		if got := MustCompile(pattern, 0).Common(); got != want {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
}

func containsAny(text string, set Literals) bool {
	for _, l := range set {
		if strings.Contains(text, l) {
			return true
		}
	}
	return false
}
