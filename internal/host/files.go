package host

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// File is what stat(2) says about one place in the file system.
type File struct {
	// Path is absolute, as the host itself would name it.
	Path string `json:"path"`
	// Type is "file", "dir", "link", "fifo", "socket", "device" or "char".
	Type string `json:"type"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	// Mode is the permission bits with set-user-id, set-group-id and sticky:
	// 0o7777 at most.
	Mode     uint32    `json:"mode"`
	Size     int64     `json:"size,omitempty"`
	Modified time.Time `json:"modified,omitzero"`
	// Target is where a symbolic link points, as written in it.
	Target string `json:"target,omitempty"`
}

// OthersWrite reports whether anybody at all may write there. A directory with
// the sticky bit is open as well: files can be added.
func (f File) OthersWrite() bool { return f.Type != "link" && f.Mode&0o002 != 0 }

// GroupWrites reports whether the group may write there.
func (f File) GroupWrites() bool { return f.Type != "link" && f.Mode&0o020 != 0 }

// TextFile is a configuration file with what stands in it.
type TextFile struct {
	File
	// Text is its content; "" where Err says why it could not be read.
	Text string `json:"text,omitempty"`
	// Err is why there is no Text.
	Err string `json:"err,omitempty"`
}

// PathChain is a path with every directory above it, as a program meets them
// that asks who could put something else there: the file first, / last, links
// resolved.
type PathChain struct {
	Path  string `json:"path"`
	Chain []File `json:"chain,omitempty"`
	// Missing is true where nothing is there; the chain then begins with the
	// nearest directory that is.
	Missing bool `json:"missing,omitempty"`
	// Err is why it could not be looked at.
	Err string `json:"err,omitempty"`
}

// Texts hands out texts of a snapshot as files: what the readers of sshd's and
// sudo's language ask for. A file that could not be read on the host is an error
// here as well, and never taken for absent.
type Texts []TextFile

// ReadFile gives the content of a file; the path is absolute.
func (t Texts) ReadFile(name string) ([]byte, error) {
	name = path.Clean(name)
	for _, f := range t {
		if f.Path != name || f.Type == "dir" {
			continue
		}
		if f.Err != "" {
			return nil, unread(f)
		}
		return []byte(f.Text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadDir gives the names in a directory, sorted.
func (t Texts) ReadDir(name string) ([]string, error) {
	name = path.Clean(name)
	prefix := strings.TrimSuffix(name, "/") + "/"
	var names []string
	for _, f := range t {
		if f.Path == name && f.Err != "" {
			return nil, unread(f)
		}
		if rest, ok := strings.CutPrefix(f.Path, prefix); ok && rest != "" {
			first, _, _ := strings.Cut(rest, "/")
			names = append(names, first)
		}
	}
	if names == nil && !slices.ContainsFunc(t, func(f TextFile) bool { return f.Path == name && f.Type == "dir" }) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func unread(f TextFile) error {
	return &fs.PathError{Op: "read", Path: f.Path, Err: unreadError(f.Err)}
}

// unreadError is why the host itself could not read a file.
type unreadError string

func (e unreadError) Error() string { return string(e) }
