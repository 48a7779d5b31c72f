package observe

import (
	"context"

	"golang.org/x/sys/unix"

	"sekimori/internal/observe/rootfs"
)

// readConnections reads the open TCP connections of this thread's network namespace.
func readConnections(ctx context.Context, f rootfs.FS) ([]connection, error) {
	nl, err := dialNetlink(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return procConnections(f, liveNet)
	}
	defer nl.close()
	var out []connection
	for _, family := range []uint8{afInet, afInet6} {
		start := len(out)
		err := steady(ctx, func() error {
			out = out[:start]
			return nl.dump(ctx, unix.SOCK_DIAG_BY_FAMILY, inetDiagRequest(family, protoTCP, openStates), func(_ uint16, b []byte) error {
				c, err := decodeConnection(b)
				if len(out) < maxConnections {
					out = append(out, c)
				}
				return err
			})
		})
		if err != nil {
			return procConnections(f, liveNet)
		}
	}
	return out, nil
}
