package observe_test

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sekimori/internal/host"
	"sekimori/internal/observe"
	"sekimori/internal/observe/rootfs"
)

func offline(t *testing.T, tree string) *host.Snapshot {
	return offlineWith(t, tree, observe.Options{})
}

func offlineWith(t *testing.T, tree string, o observe.Options) *host.Snapshot {
	t.Helper()
	root, err := os.OpenRoot(filepath.Join("testdata", tree))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	o.Root, o.Time = root.FS().(rootfs.Source), time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	s, err := observe.Host(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func socket(proto string, family int, local string, inode uint64, uid uint32, owners ...int) host.Socket {
	s := host.Socket{Proto: proto, Family: family, Local: netip.MustParseAddrPort(local), Inode: inode, UID: uid, Owners: owners}
	s.Takes4, s.Takes6 = family == 4, family == 6
	return s
}

func TestDebianTree(t *testing.T) {
	const container = "4f2a9b0c1d3e5f60718293a4b5c6d7e8f90123456789abcdef0123456789abcd"
	s := offline(t, "debian")

	dual := socket("tcp", 6, "[::]:22", 1004, 0, 812)
	dual.Takes4, dual.V6OnlyUnknown = true, true
	mapped := socket("tcp", 6, "[::ffff:127.0.0.1]:8080", 1005, 0, 1200)
	mapped.Takes4, mapped.Takes6 = true, false
	connected := socket("udp", 4, "10.2.0.10:54321", 1007, 105, 1300)
	connected.Peer = netip.MustParseAddrPort("8.8.8.8:53")
	want := []host.Socket{
		socket("raw", 4, "0.0.0.0:1", 1008, 0, 640),
		socket("tcp", 4, "0.0.0.0:22", 1001, 0, 812), dual,
		socket("tcp", 4, "127.0.0.1:5432", 1002, 105, 900, 907), mapped,
		socket("udp", 4, "0.0.0.0:68", 1006, 0, 640), connected,
	}
	if diff := cmp.Diff(want, s.Sockets, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("sockets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]host.PacketSocket{{Type: "raw", EtherType: 3, Interface: 2, Inode: 1009, Owners: []int{640}}}, s.PacketSockets); diff != "" {
		t.Errorf("packet sockets (-want +got):\n%s", diff)
	}
	deb := func(p host.Process, name, version string) host.Process {
		p.Package, p.Version, p.Manager = name, version, "dpkg"
		return p
	}
	processes := []host.Process{
		deb(host.Process{PID: 640, Name: "dhclient", Exe: "/usr/sbin/dhclient", Argv: []string{"dhclient", "eth0"}, User: "root", Unit: "networking.service"}, "isc-dhcp-client", "4.4.3-P1-2"),
		deb(host.Process{
			PID: 812, Name: "sshd", Exe: "/usr/sbin/sshd", Argv: []string{"sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"}, User: "root", Unit: "ssh.service",
		}, "openssh-server", "1:9.2p1-2+deb12u3"),
		deb(host.Process{
			PID: 900, Name: "postgres", Exe: "/usr/lib/postgresql/15/bin/postgres", UID: 105, User: "postgres", Unit: "postgresql@15-main.service",
			Argv: []string{"/usr/lib/postgresql/15/bin/postgres", "-D", "/var/lib/postgresql/15/main", "--password=***"},
		}, "postgresql-15", "15.10-0+deb12u1"),
		deb(host.Process{
			PID: 907, Name: "postgres", Exe: "/usr/lib/postgresql/15/bin/postgres", UID: 105, User: "postgres", Unit: "postgresql@15-main.service",
			Argv: []string{"postgres: 15/main: checkpointer "},
		}, "postgresql-15", "15.10-0+deb12u1"),
		{
			PID: 1200, Name: "docker-proxy", Exe: "/usr/bin/docker-proxy", Deleted: true, User: "root", Unit: "docker.service",
			Argv: []string{"/usr/bin/docker-proxy", "-proto", "tcp", "-host-port", "8080"},
		},
		// It has the path of a host's package, but in a container.
		{PID: 1300, Name: "app", Exe: "/usr/sbin/sshd", Argv: []string{"app"}, UID: 105, User: "postgres", Unit: "docker-" + container + ".scope", Container: container, OtherNetNS: true},
	}
	if diff := cmp.Diff(processes, s.Processes); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	containers := []host.Container{{ID: container, Runtime: "docker", Name: "shop-db", Image: "postgres:16", Addresses: []netip.Addr{netip.MustParseAddr("172.17.0.2")}}}
	if diff := cmp.Diff(containers, s.Containers, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
	system := host.System{
		Hostname: "host12", OS: "linux", ID: "debian", VersionID: "12", PrettyName: "Debian GNU/Linux 12 (bookworm)",
		Kernel: "6.1.0-28-amd64", BootID: "11111111-2222-4333-8444-555555555555", NetNS: 4026531840,
	}
	if diff := cmp.Diff(system, s.System); diff != "" {
		t.Errorf("system (-want +got):\n%s", diff)
	}
	sysctls := map[string]string{
		"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "2", "net.ipv4.conf.eth0/5.forwarding": "1", "net.ipv6.conf.all.forwarding": "0",
	}
	if diff := cmp.Diff(sysctls, s.Sysctls); diff != "" {
		t.Errorf("sysctls (-want +got):\n%s", diff)
	}
	// What only a live kernel can tell is not silently empty.
	for _, section := range []string{host.SectionInterfaces, host.SectionRoutes, host.SectionNeighbours, host.SectionFilters} {
		if !s.Misses(section) {
			t.Errorf("%s is not said to be unseen", section)
		}
	}
	if s.Misses(host.SectionSockets) || s.Misses(host.SectionProcesses) || s.Misses(host.SectionPackages) {
		t.Errorf("unseen: %v", s.Unseen)
	}
}

func TestAlpineTree(t *testing.T) {
	s := offline(t, "alpine")
	if len(s.Processes) != 1 {
		t.Fatalf("%d processes", len(s.Processes))
	}
	want := host.Process{
		PID: 77, Name: "nginx", Exe: "/usr/sbin/nginx", Argv: []string{"nginx:", "master process"}, UID: 100, User: "nginx",
		Package: "nginx", Version: "1.26.2-r0", Manager: "apk",
	}
	if diff := cmp.Diff(want, s.Processes[0]); diff != "" {
		t.Errorf("process (-want +got):\n%s", diff)
	}
	if s.System.Hostname != "alp" || s.System.ID != "alpine" {
		t.Errorf("system: %+v", s.System)
	}
}

// TestSecretsStayOut plants secrets where observation passes and looks for them
// in what is written.
func TestSecretsStayOut(t *testing.T) {
	for _, tree := range []string{"debian", "alpine"} {
		var out bytes.Buffer
		if err := host.Write(&out, offline(t, tree)); err != nil {
			t.Fatal(err)
		}
		if err := host.Write(&out, offlineWith(t, tree, observe.Options{Audit: true, Deep: true})); err != nil {
			t.Fatal(err)
		}
		if i := strings.Index(out.String(), "hunter"); i >= 0 {
			t.Errorf("%s: …%s…", tree, out.String()[max(0, i-60):min(out.Len(), i+20)])
		}
	}
}

// TestSameTwice: the same host gives the same bytes.
func TestSameTwice(t *testing.T) {
	var first string
	for range 5 {
		var out bytes.Buffer
		if err := host.Write(&out, offlineWith(t, "debian", observe.Options{Audit: true})); err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = out.String()
		}
		if diff := cmp.Diff(first, out.String()); diff != "" {
			t.Fatalf("differs:\n%s", diff)
		}
	}
}
