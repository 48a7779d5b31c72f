package observe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// ErrNotLinux is returned where a live host is asked for on another system.
var ErrNotLinux = errors.New("a live host can be observed on Linux only\nhint: take a snapshot there and read it here: sekimori snapshot -o host.json")

// Options say what to observe. The zero value is the machine this runs on.
type Options struct {
	// Root, where set, is the file system of another machine, image or backup:
	// only files are read then, and what needs the live kernel is Unseen.
	Root rootfs.Source
	// Time is the moment that the snapshot bears; the present where zero.
	Time time.Time
	// Audit observes all that an audit asks about, and not only what reachability
	// needs: host.Snapshot.Audited.
	Audit bool
	// Deep, with Audit, compares the files of packages with what the packages
	// brought and walks all file systems of the disk. That takes minutes.
	Deep bool
}

// Host observes a host. A part that cannot be read does not fail the whole: it
// is named in Unseen. The live host is seen from the network namespace of the
// calling thread, which must not change meanwhile.
func Host(ctx context.Context, o Options) (*host.Snapshot, error) {
	c := collector{
		options: o,
		files:   rootfs.FS{Source: o.Root},
		snap:    &host.Snapshot{Schema: host.Schema, Time: o.Time, EUID: -1},
	}
	if c.snap.Time.IsZero() {
		c.snap.Time = time.Now()
	}
	c.snap.Time = c.snap.Time.UTC().Truncate(time.Microsecond)
	if o.Root != nil {
		c.offline(ctx)
	} else if err := c.live(ctx); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("observe the host: %w", err)
	}
	return c.snap, nil
}

// collector fills one snapshot.
type collector struct {
	options Options
	// values are kernel parameters that an audit has read beside those of packets.
	values map[string]string
	files  rootfs.FS
	snap   *host.Snapshot
}

func (c *collector) unseen(u ...host.Unseen) { c.snap.Unseen = append(c.snap.Unseen, u...) }

// live reads the machine this runs on.
func (c *collector) live(ctx context.Context) error {
	source, ok := os.DirFS("/").(rootfs.Source)
	if !ok || !liveSupported {
		return ErrNotLinux
	}
	c.files = rootfs.FS{Source: source}
	c.snap.EUID, c.snap.Observer = os.Geteuid(), os.Getpid()
	// Going through all open files takes longest and needs nothing else.
	found := make(chan owners, 1)
	go func() { found <- findOwners(c.files) }()
	audit := c.startAudit(ctx)
	c.system(c.liveKernel(ctx))
	c.processes(ctx, <-found)
	audit.finish(c)
	return nil
}

// offline reads the files of another root.
func (c *collector) offline(ctx context.Context) {
	audit := c.startAudit(ctx)
	defer func() { audit.finish(c) }()
	for _, section := range []string{host.SectionInterfaces, host.SectionRoutes, host.SectionNeighbours, host.SectionFilters} {
		c.unseen(host.Unseen{Section: section, Reason: "only files were read, not a live kernel"})
	}
	if c.files.Exists("proc/net") {
		sockets, notes := procSockets(c.files, "proc/net")
		c.snap.Sockets = sockets
		c.unseen(notes...)
		if p, err := procPackets(c.files, "proc/net"); err == nil {
			c.snap.PacketSockets = p
		}
	} else {
		c.unseen(host.Unseen{Section: host.SectionSockets, Reason: "only files were read, not a live kernel"})
	}
	c.system(nil)
	c.processes(ctx, findOwners(c.files))
}

// system reads what stands in files of /proc/sys and /etc, except for what the
// kernel has told about its links.
func (c *collector) system(links []link) {
	system, notes := readSystem(c.files)
	c.snap.System = system
	c.unseen(notes...)
	c.snap.Sysctls, notes = readSysctls(c.files, links)
	c.unseen(notes...)
	c.snap.Conntrack = readConntrack(c.files)
	interfaceForwarding(c.snap)
}

// processes describes the owners of the sockets that were found.
func (c *collector) processes(ctx context.Context, o owners) {
	pids := o.assign(c.snap)
	c.unseen(o.unseen(c.files, c.snap)...)
	users, err := readUsers(c.files)
	if err != nil {
		c.unseen(host.Unseen{Section: host.SectionProcesses, Reason: "user names: " + err.Error()})
	}
	netns, _ := c.files.Source.ReadLink("proc/thread-self/ns/net")
	r := processReader{files: c.files, users: users, netns: netns, booted: c.snap.System.Started, audit: c.options.Audit}
	owning := pids
	if c.options.Audit {
		pids = o.all
		c.connections(ctx, o)
	}
	var ids []containerID
	hidden, others := 0, 0
	for _, p := range r.readAll(ctx, pids) {
		if p.gone || p.PID == 0 {
			continue
		}
		switch {
		case !p.noExe:
		case slices.Contains(owning, p.PID):
			hidden++
		default:
			others++
		}
		c.snap.Processes = append(c.snap.Processes, p.Process)
		if p.place.container != "" {
			ids = append(ids, containerID{p.place.container, p.place.runtime})
		}
	}
	if others > 0 {
		c.unseen(host.Unseen{Section: host.SectionPrograms, Reason: fmt.Sprintf("the binaries of %d processes without sockets could not be read", others)})
	}
	if hidden > 0 {
		c.unseen(host.Unseen{Section: host.SectionProcesses, Reason: fmt.Sprintf("the binaries of %d processes could not be read", hidden)})
	}
	var notes []host.Unseen
	c.snap.Containers, notes = readContainers(c.files, ids)
	c.unseen(notes...)
	if !c.options.Audit {
		c.packages(ctx) // an audit asks about more files, at its end
	}
}

// connections sorts and counts the TCP connections that are open.
func (c *collector) connections(ctx context.Context, o owners) {
	var list []connection
	var err error
	switch {
	case c.options.Root == nil:
		list, err = readConnections(ctx, c.files)
	case c.files.Exists("proc/net/tcp"):
		list, err = procConnections(c.files, "proc/net")
	default:
		err = errors.New("only files were read, not a live kernel")
	}
	if err != nil {
		c.unseen(host.Unseen{Section: host.SectionConnections, Reason: err.Error()})
	}
	if tally(c.snap, list, o.byInode) || len(list) == maxConnections {
		c.unseen(host.Unseen{Section: host.SectionConnections, Reason: "there are more connections than can be listed"})
	}
}

// hostPath reports whether a process's binary is a file of the host: a process
// in a container sees other files under the same names.
func hostPath(p host.Process) bool {
	return p.Container == "" && strings.HasPrefix(p.Exe, "/")
}
