package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// writeFile writes what write gives to name. A regular file is replaced by a
// whole one or stays as it was: the new one is written beside it and renamed. What
// is no regular file (a device, a pipe, stdout under whatever name) is written
// to, and stays what it is. When ctx ends, nothing is left beside.
func (s streams) writeFile(ctx context.Context, name string, write func(io.Writer) error) error {
	target, err := behindLinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(target)
	switch {
	case err == nil && s.isOut(info):
		return write(s.out)
	case err == nil && (!info.Mode().IsRegular() || ofProcess(target)):
		return writeInto(target, write)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return replaceFile(ctx, target, write)
}

// isOut reports whether a file is the one that stdout goes to.
func (s streams) isOut(info fs.FileInfo) bool {
	f, ok := s.out.(*os.File)
	if !ok {
		return false
	}
	out, err := f.Stat()
	return err == nil && os.SameFile(info, out)
}

// behindLinks follows the symbolic links that a name ends in, to a name that may
// be free. It stops at the links of /proc, which are open files and not names.
func behindLinks(name string) (string, error) {
	const most = 40 // as the kernel's MAXSYMLINKS
	for range most {
		if ofProcess(name) {
			return name, nil
		}
		info, err := os.Lstat(name)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return name, nil // what is wrong with it, opening it will say
		}
		to, err := os.Readlink(name)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Dir(name) + string(filepath.Separator) + to // not cleaned: ".." follows links
		}
		name = to
	}
	return "", &fs.PathError{Op: "open", Path: name, Err: errors.New("too many symbolic links")}
}

// ofProcess reports whether a name stands in /proc, directly or by a link such as
// /dev/fd.
func ofProcess(name string) bool {
	dir, err := filepath.EvalSymlinks(filepath.Dir(name))
	return err == nil && strings.HasPrefix(dir, "/proc/")
}

// writeInto writes to what exists.
func writeInto(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// replaceFile writes a new file beside name, readable by its owner only, and
// renames it over name.
func replaceFile(ctx context.Context, name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	remove := func() { os.Remove(f.Name()) } // after the rename there is nothing to remove
	defer remove()
	defer context.AfterFunc(ctx, remove)()
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
