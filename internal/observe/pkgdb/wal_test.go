package pkgdb_test

import (
	"encoding/binary"
	"io/fs"
	"testing"
	"testing/fstest"

	"sekimori/internal/observe/pkgdb"
	"sekimori/internal/observe/rootfs"
)

// wal moves a database's pages, all but the first, into a write-ahead log as
// SQLite writes it (fileformat2, section 4).
func wal(db []byte) []byte {
	const pageSize = 4096
	be := binary.BigEndian
	head := make([]byte, 32)
	be.PutUint32(head, 0x377f0683) // checksums in big-endian words
	be.PutUint32(head[4:], 3007000)
	be.PutUint32(head[8:], pageSize)
	be.PutUint32(head[16:], 0x1234)
	be.PutUint32(head[20:], 0x5678)
	var s0, s1 uint32
	sum := func(b []byte) {
		for ; len(b) > 0; b = b[8:] {
			s0 += be.Uint32(b) + s1
			s1 += be.Uint32(b[4:]) + s0
		}
	}
	sum(head[:24])
	be.PutUint32(head[24:], s0)
	be.PutUint32(head[28:], s1)
	out := head
	pages := len(db) / pageSize
	for n := 2; n <= pages; n++ {
		frame := make([]byte, 24)
		be.PutUint32(frame, uint32(n))
		if n == pages {
			be.PutUint32(frame[4:], uint32(pages)) // commit
		}
		copy(frame[8:], head[16:24])
		page := db[(n-1)*pageSize : n*pageSize]
		sum(frame[:8])
		sum(page)
		be.PutUint32(frame[16:], s0)
		be.PutUint32(frame[20:], s1)
		out = append(append(out, frame...), page...)
	}
	return out
}

// TestWriteAheadLog: packages installed since the last checkpoint are found,
// and a transaction that was not committed is not.
func TestWriteAheadLog(t *testing.T) {
	db, err := fs.ReadFile(tree(t, "fedora").Source, "usr/lib/sysimage/rpm/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	log := wal(db)
	blank := make([]byte, len(db))
	copy(blank, db[:4096])
	ask := func(log []byte) (map[string]pkgdb.Package, []error) {
		files := fstest.MapFS{"var/lib/rpm/rpmdb.sqlite": {Data: blank}, "var/lib/rpm/rpmdb.sqlite-wal": {Data: log}}
		return pkgdb.Owners(t.Context(), rootfs.FS{Source: files}, []string{"/usr/sbin/sshd"})
	}
	if got, errs := ask(log); len(errs) > 0 || got["/usr/sbin/sshd"].Name != "openssh-server" {
		t.Errorf("with the log: %v %v", got, errs)
	}
	// The last frame is the commit: without it the log holds nothing.
	if got, errs := ask(log[:len(log)-1]); len(got) > 0 || len(errs) == 0 {
		t.Errorf("with an uncommitted log: %v %v, want an error about the blank pages", got, errs)
	}
	broken := append([]byte(nil), log...)
	broken[32+24+100]++
	if got, _ := ask(broken); len(got) > 0 {
		t.Errorf("with a broken checksum: %v", got)
	}
}
