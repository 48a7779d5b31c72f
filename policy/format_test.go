package policy_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/policy"
)

// TestFormat has one file per case: input, and what becomes of it.
func TestFormat(t *testing.T) {
	for _, name := range files(t, "testdata/format/*.txt") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		input, _, _ := strings.Cut(string(text), mark)
		f, err := policy.Parse(name, []byte(input))
		if err != nil {
			t.Fatal(err)
		}
		out, err := f.Format()
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, mark, string(out))
		formatAgain(t, out)
	}
}

// TestFormatKeepsColumns: what is aligned stays so, as in the example.
func TestFormatKeepsColumns(t *testing.T) {
	f, err := policy.Parse("example.yaml", policy.Example())
	if err != nil {
		t.Fatal(err)
	}
	out, err := f.Format()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(policy.Example()), string(out)); d != "" {
		t.Errorf("formatting changes the example (-before +after):\n%s", d)
	}
}

// formatAgain checks that formatting is idempotent.
func formatAgain(t *testing.T, formatted []byte) {
	t.Helper()
	f, err := policy.Parse("formatted", formatted)
	if err != nil {
		t.Fatal(err)
	}
	again, err := f.Format()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, formatted) {
		t.Errorf("formatting again changes it (-once +twice):\n%s", cmp.Diff(string(formatted), string(again)))
	}
}
