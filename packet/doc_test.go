package packet_test

import (
	"os"
	"strings"
	"testing"
)

// TestDocExample: what the package documentation shows is what Example runs.
func TestDocExample(t *testing.T) {
	doc, example := readLines(t, "doc.go"), readLines(t, "example_test.go")
	var shown []string
	for _, line := range doc {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			shown = append(shown, code)
		}
	}
	source := strings.Join(example, "\n")
	source = strings.ReplaceAll(source, "\n\t// ", "\n\t") // the expected output
	start := 0
	for _, code := range shown {
		if code == "})" { // the example goes on with looking at the error
			continue
		}
		if strings.HasPrefix(code, "tcp | udp") {
			return // the language of packets
		}
		at := strings.Index(source[start:], "\n\t"+code+"\n")
		if at < 0 {
			t.Fatalf("not in Example, or not in this place: %s", code)
		}
		start += at
	}
	t.Fatal("the language of packets is not where it was")
}

func readLines(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(b), "\n")
}
