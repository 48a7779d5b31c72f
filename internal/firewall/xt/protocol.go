package xt

import (
	"strconv"
	"strings"
)

// protocols are the names that iptables-save prints: those of /etc/protocols
// where the host has it. Names by which text may refer to them follow.
func protocols() map[string]uint8 {
	return map[string]uint8{
		"icmp": 1, "igmp": 2, "ggp": 3, "ipencap": 4, "st": 5, "tcp": 6, "egp": 8, "igp": 9, "pup": 12, "udp": 17, "hmp": 20,
		"xns-idp": 22, "rdp": 27, "iso-tp4": 29, "dccp": 33, "xtp": 36, "ddp": 37, "idpr-cmtp": 38, "ipv6": 41,
		"ipv6-route": 43, "ipv6-frag": 44, "idrp": 45, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "skip": 57,
		"ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "rspf": 73, "vmtp": 81, "eigrp": 88, "ospf": 89, "ax.25": 93,
		"ipip": 94, "etherip": 97, "encap": 98, "pim": 103, "ipcomp": 108, "vrrp": 112, "l2tp": 115, "isis": 124,
		"sctp": 132, "fc": 133, "mobility-header": 135, "udplite": 136, "mpls-in-ip": 137, "manet": 138, "hip": 139,
		"shim6": 140, "wesp": 141, "rohc": 142, "ethernet": 143,
	}
}

// protocolAliases are further spellings that iptables takes.
func protocolAliases() map[string]uint8 {
	return map[string]uint8{"all": 0, "ip": 0, "icmpv6": 58, "icmp6": 58, "mh": 135, "ipv6-mh": 135, "ipv6-auth": 51, "ipv6-crypt": 50, "udp-lite": 136, "dcap": 33}
}

// ProtocolName returns the name by which iptables-save prints a protocol, or its
// number.
func ProtocolName(n uint8) string {
	for name, m := range protocols() {
		if m == n {
			return name
		}
	}
	return strconv.Itoa(int(n))
}

// ProtocolNumber reads a protocol's name or number; 0 is any.
func ProtocolNumber(s string) (uint8, bool) {
	if n, err := parseNumber(s); err == nil {
		return uint8(n), n <= 255
	}
	s = strings.ToLower(s)
	if n, ok := protocols()[s]; ok {
		return n, true
	}
	n, ok := protocolAliases()[s]
	return n, ok
}

func (a *args) protocol(s string) uint8 {
	n, ok := ProtocolNumber(s)
	if !ok {
		a.fail("%q is not a protocol", s)
	}
	return n
}
