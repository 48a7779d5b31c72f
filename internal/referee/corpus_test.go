package referee_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/iptables"
	"sekimori/packet"
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
	rs, err := iptables.Parse(iptables.Family(text), text)
	if err != nil {
		tb.Fatal(err)
	}
	return rs
}

// undecodable are the parts of the recorded rulesets that cannot be decoded and bear
// on a verdict; all others are understood.
var undecodable = map[string][]string{
	"parser-stress.save": {"-m multiport --ports 8080:8081,8082 --something-else"}, // no such option
}

// TestCorpus reads every recorded ruleset and evaluates it for packets to the host
// and through it, with all tables and within the usual node budget. What remains
// undecided for want of understanding is named, no more and no less; what has no
// fixed answer (limits, recent) is logged.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob(corpus(t, "iptables", "save", "*.save"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dumps in the corpus: %v", err)
	}
	for name := range undecodable {
		if !slices.ContainsFunc(files, func(f string) bool { return filepath.Base(f) == name }) {
			t.Errorf("%s is not in the corpus", name)
		}
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			checkDump(t, iptables.Family(text), readSave(t, f), undecodable[filepath.Base(f)])
		})
	}
}

func checkDump(t *testing.T, family firewall.Family, rs *firewall.Ruleset, want []string) {
	t.Helper()
	e := firewall.NewEngine(family, firewall.Facts{}, 0, rs)
	var opaque, varying []string
	err := e.Do(func() error {
		for _, way := range []firewall.Way{firewall.WayInput, firewall.WayForward} {
			in := e.Sent(way)
			r := e.Follow(rs, way, in, false)
			if !r.Accept.Or(r.Drop).Or(r.Reject).Equal(in) {
				t.Errorf("%s: some packets meet no end", way)
			}
			for _, end := range []packet.Set{r.Accept, r.Drop, r.Reject} {
				for _, key := range e.Space().UnknownKeys(end) {
					if text, undecoded := e.Reason(key); undecoded {
						opaque = append(opaque, text)
					} else {
						varying = append(varying, text)
					}
				}
			}
			t.Logf("%s: accepted by a diagram of %d nodes", way, r.Accept.Nodes())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(opaque)
	slices.Sort(varying)
	opaque, varying = slices.Compact(opaque), slices.Compact(varying)
	t.Logf("undecidable: %q; without a fixed answer: %q", opaque, varying)
	if diff := cmp.Diff(want, opaque, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("what cannot be decoded (-expected +found):\n%s", diff)
	}
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
