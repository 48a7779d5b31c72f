package kernel

import (
	"encoding/hex"
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// rule is one rule while it is translated: its expressions are carried out one by
// one on symbolic registers.
type rule struct {
	n     *nftables
	t     *table
	c     *chain
	raw   *rawRule
	out   *firewall.Rule
	regs  [regBytes]cell
	index int // of the expression
	// ended is true after a verdict: what follows is never reached.
	ended bool
	// need is how many bits of a header (or 1 for an entry of conntrack) have been
	// loaded and must be there for the rule to go on; have is what steps before
	// have made sure of.
	need, have [needs]int
	last       relation
	text       text
}

// What a load can lack.
const (
	needLink = iota
	needNetwork
	needTransport
	needInner
	needCt
	needs
)

// maxPasses bounds the passes over the rules. A pass that brings nothing new is
// the last one: with one for each sort of fact there are four.
const maxPasses = 5

// translateAll translates the rules of all chains, again if one of them turned out
// to change what another looks at.
func (n *nftables) translateAll() {
	n.reach()
	n.rewrittenByTargets()
	for range maxPasses {
		n.tellExtensions()
		n.found = map[string]firewall.Obstacle{}
		n.facts.grown = false
		for _, t := range n.tables {
			for _, c := range t.Chains {
				n.translateChain(t, t.chains[c.Name])
			}
		}
		if !n.facts.grown {
			break
		}
	}
	for s := range n.facts.learns {
		s.Learns = true
	}
}

func (n *nftables) translateChain(t *table, c *chain) {
	if t.xt != nil {
		t.xt.Hooks = c.hooks
	}
	c.Rules = make([]*firewall.Rule, len(c.rules))
	all := make([]firewall.Rule, len(c.rules))
	for i := range c.rules {
		raw := &c.rules[i]
		all[i] = firewall.Rule{Chain: c.Chain, Number: i + 1, Handle: raw.handle, Comment: raw.comment}
		c.Rules[i] = &all[i]
		r := rule{n: n, t: t, c: c, raw: raw, out: &all[i]}
		r.translate()
	}
}

func (r *rule) translate() {
	r.out.Steps = make([]firewall.Step, 0, len(r.raw.exprs))
	r.text.l3 = r.t.Family
	r.text.frags = make([]frag, 0, len(r.raw.exprs))
	for i, x := range r.raw.exprs {
		r.index = i
		if err := r.expression(x); err != nil {
			r.undecodable(fmt.Sprintf("expression %q", x.name), err, x.data)
		}
	}
	if r.raw.broken != nil {
		r.index = len(r.raw.exprs)
		r.undecodable("rule", r.raw.broken, nil)
	}
	r.settle(nil)
	r.out.Text = r.render()
}

// place names the rule for the texts of what could not be decoded.
func (r *rule) place() string {
	return fmt.Sprintf("%s handle %d expression %d", r.c.Place(), r.raw.handle, r.index+1)
}

// undecodable gives a part that is not understood its step; it may have written
// any register.
func (r *rule) undecodable(name string, err error, data []byte) {
	text := fmt.Sprintf("%s: %v", name, err)
	r.opaque(text, data)
	r.say("[" + text + "]")
	r.spoil("a register after " + name)
}

func (r *rule) opaque(name string, data []byte) {
	if len(data) > 64 {
		data = data[:64]
	}
	r.emit(firewall.Opaque{Name: name, Content: name + " " + hex.EncodeToString(data) + " in " + r.place()})
}

// emit adds a step, unless it comes after the end, and before it what makes sure
// that everything loaded so far could be.
func (r *rule) emit(s firewall.Step) {
	if r.ended {
		return
	}
	r.settle(s)
	r.out.Steps = append(r.out.Steps, s)
	if v, ok := s.(firewall.Verdict); ok && v.Kind != firewall.Continue {
		r.ended = true
	}
}

// match adds a condition that the rule goes on under.
func (r *rule) match(c firewall.Cond) {
	if c == firewall.Const(true) {
		return
	}
	r.emit(firewall.Match{Cond: c})
}

// require notes that a load needs n bits of a header.
func (r *rule) require(what, n int) {
	if n > r.have[what] {
		r.need[what] = max(r.need[what], n)
	}
}

// settle adds the steps that end the rule where something loaded before is not
// there (NFT_BREAK), as far as the step that comes next does not do so itself.
func (r *rule) settle(coming firewall.Step) {
	if r.ended || r.need == [needs]int{} {
		return
	}
	for what, n := range r.need {
		if n == 0 {
			continue
		}
		if stepReaches(coming, what) < n {
			r.out.Steps = append(r.out.Steps, presence(what, n))
		}
		r.have[what], r.need[what] = max(n, r.have[what]), 0
	}
}

func presence(what, n int) firewall.Step {
	switch what {
	case needLink:
		return firewall.Match{Cond: firewall.Present{Header: firewall.FieldLink, Bits: n}}
	case needNetwork:
		return firewall.Match{Cond: firewall.Present{Header: firewall.FieldNetwork, Bits: n}}
	case needTransport:
		return firewall.Match{Cond: firewall.Present{Header: firewall.FieldTransport, Bits: n}}
	case needInner:
		return firewall.Match{Cond: firewall.Present{Header: firewall.FieldInner, Bits: n}}
	}
	return firewall.Match{Cond: firewall.Not{Of: firewall.State{Mask: firewall.StateInvalid | firewall.StateUntracked}}}
}

// stepReaches returns how many bits of a header a step makes sure of by itself.
func stepReaches(s firewall.Step, what int) int {
	n := 0
	switch s := s.(type) {
	case firewall.Match:
		return reaches(s.Cond, what)
	case firewall.VerdictMap:
		for _, v := range s.Key {
			n = max(n, reachOf(v, what))
		}
	case firewall.Assign:
		if s.Map == nil {
			return reachOf(s.Value, what)
		}
	}
	return n
}

// reaches returns how many bits of a header a condition makes sure of by itself.
func reaches(c firewall.Cond, what int) int {
	switch c := c.(type) {
	case firewall.Not:
		return reaches(c.Of, what)
	case firewall.Compare:
		return reachOf(c.Value, what)
	case firewall.Lookup:
		n := 0
		for _, v := range c.Key {
			n = max(n, reachOf(v, what))
		}
		return n
	}
	return 0
}

func reachOf(v firewall.Value, what int) int {
	n := 0
	for _, b := range v {
		if needOf(b.Field) != what {
			continue
		}
		if what == needCt {
			return 1
		}
		n = max(n, int(b.Index)+1)
	}
	return n
}

// needOf returns what the loading of a field can lack, -1 for nothing.
func needOf(f firewall.Field) int {
	switch f {
	case firewall.FieldLink:
		return needLink
	case firewall.FieldNetwork:
		return needNetwork
	case firewall.FieldTransport:
		return needTransport
	case firewall.FieldInner:
		return needInner
	case firewall.FieldCtState:
		return -1
	}
	if strings.HasPrefix(string(f), "ct ") {
		return needCt
	}
	return -1
}

// expression carries out one expression. An error means that it, or an attribute
// of it, is not understood.
func (r *rule) expression(x expr) error {
	switch x.name {
	case "immediate":
		return r.immediate(x.data)
	case "cmp":
		return r.cmp(x.data)
	case "range":
		return r.rangeExpr(x.data)
	case "lookup":
		return r.lookup(x.data)
	case "payload":
		return r.payload(x.data)
	case "exthdr":
		return r.exthdr(x.data)
	case "meta":
		return r.meta(x.data)
	case "ct":
		return r.ct(x.data)
	case "bitwise":
		return r.bitwise(x.data)
	case "byteorder":
		return r.byteorder(x.data)
	case "fib":
		return r.fib(x.data)
	case "counter", "limit", "quota", "connlimit", "last":
		return r.stateful(x)
	case "log":
		return r.log(x.data)
	case "nat":
		return r.nat(x.data)
	case "masq":
		return r.masquerade(x.data)
	case "redir":
		return r.redirect(x.data)
	case "reject":
		return r.reject(x.data)
	case "match":
		return r.xtMatch(x.data)
	case "target":
		return r.xtTarget(x.data)
	}
	return r.rareExpression(x)
}

func (r *rule) rareExpression(x expr) error {
	switch x.name {
	case "rt":
		return r.rt(x.data)
	case "socket":
		return r.socket(x.data)
	case "numgen":
		return r.numgen(x.data)
	case "hash":
		return r.hash(x.data)
	case "osf":
		return r.osf(x.data)
	case "xfrm":
		return r.xfrm(x.data)
	case "tunnel":
		return r.tunnel(x.data)
	case "inner":
		return r.inner(x.data)
	case "objref":
		return r.objref(x.data)
	case "dynset":
		return r.dynset(x.data)
	case "tproxy":
		return r.tproxy(x.data)
	case "notrack":
		return r.notrack(x.data)
	case "queue":
		return r.queue(x.data)
	case "dup":
		return r.dup(x.data)
	case "fwd":
		return r.fwd(x.data)
	case "synproxy":
		return r.synproxy(x.data)
	case "flow_offload":
		return r.flowOffload(x.data)
	}
	return errUnknown
}
