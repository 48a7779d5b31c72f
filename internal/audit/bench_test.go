package audit_test

import (
	"testing"

	"sekimori/internal/audit"
)

// BenchmarkRun is an audit of a small web server, rules and all.
func BenchmarkRun(b *testing.B) {
	m := healthy()
	rules := mustParse(m.v4)
	for b.Loop() {
		audit.Run(audit.Input{Snapshot: m.s, Rules: rules, Now: now})
	}
}
