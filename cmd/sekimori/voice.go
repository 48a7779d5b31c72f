package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"sekimori/internal/report"
)

// patience is how long something may take before a line says what.
const patience = time.Second

// style is how text for stdout is laid out: in colour only on a terminal, and
// only if NO_COLOR (no-color.org) does not object. COLUMNS outdoes the terminal's
// own width, as environ(7) has it.
func (s streams) style() report.Style {
	st := report.Style{Colour: terminal(s.out) && s.env("NO_COLOR") == "" && s.env("TERM") != "dumb"}
	if f, ok := s.out.(*os.File); ok {
		st.Width = columns(f)
	}
	if n, err := strconv.ParseUint(s.env("COLUMNS"), 10, 15); err == nil && n > 0 {
		st.Width = int(n)
	}
	return st
}

// terminal reports whether a stream is a character device, as terminals are.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// while runs f, and says on stderr what it is at if that takes over a second.
// On a terminal the line is wiped out at the end.
func (s streams) while(what string, f func() error) error {
	p := &progress{to: s.err, wipe: terminal(s.err)}
	timer := time.AfterFunc(patience, func() { p.say("sekimori: " + what + " …") })
	err := f()
	timer.Stop()
	p.end()
	return err
}

// progress is one line about something slow.
type progress struct {
	to   io.Writer
	wipe bool

	mu    sync.Mutex
	said  bool // guarded by mu
	ended bool // guarded by mu: nothing may be said any more
}

func (p *progress) say(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.said = true
	if p.wipe {
		fmt.Fprint(p.to, line)
		return
	}
	fmt.Fprintln(p.to, line)
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.said && p.wipe {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
