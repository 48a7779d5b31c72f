package integrity_test

import (
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/host"
	"sekimori/internal/observe/integrity"
	"sekimori/internal/observe/rootfs"
)

func root(t *testing.T) (string, rootfs.FS) {
	t.Helper()
	dir := t.TempDir()
	put := func(name, text string, mode os.FileMode) {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(at, mode); err != nil { // the umask has no say
			t.Fatal(err)
		}
	}
	put("usr/bin/good", "good", 0o755)
	put("usr/bin/su", "su", 0o755|os.ModeSetuid)
	put("usr/bin/open", "x", 0o777)
	put("usr/bin/bad", "changed", 0o755)
	put("usr/lib/a/b/deep", "x", 0o755|os.ModeSetgid)
	put("srv/hidden/suid", "x", 0o755|os.ModeSetuid)
	put("proc/suid", "x", 0o755|os.ModeSetuid)
	put("net/suid", "x", 0o755|os.ModeSetuid)
	put("etc/cron.d/open", "x", 0o666)
	put("etc/a.conf", "mine", 0o644)
	put("tmp/.x/bot", "x", 0o755)
	put("tmp/note", "x", 0o644)
	put("dev/shm/bot", "x", 0o700)
	put("dev/regular", "x", 0o644)
	sum := func(path, text string) string { return fmt.Sprintf("%x  %s\n", md5.Sum([]byte(text)), path) }
	put("var/lib/dpkg/info/p.list", "", 0o644)
	put("var/lib/dpkg/info/p.md5sums", sum("usr/bin/good", "good")+sum("usr/bin/bad", "as it was")+sum("usr/bin/lost", "x")+sum("usr/share/doc/p/lost", "x")+sum("usr/lib/a", "x"), 0o644)
	put("var/lib/dpkg/info/bare.list", "", 0o644)
	put("var/lib/dpkg/status", "Package: p\nStatus: install ok installed\nVersion: 1\nConffiles:\n /etc/a.conf 0123456789abcdef0123456789abcdef\n", 0o644)
	if err := syscall.Mkfifo(filepath.Join(dir, "usr/bin/fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return dir, rootfs.FS{Source: r.FS().(rootfs.Source)}
}

func paths[T any](list []T, path func(T) string) []string {
	out := make([]string, 0, len(list))
	for _, e := range list {
		out = append(out, path(e))
	}
	return out
}

func TestIntegrity(t *testing.T) {
	_, f := root(t)
	mounts := []host.Mount{{Target: "/net", Type: "nfs4"}}
	quick, notes := integrity.Read(t.Context(), f, mounts, false)
	if len(notes) > 0 || quick.Checked || quick.Walked {
		t.Errorf("%+v %v", quick, notes)
	}
	setID := func(f host.SetIDFile) string { return f.Path }
	file := func(f host.File) string { return f.Path }
	if diff := cmp.Diff([]string{"/usr/bin/su"}, paths(quick.SetID, setID)); diff != "" {
		t.Errorf("rights (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/etc/cron.d/open", "/usr/bin/open"}, paths(quick.Writable, file)); diff != "" {
		t.Errorf("open to all (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/dev/regular", "/dev/shm/bot", "/tmp/.x/bot"}, paths(quick.Odd, file)); diff != "" {
		t.Errorf("odd (-want +got):\n%s", diff)
	}
	deep, notes := integrity.Read(t.Context(), f, mounts, true)
	if len(notes) > 0 || !deep.Checked || !deep.Walked || deep.Files != 6 {
		t.Errorf("%+v %v", deep, notes)
	}
	if diff := cmp.Diff([]string{"/srv/hidden/suid", "/usr/bin/su", "/usr/lib/a/b/deep"}, paths(deep.SetID, setID)); diff != "" {
		t.Errorf("rights (-want +got):\n%s", diff)
	}
	changed := paths(deep.Changed, func(c host.ChangedFile) string { return fmt.Sprint(c.Path, " ", c.Package, " ", c.What, " ", c.Config) })
	if diff := cmp.Diff([]string{"/etc/a.conf p content true", "/usr/bin/bad p content false", "/usr/bin/lost p missing false", "/usr/lib/a p type false"}, changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"bare"}, deep.Unverifiable); diff != "" {
		t.Errorf("without sums (-want +got):\n%s", diff)
	}
}
