package filter

import (
	"slices"
	"strings"
)

// A text is a value that remembers where its pieces were written, through all
// substitutions: what is wrong with a pattern is said of the line of the file in
// which it stands.
type text struct {
	s     string
	marks []mark // in order; the first is at 0 unless s is empty
}

// A mark says that a text comes from pos, from a byte of it on.
type mark struct {
	at  int
	pos Position
}

// plain is a text that stands in one place.
func plain(s string, pos Position) text {
	if s == "" {
		return text{}
	}
	return text{s, []mark{{0, pos}}}
}

// written is a text that comes from several places.
type written struct {
	b     strings.Builder
	marks []mark
}

func (w *written) text() text { return text{w.b.String(), w.marks} }
func (w *written) Len() int   { return w.b.Len() }

// mark puts down that what follows is of pos.
func (w *written) mark(pos Position) {
	at := w.b.Len()
	if n := len(w.marks); n > 0 {
		if w.marks[n-1].pos == pos {
			return
		}
		if w.marks[n-1].at == at {
			w.marks[n-1].pos = pos
			return
		}
	}
	w.marks = append(w.marks, mark{at, pos})
}

// piece writes t[from:to].
func (w *written) piece(t text, from, to int) {
	if from >= to {
		return
	}
	i := t.markAt(from)
	for at := from; at < to; i++ {
		end := to
		if i+1 < len(t.marks) {
			end = min(to, t.marks[i+1].at)
		}
		if i >= 0 && i < len(t.marks) {
			w.mark(t.marks[i].pos)
		}
		w.b.WriteString(t.s[at:end])
		at = end
	}
}

// markAt returns the index of the mark that holds for a byte of t; -1 for none.
func (t text) markAt(at int) int {
	i, found := slices.BinarySearchFunc(t.marks, at, func(m mark, at int) int { return m.at - at })
	if found {
		return i
	}
	return i - 1
}

// position returns where a byte of t was written.
func (t text) position(at int) (Position, bool) {
	if i := t.markAt(at); i >= 0 && i < len(t.marks) {
		return t.marks[i].pos, true
	}
	return Position{}, false
}

// slice returns t[from:to].
func (t text) slice(from, to int) text {
	var w written
	w.piece(t, from, to)
	return w.text()
}

// replaceAll puts repl for each old.
func (t text) replaceAll(old string, repl text) text {
	var w written
	from := 0
	for {
		i := strings.Index(t.s[from:], old)
		if i < 0 {
			break
		}
		w.piece(t, from, from+i)
		w.piece(repl, 0, len(repl.s))
		from += i + len(old)
	}
	w.piece(t, from, len(t.s))
	return w.text()
}

// lines returns the lines of t that are not empty.
func (t text) lines() []text {
	var out []text
	from := 0
	for l := range strings.SplitSeq(t.s, "\n") {
		if l != "" {
			out = append(out, t.slice(from, from+len(l)))
		}
		from += len(l) + 1
	}
	return out
}
