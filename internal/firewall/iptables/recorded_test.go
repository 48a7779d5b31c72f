package iptables_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"sekimori/internal/firewall"
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
