package audit_test

import (
	"testing"

	"sekimori/internal/audit"
)

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range audit.Checks() {
		if seen[c.ID] {
			t.Errorf("%s stands in the table twice", c.ID)
		}
		seen[c.ID] = true
		if len(c.References) == 0 {
			t.Errorf("%s has no references", c.ID)
		}
	}
	if len(seen) < 90 {
		t.Errorf("%d checks, want at least 90", len(seen))
	}
}
