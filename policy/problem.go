package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"sekimori/internal/near"
)

// Problem is one thing that is wrong with a policy, or with a file that it
// names.
type Problem struct {
	File         string // as given to Parse, or the file of a list
	Line, Column int    // from 1; columns count characters. 0: the file as a whole
	Message      string // what is wrong
	Expected     string // what may stand there; may be empty
	Hint         string // what was probably meant, or what to do; may be empty

	source string // the line
	width  int    // characters that are marked
}

// String returns the problem as people read it: place and message, the line
// with a caret under the fault, what was expected, a hint.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": " + p.Message + "\n")
	if p.Line > 0 {
		text, mark := caret(p.source, p.Column, p.width)
		number := fmt.Sprint(p.Line)
		fmt.Fprintf(&b, "  %s | %s\n", number, text)
		fmt.Fprintf(&b, "  %s | %s\n", strings.Repeat(" ", len(number)), mark)
	}
	if p.Expected != "" {
		b.WriteString("  expected: " + p.Expected + "\n")
	}
	if p.Hint != "" {
		b.WriteString("  hint: " + p.Hint + "\n")
	}
	return b.String()
}

// maxProblems is where looking for more problems ends.
const maxProblems = 1000

// Error is everything that is wrong with a policy, in the order of the file; of
// more than a thousand problems, about the first thousand that were found.
type Error struct{ Problems []Problem }

// Error returns all problems, as Problem.String writes them; of more than a
// hundred, the first hundred and how many more there are.
func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i == 100 {
			fmt.Fprintf(&b, "and %d more\n", len(e.Problems)-i)
			break
		}
		b.WriteString(p.String())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// sorted returns an error of the problems, or nil if there are none.
func sorted(ps []Problem) error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return &Error{ps}
}

// caret returns a line as it can be shown, and the marks below it. A long line
// is cut around the column; what a terminal could act on is replaced.
func caret(line string, column, width int) (text, mark string) {
	const most = 120
	rs := []rune(strings.TrimSuffix(line, "\r"))
	at := min(max(column-1, 0), len(rs))
	from := 0
	if len(rs) > most && at > most/2 {
		from = at - most/2
	}
	to := min(len(rs), from+most)
	var t, m strings.Builder
	for i := from; i <= max(to, at); i++ {
		r := ' '
		if i < to {
			r = rs[i]
			t.WriteRune(visible(r))
		}
		sign := " "
		switch {
		case i >= at && i < at+max(width, 1):
			sign = "^"
		case i > at:
			continue
		}
		if wide(r) {
			sign += sign
		}
		m.WriteString(sign)
	}
	return strings.TrimRight(t.String(), " "), strings.TrimRight(m.String(), " ")
}

// visible replaces what is not printed in one or two cells; a tab too, so that
// the caret stays in place.
func visible(r rune) rune {
	switch {
	case r == '\t':
		return '→'
	case unicode.IsPrint(r) && !unicode.Is(unicode.Mn, r):
		return r
	}
	return '\uFFFD'
}

// wide tells whether terminals give a character two cells: the larger blocks
// of East Asian Width (UAX #11).
func wide(r rune) bool {
	return r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 ||
		r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 ||
		r >= 0xffe0 && r <= 0xffe6 || r >= 0x1f300 && r <= 0x1faff || r >= 0x20000 && r <= 0x3fffd)
}

// nearest returns the candidate that s was probably meant to be, or "".
func nearest(s string, candidates []string) string {
	best, limit := "", 1+len(s)/4
	if len(s) > 64 {
		return ""
	}
	for _, c := range candidates {
		if len(s) < 5 && (s == "" || s[0] != c[0]) {
			continue // of short words, too many are near: wan is not lan
		}
		if d := near.Distance(strings.ToLower(s), c); d <= limit && d < max(len(s), len(c)) {
			best, limit = c, d-1
		}
	}
	return best
}

// alternatives lists words as a sentence does: a, b or c.
func alternatives(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
