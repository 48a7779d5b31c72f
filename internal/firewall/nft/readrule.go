package nft

import (
	"fmt"
	"strings"
	"time"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
)

// chain reads the definition of a chain, behind its brace.
func (r *reader) chain(name string) error {
	c := &firewall.Chain{Name: name, Table: r.table.Table}
	if r.table.named[name] != nil {
		return r.fail("chain %s is defined twice", name)
	}
	r.table.named[name] = c
	r.table.Chains = append(r.table.Chains, c)
	for {
		if err := r.blank(); err != nil {
			return err
		}
		if ok, err := r.accept("}"); ok || err != nil {
			return err
		}
		if r.tok.kind == end {
			return r.fail("the text ends where a chain has not")
		}
		if r.is("type") {
			if c.Base != nil || len(c.Rules) > 0 {
				return r.fail("a base chain is declared at its start, once")
			}
			if err := r.base(c); err != nil {
				return err
			}
		} else if err := r.rule(c); err != nil {
			return err
		}
		if err := r.lineEnd(); err != nil {
			return err
		}
	}
}

// base reads: type T hook H priority P; policy V.
func (r *reader) base(c *firewall.Chain) error {
	if err := r.expect("type"); err != nil {
		return err
	}
	kind, err := r.take("the type of a chain")
	if err != nil {
		return err
	}
	if kind != "filter" && kind != "nat" {
		return r.fail("unknown type %q of a chain", kind)
	}
	if err := r.expect("hook"); err != nil {
		return err
	}
	name, err := r.take("a hook")
	if err != nil {
		return err
	}
	hooks := map[string]firewall.Hook{
		"prerouting": firewall.Prerouting, "input": firewall.Input, "forward": firewall.Forward,
		"output": firewall.Output, "postrouting": firewall.Postrouting,
	}
	hook, ok := hooks[name]
	if !ok {
		return r.fail("unknown hook %q", name)
	}
	if err := r.expect("priority"); err != nil {
		return err
	}
	at, err := r.take("a priority")
	if err != nil {
		return err
	}
	// nft(8), standard priority names.
	priorities := map[string]int32{"raw": -300, "filter": 0, "dstnat": -100, "srcnat": 100}
	priority, ok := priorities[at]
	if !ok || kind == "nat" != (at == "dstnat" || at == "srcnat") {
		return r.fail("unknown priority %q", at)
	}
	if err := r.expect(";", "policy"); err != nil {
		return err
	}
	policy, err := r.take("a policy")
	if err != nil {
		return err
	}
	verdicts := map[string]firewall.VerdictKind{"accept": firewall.Accept, "drop": firewall.Drop}
	verdict, ok := verdicts[policy]
	if !ok {
		return r.fail("unknown policy %q", policy)
	}
	c.Base = &firewall.Base{Hook: hook, Priority: priority, Type: kind, Policy: verdict}
	return nil
}

// rule reads one rule, to the end of its line.
func (r *reader) rule(c *firewall.Chain) error {
	from := r.tok.at
	rule := &firewall.Rule{Chain: c, Number: len(c.Rules) + 1, Line: r.tok.line}
	b := &builder{reader: r, rule: rule}
	for r.tok.kind != newline && r.tok.kind != end && !r.is("}") && !r.is(";") {
		if b.ended {
			if !r.is("comment") {
				return r.fail("%q behind the end of a rule", r.tok.text)
			}
		}
		if err := b.statement(); err != nil {
			return err
		}
	}
	rule.Text = strings.TrimSpace(r.text[from:r.tok.at])
	if len(rule.Steps) == 0 {
		rule.Steps = []firewall.Step{firewall.Match{Cond: firewall.And{}}}
	}
	c.Rules = append(c.Rules, rule)
	return nil
}

// builder makes the steps of a rule.
type builder struct {
	*reader
	rule  *firewall.Rule
	ended bool // by a verdict
	// l4 is the protocol that the rule has asked for, where it has: conntrack's
	// ports of the original tuple have a meaning only then.
	l4 bool
}

func (b *builder) match(c firewall.Cond) {
	b.rule.Steps = append(b.rule.Steps, firewall.Match{Cond: c})
}

// same holds where a value is a constant.
func same(v firewall.Value, bytes ...byte) firewall.Cond {
	return firewall.Compare{Value: v, In: []firewall.Interval{{Lo: bytes, Hi: bytes}}}
}

// family and protocol are the conditions that nft puts before a look into headers.
func (b *builder) family(v6 bool) {
	n := byte(2)
	if v6 {
		n = 10
	}
	b.match(same(firewall.Whole(firewall.FieldNFProto, 0, 0, 8), n))
}

func (b *builder) protocol(n byte) {
	b.l4 = true
	b.match(same(firewall.Whole(firewall.FieldL4Proto, 0, 0, 8), n))
}

// statement reads one match, statement or verdict.
func (b *builder) statement() error {
	if v, ok, err := b.verdict(); ok || err != nil {
		b.ended = true
		b.rule.Steps = append(b.rule.Steps, v)
		return err
	}
	key, err := b.take("a statement")
	if err != nil {
		return err
	}
	switch key {
	case "ct":
		return b.conntrack()
	case "iifname", "oifname":
		return b.interfaces(key == "oifname")
	case "ip", "ip6":
		return b.address(key == "ip6")
	case "tcp", "udp", "dccp", "sctp", "udplite":
		return b.port(key)
	case "icmp", "icmpv6":
		return b.icmp(key == "icmpv6")
	case "meta":
		return b.meta()
	case "update":
		return b.update()
	case "limit":
		return b.limit()
	case "fib":
		return b.fib()
	case "log":
		return b.log()
	case "dnat", "snat":
		return b.translate(key == "snat")
	case "masquerade":
		return b.nat(firewall.NAT{Kind: firewall.Masquerade})
	case "counter":
		return nil
	case "comment":
		_, err := b.string("a comment")
		return err
	}
	return b.fail("unknown statement %q", key)
}

// verdict reads a verdict, if one comes.
func (r *reader) verdict() (firewall.Verdict, bool, error) {
	kinds := map[string]firewall.VerdictKind{
		"accept": firewall.Accept, "drop": firewall.Drop, "return": firewall.Return,
		"jump": firewall.Jump, "goto": firewall.Goto,
	}
	kind, ok := kinds[r.tok.text]
	if r.tok.kind != word || !ok {
		return firewall.Verdict{}, false, nil
	}
	v := firewall.Verdict{Kind: kind}
	line := r.tok.line
	if err := r.advance(); err != nil {
		return v, true, err
	}
	if kind == firewall.Jump || kind == firewall.Goto {
		name, err := r.take("the name of a chain")
		if err != nil {
			return v, true, err
		}
		v.Chain = name
		r.table.jumps = append(r.table.jumps, jump{name, line})
	}
	return v, true, nil
}

// against reads what a value is compared with: one, a set in braces, a named set,
// or a verdict map of either kind.
func (b *builder) against(kind string, v firewall.Value) error {
	vmap, err := b.accept("vmap")
	if err != nil {
		return err
	}
	s := &firewall.Set{Fields: []int{bitsOf(kind)}}
	at, err := b.accept("@")
	if err != nil {
		return err
	}
	switch {
	case at:
		name, err := b.take("the name of a set")
		if err != nil {
			return err
		}
		named := b.table.sets[name]
		if named == nil || named.kind != kind || named.verdicts != vmap || named.dynamic {
			return b.fail("there is no such set %s of type %s", name, kind)
		}
		s = named.Set
	case b.is("{"):
		if s.Elems, err = b.elements(kind, vmap); err != nil {
			return err
		}
	case vmap:
		return b.fail("%q where a map should be", b.tok.text)
	default:
		iv, err := b.value(kind)
		if err != nil {
			return err
		}
		b.match(firewall.Compare{Value: v, In: []firewall.Interval{iv}})
		return nil
	}
	if vmap {
		b.ended = true
		b.rule.Steps = append(b.rule.Steps, firewall.VerdictMap{Key: []firewall.Value{v}, Map: s})
		return nil
	}
	b.match(firewall.Lookup{Key: []firewall.Value{v}, Set: s})
	return nil
}

// address reads a match of an address in the IP header.
func (b *builder) address(v6 bool) error {
	side, err := b.take("saddr or daddr")
	if err != nil {
		return err
	}
	kind, from, n := "ipv4_addr", 96, 32 // RFC 791: source at byte 12, destination at 16
	if v6 {
		kind, from, n = "ipv6_addr", 64, 128 // RFC 8200: at 8 and at 24
	}
	switch side {
	case "saddr":
	case "daddr":
		from += n
	default:
		return b.fail("unknown part %q of an IP header", side)
	}
	b.family(v6)
	return b.against(kind, firewall.Whole(firewall.FieldNetwork, 0, from, n))
}

// port reads a match of a port in a transport header.
func (b *builder) port(protocol string) error {
	side, err := b.take("sport or dport")
	if err != nil {
		return err
	}
	from := 0
	switch side {
	case "sport":
	case "dport":
		from = 16
	default:
		return b.fail("unknown part %q of a header of %s", side, protocol)
	}
	b.protocol(map[string]byte{"tcp": 6, "udp": 17, "dccp": 33, "sctp": 132, "udplite": 136}[protocol])
	return b.against("inet_service", firewall.Whole(firewall.FieldTransport, 0, from, 16))
}

// icmp reads a match of a message's type, which in table inet is about packets of
// the message's own family.
func (b *builder) icmp(v6 bool) error {
	if err := b.expect("type"); err != nil {
		return err
	}
	kind, n := "icmp_type", byte(1)
	if v6 {
		kind, n = "icmpv6_type", 58
	}
	b.family(v6)
	b.protocol(n)
	return b.against(kind, firewall.Whole(firewall.FieldTransport, 0, 0, 8))
}

// meta reads: meta l4proto N, meta nfproto F.
func (b *builder) meta() error {
	key, err := b.take("a key")
	if err != nil {
		return err
	}
	switch key {
	case "nfproto":
		name, err := b.take("ipv4 or ipv6")
		if err == nil && name != "ipv4" && name != "ipv6" {
			err = b.fail("unknown family %q", name)
		}
		b.family(name == "ipv6")
		return err
	case "l4proto":
		b.l4 = true
		return b.protocols()
	case "skuid", "skgid":
		// nft(8): without a socket there is no owner, and the rule ends.
		b.match(firewall.Varies{Text: "meta skuid is known"})
		return b.against(key[2:], firewall.FreeField("meta "+key, 32))
	}
	return b.fail("unknown key %q", key)
}

// protocols reads numbers of protocols, for which sets have no type of ours.
func (b *builder) protocols() error {
	v := firewall.Whole(firewall.FieldL4Proto, 0, 0, 8)
	vmap, err := b.accept("vmap")
	if err != nil {
		return err
	}
	if !b.is("{") {
		n, err := b.number("the number of a protocol", 255)
		if vmap && err == nil {
			err = b.fail("a verdict map without braces")
		}
		b.match(same(v, byte(n)))
		return err
	}
	s := &firewall.Set{Fields: []int{8}}
	if s.Elems, err = b.elements("icmp_type", vmap); err != nil { // numbers of eight bits, too
		return err
	}
	if vmap {
		b.ended = true
		b.rule.Steps = append(b.rule.Steps, firewall.VerdictMap{Key: []firewall.Value{v}, Map: s})
		return nil
	}
	b.match(firewall.Lookup{Key: []firewall.Value{v}, Set: s})
	return nil
}

// interfaces reads a name, or several in braces; a * at the end stands for any
// rest.
func (b *builder) interfaces(out bool) error {
	var cond firewall.Or
	not, err := b.accept("!=")
	if err != nil {
		return err
	}
	match := func(c firewall.Cond) {
		if not {
			c = firewall.Not{Of: c}
		}
		b.match(c)
	}
	one := func() error {
		name, err := b.string("the name of an interface")
		if err != nil {
			return err
		}
		start, pattern := strings.CutSuffix(name, "*")
		if start == "" || strings.Contains(start, "*") {
			return b.fail("%q cannot be the name of an interface", name)
		}
		cond = append(cond, firewall.Interface{Out: out, Name: start, Prefix: pattern})
		return nil
	}
	if braces, err := b.accept("{"); err != nil {
		return err
	} else if !braces {
		err := one()
		if err == nil {
			match(cond[0])
		}
		return err
	}
	for {
		if err := one(); err != nil {
			return err
		}
		if ok, err := b.accept("}"); err != nil {
			return err
		} else if ok {
			match(cond)
			return nil
		}
		if err := b.expect(","); err != nil {
			return err
		}
	}
}

// log reads: log group N snaplen N. It means nothing for where a packet goes.
func (b *builder) log() error {
	if err := b.expect("group"); err != nil {
		return err
	}
	if _, err := b.number("number of a group", 1<<16-1); err != nil {
		return err
	}
	if err := b.expect("snaplen"); err != nil {
		return err
	}
	_, err := b.number("length", 1<<16-1)
	return err
}

// limit reads: limit rate over N/unit burst N packets. It is one limit for all
// that ask it. Without over it lets a rule go on while it is not exceeded: such a
// rule may have no verdict, and nothing depends on it.
func (b *builder) limit() error {
	if err := b.expect("rate"); err != nil {
		return err
	}
	over, err := b.accept("over")
	if err != nil {
		return err
	}
	l, err := b.rate()
	if !over && err == nil {
		b.match(firewall.Varies{Text: fmt.Sprintf("limit of a log in chain %s", b.rule.Chain.Name), Stateful: true})
		if !b.is("log") {
			return b.fail("a limit that is neither of a log nor over")
		}
		if _, err := b.take("log"); err != nil {
			return err
		}
		if err := b.log(); err != nil {
			return err
		}
		b.ended = true
		return nil
	}
	if err != nil {
		return err
	}
	l.Name = b.rule.Chain.Name
	text := fmt.Sprintf("limit of chain %s", l.Name)
	if _, twice := b.limits[text]; twice {
		return b.fail("two limits in chain %s", l.Name)
	}
	b.limits[text] = l
	b.match(firewall.Varies{Text: text})
	return nil
}

// rate reads: N/unit burst N packets.
func (b *builder) rate() (acl.Limit, error) {
	l := acl.Limit{Exceeded: true}
	text, err := b.take("a rate")
	if err != nil {
		return l, err
	}
	count, unit, _ := strings.Cut(text, "/")
	iv, ok := numberInterval(count, 4)
	l.Per = perUnit(unit)
	if !ok || strings.Contains(count, "-") || l.Per == 0 {
		return l, b.fail("%q is no rate", text)
	}
	for _, c := range iv.Lo {
		l.Count = l.Count<<8 | int(c)
	}
	if err := b.expect("burst"); err != nil {
		return l, err
	}
	if l.Burst, err = b.number("a burst", 1<<31-1); err != nil {
		return l, err
	}
	if l.Count == 0 || l.Burst == 0 {
		return l, b.fail("a rate or burst of 0 has another meaning")
	}
	return l, b.expect("packets")
}

// update reads: update @SET { ip saddr limit … }, a limit for each source.
func (b *builder) update() error {
	if err := b.expect("@"); err != nil {
		return err
	}
	name, err := b.take("the name of a set")
	if err != nil {
		return err
	}
	s := b.table.sets[name]
	if s == nil || !s.dynamic {
		return b.fail("there is no set %s that packets fill", name)
	}
	if err := b.expect("{"); err != nil {
		return err
	}
	word, err := b.take("ip or ip6")
	if err != nil {
		return err
	}
	switch {
	case word == "ip" && s.kind == "ipv4_addr":
		err = b.expect("saddr")
	case word == "ip6" && s.kind == "ipv6_addr":
		err = b.expect("saddr", "&", "ffff:ffff:ffff:ffff::")
	default:
		err = b.fail("%q in a set of type %s", word, s.kind)
	}
	if err == nil {
		err = b.expect("limit", "rate", "over")
	}
	if err != nil {
		return err
	}
	l, err := b.rate()
	if err != nil {
		return err
	}
	if err := b.expect("}"); err != nil {
		return err
	}
	if s.timeout*time.Duration(l.Count) < l.Per*time.Duration(l.Burst) {
		return b.fail("set %s forgets sources before they may do all again", name)
	}
	l.PerSource = true
	l.Name = strings.TrimPrefix(name[:max(0, len(name)-2)], "rate-") // rate-NAME-4
	r := b.reader
	r.table.uses[name]++
	b.family(s.kind == "ipv6_addr")
	text := "limit of set " + name
	b.limits[text] = l
	b.match(firewall.Varies{Text: text})
	return nil
}
