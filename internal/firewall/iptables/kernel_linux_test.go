package iptables_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/kernel"
	"sekimori/internal/lab"
	"sekimori/internal/observe"
)

func TestMain(m *testing.M) { lab.Main(m) }

// extensionRule is a line of a file of extensions.
type extensionRule struct{ table, chain, options string }

func readExtensions(t *testing.T, file string) []extensionRule {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rules []extensionRule
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		table, rest, _ := strings.Cut(line, " ")
		chain, options, _ := strings.Cut(rest, " ")
		rules = append(rules, extensionRule{table, chain, options})
	}
	return rules
}

// restoreText is the input of iptables-restore for rules.
func restoreText(rules []extensionRule) string {
	var b strings.Builder
	for _, table := range []string{"raw", "mangle", "nat", "filter", "security"} {
		b.WriteString("*" + table + "\n:USER - [0:0]\n")
		for _, r := range rules {
			if r.table == table {
				b.WriteString("-A " + r.chain + " " + r.options + "\n")
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

// acceptable returns the rules that the kernel takes, and logs the others with
// what the tool says about them.
func acceptable(t *testing.T, restore string, rules []extensionRule) []extensionRule {
	t.Helper()
	_, err := lab.Try(t, restoreText(rules), restore)
	switch {
	case err == nil:
		return rules
	case len(rules) == 1:
		t.Logf("not on this kernel: %s %s %s: %v", rules[0].table, rules[0].chain, rules[0].options, firstLine(err))
		return nil
	}
	half := len(rules) / 2
	return append(acceptable(t, restore, rules[:half:half]), acceptable(t, restore, rules[half:])...)
}

func firstLine(err error) string {
	_, rest, _ := strings.Cut(err.Error(), "\n")
	s, _, _ := strings.Cut(rest, "\n")
	return s
}

// kernelRules reads the rules back from the kernel, and returns those of the
// family, without tables that somebody else made.
func kernelRules(t *testing.T, f firewall.Family) *firewall.Ruleset {
	t.Helper()
	dump := filters(t)
	rs := kernel.Decode(&dump, nil)
	var own firewall.Ruleset
	for _, table := range rs.Tables {
		if table.Family == f {
			own.Tables = append(own.Tables, table)
		}
	}
	return &own
}

func filters(t *testing.T) kernel.Dump {
	t.Helper()
	snap, err := observe.Host(context.Background(), observe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return snap.Filters
}

// TestLegacyMeansTheSame loads every extension that the kernel has into
// iptables-legacy. What is then read from the kernel's bytes must be what the
// text says, step by step, and its text what iptables-save prints.
func TestLegacyMeansTheSame(t *testing.T) {
	for _, f := range families() {
		t.Run(f.command, func(t *testing.T) {
			lab.Enter(t, func(t *testing.T) {
				restore := f.command + "-legacy-restore"
				lab.Need(t, restore)
				rules := acceptable(t, restore, readExtensions(t, f.rules))
				text := restoreText(rules)
				lab.LoadIPTables(t, restore, text)
				saved := lab.Run(t, f.command+"-legacy-save")
				if os.Getenv(recordVariable) != "" {
					writeRecording(t, f, saved, filters(t))
				}
				got := kernelRules(t, f.family)
				compareText(t, got, saved)
				compareSteps(t, got, parse(t, f.family, saved))
				compareSteps(t, got, parse(t, f.family, text), anyWords())
				t.Logf("%d rules", len(rules))
			})
		})
	}
}

// TestNFTMeansTheSame does the same with iptables-nft, as far as it writes matches
// and targets into nf_tables; what it says in nf_tables' own expressions has
// other steps, whose meaning is compared by TestBackendsAgree.
func TestNFTMeansTheSame(t *testing.T) {
	for _, f := range families() {
		t.Run(f.command, func(t *testing.T) {
			lab.Enter(t, func(t *testing.T) {
				restore := f.command + "-nft-restore"
				lab.Need(t, restore)
				rules := acceptable(t, restore, readExtensions(t, f.rules))
				lab.LoadIPTables(t, restore, restoreText(rules))
				saved := lab.Run(t, f.command+"-nft-save")
				got := kernelRules(t, f.family)
				compareText(t, got, saved)
				compareExtensions(t, got, parse(t, f.family, saved))
				t.Logf("%d rules", len(rules))
			})
		})
	}
}

// TestBackendsAgree compares what the two backends do to packets, for rules that
// iptables-nft says in expressions of nf_tables.
func TestBackendsAgree(t *testing.T) {
	for _, f := range families() {
		t.Run(f.command, func(t *testing.T) {
			lab.Enter(t, func(t *testing.T) {
				var rules []extensionRule
				for _, r := range readExtensions(t, f.rules) {
					if r.table == "filter" && r.chain != "OUTPUT" && native("-A "+r.options) && !strings.Contains(r.options, "-m limit") {
						rules = append(rules, r)
					}
				}
				lab.Need(t, f.command+"-legacy-restore", f.command+"-nft-restore")
				rules = acceptable(t, f.command+"-nft-restore", acceptable(t, f.command+"-legacy-restore", rules))
				lab.LoadIPTables(t, f.command+"-legacy-restore", restoreText(rules))
				legacy := kernelRules(t, f.family)
				lab.LoadIPTables(t, f.command+"-legacy-restore", restoreText(nil))
				lab.LoadIPTables(t, f.command+"-nft-restore", restoreText(rules))
				nft := kernelRules(t, f.family)
				compared := 0
				for _, chain := range []string{"INPUT", "FORWARD"} {
					compared += compareMeaning(t, f.family, backend(t, legacy, firewall.Legacy, chain), backend(t, nft, firewall.NFTables, chain))
				}
				if compared < len(rules) {
					t.Errorf("%d of %d rules were compared", compared, len(rules))
				}
			})
		})
	}
}

// backend returns a chain of the filter table of one backend.
func backend(t *testing.T, rs *firewall.Ruleset, b firewall.Backend, chain string) *firewall.Chain {
	t.Helper()
	for _, table := range rs.Tables {
		if table.Name == "filter" && table.Backend == b {
			return table.Chain(chain)
		}
	}
	t.Fatalf("no table filter of backend %d", b)
	return nil
}

// compareMeaning asks, rule by rule, whether two chains do the same to packets.
func compareMeaning(t *testing.T, f firewall.Family, a, b *firewall.Chain) int {
	t.Helper()
	if b == nil && len(a.Rules) == 0 {
		return 0 // iptables-nft makes chains as they are needed
	}
	if b == nil || len(a.Rules) != len(b.Rules) {
		t.Fatalf("%s: %d rules; iptables-nft has another number", a.Place(), len(a.Rules))
	}
	way := firewall.WayInput
	if a.Base.Hook == firewall.Forward {
		way = firewall.WayForward
	}
	for i := range a.Rules {
		one, other := alone(a.Rules[i]), alone(b.Rules[i])
		e := firewall.NewEngine(f, firewall.Facts{}, 1<<20, one, other)
		changes, err := e.Diff(one, other, way, 1)
		if err != nil {
			t.Errorf("%s: %v", a.Rules[i].Text, err)
		}
		for _, c := range changes {
			t.Errorf("%s\nlegacy %v, nft %v: %v", a.Rules[i].Text, c.From, c.To, c.Packets)
		}
	}
	return len(a.Rules)
}

// alone is a ruleset with one rule, and a policy that does not do what it does.
func alone(r *firewall.Rule) *firewall.Ruleset {
	table := &firewall.Table{Family: r.Chain.Table.Family, Name: "filter"}
	base := *r.Chain.Base
	if n := len(r.Steps); n > 0 {
		if v, ok := r.Steps[n-1].(firewall.Verdict); ok && v.Kind == firewall.Accept {
			base.Policy = firewall.Drop
		}
	}
	chain := &firewall.Chain{Name: r.Chain.Name, Base: &base, Table: table}
	rule := *r
	rule.Chain, rule.Number = chain, 1
	chain.Rules = []*firewall.Rule{&rule}
	user := &firewall.Chain{Name: "USER", Table: table}
	user.Rules = []*firewall.Rule{{Chain: user, Number: 1, Steps: []firewall.Step{firewall.Verdict{Kind: firewall.Drop}}}}
	// Fragments, of which the two see different things, are put together where
	// connections are tracked.
	tracking := &firewall.Chain{Name: "tracking", Table: table, Base: &firewall.Base{Hook: firewall.Prerouting, Type: "filter", Policy: firewall.Accept}}
	tracking.Rules = []*firewall.Rule{{Chain: tracking, Number: 1, Steps: []firewall.Step{firewall.Match{Cond: firewall.State{Mask: firewall.StateNew}}}}}
	table.Chains = []*firewall.Chain{chain, user, tracking}
	return &firewall.Ruleset{Tables: []*firewall.Table{table}}
}

// compareExtensions compares the steps of rules whose text is that of matches and
// targets alone.
func compareExtensions(t *testing.T, got, want *firewall.Ruleset) {
	t.Helper()
	compared := 0
	for _, wt := range want.Tables {
		gt := findTable(t, got, wt.Name)
		for _, wc := range wt.Chains {
			gc := gt.Chain(wc.Name)
			for i, w := range wc.Rules {
				if gc == nil || i >= len(gc.Rules) {
					t.Errorf("%s: not from the kernel", w.Text)
					continue
				}
				if native(w.Text) {
					continue
				}
				compared++
				if diff := cmp.Diff(w.Steps, gc.Rules[i].Steps, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s\n-text +kernel\n%s", w.Text, diff)
				}
			}
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

// native reports whether iptables-nft has its own expressions for a part of the
// rule.
func native(text string) bool {
	for w := range strings.FieldsSeq(text) {
		switch w {
		case "-s", "-d", "-i", "-o", "-p", "-f", "limit", "mark", "NFLOG", "LOG", "MARK", "TRACE", "among":
			return true
		}
	}
	return false
}

func writeRecording(t *testing.T, f tools, saved string, d kernel.Dump) {
	t.Helper()
	r := recording{Family: uint8(f.family), Saved: saved, Kernel: strings.TrimSpace(lab.Run(t, "uname", "-r"))}
	for _, table := range d.Tables {
		if table.Family == r.Family {
			r.Dump.Tables = append(r.Dump.Tables, table)
		}
	}
	r.Dump.IPSets = d.IPSets
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recordingFile(f), z.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// anyWords lets conditions without a fixed answer differ in the words by which
// they are told apart: iptables-save writes out what was left to a default.
func anyWords() cmp.Option {
	return cmp.Options{
		cmp.Comparer(func(a, b firewall.Varies) bool { return a.Stateful == b.Stateful }),
		cmp.Comparer(func(a, b firewall.Undecoded) bool { return true }),
		cmp.Comparer(func(a, b firewall.Field) bool {
			return a == b || strings.HasPrefix(string(a), "hash by") && strings.HasPrefix(string(b), "hash by")
		}),
	}
}
