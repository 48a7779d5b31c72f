package xt

import (
	"strconv"
	"strings"

	"sekimori/internal/firewall"
)

// transportMatches are the matches that look at the headers of TCP, UDP and
// their like. None of them matches a fragment other than the first. They do not
// look at the protocol: x_tables asks the rule itself for `-p`.
func transportMatches() table {
	t := make(table)
	const ports = "sport! dport! source-port!=sport destination-port!=dport"
	t.match("tcp", ports+" tcp-flags!:2 syn!:0 tcp-option!", []int{12}, decodeTCP, tcp)
	t.match("udp", ports, []int{10}, decodeUDP, udp)
	t.match("udplite", ports, []int{10}, decodeUDP, udp)
	t.match("sctp", ports+" chunk-types!:2", []int{292}, decodeSCTP, sctp)
	t.match("dccp", ports+" dccp-types! dccp-option!", []int{16}, decodeDCCP, dccp)
	t.match("multiport",
		"sports! dports! ports! source-ports!=sports destination-ports!=dports port!=ports",
		[]int{32, 48}, decodeMultiport, multiport)
	t.match("esp", "espspi!", []int{12}, decodeSPI, func(a *args) firewall.Cond { return spi(a, "espspi", 0) })
	t.match("ipcomp", "ipcompspi! compres:0", []int{12}, decodeIPComp, ipcomp)
	t.match("tcpmss", "mss!", []int{6}, decodeTCPMSS, tcpmss)
	return t
}

func portRange(lo, hi uint16) string {
	if lo == hi {
		return strconv.Itoa(int(lo))
	}
	return strconv.Itoa(int(lo)) + ":" + strconv.Itoa(int(hi))
}

// decodePorts reads the port ranges at src and dst.
func decodePorts(d *data, src, dst int, notSrc, notDst bool) []Option {
	var opts []Option
	for _, p := range []struct {
		name string
		off  int
		not  bool
	}{{"sport", src, notSrc}, {"dport", dst, notDst}} {
		lo, hi := d.u16(p.off), d.u16(p.off+2)
		if lo != 0 || hi != 0xffff || p.not {
			opts = append(opts, inv(p.not, p.name, portRange(lo, hi)))
		}
	}
	return opts
}

func decodeTCP(_ *Context, d *data) []Option {
	option, mask, cmp, not := d.u8(8), d.u8(9), d.u8(10), d.u8(11)
	d.flags("inversion flags", uint64(not), 0x0f)
	opts := decodePorts(d, 0, 4, not&1 != 0, not&2 != 0)
	if option != 0 {
		opts = append(opts, inv(not&8 != 0, "tcp-option", strconv.Itoa(int(option))))
	}
	if mask != 0 || cmp != 0 || not&4 != 0 {
		opts = append(opts, inv(not&4 != 0, "tcp-flags", tcpFlagText(mask), tcpFlagText(cmp)))
	}
	return opts
}

func decodeUDP(_ *Context, d *data) []Option {
	not := d.u8(8)
	d.flags("inversion flags", uint64(not), 0x03)
	return decodePorts(d, 0, 4, not&1 != 0, not&2 != 0)
}

// tcpFlagNames are in the order of the header's bits, from the lowest.
func tcpFlagNames() []string { return []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"} }

func tcpFlagText(bits uint8) string {
	var names []string
	for i, n := range tcpFlagNames() {
		if bits>>i&1 == 1 {
			names = append(names, n)
		}
	}
	if names == nil {
		return "NONE"
	}
	return strings.Join(names, ",")
}

func (a *args) tcpFlags(s string) uint8 {
	var bits uint8
words:
	for w := range strings.SplitSeq(s, ",") {
		switch strings.ToUpper(w) {
		case "ALL":
			bits |= 0x3f
			continue
		case "NONE":
			continue
		}
		for i, n := range tcpFlagNames() {
			if strings.EqualFold(w, n) {
				bits |= 1 << i
				continue words
			}
		}
		a.fail("%q is not a TCP flag", w)
	}
	return bits
}

// port reads a port's number, or the name of a service.
func (a *args) port(s string) uint64 {
	if n, err := parseNumber(s); err == nil && n <= 65535 {
		return n
	}
	if n, ok := servicePort(s); ok {
		return n
	}
	a.fail("%q is not a port", s)
	return 0
}

func (a *args) portSpan(s string) (lo, hi uint64) {
	from, to, ranged := strings.Cut(s, ":")
	if !ranged {
		lo = a.port(from)
		return lo, lo
	}
	hi = 65535
	if from != "" {
		lo = a.port(from)
	}
	if to != "" {
		hi = a.port(to)
	}
	return lo, hi
}

// servicePort knows the names that old dumps use instead of numbers; newer ones
// always have numbers.
func servicePort(name string) (uint64, bool) {
	switch name {
	case "ftp":
		return 21, true
	case "ssh":
		return 22, true
	case "telnet":
		return 23, true
	case "smtp":
		return 25, true
	case "domain":
		return 53, true
	case "bootps":
		return 67, true
	case "bootpc":
		return 68, true
	case "tftp":
		return 69, true
	case "http", "www":
		return 80, true
	case "pop3":
		return 110, true
	case "sunrpc":
		return 111, true
	case "ntp":
		return 123, true
	case "imap", "imap2":
		return 143, true
	case "snmp":
		return 161, true
	case "https":
		return 443, true
	case "syslog":
		return 514, true
	case "imaps":
		return 993, true
	case "pop3s":
		return 995, true
	}
	return 0, false
}

// portConds are the conditions of --sport and --dport.
func portConds(a *args) []firewall.Cond {
	var conds []firewall.Cond
	for _, p := range []struct {
		name string
		from int
	}{{"sport", 0}, {"dport", 16}} {
		if o, ok := a.get(p.name); ok {
			lo, hi := a.portSpan(o.Values[0])
			conds = append(conds, negate(o.Not, between(a.c.transport(p.from, 16), lo, hi)))
		}
	}
	return conds
}

func tcp(a *args) firewall.Cond {
	conds := append([]firewall.Cond{header(tcpBits)}, portConds(a)...)
	if o, ok := a.get("tcp-flags"); ok {
		conds = append(conds, negate(o.Not, a.flagsAre(o.Values[0], o.Values[1])))
	}
	if o, ok := a.get("syn"); ok {
		conds = append(conds, negate(o.Not, a.flagsAre("SYN,RST,ACK,FIN", "SYN")))
	}
	if o, ok := a.get("tcp-option"); ok {
		n := a.number(o.Values[0], 255)
		has := equal(a.c.free(tcpOption(n)+" exists", 1), 1)
		conds = append(conds, a.unlessChanged(negate(o.Not, has), "TCPOPTSTRIP", "TCPMSS"))
	}
	return all(conds...)
}

// tcpOption is nft's name of an option, which its rules share with ours.
func tcpOption(n uint64) string {
	names := map[uint64]string{
		0: "eol", 1: "nop", 2: "maxseg", 3: "window", 4: "sack-perm", 5: "sack", 8: "timestamp", 19: "md5sig", 30: "mptcp", 34: "fastopen",
	}
	if s, ok := names[n]; ok {
		return "tcp option " + s
	}
	return "tcp option " + strconv.FormatUint(n, 10)
}

// flagsAre holds where the flags of mask are exactly those of cmp.
func (a *args) flagsAre(mask, cmp string) firewall.Cond {
	m, want := a.tcpFlags(mask), a.tcpFlags(cmp)
	if want&^m != 0 {
		return firewall.Const(false)
	}
	return maskedEqual(a.c.transport(flagsStart, 8), []byte{want}, []byte{m})
}

func udp(a *args) firewall.Cond {
	return all(append([]firewall.Cond{header(udpBits)}, portConds(a)...)...)
}

func decodeDCCP(_ *Context, d *data) []Option {
	flags, not := d.u16(8), d.u16(10)
	d.flags("flags", uint64(flags), 15)
	d.flags("inversion flags", uint64(not), 15)
	if not&^flags != 0 {
		d.refuse("inversion without its option")
	}
	var opts []Option
	if flags&1 != 0 {
		opts = append(opts, inv(not&1 != 0, "sport", portRange(d.u16(4), d.u16(6))))
	}
	if flags&2 != 0 {
		opts = append(opts, inv(not&2 != 0, "dport", portRange(d.u16(0), d.u16(2))))
	}
	if flags&4 != 0 {
		opts = append(opts, inv(not&4 != 0, "dccp-types", bitNames(d, uint64(d.u16(12)), dccpTypes())))
	}
	if flags&8 != 0 {
		opts = append(opts, inv(not&8 != 0, "dccp-option", strconv.Itoa(int(d.u8(14)))))
	}
	return opts
}

// dccpTypes are the names of DCCP packet types, by number.
func dccpTypes() []string {
	return []string{"REQUEST", "RESPONSE", "DATA", "ACK", "DATAACK", "CLOSEREQ", "CLOSE", "RESET", "SYNC", "SYNCACK", "INVALID"}
}

// bitNames prints a bit mask by the names of its bits, commas between.
func bitNames(d *data, mask uint64, names []string) string {
	var out []string
	for i, n := range names {
		if mask>>i&1 == 1 {
			out = append(out, n)
			mask &^= 1 << i
		}
	}
	if mask != 0 {
		d.refuse("unknown bits %#x", mask)
	}
	return strings.Join(out, ",")
}

// bitMask is the reverse of bitNames.
func (a *args) bitMask(s, what string, names []string) uint64 {
	var mask uint64
words:
	for w := range strings.SplitSeq(s, ",") {
		for i, n := range names {
			if n != "" && strings.EqualFold(w, n) {
				mask |= 1 << i
				continue words
			}
		}
		a.fail("%q is not %s", w, what)
	}
	return mask
}

// The type of a DCCP packet is in four bits of its ninth byte; INVALID is the
// single value after SYNCACK (match_types in xt_dccp.c).
func dccp(a *args) firewall.Cond {
	conds := append([]firewall.Cond{header(96)}, portConds(a)...)
	if o, ok := a.get("dccp-types"); ok {
		mask := a.bitMask(o.Values[0], "a DCCP packet type", dccpTypes())
		cmp := firewall.Compare{Value: a.c.transport(67, 4)}
		for n := range uint64(16) {
			if mask>>n&1 == 1 {
				cmp.In = append(cmp.In, interval(n, n, 4))
			}
		}
		conds = append(conds, negate(o.Not, cmp))
	}
	if o, ok := a.get("dccp-option"); ok {
		n := a.number(o.Values[0], 255)
		conds = append(conds, negate(o.Not, equal(a.c.free("dccp option "+strconv.FormatUint(n, 10), 1), 1)))
	}
	return all(conds...)
}

func decodeMultiport(_ *Context, d *data) []Option {
	kind, count := d.u8(0), int(d.u8(1))
	if kind > 2 || count > 15 || count == 0 {
		d.refuse("kind %d with %d ports", kind, count)
		return nil
	}
	not := false
	flags := make([]byte, 15)
	if d.rev == 1 {
		flags = d.raw(32, 15)
		not = d.boolean(47, 1)
	}
	var ports []string
	for i := 0; i < count; i++ {
		lo := d.u16(2 + 2*i)
		hi := lo
		if flags[i] != 0 {
			if i++; i >= count {
				d.refuse("a port range without end")
				return nil
			}
			hi = d.u16(2 + 2*i)
		}
		ports = append(ports, portRange(lo, hi))
	}
	return []Option{inv(not, [...]string{"sports", "dports", "ports"}[kind], strings.Join(ports, ","))}
}

func multiport(a *args) firewall.Cond {
	if len(a.opts) != 1 {
		a.fail("multiport needs exactly one of --sports, --dports and --ports")
		return firewall.Const(false)
	}
	o := a.opts[0]
	src := firewall.Compare{Value: a.c.transport(0, 16)}
	dst := firewall.Compare{Value: a.c.transport(16, 16)}
	var in []firewall.Interval
	for p := range strings.SplitSeq(o.Values[0], ",") {
		if lo, hi := a.portSpan(p); lo <= hi {
			in = append(in, interval(lo, hi, 16))
		}
	}
	src.In, dst.In = in, in
	var match firewall.Cond
	switch o.Name {
	case "sports":
		match = src
	case "dports":
		match = dst
	default:
		match = firewall.Or{src, dst}
	}
	return all(header(portBits), negate(o.Not, match))
}

func spiRange(lo, hi uint32) string {
	if lo == hi {
		return strconv.FormatUint(uint64(lo), 10)
	}
	return strconv.FormatUint(uint64(lo), 10) + ":" + strconv.FormatUint(uint64(hi), 10)
}

// decodeSPI reads struct xt_esp and struct ipt_ah, which are alike.
func decodeSPI(_ *Context, d *data) []Option {
	return decodeSPIs(d, "espspi")
}

func decodeSPIs(d *data, name string) []Option {
	d.flags("inversion flags", uint64(d.u8(8)), 1)
	lo, hi, not := d.u32(0), d.u32(4), d.u8(8) == 1
	if lo == 0 && hi == 0xffffffff && !not {
		return nil
	}
	return []Option{inv(not, name, spiRange(lo, hi))}
}

// spi compares 32 bits of the header, from the given bit on.
func spi(a *args, name string, from int) firewall.Cond {
	conds := []firewall.Cond{header(from + 64)}
	if o, ok := a.get(name); ok {
		lo, hi := a.span(o.Values[0], ":", 0xffffffff)
		conds = append(conds, negate(o.Not, between(a.c.transport(from, 32), lo, hi)))
	}
	return all(conds...)
}

func decodeIPComp(_ *Context, d *data) []Option {
	opts := decodeSPIs(d, "ipcompspi")
	if d.u8(9) != 0 {
		opts = append(opts, opt("compres"))
	}
	return opts
}

// ipcomp: the index is in the second half of a 32-bit header. The kernel never
// looks at the reserved bits (comp_mt in xt_ipcomp.c).
func ipcomp(a *args) firewall.Cond {
	conds := []firewall.Cond{header(32)}
	if o, ok := a.get("ipcompspi"); ok {
		lo, hi := a.span(o.Values[0], ":", 0xffffffff)
		in := firewall.Cond(firewall.Const(false))
		if lo <= 0xffff {
			in = between(a.c.transport(16, 16), lo, min(hi, 0xffff))
		}
		conds = append(conds, negate(o.Not, in))
	}
	return all(conds...)
}

func decodeTCPMSS(_ *Context, d *data) []Option {
	return []Option{inv(d.boolean(4, 1), "mss", portRange(d.u16(0), d.u16(2)))}
}

// tcpmss: a packet without the option matches the inversion.
func tcpmss(a *args) firewall.Cond {
	o, ok := a.get("mss")
	if !ok {
		a.fail("tcpmss needs --mss")
		return firewall.Const(false)
	}
	lo, hi := a.span(o.Values[0], ":", 65535)
	present := equal(a.c.free("tcp option maxseg exists", 1), 1)
	size := between(a.c.free("tcp option maxseg size", 16), lo, hi)
	return all(header(tcpBits), a.unlessChanged(negate(o.Not, all(present, size)), "TCPMSS", "TCPOPTSTRIP"))
}
