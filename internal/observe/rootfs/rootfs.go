// Package rootfs reads files below a root directory: the real one, or that of
// another machine, image or backup whose links must not lead out of it.
package rootfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Source is a file system rooted at / that can read symbolic links, such as
// os.DirFS("/").(Source) or, for the files of another machine, os.Root.FS, which
// does not follow links out of its directory.
type Source interface {
	fs.ReadLinkFS
	fs.StatFS
}

// Small is a limit for [FS.Read] of files of which a few lines are expected.
const Small = 1 << 20

// maxLinks is the number of symbolic links that one path may lead through, as
// in the kernel.
const maxLinks = 40

// FS reads below a root. A path is absolute or, equally, without its leading slash.
type FS struct{ Source Source }

// Read gives a file of at most limit bytes; a longer one is an error, because
// half of a list would look like all of it. The file must be a regular one: a
// FIFO in another root would block forever.
func (f FS) Read(name string, limit int64) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var buf bytes.Buffer
	if info, err := file.Stat(); err == nil && info.Size() < limit {
		buf.Grow(int(info.Size()) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(io.LimitReader(file, limit+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(buf.Len()) > limit {
		return nil, fmt.Errorf("read %s: more than %d bytes", name, limit)
	}
	return buf.Bytes(), nil
}

// Open opens a regular file, following links within the root.
func (f FS) Open(name string) (fs.File, error) {
	name = strings.TrimPrefix(name, "/")
	info, err := f.Source.Stat(name)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil, err
		}
		// An absolute link of another root is refused by os.Root; seen from
		// inside that root it may well be there.
		resolved, rerr := f.Resolve(name)
		if rerr != nil || resolved == name {
			return nil, err
		}
		name = resolved
		if info, err = f.Source.Stat(name); err != nil {
			return nil, err
		}
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read /%s: not a regular file", name)
	}
	return f.Source.Open(name)
}

// Resolve follows the links of a path within the root.
func (f FS) Resolve(name string) (string, error) {
	rest, done := strings.Split(strings.Trim(name, "/"), "/"), "."
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, part)
		target, err := f.Source.ReadLink(next)
		if err != nil {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("resolve /%s: too many links", name)
		}
		if strings.HasPrefix(target, "/") {
			done = "."
		}
		rest = append(strings.Split(strings.Trim(target, "/"), "/"), rest...)
	}
	return done, nil
}

// maxProc bounds a file of /proc, of which the longest are tables of sockets.
const maxProc = 256 << 20

// Proc reads a file of /proc, whose size is not known before and which no link
// leads to. It too must be a regular one, since /proc of another root is
// whatever that holds.
func (f FS) Proc(name string) ([]byte, error) {
	info, err := f.Source.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read /%s: not a regular file", name)
	}
	file, err := f.Source.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxProc))
}

// Head gives at most limit bytes of the beginning of a file of /proc: of what is
// only searched, and may be long.
func (f FS) Head(name string, limit int64) ([]byte, error) {
	info, err := f.Source.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read /%s: not a regular file", name)
	}
	file, err := f.Source.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit))
}

// Line gives the first line of a file of /proc, "" where it cannot be read.
func (f FS) Line(name string) string {
	data, err := f.Proc(name)
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(data), "\n")
	return first
}

// Names lists a directory in the order of the file system, unsorted.
func (f FS) Names(name string) ([]fs.DirEntry, error) {
	info, err := f.Source.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("read /%s: not a directory", name)
	}
	file, err := f.Source.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	dir, ok := file.(fs.ReadDirFile)
	if !ok {
		return nil, fmt.Errorf("read /%s: it cannot be listed", name)
	}
	return dir.ReadDir(-1)
}

// Exists reports whether a path leads to something.
func (f FS) Exists(name string) bool {
	_, err := f.Source.Stat(name)
	return err == nil
}
