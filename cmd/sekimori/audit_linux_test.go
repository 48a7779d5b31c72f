//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sekimori/internal/lab"
	"sekimori/internal/report"
)

// planted is one weakness of testdata/weak-machine.
type planted struct{ check, evidence string }

// plants reads what the script says that it plants.
func plants(t *testing.T, script string) []planted {
	t.Helper()
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	var out []planted
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "# plant: "); ok {
			check, evidence, _ := strings.Cut(strings.TrimSpace(rest), " ")
			out = append(out, planted{check, evidence})
		}
	}
	return out
}

// weakMachine is where the scripts are.
const weakMachine = "../../testdata/weak-machine/"

// TestWeakMachine: on a server that is set up badly, each planted weakness is
// found, and nothing else of medium severity or above; on the same server before,
// nothing but that nobody has asked for updates.
func TestWeakMachine(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		root := t.TempDir()
		if base := os.Getenv("SEKIMORI_WEAK_ROOT"); base != "" {
			root = base // a tree of debootstrap's, planted already: make weak-machine
		} else {
			lab.Run(t, "sh", weakMachine+"skeleton", root)
			before := auditOf(t, root)
			for _, f := range before.Findings {
				if f.ID != "upd-fresh" && worse(f.Severity) {
					t.Errorf("before: %s %s: %q", f.Severity, f.ID, f.Evidence)
				}
			}
			pem, err := filepath.Abs(weakMachine + "shop.pem")
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("WEAK_PEM", pem)
			lab.Run(t, "sh", weakMachine+"plant", root)
		}
		after := auditOf(t, root)
		if after.Grade != "?" {
			t.Errorf("grade %s, although no packet filter was seen", after.Grade)
		}
		all := plants(t, weakMachine+"plant")
		if len(all) < 40 {
			t.Errorf("only %d weaknesses are planted", len(all))
		}
		for _, p := range all {
			i := slices.IndexFunc(after.Findings, func(f report.Finding) bool { return f.ID == p.check })
			if i < 0 {
				t.Errorf("%s is not found (%s)", p.check, p.evidence)
				continue
			}
			if f := after.Findings[i]; !slices.ContainsFunc(f.Evidence, func(e string) bool { return strings.Contains(e, p.evidence) }) {
				t.Errorf("%s: %q is not in %q", p.check, p.evidence, f.Evidence)
			}
		}
		for _, f := range after.Findings {
			if worse(f.Severity) && !slices.ContainsFunc(all, func(p planted) bool { return p.check == f.ID }) {
				t.Errorf("not planted: %s %s: %q", f.Severity, f.ID, f.Evidence)
			}
		}
	})
}

func worse(severity string) bool {
	return slices.Contains([]string{"medium", "high", "critical"}, severity)
}

// auditOf audits the files below a directory.
func auditOf(t *testing.T, root string) report.Audit {
	t.Helper()
	var a report.Audit
	if err := json.Unmarshal(sekimori(t, exitDone, "audit", "--root", root, "--format", "json", "--lang", "en"), &a); err != nil {
		t.Fatal(err)
	}
	return a
}
