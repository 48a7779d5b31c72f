package xt

import (
	"fmt"

	"sekimori/internal/firewall"
)

// markTargets are the targets that change the mark of a packet or connection.
func markTargets() table {
	t := make(table)
	t.target("MARK", "set-xmark set-mark and-mark or-mark xor-mark", []int{0, 0, 8}, decodeMARK, markTarget)
	t.target("CONNMARK",
		"set-xmark set-mark and-mark or-mark xor-mark save-mark:0 restore-mark:0 mask nfmask ctmask left-shift-mark right-shift-mark",
		[]int{0, 16, 16}, decodeCONNMARK, connmarkTarget)
	t.target("HMARK",
		"hmark-tuple hmark-mod hmark-offset hmark-rnd hmark-src-prefix hmark-dst-prefix hmark-sport-mask hmark-dport-mask "+
			"hmark-spi-mask hmark-proto-mask hmark-sport hmark-dport hmark-spi",
		[]int{60}, decodeHMARK, hmark)
	return t
}

func decodeMARK(_ *Context, d *data) []Option {
	return []Option{opt("set-xmark", fmt.Sprintf("0x%x/0x%x", d.u32(0), d.u32(4)))}
}

// xmark reads the ways to say `(mark & ~mask) ^ value`.
func (a *args) xmark() (value, mask uint32, ok bool) {
	for _, o := range a.opts {
		switch o.Name {
		case "set-xmark":
			value, mask = a.masked(o.Values[0], 0xffffffff)
		case "set-mark":
			value, mask = a.masked(o.Values[0], 0xffffffff)
			mask |= value
		case "and-mark":
			mask = ^uint32(a.number(o.Values[0], 0xffffffff))
		case "or-mark":
			value = uint32(a.number(o.Values[0], 0xffffffff))
			mask = value
		case "xor-mark":
			value = uint32(a.number(o.Values[0], 0xffffffff))
		default:
			continue
		}
		return value, mask, true
	}
	return 0, 0, false
}

// xored is `(field & ~mask) ^ with`, bit by bit; with is another value, or
// constant.
func xored(field firewall.Value, mask uint32, with firewall.Value) (firewall.Value, bool) {
	out := make(firewall.Value, 32)
	for i := range out {
		old, w := field[i], with[i]
		if mask>>(31-i)&1 == 1 {
			out[i] = w
			continue
		}
		switch {
		case w.Field == "": // a constant inverts the old bit, or leaves it
			out[i] = old
			out[i].Invert = old.Invert != w.Invert
		case old.Field == "":
			out[i] = w
			out[i].Invert = w.Invert != old.Invert
		default:
			return nil, false // the exclusive or of two unknown bits
		}
	}
	return out, true
}

func constant32(n uint32) firewall.Value { return firewall.Constant(bigEndian(uint64(n), 32)) }

func markTarget(a *args) []firewall.Step {
	value, mask, ok := a.xmark()
	if !ok {
		a.fail("MARK needs --set-xmark or one of its relatives")
		return nil
	}
	v, _ := xored(a.c.value(firewall.FieldMark, 0, 0, 32), mask, constant32(value))
	return []firewall.Step{firewall.Assign{Field: firewall.FieldMark, Value: v}}
}

func decodeCONNMARK(_ *Context, d *data) []Option {
	ctmark, ctmask, nfmask := d.u32(0), d.u32(4), d.u32(8)
	mode, dir, bits := d.u8(12), uint8(0), uint8(0)
	if d.rev == 2 {
		dir, bits, mode = d.u8(12), d.u8(13), d.u8(14)
	}
	if mode > 2 || dir > 1 || bits > 31 {
		d.refuse("mode %d, shift %d by %d", mode, dir, bits)
		return nil
	}
	var opts []Option
	switch mode {
	case 0:
		opts = []Option{opt("set-xmark", fmt.Sprintf("0x%x/0x%x", ctmark, ctmask))}
	default:
		opts = []Option{
			opt([...]string{"", "save-mark", "restore-mark"}[mode]),
			opt("nfmask", fmt.Sprintf("0x%x", nfmask)), opt("ctmask", fmt.Sprintf("0x%x", ctmask)),
		}
	}
	if bits != 0 {
		opts = append(opts, opt([...]string{"left-shift-mark", "right-shift-mark"}[dir], fmt.Sprint(bits)))
	}
	return opts
}

// connmarkTarget follows connmark_tg_shift in xt_connmark.c. It does nothing for
// packets without a connection.
func connmarkTarget(a *args) []firewall.Step {
	nf, ct := a.c.value(firewall.FieldMark, 0, 0, 32), a.c.value(firewall.FieldCtMark, 0, 0, 32)
	steps := []firewall.Step{firewall.Match{Cond: firewall.State{Mask: stateEntry}}}
	if value, mask, ok := a.xmark(); ok {
		v, known := xored(ct, mask, a.shift(constant32(value)))
		return append(steps, a.markOr(firewall.FieldCtMark, v, known))
	}
	nfmask, ctmask := uint32(0xffffffff), uint32(0xffffffff)
	for _, o := range a.opts {
		switch o.Name {
		case "mask":
			nfmask = uint32(a.number(o.Values[0], 0xffffffff))
			ctmask = nfmask
		case "nfmask":
			nfmask = uint32(a.number(o.Values[0], 0xffffffff))
		case "ctmask":
			ctmask = uint32(a.number(o.Values[0], 0xffffffff))
		}
	}
	switch {
	case a.has("save-mark"):
		v, known := xored(ct, ctmask, a.shift(maskedBits(nf, nfmask)))
		return append(steps, a.markOr(firewall.FieldCtMark, v, known))
	case a.has("restore-mark"):
		v, known := xored(nf, nfmask, a.shift(maskedBits(ct, ctmask)))
		return append(steps, a.markOr(firewall.FieldMark, v, known))
	}
	a.fail("CONNMARK needs --set-xmark, --save-mark or --restore-mark")
	return nil
}

// markOr assigns a value, or one of which nothing is known.
func (a *args) markOr(f firewall.Field, v firewall.Value, known bool) firewall.Step {
	if !known {
		v = a.c.free("mark made by "+a.text(), 32)
	}
	return firewall.Assign{Field: f, Value: v}
}

func maskedBits(v firewall.Value, mask uint32) firewall.Value {
	out := make(firewall.Value, 32)
	for i := range out {
		if mask>>(31-i)&1 == 1 {
			out[i] = v[i]
		}
	}
	return out
}

func (a *args) shift(v firewall.Value) firewall.Value {
	if s := a.value("left-shift-mark"); s != "" {
		return u32Shift(v, uint32(a.number(s, 31)))
	}
	if s := a.value("right-shift-mark"); s != "" {
		return u32ShiftRight(v, uint32(a.number(s, 31)))
	}
	return v
}

func decodeHMARK(c *Context, d *data) []Option {
	flags := d.u32(40)
	d.flags("flags", uint64(flags), 1<<15-1)
	if flags&(1<<12) != 0 {
		return append([]Option{opt("hmark-tuple", "ct")}, hmarkRest(d, flags)...)
	}
	var opts []Option
	add := func(bit int, name, format string, n any) {
		if flags>>bit&1 == 1 {
			opts = append(opts, opt(name, fmt.Sprintf(format, n)))
		}
	}
	add(0, "hmark-src-prefix", "%d", max(prefixLength(d.raw(0, c.addressBits()/8)), 0))
	add(1, "hmark-dst-prefix", "%d", max(prefixLength(d.raw(16, c.addressBits()/8)), 0))
	add(4, "hmark-sport", "0x%04x", d.be16(36))
	add(6, "hmark-sport-mask", "0x%04x", d.be16(32))
	add(5, "hmark-dport", "0x%04x", d.be16(38))
	add(7, "hmark-dport-mask", "0x%04x", d.be16(34))
	add(2, "hmark-spi", "0x%08x", d.be32(36))
	add(3, "hmark-spi-mask", "0x%08x", d.be32(32))
	add(8, "hmark-proto-mask", "0x%02x", d.u16(44))
	return append(opts, hmarkRest(d, flags)...)
}

func hmarkRest(d *data, flags uint32) []Option {
	var opts []Option
	if flags&(1<<9) != 0 {
		opts = append(opts, opt("hmark-rnd", fmt.Sprintf("0x%08x", d.u32(48))))
	}
	if flags&(1<<10) != 0 {
		opts = append(opts, opt("hmark-mod", fmt.Sprint(d.u32(52))))
	}
	if flags&(1<<11) != 0 {
		opts = append(opts, opt("hmark-offset", fmt.Sprint(d.u32(56))))
	}
	return opts
}

// hmark: the mark is a hash of the packet's flow.
func hmark(a *args) []firewall.Step {
	return []firewall.Step{firewall.Assign{Field: firewall.FieldMark, Value: a.c.free("hash by "+a.text(), 32)}}
}
