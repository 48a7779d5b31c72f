package filter

import (
	"bytes"
	"testing"
)

func TestDbg2(t *testing.T) {
	set := installedFilter(t, "sshd")
	run, _ := set.NewRun(benchClock())
	log := attackLog(t, 20000)
	dbgRun(run, log)
}

func dbgRun(run *Run, log []byte) {
	for range 60 {
		rest := log
		for len(rest) > 0 {
			i := bytes.IndexByte(rest, '\n')
			run.Line(rest[:i])
			rest = rest[i+1:]
		}
	}
}
