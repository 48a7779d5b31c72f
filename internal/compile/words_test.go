package compile

import (
	"maps"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWords: each language has every sentence, with the same things to put in.
func TestWords(t *testing.T) {
	en, err := wordsOf("en")
	if err != nil {
		t.Fatal(err)
	}
	ja, err := wordsOf("ja")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(en)), slices.Sorted(maps.Keys(ja))); d != "" {
		t.Errorf("keys (-en +ja):\n%s", d)
	}
	if len(en) < 25 {
		t.Errorf("%d sentences", len(en))
	}
	names := regexp.MustCompile(`\{[a-z-]+\}`)
	for key := range en {
		a, b := names.FindAllString(en[key], -1), names.FindAllString(ja[key], -1)
		slices.Sort(a)
		slices.Sort(b)
		if d := cmp.Diff(a, b); d != "" {
			t.Errorf("%s (-en +ja):\n%s", key, d)
		}
	}
}
