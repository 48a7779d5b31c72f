package filter

import (
	"encoding/binary"
	"slices"
	"strings"
)

// A scanner finds which of many literals occur in a line, without regard to
// the case of ASCII letters. It looks at three bytes at a time and, where no
// literal can have them, moves on by nearly the length of the shortest: most
// lines cost less than one look for every four bytes (Wu and Manber).
//
// A literal is looked for by a window of it, all windows being of the same
// length, chosen so that it is seldom found by chance.
type scanner struct {
	window   int
	shift    [tableSize]uint8
	buckets  [tableSize]uint16 // into lists; 0 for none
	lists    [][]int32         // literals by the hash of the end of their windows
	literals []scanned
}

type scanned struct {
	text   []byte // lower case
	offset int    // of the end of its window
	id     int
}

const (
	tableBits = 14
	tableSize = 1 << tableBits
	maxWindow = 12
)

// newScanner returns a scanner for literals of at least three bytes.
func newScanner(literals []string) *scanner {
	s := &scanner{window: maxWindow, lists: make([][]int32, 1)}
	for _, l := range literals {
		s.window = min(s.window, len(l))
	}
	for i := range s.shift {
		s.shift[i] = uint8(s.window - 2)
	}
	for id, l := range literals {
		text := []byte(l)
		at := bestWindow(text, s.window)
		lit := scanned{text: text, offset: at + s.window, id: id}
		for end := at + 3; end <= lit.offset; end++ {
			h := hash3(text[end-3:])
			s.shift[h] = min(s.shift[h], uint8(lit.offset-end))
		}
		h := hash3(text[lit.offset-3:])
		if s.buckets[h] == 0 {
			s.lists = append(s.lists, nil)
			s.buckets[h] = uint16(len(s.lists) - 1)
		}
		b := s.buckets[h]
		s.lists[b] = append(s.lists[b], int32(len(s.literals)))
		s.literals = append(s.literals, lit)
	}
	return s
}

// hash3 hashes three bytes without the bit that tells the case of letters.
func hash3(b []byte) uint32 {
	_ = b[2]
	return hash(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16)
}

func hash(x uint32) uint32 { return ((x | 0x202020) & 0xffffff) * 0x9e3779b1 >> (32 - tableBits) }

// frequent is how often letters and signs stand in logs, roughly, in percent.
func frequent(c byte) int {
	switch c {
	case ' ':
		return 12
	case 'e', 't', 'a', 'o', 'i', 'n', 's', 'r', '0', '1', '2':
		return 6
	case 'd', 'l', 'u', 'c', 'm', 'p', ':', '.', '[', ']', '-', '3', '4', '5':
		return 3
	case 'h', 'f', 'g', 'w', 'y', 'b', '/', '6', '7', '8', '9':
		return 2
	}
	return 1
}

// trigrams that stand in half of all lines: a window should not end in one.
const usual = "ion ing ent tio rom fro for ate lic ien que ive gin ces con und ect led ser use ver est ess sio ses pro roo oot ssh shd " +
	"the and ted ter err ror rro not sta sys tem log ice erv vic fix pos ost hos cli lie cle ont onn nec rec rea ead com ame nam dis " +
	"all ill ist res par per int kno unk own inv val lid ser acc ept pas ass swo wor ord por ort ser fai ail aut uth ica thi ath day " +
	"me= er= er: ed  or  for to  in  on  om  us  d f d b n f n o "

// bestWindow returns where in text the window begins that is found least by chance.
func bestWindow(text []byte, window int) int {
	best, cost := 0, 1<<30
	for at := 0; at+window <= len(text); at++ {
		sum := 0
		for i := at; i+3 <= at+window; i++ {
			sum += chance(text[i : i+3])
		}
		// The last three bytes decide whether a place is looked at closely.
		sum += 8 * chance(text[at+window-3:at+window])
		if sum < cost {
			best, cost = at, sum
		}
	}
	return best
}

// chance is how often three bytes stand together in logs, roughly.
func chance(t []byte) int {
	n := frequent(t[0]) * frequent(t[1]) * frequent(t[2])
	if strings.Contains(usual, string(t)) {
		n += 2000
	}
	return n
}

// scan adds to hits every literal that is in line. A step has to wait for the
// table to know how long it is; so four stretches of the line are walked at
// the same time.
func (s *scanner) scan(line []byte, hits []int32) []int32 {
	w := s.window
	if w == 3 && len(line) >= 3 {
		if h := hash3(line); s.shift[h] == 0 {
			hits = s.check(line, 3, h, hits)
		}
		w++
	}
	if len(line) < 8*w {
		return s.stretch(line, w, len(line), hits)
	}
	shift := &s.shift
	quarter := (len(line) - w + 1) / 4
	a, aEnd := w, w+quarter
	b, bEnd := aEnd, aEnd+quarter
	c, cEnd := bEnd, bEnd+quarter
	d := cEnd
	for a < aEnd && b < bEnd && c < cEnd && d <= len(line) {
		ha := hash(binary.LittleEndian.Uint32(line[a-4:]) >> 8)
		hb := hash(binary.LittleEndian.Uint32(line[b-4:]) >> 8)
		hc := hash(binary.LittleEndian.Uint32(line[c-4:]) >> 8)
		hd := hash(binary.LittleEndian.Uint32(line[d-4:]) >> 8)
		na, nb, nc, nd := int(shift[ha]), int(shift[hb]), int(shift[hc]), int(shift[hd])
		if na == 0 {
			hits, na = s.check(line, a, ha, hits), 1
		}
		if nb == 0 {
			hits, nb = s.check(line, b, hb, hits), 1
		}
		if nc == 0 {
			hits, nc = s.check(line, c, hc, hits), 1
		}
		if nd == 0 {
			hits, nd = s.check(line, d, hd, hits), 1
		}
		a, b, c, d = a+na, b+nb, c+nc, d+nd
	}
	hits = s.stretch(line, a, aEnd-1, hits)
	hits = s.stretch(line, b, bEnd-1, hits)
	hits = s.stretch(line, c, cEnd-1, hits)
	return s.stretch(line, d, len(line), hits)
}

// stretch looks for windows that end from i to last.
func (s *scanner) stretch(line []byte, i, last int, hits []int32) []int32 {
	shift := &s.shift
	for i <= last {
		// The three bytes before i.
		h := hash(binary.LittleEndian.Uint32(line[i-4:]) >> 8)
		if n := int(shift[h]); n != 0 {
			i += n
			continue
		}
		hits = s.check(line, i, h, hits)
		i++
	}
	return hits
}

// check adds the literals whose window ends at i.
func (s *scanner) check(line []byte, i int, h uint32, hits []int32) []int32 {
	for _, n := range s.lists[s.buckets[h]] {
		l := &s.literals[n]
		from := i - l.offset
		if from >= 0 && from+len(l.text) <= len(line) && foldedEqual(line[from:from+len(l.text)], l.text) && !slices.Contains(hits, int32(l.id)) {
			hits = append(hits, int32(l.id))
		}
	}
	return hits
}

// foldedEqual compares a with b, which is lower case.
func foldedEqual(a, b []byte) bool {
	for i, c := range b {
		x := a[i]
		if 'A' <= x && x <= 'Z' {
			x |= 0x20
		}
		if x != c {
			return false
		}
	}
	return true
}
