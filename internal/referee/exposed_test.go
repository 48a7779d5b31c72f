//go:build linux

package referee

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sekimori/internal/exposure"
	"sekimori/internal/firewall"
	"sekimori/internal/host"
	"sekimori/internal/lab"
)

// listen opens a TCP listener for the length of the test.
func listen(t *testing.T, network, address string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
}

// exposed evaluates the host as it is now.
func exposed(t *testing.T) (*exposure.Host, *firewall.Ruleset, *host.Snapshot) {
	t.Helper()
	rs, _, snap := observed(t)
	return exposure.Evaluate(snap, rs, 0), rs, snap
}

// portReach is who may reach a port.
func portReach(t *testing.T, port uint16) exposure.Reach {
	t.Helper()
	h, _, _ := exposed(t)
	p, err := h.Port("tcp", port)
	if err != nil || len(p.Sockets) != 1 {
		t.Fatalf("port %d: %d sockets, %v", port, len(p.Sockets), err)
	}
	return p.Reach
}

// TestServiceBehindDefaultDrop is the promise of the whole: a service on all
// addresses behind a ruleset that drops is not reachable, and reachable from
// exactly the network that a rule made by hand admits.
func TestServiceBehindDefaultDrop(t *testing.T) {
	t.Parallel()
	const admit = "-I INPUT -s 10.0.0.0/8 -p tcp --dport 3306 -j ACCEPT"
	const drop = "*filter\n:INPUT DROP\n-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n"
	for _, c := range []struct {
		name string
		base part
		add  []string
	}{
		{
			"nft",
			part{"nft", `table inet filter { chain input { type filter hook input priority 0; policy drop; ct state established,related accept; iif "lo" accept; }; }`},
			strings.Fields("nft add rule inet filter input ip saddr 10.0.0.0/8 tcp dport 3306 accept"),
		},
		{"iptables-nft", part{"iptables-nft-restore", drop}, strings.Fields("iptables-nft " + admit)},
		{"iptables-legacy", part{"iptables-legacy-restore", drop}, strings.Fields("iptables-legacy " + admit)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lab.Enter(t, func(t *testing.T) {
				newWorld(t, false, "h0", "h1")
				listen(t, "tcp4", "0.0.0.0:3306")
				if r := portReach(t, 3306); r.Verdict != firewall.ReachAnyone {
					t.Errorf("without rules: %s, want anyone", r.Verdict)
				}
				if err := c.base.try(t); err != nil {
					t.Fatal(err)
				}
				if r := portReach(t, 3306); r.Verdict != firewall.ReachNone || len(r.From) != 0 {
					t.Errorf("behind default drop: %+v, want none", r)
				}
				lab.Run(t, c.add...)
				r := portReach(t, 3306)
				if r.Verdict != firewall.ReachSome || len(r.Undecided) != 0 {
					t.Errorf("with the rule: %+v, want some", r)
				}
				on := map[string]bool{}
				for _, s := range r.From {
					on[s.Interface] = true
					if !slices.Equal(s.Sources, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}) || len(s.Except) > 0 || !s.Certain {
						t.Errorf("with the rule: %+v, want exactly 10.0.0.0/8, certain", s)
					}
				}
				if !on["h0"] || !on["h1"] || len(on) != 2 {
					t.Errorf("with the rule: by %v, want h0 and h1", on)
				}
			})
		})
	}
}

// The hosts of the nmap test: 192.0.2.10 and 192.0.2.77 look at 192.0.2.1.
const scanned = "22,25,80,443,3306,8080,8081,8443,9090,9091"

// TestNmapAgrees lets nmap say which ports are open from another host.
func TestNmapAgrees(t *testing.T) {
	t.Parallel()
	limited := `table inet f { chain in { type filter hook input priority 0; policy drop; ct state established accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
	ip saddr 192.0.2.77 tcp dport { 22, 80 } accept
	ip6 saddr 2001:db8:1::77 tcp dport { 22, 80 } accept
	tcp dport 9090 accept
}; }`
	published := `table ip n { chain pre { type nat hook prerouting priority -100; fib daddr type local tcp dport 8443 dnat to 172.18.0.2:80; }; }
table ip6 n { chain pre { type nat hook prerouting priority -100; fib daddr type local tcp dport 8443 dnat to [fd00:18::2]:80; }; }
table inet f { chain in { type filter hook input priority 0; policy drop; ct state established accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; tcp dport 22 accept; }; }`
	for _, c := range []struct{ name, rules string }{
		{"no rules", ""},
		{"accept all", "table inet f { chain in { type filter hook input priority 0; policy accept; accept; }; }"},
		{"default drop", "table inet f { chain in { type filter hook input priority 0; policy drop; ct state established accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; }; }"},
		{"source-limited", limited},
		{"container port published", published},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lab.Enter(t, func(t *testing.T) { askNmap(t, c.rules) })
		})
	}
}

func askNmap(t *testing.T, rules string) {
	lab.Need(t, "nmap")
	network(t)
	if rules != "" {
		lab.LoadNFT(t, rules)
	}
	h, _, snap := exposed(t)
	for _, client := range []string{"192.0.2.10", "192.0.2.77", "2001:db8:1::10", "2001:db8:1::77"} {
		from := netip.MustParseAddr(client)
		to := netip.MustParseAddr("192.0.2.1")
		if from.Is6() {
			to = netip.MustParseAddr("2001:db8:1::1")
		}
		want := openPorts(t, h, snap, from, to)
		if got := nmap(t, from, to); !slices.Equal(got, want) {
			t.Errorf("from %s: nmap finds open %v, the answer was %v", from, got, want)
		} else {
			t.Logf("from %s: open %v", from, got)
		}
	}
}

// network is a host with listeners, a container behind it, and a client.
func network(t *testing.T) {
	t.Helper()
	for _, ns := range []string{"client", "box"} {
		lab.Netns(t, ns)
	}
	for _, k := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		sysctl(t, k, "1")
	}
	lab.Veth(t, "h0", "p0", "client")
	lab.Veth(t, "docker0", "b0", "box")
	for _, a := range [][2]string{{"h0", "192.0.2.1/24"}, {"h0", "2001:db8:1::1/64"}, {"docker0", "172.18.0.1/16"}, {"docker0", "fd00:18::1/64"}} {
		lab.Address(t, a[0], a[1])
	}
	lab.In(t, "client", func() {
		for _, a := range []string{"192.0.2.10/24", "192.0.2.77/24", "2001:db8:1::10/64", "2001:db8:1::77/64"} {
			lab.Address(t, "p0", a)
		}
	})
	lab.In(t, "box", func() {
		lab.Address(t, "b0", "172.18.0.2/16")
		lab.Address(t, "b0", "fd00:18::2/64")
		lab.Run(t, "ip", "route", "add", "default", "via", "172.18.0.1")
		lab.Run(t, "ip", "-6", "route", "add", "default", "via", "fd00:18::1")
		listen(t, "tcp", "[::]:80")
	})
	listen(t, "tcp4", "0.0.0.0:22")
	listen(t, "tcp", "[::]:80")
	listen(t, "tcp4", "127.0.0.1:3306")
	listen(t, "tcp4", "192.0.2.1:8080")
	listen(t, "tcp6", "[2001:db8:1::1]:9090")
	listen(t, "tcp6", "[::]:9091")
}

// openPorts are the ports of an address of the host that are said to be reachable
// from a client on h0.
func openPorts(t *testing.T, h *exposure.Host, snap *host.Snapshot, from, to netip.Addr) []int {
	t.Helper()
	open := map[int]bool{}
	reached := func(r exposure.Reach) bool {
		if len(r.Undecided) > 0 {
			t.Errorf("undecided: %q", r.Undecided)
		}
		return slices.ContainsFunc(r.From, func(s firewall.Sources) bool {
			in := func(ps []netip.Prefix) bool {
				return slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Contains(from) })
			}
			return s.Interface == "h0" && !s.Group.IsValid() && in(s.Sources) && !in(s.Except)
		})
	}
	for _, s := range h.Sockets() {
		takes := s.Takes4
		if from.Is6() {
			takes = s.Takes6
		}
		bound := s.Local.Addr()
		if takes && s.Proto == "tcp" && (bound.IsUnspecified() || bound.Unmap() == to) && reached(s.Reach) {
			open[int(s.Local.Port())] = true
		}
	}
	forwards, err := h.Forwards()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range forwards {
		if (f.Family == 6) == from.Is6() && f.Protocol == tcp && reached(f.Reach) {
			open[int(f.Lo)] = true
		}
	}
	var out []int
	for p := range strings.SplitSeq(scanned, ",") {
		if n, _ := strconv.Atoi(p); open[n] {
			out = append(out, n)
		}
	}
	return out
}

var openRe = regexp.MustCompile(`(\d+)/open/tcp`)

// nmap returns the open ports that nmap finds.
func nmap(t *testing.T, from, to netip.Addr) []int {
	t.Helper()
	argv := []string{"nmap", "-n", "-Pn", "-sS", "-T5", "--max-retries", "1", "--max-rtt-timeout", "100ms", "-p", scanned, "-S", from.String(), "-e", "p0", "-oG", "-"}
	if to.Is6() {
		argv = append(argv, "-6")
	}
	var text string
	lab.In(t, "client", func() { text = lab.Run(t, append(argv, to.String())...) })
	var out []int
	for _, m := range openRe.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		out = append(out, n)
	}
	slices.Sort(out)
	if !strings.Contains(text, "Host: ") {
		t.Fatalf("nmap: %s", text)
	}
	return out
}
