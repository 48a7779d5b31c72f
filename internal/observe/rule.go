package observe

import (
	"fmt"
	"net/netip"
	"strconv"

	"sekimori/internal/host"
)

// decodeRule decodes a RTM_NEWRULE message: struct fib_rule_hdr and attributes.
func decodeRule(b []byte) (r host.RouteRule, ok bool, err error) {
	if len(b) < 12 {
		return r, false, fmt.Errorf("rule: %w", errShort)
	}
	if err := checkAttrs(b[12:]); err != nil {
		return r, false, fmt.Errorf("rule: %w", err)
	}
	family := b[0]
	if family != afInet && family != afInet6 {
		return r, false, nil
	}
	const invert = 0x2 // FIB_RULE_INVERT
	r.Family, r.Table, r.Action = familyNumber(family), uint32(b[4]), ruleAction(b[7])
	r.Invert, r.SuppressPrefix = u32(b[8:])&invert != 0, -1
	if b[1] != 0 {
		r.Dst = netip.PrefixFrom(unspecified(family), int(b[1]))
	}
	if b[2] != 0 {
		r.Src = netip.PrefixFrom(unspecified(family), int(b[2]))
	}
	if b[3] != 0 {
		r.Other = append(r.Other, fmt.Sprintf("tos %#x", b[3]))
	}
	for typ, v := range attrs(b[12:]) {
		switch typ {
		case fraDst:
			r.Dst = netip.PrefixFrom(addr(v), int(b[1]))
		case fraSrc:
			r.Src = netip.PrefixFrom(addr(v), int(b[2]))
		case fraIifname:
			r.IIF = text(v)
		case fraOifname:
			r.OIF = text(v)
		case fraGoto:
			r.Goto = u32(v)
		case fraPriority:
			r.Priority = u32(v)
		case fraFwmark:
			r.Mark = u32(v)
		case fraFwmask:
			r.Mask = u32(v)
		case fraTable:
			r.Table = u32(v)
		case fraSuppressPrefixlen:
			r.SuppressPrefix = int(int32(u32(v)))
		case fraProtocol, fraPad:
		default:
			if s := ruleCondition(typ, v); s != "" {
				r.Other = append(r.Other, s)
			}
		}
	}
	// A rule without a mark may still carry the mask.
	if r.Mark == 0 && r.Mask == 0xffffffff {
		r.Mask = 0
	}
	if r.Dst != (netip.Prefix{}) && !r.Dst.IsValid() || r.Src != (netip.Prefix{}) && !r.Src.IsValid() {
		return r, false, fmt.Errorf("rule: family %d to /%d from /%d", family, b[1], b[2])
	}
	return r, true, nil
}

func ruleAction(n uint8) string {
	switch n {
	case 1:
		return "lookup"
	case 2:
		return "goto"
	case 3:
		return "nop"
	case 6:
		return "blackhole"
	case 7:
		return "unreachable"
	case 8:
		return "prohibit"
	}
	return strconv.Itoa(int(n))
}

// ruleCondition names a condition of a rule beyond those decoded, "" where the
// attribute is none: what it does not know counts as a condition.
func ruleCondition(typ uint16, v []byte) string {
	switch typ {
	case 11: // FRA_FLOW: a realm, given by the rule
		return ""
	case 12:
		return "tun_id"
	case 13: // FRA_SUPPRESS_IFGROUP, -1 where not used
		if int32(u32(v)) == -1 {
			return ""
		}
		return fmt.Sprintf("suppress_ifgroup %d", u32(v))
	case 19:
		if u8(v) == 0 {
			return ""
		}
		return "l3mdev"
	case 20:
		if len(v) < 8 || u32(v) == 0 && u32(v[4:]) == 0xffffffff {
			return ""
		}
		return fmt.Sprintf("uidrange %d-%d", u32(v), u32(v[4:]))
	case 22:
		return fmt.Sprintf("ipproto %d", u8(v))
	case 23, 24:
		if len(v) < 4 {
			return fmt.Sprintf("condition %d", typ)
		}
		return fmt.Sprintf("%s %d-%d", map[uint16]string{23: "sport", 24: "dport"}[typ], u16(v), u16(v[2:]))
	}
	return fmt.Sprintf("condition %d", typ)
}

// decodeNeighbour decodes a RTM_NEWNEIGH message: struct ndmsg and attributes.
func decodeNeighbour(b []byte) (n host.Neighbour, ok bool, err error) {
	if len(b) < 12 {
		return n, false, fmt.Errorf("neighbour: %w", errShort)
	}
	if err := checkAttrs(b[12:]); err != nil {
		return n, false, fmt.Errorf("neighbour: %w", err)
	}
	n.Interface, n.State = int(u32(b[4:])), neighbourState(u16(b[8:]))
	n.Proxy, n.Router = b[10]&0x08 != 0, b[10]&0x80 != 0
	for typ, v := range attrs(b[12:]) {
		switch typ {
		case ndaDst:
			n.Addr = addr(v)
		case ndaLladdr:
			n.MAC = mac(v)
		}
	}
	return n, n.Addr.IsValid() && (b[0] == afInet || b[0] == afInet6), nil
}

func neighbourState(bits uint16) string {
	switch bits {
	case 0x00:
		return "none"
	case 0x01:
		return "incomplete"
	case 0x02:
		return "reachable"
	case 0x04:
		return "stale"
	case 0x08:
		return "delay"
	case 0x10:
		return "probe"
	case 0x20:
		return "failed"
	case 0x40:
		return "noarp"
	case 0x80:
		return "permanent"
	}
	return strconv.Itoa(int(bits))
}
