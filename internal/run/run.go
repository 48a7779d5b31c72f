// Package run starts other programs: the one place (beside tests) that does.
// Every program gets an argument vector, never a shell; its standard input from
// memory; a deadline by its context; a bound on what it may print; and what it
// says on stderr stands in the error.
//
//	out, err := run.Command{Argv: []string{"nft", "--version"}}.Output(ctx)
package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// The bounds of what a program may print.
const (
	defaultLimit = 64 << 20
	stderrLimit  = 8 << 10
)

// grace is how long a program has to end after its context is over, before its
// pipes are closed.
const grace = time.Second

// ErrTooMuch is wrapped by the error about a program that printed more than it
// may.
var ErrTooMuch = errors.New("printed too much")

// Command is a program to start.
type Command struct {
	// Argv is the name of the program, looked up in PATH where it has no slash,
	// and its arguments.
	Argv []string
	// Path, where set, is the file to execute in place of Argv[0].
	Path  string
	Stdin []byte
	// Env is added to the environment, as "NAME=value".
	Env []string
	// Limit bounds standard output in bytes; 0 is 64 MiB.
	Limit int
	// Isolated starts it in network and mount namespaces of its own, where it is
	// root and can load rules without touching this machine. Linux only.
	Isolated bool
}

// Output runs the program and returns what it printed. The error is nil only if
// it exited with 0 and printed no more than it may.
func (c Command) Output(ctx context.Context) ([]byte, error) {
	name := strings.Join(c.Argv, " ")
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	if c.Path != "" {
		cmd = exec.CommandContext(ctx, c.Path, c.Argv[1:]...)
		cmd.Args[0] = c.Argv[0]
	}
	cmd.Env = append(cmd.Environ(), c.Env...)
	cmd.Stdin = bytes.NewReader(c.Stdin)
	limit := c.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	stdout, stderr := &bounded{left: limit}, &bounded{left: stderrLimit}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = grace
	if c.Isolated {
		if err := isolate(cmd); err != nil {
			return nil, fmt.Errorf("run %s: %w", name, err)
		}
	}
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("run %s: %w", name, ctx.Err())
	case err != nil:
		return nil, fmt.Errorf("run %s: %w%s", name, err, said(stderr.buf.String()))
	case stdout.cut:
		return nil, fmt.Errorf("run %s: %w: more than %d bytes", name, ErrTooMuch, limit)
	}
	return stdout.buf.Bytes(), nil
}

// Installed reports whether a program is in PATH.
func Installed(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// said formats what a program printed on stderr.
func said(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	return ": " + text
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	buf  bytes.Buffer
	left int
	cut  bool
}

// Write takes everything, so that the program is not stopped by a full pipe.
func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.buf.Write(p[:n])
	b.left -= n
	b.cut = b.cut || n < len(p)
	return len(p), nil
}

var _ io.Writer = (*bounded)(nil)
