//go:build unix

package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
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
