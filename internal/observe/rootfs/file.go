package rootfs

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"sekimori/internal/host"
)

// Look gives what stat(2) says about a path, links followed within the root. The
// path in the answer is the one asked for; Resolve tells where it leads.
func (f FS) Look(name string) (host.File, error) {
	resolved, err := f.Resolve(name)
	if err != nil {
		return host.File{}, err
	}
	info, err := f.Source.Lstat(resolved)
	if err != nil {
		return host.File{}, err
	}
	return describe("/"+strings.Trim(name, "/"), info), nil
}

// LookLink gives what lstat(2) says: of a link itself, with its target.
func (f FS) LookLink(name string) (host.File, error) {
	name = strings.Trim(name, "/")
	dir, err := f.Resolve(path.Dir(name))
	if err != nil {
		return host.File{}, err
	}
	at := path.Join(dir, path.Base(name))
	info, err := f.Source.Lstat(at)
	if err != nil {
		return host.File{}, err
	}
	file := describe("/"+name, info)
	if file.Type == "link" {
		file.Target, _ = f.Source.ReadLink(at)
	}
	return file, nil
}

// Chain gives what stands at the end of a path, and every directory above that
// up to /, all links resolved: as a program meets them that asks who could put
// something else there.
func (f FS) Chain(name string) host.PathChain {
	out := host.PathChain{Path: "/" + strings.Trim(name, "/")}
	resolved, err := f.Resolve(name)
	if err != nil {
		out.Err = err.Error()
		return out
	}
	for at := resolved; ; at = path.Dir(at) {
		info, err := f.Source.Lstat(at)
		switch {
		case err == nil:
			out.Chain = append(out.Chain, describe(path.Join("/", at), info))
		case missing(err):
			out.Missing = true
		case out.Err == "":
			out.Err = err.Error()
		}
		if at == "." {
			return out
		}
	}
}

// Text reads a configuration file of at most limit bytes. Its Err says why there
// is no text; where nothing is there at all, it is fs.ErrNotExist's word and
// Type is "".
func (f FS) Text(name string, limit int64) host.TextFile {
	out := host.TextFile{File: host.File{Path: "/" + strings.Trim(name, "/")}}
	file, err := f.Look(name)
	if err != nil {
		out.Err = err.Error()
		return out
	}
	out.File = file
	data, err := f.Read(name, limit)
	if err != nil {
		out.Err = err.Error()
		return out
	}
	out.Text = strings.ToValidUTF8(string(data), "\uFFFD")
	return out
}

// List gives the names in a directory, sorted; none where it is not there.
func (f FS) List(name string) ([]string, error) {
	resolved, err := f.Resolve(name)
	if err != nil {
		return nil, err
	}
	entries, err := f.Names(resolved)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	slices.Sort(names)
	return names, nil
}

func describe(name string, info fs.FileInfo) host.File {
	out := host.File{Path: name, Size: info.Size(), Modified: info.ModTime().UTC(), Mode: uint32(info.Mode().Perm())}
	m := info.Mode()
	for _, bit := range [...]struct {
		mode fs.FileMode
		bit  uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&bit.mode != 0 {
			out.Mode |= bit.bit
		}
	}
	switch {
	case m.IsRegular():
		out.Type = "file"
	case m.IsDir():
		out.Type, out.Size = "dir", 0
	case m&fs.ModeSymlink != 0:
		out.Type, out.Size = "link", 0
	case m&fs.ModeNamedPipe != 0:
		out.Type = "fifo"
	case m&fs.ModeSocket != 0:
		out.Type = "socket"
	case m&fs.ModeCharDevice != 0:
		out.Type = "char"
	default:
		out.Type = "device"
	}
	out.UID, out.GID = owner(info)
	return out
}
