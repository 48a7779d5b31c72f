package observe_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"sekimori/internal/host"
	"sekimori/internal/lab"
	"sekimori/internal/observe"
)

func TestMain(m *testing.M) { lab.Main(m) }

func live(t testing.TB) *host.Snapshot {
	t.Helper()
	s, err := observe.Host(t.Context(), observe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens a socket by system calls and keeps it for the test. addr is nil
// for one that is not bound.
func open(t *testing.T, family, kind, proto int, addr unix.Sockaddr, options ...[3]int) int {
	t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		t.Fatalf("socket %d %d %d: %v", family, kind, proto, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
			t.Fatal(err)
		}
	}
	if addr != nil {
		if err := unix.Bind(fd, addr); err != nil {
			t.Fatalf("bind: %v", err)
		}
	}
	if kind == unix.SOCK_STREAM {
		if err := unix.Listen(fd, 5); err != nil {
			t.Fatal(err)
		}
	}
	return fd
}

func in4(addr string, port int) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Addr: netip.MustParseAddr(addr).As4(), Port: port}
}

func in6(addr string, port int) *unix.SockaddrInet6 {
	return &unix.SockaddrInet6{Addr: netip.MustParseAddr(addr).As16(), Port: port}
}

// openAll opens sockets of every sort that a snapshot lists.
func openAll(t *testing.T) {
	t.Helper()
	v6only := [3]int{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1}
	both := [3]int{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0}
	open(t, unix.AF_INET, unix.SOCK_STREAM, 0, in4("0.0.0.0", 22))
	open(t, unix.AF_INET, unix.SOCK_STREAM, 0, in4("127.0.0.1", 5432))
	open(t, unix.AF_INET6, unix.SOCK_STREAM, 0, in6("::", 80), both)
	open(t, unix.AF_INET6, unix.SOCK_STREAM, 0, in6("::", 81), v6only)
	open(t, unix.AF_INET6, unix.SOCK_STREAM, 0, in6("::1", 82), v6only)
	open(t, unix.AF_INET6, unix.SOCK_STREAM, 0, in6("::ffff:127.0.0.1", 83), both)
	open(t, unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_MPTCP, in6("::", 84), both)
	open(t, unix.AF_INET, unix.SOCK_DGRAM, 0, in4("0.0.0.0", 53), [3]int{unix.SOL_SOCKET, unix.SO_MARK, 0x77})
	open(t, unix.AF_INET6, unix.SOCK_DGRAM, 0, in6("::", 123), both)
	open(t, unix.AF_INET6, unix.SOCK_DGRAM, 0, in6("::", 124), v6only)
	connected := open(t, unix.AF_INET, unix.SOCK_DGRAM, 0, in4("127.0.0.1", 4000))
	if err := unix.Connect(connected, in4("127.0.0.1", 53)); err != nil {
		t.Fatal(err)
	}
	bound := open(t, unix.AF_INET, unix.SOCK_DGRAM, 0, nil)
	if err := unix.SetsockoptString(bound, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "lo"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(bound, in4("0.0.0.0", 67)); err != nil {
		t.Fatal(err)
	}
	open(t, unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP, nil)
	open(t, unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6, nil)
	if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE); err == nil {
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Bind(fd, in4("0.0.0.0", 9)); err != nil {
			t.Fatal(err)
		}
	}
	open(t, unix.AF_PACKET, unix.SOCK_RAW, 0x0300, nil) // ETH_P_ALL, in network byte order
	open(t, unix.AF_PACKET, unix.SOCK_DGRAM, 0, &unix.SockaddrLinklayer{Protocol: 0x0608, Ifindex: 1})
	// Not to be listed: an established connection and its two ends.
	l := open(t, unix.AF_INET, unix.SOCK_STREAM, 0, in4("127.0.0.1", 5555))
	c, err := net.Dial("tcp", "127.0.0.1:5555")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = l
}

func TestSockets(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		openAll(t)
		s := live(t)
		if s.Misses(host.SectionSockets) {
			t.Fatalf("unseen: %v", s.Unseen)
		}
		type key struct {
			Proto, Local, Peer string
			Interface          int
			Mark               uint32
			Takes              string
		}
		var got []key
		for _, k := range s.Sockets {
			if len(k.Owners) != 1 || k.Owners[0] != os.Getpid() {
				t.Errorf("%s %s: owners %v, want this process (%d)", k.Proto, k.Local, k.Owners, os.Getpid())
			}
			takes := ""
			if k.Takes4 {
				takes += "4"
			}
			if k.Takes6 {
				takes += "6"
			}
			if k.V6OnlyUnknown {
				takes += "?"
			}
			peer := ""
			if k.Connected() {
				peer = k.Peer.String()
			}
			got = append(got, key{k.Proto, k.Local.String(), peer, k.Interface, k.Mark, takes})
		}
		want := []key{
			{"raw", "0.0.0.0:1", "", 0, 0, "4"},
			{"raw", "[::]:58", "", 0, 0, "6"},
			{"tcp", "0.0.0.0:22", "", 0, 0, "4"},
			{"tcp", "[::]:80", "", 0, 0, "46"},
			{"tcp", "[::]:81", "", 0, 0, "6"},
			{"tcp", "[::1]:82", "", 0, 0, "6"},
			{"tcp", "[::ffff:127.0.0.1]:83", "", 0, 0, "4"},
			{"tcp", "[::]:84", "", 0, 0, "46"},
			{"tcp", "127.0.0.1:5432", "", 0, 0, "4"},
			{"tcp", "127.0.0.1:5555", "", 0, 0, "4"},
			{"udp", "0.0.0.0:53", "", 0, 0x77, "4"},
			{"udp", "0.0.0.0:67", "", 1, 0, "4"},
			{"udp", "[::]:123", "", 0, 0, "46"},
			{"udp", "[::]:124", "", 0, 0, "6"},
			{"udp", "127.0.0.1:4000", "127.0.0.1:53", 0, 0, "4"},
			{"udplite", "0.0.0.0:9", "", 0, 0, "4"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("sockets (-want +got):\n%s", diff)
		}
		packets := []host.PacketSocket{
			{Type: "raw", EtherType: 3, Owners: []int{os.Getpid()}},
			{Type: "dgram", EtherType: 0x0806, Interface: 1, Owners: []int{os.Getpid()}},
		}
		if diff := cmp.Diff(packets, s.PacketSockets, cmpopts.IgnoreFields(host.PacketSocket{}, "Inode")); diff != "" {
			t.Errorf("packet sockets (-want +got):\n%s", diff)
		}
		i := slices.IndexFunc(s.Processes, func(p host.Process) bool { return p.PID == os.Getpid() })
		if i < 0 || s.Processes[i].Exe == "" || s.Processes[i].OtherNetNS {
			t.Errorf("processes: %+v", s.Processes)
		}
	})
}

// TestTwoReaders: /proc/net, read by other code in another format, knows the
// same sockets as sock_diag; it lacks what its lines do not have.
func TestTwoReaders(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		openAll(t)
		diag, notes := observe.DiagSockets(t.Context())
		if len(notes) > 0 {
			t.Fatal(notes)
		}
		proc, notes := observe.ProcSockets()
		if len(notes) > 0 {
			t.Fatal(notes)
		}
		for i := range diag {
			k := &diag[i]
			k.Interface, k.Mark, k.CgroupID = 0, 0, 0
			if k.Proto != "raw" && k.Local.Addr() == netip.IPv6Unspecified() {
				k.Takes4, k.V6OnlyUnknown = true, true
			}
		}
		if len(diag) < 16 {
			t.Fatalf("only %d sockets", len(diag))
		}
		if diff := cmp.Diff(diag, proc, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("sock_diag and /proc/net differ (-diag +proc):\n%s", diff)
		}
	})
}

// TestSocketsAsSS compares with ss(8) of iproute2.
func TestSocketsAsSS(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		openAll(t)
		var want []string
		for line := range strings.Lines(lab.Run(t, "ss", "-H", "-ntul")) {
			f := strings.Fields(line)
			local := f[4]
			// ss writes [::]:80 of a dual-stack socket as *:80, and the device behind %.
			if port, ok := strings.CutPrefix(local, "*:"); ok {
				local = "[::]:" + port + " 46"
			}
			want = append(want, f[0]+" "+strings.Replace(local, "%lo", "", 1))
		}
		var got []string
		for _, k := range live(t).Sockets {
			if k.Proto != "tcp" && k.Proto != "udp" || k.Connected() {
				continue
			}
			local := k.Local.String()
			if k.Local.Addr() == netip.IPv6Unspecified() && k.Takes4 {
				local += " 46"
			}
			got = append(got, k.Proto+" "+local)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-ss +ours):\n%s", diff)
		}
	})
}

// TestWithoutRoot: as an ordinary user most is still seen, and the rest named.
func TestWithoutRoot(t *testing.T) {
	lab.EnterRoot(t, func(t *testing.T) {
		// The socket belongs to another process, which stays root's.
		fd := open(t, unix.AF_INET, unix.SOCK_STREAM, 0, in4("0.0.0.0", 22))
		owner := exec.Command("cat") // lives until its input ends with this process
		if _, err := owner.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		owner.ExtraFiles = []*os.File{os.NewFile(uintptr(fd), "listener")}
		if err := owner.Start(); err != nil {
			t.Fatal(err)
		}
		owner.ExtraFiles[0].Close()
		lab.LoadNFT(t, "table inet t { chain c { type filter hook input priority 0; policy drop; }; }")
		lab.LoadIPTables(t, "iptables-legacy-restore", "*filter\n-A INPUT -j DROP\nCOMMIT\n")
		// All threads give root up.
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
			t.Fatal(err)
		}
		s := live(t)
		if s.EUID != 65534 {
			t.Fatalf("euid %d", s.EUID)
		}
		if len(s.Sockets) != 1 || s.Sockets[0].Local.Port() != 22 || len(s.Sockets[0].Owners) != 0 {
			t.Errorf("sockets: %+v", s.Sockets)
		}
		if len(s.Interfaces) == 0 || len(s.Routes) == 0 || s.Misses(host.SectionInterfaces) || s.Misses(host.SectionSockets) {
			t.Errorf("interfaces, routes or sockets are missing: %v", s.Unseen)
		}
		if !s.Misses(host.SectionProcesses) || !s.Misses(host.SectionFilters) {
			t.Errorf("processes or filters are not said to be unseen: %v", s.Unseen)
		}
		var unread []string
		for _, u := range s.Filters.Unread {
			unread = append(unread, u.What)
		}
		for _, what := range []string{"nf_tables", "ip_tables", "ip6_tables", "arp_tables", "ipset", "bpf"} {
			if !slices.Contains(unread, what) {
				t.Errorf("%s is not said to be unread: %v", what, s.Filters.Unread)
			}
		}
	})
}

// TestWriteLive: a snapshot of this very namespace survives its file.
func TestWriteLive(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		network(t)
		openAll(t)
		lab.LoadNFT(t, "table inet t { chain c { type filter hook input priority 0; policy drop; }; }")
		s := live(t)
		var first, second bytes.Buffer
		if err := host.Write(&first, s); err != nil {
			t.Fatal(err)
		}
		read, err := host.Read(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, read, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})); diff != "" {
			t.Errorf("read back (-written +read):\n%s", diff)
		}
		if err := host.Write(&second, read); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Error("written again it has other bytes")
		}
	})
}
