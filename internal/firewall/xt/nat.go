package xt

import (
	"encoding/binary"
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// natTargets are the targets that translate addresses.
func natTargets(f firewall.Family) table {
	t := make(table)
	const more = " random:0 random-fully:0 persistent:0"
	// Revision 0 is IPv4's old structure, which REDIRECT, MASQUERADE and NETMAP
	// still have; for IPv6 they have struct nf_nat_range in that revision.
	old := 20
	v4 := 20
	if f == firewall.IPv6 {
		old, v4 = 0, 40
	}
	t.target("DNAT", "to-destination"+more, []int{old, 40, 44}, func(c *Context, d *data) []Option {
		return decodeNAT(c, d, "to-destination")
	}, func(a *args) []firewall.Step { return translate(a, firewall.DNAT, "to-destination") })
	t.target("SNAT", "to-source"+more, []int{old, 40, 44}, func(c *Context, d *data) []Option {
		return decodeNAT(c, d, "to-source")
	}, func(a *args) []firewall.Step { return translate(a, firewall.SNAT, "to-source") })
	t.target("REDIRECT", "to-ports"+more, []int{v4}, decodeNATPorts,
		func(a *args) []firewall.Step { return translatePorts(a, firewall.Redirect) })
	t.target("MASQUERADE", "to-ports"+more, []int{v4}, decodeNATPorts,
		func(a *args) []firewall.Step { return translatePorts(a, firewall.Masquerade) })
	t.target("NETMAP", "to", []int{v4}, decodeNetmap, netmap)
	t.target("TPROXY", "on-port on-ip tproxy-mark", []int{16, 28}, decodeTPROXY, tproxy)
	return t
}

// Flags of struct nf_nat_range.
const (
	natMapIPs      = 1 << 0
	natPorts       = 1 << 1
	natRandom      = 1 << 2
	natPersistent  = 1 << 3
	natRandomFully = 1 << 4
	natOffset      = 1 << 5
)

// natRange is one of the three structures of a translation.
type natRange struct {
	flags    uint32
	lo, hi   []byte
	minPort  uint16
	maxPort  uint16
	basePort uint16
}

func readNAT(c *Context, d *data) natRange {
	if len(d.b) == 20 {
		if n := d.u32(0); n != 1 {
			d.refuse("%d ranges", n)
		}
		return natRange{flags: d.u32(4), lo: d.raw(8, 4), hi: d.raw(12, 4), minPort: d.be16(16), maxPort: d.be16(18)}
	}
	n := c.addressBits() / 8
	r := natRange{flags: d.u32(0), lo: d.raw(4, n), hi: d.raw(20, n), minPort: d.be16(36), maxPort: d.be16(38)}
	if len(d.b) == 44 {
		r.basePort = d.be16(40)
	}
	return r
}

func (r natRange) portText() string {
	s := fmt.Sprint(r.minPort)
	if r.maxPort != r.minPort {
		s += fmt.Sprintf("-%d", r.maxPort)
	}
	if r.flags&natOffset != 0 {
		s += fmt.Sprintf("/%d", r.basePort)
	}
	return s
}

func (r natRange) options() []Option {
	var opts []Option
	for _, o := range [...]struct {
		bit  uint32
		name string
	}{{natRandom, "random"}, {natRandomFully, "random-fully"}, {natPersistent, "persistent"}} {
		if r.flags&o.bit != 0 {
			opts = append(opts, opt(o.name))
		}
	}
	return opts
}

func decodeNAT(c *Context, d *data, option string) []Option {
	r := readNAT(c, d)
	d.flags("flags", uint64(r.flags), 63)
	var b strings.Builder
	if r.flags&natMapIPs != 0 {
		addr := c.address(r.lo)
		brackets := c.Family == firewall.IPv6 && r.flags&natPorts != 0
		if brackets {
			b.WriteByte('[')
		}
		b.WriteString(addr)
		if string(r.lo) != string(r.hi) {
			b.WriteString("-" + c.address(r.hi))
		}
		if brackets {
			b.WriteByte(']')
		}
	}
	if r.flags&natPorts != 0 {
		b.WriteString(":" + r.portText())
	}
	return append([]Option{opt(option, b.String())}, r.options()...)
}

func decodeNATPorts(c *Context, d *data) []Option {
	r := readNAT(c, d)
	d.flags("flags", uint64(r.flags), 63)
	if r.flags&natMapIPs != 0 {
		d.refuse("an address, which the target does not take")
	}
	var opts []Option
	if r.flags&natPorts != 0 {
		opts = append(opts, opt("to-ports", r.portText()))
	}
	return append(opts, r.options()...)
}

// natTarget reads `addr[-addr][:port[-port[/base]]]`, with brackets around IPv6
// addresses that a port follows.
func (a *args) natTarget(s string) (addr, port firewall.NATTarget) {
	addrs, ports, ported := s, "", false
	switch {
	case strings.HasPrefix(s, "["):
		var rest string
		addrs, rest, _ = strings.Cut(s[1:], "]")
		// `[a]-[b]:port` is the other way to write a range.
		if more, ok := strings.CutPrefix(rest, "-["); ok {
			var to string
			to, rest, _ = strings.Cut(more, "]")
			addrs += "-" + to
		}
		ports, ported = strings.CutPrefix(rest, ":")
		if rest != "" && !ported {
			a.fail("%q is not an address and port", s)
		}
	case a.c.Family == firewall.IPv4:
		addrs, ports, ported = strings.Cut(s, ":")
	}
	if ported {
		port = a.natPorts(ports)
	}
	if addrs == "" {
		return addr, port
	}
	from, to, ranged := strings.Cut(addrs, "-")
	if !ranged {
		to = from
	}
	lo, err := a.c.parseAddress(from)
	if err == nil {
		hi, err2 := a.c.parseAddress(to)
		addr = firewall.NATTarget{Lo: lo.AsSlice(), Hi: hi.AsSlice()}
		err = err2
	}
	if err != nil {
		a.fail("%v", err)
	}
	return addr, port
}

// natPorts reads `port[-port[/base]]`. With a base the port depends on the one
// that the packet had.
func (a *args) natPorts(s string) firewall.NATTarget {
	s, _, shifted := strings.Cut(s, "/")
	from, to, ranged := strings.Cut(s, "-")
	lo := a.port(from)
	hi := lo
	if ranged {
		hi = a.port(to)
	}
	t := firewall.NATTarget{Lo: binary.BigEndian.AppendUint16(nil, uint16(lo)), Hi: binary.BigEndian.AppendUint16(nil, uint16(hi))}
	if shifted && lo != hi {
		return firewall.NATTarget{Unknown: true}
	}
	return t
}

// translate: a target with several addresses in text is the old form of the
// option given more than once, of which the last does not cancel the first.
func translate(a *args, kind firewall.NATKind, option string) []firewall.Step {
	nat := firewall.NAT{Kind: kind, Family: a.c.Family}
	n := 0
	for _, o := range a.opts {
		if o.Name == option {
			nat.Addr, nat.Port = a.natTarget(o.Values[0])
			n++
		}
	}
	switch {
	case n == 0:
		a.fail("%s needs --%s", a.name, option)
	case n > 1: // kernels before 2.6.11 took one of them in turn
		nat.Addr, nat.Port = firewall.NATTarget{Unknown: true}, firewall.NATTarget{Unknown: true}
	}
	return []firewall.Step{nat}
}

func translatePorts(a *args, kind firewall.NATKind) []firewall.Step {
	nat := firewall.NAT{Kind: kind, Family: a.c.Family}
	if v := a.value("to-ports"); v != "" {
		nat.Port = a.natPorts(v)
	}
	return []firewall.Step{nat}
}

func decodeNetmap(c *Context, d *data) []Option {
	r := readNAT(c, d)
	if r.flags&natMapIPs == 0 {
		d.refuse("no network")
	}
	mask := make([]byte, len(r.lo))
	for i := range mask {
		mask[i] = ^(r.lo[i] ^ r.hi[i])
	}
	ones := prefixLength(mask)
	if ones < 0 {
		return []Option{opt("to", c.address(r.lo)+"/"+c.address(mask))}
	}
	return []Option{opt("to", fmt.Sprintf("%s/%d", c.address(r.lo), ones))}
}

// netmap translates the destination on the way in and the source on the way out;
// in a chain that can be reached by both ways it is not decided.
func netmap(a *args) []firewall.Step {
	addr, mask := a.network(a.value("to"))
	if prefixLength(mask) < 0 {
		return opaque(a)
	}
	lo, hi := make([]byte, len(addr)), make([]byte, len(addr))
	for i := range addr {
		lo[i] = addr[i] & mask[i]
		hi[i] = addr[i] | ^mask[i]
	}
	nat := firewall.NAT{Family: a.c.Family, Prefix: true, Addr: firewall.NATTarget{Lo: lo, Hi: hi}}
	switch {
	case a.c.onlyFrom(firewall.Prerouting, firewall.Output):
		nat.Kind = firewall.DNAT
	case a.c.onlyFrom(firewall.Postrouting, firewall.Input):
		nat.Kind = firewall.SNAT
	default:
		return opaque(a)
	}
	return []firewall.Step{nat}
}

func decodeTPROXY(c *Context, d *data) []Option {
	n := 4
	if d.rev == 1 {
		n = 16
	}
	opts := []Option{opt("on-port", fmt.Sprint(d.be16(8+n)))}
	if n < c.addressBits()/8 {
		d.refuse("an address too short for IPv6")
		return nil
	}
	opts = append(opts, opt("on-ip", c.address(d.raw(8, n))))
	return append(opts, opt("tproxy-mark", fmt.Sprintf("0x%x/0x%x", d.u32(4), d.u32(0))))
}

// tproxy marks the packet and hands it to a socket: of the given address and
// port, where those are not 0.
func tproxy(a *args) []firewall.Step {
	var steps []firewall.Step
	if v := a.value("tproxy-mark"); v != "" {
		value, mask := a.masked(v, 0xffffffff)
		if mark, ok := xored(a.c.value(firewall.FieldMark, 0, 0, 32), mask, constant32(value)); ok && (mask != 0 || value != 0) {
			steps = append(steps, firewall.Assign{Field: firewall.FieldMark, Value: mark})
		}
	}
	nat := firewall.NAT{Kind: firewall.DNAT, Family: a.c.Family, TProxy: true}
	if v := a.value("on-ip"); v != "" {
		ip, err := a.c.parseAddress(v)
		if err != nil {
			a.fail("%v", err)
		} else if !ip.IsUnspecified() {
			nat.Addr = firewall.NATTarget{Lo: ip.AsSlice(), Hi: ip.AsSlice()}
		}
	}
	if v := a.value("on-port"); v != "" && v != "0" {
		nat.Port = a.natPorts(v)
	}
	return append(steps, nat)
}
