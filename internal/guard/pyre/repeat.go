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

// longest tries a greedy run that ends at end, and shorter ones down to least.
func (m *Machine) longest(pc int32, in *inst, end, least int32) (to, at int32) {
	m.stack = append(m.stack, frame{fGreedy, pc, end, least})
	if m.goes(in, end) && (in.arg < 0 || m.has(m.re.prog[in.arg].str, end)) {
		return in.next, end
	}
	if to, at = m.shorter(&m.stack[len(m.stack)-1]); to < 0 {
		m.stack = m.stack[:len(m.stack)-1]
	}
	return to, at
}

// has reports whether s stands at pos.
func (m *Machine) has(s string, pos int32) bool {
	return len(m.text)-int(pos) >= len(s) && string(m.text[pos:int(pos)+len(s)]) == s
}

// fields matches opFields and returns where it ends; -1 if it does not match.
func (m *Machine) fields(in *inst, pos int32) int32 {
	text, table := m.text, &in.set.table
	for range in.min {
		n := int32(0)
		for n < in.max && int(pos) < len(text) {
			size := int32(1)
			if k := table[text[pos]]; k == stops {
				break
			} else if k == unclear {
				if size = m.one(in.set, pos); size == 0 {
					break
				}
			}
			pos += size
			n++
		}
		m.left -= int(n) >> 4
		if n == 0 || int(pos) >= len(text) || text[pos] != in.b {
			return -1
		}
		pos++
	}
	return pos
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
		pc, pos = m.longest(pc, in, end, least)
		return pos, pc >= 0
	}
	return end, m.goes(in, end)
}

// repeatUnless is repeat for a run that ends where a literal begins.
func (m *Machine) repeatUnless(pc int32, in *inst, pos int32) (int32, bool) {
	text := m.text
	i := bytes.Index(text[pos:], []byte(in.str))
	if i >= 0 {
		m.text = text[:int(pos)+i]
	} else {
		i = len(text) - int(pos)
	}
	m.left -= i >> 5
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
	return int(pos) >= len(m.text) || in.ways[m.text[pos]]&1 != 0 && (!in.second || m.goesSecond(in, pos))
}

// goesSecond is goes for the byte after that at pos.
func (m *Machine) goesSecond(in *inst, pos int32) bool {
	return m.text[pos] >= utf8.RuneSelf || int(pos)+1 >= len(m.text) || in.ways[m.text[pos+1]]&2 != 0
}

// shorter gives up characters at the end of a greedy run until what follows
// could go on. The frame is removed by the caller when pc is -1.
func (m *Machine) shorter(f *frame) (pc, pos int32) {
	in := &m.re.prog[f.a]
	if in.arg >= 0 {
		return m.shorterTo(f, in, m.re.prog[in.arg].str)
	}
	at := f.b
	for at > f.c {
		if m.text[at-1] < utf8.RuneSelf {
			at--
		} else {
			_, n := utf8.DecodeLastRune(m.text[f.c:at])
			at -= int32(n)
		}
		if in.ways[m.text[at]]&1 == 0 || in.second && !m.goesSecond(in, at) {
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

// shorterTo is shorter where lit, which begins with an ASCII character, has to
// follow.
func (m *Machine) shorterTo(f *frame, in *inst, lit string) (pc, pos int32) {
	text, c := m.text, lit[0]
	for at := f.b - 1; at >= f.c; at-- {
		if text[at] != c || !m.has(lit, at) {
			continue
		}
		m.left -= int(f.b-at) >> 3
		f.b = at
		if m.memo != nil && m.inInner == 0 && m.failed(in.memo+1, at) {
			continue
		}
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
