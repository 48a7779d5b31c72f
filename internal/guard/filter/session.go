package filter

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"sekimori/internal/guard/logdate"
	"sekimori/internal/guard/pyre"
)

const (
	// MaxLine is how long a line may be, in bytes, without its end. Of a longer
	// one, nobody knows what a pattern would have found in the rest: another
	// address, or that it is not at its end. It matches nothing and is counted.
	MaxLine = 8 << 10
	// MaxEffort is what all patterns of one filter together may spend on one
	// line, in units of pyre: one and a half to three milliseconds.
	MaxEffort = 120_000
	// sessionsKept is how many sessions (<F-MLFID>) are remembered, and for how
	// many seconds: as in fail2ban.
	sessionsKept    = 100
	sessionLifetime = 300
)

// Settings say how a Session reads lines.
type Settings struct {
	Clock logdate.Clock
	// Year is the last one that a date may be of, or a few years before; that
	// of Clock.Now if it is 0.
	Year int
	// Library, if set, saves compiling the templates of dates again.
	Library *logdate.Library
	// All tries every pattern on a line and reports each that matches, and
	// failures that are still pending, for trying a filter. Otherwise the first
	// pattern that matches decides.
	All bool
}

// A Match is a failure that a line, or several, told of.
type Match struct {
	Pattern int     // which failregex, from 0
	ID      string  // who, as fail2ban names it: an address if there is one
	Time    float64 // seconds since 1970; NaN never
	// Addr is the address to blame. It is not valid if the log had a name
	// instead (names are not looked up) or an identifier of another kind.
	Addr netip.Prefix
	// Pending is set if nobody is known yet, NoFailure if the line only helps to
	// understand others; these are reported only with Settings.All.
	Pending, NoFailure bool
	// Dated is unset if the line had no date of its own.
	Dated    bool
	Attempts int      // how many lines tell of it
	Lines    []string // these lines, without their dates
	record   *record
	names    []string
}

// Field returns what a group of the pattern captured, by the name that
// fail2ban gives it: "user" for <F-USER>.
func (m *Match) Field(name string) (string, bool) {
	i := slices.Index(m.names, name)
	if i < 0 || !m.record.has(i) {
		return "", false
	}
	return m.record.values[i], true
}

// Fields returns the names of the fields that have a value.
func (m *Match) Fields() []string {
	var out []string
	for i, n := range m.names {
		if m.record.has(i) {
			out = append(out, n)
		}
	}
	return out
}

// User returns the user name that was tried, if the line has one.
func (m *Match) User() string { return m.record.values[fieldUser] }

// Users returns all the user names that were tried in the same session.
func (m *Match) Users() []string { return m.record.users }

// maxTimes bounds what one line can say of how often it happened.
const maxTimes = 1000

// Times returns how many failures the line stands for: what <F-TIMES> captured,
// as of "message repeated 5 times", or 1.
func (m *Match) Times() int {
	v, ok := m.Field("times")
	if !ok {
		return 1
	}
	switch n, err := strconv.Atoi(v); {
	case errors.Is(err, strconv.ErrRange):
		return maxTimes
	case err != nil:
		return 1
	default:
		return min(max(n, 1), maxTimes)
	}
}

// A Counts says what a Session has seen.
type Counts struct {
	Lines     uint64 // given to it; of a Run, those that had a literal of its filter
	Matched   uint64
	Exhausted uint64 // for which the effort did not suffice: it is not known whether they match
	Undated   uint64 // that matched without a date of their own
	Long      uint64 // longer than MaxLine: it is not known whether they match
}

// A Session runs a Filter over the lines of one log, in their order. It is not
// for use by two goroutines at the same time.
type Session struct {
	f        *Filter
	set      Settings
	m        *pyre.Machine
	dates    *logdate.Detector // nil until the first line that needs one
	given    *foundDate        // of the present line, if the run has looked for it
	sessions cache
	counts   Counts

	buf       []byte // the line without its date, ending in a newline
	pending   []tuple
	out       []Match
	budget    int
	spent     []uint64   // by pattern
	undecided bool       // the effort did not suffice for this line
	prefAt    [][2]int32 // groups of prefregex in buf
	line1     [1]string  // the line, as a list
	evidence  arena
	spare     []*record // to be used again
	retired   []*record // likewise, once the matches of this line are forgotten
	done      bool      // nothing more is to be tried on this line
	noDate    bool      // this line has no date, or one that cannot be
	// lastDate is the time of the last line that had one.
	lastDate float64
	lastText string
	hasLast  bool
}

// A tuple is a line in three parts: before its date, the date, after it.
type tuple struct{ pre, date, post string }

func (t tuple) text() string { return t.pre + t.post }

// NewSession returns a Session. The error is that of a datepattern.
func (f *Filter) NewSession(s Settings) (*Session, error) {
	if s.Year == 0 {
		s.Year = s.Clock.Now.In(s.Clock.Local).Year()
	}
	if s.Library == nil {
		s.Library = &logdate.Library{}
	}
	out := &Session{f: f, set: s, m: pyre.NewMachine(), spent: make([]uint64, 1+len(f.fail)+len(f.ignore))}
	if logdate.Composed(f.def.DatePatterns) {
		return out, nil
	}
	if err := out.detector(); err != nil {
		return nil, Errors{{f.def.Pos["datepattern"], err.Error()}}
	}
	return out, nil
}

// detector makes the detector of dates. Of many filters that read a log, most
// never meet a line for which they need theirs.
func (s *Session) detector() (err error) {
	s.dates, err = logdate.New(s.f.def.DatePatterns, logdate.Options{Year: s.set.Year, Library: s.set.Library})
	return err
}

// Effort returns what the last line took, in units of package pyre: MaxEffort at
// most, and what the steps took that went beyond.
func (s *Session) Effort() int { return MaxEffort - s.budget }

// Counts returns what the session has seen so far.
func (s *Session) Counts() Counts { return s.counts }

// SetNow tells the session what time it is.
func (s *Session) SetNow(t time.Time) { s.set.Clock.Now = t }

// Line reads a line that has its date in it. The result is valid until the
// next call.
func (s *Session) Line(line []byte) []Match { return s.line(line, nil) }

func (s *Session) line(line []byte, only []uint64) []Match {
	line, long := s.begin(line)
	if long {
		s.skip()
		return nil
	}
	from, to, ok := 0, 0, false
	switch {
	case s.given != nil:
		from, to, ok, s.budget = s.given.from, s.given.to, s.given.ok, s.given.left
	case s.dates != nil || s.detector() == nil:
		from, to, ok = s.dates.Find(s.m, line, &s.budget)
	}
	s.noDate = !ok
	now := float64(s.set.Clock.Now.Unix())
	t := stamp{}
	switch {
	case !ok:
		from, to = 0, 0
		t.lastKnown(s, now)
	case from == to:
		if s.hasLast && s.lastDate > now-60 {
			from, to, t.sec, t.text = 0, 0, s.lastDate, s.lastText
		} else {
			t.sec = now
		}
		t.dated = true
	default:
		t.lazy = true
	}
	s.cut(line, from, to)
	return s.find(line, from, to, t, only)
}

// LineAt reads a line whose time is known, as from the journal.
func (s *Session) LineAt(line []byte, seconds float64) []Match {
	return s.lineAt(line, seconds, nil)
}

func (s *Session) lineAt(line []byte, seconds float64, only []uint64) []Match {
	line, long := s.begin(line)
	if long {
		s.skip()
		return nil
	}
	s.lastDate, s.hasLast = seconds, true
	s.cut(line, 0, 0)
	return s.find(line, 0, 0, stamp{sec: seconds, dated: true}, only)
}

// skip passes over a line of which nobody can say whether it matches: patterns
// that span lines do not reach over it.
func (s *Session) skip() {
	s.noDate = false
	s.pending = s.pending[:0]
}

// begin counts the line and takes off its end; long tells if it is too long.
func (s *Session) begin(line []byte) (trimmed []byte, long bool) {
	s.counts.Lines++
	s.out, s.budget, s.undecided = s.out[:0], MaxEffort, false
	if len(s.retired) > 0 {
		if len(s.spare) < maxSpare {
			s.spare = append(s.spare, s.retired...)
		}
		clear(s.retired)
		s.retired = s.retired[:0]
	}
	line, long = trim(line)
	if long {
		s.counts.Long++
	}
	return line, long
}

// trim takes off the end of a line, and what is beyond MaxLine; long tells if
// there is such.
func trim(line []byte) (trimmed []byte, long bool) {
	for n := len(line); n > 0 && (line[n-1] == '\n' || line[n-1] == '\r'); n-- {
		line = line[:n-1]
	}
	if len(line) > MaxLine {
		return line[:MaxLine], true
	}
	return line, false
}

// A foundDate is where a line has its date, if it has one, and what is left of
// the effort for the line.
type foundDate struct {
	from, to int
	ok       bool
	left     int
}

// A stamp is the time of a line; lazy if its date is found but not read yet.
type stamp struct {
	sec   float64
	text  string
	dated bool
	lazy  bool
}

// lastKnown takes the time of the line before, if it is recent, or now.
func (t *stamp) lastKnown(s *Session, now float64) {
	t.dated, t.lazy, t.sec = false, false, now
	if s.hasLast && s.lastDate > now-60 {
		t.sec, t.text = s.lastDate, s.lastText
	}
}

// cut fills buf with the line without the bytes from-to.
func (s *Session) cut(line []byte, from, to int) {
	s.buf = append(s.buf[:0], line[:from]...)
	s.buf = append(s.buf, line[to:]...)
	s.buf = append(s.buf, '\n')
}

// read reads the date that was found, once it is known to matter. A line whose
// date cannot be does not count: ok is false.
func (s *Session) read(line []byte, from, to int, t *stamp) (ok bool) {
	if !t.lazy {
		return true
	}
	sec, ok := s.dates.Read(s.set.Clock)
	if !ok {
		s.noDate = true
		return false
	}
	t.lazy, t.sec, t.dated = false, sec, true
	s.lastDate, s.hasLast = sec, true
	if s.f.def.MaxLines > 1 {
		s.lastText = string(line[from:to])
	}
	return true
}

// Spent returns the effort that each pattern has taken so far, in the order of
// [Filter.Describe].
func (s *Session) Spent() []uint64 {
	if s.f.pref == nil {
		return s.spent[1:]
	}
	return s.spent
}

// search runs a pattern, counting what the budget does not allow to decide.
func (s *Session) search(p *pattern, text []byte) bool {
	before := s.budget
	answer := s.m.Search(p.re, text, &s.budget)
	s.spent[p.place] += uint64(before - s.budget)
	switch answer {
	case pyre.Matched:
		return true
	case pyre.Exhausted:
		s.exhausted()
	}
	return false
}

func (s *Session) exhausted() {
	if !s.undecided {
		s.counts.Exhausted++
		s.undecided = true
	}
}

// addressOf says who a record blames, as fail2ban does: the address if there
// is one, or a name, or the identifier.
func addressOf(r *record) (id string, addr netip.Prefix, ok bool) {
	switch v := r.values; {
	case r.has(fieldIP4):
		id = v[fieldIP4]
		addr = parseAddress(id, v[fieldCIDR])
	case r.has(fieldIP6):
		id = v[fieldIP6]
		addr = parseAddress(id, v[fieldCIDR])
	case r.has(fieldDNS):
		id = v[fieldDNS]
		addr = parseAddress(id, "")
	case r.has(fieldID):
		id = v[fieldID]
		return id, parseAddress(id, ""), true
	default:
		return "", netip.Prefix{}, false
	}
	if addr.IsValid() && !(addr.Addr().Is4() && addr.IsSingleIP()) {
		if id = addr.Addr().String(); !addr.IsSingleIP() {
			id = addr.String()
		}
	}
	if r.has(fieldID) {
		id = r.values[fieldID]
	}
	return id, addr, true
}

// parseAddress reads an address and, if it is given, the length of its prefix.
func parseAddress(s, cidr string) netip.Prefix {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}
	}
	a = a.Unmap()
	bits := a.BitLen()
	if cidr != "" {
		if n, err := strconv.Atoi(cidr); err == nil && n <= bits {
			bits = n
		}
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
