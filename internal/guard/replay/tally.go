package replay

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"sekimori/internal/guard"
)

// A tally counts failures while they are replayed.
type tally struct {
	result  *Result
	sources map[netip.Prefix]*sourceTally
	users   map[string]*userTally
}

type sourceTally struct {
	Source
	names map[string]struct{}
}

type userTally struct {
	User
	from map[netip.Prefix]struct{}
}

// maxDifferent bounds how many different things are counted as such.
const maxDifferent = 100

// count adds a failure, and asks the guard.
func (t *tally) count(e *event, o *Options, st *guard.State) {
	sec := int64(e.time)
	at := time.Unix(sec, int64((e.time-float64(sec))*1e9)).UTC()
	r := t.result
	if at.Before(o.Since) {
		if r.Early++; at.After(r.EarlyLast) {
			r.EarlyLast = at
		}
		return
	}
	r.Failures++
	if r.First.IsZero() || at.Before(r.First) {
		r.First = at
	}
	if at.After(r.Last) {
		r.Last = at
	}
	user := clean(e.user)
	t.user(user, e.addr)
	if !e.addr.IsValid() {
		r.Unnamed++
		return
	}
	service := o.Jails[e.jail].Name
	s := t.source(e.addr, at)
	if s != nil {
		s.add(service, user, at)
	} else {
		r.Others++
	}
	d, ok := st.Failure(guard.Event{Time: at, Source: e.addr, Service: service, User: user, Line: clean(e.line)}, at)
	if !ok {
		return
	}
	d.Evidence, d.Users = slices.Clone(d.Evidence), slices.Clone(d.Users)
	r.Decisions = append(r.Decisions, d)
	if s != nil && d.Refused {
		s.Refused++
	}
}

func (t *tally) source(p netip.Prefix, at time.Time) *sourceTally {
	s := t.sources[p]
	if s == nil && len(t.sources) < maxTracked {
		s = &sourceTally{Source: Source{Prefix: p, First: at, Last: at}}
		t.sources[p] = s
	}
	return s
}

func (s *sourceTally) add(service, user string, at time.Time) {
	s.Failures++
	if at.Before(s.First) {
		s.First = at
	}
	if at.After(s.Last) {
		s.Last = at
	}
	if !slices.Contains(s.Services, service) {
		s.Services = append(s.Services, service)
	}
	if user != "" && len(s.names) < maxDifferent {
		if s.names == nil {
			s.names = map[string]struct{}{}
		}
		s.names[user] = struct{}{}
	}
}

func (t *tally) user(name string, from netip.Prefix) {
	if name == "" {
		return
	}
	u := t.users[name]
	if u == nil {
		if len(t.users) >= maxTracked {
			return
		}
		u = &userTally{User: User{Name: name}, from: map[netip.Prefix]struct{}{}}
		t.users[name] = u
	}
	u.Failures++
	if from.IsValid() && len(u.from) < maxDifferent {
		u.from[from] = struct{}{}
	}
}

func (t *tally) finish() {
	for _, s := range t.sources {
		s.Users = len(s.names)
		t.result.Sources = append(t.result.Sources, s.Source)
	}
	sortSources(t.result.Sources)
	for _, u := range t.users {
		u.Sources = len(u.from)
		t.result.Users = append(t.result.Users, u.User)
	}
	slices.SortFunc(t.result.Users, func(a, b User) int {
		return cmp.Or(b.Failures-a.Failures, cmp.Compare(a.Name, b.Name))
	})
}
