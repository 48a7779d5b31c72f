package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"sekimori/internal/firewall/kernel"
)

// Numbers of linux/bpf.h that x/sys lacks.
const (
	bpfNetkitPrimary, bpfNetkitPeer = 54, 55
	// maxPrograms is the most that can hang on one place (BPF_CGROUP_MAX_PROGS,
	// BPF_MPROG_MAX are 64).
	maxPrograms = 64
	// maxCgroups bounds the walk over the cgroup hierarchy.
	maxCgroups = 20000
)

// bpf calls bpf(2). attr is the part of union bpf_attr that the command uses;
// the kernel takes what is missing as zero.
func bpf(cmd int, attr unsafe.Pointer, size uintptr) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(attr), size)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// queryPrograms lists the ids of the programs attached to a target (an
// interface's index, or an open cgroup or network namespace) in one way.
func queryPrograms(target uint32, attach int) ([]uint32, error) {
	var ids [maxPrograms]uint32
	attr := struct {
		target, attach, flags, attachFlags uint32
		ids                                unsafe.Pointer
		count, _                           uint32
	}{target: target, attach: uint32(attach), ids: unsafe.Pointer(&ids), count: maxPrograms}
	_, err := bpf(unix.BPF_PROG_QUERY, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(&ids)
	if err != nil {
		return nil, err
	}
	return ids[:min(attr.count, maxPrograms)], nil
}

// byID opens a program or link of the kernel by its id.
func byID(cmd int, id uint32) (int, error) {
	attr := struct{ id, next, flags uint32 }{id: id}
	return bpf(cmd, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
}

// objectInfo reads struct bpf_prog_info or bpf_link_info.
func objectInfo(fd int, buf []byte) error {
	attr := struct {
		fd, size uint32
		info     unsafe.Pointer
	}{fd: uint32(fd), size: uint32(len(buf)), info: unsafe.Pointer(&buf[0])}
	_, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(buf)
	return err
}

// programName gives a program's name, "" where it has none or it is not to be had.
func programName(id uint32) string {
	if id == 0 {
		return ""
	}
	fd, err := byID(unix.BPF_PROG_GET_FD_BY_ID, id)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	info := make([]byte, 256)
	if objectInfo(fd, info) != nil {
		return ""
	}
	return text(info[64:80]) // bpf_prog_info.name
}

// readPrograms enumerates the BPF programs and tc classifiers that can judge
// packets of this network namespace.
func (r *filterReader) readPrograms(ctx context.Context, links []link) {
	for _, l := range links {
		for _, id := range l.xdp {
			r.program(kernel.Program{Kind: "xdp", Interface: l.Name, Attach: "ingress", ID: id, CanDrop: true})
		}
	}
	if err := r.readClassifiers(ctx, links); err != nil {
		r.unread("tc", err)
	}
	if !wideEnough {
		r.unread("bpf", errNarrow)
		return
	}
	for _, read := range []func([]link) error{r.readDevicePrograms, r.readNamespacePrograms, r.readCgroupPrograms, r.readNetfilterPrograms} {
		err := read(links)
		if err == nil {
			continue
		}
		r.unread("bpf", err)
		if errors.Is(err, unix.EPERM) {
			return // the others are refused likewise
		}
	}
}

// wideEnough is false on 32-bit machines: the structures that this package lays
// out for bpf(2) and x_tables hold pointers and alignments of 64-bit ones.
const wideEnough = unsafe.Sizeof(uintptr(0)) == 8

var errNarrow = errors.New("it is read on 64-bit machines only")

func (r *filterReader) program(p kernel.Program) {
	if p.Name == "" {
		p.Name = programName(p.ID)
	}
	r.dump.Programs = append(r.dump.Programs, p)
}

// unsupported reports whether a kernel answers that it has no such place to
// attach to, which means that nothing can be attached there.
func unsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS)
}

// readDevicePrograms asks each interface for tcx and netkit programs.
func (r *filterReader) readDevicePrograms(links []link) error {
	places := []struct {
		kind, attach string
		typ          int
		canDrop      bool
	}{
		{"tcx", "ingress", unix.BPF_TCX_INGRESS, true},
		{"tcx", "egress", unix.BPF_TCX_EGRESS, false},
		{"netkit", "primary", bpfNetkitPrimary, true},
		{"netkit", "peer", bpfNetkitPeer, true},
	}
	for _, l := range links {
		for _, p := range places {
			if p.kind == "netkit" && l.Kind != "netkit" {
				continue
			}
			ids, err := queryPrograms(uint32(l.Index), p.typ)
			switch {
			case err == nil:
			case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
				continue // nothing there, or the interface went away
			case unsupported(err):
				continue
			default:
				return fmt.Errorf("%s programs of %s: %w", p.kind, l.Name, err)
			}
			for _, id := range ids {
				r.program(kernel.Program{Kind: p.kind, Interface: l.Name, Attach: p.attach, ID: id, CanDrop: p.canDrop})
			}
		}
	}
	return nil
}

// readNamespacePrograms asks the network namespace for sk_lookup programs,
// which choose the socket of a packet or refuse it, and flow dissectors, which
// only look.
func (r *filterReader) readNamespacePrograms([]link) error {
	ns, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the network namespace: %w", err)
	}
	defer unix.Close(ns)
	for _, p := range []struct {
		kind    string
		typ     int
		canDrop bool
	}{{"sk-lookup", unix.BPF_SK_LOOKUP, true}, {"flow", unix.BPF_FLOW_DISSECTOR, false}} {
		ids, err := queryPrograms(uint32(ns), p.typ)
		if err != nil {
			if unsupported(err) {
				continue
			}
			return fmt.Errorf("%s programs: %w", p.kind, err)
		}
		for _, id := range ids {
			r.program(kernel.Program{Kind: p.kind, Attach: "network namespace", ID: id, CanDrop: p.canDrop})
		}
	}
	return nil
}

// readCgroupPrograms asks each cgroup of the unified hierarchy for programs
// that filter what its sockets receive. Those on what they send, and those of
// other kinds (devices, sysctls, connect), refuse no packet that comes in.
func (r *filterReader) readCgroupPrograms([]link) error {
	root := cgroupRoot()
	if root == "" {
		if mounted, err := hasUnifiedHierarchy(); err != nil || mounted {
			return errors.New("cgroup programs: the unified hierarchy is not mounted at /sys/fs/cgroup")
		}
		return nil // without one there is nothing to attach to
	}
	if ns, err := os.Readlink("/proc/self/ns/cgroup"); err == nil && ns != initCgroupNS {
		r.unread("bpf", errors.New("cgroup programs: those of the cgroups above this cgroup namespace cannot be seen"))
	}
	count := 0
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it went away
		case err != nil:
			return fmt.Errorf("cgroup programs: %w", err)
		case !d.IsDir():
			return nil
		}
		if count++; count > maxCgroups {
			return fmt.Errorf("cgroup programs: more than %d cgroups", maxCgroups)
		}
		name := strings.TrimPrefix(path, root)
		if name == "" {
			name = "/"
		}
		return r.cgroup(path, name)
	})
}

func (r *filterReader) cgroup(path, name string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open cgroup %s: %w", name, err)
	}
	defer unix.Close(fd)
	ids, err := queryPrograms(uint32(fd), unix.BPF_CGROUP_INET_INGRESS)
	if err != nil {
		if unsupported(err) {
			return filepath.SkipAll
		}
		return fmt.Errorf("programs of cgroup %s: %w", name, err)
	}
	for _, id := range ids {
		r.program(kernel.Program{Kind: "cgroup-skb", Attach: "ingress " + name, ID: id, CanDrop: true})
	}
	return nil
}

// cgroupRoot is where the unified hierarchy is mounted: by itself, or beside
// those of version 1 (systemd's hybrid layout); "" for nowhere usual.
func cgroupRoot() string {
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir
		}
	}
	return ""
}

// readNetfilterPrograms walks all BPF links for those of the netfilter hooks,
// which no namespace can be asked for. The kernel does not say to which
// namespace one belongs, so all are listed.
func (r *filterReader) readNetfilterPrograms([]link) error {
	for id := uint32(0); ; {
		attr := struct{ id, next, flags uint32 }{id: id}
		_, err := bpf(unix.BPF_LINK_GET_NEXT_ID, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
		if errors.Is(err, unix.ENOENT) || err != nil && unsupported(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list BPF links: %w", err)
		}
		id = attr.next
		if err := r.netfilterLink(id); err != nil {
			return err
		}
	}
}

func (r *filterReader) netfilterLink(id uint32) error {
	fd, err := byID(unix.BPF_LINK_GET_FD_BY_ID, id)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open BPF link %d: %w", id, err)
	}
	defer unix.Close(fd)
	info := make([]byte, 128)
	if err := objectInfo(fd, info); err != nil {
		return fmt.Errorf("read BPF link %d: %w", id, err)
	}
	if u32(info) != unix.BPF_LINK_TYPE_NETFILTER {
		return nil
	}
	// bpf_link_info.netfilter: pf, hooknum, priority.
	pf, hook, priority := u32(info[16:]), u32(info[20:]), int32(u32(info[24:]))
	r.program(kernel.Program{
		Kind: "netfilter", Attach: fmt.Sprintf("%s %s priority %d", familyName(pf), hookName(hook), priority),
		ID: u32(info[8:]), CanDrop: hook <= 2, // prerouting, input, forward
	})
	return nil
}

func familyName(pf uint32) string {
	switch pf {
	case nfprotoIPv4:
		return "ip"
	case nfprotoIPv6:
		return "ip6"
	}
	return fmt.Sprintf("family %d", pf)
}

func hookName(n uint32) string {
	names := [...]string{"prerouting", "input", "forward", "output", "postrouting"}
	if int(n) < len(names) {
		return names[n]
	}
	return fmt.Sprintf("hook %d", n)
}

// initCgroupNS is the first cgroup namespace (PROC_CGROUP_INIT_INO).
const initCgroupNS = "cgroup:[4026531835]"

// hasUnifiedHierarchy reports whether cgroup2 is mounted anywhere in sight.
func hasUnifiedHierarchy() (bool, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	return bytes.Contains(data, []byte(" - cgroup2 ")), err
}
