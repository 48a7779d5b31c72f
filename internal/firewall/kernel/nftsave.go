package kernel

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/xt"
)

// saveOption is a statement in the words of iptables-save; the zero value is one
// that has none.
type saveOption struct {
	ok   bool
	slot saveSlot
	text string
	// module and rank are those of an option of a protocol's own match, which
	// iptables-save prints once with all of its options in order.
	module string
	rank   int
}

// saveSlot is the place of an option in a line of iptables-save.
type saveSlot uint8

const (
	saveSource saveSlot = iota
	saveDestination
	saveIn
	saveOut
	saveProtocol
	saveFragment
	saveMatch
	saveTarget
	saveSlots
)

// isIPTables reports whether a table has been written by iptables-nft: it has the
// name of one of iptables' tables, no sets with names, base chains named as those of
// iptables, and no rule that iptables could not have written (see renderSave).
func isIPTables(t *table) bool {
	if t.Family != firewall.IPv4 && t.Family != firewall.IPv6 {
		return false
	}
	switch t.Name {
	case "filter", "nat", "mangle", "raw", "security":
	default:
		return false
	}
	for name := range t.sets {
		if !strings.HasPrefix(name, "__") {
			return false
		}
	}
	for _, c := range t.Chains {
		if c.Base != nil && c.Name != strings.ToUpper(c.Base.Hook.String()) {
			return false
		}
	}
	return len(t.Chains) > 0
}

// renderSave returns the rule as iptables-save prints it; false if a part of it has
// no such form.
func (r *rule) renderSave() (string, bool) {
	var slots [saveSlots][]string
	for _, f := range joinModules(r.text.frags) {
		if !f.save.ok {
			return "", false
		}
		if f.save.text != "" {
			slots[f.save.slot] = append(slots[f.save.slot], f.save.text)
		}
	}
	if r.out.Comment != "" {
		slots[saveMatch] = append(slots[saveMatch], "-m comment --comment "+saveQuote(r.out.Comment))
	}
	var b strings.Builder
	b.WriteString("-A " + saveQuote(r.c.Name))
	for i := range slots {
		if i != int(saveMatch) && len(slots[i]) > 1 {
			return "", false
		}
		for _, s := range slots[i] {
			b.WriteString(" " + s)
		}
	}
	return b.String(), true
}

// joinModules puts the options of one protocol's match together.
func joinModules(frags []frag) []frag {
	out := make([]frag, 0, len(frags))
	for i, f := range frags {
		m := f.save.module
		if m == "" {
			out = append(out, f)
			continue
		}
		if slices.ContainsFunc(frags[:i], func(g frag) bool { return g.save.module == m }) {
			continue
		}
		var same []saveOption
		for _, g := range frags[i:] {
			if g.save.module == m {
				same = append(same, g.save)
			}
		}
		slices.SortStableFunc(same, func(a, b saveOption) int { return a.rank - b.rank })
		f.save.text = "-m " + m
		for _, s := range same {
			f.save.text += " " + s.text
		}
		out = append(out, f)
	}
	return out
}

// saveQuote quotes a word as iptables-save does (xtables_save_string).
func saveQuote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c == '_' || c == '-' || c == '.' || c == '/' || c == '+' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z')
	}) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// saveLimit is a rate limit.
func saveLimit(x expr) saveOption {
	if x.name == "counter" {
		return saveOption{ok: true}
	}
	a := read(x.data, types(limitAttrRate, limitAttrUnit, limitAttrBurst, limitAttrType, limitAttrFlags, 6))
	rate, unit, burst := a.num64(limitAttrRate), a.num64(limitAttrUnit), a.numOr(limitAttrBurst, 5)
	per := map[uint64]string{1: "sec", 60: "min", 3600: "hour", 86400: "day"}[unit]
	if x.name != "limit" || a.numOr(limitAttrType, 0) != 0 || a.numOr(limitAttrFlags, 0) != 0 || per == "" || a.err != nil {
		return saveOption{}
	}
	text := fmt.Sprintf("-m limit --limit %d/%s", rate, per)
	if burst != 5 {
		text += fmt.Sprintf(" --limit-burst %d", burst)
	}
	return saveOption{ok: true, slot: saveMatch, text: text}
}

// saveLog is the NFLOG target, for which iptables-nft uses nft's own log.
func saveLog(a *reader) saveOption {
	if a.has(5) || a.has(6) || !a.has(1) {
		return saveOption{}
	}
	text := "-j NFLOG"
	if a.has(2) {
		text += " --nflog-prefix " + saveQuote(a.text(2))
	}
	if g, err := a.u16(1); err == nil && g != 0 {
		text += fmt.Sprintf(" --nflog-group %d", g)
	}
	if n := a.numOr(3, 0); n != 0 {
		text += fmt.Sprintf(" --nflog-size %d", n)
	}
	if a.has(4) {
		if n, err := a.u16(4); err == nil && n > 1 {
			text += fmt.Sprintf(" --nflog-threshold %d", n)
		}
	}
	return saveOption{ok: true, slot: saveTarget, text: text}
}

// saveVerdict is the target of a verdict.
func saveVerdict(v *firewall.Verdict) saveOption {
	text := ""
	switch v.Kind {
	case firewall.Accept:
		text = "-j ACCEPT"
	case firewall.Drop:
		text = "-j DROP"
	case firewall.Return:
		text = "-j RETURN"
	case firewall.Jump:
		text = "-j " + saveQuote(v.Chain)
	case firewall.Goto:
		text = "-g " + saveQuote(v.Chain)
	default:
		return saveOption{}
	}
	return saveOption{ok: true, slot: saveTarget, text: text}
}

// saveRelation is the option that a comparison stands for.
func (r *rule) saveRelation(rel relation) saveOption {
	if !r.t.iptables || rel.v.kind != plain {
		return saveOption{}
	}
	if !bytes.Equal(rel.lo, rel.hi) {
		return r.saveRange(rel)
	}
	w, ok := want(rel)
	if !ok {
		return saveOption{}
	}
	not := ""
	if rel.neg {
		not = "! "
	}
	option := func(slot saveSlot, format string, args ...any) saveOption {
		return saveOption{ok: true, slot: slot, text: not + fmt.Sprintf(format, args...)}
	}
	switch w.field {
	case firewall.FieldL4Proto:
		if mask, v, _ := w.cut(0, 8); mask[0] == 0xff {
			return option(saveProtocol, "-p %s", saveProto(v[0]))
		}
	case firewall.FieldIifName, firewall.FieldOifName:
		slot, letter := saveIn, "i"
		if w.field == firewall.FieldOifName {
			slot, letter = saveOut, "o"
		}
		if name, ok := saveInterface(w); ok {
			return option(slot, "-%s %s", letter, name)
		}
	case firewall.FieldMark:
		mask, v, _ := w.cut(0, 32)
		return saveOption{ok: true, slot: saveMatch, text: "-m mark " + not + "--mark " + saveMasked(v, mask)}
	case firewall.FieldNetwork:
		return r.saveNetwork(w, rel.neg, option)
	case firewall.FieldTransport:
		return r.saveTransport(w, not)
	}
	return saveOption{}
}

func saveMasked(v, mask []byte) string {
	s := fmt.Sprintf("%#x", number(v))
	if m := number(mask); m != 0xffffffff {
		s += fmt.Sprintf("/%#x", m)
	}
	return s
}

// saveInterface is the name of an interface, with a plus for what begins so.
func saveInterface(w wanted) (string, bool) {
	n := w.n
	_, v, count := w.cut(0, n)
	if count != n || n%8 != 0 {
		return "", false
	}
	name, rest, ends := bytes.Cut(v, []byte{0})
	if !isZero(rest) && len(rest) > 0 {
		return "", false
	}
	if !ends && n < 8*ifNameLen {
		return string(name) + "+", true
	}
	return string(name), true
}

// saveProto is the name of a protocol as iptables-save has it.
func saveProto(p byte) string {
	return xt.ProtocolName(p)
}

func (r *rule) saveNetwork(w wanted, neg bool, option func(saveSlot, string, ...any) saveOption) saveOption {
	_, fields := r.n.header(firewall.FieldNetwork, r.t.Family, 0)
	for _, h := range fields {
		mask, v, n := w.cut(h.off, h.len)
		if n == 0 || n != w.n {
			continue
		}
		switch h.name {
		case "saddr", "daddr":
			hi := make([]byte, len(v))
			for i := range hi {
				hi[i] = v[i] | ^mask[i]
			}
			slot, letter := saveSource, "s"
			if h.name == "daddr" {
				slot, letter = saveDestination, "d"
			}
			p, ok := prefixOf(v, hi)
			if !ok {
				p = h.typ.format(v, r.n) + "/" + h.typ.format(mask, r.n)
			}
			return option(slot, "-%s %s", letter, p)
		case "protocol":
			if n == 8 {
				return option(saveProtocol, "-p %s", saveProto(v[0]))
			}
		case "frag-off":
			if m := number(mask); m == 0x1fff && isZero(v) {
				// -f is for all but the first fragment: the offset is not 0.
				return saveOption{ok: true, slot: saveFragment, text: map[bool]string{true: "-f", false: "! -f"}[neg]}
			}
		case "ttl":
			if n == 8 {
				return saveOption{ok: true, slot: saveMatch, text: fmt.Sprintf("-m ttl %s--ttl-eq %d", map[bool]string{true: "! "}[neg], v[0])}
			}
		}
	}
	return saveOption{}
}

// saveTransport is the option of the module of the protocol; two ports that nft
// loads at once are two of them.
func (r *rule) saveTransport(w wanted, not string) saveOption {
	module := map[int]string{6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}[r.text.l4]
	if module == "" {
		return saveOption{}
	}
	_, fields := r.n.header(firewall.FieldTransport, 0, r.text.l4)
	left := w.n
	var options []string
	rank := 3
	for _, h := range fields {
		mask, v, n := w.cut(h.off, h.len)
		switch {
		case n == 0:
			continue
		case n == h.len && (h.name == "sport" || h.name == "dport"):
			options = append(options, fmt.Sprintf("%s--%s %d", not, h.name, number(v)))
			rank = min(rank, saveRank(h.name))
		case h.name == "flags" && module == "tcp":
			options = append(options, not+"--tcp-flags "+saveFlags(mask[0])+" "+saveFlags(v[0]))
			rank = min(rank, saveRank(h.name))
		default:
			return saveOption{}
		}
		left -= n
	}
	if left > 0 || not != "" && len(options) > 1 {
		return saveOption{}
	}
	return saveOption{ok: true, slot: saveMatch, module: module, rank: rank, text: strings.Join(options, " ")}
}

// saveRank is the place of an option among those of its match.
func saveRank(name string) int { return slices.Index([]string{"sport", "dport", "flags"}, name) }

func saveFlags(b byte) string {
	var words []string
	for i, s := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"} {
		if b>>i&1 == 1 {
			words = append(words, s)
		}
	}
	if len(words) == 0 {
		return "NONE"
	}
	return strings.Join(words, ",")
}

// saveRange is a range of ports.
func (r *rule) saveRange(rel relation) saveOption {
	s, ok := r.selectorOf(rel.v)
	if !ok || s.typ != typePort {
		return saveOption{}
	}
	module, port, _ := strings.Cut(s.name, " ")
	if module == "th" {
		return saveOption{}
	}
	not := ""
	if rel.neg {
		not = "! "
	}
	return saveOption{
		ok: true, slot: saveMatch, module: module, rank: saveRank(port),
		text: fmt.Sprintf("%s--%s %d:%d", not, port, number(rel.lo), number(rel.hi)),
	}
}
