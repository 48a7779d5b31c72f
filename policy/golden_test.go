package policy_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/policy"
)

var update = flag.Bool("update", false, "write what is generated into testdata and docs")

// golden compares got with the rest of a file after its mark, or writes it.
func golden(t *testing.T, file, mark, got string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	input, want, _ := strings.Cut(string(text), mark)
	if *update {
		if err := os.WriteFile(file, []byte(input+mark+got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

const mark = "\n==== \n"

func files(t testing.TB, glob string) []string {
	t.Helper()
	names, err := filepath.Glob(glob)
	if err != nil || len(names) == 0 {
		t.Fatalf("no file is like %s", glob)
	}
	return names
}

// TestBad checks the exact messages for every policy in testdata/bad.
func TestBad(t *testing.T) {
	for _, name := range files(t, "testdata/bad/*.txt") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			input, _, _ := strings.Cut(string(text), mark)
			f, err := policy.Parse("policy.yaml", []byte(input))
			if err == nil {
				t.Fatalf("no error; the policy is %+v", f.Policy)
			}
			golden(t, name, mark, err.Error()+"\n")
		})
	}
}

func TestExample(t *testing.T) {
	text, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := policy.Parse("policy.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Warnings) > 0 {
		t.Error(f.Warnings)
	}
	if line, col, ok := f.Position("inbound[2].from[0]"); line != 10 || col != 46 || !ok {
		t.Errorf("inbound[2].from[0] is at %d:%d, %v", line, col, ok)
	}
	for path, want := range map[string]int{"outbound.rules[1].rate": 16, "guard.ban.repeat": 32, "zones.lan.networks[1]": 4} {
		if line, _, _ := f.Position(path); line != want {
			t.Errorf("%s is in line %d, not %d", path, line, want)
		}
	}
}
