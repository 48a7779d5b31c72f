package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fullDisk takes so many bytes, and no more.
type fullDisk int

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), int(*d))
	*d -= fullDisk(n)
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// An answer that could not be written is none.
func TestAnswersOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "auth.log")
	var lines strings.Builder
	for range 200 {
		lines.WriteString("2026-08-03T04:05:06+00:00 host sshd[1]: Failed password for root from 192.0.2.7 port 1 ssh2\n")
	}
	if err := os.WriteFile(log, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "jail.conf"), []byte("[web]\nenabled = true\nfilter = none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, room := range []fullDisk{0, 20} {
		for _, args := range [][]string{
			{"replay", log},
			{"replay", log, "--format", "json"},
			{"filter", "test", "sshd", log},
			{"filter", "test", "sshd", log, "--lines"},
			{"filter", "test", "sshd", log, "--lines", "--format", "json"},
			{"filter", "show", "sshd"},
			{"filter", "list"},
			{"filter", "import", dir},
		} {
			disk := room
			var diagnostics bytes.Buffer
			code := execute(t.Context(), args, streams{in: strings.NewReader(""), out: &disk, err: &diagnostics, env: os.Getenv})
			if code != exitFailed || !strings.Contains(diagnostics.String(), "no space left on device") {
				t.Errorf("sekimori %s, with room for %d bytes: exit %d\n%s", strings.Join(args, " "), room, code, diagnostics.Bytes())
			}
		}
	}
}

// A log on standard input may be one of the files.
func TestStandardInputThatIsAFile(t *testing.T) {
	log := filepath.Join(t.TempDir(), "auth.log")
	if err := os.WriteFile(log, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-", log}, {log, "-"}} {
		in, err := os.Open(log)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		var out, diagnostics bytes.Buffer
		code := execute(t.Context(), append([]string{"replay"}, args...), streams{in: in, out: &out, err: &diagnostics, env: os.Getenv})
		if code != exitUsage || !strings.Contains(diagnostics.String(), "is given twice") {
			t.Errorf("%q: exit %d\n%s", args, code, diagnostics.Bytes())
		}
	}
}
