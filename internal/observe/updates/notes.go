package updates

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

const maxNotes = 20

// notes collects what could not be read.
type notes struct {
	section string
	list    []host.Unseen
}

func (n *notes) add(format string, args ...any) {
	if len(n.list) < maxNotes {
		n.list = append(n.list, host.Unseen{Section: n.section, Reason: fmt.Sprintf(format, args...)})
	}
}

func (n *notes) err(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.add("%s", err)
	}
}

// text reads a small configuration file, "" where it is not there.
func (n *notes) text(f rootfs.FS, name string) string {
	data, err := f.Read(name, 4<<20)
	n.err(err)
	return strings.ToValidUTF8(string(data), "\uFFFD")
}

// names lists a directory, none where it is not there.
func (n *notes) names(f rootfs.FS, dir string) []string {
	names, err := f.List(dir)
	n.err(err)
	return names
}
