package kernel

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// nftDump reads nf_tables of the calling thread's network namespace, as package
// observe does on a host.
func nftDump(tb testing.TB) *Dump {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		tb.Fatal(err)
	}
	defer unix.Close(fd)
	d := &Dump{}
	get := func(msg uint8, attributes []byte) {
		tb.Helper()
		d.Messages = append(d.Messages, ask(tb, fd, msg, attributes)...)
	}
	for _, msg := range []uint8{msgNewTable, msgNewChain, msgNewSet} {
		get(msg+1, nil)
	}
	for _, m := range slices.Clone(d.Messages) {
		if m.Type == msgNewSet {
			var a attrs
			if err := a.parse(m.Data, setKnownAttrs()); err != nil {
				tb.Fatal(err)
			}
			m := Message{Family: m.Family, Data: append(nest(1, a[setAttrTable]), nest(2, a[setAttrName])...)}
			d.Messages = append(d.Messages, askFamily(tb, fd, msgNewSetElem+1, m)...)
		}
	}
	for _, msg := range []uint8{msgNewObj, msgNewFlowtable, msgNewRule} {
		get(msg+1, nil)
	}
	return d
}

func setKnownAttrs() known { return known(1<<21 - 2) }

func ask(tb testing.TB, fd int, msg uint8, attributes []byte) []Message {
	tb.Helper()
	return askFamily(tb, fd, msg, Message{Data: attributes})
}

// askFamily sends one dump request and gathers the answers.
func askFamily(tb testing.TB, fd int, msg uint8, req Message) []Message {
	tb.Helper()
	b := make([]byte, 20, 20+len(req.Data))
	b = append(b, req.Data...)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint16(b[4:], unix.NFNL_SUBSYS_NFTABLES<<8|uint16(msg))
	binary.LittleEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b[16] = req.Family
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		tb.Fatal(err)
	}
	var out []Message
	buf := make([]byte, 1<<20)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			tb.Fatal(err)
		}
		for rest := buf[:n]; len(rest) >= 16; {
			size := int(binary.LittleEndian.Uint32(rest))
			typ := binary.LittleEndian.Uint16(rest[4:])
			body := rest[16:size]
			switch typ {
			case unix.NLMSG_DONE:
				return out
			case unix.NLMSG_ERROR:
				if errno := int32(binary.LittleEndian.Uint32(body)); errno != 0 {
					tb.Fatalf("message %d: %v", msg, unix.Errno(-errno))
				}
				return out
			}
			out = append(out, Message{Type: uint8(typ), Family: body[0], Data: slices.Clone(body[4:])})
			rest = rest[min((size+3)&^3, len(rest)):]
		}
	}
}
