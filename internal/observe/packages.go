package observe

import (
	"context"

	"sekimori/internal/host"
	"sekimori/internal/observe/pkgdb"
)

// packages names the package of each process's binary. A process in a container
// sees other files under the same names, so its binary is in no package of ours.
func (c *collector) packages(ctx context.Context) {
	var paths []string
	for _, p := range c.snap.Processes {
		if hostPath(p) {
			paths = append(paths, p.Exe)
		}
	}
	owners, errs := pkgdb.Owners(ctx, c.files, paths)
	for _, err := range errs {
		c.unseen(host.Unseen{Section: host.SectionPackages, Reason: err.Error()})
	}
	for i := range c.snap.Processes {
		p := &c.snap.Processes[i]
		if owner, ok := owners[p.Exe]; ok && hostPath(*p) {
			p.Package, p.Version, p.Manager = owner.Name, owner.Version, owner.Manager
		}
	}
}
