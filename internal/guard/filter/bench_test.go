package filter

import (
	"bytes"
	"os"
	"testing"
	"time"

	"sekimori/internal/guard/logdate"
)

func benchClock() Settings {
	return Settings{Clock: logdate.Clock{Now: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC), Local: time.UTC}}
}

func benchLines(b *testing.B, set *Set, log []byte) {
	run, err := set.NewRun(benchClock())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	lines, hits := 0, 0
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
	b.ReportMetric(float64(hits)/float64(lines), "hits/line")
}

func installedFilter(b testing.TB, names ...string) *Set {
	var fs []*Filter
	for _, n := range names {
		d, err := Load(os.DirFS(installed(b)), n, nil)
		if err != nil {
			b.Fatal(err)
		}
		f, err := Compile(d)
		if err != nil {
			b.Fatal(err)
		}
		fs = append(fs, f)
	}
	return NewSet(fs...)
}

func BenchmarkInstalledSSHDAttack(b *testing.B) {
	benchLines(b, installedFilter(b, "sshd"), attackLog(b, 100_000))
}

func BenchmarkInstalledSSHDBenign(b *testing.B) {
	benchLines(b, installedFilter(b, "sshd"), benignLog(b, 100_000))
}
