package iptables

import (
	"errors"
	"strings"
)

// word is one word of a line.
type word struct {
	s string
	// quoted words are values, whatever they look like.
	quoted bool
}

// errQuote is a quote without its end.
var errQuote = errors.New("a quote is not closed (truncated line?)")

// words splits a line as iptables-restore does: at spaces and tabs, with double
// quotes around words that have them, and a backslash before quotes within.
func words(line string, out []word) ([]word, error) {
	out = out[:0]
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return out, nil
		}
		end := strings.IndexAny(line, " \t\"")
		switch {
		case end < 0:
			return append(out, word{s: line}), nil
		case line[end] != '"':
			out = append(out, word{s: line[:end]})
			line = line[end:]
			continue
		}
		w, rest, err := quotedWord(line)
		if err != nil {
			return out, err
		}
		out = append(out, w)
		line = rest
	}
}

// quotedWord reads a word that has quotes in it somewhere.
func quotedWord(line string) (w word, rest string, err error) {
	var b strings.Builder
	open := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			open = !open
			w.quoted = true
		case open && c == '\\' && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case !open && (c == ' ' || c == '\t'):
			w.s = b.String()
			return w, line[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if open {
		return w, "", errQuote
	}
	w.s = b.String()
	return w, "", nil
}
