package ipfw

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Error is one thing wrong with the text.
type Error struct {
	// Line and Column are where, from 1; columns count bytes.
	Line, Column int
	// Message says what is wrong: lower case, one line.
	Message string
	// Hint says what to do about it, "" where nothing can be said.
	Hint string

	source string
	width  int
}

// Error returns the place and the message, the line with a caret, and the hint.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "line %d: %s", e.Line, e.Message)
	if e.source != "" {
		text, mark := caret(e.source, e.Column, e.width)
		fmt.Fprintf(&b, "\n  %s\n  %s", text, mark)
	}
	if e.Hint != "" {
		b.WriteString("\nhint: " + e.Hint)
	}
	return b.String()
}

// caret returns the part of a line that can be shown, and the marks below it.
func caret(line string, column, width int) (text, mark string) {
	const most = 100
	at := min(max(column-1, 0), len(line))
	from := 0
	if at > most*3/4 {
		from = at - most/2
	}
	to := min(len(line), from+most)
	shown := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError {
				return '?'
			}
			return r
		}, s)
	}
	indent := utf8.RuneCountInString(shown(line[from:at]))
	marks := max(1, min(width, to-at))
	return shown(line[from:to]), strings.Repeat(" ", indent) + strings.Repeat("^", marks)
}

// Errors are all things wrong with a text, in order of their lines.
type Errors []*Error

// Error returns all of them.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// maxErrors is how many errors are kept: a file of another sort altogether would
// else give one a line.
const maxErrors = 100

func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b *Error) int { return a.Line - b.Line })
	return e
}
