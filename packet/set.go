package packet

import (
	"math/big"
	"slices"
)

// Set is a set of packets of one [Space]. Its zero value is not usable. Two sets
// are compared with Equal, never with ==.
//
// The operations take time about proportional to the product of the sets' sizes
// at worst ([Set.Nodes]) and usually to their sum. Sets of different spaces do
// not mix: that panics.
type Set struct {
	sp *Space
	f  ref
}

// own checks that s is a set of this space.
func (sp *Space) own(s Set) ref {
	if s.sp != sp {
		if s.sp == nil {
			panic("packet: use of a zero Set")
		}
		panic("packet: sets of different spaces cannot be combined")
	}
	return s.f
}

// All returns every packet.
func (sp *Space) All() Set { return Set{sp, one} }

// None returns the empty set.
func (sp *Space) None() Set { return Set{sp, zero} }

// Bit returns the packets whose field f has bit i set; bit 0 is the most
// significant.
func (sp *Space) Bit(f Field, i int) Set {
	v := sp.field(f)
	if i < 0 || i >= v.width {
		panic("packet: no such bit in this field")
	}
	return Set{sp, sp.graph.variable(v.first + level(i))}
}

// Bits returns all bits of f, the most significant first.
func (sp *Space) Bits(f Field) []Set {
	refs := sp.refs(f)
	sets := make([]Set, len(refs))
	for i, r := range refs {
		sets[i] = Set{sp, r}
	}
	return sets
}

func (sp *Space) refs(f Field) []ref {
	v := sp.field(f)
	refs := make([]ref, v.width)
	for i := range refs {
		refs[i] = sp.graph.variable(v.first + level(i))
	}
	return refs
}

// If returns the packets of a that are in c and those of b that are not.
func (sp *Space) If(c, a, b Set) Set {
	return Set{sp, sp.graph.ite(sp.own(c), sp.own(a), sp.own(b))}
}

// And returns the packets that are in both sets.
func (s Set) And(t Set) Set { return Set{s.sp, s.sp.graph.and(s.f, s.sp.own(t))} }

// Or returns the packets that are in either set.
func (s Set) Or(t Set) Set { return Set{s.sp, s.sp.graph.or(s.f, s.sp.own(t))} }

// Minus returns the packets of s that are not in t.
func (s Set) Minus(t Set) Set { return Set{s.sp, s.sp.graph.and(s.f, s.sp.own(t)^1)} }

// Xor returns the packets that are in exactly one of the sets.
func (s Set) Xor(t Set) Set { return Set{s.sp, s.sp.graph.xor(s.f, s.sp.own(t))} }

// Not returns every packet that is not in s.
func (s Set) Not() Set { return Set{s.sp, s.f ^ 1} }

// Empty tells whether no packet is in s.
func (s Set) Empty() bool { return s.f == zero || !s.sp.graph.meets(s.f, one, s.sp.valid) }

// Equal tells whether both sets have the same packets.
func (s Set) Equal(t Set) bool { return s.f == s.sp.own(t) || s.SubsetOf(t) && t.SubsetOf(s) }

// SubsetOf tells whether every packet of s is in t.
func (s Set) SubsetOf(t Set) bool { return !s.sp.graph.meets(s.f, s.sp.own(t)^1, s.sp.valid) }

// Overlaps tells whether some packet is in both sets.
func (s Set) Overlaps(t Set) bool { return s.sp.graph.meets(s.f, s.sp.own(t), s.sp.valid) }

// Exists returns the packets that are in s for some value of the given fields.
func (s Set) Exists(fs ...Field) Set {
	f := s.f
	for _, x := range fs {
		f = s.sp.graph.and(f, s.sp.validFor(x))
	}
	return Set{s.sp, s.sp.graph.exists(f, s.sp.cubeOf(fs))}
}

// Forall returns the packets that are in s for all values of the given fields.
func (s Set) Forall(fs ...Field) Set { return s.Not().Exists(fs...).Not() }

// May returns the packets that are in s for some outcome of the unknowns.
func (s Set) May() Set { return s.Exists(s.sp.unknownFields()...) }

// Must returns the packets that are in s whatever the unknowns turn out to be.
func (s Set) Must() Set { return s.Forall(s.sp.unknownFields()...) }

func (sp *Space) unknownFields() []Field {
	var fs []Field
	for f, v := range sp.fields {
		if v.unknown {
			fs = append(fs, Field(f))
		}
	}
	return fs
}

// levelsOf returns the levels of the fields in ascending order, each once.
func (sp *Space) levelsOf(fs []Field) []level {
	var levels []level
	for _, f := range fs {
		v := sp.field(f)
		for i := range v.width {
			levels = append(levels, v.first+level(i))
		}
	}
	slices.Sort(levels)
	return slices.Compact(levels)
}

func (sp *Space) cubeOf(fs []Field) ref { return sp.graph.cube(sp.levelsOf(fs)) }

// except returns all fields and unknowns but the given ones.
func (sp *Space) except(fs ...Field) []Field {
	var rest []Field
	for f := range sp.fields {
		if !slices.Contains(fs, Field(f)) {
			rest = append(rest, Field(f))
		}
	}
	return rest
}

// project returns the values that the given fields have in packets of s, as a
// function of these fields alone that respects which values are valid.
func (s Set) project(fs ...Field) ref {
	g := &s.sp.graph
	return g.exists(g.and(s.f, s.sp.valid), s.sp.allBut(fs))
}

// otherFields is the cube of all fields and unknowns but one, as long as there
// are count of them.
type otherFields struct {
	count int
	cube  ref
}

// allBut returns the cube of all fields and unknowns but the given ones. That of
// all but one is asked for again and again.
func (sp *Space) allBut(fs []Field) ref {
	if len(fs) != 1 {
		return sp.cubeOf(sp.except(fs...))
	}
	known := sp.others[fs[0]]
	if known.count != len(sp.fields) {
		known = otherFields{len(sp.fields), sp.cubeOf(sp.except(fs...))}
		sp.others[fs[0]] = known
	}
	return known.cube
}

// Restrict returns s as it looks to a packet whose field f, of at most 64 bits,
// has the given value; the result does not depend on f any more. It is empty if
// packets cannot have that value.
func (s Set) Restrict(f Field, value uint64) Set {
	v := s.sp.field(f)
	if v.width > 64 {
		panic("packet: Restrict of a field of more than 64 bits")
	}
	at := s.sp.Values(f, Range{value, value})
	if at.Empty() {
		return s.sp.None()
	}
	return Set{s.sp, s.sp.graph.fix(s.f, at.f)}
}

// UnknownKeys returns the keys of the unknowns that s depends on, in the order
// of their first use in the space.
func (sp *Space) UnknownKeys(s Set) []string {
	var keys []string
	for _, f := range sp.support(sp.graph.and(sp.own(s), sp.valid)) {
		if sp.fields[f].unknown {
			keys = append(keys, sp.fields[f].name)
		}
	}
	return keys
}

// support returns the fields and unknowns whose variables f consists of.
func (sp *Space) support(f ref) []Field {
	found := make([]bool, len(sp.fields))
	sp.graph.visit(f, func(n node) {
		x, _ := sp.owner(n.level)
		found[x] = true
	})
	var fs []Field
	for x, is := range found {
		if is {
			fs = append(fs, Field(x))
		}
	}
	return fs
}

// Nodes returns the size of the decision diagram that stands for s.
func (s Set) Nodes() int {
	n := 0
	s.sp.graph.visit(s.f, func(node) { n++ })
	return n
}

// Count returns how many valuations of the given fields occur in s; without
// fields, of all but the Extra fields and the unknowns.
func (s Set) Count(fs ...Field) *big.Int {
	if len(fs) == 0 {
		for f := range numFixed {
			fs = append(fs, f)
		}
	}
	levels := s.sp.levelsOf(fs)
	g := &s.sp.graph
	memo := map[ref]*big.Int{zero: new(big.Int), one: big.NewInt(1)}
	// place returns how many of the levels come before l.
	place := func(l level) int {
		i, _ := slices.BinarySearch(levels, l)
		return i
	}
	// count counts valuations of the levels from f's own on.
	var count func(f ref) *big.Int
	count = func(f ref) *big.Int {
		if n, ok := memo[f]; ok {
			return n
		}
		l := g.level(f)
		lo, hi := g.cofactors(f, l)
		sum := new(big.Int)
		for _, x := range [2]ref{lo, hi} {
			skipped := place(g.level(x)) - place(l) - 1
			sum.Add(sum, new(big.Int).Lsh(count(x), uint(skipped)))
		}
		memo[f] = sum
		return sum
	}
	f := s.project(fs...)
	return new(big.Int).Lsh(count(f), uint(place(g.level(f))))
}
