package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"sekimori/internal/host"
)

const (
	maxNotes = 20      // what one section names one by one
	maxText  = 4 << 20 // bytes of a configuration file
)

// Notes reads the files of one section of a snapshot, and collects what could not
// be read of it. What is not there is no fault.
type Notes struct {
	Section string
	List    []host.Unseen
}

// Add notes one thing. Of very many the first stand for all, and it is said that
// there are more.
func (n *Notes) Add(format string, args ...any) {
	switch len(n.List) {
	case maxNotes:
		format, args = "and more of this section", nil
	case maxNotes + 1:
		return
	}
	n.List = append(n.List, host.Unseen{Section: n.Section, Reason: fmt.Sprintf(format, args...)})
}

// Err notes an error, unless it says that there is nothing.
func (n *Notes) Err(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.Add("%s", err)
	}
}

// Text reads a configuration file, "" where it is not there.
func (n *Notes) Text(f FS, name string) string {
	data, err := f.Read(name, maxText)
	n.Err(err)
	return strings.ToValidUTF8(string(data), "\uFFFD")
}

// Proc reads a file of /proc or /sys, whose size is not known before.
func (n *Notes) Proc(f FS, name string) string {
	data, err := f.Proc(name)
	n.Err(err)
	return strings.ToValidUTF8(string(data), "\uFFFD")
}

// Names lists a directory, none where it is not there.
func (n *Notes) Names(f FS, dir string) []string {
	names, err := f.List(dir)
	n.Err(err)
	return names
}
