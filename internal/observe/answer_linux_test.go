package observe

import (
	"encoding/binary"
	"errors"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// nlmsg builds one netlink message of sequence number 1.
func nlmsg(typ, flags uint16, payload ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(nlmsgHeader+len(payload)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, 1)
	b = append(binary.NativeEndian.AppendUint32(b, 0), payload...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func errno(n unix.Errno) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(-int32(n)))
}

func TestAnswer(t *testing.T) {
	other := nlmsg(30, 0, 9)
	binary.NativeEndian.PutUint32(other[8:], 7) // of another request
	join := func(parts ...[]byte) []byte {
		var out []byte
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	for _, test := range []struct {
		name     string
		in       []byte
		messages int
		done     bool
		changed  bool
		err      error
	}{
		{"a part", join(nlmsg(30, unix.NLM_F_MULTI, 1), nlmsg(30, unix.NLM_F_MULTI, 2, 3)), 2, false, false, nil},
		{"the end", join(nlmsg(30, unix.NLM_F_MULTI, 1), nlmsg(unix.NLMSG_DONE, 0, 0, 0, 0, 0)), 1, true, false, nil},
		{"the end of an old kernel", nlmsg(unix.NLMSG_DONE, 0), 0, true, false, nil},
		{"changed in a part", nlmsg(30, nlmDumpIntr, 1), 1, false, true, nil},
		{"changed at the end", nlmsg(unix.NLMSG_DONE, nlmDumpIntr, 0, 0, 0, 0), 0, true, true, nil},
		{"ended by EINTR", nlmsg(unix.NLMSG_DONE, 0, errno(unix.EINTR)...), 0, true, true, nil},
		{"ended by an error", nlmsg(unix.NLMSG_DONE, 0, errno(unix.ENOMEM)...), 0, true, false, unix.ENOMEM},
		{"refused", nlmsg(unix.NLMSG_ERROR, 0, errno(unix.EPERM)...), 0, true, false, unix.EPERM},
		{"acknowledged", join(nlmsg(30, 0, 1), nlmsg(unix.NLMSG_ERROR, 0, 0, 0, 0, 0)), 1, true, false, nil},
		{"the rest of another answer", join(other, nlmsg(30, 0, 1)), 1, false, false, nil},
		{"cut in a message", nlmsg(30, 0, 1, 2, 3, 4, 5)[:18], 0, false, false, errShort},
		{"cut in a header", nlmsg(30, 0)[:10], 0, false, false, errShort},
	} {
		n := &netlink{seq: 1}
		messages, changed := 0, false
		done, err := n.answer(test.in, &changed, func(uint16, []byte) error { messages++; return nil })
		if messages != test.messages || done != test.done || changed != test.changed || !errors.Is(err, test.err) {
			t.Errorf("%s: %d messages, done %v, changed %v, error %v", test.name, messages, done, changed, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(nlmsg(30, unix.NLM_F_MULTI, 1, 2, 3))
	f.Add(nlmsg(unix.NLMSG_DONE, 0, 0, 0, 0, 0))
	f.Add(nlmsg(unix.NLMSG_ERROR, 0, errno(unix.EPERM)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		changed := false
		_, _ = (&netlink{seq: 1}).answer(b, &changed, func(_ uint16, payload []byte) error {
			_ = checkAttrs(payload)
			return nil
		})
	})
}

// TestSteady: what keeps changing is given up, with that error; any other error
// is not tried again.
func TestSteady(t *testing.T) {
	calls := 0
	err := steady(t.Context(), func() error { calls++; return errChanged })
	if calls != attempts || !errors.Is(err, errChanged) {
		t.Errorf("%d calls, error %v", calls, err)
	}
	calls = 0
	if err := steady(t.Context(), func() error { calls++; return unix.EPERM }); calls != 1 || !errors.Is(err, unix.EPERM) {
		t.Errorf("%d calls, error %v", calls, err)
	}
	calls = 0
	err = steady(t.Context(), func() error {
		if calls++; calls < 3 {
			return errChanged
		}
		return nil
	})
	if calls != 3 || err != nil {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

func TestBalancer(t *testing.T) {
	for text, want := range map[string]int{
		"IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n": 0,
		"IP Virtual Server version 1.2.1 (size=4096)\nTCP  C0000201:0050 rr\n  -> 0A000001:0050      Masq    1      0          0\nFWM  00000001 rr\n":        2,
	} {
		r := filterReader{files: rootfs.FS{Source: fstest.MapFS{"proc/thread-self/net/ip_vs": {Data: []byte(text)}}}}
		if r.readBalancer(); len(r.dump.Unread) != want {
			t.Errorf("%v, want %d services", r.dump.Unread, want)
		}
	}
	r := filterReader{files: rootfs.FS{Source: fstest.MapFS{}}}
	if r.readBalancer(); len(r.dump.Unread) > 0 {
		t.Errorf("without IPVS: %v", r.dump.Unread)
	}
}

func TestProtocols(t *testing.T) {
	const text = "protocol  size sockets  memory press maxhdr  slab module     cl co\n" +
		"SCTPv6    1960      0       0   no       0   yes  sctp        y  y\n" +
		"DCCP      1288      2      -1   NI       0   yes  dccp_ipv4   y  y\n" +
		"DCCPv6    1448      0      -1   NI       0   yes  dccp_ipv6   y  y\n" +
		"TCP       2304      9     238   no     192   yes  kernel      y  y\n"
	f := rootfs.FS{Source: fstest.MapFS{"n/protocols": {Data: []byte(text)}}}
	p, err := readProtocols(f, "n")
	if err != nil {
		t.Fatal(err)
	}
	if !p.has("SCTP", "SCTPv6") || p.has("UDP-Lite") {
		t.Errorf("protocols: %v", p)
	}
	if got := p.unlisted(); len(got) != 1 || got[0] != "DCCP" {
		t.Errorf("unlisted: %v", got)
	}
}

// TestUnseenOwners: a socket without an owner is explained wherever processes
// may be hidden.
func TestUnseenOwners(t *testing.T) {
	first := rootfs.FS{Source: fstest.MapFS{"proc/self/ns/pid": {Mode: 0o777 | 1<<27, Data: []byte("pid:[4026531836]")}}}
	other := rootfs.FS{Source: fstest.MapFS{"proc/self/ns/pid": {Mode: 0o777 | 1<<27, Data: []byte("pid:[4026532200]")}}}
	orphan := []host.Socket{{Inode: 5}}
	for _, test := range []struct {
		name    string
		o       owners
		files   rootfs.FS
		euid    int
		sockets []host.Socket
		want    int
	}{
		{"all seen", owners{}, first, 0, []host.Socket{{Inode: 5, Owners: []int{1}}}, 0},
		{"the kernel's own, without a file", owners{}, other, 0, []host.Socket{{}}, 0},
		{"root, first namespace", owners{}, first, 0, orphan, 0},
		{"root, another namespace", owners{}, other, 0, orphan, 1},
		{"hidden processes", owners{hidden: 3}, first, 1000, nil, 1},
		{"processes that do not even show", owners{}, first, 1000, orphan, 1},
		{"no /proc", owners{err: unix.ENOENT}, first, 0, nil, 1},
	} {
		if got := test.o.unseen(test.files, &host.Snapshot{EUID: test.euid, Sockets: test.sockets}); len(got) != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
