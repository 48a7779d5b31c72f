package xt

import (
	"fmt"

	"sekimori/internal/firewall"
)

func decodePolicy(c *Context, d *data) []Option {
	flags, n := d.u16(304), int(d.u16(306))
	d.flags("flags", uint64(flags), 15)
	if n > 4 || flags&3 == 0 || flags&3 == 3 {
		d.refuse("%d elements, flags %#x", n, flags)
		return nil
	}
	dir := "out"
	if flags&1 != 0 {
		dir = "in"
	}
	opts := []Option{opt("dir", dir)}
	if flags&4 != 0 {
		return append(opts, opt("pol", "none"))
	}
	opts = append(opts, opt("pol", "ipsec"))
	if flags&8 != 0 {
		opts = append(opts, opt("strict"))
	}
	for i := range n {
		if i > 0 {
			opts = append(opts, opt("next"))
		}
		opts = append(opts, policyElement(c, d, 76*i)...)
	}
	return opts
}

func policyElement(c *Context, d *data, off int) []Option {
	match, not := d.u8(off+74), d.u8(off+75)
	d.flags("element", uint64(match|not), 63)
	var opts []Option
	if match&32 != 0 {
		opts = append(opts, inv(not&32 != 0, "reqid", fmt.Sprint(d.u32(off+68))))
	}
	if match&16 != 0 {
		opts = append(opts, inv(not&16 != 0, "spi", fmt.Sprintf("0x%x", d.u32(off+64))))
	}
	if match&4 != 0 {
		opts = append(opts, inv(not&4 != 0, "proto", ProtocolName(d.u8(off+72))))
	}
	if match&8 != 0 {
		mode := "transport"
		if d.u8(off+73) == 1 {
			mode = "tunnel"
		}
		opts = append(opts, inv(not&8 != 0, "mode", mode))
	}
	if match&2 != 0 {
		opts = append(opts, inv(not&2 != 0, "tunnel-dst", c.maskedAddress(d.raw(off+32, 16), d.raw(off+48, 16))))
	}
	if match&1 != 0 {
		opts = append(opts, inv(not&1 != 0, "tunnel-src", c.maskedAddress(d.raw(off, 16), d.raw(off+16, 16))))
	}
	return opts
}

// policy: whether IPsec carried the packet is one bit; which association did is
// not known.
func policy(a *args) firewall.Cond {
	dir, pol := a.value("dir"), a.value("pol")
	field := "meta secpath"
	switch dir {
	case "in":
	case "out":
		field = "rt ipsec"
	default:
		a.fail("policy needs --dir in or --dir out")
	}
	ipsec := equal(a.c.free(field, 8), 1)
	switch pol {
	case "none":
		return firewall.Not{Of: ipsec}
	case "ipsec":
	default:
		a.fail("policy needs --pol none or --pol ipsec")
	}
	for _, o := range a.opts {
		switch o.Name {
		case "dir", "pol":
		default:
			return all(ipsec, fixedAnswer(a))
		}
	}
	return ipsec
}
