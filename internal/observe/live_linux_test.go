package observe_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

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

// network makes links, addresses and routes of many sorts.
func network(t *testing.T) {
	t.Helper()
	lab.Netns(t, "peer")
	lab.Veth(t, "v0", "v1", "peer")
	lab.Veth(t, "p0", "p1", "")
	lab.Run(t, "ip", "link", "add", "br0", "type", "bridge")
	lab.Run(t, "ip", "link", "set", "p0", "master", "br0")
	lab.Run(t, "ip", "link", "set", "br0", "up")
	lab.Veth(t, "v0.5", "w1", "peer")
	lab.Run(t, "ip", "link", "set", "v0.5", "address", "00:00:0c:01:02:03")
	lab.Address(t, "v0", "192.0.2.1/24")
	lab.Address(t, "v0", "192.0.2.7/24")
	lab.Address(t, "v0", "2001:db8::1/64")
	lab.Address(t, "br0", "10.1.0.1/16")
	lab.Run(t, "ip", "addr", "add", "10.9.0.1", "peer", "10.9.0.2/32", "dev", "v0.5")
	for _, r := range []string{
		"route add 198.51.100.0/24 via 192.0.2.9 metric 50",
		"route add blackhole 203.0.113.0/24",
		"route add unreachable 2001:db8:dead::/48",
		"route add 10.20.0.0/16 nexthop via 192.0.2.9 weight 3 nexthop via 10.1.0.9",
		"route add default via 192.0.2.254 table 100",
		"-6 route add 2001:db8:2::/48 via 2001:db8::9",
		"route add 10.30.0.0/16 via inet6 2001:db8::9 dev v0",
		"rule add from 10.1.0.0/16 lookup 100 priority 1000",
		"rule add not fwmark 0x10/0xff lookup 100 priority 1001 suppress_prefixlength 0",
		"rule add iif v0 ipproto tcp dport 80-90 prohibit priority 1002",
		"-6 rule add to 2001:db8:3::/48 unreachable priority 1003",
		"neigh add 192.0.2.9 lladdr 00:00:0c:aa:bb:cc dev v0 nud permanent",
		"neigh add 2001:db8::9 lladdr 00:1b:21:aa:bb:cc dev v0 nud stale router",
		"neigh add proxy 192.0.2.55 dev v0",
	} {
		lab.Run(t, append([]string{"ip"}, strings.Fields(r)...)...)
	}
	for _, s := range []string{"net/ipv4/ip_forward 1", "net/ipv4/conf/v0/rp_filter 2", "net/ipv4/conf/v0.5/route_localnet 1",
		"net/ipv4/conf/v0/accept_local 1", "net/ipv4/conf/p0/src_valid_mark 1", "net/ipv4/conf/p1/accept_source_route 1", "net/ipv4/conf/v0/arp_ignore 2",
		"net/ipv4/conf/p0/proxy_arp 1", "net/ipv4/conf/br0/accept_redirects 0", "net/ipv6/conf/v0/accept_ra 2", "net/ipv6/conf/p1/disable_ipv6 1",
		"net/ipv6/conf/v0/accept_source_route 1", "net/ipv6/conf/br0/accept_redirects 0",
	} {
		name, value, _ := strings.Cut(s, " ")
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// settled observes while the network holds still: the kernel adds IPv6 routes
// some time after an address, so that ip(8) may know others than we do.
func settled(t *testing.T) *host.Snapshot {
	t.Helper()
	state := func() string {
		return lab.Run(t, "ip", "addr") + lab.Run(t, "ip", "route", "show", "table", "all") + lab.Run(t, "ip", "-6", "route", "show", "table", "all")
	}
	before := state()
	for range 50 {
		time.Sleep(20 * time.Millisecond)
		s := live(t)
		after := state()
		if before == after {
			return s
		}
		before = after
	}
	t.Fatal("the network does not hold still")
	return nil
}

// ipJSON runs ip -j and decodes its list.
func ipJSON[T any](t *testing.T, args ...string) []T {
	t.Helper()
	var out []T
	if err := json.Unmarshal([]byte(lab.Run(t, append([]string{"ip", "-j", "-d", "-N"}, args...)...)), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLinksAsIP(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		network(t)
		s := settled(t)
		type ipAddr struct {
			Local, Address, Scope string
			Prefixlen             int
		}
		type ipLink struct {
			Ifindex                 int
			Ifname, Address, Master string
			Flags                   []string
			MTU                     int
			Linkinfo                struct{ Info_kind string }
			Addr_info               []ipAddr
			Link_index              int
			Link_netnsid            *int
		}
		names := map[int]string{}
		for _, i := range s.Interfaces {
			names[i.Index] = i.Name
		}
		links := ipJSON[ipLink](t, "addr")
		if len(links) != len(s.Interfaces) || len(links) < 6 {
			t.Fatalf("ip has %d links, we %d", len(links), len(s.Interfaces))
		}
		for n, l := range links {
			i := s.Interfaces[n]
			if i.Index != l.Ifindex || i.Name != l.Ifname || i.Kind != l.Linkinfo.Info_kind || i.MTU != l.MTU || names[i.Master] != l.Master {
				t.Errorf("link %+v, ip says %+v", i, l)
			}
			if i.MAC != strings.Replace(l.Address, "00:00:00:00:00:00", "", 1) {
				t.Errorf("%s: MAC %s, ip says %s", i.Name, i.MAC, l.Address)
			}
			if i.Up != slices.Contains(l.Flags, "UP") || i.Loopback != slices.Contains(l.Flags, "LOOPBACK") {
				t.Errorf("%s: up %v loopback %v, ip says %v", i.Name, i.Up, i.Loopback, l.Flags)
			}
			if i.PeerElsewhere != (l.Link_netnsid != nil) || i.PeerElsewhere && i.Peer != l.Link_index {
				t.Errorf("%s: peer %d elsewhere %v, ip says %d %v", i.Name, i.Peer, i.PeerElsewhere, l.Link_index, l.Link_netnsid)
			}
			var want, got []string
			for _, a := range l.Addr_info {
				s := fmt.Sprintf("%s/%d scope %s", a.Local, a.Prefixlen, a.Scope)
				if a.Address != "" {
					s += " peer " + a.Address
				}
				want = append(want, s)
			}
			for _, a := range i.Addresses {
				s := fmt.Sprintf("%s scope %s", a.Prefix, map[string]string{"global": "0", "link": "253", "host": "254"}[a.Scope])
				if a.Peer.IsValid() {
					s += " peer " + a.Peer.String()
				}
				got = append(got, s)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("addresses of %s (-ip +ours):\n%s", i.Name, diff)
			}
		}
		if v := s.Sysctls["net.ipv4.conf.v0/5.route_localnet"]; v != "1" {
			t.Errorf("route_localnet of v0.5 is %q", v)
		}
		if diff := cmp.Diff(observe.FileSysctls(), s.Sysctls); diff != "" {
			t.Errorf("sysctls (-files +ours):\n%s", diff)
		}
		i := slices.IndexFunc(s.Interfaces, func(i host.Interface) bool { return i.Name == "v0.5" })
		if !s.Interfaces[i].Forwarding4 || s.Interfaces[i].Forwarding6 {
			t.Errorf("forwarding of v0.5: %+v", s.Interfaces[i])
		}
	})
}

func TestRoutesAsIP(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		network(t)
		s := settled(t)
		names := map[int]string{}
		for _, i := range s.Interfaces {
			names[i.Index] = i.Name
		}
		type hop struct {
			Gateway string
			Via     struct{ Host string }
			Dev     string
			Weight  int
		}
		type ipRoute struct {
			Type, Dst, Gateway, Dev, Table, Prefsrc string
			Via                                     struct{ Host string }
			Metric                                  int
			Nexthops                                []hop
		}
		var want, got []string
		for _, family := range []string{"-4", "-6"} {
			for _, r := range ipJSON[ipRoute](t, family, "route", "show", "table", "all") {
				if r.Table == "" {
					r.Table = "254"
				}
				if r.Dst == "default" {
					r.Dst = map[string]string{"-4": "0.0.0.0/0", "-6": "::/0"}[family]
				}
				if !strings.Contains(r.Dst, "/") {
					r.Dst += map[string]string{"-4": "/32", "-6": "/128"}[family]
				}
				if len(r.Nexthops) == 0 {
					r.Nexthops = []hop{{Gateway: r.Gateway, Via: r.Via, Dev: r.Dev}}
				}
				typ, err := strconv.Atoi(r.Type)
				if err == nil {
					r.Type = []string{"unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw"}[typ]
				}
				line := fmt.Sprintf("%s %s table %s metric %d src %s", r.Type, r.Dst, r.Table, r.Metric, r.Prefsrc)
				for _, h := range r.Nexthops {
					line += fmt.Sprintf(" via %s%s dev %s weight %d", h.Gateway, h.Via.Host, h.Dev, h.Weight)
				}
				want = append(want, line)
			}
		}
		for _, r := range s.Routes {
			src := ""
			if r.PrefSrc.IsValid() {
				src = r.PrefSrc.String()
			}
			line := fmt.Sprintf("%s %s table %d metric %d src %s", r.Type, r.Dst, r.Table, r.Metric, src)
			for _, h := range r.Hops {
				gw := ""
				if h.Gateway.IsValid() {
					gw = h.Gateway.String()
				}
				line += fmt.Sprintf(" via %s dev %s weight %d", gw, names[h.Interface], h.Weight)
			}
			if len(r.Hops) == 0 {
				line += " via  dev  weight 0"
			}
			got = append(got, line)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("routes (-ip +ours):\n%s", diff)
		}
	})
}

func TestRulesAndNeighbours(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		network(t)
		s := live(t)
		var rules []string
		for _, r := range s.Rules {
			rules = append(rules, fmt.Sprintf("%d %s", r.Family, r))
		}
		want := []string{
			"4 0: from all lookup 255",
			"4 1000: from 10.1.0.0/16 lookup 100",
			"4 1001: not from all fwmark 0x10/0xff lookup 100 suppress_prefixlength 0",
			"4 1002: from all iif v0 dport 80-90 ipproto 6 prohibit",
			"4 32766: from all lookup 254",
			"4 32767: from all lookup 253",
			"6 0: from all lookup 255",
			"6 1003: from all to 2001:db8:3::/48 unreachable",
			"6 32766: from all lookup 254",
		}
		if diff := cmp.Diff(want, rules); diff != "" {
			t.Errorf("rules (-want +got):\n%s", diff)
		}
		f := s.Facts()
		if !f.Known || !strings.Contains(f.RoutesPartial, "10.1.0.0/16") || !f.Forward4 || f.Forward6 {
			t.Errorf("facts: known %v, partial %q, forward %v %v", f.Known, f.RoutesPartial, f.Forward4, f.Forward6)
		}
		v0 := s.Interfaces[slices.IndexFunc(s.Interfaces, func(i host.Interface) bool { return i.Name == "v0" })].Index
		var got []host.Neighbour
		for _, n := range s.Neighbours {
			if n.Interface == v0 && !n.Addr.IsLinkLocalUnicast() && !n.Addr.IsMulticast() {
				got = append(got, n)
			}
		}
		neighbours := []host.Neighbour{
			{Interface: v0, Addr: netip.MustParseAddr("192.0.2.9"), MAC: "00:00:0c:aa:bb:cc", Vendor: "Cisco Systems, Inc", State: "permanent"},
			{Interface: v0, Addr: netip.MustParseAddr("2001:db8::9"), MAC: "00:1b:21:aa:bb:cc", Vendor: "Intel Corporate", State: "stale", Router: true},
		}
		if diff := cmp.Diff(neighbours, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("neighbours (-want +got):\n%s", diff)
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
