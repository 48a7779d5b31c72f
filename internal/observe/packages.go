package observe

import (
	"context"

	"sekimori/internal/host"
)

// packages names the package of each process's binary.
func (c *collector) packages(context.Context) {
	c.unseen(host.Unseen{Section: host.SectionPackages, Reason: "package databases are not read yet"})
}
