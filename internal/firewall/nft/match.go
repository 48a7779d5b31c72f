package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// cond is a condition in nft's words, and the family that it is about: 0 for both.
type cond struct {
	family packet.Family
	text   string
}

// both returns what both of two conditions ask, and false if nothing can be both.
func (a cond) both(b cond) (cond, bool) {
	if a.family != 0 && b.family != 0 && a.family != b.family {
		return cond{}, false
	}
	return cond{max(a.family, b.family), strings.TrimSpace(a.text + " " + b.text)}, true
}

// product returns every combination of alternatives. No alternatives at all match
// nothing.
func product(as, bs []cond) []cond {
	var out []cond
	for _, a := range as {
		for _, b := range bs {
			if c, ok := a.both(b); ok {
				out = append(out, c)
			}
		}
	}
	return out
}

// always is the condition that holds for everything.
var always = []cond{{}}

// parties are the conditions on a rule's interfaces, sources and destinations.
func (w *writer) parties(r acl.Rule) []cond {
	cs := always
	for _, i := range []struct {
		key   string
		names []acl.Interface
	}{{"iifname", r.In}, {"iifname !=", r.NotIn}, {"oifname", r.Out}, {"oifname !=", r.NotOut}} {
		if len(i.names) > 0 {
			cs = product(cs, []cond{{text: interfaceMatch(i.key, i.names)}})
		}
	}
	if r.From != nil {
		cs = product(cs, w.peers(r.From, "iifname", "ip saddr"))
	}
	if r.To != nil {
		side := "ip daddr"
		if r.Published {
			side = "ct original ip daddr"
		}
		cs = product(cs, w.peers(r.To, "oifname", side))
	}
	return cs
}

// peers are the alternatives of one side.
func (w *writer) peers(ps []acl.Peer, iface, side string) []cond {
	var out []cond
	for _, p := range ps {
		cs := always
		if len(p.Interfaces) > 0 {
			cs = []cond{{text: interfaceMatch(iface, p.Interfaces)}}
		}
		if p.Addresses != nil {
			cs = product(cs, w.addresses(p.Addresses, side))
		}
		out = append(out, cs...)
	}
	return out
}

// interfaceMatch names interfaces. A name that a pattern among them covers is left
// out: intervals of a set must not overlap.
func interfaceMatch(key string, names []acl.Interface) string {
	var out []string
	for _, n := range names {
		covered := slices.ContainsFunc(names, func(o acl.Interface) bool {
			start, pattern := strings.CutSuffix(string(o), "*")
			return pattern && o != n && strings.HasPrefix(string(n), start)
		})
		if q := fmt.Sprintf("%q", string(n)); !covered && !slices.Contains(out, q) {
			out = append(out, q)
		}
	}
	return key + " " + alternatives(out)
}

// alternatives is one value, or a set of several.
func alternatives(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return "{ " + strings.Join(values, ", ") + " }"
}

var families = []packet.Family{packet.V4, packet.V6}

// addresses are the conditions on one side's address, one for each family. Side is
// how nft names it for IPv4: ip saddr.
func (w *writer) addresses(a *acl.Addresses, side string) []cond {
	var out []cond
	for _, f := range families {
		rs := ofFamily(a.Ranges, f)
		if len(rs) == 0 {
			continue
		}
		value := ""
		if a.Name != "" {
			value = "@" + w.list(a.Name, f, rs)
		} else {
			var values []string
			for _, r := range rs {
				values = append(values, rangeText(r))
			}
			value = alternatives(values)
		}
		words := side
		if f == packet.V6 {
			words = strings.Replace(side, "ip ", "ip6 ", 1)
		}
		out = append(out, cond{f, words + " " + value})
	}
	return out
}

func ipWord(f packet.Family) string {
	if f == packet.V6 {
		return "ip6"
	}
	return "ip"
}

func addrType(f packet.Family) string {
	if f == packet.V6 {
		return "ipv6_addr"
	}
	return "ipv4_addr"
}

// ofFamily returns the ranges of one family: IPv4 comes first.
func ofFamily(rs []packet.AddrRange, f packet.Family) []packet.AddrRange {
	i := sort.Search(len(rs), func(i int) bool { return rs[i].Lo.Is6() })
	if f == packet.V6 {
		return rs[i:]
	}
	return rs[:i]
}

// rangeText is an address, a prefix or a range.
func rangeText(r packet.AddrRange) string {
	if r.Lo == r.Hi {
		return r.Lo.String()
	}
	for bits := range r.Lo.BitLen() {
		p, err := r.Lo.Prefix(bits)
		if err == nil && p.Addr() == r.Lo && lastOf(p) == r.Hi {
			return p.String()
		}
	}
	return r.Lo.String() + "-" + r.Hi.String()
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// list declares the set of a list, once, and returns its name.
func (w *writer) list(name string, f packet.Family, rs []packet.AddrRange) string {
	name = fmt.Sprintf("list-%s-%d", name, f)
	if w.sets[name] {
		return name
	}
	w.sets[name] = true
	fmt.Fprintf(&w.decls, "\tset %s {\n\t\ttype %s\n\t\tflags interval\n\t\telements = {", name, addrType(f))
	for i, r := range rs {
		if i > 0 {
			w.decls.WriteByte(',')
		}
		if i%4 == 0 {
			w.decls.WriteString("\n\t\t\t")
		} else {
			w.decls.WriteByte(' ')
		}
		w.decls.WriteString(rangeText(r))
	}
	w.decls.WriteString("\n\t\t}\n\t}\n")
	return name
}

// everyService says to ask about a rule's services in its lines.
const everyService = true

// lines writes a rule, a line for each combination of its alternatives.
func (w *writer) lines(c *chain, r acl.Rule, services bool) {
	c.say(r.Origin)
	cs := w.parties(r)
	if services {
		switch {
		case r.Target.IsValid():
			cs = product(cs, w.translated(r))
		case r.Published:
			cs = product(cs, w.original(r))
		default:
			cs = product(cs, w.services(r))
		}
	}
	state := map[acl.States]string{acl.Known: "ct state established,related"}[r.States]
	if services {
		if r.States == acl.New {
			state = "ct state new"
		}
		state = strings.TrimSpace(state + " " + publishedMatch(r))
	}
	verdict := w.verdict(r)
	for _, m := range cs {
		c.rule(state, m.text, verdict, comment(r.Origin))
	}
}

// translated are the alternatives of a rule about packets whose destination was
// translated to its target.
func (w *writer) translated(r acl.Rule) []cond {
	a := r.Target.Addr()
	now := cond{family: packet.V4, text: "ip daddr " + a.String()}
	if a.Is6() {
		now = cond{family: packet.V6, text: "ip6 daddr " + a.String()}
	}
	if r.Target.Port() == 0 {
		return product(w.original(r), []cond{now})
	}
	var out []cond
	for _, s := range r.Services {
		one := r
		one.Services = []acl.Service{s}
		port := cond{text: fmt.Sprintf("%s dport %d", transport(s.Protocol), r.Target.Port())}
		out = append(out, product(product(w.original(one), []cond{now}), []cond{port})...)
	}
	return out
}

// original are the alternatives of a rule's services, as the sender wrote them.
func (w *writer) original(r acl.Rule) []cond {
	if len(r.Services) == 0 {
		return always
	}
	var out []cond
	for _, s := range r.Services {
		if s.Any {
			return always
		}
		text := fmt.Sprintf("meta l4proto %d", s.Protocol)
		if s.Lo != 0 || s.Hi != 0xffff {
			text += " ct original proto-dst " + portRange(s.Lo, s.Hi)
		}
		out = append(out, cond{s.Family, strings.TrimSpace(familyWord(s.Family) + " " + text)})
	}
	return out
}

// services are the alternatives of a rule's services.
func (w *writer) services(r acl.Rule) []cond {
	if len(r.Services) == 0 {
		return always
	}
	type kind struct {
		family   packet.Family
		protocol uint8
		lo, hi   uint16 // source ports
	}
	var order []kind
	ports := map[kind][]portSpan{}
	for _, s := range r.Services {
		if s.Any {
			return always
		}
		k := kind{s.Family, s.Protocol, s.SrcLo, s.SrcHi}
		if _, ok := ports[k]; !ok {
			order = append(order, k)
			ports[k] = []portSpan{}
		}
		switch {
		case s.Lo == 0 && s.Hi == 0xffff:
			ports[k] = nil
		case ports[k] == nil: // all of them already
		case isICMP(s.Protocol):
			if s.Lo&0xff != 0 || s.Hi&0xff != 0xff {
				w.cannot(r, "some codes of an ICMP message alone")
			}
			ports[k] = append(ports[k], portSpan{s.Lo >> 8, s.Hi >> 8})
		default:
			ports[k] = append(ports[k], portSpan{s.Lo, s.Hi})
		}
	}
	var out []cond
	for _, k := range order {
		out = append(out, cond{k.family, w.serviceText(r, k.family, k.protocol, k.lo, k.hi, joined(ports[k]))})
	}
	return out
}

// portSpan is a range of ports.
type portSpan struct{ lo, hi uint16 }

// joined are ranges in nft's words, without overlaps, which it refuses.
func joined(ps []portSpan) []string {
	if ps == nil {
		return nil
	}
	slices.SortFunc(ps, func(a, b portSpan) int { return int(a.lo) - int(b.lo) })
	var all []portSpan
	for _, p := range ps {
		if n := len(all); n > 0 && int(p.lo) <= int(all[n-1].hi)+1 {
			all[n-1].hi = max(all[n-1].hi, p.hi)
			continue
		}
		all = append(all, p)
	}
	out := make([]string, len(all))
	for i, p := range all {
		out[i] = portRange(p.lo, p.hi)
	}
	return out
}

// serviceText is one protocol with its ports or messages; none is all.
func (w *writer) serviceText(r acl.Rule, f packet.Family, protocol uint8, srcLo, srcHi uint16, ports []string) string {
	var parts []string
	name := transport(protocol)
	switch {
	case isICMP(protocol) && ports != nil:
		parts = append(parts, icmpWord(protocol)+" type "+alternatives(ports))
	case isICMP(protocol) || ports == nil && srcHi == 0:
		parts = append(parts, familyWord(f), fmt.Sprintf("meta l4proto %d", protocol))
	case name == "":
		w.cannot(r, fmt.Sprintf("ports of protocol %d", protocol))
	default:
		parts = append(parts, familyWord(f))
		if srcHi != 0 {
			parts = append(parts, name+" sport "+portRange(srcLo, srcHi))
		}
		if ports != nil {
			parts = append(parts, name+" dport "+alternatives(ports))
		}
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

func (w *writer) cannot(r acl.Rule, what string) {
	w.unsupported = append(w.unsupported, &acl.Unsupported{Target: "nftables", What: what, Origin: r.Origin})
}

func isICMP(protocol uint8) bool { return protocol == 1 || protocol == 58 }

func icmpWord(protocol uint8) string {
	if protocol == 58 {
		return "icmpv6"
	}
	return "icmp"
}

func familyWord(f packet.Family) string {
	return map[packet.Family]string{packet.V4: "meta nfproto ipv4", packet.V6: "meta nfproto ipv6"}[f]
}

// transport is nft's name of a protocol with ports.
func transport(protocol uint8) string {
	return map[uint8]string{6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}[protocol]
}

func portRange(lo, hi uint16) string {
	if lo == hi {
		return fmt.Sprint(lo)
	}
	return fmt.Sprintf("%d-%d", lo, hi)
}
