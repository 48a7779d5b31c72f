package filter

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// The scanner finds what looking for each literal by itself finds.
func TestScannerFindsEveryLiteral(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abcAB [1"[r.IntN(8)]
		}
		return string(b)
	}
	found := 0
	for range 3000 {
		var literals []string
		shortest := 3 + r.IntN(8)
		for range 1 + r.IntN(12) {
			literals = append(literals, string(bytes.ToLower([]byte(word(shortest+r.IntN(6))))))
		}
		scanners := newScanners(literals)
		for range 10 {
			var line []byte
			for range r.IntN(30) {
				line = append(line, word(r.IntN(6))...)
				if r.IntN(6) == 0 {
					line = append(line, literals[r.IntN(len(literals))]...)
				}
			}
			var got []int32
			for _, s := range scanners {
				got = s.scan(line, got)
			}
			lower := bytes.ToLower(line)
			for id, l := range literals {
				want := bytes.Contains(lower, []byte(l))
				if want {
					found++
				}
				if slices.Contains(got, int32(id)) != want {
					t.Fatalf("%q in %q: found %t, want %t (%d scanners)", l, line, !want, want, len(scanners))
				}
			}
		}
	}
	if found < 1000 {
		t.Errorf("only %d literals were there", found)
	}
}

func TestMissingLinesAllocateNothing(t *testing.T) {
	d := &Definition{Name: "test", MaxLines: 1, Failregex: []string{`^\S+ test: Failed login of .* from <HOST>$`}, Pos: map[string]Position{}}
	f, err := Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	run, err := NewSet(f).NewRun(benchClock())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"Aug 14 10:00:00 host cron[1]: nothing at all",
		"Aug 14 10:00:00 host test: Failed login of nobody from here and then something else",
	} {
		b := []byte(line)
		run.Line(b)
		if n := testing.AllocsPerRun(100, func() { run.Line(b) }); n != 0 {
			t.Errorf("%q: %g allocations", line, n)
		}
	}
}
