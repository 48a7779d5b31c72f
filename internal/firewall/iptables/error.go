package iptables

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
	// Hint says what to do about it, "" where nothing can be said.
	Hint string
}

// Error returns "line 3: …", and the hint on a line of its own.
func (e *Error) Error() string {
	s := fmt.Sprintf("line %d: %s", e.Line, e.Message)
	if e.Hint != "" {
		s += "\nhint: " + e.Hint
	}
	return s
}

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

// maxErrors is how many errors are kept: a file of another sort altogether would
// else give one a line.
const maxErrors = 100
