package rootfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"sekimori/internal/observe/rootfs"
)

// jail is a root with links that would lead out of it.
func jail(t *testing.T) rootfs.FS {
	t.Helper()
	outside := filepath.Join(t.TempDir(), "outside")
	dir := filepath.Join(t.TempDir(), "root")
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "secret"), "outside")
	write(filepath.Join(dir, "usr/lib/os-release"), "inside")
	write(filepath.Join(dir, "data/file"), "data")
	for link, target := range map[string]string{
		"etc/os-release": "/usr/lib/os-release",      // absolute: means the root's own
		"etc/relative":   "../usr/lib/os-release",    //
		"etc/above":      "../../../../../data/file", // .. stops at the root
		"etc/escape":     filepath.Join(outside, "secret"),
		"etc/loop":       "loop",
		"etc/chain":      "/lnk/os-release",
		"lnk":            "usr/lib",
	} {
		name := filepath.Join(dir, link)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, name); err != nil {
			t.Skip("no symbolic links here: ", err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return rootfs.FS{Source: root.FS().(rootfs.Source)}
}

func TestLinksStayInside(t *testing.T) {
	f := jail(t)
	for name, want := range map[string]string{
		"/etc/os-release": "inside", "etc/relative": "inside", "etc/above": "data", "etc/chain": "inside", "/data/file": "data",
	} {
		got, err := f.Read(name, 100)
		if err != nil || string(got) != want {
			t.Errorf("%s: %q %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"etc/escape", "etc/loop", "etc/none", "etc"} {
		if got, err := f.Read(name, 100); err == nil {
			t.Errorf("%s: read %q", name, got)
		}
	}
	if _, err := f.Read("etc/none", 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestLimit(t *testing.T) {
	f := rootfs.FS{Source: fstest.MapFS{"f": {Data: []byte(strings.Repeat("x", 10))}}}
	if got, err := f.Read("/f", 10); err != nil || len(got) != 10 {
		t.Errorf("%q %v", got, err)
	}
	if _, err := f.Read("/f", 9); err == nil || !strings.Contains(err.Error(), "more than 9 bytes") {
		t.Errorf("a file beyond the limit: %v", err)
	}
}

func TestNotRegular(t *testing.T) {
	f := rootfs.FS{Source: fstest.MapFS{"pipe": {Mode: fs.ModeNamedPipe}}}
	if _, err := f.Read("pipe", 10); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a FIFO: %v", err)
	}
	if _, err := f.Proc("pipe"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a FIFO: %v", err)
	}
	if _, err := f.Names("pipe"); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a FIFO: %v", err)
	}
}

func TestLine(t *testing.T) {
	f := rootfs.FS{Source: fstest.MapFS{"proc/a": {Data: []byte("one\ntwo\n")}, "proc/b": {}}}
	if a, b, c := f.Line("proc/a"), f.Line("proc/b"), f.Line("proc/c"); a != "one" || b != "" || c != "" {
		t.Errorf("%q %q %q", a, b, c)
	}
}

// TestLook: what stat and lstat say, links followed within the root, and the way up.
func TestLook(t *testing.T) {
	f := jail(t)
	file, err := f.Look("/etc/os-release")
	if err != nil || file.Path != "/etc/os-release" || file.Type != "file" || file.Size != int64(len("inside")) {
		t.Errorf("%+v %v", file, err)
	}
	link, err := f.LookLink("etc/os-release")
	if err != nil || link.Type != "link" || link.Target != "/usr/lib/os-release" {
		t.Errorf("%+v %v", link, err)
	}
	if file, err := f.LookLink("lnk/os-release"); err != nil || file.Type != "file" || file.Path != "/lnk/os-release" {
		t.Errorf("behind a link to a directory: %+v %v", file, err)
	}
	if _, err := f.Look("/etc/escape"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link out of the root: %v", err)
	}
	chain := f.Chain("/etc/os-release")
	var paths []string
	for _, c := range chain.Chain {
		paths = append(paths, c.Path)
	}
	if got := strings.Join(paths, " "); got != "/usr/lib/os-release /usr/lib /usr /" || chain.Missing {
		t.Errorf("the way up: %s", got)
	}
	if c := f.Chain("/data/none/x"); !c.Missing || len(c.Chain) != 2 || c.Chain[0].Path != "/data" {
		t.Errorf("of what is not there: %+v", c)
	}
	if text := f.Text("/etc/chain", 3); text.Err == "" || text.Text != "" || text.Type != "file" {
		t.Errorf("more than it may have: %+v", text)
	}
	if names, err := f.List("lnk"); err != nil || len(names) != 1 {
		t.Errorf("a directory behind a link: %v %v", names, err)
	}
	if names, err := f.List("nothing"); err != nil || names != nil {
		t.Errorf("no directory: %v %v", names, err)
	}
	if data, err := f.Head("data/file", 2); err != nil || string(data) != "da" {
		t.Errorf("its beginning: %q %v", data, err)
	}
}
