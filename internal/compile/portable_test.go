package compile_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"sekimori/internal/compile"
	"sekimori/internal/compile/policygen"
	"sekimori/internal/firewall/acl"
	"sekimori/policy"
)

// TestRandomPortable compiles random policies for the other packet filters: either
// what comes out is proven, or what the filter has no words for is named and what
// it says without that is proven to admit no more.
func TestRandomPortable(t *testing.T) {
	everything := policygen.Options{Rates: true, Outbound: true, Users: true, Router: true, Containers: true, Edge: true}
	for target, more := range map[compile.Target]policygen.Options{
		compile.IPTables:  everything,
		compile.IP6Tables: everything,
		compile.IPFW:      {Rates: true, Outbound: true, Users: true, Edge: true},
		compile.Windows:   {Rates: true, Outbound: true, Users: true, Edge: true},
	} {
		t.Run(string(target), func(t *testing.T) {
			t.Parallel()
			equivalent, reduced := 0, 0
			for seed := range uint64(25) {
				n := rand.New(rand.NewPCG(seed, 7)).IntN
				contents := policygen.Options{Portable: true, Outbound: n(2) == 0}
				if n(3) == 0 {
					contents = more
				}
				text := policygen.Policy(n, contents)
				f, lists := parsed(t, text)
				o := acl.Options{Complete: n(3) == 0, Separate: n(2) == 0, Exclusive: n(2) == 0}
				host := policy.Host{DHCPv4: []string{"h0"}, DHCPv6: []string{"h0"}}
				_, err := compile.Compile(f, lists, host, target, o)
				if err == nil {
					equivalent++
					continue
				}
				if _, ok := errors.AsType[acl.UnsupportedList](err); !ok {
					t.Fatalf("%+v: %v\n%s", o, err, text)
				}
				o.Degrade = true
				r, err := compile.Compile(f, lists, host, target, o)
				if err != nil && strings.Contains(err.Error(), "broadcast at the edge") {
					continue // nothing that is less can be said instead
				}
				if err != nil {
					t.Fatalf("%+v: %v\n%s", o, err, text)
				}
				if !strings.Contains(string(r.Text()), "NOT EQUIVALENT") {
					t.Fatalf("the text does not say that it is not equivalent:\n%s", r.Text())
				}
				reduced++
			}
			t.Logf("%d policies equivalent, %d reduced", equivalent, reduced)
			if equivalent == 0 {
				t.Errorf("no policy could be said as it is")
			}
		})
	}
}

func parsed(t interface{ Fatalf(string, ...any) }, text string) (*policy.File, compile.Lists) {
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
