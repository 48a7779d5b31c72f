package kernel

import (
	"fmt"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/xt"
)

// This file is about rules that change packets, and what becomes of the rules
// that look at what they change.

// fixed returns a value as conditions may use it: one with header bits that some
// rule rewrites can be different each time.
func (r *rule) fixed(o *operand) *operand {
	if len(r.n.facts.rewritten) == 0 || o.kind != plain {
		return o
	}
	families := []firewall.Family{0, r.family()}
	if families[1] == 0 {
		families = []firewall.Family{0, firewall.IPv4, firewall.IPv6, firewall.ARP}
	}
	changed, vital := r.n.facts.changed(families, o.bits)
	switch {
	case vital:
		out := r.unknown(r.valueText(o, typeHex, false) + ", which a rule changes,")
		out.original = o
		return out
	case changed:
		return &operand{kind: varying, text: r.valueText(o, typeHex, false) + ", which a rule changes,", stateful: true, original: o}
	}
	return o
}

// changed reports whether some rule rewrites one of the bits in packets of these
// families, and whether it is one that decides about the packet's way.
func (f *facts) changed(families []firewall.Family, v firewall.Value) (changed, vital bool) {
	for _, b := range v {
		for _, fam := range families {
			isVital, is := f.rewritten[headerBit{b.Field, fam, int(b.Index)}]
			changed, vital = changed || is, vital || isVital
		}
	}
	return changed, vital
}

// family is the family of the packets that the rule is for, 0 where it is for more
// than one.
func (r *rule) family() firewall.Family {
	if r.text.l3 == firewall.ARP {
		return firewall.ARP
	}
	return ipFamily(r.text.l3)
}

// rewrite is a payload write. Bytes that decide about the packet's way make the
// rule and the whole family undecided; for others, whoever looks at them is.
func (r *rule) rewrite(a *reader, f firewall.Field, off, n int) error {
	v, err := r.source(a.num(payloadAttrSreg), n)
	if err != nil {
		return err
	}
	a.flags(payloadAttrCsumFlags, 1)
	if t := a.numOr(payloadAttrCsumType, 0); t > 2 || a.err != nil {
		return fmt.Errorf("checksum type %d: %v", t, a.err)
	}
	vital := false
	var changed firewall.Value
	for i := range 8 * n {
		to := headerBit{f, r.family(), 8*off + i}
		if v.kind == plain && v.bits[i] == (firewall.Bit{Field: f, Index: uint16(to.index)}) {
			continue
		}
		changed = append(changed, firewall.Bit{Field: f, Index: uint16(to.index)})
		v := r.vital(to)
		vital = vital || v
		if known, is := r.n.facts.rewritten[to]; !is || v && !known {
			r.n.facts.rewritten[to], r.n.facts.grown, r.n.facts.extensions = v, true, true
		}
	}
	if len(changed) == 0 {
		return nil
	}
	what := r.writeText(changed, v, off)
	if vital {
		r.opaque("rewrites "+what, a.attrs[payloadAttrOffset])
		r.say(what)
		r.n.obstacle(firewall.Obstacle{
			What:   fmt.Sprintf("rule of %s (handle %d): %s", r.c.Place(), r.raw.handle, what),
			Why:    "it rewrites a part of the packet that decides where the packet goes",
			Family: ipFamily(r.t.Family), MayAdmit: true,
		})
		return nil
	}
	r.settle(nil)
	r.say(what)
	return nil
}

// writeText shows what a payload write changes, and to what where that is plain.
func (r *rule) writeText(changed firewall.Value, v *operand, off int) string {
	first, last := changed[0], changed[len(changed)-1]
	prefix, fields := r.n.header(first.Field, r.text.l3, r.text.l4)
	for _, h := range fields {
		if int(first.Index) < h.off || int(last.Index) >= h.off+h.len || h.off < 8*off || v.kind == plain && h.off+h.len > 8*off+len(v.bits) {
			continue
		}
		r.imply(first.Field, prefix)
		if v.kind == plain {
			bits := v.bits[h.off-8*off : h.off-8*off+h.len]
			if b, ok := constBits(bits); ok {
				return prefix + h.name + " set " + h.typ.format(b, r.n)
			}
		}
		return prefix + h.name + " set " + r.valueText(v, h.typ, false)
	}
	return rawName(first.Field, int(first.Index), int(last.Index-first.Index)+1) + " set " + r.valueText(v, typeHex, false)
}

// constBits packs bits that are all constants.
func constBits(v firewall.Value) ([]byte, bool) {
	out := make([]bool, len(v))
	for i, b := range v {
		if b.Field != "" {
			return nil, false
		}
		out[i] = b.Invert
	}
	return packBits(out), true
}

func (n *nftables) obstacle(o firewall.Obstacle) { n.found[o.What] = o }

// vital reports whether a bit of a header decides where a packet goes and what it
// is: addresses, protocol, fragment, ports (ICMP type and code), TCP flags.
func (r *rule) vital(b headerBit) bool {
	i := b.index
	switch b.field {
	case firewall.FieldNetwork:
		v4 := i < 8 || i >= 48 && i < 64 || i >= 72 && i < 80 || i >= 96
		v6 := i < 4 || i >= 48 && i < 56 || i >= 64
		switch r.text.l3 {
		case firewall.IPv4:
			return v4
		case firewall.IPv6:
			return v6
		}
		return v4 || v6
	case firewall.FieldTransport:
		return i < 32 || i >= 96 && i < 112
	case firewall.FieldLink:
		return true
	}
	return false
}

// tellExtensions lets the matches of x_tables know that header bits are rewritten,
// for which they know targets alone.
func (n *nftables) tellExtensions() {
	if !n.facts.extensions {
		return
	}
	for _, name := range xt.ChangingTargets() {
		n.ipsets.targets[name] = true
	}
}

// rewrittenByTargets notes what the targets of x_tables in the dump may change.
func (n *nftables) rewrittenByTargets() {
	t := n.ipsets.targets
	bits := func(f firewall.Family, from, to int) {
		for i := from; i < to; i++ {
			n.facts.rewritten[headerBit{firewall.FieldNetwork, f, i}] = false
		}
	}
	if t["DSCP"] || t["TOS"] || t["ECN"] {
		bits(firewall.IPv4, 8, 16)
		bits(firewall.IPv6, 4, 12)
	}
	if t["TTL"] {
		bits(firewall.IPv4, 64, 72)
	}
	if t["HL"] {
		bits(firewall.IPv6, 56, 64)
	}
	if t["TCPMSS"] || t["TCPOPTSTRIP"] {
		for kind := range 256 {
			n.facts.assigned[optionName(exthdrTCP, uint8(kind))] = true
		}
	}
}

// anyFamily is for rules that are not read by this file's decoder.
func anyFamily() []firewall.Family {
	return []firewall.Family{0, firewall.IPv4, firewall.IPv6, firewall.ARP}
}

// undecide replaces the conditions of a match of x_tables on bits that rules of
// nf_tables rewrite although they decide about a packet's way.
func (f *facts) undecide(c firewall.Cond, place string) firewall.Cond {
	all := func(cs []firewall.Cond) []firewall.Cond {
		out := make([]firewall.Cond, len(cs))
		for i, c := range cs {
			out[i] = f.undecide(c, place)
		}
		return out
	}
	switch c := c.(type) {
	case firewall.And:
		return firewall.And(all(c))
	case firewall.Or:
		return firewall.Or(all(c))
	case firewall.Not:
		return firewall.Not{Of: f.undecide(c.Of, place)}
	case firewall.Total:
		return firewall.Total{Of: f.undecide(c.Of, place)}
	case firewall.Compare:
		if _, vital := f.changed(anyFamily(), c.Value); vital {
			return firewall.Undecoded{Text: fmt.Sprintf("%s, which a rule changes (%s)", c.Value[0].Field, place)}
		}
	case firewall.Lookup:
		for _, v := range c.Key {
			if _, vital := f.changed(anyFamily(), v); vital {
				return firewall.Undecoded{Text: fmt.Sprintf("set %s, asked with what a rule changes (%s)", c.Set.Name, place)}
			}
		}
	}
	return c
}

// undecideRules is undecide for all rules of tables of iptables-legacy.
func (f *facts) undecideRules(rs *firewall.Ruleset) {
	if !f.extensions {
		return
	}
	for _, t := range rs.Tables {
		if t.Backend != firewall.Legacy {
			continue
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				for i, s := range r.Steps {
					if m, ok := s.(firewall.Match); ok {
						r.Steps[i] = firewall.Match{Cond: f.undecide(m.Cond, r.Place())}
					}
				}
			}
		}
	}
}
