//go:build linux

package referee

import (
	"fmt"
	"strings"
	"testing"

	"sekimori/internal/compile"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/lab"
	"sekimori/policy"
)

// TestRefereeLargePolicy loads a policy of 1,000 rules and a list of 100,000
// entries with nft, and proves that what the kernel then holds means what the
// policy means.
func TestRefereeLargePolicy(t *testing.T) {
	t.Parallel()
	// A transaction of this size needs a send buffer that root alone may have
	// (SO_SNDBUFFORCE asks for CAP_NET_ADMIN outside of user namespaces).
	lab.EnterRoot(t, func(t *testing.T) {
		var rules, list strings.Builder
		rules.WriteString("version: 1\nzones:\n  lan: {interfaces: eth1}\nlists:\n  blocked: [{file: blocked.txt}]\ninbound:\n  - {deny: any, from: blocked}\n  - {allow: ssh, from: 198.51.100.0/24, rate: 6/min per source}\n")
		for i := range 998 {
			fmt.Fprintf(&rules, "  - {allow: [%d/tcp, %d-%d/udp], from: [lan, 10.%d.0.0/16, \"2001:db8:%x::/48\"]}\n", 1024+i, 2*i+1, 2*i+2, i%200, i)
		}
		for i := range 100_000 {
			if i%10 == 9 {
				fmt.Fprintf(&list, "2001:db8:%x:%x::/64\n", i>>12, i&0xfff<<1)
				continue
			}
			fmt.Fprintf(&list, "%d.%d.%d.%d\n", 11+i/65536*2, i>>8&255, i&255, i*7&254)
		}
		f, err := policy.Parse("policy.yaml", []byte(rules.String()))
		if err != nil {
			t.Fatal(err)
		}
		lists, err := f.Lists(func(string) ([]byte, error) { return []byte(list.String()), nil })
		if err != nil {
			t.Fatal(err)
		}
		if n := len(lists["blocked"]); n != 100_000 {
			t.Fatalf("%d entries of 100,000", n)
		}
		c, err := compile.Compile(f, lists, policy.Host{}, compile.NFTables, acl.Options{})
		if err != nil {
			t.Fatal(err)
		}
		lab.LoadNFT(t, string(c.Text()))
		rs, _, _ := observed(t)
		if err := compile.Prove(compile.NFTables, compile.Loaded(rs), c, f, lists, policy.Host{}); err != nil {
			t.Error(err)
		}
	})
}
