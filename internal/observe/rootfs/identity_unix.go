//go:build unix

package rootfs

import (
	"io/fs"
	"syscall"
)

// Identity is what tells one file from another: device and inode.
type Identity struct{ Dev, Inode uint64 }

// Identify gives the identity of what stat(2) was asked about, false where the
// file system has none.
func Identify(info fs.FileInfo) (Identity, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Identity{}, false
	}
	return Identity{uint64(st.Dev), uint64(st.Ino)}, true
}
