package policy_test

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"sekimori/policy"
)

// seeds adds every policy in testdata.
func seeds(f *testing.F) {
	for _, glob := range []string{"testdata/bad/*.txt", "testdata/format/*.txt", "*.yaml"} {
		for _, name := range files(f, glob) {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			input, _, _ := strings.Cut(string(text), mark)
			f.Add(input)
		}
	}
}

// FuzzParse: a policy is read, or refused with places that exist; what is read
// can be formatted without a change of meaning, once and for all.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		p, err := policy.Parse("fuzz", []byte(text))
		if err != nil {
			e, ok := errors.AsType[*policy.Error](err)
			if !ok || len(e.Problems) == 0 {
				t.Fatalf("an error without a problem: %v", err)
			}
			lines := strings.Split(text, "\n")
			for _, p := range e.Problems {
				if p.Line < 0 || p.Line > len(lines) || p.Line > 0 && (p.Column < 1 || p.Column > len([]rune(lines[p.Line-1]))+1) {
					t.Fatalf("there is no %d:%d: %s", p.Line, p.Column, p.Message)
				}
			}
			return
		}
		out, err := p.Format()
		if err != nil {
			t.Fatal(err)
		}
		q, err := policy.Parse("fuzz", out)
		if err != nil || !reflect.DeepEqual(p.Policy, q.Policy) {
			t.Fatalf("%v\n%s", err, out)
		}
		formatAgain(t, out)
	})
}
