package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestDiffLines(t *testing.T) {
	got := DiffLines("a\nb\nc\nd\ne\n", "a\nb\nx\nd\ne\nf\n", 1)
	want := []LineDiff{
		{"", 2, "b"},
		{"-", 3, "c"},
		{"+", 3, "x"},
		{"", 4, "d"},
		{"", 5, "e"},
		{"+", 6, "f"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestDiffLinesLaw: what is not removed is the old text's common part, and with
// what is added in its place the whole is the new text.
func TestDiffLinesLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.Custom(func(t *rapid.T) string {
			var b strings.Builder
			for _, l := range rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "c"}), 0, 12).Draw(t, "lines") {
				b.WriteString(l + "\n")
			}
			return b.String()
		})
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		var old, now strings.Builder
		for _, l := range DiffLines(a, b, 99) {
			if l.Op != "+" {
				old.WriteString(l.Text + "\n")
			}
			if l.Op != "-" {
				now.WriteString(l.Text + "\n")
			}
		}
		// Equal texts have no lines that differ, and none around them.
		if a != b && (old.String() != a || now.String() != b) {
			t.Fatalf("%q -> %q: got %q -> %q", a, b, old.String(), now.String())
		}
	})
}
