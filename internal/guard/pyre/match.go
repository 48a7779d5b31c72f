package pyre

import (
	"bytes"
	"unicode/utf8"
)

// A Result is the outcome of a search.
type Result uint8

// The outcomes. Exhausted means that the budget ran out before it was known
// whether there is a match.
const (
	NoMatch Result = iota
	Matched
	Exhausted
)

// A Machine holds what a search needs besides the program: the positions of
// groups, choices left, failures remembered. It is reused from search to
// search, allocates only to grow, and must not be used by two goroutines at
// the same time.
type Machine struct {
	re    *Regexp
	text  []byte
	from  int
	caps  []int32
	loops []int32
	stack []frame

	left int // what is left of the budget
	over bool
	// memo has one bit for each state in which the search has failed already;
	// it is nil in the first, optimistic attempt.
	memo    []uint64
	memory  []uint64
	nflags  int
	inInner int
}

// A frame is a choice left, or a value to put back on the way to one.
type frame struct {
	kind frameKind
	a    int32 // instruction, slot or register
	b    int32 // position or old value
	c    int32 // opRep: the least end (greedy), or how many are taken (lazy)
}

type frameKind int32

const (
	fBranch frameKind = iota
	fGreedy
	fLazy
	fCapture
	fLoop
	fLazyTo // as fLazy, up to c
	fEnter  // the body of the lazy loop at a, from b
)

// NewMachine returns a Machine.
func NewMachine() *Machine { return &Machine{stack: make([]frame, 0, 64)} }

// optimistic is what the first attempt of a search may cost, besides a share
// for the length of the text; most patterns need a tenth of it.
const optimistic = 3000

// Search looks for the leftmost match of re in text, spending at most *budget,
// from which it takes what it used; below zero, it is what the last step took
// beyond. A unit is about one instruction, or eight
// characters of a run: a few nanoseconds.
func (m *Machine) Search(re *Regexp, text []byte, budget *int) Result {
	return m.SearchFrom(re, text, 0, budget)
}

// SearchFrom is Search for a match that begins at from or later. What stands
// before is still seen by ^, \b and lookbehind.
func (m *Machine) SearchFrom(re *Regexp, text []byte, from int, budget *int) Result {
	m.re, m.text, m.memo, m.over, m.from = re, text, nil, false, from
	if n := 2 * re.groups; cap(m.caps) < n {
		m.caps = make([]int32, n)
	} else {
		m.caps = m.caps[:n]
	}
	if cap(m.loops) < re.loops {
		m.loops = make([]int32, re.loops)
	}
	m.loops = m.loops[:re.loops]

	quick := min(*budget, optimistic+4*len(text))
	if !re.memoable() || re.bits(len(text)) > maxMemory {
		quick = *budget
	}
	m.left = quick
	r := m.scan()
	*budget -= quick - m.left
	if r == Exhausted && *budget > 0 && re.memoable() && m.remember() {
		m.left, m.over = *budget-len(m.memo)>>5, false
		r = m.scan()
		*budget = m.left
		m.memo = nil
	}
	return r
}

// Span returns where group g of the last match begins and ends; -1, -1 if it
// took no part.
func (m *Machine) Span(g int) (from, to int) {
	a, b := m.caps[2*g], m.caps[2*g+1]
	if a < 0 || b < a {
		return -1, -1
	}
	return int(a), int(b)
}

// maxMemory bounds what is remembered for one search, in bits: half a megabyte
// for each thousand characters of a line that is as long as lines get. What
// would need more, a pattern with hundreds of choices and several optional
// loops, is ended by the budget.
const maxMemory = 32 << 20

// bits is how much there is to remember for a text of n bytes.
func (re *Regexp) bits(n int) int { return (re.memos << (len(re.conds) + re.loops)) * (n + 1) }

// remember sets up the memory of failures, unless it would be too large.
func (m *Machine) remember() bool {
	m.nflags = 1 << (len(m.re.conds) + m.re.loops)
	bits := m.re.bits(len(m.text))
	if bits > maxMemory {
		return false
	}
	if words := bits/64 + 1; cap(m.memory) < words {
		m.memory = make([]uint64, words)
	} else {
		m.memory = m.memory[:words]
		clear(m.memory)
	}
	m.memo = m.memory
	return true
}

// failed reports whether the state was seen before, and notes it.
func (m *Machine) failed(slot, pos int32) bool {
	flags := 0
	for i, g := range m.re.conds {
		if m.caps[2*g] >= 0 && m.caps[2*g+1] >= m.caps[2*g] {
			flags |= 1 << i
		}
	}
	for i, p := range m.loops {
		if p == pos {
			flags |= 1 << (len(m.re.conds) + i)
		}
	}
	bit := (int(slot)*m.nflags+flags)*(len(m.text)+1) + int(pos)
	w, b := bit>>6, uint64(1)<<(bit&63)
	if m.memo[w]&b != 0 {
		return true
	}
	m.memo[w] |= b
	return false
}

// scan tries one start after the other.
func (m *Machine) scan() Result {
	re, text := m.re, m.text
	for at := m.from; ; at++ {
		if !re.anchored {
			at = m.candidate(at)
			if at < 0 {
				return NoMatch
			}
		} else if at > 0 || re.prefix != nil && !bytes.HasPrefix(text, re.prefix) {
			return NoMatch
		}
		for i := range m.caps {
			m.caps[i] = -1
		}
		for i := range m.loops {
			m.loops[i] = -1
		}
		m.stack = m.stack[:0]
		end, ok := m.run(re.start, int32(at))
		switch {
		case m.over:
			return Exhausted
		case ok:
			m.caps[0], m.caps[1] = int32(at), end
			return Matched
		case re.anchored || at >= len(text):
			return NoMatch
		}
	}
}

// candidate returns the first position from at where a match could begin.
func (m *Machine) candidate(at int) int {
	text := m.text
	switch {
	case at > len(text):
		return -1
	case m.re.prefix != nil:
		i := bytes.Index(text[at:], m.re.prefix)
		if i < 0 {
			m.left -= (len(text) - at) >> 5
			return -1
		}
		m.left -= i >> 5
		return at + i
	case m.re.lines:
		if at == 0 {
			return 0
		}
		i := bytes.IndexByte(text[at-1:], '\n')
		if i < 0 {
			return -1
		}
		return at + i
	}
	first, from := &m.re.first, at
	for at < len(text) && (!inSet(first, text[at]) || !utf8.RuneStart(text[at]) && m.inside(at)) {
		at++
	}
	m.left -= 1 + (at-from)>>3
	return at
}

// inside reports whether at is within the encoding of one character.
func (m *Machine) inside(at int) bool {
	for back := 1; back < utf8.UTFMax && back <= at; back++ {
		if utf8.RuneStart(m.text[at-back]) {
			_, n := utf8.DecodeRune(m.text[at-back:])
			return n > back
		}
	}
	return false
}

// run executes from pc at pos until opMatch or until no choice is left above
// the present height of the stack. The budget is charged where a program can
// go round in circles, or back.
func (m *Machine) run(pc, pos int32) (end int32, ok bool) {
	prog, text := m.re.prog, m.text
	base := len(m.stack)
	memo := m.memo != nil && m.inInner == 0
	for {
		in := &prog[pc]
		switch in.op {
		case opMatch:
			return pos, true
		case opChar:
			if int(pos) < len(text) && text[pos] == in.b {
				pos++
				pc = in.next
				continue
			}
		case opStr:
			if n := len(in.str); len(text)-int(pos) >= n && string(text[pos:int(pos)+n]) == in.str {
				pos += int32(n)
				pc = in.next
				continue
			}
		case opSet:
			if int(pos) < len(text) {
				switch in.set.table[text[pos]] {
				case belongs:
					pos++
					pc = in.next
					continue
				case unclear:
					if n := m.one(in.set, pos); n > 0 {
						pos += n
						pc = in.next
						continue
					}
				}
			}
		case opRep:
			if memo && m.failed(in.memo, pos) {
				break
			}
			m.left--
			if int(pos) < len(text) && in.set.table[text[pos]] == stops {
				if in.min == 0 && in.ways[text[pos]]&1 != 0 {
					pc = in.next
					continue
				}
				break
			}
			switch {
			case in.sure:
				end := pos
				if in.max == infinite {
					end = m.spanAll(in.set, pos)
				} else {
					end, _ = m.span(in.set, pos, in.max)
				}
				m.left -= int(end-pos) >> 4
				if (end > pos || in.min == 0) && (int(end) >= len(text) || in.ways[text[end]]&1 != 0) {
					pc, pos = in.next, end
					continue
				}
			case in.simple:
				// The usual repeat, x* or x+, without a call for each of its parts.
				if least, good := m.atLeast(in, pos); good {
					end := m.spanAll(in.set, least)
					m.left -= int(end-least) >> 4
					if end == least {
						if int(end) >= len(text) || in.ways[text[end]]&1 != 0 {
							pc, pos = in.next, end
							continue
						}
						break
					}
					if to, at := m.longest(pc, in, end, least); to >= 0 {
						pc, pos = to, at
						continue
					}
				}
			default:
				if to, good := m.repeat(pc, in, pos); good {
					pc, pos = in.next, to
					continue
				}
			}
		case opSplit:
			if memo && m.failed(in.memo, pos) {
				break
			}
			m.left--
			ways := uint8(3)
			if int(pos) < len(text) {
				ways = in.ways[text[pos]]
			}
			switch ways {
			case 3:
				m.stack = append(m.stack, frame{fBranch, in.alt, pos, 0})
				pc = in.next
				continue
			case 1:
				pc = in.next
				continue
			case 2:
				pc = in.alt
				continue
			}
		case opFields:
			m.left--
			if to := m.fields(in, pos); to >= 0 {
				pc, pos = in.next, to
				continue
			}
		case opSave:
			if len(m.stack) > 0 {
				m.stack = append(m.stack, frame{fCapture, in.arg, m.caps[in.arg], 0})
			}
			m.caps[in.arg] = pos
			pc = in.next
			continue
		case opCond:
			pc = in.next
			if s := m.caps[2*in.arg]; s < 0 || m.caps[2*in.arg+1] < s {
				pc = in.alt
			}
			continue
		default:
			if pc, pos, ok = m.special(pc, in, pos); ok {
				continue
			}
		}
		if pc, pos = m.back(base); pc < 0 {
			return 0, false
		}
	}
}

// special executes the instructions that few patterns have.
func (m *Machine) special(pc int32, in *inst, pos int32) (int32, int32, bool) {
	good := false
	switch in.op {
	case opAssert:
		good = m.assert(assertKind(in.arg), pos)
	case opAhead:
		good = bytes.HasPrefix(m.text[pos:], []byte(in.str)) != in.negate
	case opPrev:
		good = m.prev(in.set, pos) != in.negate
	case opLoop:
		m.left--
		to, good := m.loop(pc, in, pos)
		return to, pos, good
	case opEnter:
		if len(m.stack) > 0 {
			m.stack = append(m.stack, frame{fLoop, in.arg, m.loops[in.arg], 0})
		}
		m.loops[in.arg] = -1
		good = true
	case opLook:
		good = m.look(in, pos)
	case opAtomic:
		pos, good = m.inner(in.alt, pos, false)
	case opBackref:
		pos, good = m.backref(in, pos)
	}
	return in.next, pos, good && !m.over
}

// back takes the last choice left above base; pc is -1 if there is none.
func (m *Machine) back(base int) (pc, pos int32) {
	if m.left--; m.left < 0 {
		m.over = true
	}
	for len(m.stack) > base && !m.over {
		f := &m.stack[len(m.stack)-1]
		switch f.kind {
		case fCapture:
			m.caps[f.a] = f.b
		case fLoop:
			m.loops[f.a] = f.b
		case fBranch:
			pc, pos = f.a, f.b
			m.stack = m.stack[:len(m.stack)-1]
			return pc, pos
		case fEnter:
			in := &m.re.prog[f.a]
			pos = f.b
			*f = frame{fLoop, in.arg, m.loops[in.arg], 0}
			m.loops[in.arg] = pos
			return in.next, pos
		case fGreedy:
			if pc, pos = m.shorter(f); pc >= 0 {
				return pc, pos
			}
		case fLazyTo:
			if pc, pos = m.longerTo(f); pc >= 0 {
				return pc, pos
			}
		case fLazy:
			if pc, pos = m.longer(f); pc >= 0 {
				return pc, pos
			}
		}
		m.stack = m.stack[:len(m.stack)-1]
	}
	return -1, 0
}

// loop decides at the head of a loop whose body may match nothing.
func (m *Machine) loop(at int32, in *inst, pos int32) (pc int32, ok bool) {
	if m.memo != nil && m.inInner == 0 && m.failed(in.memo, pos) {
		return 0, false
	}
	if m.loops[in.arg] == pos {
		return in.alt, true
	}
	if in.lazy {
		m.stack = append(m.stack, frame{fEnter, at, pos, 0})
		return in.alt, true
	}
	m.stack = append(m.stack, frame{fBranch, in.alt, pos, 0}, frame{fLoop, in.arg, m.loops[in.arg], 0})
	m.loops[in.arg] = pos
	return in.next, true
}

func (m *Machine) prev(set *charSet, pos int32) bool {
	if pos == 0 {
		return false
	}
	r, _ := utf8.DecodeLastRune(m.text[:pos])
	return set.has(r)
}

func (m *Machine) assert(a assertKind, pos int32) bool {
	text, n := m.text, int32(len(m.text))
	switch a {
	case aBegin:
		return pos == 0
	case aBeginLine:
		return pos == 0 || text[pos-1] == '\n'
	case aEnd:
		return pos == n
	case aEndFinal:
		return pos == n || pos == n-1 && text[pos] == '\n'
	case aEndLine:
		return pos == n || text[pos] == '\n'
	case aWord:
		return m.boundary(pos)
	}
	return !m.boundary(pos) && n > 0
}

func (m *Machine) boundary(pos int32) bool {
	before, after := false, false
	if pos > 0 {
		r, _ := utf8.DecodeLastRune(m.text[:pos])
		before = isWord(r)
	}
	if int(pos) < len(m.text) {
		r, _ := utf8.DecodeRune(m.text[pos:])
		after = isWord(r)
	}
	return before != after
}
