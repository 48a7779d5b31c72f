package main

import (
	"errors"
	"fmt"
	"io"
)

// The exit statuses.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitFindings = 3
	exitSignal   = 128 // and the signal's number
)

// failure is an error with the exit status that it leads to and hints, each a
// command to paste or a thing to do.
type failure struct {
	err   error
	code  int
	hints []string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// errFindings ends a command that did its work and found something, without a word.
var errFindings = errors.New("findings")

// usage is an error of the command line.
func usage(hint, format string, args ...any) error {
	f := &failure{err: fmt.Errorf(format, args...), code: exitUsage}
	if hint != "" {
		f.hints = []string{hint}
	}
	return f
}

// hinted adds hints to an error.
func hinted(err error, hints ...string) error {
	return &failure{err: err, code: exitFailed, hints: hints}
}

// complain prints an error for people and returns the exit status.
func complain(w io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(err, errFindings) {
		return exitFindings
	}
	fmt.Fprintln(w, "sekimori:", err)
	f, ok := errors.AsType[*failure](err)
	if !ok {
		return exitFailed
	}
	for _, h := range f.hints {
		fmt.Fprintln(w, "hint:", h)
	}
	return f.code
}
