// Package files is how readers of a host's configuration languages ask for the
// files that they read: whoever gives them a host gives them a [Source], a live
// root, a saved snapshot, or [Map] in a test.
package files

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Source hands out the files that a configuration is made of. Paths are absolute
// and slash-separated; a symbolic link is followed. An error that is
// [fs.ErrNotExist] says that there is no such file; any other one says that it
// could not be looked at, which a reader reports and never takes for absence.
type Source interface {
	// ReadFile gives the whole content of a file.
	ReadFile(name string) ([]byte, error)
	// ReadDir gives the names in a directory, in any order.
	ReadDir(name string) ([]string, error)
}

// Map is a [Source] in memory: absolute path to content. Directories exist where
// files are.
type Map map[string]string

// ReadFile implements [Source].
func (m Map) ReadFile(name string) ([]byte, error) {
	text, ok := m[path.Clean(name)]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}

// ReadDir implements [Source].
func (m Map) ReadDir(name string) ([]string, error) {
	prefix := strings.TrimSuffix(path.Clean(name), "/") + "/"
	var names []string
	for p := range m {
		if rest, ok := strings.CutPrefix(p, prefix); ok {
			first, _, _ := strings.Cut(rest, "/")
			names = append(names, first)
		}
	}
	if names == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
