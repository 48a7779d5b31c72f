package nft

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// dispatcher leads a packet to the few rules that can be about it, by verdict maps
// of its protocol and port.
type dispatcher struct {
	w     *writer
	name  string
	rules []acl.Rule
	done  map[string]string // the chain for some rules, by their numbers
	// original is true for rules about the ports that senders wrote, whatever they
	// have become since.
	original bool
}

// dispatch writes rules for packets that open connections, and returns the chain
// that leads to them.
func (w *writer) dispatch(name string, rules []acl.Rule) string {
	top := w.chain(name)
	d := &dispatcher{w: w, name: top.name, rules: rules, done: map[string]string{}, original: rules[0].Published}
	if slices.ContainsFunc(rules, odd) {
		for _, r := range rules {
			w.lines(top, r, everyService)
		}
		return top.name
	}
	// What is first, and about every service, need not be asked for each of them.
	lead := 0
	for lead < len(rules) && aboutAll(rules[lead]) {
		lead++
	}
	d.body(top, numbered(rules[:lead]))
	if slices.ContainsFunc(rules[:lead], d.everybody) {
		return top.name
	}
	rules = rules[lead:]
	d.rules = rules
	var elems []string
	var any []int
	for i, r := range rules {
		if aboutAll(r) {
			any = append(any, i)
		}
	}
	for _, p := range protocols(rules) {
		if v := d.protocol(p); v != "" {
			elems = append(elems, fmt.Sprintf("%d : %s", p, v))
		}
	}
	if len(elems) > 0 {
		top.rule("meta l4proto vmap", "{ "+strings.Join(elems, ", ")+" }")
	}
	d.body(top, any)
	return top.name
}

// aboutAll tells whether a rule is about every service.
func aboutAll(r acl.Rule) bool {
	return len(r.Services) == 0 || slices.ContainsFunc(r.Services, func(s acl.Service) bool { return s.Any })
}

// numbered are the numbers of all rules.
func numbered(rules []acl.Rule) []int {
	out := make([]int, len(rules))
	for i := range out {
		out[i] = i
	}
	return out
}

// odd finds rules that maps of protocol and port do not fit.
func odd(r acl.Rule) bool {
	return slices.ContainsFunc(r.Services, func(s acl.Service) bool {
		return s.SrcHi != 0 || s.Family != 0 && !isICMP(s.Protocol) || isICMP(s.Protocol) && (s.Lo&0xff != 0 || s.Hi&0xff != 0xff)
	})
}

// protocols returns those that rules name, ascending.
func protocols(rules []acl.Rule) []uint8 {
	found := map[uint8]bool{}
	for _, r := range rules {
		for _, s := range r.Services {
			if !s.Any {
				found[s.Protocol] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// segment is a range of ports, or of ICMP types, with the rules that are about it.
type segment struct {
	lo, hi uint16
	rules  []int
}

// protocol writes the rules about a protocol and returns the verdict that leads
// there, "" if none is.
func (d *dispatcher) protocol(p uint8) string {
	segments, rest := d.segments(p)
	if len(segments) == 0 {
		return d.target(rest, d.name+"-"+protocolWord(p))
	}
	if d.original && isICMP(p) && slices.ContainsFunc(d.rules, func(r acl.Rule) bool { return ofOtherFamily(r, p) }) {
		d.w.cannot(d.rules[0], "messages of ICMP without their family")
	}
	c := d.w.chain(d.name + "-" + protocolWord(p))
	key := transport(p) + " dport"
	switch {
	case d.original:
		key = strings.TrimSpace(fmt.Sprintf("%s meta l4proto %d ct original proto-dst", familyWord(icmpFamily(p)), p))
	case isICMP(p):
		key = icmpWord(p) + " type"
	}
	var single, wide []string
	for _, s := range segments {
		v := d.target(s.rules, fmt.Sprintf("%s-%s", c.name, portRange(s.lo, s.hi)))
		elem := portRange(s.lo, s.hi)
		if d.original && isICMP(p) {
			elem = portRange(s.lo<<8, s.hi<<8|0xff)
		}
		if first := d.rules[s.rules[0]]; v == "accept" {
			c.say(first.Origin)
			elem = strings.TrimSpace(elem + " " + comment(first.Origin))
		}
		elem += " : " + v
		if s.lo == s.hi && !(d.original && isICMP(p)) {
			single = append(single, elem)
		} else {
			wide = append(wide, elem)
		}
	}
	if len(segments) <= inlineElements {
		single, wide = append(single, wide...), nil
	}
	d.lookup(c, key, c.name+"-ports", single)
	d.lookup(c, key, c.name+"-ranges", wide)
	d.body(c, rest)
	return "goto " + c.name
}

// ofOtherFamily tells whether a rule is about messages of ICMP in the family that
// has none of them.
func ofOtherFamily(r acl.Rule, p uint8) bool {
	return slices.ContainsFunc(r.Services, func(s acl.Service) bool {
		return s.Protocol == p && s.Family != icmpFamily(p)
	})
}

// icmpFamily is the family that a protocol's messages belong to, 0 for others.
func icmpFamily(p uint8) packet.Family {
	return map[uint8]packet.Family{1: packet.V4, 58: packet.V6}[p]
}

// inlineElements is how many elements a map may have to stand inside its rule.
const inlineElements = 16

// lookup writes a look-up in a verdict map: inside the rule, or if it is long in a
// map of its own.
func (d *dispatcher) lookup(c *chain, key, name string, elems []string) {
	switch {
	case len(elems) == 0:
	case len(elems) <= inlineElements:
		c.rule(key, "vmap", "{ "+strings.Join(elems, ", ")+" }")
	default:
		typ := "inet_service"
		switch {
		case strings.HasPrefix(key, "icmpv6"):
			typ = "icmpv6_type"
		case strings.HasPrefix(key, "icmp"):
			typ = "icmp_type"
		case strings.HasPrefix(key, "ip6"):
			typ = "ipv6_addr"
		case strings.HasPrefix(key, "ip"):
			typ = "ipv4_addr"
		}
		d.w.verdictMap(name, typ, elems)
		c.rule(key, "vmap", "@"+name)
	}
}

// verdictMap declares a map. Without intervals it is a hash table.
func (w *writer) verdictMap(name, typ string, elems []string) {
	fmt.Fprintf(&w.decls, "\tmap %s {\n\t\ttype %s : verdict\n", name, typ)
	if slices.ContainsFunc(elems, func(e string) bool { return strings.ContainsAny(strings.Fields(e)[0], "-/") }) {
		w.decls.WriteString("\t\tflags interval\n")
	}
	fmt.Fprintf(&w.decls, "\t\telements = {\n\t\t\t%s\n\t\t}\n\t}\n", strings.Join(elems, ",\n\t\t\t"))
}

func protocolWord(p uint8) string {
	if name := transport(p); name != "" {
		return name
	}
	if isICMP(p) {
		return icmpWord(p)
	}
	return fmt.Sprintf("protocol-%d", p)
}

// segments cuts the ports of a protocol where the rules about them change. rest
// are the rules about the ports that are in no segment.
func (d *dispatcher) segments(p uint8) (segments []segment, rest []int) {
	type span struct {
		lo, hi int
		rule   int
	}
	var spans []span
	everywhere := make([]bool, len(d.rules))
	starts := map[int]bool{}
	for i, r := range d.rules {
		everywhere[i] = len(r.Services) == 0
		for _, s := range r.Services {
			lo, hi := int(s.Lo), int(s.Hi)
			switch {
			case s.Any, s.Protocol == p && lo == 0 && hi == 0xffff && !isICMP(p):
				everywhere[i] = true
				continue
			case s.Protocol != p:
				continue
			case isICMP(p):
				lo, hi = lo>>8, hi>>8
			}
			spans = append(spans, span{lo, hi, i})
			starts[lo], starts[hi+1] = true, true
		}
		if everywhere[i] {
			rest = append(rest, i)
		}
	}
	cuts := slices.Sorted(maps.Keys(starts))
	slices.SortFunc(spans, func(a, b span) int { return a.lo - b.lo })
	active := map[int]int{} // spans of a rule that hold here
	next := 0
	var ending []span
	for k := 0; k+1 < len(cuts); k++ {
		ending = slices.DeleteFunc(ending, func(s span) bool {
			if s.hi < cuts[k] {
				if active[s.rule]--; active[s.rule] == 0 {
					delete(active, s.rule)
				}
				return true
			}
			return false
		})
		for ; next < len(spans) && spans[next].lo == cuts[k]; next++ {
			active[spans[next].rule]++
			ending = append(ending, spans[next])
		}
		var rules []int
		for i := range active {
			if !everywhere[i] {
				rules = append(rules, i)
			}
		}
		if len(rules) == 0 {
			continue
		}
		rules = append(rules, rest...)
		slices.Sort(rules)
		if n := len(segments); n > 0 && int(segments[n-1].hi)+1 == cuts[k] && slices.Equal(segments[n-1].rules, rules) {
			segments[n-1].hi = uint16(cuts[k+1] - 1)
			continue
		}
		segments = append(segments, segment{uint16(cuts[k]), uint16(cuts[k+1] - 1), rules})
	}
	return segments, rest
}

// target returns the verdict for packets that some rules, in this order, are
// about: a chain with them, unless the first decides everything.
func (d *dispatcher) target(rules []int, name string) string {
	if len(rules) == 0 {
		return ""
	}
	if first := d.rules[rules[0]]; d.everybody(first) && first.Action != acl.Count {
		return d.w.final(first)
	}
	key := fmt.Sprint(rules)
	if into, ok := d.done[key]; ok {
		return "goto " + into
	}
	c := d.w.chain(name)
	d.done[key] = c.name
	d.body(c, rules)
	return "goto " + c.name
}

// everybody reports whether a rule is about all packets for its services.
func (d *dispatcher) everybody(r acl.Rule) bool {
	return r.From == nil && r.To == nil && len(r.In) == 0 && len(r.Out) == 0 && !owned(r)
}

func owned(r acl.Rule) bool {
	return len(r.Users)+len(r.Groups)+len(r.ExceptUsers)+len(r.ExceptGroups) > 0
}

// body writes rules, whose services are settled, in order.
func (d *dispatcher) body(c *chain, rules []int) {
	for len(rules) > 0 {
		if n := d.run(rules); n >= shortRun {
			d.bySource(c, rules[:n])
			rules = rules[n:]
			continue
		}
		r := d.rules[rules[0]]
		d.w.lines(c, r, !everyService)
		if d.everybody(r) && r.Action != acl.Count {
			return
		}
		rules = rules[1:]
	}
}
