// Package pkgdb finds the installed package that a file belongs to, by reading
// the databases of dpkg, apk and rpm themselves: no package manager is run, and
// none needs to be there. It reads only what the question needs, so that a
// handful of files is answered within milliseconds on a host with thousands of
// packages.
//
//	owners, unread := pkgdb.Owners(ctx, root, []string{"/usr/sbin/sshd"})
//	owners["/usr/sbin/sshd"] // {dpkg openssh-server 1:9.2p1-2}
//
// A file that is in no database is not in the answer. A database that exists and
// could not be read is an error beside the answer, because then "in no package"
// is not known.
package pkgdb

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"sekimori/internal/observe/rootfs"
)

// Package is an installed package.
type Package struct {
	// Manager is dpkg, apk or rpm.
	Manager string
	Name    string
	// Version is the full version in the manager's notation: with epoch, and
	// for rpm with release.
	Version string
}

// Owners gives the packages of those of the files that have one.
func Owners(ctx context.Context, f rootfs.FS, paths []string) (map[string]Package, []error) {
	q := newQuery(f, paths)
	var errs []error
	for _, read := range []func(context.Context, rootfs.FS, *query) error{readDpkg, readApk, readRPM} {
		if len(q.open) == 0 {
			break
		}
		if err := read(ctx, f, q); err != nil {
			errs = append(errs, err)
		}
	}
	return q.found, errs
}

// query is the files still to be found, each under all the names that a
// database may have it by.
type query struct {
	open  map[string][]string // names by file
	found map[string]Package
	// each, where set, takes all of rpm's headers instead; restart begins anew.
	each    func([]byte) error
	restart func()
}

// more reports whether there is something left to look for.
func (q *query) more() bool { return q.each != nil || len(q.open) > 0 }

func newQuery(f rootfs.FS, paths []string) *query {
	q := &query{open: map[string][]string{}, found: map[string]Package{}}
	merged := map[string]bool{}
	for _, dir := range mergedDirs() {
		_, err := f.Source.ReadLink(dir)
		merged[dir] = err == nil
	}
	for _, p := range paths {
		if p = path.Clean(p); packaged(p) {
			q.open[p] = aliases(p, merged)
		}
	}
	return q
}

// packaged reports whether a package may have files there: the Filesystem
// Hierarchy Standard keeps these places for others, and a file that is in no
// package is the one that takes longest to look for.
func packaged(p string) bool {
	for _, dir := range [...]string{"/usr/local/", "/home/", "/root/", "/tmp/", "/var/tmp/", "/run/", "/dev/", "/srv/", "/snap/", "/nix/"} {
		if strings.HasPrefix(p, dir) {
			return false
		}
	}
	return strings.HasPrefix(p, "/")
}

// mergedDirs are the directories that distributions turn into links: into /usr,
// and sbin into bin.
func mergedDirs() []string {
	return []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr/sbin"}
}

// aliases gives the names of a file: databases keep that under which it was
// packaged, before the directories were merged.
func aliases(p string, merged map[string]bool) []string {
	names := []string{p}
	add := func(n string) {
		if slices.Contains(names, n) {
			return
		}
		names = append(names, n)
	}
	if rest, ok := strings.CutPrefix(p, "/usr/bin/"); ok && merged["usr/sbin"] {
		add("/usr/sbin/" + rest)
	}
	for _, n := range names {
		rest, ok := strings.CutPrefix(n, "/usr/")
		if dir, _, _ := strings.Cut(rest, "/"); ok && merged[dir] {
			add("/" + rest)
		}
	}
	if dir, _, _ := strings.Cut(p[1:], "/"); merged[dir] {
		add("/usr" + p)
	}
	return names
}

func (q *query) answer(file string, p Package) {
	q.found[file] = p
	delete(q.open, file)
}

// match finds which open files are a line of the text.
func (q *query) match(data []byte, each func(file, name string)) {
	for file, names := range q.open {
		for _, name := range names {
			if hasLine(data, name) {
				each(file, name)
				break
			}
		}
	}
}

// hasLine reports whether one line of the text is exactly this.
func hasLine(data []byte, line string) bool {
	for from := 0; ; {
		i := bytes.Index(data[from:], []byte(line))
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(line)
		if (start == 0 || data[start-1] == '\n') && (end == len(data) || data[end] == '\n') {
			return true
		}
		from = start + 1
	}
}

// maxDatabase bounds a database that is read as a whole.
const maxDatabase = 512 << 20

func wrap(manager string, err error) error {
	return fmt.Errorf("%s database: %w", manager, err)
}
