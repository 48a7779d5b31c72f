package ipfw

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Limits of what is read: more is no list that a person or this package wrote.
const (
	maxSize  = 64 << 20
	maxRules = 65535
	step     = 100 // net.inet.ip.fw.autoinc_step
)

// Parse reads a list. The error, if there is one, is an [Errors].
func Parse(src []byte) (*Ruleset, error) {
	p := &parser{rs: &Ruleset{Tables: map[string]*Table{}}}
	if len(src) > maxSize {
		return nil, Errors{{Line: 1, Column: 1, Message: "the text is too large to be a list of rules"}}
	}
	p.lines(string(src))
	p.used()
	if len(p.errs) > 0 {
		return nil, p.errs.sorted()
	}
	return p.rs, nil
}

type parser struct {
	rs   *Ruleset
	errs Errors
	at   command
	last int // the number of the rule that was added last
	// tables that rules name, and where
	tables map[string]command
	// flow is the name of the states, set by the first rule that has states.
	flow     string
	hasState bool
}

func (p *parser) failAt(col, width int, hint, format string, args ...any) {
	if len(p.errs) == maxErrors {
		return
	}
	p.errs = append(p.errs, &Error{
		Line: p.at.line, Column: col, Message: fmt.Sprintf(format, args...), Hint: hint, source: p.at.source, width: width,
	})
}

func (p *parser) fail(w word, format string, args ...any) {
	p.failAt(w.col, len(w.s), "", format, args...)
}

// used checks that the tables of rules exist.
func (p *parser) used() {
	for name, c := range p.tables {
		if p.rs.Tables[name] == nil {
			p.at = c
			p.failAt(1, len(c.source), "", "table %s is nowhere filled: what is in it is not known", name)
		}
	}
}

// command carries one command out.
func (p *parser) command(c command) {
	p.at = c
	first := c.words[0]
	rest := c.words[1:]
	switch first.s {
	case "add":
		p.add(rest)
	case "delete":
		p.delete(first, rest)
	case "flush":
		p.rs.Rules = nil
		p.none(rest)
	case "set":
		p.set(first, rest)
	case "table":
		p.table(first, rest)
	case "zero", "resetlog":
	case "enable", "disable":
		if len(rest) != 1 || rest[0].s != "firewall" || first.s == "disable" {
			p.fail(first, "%s is not understood here", first.s)
		}
	default:
		if _, ok := number(first.s, 65535); ok {
			p.listed(c.words)
			return
		}
		p.failAt(first.col, len(first.s), "known are add, delete, flush, set, table, zero and resetlog", "unknown command %q", first.s)
	}
}

func (p *parser) none(ws []word) {
	if len(ws) > 0 {
		p.fail(ws[0], "%q is not understood here", ws[0].s)
	}
}

// listed reads a line of `ipfw list` or `ipfw show`: the latter has two
// counters between the number and the rule.
func (p *parser) listed(ws []word) {
	if len(ws) > 3 && counter(ws[1].s) && counter(ws[2].s) {
		ws = slices.Concat(ws[:1], ws[3:])
	}
	p.add(ws)
}

func counter(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// number reads a decimal number up to a bound.
func number(s string, most int) (int, bool) {
	if s == "" || len(s) > 10 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= most
}

// add reads `[NUMBER] [set N] [prob P] ACTION …`.
func (p *parser) add(ws []word) {
	r := &Rule{Line: p.at.line, Text: strings.TrimSpace(p.at.source), Comment: p.at.comment}
	if len(ws) > 0 {
		if n, ok := number(ws[0].s, 65535); ok {
			r.Number, ws = n, ws[1:]
		}
	}
	if r.Number == 0 {
		r.Number = min(p.last+step, 65534)
	}
	p.last = r.Number
	if len(ws) > 1 && ws[0].s == "set" {
		n, ok := number(ws[1].s, 31)
		if !ok {
			p.fail(ws[1], "a set is a number from 0 to 31, not %q", ws[1].s)
			return
		}
		r.Set, ws = n, ws[2:]
	}
	if len(ws) > 1 && ws[0].s == "prob" {
		f, err := strconv.ParseFloat(ws[1].s, 64)
		if err != nil || !(f > 0 && f <= 1) {
			p.fail(ws[1], "a probability lies between 0 and 1")
			return
		}
		r.prob, ws = f < 1, ws[2:]
	}
	b := &body{p: p, r: r, ws: ws}
	if !b.read() {
		return
	}
	if len(p.rs.Rules) >= maxRules {
		p.failAt(1, 1, "", "too many rules")
		return
	}
	// Behind the rules with the same number. Lists come in order, nearly always.
	i := len(p.rs.Rules)
	if i > 0 && p.rs.Rules[i-1].Number > r.Number {
		i, _ = slices.BinarySearchFunc(p.rs.Rules, r.Number+1, func(r *Rule, n int) int { return r.Number - n })
	}
	p.rs.Rules = slices.Insert(p.rs.Rules, i, r)
}

// delete reads `delete [set N] NUMBER…` and `delete set N`.
func (p *parser) delete(first word, ws []word) {
	set := -1
	if len(ws) > 1 && ws[0].s == "set" {
		n, ok := number(ws[1].s, 31)
		if !ok {
			p.fail(ws[1], "a set is a number from 0 to 31, not %q", ws[1].s)
			return
		}
		set, ws = n, ws[2:]
		if len(ws) == 0 {
			p.rs.Rules = slices.DeleteFunc(p.rs.Rules, func(r *Rule) bool { return r.Set == set })
			return
		}
	}
	if len(ws) == 0 {
		p.fail(first, "delete what?")
	}
	for _, w := range ws {
		n, ok := number(w.s, 65534)
		if !ok {
			p.fail(w, "%q is not the number of a rule", w.s)
			return
		}
		p.rs.Rules = slices.DeleteFunc(p.rs.Rules, func(r *Rule) bool { return r.Number == n && (set < 0 || r.Set == set) })
	}
}

// set reads `set enable N…`, `set disable N…`, both in one, `set swap A B` and
// `set move [rule] A to B`.
func (p *parser) set(first word, ws []word) {
	if len(ws) == 0 {
		p.fail(first, "set what?")
		return
	}
	sets := func(ws []word, most int) (ns []int, ok bool) {
		for _, w := range ws {
			n, ok := number(w.s, most)
			if !ok {
				p.fail(w, "a set is a number from 0 to %d, not %q", most, w.s)
				return nil, false
			}
			ns = append(ns, n)
		}
		return ns, true
	}
	switch ws[0].s {
	case "enable", "disable":
		p.enable(ws)
	case "swap":
		ns, ok := sets(ws[1:], 30)
		if !ok || len(ns) != 2 {
			p.fail(ws[0], "swap needs two sets")
			return
		}
		for _, r := range p.rs.Rules {
			switch r.Set {
			case ns[0]:
				r.Set = ns[1]
			case ns[1]:
				r.Set = ns[0]
			}
		}
	case "move":
		p.move(ws[0], ws[1:], sets)
	default:
		p.fail(ws[0], "set %s is not understood", ws[0].s)
	}
}

func (p *parser) enable(ws []word) {
	on := true
	for i, w := range ws {
		n, ok := number(w.s, 30)
		switch {
		case w.s == "enable" || w.s == "disable":
			on = w.s == "enable"
			if i+1 == len(ws) {
				p.fail(w, "%s which set?", w.s)
			}
		case !ok:
			p.fail(w, "a set that can be turned on and off is a number from 0 to 30, not %q", w.s)
			return
		case on:
			p.rs.Disabled &^= 1 << n
		default:
			p.rs.Disabled |= 1 << n
		}
	}
}

func (p *parser) move(first word, ws []word, sets func([]word, int) ([]int, bool)) {
	rule := len(ws) > 0 && ws[0].s == "rule"
	if rule {
		ws = ws[1:]
	}
	if len(ws) != 3 || ws[1].s != "to" {
		p.fail(first, "move needs `A to B`")
		return
	}
	from, ok := number(ws[0].s, 65534)
	to, ok2 := sets(ws[2:], 31)
	if !ok || !ok2 || !rule && from > 30 {
		p.fail(ws[0], "move needs the number of a set or rule, and that of a set")
		return
	}
	for _, r := range p.rs.Rules {
		if rule && r.Number == from || !rule && r.Set == from {
			r.Set = to[0]
		}
	}
}

// table reads `table NAME create|add|delete|flush|destroy|swap …`.
func (p *parser) table(first word, ws []word) {
	if len(ws) < 2 {
		p.fail(first, "table needs a name and what to do with it")
		return
	}
	name, what, rest := ws[0].s, ws[1], ws[2:]
	if !tableName(name) {
		p.fail(ws[0], "%q is not the name of a table", name)
		return
	}
	t := p.rs.Tables[name]
	if t == nil {
		t = &Table{}
	}
	switch what.s {
	case "create":
		if len(rest) > 1 && rest[0].s == "type" {
			if rest[1].s != "addr" {
				p.fail(rest[1], "only tables of addresses are understood")
			}
			rest = rest[2:]
		}
		p.none(rest)
	case "add":
		if len(rest) != 1 {
			p.failAt(what.col, len(what.s), "values of entries are not understood", "add needs one address or prefix")
			return
		}
		if pre, ok := p.prefix(rest[0]); ok {
			t.Prefixes = append(t.Prefixes, pre)
		}
	case "delete":
		if len(rest) != 1 {
			p.fail(what, "delete needs one address or prefix")
			return
		}
		if pre, ok := p.prefix(rest[0]); ok {
			t.Prefixes = slices.DeleteFunc(t.Prefixes, func(q netip.Prefix) bool { return q == pre })
		}
	case "flush":
		t.Prefixes = nil
		p.none(rest)
	case "destroy":
		delete(p.rs.Tables, name)
		p.none(rest)
		return
	case "swap":
		if len(rest) != 1 || p.rs.Tables[rest[0].s] == nil {
			p.fail(what, "swap needs the name of another table that was created before")
			return
		}
		p.rs.Tables[name], p.rs.Tables[rest[0].s] = p.rs.Tables[rest[0].s], t
		return
	default:
		p.fail(what, "table %s is not understood", what.s)
		return
	}
	p.rs.Tables[name] = t
}

func tableName(s string) bool {
	return s != "" && len(s) < 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == ""
}

// prefix reads an address or prefix; host bits are ignored, as ipfw does.
func (p *parser) prefix(w word) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(w.s); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	if q, err := netip.ParsePrefix(w.s); err == nil && !q.Addr().Is4In6() {
		return q.Masked(), true
	}
	p.fail(w, "%q is neither an address nor a prefix", w.s)
	return netip.Prefix{}, false
}
