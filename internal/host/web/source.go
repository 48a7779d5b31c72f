package web

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sekimori/internal/host"
)

// A Source hands out the files that a configuration is made of. Paths are
// absolute; an error that is fs.ErrNotExist says that there is no such file.
type Source interface {
	// ReadFile gives the whole content of a file.
	ReadFile(name string) ([]byte, error)
	// ReadDir gives the names in a directory, in any order.
	ReadDir(name string) ([]string, error)
}

// Bounds of what is read.
const (
	maxFiles    = 2000
	maxText     = 16 << 20
	maxDepth    = 32
	maxNodes    = 200_000
	maxProblems = 20
	maxSites    = 5000
	maxPlaces   = 500 // of one kind in one site
)

// A node is one directive: a name, its arguments, and a block where it has one.
type node struct {
	name  string
	args  []string
	block []node
	file  string
	line  int
}

func (n node) arg(i int) string {
	if i >= 0 && i < len(n.args) {
		return n.args[i]
	}
	return ""
}

func (n node) at() string { return fmt.Sprintf("%s:%d", n.file, n.line) }

// reader reads the files of one configuration.
type reader struct {
	src   Source
	out   *host.WebServer
	size  int
	nodes int
	open  []string // files being read, against loops
}

func newReader(src Source, software, config string) *reader {
	return &reader{src: src, out: &host.WebServer{Software: software, Config: config, Complete: true}}
}

func (r *reader) problem(format string, args ...any) {
	r.out.Complete = false
	if len(r.out.Problems) < maxProblems {
		r.out.Problems = append(r.out.Problems, fmt.Sprintf(format, args...))
	}
}

// text reads one file, false where it could not be, which is named.
func (r *reader) text(name string) (string, bool) {
	if slices.Contains(r.open, name) || len(r.open) >= maxDepth {
		r.problem("%s: included within itself, or too deep", name)
		return "", false
	}
	data, err := r.src.ReadFile(name)
	if err != nil {
		r.problem("%s: %s", name, err)
		return "", false
	}
	if r.size += len(data); r.size > maxText || len(r.out.Files) >= maxFiles {
		r.problem("%s: more than can be read here", name)
		return "", false
	}
	if !slices.Contains(r.out.Files, name) {
		r.out.Files = append(r.out.Files, name)
	}
	return strings.ToValidUTF8(string(data), "\uFFFD"), true
}

// count reports whether one more directive may be kept.
func (r *reader) count() bool {
	if r.nodes++; r.nodes == maxNodes {
		r.problem("more than %d directives, the rest was not read", maxNodes)
	}
	return r.nodes < maxNodes
}

// glob gives the files that a pattern names, sorted.
func (r *reader) glob(pattern string) []string {
	if !strings.ContainsAny(pattern, "*?[") {
		return []string{pattern}
	}
	found := []string{"/"}
	for part := range strings.SplitSeq(strings.Trim(path.Clean(pattern), "/"), "/") {
		var next []string
		for _, dir := range found {
			if !strings.ContainsAny(part, "*?[") {
				next = append(next, path.Join(dir, part))
				continue
			}
			names, err := r.src.ReadDir(dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				r.problem("%s: %s", dir, err)
			}
			slices.Sort(names)
			for _, name := range names {
				if ok, err := path.Match(part, name); ok && err == nil && (name[0] != '.' || part[0] == '.') && len(next) < maxFiles {
					next = append(next, path.Join(dir, name))
				}
			}
		}
		found = next
	}
	return found
}
