package iptables_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/iptables"
	"sekimori/internal/firewall/kernel"
)

// recordVariable, set in the environment of TestLegacyMeansTheSame, writes what the
// kernel says to testdata, so that tests without a kernel have real bytes.
const recordVariable = "SEKIMORI_RECORD"

// recording is what a kernel had loaded, and what iptables-save said of it.
type recording struct {
	Kernel string      `json:"kernel"`
	Family uint8       `json:"family"`
	Saved  string      `json:"saved"`
	Dump   kernel.Dump `json:"dump"`
}

func recordingFile(f tools) string {
	return "testdata/legacy." + strings.TrimPrefix(f.rules, "testdata/extensions.") + ".json.gz"
}

func recordings(tb testing.TB) []recording {
	tb.Helper()
	var out []recording
	for _, f := range families() {
		b, err := os.ReadFile(recordingFile(f))
		if err != nil {
			tb.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			tb.Fatal(err)
		}
		if b, err = io.ReadAll(z); err != nil {
			tb.Fatal(err)
		}
		var r recording
		if err := json.Unmarshal(b, &r); err != nil {
			tb.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// TestRecorded reads the recorded tables as they were read live, on any machine.
func TestRecorded(t *testing.T) {
	for _, r := range recordings(t) {
		rs := kernel.Decode(&r.Dump, nil)
		if len(rs.Obstacles) != 0 {
			t.Errorf("obstacles %v", rs.Obstacles)
		}
		compareText(t, rs, r.Saved)
		compareSteps(t, rs, parse(t, firewall.Family(r.Family), r.Saved))
		for _, table := range rs.Tables {
			for _, c := range table.Chains {
				for _, rule := range c.Rules {
					if u := undecided(rule); len(u) > 0 && !strings.Contains(rule.Text, "-m bpf") && !strings.Contains(rule.Text, "-m u32") && !isOpaque(rule) {
						t.Errorf("%s: undecided: %q", rule.Text, u)
					}
				}
			}
		}
	}
}

// isOpaque reports whether a rule's target is one of those that nothing here can
// follow.
func isOpaque(r *firewall.Rule) bool {
	for _, n := range []string{"SYNPROXY", "SNPT", "DNPT"} {
		if strings.Contains(r.Text, "-j "+n) {
			return true
		}
	}
	return false
}

// tools are the commands of one family.
type tools struct {
	family  firewall.Family
	command string // iptables or ip6tables
	rules   string // the file with one rule for every extension
}

func families() []tools {
	return []tools{
		{firewall.IPv4, "iptables", "testdata/extensions.ip4"},
		{firewall.IPv6, "ip6tables", "testdata/extensions.ip6"},
	}
}

func parse(t *testing.T, f firewall.Family, text string) *firewall.Ruleset {
	t.Helper()
	rs, err := iptables.Parse(f, []byte(text))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return rs
}

// compareText compares the text of the kernel's rules with the output of
// iptables-save, line by line.
func compareText(t *testing.T, got *firewall.Ruleset, saved string) {
	t.Helper()
	var table *firewall.Table
	next := map[string]int{}
	lines := 0
	for line := range strings.Lines(saved) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "*"):
			table = findTable(t, got, line[1:])
			clear(next)
		case strings.HasPrefix(line, "-A "):
			chain := strings.Fields(line)[1]
			n := next[chain]
			next[chain]++
			lines++
			c := table.Chain(chain)
			if c == nil || n >= len(c.Rules) {
				t.Errorf("%s: no such rule from the kernel", line)
				continue
			}
			if c.Rules[n].Text != line {
				t.Errorf("text of a rule\nkernel %s\nsaved  %s", c.Rules[n].Text, line)
			}
		}
	}
	if lines == 0 {
		t.Error("nothing was saved")
	}
}

// compareSteps compares the steps of all rules.
func compareSteps(t *testing.T, got, want *firewall.Ruleset, opts ...cmp.Option) {
	t.Helper()
	compared := 0
	for _, wt := range want.Tables {
		gt := findTable(t, got, wt.Name)
		for _, wc := range wt.Chains {
			gc := gt.Chain(wc.Name)
			if gc == nil {
				t.Errorf("%s: not from the kernel", wc.Place())
				continue
			}
			if diff := cmp.Diff(wc.Base, gc.Base); diff != "" {
				t.Errorf("%s: -text +kernel\n%s", wc.Place(), diff)
			}
			if len(gc.Rules) != len(wc.Rules) {
				t.Errorf("%s: %d rules from the kernel, %d from text", wc.Place(), len(gc.Rules), len(wc.Rules))
				continue
			}
			for i, w := range wc.Rules {
				compared++
				if diff := cmp.Diff(w.Steps, gc.Rules[i].Steps, append(opts, cmpopts.EquateEmpty())...); diff != "" {
					t.Errorf("%s\n-text +kernel\n%s", w.Text, diff)
				}
				if w.Comment != gc.Rules[i].Comment {
					t.Errorf("%s: comment %q from the kernel, %q from text", w.Text, gc.Rules[i].Comment, w.Comment)
				}
			}
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

func findTable(t *testing.T, rs *firewall.Ruleset, name string) *firewall.Table {
	t.Helper()
	for _, table := range rs.Tables {
		if table.Name == name {
			return table
		}
	}
	t.Fatalf("no table %s", name)
	return nil
}
