package ipfw

import (
	"fmt"
	"strings"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// service is one line's worth of services.
type service struct {
	family packet.Family
	proto  string // "" for every protocol
	source string // " 67" behind the source
	ports  string // " 22,80" behind the destination
	option string // " icmptypes 8"
}

// protocol is the first word of a line.
func (s service) protocol() string {
	if s.proto != "" {
		return s.proto
	}
	return "ip"
}

// services gathers services into lines: ports of one protocol together, and types
// of ICMP.
func services(ss []acl.Service) []service {
	if len(ss) == 0 {
		return []service{{}}
	}
	var out []service
	var ports []uint8
	dst := map[uint8][]string{}
	types := map[uint8][]string{}
	for _, s := range ss {
		whole := s.Lo == 0 && s.Hi == 0xffff
		switch {
		case s.Any:
			return []service{{family: s.Family}}
		case (s.Protocol == 1 || s.Protocol == 58) && !whole:
			for t := s.Lo >> 8; t <= s.Hi>>8; t++ {
				types[s.Protocol] = append(types[s.Protocol], fmt.Sprint(t))
			}
		case s.SrcLo != 0 || s.SrcHi != 0 || whole:
			one := service{family: s.Family, proto: protoName(s.Protocol)}
			if s.SrcLo != 0 || s.SrcHi != 0 {
				one.source = " " + portText(s.SrcLo, s.SrcHi)
			}
			if !whole {
				one.ports = " " + portText(s.Lo, s.Hi)
			}
			out = append(out, one)
		default:
			if dst[s.Protocol] == nil {
				ports = append(ports, s.Protocol)
			}
			dst[s.Protocol] = append(dst[s.Protocol], portText(s.Lo, s.Hi))
		}
	}
	const most = 15 // in one rule
	for _, p := range ports {
		for texts := dst[p]; len(texts) > 0; texts = texts[min(most, len(texts)):] {
			out = append(out, service{proto: protoName(p), ports: " " + strings.Join(texts[:min(most, len(texts))], ",")})
		}
	}
	if ts := types[1]; ts != nil {
		out = append(out, service{family: packet.V4, proto: "icmp", option: " icmptypes " + strings.Join(ts, ",")})
	}
	if ts := types[58]; ts != nil {
		out = append(out, service{family: packet.V6, proto: "ipv6-icmp", option: " icmp6types " + strings.Join(ts, ",")})
	}
	return out
}

func portText(lo, hi uint16) string {
	if lo == hi {
		return fmt.Sprint(lo)
	}
	return fmt.Sprintf("%d-%d", lo, hi)
}

func protoName(n uint8) string {
	switch n {
	case 1:
		return "icmp"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 58:
		return "ipv6-icmp"
	}
	return fmt.Sprint(n)
}
