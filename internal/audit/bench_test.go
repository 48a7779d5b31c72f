package audit_test

import (
	"fmt"
	"strings"
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

// BenchmarkRunLarge is an audit of a host with 1,000 rules, each for a source and a
// port of its own, and 300 accounts with keys.
func BenchmarkRunLarge(b *testing.B) {
	m := healthy()
	var lines strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&lines, "-A INPUT -s 10.%d.%d.0/24 -p tcp -m tcp --dport %d -j ACCEPT\n", i/250, i%250, 10000+i)
	}
	m.v4 = replaceLast(m.v4, lines.String()+"COMMIT\n")
	for i := range 300 {
		a := m.s.Accounts[2]
		a.Name, a.UID = fmt.Sprint("user", i), 2000+i
		m.s.Accounts = append(m.s.Accounts, a)
		m.s.SSH.KeyFiles = append(m.s.SSH.KeyFiles, keyFile(a.Name, a.UID, keyA+" x\n"))
	}
	rules := mustParse(m.v4)
	for b.Loop() {
		audit.Run(audit.Input{Snapshot: m.s, Rules: rules, Now: now})
	}
}
