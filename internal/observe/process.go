package observe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// Bounds of what is kept of one command line: it is there to recognise a
// process by.
const (
	maxArgs    = 64
	maxArgSize = 512
)

// owners is who holds sockets open: process ids by inode, rising.
type owners struct {
	byInode map[uint64][]int
	// hidden counts the processes whose files may not be listed.
	hidden int
	err    error
	// all are the processes there were.
	all []int
}

// findOwners goes through the open files of all processes once. A process or
// file that vanishes meanwhile is passed over.
func findOwners(f rootfs.FS) owners {
	o := owners{byInode: map[uint64][]int{}}
	entries, err := f.Names("proc")
	if err != nil {
		o.err = err
		return o
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	o.all = pids
	for _, pid := range pids {
		o.scan(f, pid)
	}
	return o
}

func (o *owners) scan(f rootfs.FS, pid int) {
	dir := "proc/" + strconv.Itoa(pid) + "/fd"
	open, err := f.Names(dir)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			o.hidden++
		}
		return
	}
	for _, e := range open {
		target, err := f.Source.ReadLink(dir + "/" + e.Name())
		if err != nil {
			continue
		}
		number, ok := strings.CutPrefix(target, "socket:[")
		if !ok {
			continue
		}
		inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
		if err != nil {
			continue
		}
		// One process may hold a socket more than once; pids come rising.
		if pids := o.byInode[inode]; len(pids) == 0 || pids[len(pids)-1] != pid {
			o.byInode[inode] = append(pids, pid)
		}
	}
}

// assign gives each socket its owners and lists the processes that own any.
func (o *owners) assign(s *host.Snapshot) []int {
	wanted := map[int]bool{}
	own := func(inode uint64) []int {
		if inode == 0 {
			return nil
		}
		pids := o.byInode[inode]
		for _, p := range pids {
			wanted[p] = true
		}
		return pids
	}
	for i := range s.Sockets {
		s.Sockets[i].Owners = own(s.Sockets[i].Inode)
	}
	for i := range s.PacketSockets {
		s.PacketSockets[i].Owners = own(s.PacketSockets[i].Inode)
	}
	pids := make([]int, 0, len(wanted))
	for p := range wanted {
		pids = append(pids, p)
	}
	slices.Sort(pids)
	return pids
}

// unseen explains sockets whose owner was not found.
func (o *owners) unseen(f rootfs.FS, s *host.Snapshot) []host.Unseen {
	if o.err != nil {
		return []host.Unseen{{Section: host.SectionProcesses, Reason: "list processes: " + o.err.Error()}}
	}
	orphans := 0
	for _, k := range s.Sockets {
		if k.Inode != 0 && len(k.Owners) == 0 {
			orphans++
		}
	}
	for _, k := range s.PacketSockets {
		if k.Inode != 0 && len(k.Owners) == 0 {
			orphans++
		}
	}
	switch {
	case o.hidden > 0:
		return []host.Unseen{{
			Section: host.SectionProcesses,
			Reason:  fmt.Sprintf("the open files of %d processes may not be listed, %d sockets have no known owner (needs root)", o.hidden, orphans),
		}}
	case orphans > 0 && s.EUID > 0: // /proc may be mounted with hidepid
		return []host.Unseen{{
			Section: host.SectionProcesses,
			Reason:  fmt.Sprintf("%d sockets have no known owner (needs root)", orphans),
		}}
	case orphans > 0 && otherPIDNamespace(f):
		return []host.Unseen{{
			Section: host.SectionProcesses,
			Reason:  fmt.Sprintf("%d sockets have no owner in this PID namespace; they may belong to processes outside", orphans),
		}}
	}
	return nil
}

// otherPIDNamespace reports whether processes may be hidden because this is not
// the first PID namespace (PROC_PID_INIT_INO), or that cannot be told.
func otherPIDNamespace(f rootfs.FS) bool {
	ns, err := f.Source.ReadLink("proc/self/ns/pid")
	return err != nil || ns != "pid:[4026531836]"
}

// processReader reads what is known about single processes.
type processReader struct {
	files  rootfs.FS
	users  map[uint32]string
	netns  string // of the observed host, as /proc/PID/ns/net reads
	booted time.Time
	// audit asks for all that is in host.Process, of all processes.
	audit bool
}

// seenProcess is what was read about one process.
type seenProcess struct {
	host.Process
	place placement
	// noExe says that its binary could not be read, gone that there is nothing
	// to tell: it has ended, or is a thread of the kernel.
	noExe, gone bool
}

// readAll reads processes with a few workers, in the order of the list.
func (r *processReader) readAll(ctx context.Context, pids []int) []seenProcess {
	out := make([]seenProcess, len(pids))
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(processWorkers, len(pids)) {
		wait.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(pids) {
					return
				}
				out[i] = r.read(pids[i])
			}
		})
	}
	wait.Wait()
	return out
}

// processWorkers is how many processes are read at the same time.
const processWorkers = 4

// read gives what /proc tells about one process.
func (r *processReader) read(pid int) seenProcess {
	dir := "proc/" + strconv.Itoa(pid)
	p := seenProcess{Process: host.Process{PID: pid}}
	status, err := r.files.Proc(dir + "/status")
	if err != nil {
		p.gone = true
		return p
	}
	p.Name, p.UID = statusFields(string(status))
	p.User = r.users[p.UID]
	exe, err := r.files.Source.ReadLink(dir + "/exe")
	// A zombie has none; a process that is not ours hides it.
	p.noExe = err != nil && (!r.audit || errors.Is(err, fs.ErrPermission))
	p.Exe, p.Deleted = strings.CutSuffix(exe, " (deleted)")
	if line, err := r.files.Proc(dir + "/cmdline"); err == nil {
		p.Argv = commandLine(line)
	}
	if cgroup, err := r.files.Proc(dir + "/cgroup"); err == nil {
		p.place = parseCgroup(string(cgroup))
	}
	p.Unit, p.UserUnit, p.Container = p.place.unit, p.place.user, p.place.container
	if ns, err := r.files.Source.ReadLink(dir + "/ns/net"); err == nil && r.netns != "" {
		p.OtherNetNS = ns != r.netns
	}
	if r.audit {
		p.gone = !r.more(&p.Process)
	}
	return p
}

// statusFields reads the name and effective uid of /proc/PID/status.
func statusFields(text string) (name string, uid uint32) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "Name":
			name = strings.TrimSpace(value)
		case "Uid": // real, effective, saved, file system
			if f := strings.Fields(value); len(f) > 1 {
				n, _ := strconv.ParseUint(f[1], 10, 32)
				return name, uint32(n)
			}
		}
	}
	return name, uid
}

// commandLine splits /proc/PID/cmdline, hides secrets, and then cuts to size: a
// secret that is cut in two would no longer be recognised.
func commandLine(data []byte) []string {
	text := strings.TrimRight(string(data[:min(len(data), 256<<10)]), "\x00")
	if text == "" {
		return nil
	}
	argv := host.MaskArgs(strings.Split(text, "\x00"))
	if len(argv) > maxArgs {
		argv = append(argv[:maxArgs], "…")
	}
	for i, a := range argv {
		if len(a) > maxArgSize {
			a = a[:maxArgSize] + "…"
		}
		argv[i] = strings.ToValidUTF8(a, "\uFFFD")
	}
	return argv
}

// readUsers maps user ids to names by passwd(5); the first of several names wins.
func readUsers(f rootfs.FS) (map[uint32]string, error) {
	data, err := f.Read("etc/passwd", 64<<20)
	if err != nil {
		return nil, err
	}
	users := map[uint32]string{}
	for line := range strings.Lines(string(data)) {
		fields := strings.SplitN(line, ":", 4)
		if len(fields) < 4 {
			continue
		}
		uid, err := strconv.ParseUint(fields[2], 10, 32)
		if _, have := users[uint32(uid)]; err == nil && !have {
			users[uint32(uid)] = fields[0]
		}
	}
	return users, nil
}
