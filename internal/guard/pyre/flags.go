package pyre

import "strings"

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
