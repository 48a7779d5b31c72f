package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"sekimori/internal/guard/replay"
)

// bar shows how far a replay is, on a terminal.
type bar struct {
	to    io.Writer
	total int64 // bytes of all inputs; 0 if it is not known
	done  atomic.Int64
	start time.Time
	last  time.Time
	on    bool
}

func newBar(s streams, inputs []replay.Input) *bar {
	b := &bar{to: s.err, on: terminal(s.err), start: time.Now()}
	b.last = b.start
	for _, in := range inputs {
		st, err := os.Stat(in.Name)
		if err != nil || !st.Mode().IsRegular() {
			b.total = 0
			break
		}
		b.total += st.Size()
	}
	return b
}

// watch counts what is read of the inputs.
func (b *bar) watch(inputs []replay.Input) []replay.Input {
	for i := range inputs {
		open := inputs[i].Open
		inputs[i].Open = func() (io.ReadCloser, error) {
			r, err := open()
			if err != nil {
				return nil, err
			}
			return counted{r, &b.done}, nil
		}
	}
	return inputs
}

type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (b *bar) lines(n uint64) {
	now := time.Now()
	if !b.on || now.Sub(b.last) < 200*time.Millisecond {
		return
	}
	b.last = now
	passed := now.Sub(b.start)
	text := fmt.Sprintf("%.1f million lines, %.0f a second", float64(n)/1e6, float64(n)/passed.Seconds())
	if done := b.done.Load(); b.total > 0 && done > 0 {
		share := min(float64(done)/float64(b.total), 1)
		left := time.Duration(float64(passed) * (1 - share) / share).Round(time.Second)
		const width = 30
		full := int(share * width)
		text = fmt.Sprintf("[%s%s] %3.0f %%, %s, %s left", strings.Repeat("=", full), strings.Repeat(" ", width-full), share*100, text, left)
	}
	fmt.Fprintf(b.to, "\r\x1b[K%s", text)
}

func (b *bar) end() {
	if b.on && b.last != b.start {
		fmt.Fprint(b.to, "\r\x1b[K")
	}
}
