package pkgdb_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/observe/pkgdb"
	"sekimori/internal/observe/rootfs"
)

func sums(t testing.TB, f rootfs.FS) (map[string]pkgdb.Sum, []string) {
	t.Helper()
	out := map[string]pkgdb.Sum{}
	none, err := pkgdb.Sums(context.Background(), f, func(s pkgdb.Sum) error {
		out[s.Path] = s
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return out, none
}

// TestSumsRPM: what rpm's own tools have put into its databases.
func TestSumsRPM(t *testing.T) {
	digest := sha256.Sum256([]byte("big\n"))
	want := pkgdb.Sum{Path: "/usr/share/big/file-777", Package: "big", Manager: "rpm", Algorithm: "sha256", Digest: hex.EncodeToString(digest[:]), Mode: 0o644}
	for _, name := range []string{"fedora", "rhel8"} {
		got, none := sums(t, tree(t, name))
		if diff := cmp.Diff(want, got["/usr/share/big/file-777"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(got) < 900 || len(none) > 0 {
			t.Errorf("%s: %d files, none for %v", name, len(got), none)
		}
		list, err := pkgdb.List(t.Context(), tree(t, name))
		if err != nil {
			t.Error(err)
		}
		i := slices.IndexFunc(list, func(p pkgdb.Listed) bool { return p.Name == "postgresql-server" })
		if i < 0 || list[i].Version != "2:16.1-4.fc40" || list[i].Arch != "noarch" || list[i].Source != "postgresql-server-16.1-4.fc40.src.rpm" {
			t.Errorf("%s: %+v", name, list)
		}
	}
}

func TestSumsDpkg(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	const sum = "0123456789abcdef0123456789abcdef"
	f := rootfs.FS{Source: fstest.MapFS{
		"var/lib/dpkg/info/a.list":       file("/usr/bin/a\n"),
		"var/lib/dpkg/info/a.md5sums":    file(sum + "  usr/bin/a\n" + sum + "  bin/sh\n" + sum + "  usr/share/doc/a/x y\nshort\n"),
		"var/lib/dpkg/info/b:amd64.list": file("/x\n"),
		"var/lib/dpkg/diversions":        file("/bin/sh\n/bin/sh.distrib\nother\n"),
		"var/lib/dpkg/status":            file("Package: a\nStatus: install ok installed\nConffiles:\n /etc/a " + sum + "\n /etc/old " + sum + " obsolete\n /etc/new newconffile\nVersion: 1\n\nPackage: gone\nStatus: deinstall ok config-files\nConffiles:\n /etc/gone " + sum + "\n"),
		"lib/apk/db/installed":           file("P:k\nF:usr/bin\nR:k\nZ:Q1AAECAwQFBgcICQoLDA0ODxAREhM=\nF:etc\nR:c\nZ:nonsense\n"),
	}}
	got, none := sums(t, f)
	want := map[string]pkgdb.Sum{
		"/usr/bin/a":           {Path: "/usr/bin/a", Package: "a", Manager: "dpkg", Algorithm: "md5", Digest: sum, Mode: -1},
		"/bin/sh.distrib":      {Path: "/bin/sh.distrib", Package: "a", Manager: "dpkg", Algorithm: "md5", Digest: sum, Mode: -1},
		"/usr/share/doc/a/x y": {Path: "/usr/share/doc/a/x y", Package: "a", Manager: "dpkg", Algorithm: "md5", Digest: sum, Optional: true, Mode: -1},
		"/etc/a":               {Path: "/etc/a", Package: "a", Manager: "dpkg", Algorithm: "md5", Digest: sum, Config: true, Mode: -1},
		"/usr/bin/k":           {Path: "/usr/bin/k", Package: "k", Manager: "apk", Algorithm: "sha1", Digest: "000102030405060708090a0b0c0d0e0f10111213", Mode: -1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"b"}, none); diff != "" {
		t.Errorf("without sums (-want +got):\n%s", diff)
	}
	stop := errors.New("stop")
	if _, err := pkgdb.Sums(t.Context(), f, func(pkgdb.Sum) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("it went on after an error: %v", err)
	}
}

func FuzzSums(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef  usr/bin/a\n"))
	f.Add([]byte("Package: a\nStatus: install ok installed\nConffiles:\n /etc/a 0123456789abcdef0123456789abcdef\n"))
	f.Add([]byte("P:k\nA:x\nF:usr/bin\nR:k\nZ:Q1AAECAwQFBgcICQoLDA0ODxAREhM=\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := &fstest.MapFile{Data: data}
		s := rootfs.FS{Source: fstest.MapFS{
			"var/lib/dpkg/info/a.list": file, "var/lib/dpkg/info/a.md5sums": file, "var/lib/dpkg/status": file, "lib/apk/db/installed": file,
		}}
		_, _ = pkgdb.Sums(t.Context(), s, func(s pkgdb.Sum) error {
			if s.Path == "" || s.Path[0] != '/' && s.Path[0] != ' ' || s.Algorithm == "" {
				t.Errorf("%+v", s)
			}
			return nil
		})
		if list, err := pkgdb.List(t.Context(), s); err == nil {
			for _, p := range list {
				if p.Name == "" || p.Manager != "apk" {
					t.Errorf("%+v", p)
				}
			}
		}
	})
}
