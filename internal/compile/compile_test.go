package compile_test

import (
	"fmt"
	"testing"

	"sekimori/internal/compile"
	"sekimori/internal/firewall/acl"
	"sekimori/policy"
)

// compiled is a policy in the language of a target.
func compiled(t testing.TB, text string, host policy.Host, target compile.Target, o acl.Options) *compile.Result {
	t.Helper()
	f, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	lists, err := f.Lists(func(path string) ([]byte, error) { return nil, fmt.Errorf("no file %s", path) })
	if err != nil {
		t.Fatal(err)
	}
	r, err := compile.Compile(f, lists, host, target, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestShow(t *testing.T) {
	r := compiled(t, string(policy.Example()), policy.Host{DHCPv4: []string{"eth0"}}, compile.NFTables, acl.Options{})
	t.Logf("%s%+v", r.Text(), r.Proof)
}
