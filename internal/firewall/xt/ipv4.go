package xt

import (
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// ipv4Matches are the matches that only IPv4 has.
func ipv4Matches() table {
	t := make(table)
	t.match("icmp", "icmp-type!", []int{4}, decodeICMP, func(a *args) firewall.Cond {
		return icmp(a, "icmp-type", icmpTypes())
	})
	t.match("ah", "ahspi!", []int{12}, func(_ *Context, d *data) []Option { return decodeSPIs(d, "ahspi") },
		func(a *args) firewall.Cond { return spi(a, "ahspi", 32) })
	t.match("ttl", "ttl-eq! ttl-lt ttl-gt ttl!=ttl-eq", []int{2},
		func(_ *Context, d *data) []Option { return decodeHops(d, "ttl") },
		func(a *args) firewall.Cond { return hops(a, a.c.network(64, 8), "TTL") })
	return t
}

func decodeICMP(_ *Context, d *data) []Option { return decodeICMPTypes(d, "icmp-type", true) }

// decodeICMPTypes reads struct ipt_icmp and struct ip6t_icmp, which are alike.
// Type 255 stands for any in IPv4 alone.
func decodeICMPTypes(d *data, name string, anyType bool) []Option {
	typ, lo, hi, not := d.u8(0), d.u8(1), d.u8(2), d.u8(3)
	d.flags("inversion flags", uint64(not), 1)
	if typ == 255 && anyType {
		return []Option{inv(not == 1, name, "any")}
	}
	text := fmt.Sprint(typ)
	switch {
	case lo == hi:
		text = fmt.Sprintf("%d/%d", typ, lo)
	case lo != 0 || hi != 255:
		text = fmt.Sprintf("%d/%d:%d", typ, lo, hi)
	}
	return []Option{inv(not == 1, name, text)}
}

// icmpName is a named type, and code where hi is not 255.
type icmpName struct {
	name   string
	typ    uint64
	lo, hi uint64
}

// icmpTypes are the names that libxt_icmp knows.
func icmpTypes() []icmpName {
	return []icmpName{
		{"echo-reply", 0, 0, 255},
		{"pong", 0, 0, 255},
		{"destination-unreachable", 3, 0, 255},
		{"network-unreachable", 3, 0, 0},
		{"host-unreachable", 3, 1, 1},
		{"protocol-unreachable", 3, 2, 2},
		{"port-unreachable", 3, 3, 3},
		{"fragmentation-needed", 3, 4, 4},
		{"source-route-failed", 3, 5, 5},
		{"network-unknown", 3, 6, 6},
		{"host-unknown", 3, 7, 7},
		{"network-prohibited", 3, 9, 9},
		{"host-prohibited", 3, 10, 10},
		{"TOS-network-unreachable", 3, 11, 11},
		{"TOS-host-unreachable", 3, 12, 12},
		{"communication-prohibited", 3, 13, 13},
		{"host-precedence-violation", 3, 14, 14},
		{"precedence-cutoff", 3, 15, 15},
		{"source-quench", 4, 0, 255},
		{"redirect", 5, 0, 255},
		{"network-redirect", 5, 0, 0},
		{"host-redirect", 5, 1, 1},
		{"TOS-network-redirect", 5, 2, 2},
		{"TOS-host-redirect", 5, 3, 3},
		{"echo-request", 8, 0, 255},
		{"ping", 8, 0, 255},
		{"router-advertisement", 9, 0, 255},
		{"router-solicitation", 10, 0, 255},
		{"time-exceeded", 11, 0, 255},
		{"ttl-exceeded", 11, 0, 255},
		{"ttl-zero-during-transit", 11, 0, 0},
		{"ttl-zero-during-reassembly", 11, 1, 1},
		{"parameter-problem", 12, 0, 255},
		{"ip-header-bad", 12, 0, 0},
		{"required-option-missing", 12, 1, 1},
		{"timestamp-request", 13, 0, 255},
		{"timestamp-reply", 14, 0, 255},
		{"address-mask-request", 17, 0, 255},
		{"address-mask-reply", 18, 0, 255},
	}
}

// icmp compares type and code: `8`, `3/4`, a name, or `any` (IPv4).
func icmp(a *args, option string, names []icmpName) firewall.Cond {
	o, ok := a.get(option)
	if !ok {
		a.fail("%s needs --%s", a.name, option)
		return firewall.Const(false)
	}
	typ, lo, hi := a.icmpType(o.Values[0], names)
	if typ == 255 && a.c.Family == firewall.IPv4 {
		return all(header(icmpBits), firewall.Const(!o.Not))
	}
	var code firewall.Cond
	if lo != 0 || hi != 255 {
		code = between(a.c.transport(8, 8), lo, hi)
	}
	return all(header(icmpBits), negate(o.Not, all(equal(a.c.transport(0, 8), typ), code)))
}

func (a *args) icmpType(s string, names []icmpName) (typ, lo, hi uint64) {
	if strings.EqualFold(s, "any") && a.c.Family == firewall.IPv4 {
		return 255, 0, 255
	}
	for _, n := range names {
		if strings.EqualFold(s, n.name) {
			return n.typ, n.lo, n.hi
		}
	}
	t, code, coded := strings.Cut(s, "/")
	if s == "" || s[0] < '0' || s[0] > '9' {
		a.fail("%q is not an ICMP type", s)
		return 0, 0, 255
	}
	typ = a.number(t, 255)
	if !coded {
		return typ, 0, 255
	}
	lo, hi = a.span(code, ":", 255)
	return typ, lo, hi
}

// decodeHops reads struct ipt_ttl_info and struct ip6t_hl_info, which are alike.
func decodeHops(d *data, name string) []Option {
	mode, n := d.u8(0), fmt.Sprint(d.u8(1))
	switch mode {
	case 0, 1:
		return []Option{inv(mode == 1, name+"-eq", n)}
	case 2:
		return []Option{opt(name+"-lt", n)}
	case 3:
		return []Option{opt(name+"-gt", n)}
	}
	d.refuse("mode %d", mode)
	return nil
}

// hops compares the time to live or hop limit.
func hops(a *args, v firewall.Value, target string) firewall.Cond {
	if len(a.opts) != 1 {
		a.fail("%s needs exactly one comparison", a.name)
		return firewall.Const(false)
	}
	o := a.opts[0]
	n := a.number(o.Values[0], 255)
	var cond firewall.Cond
	switch {
	case strings.HasSuffix(o.Name, "-lt"):
		cond = firewall.Const(false)
		if n > 0 {
			cond = between(v, 0, n-1)
		}
	case strings.HasSuffix(o.Name, "-gt"):
		cond = between(v, n+1, 255)
	default:
		cond = equal(v, n)
	}
	return a.unlessChanged(negate(o.Not, cond), target)
}
