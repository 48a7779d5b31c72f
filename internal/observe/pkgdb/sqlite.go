package pkgdb

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
)

// sqlite reads tables and indexes of a SQLite 3 database file, no more than
// rpm's needs (https://www.sqlite.org/fileformat2.html): no SQL, no locks, no
// writing. Committed pages of the write-ahead log are seen.
type sqlite struct {
	r        io.ReaderAt
	pageSize int64
	usable   int64 // page size without the reserved end
	wal      map[uint32][]byte
	budget   int // pages that may yet be read
}

var errSQLite = errors.New("not a sound SQLite database")

// maxPages bounds the pages read for one question: some dozens in a sound file,
// any number in one whose trees have loops.
const maxPages = 1 << 17

// maxDepth bounds the height of a b-tree, which a loop in a broken file would
// exceed; a real one of the greatest possible size is lower.
const maxDepth = 20

func openSQLite(r io.ReaderAt, wal walSource) (*sqlite, error) {
	head := make([]byte, 100)
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("%w: header: %w", errSQLite, err)
	}
	if string(head[:16]) != "SQLite format 3\x00" {
		return nil, fmt.Errorf("%w: wrong magic", errSQLite)
	}
	db := &sqlite{r: r, budget: maxPages, pageSize: int64(binary.BigEndian.Uint16(head[16:]))}
	if db.pageSize == 1 {
		db.pageSize = 65536
	}
	db.usable = db.pageSize - int64(head[20])
	if db.pageSize < 512 || db.pageSize&(db.pageSize-1) != 0 || db.usable < 480 {
		return nil, fmt.Errorf("%w: pages of %d bytes", errSQLite, db.pageSize)
	}
	if enc := binary.BigEndian.Uint32(head[56:]); enc > 1 {
		return nil, fmt.Errorf("%w: text is UTF-16", errSQLite)
	}
	w, done, err := wal()
	if errors.Is(err, fs.ErrNotExist) {
		return db, nil
	}
	if err != nil {
		return nil, err
	}
	defer done()
	return db, db.readWAL(w)
}

// readWAL collects the pages that transactions have committed to the
// write-ahead log. Frames end where salt or checksum no longer fit: what follows
// is of an older log.
func (db *sqlite) readWAL(w io.ReaderAt) error {
	head := make([]byte, 32)
	if n, err := w.ReadAt(head, 0); n < len(head) {
		if errors.Is(err, io.EOF) {
			return nil // empty: nothing since the last checkpoint
		}
		return fmt.Errorf("write-ahead log: %w", err)
	}
	magic := binary.BigEndian.Uint32(head)
	if magic&^1 != 0x377f0682 || int64(binary.BigEndian.Uint32(head[8:])) != db.pageSize {
		return fmt.Errorf("%w: write-ahead log", errSQLite)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if magic&1 == 1 {
		order = binary.BigEndian
	}
	sum := walSum{}.add(order, head[:24])
	if !sum.is(head[24:]) {
		return nil // torn: SQLite ignores such a log
	}
	db.wal = map[uint32][]byte{}
	pending := map[uint32][]byte{}
	total := int64(0)
	for at := int64(len(head)); ; at += 24 + db.pageSize {
		frame := make([]byte, 24+db.pageSize)
		if n, _ := w.ReadAt(frame, at); int64(n) < int64(len(frame)) {
			return nil
		}
		sum = sum.add(order, frame[:8]).add(order, frame[24:])
		if !bytes.Equal(frame[8:16], head[16:24]) || !sum.is(frame[16:]) {
			return nil
		}
		if total += db.pageSize; total > maxDatabase {
			return fmt.Errorf("write-ahead log: more than %d bytes", maxDatabase)
		}
		pending[binary.BigEndian.Uint32(frame)] = frame[24:]
		if binary.BigEndian.Uint32(frame[4:]) == 0 {
			continue // not the end of a transaction
		}
		maps.Copy(db.wal, pending)
		clear(pending)
	}
}

// walSum is the running checksum of a write-ahead log.
type walSum [2]uint32

func (s walSum) add(order binary.ByteOrder, b []byte) walSum {
	for ; len(b) >= 8; b = b[8:] {
		s[0] += order.Uint32(b) + s[1]
		s[1] += order.Uint32(b[4:]) + s[0]
	}
	return s
}

func (s walSum) is(b []byte) bool {
	return s[0] == binary.BigEndian.Uint32(b) && s[1] == binary.BigEndian.Uint32(b[4:])
}

// page reads one page; the first is number 1.
func (db *sqlite) page(n uint32) ([]byte, error) {
	if n == 0 {
		return nil, fmt.Errorf("%w: page 0", errSQLite)
	}
	if db.budget--; db.budget < 0 {
		return nil, fmt.Errorf("%w: more than %d pages to read", errSQLite, maxPages)
	}
	if p, ok := db.wal[n]; ok {
		return p, nil
	}
	b := make([]byte, db.pageSize)
	if _, err := db.r.ReadAt(b, int64(n-1)*db.pageSize); err != nil {
		return nil, fmt.Errorf("%w: page %d: %w", errSQLite, n, err)
	}
	return b, nil
}

// Kinds of b-tree pages.
const (
	indexInterior, tableInterior, indexLeaf, tableLeaf = 2, 5, 10, 13
)

// btree is one page of a b-tree.
type btree struct {
	kind  byte
	data  []byte
	cells []byte // array of offsets, two bytes each
	right uint32 // the last child of an interior page
}

func (db *sqlite) btree(n uint32) (btree, error) {
	data, err := db.page(n)
	if err != nil {
		return btree{}, err
	}
	head := data
	if n == 1 {
		head = data[100:] // behind the file's header
	}
	t := btree{kind: head[0], data: data}
	count, size := int(binary.BigEndian.Uint16(head[3:])), 8
	switch t.kind {
	case indexInterior, tableInterior:
		t.right, size = binary.BigEndian.Uint32(head[8:]), 12
	case indexLeaf, tableLeaf:
	default:
		return btree{}, fmt.Errorf("%w: page %d is of kind %d", errSQLite, n, t.kind)
	}
	if size+2*count > len(head) {
		return btree{}, fmt.Errorf("%w: page %d has %d cells", errSQLite, n, count)
	}
	t.cells = head[size : size+2*count]
	return t, nil
}

func (t btree) len() int { return len(t.cells) / 2 }

// cell is one cell of a b-tree page.
type cell struct {
	child   uint32
	rowid   int64
	payload int64
	data    []byte // from the payload on, to the end of the page
}

func (t btree) cell(i int) (cell, error) {
	bad := fmt.Errorf("%w: cell %d", errSQLite, i)
	at := int(binary.BigEndian.Uint16(t.cells[2*i:]))
	if at >= len(t.data) {
		return cell{}, bad
	}
	var c cell
	b := t.data[at:]
	if t.kind == indexInterior || t.kind == tableInterior {
		if len(b) < 4 {
			return cell{}, bad
		}
		c.child, b = binary.BigEndian.Uint32(b), b[4:]
	}
	if t.kind != tableInterior {
		n, size := varint(b)
		if size == 0 || n < 0 || n > maxHeader {
			return cell{}, bad
		}
		c.payload, b = n, b[size:]
	}
	if t.kind == tableInterior || t.kind == tableLeaf {
		n, size := varint(b)
		if size == 0 {
			return cell{}, bad
		}
		c.rowid, b = n, b[size:]
	}
	c.data = b
	return c, nil
}

// varint reads SQLite's big-endian number of one to nine bytes; size 0 where it
// is cut off.
func varint(b []byte) (n int64, size int) {
	for i := range min(len(b), 9) {
		if i == 8 {
			return n<<8 | int64(b[8]), 9
		}
		n = n<<7 | int64(b[i]&0x7f)
		if b[i] < 0x80 {
			return n, i + 1
		}
	}
	return 0, 0
}

// payload puts a cell's payload together from its page and overflow pages.
func (db *sqlite) payload(c cell, leafTable bool) ([]byte, error) {
	u := db.usable
	most := (u-12)*64/255 - 23
	if leafTable {
		most = u - 35
	}
	local := c.payload
	if local > most {
		least := (u-12)*32/255 - 23
		if local = least + (c.payload-least)%(u-4); local > most {
			local = least
		}
	}
	if local == c.payload {
		if int64(len(c.data)) < local {
			return nil, fmt.Errorf("%w: a payload leaves its page", errSQLite)
		}
		return c.data[:local], nil
	}
	if int64(len(c.data)) < local+4 {
		return nil, fmt.Errorf("%w: a payload leaves its page", errSQLite)
	}
	out := append(make([]byte, 0, min(c.payload, 1<<20)), c.data[:local]...)
	next := binary.BigEndian.Uint32(c.data[local:])
	for int64(len(out)) < c.payload {
		p, err := db.page(next)
		if err != nil {
			return nil, fmt.Errorf("overflow: %w", err)
		}
		next = binary.BigEndian.Uint32(p)
		out = append(out, p[4:4+min(u-4, c.payload-int64(len(out)))]...)
	}
	return out, nil
}

// row finds a row of a table by its rowid; nil where there is none.
func (db *sqlite) row(root uint32, rowid int64) ([]value, error) {
	for range maxDepth {
		t, err := db.btree(root)
		if err != nil {
			return nil, err
		}
		next := t.right
		for i := range t.len() {
			c, err := t.cell(i)
			if err != nil {
				return nil, err
			}
			if t.kind == tableLeaf && c.rowid == rowid {
				b, err := db.payload(c, true)
				if err != nil {
					return nil, err
				}
				return record(b)
			}
			if t.kind == tableInterior && rowid <= c.rowid {
				next = c.child
				break
			}
		}
		switch t.kind {
		case tableLeaf:
			return nil, nil
		case tableInterior:
			root = next
		default:
			return nil, fmt.Errorf("%w: an index in a table", errSQLite)
		}
	}
	return nil, fmt.Errorf("%w: a tree without leaves", errSQLite)
}

// rows goes through all rows of a table.
func (db *sqlite) rows(root uint32, depth int, each func([]value) error) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: a tree without leaves", errSQLite)
	}
	t, err := db.btree(root)
	if err != nil {
		return err
	}
	for i := range t.len() {
		c, err := t.cell(i)
		if err != nil {
			return err
		}
		switch t.kind {
		case tableInterior:
			err = db.rows(c.child, depth+1, each)
		case tableLeaf:
			var b []byte
			if b, err = db.payload(c, true); err == nil {
				var r []value
				if r, err = record(b); err == nil {
					err = each(r)
				}
			}
		default:
			err = fmt.Errorf("%w: an index in a table", errSQLite)
		}
		if err != nil {
			return err
		}
	}
	if t.kind == tableInterior {
		return db.rows(t.right, depth+1, each)
	}
	return nil
}

// find goes through the entries of an index whose first column is the key. each
// gets the entry's columns, of which the last is the rowid.
func (db *sqlite) find(root uint32, key string, depth int, each func([]value) error) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: a tree without leaves", errSQLite)
	}
	t, err := db.btree(root)
	if err != nil {
		return err
	}
	if t.kind != indexInterior && t.kind != indexLeaf {
		return fmt.Errorf("%w: a table in an index", errSQLite)
	}
	for i := range t.len() {
		c, err := t.cell(i)
		if err != nil {
			return err
		}
		b, err := db.payload(c, false)
		if err != nil {
			return err
		}
		entry, err := record(b)
		if err != nil || len(entry) == 0 {
			return fmt.Errorf("%w: an index entry: %w", errSQLite, err)
		}
		order := entry[0].compareText(key)
		// The child left of an entry holds what is not after it.
		if t.kind == indexInterior && order >= 0 {
			if err := db.find(c.child, key, depth+1, each); err != nil {
				return err
			}
		}
		if order == 0 {
			if err := each(entry); err != nil {
				return err
			}
		}
		if order > 0 {
			return nil
		}
	}
	if t.kind == indexInterior {
		return db.find(t.right, key, depth+1, each)
	}
	return nil
}

// value is one column: a number, or text or a blob.
type value struct {
	class byte // sorts first: 0 null, 1 number, 2 text, 3 blob
	int   int64
	bytes []byte
}

// compareText compares with a text in the order of an index: BINARY collation.
func (v value) compareText(s string) int {
	return cmp.Or(cmp.Compare(v.class, 2), bytes.Compare(v.bytes, []byte(s)))
}

// record splits a payload into its columns. Real numbers, which rpm does not
// store, come as their bits.
func record(b []byte) ([]value, error) {
	size, n := varint(b)
	if n == 0 || size < int64(n) || size > int64(len(b)) {
		return nil, fmt.Errorf("%w: a record's header", errSQLite)
	}
	types, body := b[n:size], b[size:]
	var out []value
	for len(types) > 0 {
		serial, n := varint(types)
		if n == 0 {
			return nil, fmt.Errorf("%w: a record's types", errSQLite)
		}
		types = types[n:]
		v, width := value{}, int64(0)
		switch {
		case serial == 0:
		case serial >= 1 && serial <= 7:
			v.class, width = 1, [...]int64{0, 1, 2, 3, 4, 6, 8, 8}[serial]
		case serial == 8 || serial == 9:
			v.class, v.int = 1, serial-8
		case serial >= 12:
			v.class, width = 3-byte(serial&1), (serial-12)/2
		default:
			return nil, fmt.Errorf("%w: a column of type %d", errSQLite, serial)
		}
		if width > int64(len(body)) {
			return nil, fmt.Errorf("%w: a column leaves its record", errSQLite)
		}
		v.bytes = body[:width]
		if v.class == 1 && width > 0 {
			v.int = int64(int8(body[0]))
			for _, c := range body[1:width] {
				v.int = v.int<<8 | int64(c)
			}
		}
		body = body[width:]
		out = append(out, v)
	}
	return out, nil
}

// roots gives the root pages of tables and indexes by name.
func (db *sqlite) roots() (map[string]uint32, error) {
	out := map[string]uint32{}
	err := db.rows(1, 0, func(r []value) error {
		if len(r) >= 4 { // type, name, tbl_name, rootpage, sql
			out[string(r[1].bytes)] = uint32(r[3].int)
		}
		return nil
	})
	return out, err
}
