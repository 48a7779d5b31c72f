package guard

import (
	"fmt"
	"math"
	"net/netip"
	"time"
)

// An Event is a failure, as a log told of it.
type Event struct {
	Time    time.Time // when it happened, as the log says
	Source  netip.Prefix
	Service string // what told: the name of a jail
	User    string // the name that was tried, if it is known
	Line    string // evidence
	Count   int    // how many failures it stands for; 0 counts as 1
}

// A Decision is what a failure led to.
type Decision struct {
	Time     time.Time
	Prefix   netip.Prefix // what is refused
	Until    time.Time    // zero if it does not end
	For      time.Duration
	Service  string
	Failures int           // that were counted
	Span     time.Duration // in which they happened
	Earlier  int           // bans of the same source that are held against it
	Users    []string      // the names it tried, the last ones
	Evidence []string      // the lines that told, the last ones
	// Refused is what an operator wants: traffic is to be refused. Otherwise
	// Protected says which prefix forbids it.
	Refused   bool
	Protected netip.Prefix
	Reason    string
}

// A Counts says what a State has seen.
type Counts struct {
	Failures  uint64 // given to Failure
	Stale     uint64 // too old to count
	Whilst    uint64 // of sources that were refused already
	Decisions uint64
	Forgotten uint64 // sources that made room for others
}

// A State is what is known of all sources. It is not for use by two goroutines
// at the same time.
type State struct {
	rule    Rule
	sources table[source]
	bans    table[ban]
	times   times
	diary   diary
	counts  Counts
	tried   bool // the last failure filled its source
	// nextService is when fail2ban would tidy up next (Rule.Estimate).
	nextService int64
}

// A source is what is remembered of one. Times are seconds since 1970.
type source struct {
	told    uint64 // the last entry about it in the diary; 0 for none
	window  window // the last failures, at most After
	first   uint32 // Rule.Estimate: where counting begins,
	last    uint32 // when the newest failure was,
	retry   int32  // and how many there are, or would be
	refusal uint32 // when it was last said that the source is protected
}

// A ban is what is remembered of one.
type ban struct {
	until   int64
	forgive int64
	count   int32
}

// never is later than all times.
const never = 1 << 62

// New returns a State without memories.
func New(r Rule) *State {
	r = r.withDefaults()
	return &State{rule: r, sources: newTable[source](r.MaxSources), bans: newTable[ban](r.MaxSources), diary: newDiary(r.EvidenceSize)}
}

// Rule returns the rule of the state, with its defaults.
func (s *State) Rule() Rule { return s.rule }

// Counts returns what the state has seen.
func (s *State) Counts() Counts { return s.counts }

// Sources returns how many sources are remembered now.
func (s *State) Sources() int { return s.sources.size() }

// widest4 and widest6 bound what one line of a log can have refused: some logs
// tell of networks.
const (
	widest4 = 24
	widest6 = 48
)

// normal returns the prefix by which a source is counted.
func normal(p netip.Prefix) netip.Prefix {
	a := p.Addr().Unmap()
	bits := p.Bits()
	if p.Addr().Is4In6() {
		bits = max(bits-96, 0)
	}
	if a.Is6() {
		bits = max(min(bits, ip6Bits), widest6)
	} else {
		bits = max(bits, widest4)
	}
	out, err := a.Prefix(bits)
	if err != nil {
		return p
	}
	return out
}

// Failure tells the state of a failure. The time is now, or in a replay that of
// the event. It reports whether there is a decision.
func (s *State) Failure(e Event, now time.Time) (Decision, bool) {
	s.counts.Failures++
	s.tried = false
	key := normal(e.Source)
	if !key.IsValid() {
		return Decision{}, false
	}
	at := min(max(e.Time.Unix(), 0), math.MaxUint32)
	if limit := now.Unix() + 60; at > limit {
		at = limit // a date in the future: as if it just happened
	}
	b, banned := s.bans.get(key)
	if banned && at <= b.until && !s.rule.Estimate {
		s.counts.Whilst++
		return Decision{}, false
	}
	src := s.sources.touch(key, s.forget)
	full := false
	if s.rule.Estimate {
		full = s.estimate(src, at, max(e.Count, 1))
	} else {
		full = s.count(src, at, max(e.Count, 1))
	}
	s.remember(src, &e)
	if s.tried = full; !full {
		return Decision{}, false
	}
	d := s.decide(key, src, &e, at)
	if s.rule.Estimate && banned && at <= b.until {
		// fail2ban prolongs a ban that is deserved again.
		s.counts.Whilst++
		s.remove(key, src)
		old := s.bans.touch(key, forgetBan)
		old.until = max(old.until, add(at, s.rule.length(0)))
		return Decision{}, false
	}
	if !d.Refused {
		if src.refusal != 0 && at-int64(src.refusal) < int64(time.Hour/time.Second) {
			return Decision{}, false
		}
		src.refusal = uint32(at)
		src.window.n = 0
		return d, true
	}
	s.remove(key, src)
	s.counts.Decisions++
	return d, true
}

// count adds a failure to the window that ends with the newest one.
func (s *State) count(src *source, at int64, n int) bool {
	within := int64(s.rule.Within / time.Second)
	w := &src.window
	if ts := s.times.of(*w); len(ts) > 0 && at <= int64(ts[len(ts)-1])-within {
		s.counts.Stale++
		return false
	}
	for range min(n, s.rule.After) {
		if int(w.n) == s.rule.After {
			if at < int64(s.times.of(*w)[0]) {
				break
			}
			s.times.drop(w, 1)
		}
		s.times.insert(w, uint32(at))
	}
	ts := s.times.of(*w)
	old := int64(ts[len(ts)-1]) - within
	keep := 0
	for keep < len(ts) && int64(ts[keep]) <= old {
		keep++
	}
	s.times.drop(w, keep)
	return int(w.n) >= s.rule.After
}

// forget gives back what is kept elsewhere for a source.
func (s *State) forget(src *source) { s.times.release(&src.window) }

func forgetBan(*ban) {}

func (s *State) remove(p netip.Prefix, src *source) {
	s.forget(src)
	s.sources.remove(p)
}

// estimate counts as fail2ban does: a window that has become too long is
// shortened, and the number of failures in it scaled down.
func (s *State) estimate(src *source, at int64, n int) bool {
	within := int64(s.rule.Within / time.Second)
	first, last := int64(src.first), int64(src.last)
	if src.retry == 0 {
		first, last, src.retry = at, at, int32(min(n, 1<<20))
	} else {
		if at > last {
			if first < at-within {
				src.retry = int32(roundEven(float64(src.retry) / float64(at-first) * float64(within)))
				first = at - within
			}
			last = at
		}
		src.retry++
	}
	src.first, src.last = uint32(max(first, 0)), uint32(last)
	return int(src.retry) >= s.rule.After
}

// roundEven rounds as Python does: halves to the even number.
func roundEven(f float64) int {
	n := int(f)
	switch r := f - float64(n); {
	case r > 0.5 || r == 0.5 && n%2 == 1:
		n++
	}
	return n
}

// Tried reports whether the last failure was one too many, whether it led to a
// decision or not. fail2ban looks for something to tidy up then.
func (s *State) Tried() bool { return s.tried }

// Service tidies up as fail2ban does every five seconds: sources whose last
// failure is older than Within are forgotten. Only Rule.Estimate needs it.
func (s *State) Service(now time.Time) {
	t := now.Unix()
	if t < s.nextService {
		return
	}
	s.nextService = t + 5
	old := t - int64(s.rule.Within/time.Second)
	s.sources.removeIf(func(src *source) bool {
		if int64(src.last) > old {
			return false
		}
		s.forget(src)
		return true
	})
}

// remember keeps what may be evidence.
func (s *State) remember(src *source, e *Event) {
	if s.rule.Evidence > 0 && (e.Line != "" || e.User != "") {
		src.told = s.diary.add(src.told, e.User, e.Line)
	}
}

// decide makes the decision about a source that is full.
func (s *State) decide(key netip.Prefix, src *source, e *Event, at int64) Decision {
	d := Decision{
		Time: time.Unix(at, 0).UTC(), Prefix: key, Service: e.Service,
		Failures: int(src.window.n), Refused: true,
	}
	d.Evidence, d.Users = s.diary.tell(src.told, s.rule.Evidence)
	if s.rule.Estimate {
		d.Failures, d.Span = int(src.retry), time.Duration(at-int64(src.first))*time.Second
	} else {
		ts := s.times.of(src.window)
		d.Span = time.Duration(ts[len(ts)-1]-ts[0]) * time.Second
	}
	own := netip.PrefixFrom(e.Source.Addr().Unmap(), e.Source.Addr().Unmap().BitLen())
	if !e.Source.IsSingleIP() {
		own = key // a network is refused as a whole, or not
	}
	for _, p := range s.rule.Never {
		if p.Overlaps(own) {
			d.Refused, d.Protected = false, p
			d.Reason = fmt.Sprintf("%d failures in %s, but %s is protected by %s", d.Failures, Words(d.Span), own.Addr(), p)
			return d
		}
		if p.Overlaps(d.Prefix) {
			d.Prefix = own // the rest of its network is protected
		}
	}
	old, ok := s.bans.get(key)
	if ok && at <= old.forgive {
		d.Earlier = int(old.count)
	}
	d.For = s.rule.length(d.Earlier)
	until := int64(never)
	if d.For != Forever {
		until = at + int64(d.For/time.Second)
		d.Until = time.Unix(until, 0).UTC()
	}
	if !s.rule.Estimate || !ok || at > old.until {
		*s.bans.touch(key, forgetBan) = ban{until: until, count: int32(min(d.Earlier+1, math.MaxInt32)), forgive: add(until, s.rule.forget(d.For))}
	}
	d.Reason = fmt.Sprintf("%d failures in %s (limit: %d in %s)", d.Failures, Words(d.Span), s.rule.After, Words(s.rule.Within))
	if d.Earlier > 0 {
		d.Reason += fmt.Sprintf("; refused %d times before", d.Earlier)
	}
	return d
}

func add(t int64, d time.Duration) int64 {
	if t >= never {
		return never
	}
	return t + int64(d/time.Second)
}

// Banned reports until when a source is refused.
func (s *State) Banned(p netip.Prefix, now time.Time) (until time.Time, ok bool) {
	b, ok := s.bans.get(normal(p))
	if !ok || now.Unix() > b.until {
		return time.Time{}, false
	}
	if b.until >= never {
		return time.Time{}, true
	}
	return time.Unix(b.until, 0).UTC(), true
}
