package nft

import (
	"fmt"
	"strconv"
	"time"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
)

// Read reads a text of this package's subset of nft's language. Limits are the
// limiters in it, by the text of the firewall.Varies that stands for each. The
// meaning is that of a kernel that has nothing else loaded.
//
// What is not known is a *SyntaxError, and so is a limiter that could be asked
// twice about one packet, or that could let a packet go on after it.
func Read(text []byte) (*firewall.Ruleset, map[string]acl.Limit, error) {
	r := &reader{lexer: lexer{text: string(text), line: 1}, limits: map[string]acl.Limit{}}
	if err := r.advance(); err != nil {
		return nil, nil, err
	}
	err := r.file()
	if err == nil {
		err = r.settle()
	}
	if err != nil {
		return nil, nil, err
	}
	return &r.rs, r.limits, nil
}

// reader is a parser of one token's look-ahead.
type reader struct {
	lexer
	tok    token
	rs     firewall.Ruleset
	table  *table
	limits map[string]acl.Limit
	tables map[string]*table
}

// table is a table while it is read.
type table struct {
	*firewall.Table
	sets  map[string]*set
	named map[string]*firewall.Chain
	jumps []jump // those that were seen, to be looked up
	uses  map[string]int
}

// set is a named set or map.
type set struct {
	*firewall.Set
	kind     string // ipv4_addr, …
	verdicts bool
	dynamic  bool
	timeout  time.Duration // after which a silent element is forgotten
}

// jump is a use of a chain's name.
type jump struct {
	chain string
	line  int
}

func (r *reader) fail(format string, args ...any) error {
	return &SyntaxError{r.tok.line, fmt.Sprintf(format, args...)}
}

// advance takes the next token.
func (r *reader) advance() error {
	t, err := r.next()
	r.tok = t
	return err
}

// is reports whether the present token is a word or mark.
func (r *reader) is(text string) bool {
	return (r.tok.kind == word || r.tok.kind == mark) && r.tok.text == text
}

// accept takes a word or mark if it is the present token.
func (r *reader) accept(text string) (bool, error) {
	if !r.is(text) {
		return false, nil
	}
	return true, r.advance()
}

// expect takes words or marks that have to come.
func (r *reader) expect(texts ...string) error {
	for _, text := range texts {
		if ok, err := r.accept(text); err != nil {
			return err
		} else if !ok {
			return r.fail("%q where %q should be", r.tok.text, text)
		}
	}
	return nil
}

// take returns the present word and goes on.
func (r *reader) take(what string) (string, error) {
	if r.tok.kind != word {
		return "", r.fail("%q where %s should be", r.tok.text, what)
	}
	text := r.tok.text
	return text, r.advance()
}

func (r *reader) string(what string) (string, error) {
	if r.tok.kind != quoted {
		return "", r.fail("%q where %s in quotes should be", r.tok.text, what)
	}
	text := r.tok.text
	return text, r.advance()
}

func (r *reader) number(what string, limit int) (int, error) {
	text, err := r.take(what)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > limit || strconv.Itoa(n) != text {
		return 0, r.fail("%q is no %s", text, what)
	}
	return n, nil
}

// lineEnd takes one end of a statement, and empty ones after it.
func (r *reader) lineEnd() error {
	if r.tok.kind != newline && !r.is(";") && r.tok.kind != end {
		return r.fail("%q does not belong here", r.tok.text)
	}
	return r.blank()
}

// blank takes empty lines.
func (r *reader) blank() error {
	for r.tok.kind == newline || r.is(";") {
		if err := r.advance(); err != nil {
			return err
		}
	}
	return nil
}

// file reads the statements at the top: a table is begun, deleted, and defined.
func (r *reader) file() error {
	r.tables = map[string]*table{}
	for {
		if err := r.blank(); err != nil || r.tok.kind == end {
			return err
		}
		verb, err := r.take("a statement")
		if err != nil {
			return err
		}
		switch verb {
		case "flush":
			if err := r.expect("ruleset"); err != nil {
				return err
			}
			if len(r.tables) > 0 {
				return r.fail("a ruleset that is flushed after something was loaded")
			}
		case "delete":
			err = r.deleteTable()
		case "table":
			err = r.defineTable()
		default:
			err = r.fail("unknown statement %q", verb)
		}
		if err == nil {
			err = r.lineEnd()
		}
		if err != nil {
			return err
		}
	}
}

func (r *reader) tableName() (string, error) {
	if err := r.expect("inet"); err != nil {
		return "", err
	}
	return r.take("the name of a table")
}

func (r *reader) deleteTable() error {
	if err := r.expect("table"); err != nil {
		return err
	}
	name, err := r.tableName()
	if err != nil {
		return err
	}
	if r.tables[name] == nil {
		return r.fail("table %s is deleted before it is there", name)
	}
	delete(r.tables, name)
	tables := r.rs.Tables[:0]
	for _, t := range r.rs.Tables {
		if t.Name != name {
			tables = append(tables, t)
		}
	}
	r.rs.Tables = tables
	return nil
}

func (r *reader) defineTable() error {
	name, err := r.tableName()
	if err != nil {
		return err
	}
	t := r.tables[name]
	if t == nil {
		t = &table{Table: &firewall.Table{Family: firewall.Inet, Name: name}, sets: map[string]*set{}, named: map[string]*firewall.Chain{}, uses: map[string]int{}}
		r.tables[name] = t
		r.rs.Tables = append(r.rs.Tables, t.Table)
	} else if len(t.Chains) > 0 {
		return r.fail("table %s is defined twice", name)
	}
	r.table = t
	if ok, err := r.accept("{"); !ok || err != nil {
		return err
	}
	for {
		if err := r.blank(); err != nil {
			return err
		}
		if ok, err := r.accept("}"); ok || err != nil {
			return err
		}
		kind, err := r.take("set, map or chain")
		if err != nil {
			return err
		}
		name, err := r.take("a name")
		if err != nil {
			return err
		}
		if err := r.expect("{"); err != nil {
			return err
		}
		switch kind {
		case "set", "map":
			err = r.set(name, kind == "map")
		case "chain":
			err = r.chain(name)
		default:
			err = r.fail("unknown object %q", kind)
		}
		if err != nil {
			return err
		}
	}
}

// settle looks up what was named before it was there.
func (r *reader) settle() error {
	for _, t := range r.tables {
		for _, j := range t.jumps {
			c := t.named[j.chain]
			if c == nil {
				return &SyntaxError{j.line, fmt.Sprintf("there is no chain %s", j.chain)}
			}
			if c.Base != nil {
				return &SyntaxError{j.line, fmt.Sprintf("%s is a base chain, to which nothing jumps", j.chain)}
			}
		}
		for name, n := range t.uses {
			if n > 1 {
				return &SyntaxError{0, fmt.Sprintf("set %s limits in %d places", name, n)}
			}
		}
		if err := loops(t); err != nil {
			return err
		}
		for _, c := range t.Chains {
			if err := r.terminal(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// terminal makes sure that a packet is asked about by a limiter at most once: the
// chain of a limiter ends with a verdict for everything, and what exceeds the
// limit is dropped.
func (r *reader) terminal(c *firewall.Chain) error {
	for _, rule := range c.Rules {
		if !r.asks(rule) {
			continue
		}
		last := c.Rules[len(c.Rules)-1]
		ends, ok := last.Steps[len(last.Steps)-1].(firewall.Verdict)
		if c.Base != nil || len(last.Steps) != 1 || !ok || ends.Kind != firewall.Accept && ends.Kind != firewall.Drop {
			return &SyntaxError{rule.Line, "a limit in a chain that does not end with a verdict for everything"}
		}
		for _, o := range c.Rules {
			if v, ok := o.Steps[len(o.Steps)-1].(firewall.Verdict); !ok || v.Kind != firewall.Accept && v.Kind != firewall.Drop {
				return &SyntaxError{o.Line, "a limit in a chain that leads elsewhere"}
			}
		}
	}
	return nil
}

// asks reports whether a rule asks a limiter.
func (r *reader) asks(rule *firewall.Rule) bool {
	for _, s := range rule.Steps {
		if m, ok := s.(firewall.Match); ok {
			if v, ok := m.Cond.(firewall.Varies); ok {
				if _, ok := r.limits[v.Text]; ok {
					return true
				}
			}
		}
	}
	return false
}

// loops finds a chain that leads back to itself, which the kernel refuses.
func loops(t *table) error {
	state := map[string]int{}
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case 1:
			return &SyntaxError{0, "chain " + name + " leads back to itself"}
		case 2:
			return nil
		}
		state[name] = 1
		for _, rule := range t.named[name].Rules {
			for _, to := range targets(rule) {
				if err := visit(to); err != nil {
					return err
				}
			}
		}
		state[name] = 2
		return nil
	}
	for _, c := range t.Chains {
		if err := visit(c.Name); err != nil {
			return err
		}
	}
	return nil
}

// targets returns the chains that a rule leads to.
func targets(rule *firewall.Rule) []string {
	var out []string
	for _, s := range rule.Steps {
		switch s := s.(type) {
		case firewall.Verdict:
			if s.Chain != "" {
				out = append(out, s.Chain)
			}
		case firewall.VerdictMap:
			for _, e := range s.Map.Elems {
				if e.Verdict.Chain != "" {
					out = append(out, e.Verdict.Chain)
				}
			}
		}
	}
	return out
}
