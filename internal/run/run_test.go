//go:build linux

package run

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"sekimori/internal/lab"
)

func sh(script string) Command { return Command{Argv: []string{"sh", "-c", script}} }

func TestOutput(t *testing.T) {
	c := sh(`cat; echo "$GREETING"`)
	c.Stdin, c.Env = []byte("in "), []string{"GREETING=hello"}
	out, err := c.Output(t.Context())
	if err != nil || string(out) != "in hello\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestFailureSaysWhatTheProgramSaid(t *testing.T) {
	_, err := sh("echo no such table >&2; exit 4").Output(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no such table") || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("got %v", err)
	}
	if _, err := (Command{Argv: []string{"no-such-program-anywhere"}}).Output(t.Context()); err == nil {
		t.Error("a program that does not exist ran")
	}
}

func TestLimit(t *testing.T) {
	c := sh("printf 123456")
	c.Limit = 5
	if _, err := c.Output(t.Context()); !errors.Is(err, ErrTooMuch) {
		t.Errorf("6 bytes of 5: %v", err)
	}
	c.Limit = 6
	if out, err := c.Output(t.Context()); err != nil || string(out) != "123456" {
		t.Errorf("6 bytes of 6: %q, %v", out, err)
	}
}

func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	// The child of the shell keeps the pipe open: the end must not wait for it.
	_, err := sh("sleep 30 & wait").Output(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestIsolated: the program is root in another network namespace, which has no
// links but lo.
func TestIsolated(t *testing.T) {
	here, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	c := sh("readlink /proc/self/ns/net; id -u; tail -n +3 /proc/self/net/dev | cut -d: -f1")
	c.Isolated = true
	out, err := c.Output(t.Context())
	if err != nil {
		lab.Unavailable(t, err.Error())
	}
	f := strings.Fields(string(out))
	if len(f) != 3 || f[0] == here || f[1] != "0" || f[2] != "lo" {
		t.Errorf("outside %s, inside %q", here, f)
	}
}
