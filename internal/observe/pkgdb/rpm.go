package pkgdb

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"

	"sekimori/internal/observe/rootfs"
)

// rpmDirs are where distributions keep rpm's database.
func rpmDirs() []string {
	return []string{"usr/lib/sysimage/rpm", "var/lib/rpm", "usr/share/rpm"}
}

// readRPM reads rpm's database in whichever of its three formats it is: SQLite
// (Fedora since 33, RHEL since 9), ndb (SUSE) or Berkeley DB (before).
func readRPM(ctx context.Context, f rootfs.FS, q *query) error {
	formats := []struct {
		file string
		read func(context.Context, io.ReaderAt, walSource, *query) error
	}{{"rpmdb.sqlite", readRPMSQLite}, {"Packages.db", readNDB}, {"Packages", readBDB}}
	for _, dir := range rpmDirs() {
		for _, format := range formats {
			name := dir + "/" + format.file
			r, done, err := openAt(f, name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = format.read(ctx, r, func() (io.ReaderAt, func(), error) { return openAt(f, name+"-wal") }, q)
				done()
			}
			if err != nil {
				return wrap("rpm", fmt.Errorf("/%s: %w", name, err))
			}
			return nil // others beside it are left-overs of a conversion
		}
	}
	return nil
}

// walSource opens the write-ahead log beside a database; its error is
// fs.ErrNotExist where there is none.
type walSource func() (r io.ReaderAt, done func(), err error)

// openAt opens a file for reading anywhere, whole in memory where its file
// system cannot do that.
func openAt(f rootfs.FS, name string) (io.ReaderAt, func(), error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, nil, err
	}
	if r, ok := file.(io.ReaderAt); ok {
		return r, func() { file.Close() }, nil
	}
	file.Close()
	data, err := f.Read(name, maxDatabase)
	if err != nil {
		return nil, nil, err
	}
	return bytes.NewReader(data), func() {}, nil
}

// Tags of rpm's header (rpmtag.h) and types of their values.
const (
	tagName, tagVersion, tagRelease, tagEpoch = 1000, 1001, 1002, 1003
	tagArch, tagSourceRPM                     = 1022, 1044
	tagDirIndexes, tagBasenames, tagDirnames  = 1116, 1117, 1118

	typeInt32, typeString, typeStringArray = 4, 6, 8
)

// header is one package's header: an index of tags over a store of values, all
// in network byte order.
type header struct{ index, store []byte }

// maxHeader bounds one package's header; the largest known are some MiB.
const maxHeader = 64 << 20

const entrySize = 16 // tag, type, offset, count

// parseHeader checks the frame of a header as it stands in a database: the
// number of entries, the size of the store, entries, store.
func parseHeader(b []byte) (header, error) {
	if len(b) < 8 {
		return header{}, fmt.Errorf("header of %d bytes", len(b))
	}
	entries, size := int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint32(b[4:]))
	if 8+entries*entrySize+size > int64(len(b)) {
		return header{}, fmt.Errorf("header of %d bytes with %d entries and a store of %d", len(b), entries, size)
	}
	b = b[8:]
	return header{b[:entries*entrySize], b[entries*entrySize : entries*entrySize+size]}, nil
}

// value gives the store from a tag's value on, and its count.
func (h header) value(tag, typ uint32) ([]byte, int) {
	for e := h.index; len(e) >= entrySize; e = e[entrySize:] {
		if binary.BigEndian.Uint32(e) != tag || binary.BigEndian.Uint32(e[4:]) != typ {
			continue
		}
		offset, count := binary.BigEndian.Uint32(e[8:]), binary.BigEndian.Uint32(e[12:])
		if int64(offset) > int64(len(h.store)) || int64(count) > int64(len(h.store)) {
			return nil, 0
		}
		return h.store[offset:], int(count)
	}
	return nil, 0
}

func (h header) text(tag uint32) string {
	b, n := h.value(tag, typeString)
	if n == 0 {
		return ""
	}
	s, _ := cString(b)
	return string(s)
}

func cString(b []byte) (s, rest []byte) {
	before, after, ok := bytes.Cut(b, []byte{0})
	if !ok {
		return b, nil
	}
	return before, after
}

// nth gives one element of an array of strings.
func (h header) nth(tag uint32, n int) (string, bool) {
	b, count := h.value(tag, typeStringArray)
	if n < 0 || n >= count {
		return "", false
	}
	for range n {
		if _, b = cString(b); b == nil {
			return "", false
		}
	}
	s, _ := cString(b)
	return string(s), true
}

// file gives the path of the header's nth file.
func (h header) file(n int) (string, bool) {
	base, ok := h.nth(tagBasenames, n)
	indexes, count := h.value(tagDirIndexes, typeInt32)
	if !ok || n >= count || len(indexes) < 4*(n+1) {
		return "", false
	}
	dir, ok := h.nth(tagDirnames, int(binary.BigEndian.Uint32(indexes[4*n:])))
	return dir + base, ok
}

func (h header) pkg() Package {
	version := h.text(tagVersion) + "-" + h.text(tagRelease)
	if b, n := h.value(tagEpoch, typeInt32); n > 0 && len(b) >= 4 {
		version = strconv.FormatUint(uint64(binary.BigEndian.Uint32(b)), 10) + ":" + version
	}
	return Package{Manager: "rpm", Name: h.text(tagName), Version: version}
}

// scanHeader answers what one package owns of the files. Most headers are
// dismissed by a search for the bare names.
func (q *query) scanHeader(b []byte) error {
	if q.each != nil {
		return q.each(b)
	}
	for file, names := range q.open {
		if !bytes.Contains(b, append([]byte(path.Base(file)), 0)) {
			continue
		}
		h, err := parseHeader(b)
		if err != nil {
			return err
		}
		if h.owns(path.Base(file), names) {
			q.answer(file, h.pkg())
		}
	}
	return nil
}

// owns reports whether the header has a file of this base name under one of the names.
func (h header) owns(base string, names []string) bool {
	b, count := h.value(tagBasenames, typeStringArray)
	for n := range count {
		var s []byte
		if s, b = cString(b); string(s) == base {
			p, ok := h.file(n)
			for _, name := range names {
				if ok && p == name {
					return true
				}
			}
		}
		if b == nil {
			break
		}
	}
	return false
}
