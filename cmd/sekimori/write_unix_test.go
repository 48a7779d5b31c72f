//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func says(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

// wants checks what a file holds, and that nothing else is left in its folder.
func wants(t *testing.T, name, text string, beside int) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil || string(got) != text {
		t.Errorf("%s: %q, %v, want %q", name, got, err, text)
	}
	if all, err := os.ReadDir(filepath.Dir(name)); err != nil || len(all) != 1+beside {
		t.Errorf("%d files beside %s, want %d: %v", len(all)-1, name, beside, err)
	}
}

func TestWriteFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "host.json")
	for _, text := range []string{"one", "two"} {
		if err := (streams{}).writeFile(t.Context(), name, says(text)); err != nil {
			t.Fatal(err)
		}
		wants(t, name, text, 0)
	}
	failed := errors.New("failed")
	err := (streams{}).writeFile(t.Context(), name, func(w io.Writer) error { return errors.Join(says("half")(w), failed) })
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	wants(t, name, "two", 0)
	if err := (streams{}).writeFile(t.Context(), filepath.Dir(name), says("x")); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a folder: %v", err)
	}
}

// TestWriteFIFO: a pipe, as every device, is written to and stays.
func TestWriteFIFO(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		}
		got <- string(text)
	}()
	if err := (streams{}).writeFile(t.Context(), name, says("one")); err != nil {
		t.Fatal(err)
	}
	if text := <-got; text != "one" {
		t.Errorf("through the pipe came %q", text)
	}
	if info, err := os.Lstat(name); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		t.Errorf("the pipe became %v, %v", info.Mode(), err)
	}
}

// TestWriteFails: what a pipe or device does not take is an error.
func TestWriteFails(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		if f, err := os.Open(name); err == nil {
			f.Close()
		}
	}()
	err := (streams{}).writeFile(t.Context(), name, func(w io.Writer) error {
		for {
			if err := says("more")(w); err != nil {
				return err
			}
		}
	})
	if !errors.Is(err, syscall.EPIPE) {
		t.Errorf("nobody reads: %v", err)
	}
}

// TestWriteThroughLink: a link stays one, whether its target exists or not.
func TestWriteThroughLink(t *testing.T) {
	links, files := t.TempDir(), t.TempDir()
	file := filepath.Join(files, "host.json")
	first, second := filepath.Join(links, "first"), filepath.Join(links, "second")
	if err := errors.Join(os.Symlink("second", first), os.Symlink(file, second)); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two"} {
		if err := (streams{}).writeFile(t.Context(), first, says(text)); err != nil {
			t.Fatal(err)
		}
		wants(t, file, text, 0)
		for _, link := range []string{first, second} {
			if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
				t.Errorf("%s became %v, %v", link, info.Mode(), err)
			}
		}
	}
	loop := filepath.Join(links, "loop")
	if err := os.Symlink("loop", loop); err != nil {
		t.Fatal(err)
	}
	if err := (streams{}).writeFile(t.Context(), loop, says("x")); err == nil {
		t.Error("a link to itself was written to")
	}
}

// TestWriteToStdout: stdout under another name keeps its file and place in it.
func TestWriteToStdout(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.WriteString("before "); err != nil {
		t.Fatal(err)
	}
	if err := (streams{out: out}).writeFile(t.Context(), name, says("after")); err != nil {
		t.Fatal(err)
	}
	wants(t, name, "before after", 0)
}

// TestWriteInterrupted: a signal leaves neither half a file nor a whole one.
func TestWriteInterrupted(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	err := (streams{}).writeFile(ctx, filepath.Join(dir, "host.json"), func(w io.Writer) error {
		cancel()
		for range 1000 {
			if left, err := os.ReadDir(dir); err != nil || len(left) == 0 {
				return err
			}
			time.Sleep(time.Millisecond)
		}
		return errors.New("it is still there")
	})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestSignal: a signal ends the program also while it does what knows of no end,
// such as waiting for a file that does not come.
func TestSignal(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for sig, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		var diagnostics bytes.Buffer
		c := exec.Cmd{Path: program, Args: []string{"sekimori", "reach", "22/tcp", "--ruleset", "-"}, Stderr: &diagnostics}
		rules, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		// More than a pipe holds: when it is written, the program reads.
		if _, err := rules.Write(bytes.Repeat([]byte("# rules to come\n"), 1<<16)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := c.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(20*time.Second, func() { c.Process.Kill() })
		if err := c.Wait(); c.ProcessState.ExitCode() != want || diagnostics.Len() > 0 {
			t.Errorf("%s after %s: %v, want status %d\n%s", sig, time.Since(began), err, want, &diagnostics)
		}
		late.Stop()
	}
}
