package updates

import (
	"context"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// Result is what [Read] gives.
type Result struct {
	Packages []host.Package
	Updates  host.Updates
	Unseen   []host.Unseen
}

// Read reads the packages of a host and what is to be had for them.
func Read(ctx context.Context, f rootfs.FS, system host.System) Result {
	var r Result
	n := &notes{section: host.SectionUpdates}
	if list := readStatus(f, n); len(list) > 0 {
		r.Packages = describe(list)
		r.Updates = readApt(ctx, f, list, n)
	}
	r.Unseen = n.list
	return r
}
