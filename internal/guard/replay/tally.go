package replay

import (
	"cmp"
	"hash/maphash"
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
	sources pieces
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

// A pieces is a list of sources in pieces of memory, so that it is not there
// twice when it grows, with an index by their addresses.
type pieces struct {
	all   [][]sourceTally
	n     int32
	index []int32 // places plus one by the hash of the address, 0 for none; a power of two
	seed  maphash.Seed
}

const pieceSize = 1024

func (p *pieces) at(i int32) *sourceTally { return &p.all[i/pieceSize][i%pieceSize] }

// place returns where in the index a stands, or would.
func (p *pieces) place(a address) int {
	mask := len(p.index) - 1
	at := int(maphash.Comparable(p.seed, a)) & mask
	for p.index[at] > 0 && p.at(p.index[at]-1).address != a {
		at = (at + 1) & mask
	}
	return at
}

// find returns the place of a; -1 if there is none.
func (p *pieces) find(a address) int32 {
	if p.n == 0 {
		return -1
	}
	return p.index[p.place(a)] - 1
}

// add appends a source that is not there.
func (p *pieces) add(s sourceTally) int32 {
	if int(p.n/pieceSize) == len(p.all) {
		p.all = append(p.all, make([]sourceTally, pieceSize))
	}
	if 2*int(p.n) >= len(p.index) {
		p.index = make([]int32, max(64, 2*len(p.index)))
		for i := range p.n {
			p.index[p.place(p.at(i).address)] = i + 1
		}
	}
	p.index[p.place(s.address)] = p.n + 1
	*p.at(p.n) = s
	p.n++
	return p.n - 1
}

// A list is a few different numbers, linked in tally.links.
type list struct {
	head  int32 // index of the first link plus one; 0 for none
	count int32
}

type link struct{ value, next int32 }

// maxDifferent bounds how many different things are counted as such.
const maxDifferent = 100

// has reports whether v is in l.
func (t *tally) has(l list, v int32) bool {
	for i := l.head; i > 0; i = t.links[i-1].next {
		if t.links[i-1].value == v {
			return true
		}
	}
	return false
}

// add puts v, which is not in l, into it, unless l is full.
func (t *tally) add(l *list, v int32) {
	if l.count < maxDifferent {
		t.links = append(t.links, link{v, l.head})
		l.head, l.count = int32(len(t.links)), l.count+1
	}
}

// pair notes that a source has tried a name, which is in the lists of both or of
// none, but for those that are full: the shorter one tells.
func (t *tally) pair(source, user *list, s, u int32) {
	fullSource, fullUser := source.count == maxDifferent, user.count == maxDifferent
	switch {
	case fullSource && fullUser:
		return
	case fullUser || !fullSource && source.count <= user.count:
		if t.has(*source, u) {
			return
		}
	case t.has(*user, s):
		return
	}
	t.add(source, u)
	t.add(user, s)
}

func newTally(r *Result, jails []Jail) *tally {
	return &tally{result: r, jails: jails, sources: pieces{seed: maphash.MakeSeed()}, names: map[string]int32{}}
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
	r.Failures += uint64(e.times)
	if r.First.IsZero() || at.Before(r.First) {
		r.First = at
	}
	if at.After(r.Last) {
		r.Last = at
	}
	user := clean(e.user)
	source := t.source(e.addr, at.UnixNano(), uint32(e.times))
	t.tried(user, source, uint32(e.times))
	if !e.addr.IsValid() {
		r.Unnamed++
		return
	}
	if source < 0 {
		r.Others++
	} else if jails := &t.sources.at(source).jails; !t.has(*jails, int32(e.jail)) {
		t.add(jails, int32(e.jail))
	}
	d, ok := st.Failure(guard.Event{Time: at, Source: e.addr, Service: o.Jails[e.jail].Name, User: user, Line: clean(e.line), Count: e.times}, at)
	if !ok {
		return
	}
	r.Decisions = append(r.Decisions, d)
	if source >= 0 && d.Refused {
		t.sources.at(source).refused++
	}
}

// source counts failures of p and returns the index of p; -1 if it has none.
func (t *tally) source(p netip.Prefix, at int64, times uint32) int32 {
	if !p.IsValid() {
		return -1
	}
	a := addressOf(p)
	i := t.sources.find(a)
	if i < 0 {
		if t.sources.n >= maxTracked {
			return -1
		}
		i = t.sources.add(sourceTally{address: a, first: at, last: at})
	}
	s := t.sources.at(i)
	s.failures += times
	s.first, s.last = min(s.first, at), max(s.last, at)
	return i
}

// tried counts failures with a name.
func (t *tally) tried(name string, source int32, times uint32) {
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
	t.users[i].failures += times
	if source >= 0 {
		t.pair(&t.sources.at(source).users, &t.users[i].from, source, i)
	}
}

// finish lists what was counted, those who failed most first.
func (t *tally) finish() {
	t.names, t.sources.index = nil, nil
	services := map[int32][]string{} // by the only jail: most sources have one
	t.result.Sources = make([]Source, 0, t.sources.n)
	for i := range t.sources.n {
		s := t.sources.at(i)
		t.result.Sources = append(t.result.Sources, Source{
			Prefix: s.prefix(), Failures: int(s.failures), First: time.Unix(0, s.first).UTC(), Last: time.Unix(0, s.last).UTC(),
			Services: t.services(s.jails, services), Users: int(s.users.count), Refused: int(s.refused),
		})
	}
	t.sources.all = nil
	sortSources(t.result.Sources)
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
