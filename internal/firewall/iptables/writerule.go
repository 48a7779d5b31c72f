package iptables

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// What is the most that x_tables has room for.
const (
	maxLines     = 8   // of a rule that is written out, before it becomes chains
	maxHits      = 255 // of xt_recent, in kernels before 6.12
	multiports   = 15
	maxPerSecond = 10000
)

// cannot says what iptables has no words for in a rule.
func (w *writer) cannot(_ acl.Way, r *acl.Rule) string {
	rate := r.Rate
	switch {
	case rate == nil:
	case !rate.PerSource && (rate.Burst > 10000 || rate.Count > maxPerSecond || !fits(rate)):
		return "the rate " + rate.String()
	case rate.PerSource && rate.Burst != rate.Count:
		return "a rate for each source with a burst of its own"
	case rate.PerSource && rate.Count > maxHits:
		return fmt.Sprintf("a rate for each source with more than %d at once", maxHits)
	}
	for _, i := range allInterfaces(r) {
		if strings.ContainsAny(string(i), " \"+") || len(i) > 15 {
			return fmt.Sprintf("the interface %q", i)
		}
	}
	return ""
}

// fits tells whether xt_limit can count so much in its 32 bits (xt_limit.c,
// limit_mt_check): the time of a burst, in steps of 1/32 of a hundredth of a second
// or finer.
func fits(r *acl.Rate) bool {
	const scale, hz, most = 10000, 1000, 0xffffffff
	avg := uint64(r.Per/time.Second) * scale / uint64(r.Count)
	return avg > 0 && avg*uint64(r.Burst)/scale*hz*128 < most && avg*uint64(r.Burst) < most
}

func allInterfaces(r *acl.Rule) []acl.Interface {
	is := slices.Concat(r.In, r.Out, r.NotIn, r.NotOut)
	for _, p := range slices.Concat(r.From, r.To) {
		is = append(is, p.Interfaces...)
	}
	return is
}

// axis is one part of a rule: alternatives, each the text of matches. Nil is a part
// that holds for every packet, an empty one a part that holds for none.
type axis []string

// rule adds one rule to a chain; it returns the chain in which the next one stands.
//
// A rule whose alternatives are many is a few chains, one for each part, that lead
// to each other with goto: so that RETURN, wherever it stands, leads back to the
// chain of the table itself.
func (w *writer) rule(c *chainText, section string, r *acl.Rule) *chainText {
	axes, always, ok := w.axes(r)
	if !ok {
		return c
	}
	c.say(r.Origin)
	verdict := map[acl.Action]string{acl.Accept: w.pass(), acl.Drop: w.drop(), acl.Count: ""}[r.Action]
	note := comment(r.Origin)
	if w.observing && r.Action == acl.Drop {
		note = strings.Replace(note, `--comment "`, `--comment "would be dropped: `, 1)
	}
	if r.Action == acl.Accept && r.Rate != nil {
		verdict, note = "-g "+w.limiter(c.t, r), ""
	}
	lines := 1
	for _, a := range axes {
		lines *= len(a)
	}
	if lines <= maxLines && len(r.NotIn)+len(r.NotOut) == 0 || len(axes) <= 1 && len(r.NotIn)+len(r.NotOut) == 0 {
		for _, match := range product(axes) {
			c.rule(always, match, note, verdict)
		}
		return c
	}
	return w.chains(c, section, r, axes, always, strings.TrimSpace(note+" "+verdict))
}

// chains writes a rule as chains.
func (w *writer) chains(c *chainText, section string, r *acl.Rule, axes []axis, always, last string) *chainText {
	slices.SortStableFunc(axes, func(a, b axis) int { return len(a) - len(b) })
	word := acl.Word(r.Path)
	if word == "" {
		word = section
	}
	steps := make([]*chainText, len(axes))
	for i := range steps {
		steps[i] = w.chain(c.t, fmt.Sprintf("%s.%d", word, i+1))
	}
	next := w.chain(c.t, section+".2")
	if len(steps) == 0 { // exceptions alone
		steps, axes = []*chainText{w.chain(c.t, word+".1")}, []axis{{""}}
	}
	c.rule(always, "-g "+steps[0].name)
	c.rule("-g " + next.name)
	for _, n := range r.NotIn {
		steps[0].rule("-i "+ifaceText(n), "-g "+next.name)
	}
	for _, n := range r.NotOut {
		steps[0].rule("-o "+ifaceText(n), "-g "+next.name)
	}
	for i, a := range axes {
		to := last
		if i+1 < len(axes) {
			to = "-g " + steps[i+1].name
		}
		for _, alternative := range a {
			steps[i].rule(alternative, to)
		}
		steps[i].rule("-g " + next.name)
	}
	return next
}

// product returns all combinations of alternatives.
func product(axes []axis) []string {
	out := []string{""}
	for _, a := range axes {
		var longer []string
		for _, head := range out {
			for _, tail := range a {
				longer = append(longer, strings.TrimSpace(head+" "+tail))
			}
		}
		out = longer
	}
	return out
}

// axes returns the parts of a rule that have several alternatives, the text of
// those that have one, and false where the rule is about no packet of the family.
func (w *writer) axes(r *acl.Rule) (axes []axis, always string, ok bool) {
	var fixed []string
	switch r.States {
	case acl.New:
		fixed = append(fixed, "-m conntrack --ctstate NEW")
	case acl.Known:
		fixed = append(fixed, "-m conntrack --ctstate RELATED,ESTABLISHED")
	}
	if r.Published {
		fixed = append(fixed, "-m conntrack --ctstate DNAT")
	}
	for _, u := range r.ExceptUsers {
		fixed = append(fixed, "-m owner ! --uid-owner "+w.owner(u))
	}
	for _, g := range r.ExceptGroups {
		fixed = append(fixed, "-m owner ! --gid-owner "+w.owner(g))
	}
	var first []string // options of the rule itself stand before matches
	for _, a := range w.parts(r) {
		switch {
		case a == nil:
		case len(a) == 0:
			return nil, "", false
		case len(a) == 1 && strings.HasPrefix(a[0], "-m"):
			fixed = append(fixed, a[0])
		case len(a) == 1:
			first = append(first, a[0])
		default:
			axes = append(axes, a)
		}
	}
	return axes, strings.TrimSpace(strings.Join(append(first, fixed...), " ")), true
}

// parts are the parts of a rule.
func (w *writer) parts(r *acl.Rule) []axis {
	dst, services := "dst", w.services(r.Services, "", r.Published)
	if r.Published {
		dst = "ctorigdst"
	}
	parts := []axis{
		names("-i ", r.In), names("-o ", r.Out),
		w.peers(r.From, "-i ", "src"), w.peers(r.To, "-o ", dst),
		w.ownerAxis("uid", r.Users), w.ownerAxis("gid", r.Groups), services,
	}
	if t := r.Target; t.IsValid() || t.Addr().IsValid() {
		parts = append(parts, w.now(r))
	}
	return parts
}

// now is where a packet with a translated destination goes.
func (w *writer) now(r *acl.Rule) axis {
	if r.Target.Addr().Is6() != w.v6() {
		return axis{}
	}
	to := "-d " + w.prefixText(netip.PrefixFrom(r.Target.Addr(), r.Target.Addr().BitLen()))
	if p := r.Target.Port(); p != 0 {
		to += fmt.Sprintf(" -m multiport --dports %d", p)
	}
	return axis{to}
}

func ifaceText(i acl.Interface) string {
	if start, ok := strings.CutSuffix(string(i), "*"); ok {
		return start + "+"
	}
	return string(i)
}

func names(option string, is []acl.Interface) axis {
	var a axis
	for _, i := range is {
		a = append(a, option+ifaceText(i))
	}
	return a
}

// owner is a user or group as iptables-restore takes it: a number, or a name that
// it looks up when it loads the text.
func (w *writer) owner(id uint32) string {
	if name, ok := w.owners[id]; ok {
		return name
	}
	return fmt.Sprint(id)
}

func (w *writer) ownerAxis(what string, ids []uint32) axis {
	var a axis
	for _, id := range ids {
		a = append(a, fmt.Sprintf("-m owner --%s-owner %s", what, w.owner(id)))
	}
	return a
}

// peers are the alternatives of From or To.
func (w *writer) peers(ps []acl.Peer, option, side string) axis {
	if len(ps) == 0 {
		return nil
	}
	a := axis{}
	for _, p := range ps {
		addresses := axis{""}
		if p.Addresses != nil {
			addresses = w.addresses(p.Addresses, side)
		}
		behind := axis{""}
		if len(p.Interfaces) > 0 {
			behind = names(option, p.Interfaces)
		}
		a = append(a, product([]axis{behind, addresses})...)
	}
	if slices.Contains(a, "") {
		return nil
	}
	return a
}

// addresses are the alternatives of a list of addresses.
func (w *writer) addresses(as *acl.Addresses, side string) axis {
	a := axis{}
	var mine []packet.AddrRange
	for _, r := range as.Ranges {
		if r.Lo.Is6() == w.v6() {
			mine = append(mine, r)
		}
	}
	if as.Name != "" && w.o.Separate && side != "ctorigdst" && len(mine) > 1 {
		return axis{fmt.Sprintf("-m set --match-set %s %s", w.set(as.Name, mine), side)}
	}
	for _, r := range mine {
		ps := prefixes(r)
		if len(ps) == 1 && ps[0].Bits() == 0 {
			return axis{""} // the whole family
		}
		if len(ps) > 2 && side != "ctorigdst" {
			a = append(a, fmt.Sprintf("-m iprange --%s-range %s-%s", side, r.Lo, r.Hi))
			continue
		}
		for _, p := range ps {
			switch side {
			case "src":
				a = append(a, "-s "+w.prefixText(p))
			case "dst":
				a = append(a, "-d "+w.prefixText(p))
			default:
				a = append(a, "-m conntrack --ctorigdst "+w.prefixText(p))
			}
		}
	}
	return a
}

// prefixText writes a prefix as iptables-save does.
func (w *writer) prefixText(p netip.Prefix) string { return p.String() }

// prefixes cuts a range into prefixes, as few as there can be.
func prefixes(r packet.AddrRange) []netip.Prefix {
	var out []netip.Prefix
	for lo := r.Lo; ; {
		bits := lo.BitLen()
		var end netip.Addr
		for end = lo; bits > 0; bits-- {
			p := netip.PrefixFrom(lo, bits-1)
			if p.Masked().Addr() != lo || r.Hi.Less(lastOf(p)) {
				break
			}
			end = lastOf(p)
		}
		out = append(out, netip.PrefixFrom(lo, bits))
		if lo = end.Next(); !lo.IsValid() || end.Compare(r.Hi) >= 0 {
			return out
		}
	}
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// limiter makes the chain of a rule with a rate: what exceeds it is dropped.
func (w *writer) limiter(t *tableText, r *acl.Rule) string {
	rate := r.Rate
	if name := prefix + rate.Name(); w.made[t.name+" "+name] {
		return name // asked from inbound as well as about published ports
	}
	c := w.chain(t, rate.Name())
	if rate.PerSource {
		// The lists of both families are in one place, each with one mask.
		name, mask := "sekimori4-", "255.255.255.255"
		if w.v6() {
			name, mask = "sekimori6-", "ffff:ffff:ffff:ffff::"
		}
		list := fmt.Sprintf("--name %s --mask %s --rsource", name+rate.Name(), mask)
		c.rule(fmt.Sprintf("-m recent --rcheck --seconds %d --hitcount %d %s", rate.Per/time.Second, rate.Count, list), comment(r.Origin), "-j DROP")
		c.rule("-m recent --set "+list, comment(r.Origin), w.pass())
		return c.name
	}
	unit := map[time.Duration]string{time.Second: "sec", time.Minute: "min", time.Hour: "hour", 24 * time.Hour: "day"}[rate.Per]
	c.rule(fmt.Sprintf("-m limit --limit %d/%s --limit-burst %d", rate.Count, unit, rate.Burst), comment(r.Origin), w.pass())
	c.rule(comment(r.Origin), "-j DROP")
	return c.name
}
