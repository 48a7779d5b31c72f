package xt

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sekimori/internal/firewall"
)

// ipv6Matches are the matches that only IPv6 has. Extension headers are not part
// of the header bits that rules share: their fields go by nft's names of them.
func ipv6Matches() table {
	t := make(table)
	t.match("icmp6", "icmpv6-type! icmp6-type!=icmpv6-type", []int{4},
		func(_ *Context, d *data) []Option { return decodeICMPTypes(d, "icmpv6-type", false) },
		func(a *args) firewall.Cond { return icmp(a, "icmpv6-type", icmp6Types()) })
	t["icmpv6"] = t["icmp6"]
	t.match("hl", "hl-eq! hl-lt hl-gt", []int{2},
		func(_ *Context, d *data) []Option { return decodeHops(d, "hl") },
		func(a *args) firewall.Cond { return hops(a, a.c.network(56, 8), "HL") })
	t.match("frag", "fragid! fraglen! fragres:0 fragfirst:0 fragmore:0 fraglast:0", []int{16}, decodeFrag, frag)
	t.match("rt", "rt-type! rt-segsleft! rt-len! rt-0-res:0 rt-0-addrs rt-0-not-strict:0", []int{280}, decodeRT, rt)
	t.match("hbh", "hbh-len! hbh-opts", []int{40},
		func(_ *Context, d *data) []Option { return decodeOpts(d, "hbh") },
		func(a *args) firewall.Cond { return options6(a, "hbh", "exthdr hbh") })
	t.match("dst", "dst-len! dst-opts", []int{40},
		func(_ *Context, d *data) []Option { return decodeOpts(d, "dst") },
		func(a *args) firewall.Cond { return options6(a, "dst", "exthdr dst") })
	t.match("ah", "ahspi! ahlen! ahres:0", []int{16}, decodeAH6, ah6)
	t.match("mh", "mh-type!", []int{3}, decodeMH, mh)
	t.match("eui64", "", []int{4}, func(*Context, *data) []Option { return nil }, fixedAnswer)
	t.match("ipv6header", "header! soft:0", []int{3}, decodeIPv6Header, ipv6Header)
	t.match("srh", "", nil, nil, func(a *args) firewall.Cond { return firewall.Undecoded{Text: a.text()} })
	return t
}

// icmp6Types are the names that libip6t_icmp6 knows.
func icmp6Types() []icmpName {
	return []icmpName{
		{"destination-unreachable", 1, 0, 255},
		{"no-route", 1, 0, 0},
		{"communication-prohibited", 1, 1, 1},
		{"beyond-scope", 1, 2, 2},
		{"address-unreachable", 1, 3, 3},
		{"port-unreachable", 1, 4, 4},
		{"failed-policy", 1, 5, 5},
		{"reject-route", 1, 6, 6},
		{"packet-too-big", 2, 0, 255},
		{"time-exceeded", 3, 0, 255},
		{"ttl-exceeded", 3, 0, 255},
		{"ttl-zero-during-transit", 3, 0, 0},
		{"ttl-zero-during-reassembly", 3, 1, 1},
		{"parameter-problem", 4, 0, 255},
		{"bad-header", 4, 0, 0},
		{"unknown-header-type", 4, 1, 1},
		{"unknown-option", 4, 2, 2},
		{"echo-request", 128, 0, 255},
		{"ping", 128, 0, 255},
		{"echo-reply", 129, 0, 255},
		{"pong", 129, 0, 255},
		{"mld-listener-query", 130, 0, 255},
		{"mld-listener-report", 131, 0, 255},
		{"mld-listener-done", 132, 0, 255},
		{"mld-listener-reduction", 132, 0, 255},
		{"router-solicitation", 133, 0, 255},
		{"router-advertisement", 134, 0, 255},
		{"neighbour-solicitation", 135, 0, 255},
		{"neighbor-solicitation", 135, 0, 255},
		{"neighbour-advertisement", 136, 0, 255},
		{"neighbor-advertisement", 136, 0, 255},
		{"redirect", 137, 0, 255},
	}
}

// exists holds for packets with that extension header.
func (a *args) exists(name string) firewall.Cond { return equal(a.c.free(name+" exists", 1), 1) }

// headerLength compares the length byte of an extension header, of which bytes
// are a whole number of units.
func (a *args) headerLength(v firewall.Value, s string, first, unit uint64) firewall.Cond {
	n := a.number(s, 0xffffffff)
	if n < first || (n-first)%unit != 0 || (n-first)/unit > 255 {
		return firewall.Const(false)
	}
	return equal(v, (n-first)/unit)
}

func decodeFrag(_ *Context, d *data) []Option {
	flags, not := d.u8(12), d.u8(13)
	d.flags("flags", uint64(flags), 63)
	d.flags("inversion flags", uint64(not), 3)
	var opts []Option
	if lo, hi := d.u32(0), d.u32(4); lo != 0 || hi != 0xffffffff || not&1 != 0 {
		opts = append(opts, inv(not&1 != 0, "fragid", spiRange(lo, hi)))
	}
	if flags&2 != 0 {
		opts = append(opts, inv(not&2 != 0, "fraglen", fmt.Sprint(d.u32(8))))
	}
	for i, name := range [...]string{"fragres", "fragfirst", "fragmore", "fraglast"} {
		if flags>>(2+i)&1 == 1 {
			opts = append(opts, opt(name))
		}
	}
	return opts
}

// frag follows frag_mt6 in ip6t_frag.c, which never looks at the length.
func frag(a *args) firewall.Cond {
	conds := []firewall.Cond{a.exists("exthdr frag")}
	for _, o := range a.opts {
		var cond firewall.Cond
		switch o.Name {
		case "fragid":
			lo, hi := a.span(o.Values[0], ":", 0xffffffff)
			cond = between(a.c.free("frag id", 32), lo, hi)
		case "fraglen":
			a.number(o.Values[0], 0xffffffff)
			continue
		case "fragres":
			cond = equal(a.c.free("frag reserved", 10), 0)
		case "fragfirst":
			cond = equal(a.c.free("frag frag-off", 13), 0)
		case "fragmore":
			cond = equal(a.c.free("frag more-fragments", 1), 1)
		default:
			cond = equal(a.c.free("frag more-fragments", 1), 0)
		}
		conds = append(conds, negate(o.Not, cond))
	}
	return all(conds...)
}

func decodeRT(c *Context, d *data) []Option {
	flags, not := d.u8(16), d.u8(17)
	d.flags("flags", uint64(flags), 63)
	d.flags("inversion flags", uint64(not), 7)
	var opts []Option
	if flags&1 != 0 {
		opts = append(opts, inv(not&1 != 0, "rt-type", fmt.Sprint(d.u32(0))))
	}
	if lo, hi := d.u32(4), d.u32(8); lo != 0 || hi != 0xffffffff || not&2 != 0 {
		opts = append(opts, inv(not&2 != 0, "rt-segsleft", spiRange(lo, hi)))
	}
	if flags&4 != 0 {
		opts = append(opts, inv(not&4 != 0, "rt-len", fmt.Sprint(d.u32(12))))
	}
	if flags&8 != 0 {
		opts = append(opts, opt("rt-0-res"))
	}
	if n := int(d.u8(276)); flags&0x30 != 0 {
		if n > 16 {
			d.refuse("%d addresses", n)
			return nil
		}
		var addrs []string
		for i := range n {
			addrs = append(addrs, netip.AddrFrom16([16]byte(d.raw(20+16*i, 16))).String())
		}
		opts = append(opts, opt("rt-0-addrs", strings.Join(addrs, ",")))
		if flags&0x20 != 0 {
			opts = append(opts, opt("rt-0-not-strict"))
		}
	}
	return opts
}

// rt: what a routing header of type 0 says inside is not followed.
func rt(a *args) firewall.Cond {
	conds := []firewall.Cond{a.exists("exthdr rt")}
	for _, o := range a.opts {
		var cond firewall.Cond
		switch o.Name {
		case "rt-type":
			if n := a.number(o.Values[0], 0xffffffff); n > 255 {
				cond = firewall.Const(false)
			} else {
				cond = equal(a.c.free("rt type", 8), n)
			}
		case "rt-segsleft":
			lo, hi := a.span(o.Values[0], ":", 0xffffffff)
			if lo > 255 {
				cond = firewall.Const(false)
			} else {
				cond = between(a.c.free("rt seg-left", 8), lo, min(hi, 255))
			}
		case "rt-len":
			cond = a.headerLength(a.c.free("rt hdrlength", 8), o.Values[0], 8, 8)
		default:
			cond = fixed(a.text())
		}
		conds = append(conds, negate(o.Not, cond))
	}
	return all(conds...)
}

func decodeOpts(d *data, name string) []Option {
	flags, not, n := d.u8(4), d.u8(5), int(d.u8(38))
	d.flags("flags", uint64(flags), 7)
	d.flags("inversion flags", uint64(not), 1)
	if n > 16 {
		d.refuse("%d options", n)
		return nil
	}
	var opts []Option
	if flags&1 != 0 {
		opts = append(opts, inv(not&1 != 0, name+"-len", fmt.Sprint(d.u32(0))))
	}
	if flags&2 != 0 || n > 0 {
		var list []string
		for i := range n {
			v := d.u16(6 + 2*i)
			s := fmt.Sprint(v >> 8)
			if v&0xff != 0xff {
				s += ":" + fmt.Sprint(v&0xff)
			}
			list = append(list, s)
		}
		opts = append(opts, opt(name+"-opts", strings.Join(list, ",")))
	}
	if flags&4 != 0 {
		d.refuse("options that are not strict")
	}
	return opts
}

// options6: which options stand in the header is not followed.
func options6(a *args, name, header string) firewall.Cond {
	conds := []firewall.Cond{a.exists(header)}
	for _, o := range a.opts {
		if o.Name == name+"-len" {
			length := a.c.free(strings.TrimPrefix(header, "exthdr ")+" hdrlength", 8)
			conds = append(conds, negate(o.Not, a.headerLength(length, o.Values[0], 8, 8)))
			continue
		}
		conds = append(conds, negate(o.Not, fixed(a.text())))
	}
	return all(conds...)
}

func decodeAH6(_ *Context, d *data) []Option {
	res, not := d.u8(12), d.u8(13)
	d.flags("inversion flags", uint64(not), 3)
	var opts []Option
	if lo, hi := d.u32(0), d.u32(4); lo != 0 || hi != 0xffffffff || not&1 != 0 {
		opts = append(opts, inv(not&1 != 0, "ahspi", spiRange(lo, hi)))
	}
	if n := d.u32(8); n != 0 || not&2 != 0 {
		opts = append(opts, inv(not&2 != 0, "ahlen", fmt.Sprint(n)))
	}
	if res != 0 {
		opts = append(opts, opt("ahres"))
	}
	return opts
}

// ah6: the length counts 4-byte words beyond the first two; a length of 0 is not
// asked for at all (ah_mt6 in ip6t_ah.c).
func ah6(a *args) firewall.Cond {
	conds := []firewall.Cond{a.exists("exthdr ah")}
	for _, o := range a.opts {
		switch o.Name {
		case "ahspi":
			lo, hi := a.span(o.Values[0], ":", 0xffffffff)
			conds = append(conds, negate(o.Not, between(a.c.free("ah spi", 32), lo, hi)))
		case "ahlen":
			cond := a.headerLength(a.c.free("ah hdrlength", 8), o.Values[0], 8, 4)
			if o.Values[0] == "0" {
				cond = firewall.Const(!o.Not)
			}
			conds = append(conds, negate(o.Not, cond))
		default:
			conds = append(conds, equal(a.c.free("ah reserved", 16), 0))
		}
	}
	return all(conds...)
}

func decodeMH(_ *Context, d *data) []Option {
	lo, hi, not := d.u8(0), d.u8(1), d.u8(2)
	d.flags("inversion flags", uint64(not), 1)
	if lo == 0 && hi == 255 && not == 0 {
		return nil
	}
	return []Option{inv(not == 1, "mh-type", portRange(uint16(lo), uint16(hi)))}
}

// mh: the type is the third byte of the mobility header, which stands in the
// place of a transport header.
func mh(a *args) firewall.Cond {
	conds := []firewall.Cond{header(48)}
	if o, ok := a.get("mh-type"); ok {
		lo, hi := a.mhType(o.Values[0])
		conds = append(conds, negate(o.Not, between(a.c.transport(16, 8), lo, hi)))
	}
	return all(conds...)
}

func (a *args) mhType(s string) (lo, hi uint64) {
	names := map[string]uint64{
		"binding-refresh-request": 0, "brr": 0, "home-test-init": 1, "hoti": 1, "careof-test-init": 2, "coti": 2,
		"home-test": 3, "hot": 3, "careof-test": 4, "cot": 4, "binding-update": 5, "bu": 5,
		"binding-acknowledgement": 6, "ba": 6, "binding-error": 7, "be": 7,
	}
	from, to, ranged := strings.Cut(s, ":")
	one := func(w string, missing uint64) uint64 {
		if w == "" && ranged {
			return missing
		}
		if n, ok := names[strings.ToLower(w)]; ok {
			return n
		}
		return a.number(w, 255)
	}
	lo = one(from, 0)
	if !ranged {
		return lo, lo
	}
	return lo, one(to, 255)
}

// ipv6Headers are the bits of ip6t_ipv6header_info, from the lowest, and their
// short names.
func ipv6Headers() [][2]string {
	return [][2]string{
		{"proto", "prot"},
		{"ipv6-nonxt", "none"},
		{"esp", "esp"},
		{"ah", "auth"},
		{"ipv6-frag", "frag"},
		{"ipv6-route", "route"},
		{"ipv6-opts", "dst"},
		{"hop-by-hop", "hop"},
	}
}

func decodeIPv6Header(_ *Context, d *data) []Option {
	mask, not, soft := d.u8(0), d.u8(1), d.u8(2)
	var names []string
	for i := 7; i >= 0; i-- {
		if mask>>i&1 == 1 {
			names = append(names, ipv6Headers()[i][0])
		}
	}
	if not != 0 && not != 0xff {
		d.refuse("inversion flags %#x", not)
	}
	opts := []Option{inv(not != 0, "header", strings.Join(names, ","))}
	if soft != 0 {
		opts = append(opts, opt("soft"))
	}
	return opts
}

// ipv6Header: which headers a packet has is the same each time it is asked.
func ipv6Header(a *args) firewall.Cond {
	o, ok := a.get("header")
	if !ok {
		a.fail("ipv6header needs --header")
		return firewall.Const(false)
	}
	var mask int
	for w := range strings.SplitSeq(o.Values[0], ",") {
		i := slices.IndexFunc(ipv6Headers(), func(n [2]string) bool { return w == n[0] || w == n[1] })
		if i < 0 {
			a.fail("%q is not a header of IPv6", w)
			continue
		}
		mask |= 1 << i
	}
	text := fmt.Sprintf("-m ipv6header --header %#x", mask)
	if a.has("soft") {
		text += " --soft"
	}
	return negate(o.Not, fixed(text))
}
