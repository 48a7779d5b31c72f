package pyre

import "strings"

// inlineFlags reads (?imsx) at the start of the pattern, which holds for all of
// it, and (?i-s:...), which holds inside. What is refused is what Python 3.11
// refuses (Lib/re/_parser.py, _parse_flags).
func (p *parser) inlineFlags(start int) (n *node, global bool) {
	on, end := p.flagLetters(start, ")-:", "missing -, : or )")
	if on&ASCII != 0 && strings.ContainsRune(p.src[start:p.pos], 'u') {
		p.fail(start, "flags a and u are incompatible")
	}
	off := Flags(0)
	switch {
	case end == ')' && p.src[start:p.pos] == "(?)":
		p.fail(start, "unknown extension ?)")
	case end == ')':
		if start != 0 && strings.TrimLeft(p.src[:start], " \t\n\r\f\v") != "" && !onlyFlags(p.src[:start]) {
			p.fail(start, "global flags not at the start of the expression")
		}
		p.flags |= on
		return nil, true
	case end == '-':
		from := p.pos
		off, _ = p.flagLetters(start, ":", "missing :")
		switch turned := p.src[from : p.pos-1]; {
		case turned == "":
			p.fail(start, "missing flag")
		case strings.ContainsAny(turned, "au"):
			p.fail(start, "cannot turn off flags a and u")
		case on&off != 0:
			p.fail(start, "flag turned on and off")
		}
	}
	p.flags = p.flags&^off | on
	return p.closing(p.alternatives(), start), false
}

// flagLetters reads letters up to one of the ends, which it returns.
func (p *parser) flagLetters(start int, ends, missing string) (Flags, rune) {
	var flags Flags
	for p.more() {
		c := p.next()
		if strings.ContainsRune(ends, c) {
			return flags, c
		}
		f, ok := flagOf(c)
		if !ok {
			p.fail(start, "unknown extension ?%c", c)
		}
		flags |= f
	}
	p.fail(start, "%s", missing)
	return 0, 0
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
