package pkgdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sekimori/internal/observe/rootfs"
)

const dpkgDir = "var/lib/dpkg"

// readDpkg looks into info/PACKAGE.list, one file of paths for each package.
// There are thousands of them, so those are read first whose names resemble the
// files looked for; the rest only until all are found.
func readDpkg(ctx context.Context, f rootfs.FS, q *query) error {
	entries, err := f.Names(dpkgDir + "/info")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return wrap("dpkg", err)
	}
	var lists []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".list"); ok {
			lists = append(lists, name)
		}
	}
	diverted, err := readDiversions(f)
	if err != nil {
		return wrap("dpkg", err)
	}
	diverted.apply(q)
	owners := map[string]string{} // package[:arch] by file
	var firstErr error
	for i, name := range byLikeness(lists, q) {
		if len(q.open) == 0 {
			break
		}
		if i%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		data, err := f.Read(dpkgDir+"/info/"+name+".list", maxDatabase)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			firstErr = errors.Join(firstErr, err)
			continue
		}
		q.match(data, func(file, in string) {
			if diverted.hides(name, file, in) {
				return
			}
			owners[file] = name
			q.answer(file, Package{Manager: "dpkg", Name: packageName(name)})
		})
	}
	if len(owners) > 0 {
		if err := dpkgVersions(f, q, owners); err != nil {
			firstErr = errors.Join(firstErr, err)
		}
	}
	if firstErr != nil {
		return wrap("dpkg", firstErr)
	}
	return nil
}

// packageName cuts the architecture off the name of a list.
func packageName(list string) string {
	name, _, _ := strings.Cut(list, ":")
	return name
}

// dpkgVersions fills in the versions from the status file.
func dpkgVersions(f rootfs.FS, q *query, owners map[string]string) error {
	status, err := f.Read(dpkgDir+"/status", maxDatabase)
	if err != nil {
		return err
	}
	for file, list := range owners {
		p := q.found[file]
		_, arch, _ := strings.Cut(list, ":")
		p.Version = statusVersion(status, p.Name, arch)
		q.found[file] = p
	}
	return nil
}

// statusVersion gives a package's version from the status file (deb822), of a
// certain architecture unless that is "". "" where it is not installed.
func statusVersion(status []byte, name, arch string) string {
	head := []byte("Package: " + name + "\n")
	for from := 0; ; {
		i := bytes.Index(status[from:], head)
		if i < 0 {
			return ""
		}
		start := from + i
		from = start + len(head)
		if start > 0 && status[start-1] != '\n' {
			continue
		}
		stanza := status[start:]
		if end := bytes.Index(stanza, []byte("\n\n")); end >= 0 {
			stanza = stanza[:end+1]
		}
		if arch == "" || hasLine(stanza, "Architecture: "+arch) {
			return field(stanza, "Version: ")
		}
	}
}

func field(stanza []byte, key string) string {
	for line := range bytes.Lines(stanza) {
		if v, ok := bytes.CutPrefix(line, []byte(key)); ok {
			return string(bytes.TrimSpace(v))
		}
	}
	return ""
}

// diversion is one of dpkg-divert(1): the file from of every package but by is
// kept as to.
type diversion struct{ from, to, by string }

type diversions []diversion

// readDiversions reads the diversions file: three lines for each.
func readDiversions(f rootfs.FS) (diversions, error) {
	data, err := f.Read(dpkgDir+"/diversions", maxDatabase)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(data) == 0 {
		return nil, nil
	}
	if len(lines)%3 != 0 {
		return nil, fmt.Errorf("diversions: %d lines, not a multiple of 3", len(lines))
	}
	var out diversions
	for l := range slices.Chunk(lines, 3) {
		out = append(out, diversion{l[0], l[1], l[2]})
	}
	return out, nil
}

// apply adds the packaged names of files that were moved by a diversion.
func (d diversions) apply(q *query) {
	for file, names := range q.open {
		for _, v := range d {
			if slices.Contains(names, v.to) {
				q.open[file] = append(q.open[file], v.from)
			}
		}
	}
}

// hides reports whether the list's package does not own the file although it
// lists it under this name: another package's file stands there, or the moved
// file is looked for and this package is the one that it was moved for.
func (d diversions) hides(list, file, in string) bool {
	for _, v := range d {
		if !sameFile(v.from, in) {
			continue
		}
		moved, mine := !sameFile(v.from, file), v.by == packageName(list)
		if moved == mine {
			return true
		}
	}
	return false
}

// sameFile compares two names but for the merge of directories into /usr.
func sameFile(a, b string) bool {
	return strings.TrimPrefix(a, "/usr") == strings.TrimPrefix(b, "/usr")
}

// trigrams is a set of the three-letter pieces of words, by hash.
type trigrams [512]uint64

func (t *trigrams) bit(s string) (word *uint64, bit uint64) {
	h := (uint32(s[0])*31+uint32(s[1]))*31 + uint32(s[2])
	h ^= h >> 7
	h %= uint32(len(t) * 64)
	return &t[h/64], 1 << (h % 64)
}

func (t *trigrams) add(s string) {
	for i := range len(s) - 2 {
		word, bit := t.bit(s[i : i+3])
		*word |= bit
	}
}

// share counts the pieces of s that are in the set.
func (t *trigrams) share(s string) int {
	n := 0
	for i := range len(s) - 2 {
		if word, bit := t.bit(s[i : i+3]); *word&bit != 0 {
			n++
		}
	}
	return n
}

// byLikeness orders the names of packages by how much they resemble the paths
// looked for. It is a matter of speed alone.
func byLikeness(lists []string, q *query) []string {
	var pieces trigrams
	whole := map[string]bool{}
	for file := range q.open {
		for dir := file; dir != "/" && dir != "."; dir = path.Dir(dir) {
			switch part := path.Base(dir); part {
			case "usr", "bin", "sbin", "lib", "libexec", "local", "opt":
			default:
				pieces.add(part)
				whole[part], whole[strings.TrimSuffix(part, "d")] = true, true
			}
		}
	}
	type scored struct {
		name  string
		score int
	}
	order := make([]scored, len(lists))
	for i, l := range lists {
		name := packageName(l)
		// The more of its name is shared the better; long names share by chance.
		score := 1024 * pieces.share(name) / (len(name) + 4)
		if whole[name] {
			score += 1 << 20
		}
		order[i] = scored{l, score}
	}
	slices.SortFunc(order, func(a, b scored) int {
		if a.score != b.score {
			return b.score - a.score
		}
		return strings.Compare(a.name, b.name)
	})
	for i, o := range order {
		lists[i] = o.name
	}
	return lists
}
