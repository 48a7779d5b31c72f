package xt

import (
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// quietTargets are the targets after which the next rule follows and that no rule
// here can see, or only as [Context.Targets] says: logs, counters, queues, and
// changes to header fields that do not decide about the packet's way.
func quietTargets(f firewall.Family) table {
	t := make(table)
	add := func(name, options string, sizes []int, decode func(*Context, *data) []Option) {
		t.target(name, options, sizes, decode, func(*args) []firewall.Step { return nil })
	}
	add("LOG", "log-prefix log-level log-tcp-sequence:0 log-tcp-options:0 log-ip-options:0 log-uid:0 log-macdecode:0",
		[]int{32}, decodeLOG)
	add("NFLOG", "nflog-group nflog-prefix nflog-range nflog-size nflog-threshold", []int{76}, decodeNFLOG)
	add("ULOG", "ulog-nlgroup ulog-prefix ulog-cprange ulog-qthreshold", nil, nil)
	add("TRACE", "", []int{noBytes}, none)
	add("AUDIT", "type", []int{1}, decodeAUDIT)
	add("CHECKSUM", "checksum-fill:0", []int{1}, decodeCHECKSUM)
	add("CLASSIFY", "set-class", []int{4}, decodeCLASSIFY)
	add("TCPMSS", "set-mss clamp-mss-to-pmtu:0", []int{2}, decodeTCPMSSTarget)
	add("TCPOPTSTRIP", "strip-options", []int{32}, decodeTCPOPTSTRIP)
	add("DSCP", "set-dscp set-dscp-class", []int{1}, decodeDSCPTarget)
	add("TOS", "set-tos and-tos or-tos xor-tos", []int{0, 2}, decodeTOSTarget)
	add("TEE", "gateway oif", []int{0, 40}, decodeTEE)
	add("RATEEST", "rateest-name rateest-interval rateest-ewmalog", []int{32}, decodeRATEEST)
	add("IDLETIMER", "timeout label alarm:0 send_nl_msg:0", []int{40, 48}, decodeIDLETIMER)
	add("LED", "led-trigger-id led-delay led-always-blink:0", []int{40}, decodeLED)
	add("SECMARK", "selctx", []int{264, 264}, decodeSECMARK)
	add("CONNSECMARK", "save:0 restore:0", []int{1}, decodeCONNSECMARK)
	if f == firewall.IPv6 {
		add("HL", "hl-set hl-inc hl-dec", []int{2}, func(_ *Context, d *data) []Option { return decodeHopsTarget(d, "hl") })
		return t
	}
	add("TTL", "ttl-set ttl-inc ttl-dec", []int{2}, func(_ *Context, d *data) []Option { return decodeHopsTarget(d, "ttl") })
	add("ACCOUNT", "addr tname", []int{44, 44}, decodeACCOUNT)
	add("ECN", "ecn-tcp-remove:0", []int{3}, decodeECNTarget)
	return t
}

func none(*Context, *data) []Option { return nil }

func decodeLOG(_ *Context, d *data) []Option {
	level, flags := d.u8(0), d.u8(1)
	d.flags("flags", uint64(flags), 0x2f)
	var opts []Option
	if s := d.str(2, 30); s != "" {
		opts = append(opts, quoted("log-prefix", s))
	}
	if level != 4 {
		opts = append(opts, opt("log-level", fmt.Sprint(level)))
	}
	for _, f := range [...]struct {
		bit  uint8
		name string
	}{{1, "log-tcp-sequence"}, {2, "log-tcp-options"}, {4, "log-ip-options"}, {8, "log-uid"}, {0x20, "log-macdecode"}} {
		if flags&f.bit != 0 {
			opts = append(opts, opt(f.name))
		}
	}
	return opts
}

func decodeNFLOG(_ *Context, d *data) []Option {
	length, group, threshold, flags := d.u32(0), d.u16(4), d.u16(6), d.u16(8)
	d.flags("flags", uint64(flags), 1)
	var opts []Option
	if s := d.str(12, 64); s != "" {
		opts = append(opts, quoted("nflog-prefix", s))
	}
	if group != 0 {
		opts = append(opts, opt("nflog-group", fmt.Sprint(group)))
	}
	switch {
	case flags&1 != 0:
		opts = append(opts, opt("nflog-size", fmt.Sprint(length)))
	case length != 0:
		opts = append(opts, opt("nflog-range", fmt.Sprint(length)))
	}
	if threshold != 0 {
		opts = append(opts, opt("nflog-threshold", fmt.Sprint(threshold)))
	}
	return opts
}

func decodeAUDIT(_ *Context, d *data) []Option {
	n := d.u8(0)
	if n > 2 {
		d.refuse("type %d", n)
		return nil
	}
	return []Option{opt("type", [...]string{"accept", "drop", "reject"}[n])}
}

func decodeCHECKSUM(_ *Context, d *data) []Option {
	d.flags("operation", uint64(d.u8(0)), 1)
	return []Option{opt("checksum-fill")}
}

func decodeCLASSIFY(_ *Context, d *data) []Option {
	return []Option{opt("set-class", fmt.Sprintf("%04x:%04x", d.u16(2), d.u16(0)))}
}

func decodeTCPMSSTarget(_ *Context, d *data) []Option {
	if n := d.u16(0); n != 0xffff {
		return []Option{opt("set-mss", fmt.Sprint(n))}
	}
	return []Option{opt("clamp-mss-to-pmtu")}
}

func decodeTCPOPTSTRIP(_ *Context, d *data) []Option {
	var list []string
	for n := range 256 {
		if d.u8(n/8)>>(n%8)&1 == 1 {
			list = append(list, fmt.Sprint(n))
		}
	}
	return []Option{opt("strip-options", strings.Join(list, ","))}
}

func decodeDSCPTarget(_ *Context, d *data) []Option {
	return []Option{opt("set-dscp", fmt.Sprintf("0x%02x", d.u8(0)))}
}

func decodeTOSTarget(_ *Context, d *data) []Option {
	return []Option{opt("set-tos", fmt.Sprintf("0x%02x/0x%02x", d.u8(0), d.u8(1)))}
}

func decodeTEE(c *Context, d *data) []Option {
	opts := []Option{opt("gateway", c.address(d.raw(0, 16)))}
	if oif := d.str(16, 16); oif != "" {
		opts = append(opts, opt("oif", oif))
	}
	return opts
}

func decodeRATEEST(_ *Context, d *data) []Option {
	interval, log := int(int8(d.u8(16))), d.u8(17)
	usec := uint64(250000)
	if interval >= -2 {
		usec <<= uint(interval + 2)
	}
	ewma := usec
	if log < 40 {
		ewma = usec * (1 << log)
	}
	return []Option{
		opt("rateest-name", d.str(0, 16)), opt("rateest-interval", microseconds(usec)), opt("rateest-ewmalog", microseconds(ewma)),
	}
}

// microseconds prints a time as libxt_RATEEST does.
func microseconds(usec uint64) string {
	switch {
	case usec >= 1000000:
		if usec%1000000 == 0 {
			return fmt.Sprintf("%ds", usec/1000000)
		}
		return fmt.Sprintf("%fs", float64(usec)/1e6)
	case usec >= 1000:
		return fmt.Sprintf("%.1fms", float64(usec)/1000)
	}
	return fmt.Sprintf("%dus", usec)
}

func decodeIDLETIMER(_ *Context, d *data) []Option {
	opts := []Option{opt("timeout", fmt.Sprint(d.u32(0))), opt("label", d.str(4, 28))}
	if d.rev == 1 && d.u8(33) != 0 {
		opts = append(opts, opt("alarm"))
	}
	return opts
}

func decodeLED(_ *Context, d *data) []Option {
	opts := []Option{quoted("led-trigger-id", strings.TrimPrefix(d.str(0, 27), "netfilter-"))}
	switch delay := int32(d.u32(28)); {
	case delay > 0:
		opts = append(opts, opt("led-delay", fmt.Sprint(delay)))
	case delay < 0:
		opts = append(opts, opt("led-delay", "inf"))
	}
	if d.u8(27) != 0 {
		opts = append(opts, opt("led-always-blink"))
	}
	return opts
}

func decodeSECMARK(_ *Context, d *data) []Option {
	at := 8
	if d.rev == 1 {
		at = 1
	}
	if d.u8(0) != 1 {
		d.refuse("mode %d", d.u8(0))
	}
	return []Option{opt("selctx", d.str(at, 256))}
}

func decodeCONNSECMARK(_ *Context, d *data) []Option {
	switch n := d.u8(0); n {
	case 1:
		return []Option{opt("save")}
	case 2:
		return []Option{opt("restore")}
	default:
		d.refuse("mode %d", n)
		return nil
	}
}

func decodeACCOUNT(c *Context, d *data) []Option {
	return []Option{
		opt("addr", c.address(d.raw(0, 4))+"/"+c.address(d.raw(4, 4))),
		opt("tname", d.str(8, 32)),
	}
}

func decodeHopsTarget(d *data, name string) []Option {
	mode := d.u8(0)
	if mode > 2 {
		d.refuse("mode %d", mode)
		return nil
	}
	return []Option{opt(name+[...]string{"-set", "-inc", "-dec"}[mode], fmt.Sprint(d.u8(1)))}
}

func decodeECNTarget(_ *Context, d *data) []Option {
	op := d.u8(0)
	d.flags("operation", uint64(op), 0x31)
	if op&0x30 == 0x30 && d.u8(2) == 0 && op&1 == 0 {
		return []Option{opt("ecn-tcp-remove")}
	}
	d.refuse("operation %#x", op)
	return nil
}
