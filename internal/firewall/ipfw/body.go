package ipfw

import (
	"net/netip"
	"strings"

	"sekimori/packet"
)

// body reads a rule from its action on.
type body struct {
	p  *parser
	r  *Rule
	ws []word

	stopped bool
}

func (b *body) more() bool { return len(b.ws) > 0 }

// next returns the next word; the end of the line is an empty one.
func (b *body) next() word {
	if len(b.ws) == 0 {
		return word{"", len(b.p.at.source) + 1}
	}
	w := b.ws[0]
	b.ws = b.ws[1:]
	return w
}

func (b *body) peek() string {
	if len(b.ws) == 0 {
		return ""
	}
	return b.ws[0].s
}

// take takes the next word if it is this one.
func (b *body) take(s string) bool {
	if b.peek() != s || len(b.ws) == 0 {
		return false
	}
	b.ws = b.ws[1:]
	return true
}

func (b *body) fail(w word, format string, args ...any) bool {
	b.stopped = true
	b.p.fail(w, format, args...)
	return false
}

// read reads the whole rule; false means that an error was noted.
func (b *body) read() bool {
	b.ws = braces(b.ws)
	w := b.next()
	if !b.action(w) {
		return false
	}
	if b.take("log") && b.take("logamount") {
		if n := b.next(); !counter(n.s) {
			return b.fail(n, "logamount needs a number")
		}
	}
	if b.r.action == checkState {
		b.r.keep = &stateful{}
		b.flowName()
		if b.more() && !b.stopped {
			return b.fail(b.next(), "check-state stands alone")
		}
		return !b.stopped
	}
	return b.protocol() && b.expect("from") && b.address(packet.Src) &&
		b.expect("to") && b.address(packet.Dst) && b.options()
}

func (b *body) expect(s string) bool {
	if w := b.next(); w.s != s {
		return b.fail(w, "%q is expected here, not %q", s, w.s)
	}
	return true
}

// braces makes the braces of or-blocks words of their own. Those of table(N) and
// of address sets stay where they are.
func braces(ws []word) []word {
	var out []word
	for _, w := range ws {
		for len(w.s) > 1 && (w.s[0] == '{' || w.s[0] == '(') {
			out = append(out, word{"{", w.col})
			w = word{w.s[1:], w.col + 1}
		}
		closing := 0
		for len(w.s) > 1 && strings.HasSuffix(w.s, "}") && !strings.Contains(w.s, "{") ||
			len(w.s) > 1 && strings.HasSuffix(w.s, ")") && !strings.Contains(w.s, "(") {
			w.s = w.s[:len(w.s)-1]
			closing++
		}
		if w.s == "(" {
			w.s = "{"
		}
		if w.s == ")" {
			w.s = "}"
		}
		out = append(out, w)
		for i := range closing {
			out = append(out, word{"}", w.col + len(w.s) + i})
		}
	}
	return out
}

func (b *body) action(w word) bool {
	switch w.s {
	case "allow", "accept", "pass", "permit":
		b.r.action = allow
	case "deny", "drop", "reject", "reset", "reset6":
		b.r.action = deny
	case "unreach", "unreach6":
		b.r.action = deny
		if code := b.next(); code.s == "" || code.s == "from" {
			return b.fail(code, "unreach needs a code")
		}
	case "count":
		b.r.action = count
	case "check-state":
		b.r.action = checkState
	case "skipto":
		b.r.action = skipTo
		to := b.next()
		n, ok := number(to.s, 65534)
		if !ok || n == 0 {
			return b.fail(to, "skipto needs the number of a rule")
		}
		b.r.target = n
	case "":
		return b.fail(w, "the rule has no action")
	default:
		return b.fail(w, "the action %q is not understood", w.s)
	}
	return true
}

// either reads one thing, or several between braces with `or` between them, each
// with `not` before it or not.
func (b *body) either(one func(w word) test) bool {
	block := b.take("{")
	var ps []pattern
	for {
		not := b.take("not")
		t := one(b.next())
		if b.stopped {
			return false
		}
		ps = append(ps, pattern{not, t})
		if !block {
			break
		}
		w := b.next()
		if w.s == "}" {
			break
		}
		if w.s != "or" {
			return b.fail(w, "%q is expected here, or the closing brace, not %q", "or", w.s)
		}
	}
	b.r.when = append(b.r.when, ps)
	return true
}

// protocols are the names that rules use; IANA has more.
func protocolNumber(s string) (int, bool) {
	switch s {
	case "icmp":
		return 1, true
	case "igmp":
		return 2, true
	case "ipencap":
		return 4, true
	case "tcp":
		return 6, true
	case "udp":
		return 17, true
	case "ipv6-frag":
		return 44, true
	case "gre":
		return 47, true
	case "esp":
		return 50, true
	case "ah":
		return 51, true
	case "ipv6-icmp", "icmp6":
		return 58, true
	case "ospf":
		return 89, true
	case "pim":
		return 103, true
	case "carp", "vrrp":
		return 112, true
	case "sctp":
		return 132, true
	case "udplite":
		return 136, true
	}
	return number(s, 255)
}

func (b *body) protocol() bool {
	return b.either(func(w word) test {
		switch w.s {
		case "ip", "all", "any":
			return everything{}
		case "ip4", "ipv4":
			return family{packet.V4}
		case "ip6", "ipv6":
			return family{packet.V6}
		}
		n, ok := protocolNumber(w.s)
		if !ok {
			b.fail(w, "%q is not a protocol that is known", w.s)
			return nil
		}
		if n == 0 {
			return everything{} // ipfw takes the number for ip
		}
		return protocol{n}
	})
}

// address reads an address and the ports behind it.
func (b *body) address(f packet.Field) bool {
	if !b.either(func(w word) test { return b.oneAddress(w, f) }) {
		return false
	}
	port := packet.SrcPort
	if f == packet.Dst {
		port = packet.DstPort
	}
	s := strings.TrimPrefix(b.peek(), "not")
	if s == "" && len(b.ws) > 1 && b.ws[0].s == "not" {
		s = b.ws[1].s
	}
	if s == "" || s[0] < '0' || s[0] > '9' {
		return true
	}
	return b.either(func(w word) test { return b.ports(w, port) })
}

func (b *body) oneAddress(w word, f packet.Field) test {
	switch {
	case w.s == "any":
		return everything{}
	case w.s == "me":
		return self{f, 0}
	case w.s == "me6":
		return self{f, packet.V6}
	case strings.HasPrefix(w.s, "table("):
		return b.inTable(w, f)
	}
	if pre, rest, ok := strings.Cut(w.s, "{"); ok {
		return b.addressSet(w, pre, rest, f)
	}
	if base, mask, ok := strings.Cut(w.s, ":"); ok && !strings.Contains(mask, ":") && strings.Contains(base, ".") {
		return b.masked(w, base, mask, f)
	}
	var ps []netip.Prefix
	col := w.col
	for part := range strings.SplitSeq(w.s, ",") {
		pre, ok := b.p.prefix(word{part, col})
		if !ok {
			b.stopped = true
			return nil
		}
		if pre.Bits() == 0 { // ipfw takes it for any, of both families
			b.fail(w, "a prefix of no bits: write any, and ipv4 or ipv6 behind it")
			return nil
		}
		ps = append(ps, pre)
		col += len(part) + 1
	}
	return addresses{f, ps}
}

func (b *body) inTable(w word, f packet.Field) test {
	name := strings.TrimSuffix(strings.TrimPrefix(w.s, "table("), ")")
	if !tableName(name) || !strings.HasSuffix(w.s, ")") {
		b.fail(w, "a table is table(NAME); values are not understood")
		return nil
	}
	if b.p.tables == nil {
		b.p.tables = map[string]command{}
	}
	if _, ok := b.p.tables[name]; !ok {
		b.p.tables[name] = b.p.at
	}
	return inTable{f, name}
}

// addressSet reads 192.0.2.0/24{1,7-9}: a network and the last bytes in it.
func (b *body) addressSet(w word, network, list string, f packet.Field) test {
	net, err := netip.ParsePrefix(network)
	list, ok := strings.CutSuffix(list, "}")
	if err != nil || !ok || !net.Addr().Is4() || net.Bits() < 24 {
		b.fail(w, "a set of addresses is NETWORK/BITS{1,7-9} with 24 bits at least")
		return nil
	}
	var ps []netip.Prefix
	base := net.Masked().Addr().As4()
	first := int(base[3])
	last := first | 0xff>>(net.Bits()-24)
	for part := range strings.SplitSeq(list, ",") {
		from, to, ranged := strings.Cut(part, "-")
		lo, ok1 := number(from, 255)
		hi, ok2 := lo, true
		if ranged {
			hi, ok2 = number(to, 255)
		}
		if !ok1 || !ok2 || lo > hi || lo < first || hi > last {
			b.fail(w, "%q is not in %s", part, network)
			return nil
		}
		for n := lo; n <= hi; n++ {
			a := base
			a[3] = byte(n)
			ps = append(ps, netip.PrefixFrom(netip.AddrFrom4(a), 32))
		}
	}
	return addresses{f, ps}
}

// masked reads 192.0.2.0:255.255.255.0.
func (b *body) masked(w word, base, mask string, f packet.Field) test {
	a, err1 := netip.ParseAddr(base)
	m, err2 := netip.ParseAddr(mask)
	if err1 != nil || err2 != nil || !a.Is4() || !m.Is4() {
		b.fail(w, "%q is neither an address nor a prefix", w.s)
		return nil
	}
	bits, ok := maskBits(m.As4())
	if !ok {
		b.fail(w, "a mask with holes is not understood")
		return nil
	}
	if bits == 0 {
		b.fail(w, "a prefix of no bits: write any, and ipv4 or ipv6 behind it")
		return nil
	}
	return addresses{f, []netip.Prefix{netip.PrefixFrom(a, bits).Masked()}}
}

func maskBits(m [4]byte) (int, bool) {
	n := uint32(m[0])<<24 | uint32(m[1])<<16 | uint32(m[2])<<8 | uint32(m[3])
	bits := 0
	for n&(1<<31) != 0 {
		n <<= 1
		bits++
	}
	return bits, n == 0
}

// ports reads 22,80,8000-8010.
func (b *body) ports(w word, f packet.Field) test {
	var rs []packet.Range
	col := w.col
	for part := range strings.SplitSeq(w.s, ",") {
		from, to, ranged := strings.Cut(part, "-")
		lo, ok1 := number(from, 65535)
		hi, ok2 := lo, true
		if ranged {
			hi, ok2 = number(to, 65535)
		}
		if !ok1 || !ok2 || lo > hi {
			b.p.failAt(col, len(part), "names of services are not looked up: write the number", "%q is not a port, nor a range of ports", part)
			b.stopped = true
			return nil
		}
		rs = append(rs, packet.Range{Lo: uint64(lo), Hi: uint64(hi)})
		col += len(part) + 1
	}
	return ports{f, rs}
}
