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

func (p *parser) dot() *charSet {
	if p.flags&DotAll != 0 {
		return (&charSet{any: true}).finish()
	}
	s := &charSet{negate: true}
	s.add('\n', '\n')
	return s.finish()
}

// category returns the predicate of \d \D \s \S \w \W.
func (p *parser) category(c byte) func(rune) bool {
	var f func(rune) bool
	a := p.flags&ASCII != 0
	switch c | 0x20 {
	case 'd':
		if f = isDigit; a {
			f = isDigitASCII
		}
	case 's':
		if f = isSpace; a {
			f = isSpaceASCII
		}
	default:
		if f = isWord; a {
			f = isWordASCII
		}
	}
	if c&0x20 == 0 {
		f = not(f)
	}
	return f
}

func (p *parser) escape(start int) *node {
	if !p.more() {
		p.fail(start, "bad escape (end of pattern)")
	}
	c := p.src[p.pos]
	switch c {
	case 'A':
		p.pos++
		return &node{kind: nAssert, assert: aBegin}
	case 'Z':
		p.pos++
		return &node{kind: nAssert, assert: aEnd}
	case 'b':
		p.pos++
		return &node{kind: nAssert, assert: aWord}
	case 'B':
		p.pos++
		return &node{kind: nAssert, assert: aNotWord}
	case 'd', 'D', 's', 'S', 'w', 'W':
		p.pos++
		s := &charSet{preds: []func(rune) bool{p.category(c)}}
		return &node{kind: nSet, set: s.finish()}
	}
	if '1' <= c && c <= '9' {
		return p.numericEscape(start)
	}
	return p.literal(p.charEscape(start, false))
}

// numericEscape reads \1 to \99 as a back-reference or, with three octal
// digits, as a character.
func (p *parser) numericEscape(start int) *node {
	s := p.src[p.pos:]
	if len(s) >= 3 && isOctal(s[0]) && isOctal(s[1]) && isOctal(s[2]) {
		v, _ := strconv.ParseInt(s[:3], 8, 32)
		if v > 0o377 {
			p.fail(start, "octal escape value \\%s outside of range 0-0o377", s[:3])
		}
		p.pos += 3
		return p.literal(rune(v))
	}
	n := 1
	if len(s) >= 2 && '0' <= s[1] && s[1] <= '9' {
		n = 2
	}
	g, _ := strconv.Atoi(s[:n])
	p.pos += n
	return p.backref(g, start)
}

func (p *parser) backref(g, at int) *node {
	if g >= len(p.groups) {
		p.fail(at, "invalid group reference %d", g)
	}
	if p.open[g] {
		p.fail(at, "cannot refer to an open group")
	}
	return &node{kind: nBackref, group: g, fold: p.flags&IgnoreCase != 0}
}

func isOctal(c byte) bool { return '0' <= c && c <= '7' }

// charEscape reads what follows a backslash and stands for one character.
func (p *parser) charEscape(start int, inClass bool) rune {
	c := p.next()
	switch c {
	case 'a':
		return '\a'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'v':
		return '\v'
	case 'b':
		if inClass {
			return '\b'
		}
	case 'x':
		return p.hex(start, 2)
	case 'u':
		return p.hex(start, 4)
	case 'U':
		return p.hex(start, 8)
	case '0', '1', '2', '3', '4', '5', '6', '7':
		v := c - '0'
		for i := 0; i < 2 && p.more() && isOctal(p.src[p.pos]); i++ {
			v = v*8 + rune(p.src[p.pos]-'0')
			p.pos++
		}
		if v > 0o377 {
			p.fail(start, "octal escape value outside of range 0-0o377")
		}
		return v
	}
	if c < 0x80 && (isWordASCII(c) && c != '_') {
		p.fail(start, "bad escape \\%c", c)
	}
	return c
}

func (p *parser) hex(start, digits int) rune {
	if len(p.src)-p.pos < digits {
		p.fail(start, "incomplete escape %s", p.src[start:])
	}
	s := p.src[p.pos : p.pos+digits]
	v, err := strconv.ParseUint(s, 16, 32)
	if err != nil || v > unicode.MaxRune || strings.ContainsAny(s, "+-_") {
		p.fail(start, "bad escape %s", p.src[start:p.pos+digits])
	}
	p.pos += digits
	return rune(v)
}

func (p *parser) class(start int) *node {
	s := &charSet{fold: p.flags&IgnoreCase != 0}
	s.negate = p.take("^")
	for first := true; ; first = false {
		if !p.more() {
			p.fail(start, "unterminated character set")
		}
		if !first && p.take("]") {
			break
		}
		at := p.pos
		lo, pred := p.classItem(start)
		if !p.peek("-") || strings.HasPrefix(p.src[p.pos:], "-]") {
			if pred != nil {
				s.preds = append(s.preds, pred)
			} else {
				s.add(lo, lo)
			}
			continue
		}
		p.pos++
		if !p.more() {
			p.fail(start, "unterminated character set")
		}
		hi, pred2 := p.classItem(start)
		if pred != nil || pred2 != nil || hi < lo {
			p.fail(at, "bad character range %s", p.src[at:p.pos])
		}
		s.add(lo, hi)
	}
	return &node{kind: nSet, set: s.finish()}
}

func (p *parser) classItem(start int) (rune, func(rune) bool) {
	at := p.pos
	r := p.next()
	if r != '\\' {
		return r, nil
	}
	if !p.more() {
		p.fail(start, "unterminated character set")
	}
	switch c := p.src[p.pos]; c {
	case 'd', 'D', 's', 'S', 'w', 'W':
		p.pos++
		return 0, p.category(c)
	case '8', '9':
		p.fail(at, "bad escape \\%c", c)
	}
	return p.charEscape(at, true), nil
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

// inlineFlags reads (?imsx) at the start of the pattern, which holds for all of
// it, and (?i-s:...), which holds inside.
func (p *parser) inlineFlags(start int) (n *node, global bool) {
	on, off, minus := Flags(0), Flags(0), false
	for {
		if !p.more() {
			p.fail(start, "missing -, : or )")
		}
		c := p.next()
		switch c {
		case ')':
			if minus {
				p.fail(start, "missing :")
			}
			if start != 0 && strings.TrimLeft(p.src[:start], " \t\n\r\f\v") != "" && !onlyFlags(p.src[:start]) {
				p.fail(start, "global flags not at the start of the expression")
			}
			p.flags |= on
			return nil, true
		case ':':
			p.flags = p.flags&^off | on
			return p.closing(p.alternatives(), start), false
		case '-':
			if minus {
				p.fail(start, "unknown flag")
			}
			minus = true
			continue
		}
		f, ok := flagOf(c)
		switch {
		case !ok:
			p.fail(start, "unknown extension ?%c", c)
		case minus:
			off |= f
		default:
			on |= f
		}
	}
}

// onlyFlags reports whether s is nothing but earlier global flags.
func onlyFlags(s string) bool {
	for s != "" {
		i := strings.IndexByte(s, ')')
		if !strings.HasPrefix(s, "(?") || i < 0 || strings.Trim(s[2:i], "aimsux") != "" {
			return false
		}
		s = s[i+1:]
	}
	return true
}

func flagOf(c rune) (Flags, bool) {
	switch c {
	case 'i':
		return IgnoreCase, true
	case 'm':
		return Multiline, true
	case 's':
		return DotAll, true
	case 'x':
		return Verbose, true
	case 'a':
		return ASCII, true
	case 'u':
		return 0, true
	}
	return 0, false
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
