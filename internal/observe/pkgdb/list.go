package pkgdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"sekimori/internal/observe/rootfs"
)

// maxPackages bounds what [List] gives.
const maxPackages = 500_000

// Listed is one package of [List].
type Listed struct {
	Package
	Arch string
	// Source is the source package's name: rpm's file name of it, apk's origin.
	Source string
}

// List gives all packages that apk and rpm have installed; dpkg's status is read
// by those who need more of it.
func List(ctx context.Context, f rootfs.FS) ([]Listed, error) {
	list, err := listApk(f)
	if err != nil || len(list) > 0 {
		return list, err
	}
	err = eachHeader(ctx, f, func() { list = nil }, func(b []byte) error {
		h, err := parseHeader(b)
		if err != nil {
			return err
		}
		p := Listed{Package: h.pkg(), Arch: h.text(tagArch), Source: h.text(tagSourceRPM)}
		if len(list) == maxPackages {
			return fmt.Errorf("more than %d packages", maxPackages)
		}
		if p.Name != "" && p.Name != "gpg-pubkey" {
			list = append(list, p)
		}
		return nil
	})
	if err != nil {
		return list, wrap("rpm", err)
	}
	return list, nil
}

func listApk(f rootfs.FS) ([]Listed, error) {
	data, err := f.Read("lib/apk/db/installed", maxDatabase)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = f.Read("usr/lib/apk/db/installed", maxDatabase)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("apk", err)
	}
	var out []Listed
	var p Listed
	end := func() {
		if p.Name != "" && len(out) < maxPackages {
			p.Manager = "apk"
			out = append(out, p)
		}
		p = Listed{}
	}
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) == 0 {
			end()
		}
		if len(line) < 2 || line[1] != ':' {
			continue
		}
		value := string(line[2:])
		switch line[0] {
		case 'P':
			p.Name = value
		case 'V':
			p.Version = value
		case 'A':
			p.Arch = value
		case 'o':
			p.Source = value
		}
	}
	end()
	return out, nil
}

// eachHeader hands out the headers of rpm's database in whichever of its formats
// it is; restart is called where a writer made it begin anew.
func eachHeader(ctx context.Context, f rootfs.FS, restart func(), each func([]byte) error) error {
	return readRPM(ctx, f, &query{each: each, restart: restart})
}
