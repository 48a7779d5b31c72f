package xt

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"sekimori/internal/firewall"
)

// packetMatches are the matches on the packet's own headers, beside those on
// the transport protocol.
func packetMatches() table {
	t := make(table)
	t.match("comment", "comment", []int{256}, decodeComment, func(*args) firewall.Cond { return firewall.Const(true) })
	t.match("mark", "mark!", []int{0, 12}, decodeMark, func(a *args) firewall.Cond {
		cond, not := a.markIs(firewall.FieldMark)
		return negate(not, cond)
	})
	t.match("iprange", "src-range! dst-range!", []int{0, 68}, decodeIPRange, iprange)
	t.match("mac", "mac-source!", []int{12}, decodeMAC, mac)
	t.match("length", "length!", []int{6}, decodeLength, length)
	t.match("dscp", "dscp! dscp-class!", []int{2}, decodeDSCP, dscp)
	t.match("tos", "tos!", []int{0, 3}, decodeTOS, tos)
	t.match("ecn", "ecn-tcp-cwr!:0 ecn-tcp-ece!:0 ecn-ip-ect!", []int{4}, decodeECN, ecn)
	t.match("pkttype", "pkt-type!", []int{8}, decodePktType, pktType)
	t.match("addrtype", "src-type! dst-type! limit-iface-in:0 limit-iface-out:0", []int{12, 8}, decodeAddrType, addrType)
	t.match("u32", "u32!", []int{1984}, decodeU32, u32)
	t.match("string", "string! hex-string! algo from to icase:0", []int{160, 160}, decodeString, stringMatch)
	return t
}

func decodeComment(_ *Context, d *data) []Option {
	return []Option{quoted("comment", d.str(0, 256))}
}

func decodeIPRange(c *Context, d *data) []Option {
	flags := d.u8(64)
	d.flags("flags", uint64(flags), 0x33)
	var opts []Option
	if flags&1 != 0 {
		opts = append(opts, inv(flags&0x10 != 0, "src-range", c.address(d.raw(0, 16))+"-"+c.address(d.raw(16, 16))))
	}
	if flags&2 != 0 {
		opts = append(opts, inv(flags&0x20 != 0, "dst-range", c.address(d.raw(32, 16))+"-"+c.address(d.raw(48, 16))))
	}
	return opts
}

func iprange(a *args) firewall.Cond {
	var conds []firewall.Cond
	for _, o := range a.opts {
		v := a.c.source()
		if o.Name == "dst-range" {
			v = a.c.destination()
		}
		conds = append(conds, negate(o.Not, a.addressRange(v, o.Values[0])))
	}
	if len(conds) == 0 {
		a.fail("iprange needs --src-range or --dst-range")
	}
	return all(conds...)
}

// addressRange reads `a-b`, or `a` alone.
func (a *args) addressRange(v firewall.Value, s string) firewall.Cond {
	from, to, ranged := strings.Cut(s, "-")
	if !ranged {
		to = from
	}
	lo, err := a.c.parseAddress(from)
	if err == nil {
		var hi netip.Addr
		if hi, err = a.c.parseAddress(to); err == nil {
			if hi.Less(lo) {
				return firewall.Const(false)
			}
			return spanned(v, lo.AsSlice(), hi.AsSlice())
		}
	}
	a.fail("%v", err)
	return firewall.Const(false)
}

func macText(b []byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5])
}

func decodeMAC(_ *Context, d *data) []Option {
	return []Option{inv(d.boolean(8, 4), "mac-source", macText(d.raw(0, 6)))}
}

// mac: a packet without an Ethernet header matches neither the address nor its
// inversion. An address that has been made unreadable, as in published dumps,
// is understood as one that is not known.
func mac(a *args) firewall.Cond {
	o, ok := a.get("mac-source")
	if !ok {
		a.fail("mac needs --mac-source")
		return firewall.Const(false)
	}
	ether := firewall.Present{Header: firewall.FieldLink, Bits: 112}
	b, err := hex.DecodeString(strings.ReplaceAll(o.Values[0], ":", ""))
	if err != nil || len(b) != 6 {
		if anonymised(o.Values[0]) {
			// Equal text may be that of different addresses.
			hidden := firewall.Varies{Text: "-m mac --mac-source " + o.Values[0], Hidden: true}
			return all(ether, negate(o.Not, hidden))
		}
		a.fail("%q is not a hardware address", o.Values[0])
		return firewall.Const(false)
	}
	return all(ether, negate(o.Not, spanned(a.c.value(firewall.FieldLink, 0, 48, 48), b, b)))
}

// anonymised reports whether s is a hardware address in which digits are
// replaced by X.
func anonymised(s string) bool {
	return len(s) == 17 && strings.Count(s, ":") == 5 &&
		strings.Trim(s, "0123456789abcdefABCDEFxX:") == "" && strings.ContainsAny(s, "xX")
}

func decodeLength(_ *Context, d *data) []Option {
	return []Option{inv(d.boolean(4, 1), "length", portRange(d.u16(0), d.u16(2)))}
}

// length counts the whole packet: the payload and the fixed header in IPv6.
func length(a *args) firewall.Cond {
	o, ok := a.get("length")
	if !ok {
		a.fail("length needs --length")
		return firewall.Const(false)
	}
	lo, hi := a.span(o.Values[0], ":", 65535)
	v := a.c.network(16, 16)
	if a.c.Family == firewall.IPv6 {
		v = a.c.network(32, 16)
		if hi < 40 {
			return negate(o.Not, firewall.Const(false))
		}
		lo, hi = max(lo, 40)-40, hi-40
	}
	return a.unlessChanged(negate(o.Not, between(v, lo, hi)), "TCPMSS")
}

// trafficClass is the TOS byte of IPv4 or the traffic class of IPv6, or n bits
// of it.
func (c *Context) trafficClass(from, n int) firewall.Value {
	if c.Family == firewall.IPv6 {
		return c.network(4+from, n)
	}
	return c.network(8+from, n)
}

func decodeDSCP(_ *Context, d *data) []Option {
	return []Option{inv(d.boolean(1, 1), "dscp", fmt.Sprintf("0x%02x", d.u8(0)))}
}

// dscpClass reads the names of RFC 2474, 2597 and 3246.
func dscpClass(name string) (uint64, bool) {
	name = strings.ToUpper(name)
	switch {
	case name == "EF":
		return 46, true
	case name == "BE":
		return 0, true
	case len(name) == 3 && name[:2] == "CS" && name[2] >= '0' && name[2] <= '7':
		return uint64(name[2]-'0') * 8, true
	case len(name) == 4 && name[:2] == "AF" && name[2] >= '1' && name[2] <= '4' && name[3] >= '1' && name[3] <= '3':
		return uint64(name[2]-'0')*8 + uint64(name[3]-'0')*2, true
	}
	return 0, false
}

func (a *args) dscpValue(o Option) uint64 {
	if o.Name == "dscp-class" || o.Name == "set-dscp-class" {
		n, ok := dscpClass(o.Values[0])
		if !ok {
			a.fail("%q is not a DSCP class", o.Values[0])
		}
		return n
	}
	return a.number(o.Values[0], 63)
}

func dscp(a *args) firewall.Cond {
	if len(a.opts) == 0 {
		a.fail("dscp needs --dscp or --dscp-class")
		return firewall.Const(false)
	}
	o := a.opts[len(a.opts)-1]
	n := a.dscpValue(o)
	return a.unlessChanged(negate(o.Not, equal(a.c.trafficClass(0, 6), n)), "DSCP", "TOS")
}

func decodeTOS(_ *Context, d *data) []Option {
	return []Option{inv(d.boolean(2, 1), "tos", fmt.Sprintf("0x%02x/0x%02x", d.u8(1), d.u8(0)))}
}

// tosMask reads a value, `value/mask` or one of RFC 1349's names, which stand
// for the four bits of the old TOS field.
func (a *args) tosMask(s string) (value, mask uint32) {
	for i, n := range [...]string{"Normal-Service", "Minimize-Cost", "Maximize-Reliability", "", "Maximize-Throughput", "", "", "", "Minimize-Delay"} {
		if n != "" && strings.EqualFold(n, s) {
			return uint32(i) << 1, 0x3f
		}
	}
	return a.masked(s, 0xff)
}

func tos(a *args) firewall.Cond {
	o, ok := a.get("tos")
	if !ok {
		a.fail("tos needs --tos")
		return firewall.Const(false)
	}
	value, mask := a.tosMask(o.Values[0])
	cond := firewall.Cond(firewall.Const(false))
	if value&^mask == 0 {
		cond = maskedEqual(a.c.trafficClass(0, 8), []byte{byte(value)}, []byte{byte(mask)})
	}
	return a.unlessChanged(negate(o.Not, cond), "DSCP", "TOS", "ECN")
}

func decodeECN(_ *Context, d *data) []Option {
	op, not := d.u8(0), d.u8(1)
	d.flags("operation", uint64(op), 0x31)
	d.flags("inversion", uint64(not), 0x31)
	var opts []Option
	if op&0x10 != 0 {
		opts = append(opts, inv(not&0x10 != 0, "ecn-tcp-ece"))
	}
	if op&0x20 != 0 {
		opts = append(opts, inv(not&0x20 != 0, "ecn-tcp-cwr"))
	}
	if op&1 != 0 {
		opts = append(opts, inv(not&1 != 0, "ecn-ip-ect", fmt.Sprint(d.u8(2))))
	}
	return opts
}

// unguarded is the condition on the transport header of a match that does not
// ask whether the packet is a later fragment. What it then reads is payload.
func (a *args) unguarded(bits int, cond firewall.Cond) firewall.Cond {
	return either(
		all(header(bits), cond),
		all(firewall.Not{Of: firewall.Total{Of: header(bits)}}, fixed(a.text()+" of a fragment")))
}

func ecn(a *args) firewall.Cond {
	var conds, flags []firewall.Cond
	for _, o := range a.opts {
		switch o.Name {
		case "ecn-tcp-ece":
			flags = append(flags, negate(o.Not, equal(a.c.transport(flagsStart+1, 1), 1)))
		case "ecn-tcp-cwr":
			flags = append(flags, negate(o.Not, equal(a.c.transport(flagsStart, 1), 1)))
		case "ecn-ip-ect":
			conds = append(conds, negate(o.Not, equal(a.c.trafficClass(6, 2), a.number(o.Values[0], 3))))
		}
	}
	if flags != nil {
		conds = append(conds, a.unguarded(tcpBits, all(flags...)))
	}
	return a.unlessChanged(all(conds...), "ECN", "TOS")
}

// unlessChanged is the condition, or one without a fixed answer where some target
// of the ruleset rewrites what it looks at.
func (a *args) unlessChanged(cond firewall.Cond, targets ...string) firewall.Cond {
	if a.c.changedBy(targets...) {
		return varies(a.text())
	}
	return cond
}

// packetTypes are the kernel's numbers (PACKET_HOST, …) by iptables' names.
func packetTypes() []string {
	return []string{"unicast", "broadcast", "multicast", "otherhost", "outgoing"}
}

func decodePktType(_ *Context, d *data) []Option {
	n, not := d.u32(0), d.boolean(4, 4)
	if int(n) >= len(packetTypes()) {
		d.refuse("packet type %d", n)
		return nil
	}
	return []Option{inv(not, "pkt-type", packetTypes()[n])}
}

func pktType(a *args) firewall.Cond {
	o, ok := a.get("pkt-type")
	if !ok {
		a.fail("pkttype needs --pkt-type")
		return firewall.Const(false)
	}
	for n, name := range packetTypes() {
		if strings.EqualFold(o.Values[0], name) || n == 0 && strings.EqualFold(o.Values[0], "host") {
			return negate(o.Not, equal(a.c.free("meta pkttype", 8), uint64(n)))
		}
	}
	a.fail("%q is not a packet type", o.Values[0])
	return firewall.Const(false)
}

// addrTypeNames are the bits of the masks: 1 << RTN_*.
func addrTypeNames() []string {
	return []string{
		"UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE",
		"PROHIBIT", "THROW", "NAT", "XRESOLVE",
	}
}

func decodeAddrType(_ *Context, d *data) []Option {
	src, dst := d.u16(0), d.u16(2)
	var notSrc, notDst bool
	var flags uint32
	if d.rev == 0 {
		notSrc, notDst = d.boolean(4, 4), d.boolean(8, 4)
	} else {
		flags = d.u32(4)
		d.flags("flags", uint64(flags), 15)
		notSrc, notDst = flags&1 != 0, flags&2 != 0
	}
	var opts []Option
	if src != 0 {
		opts = append(opts, inv(notSrc, "src-type", bitNames(d, uint64(src), addrTypeNames())))
	}
	if dst != 0 {
		opts = append(opts, inv(notDst, "dst-type", bitNames(d, uint64(dst), addrTypeNames())))
	}
	if flags&4 != 0 {
		opts = append(opts, opt("limit-iface-in"))
	}
	if flags&8 != 0 {
		opts = append(opts, opt("limit-iface-out"))
	}
	return opts
}

func addrType(a *args) firewall.Cond {
	var conds []firewall.Cond
	for _, o := range a.opts {
		if o.Name != "src-type" && o.Name != "dst-type" {
			continue
		}
		mask := uint16(a.bitMask(o.Values[0], "an address type", addrTypeNames()))
		t := firewall.AddrType{
			Source: o.Name == "src-type", Types: mask,
			LimitIn: a.has("limit-iface-in"), LimitOut: a.has("limit-iface-out"),
		}
		conds = append(conds, negate(o.Not, a.addrTypeIs(t)))
	}
	if len(conds) == 0 {
		a.fail("addrtype needs --src-type or --dst-type")
	}
	return all(conds...)
}

// addrTypeIs: for IPv4 any of the types. For IPv6 match_type6 in xt_addrtype.c
// asks for all of multicast, unicast and unspecified that are given, and for any
// of those that routing knows.
func (a *args) addrTypeIs(t firewall.AddrType) firewall.Cond {
	if a.c.Family == firewall.IPv4 {
		return t
	}
	v := a.c.destination()
	if t.Source {
		v = a.c.source()
	}
	prefix := func(s string) firewall.Cond {
		addr, mask, err := a.c.Network(s)
		if err != nil {
			a.fail("%v", err)
			return firewall.Const(false)
		}
		return maskedEqual(v, addr, mask)
	}
	const unspec, unicast, multicast, routed = 1 << 0, 1 << 1, 1 << 5, 1<<2 | 1<<4 | 1<<7 | 1<<8
	var conds []firewall.Cond
	if t.Types&multicast != 0 {
		conds = append(conds, prefix("ff00::/8"))
	}
	if t.Types&unicast != 0 { // not those of ipv6_addr_type: any, multicast, v4-mapped
		conds = append(conds, firewall.Not{Of: firewall.Or{prefix("ff00::/8"), prefix("::/128"), prefix("::ffff:0:0/96")}})
	}
	if t.Types&unspec != 0 {
		conds = append(conds, prefix("::/128"))
	}
	if t.Types&routed != 0 {
		t.Types &= routed
		conds = append(conds, t)
	}
	return all(conds...)
}

func decodeString(_ *Context, d *data) []Option {
	n := int(d.u8(148))
	if n > 128 {
		d.refuse("a pattern of %d bytes", n)
		return nil
	}
	flags := d.u8(149)
	d.flags("flags", uint64(flags), 3)
	pattern := d.raw(20, n)
	o := Option{Name: "string", Not: flags&1 != 0, Values: []string{string(pattern)}, quoting: quoteAlways}
	if bytes.ContainsFunc(pattern, func(r rune) bool { return r < ' ' || r > '~' || r == '|' }) {
		o.Name, o.Values[0] = "hex-string", "|"+hex.EncodeToString(pattern)+"|"
	}
	opts := []Option{o, opt("algo", d.str(4, 16))}
	if from := d.u16(0); from != 0 {
		opts = append(opts, opt("from", fmt.Sprint(from)))
	}
	if to := d.u16(2); to != 0 && to != 0xffff {
		opts = append(opts, opt("to", fmt.Sprint(to)))
	} else if to == 0 {
		opts = append(opts, opt("to", "0"))
	}
	if flags&2 != 0 {
		opts = append(opts, opt("icase"))
	}
	return opts
}

// stringMatch looks into the whole packet, which address translation changes.
func stringMatch(a *args) firewall.Cond {
	not := false
	found := false
	plain := *a
	plain.opts = nil
	for _, o := range a.opts {
		if o.Name == "string" || o.Name == "hex-string" {
			not, found = o.Not, true
			o.Not = false
		}
		plain.opts = append(plain.opts, o)
	}
	if !found {
		a.fail("string needs --string or --hex-string")
	}
	return negate(not, varies(plain.text()))
}
