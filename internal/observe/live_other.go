//go:build !linux

package observe

import (
	"context"

	"sekimori/internal/observe/rootfs"
)

const liveSupported = false

func (c *collector) liveKernel(context.Context) []link { return nil }

func readConnections(context.Context, rootfs.FS) ([]connection, error) { return nil, ErrNotLinux }
