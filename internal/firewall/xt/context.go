package xt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"sekimori/internal/firewall"
)

// Context is what a reader has to know beside the bytes or options of one match
// or target. It remembers what its rules have in common, so that a large
// ruleset shares it; use one per table. It is not safe for concurrent use.
type Context struct {
	// Family of the table: IPv4 or IPv6. Matches of any other are undecoded.
	Family firewall.Family
	// Hooks are those from which the chain of the rule can be reached; nil if
	// that is not known. NETMAP translates the source or the destination
	// depending on the hook, and only hooks on the way out know a socket's owner.
	Hooks []firewall.Hook
	// IPSets are the ipsets by the index that the kernel has for them, and
	// ByName the same by name, as text refers to them.
	IPSets map[uint16]*IPSet
	ByName map[string]*IPSet

	// Targets has those of [ChangingTargets] that the ruleset may hold; nil if
	// that is not known. Without any of them an answer is fixed that else is not.
	Targets map[string]bool

	matches map[string]*extension
	targets map[string]*extension
	values  map[valueKey]firewall.Value
}

// extension is one match or target: its options, how to read its structure and
// what its options mean.
type extension struct {
	specs map[string]OptionSpec
	// sizes of the structure by revision; 0 where there is no such revision, and
	// noBytes where it has no structure.
	sizes []int
	// decode gives the options that iptables-save prints for the structure.
	decode func(c *Context, d *data) []Option
	// cond is the meaning of a match, steps that of a target (or of the rare
	// match that does more than match).
	cond  func(a *args) firewall.Cond
	steps func(a *args) []firewall.Step
	// alias is another name that the decoded options are printed under, if they
	// say so: the state match is a conntrack match with a mark.
	alias func(d *data) string
}

const noBytes = -1

// DecodeMatch reads the bytes of a match of that name and revision. The steps
// are conditions, in all but rare cases one; text is how iptables-save prints
// it, `-m tcp --dport 22`. The length of data is that of the structure, padded
// to a multiple of 8 or not.
func (c *Context) DecodeMatch(name string, rev uint8, data []byte) (steps []firewall.Step, text string) {
	text, opts, err := c.decode("-m", c.match(name), name, rev, data)
	if err == nil {
		steps, err = c.meaning(c.match(name), name, opts)
	}
	if err != nil {
		text = fmt.Sprintf("-m %s [revision %d undecoded: %v]", name, rev, err)
		return []firewall.Step{firewall.Match{Cond: firewall.Undecoded{Text: text + " " + digest(data)}}}, text
	}
	return steps, text
}

// DecodeTarget reads the bytes of a target of that name and revision. The steps
// end with its verdict, if it has one; text is how iptables-save prints it,
// `-j MARK --set-xmark 0x1/0xffffffff`. The standard target (verdicts, jumps)
// is not among them: its numbers have a meaning for the table that holds it.
// A SET target that adds to or deletes from an ipset makes that set learn.
func (c *Context) DecodeTarget(name string, rev uint8, data []byte) (steps []firewall.Step, text string) {
	text, opts, err := c.decode("-j", c.target(name), name, rev, data)
	if err == nil {
		steps, err = c.meaning(c.target(name), name, opts)
	}
	if err != nil {
		text = fmt.Sprintf("-j %s [revision %d undecoded: %v]", name, rev, err)
		what := fmt.Sprintf("target %q revision %d: %v", name, rev, err)
		return []firewall.Step{firewall.Opaque{Name: what, Content: text + " " + digest(data)}}, text
	}
	return steps, text
}

// digest tells different contents apart where they could not be read.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "#" + hex.EncodeToString(sum[:8])
}

func (c *Context) decode(flag string, e *extension, name string, rev uint8, b []byte) (string, []Option, error) {
	switch {
	case c.Family != firewall.IPv4 && c.Family != firewall.IPv6:
		return "", nil, fmt.Errorf("not known in tables of family %v", c.Family)
	case e == nil || e.decode == nil:
		return "", nil, fmt.Errorf("not known for %v", c.Family)
	case int(rev) >= len(e.sizes) || e.sizes[rev] == 0:
		return "", nil, fmt.Errorf("revision not known")
	}
	size := max(e.sizes[rev], 0)
	if len(b) != size && len(b) != (size+7)&^7 {
		return "", nil, fmt.Errorf("%d bytes long, not %d", len(b), size)
	}
	d := &data{b: b[:size], rev: rev}
	opts := e.decode(c, d)
	if d.bad != "" {
		return "", nil, fmt.Errorf("%s", d.bad)
	}
	if e.alias != nil {
		if alias := e.alias(d); alias != "" {
			name = alias
		}
	}
	return render(flag, name, opts), opts, nil
}

func (c *Context) meaning(e *extension, name string, opts []Option) ([]firewall.Step, error) {
	a := &args{c: c, name: name, opts: opts}
	var steps []firewall.Step
	if e.cond != nil {
		cond := e.cond(a)
		if cond != firewall.Cond(firewall.Const(true)) {
			steps = []firewall.Step{firewall.Match{Cond: cond}}
		}
	} else {
		steps = e.steps(a)
	}
	if a.err != nil {
		return nil, a.err
	}
	return steps, nil
}

// MatchOptions returns the options that a match of that name takes in text, by
// every spelling, and false if there is no such match for the family.
func (c *Context) MatchOptions(name string) (map[string]OptionSpec, bool) {
	if e := c.match(name); e != nil {
		return e.specs, true
	}
	return nil, false
}

// TargetOptions is [Context.MatchOptions] for targets.
func (c *Context) TargetOptions(name string) (map[string]OptionSpec, bool) {
	if e := c.target(name); e != nil {
		return e.specs, true
	}
	return nil, false
}

// Match gives the options of a match, as read from text, their meaning. The
// names in opts are canonical. The error says which option is wrong and why.
func (c *Context) Match(name string, opts []Option) ([]firewall.Step, error) {
	e := c.match(name)
	if e == nil {
		return nil, fmt.Errorf("unknown match %q", name)
	}
	return c.meaning(e, name, opts)
}

// Target is [Context.Match] for targets.
func (c *Context) Target(name string, opts []Option) ([]firewall.Step, error) {
	e := c.target(name)
	if e == nil {
		return nil, fmt.Errorf("unknown target %q", name)
	}
	return c.meaning(e, name, opts)
}

func (c *Context) match(name string) *extension {
	if c.matches == nil {
		c.matches = matchTable(c.Family)
	}
	return c.matches[name]
}

func (c *Context) target(name string) *extension {
	if c.targets == nil {
		c.targets = targetTable(c.Family)
	}
	return c.targets[name]
}

// ChangingTargets returns the names of the targets that change header bits or sets
// at which matches look.
func ChangingTargets() []string {
	return []string{"DSCP", "TOS", "ECN", "TTL", "HL", "TCPMSS", "TCPOPTSTRIP", "SET"}
}

// changedBy reports whether the ruleset may hold one of these targets.
func (c *Context) changedBy(targets ...string) bool {
	return c.Targets == nil || slices.ContainsFunc(targets, func(t string) bool { return c.Targets[t] })
}

// onlyFrom reports whether the rule can be reached from these hooks alone;
// false if that is not known.
func (c *Context) onlyFrom(hooks ...firewall.Hook) bool {
	if len(c.Hooks) == 0 {
		return false
	}
	return !slices.ContainsFunc(c.Hooks, func(h firewall.Hook) bool { return !slices.Contains(hooks, h) })
}
