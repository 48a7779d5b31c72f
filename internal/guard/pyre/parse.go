package pyre

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Flags change the meaning of a pattern, as the second argument of re.compile does.
type Flags uint8

// The flags of Python's re that have a meaning for str patterns.
const (
	IgnoreCase Flags = 1 << iota // re.I
	Multiline                    // re.M
	DotAll                       // re.S
	Verbose                      // re.X
	ASCII                        // re.A
)

// maxRepeat bounds counted repetitions: unrolled they become program text.
const maxRepeat = 1000

// A SyntaxError says what is wrong with a pattern and where.
type SyntaxError struct {
	Pattern string
	Offset  int // in bytes
	Msg     string
}

// Error returns what is wrong and where in the pattern.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s at position %d", e.Msg, e.Offset)
}

type parser struct {
	src    string
	pos    int
	flags  Flags
	groups []string       // names by number; "" if it has none
	byName map[string]int // number by name
	open   map[int]bool
	depth  int
	// maxRef is the highest group that a conditional names by number: it must
	// exist in the end, at maxRefAt is who asks.
	maxRef, maxRefAt int
}

// bail carries a SyntaxError up to parse, which is the only place that recovers it.
type bail struct{ err *SyntaxError }

func (p *parser) fail(at int, format string, args ...any) {
	panic(bail{&SyntaxError{Pattern: p.src, Offset: at, Msg: fmt.Sprintf(format, args...)}})
}

func parse(src string, flags Flags) (n *node, p *parser, err error) {
	p = &parser{src: src, flags: flags, groups: []string{""}, byName: map[string]int{}, open: map[int]bool{}}
	defer func() {
		if r := recover(); r != nil {
			b, ok := r.(bail)
			if !ok {
				panic(r)
			}
			err = b.err
		}
	}()
	n = p.alternatives()
	if p.pos < len(p.src) {
		p.fail(p.pos, "unbalanced parenthesis")
	}
	if p.maxRef >= len(p.groups) {
		p.fail(p.maxRefAt, "invalid group reference %d", p.maxRef)
	}
	return n, p, nil
}

func (p *parser) more() bool { return p.pos < len(p.src) }

func (p *parser) peek(s string) bool { return strings.HasPrefix(p.src[p.pos:], s) }

func (p *parser) take(s string) bool {
	if p.peek(s) {
		p.pos += len(s)
		return true
	}
	return false
}

func (p *parser) next() rune {
	r, n := utf8.DecodeRuneInString(p.src[p.pos:])
	p.pos += n
	return r
}

func (p *parser) alternatives() *node {
	p.depth++
	if p.depth > 200 {
		p.fail(p.pos, "too many nested groups")
	}
	defer func() { p.depth-- }()
	alts := []*node{p.sequence()}
	for p.take("|") {
		alts = append(alts, p.sequence())
	}
	if len(alts) == 1 {
		return alts[0]
	}
	return &node{kind: nAlt, subs: alts}
}

func (p *parser) sequence() *node {
	cat := &node{kind: nCat}
	for p.more() && !p.peek("|") && !p.peek(")") {
		if p.flags&Verbose != 0 && p.skipVerbose() {
			continue
		}
		start := p.pos
		if c := p.src[p.pos]; c == '*' || c == '+' || c == '?' || c == '{' {
			if lo, hi, ok := p.quantifier(); ok {
				p.repeat(cat, lo, hi, start)
				continue
			}
		}
		if n := p.atom(); n != nil {
			cat.subs = append(cat.subs, n)
		}
	}
	return cat
}

func (p *parser) skipVerbose() bool {
	c := p.src[p.pos]
	if strings.IndexByte(" \t\n\r\f\v", c) >= 0 {
		p.pos++
		return true
	}
	if c != '#' {
		return false
	}
	if i := strings.IndexByte(p.src[p.pos:], '\n'); i >= 0 {
		p.pos += i + 1
	} else {
		p.pos = len(p.src)
	}
	return true
}

// quantifier reads * + ? or {m,n}; a brace that is none of these is a literal.
func (p *parser) quantifier() (lo, hi int, ok bool) {
	start := p.pos
	switch p.next() {
	case '*':
		return 0, infinite, true
	case '+':
		return 1, infinite, true
	case '?':
		return 0, 1, true
	}
	if p.peek("}") {
		p.pos = start
		return 0, 0, false
	}
	los := p.digits()
	his := los
	if p.take(",") {
		his = p.digits()
		if his == "" {
			his = "inf"
		}
	}
	if !p.take("}") || los == "" && his == "" {
		p.pos = start
		return 0, 0, false
	}
	lo, hi = 0, infinite
	if los != "" {
		lo = p.count(los, start)
	}
	if his != "inf" {
		hi = p.count(his, start)
	}
	if hi < lo {
		p.fail(start, "min repeat greater than max repeat")
	}
	return lo, hi, true
}

func (p *parser) digits() string {
	start := p.pos
	for p.more() && '0' <= p.src[p.pos] && p.src[p.pos] <= '9' {
		p.pos++
	}
	return p.src[start:p.pos]
}

func (p *parser) count(s string, at int) int {
	n, err := strconv.Atoi(s)
	if err != nil || n > maxRepeat {
		p.fail(at, "the repetition number %s is too large (at most %d)", s, maxRepeat)
	}
	return n
}

// repeat applies a quantifier to the last item of cat.
func (p *parser) repeat(cat *node, lo, hi, at int) {
	if len(cat.subs) == 0 {
		p.fail(at, "nothing to repeat")
	}
	last := cat.subs[len(cat.subs)-1]
	switch {
	case last.kind == nAssert:
		p.fail(at, "nothing to repeat")
	case last.kind == nRepeat, last.kind == nAtomic && last.width == possessive:
		p.fail(at, "multiple repeat")
	}
	rep := &node{kind: nRepeat, subs: []*node{last}, min: lo, max: hi}
	if p.take("?") {
		rep.lazy = true
	} else if p.take("+") {
		rep = &node{kind: nAtomic, subs: []*node{rep}, width: possessive}
	}
	cat.subs[len(cat.subs)-1] = rep
}

// possessive marks an atomic node that came from a possessive quantifier.
const possessive = -1

func (p *parser) literal(r rune) *node {
	return &node{kind: nLit, r: r, fold: p.flags&IgnoreCase != 0 && unicode.SimpleFold(r) != r}
}

func (p *parser) atom() *node {
	start := p.pos
	switch r := p.next(); r {
	case '.':
		return &node{kind: nSet, set: p.dot()}
	case '^':
		if p.flags&Multiline != 0 {
			return &node{kind: nAssert, assert: aBeginLine}
		}
		return &node{kind: nAssert, assert: aBegin}
	case '$':
		if p.flags&Multiline != 0 {
			return &node{kind: nAssert, assert: aEndLine}
		}
		return &node{kind: nAssert, assert: aEndFinal}
	case '(':
		return p.group(start)
	case '[':
		return p.class(start)
	case '\\':
		return p.escape(start)
	default:
		return p.literal(r)
	}
}

// The sets of the dot: made once, and never changed.
var (
	anything = (&charSet{any: true}).finish()
	notEnd   = (&charSet{negate: true, ranges: []rune{'\n', '\n'}}).finish()
)

func (p *parser) dot() *charSet {
	if p.flags&DotAll != 0 {
		return anything
	}
	return notEnd
}

func (p *parser) group(start int) *node {
	saved := p.flags
	defer func() { p.flags = saved }()
	if !p.take("?") {
		return p.capture("", start)
	}
	switch {
	case p.take("P<"):
		return p.capture(p.name(">", start), start)
	case p.take("P="):
		name := p.name(")", start)
		g, ok := p.byName[name]
		if !ok {
			p.fail(start, "unknown group name %q", name)
		}
		return p.backref(g, start)
	case p.take(":"):
		return p.closing(p.alternatives(), start)
	case p.take("#"):
		i := strings.IndexByte(p.src[p.pos:], ')')
		if i < 0 {
			p.fail(start, "missing ), unterminated comment")
		}
		p.pos += i + 1
		return nil
	case p.take("="):
		return p.look(start, false, false)
	case p.take("!"):
		return p.look(start, false, true)
	case p.take("<="):
		return p.look(start, true, false)
	case p.take("<!"):
		return p.look(start, true, true)
	case p.take(">"):
		return &node{kind: nAtomic, subs: []*node{p.closing(p.alternatives(), start)}}
	case p.take("("):
		return p.conditional(start)
	}
	n, global := p.inlineFlags(start)
	if global {
		saved = p.flags
	}
	return n
}

func (p *parser) closing(n *node, start int) *node {
	if !p.take(")") {
		p.fail(start, "missing ), unterminated subpattern")
	}
	if n.kind == nCat || n.kind == nAlt || n.kind == nRepeat || n.kind == nAssert {
		// A group in parentheses may be repeated whatever is in it.
		return &node{kind: nCat, subs: []*node{n}}
	}
	return n
}

func (p *parser) capture(name string, start int) *node {
	g := len(p.groups)
	if name != "" {
		if old, dup := p.byName[name]; dup {
			p.fail(start, "redefinition of group name %q as group %d; was group %d", name, g, old)
		}
		p.byName[name] = g
	}
	p.groups = append(p.groups, name)
	p.open[g] = true
	sub := p.alternatives()
	if !p.take(")") {
		p.fail(start, "missing ), unterminated subpattern")
	}
	delete(p.open, g)
	return &node{kind: nGroup, group: g, subs: []*node{sub}}
}

func (p *parser) name(end string, start int) string {
	i := strings.Index(p.src[p.pos:], end)
	if i < 0 {
		p.fail(start, "missing %s, unterminated name", end)
	}
	name := p.src[p.pos : p.pos+i]
	p.pos += i + 1
	if name == "" {
		p.fail(start, "missing group name")
	}
	for j, r := range name {
		if !isWord(r) || j == 0 && unicode.Is(unicode.N, r) {
			p.fail(start, "bad character in group name %q", name)
		}
	}
	return name
}

func (p *parser) look(start int, behind, negate bool) *node {
	sub := p.closing(p.alternatives(), start)
	n := &node{kind: nLook, behind: behind, negate: negate, subs: []*node{sub}}
	if behind {
		lo, hi := width(sub)
		if lo != hi {
			p.fail(start, "look-behind requires fixed-width pattern")
		}
		n.width = lo
	}
	return n
}

func (p *parser) conditional(start int) *node {
	g := p.condGroup(start)
	yes := p.sequence()
	no := &node{kind: nEmpty}
	if p.take("|") {
		no = p.sequence()
		if p.peek("|") {
			p.fail(p.pos, "conditional backref with more than two branches")
		}
	}
	if !p.take(")") {
		p.fail(start, "missing ), unterminated subpattern")
	}
	return &node{kind: nCond, group: g, subs: []*node{yes, no}}
}

// condGroup reads the group of a conditional: a name seen before, or a number
// that may also come later.
func (p *parser) condGroup(start int) int {
	n := p.digits()
	if n == "" || !p.take(")") {
		p.pos -= len(n)
		name := p.name(")", start)
		g, ok := p.byName[name]
		if !ok {
			p.fail(start, "unknown group name %q", name)
		}
		return g
	}
	g, err := strconv.Atoi(n)
	if err != nil || g == 0 || g > 10_000 {
		p.fail(start, "bad group number")
	}
	if g > p.maxRef {
		p.maxRef, p.maxRefAt = g, start
	}
	return g
}

// width returns how few and how many characters n can match.
func width(n *node) (lo, hi int) {
	switch n.kind {
	case nLit, nSet:
		return 1, 1
	case nCat:
		for _, s := range n.subs {
			l, h := width(s)
			lo, hi = lo+l, min(hi+h, infinite)
		}
		return lo, hi
	case nAlt, nCond:
		lo = infinite
		for _, s := range n.subs {
			l, h := width(s)
			lo, hi = min(lo, l), max(hi, h)
		}
		return lo, hi
	case nRepeat:
		l, h := width(n.subs[0])
		if n.max == infinite && h > 0 {
			return l * n.min, infinite
		}
		return l * n.min, min(h*n.max, infinite)
	case nGroup, nAtomic:
		return width(n.subs[0])
	case nBackref:
		return 0, infinite
	}
	return 0, 0
}

// nullable reports whether n can match without consuming anything.
func nullable(n *node) bool { lo, _ := width(n); return lo == 0 }

// namedGroups lists the names that occur, in order of their groups.
func (p *parser) namedGroups() []string { return slices.Clone(p.groups) }
