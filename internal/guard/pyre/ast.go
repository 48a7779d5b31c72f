package pyre

import "unicode"

type nodeKind uint8

const (
	nEmpty   nodeKind = iota
	nLit              // one character, r
	nSet              // one character out of set
	nCat              // subs in order
	nAlt              // one of subs
	nRepeat           // subs[0], min to max times
	nGroup            // subs[0], captured as group
	nLook             // lookahead or lookbehind of subs[0]
	nCond             // subs[0] if group took part, else subs[1]
	nBackref          // the text of group again
	nAssert           // a position
	nAtomic           // subs[0] without second thoughts
)

type assertKind uint8

const (
	aBegin     assertKind = iota // ^ or \A
	aBeginLine                   // ^ with re.M
	aEnd                         // \Z
	aEndFinal                    // $: the end, or before a final newline
	aEndLine                     // $ with re.M
	aWord                        // \b
	aNotWord                     // \B
)

// infinite stands for "no upper bound" of a repetition.
const infinite = 1 << 30

type node struct {
	kind     nodeKind
	assert   assertKind
	fold     bool // nLit, nBackref: case does not matter
	lazy     bool // nRepeat
	behind   bool // nLook
	negate   bool // nLook
	r        rune
	min, max int
	group    int
	width    int // nLook behind: characters to step back
	set      *charSet
	subs     []*node
}

// A charSet is a set of characters: a bitmap for ASCII, and for the rest
// ranges and predicates, all of it possibly negated.
type charSet struct {
	ascii  [2]uint64
	ranges []rune // pairs lo, hi; any value
	preds  []func(rune) bool
	negate bool // of the non-ASCII part; ascii has it applied already
	fold   bool
	any    bool // every character: (?s).
	// all is the set as 256 bits over the first byte of the encoding: exact
	// below 0x80; above, set if some non-ASCII character is in the set.
	all [4]uint64
	// table says, by first byte, whether a character is in the set: no, yes, or
	// it takes decoding to tell.
	table [256]uint8
	// not is the one byte that is not in the set, if it is only one; else -1.
	not int16
	// wide says what the set answers for every character beyond ASCII, if it
	// answers the same for all of them: 1 yes, -1 no, 0 it depends.
	wide int8
}

func (s *charSet) has(r rune) bool {
	if r >= 0 && r < 0x80 {
		return s.ascii[r>>6]&(1<<(uint(r)&63)) != 0
	}
	return s.beyond(r)
}

// beyond answers for a character that is not ASCII.
func (s *charSet) beyond(r rune) bool {
	switch s.wide {
	case 1:
		return true
	case -1:
		return false
	}
	return s.raw(r) != s.negate
}

// raw answers before negation.
func (s *charSet) raw(r rune) bool {
	if s.raw1(r) {
		return true
	}
	if s.fold {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			if s.raw1(f) {
				return true
			}
		}
	}
	return false
}

func (s *charSet) raw1(r rune) bool {
	for i := 0; i < len(s.ranges); i += 2 {
		if s.ranges[i] <= r && r <= s.ranges[i+1] {
			return true
		}
	}
	for _, p := range s.preds {
		if p(r) {
			return true
		}
	}
	return false
}

// finish computes the bitmaps from ranges, predicates and negation.
func (s *charSet) finish() *charSet {
	if s.any {
		s.ascii = [2]uint64{^uint64(0), ^uint64(0)}
		s.wide = 1
	} else {
		for r := range rune(0x80) {
			if s.raw(r) != s.negate {
				s.ascii[r>>6] |= 1 << (uint(r) & 63)
			}
		}
		s.wide = s.decideWide()
	}
	s.all = [4]uint64{s.ascii[0], s.ascii[1]}
	if s.wide >= 0 {
		s.all[2], s.all[3] = ^uint64(0), ^uint64(0)
	}
	s.tabulate()
	return s
}

// What table says about a byte.
const (
	stops   = 0
	belongs = 1
	unclear = 2
)

func (s *charSet) tabulate() {
	s.not = -1
	count := 0
	for c := range 256 {
		switch {
		case c >= 0x80:
			s.table[c] = unclear
		case s.ascii[c>>6]&(1<<(c&63)) != 0:
			s.table[c] = belongs
		default:
			s.not = int16(c)
			count++
		}
	}
	if count != 1 || s.wide != 1 {
		s.not = -1
	}
}

// decideWide finds out whether all characters beyond ASCII get one answer.
func (s *charSet) decideWide() int8 {
	if len(s.preds) > 0 || s.fold {
		return 0
	}
	for i := 0; i < len(s.ranges); i += 2 {
		if s.ranges[i+1] >= 0x80 {
			return 0
		}
	}
	if s.negate {
		return 1
	}
	return -1
}

func (s *charSet) add(lo, hi rune) { s.ranges = append(s.ranges, lo, hi) }

func isDigit(r rune) bool { return unicode.Is(unicode.Nd, r) }

// isWord is Python's str.isalnum or the underscore.
func isWord(r rune) bool {
	if r < 0x80 {
		return r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	return unicode.IsLetter(r) || unicode.Is(unicode.N, r)
}

// isSpace is Python's str.isspace, which has the four ASCII separators too.
func isSpace(r rune) bool {
	switch {
	case '\t' <= r && r <= '\r', 0x1c <= r && r <= 0x1f, r == ' ', r == 0x85, r == 0xa0:
		return true
	case r < 0x100:
		return false
	}
	return r == 0x2028 || r == 0x2029 || unicode.Is(unicode.Zs, r)
}

func isWordASCII(r rune) bool  { return r < 0x80 && isWord(r) }
func isDigitASCII(r rune) bool { return '0' <= r && r <= '9' }
func isSpaceASCII(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' }

func not(p func(rune) bool) func(rune) bool { return func(r rune) bool { return !p(r) } }
