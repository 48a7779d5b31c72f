package compile_test

import (
	"testing"

	"pgregory.net/rapid"

	"sekimori/internal/compile"
	"sekimori/internal/compile/policygen"
	"sekimori/internal/firewall/acl"
	"sekimori/policy"
)

// TestRandomPolicies compiles, and so proves, random policies.
func TestRandomPolicies(t *testing.T) {
	host := policy.Host{DHCPv4: []string{"h0"}, DHCPv6: []string{"h1"}}
	rapid.Check(t, func(rt *rapid.T) {
		n := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "n") }
		text := policygen.Policy(n, policygen.Options{
			Rates: n(2) > 0, Outbound: n(2) > 0, Users: true, Router: n(2) > 0, Containers: n(2) > 0, Edge: n(2) > 0,
		})
		f, err := policy.Parse("policy.yaml", []byte(text))
		if err != nil {
			rt.Fatalf("%v\n%s", err, text)
		}
		lists, err := f.Lists(nil)
		if err != nil {
			rt.Fatalf("%v\n%s", err, text)
		}
		if _, err := compile.Compile(f, lists, host, compile.NFTables, acl.Options{Lang: "ja"}); err != nil {
			rt.Fatalf("%v\n%s", err, text)
		}
	})
}
