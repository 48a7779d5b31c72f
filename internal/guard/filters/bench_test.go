//go:build unix

package filters

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"sekimori/internal/guard/filter"
)

// benchLog reads a log made by TestWriteBenchLogs of package filter.
func benchLog(b *testing.B, name string) []byte {
	dir := os.Getenv("SEKIMORI_BENCH_LOGS")
	if dir == "" {
		b.Skip("SEKIMORI_BENCH_LOGS names no directory with attack.log and benign.log")
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		b.Fatal(err)
	}
	return data
}

func allFilters(b *testing.B) *filter.Set {
	var fs []*filter.Filter
	for _, e := range All() {
		fs = append(fs, compile(b, e.Name, nil))
	}
	return filter.NewSet(fs...)
}

func benchLines(b *testing.B, set *filter.Set, log []byte) {
	run, err := set.NewRun(settings())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	lines, hits := 0, 0
	before := cpuTime(b)
	rest := log
	for b.Loop() {
		if len(rest) == 0 {
			rest = log
		}
		i := bytes.IndexByte(rest, '\n')
		hits += len(run.Line(rest[:i]))
		rest = rest[i+1:]
		lines++
	}
	b.ReportMetric(float64(lines)/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric(float64(lines)/(cpuTime(b)-before).Seconds(), "lines/cpu-s")
	b.ReportMetric(float64(hits)/float64(lines), "hits/line")
}

// cpuTime is what this process has used, the collector of garbage included: on
// a machine that does other things too, the figure to compare.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkAttackSSHD(b *testing.B) {
	benchLines(b, filter.NewSet(compile(b, "sshd", nil)), benchLog(b, "attack.log"))
}

func BenchmarkInstalledSSHD(b *testing.B) {
	dir := os.Getenv("SEKIMORI_FAIL2BAN")
	d, err := filter.Load(os.DirFS(dir), "sshd", nil)
	if err != nil {
		b.Skip(err)
	}
	f, err := filter.Compile(d)
	if err != nil {
		b.Fatal(err)
	}
	benchLines(b, filter.NewSet(f), benchLog(b, "attack.log"))
}

func BenchmarkAttackAll(b *testing.B) { benchLines(b, allFilters(b), benchLog(b, "attack.log")) }
func BenchmarkBenignAll(b *testing.B) { benchLines(b, allFilters(b), benchLog(b, "benign.log")) }
