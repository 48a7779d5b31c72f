// Gotest reads what `go test -json` prints, shows it as go test without -v
// would, and compares the tests that were skipped with a list: a test that
// skips without being listed fails the run, and so does a listed one that no
// longer skips. Tests of kernels and firewalls matter most and vanish first.
//
// A line of the list is a package, a test and the reason, for people; # begins
// a comment:
//
//	sekimori/internal/observe TestXDP   needs a kernel with BTF
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// key names a test of a package; Test is "" for the package's own output.
type key struct{ pkg, test string }

// tally is what one run of go test said.
type tally struct {
	output         map[key][]string // of tests that still run
	skipped        map[key]string   // with the reason
	passed, failed int
	brokenPackages int
	packages       int
}

func main() {
	list := flag.String("skips", "", "file that lists the tests that may skip")
	flag.Parse()
	if err := run(*list, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
}

func run(list string, in io.Reader, out io.Writer) error {
	allowed, err := readList(list)
	if err != nil {
		return err
	}
	t := &tally{output: map[key][]string{}, skipped: map[key]string{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			t.line(line, out)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, len(t.skipped))
	wrong := t.compare(allowed, out)
	switch {
	case t.failed > 0 || t.brokenPackages > 0:
		return fmt.Errorf("%d tests of %d packages failed", t.failed, t.brokenPackages)
	case t.packages == 0 || t.passed == 0:
		return fmt.Errorf("no test ran")
	case wrong > 0:
		return fmt.Errorf("%d differences between the tests skipped and %s", wrong, list)
	}
	return nil
}

// line takes in one line; what is not JSON (the linker's words) is shown.
func (t *tally) line(line string, out io.Writer) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		fmt.Fprint(out, line)
		return
	}
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(out, e.Output)
	case "output":
		if e.Test == "" {
			t.packageLine(e.Output, out)
		} else {
			t.output[k] = append(t.output[k], e.Output)
		}
	case "pass", "skip", "fail":
		t.end(e.Action, k, out)
	}
}

// packageLine shows what go test prints about a package, less the "PASS" that
// go test itself leaves out.
func (t *tally) packageLine(s string, out io.Writer) {
	if s != "PASS\n" {
		fmt.Fprint(out, s)
	}
}

func (t *tally) end(action string, k key, out io.Writer) {
	if k.test == "" {
		t.packages++
		if action == "fail" {
			t.brokenPackages++
		}
		return
	}
	switch action {
	case "pass":
		t.passed++
	case "skip":
		t.skipped[k] = reason(t.output[k])
	case "fail":
		t.failed++
		fmt.Fprint(out, strings.Join(t.output[k], ""))
	}
	delete(t.output, k)
}

// compare prints the differences between the skipped tests and the list.
func (t *tally) compare(allowed map[key]string, out io.Writer) (wrong int) {
	byName := func(a, b key) int { return strings.Compare(a.pkg+" "+a.test, b.pkg+" "+b.test) }
	for _, k := range slices.SortedFunc(maps.Keys(t.skipped), byName) {
		if _, ok := allowed[k]; !ok {
			wrong++
			fmt.Fprintf(out, "skipped, but not listed: %s %s: %s\n", k.pkg, k.test, t.skipped[k])
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(allowed), byName) {
		if _, ok := t.skipped[k]; !ok {
			wrong++
			fmt.Fprintf(out, "listed, but not skipped: %s %s (%s)\n", k.pkg, k.test, allowed[k])
		}
	}
	return wrong
}

// reason is the last line of a skipped test that says where it is from.
func reason(output []string) string {
	for _, line := range slices.Backward(output) {
		if s := strings.TrimSpace(line); strings.Contains(s, ".go:") {
			return s
		}
	}
	return "no reason given"
}

// readList returns the tests of the list, each with its reason.
func readList(name string) (map[key]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	allowed := map[key]string{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) < 3 {
			return nil, fmt.Errorf("%s:%d: want package, test and reason", name, n)
		}
		allowed[key{f[0], f[1]}] = strings.Join(f[2:], " ")
	}
	return allowed, nil
}
