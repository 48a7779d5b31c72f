package iptables

import (
	"fmt"
	"strings"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// services are the alternatives of a rule's services. Either side makes a service
// hold for the source port as well ("--ports"); original speaks of the port that
// the sender wrote, before translation.
func (w *writer) services(ss []acl.Service, either string, original bool) axis {
	if len(ss) == 0 {
		return nil
	}
	a := axis{}
	ports := map[uint8][]acl.Service{}
	var order []uint8
	for _, s := range ss {
		if s.Family != 0 && (s.Family == packet.V6) != w.v6() {
			continue
		}
		switch {
		case s.Any:
			return nil
		case s.Protocol == 1 || s.Protocol == 58:
			a = append(a, w.icmp(s)...)
		case s.SrcLo != 0 || s.SrcHi != 0 || s.Lo == 0 && s.Hi == 0xffff:
			a = append(a, plainService(s))
		default:
			if ports[s.Protocol] == nil {
				order = append(order, s.Protocol)
			}
			ports[s.Protocol] = append(ports[s.Protocol], s)
		}
	}
	for _, proto := range order {
		a = append(a, w.ports(proto, ports[proto], either, original)...)
	}
	return a
}

// proto is how iptables-save prints a protocol.
func proto(n uint8) string {
	switch n {
	case 1:
		return "icmp"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 58:
		return "ipv6-icmp"
	case 132:
		return "sctp"
	}
	return fmt.Sprint(n)
}

func portText(lo, hi uint16) string {
	if lo == hi {
		return fmt.Sprint(lo)
	}
	return fmt.Sprintf("%d:%d", lo, hi)
}

// plainService is a protocol alone, or one with a source port.
func plainService(s acl.Service) string {
	text := "-p " + proto(s.Protocol)
	if s.SrcLo != 0 || s.SrcHi != 0 {
		text += " -m multiport --sports " + portText(s.SrcLo, s.SrcHi)
	}
	if s.Lo != 0 || s.Hi != 0xffff {
		text += " -m multiport --dports " + portText(s.Lo, s.Hi)
	}
	return text
}

// ports are services of one protocol with ports: fifteen in a match, a range counts
// for two.
func (w *writer) ports(p uint8, ss []acl.Service, either string, original bool) axis {
	var a axis
	head := "-p " + proto(p)
	if original {
		for _, s := range ss {
			a = append(a, fmt.Sprintf("%s -m conntrack --ctorigdstport %s", head, portText(s.Lo, s.Hi)))
		}
		return a
	}
	if len(ss) == 1 && either == "" && (p == 6 || p == 17) {
		return axis{fmt.Sprintf("%s -m %s --dport %s", head, proto(p), portText(ss[0].Lo, ss[0].Hi))}
	}
	option := "--dports "
	if either != "" {
		option = either + " "
	}
	var texts []string
	room := multiports
	flush := func() {
		if len(texts) > 0 {
			a = append(a, head+" -m multiport "+option+strings.Join(texts, ","))
		}
		texts, room = nil, multiports
	}
	for _, s := range ss {
		need := 1
		if s.Lo != s.Hi {
			need = 2
		}
		if room < need {
			flush()
		}
		room -= need
		texts = append(texts, portText(s.Lo, s.Hi))
	}
	flush()
	return a
}

// icmp are the types of a range of messages, each with one or with all codes.
func (w *writer) icmp(s acl.Service) axis {
	head, option := "-p icmp", " -m icmp --icmp-type "
	if s.Protocol == 58 {
		head, option = "-p ipv6-icmp", " -m icmp6 --icmpv6-type "
	}
	if s.Lo == 0 && s.Hi == 0xffff {
		return axis{head}
	}
	var a axis
	for n := int(s.Lo); n <= int(s.Hi); {
		if n&0xff == 0 && int(s.Hi)-n >= 0xff {
			a = append(a, fmt.Sprintf("%s%s%d", head, option, n>>8))
			n += 0x100
			continue
		}
		a = append(a, fmt.Sprintf("%s%s%d/%d", head, option, n>>8, n&0xff))
		n++
	}
	return a
}
