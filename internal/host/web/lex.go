package web

import "strings"

// token is a word of a language with braces, or one of { } ; and, where lines
// matter, the end of a line.
type token struct {
	text   string
	kind   byte // 'w', '{', '}', ';', '\n', 0 at the end
	quoted bool
	line   int
}

// lexer reads words, quotes and comments of nginx's language, and with lines set
// of Caddy's, where a line ends a directive and a brace stands apart.
type lexer struct {
	text  string
	at    int
	line  int
	lines bool
}

func (l *lexer) next() token {
	for l.at < len(l.text) {
		switch c := l.text[l.at]; {
		case c == '\n':
			l.at++
			l.line++
			if l.lines {
				return token{kind: '\n', line: l.line - 1}
			}
		case c == ' ' || c == '\t' || c == '\r':
			l.at++
		case c == '\\' && l.lines && strings.HasPrefix(l.text[l.at:], "\\\n"):
			l.at += 2
			l.line++
		case c == '#':
			end := strings.IndexByte(l.text[l.at:], '\n')
			if end < 0 {
				end = len(l.text) - l.at
			}
			l.at += end
		case !l.lines && (c == '{' || c == '}' || c == ';'):
			l.at++
			return token{kind: c, line: l.line}
		case l.lines && (c == '{' || c == '}') && l.alone():
			l.at++
			return token{kind: c, line: l.line}
		case c == '"' || c == '\'' && !l.lines || c == '`' && l.lines:
			return l.quoted(c)
		default:
			return l.word()
		}
	}
	return token{line: l.line}
}

// alone reports whether the brace at hand is a word of its own.
func (l *lexer) alone() bool {
	return l.at+1 == len(l.text) || strings.IndexByte(" \t\r\n", l.text[l.at+1]) >= 0 || l.text[l.at] == '}' && l.text[l.at+1] == '}'
}

func (l *lexer) quoted(quote byte) token {
	t := token{kind: 'w', quoted: true, line: l.line}
	var b strings.Builder
	for l.at++; l.at < len(l.text); l.at++ {
		c := l.text[l.at]
		if c == quote {
			l.at++
			break
		}
		if c == '\\' && l.at+1 < len(l.text) && quote != '`' {
			if n := l.text[l.at+1]; n == quote || n == '\\' {
				l.at++
				c = n
			}
		}
		if c == '\n' {
			l.line++
		}
		b.WriteByte(c)
	}
	t.text = b.String()
	return t
}

func (l *lexer) word() token {
	t := token{kind: 'w', line: l.line}
	start := l.at
	for l.at < len(l.text) {
		c := l.text[l.at]
		if strings.IndexByte(" \t\r\n", c) >= 0 || !l.lines && (c == ';' || c == '{' && (l.at == start || l.text[l.at-1] != '$')) {
			break
		}
		if !l.lines && c == '{' { // ${variable}
			for l.at < len(l.text) && l.text[l.at] != '}' && l.text[l.at] != '\n' {
				l.at++
			}
		}
		if c == '\\' && l.at+1 < len(l.text) && l.text[l.at+1] != '\n' {
			l.at++
		}
		l.at++
	}
	l.at = min(l.at, len(l.text))
	t.text = l.text[start:l.at]
	return t
}
