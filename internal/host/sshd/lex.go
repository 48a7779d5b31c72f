package sshd

import "strings"

// blank is what separates words in misc.c's WHITESPACE.
const blank = " \t\r\n"

// A cursor cuts words off a line as strdelim of OpenSSH does: at blanks, at a
// quoted string, or at one equals sign.
type cursor struct {
	rest string
	done bool // nothing is left, in contrast to an empty rest
}

// next gives the next word; ok is false at the end, and at a quote that is
// never closed.
func (c *cursor) next() (word string, ok bool) {
	if c.done {
		return "", false
	}
	i := strings.IndexAny(c.rest, blank+`"=`)
	if i < 0 {
		word = c.rest
		c.rest, c.done = "", true
		return word, true
	}
	if c.rest[i] == '"' {
		body, after, closed := strings.Cut(c.rest[i+1:], `"`)
		if !closed {
			c.rest, c.done = "", true
			return "", false
		}
		word = c.rest[:i] + body
		c.rest = strings.TrimLeft(after, blank)
		return word, true
	}
	word, equals := c.rest[:i], c.rest[i] == '='
	c.rest = strings.TrimLeft(c.rest[i+1:], blank)
	if !equals && strings.HasPrefix(c.rest, "=") {
		c.rest = strings.TrimLeft(c.rest[1:], blank)
	}
	return word, true
}

// splitArgs cuts the arguments of a keyword as argv_split of OpenSSH (8.7 and
// later) does: quotes of both kinds, backslash before a quote, a backslash or,
// outside quotes, a blank, and a comment that starts where a word could. ok is
// false where a quote is never closed.
func splitArgs(s string) (args []string, ok bool) {
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' || s[i] == '\t' {
			continue
		}
		if s[i] == '#' {
			break
		}
		var word []byte
		word, i, ok = oneArg(s, i)
		if !ok {
			return nil, false
		}
		args = append(args, string(word))
	}
	return args, true
}

func oneArg(s string, i int) (word []byte, end int, ok bool) {
	var quote byte
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && escapes(s[i+1], quote):
			i++
			word = append(word, s[i])
		case quote == 0 && (c == ' ' || c == '\t'):
			return word, i, true
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		default:
			word = append(word, c)
		}
	}
	return word, i, quote == 0
}

func escapes(c, quote byte) bool {
	return c == '\'' || c == '"' || c == '\\' || quote == 0 && c == ' '
}

// logicalLines gives the lines as sshd's own reader hands them on: leading
// blanks are cut from each, and what follows a NUL byte is lost with its
// newline, so that the next line joins.
func logicalLines(text string) []string {
	var b strings.Builder
	b.Grow(len(text))
	for line := range strings.SplitAfterSeq(text, "\n") {
		line, _, _ = strings.Cut(line, "\x00")
		b.WriteString(strings.TrimLeft(line, " \t\r"))
	}
	return strings.Split(b.String(), "\n")
}
