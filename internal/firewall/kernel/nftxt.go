package kernel

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/xt"
)

// Attributes of match and target (enum nft_match_attributes and its like).
const (
	xtAttrName = 1
	xtAttrRev  = 2
	xtAttrInfo = 3
)

// xtMatch is a match of x_tables inside nf_tables, as iptables-nft makes it. It
// ends the rule unless it holds.
func (r *rule) xtMatch(data []byte) error {
	name, rev, info, err := xtParts(data)
	if err != nil {
		return err
	}
	if r.t.xt == nil {
		return fmt.Errorf("match %s in a table of family %s", name, r.t.Family)
	}
	steps, text := r.t.xt.DecodeMatch(name, rev, info)
	r.xtSteps(steps)
	r.say("xt " + text)
	r.text.frags[len(r.text.frags)-1].save = saveOption{ok: true, slot: saveMatch, text: text}
	return nil
}

// xtTarget is a target of x_tables inside nf_tables.
func (r *rule) xtTarget(data []byte) error {
	name, rev, info, err := xtParts(data)
	if err != nil {
		return err
	}
	if r.t.xt == nil {
		return fmt.Errorf("target %s in a table of family %s", name, r.t.Family)
	}
	steps, text := r.t.xt.DecodeTarget(name, rev, info)
	r.xtSteps(steps)
	r.say("xt " + text)
	r.text.frags[len(r.text.frags)-1].save = saveOption{ok: true, slot: saveTarget, text: text}
	return nil
}

func xtParts(data []byte) (name string, rev uint8, info []byte, err error) {
	a := read(data, types(xtAttrName, xtAttrRev, xtAttrInfo))
	name = a.text(xtAttrName)
	n := a.num(xtAttrRev)
	if a.err == nil && n > 255 {
		a.err = fmt.Errorf("revision %d", n)
	}
	if a.err == nil && !a.has(xtAttrInfo) {
		a.err = errors.New("no contents")
	}
	return name, uint8(n), a.attrs[xtAttrInfo], a.err
}

// xtSteps adds the steps of a match or target. What they assign may be what other
// rules load.
func (r *rule) xtSteps(steps []firewall.Step) {
	for _, s := range steps {
		if m, ok := s.(firewall.Match); ok && r.n.facts.extensions {
			s = firewall.Match{Cond: r.n.facts.undecide(m.Cond, r.place())}
		}
		r.emit(s)
		if n, ok := s.(firewall.NAT); ok && !n.TProxy {
			r.ended = true
		}
	}
}

// xtSets are the ipsets to which matches refer.
type xtSets struct {
	byIndex map[uint16]*xt.IPSet
	byName  map[string]*xt.IPSet
	// targets are the names of the targets in the dump that change what matches
	// look at.
	targets map[string]bool
}

// context returns what the decoders of matches and targets of a table share; nil
// for families that iptables does not have.
func (s *xtSets) context(f firewall.Family) *xt.Context {
	if f != firewall.IPv4 && f != firewall.IPv6 {
		return nil
	}
	c := &xt.Context{Family: f}
	if s != nil {
		c.IPSets, c.ByName, c.Targets = s.byIndex, s.byName, s.targets
	}
	return c
}

// reach finds the hooks from which each chain can be reached, and tells the tables
// of iptables-nft from others.
func (n *nftables) reach() {
	for _, t := range n.tables {
		t.iptables = isIPTables(t)
		for _, c := range t.Chains {
			if c.Base != nil {
				t.reach(c.Name, c.Base.Hook)
			}
		}
	}
}

// reach notes that a chain, and all that it jumps to, can be reached from a hook.
func (t *table) reach(name string, h firewall.Hook) {
	c := t.chains[name]
	if c == nil {
		return
	}
	if slices.Contains(c.hooks, h) {
		return
	}
	c.hooks = append(c.hooks, h)
	for _, raw := range c.rules {
		for _, x := range raw.exprs {
			for _, target := range t.jumps(x) {
				t.reach(target, h)
			}
		}
	}
}

// jumps returns the chains that an expression can jump to.
func (t *table) jumps(x expr) []string {
	switch x.name {
	case "immediate":
		a := read(x.data, types(1, 2))
		if a.err != nil {
			return nil
		}
		if d, err := decodeData(a.attrs[2]); err == nil && d.verdict != nil && d.verdict.chain != "" {
			return []string{d.verdict.chain}
		}
	case "lookup":
		a := read(x.data, types(1, 2, 3, 4, 5))
		s := t.sets[strings.TrimSuffix(string(a.attrs[1]), "\x00")]
		if s == nil {
			return nil
		}
		var out []string
		for _, e := range s.Elems {
			if e.Verdict != nil && e.Verdict.Chain != "" {
				out = append(out, e.Verdict.Chain)
			}
		}
		return out
	}
	return nil
}
