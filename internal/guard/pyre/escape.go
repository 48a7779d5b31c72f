package pyre

import (
	"strconv"
	"strings"
	"unicode"
)

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

// categories are the sets of \d \D \s \S \w \W, which every pattern has, Unicode's
// and ASCII's: made once, and never changed.
var categories = func() (all [2][6]*charSet) {
	for ascii, flags := range []Flags{0, ASCII} {
		p := &parser{flags: flags}
		for i, c := range []byte("dDsSwW") {
			all[ascii][i] = (&charSet{preds: []func(rune) bool{p.category(c)}}).finish()
		}
	}
	return all
}()

func (p *parser) categorySet(c byte) *charSet {
	ascii := 0
	if p.flags&ASCII != 0 {
		ascii = 1
	}
	return categories[ascii][strings.IndexByte("dDsSwW", c)]
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
		return &node{kind: nSet, set: p.categorySet(c)}
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
