package observe_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"sekimori/internal/lab"
	"sekimori/internal/observe"
)

// loadRules loads n rules into a table of that name, with an anonymous set in
// every tenth, by pieces that fit a user namespace's send buffer.
func loadRules(tb testing.TB, table string, n int) {
	tb.Helper()
	lab.LoadNFT(tb, fmt.Sprintf("table inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s { chain input { type filter hook input priority 0; policy drop; }; }\n", table))
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "add rule inet %s input ip saddr 10.%d.%d.0/24 ", table, i/256, i%256)
		if i%10 == 0 {
			fmt.Fprintf(&b, "tcp dport { %d, %d }", i+1, i+2)
		} else {
			fmt.Fprintf(&b, "tcp dport %d", i+1)
		}
		b.WriteString(" counter accept\n")
		if i%400 == 399 || i == n-1 {
			lab.LoadNFT(tb, b.String())
			b.Reset()
		}
	}
}

func BenchmarkFilters4840Rules(b *testing.B) {
	loadRules(b, "bench", 4840)
	b.ResetTimer()
	for range b.N {
		d := observe.Filters(b.Context())
		if count(d, newRule) != 4840 {
			b.Fatalf("%d rules", count(d, newRule))
		}
	}
	b.StopTimer()
	lab.LoadNFT(b, "delete table inet bench\n")
}

func BenchmarkHost500Listeners1000Rules(b *testing.B) {
	loadRules(b, "bench", 1000)
	for i := range 500 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+i))
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
	}
	b.ResetTimer()
	for range b.N {
		s := live(b)
		if len(s.Sockets) != 500 || count(s.Filters, newRule) != 1000 {
			b.Fatalf("%d sockets, %d rules", len(s.Sockets), count(s.Filters, newRule))
		}
	}
	b.StopTimer()
	lab.LoadNFT(b, "delete table inet bench\n")
}

func BenchmarkOwners(b *testing.B) {
	for range b.N {
		observe.FindOwners()
	}
}

// BenchmarkHost200Interfaces is a container host: veth pairs to other namespaces.
func BenchmarkHost200Interfaces(b *testing.B) {
	for i := range 100 {
		lab.Veth(b, fmt.Sprintf("va%d", i), fmt.Sprintf("vb%d", i), "")
		lab.Address(b, fmt.Sprintf("va%d", i), fmt.Sprintf("10.0.%d.1/24", i))
	}
	b.ResetTimer()
	for range b.N {
		if s := live(b); len(s.Interfaces) < 200 {
			b.Fatalf("%d interfaces", len(s.Interfaces))
		}
	}
	b.StopTimer()
	for i := range 100 {
		lab.Run(b, "ip", "link", "del", fmt.Sprintf("va%d", i))
	}
}

// BenchmarkAudit is all that an audit asks about on the machine at hand, the
// package lists included.
func BenchmarkAudit(b *testing.B) {
	for range b.N {
		if s := audited(b); len(s.Processes) == 0 {
			b.Fatal("no processes")
		}
	}
}
