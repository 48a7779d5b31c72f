package filter

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
)

// A scanner finds which of many literals occur in a line, without regard to
// the case of ASCII letters. It looks at every fourth place of the line, four
// bytes each: a gram. A literal is long enough that one of these places stands
// inside of it. What is read there is looked up among the grams of all literals,
// in a table that stays in the cache of the processor. Nothing depends
// on what was found before, so that several places are looked at at once.
//
// A literal is looked for by a stretch of it, chosen so that it is seldom there
// by chance. Of the few that are shorter than four places need, grams with one
// byte that may be anything are in the table too; the others have a scanner of
// their own, with grams of three bytes and shorter steps.
type scanner struct {
	stride   int    // from one place to the next
	mask     uint32 // of the bytes that are looked at, four or three
	maybe    [1 << gramBits]uint8
	slots    []gramSlot // by hash; a power of two
	places   []place
	literals []scanned
}

type scanned struct {
	text []byte // lower case
	id   int
}

// A gramSlot says which places have a gram: places[from:to].
type gramSlot struct {
	gram     uint32
	from, to uint16
}

// A place is where in a literal a gram stands; before it, if offset is -1.
type place struct{ literal, offset int16 }

const (
	gramBits = 15
	// wide is how long a literal must be to hold a gram of four bytes at one
	// of every fourth place.
	wide = 7
	// narrow is how long it must be if one byte of the gram may lie outside,
	narrow = 5
	// and maxNarrow how many of these there may be: each makes the table denser.
	maxNarrow = 8
	// foldMask leaves out the bit that tells the case of letters.
	foldMask = 0x20202020
	allBytes = 1<<32 - 1
)

// newScanners returns the scanners that find all of the literals, each of which
// has at least three bytes. What they find are indices of literals.
func newScanners(literals []string) []*scanner {
	var long, short, rest []int
	for id, l := range literals {
		switch {
		case len(l) >= wide:
			long = append(long, id)
		case len(l) >= narrow:
			short = append(short, id)
		default:
			rest = append(rest, id)
		}
	}
	if len(rest) > 0 || len(short) > maxNarrow {
		rest = append(rest, short...)
	} else {
		long = append(long, short...)
	}
	var out []*scanner
	if len(long) > 0 {
		out = append(out, newScanner(literals, long, 4, allBytes))
	}
	if len(rest) > 0 {
		shortest := wide
		for _, id := range rest {
			shortest = min(shortest, len(literals[id]))
		}
		out = append(out, newScanner(literals, rest, shortest-2, allBytes>>8))
	}
	return out
}

func newScanner(literals []string, ids []int, stride int, mask uint32) *scanner {
	s := &scanner{stride: stride, mask: mask}
	grams := map[uint32][]place{}
	for _, id := range ids {
		text := []byte(literals[id])
		n := int16(len(s.literals))
		s.literals = append(s.literals, scanned{text: text, id: id})
		for _, offset := range s.stretch(text) {
			s.grams(text, offset, func(g uint32) {
				if p := (place{n, int16(offset)}); !slices.Contains(grams[g], p) {
					grams[g] = append(grams[g], p)
				}
			})
		}
	}
	s.slots = make([]gramSlot, 2<<bits.Len(uint(len(grams))))
	for g, places := range grams {
		h := gramHash(g)
		s.maybe[h] = 1
		i := int(h) & (len(s.slots) - 1)
		for s.slots[i].to > 0 {
			i = (i + 1) & (len(s.slots) - 1)
		}
		from := len(s.places)
		s.places = append(s.places, places...)
		s.slots[i] = gramSlot{g, uint16(from), uint16(len(s.places))}
	}
	return s
}

// stretch returns at which offsets of a literal grams are to be looked for, so
// that it cannot be missed.
func (s *scanner) stretch(text []byte) []int {
	gram := bits.OnesCount32(s.mask) / 8
	at := -1 // the first with a byte in front of the literal
	if n := len(text) - gram + 1; n >= s.stride {
		at = bestStretch(text, s.stride, gram)
	} else if n+1 >= s.stride {
		at = 0 // the last with a byte behind it
	}
	out := make([]int, s.stride)
	for i := range out {
		out[i] = at + i
	}
	return out
}

// grams calls add with each gram that can stand at offset of a literal: bytes
// outside of it may be any.
func (s *scanner) grams(text []byte, offset int, add func(uint32)) {
	switch {
	case offset < 0:
		for c := range uint32(256) {
			add((gramAt(text)<<8 | c | foldMask) & s.mask)
		}
	case s.mask == allBytes && offset+4 > len(text):
		for c := range uint32(256) {
			add(gramAt(text[offset:])&(allBytes>>8) | c<<24 | foldMask)
		}
	default:
		add((gramAt(text[offset:]) | foldMask) & s.mask)
	}
}

// gramAt returns the first bytes of b, which has three at least.
func gramAt(b []byte) uint32 {
	x := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
	if len(b) > 3 {
		x |= uint32(b[3]) << 24
	}
	return x
}

func gramHash(g uint32) uint32 { return g * 0x9e3779b1 >> (32 - gramBits) }

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

// What stands in many lines of logs: a literal should not be looked for by it.
const usual = " connection from from to by by for for user user root root host port session session closed started stopped finished service " +
	"client process system kernel: link becomes ready error: warning: info notice debug failed failure authentication authentication " +
	"received disconnect disconnected invalid user connect login logged in password accepted address network interface sudo: command= " +
	"cron[ cmd pam_unix( sshd[ session) uid=0 uid=0 euid= logname= tty= ruser= rhost= request response status found not found forbidden " +
	"denied from=<> to=<> queue active mail from message http/1.1\" \"get / \"post / packet incoming ssh2 bye bye remote local directory " +
	"child time date name value index image container health level=info msg=\" with without and the after before has been has new device " +
	"number using high-speed usb in on of at is error state ion  tion ted  rule, unknown user opened for user root by -report "

// bestStretch returns where in text the stretch begins that is found least by chance.
func bestStretch(text []byte, stride, gram int) int {
	best, cost := 0, 1<<30
	for at := 0; at+stride+gram-1 <= len(text); at++ {
		sum := 0
		for i := at; i < at+stride; i++ {
			sum += chance(text[i : i+gram])
		}
		if sum < cost {
			best, cost = at, sum
		}
	}
	return best
}

// chance is how often bytes stand together in logs, roughly.
func chance(gram []byte) int {
	n := 1
	for _, c := range gram {
		n *= frequent(c)
	}
	return n + 5_000*strings.Count(usual, string(gram))
}

// scan adds to hits every literal that is in line.
func (s *scanner) scan(line []byte, hits []int32) []int32 {
	const fold = foldMask | foldMask<<32
	if s.mask != allBytes {
		return s.scanShort(line, hits)
	}
	maybe := &s.maybe
	i := 0
	for ; i+16 <= len(line); i += 16 {
		b := line[i : i+16 : i+16]
		x := binary.LittleEndian.Uint64(b) | fold
		y := binary.LittleEndian.Uint64(b[8:]) | fold
		h0, h1 := gramHash(uint32(x)), gramHash(uint32(x>>32))
		h2, h3 := gramHash(uint32(y)), gramHash(uint32(y>>32))
		if maybe[h0]|maybe[h1]|maybe[h2]|maybe[h3] == 0 {
			continue
		}
		if maybe[h0] != 0 {
			hits = s.check(line, i, uint32(x), hits)
		}
		if maybe[h1] != 0 {
			hits = s.check(line, i+4, uint32(x>>32), hits)
		}
		if maybe[h2] != 0 {
			hits = s.check(line, i+8, uint32(y), hits)
		}
		if maybe[h3] != 0 {
			hits = s.check(line, i+12, uint32(y>>32), hits)
		}
	}
	for ; i+4 <= len(line); i += 4 {
		g := binary.LittleEndian.Uint32(line[i:]) | foldMask
		if maybe[gramHash(g)] != 0 {
			hits = s.check(line, i, g, hits)
		}
	}
	if i+3 <= len(line) {
		hits = s.check(line, i, gramAt(line[i:])|foldMask, hits)
	}
	return hits
}

// scanShort is scan for grams of three bytes.
func (s *scanner) scanShort(line []byte, hits []int32) []int32 {
	i := 0
	for ; i+4 <= len(line); i += s.stride {
		g := (binary.LittleEndian.Uint32(line[i:]) | foldMask) & s.mask
		if s.maybe[gramHash(g)] != 0 {
			hits = s.check(line, i, g, hits)
		}
	}
	if i+3 <= len(line) {
		hits = s.check(line, i, (gramAt(line[i:])|foldMask)&s.mask, hits)
	}
	return hits
}

// check adds the literals that have the gram that stands at i.
func (s *scanner) check(line []byte, i int, gram uint32, hits []int32) []int32 {
	at := int(gramHash(gram)) & (len(s.slots) - 1)
	for s.slots[at].gram != gram {
		if s.slots[at].to == 0 {
			return hits
		}
		at = (at + 1) & (len(s.slots) - 1)
	}
	for _, p := range s.places[s.slots[at].from:s.slots[at].to] {
		l := &s.literals[p.literal]
		from := i - int(p.offset)
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
