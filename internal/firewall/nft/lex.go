package nft

import (
	"fmt"
	"strings"
)

// tokenKind is the sort of a token.
type tokenKind uint8

const (
	word tokenKind = iota
	quoted
	mark // one of { } : , @ ; and &
	newline
	end
)

// token is a piece of the text.
type token struct {
	kind tokenKind
	text string
	line int
	at   int // offset of its first byte
}

// A SyntaxError is a place that Read does not know.
type SyntaxError struct {
	Line    int
	Message string
}

// Error has the line and what is wrong with it.
func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

// lexer cuts a text into tokens. Comments and blanks are between them.
type lexer struct {
	text string
	pos  int
	line int
}

func (l *lexer) next() (token, error) {
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == ' ' || c == '\t':
			l.pos++
		case c == '#':
			l.skipTo('\n')
		case c == '\n':
			l.pos++
			l.line++
			return token{newline, "\n", l.line - 1, l.pos - 1}, nil
		case c == '"':
			from := l.pos + 1
			n := strings.IndexAny(l.text[from:], "\"\n")
			if n < 0 || l.text[from+n] == '\n' {
				return token{}, &SyntaxError{l.line, "a text in quotes that does not end"}
			}
			l.pos = from + n + 1
			return token{quoted, l.text[from : from+n], l.line, from - 1}, nil
		case strings.IndexByte("{},:@;&", c) >= 0 && !l.inAddress():
			l.pos++
			return token{mark, string(c), l.line, l.pos - 1}, nil
		case wordByte(c), l.inAddress():
			return l.word(), nil
		case c == '[': // an address of IPv6 with a port: [2001:db8::1]:443
			return l.word(), nil
		default:
			return token{}, &SyntaxError{l.line, fmt.Sprintf("a character that does not belong here: %q", c)}
		}
	}
	return token{end, "", l.line, l.pos}, nil
}

func (l *lexer) skipTo(c byte) {
	if n := strings.IndexByte(l.text[l.pos:], c); n >= 0 {
		l.pos += n
		return
	}
	l.pos = len(l.text)
}

// inAddress reports whether a colon begins an address, as in ::1.
func (l *lexer) inAddress() bool { return strings.HasPrefix(l.text[l.pos:], "::") }

// word takes letters, digits and what numbers, addresses and names have inside. A
// colon belongs to it where no blank surrounds it, as in addresses.
func (l *lexer) word() token {
	from := l.pos
	for l.pos < len(l.text) {
		c := l.text[l.pos]
		if !wordByte(c) && c != ':' && c != '[' && c != ']' {
			break
		}
		l.pos++
	}
	return token{word, l.text[from:l.pos], l.line, from}
}

func wordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._-/!=<>", c) >= 0
}
