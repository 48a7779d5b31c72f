package kernel

import (
	"bytes"
	"errors"
	"fmt"

	"sekimori/internal/firewall"
)

// lookup asks a set, or takes data or a verdict from a map.
func (r *rule) lookup(b []byte) error {
	a := read(b, types(1, 2, 3, 4, 5))                      // set, sreg, dreg, set id, flags
	name, sreg, flags := a.text(1), a.num(2), a.flags(5, 1) // NFT_LOOKUP_F_INV
	if a.err != nil {
		return a.err
	}
	s := r.t.sets[name]
	if s == nil {
		return fmt.Errorf("set %q is not there", name)
	}
	if s.keyLen == 0 {
		return fmt.Errorf("set %q: %s", name, s.Opaque)
	}
	key, err := r.lookupKey(s, sreg)
	if err != nil {
		return err
	}
	switch {
	case !a.has(3):
		c := r.member(s, key)
		if flags != 0 {
			c = negate(c)
			if hasCatchAll(s.Set) {
				// Kernels differ about a catch-all element in an inverted look-up.
				c = firewall.Undecoded{Text: "an inverted look-up in a set with a catch-all element (" + r.place() + ")"}
			}
		}
		r.match(c)
		r.sayLookup(key, flags != 0, s)
		return nil
	case flags != 0 || s.flags&setMap == 0:
		return errors.New("a map that is none, or is asked for what is not in it")
	}
	if dreg := a.num(3); dreg != 0 {
		if s.verdict || s.objects {
			return errors.New("a map of verdicts or objects for a value")
		}
		return r.mapLookup(s, key, dreg)
	}
	if !s.verdict {
		return errors.New("a map of values for a verdict")
	}
	r.verdictMap(s, key)
	return nil
}

func hasCatchAll(s *firewall.Set) bool {
	for _, e := range s.Elems {
		if e.Key == nil {
			return true
		}
	}
	return false
}

// lookupKey returns the parts of a key, in the order of the set's fields. Where the
// kernel compares the padding between them as well, it has to be zero.
func (r *rule) lookupKey(s *set, sreg uint32) ([]*operand, error) {
	at, err := register(sreg, s.keyLen)
	if err != nil {
		return nil, err
	}
	key := make([]*operand, len(s.parts))
	end := 0
	for i, p := range s.parts {
		if s.flags&setInterval == 0 && p.off > end {
			r.match(r.gather(at+end, p.off-end).within(fill(0, p.off-end), fill(0, p.off-end)))
		}
		key[i] = r.fixed(r.gather(at+p.off, p.len))
		end = p.off + p.len
	}
	if s.flags&setInterval == 0 && end < s.keyLen {
		r.match(r.gather(at+end, s.keyLen-end).within(fill(0, s.keyLen-end), fill(0, s.keyLen-end)))
	}
	return key, nil
}

// values returns the bits of a key if all of it is plain.
func values(key []*operand) ([]firewall.Value, bool) {
	out := make([]firewall.Value, len(key))
	for i, k := range key {
		if k.kind != plain {
			return nil, false
		}
		out[i] = k.bits
	}
	return out, true
}

// member is the condition that a key is in a set.
func (r *rule) member(s *set, key []*operand) firewall.Cond {
	vals, ok := values(key)
	if ok && !isState(vals) {
		return firewall.Lookup{Key: vals, Set: s.Set}
	}
	switch {
	case s.Opaque != "":
		return firewall.Undecoded{Text: "set " + s.Name + ": " + s.Opaque}
	case r.n.facts.learns[s]:
		return firewall.Varies{Text: "the contents of set " + s.Name + ", which the rules change", Stateful: true}
	}
	var any firewall.Or
	for _, e := range s.Elems {
		any = append(any, elementIs(key, e))
	}
	return mergeStates(any)
}

// isState reports whether a key is the state of conntrack alone: it has five
// values, which is more than can be said of 32 bits.
func isState(key []firewall.Value) bool {
	if len(key) != 1 {
		return false
	}
	f, one := onlyField(key[0])
	return one && f == firewall.FieldCtState
}

// elementIs is the condition that a key is one element of a set.
func elementIs(key []*operand, e firewall.Elem) firewall.Cond {
	var all firewall.And
	for i, iv := range e.Key {
		if c := key[i].within(iv.Lo, iv.Hi); c != firewall.Const(true) {
			all = append(all, c)
		}
	}
	if e.Cond != nil {
		all = append(all, e.Cond)
	}
	if len(all) == 1 {
		return all[0]
	}
	return all
}

// mergeStates joins alternatives that are conntrack states or address types.
func mergeStates(any firewall.Or) firewall.Cond {
	var state firewall.State
	var addr *firewall.AddrType
	for _, c := range any {
		switch c := c.(type) {
		case firewall.State:
			state.Mask |= c.Mask
		case firewall.AddrType:
			types := c.Types
			if addr != nil {
				types |= addr.Types
			}
			c.Types = types
			addr = &c
		default:
			return any
		}
	}
	switch {
	case addr != nil && state.Mask == 0:
		return *addr
	case addr == nil && state.Mask != 0:
		return state
	}
	return any
}

// lowered returns a map with the same elements, in which what is not plain in the
// key has become a condition of each element; its key is one constant byte.
func lowered(s *firewall.Set, key []*operand) *firewall.Set {
	out := &firewall.Set{Name: s.Name, Fields: []int{8}, Learns: s.Learns, Opaque: s.Opaque}
	for _, e := range s.Elems {
		if e.Key != nil {
			e.Cond = elementIs(key, e)
			e.Key = []firewall.Interval{{Lo: []byte{0}, Hi: []byte{0}}}
		}
		out.Elems = append(out.Elems, e)
	}
	return out
}

// constKey is the key of a lowered map.
func constKey() []firewall.Value { return []firewall.Value{firewall.Constant([]byte{0})} }

// askable returns key and map in a form that the evaluation can ask.
func (r *rule) askable(s *firewall.Set, key []*operand) ([]firewall.Value, *firewall.Set) {
	if vals, ok := values(key); ok {
		return vals, s
	}
	return constKey(), lowered(s, key)
}

// verdictMap takes the verdict from a map. A miss ends the rule, and so does every
// verdict but continue, with which the kernel goes on in the rule.
func (r *rule) verdictMap(s *set, key []*operand) {
	goesOn := s.Opaque != ""
	for _, e := range s.Elems {
		goesOn = goesOn || e.Verdict != nil && e.Verdict.Kind == firewall.Continue
	}
	vals, m := r.askable(s.Set, key)
	m.Learns = m.Learns || r.n.facts.learns[s]
	r.emit(firewall.VerdictMap{Key: vals, Map: m})
	r.sayVerdictMap(key, s)
	r.ended = !goesOn
}

// mapLookup loads what a map holds for the key; a miss ends the rule.
func (r *rule) mapLookup(s *set, key []*operand, dreg uint32) error {
	if s.dataLen == 0 {
		return errors.New("a map without data")
	}
	text := r.keyText(key) + " map " + r.setText(s.Set, key, []dataType{typeHex}, false)
	if vals, ok := values(key); ok {
		r.match(firewall.Lookup{Key: vals, Set: s.Set})
	} else {
		r.match(r.member(s, key))
	}
	return r.store(dreg, &operand{kind: mapped, text: text, m: s.Set, key: key}, s.dataLen)
}

// mapData returns the map with an operation carried out on its data, nil where
// that cannot be done.
func (n *nftables) mapData(m *firewall.Set, f func(firewall.Value) (firewall.Value, bool)) *firewall.Set {
	out := *m
	out.Elems = make([]firewall.Elem, len(m.Elems))
	for i, e := range m.Elems {
		if e.DataHi != nil {
			return nil
		}
		data := padTo(e.Data, (len(e.Data)+3)&^3)
		bits, ok := f(firewall.Constant(data))
		if !ok {
			return nil
		}
		b, ok := (&operand{bits: bits}).isConst()
		if !ok {
			return nil
		}
		e.Data = b
		out.Elems[i] = e
	}
	return &out
}

// markMap returns the map by which a mark is set, with the data in network order
// and a key of one part, and that key.
func (r *rule) markMap(v *operand) (*firewall.Set, firewall.Value) {
	vals, ok := values(v.key)
	if !ok {
		return &firewall.Set{Name: v.text, Opaque: "a key that is not a part of the packet"}, nil
	}
	out := &firewall.Set{Name: v.m.Name, Fields: []int{0}, Learns: v.m.Learns, Opaque: v.m.Opaque}
	for _, e := range v.m.Elems {
		flat, ok := flatten(e)
		if len(e.Data) != 4 || e.DataHi != nil || !ok || e.Cond != nil {
			out.Opaque = "keys or data that cannot be expressed"
			break
		}
		flat.Data = []byte{e.Data[3], e.Data[2], e.Data[1], e.Data[0]}
		out.Elems = append(out.Elems, flat)
	}
	var key firewall.Value
	for _, k := range vals {
		key = append(key, k...)
	}
	out.Fields[0] = len(key)
	return out, key
}

// flatten joins the parts of an element's key, which must not be intervals but for
// the last.
func flatten(e firewall.Elem) (firewall.Elem, bool) {
	if len(e.Key) <= 1 {
		return e, true
	}
	var lo, hi []byte
	for i, iv := range e.Key {
		if i < len(e.Key)-1 && !bytes.Equal(iv.Lo, iv.Hi) {
			return e, false
		}
		lo, hi = append(lo, iv.Lo...), append(hi, iv.Hi...)
	}
	e.Key = []firewall.Interval{{Lo: lo, Hi: hi}}
	return e, true
}
