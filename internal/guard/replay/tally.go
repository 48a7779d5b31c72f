package replay

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sekimori/internal/guard"
)

// A tally counts failures while they are replayed. A log may tell of very many
// sources, so what is kept of each is little, and nothing for itself.
type tally struct {
	result  *Result
	jails   []Jail
	by      map[address]int32 // index of sources
	sources []sourceTally
	names   map[string]int32 // index of users
	users   []userTally
	links   []link
}

// An address is a prefix without pointers.
type address struct {
	addr [16]byte
	bits uint8
	is4  bool
}

func addressOf(p netip.Prefix) address {
	return address{p.Addr().As16(), uint8(p.Bits()), p.Addr().Is4()}
}

func (a address) prefix() netip.Prefix {
	addr := netip.AddrFrom16(a.addr)
	if a.is4 {
		addr = addr.Unmap()
	}
	return netip.PrefixFrom(addr, int(a.bits))
}

// A sourceTally is a Source as it is counted. Times are nanoseconds since 1970.
type sourceTally struct {
	address
	first, last       int64
	failures, refused uint32
	jails, users      list
}

type userTally struct {
	name     string
	failures uint32
	from     list
}

// A list is a few different numbers, linked in tally.links.
type list struct {
	head  int32 // index of the first link plus one; 0 for none
	count int32
}

type link struct{ value, next int32 }

// maxDifferent bounds how many different things are counted as such.
const maxDifferent = 100

// add puts v into l, unless it is there or l is full.
func (t *tally) add(l *list, v int32) {
	for i := l.head; i > 0; i = t.links[i-1].next {
		if t.links[i-1].value == v {
			return
		}
	}
	if l.count < maxDifferent {
		t.links = append(t.links, link{v, l.head})
		l.head, l.count = int32(len(t.links)), l.count+1
	}
}

func newTally(r *Result, jails []Jail) *tally {
	return &tally{result: r, jails: jails, by: map[address]int32{}, names: map[string]int32{}}
}

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
	source := t.source(e.addr, at.UnixNano())
	t.tried(user, source)
	if !e.addr.IsValid() {
		r.Unnamed++
		return
	}
	if source < 0 {
		r.Others++
	} else {
		t.add(&t.sources[source].jails, int32(e.jail))
	}
	d, ok := st.Failure(guard.Event{Time: at, Source: e.addr, Service: o.Jails[e.jail].Name, User: user, Line: clean(e.line)}, at)
	if !ok {
		return
	}
	r.Decisions = append(r.Decisions, d)
	if source >= 0 && d.Refused {
		t.sources[source].refused++
	}
}

// source counts a failure of p and returns the index of p; -1 if it has none.
func (t *tally) source(p netip.Prefix, at int64) int32 {
	if !p.IsValid() {
		return -1
	}
	a := addressOf(p)
	i, ok := t.by[a]
	if !ok {
		if len(t.sources) >= maxTracked {
			return -1
		}
		i = int32(len(t.sources))
		t.sources = append(t.sources, sourceTally{address: a, first: at, last: at})
		t.by[a] = i
	}
	s := &t.sources[i]
	s.failures++
	s.first, s.last = min(s.first, at), max(s.last, at)
	return i
}

// tried counts a failure with a name.
func (t *tally) tried(name string, source int32) {
	if name == "" {
		return
	}
	i, ok := t.names[name]
	if !ok {
		if len(t.users) >= maxTracked {
			return
		}
		i = int32(len(t.users))
		name = strings.Clone(name) // it was a piece of a line
		t.users = append(t.users, userTally{name: name})
		t.names[name] = i
	}
	t.users[i].failures++
	if source >= 0 {
		t.add(&t.users[i].from, source)
		t.add(&t.sources[source].users, i)
	}
}

// finish lists what was counted, those who failed most first.
func (t *tally) finish() {
	clear(t.by)
	slices.SortFunc(t.sources, func(a, b sourceTally) int {
		return cmp.Or(cmp.Compare(b.failures, a.failures), a.prefix().Addr().Compare(b.prefix().Addr()), cmp.Compare(a.bits, b.bits))
	})
	services := map[int32][]string{} // by the head of the list: most sources have one service
	t.result.Sources = make([]Source, len(t.sources))
	for i := range t.sources {
		s := &t.sources[i]
		t.result.Sources[i] = Source{
			Prefix: s.prefix(), Failures: int(s.failures), First: time.Unix(0, s.first).UTC(), Last: time.Unix(0, s.last).UTC(),
			Services: t.services(s.jails, services), Users: int(s.users.count), Refused: int(s.refused),
		}
	}
	slices.SortFunc(t.users, func(a, b userTally) int {
		return cmp.Or(cmp.Compare(b.failures, a.failures), cmp.Compare(a.name, b.name))
	})
	t.result.Users = make([]User, len(t.users))
	for i, u := range t.users {
		t.result.Users[i] = User{u.name, int(u.failures), int(u.from.count)}
	}
}

// services returns the names of jails; sources of the same one share the answer.
func (t *tally) services(l list, shared map[int32][]string) []string {
	one := int32(-1)
	if l.count == 1 {
		one = t.links[l.head-1].value
		if s := shared[one]; s != nil {
			return s
		}
	}
	var out []string
	for i := l.head; i > 0; i = t.links[i-1].next {
		out = append(out, t.jails[t.links[i-1].value].Name)
	}
	slices.Reverse(out)
	if one >= 0 {
		shared[one] = out
	}
	return out
}
