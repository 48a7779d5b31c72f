package filter

import (
	"math/bits"
	"slices"
	"strings"
)

// A record is what is known about a failure, possibly from several lines of
// one session.
type record struct {
	values    []string // by field; empty if it has none
	given     uint64   // fields that have a value, though perhaps an empty one
	users     []string
	pending   bool
	lines     []string // that tell of failures
	lineCount int
	helping   []string // that do not
	helpCount int

	// What most records need, allocated with them.
	valueSpace [fixedFields + 4]string
	lineSpace  [2]string
	helpSpace  [2]string
	userSpace  [1]string
}

// maxFields is how many fields a filter can have.
const maxFields = 64

// newRecord returns a record, one that is not needed any more if there is one.
func (s *Session) newRecord(fields int) *record {
	if n := len(s.spare); n > 0 {
		r := s.spare[n-1]
		s.spare = s.spare[:n-1]
		r.clear()
		return r
	}
	r := &record{}
	if r.values = r.valueSpace[:]; fields > len(r.values) {
		r.values = make([]string, fields)
	}
	r.lines, r.users, r.helping = r.lineSpace[:0], r.userSpace[:0], r.helpSpace[:0]
	return r
}

// clear makes r what a new record is. Memory for its lists is kept.
func (r *record) clear() {
	for given := r.given; given != 0; given &= given - 1 {
		r.values[bits.TrailingZeros64(given)] = ""
	}
	clear(r.lines)
	clear(r.helping)
	r.lines, r.helping, r.users = r.lines[:0], r.helping[:0], r.users[:0]
	r.given, r.pending, r.lineCount, r.helpCount = 0, false, 0, 0
}

// maxSpare bounds how many records wait to be used again.
const maxSpare = 64

// retire gives a record back that nothing but a Match of the present line may
// refer to: it is used again from the next line on.
func (s *Session) retire(r *record) {
	if len(s.retired) < maxSpare {
		s.retired = append(s.retired, r)
	}
}

func (r *record) has(i int) bool { return r.given&(1<<i) != 0 }

func (r *record) set(i int, s string) {
	r.values[i] = s
	r.given |= 1 << i
}

func (r *record) unset(i int) {
	r.values[i] = ""
	r.given &^= 1 << i
}

// truthy reports whether a field has a value that is not empty.
func (r *record) truthy(i int) bool { return r.values[i] != "" }

// update takes over the fields that from has.
func (r *record) update(from *record) {
	for given := from.given; given != 0; given &= given - 1 {
		i := bits.TrailingZeros64(given)
		r.values[i] = from.values[i]
	}
	r.given |= from.given
}

func (r *record) clone() *record {
	c := *r
	c.values = slices.Clone(r.values)
	c.users = slices.Clone(r.users)
	c.lines = slices.Clone(r.lines)
	return &c
}

const (
	// maxEvidence bounds the lines that a record keeps.
	maxEvidence = 20
	// maxUsers bounds the user names that a record keeps.
	maxUsers = 50
)

func capLines(l []string) []string {
	if len(l) > maxEvidence {
		return slices.Clone(l[len(l)-maxEvidence:])
	}
	return l
}

func (r *record) addUser(u string) []string {
	if u != "" && !slices.Contains(r.users, u) && len(r.users) < maxUsers {
		r.users = append(r.users, u)
	}
	return r.users
}

// A merge fills one field from another: <F-ALT_x> if it is empty, <F-TUPLE_x>
// by putting both together.
type merge struct {
	from, to int
	tuple    bool
}

func applyMerges(r *record, p *pattern) {
	for _, m := range p.merges {
		from, to := r.values[m.from], r.values[m.to]
		switch {
		case m.tuple:
			r.set(m.to, joinTuple(to, from))
		case from != "" && to == "":
			r.set(m.to, from)
		}
	}
}

// An arena keeps copies of lines, many in one piece of memory.
type arena struct{ b strings.Builder }

// arenaSize is how large a piece is: a line that is kept for long keeps so much.
const arenaSize = 4 << 10

func (a *arena) keep(line []byte) string {
	if len(line) > arenaSize/4 {
		return string(line)
	}
	if a.b.Cap()-a.b.Len() < len(line) {
		a.b = strings.Builder{}
		a.b.Grow(arenaSize)
	}
	from := a.b.Len()
	a.b.Write(line)
	return a.b.String()[from:]
}
