//go:build linux

package main

import (
	"bufio"
	"os/exec"
	"testing"
)

// startProgram starts a program under any name until the test ends. Where ready is
// true it waits for the first line that the program prints.
func startProgram(t *testing.T, program string, argv []string, ready bool) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: path, Args: argv}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if ready {
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatalf("%s: %v", program, err)
		}
	}
}
