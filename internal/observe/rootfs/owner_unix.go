//go:build unix

package rootfs

import (
	"errors"
	"io/fs"
	"syscall"
)

// owner gives the user and group ids of a file, -1 where its file system has none.
func owner(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}

// missing reports whether an error says that nothing is there: a path through
// something that is no directory leads nowhere as well.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
