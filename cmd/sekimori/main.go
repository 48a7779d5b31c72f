// Sekimori shows who can reach what on a Linux machine, through the rules that
// are really loaded. `sekimori help` lists its commands.
//
// Exit status: 0 done, 1 failed, 2 usage, 3 findings or drift. Answers go to
// stdout, everything else (progress, warnings, errors with their hints) to
// stderr. A signal ends it with 128 and the signal's number, as a shell says it.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ended := make(chan int, 1)
	go func() {
		ended <- execute(ctx, os.Args[1:], streams{
			in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv,
		})
	}()
	code := 0
	select {
	case code = <-ended:
	case sig := <-signals:
		signal.Reset() // a second one ends it at once
		cancel()
		select {
		case <-ended:
		case <-time.After(tidying):
		}
		code = exitSignal
		if n, ok := sig.(syscall.Signal); ok {
			code += int(n)
		}
	}
	cancel()
	os.Exit(code)
}

// tidying is how long a command may take, once a signal came, to end its
// children and remove what is half written. The evaluation of rules is not waited
// for.
const tidying = 300 * time.Millisecond

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
	err := root.ExecuteContext(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitFailed // whoever ended it knows why
	}
	return complain(io.err, err)
}
