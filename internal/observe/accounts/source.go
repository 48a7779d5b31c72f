package accounts

import (
	"errors"
	"io/fs"
	"path"
	"slices"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// maxConfig bounds one configuration file; the readers of the languages have the
// same bound and name a file that is larger.
const maxConfig = 4<<20 + 1

// recorder hands out files to the readers of sshd's and sudo's language and keeps
// what they asked for: exactly that is needed to read it again elsewhere.
type recorder struct {
	files rootfs.FS
	texts host.Texts
	mask  func(name, text string) string
}

func (r *recorder) known(name string) (host.TextFile, bool) {
	i := slices.IndexFunc(r.texts, func(t host.TextFile) bool { return t.Path == name })
	if i < 0 {
		return host.TextFile{}, false
	}
	return r.texts[i], true
}

// ReadFile implements sshd.Source and sudoers.Source. The text is the real one;
// what is kept of it has gone through the mask.
func (r *recorder) ReadFile(name string) ([]byte, error) {
	name = path.Clean(name)
	file, err := r.files.Look(name)
	var data []byte
	if err == nil {
		data, err = r.files.Read(name, maxConfig)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if _, known := r.known(name); !known {
		t := host.TextFile{File: file}
		t.Path = name
		if err != nil {
			t.Err = err.Error()
		} else {
			t.Text = r.mask(name, clean(string(data)))
		}
		r.texts = append(r.texts, t)
	}
	return data, err
}

// ReadDir implements sshd.Source and sudoers.Source.
func (r *recorder) ReadDir(name string) ([]string, error) {
	name = path.Clean(name)
	dir, err := r.files.Look(name)
	if err == nil && dir.Type != "dir" {
		// Asked of each file in a directory of rules: that is no fault of the file.
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	var names []string
	if err == nil {
		names, err = r.files.List(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if _, known := r.known(name); !known {
		t := host.TextFile{File: dir}
		t.Path, t.Type = name, "dir"
		if err != nil {
			t.Err = err.Error()
		}
		r.texts = append(r.texts, t)
	}
	return names, err
}
