//go:build linux

package filters

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"sekimori/internal/guard"
	"sekimori/internal/guard/filter"
)

const (
	// Megabytes that are resident, all told: the program, what it has allocated,
	// and what waits to be collected.
	mostForFilters = 30
	mostForSources = 60
	// memoryChild asks this program to be the one that is measured.
	memoryChild = "SEKIMORI_MEMORY_CHILD"
)

func TestMain(m *testing.M) {
	if os.Getenv(memoryChild) != "" {
		if err := beMeasured(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// All filters together, and 100,000 sources with failures in state, as the
// kernel counts the memory of a process that does nothing else.
func TestMemory(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if raced {
		// The race detector keeps several times as much: measure without it.
		program = filepath.Join(t.TempDir(), "child")
		if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program, ".").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), memoryChild+"=1", "GOGC=", "GOMEMLIMIT=")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var filters, sources float64
	if _, err := fmt.Sscan(string(out), &filters, &sources); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	t.Logf("the most that was resident: %.1f MB with all filters, %.1f MB with 100,000 sources as well", filters, sources)
	if filters < 5 || sources < filters+5 {
		t.Errorf("that cannot be: %.1f and %.1f MB", filters, sources)
	}
	if filters > mostForFilters || sources > mostForSources {
		t.Errorf("%.1f MB with all filters, want %d; %.1f MB with 100,000 sources, want %d", filters, mostForFilters, sources, mostForSources)
	}
}

// beMeasured loads all filters, shows them all samples, fills a state, and prints
// how much was resident at most after each.
func beMeasured() error {
	var fs []*filter.Filter
	for _, e := range All() {
		options := map[string]string{}
		if len(e.Modes) > 0 {
			options["mode"] = "aggressive"
		}
		d, err := filter.Load(FS(), e.Name, options)
		if err != nil {
			return err
		}
		f, err := filter.Compile(d)
		if err != nil {
			return err
		}
		fs = append(fs, f)
	}
	run, err := filter.NewSet(fs...).NewRun(settings())
	if err != nil {
		return err
	}
	samples, _ := filepath.Glob("samples/*")
	found := 0
	for _, name := range samples {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(data) {
			_, text, _ := bytes.Cut(line, []byte("\t"))
			found += len(run.Line(text))
		}
	}
	if found < 100 {
		return fmt.Errorf("only %d failures in %d files of samples", found, len(samples))
	}
	if err := printPeak(); err != nil {
		return err
	}
	s := guard.New(guard.Rule{After: 5, Within: time.Hour, For: time.Hour})
	at := time.Unix(1_785_729_906, 0)
	for n := range 400_000 { // four of each
		i := n % 100_000
		a := netip.AddrFrom4([4]byte{byte(10 + i%200), byte(i >> 16), byte(i >> 8), byte(i)})
		line := fmt.Sprintf("Aug  3 04:05:06 host sshd[%d]: Failed password for user%d from %s port 40022 ssh2", 10000+i, i%5000, a)
		for _, h := range run.Line([]byte(line)) {
			if fs[h.Filter].Name() == "sshd" {
				s.Failure(guard.Event{Time: at, Source: h.Addr, Service: "sshd", User: h.User(), Line: h.Lines[0]}, at)
			}
		}
	}
	if s.Sources() != 100_000 {
		return fmt.Errorf("%d sources", s.Sources())
	}
	err = printPeak()
	runtime.KeepAlive(run)
	runtime.KeepAlive(s)
	return err
}

// printPeak prints VmHWM of this process in megabytes.
func printPeak() error {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(data), "\nVmHWM:")
	f := strings.Fields(rest)
	if len(f) < 2 || f[1] != "kB" {
		return fmt.Errorf("no VmHWM in /proc/self/status")
	}
	kb, err := strconv.Atoi(f[0])
	if err != nil {
		return err
	}
	fmt.Printf("%.1f\n", float64(kb)*1024/1e6)
	return nil
}
