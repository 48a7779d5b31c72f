package pkgdb_test

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/observe/pkgdb"
	"sekimori/internal/observe/rootfs"
)

// tree opens one of the file systems that package observe keeps for its tests.
func tree(t testing.TB, name string) rootfs.FS {
	t.Helper()
	root, err := os.OpenRoot(filepath.Join("..", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return rootfs.FS{Source: root.FS().(rootfs.Source)}
}

func owners(t *testing.T, f rootfs.FS, paths ...string) map[string]pkgdb.Package {
	t.Helper()
	got, errs := pkgdb.Owners(t.Context(), f, paths)
	for _, err := range errs {
		t.Error(err)
	}
	return got
}

func TestOwners(t *testing.T) {
	type want = map[string]pkgdb.Package
	sshd := pkgdb.Package{Manager: "rpm", Name: "openssh-server", Version: "9.6p1-1.fc40"}
	postgres := pkgdb.Package{Manager: "rpm", Name: "postgresql-server", Version: "2:16.1-4.fc40"}
	rpm := want{"/usr/sbin/sshd": sshd, "/usr/bin/postgres": postgres, "/usr/share/big/file-777": {Manager: "rpm", Name: "big", Version: "1-1"}}
	for _, test := range []struct {
		tree string
		want want
	}{
		{"debian", want{
			"/usr/sbin/sshd":                      {Manager: "dpkg", Name: "openssh-server", Version: "1:9.2p1-2+deb12u3"},
			"/usr/lib/postgresql/15/bin/postgres": {Manager: "dpkg", Name: "postgresql-15", Version: "15.10-0+deb12u1"},
			// Listed as /sbin/dhclient, before /sbin became a link.
			"/usr/sbin/dhclient": {Manager: "dpkg", Name: "isc-dhcp-client", Version: "4.4.3-P1-2"},
			// Diverted: dash's file has moved, custom-sh's stands there.
			"/usr/bin/sh.distrib":                     {Manager: "dpkg", Name: "dash", Version: "0.5.12-2"},
			"/usr/bin/sh":                             {Manager: "dpkg", Name: "custom-sh", Version: "3"},
			"/usr/lib/x86_64-linux-gnu/libc.so.6":     {Manager: "dpkg", Name: "libc6", Version: "2.36-9a"},
			"/usr/lib/i386-linux-gnu/libc.so.6":       {Manager: "dpkg", Name: "libc6", Version: "2.36-9i"},
			"/usr/share/doc/openssh-server/copyright": {Manager: "dpkg", Name: "openssh-server", Version: "1:9.2p1-2+deb12u3"},
		}},
		{"alpine", want{
			"/usr/sbin/nginx": {Manager: "apk", Name: "nginx", Version: "1.26.2-r0"},
			"/bin/busybox":    {Manager: "apk", Name: "busybox", Version: "1.36.1-r29"},
		}},
		{"fedora", rpm},
		{"rhel8", rpm},
	} {
		t.Run(test.tree, func(t *testing.T) {
			asked := []string{"/usr/bin/nobody-owns-this", "/usr/sbin/sshd.8.gz", "/usr/share/filler3/sshd/none", "relative", "/"}
			for p := range test.want {
				asked = append(asked, p)
			}
			if diff := cmp.Diff(test.want, owners(t, tree(t, test.tree), asked...)); diff != "" {
				t.Errorf("owners (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSameBaseName: two packages have a file sshd, and each path its own owner.
func TestSameBaseName(t *testing.T) {
	for _, name := range []string{"fedora", "rhel8"} {
		got := owners(t, tree(t, name), "/usr/libexec/openssh/sshd", "/usr/share/filler7/sshd")
		want := map[string]pkgdb.Package{
			"/usr/libexec/openssh/sshd": {Manager: "rpm", Name: "big", Version: "1-1"},
			"/usr/share/filler7/sshd":   {Manager: "rpm", Name: "filler7", Version: "1-1"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestUnmergedDirs: where /bin is no link, /bin/x and /usr/bin/x are two files.
func TestUnmergedDirs(t *testing.T) {
	files := fstest.MapFS{
		"var/lib/dpkg/info/a.list": {Data: []byte("/bin/x\n")},
		"var/lib/dpkg/status":      {Data: []byte("Package: a\nVersion: 1\n")},
		"bin/x":                    {Data: []byte{}},
		"usr/bin/x":                {Data: []byte{}},
	}
	got := owners(t, rootfs.FS{Source: files}, "/usr/bin/x", "/bin/x")
	want := map[string]pkgdb.Package{"/bin/x": {Manager: "dpkg", Name: "a", Version: "1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestMergedSbin: Fedora 42 made /usr/sbin a link to bin; packages still list it.
func TestMergedSbin(t *testing.T) {
	db, err := fs.ReadFile(tree(t, "fedora").Source, "usr/lib/sysimage/rpm/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{
		"usr/lib/sysimage/rpm/rpmdb.sqlite": {Data: db},
		"usr/sbin":                          {Data: []byte("bin"), Mode: fs.ModeSymlink},
		"usr/bin/sshd":                      {},
	}
	got := owners(t, rootfs.FS{Source: files}, "/usr/bin/sshd")
	if got["/usr/bin/sshd"].Name != "openssh-server" {
		t.Errorf("got %v", got)
	}
}

// TestNDB writes SUSE's format around the headers of the other database, as
// rpm's lib/backend/ndb/rpmpkg.c has it.
func TestNDB(t *testing.T) {
	got := owners(t, rootfs.FS{Source: fstest.MapFS{"usr/lib/sysimage/rpm/Packages.db": {Data: ndb(t)}}}, "/usr/sbin/sshd", "/usr/bin/none")
	want := map[string]pkgdb.Package{"/usr/sbin/sshd": {Manager: "rpm", Name: "openssh-server", Version: "9.6p1-1.fc40"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func ndb(t testing.TB) []byte {
	t.Helper()
	bdb, err := fs.ReadFile(tree(t, "rhel8").Source, "var/lib/rpm/Packages")
	if err != nil {
		t.Fatal(err)
	}
	headers, err := pkgdb.BDBValues(bdb)
	if err != nil || len(headers) < 20 {
		t.Fatal(len(headers), err)
	}
	le := binary.LittleEndian
	out := make([]byte, 4096)
	copy(out, "RpmP")
	le.PutUint32(out[12:], 1) // pages of slots
	for i := 2; i < 256; i++ {
		copy(out[16*i:], "Slot")
	}
	for i, h := range headers {
		slot := out[16*(i+2):]
		blocks := (16 + len(h) + 12 + 15) / 16
		le.PutUint32(slot[4:], uint32(i+1))
		le.PutUint32(slot[8:], uint32(len(out)/16))
		le.PutUint32(slot[12:], uint32(blocks))
		blob := make([]byte, 16*blocks)
		copy(blob, "BlbS")
		le.PutUint32(blob[4:], uint32(i+1))
		le.PutUint32(blob[12:], uint32(len(h)))
		copy(blob[16:], h)
		out = append(out, blob...)
	}
	return out
}

func TestUnreadable(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{
		"sqlite: garbage":     {"var/lib/rpm/rpmdb.sqlite": {Data: []byte("SQLite format 3\x00 and no more")}},
		"sqlite: not rpm's":   {"var/lib/rpm/rpmdb.sqlite": {Data: make([]byte, 4096)}},
		"ndb: garbage":        {"var/lib/rpm/Packages.db": {Data: []byte(strings.Repeat("RpmP", 20))}},
		"bdb: btree":          {"var/lib/rpm/Packages": {Data: make([]byte, 4096)}},
		"dpkg: diversions":    {"var/lib/dpkg/info/a.list": {Data: []byte("/x\n")}, "var/lib/dpkg/diversions": {Data: []byte("/a\n/b\n")}},
		"dpkg: no status":     {"var/lib/dpkg/info/a.list": {Data: []byte("/usr/sbin/sshd\n")}},
		"apk: not a file":     {"lib/apk/db/installed/x": {}},
		"dpkg: list is a dir": {"var/lib/dpkg/info/a.list/x": {}, "var/lib/dpkg/status": {}},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := pkgdb.Owners(t.Context(), rootfs.FS{Source: files}, []string{"/usr/sbin/sshd"})
			if len(errs) == 0 {
				t.Error("read without an error: that would say the file is in no package")
			}
		})
	}
}

func TestNoDatabase(t *testing.T) {
	got := owners(t, rootfs.FS{Source: fstest.MapFS{}}, "/usr/sbin/sshd")
	if len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func FuzzDatabases(f *testing.F) {
	read := func(tree_, name string) []byte {
		data, err := fs.ReadFile(tree(f, tree_).Source, name)
		if err != nil {
			f.Fatal(err)
		}
		return data
	}
	kinds := []string{"var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/Packages", "var/lib/rpm/Packages.db", "lib/apk/db/installed", "var/lib/dpkg/diversions", "var/lib/dpkg/status", "var/lib/rpm/rpmdb.sqlite-wal"}
	sqlite := read("fedora", "usr/lib/sysimage/rpm/rpmdb.sqlite")
	// The first pages of the large ones: enough to get into the trees.
	f.Add(0, sqlite[:64<<10])
	f.Add(1, read("rhel8", "var/lib/rpm/Packages")[:32<<10])
	f.Add(2, ndb(f)[:8<<10])
	f.Add(3, read("alpine", "lib/apk/db/installed"))
	f.Add(4, read("debian", "var/lib/dpkg/diversions"))
	f.Add(5, read("debian", "var/lib/dpkg/status"))
	f.Add(6, wal(sqlite))
	f.Fuzz(func(t *testing.T, kind int, data []byte) {
		if kind < 0 || kind >= len(kinds) {
			return
		}
		files := fstest.MapFS{kinds[kind]: {Data: data}}
		switch kind {
		case 4, 5:
			files["var/lib/dpkg/info/openssh-server.list"] = &fstest.MapFile{Data: []byte("/usr/sbin/sshd\n")}
		case 6:
			files["var/lib/rpm/rpmdb.sqlite"] = &fstest.MapFile{Data: sqlite}
		}
		pkgdb.Owners(t.Context(), rootfs.FS{Source: files}, []string{"/usr/sbin/sshd", "/bin/sh"})
	})
}

// TestLikeness: with very many packages, the lists that are read first are those
// whose names resemble the file.
func TestLikeness(t *testing.T) {
	var lists []string
	for i := range 5000 {
		lists = append(lists, fmt.Sprintf("lib%03d-server%d-dev", i*7%1000, i))
	}
	for file, owner := range map[string]string{
		"/usr/sbin/sshd": "openssh-server", "/usr/lib/postfix/sbin/master": "postfix", "/usr/sbin/mysqld": "mysql-server-8.0", "/usr/sbin/dhclient": "isc-dhcp-client",
		"/usr/sbin/nginx": "nginx", "/usr/bin/python3.11": "python3.11-minimal", "/usr/sbin/chronyd": "chrony", "/usr/lib/systemd/systemd-resolved": "systemd-resolved",
		"/usr/sbin/apache2": "apache2-bin", "/usr/sbin/named": "bind9-named",
	} {
		place := slices.Index(pkgdb.ByLikeness(append(slices.Clone(lists), owner), file), owner)
		if place < 0 || place > 100 {
			t.Errorf("%s: the list of %s is read as number %d of 5001", file, owner, place)
		}
	}
}

func BenchmarkOwners20000Packages(b *testing.B) {
	files := fstest.MapFS{}
	var status strings.Builder
	add := func(name, path string) {
		files["var/lib/dpkg/info/"+name+".list"] = &fstest.MapFile{Data: []byte("/.\n" + path + "\n")}
		fmt.Fprintf(&status, "Package: %s\nStatus: install ok installed\nVersion: 1\n\n", name)
	}
	for i := range 20_000 {
		add(fmt.Sprintf("lib%d-dev", i), fmt.Sprintf("/usr/share/doc/lib%d-dev", i))
	}
	add("openssh-server", "/usr/sbin/sshd")
	files["var/lib/dpkg/status"] = &fstest.MapFile{Data: []byte(status.String())}
	dir := b.TempDir()
	if err := os.CopyFS(dir, files); err != nil {
		b.Fatal(err)
	}
	f := rootfs.FS{Source: os.DirFS(dir).(rootfs.Source)}
	b.ResetTimer()
	for range b.N {
		got, errs := pkgdb.Owners(b.Context(), f, []string{"/usr/sbin/sshd"})
		if len(errs) > 0 || got["/usr/sbin/sshd"].Name != "openssh-server" {
			b.Fatal(got, errs)
		}
	}
}
