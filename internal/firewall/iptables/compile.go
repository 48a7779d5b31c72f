package iptables

import (
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/xt"
)

// compile gives the rules of a table their meaning, once all of it is read.
func (p *parser) compile(t *table) {
	p.jumps(t)
	p.loops(t)
	for _, c := range t.Chains {
		if c.Base != nil {
			t.reach(t.chains[c.Name], c.Base.Hook)
		}
	}
	for _, fc := range t.Chains {
		c := t.chains[fc.Name]
		t.xt.Hooks = c.hooks
		for _, r := range c.rules {
			p.number = r.line
			out := &firewall.Rule{Chain: fc, Number: len(fc.Rules) + 1, Line: r.line, Text: r.text}
			p.steps(t, r, out)
			fc.Rules = append(fc.Rules, out)
		}
	}
}

// jumps settles what the names behind -j are: chains may be declared after the
// rules that use them.
func (p *parser) jumps(t *table) {
	for _, fc := range t.Chains {
		for _, r := range t.chains[fc.Name].rules {
			to := t.chains[r.jump]
			switch {
			case r.jump == "" || !r.goes && verdict(r.jump) != firewall.Continue:
			case to != nil && to.Base == nil:
				if r.target != nil && len(r.target.opts)+len(r.target.strange) > 0 {
					p.failAt(r.line, "", "a jump to chain %s with options", r.jump)
				}
				r.target = nil
			case to != nil:
				p.failAt(r.line, "", "a jump to %s, which is a chain of the table itself", r.jump)
			case r.goes, r.target.unknown && len(r.target.strange) == 0:
				p.failAt(r.line, "", "%s is neither a chain of table %s nor a known target", r.jump, t.Name)
			}
		}
	}
}

// next returns the chain that a rule goes to, or nil.
func (t *table) next(r *rule) *chain {
	if r.jump == "" || r.target != nil || !r.goes && verdict(r.jump) != firewall.Continue {
		return nil
	}
	return t.chains[r.jump]
}

// loops finds chains that lead back to themselves, which the kernel refuses.
func (p *parser) loops(t *table) {
	const entered, done = 1, 2
	state := map[*chain]int{}
	var path []string
	var visit func(c *chain)
	visit = func(c *chain) {
		state[c] = entered
		path = append(path, c.Name)
		for _, r := range c.rules {
			to := t.next(r)
			switch {
			case to == nil || state[to] == done:
			case state[to] == entered:
				from := slices.Index(path, to.Name)
				p.failAt(r.line, "", "a loop of chains: %s -> %s", strings.Join(path[from:], " -> "), to.Name)
			default:
				visit(to)
			}
		}
		path = path[:len(path)-1]
		state[c] = done
	}
	for _, c := range t.Chains {
		if state[t.chains[c.Name]] == 0 {
			visit(t.chains[c.Name])
		}
	}
}

// reach notes the hook for a chain and all that it leads to.
func (t *table) reach(c *chain, h firewall.Hook) {
	if slices.Contains(c.hooks, h) {
		return
	}
	c.hooks = append(c.hooks, h)
	for _, r := range c.rules {
		if to := t.next(r); to != nil {
			t.reach(to, h)
		}
	}
}

// steps translates one rule.
func (p *parser) steps(t *table, r *rule, out *firewall.Rule) {
	h := r.header
	h.AnyProto = h.Proto == 0
	out.Steps = t.xt.Header(h)
	for _, u := range r.matches {
		if u.name == "comment" && len(u.opts) > 0 {
			out.Comment = u.opts[0].Values[0]
		}
		if u.undecided() {
			out.Steps = append(out.Steps, firewall.Match{Cond: firewall.Undecoded{Text: u.text("-m")}})
			continue
		}
		steps, err := t.xt.Match(u.name, u.opts)
		if err != nil {
			p.fail("match %s: %v", u.name, err)
		}
		out.Steps = append(out.Steps, steps...)
	}
	switch to := t.next(r); {
	case r.jump == "":
	case to != nil && r.goes:
		out.Steps = append(out.Steps, firewall.Verdict{Kind: firewall.Goto, Chain: r.jump})
	case to != nil:
		out.Steps = append(out.Steps, firewall.Verdict{Kind: firewall.Jump, Chain: r.jump})
	case r.target == nil:
		if kind := verdict(r.jump); kind != firewall.Continue {
			out.Steps = append(out.Steps, firewall.Verdict{Kind: kind})
		}
	case r.target.undecided():
		text := r.target.text("-j")
		out.Steps = append(out.Steps, firewall.Opaque{Name: fmt.Sprintf("target %q", r.target.name), Content: text})
	default:
		steps, err := t.xt.Target(r.target.name, r.target.opts)
		if err != nil {
			p.fail("target %s: %v", r.target.name, err)
		}
		out.Steps = append(out.Steps, steps...)
	}
}

// text identifies a match or target that is not understood.
func (u *use) text(flag string) string {
	var b strings.Builder
	b.WriteString(flag + " " + u.name)
	for _, o := range u.opts {
		if o.Not {
			b.WriteString(" !")
		}
		b.WriteString(" --" + o.Name)
		for _, v := range o.Values {
			b.WriteString(" " + quoteWord(v))
		}
	}
	for _, w := range u.strange {
		b.WriteString(" " + quoteWord(w))
	}
	return b.String()
}

// quoteWord puts quotes around a word that would else be several.
func quoteWord(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\"") {
		return xt.Quote(s)
	}
	return s
}
