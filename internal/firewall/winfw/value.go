package winfw

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sekimori/packet"
)

// number reads a decimal number up to a bound.
func number(s string, most int) (int, bool) {
	if s == "" || len(s) > 5 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= most
}

// portRange reads N or N-M.
func portRange(s string) (packet.Range, bool) {
	from, to, ranged := strings.Cut(s, "-")
	lo, ok1 := number(from, 65535)
	hi, ok2 := lo, true
	if ranged {
		hi, ok2 = number(to, 65535)
	}
	return packet.Range{Lo: uint64(lo), Hi: uint64(hi)}, ok1 && ok2 && lo <= hi
}

// icmp reads TYPE, TYPE:CODE or TYPE:*.
func icmp(s string) (packet.Range, bool) {
	kind, code, given := strings.Cut(s, ":")
	t, ok := number(kind, 255)
	if !ok {
		return packet.Range{}, false
	}
	r := packet.Range{Lo: uint64(t) << 8, Hi: uint64(t)<<8 | 0xff}
	if given && code != "*" {
		c, ok := number(code, 255)
		if !ok {
			return packet.Range{}, false
		}
		r.Lo |= uint64(c)
		r.Hi = r.Lo
	}
	return r, true
}

// keywords stand for addresses that only the host knows.
func keyword(s string) bool {
	return slices.Contains([]string{
		"LocalSubnet", "LocalSubnet4", "LocalSubnet6", "DNS", "DHCP", "WINS", "DefaultGateway",
		"Internet", "Intranet", "IntranetRemoteAccess", "PlayToDevice", "CaptivePortal",
	}, s)
}

// addressRange reads an address, a prefix, an address with a mask, or a range.
func addressRange(s string) (packet.AddrRange, bool) {
	if from, to, ok := strings.Cut(s, "-"); ok {
		a, ok1 := address(from)
		b, ok2 := address(to)
		ok := ok1 && ok2 && a.Is4() == b.Is4() && !b.Less(a)
		return packet.AddrRange{Lo: a, Hi: b}, ok
	}
	base, size, ok := strings.Cut(s, "/")
	a, valid := address(base)
	if !ok || !valid {
		return packet.AddrRange{Lo: a, Hi: a}, valid && !ok
	}
	bits, ok := number(size, a.BitLen())
	if m, err := netip.ParseAddr(size); err == nil && m.Is4() && a.Is4() {
		bits, ok = maskBits(m.As4())
	}
	if !ok {
		return packet.AddrRange{}, false
	}
	p := netip.PrefixFrom(a, bits).Masked()
	return packet.AddrRange{Lo: p.Addr(), Hi: last(p)}, true
}

func address(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	return a, err == nil && a.Zone() == "" && !a.Is4In6()
}

func maskBits(m [4]byte) (int, bool) {
	n := uint32(m[0])<<24 | uint32(m[1])<<16 | uint32(m[2])<<8 | uint32(m[3])
	bits := 0
	for n&(1<<31) != 0 {
		n <<= 1
		bits++
	}
	return bits, n == 0
}

// last is the last address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// add reads one address of either family, or a keyword.
func (a *Addresses) add(s string) bool {
	if keyword(s) {
		a.Keywords = append(a.Keywords, s)
		return true
	}
	r, ok := addressRange(s)
	switch {
	case !ok:
	case r.Lo.Is4():
		a.V4 = append(a.V4, r)
	default:
		a.V6 = append(a.V6, r)
	}
	return ok
}

// check finds conditions that contradict each other.
func (r *Rule) check(e *errs) {
	ports := len(r.LocalPorts)+len(r.RemotePorts) > 0
	switch {
	case ports && r.Protocol != 6 && r.Protocol != 17:
		e.fail("ports belong to TCP and UDP alone")
	case len(r.ICMP) > 0 && r.Protocol != 1 && r.Protocol != 58:
		e.fail("types belong to ICMP alone")
	case r.Action == Bypass:
		r.Varies = append(r.Varies, "authenticated, for "+r.Name)
	}
}
