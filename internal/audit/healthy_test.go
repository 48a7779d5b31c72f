package audit_test

import (
	"testing"

	"sekimori/internal/audit"
)

func TestHealthy(t *testing.T) {
	r := healthy().run(t)
	if r.Grade != audit.GradeA {
		t.Errorf("grade %s", r.Grade)
	}
	for _, f := range r.Findings {
		t.Logf("%s %s %q", f.Severity, f.ID, f.Evidence)
		if f.Severity > audit.Info {
			t.Errorf("%s: %s: %q", f.ID, f.Severity, f.Evidence)
		}
	}
	for _, u := range r.Unseen {
		t.Errorf("not seen: %s: %s", u.Section, u.Reason)
	}
}
