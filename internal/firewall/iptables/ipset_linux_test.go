package iptables_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"sekimori/internal/firewall"
	"sekimori/internal/lab"
)

// Commands and attributes of linux/netfilter/ipset/ip_set.h.
const (
	ipsetCreate, ipsetAdd                                  = 2, 9
	attrProtocol, attrName, attrType, attrRev, attrFam     = 1, 2, 3, 4, 5
	attrData                                               = 7
	attrIP, attrCIDR, attrPort, attrProto, attrFlags       = 1, 3, 4, 7, 8
	attrMark, attrIP2, attrCIDR2, attrIface, attrMember    = 10, 20, 21, 23, 18
	attrPortTo, attrIPTo, attrNetmask, attrSize, attrEther = 5, 2, 20, 23, 17
	flagNomatch, flagWildcard                              = 4, 128
)

// attribute builds struct nlattr. Numbers in ipset are in network order and say so.
func attribute(typ uint16, parts ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{0, 0}, typ)
	for _, p := range parts {
		b = append(b, p...)
	}
	binary.LittleEndian.PutUint16(b, uint16(len(b)))
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

const (
	nested   = 0x8000
	netOrder = 0x4000
)

func text(typ uint16, s string) []byte { return attribute(typ, []byte(s), []byte{0}) }
func byteOf(typ uint16, n byte) []byte { return attribute(typ, []byte{n}) }
func port(n uint16) []byte {
	return attribute(attrPort|netOrder, binary.BigEndian.AppendUint16(nil, n))
}

func number(typ uint16, n uint32) []byte {
	return attribute(typ|netOrder, binary.BigEndian.AppendUint32(nil, n))
}

func address(typ uint16, s string) []byte {
	a := netip.MustParseAddr(s)
	inner := uint16(1)
	if a.Is6() {
		inner = 2
	}
	return attribute(typ|nested, attribute(inner|netOrder, a.AsSlice()))
}

// ipsetCommand sends one command and wants its success.
func ipsetCommand(t *testing.T, cmd uint16, parts ...[]byte) error {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	b := make([]byte, 20)
	binary.LittleEndian.PutUint16(b[4:], 6<<8|cmd)
	binary.LittleEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_EXCL)
	b[16] = unix.AF_INET
	b = append(b, byteOf(attrProtocol, 7)...)
	for _, p := range parts {
		b = append(b, p...)
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil || n < 20 {
		t.Fatalf("answer of %d bytes: %v", n, err)
	}
	if errno := int32(binary.LittleEndian.Uint32(buf[16:])); errno != 0 {
		return fmt.Errorf("ipset command %d: error %d", cmd, -errno)
	}
	return nil
}

// testSet is a set of one type, and the elements that must come back.
type testSet struct {
	name, typ string
	rev, fam  byte
	head      [][]byte
	adds      [][]byte
	want      []string // elements, a line each, most specific first where that counts
}

func testSets() []testSet {
	join := func(parts ...[]byte) []byte {
		var b []byte
		for _, p := range parts {
			b = append(b, p...)
		}
		return b
	}
	const tcp, icmp = 6, 1
	return []testSet{
		{"ip4", "hash:ip", 0, 2, nil, [][]byte{address(attrIP, "192.0.2.1"), address(attrIP, "198.51.100.7")}, []string{"192.0.2.1", "198.51.100.7"}},
		{"ip6", "hash:ip", 0, 10, nil, [][]byte{address(attrIP, "2001:db8::1")}, []string{"2001:db8::1"}},
		{"masked", "hash:ip", 0, 2, [][]byte{byteOf(attrNetmask, 24)}, [][]byte{address(attrIP, "192.0.2.77")}, []string{"192.0.2.0-192.0.2.255"}},
		{
			"net4", "hash:net", 2, 2, nil,
			[][]byte{
				join(address(attrIP, "10.0.0.0"), byteOf(attrCIDR, 8)),
				join(address(attrIP, "10.1.0.0"), byteOf(attrCIDR, 16), number(attrFlags, flagNomatch)),
				join(address(attrIP, "10.1.2.0"), byteOf(attrCIDR, 24)),
			},
			[]string{"10.1.2.0-10.1.2.255", "! 10.1.0.0-10.1.255.255", "10.0.0.0-10.255.255.255"},
		},
		{
			"ipport", "hash:ip,port", 1, 2, nil,
			[][]byte{
				join(address(attrIP, "192.0.2.1"), port(80), byteOf(attrProto, tcp)),
				join(address(attrIP, "192.0.2.2"), port(0x0800), byteOf(attrProto, icmp)),
			},
			[]string{"192.0.2.1 06 0050", "192.0.2.2 01 0800"},
		},
		{
			"netport", "hash:net,port", 1, 10, nil,
			[][]byte{join(address(attrIP, "2001:db8::"), byteOf(attrCIDR, 32), port(53), byteOf(attrProto, 17))},
			[]string{"2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 11 0035"},
		},
		{
			"netiface", "hash:net,iface", 0, 2, nil,
			[][]byte{join(address(attrIP, "10.0.0.0"), byteOf(attrCIDR, 8), text(attrIface, "eth0"))},
			[]string{"10.0.0.0-10.255.255.255 eth0"},
		},
		{
			"ipportip", "hash:ip,port,ip", 1, 2, nil,
			[][]byte{join(address(attrIP, "192.0.2.1"), port(80), byteOf(attrProto, tcp), address(attrIP2, "198.51.100.1"))},
			[]string{"192.0.2.1 06 0050 198.51.100.1"},
		},
		{
			"ipportnet", "hash:ip,port,net", 1, 2, nil,
			[][]byte{join(address(attrIP, "192.0.2.1"), port(80), byteOf(attrProto, tcp), address(attrIP2, "198.51.100.0"), byteOf(attrCIDR2, 24))},
			[]string{"192.0.2.1 06 0050 198.51.100.0-198.51.100.255"},
		},
		{
			"netnet", "hash:net,net", 0, 2, nil,
			[][]byte{join(address(attrIP, "10.0.0.0"), byteOf(attrCIDR, 8), address(attrIP2, "198.51.100.0"), byteOf(attrCIDR2, 24))},
			[]string{"10.0.0.0-10.255.255.255 198.51.100.0-198.51.100.255"},
		},
		{
			"netportnet", "hash:net,port,net", 0, 2, nil,
			[][]byte{join(address(attrIP, "10.0.0.0"), byteOf(attrCIDR, 8), port(5), byteOf(attrProto, 17), address(attrIP2, "198.51.100.0"), byteOf(attrCIDR2, 24))},
			[]string{"10.0.0.0-10.255.255.255 11 0005 198.51.100.0-198.51.100.255"},
		},
		{"mac", "hash:mac", 0, 0, nil, [][]byte{attribute(attrEther, []byte{0, 17, 34, 51, 68, 85})}, []string{"001122334455"}},
		{
			"ipmac", "hash:ip,mac", 0, 2, nil,
			[][]byte{join(address(attrIP, "192.0.2.1"), attribute(attrEther, []byte{0, 17, 34, 51, 68, 85}))},
			[]string{"192.0.2.1 001122334455"},
		},
		{"ipmark", "hash:ip,mark", 0, 2, nil, [][]byte{join(address(attrIP, "192.0.2.1"), number(attrMark, 5))}, []string{"192.0.2.1 00000005"}},
		{
			"bitip", "bitmap:ip", 0, 2,
			[][]byte{address(attrIP, "10.0.0.0"), byteOf(attrCIDR, 16), byteOf(attrNetmask, 24)},
			[][]byte{address(attrIP, "10.0.5.0")},
			[]string{"10.0.5.0-10.0.5.255"},
		},
		{
			"bitipmac", "bitmap:ip,mac", 0, 2,
			[][]byte{address(attrIP, "10.0.0.0"), byteOf(attrCIDR, 24)},
			[][]byte{join(address(attrIP, "10.0.0.5"), attribute(attrEther, []byte{0, 17, 34, 51, 68, 85}))},
			[]string{"10.0.0.5 001122334455"},
		},
		{
			"bitport", "bitmap:port", 0, 0,
			[][]byte{port(0), attribute(attrPortTo|netOrder, []byte{0xff, 0xff})},
			[][]byte{port(22), port(443)},
			[]string{"0016", "01bb"},
		},
		{"list", "list:set", 0, 0, [][]byte{number(attrSize, 8)}, [][]byte{text(attrMember, "ip4"), text(attrMember, "net4")}, nil},
	}
}

// makeSets makes the sets that the kernel has types for.
func makeSets(t *testing.T) map[string]testSet {
	t.Helper()
	made := map[string]testSet{}
	for _, s := range testSets() {
		var head []byte
		for _, h := range s.head {
			head = append(head, h...)
		}
		err := ipsetCommand(t, ipsetCreate, text(attrName, s.name), text(attrType, s.typ), byteOf(attrRev, s.rev), byteOf(attrFam, s.fam), attribute(attrData|nested, head))
		if err != nil {
			t.Logf("not on this kernel: %s: %v", s.typ, err)
			continue
		}
		made[s.name] = s
		for i, a := range s.adds {
			if err := ipsetCommand(t, ipsetAdd, text(attrName, s.name), attribute(attrData|nested, a)); err != nil {
				t.Fatalf("%s: element %d: %v", s.name, i, err)
			}
		}
	}
	return made
}

// showElem prints an element by the parts of its set's type.
func showElem(typ string, e firewall.Elem) string {
	_, list, _ := strings.Cut(typ, ":")
	var out []string
	for i, part := range partsOf(typ, list) {
		show := func(b []byte) string {
			switch part {
			case "ip", "net":
				a, _ := netip.AddrFromSlice(b)
				return a.String()
			case "iface":
				return strings.TrimRight(string(b), "\x00")
			}
			return fmt.Sprintf("%x", b)
		}
		lo, hi := show(e.Key[i].Lo), show(e.Key[i].Hi)
		if lo != hi {
			lo += "-" + hi
		}
		out = append(out, lo)
	}
	if e.Negate {
		out = append([]string{"!"}, out...)
	}
	return strings.Join(out, " ")
}

// partsOf are the fields of a type: a port has its protocol before it.
func partsOf(typ, list string) []string {
	var parts []string
	for p := range strings.SplitSeq(list, ",") {
		if p == "port" && typ != "bitmap:port" {
			parts = append(parts, "proto")
		}
		parts = append(parts, p)
	}
	return parts
}

// TestIPSets makes a set of each type that the kernel has, a rule that asks each,
// and reads both back through either backend.
func TestIPSets(t *testing.T) {
	for _, f := range families() {
		t.Run(f.command, func(t *testing.T) {
			lab.Enter(t, func(t *testing.T) {
				sets := makeSets(t)
				if len(sets) == 0 {
					lab.Unavailable(t, "this kernel has no ipset")
				}
				rules := setRules(f.family, sets)
				for _, backend := range []string{"legacy", "nft"} {
					restore := f.command + "-" + backend + "-restore"
					lab.LoadIPTables(t, restore, restoreText(rules))
					got := kernelRules(t, f.family)
					compareText(t, got, lab.Run(t, f.command+"-"+backend+"-save"))
					checkSetRules(t, findTable(t, got, "filter"), sets)
					lab.LoadIPTables(t, restore, restoreText(nil))
				}
			})
		})
	}
}

// setRules asks every set that the family can have, in every way.
func setRules(f firewall.Family, sets map[string]testSet) []extensionRule {
	var rules []extensionRule
	for _, s := range testSets() {
		if _, ok := sets[s.name]; ok && (s.fam == 0 || firewall.Family(s.fam) == f) {
			rules = append(rules, extensionRule{"filter", "INPUT", "-m set --match-set " + s.name + " src,dst,src -j DROP"})
		}
	}
	if f == firewall.IPv6 {
		return append(rules, extensionRule{"filter", "INPUT", "-m set ! --match-set ip6 dst -j DROP"})
	}
	return append(rules,
		extensionRule{"filter", "INPUT", "-m set ! --match-set ip4 dst -j DROP"},
		extensionRule{"filter", "INPUT", "-m set --match-set net4 src --return-nomatch -j DROP"},
		extensionRule{"filter", "INPUT", "-m set --match-set ip4 src ! --update-counters --packets-gt 5 ! --bytes-eq 7 -j DROP"},
		extensionRule{"filter", "INPUT", "-j SET --add-set ipport src,src --exist --timeout 60"},
		extensionRule{"filter", "INPUT", "-j SET --del-set net4 src"},
		extensionRule{"mangle", "PREROUTING", "-j SET --map-set ip4 src --map-mark"},
	)
}

// checkSetRules compares the elements of the sets that rules look at, and whether
// they are known to change.
func checkSetRules(t *testing.T, table *firewall.Table, sets map[string]testSet) {
	t.Helper()
	seen := 0
	learning := map[string]bool{"ipport": table.Family == firewall.IPv4, "net4": table.Family == firewall.IPv4}
	for _, r := range table.Chain("INPUT").Rules {
		_, rest, ok := strings.Cut(r.Text, " --match-set ")
		name, dirs, _ := strings.Cut(rest, " ")
		if !ok || !strings.HasPrefix(dirs, "src,dst,src ") {
			continue
		}
		seen++
		s := sets[name]
		found := lookups(r.Steps[0].(firewall.Match).Cond)
		if s.typ == "list:set" {
			if want := map[firewall.Family]int{firewall.IPv4: 2, firewall.IPv6: 0}[table.Family]; len(found) != want {
				t.Errorf("%s: %d look-ups, not %d", r.Text, len(found), want)
			}
			continue
		}
		if len(found) == 0 {
			t.Errorf("%s: no look-up in %#v", r.Text, r.Steps)
			continue
		}
		set := found[0].Set
		var elems []string
		for _, e := range set.Elems {
			elems = append(elems, showElem(s.typ, e))
		}
		want := slices.Clone(s.want)
		if name != "net4" { // the order is the hash's
			slices.Sort(elems)
			slices.Sort(want)
		}
		if diff := cmp.Diff(want, elems); diff != "" {
			t.Errorf("%s: -want +got\n%s", r.Text, diff)
		}
		if set.Learns != learning[name] || set.Opaque != "" {
			t.Errorf("%s: learns %v, opaque %q", r.Text, set.Learns, set.Opaque)
		}
		if len(found[0].Key) != len(set.Fields) {
			t.Errorf("%s: a key of %d parts for %d fields", r.Text, len(found[0].Key), len(set.Fields))
		}
	}
	if seen < 3 {
		t.Errorf("%d sets were looked at", seen)
	}
}

// lookups finds the look-ups in a condition.
func lookups(c firewall.Cond) []firewall.Lookup {
	switch c := c.(type) {
	case firewall.Lookup:
		return []firewall.Lookup{c}
	case firewall.Total:
		return lookups(c.Of)
	case firewall.Not:
		return lookups(c.Of)
	case firewall.And:
		var out []firewall.Lookup
		for _, p := range c {
			out = append(out, lookups(p)...)
		}
		return out
	case firewall.Or:
		var out []firewall.Lookup
		for _, p := range c {
			out = append(out, lookups(p)...)
		}
		return out
	}
	return nil
}
