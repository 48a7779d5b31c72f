package observe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"sekimori/internal/firewall/kernel"
)

// Numbers of linux/rtnetlink.h and linux/pkt_sched.h, pkt_cls.h.
const (
	tcaKind, tcaOptions, tcaIngressBlock, tcaEgressBlock = 1, 2, 13, 14
	tcaBPFName, tcaBPFID                                 = 7, 11

	tcIngress       = 0xfffffff2 // clsact's TC_H_MIN_INGRESS, ingress's own
	tcEgress        = 0xfffffff3 // TC_H_MIN_EGRESS
	tcIngressHandle = 0xffff0000
	tcBlockMagic    = 0xffffffff // TCM_IFINDEX_MAGIC_BLOCK
	tcmsgSize       = 20
)

// tcFilters names one list of classifiers: of an interface and direction.
type tcFilters struct {
	link      string
	index     uint32 // of the interface, or tcBlockMagic
	parent    uint32 // the qdisc, or the number of a shared block
	direction string
}

// readClassifiers lists the tc classifiers that packets meet as they come in
// and, on clsact, as they leave.
func (r *filterReader) readClassifiers(ctx context.Context, links []link) error {
	nl, err := dialNetlink(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer nl.close()
	var lists []tcFilters
	err = steady(ctx, func() error {
		lists = lists[:0]
		return nl.dump(ctx, unix.RTM_GETQDISC, make([]byte, tcmsgSize), func(_ uint16, b []byte) error {
			lists = append(lists, ingressLists(b, links)...)
			return nil
		})
	})
	if err != nil {
		if errors.Is(err, unix.EOPNOTSUPP) {
			return nil // a kernel without traffic control
		}
		return fmt.Errorf("list qdiscs: %w", err)
	}
	for _, l := range lists {
		var found []kernel.Program
		err := steady(ctx, func() (err error) {
			found, err = l.read(ctx, nl)
			return err
		})
		if err != nil {
			return fmt.Errorf("list filters of %s %s: %w", l.link, l.direction, err)
		}
		for _, p := range found {
			r.program(p)
		}
	}
	return nil
}

// ingressLists gives the lists of classifiers behind one RTM_NEWQDISC message:
// struct tcmsg and attributes.
func ingressLists(b []byte, links []link) []tcFilters {
	if len(b) < tcmsgSize {
		return nil
	}
	index := u32(b[4:])
	var kind string
	var inBlock, outBlock uint32
	for typ, v := range attrs(b[tcmsgSize:]) {
		switch typ {
		case tcaKind:
			kind = text(v)
		case tcaIngressBlock:
			inBlock = u32(v)
		case tcaEgressBlock:
			outBlock = u32(v)
		}
	}
	if kind != "ingress" && kind != "clsact" {
		return nil
	}
	name := fmt.Sprintf("interface %d", index)
	if i := slices.IndexFunc(links, func(l link) bool { return l.Index == int(index) }); i >= 0 {
		name = links[i].Name
	}
	out := []tcFilters{block(tcFilters{name, index, tcIngress, "ingress"}, inBlock)}
	if kind == "clsact" {
		out = append(out, block(tcFilters{name, index, tcEgress, "egress"}, outBlock))
	}
	return out
}

func block(f tcFilters, number uint32) tcFilters {
	if number != 0 {
		f.index, f.parent = tcBlockMagic, number
	}
	return f
}

func (f tcFilters) read(ctx context.Context, nl *netlink) ([]kernel.Program, error) {
	request := make([]byte, tcmsgSize)
	binary.NativeEndian.PutUint32(request[4:], f.index)
	binary.NativeEndian.PutUint32(request[12:], f.parent)
	var out []kernel.Program
	err := nl.dump(ctx, unix.RTM_GETTFILTER, request, func(_ uint16, b []byte) error {
		if p, ok := f.decode(b); ok {
			out = append(out, p)
		}
		return nil
	})
	return out, err
}

// decode reads one RTM_NEWTFILTER message. The head of a list (no handle, no
// options) is no classifier.
func (f tcFilters) decode(b []byte) (kernel.Program, bool) {
	p := kernel.Program{Kind: "tc", Interface: f.link, Attach: f.direction, CanDrop: f.direction == "ingress"}
	if len(b) < tcmsgSize {
		return p, false
	}
	var kind, name string
	var options []byte
	for typ, v := range attrs(b[tcmsgSize:]) {
		switch typ {
		case tcaKind:
			kind = text(v)
		case tcaOptions:
			options = v
		}
	}
	if len(options) == 0 || kind == "u32" && !u32HasKey(options) {
		return p, false
	}
	if kind == "bpf" {
		for typ, v := range attrs(options) {
			switch typ {
			case tcaBPFName:
				name = text(v)
			case tcaBPFID:
				p.ID = u32(v)
			}
		}
	}
	p.Name = kind
	if name != "" {
		p.Name = kind + " " + name
	}
	return p, true
}

// u32HasKey tells a u32 key from the hash tables that u32 lists beside them,
// which have TCA_U32_DIVISOR.
func u32HasKey(options []byte) bool {
	const divisor = 4
	for typ := range attrs(options) {
		if typ == divisor {
			return false
		}
	}
	return true
}
