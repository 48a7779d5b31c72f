package observe_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/host"
	"sekimori/internal/lab"
	"sekimori/internal/observe"
)

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
	for _, s := range []string{
		"net/ipv4/ip_forward 1", "net/ipv4/conf/v0/rp_filter 2", "net/ipv4/conf/v0.5/route_localnet 1",
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
				var line strings.Builder
				line.WriteString(fmt.Sprintf("%s %s table %s metric %d src %s", r.Type, r.Dst, r.Table, r.Metric, r.Prefsrc))
				for _, h := range r.Nexthops {
					line.WriteString(fmt.Sprintf(" via %s%s dev %s weight %d", h.Gateway, h.Via.Host, h.Dev, h.Weight))
				}
				want = append(want, line.String())
			}
		}
		for _, r := range s.Routes {
			src := ""
			if r.PrefSrc.IsValid() {
				src = r.PrefSrc.String()
			}
			var line strings.Builder
			line.WriteString(fmt.Sprintf("%s %s table %d metric %d src %s", r.Type, r.Dst, r.Table, r.Metric, src))
			for _, h := range r.Hops {
				gw := ""
				if h.Gateway.IsValid() {
					gw = h.Gateway.String()
				}
				line.WriteString(fmt.Sprintf(" via %s dev %s weight %d", gw, names[h.Interface], h.Weight))
			}
			if len(r.Hops) == 0 {
				line.WriteString(" via  dev  weight 0")
			}
			got = append(got, line.String())
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
