package packet_test

import (
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"sekimori/packet"
)

// machine runs a program of set operations twice: on symbolic sets and on lists
// of valuations. Any bytes are a program.
type machine struct {
	ty      *tiny
	program []byte
	sets    []packet.Set
	naives  []naive
}

func newMachine(maxNodes int, program []byte) *machine {
	m := &machine{ty: newTiny(maxNodes), program: program}
	m.push(m.ty.sp.All(), m.ty.naive(func([]int) bool { return true }))
	return m
}

// next is the next byte of the program, 0 behind its end.
func (m *machine) next() int {
	if len(m.program) == 0 {
		return 0
	}
	b := m.program[0]
	m.program = m.program[1:]
	return int(b)
}

func (m *machine) push(s packet.Set, n naive) {
	m.sets, m.naives = append(m.sets, s), append(m.naives, n)
}

// pick takes one of the sets made so far.
func (m *machine) pick() (packet.Set, naive) {
	i := len(m.sets) - 1 - m.next()%len(m.sets)
	return m.sets[i], m.naives[i]
}

func (m *machine) top() (packet.Set, naive) { return m.sets[len(m.sets)-1], m.naives[len(m.naives)-1] }

// run executes up to limit operations.
func (m *machine) run(limit int) {
	for range limit {
		if len(m.program) == 0 {
			return
		}
		m.step()
	}
}

func (m *machine) step() {
	switch op := m.next() % 16; op {
	case 0, 1:
		m.value()
	case 2:
		m.between()
	case 3:
		m.tuples()
	case 4, 5:
		a, na := m.pick()
		b, nb := m.pick()
		m.push(a.And(b), zip(na, nb, and))
	case 6, 7:
		a, na := m.pick()
		b, nb := m.pick()
		m.push(a.Or(b), zip(na, nb, or))
	case 8:
		a, na := m.pick()
		b, nb := m.pick()
		m.push(a.Minus(b), zip(na, nb, func(x, y bool) bool { return x && !y }))
	case 9:
		a, na := m.pick()
		b, nb := m.pick()
		m.push(a.Xor(b), zip(na, nb, func(x, y bool) bool { return x != y }))
	case 10:
		a, na := m.pick()
		m.push(a.Not(), na.not())
	case 11:
		a, na := m.pick()
		b, nb := m.pick()
		c, nc := m.pick()
		m.push(m.ty.sp.If(a, b, c), zip(zip(na, nb, and), zip(na.not(), nc, and), or))
	default:
		m.quantify(op)
	}
}

func (m *machine) quantify(op int) {
	a, na := m.pick()
	f := m.next() % len(m.ty.fields)
	field := m.ty.fields[f]
	u, v := tinyU, tinyV
	switch {
	case op == 12 && f < tinyU:
		m.push(a.Exists(field.field), m.ty.exists(na, f))
	case op == 12:
		m.push(a.May(), m.ty.exists(m.ty.exists(na, u), v))
	case op == 13 && f < tinyU:
		m.push(a.Forall(field.field), m.ty.forall(na, f))
	case op == 13:
		m.push(a.Must(), m.ty.forall(m.ty.forall(na, u), v))
	case op == 14 && f < tinyU:
		value := m.next() % field.values
		m.push(a.Restrict(field.field, uint64(value)), m.ty.restrict(na, f, value))
	case op == 14:
		key := field.name
		m.push(a.ExistsUnknowns(func(k string) bool { return k == key }), m.ty.exists(na, f))
	case f < tinyU:
		keep := m.ty.naive(func([]int) bool { return true })
		keep = zip(na, keep, and)
		for other := range m.ty.fields {
			if other != f {
				keep = m.ty.exists(keep, other)
			}
		}
		m.push(a.Only(field.field), keep)
	default:
		key := field.name
		m.push(a.ForallUnknowns(func(k string) bool { return k == key }), m.ty.forall(na, f))
	}
}

// value pushes a range of values of a field.
func (m *machine) value() {
	f := m.next() % len(m.ty.fields)
	lo, hi := m.next()%8, m.next()%8
	n := m.ty.naive(func(values []int) bool { return lo <= values[f] && values[f] <= hi })
	switch field := m.ty.fields[f]; {
	case f >= tinyU:
		n = m.ty.naive(func(values []int) bool { return values[f] == 1 })
		m.push(field.at(1), n)
	case f == tinyIn:
		s := m.ty.sp.Interfaces(packet.InInterface, func(name string) bool {
			i := slices.Index(tinyNames, name)
			return lo <= i && i <= hi
		})
		m.push(s, n)
	default:
		m.push(m.ty.sp.Values(field.field, packet.Range{Lo: uint64(lo), Hi: uint64(hi)}), n)
	}
}

// number makes a bit vector out of anything: bits of fields in order or not,
// complements, and any set made so far.
func (m *machine) number() ([]packet.Set, []naive) {
	var bits []packet.Set
	var naives []naive
	for range 1 + m.next()%5 {
		f := m.next() % (tinyU + 3)
		if f >= tinyU {
			a, na := m.pick()
			bits, naives = append(bits, a), append(naives, na)
			continue
		}
		field := m.ty.fields[f].field
		width := m.ty.sp.Width(field)
		i := m.next() % width
		bits = append(bits, m.ty.sp.Bit(field, i))
		naives = append(naives, m.ty.naive(func(values []int) bool { return values[f]>>(width-1-i)&1 != 0 }))
	}
	return bits, naives
}

func valueOf(bits []naive, point int) int {
	v := 0
	for _, b := range bits {
		v *= 2
		if b[point] {
			v++
		}
	}
	return v
}

func (m *machine) intervals() ([]packet.Interval, func(v int) bool) {
	var ivs []packet.Interval
	for range m.next() % 4 {
		ivs = append(ivs, packet.Interval{Lo: []byte{byte(m.next() % 40)}, Hi: []byte{byte(m.next() % 40)}})
	}
	return ivs, func(v int) bool {
		return slices.ContainsFunc(ivs, func(iv packet.Interval) bool { return int(iv.Lo[0]) <= v && v <= int(iv.Hi[0]) })
	}
}

func (m *machine) between() {
	bits, naives := m.number()
	ivs, in := m.intervals()
	n := make(naive, len(m.ty.points))
	for i := range n {
		n[i] = in(valueOf(naives, i))
	}
	m.push(m.ty.sp.Between(bits, ivs), n)
}

func (m *machine) tuples() {
	bits1, naives1 := m.number()
	bits2, naives2 := m.number()
	n := make(naive, len(m.ty.points))
	var elems [][]packet.Interval
	for range m.next() % 5 {
		iv := func() packet.Interval {
			lo := byte(m.next() % 32)
			return packet.Interval{Lo: []byte{lo}, Hi: []byte{lo + byte(m.next()%8)}}
		}
		a, b := iv(), iv()
		elems = append(elems, []packet.Interval{a, b})
		for i := range n {
			x, y := valueOf(naives1, i), valueOf(naives2, i)
			n[i] = n[i] || int(a.Lo[0]) <= x && x <= int(a.Hi[0]) && int(b.Lo[0]) <= y && y <= int(b.Hi[0])
		}
	}
	m.push(m.ty.sp.Tuples([][]packet.Set{bits1, bits2}, elems), n)
}

// check compares the last set with its naive twin through everything that reads
// a set.
func (m *machine) check(t testing.TB) {
	t.Helper()
	ty := m.ty
	s, n := m.top()
	ty.mustAgree(t, "result", s, n)
	if got := s.Count(packet.State, packet.InInterface, ty.fields[tinyExtra].field); true {
		want := ty.exists(ty.exists(n, tinyU), tinyV).count() / 4
		if got.Cmp(big.NewInt(int64(want))) != 0 {
			t.Fatalf("Count: %s, want %d", got, want)
		}
	}
	for f := range tinyU {
		var got []int
		for _, r := range s.Ranges(ty.fields[f].field) {
			for v := r.Lo; v <= r.Hi; v++ {
				got = append(got, int(v))
			}
		}
		var want []int
		for v := range ty.fields[f].values {
			if ty.restrict(n, f, v).count() > 0 {
				want = append(want, v)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("Ranges of %s: %v, want %v", ty.fields[f].name, got, want)
		}
	}
	m.checkUnknownKeys(t)
	m.checkBoxes(t)
	sample, ok := s.Sample()
	if again, _ := s.Sample(); ok != !s.Empty() || ok && !s.Contains(sample) || !again.Equal(sample) {
		t.Fatalf("Sample: %s, %v; contained: %v", sample, ok, s.Contains(sample))
	}
	if !ty.set(n).Equal(s) {
		t.Fatal("not equal to the union of its points")
	}
}

func (m *machine) checkUnknownKeys(t testing.TB) {
	t.Helper()
	s, n := m.top()
	var want []string
	for _, f := range []int{tinyU, tinyV} {
		if !slices.Equal(n, m.ty.restrict(n, f, 0)) {
			want = append(want, m.ty.fields[f].name)
		}
	}
	if got := m.ty.sp.UnknownKeys(s); !slices.Equal(got, want) {
		t.Fatalf("UnknownKeys: %q, want %q", got, want)
	}
}

func (m *machine) checkBoxes(t testing.TB) {
	t.Helper()
	s, _ := m.top()
	boxes, complete := s.Boxes(0)
	if !complete {
		t.Fatal("boxes without a limit are incomplete")
	}
	union := m.ty.sp.None()
	for _, b := range boxes {
		if b.Set().Empty() || union.Overlaps(b.Set()) {
			t.Fatalf("box %q is empty or overlaps those before it", b)
		}
		union = union.Or(b.Set())
	}
	if !union.Equal(s) {
		t.Fatalf("the boxes %q are not the set", fmt.Sprint(boxes))
	}
	if len(boxes) < 2 {
		return
	}
	if some, complete := s.Boxes(len(boxes) - 1); complete || len(some) != len(boxes)-1 {
		t.Fatalf("with a limit of %d: %d boxes, complete %v", len(boxes)-1, len(some), complete)
	}
}

func TestLawsOfPrograms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(0, rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "program"))
		m.run(40)
		m.check(shim{TB: nil, t: t})
	})
}

// shim lets helpers for testing.TB serve rapid.
type shim struct {
	testing.TB
	t *rapid.T
}

func (s shim) Helper()                   {}
func (s shim) Fatal(args ...any)         { s.t.Fatal(args...) }
func (s shim) Fatalf(f string, a ...any) { s.t.Fatalf(f, a...) }

// FuzzProgram interprets bytes as a program of operations and compares the
// symbolic result with lists of valuations.
func FuzzProgram(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 0, 1, 0, 0, 4, 0, 1, 10, 0})
	f.Add([]byte{2, 4, 0, 1, 1, 1, 2, 0, 2, 1, 9, 3, 17, 30, 12, 0, 0})
	f.Add([]byte{3, 2, 2, 0, 2, 1, 1, 0, 0, 3, 5, 1, 9, 2, 7, 7, 7, 11, 0, 1, 2, 15, 0, 2})
	f.Fuzz(func(t *testing.T, program []byte) {
		m := newMachine(0, program)
		m.run(40)
		m.check(t)
	})
}

// TestBudgetNeverWrong gives the same programs budgets from almost nothing to
// enough: each run is either right or ErrBudget.
func TestBudgetNeverWrong(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	exhausted, done := 0, 0
	for range 10 {
		program := make([]byte, 300)
		for i := range program {
			program[i] = byte(rng.Uint32())
		}
		for budget := 256; budget < 1600; budget += 61 {
			m := newMachine(budget, program)
			err := m.ty.sp.Do(func() error { m.run(60); return nil })
			switch {
			case errors.Is(err, packet.ErrBudget):
				exhausted++
			case err != nil:
				t.Fatal(err)
			default:
				done++
			}
			// What was made before the end stays right, and asking makes no nodes.
			for i := max(0, len(m.sets)-4); i < len(m.sets); i++ {
				m.ty.mustAgree(t, fmt.Sprintf("budget %d, set %d", budget, i), m.sets[i], m.naives[i])
			}
		}
	}
	if done < 10 || exhausted < 10 {
		t.Fatalf("%d runs had enough, %d had not: too few of one kind to prove anything", done, exhausted)
	}
}
