package packet

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/near"
)

// named is a number and the word an administrator knows it by.
type named struct {
	number uint32
	name   string
}

// protocolNames are IANA protocol numbers under the names that iptables and nft
// use; the first name of a number is the one that is printed.
var protocolNames = []named{
	{1, "icmp"},
	{2, "igmp"},
	{4, "ipencap"},
	{6, "tcp"},
	{17, "udp"},
	{33, "dccp"},
	{41, "ipv6"},
	{47, "gre"},
	{50, "esp"},
	{51, "ah"},
	{58, "icmpv6"},
	{58, "ipv6-icmp"},
	{58, "icmp6"},
	{89, "ospf"},
	{103, "pim"},
	{108, "comp"},
	{112, "vrrp"},
	{115, "l2tp"},
	{132, "sctp"},
	{136, "udplite"},
}

// The protocols whose header this package reads.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// hasPorts tells whether SrcPort and DstPort are ports of that protocol.
func hasPorts(protocol uint32) bool {
	return slices.Contains([]uint32{protoTCP, protoUDP, 33, 132, 136}, protocol)
}

func isICMP(protocol uint32) bool { return protocol == protoICMP || protocol == protoICMPv6 }

// icmpTypes are the names of nft's icmp type.
var icmpTypes = []named{
	{0, "echo-reply"},
	{3, "destination-unreachable"},
	{4, "source-quench"},
	{5, "redirect"},
	{8, "echo-request"},
	{9, "router-advertisement"},
	{10, "router-solicitation"},
	{11, "time-exceeded"},
	{12, "parameter-problem"},
	{13, "timestamp-request"},
	{14, "timestamp-reply"},
	{15, "info-request"},
	{16, "info-reply"},
	{17, "address-mask-request"},
	{18, "address-mask-reply"},
}

// icmpv6Types are the names of nft's icmpv6 type.
var icmpv6Types = []named{
	{1, "destination-unreachable"},
	{2, "packet-too-big"},
	{3, "time-exceeded"},
	{4, "parameter-problem"},
	{128, "echo-request"},
	{129, "echo-reply"},
	{130, "mld-listener-query"},
	{131, "mld-listener-report"},
	{132, "mld-listener-done"},
	{133, "nd-router-solicit"},
	{134, "nd-router-advert"},
	{135, "nd-neighbor-solicit"},
	{136, "nd-neighbor-advert"},
	{137, "nd-redirect"},
	{138, "router-renumbering"},
	{141, "ind-neighbor-solicit"},
	{142, "ind-neighbor-advert"},
	{143, "mld2-listener-report"},
}

func typeNames(protocol uint32) []named {
	switch protocol {
	case protoICMP:
		return icmpTypes
	case protoICMPv6:
		return icmpv6Types
	}
	return nil
}

var stateNames = []named{
	{0, "new"}, {1, "established"}, {2, "related"}, {3, "invalid"}, {4, "untracked"},
}

// flagNames are the bits of byte 13 of the TCP header.
var flagNames = []named{
	{0x01, "fin"},
	{0x02, "syn"},
	{0x04, "rst"},
	{0x08, "psh"},
	{0x10, "ack"},
	{0x20, "urg"},
	{0x40, "ece"},
	{0x80, "cwr"},
}

// statusNames are the IPS_ bits of linux/netfilter/nf_conntrack_common.h.
var statusNames = []named{
	{0x0001, "expected"},
	{0x0002, "seen-reply"},
	{0x0004, "assured"},
	{0x0008, "confirmed"},
	{0x0010, "snat"},
	{0x0020, "dnat"},
	{0x0040, "seq-adjust"},
	{0x0080, "snat-done"},
	{0x0100, "dnat-done"},
	{0x0200, "dying"},
	{0x0400, "fixed-timeout"},
	{0x0800, "template"},
	{0x1000, "nat-clash"},
	{0x2000, "helper"},
	{0x4000, "offload"},
	{0x8000, "hw-offload"},
}

// addressTypeNames are the RTN_ constants of linux/rtnetlink.h.
var addressTypeNames = []named{
	{0, "unspec"},
	{1, "unicast"},
	{2, "local"},
	{3, "broadcast"},
	{4, "anycast"},
	{5, "multicast"},
	{6, "blackhole"},
	{7, "unreachable"},
	{8, "prohibit"},
	{9, "throw"},
	{10, "nat"},
	{11, "xresolve"},
}

// nameOf returns the first name of a number, or the number in decimal.
func nameOf(table []named, number uint32) string {
	if i := slices.IndexFunc(table, func(n named) bool { return n.number == number }); i >= 0 {
		return table[i].name
	}
	return strconv.FormatUint(uint64(number), 10)
}

func numberOf(table []named, name string) (uint32, bool) {
	i := slices.IndexFunc(table, func(n named) bool { return n.name == name })
	if i < 0 {
		return 0, false
	}
	return table[i].number, true
}

func namesIn(table []named) []string {
	names := make([]string, len(table))
	for i, n := range table {
		names[i] = n.name
	}
	return names
}

// bitList writes a number as the names of its bits, "none" for 0. The table has
// a name for every bit that the number can have.
func bitList(table []named, bits uint32) string {
	if bits == 0 {
		return "none"
	}
	var names []string
	for _, n := range table {
		if bits&n.number != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ",")
}

// nearest returns "; did you mean "…"?" if one of the words is close to what was
// written, and nothing otherwise.
func nearest(written string, words []string) string {
	best, at := 1+len(written)/3, ""
	for _, w := range words {
		if d := near.Distance(written, w); d <= best && (at == "" || d < best) {
			best, at = d, w
		}
	}
	if at == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", at)
}
