package firewall

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"sekimori/packet"
)

// truth is what a condition makes of packets. Where its operands cannot be loaded
// the kernel ends the rule, whatever stands around the condition (NFT_BREAK);
// holds says something only about packets of loads. The two are kept apart
// because the second is nearly always the same.
type truth struct{ holds, loads packet.Set }

// met returns the packets for which the condition holds.
func (t truth) met() packet.Set { return t.loads.And(t.holds) }

func (w *walk) plain(s packet.Set) truth { return truth{s, w.e.space.All()} }

// cond evaluates a condition in the present environment.
func (w *walk) cond(c Cond) truth {
	e := w.e
	sp := e.space
	switch c := c.(type) {
	case nil:
		return w.plain(sp.All())
	case And:
		t := w.plain(sp.All())
		for _, p := range c {
			pt := w.cond(p)
			t.holds = t.holds.And(pt.holds)
			t.loads = t.loads.And(pt.loads)
		}
		return t
	case Or:
		t := w.plain(sp.None())
		for _, p := range c {
			pt := w.cond(p)
			t.holds = t.holds.Or(pt.met())
			t.loads = t.loads.And(pt.loads)
		}
		t.loads = t.loads.Or(t.holds)
		return t
	case Not:
		t := w.cond(c.Of)
		return truth{t.holds.Not(), t.loads}
	case Const:
		return w.plain(e.always(bool(c)))
	case Compare:
		return w.compare(c)
	case Lookup:
		return w.lookup(c)
	case Interface:
		if c.Out && w.env.known.noOut {
			return w.plain(e.always(c.Name == "" && !c.Prefix))
		}
		if in := w.env.known.in; in != "" && !c.Out {
			return w.plain(e.always(in == c.Name || c.Prefix && strings.HasPrefix(in, c.Name)))
		}
		return w.plain(e.ifaceSet(c))
	case InterfaceIndex:
		if c.Out && w.env.known.noOut {
			return w.plain(sp.None())
		}
		if in := w.env.known.in; in != "" && !c.Out {
			return w.plain(e.always(e.number(in) == c.Index))
		}
		return w.plain(e.indexSet(c))
	case AddrType:
		return w.plain(e.addrType(&w.env, c))
	case ReversePath:
		return w.plain(e.reversePath(&w.env, c))
	case Present:
		return truth{sp.All(), w.reachable(c.Header, c.Bits, !c.First)}
	case Total:
		return w.plain(w.cond(c.Of).met())
	case State:
		return w.plain(e.stateIs(&w.env, c.Mask))
	case Varies:
		return w.plain(w.varies(c))
	case Undecoded:
		return w.plain(e.undecodedSet(c.Text, c.Text))
	}
	text := fmt.Sprintf("condition %T", c)
	return w.plain(e.undecodedSet(text, text))
}

// varies is the boolean of a condition without a fixed answer: one for each
// place in the rules (and way to get there) if it keeps state.
func (w *walk) varies(c Varies) packet.Set {
	key := c.Text
	switch {
	case c.Stateful:
		key += " (" + w.id(w.rule) + ")"
	case c.Hidden:
		key += " (" + w.place(w.rule) + ")"
	}
	return w.e.varyingSet(key, c.Text)
}

func (w *walk) compare(c Compare) truth {
	e := w.e
	return truth{e.space.Between(e.bits(&w.env, c.Value), intervals(c.In)), w.loadable(c.Value)}
}

func intervals(in []Interval) []packet.Interval {
	out := make([]packet.Interval, len(in))
	for i, iv := range in {
		out[i] = packet.Interval{Lo: iv.Lo, Hi: iv.Hi}
	}
	return out
}

// loadable returns the packets from which all bits of the values can be loaded.
func (w *walk) loadable(vals ...Value) packet.Set {
	var need struct{ link, network, transport, inner, ct int }
	for _, v := range vals {
		for _, b := range v {
			switch b.Field {
			case FieldTransport:
				need.transport = max(need.transport, int(b.Index)+1)
			case FieldNetwork:
				need.network = max(need.network, int(b.Index)+1)
			case FieldLink:
				need.link = max(need.link, int(b.Index)+1)
			case FieldInner:
				need.inner = max(need.inner, int(b.Index)+1)
			case FieldCtState:
			default:
				if len(b.Field) > 3 && b.Field[:3] == "ct " {
					need.ct = 1
				}
			}
		}
	}
	s := w.e.space.All()
	for _, n := range [...]struct {
		f    Field
		bits int
	}{{FieldLink, need.link}, {FieldNetwork, need.network}, {FieldTransport, need.transport}, {FieldInner, need.inner}, {"ct", need.ct}} {
		if n.bits > 0 {
			s = s.And(w.reachable(n.f, n.bits, true))
		}
	}
	return s
}

// headerKey identifies a header that must reach a bit, in two circumstances.
type headerKey struct {
	field Field
	bits  int
	whole bool
	later bool // fragments without the header may be looked into
}

// reachable returns the packets whose header reaches at least n bits. Headers are
// taken to be as long as their protocol's fixed part: a truncated one is dropped
// by the IP stack or by the transport protocol.
//
// Of a later fragment, which has no transport header, x_tables matches and most
// loads of nf_tables see nothing; but short aligned loads take what stands in its
// place (nft_payload_fast_eval), in the kernels that have been looked at. With
// later, that is left open.
func (w *walk) reachable(f Field, n int, later bool) packet.Set {
	if f == "ct" {
		return w.e.hasEntry(&w.env)
	}
	k := headerKey{f, n, w.env.known.whole, later}
	s, ok := w.e.headers[k]
	if !ok {
		s = w.reaches(f, n, later)
		w.e.headers[k] = s
	}
	return s
}

func (w *walk) reaches(f Field, n int, later bool) packet.Set {
	e := w.e
	sp := e.space
	free := func(what string) packet.Set { return sp.Bit(sp.Extra(what, 1), 0) }
	switch f {
	case FieldNetwork:
		fixed := map[bool]int{true: 160, false: 320}[e.family == IPv4]
		if n <= fixed {
			return sp.All()
		}
		return free(fmt.Sprintf("network header reaches byte %d", (n+7)/8))
	case FieldTransport:
		whole := sp.All()
		if !w.env.known.whole {
			whole = e.firstFragment()
			if later {
				whole = whole.Or(free("a later fragment is looked into"))
			}
		}
		long := sp.None()
		short := sp.All()
		for _, p := range [...]struct {
			proto uint64
			bits  int
		}{{6, 160}, {17, 64}, {136, 64}, {1, 64}, {58, 64}, {132, 96}, {33, 96}, {50, 64}, {51, 96}, {47, 32}} {
			s := sp.Values(packet.Protocol, packet.Range{Lo: p.proto, Hi: p.proto})
			short = short.Minus(s)
			if n <= p.bits {
				long = long.Or(s)
			} else {
				long = long.Or(s.And(free(fmt.Sprintf("transport header reaches byte %d", (n+7)/8))))
			}
		}
		long = long.Or(short.And(free(fmt.Sprintf("transport header reaches byte %d", (n+7)/8))))
		return whole.And(long)
	case FieldLink:
		return free("link header present")
	}
	return free(fmt.Sprintf("%s reaches byte %d", f, (n+7)/8))
}

// firstFragment returns the packets that are whole or the first fragment: the
// ones with a transport header.
func (e *Engine) firstFragment() packet.Set {
	s := e.space.All()
	offset := e.space.Bits(packet.Fragment)[3:]
	if e.family == IPv6 {
		offset = e.space.Bits(packet.Fragment)[:13]
	}
	for _, b := range offset {
		s = s.Minus(b)
	}
	return s
}

func (e *Engine) ifaceSet(c Interface) packet.Set {
	return e.space.Interfaces(ifaceField(c.Out), func(name string) bool {
		if name == noInterface {
			name = ""
		}
		if c.Prefix {
			return strings.HasPrefix(name, c.Name) && name != ""
		}
		return name == c.Name
	})
}

func (e *Engine) indexSet(c InterfaceIndex) packet.Set {
	name, ok := e.index[c.Index]
	if !ok {
		if e.facts.Known {
			return e.space.None() // an interface that is gone
		}
		name = indexName(c.Index)
	}
	return e.space.Interfaces(ifaceField(c.Out), func(n string) bool { return n == name })
}

// setKey identifies the packets whose key is in a set, in one environment.
type setKey struct {
	set     *Set
	key     string
	version int
}

func (w *walk) lookup(c Lookup) truth {
	return truth{w.member(c.Key, c.Set), w.loadable(c.Key...)}
}

// member returns the packets whose key is in the set.
func (w *walk) member(key []Value, set *Set) packet.Set {
	e := w.e
	switch {
	case set == nil:
		text := "a set that is not there"
		return e.undecodedSet(text+" ("+w.id(w.rule)+")", text)
	case set.Opaque != "":
		text := "set " + set.Name + ": " + set.Opaque
		return e.undecodedSet(text+" in "+w.rule.Chain.Table.Place()+" asked about "+w.identity(key), text)
	case set.Learns:
		return w.varies(Varies{Text: "the contents of set " + set.Name + ", which the rules change", Stateful: true})
	}
	k := setKey{set, fmt.Sprint(key), w.env.version}
	if s, ok := e.sets[k]; ok && !w.conditional(set) {
		return s
	}
	s := w.elements(w.keyBits(key), set, set.Elems)
	e.sets[k] = s
	return s
}

// identity tells keys apart by what they are at this point, so that what one of
// them is in says nothing about another, nor about itself after translation.
func (w *walk) identity(key []Value) string {
	plain := env{notrack: w.env.notrack, dnat: w.env.dnat, snat: w.env.snat, tracked: w.env.tracked, known: w.env.known}
	text := fmt.Sprint(key)
	for i, v := range w.keyBits(key) {
		for j, was := range w.e.bits(&plain, key[i]) {
			if !was.Equal(v[j]) {
				return fmt.Sprint(text, " after ", w.id(w.rule))
			}
		}
	}
	return text
}

// conditional reports whether a set has elements with conditions of their own,
// which can be different at each look-up.
func (w *walk) conditional(set *Set) bool {
	return slices.ContainsFunc(set.Elems, func(el Elem) bool { return el.Cond != nil })
}

func (w *walk) keyBits(key []Value) [][]packet.Set {
	bits := make([][]packet.Set, len(key))
	for i, v := range key {
		bits[i] = w.e.bits(&w.env, v)
	}
	return bits
}

// elements returns the packets whose key is one of the elements: where elements
// with nomatch are among them, the most specific decides, as in ipset.
func (w *walk) elements(key [][]packet.Set, set *Set, elems []Elem) packet.Set {
	e := w.e
	if set.Nearest {
		return w.nearest(key, elems)
	}
	plain := make([][]packet.Interval, 0, len(elems))
	var special []Elem
	rest := e.space.None()
	for _, el := range elems {
		switch {
		case el.Key == nil:
			rest = e.space.All() // the catch-all element
		case el.Negate || el.Cond != nil:
			special = append(special, el)
		default:
			plain = append(plain, intervals(el.Key))
		}
	}
	if len(special) == 0 {
		return e.union(key, plain).Or(rest)
	}
	if !slices.ContainsFunc(special, func(el Elem) bool { return el.Negate }) {
		s := e.union(key, plain).Or(rest)
		for _, el := range special {
			s = s.Or(e.union(key, [][]packet.Interval{intervals(el.Key)}).And(w.cond(el.Cond).met()))
		}
		return s
	}
	order := slices.Clone(elems)
	slices.SortStableFunc(order, func(a, b Elem) int { return keyWidth(b) - keyWidth(a) })
	s := rest
	for _, el := range order {
		if el.Key == nil {
			continue
		}
		m := e.union(key, [][]packet.Interval{intervals(el.Key)}).And(w.cond(el.Cond).met())
		if el.Negate {
			s = s.Minus(m)
		} else {
			s = s.Or(m)
		}
	}
	return s
}

// nearest looks a key up where only the longest prefix that holds the first part
// counts, whatever the other parts of its elements are.
func (w *walk) nearest(key [][]packet.Set, elems []Elem) packet.Set {
	e := w.e
	order := slices.Clone(elems)
	slices.SortStableFunc(order, func(a, b Elem) int { return intervalWidth(a.Key[0]) - intervalWidth(b.Key[0]) })
	s, taken := e.space.None(), e.space.None()
	for i := 0; i < len(order); {
		j := i
		here := e.space.None()
		for ; j < len(order) && intervalWidth(order[j].Key[0]) == intervalWidth(order[i].Key[0]); j++ {
			el := order[j]
			here = here.Or(e.union(key[:1], [][]packet.Interval{intervals(el.Key[:1])}))
			m := e.union(key, [][]packet.Interval{intervals(el.Key)}).Minus(taken).And(w.cond(el.Cond).met())
			if el.Negate {
				s = s.Minus(m)
			} else {
				s = s.Or(m)
			}
		}
		taken, i = taken.Or(here), j
	}
	return s
}

// keyWidth counts the bits by which an element's intervals differ: the size of
// the prefix, as a rank.
func keyWidth(el Elem) int {
	n := 0
	for _, iv := range el.Key {
		n += intervalWidth(iv)
	}
	return n
}

func intervalWidth(iv Interval) int {
	n := 0
	for i := range iv.Lo {
		for d := iv.Lo[i] ^ iv.Hi[i]; d != 0; d &= d - 1 {
			n++
		}
	}
	return n
}

// union is the packets whose key lies in one of the elements.
func (e *Engine) union(key [][]packet.Set, elems [][]packet.Interval) packet.Set {
	if len(elems) == 0 {
		return e.space.None()
	}
	if len(key) != len(elems[0]) {
		return e.undecodedSet("a key that does not fit its set", "a key that does not fit its set")
	}
	if len(key) == 1 {
		ivs := make([]packet.Interval, len(elems))
		for i, el := range elems {
			ivs[i] = el[0]
		}
		return e.space.Between(key[0], ivs)
	}
	return e.space.Tuples(key, elems)
}

// disjoint reports whether no two elements of a map with a single-part key
// overlap, so that their order is of no consequence.
func disjoint(elems []Elem) bool {
	type span struct{ lo, hi []byte }
	var spans []span
	for _, el := range elems {
		switch len(el.Key) {
		case 0:
			continue
		case 1:
			spans = append(spans, span{el.Key[0].Lo, el.Key[0].Hi})
		default:
			lo, hi := flatten(el)
			if !bytes.Equal(lo, hi) {
				return false
			}
			spans = append(spans, span{lo, hi})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return bytes.Compare(a.lo, b.lo) })
	for i := 1; i < len(spans); i++ {
		if bytes.Compare(spans[i].lo, spans[i-1].hi) <= 0 {
			return false
		}
	}
	return true
}

func flatten(el Elem) (lo, hi []byte) {
	for _, iv := range el.Key {
		lo, hi = append(lo, iv.Lo...), append(hi, iv.Hi...)
	}
	return lo, hi
}
