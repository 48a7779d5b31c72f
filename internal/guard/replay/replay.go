// Package replay runs recorded logs through filters and the guard at full speed
// and says what would have happened: who would have been refused, when, for
// how long and why. It touches nothing.
//
// Several logs are read side by side, in the order of their times: rotations of
// one log (auth.log, auth.log.1, auth.log.2.gz) one after the other, different
// logs merged failure by failure.
package replay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sekimori/internal/guard"
	"sekimori/internal/guard/filter"
	"sekimori/internal/guard/logdate"
	"sekimori/internal/guard/source"
)

// A Jail is a filter with the rule that its failures are judged by.
type Jail struct {
	Name   string
	Filter *filter.Filter
	Rule   guard.Rule
}

// An Input is one log file.
type Input struct {
	Name string
	// Newest is about when the log ends: dates without a year are not much
	// later. The time of the last change of a file is right.
	Newest time.Time
	Open   func() (io.ReadCloser, error)
}

// Options say how to replay.
type Options struct {
	Jails []Jail
	Local *time.Location
	Since time.Time // failures before do not count; zero: all do
	// Progress, if set, is told now and then how many lines have been read.
	Progress func(lines uint64)
}

// A Result is what a replay has found.
type Result struct {
	Decisions []guard.Decision
	Sources   []Source // those who failed most first
	Users     []User   // those tried most first
	Files     []File
	First     time.Time // of the failures
	Last      time.Time
	Lines     uint64
	Failures  uint64
	Exhausted uint64 // lines for which the effort did not suffice
	Undated   uint64 // failures without a date of their own
	Unnamed   uint64 // failures with a name or identifier instead of an address
	Others    uint64 // failures of sources beyond those that are listed
	Future    uint64 // failures that are dated more than a day after their log was written
	Early     uint64 // failures before Options.Since; the last of them was at EarlyLast
	EarlyLast time.Time
	// Forged tells of journal entries that look like failures of a service, but
	// were written by somebody else.
	Forged []Forged
}

// A Source is one address, or network, that failed.
type Source struct {
	Prefix   netip.Prefix
	Failures int
	First    time.Time
	Last     time.Time
	Services []string
	Users    int // different names tried, up to 100
	Refused  int // decisions
}

// A User is a name that was tried.
type User struct {
	Name     string
	Failures int
	Sources  int // different ones, up to 100
}

// maxTracked bounds how many sources and names a Result counts.
const maxTracked = 200_000

// An event is a failure of one stream.
type event struct {
	jail int
	time float64
	addr netip.Prefix
	id   string
	user string
	line string
	// times is how many failures the line stands for.
	times int
}

// A stream is one log with its rotations.
type stream struct {
	o       *Options
	inputs  []Input
	run     *filter.Run
	set     *filter.Set
	lib     *logdate.Library
	reader  *source.Reader
	file    io.Closer
	current *File
	files   []*File
	queue   []event
	taken   int // of queue
	total   *uint64
	result  *Result
	newest  float64
	forged  []*Forged // by jail
	keep    []string  // fields of a journal that matter
}

// Run replays inputs. A log that cannot be read, or not to its end, is no error,
// but told of in Files; what was read of it counts.
func Run(ctx context.Context, inputs []Input, o Options) (*Result, error) {
	if o.Local == nil {
		o.Local = time.UTC
	}
	res := &Result{}
	t := newTally(res, o.Jails)
	states := make([]*guard.State, len(o.Jails))
	var filters []*filter.Filter
	for i, j := range o.Jails {
		states[i] = guard.New(j.Rule)
		filters = append(filters, j.Filter)
	}
	set := filter.NewSet(filters...)
	keep := KeptFields(filters...)
	forged := make([]*Forged, len(o.Jails))
	var streams []*stream
	for _, g := range groups(inputs) {
		streams = append(streams, &stream{
			o: &o, inputs: g, set: set, lib: &logdate.Library{}, total: &res.Lines, result: res, forged: forged, keep: keep,
		})
	}
	for {
		s, err := earliest(ctx, streams)
		if err != nil {
			return nil, err
		}
		if s == nil {
			break
		}
		e := &s.queue[s.taken]
		s.taken++
		t.count(e, &o, states[e.jail])
	}
	for _, s := range streams {
		for _, f := range s.files {
			res.Files = append(res.Files, *f)
		}
		for i := range o.Jails {
			if s.run != nil {
				res.Exhausted += s.run.Session(i).Counts().Exhausted
			}
		}
	}
	for _, f := range forged {
		if f != nil {
			res.Forged = append(res.Forged, *f)
		}
	}
	t.finish()
	return res, nil
}

// earliest returns the stream whose next failure is the first; nil at the end.
func earliest(ctx context.Context, streams []*stream) (*stream, error) {
	var best *stream
	for _, s := range streams {
		if s.taken == len(s.queue) {
			if err := s.fill(ctx); err != nil {
				return nil, err
			}
		}
		if s.taken < len(s.queue) && (best == nil || s.queue[s.taken].time < best.queue[best.taken].time) {
			best = s
		}
	}
	return best, nil
}

// fill reads until there is a failure.
func (s *stream) fill(ctx context.Context) error {
	for s.queue, s.taken = s.queue[:0], 0; len(s.queue) == 0; {
		if s.reader == nil {
			if len(s.inputs) == 0 {
				return nil
			}
			if err := s.open(); err != nil {
				return err
			}
			if s.reader == nil {
				continue
			}
		}
		l, err := s.reader.Next()
		if err != nil {
			s.end(err)
			continue
		}
		s.current.Lines++
		if *s.total++; *s.total&0x3fff == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if s.o.Progress != nil {
				s.o.Progress(*s.total)
			}
		}
		s.line(l)
	}
	return nil
}

func (s *stream) line(l source.Line) {
	var hits []filter.Hit
	switch {
	case l.Journal:
		var refused []filter.Hit
		seconds := l.Seconds
		if !l.Timed {
			seconds = s.newest
		}
		hits, refused = s.run.Entry(l.Text, seconds, l.Has)
		for i := range refused {
			s.refuse(refused[i].Filter, &l)
		}
	default:
		if hits = s.run.Line(l.Text); s.run.Undated() && len(hits) == 0 && Dated(l.Text) {
			s.noDate(l.Text)
		}
	}
	if s.run.Long() {
		s.long()
	}
	for i := range hits {
		h := &hits[i]
		if h.Time > s.newest+24*60*60 {
			s.result.Future++
		}
		if !h.Dated || l.Journal && !l.Timed {
			s.result.Undated++
		}
		s.queue = append(s.queue, event{
			jail: h.Filter, time: h.Time, addr: h.Addr, id: h.ID, user: h.User(), line: lastLine(h.Lines, l.Text), times: h.Times(),
		})
	}
}

func lastLine(lines []string, text []byte) string {
	if len(lines) == 0 {
		return string(text)
	}
	return lines[len(lines)-1]
}

func (s *stream) open() error {
	in := s.inputs[0]
	s.inputs = s.inputs[1:]
	f := &File{Name: in.Name}
	s.files, s.current = append(s.files, f), f
	r, err := in.Open()
	if err != nil {
		f.Fault = err.Error()
		return nil
	}
	lines, err := source.NewReader(r)
	if err != nil {
		r.Close()
		f.Fault = err.Error()
		return nil
	}
	lines.Keep(s.keep...)
	s.reader, s.file, f.Format = lines, r, lines.Format()
	now := in.Newest
	s.newest = float64(now.Unix())
	if s.run == nil {
		s.run, err = s.set.NewRun(filter.Settings{
			Clock: logdate.Clock{Now: now, Local: s.o.Local}, Year: now.Year(), Library: s.lib,
		})
		return err
	}
	s.run.SetNow(now)
	return nil
}

func (s *stream) end(err error) {
	if !errors.Is(err, io.EOF) {
		s.current.Fault = err.Error()
	}
	s.current.Flaws = s.reader.Flaws()
	s.reader.Close()
	s.file.Close()
	s.reader = nil
}

// groups puts rotations of one log together, the oldest first. Which is older is
// told by how names of rotations end: log, log.1, log.2.gz or log-20260801.
func groups(inputs []Input) [][]Input {
	var order []string
	by := map[string][]Input{}
	for _, in := range inputs {
		base, _ := rotation(in.Name)
		if by[base] == nil {
			order = append(order, base)
		}
		by[base] = append(by[base], in)
	}
	var out [][]Input
	for _, base := range order {
		g := by[base]
		slices.SortStableFunc(g, func(a, b Input) int {
			_, x := rotation(a.Name)
			_, y := rotation(b.Name)
			return strings.Compare(x, y)
		})
		out = append(out, g)
	}
	return out
}

// rotation splits a name into that of the log and a key that sorts by age, the
// oldest first.
func rotation(name string) (base, age string) {
	for _, ext := range []string{".gz", ".xz", ".zst"} {
		name = strings.TrimSuffix(name, ext)
	}
	i := len(name)
	for i > 0 && name[i-1] >= '0' && name[i-1] <= '9' {
		i--
	}
	digits := name[i:]
	switch {
	case digits == "" || i == 0:
	case name[i-1] == '.' && len(digits) < 6:
		return name[:i-1], fmt.Sprintf("1 %08d", 99_999_999-atoi(digits))
	case (name[i-1] == '-' || name[i-1] == '.') && len(digits) >= 8:
		return name[:i-1], "0 " + digits
	}
	return name, "2"
}

func atoi(s string) (n int) {
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// Network returns the network by which neighbours are shown together: /24 and /48.
func Network(p netip.Prefix) netip.Prefix {
	bits := 24
	if p.Addr().Is6() {
		bits = 48
	}
	n, err := p.Addr().Prefix(min(bits, p.Bits()))
	if err != nil {
		return p
	}
	return n
}

// Networks adds up sources by their networks, those who failed most first. Users
// is the number of sources.
func (r *Result) Networks() []Source {
	order := make([]int32, len(r.Sources))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, j int32) int { return comparePrefix(r.Sources[i].Prefix, r.Sources[j].Prefix) })
	count := 0
	for i, n := range order {
		if i == 0 || Network(r.Sources[order[i-1]].Prefix) != Network(r.Sources[n].Prefix) {
			count++
		}
	}
	out := make([]Source, 0, count)
	for _, i := range order {
		s := &r.Sources[i]
		if len(out) == 0 || out[len(out)-1].Prefix != Network(s.Prefix) {
			out = append(out, Source{Prefix: Network(s.Prefix), First: s.First, Last: s.Last})
		}
		n := &out[len(out)-1]
		n.Failures += s.Failures
		n.Refused += s.Refused
		n.Users++
		if s.First.Before(n.First) {
			n.First = s.First
		}
		if s.Last.After(n.Last) {
			n.Last = s.Last
		}
	}
	sortSources(out)
	return out
}

func sortSources(s []Source) {
	slices.SortFunc(s, func(a, b Source) int {
		if a.Failures != b.Failures {
			return b.Failures - a.Failures
		}
		if c := a.Prefix.Addr().Compare(b.Prefix.Addr()); c != 0 {
			return c
		}
		return a.Prefix.Bits() - b.Prefix.Bits()
	})
}

// clean makes a line of a log fit to be shown: no control characters, no bytes
// that are not UTF-8.
func clean(s string) string {
	if plain(s) {
		return s
	}
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f || r == 0xfffd || r >= 0x80 && r < 0xa0 }) {
		return s
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < ' ' && c != '\t' || c >= 0x7f {
			fmt.Fprintf(&b, "\\x%02x", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// plain reports whether s is nothing but printable ASCII.
func plain(s string) bool {
	for i := range len(s) {
		if s[i]-' ' >= 0x7f-' ' {
			return false
		}
	}
	return true
}

// Memory returns a Input of a log that is in memory.
func Memory(name string, data []byte, newest time.Time) Input {
	return Input{Name: name, Newest: newest, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}}
}

// comparePrefix sorts by address, of the same one the widest network first.
func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits())
}
