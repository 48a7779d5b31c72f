//go:build linux

package referee

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// nfnl is a socket to nfnetlink, apart from the one that is on trial.
type nfnl struct {
	fd  int
	seq uint32
	buf []byte
}

// Numbers of linux/netfilter/nfnetlink.h, nf_tables.h and nfnetlink_conntrack.h.
const (
	subsysCtnetlink = 1
	subsysNFTables  = 10

	ctNew         = 0
	nftGetSetElem = 13

	nested = 0x8000
)

func dialNFNL(t testing.TB) *nfnl {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		t.Fatalf("netlink socket: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatalf("bind netlink socket: %v", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<23)
	return &nfnl{fd: fd, buf: make([]byte, 1<<17)}
}

// attr is one netlink attribute, padded.
func attr(typ uint16, data ...[]byte) []byte {
	body := slices.Concat(data...)
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(body)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, body...)
	return append(b, make([]byte, -len(b)&3)...)
}

func text(s string) []byte { return append([]byte(s), 0) }

func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// ask sends one request and hands each answer's payload (after nfgenmsg) to use.
func (n *nfnl) ask(subsys, msg int, flags uint16, family uint8, body []byte, use func([]byte)) error {
	n.seq++
	b := binary.NativeEndian.AppendUint32(nil, uint32(20+len(body)))
	b = binary.NativeEndian.AppendUint16(b, uint16(subsys<<8|msg))
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|flags)
	b = binary.NativeEndian.AppendUint32(b, n.seq)
	b = append(b, 0, 0, 0, 0, family, 0, 0, 0)
	b = append(b, body...)
	if err := unix.Sendto(n.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	for {
		got, _, err := unix.Recvfrom(n.fd, n.buf, 0)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		done, err := n.answers(n.buf[:got], use)
		if done || err != nil {
			return err
		}
	}
}

func (n *nfnl) answers(b []byte, use func([]byte)) (done bool, err error) {
	for len(b) >= 16 {
		size := int(binary.NativeEndian.Uint32(b))
		if size < 16 || size > len(b) {
			return true, fmt.Errorf("a netlink message of %d bytes where %d are left", size, len(b))
		}
		typ, seq := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:])
		m := b[16:size]
		b = b[min((size+3)&^3, len(b)):]
		switch {
		case seq != n.seq:
		case typ == unix.NLMSG_DONE:
			return true, nil
		case typ == unix.NLMSG_ERROR:
			if e := int32(binary.NativeEndian.Uint32(m)); e != 0 {
				return true, unix.Errno(-e)
			}
			return true, nil
		case use != nil && len(m) >= 4:
			use(m[4:])
		}
	}
	return false, nil
}

// attrs calls f for each attribute, without the flags in its type.
func attrs(b []byte, f func(typ uint16, data []byte)) {
	for len(b) >= 4 {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[4:size])
		b = b[min((size+3)&^3, len(b)):]
	}
}

// setElems returns the keys of a set of a table of family inet, as numbers.
func (n *nfnl) setElems(table, set string) (map[uint32]bool, error) {
	out := map[uint32]bool{}
	body := slices.Concat(attr(1, text(table)), attr(2, text(set)))
	err := n.ask(subsysNFTables, nftGetSetElem, unix.NLM_F_DUMP, unix.NFPROTO_INET, body, func(m []byte) {
		attrs(m, func(typ uint16, list []byte) {
			if typ != 3 { // NFTA_SET_ELEM_LIST_ELEMENTS
				return
			}
			attrs(list, func(_ uint16, elem []byte) {
				attrs(elem, func(typ uint16, key []byte) {
					if typ != 1 { // NFTA_SET_ELEM_KEY
						return
					}
					attrs(key, func(_ uint16, value []byte) {
						var k uint32
						for _, b := range value {
							k = k<<8 | uint32(b)
						}
						out[k] = true
					})
				})
			})
		})
	})
	return out, err
}
