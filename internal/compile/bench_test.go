package compile_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sekimori/internal/compile"
	"sekimori/internal/firewall/acl"
	"sekimori/policy"
)

// largePolicy has rules of a hundred sorts, and a list in a file of as many entries
// as asked.
func largePolicy(rules int) string {
	var b strings.Builder
	b.WriteString("version: 1\nzones:\n  internet: {interfaces: eth0}\n  lan: {interfaces: [eth1, \"wg*\"], networks: [10.0.0.0/8, \"fd00::/8\"]}\n")
	b.WriteString("lists:\n  blocked: [{file: blocked.txt}]\ninbound:\n  - {deny: any, from: blocked}\n  - {allow: ssh, from: 198.51.100.0/24, rate: 6/min per source}\n")
	for i := range rules - 2 {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "  - {allow: %d/tcp}\n", 1024+i)
		case 1:
			fmt.Fprintf(&b, "  - {allow: %d/tcp, from: 10.%d.%d.0/24}\n", 1024+i, i/256, i%256)
		case 2:
			fmt.Fprintf(&b, "  - {allow: %d/udp, from: lan, rate: %d/s per source}\n", 1024+i, 1+i%9)
		default:
			fmt.Fprintf(&b, "  - {allow: [%d-%d/tcp, %d/udp], from: [lan, \"2001:db8:%x::/48\"]}\n", 20000+i, 20003+i, 1024+i, i)
		}
	}
	return b.String()
}

// blocklist has n entries that touch nowhere, one in ten of IPv6.
func blocklist(n int) []byte {
	var b strings.Builder
	for i := range n {
		if i%10 == 9 {
			fmt.Fprintf(&b, "2001:db8:%x:%x::/64\n", i>>12, i&0xfff<<1)
			continue
		}
		a := netip.AddrFrom4([4]byte{byte(11 + i/65536*2), byte(i >> 8), byte(i), byte(i*7) &^ 1})
		fmt.Fprintf(&b, "%s\n", a)
	}
	return []byte(b.String())
}

func compileLarge(t testing.TB, text string, list []byte, target compile.Target, host policy.Host) *compile.Result {
	f, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	lists, err := f.Lists(func(string) ([]byte, error) { return list, nil })
	if err != nil {
		t.Fatal(err)
	}
	r, err := compile.Compile(f, lists, host, target, acl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLarge: a large policy compiles, and many rules do not make long ways: none
// of its chains grows with their number.
func TestLarge(t *testing.T) {
	r := compileLarge(t, largePolicy(1000), blocklist(5000), compile.NFTables, policy.Host{})
	lines, inside := 0, false
	for line := range strings.Lines(string(r.Text())) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "chain "):
			lines, inside = 0, true
		case line == "}":
			inside = false
		case inside && !strings.HasPrefix(line, "#"):
			if lines++; lines > 12 {
				t.Fatalf("a chain of more than 12 rules: %s", line)
			}
		}
	}
}

// BenchmarkExample compiles and proves the example of the language, for those who
// can say all of it.
func BenchmarkExample(b *testing.B) {
	host := policy.Host{DHCPv4: []string{"eth0"}, Users: map[string]uint32{"postfix": 101}}
	for _, target := range []compile.Target{compile.NFTables, compile.IPTables, compile.IP6Tables} {
		b.Run(string(target), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				compileLarge(b, string(policy.Example()), nil, target, host)
			}
		})
	}
}

// BenchmarkPortable compiles and proves what all packet filters can say.
func BenchmarkPortable(b *testing.B) {
	text := portable(b)
	for _, target := range compile.Targets() {
		b.Run(string(target), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				compileLarge(b, text, nil, target, policy.Host{})
			}
		})
	}
}

func BenchmarkLarge(b *testing.B) {
	text, list := largePolicy(1000), blocklist(100_000)
	b.ReportAllocs()
	for b.Loop() {
		compileLarge(b, text, list, compile.NFTables, policy.Host{})
	}
}
