// Package roottest makes roots of hosts for tests.
package roottest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sekimori/internal/observe/rootfs"
)

// New returns a root with these files: path to content, or to "-> TARGET" for a
// symbolic link. The files may be executed. It is gone when the test ends.
func New(t testing.TB, files map[string]string) rootfs.FS {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(target, at)
		} else {
			err = os.WriteFile(at, []byte(text), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return rootfs.FS{Source: r.FS().(rootfs.Source)}
}
