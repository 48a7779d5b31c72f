package kernel

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/firewall"
)

// hostInterfaces are those of the namespaces in which the dumps were recorded.
func hostInterfaces() []firewall.HostInterface {
	return []firewall.HostInterface{{Index: 1, Name: "lo", Loopback: true}}
}

// recorded returns the names of the recorded rulesets in testdata: for each there
// is the text that was loaded (.nft or .save), the dump (.json) and the meaning
// (.want).
func recorded(tb testing.TB, pattern string) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/" + pattern)
	if err != nil || len(files) == 0 {
		tb.Fatalf("no test data %s: %v", pattern, err)
	}
	return files
}

func readDump(tb testing.TB, file string) *Dump {
	tb.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	d := &Dump{}
	if err := json.Unmarshal(b, d); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
	return d
}

// TestRecorded decodes dumps that a kernel made, on any system.
func TestRecorded(t *testing.T) {
	for _, file := range recorded(t, "*/*.json") {
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
			got := show(Decode(readDump(t, file), hostInterfaces()))
			want, err := os.ReadFile(strings.TrimSuffix(file, ".json") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestDecodeTwice says that decoding leaves the dump as it was, and has no memory.
func TestDecodeTwice(t *testing.T) {
	for _, file := range recorded(t, "*/*.json") {
		d := readDump(t, file)
		if a, b := show(Decode(d, hostInterfaces())), show(Decode(d, hostInterfaces())); a != b {
			t.Errorf("%s: %s", file, cmp.Diff(a, b))
		}
	}
}
