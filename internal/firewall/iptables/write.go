package iptables

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
)

// prefix begins the names of our chains and sets.
const prefix = "SEKIMORI-"

// Write returns the text for iptables-restore (family IPv4) or ip6tables-restore
// (IPv6) that loads a list, to be given --noflush. Its rules stand in chains of
// their own, SEKIMORI-INPUT and so on, to which a jump at the head of the table's
// own chain leads. They only take away: what they let pass goes on to the rules of
// others, what they refuse is dropped. Loaded again, the chains are replaced in one
// transaction for each table.
//
// With [acl.Options.Complete] the text is the whole table, in the chains of the
// table itself, as administrators keep it in /etc/iptables or /etc/sysconfig.
// With [acl.Options.Separate] lists are ipsets, in a file of their own that has to
// be loaded first; else their addresses stand in the text.
//
// A rate for each source is a list of xt_recent, which forgets the source that was
// longest away when it is full. hashlimit would drop every source that is not in
// its full table.
func Write(family firewall.Family, l *acl.List, o acl.Options) ([]acl.File, error) {
	w := newWriter(family, o)
	w.owners = l.Owners
	reduced, bad := l.Reduced(w.target(), w.cannot)
	bad = append(bad, w.natCannot(l)...)
	if len(bad) > 0 && !o.Degrade {
		return nil, bad
	}
	w.bad = bad
	w.edge(l)
	for _, s := range []struct {
		chain             string
		section, observed *acl.Section
	}{{"INPUT", reduced.Inbound, nil}, {"FORWARD", reduced.Forward, l.Observed}, {"OUTPUT", reduced.Outbound, nil}} {
		if s.section == nil && s.observed != nil {
			s.section = &acl.Section{}
		}
		if s.section != nil {
			w.section(s.chain, s.section, s.observed)
		}
	}
	w.nat(l.NAT)
	return w.files(), nil
}

// writer gathers the tables.
type writer struct {
	family firewall.Family
	o      acl.Options
	bad    acl.UnsupportedList
	tables map[string]*tableText
	sets   []setText
	made   map[string]bool // names of chains
	owners map[uint32]string
	// observing is true for rules that only count: all lead back.
	observing bool
}

// tableText is a table as it will stand in the text.
type tableText struct {
	name   string
	chains []string // as declared
	jumps  []string
	lines  []string
}

// chainText is a chain that lines are added to.
type chainText struct {
	t    *tableText
	name string
	why  string // of the last line
}

func newWriter(family firewall.Family, o acl.Options) *writer {
	return &writer{family: family, o: o, tables: map[string]*tableText{}, made: map[string]bool{}}
}

func (w *writer) v6() bool { return w.family == firewall.IPv6 }

func (w *writer) target() string {
	if w.v6() {
		return "ip6tables"
	}
	return "iptables"
}

// other is the target for the other family.
func (w *writer) other() string {
	if w.v6() {
		return "iptables"
	}
	return "ip6tables"
}

func (w *writer) family4or6() string {
	if w.v6() {
		return "IPv6"
	}
	return "IPv4"
}

func (w *writer) table(name string) *tableText {
	t := w.tables[name]
	if t == nil {
		t = &tableText{name: name}
		w.tables[name] = t
	}
	return t
}

// base returns the chain that stands for one of a table's own: that itself in a
// complete text, else one of ours with a jump to it.
func (w *writer) base(table, chain, policy string) *chainText {
	t := w.table(table)
	if w.o.Complete {
		t.chains = append(t.chains, fmt.Sprintf(":%s %s [0:0]", chain, policy))
		return &chainText{t: t, name: chain}
	}
	own := w.chain(t, chain)
	t.jumps = append(t.jumps, fmt.Sprintf("-I %s -j %s", chain, own.name))
	return own
}

// chain makes a chain of ours. The kernel takes names of 28 bytes.
func (w *writer) chain(t *tableText, name string) *chainText {
	full := prefix + name
	for n := 1; len(full) > 28 || w.made[t.name+" "+full]; n++ {
		full = fmt.Sprintf("%sx%d", prefix, len(w.made)+n)
	}
	w.made[t.name+" "+full] = true
	t.chains = append(t.chains, fmt.Sprintf(":%s - [0:0]", full))
	return &chainText{t: t, name: full}
}

// say writes why the next lines are there.
func (c *chainText) say(o acl.Origin) {
	if o.Why == "" || o.Why == c.why {
		return
	}
	c.why = o.Why
	where := ""
	if o.Line > 0 {
		where = fmt.Sprintf("line %d: ", o.Line)
	}
	c.t.lines = append(c.t.lines, "# "+where+oneLine(o.Why))
}

// oneLine keeps what people wrote from ending a comment.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, s)
}

// rule adds a rule made of parts; empty ones are left out.
func (c *chainText) rule(parts ...string) {
	parts = slices.DeleteFunc(slices.Clone(parts), func(s string) bool { return s == "" })
	c.t.lines = append(c.t.lines, strings.Join(append([]string{"-A", c.name}, parts...), " "))
}

// comment is what a rule carries into the kernel: where it stands in the policy.
func comment(o acl.Origin) string {
	switch {
	case o.Path == "":
		return ""
	case o.Line == 0:
		return fmt.Sprintf("-m comment --comment %q", o.Path)
	}
	return fmt.Sprintf("-m comment --comment %q", fmt.Sprintf("%s, line %d", o.Path, o.Line))
}

// pass is the verdict for what is let through.
func (w *writer) pass() string {
	if w.o.Complete && !w.observing {
		return "-j ACCEPT"
	}
	return "-j RETURN"
}

// drop is the verdict for what is refused.
func (w *writer) drop() string {
	if w.observing {
		return "-j RETURN"
	}
	return "-j DROP"
}

// files puts everything together: the text to load, then what it needs.
func (w *writer) files() []acl.File {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s-restore%s, written by sekimori\n", w.target(), map[bool]string{false: " --noflush"}[w.o.Complete])
	fmt.Fprintf(&b, "# About %s packets alone: those of the other family are judged by what --to %s writes.\n", w.family4or6(), w.other())
	if !w.o.Complete && !w.o.Separate {
		b.WriteString("# Each time it is loaded it puts one more jump to our chains at the head of a chain; sekimori compile -o writes a script that leaves one.\n")
	}
	if len(w.bad) > 0 {
		b.WriteString("# NOT EQUIVALENT to the policy: it admits less, because this firewall has no words for\n")
		for _, l := range w.bad.Lacking() {
			fmt.Fprintf(&b, "#   %s\n", oneLine(l))
		}
	}
	if w.o.Complete {
		w.whole()
	}
	for _, name := range []string{"raw", "mangle", "nat", "filter"} {
		t := w.tables[name]
		if t == nil {
			continue
		}
		fmt.Fprintf(&b, "*%s\n", name)
		for _, l := range slices.Concat(t.chains, t.lines, t.jumps, []string{"COMMIT"}) {
			b.WriteString(l + "\n")
		}
	}
	files := []acl.File{{Name: "sekimori." + w.target(), Text: b.Bytes()}}
	if len(w.sets) > 0 {
		files = append(files, acl.File{Name: "sekimori." + w.target() + ".ipset", Text: w.setsText()})
	}
	if w.o.Separate && !w.o.Complete {
		files = append(files, acl.File{Name: "sekimori." + w.target() + ".sh", Text: w.loader()})
	}
	return files
}

// loader is a script that loads the files beside it. iptables-restore has no way to
// say that a jump is to be there once, so the script takes away all but one.
func (w *writer) loader() []byte {
	var b bytes.Buffer
	restore, file := w.target()+"-restore --noflush", "sekimori."+w.target()
	fmt.Fprintf(&b, "#!/bin/sh\n# Loads the rules beside it. Loaded again, they replace those of before, table by table.\nset -e\ncd \"$(dirname \"$0\")\"\n")
	if len(w.sets) > 0 {
		fmt.Fprintf(&b, "ipset -exist restore < %s.ipset\n", file)
	}
	fmt.Fprintf(&b, "%s --test < %s\n%s < %s\n", restore, file, restore, file)
	fmt.Fprintf(&b, "once() {\n\twhile [ \"$(%s -w -t \"$1\" -S \"$2\" | grep -cxF -e \"-A $2 -j $3\")\" -gt 1 ]; do\n\t\t%s -w -t \"$1\" -D \"$2\" -j \"$3\"\n\tdone\n}\n", w.target(), w.target())
	for _, name := range []string{"raw", "mangle", "nat", "filter"} {
		t := w.tables[name]
		if t == nil {
			continue
		}
		for _, j := range t.jumps {
			f := strings.Fields(j) // -I CHAIN -j OURS
			fmt.Fprintf(&b, "once %s %s %s\n", name, f[1], f[3])
		}
	}
	return b.Bytes()
}

// whole declares the chains of the filter table that nothing is said about.
func (w *writer) whole() {
	t := w.table("filter")
	for _, chain := range []string{"INPUT", "FORWARD", "OUTPUT"} {
		if !slices.ContainsFunc(t.chains, func(s string) bool { return strings.HasPrefix(s, ":"+chain+" ") }) {
			t.chains = append(t.chains, fmt.Sprintf(":%s ACCEPT [0:0]", chain))
		}
	}
}

// section writes the rules of a direction. What is observed is asked first, in a
// chain whose rules count and nothing else.
func (w *writer) section(chain string, s, observed *acl.Section) {
	policy := "ACCEPT"
	if s.Default == acl.Drop {
		policy = "DROP"
	}
	c := w.base("filter", chain, policy)
	if observed != nil {
		w.observing = true
		o := w.chain(c.t, "observed")
		c.say(observed.Origin)
		c.rule("-j " + o.name)
		for i := range observed.Rules {
			o = w.rule(o, "observed", &observed.Rules[i])
		}
		w.observing = false
	}
	for i := range s.Rules {
		c = w.rule(c, chain, &s.Rules[i])
	}
	if s.Default == acl.Drop {
		c.say(s.Origin)
		c.rule(comment(s.Origin), "-j DROP")
	}
}
