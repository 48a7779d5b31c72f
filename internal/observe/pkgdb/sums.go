package pkgdb

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"sekimori/internal/observe/rootfs"
)

// Sum is what a package says of one of its files.
type Sum struct {
	Path    string
	Package string
	Manager string
	// Algorithm is md5, sha1, sha256 or sha512; Digest is in hexadecimal.
	Algorithm string
	Digest    string
	// Config is true of a file that administrators are meant to change.
	Config bool
	// Optional is true of one that may be missing: documentation, and what rpm
	// marks so.
	Optional bool
	// Mode is the permission bits, with those of set-user-id and its like; -1 where
	// the package does not say.
	Mode int
}

// Sums hands out what packages say of their files. None are the names of packages
// without any such list.
func Sums(ctx context.Context, f rootfs.FS, each func(Sum) error) (none []string, err error) {
	for _, read := range []func(context.Context, rootfs.FS, func(Sum) error) ([]string, error){dpkgSums, apkSums, rpmSums} {
		n, err := read(ctx, f, each)
		none = append(none, n...)
		if err != nil {
			return none, err
		}
	}
	return none, nil
}

// dpkgSums reads info/PACKAGE.md5sums, and the sums of configuration files, which
// stand in the status file.
func dpkgSums(ctx context.Context, f rootfs.FS, each func(Sum) error) (none []string, err error) {
	entries, err := f.Names(dpkgDir + "/info")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("dpkg", err)
	}
	diverted, err := readDiversions(f)
	if err != nil {
		return nil, wrap("dpkg", err)
	}
	have := map[string]bool{}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".md5sums"); ok {
			have[name] = true
		}
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".list")
		if !ok {
			continue
		}
		if err := ctx.Err(); err != nil {
			return none, err
		}
		if !have[name] {
			none = append(none, packageName(name))
			continue
		}
		data, err := f.Read(dpkgDir+"/info/"+name+".md5sums", maxDatabase)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return none, wrap("dpkg", err)
		}
		for line := range bytes.Lines(data) {
			digest, file, ok := strings.Cut(strings.TrimRight(string(line), "\n"), "  ")
			if !ok || len(digest) != 32 {
				continue
			}
			s := Sum{Path: diverted.place("/"+strings.TrimPrefix(file, "/"), packageName(name)), Package: packageName(name), Manager: "dpkg", Algorithm: "md5", Digest: digest, Mode: -1}
			s.Optional = documentation(s.Path)
			if err := each(s); err != nil {
				return none, err
			}
		}
	}
	return none, conffiles(f, diverted, each)
}

// place is where a package's file is, when another package has moved it away.
func (d diversions) place(file, pkg string) string {
	for _, v := range d {
		if sameFile(v.from, file) && v.by != pkg {
			return v.to
		}
	}
	return file
}

// documentation reports whether a file is one that small systems leave out.
func documentation(name string) bool {
	for _, dir := range [...]string{"/usr/share/doc/", "/usr/share/man/", "/usr/share/info/", "/usr/share/locale/", "/usr/share/lintian/", "/usr/share/gnome/help/", "/usr/share/linda/", "/usr/share/help/"} {
		if strings.HasPrefix(name, dir) {
			return true
		}
	}
	return false
}

// conffiles reads the field Conffiles of all packages: " /etc/x DIGEST [obsolete]".
func conffiles(f rootfs.FS, diverted diversions, each func(Sum) error) error {
	data, err := f.Read(dpkgDir+"/status", maxDatabase)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return wrap("dpkg", err)
	}
	name, inside, installed := "", false, false
	for line := range bytes.Lines(data) {
		text := strings.TrimRight(string(line), "\n")
		if text == "" || text[0] != ' ' {
			inside = text == "Conffiles:"
		}
		switch {
		case strings.HasPrefix(text, "Package: "):
			name = text[len("Package: "):]
		case strings.HasPrefix(text, "Status: "):
			installed = strings.HasSuffix(text, " installed")
		case inside && installed && strings.HasPrefix(text, " /"):
			w := strings.Fields(text)
			if len(w) != 2 || len(w[1]) != 32 {
				continue // obsolete, or taken over by another package
			}
			s := Sum{Path: diverted.place(w[0], name), Package: name, Manager: "dpkg", Algorithm: "md5", Digest: w[1], Config: true, Mode: -1}
			if err := each(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// apkSums reads the lines Z: behind R:, SHA-1 of a file's content in base 64.
func apkSums(ctx context.Context, f rootfs.FS, each func(Sum) error) ([]string, error) {
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
	pkg, dir, file := "", "", ""
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) < 2 || line[1] != ':' {
			continue
		}
		value := string(line[2:])
		switch line[0] {
		case 'P':
			pkg = value
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		case 'F':
			dir, file = value, ""
		case 'R':
			file = "/" + strings.TrimPrefix(dir+"/"+value, "/")
		case 'Z':
			raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(value, "Q1"))
			if err != nil || !strings.HasPrefix(value, "Q1") || file == "" {
				continue
			}
			s := Sum{Path: file, Package: pkg, Manager: "apk", Algorithm: "sha1", Digest: hex.EncodeToString(raw), Config: strings.HasPrefix(file, "/etc/"), Mode: -1}
			if err := each(s); err != nil {
				return nil, err
			}
			file = ""
		}
	}
	return nil, nil
}

// Tags and flags of rpm's files (rpmtag.h, rpmfiles.h).
const (
	tagFileModes, tagFileDigests, tagFileFlags, tagDigestAlgo = 1030, 1035, 1037, 5011

	typeInt16 = 3

	flagConfig, flagDoc, flagMissingOK, flagNoReplace, flagGhost = 1 << 0, 1 << 1, 1 << 3, 1 << 4, 1 << 6
)

// rpmSums reads digests and modes of all files from rpm's headers.
func rpmSums(ctx context.Context, f rootfs.FS, each func(Sum) error) ([]string, error) {
	var none []string
	err := eachHeader(ctx, f, func() { none = nil }, func(b []byte) error {
		h, err := parseHeader(b)
		if err != nil {
			return err
		}
		return h.sums(each)
	})
	if err != nil {
		return none, wrap("rpm", err)
	}
	return none, nil
}

func (h header) sums(each func(Sum) error) error {
	algorithm := "md5"
	if b, n := h.value(tagDigestAlgo, typeInt32); n > 0 && len(b) >= 4 {
		var ok bool
		if algorithm, ok = map[uint32]string{1: "md5", 2: "sha1", 8: "sha256", 10: "sha512"}[binary.BigEndian.Uint32(b)]; !ok {
			return fmt.Errorf("%s: digests of kind %d", h.text(tagName), binary.BigEndian.Uint32(b))
		}
	}
	names, dirs := h.all(tagBasenames), h.all(tagDirnames)
	digests := h.all(tagFileDigests)
	indexes, _ := h.value(tagDirIndexes, typeInt32)
	modes, _ := h.value(tagFileModes, typeInt16)
	flags, _ := h.value(tagFileFlags, typeInt32)
	pkg := h.text(tagName)
	for i, name := range names {
		if len(indexes) < 4*(i+1) || len(modes) < 2*(i+1) || len(flags) < 4*(i+1) || i >= len(digests) {
			return fmt.Errorf("%s: lists of files of different lengths", pkg)
		}
		d := int(binary.BigEndian.Uint32(indexes[4*i:]))
		if d >= len(dirs) {
			return fmt.Errorf("%s: file %d is in directory %d of %d", pkg, i, d, len(dirs))
		}
		flag, mode := binary.BigEndian.Uint32(flags[4*i:]), binary.BigEndian.Uint16(modes[2*i:])
		// Only regular files have digests; ghosts need not be there.
		if mode&0o170000 != 0o100000 || digests[i] == "" || flag&flagGhost != 0 {
			continue
		}
		s := Sum{Path: dirs[d] + name, Package: pkg, Manager: "rpm", Algorithm: algorithm, Digest: digests[i], Mode: int(mode & 0o7777)}
		s.Config = flag&(flagConfig|flagNoReplace) != 0
		s.Optional = flag&(flagDoc|flagMissingOK) != 0 || documentation(s.Path)
		if err := each(s); err != nil {
			return err
		}
	}
	return nil
}

// all gives an array of strings.
func (h header) all(tag uint32) []string {
	b, count := h.value(tag, typeStringArray)
	out := make([]string, 0, min(count, len(b)))
	for range count {
		var s []byte
		if s, b = cString(b); b == nil {
			if len(s) == 0 {
				break
			}
		}
		out = append(out, string(s))
		if b == nil {
			break
		}
	}
	return out
}
