//go:build linux

package main

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/lab"
	"sekimori/internal/report"
)

// The two sources from which nmap asks, in each family.
var (
	nearEnd = map[int]string{4: "203.0.113.9", 6: "2001:db8:1::9"}
	far     = map[int]string{4: "10.1.2.3", 6: "2001:db8:a::3"}
)

// TestNmapAgrees: what another host finds open is what `ports` says it may
// reach, for every listener, both families and two sources.
func TestNmapAgrees(t *testing.T) {
	cases := map[string]struct {
		load func(t *testing.T)
		// open is how many ports nmap must find from the two sources, so that a
		// lab in which nothing passes proves nothing.
		open int
	}{
		"no rules":   {func(t *testing.T) {}, 14},
		"accept all": {nft("table inet t { chain c { type filter hook input priority 0; policy accept; }; }"), 14},
		"default drop": {nft(`table inet t { chain c { type filter hook input priority 0; policy drop;
			ct state established,related accept; meta l4proto { icmp, ipv6-icmp } accept; }; }`), 0},
		"source-limited": {nft(`table inet t { chain c { type filter hook input priority 0; policy drop;
			ct state established,related accept; meta l4proto { icmp, ipv6-icmp } accept
			ip saddr 10.0.0.0/8 tcp dport { 1001, 1002 } accept
			ip6 saddr 2001:db8:a::/48 tcp dport 1002 accept
			tcp dport 1003 accept; }; }`), 7},
		"container port published": {func(t *testing.T) {
			container(t)
			lab.LoadIPTables(t, "iptables-nft-restore", publishedRules)
		}, 16},
		"container port published, limited": {func(t *testing.T) {
			container(t)
			lab.LoadIPTables(t, "iptables-nft-restore", publishedRules)
			lab.Run(t, "iptables-nft", "-I", "FORWARD", "-i", "wan0", "-p", "tcp", "-m", "conntrack", "--ctorigdstport", "8080", "!", "-s", "10.0.0.0/8", "-j", "DROP")
		}, 15},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			lab.EnterRoot(t, func(t *testing.T) {
				lab.Need(t, "nmap", "nft", "iptables-nft-restore")
				scannedHost(t)
				c.load(t)
				ports := answer[report.Ports](t, "ports")
				found := 0
				for family := range nearEnd {
					for _, source := range []string{nearEnd[family], far[family]} {
						open := scan(t, family, source)
						found += len(open)
						if d := cmp.Diff(open, reachable(ports, family, source)); d != "" {
							t.Errorf("IPv%d from %s: -nmap +sekimori\n%s", family, source, d)
						}
					}
				}
				if found != c.open {
					t.Errorf("nmap found %d open ports, want %d", found, c.open)
				}
			})
		})
	}
}

func nft(text string) func(*testing.T) {
	return func(t *testing.T) { lab.LoadNFT(t, text) }
}

// scannedHost is this namespace with a link to the scanner's, and listeners for
// IPv4, IPv6, both, and loopback.
func scannedHost(t *testing.T) {
	lab.Netns(t, "outside")
	lab.Veth(t, "wan0", "peer", "outside")
	lab.Address(t, "wan0", "203.0.113.5/24")
	lab.Address(t, "wan0", "2001:db8:1::5/64")
	lab.Run(t, "ip", "route", "add", "10.0.0.0/8", "dev", "wan0")
	lab.Run(t, "ip", "route", "add", "2001:db8:a::/48", "dev", "wan0")
	lab.In(t, "outside", func() {
		for _, a := range []string{"203.0.113.9/24", "10.1.2.3/32", "2001:db8:1::9/64", "2001:db8:a::3/128"} {
			lab.Address(t, "peer", a)
		}
	})
	for _, l := range []struct{ network, address string }{
		{"tcp4", "0.0.0.0:1001"},
		{"tcp", "[::]:1002"},
		{"tcp4", "203.0.113.5:1003"},
		{"tcp6", "[2001:db8:1::5]:1003"},
		{"tcp6", "[::]:1004"},
		{"tcp4", "127.0.0.1:1005"},
		{"tcp6", "[::1]:1005"},
		{"tcp4", "0.0.0.0:1006"},
	} {
		k, err := net.Listen(l.network, l.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Close() })
	}
}

// container is a namespace behind a bridge-like link, with a listener on port 80.
func container(t *testing.T) {
	lab.Netns(t, "container")
	lab.Veth(t, "docker0", "eth0", "container")
	lab.Address(t, "docker0", "172.17.0.1/16")
	lab.Run(t, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	lab.In(t, "container", func() {
		lab.Address(t, "eth0", "172.17.0.2/16")
		lab.Run(t, "ip", "route", "add", "default", "via", "172.17.0.1")
		k, err := net.Listen("tcp4", "0.0.0.0:80")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Close() })
	})
}

// publishedRules are those of dockerd for `docker run -p 8080:80`.
const publishedRules = `*nat
:PREROUTING ACCEPT
:DOCKER -
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:FORWARD DROP
:DOCKER -
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT
`

// scan returns the open TCP ports that nmap finds from a source.
func scan(t *testing.T, family int, source string) []int {
	t.Helper()
	argv := []string{"nmap", "-n", "-Pn", "-sS", "-S", source, "-e", "peer", "-p", "1001-1006,8080", "--max-retries", "3", "--min-rate", "100", "-oG", "-"}
	target := "203.0.113.5"
	if family == 6 {
		argv, target = append(argv, "-6"), "2001:db8:1::5"
	}
	var out string
	lab.In(t, "outside", func() { out = lab.Run(t, append(argv, target)...) })
	var open []int
	for _, m := range regexp.MustCompile(`(\d+)/open/tcp`).FindAllStringSubmatch(out, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, n)
	}
	if !strings.Contains(out, "Status: Up") {
		t.Fatalf("nmap did not scan: %s", out)
	}
	return open
}

// reachable returns the TCP ports that a source may reach by the answer of
// `ports`, on the scanned addresses.
func reachable(p report.Ports, family int, source string) []int {
	var out []int
	a := netip.MustParseAddr(source)
	for _, k := range p.Sockets {
		for _, g := range k.Reach.From {
			in := func(list []string) bool {
				return slices.ContainsFunc(list, func(s string) bool { return netip.MustParsePrefix(s).Contains(a) })
			}
			if k.Proto == "tcp" && g.Interface == "wan0" && in(g.Sources) && !in(g.Except) && !slices.Contains(out, int(k.Port)) {
				out = append(out, int(k.Port))
			}
		}
	}
	slices.Sort(out)
	return out
}
