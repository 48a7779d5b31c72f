package filter

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"sekimori/internal/guard/logdate"
	"sekimori/internal/guard/pyre"
)

// A Set is several filters for the same log. It finds the lines that matter to
// any of them in one pass: a line that has no literal of any pattern is done
// after a scan, whatever the number of patterns.
type Set struct {
	filters  []*Filter
	scanners []*scanner
	// targets says, by literal, what may match a line that has it.
	targets [][]target
	// single are the patterns, by filter, that need one literal only.
	single [][]uint64
	// always are the filters that have to see every line: a pattern without
	// literals, or patterns over several lines.
	always []int
}

// A target is a pattern of a filter of the set that needs a literal: as the
// first of its two kinds, or the second.
type target struct{ filter, pattern, which int32 }

// NewSet returns a Set of filters.
func NewSet(filters ...*Filter) *Set {
	s := &Set{filters: filters}
	ids := map[string]int{}
	var literals []string
	all := make([][][2]pyre.Literals, len(filters))
	users := map[string]int{} // filters that have a literal as their first
	for fi, f := range filters {
		all[fi] = f.needs()
		seen := map[string]bool{}
		for _, both := range all[fi] {
			for _, l := range both[0] {
				if !seen[l] {
					seen[l] = true
					users[l]++
				}
			}
		}
	}
	for fi := range filters {
		needs := all[fi]
		if needs == nil {
			s.always = append(s.always, fi)
			s.single = append(s.single, nil)
			continue
		}
		single := make([]uint64, len(needs)/64+1)
		for pi := range needs {
			// A second literal is worth its while where the first one is shared:
			// lines of one service then leave the filters of others alone.
			if needs[pi][1] == nil || !slices.ContainsFunc(needs[pi][0], func(l string) bool { return users[l] > 2 }) {
				needs[pi][1] = nil
				single[pi>>6] |= 1 << (pi & 63)
			}
		}
		s.single = append(s.single, single)
		for pi, both := range needs {
			for which, need := range both {
				for _, l := range need {
					id, ok := ids[l]
					if !ok {
						id = len(literals)
						ids[l] = id
						literals = append(literals, l)
						s.targets = append(s.targets, nil)
					}
					s.targets[id] = append(s.targets[id], target{int32(fi), int32(pi), int32(which)})
				}
			}
		}
	}
	s.scanners = newScanners(literals)
	return s
}

// needs returns, for each pattern, one or two sets of literals: a line must have
// one literal of each to match. It is nil if there is a pattern that may match
// any line.
func (f *Filter) needs() [][2]pyre.Literals {
	if f.def.MaxLines > 1 || slices.ContainsFunc(f.def.DatePatterns, unbounded) {
		return nil
	}
	var out [][2]pyre.Literals
	for _, p := range f.fail {
		sets := p.needs
		if f.pref != nil {
			sets = append(sets[:len(sets):len(sets)], f.pref.needs...)
		}
		if len(sets) == 0 {
			return nil
		}
		var both [2]pyre.Literals
		if both[0] = p.need(); both[0] == nil || f.pref != nil && f.pref.need() != nil && shortestOf(f.pref.need()) > shortestOf(both[0]) {
			// What every line of the filter must have tells more.
			both[0] = f.pref.need()
		}
		for _, s := range sets {
			if s.Telling() && !slices.Equal(s, both[0]) && (both[1] == nil || shortestOf(s) > shortestOf(both[1])) {
				both[1] = s
			}
		}
		out = append(out, both)
	}
	return out
}

func shortestOf(ls pyre.Literals) int {
	n := 1 << 30
	for _, l := range ls {
		n = min(n, len(l))
	}
	return n
}

// unbounded reports whether a date of this pattern may begin or end inside a
// word, so that removing it could bring a literal together.
func unbounded(datepattern string) bool {
	return strings.HasPrefix(datepattern, "{UNB}") || strings.Contains(datepattern, "**")
}

func (p *pattern) need() pyre.Literals {
	if len(p.needs) == 0 {
		return nil
	}
	return p.needs[0]
}

// Filters returns the filters of the set.
func (s *Set) Filters() []*Filter { return s.filters }

// Always returns the filters for which the literals are of no use: every line
// goes through their patterns.
func (s *Set) Always() []*Filter {
	var out []*Filter
	for _, i := range s.always {
		out = append(out, s.filters[i])
	}
	return out
}

// A Hit is a Match with the filter that found it.
type Hit struct {
	Filter int // index in the Set
	Match
}

// A Run reads one log with a Set. It is not for use by two goroutines at the
// same time.
type Run struct {
	set      *Set
	sessions []*Session
	masks    [][]uint64 // patterns to try, by filter
	second   [][]uint64 // patterns whose second literal is there, or not needed
	touched  []int32
	found    []int32
	out      []Hit
	lines    uint64
	// dates finds the date of each line, for all sessions; nil if each has its own.
	dates   *logdate.Detector
	machine *pyre.Machine
	date    foundDate
	// distrusted are sessions, by filter, of journal entries that are of somebody
	// else; refused is what they find.
	distrusted []*Session
	refused    []Hit
	undated    bool // the last line mattered to a filter and has no date
	long       bool // the last line was longer than MaxLine
}

// NewRun returns a Run over a log. What is set in settings holds for all filters.
func (s *Set) NewRun(settings Settings) (*Run, error) {
	r := &Run{set: s}
	if settings.Library == nil {
		settings.Library = &logdate.Library{}
	}
	machine := pyre.NewMachine()
	for _, f := range s.filters {
		session, err := f.NewSession(settings)
		if err != nil {
			return nil, err
		}
		session.m = machine // they run one after the other
		r.sessions = append(r.sessions, session)
		words := len(f.fail)/64 + 1
		r.masks = append(r.masks, make([]uint64, words))
		r.second = append(r.second, make([]uint64, words))
	}
	if err := r.shareDates(); err != nil {
		return nil, err
	}
	return r, nil
}

// shareDates has all lines looked at for their dates if all filters expect dates
// of the same forms, as those of one jail do: what a detector learns from a log
// it learns from every line then, as in fail2ban.
func (r *Run) shareDates() error {
	for _, f := range r.set.filters[min(1, len(r.set.filters)):] {
		if !slices.Equal(f.def.DatePatterns, r.set.filters[0].def.DatePatterns) {
			return nil
		}
	}
	if len(r.sessions) == 0 {
		return nil
	}
	first := r.sessions[0]
	if first.dates == nil {
		if err := first.detector(); err != nil {
			return Errors{{first.f.def.Pos["datepattern"], err.Error()}}
		}
	}
	r.dates, r.machine = first.dates, first.m
	for _, s := range r.sessions {
		s.dates, s.given = r.dates, &r.date
	}
	return nil
}

// Session returns the session of filter i.
func (r *Run) Session(i int) *Session { return r.sessions[i] }

// SetNow tells the run what time it is.
func (r *Run) SetNow(t time.Time) {
	for _, s := range r.sessions {
		s.SetNow(t)
	}
}

// Lines returns how many lines the run has read.
func (r *Run) Lines() uint64 { return r.lines }

// Line reads a line. The result is valid until the next call. A line without
// a match costs no allocation.
func (r *Run) Line(line []byte) []Hit {
	r.lines++
	r.undated = false
	text, long := trim(line)
	r.long = long
	if r.dates != nil {
		r.date.left = MaxEffort
		r.date.from, r.date.to, r.date.ok = r.dates.Find(r.machine, text, &r.date.left)
	}
	if !r.candidates(line) {
		return nil
	}
	for _, i := range r.touched {
		r.collect(i, r.sessions[i].line(line, r.masks[i]))
		r.undated = r.undated || r.sessions[i].noDate
		clear(r.masks[i])
	}
	for _, i := range r.set.always {
		r.collect(int32(i), r.sessions[i].line(line, nil))
		r.undated = r.undated || r.sessions[i].noDate
	}
	return r.out
}

// Undated reports whether the last line, given to Line, has a literal of a
// pattern, but no date that its filter understands: whatever stands for the date
// is in the way of the patterns.
func (r *Run) Undated() bool { return r.undated }

// Long reports whether the last line, or entry, was longer than MaxLine: it has
// matched nothing, whatever it says.
func (r *Run) Long() bool { return r.long }

// LineAt reads a line whose time is known.
func (r *Run) LineAt(line []byte, seconds float64) []Hit {
	r.lines++
	_, r.long = trim(line)
	if !r.candidates(line) {
		return nil
	}
	for _, i := range r.touched {
		r.collect(i, r.sessions[i].lineAt(line, seconds, r.masks[i]))
		clear(r.masks[i])
	}
	for _, i := range r.set.always {
		r.collect(int32(i), r.sessions[i].lineAt(line, seconds, nil))
	}
	return r.out
}

func (r *Run) collect(filter int32, ms []Match) {
	for i := range ms {
		r.out = append(r.out, Hit{int(filter), ms[i]})
	}
}

// candidates finds out which patterns are worth trying on line.
func (r *Run) candidates(line []byte) bool {
	if len(line) > MaxLine {
		line = line[:MaxLine]
	}
	r.found = r.found[:0]
	for _, sc := range r.set.scanners {
		r.found = sc.scan(line, r.found)
	}
	if len(r.found) == 0 && len(r.set.always) == 0 {
		return false
	}
	r.out, r.touched = r.out[:0], r.touched[:0]
	for _, id := range r.found {
		for _, t := range r.set.targets[id] {
			bit := uint64(1) << (t.pattern & 63)
			if t.which == 1 {
				r.second[t.filter][t.pattern>>6] |= bit
				continue
			}
			if !slices.Contains(r.touched, t.filter) {
				r.touched = append(r.touched, t.filter)
			}
			r.masks[t.filter][t.pattern>>6] |= bit
		}
	}
	kept := r.touched[:0]
	for _, i := range r.touched {
		any := uint64(0)
		for w := range r.masks[i] {
			r.masks[i][w] &= r.second[i][w] | r.set.single[i][w]
			any |= r.masks[i][w]
		}
		if gate := r.set.filters[i].gate; any != 0 && gate != "" && !bytes.Contains(line, []byte(gate)) {
			clear(r.masks[i])
			any = 0
		}
		if any != 0 {
			kept = append(kept, i)
		}
	}
	r.touched = kept
	for _, id := range r.found {
		for _, t := range r.set.targets[id] {
			if t.which == 1 {
				r.second[t.filter][t.pattern>>6] = 0
			}
		}
	}
	return len(r.touched) > 0 || len(r.set.always) > 0
}
