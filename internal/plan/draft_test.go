package plan

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sekimori/internal/exposure"
	"sekimori/internal/firewall"
	"sekimori/internal/host"
	"sekimori/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

// device is an interface with addresses; "!" before one marks it as lent by DHCP.
func device(index int, name, kind string, addresses ...string) host.Interface {
	i := host.Interface{Index: index, Name: name, Kind: kind, Up: true, Link: "ether", Loopback: name == "lo"}
	for _, a := range addresses {
		lent := strings.HasPrefix(a, "!")
		entry := host.Address{Prefix: prefix(strings.TrimPrefix(a, "!")), Scope: "global"}
		if lent {
			entry.Flags = []string{"dynamic"}
		}
		i.Addresses = append(i.Addresses, entry)
	}
	return i
}

func defaultRoute(family, iface int, gateway string) host.Route {
	dst := "0.0.0.0/0"
	if family == 6 {
		dst = "::/0"
	}
	return host.Route{Family: family, Table: 254, Type: "unicast", Dst: prefix(dst), Hops: []host.Hop{{Interface: iface, Gateway: addr(gateway)}}}
}

// listener is a socket with its process.
func listener(s *host.Snapshot, proto, local, process string) {
	l := netip.MustParseAddrPort(local)
	any := l.Addr().IsUnspecified()
	pid := 100 + len(s.Sockets)
	k := host.Socket{
		Proto: proto, Family: 4, Local: l, Takes4: l.Addr().Is4() || any, Takes6: l.Addr().Is6(), Inode: uint64(pid),
	}
	if l.Addr().Is6() {
		k.Family = 6
	}
	if process != "" {
		k.Owners = []int{pid}
		s.Processes = append(s.Processes, host.Process{PID: pid, Name: process})
	}
	s.Sockets = append(s.Sockets, k)
}

func webServer() *host.Snapshot {
	s := &host.Snapshot{
		Schema: host.Schema, System: host.System{Hostname: "web1"},
		Interfaces: []host.Interface{
			device(1, "lo", "", "127.0.0.1/8", "::1/128"),
			device(2, "eth0", "", "!203.0.113.5/24", "2001:db8:5::1/64"),
			device(3, "docker0", "bridge", "172.17.0.1/16"),
		},
		Routes:  []host.Route{defaultRoute(4, 2, "203.0.113.1"), defaultRoute(6, 2, "fe80::1")},
		Sysctls: map[string]string{"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "0"},
	}
	listener(s, "tcp", "[::]:22", "sshd")
	listener(s, "tcp", "[::]:80", "nginx")
	listener(s, "tcp", "[::]:443", "nginx")
	listener(s, "udp", "[::]:443", "nginx")
	listener(s, "tcp", "0.0.0.0:3306", "mariadbd")
	listener(s, "tcp", "127.0.0.1:6379", "redis-server")
	listener(s, "udp", "0.0.0.0:68", "dhclient")
	listener(s, "udp", "0.0.0.0:45123", "python3")
	listener(s, "tcp", "0.0.0.0:9999", "evil\n- {allow: any} #")
	return s
}

func router() *host.Snapshot {
	s := &host.Snapshot{
		Schema: host.Schema, System: host.System{Hostname: "gate"},
		Interfaces: []host.Interface{
			device(1, "lo", "", "127.0.0.1/8", "::1/128"),
			device(2, "ppp0", "", "192.0.2.77/32"),
			device(3, "eth1", "", "10.0.0.1/24", "fd00:10::1/64"),
			device(4, "eth2", "", "10.0.1.1/24"),
			device(5, "wg0", "wireguard", "10.9.0.1/24"),
			device(6, "on", "", "198.51.100.2/24"),
		},
		Routes:  []host.Route{defaultRoute(4, 6, "198.51.100.1")},
		Sysctls: map[string]string{"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"},
	}
	listener(s, "tcp", "0.0.0.0:2222", "sshd")
	listener(s, "tcp", "10.0.0.1:53", "dnsmasq")
	listener(s, "udp", "10.0.0.1:53", "dnsmasq")
	listener(s, "udp", "0.0.0.0:51820", "")
	listener(s, "raw", "0.0.0.0:112", "keepalived")
	return s
}

func guests() *host.Snapshot {
	s := console()
	s.Interfaces = append(s.Interfaces,
		device(3, "virbr0", "bridge", "192.168.122.1/24", "fd00:122::1/64"), device(4, "br-0123456789ab", "bridge", "172.18.0.1/16"),
		device(5, "br-lan", "bridge", "10.9.0.1/24"), device(6, "eth1", ""), device(7, "cbr0", "bridge", "10.244.0.1/24"))
	s.Interfaces[5].Master = 5
	listener(s, "udp", "0.0.0.0:67", "dnsmasq")
	return s
}

func console() *host.Snapshot {
	s := &host.Snapshot{Interfaces: []host.Interface{device(1, "lo", "", "127.0.0.1/8"), device(2, "eth0", "", "!10.1.2.3/24")}}
	listener(s, "tcp", "0.0.0.0:22", "sshd")
	return s
}

func session(client, server string) []Session {
	return []Session{{Client: netip.MustParseAddrPort(client), Server: netip.MustParseAddrPort(server), From: "a test", Current: true}}
}

func draft(s *host.Snapshot, sessions []Session) Draft {
	rules := &firewall.Ruleset{}
	return NewDraft(s, exposure.Evaluate(s, rules, 0), rules, sessions)
}

func TestDraftGolden(t *testing.T) {
	for name, d := range map[string]Draft{
		"web":     draft(webServer(), session("198.51.100.7:40000", "203.0.113.5:22")),
		"router":  draft(router(), session("[fd00:10::7]:40000", "[fd00:10::1]:2222")),
		"console": draft(console(), nil),
		"local":   draft(console(), session("127.0.0.1:4000", "127.0.0.1:22")),
		"guests":  draft(guests(), session("10.9.0.7:40000", "10.9.0.1:22")),
		"neither": draft(&host.Snapshot{}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			golden := filepath.Join("testdata", "draft", name+".yaml")
			text := d.Text()
			if *update {
				if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), text); d != "" {
				t.Error(d)
			}
			f, err := policy.Parse(golden, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			formatted, err := f.Format()
			if err != nil || string(formatted) != text {
				t.Errorf("not in the canonical form: %v\n%s", err, cmp.Diff(text, string(formatted)))
			}
		})
	}
}

// TestDraftIsAPolicy: whatever a host has, names chosen by others among it, what
// comes out is a policy in canonical form that lets the session's network log in.
func TestDraftIsAPolicy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hostile := rapid.StringN(0, 20, 40)
		s := &host.Snapshot{System: host.System{Hostname: hostile.Draw(t, "hostname")}, Sysctls: map[string]string{"net.ipv4.ip_forward": rapid.SampledFrom([]string{"0", "1"}).Draw(t, "forward")}}
		s.Interfaces = append(s.Interfaces, device(1, "lo", "", "127.0.0.1/8"))
		names := rapid.SliceOfNDistinct(rapid.OneOf(
			rapid.SampledFrom([]string{"eth0", "on", "null", "1e3", "docker0", "virbr0", "wg0", "br-0123456789ab", "br-lan", "mpqemubr0", "a.5", "0x10", "-", "~", ".5"}),
			rapid.StringMatching(`[ -~]{1,15}`).Filter(func(s string) bool { return !strings.ContainsAny(s, "/: ") }),
		), 1, 5, rapid.ID[string]).Draw(t, "names")
		for i, name := range names {
			d := device(i+2, name, rapid.SampledFrom([]string{"", "bridge", "wireguard", "veth"}).Draw(t, "kind"), rapid.SampledFrom([]string{"10.0.0.1/8", "203.0.113.5/24", "fd00::1/64", "!192.0.2.1/24"}).Draw(t, "address"))
			d.Up = rapid.Bool().Draw(t, "up")
			s.Interfaces = append(s.Interfaces, d)
			if rapid.Bool().Draw(t, "default") {
				s.Routes = append(s.Routes, defaultRoute(4, i+2, "203.0.113.1"))
			}
		}
		for range rapid.IntRange(0, 6).Draw(t, "sockets") {
			at := netip.AddrPortFrom(addr(rapid.SampledFrom([]string{"0.0.0.0", "::", "203.0.113.5", "127.0.0.1"}).Draw(t, "bound")), rapid.Uint16Range(1, 65535).Draw(t, "port"))
			listener(s, rapid.SampledFrom([]string{"tcp", "udp", "sctp"}).Draw(t, "proto"), at.String(), hostile.Draw(t, "process"))
		}
		var logins []Session
		if rapid.Bool().Draw(t, "session") {
			client := rapid.SampledFrom([]string{"198.51.100.7", "10.3.2.1", "2001:db8:a:b::7", "fe80::1", "127.0.0.1", "::ffff:192.0.2.9"}).Draw(t, "client")
			logins = session(netip.AddrPortFrom(addr(client), 4000).String(), netip.AddrPortFrom(addr("203.0.113.5"), rapid.SampledFrom([]uint16{22, 2222}).Draw(t, "at")).String())
		}
		d := draft(s, logins)
		for i := range d.Offers {
			d.Offers[i].Keep = rapid.Bool().Draw(t, "keep")
		}
		text := d.Text()
		f, err := policy.Parse("draft", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if formatted, err := f.Format(); err != nil || string(formatted) != text {
			t.Fatalf("not canonical (%v):\n%s", err, cmp.Diff(text, string(formatted)))
		}
		lists, err := f.Lists(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range logins {
			a := c.Client.Addr().Unmap()
			in := d.Anywhere || !c.Remote()
			for _, r := range lists["admins"] {
				in = in || r.Lo.Compare(a) <= 0 && a.Compare(r.Hi) <= 0
			}
			if !in {
				t.Fatalf("%s may not log in again:\n%s", a, text)
			}
		}
	})
}
