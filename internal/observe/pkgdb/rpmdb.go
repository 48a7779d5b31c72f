package pkgdb

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
)

// readRPMSQLite looks each base name up in the index of rpmdb.sqlite:
// Basenames(key, hnum, idx) says in which package, and as its which file, it is.
func readRPMSQLite(ctx context.Context, r io.ReaderAt, wal walSource, q *query) error {
	for range 4 {
		before, err := changeCounter(r)
		if err != nil {
			return err
		}
		if q.each != nil {
			q.restart()
		}
		err = lookupSQLite(ctx, r, wal, q)
		after, cerr := changeCounter(r)
		if cerr == nil && before == after {
			return err
		}
	}
	return fmt.Errorf("it changed each time while it was read")
}

// changeCounter is the number in the file's header that each writer raises.
func changeCounter(r io.ReaderAt) (uint32, error) {
	b := make([]byte, 4)
	if _, err := r.ReadAt(b, 24); err != nil {
		return 0, fmt.Errorf("%w: header: %w", errSQLite, err)
	}
	return binary.BigEndian.Uint32(b), nil
}

func lookupSQLite(ctx context.Context, r io.ReaderAt, wal walSource, q *query) error {
	db, err := openSQLite(r, wal)
	if err != nil {
		return err
	}
	roots, err := db.roots()
	if err != nil {
		return err
	}
	index, table, packages := roots["Basenames_key_idx"], roots["Basenames"], roots["Packages"]
	if index == 0 || table == 0 || packages == 0 {
		return fmt.Errorf("%w: no tables of rpm", errSQLite)
	}
	if q.each != nil {
		return db.rows(packages, 0, func(row []value) error {
			if err := ctx.Err(); err != nil || len(row) < 2 {
				return err
			}
			return q.each(row[1].bytes)
		})
	}
	for file, names := range q.open {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := db.find(index, path.Base(file), 0, func(entry []value) error {
			row, err := db.row(table, entry[len(entry)-1].int)
			if err != nil || len(row) < 3 {
				return err
			}
			p, err := db.row(packages, row[1].int)
			if err != nil || len(p) < 2 {
				return err
			}
			h, err := parseHeader(p[1].bytes)
			if err != nil {
				return err
			}
			name, _ := h.file(int(row[2].int))
			for _, n := range names {
				if n == name {
					q.answer(file, h.pkg())
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readNDB goes through all headers of Packages.db (rpm's lib/backend/ndb/
// rpmpkg.c): pages of slots at the beginning, each of which says where a blob
// is, in blocks of 16 bytes; numbers are little-endian.
func readNDB(ctx context.Context, r io.ReaderAt, _ walSource, q *query) error {
	const (
		pageSize, slotSize, blockSize = 4096, 16, 16
		magicFile, magicSlot          = 'R' | 'p'<<8 | 'm'<<16 | 'P'<<24, 'S' | 'l'<<8 | 'o'<<16 | 't'<<24
		magicBlob                     = 'B' | 'l'<<8 | 'b'<<16 | 'S'<<24
	)
	le := binary.LittleEndian
	head := make([]byte, 2*slotSize)
	if _, err := r.ReadAt(head, 0); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if le.Uint32(head) != magicFile || le.Uint32(head[4:]) != 0 {
		return fmt.Errorf("not an ndb database of version 0")
	}
	pages := int64(le.Uint32(head[12:]))
	if pages*pageSize > maxDatabase {
		return fmt.Errorf("%d pages of slots", pages)
	}
	slots := make([]byte, pages*pageSize)
	if _, err := r.ReadAt(slots, 0); err != nil {
		return fmt.Errorf("slots: %w", err)
	}
	for at := len(head); at+slotSize <= len(slots) && q.more(); at += slotSize {
		slot := slots[at:]
		if err := ctx.Err(); err != nil {
			return err
		}
		if le.Uint32(slot) != magicSlot {
			return fmt.Errorf("slot %d has no magic", at/slotSize)
		}
		pkg, blocks := le.Uint32(slot[4:]), int64(le.Uint32(slot[12:]))
		if pkg == 0 {
			continue // free
		}
		if blocks*blockSize > maxHeader {
			return fmt.Errorf("package %d has %d blocks", pkg, blocks)
		}
		blob := make([]byte, blocks*blockSize)
		if _, err := r.ReadAt(blob, int64(le.Uint32(slot[8:]))*blockSize); err != nil {
			return fmt.Errorf("package %d: %w", pkg, err)
		}
		if len(blob) < 16 || le.Uint32(blob) != magicBlob || le.Uint32(blob[4:]) != pkg {
			return fmt.Errorf("package %d: no blob where its slot says", pkg)
		}
		size := int64(le.Uint32(blob[12:]))
		if 16+size > int64(len(blob)) {
			return fmt.Errorf("package %d: %d bytes in %d blocks", pkg, size, blocks)
		}
		if err := q.scanHeader(blob[16 : 16+size]); err != nil {
			return fmt.Errorf("package %d: %w", pkg, err)
		}
	}
	return nil
}

// bdb is a Berkeley DB file with the hash method, as far as rpm's Packages
// needs: each value is a header, mostly on a chain of overflow pages.
type bdb struct {
	r        io.ReaderAt
	order    binary.ByteOrder
	pageSize int64
	last     uint32
	whole    []byte // all pages, where they are not too many
}

// Kinds of pages and items (db_page.h).
const (
	bdbHashUnsorted, bdbOverflow, bdbHash = 2, 7, 13
	bdbKeyData, bdbOffPage                = 1, 3
	bdbPageHead                           = 26
)

func openBDB(r io.ReaderAt) (*bdb, error) {
	head := make([]byte, 512)
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	const magic, hashMeta = 0x061561, 8
	db := &bdb{r: r, order: binary.LittleEndian}
	if db.order.Uint32(head[12:]) != magic {
		db.order = binary.BigEndian
	}
	if db.order.Uint32(head[12:]) != magic || head[25] != hashMeta {
		return nil, fmt.Errorf("not a Berkeley DB hash")
	}
	if head[24] != 0 {
		return nil, fmt.Errorf("it is encrypted")
	}
	db.pageSize, db.last = int64(db.order.Uint32(head[20:])), db.order.Uint32(head[32:])
	if db.pageSize < 512 || db.pageSize > 65536 || db.pageSize&(db.pageSize-1) != 0 {
		return nil, fmt.Errorf("pages of %d bytes", db.pageSize)
	}
	// Most pages are looked at twice, so that a file of usual size is read at once.
	if size := (int64(db.last) + 1) * db.pageSize; size <= maxWhole {
		whole := make([]byte, size)
		if n, err := r.ReadAt(whole, 0); err == nil || errors.Is(err, io.EOF) {
			db.whole = whole[:n]
		}
	}
	return db, nil
}

// maxWhole is the size up to which a database is held in memory.
const maxWhole = 48 << 20

func (db *bdb) page(n uint32) ([]byte, error) {
	if at := int64(n) * db.pageSize; at+db.pageSize <= int64(len(db.whole)) {
		return db.whole[at : at+db.pageSize], nil
	}
	b := make([]byte, db.pageSize)
	if _, err := db.r.ReadAt(b, int64(n)*db.pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", n, err)
	}
	return b, nil
}

// readBDB goes through the values of all hash pages.
func readBDB(ctx context.Context, r io.ReaderAt, _ walSource, q *query) error {
	db, err := openBDB(r)
	if err != nil {
		return err
	}
	for n := uint32(1); n <= db.last && n != 0 && q.more(); n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := db.page(n)
		if err != nil {
			return err
		}
		if p[25] != bdbHash && p[25] != bdbHashUnsorted {
			continue
		}
		if err := db.hashPage(p, q); err != nil {
			return fmt.Errorf("page %d: %w", n, err)
		}
	}
	return nil
}

// hashPage reads the values of one page: items alternate between key and
// value, and an item ends where the one before it begins.
func (db *bdb) hashPage(p []byte, q *query) error {
	entries := int(db.order.Uint16(p[20:]))
	if bdbPageHead+2*entries > len(p) {
		return fmt.Errorf("%d items", entries)
	}
	end := len(p)
	for i := range entries {
		at := int(db.order.Uint16(p[bdbPageHead+2*i:]))
		if at >= end || at < bdbPageHead {
			return fmt.Errorf("item %d at %d", i, at)
		}
		item := p[at:end]
		end = at
		if i%2 == 0 {
			continue // a key
		}
		value, err := db.value(item)
		if err != nil {
			return err
		}
		// The value of key 0 is a counter, shorter than any header.
		if len(value) > entrySize {
			if err := q.scanHeader(value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (db *bdb) value(item []byte) ([]byte, error) {
	switch {
	case item[0] == bdbKeyData:
		return item[1:], nil
	case item[0] == bdbOffPage && len(item) >= 12:
		return db.overflow(db.order.Uint32(item[4:]), int64(db.order.Uint32(item[8:])))
	}
	return nil, fmt.Errorf("an item of kind %d", item[0])
}

// overflow reads a value from its chain of pages.
func (db *bdb) overflow(n uint32, size int64) ([]byte, error) {
	if size > maxHeader {
		return nil, fmt.Errorf("a value of %d bytes", size)
	}
	var out bytes.Buffer
	for int64(out.Len()) < size {
		p, err := db.page(n)
		if err != nil {
			return nil, err
		}
		length := int64(db.order.Uint16(p[22:]))
		if p[25] != bdbOverflow || length == 0 || bdbPageHead+length > db.pageSize {
			return nil, fmt.Errorf("page %d is no overflow page", n)
		}
		out.Write(p[bdbPageHead : bdbPageHead+length])
		n = db.order.Uint32(p[16:])
	}
	return out.Bytes()[:size], nil
}
