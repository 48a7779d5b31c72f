package nft

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/firewall/acl"
)

// Write returns the text that loads a list. It is the same for the same list.
func Write(l *acl.List, o acl.Options) ([]acl.File, error) {
	w := &writer{sets: map[string]bool{}, made: map[string]bool{}, owners: l.Owners, logGroup: l.LogGroup, lineWord: "line %d: ", heading: heading(o)}
	if o.Lang == "ja" {
		w.lineWord = "%d 行目: "
	}
	if l.Edge != nil {
		w.edge(l.Edge, l.Forward != nil)
	}
	for _, s := range []struct {
		chain, hook, name string
		section           *acl.Section
	}{
		{"input", "input", "inbound", l.Inbound},
		{"output", "output", "outbound", l.Outbound},
		{"passing", "forward", "forward", l.Forward},
		{"watching", "forward", "observed", l.Observed},
	} {
		if s.section != nil {
			w.observing = s.section == l.Observed
			w.section(s.chain, s.hook, s.name, s.section)
		}
	}
	w.translations(l.NAT)
	if len(w.unsupported) > 0 {
		return nil, w.unsupported
	}
	return []acl.File{{Name: "sekimori.nft", Text: w.text()}}, nil
}

// heading says what the file is and does; for a complete one, it does the rest.
func heading(o acl.Options) string {
	switch {
	case o.Lang == "ja" && o.Complete:
		return "# sekimori compile がポリシーから生成。変更はポリシーに対して行うこと。読み込むと、すべてのテーブルが削除され、\n# inet sekimori に置き換わる。\nflush ruleset\n"
	case o.Lang == "ja":
		return "# sekimori compile がポリシーから生成。変更はポリシーに対して行うこと。読み込むと inet sekimori テーブルだけが\n# 一括で置き換わり、他のテーブルには触れない。\n"
	case o.Complete:
		return "# Made from a policy by sekimori compile: change the policy, not this. Loading it removes every table\n# of the host and makes inet sekimori.\nflush ruleset\n"
	}
	return "# Made from a policy by sekimori compile: change the policy, not this. Loading it replaces table\n# inet sekimori, in one transaction, and touches nothing else.\n"
}

// writer gathers the parts of the table.
type writer struct {
	heading     string
	decls       bytes.Buffer // sets and maps
	sets        map[string]bool
	chains      []*chain
	made        map[string]bool // names of chains
	owners      map[uint32]string
	lineWord    string
	logGroup    uint16
	observing   bool // drops are counted, and nothing else
	unsupported acl.UnsupportedList
}

// chain is a chain as it will stand in the text.
type chain struct {
	name  string
	lines []string
	why   string // of the last line
	// lineWord says in people's language that something stands in a line.
	lineWord string
}

// chain begins a chain. A name that is taken gets a number.
func (w *writer) chain(name string) *chain {
	for n := 2; w.made[name]; n++ {
		base, _, _ := strings.Cut(name, ".")
		name = fmt.Sprintf("%s.%d", base, n)
	}
	w.made[name] = true
	c := &chain{name: name, lineWord: w.lineWord}
	w.chains = append(w.chains, c)
	return c
}

// say writes why the next lines are there.
func (c *chain) say(o acl.Origin) {
	if o.Why == "" || o.Why == c.why {
		return
	}
	c.why = o.Why
	where := ""
	if o.Line > 0 {
		where = fmt.Sprintf(c.lineWord, o.Line)
	}
	c.lines = append(c.lines, "# "+where+oneLine(o.Why))
}

// oneLine keeps what people wrote from ending a comment.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, s)
}

// rule adds a line made of parts; empty ones are left out.
func (c *chain) rule(parts ...string) {
	parts = slices.DeleteFunc(slices.Clone(parts), func(s string) bool { return s == "" })
	c.lines = append(c.lines, strings.Join(parts, " "))
}

// comment is what a rule carries into the kernel: where it stands in the policy.
func comment(o acl.Origin) string {
	switch {
	case o.Path == "":
		return ""
	case o.Line == 0:
		return fmt.Sprintf("comment %q", o.Path)
	}
	return fmt.Sprintf("comment %q", fmt.Sprintf("%s, line %d", o.Path, o.Line))
}

// text puts everything together: the table is made so that it can be deleted, and
// deleted so that nothing is left of an earlier one, all in one transaction.
func (w *writer) text() []byte {
	var b bytes.Buffer
	b.WriteString("#!/usr/sbin/nft -f\n")
	b.WriteString(w.heading)
	b.WriteString("table inet sekimori\ndelete table inet sekimori\ntable inet sekimori {\n")
	b.Write(w.decls.Bytes())
	for _, c := range w.chains {
		fmt.Fprintf(&b, "\tchain %s {\n", c.name)
		for _, l := range c.lines {
			fmt.Fprintf(&b, "\t\t%s\n", l)
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// section writes the rules of a direction: a base chain, and what it leads to.
func (w *writer) section(chain, hook, name string, s *acl.Section) {
	c := w.chain(chain)
	verdict := map[acl.Action]string{acl.Accept: "accept", acl.Drop: "drop"}[s.Default]
	c.lines = append(c.lines, fmt.Sprintf("type filter hook %s priority filter; policy %s", hook, verdict))
	for rest := s.Rules; len(rest) > 0; {
		n := 1
		if mapped(rest[0]) {
			for n < len(rest) && mapped(rest[n]) && rest[n].Published == rest[0].Published {
				n++
			}
			into := name
			if rest[0].Published && !w.observing {
				into = "published"
			}
			c.rule("ct state new", publishedMatch(rest[0]), "jump", w.dispatch(into, rest[:n]))
		} else {
			w.lines(c, rest[0], everyService)
		}
		rest = rest[n:]
	}
	if s.Default == acl.Drop {
		c.say(s.Origin)
		if w.logGroup != 0 {
			c.rule("limit rate 200/second burst 200 packets", fmt.Sprintf("log group %d snaplen 128", w.logGroup))
		}
		c.rule("counter drop", comment(s.Origin))
	}
}

// mapped tells whether a rule is one of those that maps lead to: about connections
// that are opened, wherever they go now.
func mapped(r acl.Rule) bool { return r.States == acl.New && !r.Target.IsValid() }

// publishedMatch asks for a translated destination where the rule does.
func publishedMatch(r acl.Rule) string {
	if r.Published {
		return "ct status dnat"
	}
	return ""
}
