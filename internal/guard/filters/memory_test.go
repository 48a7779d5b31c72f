package filters

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"sekimori/internal/guard"
	"sekimori/internal/guard/filter"
)

// All filters stay below 30 MB, with 100,000 sources in state below 60.
func TestMemory(t *testing.T) {
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapInuse) / 1e6
	}
	before := heap()
	var fs []*filter.Filter
	for _, e := range All() {
		mode := "normal"
		if len(e.Modes) > 0 {
			mode = "aggressive"
		}
		fs = append(fs, compile(t, e.Name, map[string]string{"mode": mode}))
	}
	run, err := filter.NewSet(fs...).NewRun(settings())
	if err != nil {
		t.Fatal(err)
	}
	run.Line([]byte("Aug  3 04:05:06 host sshd[1]: Failed password for root from 192.0.2.1 port 22 ssh2"))
	loaded := heap() - before
	s := guard.New(guard.Rule{After: 5, Within: time.Hour, For: time.Hour})
	at := time.Unix(1_785_729_906, 0)
	for i := range 100_000 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		for range 2 {
			s.Failure(guard.Event{Time: at, Source: netip.PrefixFrom(a, 32), User: fmt.Sprint("user", i%5000), Line: fmt.Sprintf("Aug  3 04:05:06 host sshd[%d]: Failed password for root from %s port 40022 ssh2", 10000+i, a)}, at)
		}
	}
	full := heap() - before
	t.Logf("%d filters: %.1f MB; with %d sources: %.1f MB", len(fs), loaded, s.Sources(), full)
	if loaded > 30 || full > 60 {
		t.Errorf("%.1f MB for the filters, %.1f MB with 100,000 sources", loaded, full)
	}
	runtime.KeepAlive(run)
	runtime.KeepAlive(s)
}
