package xt

import "sekimori/internal/firewall"

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
}

// DecodeMatch reads the bytes of a match of that name and revision. The steps
// are conditions, in all but rare cases one; text is how iptables-save prints
// it, `-m tcp --dport 22`. The length of data is that of the structure, padded
// to a multiple of 8 or not.
func (c *Context) DecodeMatch(name string, rev uint8, data []byte) (steps []firewall.Step, text string) {
	text = "-m " + name
	return []firewall.Step{firewall.Match{Cond: firewall.Undecoded{Text: text}}}, text
}

// DecodeTarget reads the bytes of a target of that name and revision. The steps
// end with its verdict, if it has one; text is how iptables-save prints it,
// `-j MARK --set-xmark 0x1/0xffffffff`. The standard target (verdicts, jumps)
// is not among them: its numbers have a meaning for the table that holds it.
// A SET target that adds to or deletes from an ipset makes that set learn.
func (c *Context) DecodeTarget(name string, rev uint8, data []byte) (steps []firewall.Step, text string) {
	text = "-j " + name
	return []firewall.Step{firewall.Opaque{Name: "target " + name, Content: text}}, text
}
