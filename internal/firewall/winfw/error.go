package winfw

import (
	"fmt"
	"strings"
)

// Error is one thing wrong with the text.
type Error struct {
	// Line is its number, from 1.
	Line int
	// Message says what is wrong: lower case, one line.
	Message string
}

// Error returns "line 3: …".
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

// Errors are all things wrong with a text, in order of their lines.
type Errors []*Error

// Error returns all of them, a line each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// maxErrors is how many errors are kept, maxSize how long a text may be.
const (
	maxErrors = 100
	maxSize   = 64 << 20
)

// errs collects errors of a reader.
type errs struct {
	line int
	list Errors
}

func (e *errs) fail(format string, args ...any) {
	if len(e.list) < maxErrors {
		e.list = append(e.list, &Error{e.line, fmt.Sprintf(format, args...)})
	}
}

// each calls one for every line of a text.
func (e *errs) each(src []byte, one func(line string)) {
	if len(src) > maxSize {
		e.line = 1
		e.fail("the text is too large to be rules of a firewall")
		return
	}
	for i, line := range strings.Split(string(src), "\n") {
		e.line = i + 1
		line = strings.TrimRight(line, "\r \t")
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			e.fail("bytes that are not text")
			continue
		}
		one(line)
		if len(e.list) >= maxErrors {
			return
		}
	}
}
