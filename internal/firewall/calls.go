package firewall

// callGraph answers what chains call, for one ruleset.
type callGraph struct {
	chains  map[*Table]map[string]*Chain
	simple  map[*Chain]bool
	changed map[*Chain]bool
}

func newCallGraph(rs *Ruleset) *callGraph {
	g := &callGraph{
		chains: map[*Table]map[string]*Chain{},
		simple: map[*Chain]bool{},

		changed: map[*Chain]bool{},
	}
	for _, t := range rs.Tables {
		g.chains[t] = make(map[string]*Chain, len(t.Chains))
		for _, c := range t.Chains {
			g.chains[t][c.Name] = c
		}
	}
	return g
}

func (g *callGraph) target(t *Table, name string) *Chain { return g.chains[t][name] }

// verdicts returns all verdicts of a chain that call another.
func verdicts(c *Chain) []Verdict {
	var out []Verdict
	add := func(v Verdict) {
		if v.Kind == Jump || v.Kind == Goto {
			out = append(out, v)
		}
	}
	for _, r := range c.Rules {
		for _, s := range r.Steps {
			switch s := s.(type) {
			case Verdict:
				add(s)
			case VerdictMap:
				if s.Map == nil {
					continue
				}
				for _, el := range s.Map.Elems {
					if el.Verdict != nil {
						add(*el.Verdict)
					}
				}
			}
		}
	}
	return out
}

// shareable reports whether a chain means the same wherever it is called from: it
// assigns nothing and asks nothing that keeps state. It is then evaluated once,
// for all packets, which is the cheaper way even with one caller: what the chain
// does not ask about stays out of its sets.
func (g *callGraph) shareable(c *Chain) bool {
	return g.isSimple(c)
}

func (g *callGraph) isSimple(c *Chain) bool {
	if s, ok := g.simple[c]; ok {
		return s
	}
	g.simple[c] = false // should the chain call itself
	s := true
	for _, r := range c.Rules {
		for _, st := range r.Steps {
			s = s && simpleStep(st)
		}
	}
	for _, v := range verdicts(c) {
		if target := g.target(c.Table, v.Chain); target == nil || !g.isSimple(target) {
			s = false
		}
	}
	g.simple[c] = s
	return s
}

func simpleStep(s Step) bool {
	switch s := s.(type) {
	case Match:
		return simpleCond(s.Cond)
	case Verdict:
		return s.Kind != Queue
	case VerdictMap:
		return s.Map != nil && simpleSet(s.Map)
	}
	return false
}

func simpleCond(c Cond) bool {
	switch c := c.(type) {
	case And:
		for _, p := range c {
			if !simpleCond(p) {
				return false
			}
		}
	case Or:
		for _, p := range c {
			if !simpleCond(p) {
				return false
			}
		}
	case Not:
		return simpleCond(c.Of)
	case Total:
		return simpleCond(c.Of)
	case Varies:
		return !c.Stateful
	case Lookup:
		return c.Set != nil && simpleSet(c.Set)
	}
	return true
}

func simpleSet(s *Set) bool {
	if s.Learns || s.Opaque != "" {
		return false
	}
	for _, el := range s.Elems {
		if el.Cond != nil {
			return false
		}
	}
	return true
}

// changes reports whether a chain, or one that it calls, changes what others see.
func (g *callGraph) changes(c *Chain) bool {
	if known, ok := g.changed[c]; ok {
		return known
	}
	g.changed[c] = false // should the chain call itself
	found := false
	for _, r := range c.Rules {
		for _, s := range r.Steps {
			switch s.(type) {
			case Assign, NoTrack, NAT, Opaque:
				found = true
			}
		}
	}
	for _, v := range verdicts(c) {
		target := g.target(c.Table, v.Chain)
		found = found || target != nil && g.changes(target)
	}
	g.changed[c] = found
	return found
}
