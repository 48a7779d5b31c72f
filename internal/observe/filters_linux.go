package observe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sekimori/internal/firewall/kernel"
	"sekimori/internal/observe/rootfs"
)

// filterReader fills a kernel.Dump from the live kernel.
type filterReader struct {
	files rootfs.FS
	dump  kernel.Dump
}

// readFilters reads everything that judges packets in the caller's network
// namespace. links are its interfaces, which XDP and tc programs hang on.
func readFilters(ctx context.Context, f rootfs.FS, links []link) kernel.Dump {
	r := filterReader{files: f}
	if mayHaveModule(f, "nf_tables") {
		if err := steady(ctx, func() error { return r.readTables(ctx) }); err != nil {
			r.dump.Generation, r.dump.Messages = 0, nil
			r.unread("nf_tables", err)
		}
	}
	r.readLegacy(links)
	if mayHaveModule(f, "ip_set") {
		if err := steady(ctx, func() error { return r.readIPSets(ctx) }); err != nil {
			r.dump.IPSets = nil
			r.unread("ipset", err)
		}
	}
	r.readPrograms(ctx, links)
	r.readBalancer()
	return r.dump
}

func (r *filterReader) unread(what string, err error) {
	u := kernel.Unread{What: what, Why: reason(err)}
	if slices.Contains(r.dump.Unread, u) {
		return
	}
	r.dump.Unread = append(r.dump.Unread, u)
}

// reason explains an error to people who have not read the source.
func reason(err error) string {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return err.Error() + " (needs root)"
	}
	return err.Error()
}

// mayHaveModule reports whether a part of the kernel is there, so that asking
// for it loads nothing. It is true where that cannot be told, and where the
// kernel cannot load modules at all.
func mayHaveModule(f rootfs.FS, name string) bool {
	loaded, err := f.Proc("proc/modules")
	if err != nil || f.Exists("sys/module/"+name) {
		return true
	}
	if hasLinePrefix(loaded, name+" ") {
		return true
	}
	builtin, err := f.Read("lib/modules/"+f.Line("proc/sys/kernel/osrelease")+"/modules.builtin", rootfs.Small)
	if err != nil {
		return true
	}
	return strings.Contains(string(builtin), "/"+name+".ko")
}

func hasLinePrefix(data []byte, prefix string) bool {
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// Numbers of linux/netfilter/nf_tables.h and nfnetlink.h.
const (
	subsysIPSet, subsysTables = 6, 10

	nftGetTable, nftGetChain, nftGetRule  = 1, 4, 7
	nftGetSet, nftNewSet, nftGetSetElem   = 10, 9, 13
	nftGetGen, nftGetObj, nftGetFlowtable = 16, 19, 23
	nftaGenID, nftaSetTable, nftaSetName  = 1, 1, 2
	nftaElemListTable, nftaElemListSet    = 1, 2
	ipsetCmdList, ipsetAttrProtocol       = 7, 1
	ipsetProtocol, ipsetProtocolOld       = 7, 6
	nfgenSize                             = 4
	nfprotoIPv4, nfprotoIPv6, nfprotoARP  = 2, 10, 3
	nfprotoBridge                         = 7
)

// nfgen builds struct nfgenmsg and appends attributes.
func nfgen(family uint8, attributes ...[]byte) []byte {
	b := []byte{family, 0, 0, 0}
	for _, a := range attributes {
		b = append(b, a...)
	}
	return b
}

// readTables reads all of nf_tables at one generation, or fails.
func (r *filterReader) readTables(ctx context.Context) error {
	r.dump.Generation, r.dump.Messages = 0, nil
	nl, err := dialNetlink(unix.NETLINK_NETFILTER)
	if err != nil {
		return absent(err)
	}
	defer nl.close()
	before, err := generation(ctx, nl)
	if err != nil {
		return absent(err)
	}
	for _, get := range []uint16{nftGetTable, nftGetChain, nftGetSet} {
		if err := r.collect(ctx, nl, get, nfgen(0)); err != nil {
			return err
		}
	}
	for _, set := range setsOf(r.dump.Messages) {
		if err := r.collect(ctx, nl, nftGetSetElem, set); err != nil {
			if errors.Is(err, unix.ENOENT) {
				return errChanged // the set went away since it was listed
			}
			return err
		}
	}
	// Kernels before 4.10 have no objects, before 4.16 no flowtables; they
	// answer EINVAL, and cannot hold any.
	for _, get := range []uint16{nftGetObj, nftGetFlowtable} {
		if err := r.collect(ctx, nl, get, nfgen(0)); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
	}
	if err := r.collect(ctx, nl, nftGetRule, nfgen(0)); err != nil {
		return err
	}
	after, err := generation(ctx, nl)
	if err != nil {
		return err
	}
	if after != before {
		return errChanged
	}
	r.dump.Generation = after
	return nil
}

// absent turns the errors by which a kernel without nf_tables or nfnetlink
// answers into success with nothing.
func absent(err error) error {
	for _, e := range []unix.Errno{unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.EINVAL} {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

func generation(ctx context.Context, nl *netlink) (uint32, error) {
	var id uint32
	found := false
	err := nl.get(ctx, subsysTables<<8|nftGetGen, nfgen(0), func(_ uint16, b []byte) error {
		for typ, v := range attrs(b[min(nfgenSize, len(b)):]) {
			if typ == nftaGenID && len(v) == 4 {
				id, found = binary.BigEndian.Uint32(v), true
			}
		}
		return nil
	})
	if err == nil && !found {
		err = errors.New("the kernel gave no generation")
	}
	if err != nil {
		return 0, fmt.Errorf("read the generation: %w", err)
	}
	return id, nil
}

// collect dumps one kind of object into the messages.
func (r *filterReader) collect(ctx context.Context, nl *netlink, get uint16, request []byte) error {
	err := nl.dump(ctx, subsysTables<<8|get, request, func(typ uint16, b []byte) error {
		if typ>>8 != subsysTables || len(b) < nfgenSize {
			return fmt.Errorf("unexpected message %#x of %d bytes", typ, len(b))
		}
		r.dump.Messages = append(r.dump.Messages, kernel.Message{Type: uint8(typ), Family: b[0], Data: append([]byte(nil), b[nfgenSize:]...)})
		return nil
	})
	if err != nil && !errors.Is(err, errChanged) {
		return fmt.Errorf("list %s: %w", objectName(get), err)
	}
	return err
}

func objectName(get uint16) string {
	switch get {
	case nftGetTable:
		return "tables"
	case nftGetChain:
		return "chains"
	case nftGetSet:
		return "sets"
	case nftGetSetElem:
		return "set elements"
	case nftGetObj:
		return "objects"
	case nftGetFlowtable:
		return "flowtables"
	}
	return "rules"
}

// setsOf gives the request for the elements of each set among the messages.
func setsOf(messages []kernel.Message) [][]byte {
	var out [][]byte
	for _, m := range messages {
		if m.Type != nftNewSet {
			continue
		}
		var table, name []byte
		for typ, v := range attrs(m.Data) {
			switch typ {
			case nftaSetTable:
				table = v
			case nftaSetName:
				name = v
			}
		}
		out = append(out, nfgen(m.Family, appendAttr(nil, nftaElemListTable, table), appendAttr(nil, nftaElemListSet, name)))
	}
	return out
}

// readIPSets lists all ipsets with their members. Only the newer protocol, of
// Linux 4.20, tells the numbers by which rules of iptables refer to sets.
func (r *filterReader) readIPSets(ctx context.Context) error {
	if r.listIPSets(ctx, ipsetProtocol) == nil {
		return nil
	}
	return r.listIPSets(ctx, ipsetProtocolOld)
}

func (r *filterReader) listIPSets(ctx context.Context, protocol byte) error {
	r.dump.IPSets = nil
	nl, err := dialNetlink(unix.NETLINK_NETFILTER)
	if err != nil {
		return absent(err)
	}
	defer nl.close()
	request := nfgen(nfprotoIPv4, appendAttr(nil, ipsetAttrProtocol, []byte{protocol}))
	err = nl.dump(ctx, subsysIPSet<<8|ipsetCmdList, request, func(typ uint16, b []byte) error {
		if typ>>8 != subsysIPSet || len(b) < nfgenSize {
			return fmt.Errorf("unexpected message %#x of %d bytes", typ, len(b))
		}
		r.dump.IPSets = append(r.dump.IPSets, kernel.Message{Type: uint8(typ), Family: b[0], Data: append([]byte(nil), b[nfgenSize:]...)})
		return nil
	})
	return absent(err)
}

// readBalancer notes the IPVS services that take packets away before the
// input hook's end; they are no rules, and nothing here understands them.
func (r *filterReader) readBalancer() {
	data, err := r.files.Proc("proc/thread-self/net/ip_vs")
	if errors.Is(err, fs.ErrNotExist) {
		return // IPVS is not loaded
	}
	if err != nil {
		r.unread("ipvs", err)
		return
	}
	for line := range strings.Lines(string(data)) {
		for _, proto := range []string{"TCP ", "UDP ", "SCTP ", "FWM "} {
			if strings.HasPrefix(line, proto) {
				r.unread("ipvs", errors.New("IPVS takes packets of virtual services: "+strings.TrimSpace(line)))
			}
		}
	}
}
