package ipfw

import (
	"slices"
	"strings"

	"sekimori/packet"
)

// options reads what stands behind the addresses.
func (b *body) options() bool {
	for b.more() {
		w := b.ws[0]
		switch w.s {
		case "keep-state", "limit":
			if !b.stateful(b.next()) {
				return false
			}
			continue
		case "//":
			return true
		case "or", "}":
			return b.fail(w, "%q outside of braces", w.s)
		}
		if !b.either(b.option) {
			return false
		}
	}
	if b.r.keep != nil && b.r.action != allow {
		return b.fail(word{"", 1}, "the states of a rule that does not allow are not understood")
	}
	return true
}

// stateful reads keep-state and limit.
func (b *body) stateful(w word) bool {
	if b.r.keep != nil {
		return b.fail(w, "the rule keeps states twice")
	}
	b.r.keep = &stateful{}
	if w.s == "limit" {
		var text []string
		for slices.Contains([]string{"src-addr", "src-port", "dst-addr", "dst-port"}, b.peek()) {
			text = append(text, b.next().s)
		}
		n := b.next()
		if _, ok := number(n.s, 65535); !ok || len(text) == 0 {
			return b.fail(n, "limit needs src-addr or such, and a number")
		}
		b.r.keep.limit = "limit " + strings.Join(append(text, n.s), " ")
	}
	return b.flowName()
}

// flowName reads the name of a state. Those with different names do not see each
// other, so only one is understood.
func (b *body) flowName() bool {
	name, at := ":default", word{"", 1}
	if strings.HasPrefix(b.peek(), ":") {
		at = b.next()
		name = at.s
	}
	if name == ":any" && b.r.action == checkState {
		return true
	}
	if b.p.hasState && b.p.flow != name {
		return b.fail(at, "states with several names are not understood")
	}
	b.p.flow, b.p.hasState = name, true
	return true
}

// option reads one option.
func (b *body) option(w word) test {
	switch w.s {
	case "in":
		return direction{in: true}
	case "out":
		return direction{}
	case "via", "recv", "xmit":
		return b.iface(w)
	case "setup":
		return tcpFlags{set: 0x02, clear: 0x10}
	case "established":
		return established{}
	case "tcpflags":
		return b.tcpFlags(b.next())
	case "frag":
		return fragment{}
	case "icmptypes":
		return b.icmpTypes(b.next(), 1, 31)
	case "icmp6types":
		return b.icmpTypes(b.next(), 58, 255)
	case "uid", "gid":
		return b.owner(w)
	case "src-ip", "src-ip6":
		return b.oneAddress(b.next(), packet.Src)
	case "dst-ip", "dst-ip6":
		return b.oneAddress(b.next(), packet.Dst)
	case "src-port":
		return b.ports(b.next(), packet.SrcPort)
	case "dst-port":
		return b.ports(b.next(), packet.DstPort)
	case "proto":
		n, ok := protocolNumber(b.peek())
		if w := b.next(); !ok {
			b.fail(w, "%q is not a protocol that is known", w.s)
			return nil
		}
		return protocol{n}
	case "ipv4", "ip4":
		return family{packet.V4}
	case "ipv6", "ip6":
		return family{packet.V6}
	case "verrevpath", "versrcreach", "antispoof":
		return varies{w.s} // what routing says
	case "jail":
		n := b.next()
		return varies{"jail " + n.s}
	case "":
		b.fail(w, "an option is expected here")
		return nil
	}
	b.fail(w, "the option %q is not understood", w.s)
	return nil
}

// iface reads the name behind via, recv or xmit.
func (b *body) iface(w word) test {
	n := b.next()
	star := strings.HasSuffix(n.s, "*")
	name := strings.TrimSuffix(n.s, "*")
	switch {
	case n.s == "*":
		return iface{which: w.s, prefix: true}
	case n.s == "any": // ipfw(8) says some interface; ipfw2.c drops the option
		b.fail(n, "whether any asks for an interface differs between the manual and the program: write *")
		return nil
	case name == "" || len(name) > 15 || !interfaceName(name) || name[0] >= '0' && name[0] <= '9':
		b.fail(n, "%q is not the name of an interface; addresses and tables are not understood here", n.s)
		return nil
	}
	return iface{which: w.s, name: name, prefix: star}
}

func interfaceName(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

func (b *body) tcpFlags(w word) test {
	bits := map[string]uint8{"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32}
	var t tcpFlags
	for part := range strings.SplitSeq(w.s, ",") {
		name, not := strings.CutPrefix(part, "!")
		bit, ok := bits[name]
		switch {
		case !ok:
			b.fail(w, "%q is not a flag of TCP", part)
			return nil
		case not:
			t.clear |= bit
		default:
			t.set |= bit
		}
	}
	return t
}

func (b *body) icmpTypes(w word, proto, most int) test {
	var rs []packet.Range
	for part := range strings.SplitSeq(w.s, ",") {
		n, ok := number(part, most)
		if !ok {
			b.fail(w, "%q is not a type of ICMP", part)
			return nil
		}
		rs = append(rs, packet.Range{Lo: uint64(n) << 8, Hi: uint64(n)<<8 | 0xff})
	}
	return icmpTypes{proto, rs}
}

func (b *body) owner(w word) test {
	n := b.next()
	if n.s == "" || strings.Trim(n.s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.$") != "" {
		b.fail(n, "%q is not a user or group", n.s)
		return nil
	}
	return owner{"meta sk" + w.s, n.s}
}
