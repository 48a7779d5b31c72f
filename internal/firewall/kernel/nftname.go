package kernel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sekimori/internal/firewall"
)

// dataType says how nft prints a constant.
type dataType uint8

const (
	typeInteger dataType = iota
	typeHex
	typeIPv4
	typeIPv6
	typeEther
	typePort
	typeProto
	typeNFProto
	typeEtherType
	typeMark
	typeIfname
	typeIfindex
	typeCtState
	typeCtStatus
	typeCtDir
	typeTCPFlags
	typeICMP
	typeICMPv6
	typeICMPCode
	typeICMPv6Code
	typePktType
	typeDSCP
	typeECN
	typeFibType
	typeDay
	typeHour
	typeString
	typeBool
	typeARPOp
	typeClassid
	typeMillis
	typeDate
	typeIfType
	typeIGMP
	typeDCCP
	dataTypes
)

// format prints a number in network order, or a string.
func (t dataType) format(b []byte, n *nftables) string {
	switch t {
	case typeIPv4, typeIPv6:
		if a, ok := netip.AddrFromSlice(b); ok {
			return a.String()
		}
	case typeEther:
		parts := make([]string, len(b))
		for i, c := range b {
			parts[i] = fmt.Sprintf("%02x", c)
		}
		return strings.Join(parts, ":")
	case typeString, typeIfname:
		return strconv.Quote(strings.TrimRight(string(b), "\x00"))
	case typeHex:
		if len(b) <= 8 {
			return fmt.Sprintf("%#x", number(b))
		}
		return fmt.Sprintf("0x%x", b)
	}
	if len(b) > 8 {
		return fmt.Sprintf("0x%x", b)
	}
	v := number(b)
	if s := t.symbol(v, n); s != "" {
		return s
	}
	switch t {
	case typeMark, typeEtherType, typeTCPFlags, typeCtState, typeCtStatus, typeDSCP:
		return fmt.Sprintf("0x%0*x", 2*len(b), v)
	}
	return strconv.FormatUint(v, 10)
}

func number(b []byte) uint64 {
	var buf [8]byte
	copy(buf[8-len(b):], b)
	return binary.BigEndian.Uint64(buf[:])
}

// symbol returns nft's word for a number, "" if there is none.
func (t dataType) symbol(v uint64, n *nftables) string {
	switch t {
	case typeIfindex:
		if n == nil {
			return ""
		}
		for _, i := range n.ifaces {
			if uint64(i.Index) == v {
				return strconv.Quote(i.Name)
			}
		}
		return ""
	case typeTCPFlags, typeCtState, typeCtStatus:
		return flagWords(t, v)
	case typeHour:
		h := v % 86400
		s := fmt.Sprintf("%02d:%02d", h/3600, h/60%60)
		if h%60 != 0 {
			s += fmt.Sprintf(":%02d", h%60)
		}
		return strconv.Quote(s)
	case typeMillis:
		return duration(v)
	case typeDate:
		return time.Unix(0, int64(v)).UTC().Format(`"2006-01-02 15:04:05.999999999"`)
	case typeClassid:
		if v>>16 == 0 {
			return ""
		}
		return fmt.Sprintf("%x:%x", v>>16, v&0xffff)
	case typeDay:
		days := []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
		if v < 7 {
			return strconv.Quote(days[v])
		}
		return ""
	}
	if n == nil {
		return t.words()[v]
	}
	if n.words[t] == nil {
		n.words[t] = t.words()
	}
	return n.words[t][v]
}

// words are the symbolic constants of a type (nft's datatype.c, proto.c, ct.c,
// fib.c, meta.c).
func (t dataType) words() map[uint64]string {
	switch t {
	case typeProto:
		return map[uint64]string{1: "icmp", 2: "igmp", 4: "ipencap", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah", 58: "ipv6-icmp", 89: "ospf", 103: "pim", 108: "comp", 112: "vrrp", 132: "sctp", 136: "udplite"}
	case typeNFProto:
		return map[uint64]string{2: "ipv4", 10: "ipv6"}
	case typeEtherType:
		return map[uint64]string{0x0800: "ip", 0x0806: "arp", 0x86dd: "ip6", 0x8100: "8021q", 0x88a8: "8021ad"}
	case typeCtDir:
		return map[uint64]string{0: "original", 1: "reply"}
	case typeICMP:
		return map[uint64]string{0: "echo-reply", 3: "destination-unreachable", 4: "source-quench", 5: "redirect", 8: "echo-request", 9: "router-advertisement", 10: "router-solicitation", 11: "time-exceeded", 12: "parameter-problem", 13: "timestamp-request", 14: "timestamp-reply", 15: "info-request", 16: "info-reply", 17: "address-mask-request", 18: "address-mask-reply"}
	case typeICMPv6:
		return map[uint64]string{1: "destination-unreachable", 2: "packet-too-big", 3: "time-exceeded", 4: "parameter-problem", 128: "echo-request", 129: "echo-reply", 130: "mld-listener-query", 131: "mld-listener-report", 132: "mld-listener-done", 133: "nd-router-solicit", 134: "nd-router-advert", 135: "nd-neighbor-solicit", 136: "nd-neighbor-advert", 137: "nd-redirect", 138: "router-renumbering", 141: "ind-neighbor-solicit", 142: "ind-neighbor-advert", 143: "mld2-listener-report"}
	case typeICMPCode:
		return map[uint64]string{0: "net-unreachable", 1: "host-unreachable", 2: "prot-unreachable", 3: "port-unreachable", 4: "frag-needed", 9: "net-prohibited", 10: "host-prohibited", 13: "admin-prohibited"}
	case typeICMPv6Code:
		return map[uint64]string{0: "no-route", 1: "admin-prohibited", 3: "addr-unreachable", 4: "port-unreachable", 5: "policy-fail", 6: "reject-route"}
	case typePktType:
		return map[uint64]string{0: "host", 1: "broadcast", 2: "multicast", 3: "other"}
	case typeDSCP:
		return map[uint64]string{0: "cs0", 8: "cs1", 16: "cs2", 24: "cs3", 32: "cs4", 40: "cs5", 48: "cs6", 56: "cs7", 1: "lephb", 44: "va", 46: "ef", 10: "af11", 12: "af12", 14: "af13", 18: "af21", 20: "af22", 22: "af23", 26: "af31", 28: "af32", 30: "af33", 34: "af41", 36: "af42", 38: "af43"}
	case typeECN:
		return map[uint64]string{0: "not-ect", 1: "ect1", 2: "ect0", 3: "ce"}
	case typeFibType:
		return map[uint64]string{0: "unspec", 1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
	case typeBool:
		return map[uint64]string{0: "missing", 1: "exists"}
	case typeIGMP:
		return map[uint64]string{17: "membership-query", 18: "membership-report-v1", 22: "membership-report-v2", 34: "membership-report-v3", 23: "leave-group"}
	case typeDCCP:
		return map[uint64]string{0: "request", 1: "response", 2: "data", 3: "ack", 4: "dataack", 5: "closereq", 6: "close", 7: "reset", 8: "sync", 9: "syncack"}
	case typeIfType:
		return map[uint64]string{1: "ether", 512: "ppp", 768: "ipip", 769: "ipip6", 772: "loopback", 776: "sit", 778: "ipgre"}
	case typeARPOp:
		return map[uint64]string{1: "request", 2: "reply", 3: "rrequest", 4: "rreply", 8: "inrequest", 9: "inreply", 10: "nak"}
	}
	return nil
}

// flagWords returns the names of the bits of a mask, "" if one has none.
func flagWords(t dataType, v uint64) string {
	var names []string
	switch t {
	case typeTCPFlags:
		names = []string{"fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"}
	case typeCtState:
		names = []string{"invalid", "established", "related", "new", "", "", "untracked"}
	case typeCtStatus:
		names = []string{"expected", "seen-reply", "assured", "confirmed", "snat", "dnat", "", "", "", "dying"}
	}
	s := ""
	for i, n := range names {
		if n == "" || v>>i&1 == 0 {
			continue
		}
		if s != "" {
			s += ","
		}
		s += n
		v &^= 1 << i
	}
	if v != 0 {
		return ""
	}
	return s
}

// headerField is a field of a packet header, in bits.
type headerField struct {
	name string
	off  int
	len  int
	typ  dataType
}

// headerFields returns the fields of a header as far as the protocol is known.
func headerFields(f firewall.Field, l3 firewall.Family, l4 int) (string, []headerField) {
	switch f {
	case firewall.FieldLink:
		return "ether ", []headerField{{"daddr", 0, 48, typeEther}, {"saddr", 48, 48, typeEther}, {"type", 96, 16, typeEtherType}}
	case firewall.FieldNetwork:
		switch l3 {
		case firewall.IPv4:
			return "ip ", []headerField{
				{"version", 0, 4, typeInteger},
				{"hdrlength", 4, 4, typeInteger},
				{"dscp", 8, 6, typeDSCP},
				{"ecn", 14, 2, typeECN},
				{"length", 16, 16, typeInteger},
				{"id", 32, 16, typeInteger},
				{"frag-off", 48, 16, typeHex},
				{"ttl", 64, 8, typeInteger},
				{"protocol", 72, 8, typeProto},
				{"checksum", 80, 16, typeInteger},
				{"saddr", 96, 32, typeIPv4},
				{"daddr", 128, 32, typeIPv4},
			}
		case firewall.IPv6:
			return "ip6 ", []headerField{
				{"version", 0, 4, typeInteger},
				{"dscp", 4, 6, typeDSCP},
				{"ecn", 10, 2, typeECN},
				{"flowlabel", 12, 20, typeInteger},
				{"length", 32, 16, typeInteger},
				{"nexthdr", 48, 8, typeProto},
				{"hoplimit", 56, 8, typeInteger},
				{"saddr", 64, 128, typeIPv6},
				{"daddr", 192, 128, typeIPv6},
			}
		case firewall.ARP:
			return "arp ", []headerField{
				{"htype", 0, 16, typeInteger},
				{"ptype", 16, 16, typeEtherType},
				{"hlen", 32, 8, typeInteger},
				{"plen", 40, 8, typeInteger},
				{"operation", 48, 16, typeARPOp},
				{"saddr ether", 64, 48, typeEther},
				{"saddr ip", 112, 32, typeIPv4},
				{"daddr ether", 144, 48, typeEther},
				{"daddr ip", 192, 32, typeIPv4},
			}
		}
	case firewall.FieldTransport:
		return transportFields(l4)
	}
	return "", nil
}

func transportFields(l4 int) (string, []headerField) {
	ports := []headerField{{"sport", 0, 16, typePort}, {"dport", 16, 16, typePort}}
	switch l4 {
	case 6:
		return "tcp ", append(ports, []headerField{
			{"sequence", 32, 32, typeInteger},
			{"ackseq", 64, 32, typeInteger},
			{"doff", 96, 4, typeInteger},
			{"reserved", 100, 4, typeInteger},
			{"flags", 104, 8, typeTCPFlags},
			{"window", 112, 16, typeInteger},
			{"checksum", 128, 16, typeInteger},
			{"urgptr", 144, 16, typeInteger},
		}...)
	case 17:
		return "udp ", append(ports, headerField{"length", 32, 16, typeInteger}, headerField{"checksum", 48, 16, typeInteger})
	case 136:
		return "udplite ", append(ports, headerField{"csumcov", 32, 16, typeInteger}, headerField{"checksum", 48, 16, typeInteger})
	case 132:
		return "sctp ", append(ports, headerField{"vtag", 32, 32, typeInteger}, headerField{"checksum", 64, 32, typeInteger})
	case 33:
		return "dccp ", append(ports, headerField{"type", 67, 4, typeDCCP})
	case 1:
		return "icmp ", []headerField{{"type", 0, 8, typeICMP}, {"code", 8, 8, typeICMPCode}, {"checksum", 16, 16, typeInteger}, {"id", 32, 16, typeInteger}, {"sequence", 48, 16, typeInteger}}
	case 58:
		return "icmpv6 ", []headerField{{"type", 0, 8, typeICMPv6}, {"code", 8, 8, typeICMPv6Code}, {"checksum", 16, 16, typeInteger}, {"id", 32, 16, typeInteger}, {"sequence", 48, 16, typeInteger}}
	case 2:
		return "igmp ", []headerField{{"type", 0, 8, typeIGMP}, {"mrt", 8, 8, typeInteger}, {"checksum", 16, 16, typeInteger}, {"group", 32, 32, typeIPv4}}
	case 51:
		return "ah ", []headerField{{"nexthdr", 0, 8, typeProto}, {"hdrlength", 8, 8, typeInteger}, {"reserved", 16, 16, typeInteger}, {"spi", 32, 32, typeInteger}, {"sequence", 64, 32, typeInteger}}
	case 108:
		return "comp ", []headerField{{"nexthdr", 0, 8, typeProto}, {"flags", 8, 8, typeHex}, {"cpi", 16, 16, typeInteger}}
	case 0:
		return "th ", ports
	case 50:
		return "esp ", []headerField{{"spi", 0, 32, typeInteger}, {"sequence", 32, 32, typeInteger}}
	}
	return "", nil
}

// fieldType returns how nft prints the value of a field that is no header, and
// what it calls it.
func fieldType(name string) dataType {
	switch name {
	case "meta protocol":
		return typeEtherType
	case "meta l4proto", "ct protocol":
		return typeProto
	case "meta nfproto", "ct l3proto":
		return typeNFProto
	case "meta mark", "ct mark", "socket mark":
		return typeMark
	case "iif", "oif", "meta iif", "meta oif", "meta sdif":
		return typeIfindex
	case "iifname", "oifname", "meta iifname", "meta oifname", "meta sdifname", "meta ibrname", "meta obrname", "meta iifkind", "meta oifkind":
		return typeIfname
	case "ct state":
		return typeCtState
	case "ct status":
		return typeCtStatus
	case "ct direction":
		return typeCtDir
	case "meta pkttype":
		return typePktType
	case "meta ipsec", "rt ipsec", "tunnel path":
		return typeBool
	case "meta day":
		return typeDay
	case "meta hour":
		return typeHour
	case "meta priority", "rt classid", "meta rtclassid":
		return typeClassid
	case "ct expiration":
		return typeMillis
	case "meta time":
		return typeDate
	case "meta iiftype", "meta oiftype":
		return typeIfType
	case "ct helper", "osf name", "osf version":
		return typeString
	case "ct original proto-src", "ct original proto-dst", "ct reply proto-src", "ct reply proto-dst":
		return typePort
	}
	return addressType(name)
}

func addressType(name string) dataType {
	switch {
	case strings.HasSuffix(name, " ip saddr"), strings.HasSuffix(name, " ip daddr"), strings.HasSuffix(name, "ip nexthop"):
		return typeIPv4
	case strings.HasSuffix(name, " ip6 saddr"), strings.HasSuffix(name, " ip6 daddr"), strings.HasSuffix(name, "ip6 nexthop"):
		return typeIPv6
	case strings.HasPrefix(name, "fib ") && strings.HasSuffix(name, " type"):
		return typeFibType
	case strings.HasPrefix(name, "fib ") && strings.HasSuffix(name, " oif"):
		return typeIfindex
	case strings.HasPrefix(name, "fib "):
		return typeIfname
	case strings.HasSuffix(name, " nexthdr"):
		return typeProto
	case strings.HasSuffix(name, " spi"):
		return typeHex
	}
	return typeInteger
}
