package xt

import (
	"strconv"
	"strings"
)

// ProtocolName returns the name by which iptables-save prints a protocol, that of
// /etc/protocols, or its number.
func ProtocolName(n uint8) string {
	switch n {
	case 1:
		return "icmp"
	case 2:
		return "igmp"
	case 3:
		return "ggp"
	case 4:
		return "ipencap"
	case 5:
		return "st"
	case 6:
		return "tcp"
	case 8:
		return "egp"
	case 9:
		return "igp"
	case 12:
		return "pup"
	case 17:
		return "udp"
	case 20:
		return "hmp"
	case 22:
		return "xns-idp"
	case 27:
		return "rdp"
	case 29:
		return "iso-tp4"
	case 33:
		return "dccp"
	case 36:
		return "xtp"
	case 37:
		return "ddp"
	case 38:
		return "idpr-cmtp"
	case 41:
		return "ipv6"
	case 43:
		return "ipv6-route"
	case 44:
		return "ipv6-frag"
	case 45:
		return "idrp"
	case 46:
		return "rsvp"
	case 47:
		return "gre"
	case 50:
		return "esp"
	case 51:
		return "ah"
	case 57:
		return "skip"
	case 58:
		return "ipv6-icmp"
	case 59:
		return "ipv6-nonxt"
	case 60:
		return "ipv6-opts"
	case 73:
		return "rspf"
	case 81:
		return "vmtp"
	case 88:
		return "eigrp"
	case 89:
		return "ospf"
	case 93:
		return "ax.25"
	case 94:
		return "ipip"
	case 97:
		return "etherip"
	case 98:
		return "encap"
	case 103:
		return "pim"
	case 108:
		return "ipcomp"
	case 112:
		return "vrrp"
	case 115:
		return "l2tp"
	case 124:
		return "isis"
	case 132:
		return "sctp"
	case 133:
		return "fc"
	case 135:
		return "mobility-header"
	case 136:
		return "udplite"
	case 137:
		return "mpls-in-ip"
	case 138:
		return "manet"
	case 139:
		return "hip"
	case 140:
		return "shim6"
	case 141:
		return "wesp"
	case 142:
		return "rohc"
	case 143:
		return "ethernet"
	}
	return strconv.Itoa(int(n))
}

// ProtocolNumber reads a protocol's name or number, in any spelling that iptables
// takes; 0 is any.
func ProtocolNumber(s string) (uint8, bool) {
	if n, err := parseNumber(s); err == nil {
		return uint8(n), n <= 255
	}
	switch strings.ToLower(s) {
	case "all", "ip":
		return 0, true
	case "icmp":
		return 1, true
	case "igmp":
		return 2, true
	case "ggp":
		return 3, true
	case "ipencap":
		return 4, true
	case "st":
		return 5, true
	case "tcp":
		return 6, true
	case "egp":
		return 8, true
	case "igp":
		return 9, true
	case "pup":
		return 12, true
	case "udp":
		return 17, true
	case "hmp":
		return 20, true
	case "xns-idp":
		return 22, true
	case "rdp":
		return 27, true
	case "iso-tp4":
		return 29, true
	case "dccp":
		return 33, true
	case "xtp":
		return 36, true
	case "ddp":
		return 37, true
	case "idpr-cmtp":
		return 38, true
	case "ipv6":
		return 41, true
	case "ipv6-route":
		return 43, true
	case "ipv6-frag":
		return 44, true
	case "idrp":
		return 45, true
	case "rsvp":
		return 46, true
	case "gre":
		return 47, true
	case "esp", "ipv6-crypt":
		return 50, true
	case "ah", "ipv6-auth":
		return 51, true
	case "skip":
		return 57, true
	case "ipv6-icmp", "icmpv6", "icmp6":
		return 58, true
	case "ipv6-nonxt":
		return 59, true
	case "ipv6-opts":
		return 60, true
	case "rspf":
		return 73, true
	case "vmtp":
		return 81, true
	case "eigrp":
		return 88, true
	case "ospf":
		return 89, true
	case "ax.25":
		return 93, true
	case "ipip":
		return 94, true
	case "etherip":
		return 97, true
	case "encap":
		return 98, true
	case "pim":
		return 103, true
	case "ipcomp":
		return 108, true
	case "vrrp":
		return 112, true
	case "l2tp":
		return 115, true
	case "isis":
		return 124, true
	case "sctp":
		return 132, true
	case "fc":
		return 133, true
	case "mobility-header", "mh", "ipv6-mh":
		return 135, true
	case "udplite", "udp-lite":
		return 136, true
	case "mpls-in-ip":
		return 137, true
	case "manet":
		return 138, true
	case "hip":
		return 139, true
	case "shim6":
		return 140, true
	case "wesp":
		return 141, true
	case "rohc":
		return 142, true
	case "ethernet":
		return 143, true
	}
	return 0, false
}

func (a *args) protocol(s string) uint8 {
	n, ok := ProtocolNumber(s)
	if !ok {
		a.fail("%q is not a protocol", s)
	}
	return n
}
