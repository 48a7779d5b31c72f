package main

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestProgress: what takes over a second says so, once; what does not is silent.
func TestProgress(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		want  string
	}{
		{patience - time.Millisecond, ""},
		{5 * patience, "sekimori: reading the moon …\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var diagnostics bytes.Buffer
			s := streams{err: &diagnostics}
			failed := errors.New("failed")
			err := s.while("reading the moon", func() error {
				time.Sleep(c.takes)
				return failed
			})
			if diagnostics.String() != c.want || err != failed {
				t.Errorf("after %s: %q, %v", c.takes, diagnostics.String(), err)
			}
		})
	}
}

// TestColourOnTerminalsOnly: pipes and files get plain text, and a terminal too
// where NO_COLOR is set.
func TestColourOnTerminalsOnly(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// A character device stands for a terminal.
	device, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	env := map[string]string{}
	s := streams{env: func(name string) string { return env[name] }}
	for _, c := range []struct {
		name string
		set  func()
		want bool
	}{
		{"buffer", func() { s.out = &bytes.Buffer{} }, false},
		{"file", func() { s.out = file }, false},
		{"terminal", func() { s.out = device }, true},
		{"dumb terminal", func() { env["TERM"] = "dumb" }, false},
		{"NO_COLOR", func() { env["TERM"], env["NO_COLOR"] = "xterm", "1" }, false},
	} {
		c.set()
		if got := s.style().Colour; got != c.want {
			t.Errorf("%s: colour %v, want %v", c.name, got, c.want)
		}
	}
}

// TestColumns: COLUMNS is obeyed where it is a number.
func TestColumns(t *testing.T) {
	for value, want := range map[string]int{"72": 72, "200": 200, "": 0, "0": 0, "-5": 0, "wide": 0, "99999999": 0} {
		s := streams{out: new(bytes.Buffer), env: func(name string) string { return map[string]string{"COLUMNS": value}[name] }}
		if got := s.style().Width; got != want {
			t.Errorf("COLUMNS=%s: %d, want %d", value, got, want)
		}
	}
}
