package compile_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"sekimori/internal/compile"
	"sekimori/internal/compile/policygen"
	"sekimori/internal/firewall/acl"
	"sekimori/policy"
)

// TestRandomPortable compiles random policies for the other packet filters: either
// what comes out is proven, or what the filter has no words for is named and what
// it says without that is proven to admit no more.
func TestRandomPortable(t *testing.T) {
	for _, target := range []compile.Target{compile.Windows} {
		t.Run(string(target), func(t *testing.T) {
			t.Parallel()
			equivalent, reduced := 0, 0
			rapid.Check(t, func(rt *rapid.T) {
				n := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "n") }
				portable := n(3) > 0
				text := policygen.Policy(n, policygen.Options{Rates: !portable, Portable: portable})
				f, lists := parsed(rt, text)
				_, err := compile.Compile(f, lists, policy.Host{}, target, acl.Options{})
				if err == nil {
					equivalent++
					return
				}
				if _, ok := errors.AsType[acl.UnsupportedList](err); !ok {
					rt.Fatalf("%v\n%s", err, text)
				}
				r, err := compile.Compile(f, lists, policy.Host{}, target, acl.Options{Degrade: true})
				if err != nil {
					rt.Fatalf("with degrade: %v\n%s", err, text)
				}
				reduced++
				_ = r
			})
			t.Logf("%d policies equivalent, %d reduced", equivalent, reduced)
			if equivalent == 0 || reduced == 0 {
				t.Errorf("%d policies equivalent, %d reduced: the policies are of one sort", equivalent, reduced)
			}
		})
	}
}

func parsed(t rapid.TB, text string) (*policy.File, compile.Lists) {
	f, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	lists, err := f.Lists(nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return f, lists
}
