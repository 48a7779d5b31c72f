package pyre

import "testing"

// TestInlineFlags: of every short sequence of flags, colons, minus signs and
// parentheses behind (? the same is accepted and refused as by Python.
func TestInlineFlags(t *testing.T) {
	py := startPython(t)
	m := NewMachine()
	var try func(s string, left int)
	try = func(s string, left int) {
		for _, pattern := range []string{"(?" + s, "(?" + s + "b)"} {
			sameAsPython(t, py, m, pattern, 0, []string{"b", "B", "\n"})
		}
		if left == 0 || t.Failed() {
			return
		}
		for _, c := range "imau-:)?" {
			try(s+string(c), left-1)
		}
	}
	try("", 4)
}
