package observe

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"sekimori/internal/firewall/kernel"
)

// xtFamily is one of the families of tables behind getsockopt
// (linux/netfilter_ipv4/ip_tables.h and its siblings).
type xtFamily struct {
	what   string // as in kernel.Unread
	names  string // the list of registered tables in /proc/net
	family uint8
	domain int // of the socket to ask on
	level  int
	base   int // IPT_SO_GET_INFO; GET_ENTRIES is the next
	hooks  int // in struct ipt_getinfo
}

func xtFamilies() []xtFamily {
	return []xtFamily{
		{"ip_tables", "ip_tables_names", nfprotoIPv4, unix.AF_INET, unix.IPPROTO_IP, 64, 5},
		{"ip6_tables", "ip6_tables_names", nfprotoIPv6, unix.AF_INET6, unix.IPPROTO_IPV6, 64, 5},
		{"arp_tables", "arp_tables_names", nfprotoARP, unix.AF_INET, unix.IPPROTO_IP, 96, 3},
	}
}

// readLegacy reads the tables of iptables-legacy, ip6tables-legacy,
// arptables-legacy and ebtables-legacy.
func (r *filterReader) readLegacy(links []link) {
	for _, f := range xtFamilies() {
		// The list names what is registered in this namespace, and reading it
		// registers and loads nothing; asking for another table would.
		data, err := r.files.Proc("proc/thread-self/net/" + f.names)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			r.unread(f.what, err)
			continue
		}
		for name := range strings.FieldsSeq(string(data)) {
			if !wideEnough {
				r.unread(f.what, errNarrow)
				continue
			}
			t, err := f.read(name)
			if err != nil {
				r.unread(f.what, fmt.Errorf("table %s: %w", name, err))
				continue
			}
			r.dump.Tables = append(r.dump.Tables, t)
		}
	}
	r.readBridgeTables(links)
}

const xtNameSize = 32

// read reads one table, again where it changed between its size and its entries.
func (f xtFamily) read(name string) (kernel.LegacyTable, error) {
	t := kernel.LegacyTable{Family: f.family, Name: name}
	fd, err := unix.Socket(f.domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return t, fmt.Errorf("raw socket: %w", err)
	}
	defer unix.Close(fd)
	if len(name) >= xtNameSize {
		return t, errors.New("the name is too long")
	}
	for range attempts {
		// struct ipt_getinfo: name, valid_hooks, hook_entry, underflow,
		// num_entries, size.
		info := make([]byte, xtNameSize+4+8*f.hooks+8)
		copy(info, name)
		if err := getsockopt(fd, f.level, f.base, info); err != nil {
			return t, fmt.Errorf("IPT_SO_GET_INFO: %w", err)
		}
		rest := info[xtNameSize:]
		t.ValidHooks = u32(rest)
		for i := range f.hooks {
			t.HookEntry[i] = u32(rest[4+4*i:])
			t.Underflow[i] = u32(rest[4+4*f.hooks+4*i:])
		}
		size := u32(rest[4+8*f.hooks+4:])
		// struct ipt_get_entries: name, size, padding to 8, entries.
		const head = xtNameSize + 8
		buf := make([]byte, head+int(size))
		copy(buf, name)
		copy(buf[xtNameSize:], info[len(info)-4:])
		err := getsockopt(fd, f.level, f.base+1, buf)
		if errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil {
			return t, fmt.Errorf("IPT_SO_GET_ENTRIES: %w", err)
		}
		t.Entries = buf[head:]
		return t, nil
	}
	return t, errChanged
}

// getsockopt reads an option into buf, which is also the argument, and demands
// that the kernel gives as many bytes as there is room for.
func getsockopt(fd, level, option int, buf []byte) error {
	size := uint32(len(buf))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	if int(size) != len(buf) {
		return fmt.Errorf("the kernel gave %d bytes, not %d", size, len(buf))
	}
	return nil
}

// readBridgeTables reads ebtables-legacy. The kernel has no list of its tables,
// and creates an empty one where one is asked for, so they are asked for only
// where a bridge exists that they could apply to and their code is present.
func (r *filterReader) readBridgeTables(links []link) {
	if !slices.ContainsFunc(links, func(l link) bool { return l.Kind == "bridge" }) {
		return
	}
	for _, name := range []string{"filter", "nat", "broute"} {
		if !mayHaveModule(r.files, "ebtable_"+name) {
			continue
		}
		if !wideEnough {
			r.unread("ebtables", errNarrow)
			return
		}
		t, err := readBridgeTable(name)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOPROTOOPT) {
			continue
		}
		if err != nil {
			r.unread("ebtables", fmt.Errorf("table %s: %w", name, err))
			continue
		}
		r.dump.Tables = append(r.dump.Tables, t)
	}
}

// ebtReplace is struct ebt_replace of linux/netfilter_bridge/ebtables.h.
type ebtReplace struct {
	name        [xtNameSize]byte
	validHooks  uint32
	nentries    uint32
	entriesSize uint32
	hookEntry   [6]uintptr
	numCounters uint32
	counters    uintptr
	entries     unsafe.Pointer
}

func readBridgeTable(name string) (kernel.LegacyTable, error) {
	const getInfo, getEntries = 128, 129 // EBT_SO_GET_INFO, EBT_SO_GET_ENTRIES
	t := kernel.LegacyTable{Family: nfprotoBridge, Name: name}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return t, fmt.Errorf("raw socket: %w", err)
	}
	defer unix.Close(fd)
	for range attempts {
		var rep ebtReplace
		copy(rep.name[:], name)
		if err := ebtGet(fd, getInfo, &rep, 0); err != nil {
			return t, fmt.Errorf("EBT_SO_GET_INFO: %w", err)
		}
		t.ValidHooks = rep.validHooks
		entries := make([]byte, max(rep.entriesSize, 1))
		rep.entries, rep.numCounters = unsafe.Pointer(&entries[0]), 0
		err := ebtGet(fd, getEntries, &rep, int(rep.entriesSize))
		runtime.KeepAlive(entries)
		if errors.Is(err, unix.EINVAL) {
			continue // its size changed since
		}
		if err != nil {
			return t, fmt.Errorf("EBT_SO_GET_ENTRIES: %w", err)
		}
		t.Entries = entries[:rep.entriesSize]
		return t, nil
	}
	return t, errChanged
}

func ebtGet(fd, option int, rep *ebtReplace, extra int) error {
	size := uint32(int(unsafe.Sizeof(*rep)) + extra)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_IP, uintptr(option),
		uintptr(unsafe.Pointer(rep)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
