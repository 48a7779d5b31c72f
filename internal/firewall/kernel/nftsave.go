package kernel

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"sekimori/internal/firewall"
)

// saveOption is a statement in the words of iptables-save; the zero value is one
// that has none.
type saveOption struct {
	ok   bool
	slot saveSlot
	text string
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
	for _, f := range r.text.frags {
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

// saveQuote quotes a word as iptables-save does (xtables_save_string).
func saveQuote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c == '_' || c == '-' || c == '.' || c == '/' || c == '+' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z')
	}) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
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
		return option(saveMatch, "-m mark --mark %s", saveMasked(v, mask))
	case firewall.FieldNetwork:
		return r.saveNetwork(w, option)
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
	n := len(w.at)
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
	names := map[byte]string{1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 33: "dccp", 47: "gre", 50: "esp", 51: "ah", 58: "ipv6-icmp", 132: "sctp", 135: "ipv6-mh", 136: "udplite"}
	if s, ok := names[p]; ok {
		return s
	}
	return strconv.Itoa(int(p))
}

func (r *rule) saveNetwork(w wanted, option func(saveSlot, string, ...any) saveOption) saveOption {
	_, fields := r.n.header(firewall.FieldNetwork, r.t.Family, 0)
	for _, h := range fields {
		mask, v, n := w.cut(h.off, h.len)
		if n == 0 || n != len(w.at) {
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
		case "ttl":
			if n == 8 {
				return option(saveMatch, "-m ttl --ttl-eq %d", v[0])
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
	left := len(w.at)
	text := "-m " + module
	for _, h := range fields {
		mask, v, n := w.cut(h.off, h.len)
		switch {
		case n == 0:
			continue
		case n == h.len && (h.name == "sport" || h.name == "dport"):
			text += fmt.Sprintf(" %s--%s %d", not, h.name, number(v))
		case h.name == "flags" && module == "tcp":
			text += " " + not + "--tcp-flags " + saveFlags(mask[0]) + " " + saveFlags(v[0])
		default:
			return saveOption{}
		}
		left -= n
	}
	if left > 0 || not != "" && strings.Count(text, "--") > 1 {
		return saveOption{}
	}
	return saveOption{ok: true, slot: saveMatch, text: text}
}

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
	return saveOption{ok: true, slot: saveMatch, text: fmt.Sprintf("-m %s %s--%s %d:%d", module, not, port, number(rel.lo), number(rel.hi))}
}
