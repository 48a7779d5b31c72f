package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sekimori/internal/lab"
)

// TestWriteOpenFile: a name of /proc is an open file, and is written to.
func TestWriteOpenFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "open")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := (streams{}).writeFile(t.Context(), fmt.Sprintf("/proc/self/fd/%d", f.Fd()), says("one")); err != nil {
		t.Fatal(err)
	}
	wants(t, name, "one", 0)
	if after, err := os.Stat(name); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was replaced: %v", err)
	}
}

// TestSnapshotNoSpace: without space it is a failure, and the old file stays.
func TestSnapshotNoSpace(t *testing.T) {
	lab.EnterRoot(t, func(t *testing.T) {
		dir := t.TempDir()
		lab.Run(t, "mount", "-t", "tmpfs", "-o", "size=4k", "none", dir)
		t.Cleanup(func() { lab.Run(t, "umount", dir) })
		file := filepath.Join(dir, "host.json")
		if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		sekimori(t, exitFailed, "snapshot", "-o", file)
		wants(t, file, "old", 0)
	})
}
