package observe

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sekimori/internal/host"
)

func TestParseCgroup(t *testing.T) {
	const id = "4f2a9b0c1d3e5f60718293a4b5c6d7e8f90123456789abcdef0123456789abcd"
	for _, test := range []struct {
		name, in string
		want     placement
	}{
		{"v2 service", "0::/system.slice/ssh.service\n", placement{unit: "ssh.service"}},
		{"v2 session", "0::/user.slice/user-1000.slice/session-3.scope\n", placement{unit: "session-3.scope"}},
		{"v2 user unit", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/syncthing.service\n", placement{unit: "syncthing.service", user: true}},
		{"v2 user manager", "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", placement{unit: "init.scope", user: true}},
		{"v2 instance below a slice", "0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n", placement{unit: "postgresql@15-main.service"}},
		{"v2 sub-cgroup of a service", "0::/system.slice/nginx.service/workers\n", placement{unit: "nginx.service"}},
		{"v2 root", "0::/\n", placement{}},
		{"v2 outside of the namespace", "0::/../../system.slice/ssh.service\n", placement{unit: "ssh.service"}},
		{"v1", "12:pids:/system.slice/cron.service\n11:memory:/system.slice/cron.service\n1:name=systemd:/system.slice/cron.service\n", placement{unit: "cron.service"}},
		{"hybrid", "5:devices:/\n1:name=systemd:/system.slice/cron.service\n0::/system.slice/cron.service\n", placement{unit: "cron.service"}},
		{"docker, systemd driver", "0::/system.slice/docker-" + id + ".scope\n", placement{unit: "docker-" + id + ".scope", container: id, runtime: "docker"}},
		{"docker, cgroupfs driver, v1", "4:memory:/docker/" + id + "\n0::/\n", placement{container: id, runtime: "docker"}},
		{"podman", "0::/machine.slice/libpod-" + id + ".scope/container\n", placement{unit: "libpod-" + id + ".scope", container: id, runtime: "podman"}},
		{"podman of a user", "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id + ".scope\n", placement{unit: "libpod-" + id + ".scope", user: true, container: id, runtime: "podman"}},
		{"podman's monitor is no container", "0::/machine.slice/libpod-conmon-" + id + ".scope\n", placement{unit: "libpod-conmon-" + id + ".scope"}},
		{"kubernetes, containerd", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1234.slice/cri-containerd-" + id + ".scope\n", placement{unit: "cri-containerd-" + id + ".scope", container: id, runtime: "containerd"}},
		{"kubernetes, CRI-O", "0::/kubepods.slice/kubepods-pod1.slice/crio-" + id + ".scope\n", placement{unit: "crio-" + id + ".scope", container: id, runtime: "cri-o"}},
		{"kubernetes, cgroupfs", "3:cpu:/kubepods/besteffort/pod0a1b/" + id + "\n", placement{container: id}},
		{"containerd in its service", "0::/system.slice/containerd.service/kubepods/pod1/" + id + "\n", placement{unit: "containerd.service", container: id, runtime: "containerd"}},
		{"ECS", "0::/ecs/0123/" + id + "\n", placement{container: id}},
		{"lxc", "0::/lxc.payload.web/system.slice/nginx.service\n", placement{unit: "nginx.service", container: "web", runtime: "lxc"}},
		{"lxc's monitor", "0::/lxc.monitor.web\n", placement{}},
		{"nspawn", "0::/machine.slice/systemd-nspawn@deb.service/payload/system.slice/ssh.service\n", placement{unit: "ssh.service", container: "deb", runtime: "nspawn"}},
		{"openrc", "1:name=openrc:/nginx\n0::/\n", placement{}},
		{"63 digits are no id", "0::/docker/" + id[1:] + "\n", placement{}},
		{"garbage", "::\n:\nno colon\n", placement{}},
	} {
		if got := parseCgroup(test.in); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

func FuzzCgroup(f *testing.F) {
	f.Add("0::/system.slice/ssh.service\n")
	f.Add("4:memory:/docker/" + strings.Repeat("a", 64) + "\n")
	f.Add("0::/../lxc.payload.x/user@1.service/a.scope")
	f.Fuzz(func(t *testing.T, text string) {
		p := parseCgroup(text)
		if p.container == "" && p.runtime != "" {
			t.Errorf("a runtime without a container: %+v", p)
		}
		if !strings.Contains(text, p.unit) || !strings.Contains(text, p.container) {
			t.Errorf("%+v is not in the text", p)
		}
	})
}

func TestParseSocketTableErrors(t *testing.T) {
	const head = "  sl  local_address rem_address   st\n"
	const line = "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1001 1\n"
	if s, err := parseSocketTable("tcp", 4, []byte(head+line)); err != nil || len(s) != 1 {
		t.Fatalf("%v %v", s, err)
	}
	for name, broken := range map[string]string{
		"cut off":       line[:40],
		"short address": strings.Replace(line, "00000000:0016", "000000:0016", 1),
		"no port":       strings.Replace(line, "00000000:0016", "00000000", 1),
		"bad port":      strings.Replace(line, ":0016", ":zz", 1),
		"bad state":     strings.Replace(line, " 0A ", " XY ", 1),
		"bad inode":     strings.Replace(line, "1001", "many", 1),
		"v6 in v4":      strings.Replace(line, "00000000:0016", strings.Repeat("0", 32)+":0016", 1),
	} {
		if _, err := parseSocketTable("tcp", 4, []byte(head+line+broken)); err == nil || !strings.Contains(err.Error(), "line 3") {
			t.Errorf("%s: got error %v, want one that names line 3", name, err)
		}
	}
}

// TestParseSCTP reads what Linux 6.1 prints for a one-to-many socket bound to
// two addresses.
func TestParseSCTP(t *testing.T) {
	got, err := parseSCTP([]byte(" ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS\n" +
		"00000000e1 000000006f 0   10  32   3868    0   4242 192.0.2.1 2001:db8::1 \n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []host.Socket{
		{Proto: "sctp", Family: 4, Local: netip.MustParseAddrPort("192.0.2.1:3868"), Takes4: true, Inode: 4242},
		{Proto: "sctp", Family: 6, Local: netip.MustParseAddrPort("[2001:db8::1]:3868"), Takes6: true, Inode: 4242},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzSocketTable(f *testing.F) {
	f.Add("tcp", false, "h\n   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1001 1\n")
	f.Add("udp", true, "h\n 1: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 07 0:0 0:0 0 0 0 1005 1\n")
	f.Add("sctp", false, "h\n a b 0 10 32 3868 0 4242 192.0.2.1 2001:db8::1\n")
	f.Add("packet", false, "h\n0000000000000000 3      3    0003   2     1 0      0      1009  \n")
	f.Fuzz(func(t *testing.T, proto string, six bool, text string) {
		var sockets []host.Socket
		switch proto {
		case "sctp":
			sockets, _ = parseSCTP([]byte(text))
		case "packet":
			_, _ = parsePackets([]byte(text))
		default:
			family := 4
			if six {
				family = 6
			}
			sockets, _ = parseSocketTable(proto, family, []byte(text))
		}
		for _, s := range sockets {
			if !s.Local.IsValid() || !s.Takes4 && !s.Takes6 {
				t.Errorf("%+v takes nothing or is nowhere", s)
			}
		}
	})
}

// message builds attributes for the decoders.
func message(head []byte, attributes ...[]byte) []byte {
	for _, a := range attributes {
		head = append(head, a...)
	}
	return head
}

func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

// TestDecodeSCTPDiag: an endpoint with two addresses is two sockets.
func TestDecodeSCTPDiag(t *testing.T) {
	head := make([]byte, 72)
	head[0], head[1] = afInet6, stateListen
	copy(head[4:], be16(3868))
	locals := make([]byte, 256)
	binary.NativeEndian.PutUint16(locals, afInet)
	copy(locals[4:], netip.MustParseAddr("192.0.2.1").AsSlice())
	binary.NativeEndian.PutUint16(locals[128:], afInet6)
	copy(locals[128+8:], netip.MustParseAddr("2001:db8::1").AsSlice())
	got, err := decodeInetDiag("sctp", message(head, appendAttr(nil, inetDiagLocals, locals)))
	if err != nil || len(got) != 2 {
		t.Fatalf("%v %v", got, err)
	}
	if got[0].Local.String() != "192.0.2.1:3868" || got[1].Local.String() != "[2001:db8::1]:3868" {
		t.Errorf("got %v and %v", got[0].Local, got[1].Local)
	}
	// It is of family 6 all the same; the addresses decide what it takes.
	if got[0].Takes6 || !got[0].Takes4 || got[1].Takes4 || !got[1].Takes6 {
		t.Errorf("takes: %+v", got)
	}
}

func TestDecodersRefuseShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Whole attributes behind a whole head are cut anywhere: that is an error
		// or, at a border of attributes, another message; never a panic.
		head := rapid.SliceOfN(rapid.Byte(), 72, 72).Draw(t, "head")
		b := message(head, appendAttr(nil, rapid.Uint16Range(0, 60).Draw(t, "type"), rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "value")))
		b = b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]
		decodeAll(b)
		if len(b) < 72 {
			if _, err := decodeInetDiag("tcp", b); err == nil {
				t.Fatalf("%d bytes decoded as a socket", len(b))
			}
		}
	})
}

// decodeAll runs each decoder of netlink messages.
func decodeAll(b []byte) {
	_, _ = decodeLink(b)
	_, _, _ = decodeAddress(b)
	_, _, _ = decodeRoute(b)
	_, _, _ = decodeRule(b)
	_, _, _ = decodeNeighbour(b)
	_, _ = decodeInetDiag("tcp", b)
	_, _ = decodePacketDiag(b)
}

func FuzzNetlink(f *testing.F) {
	lo := message([]byte{0, 0, 4, 3, 1, 0, 0, 0, 0x49, 0, 0, 0, 0, 0, 0, 0},
		appendAttr(nil, iflaIfname, []byte("lo\x00")), appendAttr(nil, iflaXDP, appendAttr(appendAttr(nil, iflaXDPAttached, []byte{1}), iflaXDPProgID, []byte{1, 0, 0, 0})))
	f.Add(lo)
	f.Add(message([]byte{2, 8, 0x80, 254, 1, 0, 0, 0}, appendAttr(nil, ifaLocal, []byte{127, 0, 0, 1}), appendAttr(nil, ifaAddress, []byte{127, 0, 0, 2})))
	f.Add(message([]byte{2, 24, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0}, appendAttr(nil, rtaDst, []byte{10, 0, 0, 0}), appendAttr(nil, rtaMultipath, message([]byte{16, 0, 0, 1, 2, 0, 0, 0}, appendAttr(nil, rtaGateway, []byte{10, 0, 0, 1})))))
	f.Add(message([]byte{2, 0, 8, 0, 254, 0, 0, 1, 2, 0, 0, 0}, appendAttr(nil, fraSrc, []byte{10, 0, 0, 0}), appendAttr(nil, fraPriority, []byte{1, 0, 0, 0}), appendAttr(nil, 23, []byte{1, 0, 2, 0})))
	f.Add(message([]byte{2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0x80, 1}, appendAttr(nil, ndaDst, []byte{10, 0, 0, 1}), appendAttr(nil, ndaLladdr, []byte{0, 0, 12, 1, 2, 3})))
	f.Add(message(make([]byte, 72), appendAttr(nil, inetDiagV6Only, []byte{1}), appendAttr(nil, inetDiagLocals, make([]byte, 128))))
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeAll(b)
		if checkAttrs(b) != nil {
			return
		}
		// Whole attributes are all walked through.
		total := 0
		for _, v := range attrs(b) {
			total += 4 + (len(v)+3)&^3
		}
		if total < len(b) || total > len(b)+3 {
			t.Errorf("walked %d of %d bytes", total, len(b))
		}
	})
}

func TestParseRelease(t *testing.T) {
	got := parseRelease("A=b\nB=\"x \\\"y\\\" \\$z\"\nC='single \\\"'\n# D=e\n\nE=\n F = g\nnothing\n")
	want := map[string]string{"A": "b", "B": `x "y" $z`, "C": `single \"`, "E": "", "F ": " g"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCommandLine(t *testing.T) {
	long := strings.Repeat("x", 600)
	for in, want := range map[string][]string{
		"":                            nil,
		"\x00\x00":                    nil,
		"a\x00b c\x00\x00d\x00":       {"a", "b c", "", "d"},
		"a\x00--token\x00secret\x00":  {"a", "--token", "***"},
		"a\x00" + long + "\x00":       {"a", long[:512] + "…"},
		"a\x00\xff\x00":               {"a", "\uFFFD"},
		"a\x00" + long + "=token=xyz": {"a", long[:512] + "…"},
	} {
		if got := commandLine([]byte(in)); !reflect.DeepEqual(got, want) {
			t.Errorf("%.40q: got %q, want %q", in, got, want)
		}
	}
	if got := commandLine([]byte(strings.Repeat("a\x00", 100))); len(got) != maxArgs+1 {
		t.Errorf("%d arguments kept", len(got))
	}
}

func TestStatusFields(t *testing.T) {
	name, uid := statusFields("Name:\tkworker/0:1\nState:\tS\nUid:\t1000\t0\t1000\t1000\nGid:\t5\n")
	if name != "kworker/0:1" || uid != 0 {
		t.Errorf("got %q %d", name, uid)
	}
}

func TestParseDocker(t *testing.T) {
	c, err := parseDocker([]byte(`{"Name":"/web","Config":{"Image":"nginx","Env":["TOKEN=x"]},"NetworkSettings":{"Networks":{"a":{"IPAddress":"172.18.0.2","GlobalIPv6Address":"fd00::2"},"b":null}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := host.Container{Runtime: "docker", Name: "web", Image: "nginx", Addresses: []netip.Addr{netip.MustParseAddr("172.18.0.2"), netip.MustParseAddr("fd00::2")}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if _, err := parseDocker([]byte(`{"Name":`)); err == nil {
		t.Error("half a file was read")
	}
}
