package updates

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// yumSources reads the repositories of dnf, yum and zypper.
func yumSources(f rootfs.FS, n *rootfs.Notes) []host.PackageSource {
	var out []host.PackageSource
	for _, dir := range []string{"etc/yum.repos.d", "etc/zypp/repos.d"} {
		for _, name := range n.Names(f, dir) {
			if strings.HasSuffix(name, ".repo") && len(out) < 1000 {
				out = append(out, parseRepo("/"+path.Join(dir, name), n.Text(f, path.Join(dir, name)))...)
			}
		}
	}
	return out
}

// parseRepo reads one .repo file, dnf.conf(5).
func parseRepo(file, text string) []host.PackageSource {
	var out []host.PackageSource
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok && len(out) < 1000 {
			out = append(out, host.PackageSource{File: file, Line: number, Type: "yum", Suite: strings.TrimSuffix(name, "]")})
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || len(out) == 0 || line[0] == '#' || line[0] == ';' {
			continue
		}
		s := &out[len(out)-1]
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "baseurl", "metalink", "mirrorlist":
			if s.URI == "" {
				s.URI = withoutUser(value)
			}
		case "enabled":
			s.Disabled = off(value)
		case "gpgcheck":
			if off(value) {
				s.Unchecked = "gpgcheck=" + value
			}
		case "gpgkey":
			s.SignedBy = withoutUser(value)
		}
	}
	return out
}

// readApkUpdates compares what is installed with apk's fetched indexes.
func readApkUpdates(f rootfs.FS, packages []host.Package, u *host.Updates, n *rootfs.Notes) {
	number := 0
	for line := range strings.Lines(n.Text(f, "etc/apk/repositories")) {
		number++
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		w := strings.Fields(line)
		if len(w) == 0 {
			continue
		}
		u.Sources = append(u.Sources, host.PackageSource{File: "/etc/apk/repositories", Line: number, Type: "apk", URI: withoutUser(w[len(w)-1])})
	}
	newest := map[string]string{}
	u.Known = true
	found := false
	for _, dir := range []string{"var/cache/apk", "etc/apk/cache"} {
		for _, name := range n.Names(f, dir) {
			if !strings.HasPrefix(name, "APKINDEX.") || !strings.HasSuffix(name, ".tar.gz") {
				continue
			}
			at := path.Join(dir, name)
			if info, err := f.Look(at); err == nil {
				u.Lists = append(u.Lists, host.PackageList{Path: "/" + at, Fetched: info.Modified})
			}
			if err := readIndex(f, at, newest); err != nil {
				n.Add("/%s: %s", at, err)
				u.Known = false
			}
			found = true
		}
	}
	if !found {
		n.Add("nothing was fetched from the repositories yet (apk update)")
		u.Known = false
		return
	}
	for _, p := range packages {
		if v := newest[p.Name]; v != "" && compareApk(v, p.Version) > 0 {
			u.Pending = append(u.Pending, host.PendingUpdate{Name: p.Name, Arch: p.Arch, Installed: p.Version, Candidate: v})
		}
	}
}

// maxIndex bounds an index unpacked.
const maxIndex = 256 << 20

// readIndex reads one APKINDEX.tar.gz: gzip members of a signature and of a tar
// with the file APKINDEX, whose stanzas have P for the name and V for the version.
func readIndex(f rootfs.FS, name string, newest map[string]string) error {
	file, err := f.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	z, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return err
	}
	t := tar.NewReader(io.LimitReader(z, maxIndex))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("no APKINDEX in it")
		}
		if err != nil {
			return err
		}
		if h.Name != "APKINDEX" {
			continue
		}
		return eachStanza(t, func(stanza []byte) error {
			var pkg, version string
			fields(stanza, func(key, value []byte) {
				switch string(key) {
				case "P":
					pkg = string(value)
				case "V":
					version = string(value)
				}
			})
			if old, ok := newest[pkg]; pkg != "" && len(newest) < maxPackages && (!ok || compareApk(version, old) > 0) {
				newest[pkg] = version
			}
			return nil
		})
	}
}

// compareApk orders two versions of Alpine's packages, apk-package(5): numbers
// separated by dots, a letter, suffixes (_alpha before, _p behind), a revision.
func compareApk(a, b string) int {
	x, y := splitApk(a), splitApk(b)
	for i := range min(len(x), len(y)) {
		if c := slices.Compare(x[i], y[i]); c != 0 {
			return c
		}
	}
	return 0
}

// splitApk gives a version as lists that compare in order: numbers and letter,
// suffixes, revision.
func splitApk(v string) [3][]int {
	var out [3][]int
	v, _, _ = strings.Cut(v, "~") // a commit
	rest := v
	if i := strings.LastIndex(rest, "-r"); i >= 0 {
		out[2] = []int{atoi(rest[i+2:])}
		rest = rest[:i]
	} else {
		out[2] = []int{0}
	}
	number, suffixes, _ := strings.Cut(rest, "_")
	// A further number counts more than a letter, and that more than the end.
	for part := range strings.SplitSeq(number, ".") {
		letter := 0
		if n := len(part); n > 0 && part[n-1] >= 'a' && part[n-1] <= 'z' {
			letter, part = int(part[n-1]-'a')+1, part[:n-1]
		}
		out[0] = append(out[0], 2, atoi(part))
		if letter > 0 {
			out[0] = append(out[0], 1, letter)
		}
	}
	// The end stands between _rc and _cvs: 0 there.
	order := map[string]int{"alpha": -4, "beta": -3, "pre": -2, "rc": -1, "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}
	if suffixes != "" {
		for s := range strings.SplitSeq(suffixes, "_") {
			name := strings.TrimRight(s, "0123456789")
			out[1] = append(out[1], order[name], atoi(s[len(name):]))
		}
	}
	out[1] = append(out[1], 0)
	return out
}

// atoi reads digits; what is too long counts as very large.
func atoi(s string) int {
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			break
		}
		if n = n*10 + int(c-'0'); n > 1<<40 {
			return 1 << 40
		}
	}
	return n
}
