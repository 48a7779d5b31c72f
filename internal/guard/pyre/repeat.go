package pyre

import (
	"bytes"
	"unicode/utf8"
)

// one returns the length of the character at pos if it is in set, else 0.
func (m *Machine) one(set *charSet, pos int32) int32 {
	if int(pos) >= len(m.text) {
		return 0
	}
	c := m.text[pos]
	if c < utf8.RuneSelf {
		if set.ascii[c>>6]&(1<<(c&63)) != 0 {
			return 1
		}
		return 0
	}
	r, n := utf8.DecodeRune(m.text[pos:])
	if set.beyond(r) {
		return int32(n)
	}
	return 0
}

// span returns where the characters of set from pos end, at most limit of
// them, and how many there are; if limit is infinite, they are not counted.
func (m *Machine) span(set *charSet, pos, limit int32) (end, count int32) {
	if limit >= infinite-maxRepeat {
		return m.spanAll(set, pos), 0
	}
	text := m.text
	for count < limit && int(pos) < len(text) {
		n := int32(1)
		switch set.table[text[pos]] {
		case stops:
			return pos, count
		case unclear:
			if n = m.one(set, pos); n == 0 {
				return pos, count
			}
		}
		pos += n
		count++
	}
	return pos, count
}

func (m *Machine) spanAll(set *charSet, pos int32) int32 {
	text := m.text
	if set.not >= 0 {
		if i := bytes.IndexByte(text[pos:], byte(set.not)); i >= 0 {
			return pos + int32(i)
		}
		return int32(len(text))
	}
	table := &set.table
	for int(pos) < len(text) {
		switch table[text[pos]] {
		case belongs:
			pos++
			continue
		case unclear:
			if n := m.one(set, pos); n > 0 {
				pos += n
				continue
			}
		}
		break
	}
	return pos
}

// atLeast takes the one character that x+ must have, or none for x*.
func (m *Machine) atLeast(in *inst, pos int32) (int32, bool) {
	if in.min == 0 {
		return pos, true
	}
	if int(pos) < len(m.text) && in.set.table[m.text[pos]] == belongs {
		return pos + 1, true
	}
	n := m.one(in.set, pos)
	return pos + n, n > 0
}

func (m *Machine) repeat(pc int32, in *inst, pos int32) (int32, bool) {
	if in.str != "" {
		return m.repeatUnless(pc, in, pos)
	}
	least := pos
	if in.min > 0 {
		var n int32
		if least, n = m.span(in.set, pos, in.min); n < in.min {
			return 0, false
		}
	}
	if in.lazy {
		m.stack = append(m.stack, frame{fLazy, pc, least, in.min})
		f := &m.stack[len(m.stack)-1]
		if m.goes(in, least) {
			return least, true
		}
		if pc, pos = m.longer(f); pc >= 0 {
			return pos, true
		}
		m.stack = m.stack[:len(m.stack)-1]
		return 0, false
	}
	end, _ := m.span(in.set, least, in.max-in.min)
	m.left -= int(end-least) >> 4
	if end > least {
		m.stack = append(m.stack, frame{fGreedy, pc, end, least})
		if m.goes(in, end) {
			return end, true
		}
		if pc, pos = m.shorter(&m.stack[len(m.stack)-1]); pc >= 0 {
			return pos, true
		}
		m.stack = m.stack[:len(m.stack)-1]
		return 0, false
	}
	return end, m.goes(in, end)
}

// repeatUnless is repeat for a run that ends where a literal begins.
func (m *Machine) repeatUnless(pc int32, in *inst, pos int32) (int32, bool) {
	text := m.text
	if i := bytes.Index(text[pos:], []byte(in.str)); i >= 0 {
		m.text = text[:int(pos)+i]
	}
	defer func() { m.text = text }()
	least := pos
	if in.min > 0 {
		var n int32
		if least, n = m.span(in.set, pos, in.min); n < in.min {
			return 0, false
		}
	}
	end, _ := m.span(in.set, least, in.max-in.min)
	m.left -= int(end-least) >> 4
	m.text = text
	if !in.lazy {
		if end > least {
			m.stack = append(m.stack, frame{fGreedy, pc, end, least})
		}
		if m.goes(in, end) {
			return end, true
		}
		if end > least {
			if pc, pos = m.shorter(&m.stack[len(m.stack)-1]); pc >= 0 {
				return pos, true
			}
			m.stack = m.stack[:len(m.stack)-1]
		}
		return 0, false
	}
	m.stack = append(m.stack, frame{fLazyTo, pc, least, end})
	if m.goes(in, least) {
		return least, true
	}
	if pc, pos = m.longerTo(&m.stack[len(m.stack)-1]); pc >= 0 {
		return pos, true
	}
	m.stack = m.stack[:len(m.stack)-1]
	return 0, false
}

// longerTo is longer for a run whose end is known.
func (m *Machine) longerTo(f *frame) (pc, pos int32) {
	in := &m.re.prog[f.a]
	for at := f.b; at < f.c; {
		if m.text[at] < utf8.RuneSelf {
			at++
		} else {
			_, n := utf8.DecodeRune(m.text[at:])
			at += int32(n)
		}
		if !m.goes(in, at) || m.memo != nil && m.inInner == 0 && m.failed(in.memo+1, at) {
			continue
		}
		m.left -= int(at-f.b) >> 3
		f.b = at
		return in.next, at
	}
	m.left -= int(f.c-f.b) >> 3
	f.b = f.c
	return -1, 0
}

// goes reports whether what follows a repeat can go on at pos.
func (m *Machine) goes(in *inst, pos int32) bool {
	return int(pos) >= len(m.text) || in.ways[m.text[pos]]&1 != 0
}

// shorter gives up characters at the end of a greedy run until what follows
// could go on. The frame is removed by the caller when pc is -1.
func (m *Machine) shorter(f *frame) (pc, pos int32) {
	in := &m.re.prog[f.a]
	at := f.b
	for at > f.c {
		if m.text[at-1] < utf8.RuneSelf {
			at--
		} else {
			_, n := utf8.DecodeLastRune(m.text[f.c:at])
			at -= int32(n)
		}
		if in.ways[m.text[at]]&1 == 0 {
			continue
		}
		m.left -= int(f.b-at) >> 3
		if m.memo != nil && m.inInner == 0 && m.failed(in.memo+1, at) {
			f.b = at
			continue
		}
		f.b = at
		if at == f.c {
			m.stack = m.stack[:len(m.stack)-1]
		}
		return in.next, at
	}
	m.left -= int(f.b-f.c) >> 3
	return -1, 0
}

// longer takes characters at the end of a lazy run until what follows could go on.
func (m *Machine) longer(f *frame) (pc, pos int32) {
	in := &m.re.prog[f.a]
	at, count := f.b, f.c
	for count < in.max {
		n := m.one(in.set, at)
		if n == 0 {
			break
		}
		at += n
		count++
		if !m.goes(in, at) || m.memo != nil && m.inInner == 0 && m.failed(in.memo+1, at) {
			continue
		}
		m.left -= int(count-f.c) >> 3
		f.b, f.c = at, count
		return in.next, at
	}
	m.left -= int(count-f.c) >> 3
	return -1, 0
}
