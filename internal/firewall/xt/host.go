package xt

import (
	"bytes"
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// hostMatches are the matches on what the host, not the packet, says: sockets,
// bridge ports, routes, processors.
func hostMatches() table {
	t := make(table)
	t.match("owner", "uid-owner! gid-owner! socket-exists!:0 suppl-groups:0", []int{0, 20}, decodeOwner, owner)
	t.match("cgroup", "cgroup! path!", []int{8, 4112, 528}, decodeCgroup, cgroup)
	t.match("socket", "transparent:0 nowildcard:0 restore-skmark:0", []int{noBytes, 1, 1, 1}, decodeSocket, nil).steps = socket
	t.match("physdev",
		"physdev-in! physdev-out! physdev-is-in!:0 physdev-is-out!:0 physdev-is-bridged!:0",
		[]int{66}, decodePhysdev, physdev)
	t.match("rpfilter", "loose:0 validmark:0 accept-local:0 invert:0", []int{1}, decodeRPFilter, rpfilter)
	t.match("realm", "realm!", []int{12}, decodeRealm, realm)
	t.match("cpu", "cpu!", []int{8}, decodeCPU, cpu)
	t.match("devgroup", "src-group! dst-group!", []int{20}, decodeDevgroup, devgroup)
	t.match("policy",
		"dir pol strict:0 reqid! spi! proto! mode! tunnel-src! tunnel-dst! next:0",
		[]int{308}, decodePolicy, policy)
	t.match("ipvs", "ipvs!:0 vproto! vaddr! vport! vdir vmethod! vportctl!", []int{40}, decodeIPVS, fixedAnswer)
	t.match("osf", "genre! ttl log", []int{48}, decodeOSF, osf)
	t.match("bpf", "bytecode object-pinned", []int{528, 528}, decodeBPF, func(a *args) firewall.Cond {
		return firewall.Undecoded{Text: a.text()}
	})
	return t
}

func decodeOwner(_ *Context, d *data) []Option {
	match, not := d.u8(16), d.u8(17)
	d.flags("match flags", uint64(match), 15)
	d.flags("inversion flags", uint64(not), 15)
	if not&^match&7 != 0 {
		d.refuse("inversion without its option")
	}
	var opts []Option
	if match&4 != 0 {
		opts = append(opts, inv(not&4 != 0, "socket-exists"))
	}
	if match&1 != 0 {
		opts = append(opts, inv(not&1 != 0, "uid-owner", idRange(d.u32(0), d.u32(4))))
	}
	if match&2 != 0 {
		opts = append(opts, inv(not&2 != 0, "gid-owner", idRange(d.u32(8), d.u32(12))))
	}
	if match&8 != 0 {
		opts = append(opts, opt("suppl-groups"))
	}
	return opts
}

func idRange(lo, hi uint32) string {
	if lo == hi {
		return fmt.Sprint(lo)
	}
	return fmt.Sprintf("%d-%d", lo, hi)
}

// owner follows owner_mt in xt_owner.c: where no socket of this host sent the
// packet it matches only if every option is inverted. That is so at each hook
// but output and postrouting.
func owner(a *args) firewall.Cond {
	inverted := true
	conds := []firewall.Cond{a.c.hasSocket()}
	for _, o := range a.opts {
		switch o.Name {
		case "socket-exists":
			if o.Not {
				conds = append(conds, firewall.Const(false))
			}
		case "uid-owner":
			conds = append(conds, negate(o.Not, a.ownerID("meta skuid", o.Values[0])))
		case "gid-owner":
			field := "meta skgid"
			if a.has("suppl-groups") {
				field = "a group of the socket's owner" // any of them: not one number
				conds = append(conds, negate(o.Not, fixed(field+" is "+o.Values[0])))
				break
			}
			conds = append(conds, negate(o.Not, a.ownerID(field, o.Values[0])))
		case "suppl-groups":
			continue
		}
		inverted = inverted && o.Not
	}
	if a.c.onlyFrom(firewall.Prerouting, firewall.Input, firewall.Forward, firewall.Ingress) {
		return firewall.Const(inverted)
	}
	return either(all(conds...), all(firewall.Not{Of: a.c.hasSocket()}, firewall.Const(inverted)))
}

// hasSocket holds for packets that a socket of this host sent, in the words of
// nft's rules that ask for its owner.
func (c *Context) hasSocket() firewall.Cond { return fixed("meta skuid is known") }

// ownerID compares a user or group id, given as a number, a range or a name.
// What id a name has is not in the text.
func (a *args) ownerID(field, s string) firewall.Cond {
	lo, hi, ranged := strings.Cut(s, "-")
	from, err := parseNumber(lo)
	to := from
	if err == nil && ranged {
		to, err = parseNumber(hi)
	}
	if err != nil || from > 0xffffffff || to > 0xffffffff {
		return fixed(field + " is " + s)
	}
	return between(a.c.free(field, 32), from, to)
}

func decodeCgroup(_ *Context, d *data) []Option {
	if d.rev == 0 {
		return []Option{inv(d.boolean(4, 4), "cgroup", fmt.Sprint(d.u32(0)))}
	}
	path, class, classAt, size := d.u8(0), d.u8(1), 4100, 4096
	if d.rev == 2 {
		classAt, size = 4, 512
	}
	notPath, notClass := d.boolean(2, 1), d.boolean(3, 1)
	switch {
	case path == 1 && class == 0:
		o := quoted("path", d.str(4, size))
		o.Not = notPath
		return []Option{o}
	case path == 0 && class == 1:
		return []Option{inv(notClass, "cgroup", fmt.Sprint(d.u32(classAt)))}
	}
	d.refuse("path %d, class %d", path, class)
	return nil
}

// cgroup: without a socket neither matches, inverted or not.
func cgroup(a *args) firewall.Cond {
	if len(a.opts) != 1 {
		a.fail("cgroup needs --cgroup or --path")
		return firewall.Const(false)
	}
	o := a.opts[0]
	if o.Name == "path" {
		return all(a.c.hasSocket(), negate(o.Not, fixed("-m cgroup --path "+Quote(o.Values[0]))))
	}
	return all(a.c.hasSocket(), negate(o.Not, equal(a.c.free("meta cgroup", 32), a.number(o.Values[0], 0xffffffff))))
}

func decodeSocket(_ *Context, d *data) []Option {
	if d.rev == 0 {
		return nil
	}
	flags := d.u8(0)
	d.flags("flags", uint64(flags), uint64([...]uint8{0, 1, 3, 7}[d.rev]))
	var opts []Option
	for i, name := range [...]string{"transparent", "nowildcard", "restore-skmark"} {
		if flags>>i&1 == 1 {
			opts = append(opts, opt(name))
		}
	}
	return opts
}

// socket matches where a socket of this host is waiting for the packet; it can
// give the packet that socket's mark.
func socket(a *args) []firewall.Step {
	steps := []firewall.Step{firewall.Match{Cond: fixedAnswer(a)}}
	if a.has("restore-skmark") {
		steps = append(steps, firewall.Assign{Field: firewall.FieldMark, Value: a.c.free("socket mark", 32)})
	}
	return steps
}

// maskedName prints an interface name whose mask covers a part of it.
func maskedName(d *data, name, mask []byte) string {
	n := 0
	for n < 16 && mask[n] == 0xff {
		n++
	}
	s, _, ended := bytes.Cut(name, []byte{0})
	switch {
	case bytes.ContainsFunc(mask[n:], func(r rune) bool { return r != 0 }):
		d.refuse("an interface mask with holes")
	case n == 16 && !ended, n == len(s)+1, n == len(s) && n == 16:
		return string(s)
	case n <= len(s):
		return string(s[:n]) + "+"
	}
	d.refuse("an interface name longer than its end")
	return string(s)
}

func decodePhysdev(_ *Context, d *data) []Option {
	not, mask := d.u8(64), d.u8(65)
	d.flags("options", uint64(mask), 31)
	d.flags("inversion", uint64(not), 31)
	var opts []Option
	if mask&8 != 0 {
		opts = append(opts, inv(not&8 != 0, "physdev-is-in"))
	}
	if mask&1 != 0 {
		opts = append(opts, inv(not&1 != 0, "physdev-in", maskedName(d, d.raw(0, 16), d.raw(16, 16))))
	}
	if mask&16 != 0 {
		opts = append(opts, inv(not&16 != 0, "physdev-is-out"))
	}
	if mask&2 != 0 {
		opts = append(opts, inv(not&2 != 0, "physdev-out", maskedName(d, d.raw(32, 16), d.raw(48, 16))))
	}
	if mask&4 != 0 {
		opts = append(opts, inv(not&4 != 0, "physdev-is-bridged"))
	}
	return opts
}

// physdev follows physdev_mt in xt_physdev.c. A packet that does not come
// through a bridge whose packets iptables sees has no port at all; one that does
// but whose way out is not known matches no name of a port, inverted or not.
func physdev(a *args) firewall.Cond {
	bridged := equal(a.c.free("bridge netfilter", 1), 1)
	hasOut := equal(a.c.free("physdev out known", 1), 1)
	inverted := true
	conds := []firewall.Cond{bridged}
	for _, name := range [...]string{"physdev-is-in", "physdev-in", "physdev-is-out", "physdev-out", "physdev-is-bridged"} {
		o, ok := a.get(name)
		if !ok {
			continue
		}
		inverted = inverted && o.Not
		switch name {
		case "physdev-is-in":
			conds = append(conds, firewall.Const(!o.Not))
		case "physdev-is-out", "physdev-is-bridged":
			conds = append(conds, negate(o.Not, hasOut))
		case "physdev-in":
			conds = append(conds, negate(o.Not, a.nameIs("physdev in", o.Values[0])))
		case "physdev-out":
			conds = append(conds, hasOut, negate(o.Not, a.nameIs("physdev out", o.Values[0])))
		}
	}
	if len(a.opts) == 0 {
		a.fail("physdev needs an option")
	}
	return either(all(conds...), all(firewall.Not{Of: bridged}, firewall.Const(inverted)))
}

// nameIs compares 16 bytes of an interface name; a `+` at its end leaves the
// rest open.
func (a *args) nameIs(field, name string) firewall.Cond {
	if len(name) > 15 {
		a.fail("interface name %q is longer than 15 bytes", name)
		return firewall.Const(false)
	}
	lo, hi := make([]byte, 16), make([]byte, 16)
	prefix, open := strings.CutSuffix(name, "+")
	copy(lo, prefix)
	copy(hi, prefix)
	if open {
		for i := len(prefix); i < 16; i++ {
			hi[i] = 0xff
		}
	}
	return spanned(a.c.free(field, 128), lo, hi)
}

func decodeRPFilter(_ *Context, d *data) []Option {
	flags := d.u8(0)
	d.flags("flags", uint64(flags), 15)
	var opts []Option
	for i, name := range [...]string{"loose", "validmark", "accept-local", "invert"} {
		if flags>>i&1 == 1 {
			opts = append(opts, opt(name))
		}
	}
	return opts
}

// rpfilter: packets from the loopback interface always pass. With --validmark
// the route depends on the packet's mark, which is then not known.
func rpfilter(a *args) firewall.Cond {
	path := firewall.Cond(firewall.ReversePath{Loose: a.has("loose"), AcceptLocal: a.has("accept-local")})
	if a.has("validmark") {
		path = fixed("-m rpfilter --validmark")
	}
	return negate(a.has("invert"), either(firewall.Interface{Name: "lo"}, path))
}

func decodeRealm(_ *Context, d *data) []Option {
	id, mask := d.u32(0), d.u32(4)
	text := fmt.Sprintf("0x%x", id)
	if mask != 0xffffffff {
		text = fmt.Sprintf("0x%x/0x%x", id, mask)
	}
	return []Option{inv(d.boolean(8, 1), "realm", text)}
}

// realm: without a route there is no realm, and neither it nor its inversion
// matches. Names of realms are in a file of the host.
func realm(a *args) firewall.Cond {
	o, ok := a.get("realm")
	if !ok {
		a.fail("realm needs --realm")
		return firewall.Const(false)
	}
	if v := o.Values[0]; v == "" || v[0] < '0' || v[0] > '9' {
		return negate(o.Not, fixed("-m realm --realm "+v))
	}
	want, mask := a.masked(o.Values[0], 0xffffffff)
	if want&^mask != 0 {
		return firewall.Const(o.Not)
	}
	return negate(o.Not, maskedEqual(a.c.free("rt classid", 32), bigEndian(uint64(want), 32), bigEndian(uint64(mask), 32)))
}

func decodeCPU(_ *Context, d *data) []Option {
	return []Option{inv(d.boolean(4, 4), "cpu", fmt.Sprint(d.u32(0)))}
}

func cpu(a *args) firewall.Cond {
	o, ok := a.get("cpu")
	if !ok {
		a.fail("cpu needs --cpu")
		return firewall.Const(false)
	}
	return negate(o.Not, equal(a.c.free("meta cpu", 32), a.number(o.Values[0], 0xffffffff)))
}

func decodeDevgroup(_ *Context, d *data) []Option {
	flags := d.u32(0)
	d.flags("flags", uint64(flags), 15)
	var opts []Option
	for i, name := range [...]string{"src-group", "dst-group"} {
		if flags>>(2*i)&1 == 1 {
			opts = append(opts, inv(flags>>(2*i)&2 != 0, name, markText(d.u32(4+8*i), d.u32(8+8*i))))
		}
	}
	return opts
}

func devgroup(a *args) firewall.Cond {
	var conds []firewall.Cond
	for _, o := range a.opts {
		field := "meta iifgroup"
		if o.Name == "dst-group" {
			field = "meta oifgroup"
		}
		if v := o.Values[0]; v == "" || v[0] < '0' || v[0] > '9' {
			conds = append(conds, negate(o.Not, fixed("-m devgroup --"+o.Name+" "+v)))
			continue
		}
		want, mask := a.masked(o.Values[0], 0xffffffff)
		cond := maskedEqual(a.c.free(field, 32), bigEndian(uint64(want), 32), bigEndian(uint64(mask), 32))
		conds = append(conds, negate(o.Not, cond))
	}
	return all(conds...)
}

func decodeIPVS(c *Context, d *data) []Option {
	not, mask := d.u8(38), d.u8(39)
	d.flags("options", uint64(mask), 127)
	d.flags("inversion", uint64(not), 127)
	var opts []Option
	if mask == 1 {
		opts = append(opts, inv(not&1 != 0, "ipvs"))
	}
	if mask&2 != 0 {
		opts = append(opts, inv(not&2 != 0, "vproto", fmt.Sprint(d.u8(34))))
	}
	if mask&4 != 0 {
		addr := c.maskedAddress(d.raw(0, 16), d.raw(16, 16))
		opts = append(opts, inv(not&4 != 0, "vaddr", addr))
	}
	if mask&8 != 0 {
		opts = append(opts, inv(not&8 != 0, "vport", fmt.Sprint(d.be16(32))))
	}
	if mask&16 != 0 {
		dir := "ORIGINAL"
		if not&16 != 0 {
			dir = "REPLY"
		}
		opts = append(opts, opt("vdir", dir))
	}
	if mask&32 != 0 {
		opts = append(opts, inv(not&32 != 0, "vmethod", map[uint8]string{0: "MASQ", 2: "IPIP", 3: "GATE"}[d.u8(35)]))
	}
	if mask&64 != 0 {
		opts = append(opts, inv(not&64 != 0, "vportctl", fmt.Sprint(d.be16(36))))
	}
	return opts
}

func decodeOSF(_ *Context, d *data) []Option {
	flags := d.u32(36)
	d.flags("flags", uint64(flags), 15)
	o := inv(flags&8 != 0, "genre", d.str(0, 32))
	opts := []Option{o}
	if flags&2 != 0 {
		opts = append(opts, opt("ttl", fmt.Sprint(d.u32(44))))
	}
	if flags&4 != 0 {
		opts = append(opts, opt("log", fmt.Sprint(d.u32(40))))
	}
	return opts
}

// decodeBPF prints a program, or the name of one, that nothing here runs.
func decodeBPF(_ *Context, d *data) []Option {
	count, at := int(d.u16(0)), 4
	if d.rev == 1 {
		if mode := d.u16(0); mode == 1 {
			return []Option{opt("object-pinned", d.str(8, 512))}
		}
		count, at = int(d.u16(2)), 8
	}
	if count > 64 || d.rev == 1 && d.u16(0) != 0 {
		d.refuse("a program of %d instructions", count)
		return nil
	}
	var text strings.Builder
	text.WriteString(fmt.Sprint(count))
	for i := range count {
		off := at + 8*i
		text.WriteString(fmt.Sprintf(",%d %d %d %d", d.u16(off), d.u8(off+2), d.u8(off+3), d.u32(off+4)))
	}
	return []Option{{Name: "bytecode", Values: []string{text.String()}, quoting: quoteAlways}}
}

// osf compares a first packet of TCP with fingerprints that are loaded apart.
func osf(a *args) firewall.Cond {
	o, ok := a.get("genre")
	if !ok {
		a.fail("osf needs --genre")
		return firewall.Const(false)
	}
	return all(header(tcpBits), negate(o.Not, fixed("-m osf --genre "+o.Values[0])))
}
