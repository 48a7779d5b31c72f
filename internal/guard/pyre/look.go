package pyre

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// look decides a lookahead or lookbehind.
func (m *Machine) look(in *inst, pos int32) bool {
	if in.behind {
		for range in.arg {
			if pos == 0 {
				return in.negate
			}
			_, n := utf8.DecodeLastRune(m.text[:pos])
			pos -= int32(n)
		}
	}
	_, ok := m.inner(in.alt, pos, in.negate)
	return ok != in.negate
}

// inner runs a body by itself. If it matches, its choices are dropped; what it
// captured is kept, with the notes to undo it, unless undo is set.
func (m *Machine) inner(pc, pos int32, undo bool) (int32, bool) {
	base := len(m.stack)
	m.stack = append(m.stack, frame{fBranch, 0, 0, 0}) // so that opSave leaves notes
	m.inInner++
	end, ok := m.run(pc, pos)
	m.inInner--
	if !ok || undo {
		for i := len(m.stack) - 1; i > base; i-- {
			m.putBack(&m.stack[i])
		}
		m.stack = m.stack[:base]
		return end, ok
	}
	keep := base
	for _, f := range m.stack[base:] {
		if f.kind == fCapture || f.kind == fLoop {
			m.stack[keep] = f
			keep++
		}
	}
	m.stack = m.stack[:keep]
	return end, true
}

func (m *Machine) putBack(f *frame) {
	switch f.kind {
	case fCapture:
		m.caps[f.a] = f.b
	case fLoop:
		m.loops[f.a] = f.b
	}
}

func (m *Machine) backref(in *inst, pos int32) (int32, bool) {
	from, to := m.caps[2*in.arg], m.caps[2*in.arg+1]
	if from < 0 || to < from {
		return 0, false
	}
	want, have := m.text[from:to], m.text[pos:]
	m.left -= len(want) >> 3
	if !in.fold {
		if !bytes.HasPrefix(have, want) {
			return 0, false
		}
		return pos + to - from, true
	}
	for len(want) > 0 {
		a, n := utf8.DecodeRune(want)
		if len(have) == 0 {
			return 0, false
		}
		b, k := utf8.DecodeRune(have)
		if a != b && unicode.ToLower(a) != unicode.ToLower(b) {
			return 0, false
		}
		want, have, pos = want[n:], have[k:], pos+int32(k)
	}
	return pos, true
}
