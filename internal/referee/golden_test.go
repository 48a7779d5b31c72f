package referee_test

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"sekimori/packet"
)

// readAssignment reads a file that says which networks lie behind an interface:
//
//	lmd = [10.13.42.128/29, 10.0.0.1-10.0.0.9]
//	lup = all_but_those_ips [
//	    10.0.0.0/8
//	]
func readAssignment(tb testing.TB, name string) assignment {
	tb.Helper()
	text, err := os.ReadFile(corpus(tb, "iptables", "golden", name))
	if err != nil {
		tb.Fatal(err)
	}
	a := assignment{}
	rest := string(text)
	for strings.TrimSpace(rest) != "" {
		iface, after, ok := strings.Cut(rest, "=")
		kind, after, opened := strings.Cut(after, "[")
		list, after, closed := strings.Cut(after, "]")
		iface, kind = strings.TrimSpace(iface), strings.TrimSpace(kind)
		if !ok || !opened || !closed || strings.ContainsAny(iface, " \n[]") || kind != "" && kind != "all_but_those_ips" {
			tb.Fatalf("%s: %q is no assignment", name, rest)
		}
		var rs []packet.AddrRange
		for _, item := range strings.Split(list, ",") {
			if item = strings.TrimSpace(item); item != "" {
				rs = append(rs, addrRange(tb, item))
			}
		}
		if kind != "" {
			rs = allBut(rs)
		}
		if _, twice := a[iface]; twice {
			tb.Fatalf("%s: %s comes twice", name, iface)
		}
		a[iface], rest = rs, after
	}
	return a
}

// addrRange reads a prefix, a range with "-", or an address.
func addrRange(tb testing.TB, s string) packet.AddrRange {
	tb.Helper()
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			tb.Fatal(err)
		}
		return packet.AddrRange{Lo: p.Masked().Addr(), Hi: lastOf(p)}
	}
	lo, hi, many := strings.Cut(s, "-")
	if !many {
		hi = lo
	}
	a, err := netip.ParseAddr(lo)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := netip.ParseAddr(hi)
	if err != nil {
		tb.Fatal(err)
	}
	return packet.AddrRange{Lo: a, Hi: b}
}

// allBut returns the IPv4 addresses that are in none of the ranges.
func allBut(rs []packet.AddrRange) []packet.AddrRange {
	rs = slices.Clone(rs)
	slices.SortFunc(rs, func(a, b packet.AddrRange) int { return a.Lo.Compare(b.Lo) })
	var out []packet.AddrRange
	next := netip.MustParseAddr("0.0.0.0") // the first address not dealt with; invalid at the end
	for _, r := range rs {
		if next.IsValid() && next.Less(r.Lo) {
			out = append(out, packet.AddrRange{Lo: next, Hi: r.Lo.Prev()})
		}
		if next.IsValid() && !r.Hi.Less(next) {
			next = r.Hi.Next()
		}
	}
	if next.IsValid() {
		out = append(out, packet.AddrRange{Lo: next, Hi: netip.MustParseAddr("255.255.255.255")})
	}
	return out
}
