package compile_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/compile"
	"sekimori/internal/firewall/acl"
	"sekimori/packet"
	"sekimori/policy"
)

var update = flag.Bool("update", false, "write the texts under testdata anew")

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

func portable(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../../testdata/portable.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// golden compares a text with a file under testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

// TestExample has the example of the language as nft reads it, in both languages
// that people read.
func TestExample(t *testing.T) {
	host := policy.Host{DHCPv4: []string{"eth0"}, DHCPv6: []string{"eth0"}, Users: map[string]uint32{"postfix": 101}}
	for _, lang := range []string{"en", "ja"} {
		r := compiled(t, string(policy.Example()), host, compile.NFTables, acl.Options{Lang: lang})
		golden(t, "example."+lang+".nft", r.Text())
		if r.Proof.Limits != 3 || !r.Proof.Equivalent || len(r.Proof.Families) != 2 || len(r.Proof.Ways) != 3 {
			t.Errorf("proven was %+v", r.Proof)
		}
	}
}

// TestPortable: what all packet filters can say, all of them say.
func TestPortable(t *testing.T) {
	for _, target := range compile.Targets() {
		r := compiled(t, portable(t), policy.Host{}, target, acl.Options{})
		if !r.Proof.Equivalent {
			t.Errorf("%s says less: %v", target, r.Proof.Less)
		}
		if target == compile.NFTables {
			golden(t, "portable.nft", r.Text())
		}
	}
}

// TestSameBytes: the same policy gives the same text, each time.
func TestSameBytes(t *testing.T) {
	for _, text := range []string{string(policy.Example()), portable(t)} {
		first := compiled(t, text, policy.Host{}, compile.NFTables, acl.Options{}).Text()
		for range 5 {
			if again := compiled(t, text, policy.Host{}, compile.NFTables, acl.Options{}).Text(); !bytes.Equal(first, again) {
				t.Fatal(cmp.Diff(string(first), string(again)))
			}
		}
	}
}

// TestWrongTextIsNotProven changes what a text says, one place at a time, and tries
// to prove it: a change is found, unless it is refused by the reader already.
func TestWrongTextIsNotProven(t *testing.T) {
	text := string(policy.Example())
	f, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	lists, err := f.Lists(nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := compile.Compile(f, lists, policy.Host{}, compile.NFTables, acl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	good := string(r.Text())
	for _, c := range []struct{ old, now string }{
		{"ct state established,related accept", "ct state established accept"},
		{`iifname "lo" accept`, `iifname "lo0" accept`},
		{"130-136", "130-135"},
		{"jump inbound", "goto inbound-tcp"},
		{"22 : goto inbound-tcp-22", "22 : accept"},
		{"22 : goto inbound-tcp-22", "23 : goto inbound-tcp-22"},
		{"198.51.100.0/24", "198.51.100.0/23"},
		{"2001:db8:a::/48", "2001:db8:a::/47"},
		{"over 6/minute", "over 7/minute"},
		{"over 6/minute", "over 6/hour"},
		{"over 10/minute burst 10", "over 10/minute burst 11"},
		{"ip saddr limit rate over 5/second", "ip saddr limit rate over 6/second"},
		{`iifname "eth1" ip saddr 10.0.0.0/24 accept`, "ip saddr 10.0.0.0/24 accept"},
		{`meta skuid "postfix" return`, `meta skuid "exim" return`},
		{`meta skuid "postfix" return`, ""},
		{"ct status dnat counter drop", "counter"},
		{"ct original proto-dst 8443", "ct original proto-dst 8444"},
		{"dnat ip to 10.0.0.20:443", "dnat ip to 10.0.0.21:443"},
		{"dnat ip to 10.0.0.20:443", "dnat ip to 10.0.0.20:444"},
		{"fib daddr type local dnat", "dnat"},
		{"tcp dport 8443 fib", "tcp dport 8442 fib"},
		{`oifname "eth0" masquerade`, "masquerade"},
		{"udp sport { 22, 80, 1900 } counter drop", "udp sport { 22, 80 } counter drop"},
		{"icmpv6 type { 130-137, 143 } accept", "icmpv6 type { 130-137 } accept"},
		{"type { broadcast, multicast } counter drop", "type multicast counter drop"},
		{"priority raw", "priority filter"},
		{"hook output", "hook input"},
	} {
		bad := strings.Replace(good, c.old, c.now, 1)
		if bad == good {
			t.Errorf("%q is not in the text", c.old)
			continue
		}
		err := compile.Reprove(compile.NFTables, []acl.File{{Text: []byte(bad)}}, r, f, lists, policy.Host{})
		if err == nil && c.old != "priority raw" { // without connections to look at it is all the same
			t.Errorf("with %q in place of %q the text is proven", c.now, c.old)
		}
	}
}

// TestUnknownTarget: what is not known is refused.
func TestUnknownTarget(t *testing.T) {
	f, err := policy.Parse("policy.yaml", policy.Example())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := compile.Compile(f, map[string][]packet.AddrRange{}, policy.Host{}, "pf", acl.Options{}); err == nil {
		t.Error("there is no target pf")
	}
	if _, err := compile.Compile(f, nil, policy.Host{}, compile.NFTables, acl.Options{Lang: "tlh"}); err == nil {
		t.Error("there is no language tlh")
	}
}

// TestComplete: a text that stands for everything says so, and is proven as well.
func TestComplete(t *testing.T) {
	r := compiled(t, portable(t), policy.Host{}, compile.NFTables, acl.Options{Complete: true})
	if !strings.Contains(string(r.Text()), "\nflush ruleset\n") || !r.Proof.Equivalent {
		t.Errorf("the text begins with\n%.300s", r.Text())
	}
}
