package xt

import (
	"strconv"
	"strings"

	"sekimori/internal/firewall"
)

func decodeSCTP(_ *Context, d *data) []Option {
	flags, not := d.u32(284), d.u32(288)
	d.flags("flags", uint64(flags), 7)
	d.flags("inversion flags", uint64(not), 7)
	if not&^flags != 0 {
		d.refuse("inversion without its option")
	}
	var opts []Option
	for _, p := range []struct {
		name string
		bit  uint32
		off  int
	}{{"sport", 1, 4}, {"dport", 2, 0}} {
		if flags&p.bit != 0 {
			opts = append(opts, inv(not&p.bit != 0, p.name, portRange(d.u16(p.off), d.u16(p.off+2))))
		}
	}
	if flags&4 != 0 {
		opts = append(opts, inv(not&4 != 0, "chunk-types", sctpScope(d), sctpChunks(d)))
	}
	return opts
}

// sctpScope and sctpChunks print the chunk types, with the flags asked of some.
func sctpScope(d *data) string {
	switch kind := d.u32(264); kind {
	case 1:
		return "any"
	case 2:
		return "all"
	case 4:
		return "only"
	default:
		d.refuse("chunk match type %d", kind)
		return ""
	}
}

func sctpChunks(d *data) string {
	flagged := int(d.u32(280))
	if flagged > 4 || flagged < 0 {
		d.refuse("%d chunk flags", flagged)
		return ""
	}
	var out []string
	whole := true
	for n := range 256 {
		if d.u8(8+n/8)>>(n%8)&1 == 0 {
			whole = false
			continue
		}
		out = append(out, sctpChunkName(n)+sctpChunkFlags(d, n, flagged))
	}
	switch {
	case whole:
		return "ALL"
	case out == nil:
		return "NONE"
	}
	return strings.Join(out, ",")
}

func sctpChunkName(n int) string {
	names := [...]string{
		"DATA", "INIT", "INIT_ACK", "SACK", "HEARTBEAT", "HEARTBEAT_ACK", "ABORT", "SHUTDOWN",
		"SHUTDOWN_ACK", "ERROR", "COOKIE_ECHO", "COOKIE_ACK", "ECN_ECNE", "ECN_CWR", "SHUTDOWN_COMPLETE",
	}
	switch {
	case n < len(names):
		return names[n]
	case n == 0x40:
		return "I_DATA"
	case n == 0x82:
		return "RE_CONFIG"
	case n == 0x84:
		return "PAD"
	case n == 0xc1:
		return "ASCONF"
	case n == 0x80:
		return "ASCONF_ACK"
	case n == 0xc0:
		return "FORWARD_TSN"
	case n == 0xc2:
		return "I_FORWARD_TSN"
	}
	return "0x" + strconv.FormatInt(int64(n), 16)
}

// sctpChunkFlags prints the flag bits asked of a chunk type, the lower half of
// which have letters: `:fb` stands for bits 0x05 that have to be 0 and 1.
func sctpChunkFlags(d *data, chunk, count int) string {
	for i := range count {
		off := 268 + 3*i
		if int(d.u8(off)) != chunk {
			continue
		}
		return ":0x" + strconv.FormatInt(int64(d.u8(off+1)), 16) + "/0x" + strconv.FormatInt(int64(d.u8(off+2)), 16)
	}
	return ""
}

// The SCTP ports are compared for any protocol of the rule; chunk types depend
// on what the packet carries behind its header.
func sctp(a *args) firewall.Cond {
	conds := append([]firewall.Cond{header(96)}, portConds(a)...)
	if o, ok := a.get("chunk-types"); ok {
		switch o.Values[0] {
		case "any", "all", "only":
		default:
			a.fail("chunk types are any, all or only of a list, not %q", o.Values[0])
		}
		conds = append(conds, negate(o.Not, fixed("-m sctp --chunk-types "+strings.Join(o.Values, " "))))
	}
	return all(conds...)
}
