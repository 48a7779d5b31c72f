package referee_test

import (
	"os"
	"path/filepath"
	"testing"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/iptables"
)

// corpus returns the path of a file of other people's machines, or skips.
func corpus(tb testing.TB, name ...string) string {
	tb.Helper()
	root := os.Getenv("SEKIMORI_CORPUS")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "corpus")
	}
	if _, err := os.Stat(root); err != nil {
		tb.Skip("the corpus of recorded rulesets is not here: set SEKIMORI_CORPUS to its folder")
	}
	return filepath.Join(append([]string{root}, name...)...)
}

func readSave(tb testing.TB, path string) *firewall.Ruleset {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	rs, err := iptables.Parse(firewall.IPv4, text)
	if err != nil {
		tb.Fatal(err)
	}
	return rs
}

// BenchmarkTUM reads and evaluates a firewall of 4,813 rules: text in, the set of
// all forwarded packets that it accepts out.
func BenchmarkTUM(b *testing.B) {
	path := corpus(b, "iptables", "save", "tum-2015-05-15.save")
	for b.Loop() {
		rs := readSave(b, path)
		e := firewall.NewEngine(firewall.IPv4, firewall.Facts{}, 0, rs)
		err := e.Do(func() error {
			r := e.Follow(rs, firewall.WayForward, e.Sent(firewall.WayForward), false)
			b.ReportMetric(float64(r.Accept.Nodes()), "nodes")
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
