package observe

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sekimori/internal/host"
)

func TestScriptOf(t *testing.T) {
	for _, test := range []struct {
		language, argv, name string
		inline               bool
	}{
		{"python", "python3 /srv/app.py --x", "/srv/app.py", false},
		{"python", "python3 -u -W ignore app.py", "app.py", false},
		{"python", "python3 -c code", "", true},
		{"python", "python3 -Ic code", "", true},
		{"python", "python3 -m http.server", "", true},
		{"python", "python3 -", "", true},
		{"python", "python3", "", true},
		{"perl", "perl -w -I /lib x.pl", "x.pl", false},
		{"perl", "perl -MIO::Socket -e code", "", true},
		{"sh", "bash /x.sh", "/x.sh", false},
		{"sh", "bash -c code", "", true},
		{"sh", "bash -lc code", "", true},
		{"sh", "sh -e -o pipefail /x.sh", "/x.sh", false},
		{"sh", "-bash", "", false},
		{"sh", "bash", "", false},
		{"sh", "bash -s", "", true},
		{"sh", "busybox sh /x", "/x", false},
		{"php", "php -S 0.0.0.0:80 router.php", "router.php", false},
		{"php", "php -r code", "", true},
		{"php", "php -f /x.php", "/x.php", false},
		{"node", "node --inspect server.js", "server.js", false},
		{"node", "node -e code", "", true},
		{"ruby", "ruby -- x.rb", "x.rb", false},
		{"java", "java -Xmx1g -jar app.jar", "app.jar", false},
		{"java", "java com.example.Main", "", false},
	} {
		name, inline := scriptOf(test.language, strings.Fields(test.argv))
		if name != test.name || inline != test.inline {
			t.Errorf("%s: %q, inline %v; want %q, %v", test.argv, name, inline, test.name, test.inline)
		}
	}
	for exe, want := range map[string]string{
		"/usr/bin/python3.11": "python", "/usr/bin/perl": "perl", "/usr/bin/perl5.36.0": "perl", "/bin/dash": "sh", "/tmp/.x/php8.2": "php", "/usr/sbin/php-fpm8.2": "php", "/usr/sbin/nginx": "", "/usr/bin/node": "node", "": "",
	} {
		if got := interpreterName(exe); got != want {
			t.Errorf("%s is %q, want %q", exe, got, want)
		}
	}
}

func TestProcessFields(t *testing.T) {
	flags, started, ok := parseStat("12 (a ) b) S 1 12 12 0 -1 2129984 5 0 0 0 1 2 0 0 20 0 1 0 4711 1 2 3")
	if !ok || flags != 2129984 || started != 4711 || flags&kernelFlag == 0 {
		t.Errorf("stat: %d %d %v", flags, started, ok)
	}
	for _, bad := range []string{"", "1 (x) S 1", "1 x"} {
		if _, _, ok := parseStat(bad); ok {
			t.Errorf("%q was understood", bad)
		}
	}
	if got := bootTime("cpu 1\nbtime 1700000000\n"); !got.Equal(time.Unix(1_700_000_000, 0)) || !bootTime("btime x\n").IsZero() {
		t.Errorf("booted at %v", got)
	}
	if diff := cmp.Diff([]string{"/tmp/a.so", "/b.so"}, preloads([]byte("PATH=/bin\x00LD_PRELOAD=/tmp/a.so:/b.so\x00TOKEN=LD_PRELOAD=x\x00"))); diff != "" {
		t.Errorf("preload (-want +got):\n%s", diff)
	}
	p := host.Process{UID: 0}
	statusMore("Name:\tx\nPPid:\t7\nUid:\t1000\t0\t0\t0\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t1\nSeccomp:\t2\n", &p)
	if p.PPID != 7 || p.RealUID == nil || *p.RealUID != 1000 || p.Capabilities != 1<<41-1 || !p.NoNewPrivs || !p.Seccomp {
		t.Errorf("status: %+v", p)
	}
}

func TestTally(t *testing.T) {
	at := netip.MustParseAddrPort
	s := &host.Snapshot{
		Interfaces: []host.Interface{{Addresses: []host.Address{{Prefix: netip.MustParsePrefix("192.0.2.1/24")}}}},
		Sockets: []host.Socket{
			{Proto: "tcp", Local: at("0.0.0.0:22")},
			{Proto: "udp", Local: at("192.0.2.1:5000"), Peer: at("192.0.2.53:53"), UID: 5, Owners: []int{9}},
		},
	}
	list := []connection{
		{local: at("192.0.2.1:22"), peer: at("203.0.113.9:4000"), inode: 1},
		{local: at("192.0.2.1:40000"), peer: at("198.51.100.1:22"), inode: 2, opening: true, uid: 33},
		{local: at("192.0.2.1:40001"), peer: at("198.51.100.2:22"), inode: 3, opening: true, uid: 33},
		{local: at("192.0.2.1:40002"), peer: at("203.0.113.2:22"), inode: 4, uid: 33},
		{local: at("127.0.0.1:40003"), peer: at("127.0.0.1:5432"), inode: 5},
		{local: at("192.0.2.1:40004"), peer: at("192.0.2.1:5432"), inode: 6},
	}
	tally(s, list, map[uint64][]int{1: {5}, 2: {7}, 3: {7, 8}, 4: {7}, 5: {6}, 6: {6}})
	addr := netip.MustParseAddr
	want := []host.Outbound{
		{Proto: "tcp", Port: 22, PID: 7, UID: 33, Connections: 3, Opening: 2, Peers: 3, Networks: 2, Sample: []netip.Addr{addr("198.51.100.1"), addr("198.51.100.2"), addr("203.0.113.2")}},
		{Proto: "tcp", Port: 5432, PID: 6, Connections: 2, Peers: 2, Networks: 2, Local: true, Sample: []netip.Addr{addr("127.0.0.1"), addr("192.0.2.1")}},
		{Proto: "udp", Port: 53, PID: 9, UID: 5, Connections: 1, Peers: 1, Networks: 1, Sample: []netip.Addr{addr("192.0.2.53")}},
	}
	opt := cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})
	if diff := cmp.Diff(want, s.Outbound, opt); diff != "" {
		t.Errorf("outbound (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]host.Inbound{{Local: at("192.0.2.1:22"), Peer: at("203.0.113.9:4000"), Owners: []int{5}}}, s.Inbound, opt); diff != "" {
		t.Errorf("inbound (-want +got):\n%s", diff)
	}
}

func TestParseConnection(t *testing.T) {
	line := []byte("   1: 0100007F:9C40 0A00A8C0:0016 02 00000001:00000000 01:00000000 00000000    33        0 4711 1 0\n")
	got, ok, err := parseConnection(4, line)
	want := connection{local: netip.MustParseAddrPort("127.0.0.1:40000"), peer: netip.MustParseAddrPort("192.168.0.10:22"), opening: true, uid: 33, inode: 4711}
	if err != nil || !ok || got != want {
		t.Errorf("%+v %v %v", got, ok, err)
	}
	listening := []byte("   1: 0100007F:9C40 00000000:0000 0A 0:0 0:0 0 33 0 4711 1 0\n")
	if _, ok, err := parseConnection(4, listening); ok || err != nil {
		t.Errorf("a listening socket: %v %v", ok, err)
	}
	if _, _, err := parseConnection(4, []byte("x y")); err == nil {
		t.Error("rubbish was read")
	}
}

func TestSSHDArgs(t *testing.T) {
	for title, want := range map[string]string{
		"sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups":                          "",
		"sshd: /usr/sbin/sshd -D -f /etc/x -o PermitRootLogin=no -p2222 [listener] 0 of 1": "-f /etc/x,-o PermitRootLogin=no,-p2222",
		"/usr/sbin/sshd -D -p 22 -p":                                                       "-p 22,-p",
	} {
		if got := strings.Join(sshdArgs([]string{title}), ","); got != want {
			t.Errorf("%s: %q, want %q", title, got, want)
		}
	}
}

func FuzzProcess(f *testing.F) {
	f.Add("12 (a ) b) S 1 12 12 0 -1 2129984 5 0 0 0 1 2 0 0 20 0 1 0 4711 1 2 3", "python3\x00-c\x00x")
	f.Add("Uid:\t1000\t0\nCapEff:\tff\nbtime 5\n", "LD_PRELOAD=/a:/b\x00x")
	f.Add("   1: 0100007F:9C40 0A00A8C0:0016 02 0:0 0:0 0 33 0 4711 1 0", "sshd: /usr/sbin/sshd -f [listener]")
	f.Fuzz(func(t *testing.T, text, argv string) {
		parseStat(text)
		bootTime(text)
		statusMore(text, &host.Process{})
		preloads([]byte(argv))
		for _, language := range []string{"python", "perl", "sh", "php", "node", "java", "awk"} {
			scriptOf(language, strings.Split(argv, "\x00"))
		}
		sshdArgs(strings.Split(argv, "\x00"))
		for _, family := range []int{4, 6} {
			if c, ok, err := parseConnection(family, []byte(text)); ok && err == nil && !c.peer.IsValid() {
				t.Errorf("%q has no peer", text)
			}
		}
	})
}
