package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxSize is the largest policy in bytes. The YAML parser can be made to work
// very long on larger hostile input.
const MaxSize = 1 << 20

// maxLine is the longest line in bytes: what has to be found in a line is found
// by walking through it.
const maxLine = 4 << 10

// maxKeys bounds the keys of one mapping: the YAML parser takes time that grows
// with the square of their number.
const maxKeys = 5000

// maxEntries bounds the lines that start with a dash, likewise.
const maxEntries = 30_000

// maxParts bounds the words, brackets, commas and colons of a policy, likewise.
const maxParts = 200_000

// maxDepth bounds brackets within brackets and entries within entries.
const maxDepth = 16

// source is the text of a policy, by lines.
type source struct {
	name  string
	lines []string // without their ends
}

func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

func (s *source) problem(line, column, width int, message string) Problem {
	return Problem{File: s.name, Line: line, Column: column, Message: message, source: s.line(line), width: width}
}

// newSource splits a text and refuses what must not reach the YAML parser:
// files that are too large or too deep, bytes that are no text.
func newSource(name string, text []byte) (*source, []Problem) {
	s := &source{name: name}
	if len(text) > MaxSize {
		return s, []Problem{{
			File:    name,
			Message: fmt.Sprintf("the policy has %d bytes, more than %d", len(text), MaxSize),
			Hint:    "put long lists into files of their own: {file: PATH}",
		}}
	}
	s.lines = strings.Split(string(text), "\n")
	var ps []Problem
	depth, entries, parts := 0, 0, 0
	var keys [201]int // lines that may be keys of one mapping, by indentation
	for i, line := range s.lines {
		line = strings.TrimSuffix(line, "\r")
		if p, bad := s.badText(i+1, line); bad {
			ps = append(ps, p)
			if len(ps) >= maxProblems {
				return s, ps
			}
			continue
		}
		toks := scanLine(line, depth)
		if p, bad := s.badShape(i+1, line, toks); bad {
			ps = append(ps, p)
		}
		if depth == 0 && len(toks) > 0 && toks[0].kind == scalarTok && toks[0].column <= len(keys) {
			clear(keys[toks[0].column:])
			if keys[toks[0].column-1]++; keys[toks[0].column-1] > maxKeys {
				return s, append(ps, s.problem(i+1, toks[0].column, 1, fmt.Sprintf("more than %d keys beside each other", maxKeys)))
			}
		}
		if parts += len(toks); parts > maxParts {
			return s, append(ps, s.problem(i+1, 1, 1, fmt.Sprintf("more than %d words and signs", maxParts)))
		}
		if len(toks) > 0 && toks[0].kind == dash {
			if entries++; entries > maxEntries {
				return s, append(ps, s.problem(i+1, toks[0].column, 1, fmt.Sprintf("more than %d entries", maxEntries)))
			}
		}
		for _, t := range toks {
			switch t.kind {
			case openBracket:
				depth++
			case closeBracket:
				depth = max(depth-1, 0)
			}
			if depth > maxDepth {
				p := s.problem(i+1, t.column, 1, fmt.Sprintf("brackets within brackets, more than %d deep", maxDepth))
				return s, append(ps, p)
			}
		}
	}
	return s, ps
}

// badText finds what is not text.
func (s *source) badText(n int, line string) (Problem, bool) {
	if len(line) > maxLine {
		p := s.problem(n, 1, 1, fmt.Sprintf("the line has %d bytes, more than %d", len(line), maxLine))
		p.Hint = "write long lists over several lines, or into files of their own: {file: PATH}"
		return p, true
	}
	column := 0
	for i, r := range line {
		column++
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(line[i:], "\uFFFD"):
			return s.problem(n, column, 1, "this is not UTF-8"), true
		case r == '\uFEFF':
			p := s.problem(n, column, 1, "a byte order mark")
			p.Hint = "save the file as UTF-8 without one"
			return p, true
		case r < ' ' && r != '\t', r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029':
			return s.problem(n, column, 1, fmt.Sprintf("control character %U", r)), true
		}
	}
	return Problem{}, false
}

// badShape finds tabs where YAML wants blanks, and forms of YAML that a policy
// has no use for.
func (s *source) badShape(n int, line string, toks []tok) (Problem, bool) {
	body := strings.TrimLeft(line, " \t")
	indent := line[:len(line)-len(body)]
	if i := strings.IndexByte(indent, '\t'); i >= 0 && body != "" && body[0] != '#' {
		p := s.problem(n, i+1, 1, "a tab in the indentation")
		p.Expected, p.Hint = "blanks", "replace each tab by two blanks"
		return p, true
	}
	if len(indent) > 200 {
		return s.problem(n, 201, 1, "an indentation of more than 200 blanks"), true
	}
	dashes := 0
	for _, t := range toks {
		if t.kind == dash {
			dashes++
		}
		if dashes > maxDepth {
			return s.problem(n, t.column, 1, fmt.Sprintf("entries within entries, more than %d deep", maxDepth)), true
		}
		if t.kind != scalarTok {
			continue
		}
		if what := unused(t.text); what != "" || t.open {
			if t.open {
				what = "a quoted text that does not end in its line"
			}
			p := s.problem(n, t.column, utf8.RuneCountInString(t.text), what+" is not used in policies")
			if !t.open {
				p.Hint = "quote the text if it is meant as such"
			}
			return p, true
		}
	}
	return Problem{}, false
}

// unused names the form of YAML that a scalar starts, or "".
func unused(text string) string {
	switch text[0] {
	case '&':
		return "an anchor"
	case '*':
		return "an alias"
	case '!':
		return "a tag"
	case '|', '>':
		return "a text of several lines"
	case '@', '`', '%':
		return "a word that starts with " + text[:1]
	case '?':
		if text == "?" {
			return "a complex key"
		}
	}
	if text == "---" || text == "..." {
		return "a document marker"
	}
	if text == "<<" {
		return "a merge key"
	}
	return ""
}

// The kinds of what stands in a line.
type tokKind uint8

const (
	scalarTok tokKind = iota
	openBracket
	closeBracket
	comma
	colon
	dash
	comment
)

// A tok is a part of a line as it is written.
type tok struct {
	kind   tokKind
	text   string
	column int // from 1, in characters
	open   bool
}

// scanLine splits a line of the YAML that policies are written in. depth is
// the number of brackets that are open at its start: commas and brackets are
// letters outside. A quoted text that does not end in its line is marked open.
func scanLine(line string, depth int) []tok {
	var toks []tok
	column := 1
	for rest := line; rest != ""; {
		text, kind, open := scanTok(rest, line[:len(line)-len(rest)], depth, toks)
		switch kind {
		case openBracket:
			depth++
		case closeBracket:
			depth--
		}
		if text != "" && text[0] != ' ' && text[0] != '\t' {
			toks = append(toks, tok{kind, text, column, open})
		}
		column += utf8.RuneCountInString(text)
		rest = rest[len(text):]
	}
	return toks
}

func scanTok(rest, before string, depth int, toks []tok) (text string, kind tokKind, open bool) {
	first := rest[0]
	blank := before == "" || strings.HasSuffix(before, " ") || strings.HasSuffix(before, "\t")
	next := byte(' ')
	if len(rest) > 1 {
		next = rest[1]
	}
	switch {
	case first == ' ' || first == '\t':
		return rest[:len(rest)-len(strings.TrimLeft(rest, " \t"))], scalarTok, false
	case first == '#' && blank:
		return rest, comment, false
	case first == '{' || first == '[':
		return rest[:1], openBracket, false
	case depth > 0 && (first == '}' || first == ']'):
		return rest[:1], closeBracket, false
	case depth > 0 && first == ',':
		return rest[:1], comma, false
	case first == ':' && endsKey(next, depth):
		return rest[:1], colon, false
	case first == ':' && len(toks) > 0 && quoted(toks[len(toks)-1].text) && depth > 0:
		return rest[:1], colon, false
	case first == '-' && next == ' ' && depth == 0 && (len(toks) == 0 || toks[len(toks)-1].kind == dash):
		return rest[:1], dash, false
	case first == '"' || first == '\'':
		n := quoteEnd(rest)
		if n < 0 {
			return rest, scalarTok, true
		}
		return rest[:n], scalarTok, false
	}
	return rest[:plainEnd(rest, depth)], scalarTok, false
}

func quoted(text string) bool { return text[0] == '"' || text[0] == '\'' }

// endsKey tells whether a colon before next ends a key.
func endsKey(next byte, depth int) bool {
	return next == ' ' || next == '\t' || depth > 0 && strings.IndexByte(",[]{}", next) >= 0
}

// plainEnd returns the length of a plain scalar, trailing blanks not counted.
func plainEnd(s string, depth int) int {
	i := 1
	for ; i < len(s); i++ {
		next := byte(' ')
		if i+1 < len(s) {
			next = s[i+1]
		}
		if s[i] == ':' && endsKey(next, depth) || s[i] == '#' && (s[i-1] == ' ' || s[i-1] == '\t') ||
			depth > 0 && strings.IndexByte(",[]{}", s[i]) >= 0 {
			break
		}
	}
	return max(1, len(strings.TrimRight(s[:i], " \t")))
}

// quoteEnd returns the length of a quoted scalar, or -1.
func quoteEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[0] == '"' && s[i] == '\\':
			i++
		case s[0] == '\'' && s[i] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
		case s[i] == s[0]:
			return i + 1
		}
	}
	return -1
}
