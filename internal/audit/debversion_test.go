package audit

import (
	"os/exec"
	"testing"
)

// TestCompareDebian compares versions as dpkg does, which is the referee.
func TestCompareDebian(t *testing.T) {
	versions := []string{
		"1:9.2p1-2+deb12u1", "1:9.2p1-2+deb12u2", "1:9.2p1-2+deb12u10", "1:9.2p1-2", "1:9.2p1-2~bpo11+1", "1:8.9p1-3ubuntu0.6", "1:8.9p1-3ubuntu0.10",
		"1.9.13p3-1+deb12u1", "1.9.14", "1.9.14~rc1", "1.9.9", "2:1.0", "10.0p1-7", "1:10.0p1-7", "1.0", "1.00", "1.0-1", "1.0a", "1.0+b1",
	}
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range versions {
		for _, b := range versions {
			operator := "eq"
			if c := compareDebian(a, b); c < 0 {
				operator = "lt"
			} else if c > 0 {
				operator = "gt"
			}
			if exec.Command(dpkg, "--compare-versions", a, operator, b).Run() != nil {
				t.Errorf("%s %s %s: dpkg does not think so", a, operator, b)
			}
		}
	}
}
