package guard

import (
	"encoding/binary"
	"slices"
)

// A diary keeps what was told of sources: the lines of logs and the names that
// were tried, each with the place of what was told of the same source before.
// Its memory is bounded whatever the number of sources: what is oldest goes
// first. Under a flood that can be evidence of one who comes seldom; the count
// of failures does not depend on it.
type diary struct {
	pages [][]byte
	most  int    // pages
	next  uint64 // where the next entry goes; offsets count from the first one ever
}

const (
	pageSize = 64 << 10
	// entryHead is the size of what stands before an entry's text: where the
	// one before is, and the lengths of name and line.
	entryHead = 8 + 2 + 2
	// first is the least offset: 0 stands for none.
	first = entryHead
)

func newDiary(size int) diary { return diary{most: max(size/pageSize, 2), next: first} }

// add writes an entry whose predecessor is before, and returns its place.
func (d *diary) add(before uint64, user, line string) uint64 {
	user, line = clip(user), clip(line)
	size := uint64(entryHead + len(user) + len(line))
	if room := pageSize - d.next%pageSize; size > room {
		d.next += room
	}
	at := d.next
	d.next += size
	n := int(at / pageSize % uint64(d.most))
	if n >= len(d.pages) {
		d.pages = append(d.pages, make([]byte, pageSize))
	}
	p := d.pages[n][at%pageSize:]
	binary.LittleEndian.PutUint64(p, before)
	binary.LittleEndian.PutUint16(p[8:], uint16(len(user)))
	binary.LittleEndian.PutUint16(p[10:], uint16(len(line)))
	copy(p[entryHead:], user)
	copy(p[entryHead+len(user):], line)
	return at
}

// read returns the entry at a place; ok is false if it is not there any more.
func (d *diary) read(at uint64) (before uint64, user, line []byte, ok bool) {
	oldest := uint64(first)
	if page := d.next / pageSize; page >= uint64(d.most) {
		oldest = (page - uint64(d.most) + 1) * pageSize
	}
	if at < oldest {
		return 0, nil, nil, false
	}
	p := d.pages[at/pageSize%uint64(d.most)][at%pageSize:]
	n, m := int(binary.LittleEndian.Uint16(p[8:])), int(binary.LittleEndian.Uint16(p[10:]))
	return binary.LittleEndian.Uint64(p), p[entryHead : entryHead+n], p[entryHead+n : entryHead+n+m], true
}

const (
	// maxUsers is how many names a decision lists.
	maxUsers = 16
	// maxEvidence is how much of a line, or a name, is kept.
	maxEvidence = 512
	// maxEntries is how many entries are looked at for one decision.
	maxEntries = 64
)

// tell lists the last lines and the names that are in the diary from at on, the
// newest last.
func (d *diary) tell(at uint64, lines int) (evidence, users []string) {
	for range max(maxEntries, lines) {
		before, user, line, ok := d.read(at)
		if !ok {
			break
		}
		if len(line) > 0 && len(evidence) < lines {
			evidence = append(evidence, string(line))
		}
		if len(user) > 0 && len(users) < maxUsers && !slices.Contains(users, string(user)) {
			users = append(users, string(user))
		}
		at = before
	}
	slices.Reverse(evidence)
	slices.Reverse(users)
	return evidence, users
}

// clip bounds what one line of evidence costs.
func clip(l string) string {
	if len(l) > maxEvidence {
		return l[:maxEvidence-3] + "..."
	}
	return l
}
