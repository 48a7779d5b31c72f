package observe

import (
	"context"
	"os"

	"sekimori/internal/firewall/kernel"
	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

func liveFiles() rootfs.FS { return rootfs.FS{Source: os.DirFS("/").(rootfs.Source)} }

// DiagSockets is the reader by netlink alone.
func DiagSockets(ctx context.Context) ([]host.Socket, []host.Unseen) {
	sockets, _, unseen := readSockets(ctx, liveFiles())
	return sockets, unseen
}

// ProcSockets is the reader of /proc/net alone.
func ProcSockets() ([]host.Socket, []host.Unseen) { return procSockets(liveFiles(), liveNet) }

// Filters reads the packet filters alone.
func Filters(ctx context.Context) kernel.Dump {
	return readFilters(ctx, liveFiles(), readNetstate(ctx).links)
}

// FindOwners goes through the open files of all processes.
func FindOwners() int { return len(findOwners(liveFiles()).byInode) }

// FileSysctls reads all parameters from /proc/sys.
func FileSysctls() map[string]string {
	values, _ := readSysctls(liveFiles(), nil)
	return values
}
