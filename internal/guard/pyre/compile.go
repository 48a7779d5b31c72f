package pyre

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

type opcode uint8

const (
	opMatch   opcode = iota
	opChar           // the byte b
	opStr            // the bytes of str
	opSet            // one character of set
	opRep            // min to max characters of set, then next
	opSplit          // next, or else alt
	opLoop           // body next (again) or tail alt, for a body that may match nothing
	opEnter          // forget where the body of loop arg was entered last
	opSave           // note the position in slot arg
	opAssert         // position of kind arg
	opLook           // body alt matches here (or width characters back), or not
	opAhead          // the bytes of str follow, or not
	opPrev           // the character before is in set, or not
	opAtomic         // body alt, its first match only
	opCond           // next if group arg took part, else alt
	opBackref        // the text of group arg
	opFields         // min times: one to max characters of set, and the byte b
)

// An inst is one instruction. Programs are built from the back: next and alt
// are known when an instruction is made, except in loops.
type inst struct {
	op        opcode
	b         byte
	lazy      bool
	negate    bool
	fold      bool
	behind    bool
	simple    bool // opRep: greedy, without an end, of at least none or one
	sure      bool // opRep: greedy, and what follows cannot begin with one of set
	next, alt int32
	arg       int32 // of opRep: the opStr that has to follow; -1 if there is none
	min, max  int32
	memo      int32 // index of its memory of failures; a repeat has two
	str       string
	set       *charSet
	// ways says, by the next byte, whether next (1) and alt (2) can go on with
	// it. The end of the text is never excluded. For an opRep that is followed
	// by one character, second says that 2 means the byte after an ASCII one.
	ways   *[256]uint8
	second bool
}

// maxProgram bounds what nested counted repetitions unroll to.
const maxProgram = 50_000

type compiler struct {
	prog   []inst
	loops  int32
	memos  int32
	conds  []int32
	refs   bool // has back-references
	looks  bool
	folds  map[rune]*charSet
	known  []int // groups whose part is known where it is asked for
	asks   bool  // has conditionals, be their answers known
	sawErr string
	plain  bool // without the instructions for special cases, to test these
}

// begin compiles the whole pattern and returns where it starts.
func (c *compiler) begin(tree *node) int32 {
	match := c.emit(inst{op: opMatch})
	if !c.plain {
		c.known = known(tree)
	}
	if len(c.known) == 0 {
		return c.comp(tree, match)
	}
	c.asks = true
	return c.compKnown(tree, slices.Repeat(onward{match}, 1<<len(c.known)))[0]
}

func (c *compiler) emit(i inst) int32 {
	if len(c.prog) >= maxProgram {
		c.sawErr = "the pattern is too large once its repetitions are written out"
		return 0
	}
	i.memo = -1
	switch i.op {
	case opSplit, opLoop:
		i.memo = c.memos
		c.memos++
	case opRep:
		i.simple = !i.lazy && i.str == "" && i.max == infinite && i.min <= 1
		if i.arg = -1; !c.plain {
			i.arg = c.following(i.next)
		}
		i.memo = c.memos
		c.memos += 2
	}
	c.prog = append(c.prog, i)
	return int32(len(c.prog) - 1)
}

// comp emits n so that it goes on to next, and returns where to enter.
func (c *compiler) comp(n *node, next int32) int32 {
	if c.sawErr != "" {
		return 0
	}
	switch n.kind {
	case nLit:
		return c.literal(n, next)
	case nSet:
		return c.emit(inst{op: opSet, set: n.set, next: next})
	case nCat:
		return c.cat(n.subs, next)
	case nAlt:
		return c.alt(n.subs, next)
	case nRepeat:
		return c.repeat(n, next)
	case nGroup:
		end := c.emit(inst{op: opSave, arg: int32(2*n.group + 1), next: next})
		return c.emit(inst{op: opSave, arg: int32(2 * n.group), next: c.comp(n.subs[0], end)})
	case nLook:
		return c.look(n, next)
	case nAtomic:
		body := c.comp(n.subs[0], c.emit(inst{op: opMatch}))
		return c.emit(inst{op: opAtomic, alt: body, next: next})
	case nCond:
		c.asks = true
		c.conds = append(c.conds, int32(n.group))
		no := c.comp(n.subs[1], next)
		return c.emit(inst{op: opCond, arg: int32(n.group), next: c.comp(n.subs[0], next), alt: no})
	case nBackref:
		c.refs = true
		return c.emit(inst{op: opBackref, arg: int32(n.group), fold: n.fold, next: next})
	case nAssert:
		return c.emit(inst{op: opAssert, arg: int32(n.assert), next: next})
	}
	return next
}

func (c *compiler) literal(n *node, next int32) int32 {
	switch {
	case n.fold:
		return c.emit(inst{op: opSet, set: c.foldSet(n.r), next: next})
	case n.r < 0x80:
		return c.emit(inst{op: opChar, b: byte(n.r), next: next})
	}
	return c.emit(inst{op: opStr, str: string(n.r), b: string(n.r)[0], next: next})
}

// following returns the opStr that has to follow at pc; -1 if it is another
// instruction, or its text does not begin with an ASCII character.
func (c *compiler) following(pc int32) int32 {
	for c.prog[pc].op == opSave {
		pc = c.prog[pc].next
	}
	if in := &c.prog[pc]; in.op == opStr && in.b < utf8.RuneSelf {
		return pc
	}
	return -1
}

// foldSet returns foldSet(r), the same one each time.
func (c *compiler) foldSet(r rune) *charSet {
	s := c.folds[r]
	if s == nil {
		if c.folds == nil {
			c.folds = map[rune]*charSet{}
		}
		s = foldSet(r)
		c.folds[r] = s
	}
	return s
}

// foldSet is the set of r in all its cases.
func foldSet(r rune) *charSet {
	s := &charSet{}
	s.add(r, r)
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		s.add(f, f)
	}
	return s.finish()
}

// cat emits a sequence, joining neighbouring literals.
func (c *compiler) cat(subs []*node, next int32) int32 {
	for i := len(subs) - 1; i >= 0; i-- {
		j := i
		for j >= 0 && subs[j].kind == nLit && !subs[j].fold && subs[j].r != utf8.RuneError {
			j--
		}
		if i-j < 2 {
			next = c.comp(subs[i], next)
			continue
		}
		var s []byte
		for _, l := range subs[j+1 : i+1] {
			s = utf8.AppendRune(s, l.r)
		}
		next = c.emit(inst{op: opStr, str: string(s), b: s[0], next: next})
		i = j + 1
	}
	return next
}

func (c *compiler) alt(subs []*node, next int32) int32 {
	if set := singleSet(&node{kind: nAlt, subs: subs}); set != nil {
		return c.emit(inst{op: opSet, set: set, next: next})
	}
	at := c.comp(subs[len(subs)-1], next)
	for i := len(subs) - 2; i >= 0; i-- {
		at = c.emit(inst{op: opSplit, next: c.comp(subs[i], next), alt: at})
	}
	return at
}

// singleSet returns the set of n if n always matches exactly one character and
// captures nothing.
func singleSet(n *node) *charSet {
	switch n.kind {
	case nSet:
		return n.set
	case nLit:
		if n.fold {
			return foldSet(n.r)
		}
		s := &charSet{}
		s.add(n.r, n.r)
		return s.finish()
	case nCat:
		if len(n.subs) == 1 {
			return singleSet(n.subs[0])
		}
	case nAlt:
		s := &charSet{}
		for _, sub := range n.subs {
			if sub.kind == nCat && len(sub.subs) == 1 {
				sub = sub.subs[0]
			}
			if sub.kind != nLit || sub.fold {
				return nil
			}
			s.add(sub.r, sub.r)
		}
		return s.finish()
	}
	return nil
}

func (c *compiler) repeat(n *node, next int32) int32 {
	sub := n.subs[0]
	if set, stop := unless(sub); set != nil && !c.plain {
		c.looks = true
		return c.emit(inst{op: opRep, set: set, str: stop, min: int32(n.min), max: int32(n.max), lazy: n.lazy, next: next})
	}
	if set := singleSet(sub); set != nil {
		if n.min == 1 && n.max == 1 {
			return c.emit(inst{op: opSet, set: set, next: next})
		}
		return c.emit(inst{op: opRep, set: set, min: int32(n.min), max: int32(n.max), lazy: n.lazy, next: next})
	}
	if set, most, end := field(sub); set != nil && n.min == n.max && n.min > 1 && !c.plain {
		return c.emit(inst{op: opFields, set: set, min: int32(n.min), max: int32(most), b: end, next: next})
	}
	at := next
	guarded, reg := nullable(sub) && n.max-n.min > 1, c.loops
	if guarded {
		c.loops++
	}
	switch {
	case n.max == infinite:
		at = c.loop(n, next, reg)
	case guarded:
		for range n.max - n.min {
			at = c.emit(inst{op: opLoop, arg: reg, lazy: n.lazy, next: c.comp(sub, at), alt: next})
		}
	default:
		for range n.max - n.min {
			at = c.split(c.comp(sub, at), next, n.lazy)
		}
	}
	for range n.min {
		at = c.comp(sub, at)
	}
	if guarded {
		at = c.emit(inst{op: opEnter, arg: reg, next: at})
	}
	return at
}

// unless recognizes (?!literal)x, one character where the literal does not
// begin, so that a run of it ends where the literal is.
func unless(n *node) (set *charSet, stop string) {
	for n.kind == nCat && len(n.subs) == 1 {
		n = n.subs[0]
	}
	if n.kind != nCat || len(n.subs) != 2 || n.subs[0].kind != nLook {
		return nil, ""
	}
	look := n.subs[0]
	if stop = literalText(look.subs[0]); stop == "" || look.behind || !look.negate {
		return nil, ""
	}
	return singleSet(n.subs[1]), stop
}

// field recognizes x{1,most}y, where y is one ASCII character that is no x: there
// is one way only to match it.
func field(n *node) (set *charSet, most int, end byte) {
	for n.kind == nCat && len(n.subs) == 1 {
		n = n.subs[0]
	}
	if n.kind != nCat || len(n.subs) != 2 || n.subs[0].kind != nRepeat || n.subs[0].min != 1 || n.subs[0].lazy {
		return nil, 0, 0
	}
	y := n.subs[1]
	if y.kind != nLit || y.fold || y.r >= utf8.RuneSelf {
		return nil, 0, 0
	}
	if set = singleSet(n.subs[0].subs[0]); set == nil || set.has(y.r) {
		return nil, 0, 0
	}
	return set, n.subs[0].max, byte(y.r)
}

// literalText returns the only text that n matches; "" if it is not one.
func literalText(n *node) string {
	switch n.kind {
	case nLit:
		if !n.fold && n.r != utf8.RuneError {
			return string(n.r)
		}
	case nCat:
		var all strings.Builder
		for _, s := range n.subs {
			t := literalText(s)
			if t == "" {
				return ""
			}
			all.WriteString(t)
		}
		return all.String()
	}
	return ""
}

func (c *compiler) split(body, next int32, lazy bool) int32 {
	if lazy {
		return c.emit(inst{op: opSplit, next: next, alt: body, lazy: true})
	}
	return c.emit(inst{op: opSplit, next: body, alt: next})
}

// loop emits sub any number of times. A body that may match nothing is not
// entered again where it was entered last, as in Python.
func (c *compiler) loop(n *node, next, reg int32) int32 {
	op := opSplit
	if nullable(n.subs[0]) {
		op = opLoop
	}
	at := c.emit(inst{op: op, arg: reg, lazy: n.lazy})
	body := c.comp(n.subs[0], at)
	if c.sawErr != "" {
		return 0
	}
	in := &c.prog[at]
	in.next, in.alt = body, next
	if n.lazy && op == opSplit {
		in.next, in.alt = next, body
	}
	return at
}

func (c *compiler) look(n *node, next int32) int32 {
	if n.behind && n.width == 1 {
		if set := singleSet(n.subs[0]); set != nil {
			return c.emit(inst{op: opPrev, set: set, negate: n.negate, next: next})
		}
	}
	c.looks = true
	if lit := literalText(n.subs[0]); lit != "" && !n.behind {
		return c.emit(inst{op: opAhead, str: lit, next: next, negate: n.negate})
	}
	body := c.comp(n.subs[0], c.emit(inst{op: opMatch}))
	return c.emit(inst{
		op: opLook, alt: body, next: next, negate: n.negate, behind: n.behind, arg: int32(n.width),
	})
}

// all256 is the set of every byte.
func all256() [4]uint64 { return [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)} }

func byteSet(b byte) (s [4]uint64) {
	s[b>>6] |= 1 << (b & 63)
	return s
}

func union(a, b [4]uint64) [4]uint64 {
	for i := range a {
		a[i] |= b[i]
	}
	return a
}

func disjoint(a, b *[4]uint64) bool {
	return a[0]&b[0]|a[1]&b[1]|a[2]&b[2]|a[3]&b[3] == 0
}

func inSet(s *[4]uint64, b byte) bool { return s[b>>6]&(1<<(b&63)) != 0 }

// firsts computes, for every instruction, with which bytes a match from there
// can go on, by repeating until nothing changes, and notes it where it is used.
func firsts(prog []inst) [][4]uint64 {
	f := make([][4]uint64, len(prog))
	for changed := true; changed; {
		changed = false
		for pc := range prog {
			if s := union(f[pc], first1(&prog[pc], f)); s != f[pc] {
				f[pc], changed = s, true
			}
		}
	}
	shared := map[[256]uint8]*[256]uint8{}
	for pc := range prog {
		in := &prog[pc]
		other := in.alt
		switch in.op {
		case opSplit:
		case opRep:
			other, in.second = afterOne(prog, in.next)
		default:
			continue
		}
		var w [256]uint8
		for c := range 256 {
			if inSet(&f[in.next], byte(c)) {
				w[c] |= 1
			}
			if inSet(&f[other], byte(c)) {
				w[c] |= 2
			}
		}
		if shared[w] == nil {
			shared[w] = &w
		}
		in.ways = shared[w]
		in.sure = in.op == opRep && in.str == "" && !in.lazy && in.min <= 1 && disjoint(&in.set.all, &f[in.next])
	}
	return f
}

// afterOne returns where a match goes on behind the one character that follows
// at pc.
func afterOne(prog []inst, pc int32) (next int32, ok bool) {
	for prog[pc].op == opSave {
		pc = prog[pc].next
	}
	in := &prog[pc]
	return in.next, in.op == opSet || in.op == opChar && in.b < utf8.RuneSelf
}

func first1(in *inst, f [][4]uint64) [4]uint64 {
	switch in.op {
	case opMatch, opBackref:
		return all256()
	case opChar, opStr:
		return byteSet(in.b)
	case opSet, opFields:
		return in.set.all
	case opRep:
		if in.min == 0 {
			return union(in.set.all, f[in.next])
		}
		return in.set.all
	case opSplit, opLoop, opCond:
		return union(f[in.next], f[in.alt])
	case opAtomic:
		return union(f[in.alt], f[in.next])
	case opAssert:
		switch assertKind(in.arg) {
		case aEnd:
			return [4]uint64{}
		case aEndFinal, aEndLine:
			return byteSet('\n')
		}
	}
	return f[in.next]
}
