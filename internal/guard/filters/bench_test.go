//go:build unix

package filters

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"sekimori/internal/guard"
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

// BenchmarkAttackDecisions is the whole work: patterns, sessions, sources, bans.
func BenchmarkAttackDecisions(b *testing.B) {
	log := benchLog(b, "attack.log")
	run, err := filter.NewSet(compile(b, "sshd", nil)).NewRun(settings())
	if err != nil {
		b.Fatal(err)
	}
	state := guard.New(guard.Rule{After: 5, Within: 10 * time.Minute, For: time.Hour, Repeat: 2})
	before := cpuTime(b)
	b.ReportAllocs()
	lines, bans := 0, 0
	rest := log
	for b.Loop() {
		if len(rest) == 0 {
			rest = log
		}
		i := bytes.IndexByte(rest, '\n')
		hits := run.Line(rest[:i])
		for j := range hits {
			h := &hits[j]
			at := time.Unix(int64(h.Time), 0)
			if _, ok := state.Failure(guard.Event{Time: at, Source: h.Addr, Service: "sshd", User: h.User(), Line: h.Lines[len(h.Lines)-1]}, at); ok {
				bans++
			}
		}
		rest = rest[i+1:]
		lines++
	}
	b.ReportMetric(float64(lines)/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric(float64(lines)/(cpuTime(b)-before).Seconds(), "lines/cpu-s")
	b.ReportMetric(float64(bans)/float64(lines), "bans/line")
}

func BenchmarkAttackSSHD(b *testing.B) {
	benchLines(b, filter.NewSet(compile(b, "sshd", nil)), benchLog(b, "attack.log"))
}

func BenchmarkInstalledSSHD(b *testing.B) {
	d, err := filter.Load(os.DirFS(installed()), "sshd", nil)
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
