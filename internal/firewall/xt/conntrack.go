package xt

import (
	"fmt"
	"net/netip"
	"strings"

	"sekimori/internal/firewall"
)

// conntrackMatches are the matches on what conntrack knows of a packet.
func conntrackMatches() table {
	t := make(table)
	m := t.match("conntrack",
		"ctstate! ctproto! ctorigsrc! ctorigdst! ctreplsrc! ctrepldst! ctorigsrcport! ctorigdstport! "+
			"ctreplsrcport! ctrepldstport! ctstatus! ctexpire! ctdir state!=ctstate",
		[]int{0, 152, 156, 164}, decodeConntrack, conntrack)
	m.alias = func(d *data) string {
		if d.u16(146)&conntrackAlias != 0 {
			return "state"
		}
		return ""
	}
	t.match("state", "state! ctstate!=state", []int{4}, decodeState, state)
	t.match("connmark", "mark!", []int{0, 12}, decodeMark, connmark)
	t.match("helper", "helper!", []int{36}, decodeHelper, helper)
	t.match("connlabel", "label! set:0", []int{4}, decodeConnlabel, connlabel)
	t.match("connbytes", "connbytes! connbytes-dir connbytes-mode", []int{24}, decodeConnbytes, stateful)
	return t
}

// The bits of xt_conntrack_mtinfo.match_flags.
const (
	conntrackState     = 1 << 0
	conntrackProto     = 1 << 1
	conntrackStatus    = 1 << 6
	conntrackExpires   = 1 << 7
	conntrackDirection = 1 << 12
	conntrackAlias     = 1 << 13
)

// conntrackStateNames are the bits of state_mask (XT_CONNTRACK_STATE_*), in the
// order in which iptables-save prints them.
func conntrackStateNames() []struct {
	name string
	bit  uint16
} {
	return []struct {
		name string
		bit  uint16
	}{
		{"INVALID", 1}, {"NEW", 8}, {"RELATED", 4}, {"ESTABLISHED", 2}, {"UNTRACKED", 256}, {"SNAT", 64}, {"DNAT", 128},
	}
}

func conntrackStatusNames() []string {
	return []string{"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"}
}

func decodeConntrack(c *Context, d *data) []Option {
	// The flags lie behind four pairs of addresses, two numbers, the protocol and
	// four ports; state and status are bytes in revision 1.
	flags, not := d.u16(146), d.u16(148)
	d.flags("flags", uint64(flags), 1<<14-1)
	d.flags("inversion flags", uint64(not), 1<<13-1)
	state, status := d.u16(150), uint16(0)
	if d.rev == 1 {
		state, status = uint16(d.u8(150)), uint16(d.u8(151))
	} else {
		status = d.u16(152)
	}
	if flags&conntrackAlias != 0 && flags != conntrackAlias|conntrackState {
		d.refuse("a state match that asks for more, flags %#x", flags)
	}
	var opts []Option
	if flags&conntrackState != 0 {
		name := "ctstate"
		if flags&conntrackAlias != 0 {
			name = "state"
		}
		opts = append(opts, inv(not&conntrackState != 0, name, conntrackStateText(d, state)))
	}
	if flags&conntrackProto != 0 {
		opts = append(opts, inv(not&conntrackProto != 0, "ctproto", fmt.Sprint(d.u16(136))))
	}
	for i, name := range [...]string{"ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst"} {
		if bit := uint16(4) << i; flags&bit != 0 {
			opts = append(opts, inv(not&bit != 0, name, c.maskedAddress(d.raw(32*i, 16), d.raw(32*i+16, 16))))
		}
	}
	for i, name := range [...]string{"ctorigsrcport", "ctorigdstport", "ctreplsrcport", "ctrepldstport"} {
		if bit := uint16(256) << i; flags&bit != 0 {
			lo := d.be16(138 + 2*i)
			hi := lo
			if d.rev == 3 {
				lo, hi = d.u16(138+2*i), d.u16(154+2*i)
			}
			opts = append(opts, inv(not&bit != 0, name, portRange(lo, hi)))
		}
	}
	if flags&conntrackStatus != 0 {
		opts = append(opts, inv(not&conntrackStatus != 0, "ctstatus", conntrackStatusText(d, status)))
	}
	if flags&conntrackExpires != 0 {
		opts = append(opts, inv(not&conntrackExpires != 0, "ctexpire", spiRange(d.u32(128), d.u32(132))))
	}
	if flags&conntrackDirection != 0 {
		dir := "ORIGINAL"
		if not&conntrackDirection != 0 {
			dir = "REPLY"
		}
		opts = append(opts, opt("ctdir", dir))
	}
	return opts
}

func conntrackStateText(d *data, mask uint16) string {
	var names []string
	for _, n := range conntrackStateNames() {
		if mask&n.bit != 0 {
			names = append(names, n.name)
			mask &^= n.bit
		}
	}
	// The kernel never sets the other bits, so they can stand in a mask of all.
	if names == nil {
		d.refuse("no state")
	}
	return strings.Join(names, ",")
}

func conntrackStatusText(d *data, mask uint16) string {
	if mask == 0 {
		return "NONE"
	}
	return bitNames(d, uint64(mask), conntrackStatusNames())
}

// address prints a union nf_inet_addr, or as much of it as the family needs.
func (c *Context) address(b []byte) string {
	if c.Family == firewall.IPv6 {
		return netip.AddrFrom16([16]byte(b)).String()
	}
	return netip.AddrFrom4([4]byte(b[:4])).String()
}

// maskedAddress prints an address and its mask as libxtables does: no mask for
// single addresses, the length of a prefix, else the mask itself.
func (c *Context) maskedAddress(addr, mask []byte) string {
	mask = mask[:c.addressBits()/8]
	ones := prefixLength(mask)
	switch {
	case ones < 0:
		return c.address(addr) + "/" + c.address(mask)
	case ones == c.addressBits():
		return c.address(addr)
	}
	return fmt.Sprintf("%s/%d", c.address(addr), ones)
}

// Network reads an address with an optional mask, by length or written out:
// `10.0.0.0/8`, `10.0.0.0/255.0.0.0`. Both results have the family's length.
func (c *Context) Network(s string) (addr, mask []byte, err error) {
	text, m, masked := strings.Cut(s, "/")
	a, err := c.parseAddress(text)
	if err != nil {
		return nil, nil, err
	}
	addr = a.AsSlice()
	mask = make([]byte, len(addr))
	if !masked {
		for i := range mask {
			mask[i] = 0xff
		}
		return addr, mask, nil
	}
	if n, err := parseNumber(m); err == nil && n <= uint64(8*len(mask)) {
		for i := range int(n) {
			mask[i/8] |= 0x80 >> (i % 8)
		}
		return addr, mask, nil
	}
	b, err := c.parseAddress(m)
	if err != nil {
		return nil, nil, fmt.Errorf("%q is neither a prefix length nor a mask", m)
	}
	return addr, b.AsSlice(), nil
}

func (c *Context) parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil || a.Zone() != "":
		return netip.Addr{}, fmt.Errorf("%q is not an address", s)
	case a.Is4() != (c.Family == firewall.IPv4):
		return netip.Addr{}, fmt.Errorf("%s is not an address of family %v", s, c.Family)
	}
	return a, nil
}

// network is [Context.Network] within the options of a match.
func (a *args) network(s string) (addr, mask []byte) {
	addr, mask, err := a.c.Network(s)
	if err != nil {
		a.fail("%v", err)
		n := a.c.addressBits() / 8
		return make([]byte, n), make([]byte, n)
	}
	return addr, mask
}

const (
	stateNoEntry = firewall.StateInvalid | firewall.StateUntracked
	stateEntry   = firewall.StateNew | firewall.StateEstablished | firewall.StateRelated
)

// statusBit is a bit of ct status, by its number.
func (c *Context) statusBit(n int) firewall.Cond {
	return equal(c.value(firewall.FieldCtStatus, 0, 31-n, 1), 1)
}

// states gives a list of states its meaning. SNAT and DNAT are properties of
// connections, beside their state.
func (a *args) states(list string) firewall.Cond {
	var mask firewall.StateMask
	var or []firewall.Cond
	for w := range strings.SplitSeq(list, ",") {
		switch strings.ToUpper(w) {
		case "INVALID":
			mask |= firewall.StateInvalid
		case "NEW":
			mask |= firewall.StateNew
		case "ESTABLISHED":
			mask |= firewall.StateEstablished
		case "RELATED":
			mask |= firewall.StateRelated
		case "UNTRACKED":
			mask |= firewall.StateUntracked
		case "SNAT":
			or = append(or, firewall.Total{Of: a.c.statusBit(4)})
		case "DNAT":
			or = append(or, firewall.Total{Of: a.c.statusBit(5)})
		default:
			a.fail("%q is not a connection state", w)
		}
	}
	if mask != 0 {
		or = append([]firewall.Cond{firewall.State{Mask: mask}}, or...)
	}
	return either(or...)
}

// conntrack follows conntrack_mt in xt_conntrack.c. Where a packet has no
// connection the state alone decides, and without --ctstate nothing matches.
func conntrack(a *args) firewall.Cond {
	var rest []firewall.Cond
	for _, o := range a.opts {
		if o.Name != "ctstate" && o.Name != "state" {
			rest = append(rest, conntrackPart(a, o))
		}
	}
	o, ok := a.get("ctstate")
	if !ok {
		o, ok = a.get("state")
	}
	if !ok {
		return all(append([]firewall.Cond{firewall.State{Mask: stateEntry}}, rest...)...)
	}
	st := negate(o.Not, a.states(o.Values[0]))
	if len(rest) == 0 {
		return st
	}
	return all(st, either(firewall.State{Mask: stateNoEntry}, all(rest...)))
}

// conntrackPart is the condition of one option about an existing connection.
func conntrackPart(a *args, o Option) firewall.Cond {
	v := o.Values[0]
	var cond firewall.Cond
	switch o.Name {
	case "ctproto":
		cond = equal(a.c.value(firewall.FieldCtProto, 0, 0, 8), uint64(a.protocol(v)))
	case "ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst":
		field := map[string]firewall.Field{
			"ctorigsrc": firewall.FieldCtOrigSrc, "ctorigdst": firewall.FieldCtOrigDst,
			"ctreplsrc": firewall.FieldCtReplySrc, "ctrepldst": firewall.FieldCtReplyDst,
		}[o.Name]
		addr, mask := a.network(v)
		cond = maskedEqual(a.c.value(field, 0, 0, a.c.addressBits()), addr, mask)
	case "ctorigsrcport":
		cond = a.tuplePort(a.c.value(firewall.FieldCtOrigSport, 0, 0, 16), v)
	case "ctorigdstport":
		cond = a.tuplePort(a.c.value(firewall.FieldCtOrigDport, 0, 0, 16), v)
	case "ctreplsrcport":
		cond = a.tuplePort(a.c.free("ct reply proto-src", 16), v)
	case "ctrepldstport":
		cond = a.tuplePort(a.c.free("ct reply proto-dst", 16), v)
	case "ctstatus":
		cond = a.status(v)
	case "ctexpire":
		a.span(v, ":", 0xffffffff)
		cond = varies("-m conntrack --ctexpire " + v)
	case "ctdir":
		dir := uint64(0)
		switch strings.ToUpper(v) {
		case "ORIGINAL":
		case "REPLY":
			dir = 1
		default:
			a.fail("%q is neither ORIGINAL nor REPLY", v)
		}
		cond = equal(a.c.value(firewall.FieldCtDir, 0, 0, 8), dir)
	default:
		a.fail("unknown option --%s", o.Name)
		return firewall.Const(false)
	}
	return negate(o.Not, cond)
}

func (a *args) tuplePort(v firewall.Value, s string) firewall.Cond {
	lo, hi := a.portSpan(s)
	return between(v, lo, hi)
}

// status: NONE is the empty mask, of which no status has a bit.
func (a *args) status(list string) firewall.Cond {
	var mask uint32
	for w := range strings.SplitSeq(list, ",") {
		if !strings.EqualFold(w, "NONE") {
			mask |= uint32(a.bitMask(w, "a connection status", conntrackStatusNames()))
		}
	}
	return anyBit(a.c.value(firewall.FieldCtStatus, 0, 0, 32), mask)
}

func decodeState(_ *Context, d *data) []Option {
	mask := d.u32(0)
	// Here UNTRACKED has the bit that SNAT has in the conntrack match.
	m := uint16(mask & 15)
	if mask&64 != 0 {
		m |= 256
	}
	return []Option{opt("state", conntrackStateText(d, m))}
}

func state(a *args) firewall.Cond {
	o, ok := a.get("state")
	if !ok {
		a.fail("state needs --state")
		return firewall.Const(false)
	}
	return negate(o.Not, a.states(o.Values[0]))
}

// markText prints a mark and its mask, which is left out if it is full.
func markText(mark, mask uint32) string {
	if mask == 0xffffffff {
		return fmt.Sprintf("0x%x", mark)
	}
	return fmt.Sprintf("0x%x/0x%x", mark, mask)
}

// decodeMark reads xt_mark_mtinfo1 and xt_connmark_mtinfo1, which are alike.
func decodeMark(_ *Context, d *data) []Option {
	return []Option{inv(d.boolean(8, 1), "mark", markText(d.u32(0), d.u32(4)))}
}

// markIs holds where `(mark & mask) == want`.
func (a *args) markIs(f firewall.Field) (firewall.Cond, bool) {
	o, ok := a.get("mark")
	if !ok {
		a.fail("%s needs --mark", a.name)
		return firewall.Const(false), false
	}
	want, mask := a.masked(o.Values[0], 0xffffffff)
	if want&^mask != 0 {
		return firewall.Const(false), o.Not
	}
	v := a.c.value(f, 0, 0, 32)
	return maskedEqual(v, bigEndian(uint64(want), 32), bigEndian(uint64(mask), 32)), o.Not
}

// connmark: without a connection neither the mark nor its inversion matches.
func connmark(a *args) firewall.Cond {
	cond, not := a.markIs(firewall.FieldCtMark)
	return all(firewall.State{Mask: stateEntry}, negate(not, cond))
}

func decodeHelper(_ *Context, d *data) []Option {
	o := quoted("helper", d.str(4, 30))
	o.Not = d.boolean(0, 4)
	return []Option{o}
}

// helper: a connection without a helper, or no connection at all, matches the
// inversion. What has a helper is not for rules to say.
func helper(a *args) firewall.Cond {
	o, ok := a.get("helper")
	if !ok {
		a.fail("helper needs --helper")
		return firewall.Const(false)
	}
	return negate(o.Not, fixed("-m helper --helper "+Quote(o.Values[0])))
}

func decodeConnlabel(_ *Context, d *data) []Option {
	options := d.u16(2)
	d.flags("options", uint64(options), 3)
	label := Option{Name: "label", Not: options&1 != 0, Values: []string{fmt.Sprint(d.u16(0))}, quoting: quoteAlways}
	opts := []Option{label}
	if options&2 != 0 {
		opts = append(opts, opt("set"))
	}
	return opts
}

// connlabel: --set makes the label and matches where that worked, so that the
// answer differs from one packet to the next.
func connlabel(a *args) firewall.Cond {
	o, ok := a.get("label")
	if !ok {
		a.fail("connlabel needs --label")
		return firewall.Const(false)
	}
	text := "-m connlabel --label " + o.Values[0]
	if a.has("set") {
		return negate(o.Not, varies(text+" --set"))
	}
	return negate(o.Not, fixed(text))
}

func decodeConnbytes(_ *Context, d *data) []Option {
	from, to, what, dir := d.u64(0), d.u64(8), d.u8(16), d.u8(17)
	if what > 2 || dir > 2 {
		d.refuse("counts %d of direction %d", what, dir)
		return nil
	}
	not := from > to
	if not {
		from, to = to, from
	}
	span := fmt.Sprintf("%d:%d", from, to)
	if to == 1<<64-1 || to == 0 {
		span = fmt.Sprintf("%d", from)
	}
	return []Option{
		inv(not, "connbytes", span),
		opt("connbytes-mode", [...]string{"packets", "bytes", "avgpkt"}[what]),
		opt("connbytes-dir", [...]string{"original", "reply", "both"}[dir]),
	}
}

// stateful is the meaning of a match that has no fixed answer at all.
func stateful(a *args) firewall.Cond { return varies(a.text()) }

// fixedAnswer is that of a match whose answer is not known here, but always the
// same for a packet.
func fixedAnswer(a *args) firewall.Cond { return fixed(a.text()) }
