// Sekimori shows who can reach what on a Linux machine, through the rules that
// are really loaded. `sekimori help` lists its commands.
//
// Exit status: 0 done, 1 failed, 2 usage, 3 findings or drift. Answers go to
// stdout, everything else (progress, warnings, errors with their hints) to
// stderr.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], streams{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv,
	})
	stop()
	os.Exit(code)
}

// streams are what a command may talk to.
type streams struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string
}

// execute carries out one command line and returns the exit status.
func execute(ctx context.Context, args []string, io streams) int {
	root := newRoot(io)
	root.SetArgs(args)
	if args == nil {
		root.SetArgs([]string{}) // nil means os.Args to cobra
	}
	return complain(io.err, root.ExecuteContext(ctx))
}
