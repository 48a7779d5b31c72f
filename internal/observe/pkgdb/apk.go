package pkgdb

import (
	"bytes"
	"context"
	"errors"
	"io/fs"

	"sekimori/internal/observe/rootfs"
)

// readApk reads Alpine's database: one file of stanzas, in which P and V are a
// package's name and version, F a directory and R a file in the last one.
func readApk(_ context.Context, f rootfs.FS, q *query) error {
	data, err := f.Read("lib/apk/db/installed", maxDatabase)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = f.Read("usr/lib/apk/db/installed", maxDatabase)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return wrap("apk", err)
	}
	scanApk(data, q)
	return nil
}

func scanApk(data []byte, q *query) {
	// Names by directory, so that most lines cost one comparison.
	type target struct{ base, file string }
	byDir := map[string][]target{}
	for file, names := range q.open {
		for _, n := range names {
			i := bytes.LastIndexByte([]byte(n), '/')
			dir := n[1:max(i, 1)]
			byDir[dir] = append(byDir[dir], target{n[i+1:], file})
		}
	}
	var name, version string
	var here []target
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) < 2 || line[1] != ':' {
			if len(line) == 0 {
				name, version, here = "", "", nil
			}
			continue
		}
		value := line[2:]
		switch line[0] {
		case 'P':
			name = string(value)
		case 'V':
			version = string(value)
		case 'F':
			here = byDir[string(value)]
		case 'R':
			for _, t := range here {
				if t.base == string(value) {
					q.answer(t.file, Package{Manager: "apk", Name: name, Version: version})
				}
			}
		}
	}
}
