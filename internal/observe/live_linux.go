package observe

import (
	"context"

	"sekimori/internal/host"
)

const liveSupported = true

// liveKernel asks the kernel about the network namespace of this thread, and
// gives its links as they were sent.
func (c *collector) liveKernel(ctx context.Context) []link {
	n := readNetstate(ctx)
	c.unseen(n.unseen...)
	for _, l := range n.links {
		i := l.Interface
		i.Addresses = n.addresses[i.Index]
		c.snap.Interfaces = append(c.snap.Interfaces, i)
	}
	c.snap.Routes, c.snap.Rules, c.snap.Neighbours = n.routes, n.rules, n.neighbours
	vendors(c.snap)
	var notes []host.Unseen
	c.snap.Sockets, c.snap.PacketSockets, notes = readSockets(ctx, c.files)
	c.unseen(notes...)
	c.snap.Filters = readFilters(ctx, c.files, n.links)
	for _, u := range c.snap.Filters.Unread {
		c.unseen(host.Unseen{Section: host.SectionFilters, Reason: u.What + ": " + u.Why})
	}
	return n.links
}
