package observe

import (
	"context"

	"sekimori/internal/host"
	"sekimori/internal/observe/pkgdb"
)

// packages names the package of each process's binary, and of each file that gives
// rights. A process in a container
// sees other files under the same names, so its binary is in no package of ours.
func (c *collector) packages(ctx context.Context) {
	var paths []string
	for _, p := range c.snap.Processes {
		if hostPath(p) {
			paths = append(paths, p.Exe)
		}
	}
	for _, f := range c.snap.Integrity.SetID {
		paths = append(paths, f.Path)
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
	for i := range c.snap.Integrity.SetID {
		f := &c.snap.Integrity.SetID[i]
		f.Package, f.Manager = owners[f.Path].Name, owners[f.Path].Manager
	}
}
