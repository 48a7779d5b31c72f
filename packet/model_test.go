package packet_test

import (
	"fmt"
	"slices"
	"testing"

	"sekimori/packet"
)

// tiny is a space whose sets only ever depend on a header small enough to list
// all its valuations, together with that list. Some numbers the fields could
// hold are invalid (three names in two bits, five states in three).
type tiny struct {
	sp     *packet.Space
	fields []tinyField
	points []packet.Packet // all valuations, mixed radix over fields
}

type tinyField struct {
	name   string
	field  packet.Field // not of unknowns
	values int
	set    func(p packet.Packet, v int) packet.Packet
	at     func(v int) packet.Set // by the operations that make sets of this field
}

const (
	tinyState = iota
	tinyIn
	tinyExtra
	tinyU
	tinyV
)

var tinyNames = []string{"eth0", "eth1", "other"}

func newTiny(maxNodes int, only ...int) *tiny {
	sp := packet.NewSpace(packet.Config{Family: packet.V4, Interfaces: tinyNames, MaxNodes: maxNodes})
	unknown := func(key string) tinyField {
		return tinyField{
			name: key, values: 2,
			set: func(p packet.Packet, v int) packet.Packet { return p.WithUnknown(key, v == 1) },
			at: func(v int) packet.Set {
				if v == 1 {
					return sp.Unknown(key)
				}
				return sp.Unknown(key).Not()
			},
		}
	}
	value := func(f packet.Field) func(int) packet.Set {
		return func(v int) packet.Set { return sp.Values(f, packet.Range{Lo: uint64(v), Hi: uint64(v)}) }
	}
	x := sp.Extra("x", 3)
	all := []tinyField{
		tinyState: {name: "state", field: packet.State, values: 5, at: value(packet.State), set: func(p packet.Packet, v int) packet.Packet {
			return p.With(packet.State, uint64(v))
		}},
		tinyIn: {name: "in", field: packet.InInterface, values: 3, at: value(packet.InInterface), set: func(p packet.Packet, v int) packet.Packet {
			p.In = tinyNames[v]
			return p
		}},
		tinyExtra: {name: "x", field: x, values: 8, at: value(x), set: func(p packet.Packet, v int) packet.Packet {
			return p.WithExtra("x", 3, []byte{byte(v)})
		}},
		tinyU: unknown("u"),
		tinyV: unknown("v"),
	}
	sp.Unknown("u")
	sp.Unknown("v")
	ty := &tiny{sp: sp}
	if len(only) == 0 {
		only = []int{tinyState, tinyIn, tinyExtra, tinyU, tinyV}
	}
	ty.points = []packet.Packet{{}}
	for _, i := range only {
		f := all[i]
		ty.fields = append(ty.fields, f)
		var next []packet.Packet
		for _, p := range ty.points {
			for v := range f.values {
				next = append(next, f.set(p, v))
			}
		}
		ty.points = next
	}
	return ty
}

// naive is a set of valuations, by their index in tiny.points.
type naive []bool

func (ty *tiny) naive(in func(values []int) bool) naive {
	n := make(naive, len(ty.points))
	for i := range n {
		n[i] = in(ty.values(i))
	}
	return n
}

// values is the valuation of that index.
func (ty *tiny) values(index int) []int {
	vs := make([]int, len(ty.fields))
	for i := len(ty.fields) - 1; i >= 0; i-- {
		vs[i] = index % ty.fields[i].values
		index /= ty.fields[i].values
	}
	return vs
}

func (ty *tiny) index(values []int) int {
	index := 0
	for i, v := range values {
		index = index*ty.fields[i].values + v
	}
	return index
}

func zip(a, b naive, op func(x, y bool) bool) naive {
	out := make(naive, len(a))
	for i := range out {
		out[i] = op(a[i], b[i])
	}
	return out
}

func (n naive) not() naive { return zip(n, n, func(x, _ bool) bool { return !x }) }

func (n naive) count() int {
	count := 0
	for _, x := range n {
		if x {
			count++
		}
	}
	return count
}

// exists quantifies the field at index f of ty.fields.
func (ty *tiny) exists(n naive, f int) naive {
	return ty.naive(func(values []int) bool {
		vs := slices.Clone(values)
		for v := range ty.fields[f].values {
			vs[f] = v
			if n[ty.index(vs)] {
				return true
			}
		}
		return false
	})
}

func (ty *tiny) forall(n naive, f int) naive { return ty.exists(n.not(), f).not() }

func (ty *tiny) restrict(n naive, f, v int) naive {
	return ty.naive(func(values []int) bool {
		vs := slices.Clone(values)
		vs[f] = v
		return n[ty.index(vs)]
	})
}

// set builds the symbolic set of n from points.
func (ty *tiny) set(n naive) packet.Set {
	s := ty.sp.None()
	for i, in := range n {
		if in {
			s = s.Or(ty.sp.Point(ty.points[i]))
		}
	}
	return s
}

// diff tells a valuation on which s and n disagree; s may depend on the tiny
// fields alone.
func (ty *tiny) diff(s packet.Set, n naive) string {
	for i, p := range ty.points {
		if s.Contains(p) != n[i] {
			return fmt.Sprintf("%s: the set says %v, the naive evaluator %v", p, s.Contains(p), n[i])
		}
	}
	return ""
}

func (ty *tiny) mustAgree(t testing.TB, what string, s packet.Set, n naive) {
	t.Helper()
	if d := ty.diff(s, n); d != "" {
		t.Fatalf("%s: %s", what, d)
	}
	if got, want := s.Empty(), n.count() == 0; got != want {
		t.Fatalf("%s: Empty is %v, want %v", what, got, want)
	}
}

// TestExhaustive goes through all 64 sets over three interface names and one
// unknown, each written in two ways that differ in what they say about the
// fourth, invalid number of an interface, and through all pairs and triples.
func TestExhaustive(t *testing.T) {
	ty := newTiny(0, tinyIn, tinyU)
	sp := ty.sp
	invalid := sp.Bit(packet.InInterface, 0).And(sp.Bit(packet.InInterface, 1))
	if !invalid.Empty() || sp.Width(packet.InInterface) != 2 {
		t.Fatal("the number 3 should be no interface")
	}
	type pair struct {
		s packet.Set
		n naive
	}
	var all []pair
	for mask := range 1 << len(ty.points) {
		n := make(naive, len(ty.points))
		for i := range n {
			n[i] = mask>>i&1 != 0
		}
		s := ty.set(n)
		for _, s := range []packet.Set{s.Minus(invalid), s.Or(invalid)} {
			ty.mustAgree(t, fmt.Sprint(mask), s, n)
			if s.Count(packet.InInterface).Int64() != int64(ty.exists(n, 1).count()/2) {
				t.Fatalf("mask %06b: %s names", mask, s.Count(packet.InInterface))
			}
			all = append(all, pair{s, n})
		}
	}
	for _, a := range all {
		ty.mustAgree(t, "not", a.s.Not(), a.n.not())
		ty.mustAgree(t, "exists", a.s.Exists(packet.InInterface), ty.exists(a.n, 0))
		ty.mustAgree(t, "forall", a.s.Forall(packet.InInterface), ty.forall(a.n, 0))
		ty.mustAgree(t, "may", a.s.May(), ty.exists(a.n, 1))
		ty.mustAgree(t, "must", a.s.Must(), ty.forall(a.n, 1))
		for v := range 3 {
			ty.mustAgree(t, "restrict", a.s.Restrict(packet.InInterface, uint64(v)), ty.restrict(a.n, 0, v))
		}
		if !a.s.Restrict(packet.InInterface, 3).Empty() {
			t.Fatal("there is no interface 3")
		}
		for _, b := range all {
			ty.pairs(t, a.s, b.s, a.n, b.n)
		}
	}
	// all[2*mask] is the set of that mask.
	for a := range len(all) / 2 {
		for b := range len(all) / 2 {
			for c := range len(all) / 2 {
				s := sp.If(all[2*a].s, all[2*b+1].s, all[2*c].s)
				if !s.Equal(all[2*(a&b|c&^a)].s) {
					t.Fatalf("if %06b then %06b else %06b is wrong", a, b, c)
				}
			}
		}
	}
}

func and(x, y bool) bool { return x && y }
func or(x, y bool) bool  { return x || y }

func (ty *tiny) pairs(t *testing.T, a, b packet.Set, na, nb naive) {
	t.Helper()
	ty.mustAgree(t, "and", a.And(b), zip(na, nb, and))
	ty.mustAgree(t, "or", a.Or(b), zip(na, nb, or))
	ty.mustAgree(t, "minus", a.Minus(b), zip(na, nb, func(x, y bool) bool { return x && !y }))
	ty.mustAgree(t, "xor", a.Xor(b), zip(na, nb, func(x, y bool) bool { return x != y }))
	if a.Equal(b) != slices.Equal(na, nb) {
		t.Fatalf("equal: %v and %v", na, nb)
	}
	if a.SubsetOf(b) != (zip(na, nb, func(x, y bool) bool { return x && !y }).count() == 0) {
		t.Fatalf("subset: %v and %v", na, nb)
	}
	if a.Overlaps(b) != (zip(na, nb, and).count() > 0) {
		t.Fatalf("overlaps: %v and %v", na, nb)
	}
}
