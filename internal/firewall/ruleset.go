package firewall

import "strconv"

// Family is the protocol family of a table, with the kernel's numbers
// (NFPROTO_ in linux/netfilter.h).
type Family uint8

// The families that a table can have.
const (
	Inet   Family = 1
	IPv4   Family = 2
	ARP    Family = 3
	Netdev Family = 5
	Bridge Family = 7
	IPv6   Family = 10
)

// String returns nft's name of the family.
func (f Family) String() string {
	switch f {
	case Inet:
		return "inet"
	case IPv4:
		return "ip"
	case ARP:
		return "arp"
	case Netdev:
		return "netdev"
	case Bridge:
		return "bridge"
	case IPv6:
		return "ip6"
	}
	return "family " + strconv.Itoa(int(f))
}

// Hook is a place on a packet's way at which base chains are asked.
type Hook uint8

// The hooks, in the order in which a packet can meet them.
const (
	Ingress Hook = iota
	Prerouting
	Input
	Forward
	Output
	Postrouting
	Egress
)

// String returns nft's name of the hook.
func (h Hook) String() string {
	names := [...]string{"ingress", "prerouting", "input", "forward", "output", "postrouting", "egress"}
	if int(h) < len(names) {
		return names[h]
	}
	return "hook " + strconv.Itoa(int(h))
}

// Backend says which kernel interface a table was read from.
type Backend uint8

// The two interfaces of the Linux kernel. Tables of iptables-nft are NFTables.
const (
	NFTables Backend = iota
	Legacy
)

// Ruleset is everything that was found to judge packets on one host.
type Ruleset struct {
	// Tables are in the order in which they were made; at equal priority the
	// kernel asks the later base chain first.
	Tables []*Table
	// Obstacles are the things that can drop a packet and that this package
	// cannot evaluate. Where one lies on a packet's way the answer is undecided.
	Obstacles []Obstacle
}

// Obstacle is something that may refuse packets for reasons that are not known
// here: a BPF program, a flowtable, a table that could not be read.
type Obstacle struct {
	// What names it for people: `XDP program "filter" (id 12) on eth0`.
	What string
	// Why says why it could not be understood.
	Why string
	// Interface restricts it to packets that arrive there; "" is any.
	Interface string
	// Family restricts it to IPv4 or IPv6; 0 is both.
	Family Family
	// Hooks it can act at; empty means every packet on any way.
	Hooks []Hook
	// MayAdmit is true where it can also let packets through that the rules
	// refuse, by sending them elsewhere: what rewrites packets, and rules that
	// could not be read.
	MayAdmit bool
}

// Table is a named collection of chains and sets.
type Table struct {
	Family  Family
	Name    string
	Backend Backend
	// Dormant tables are loaded but not asked (NFT_TABLE_F_DORMANT).
	Dormant bool
	Chains  []*Chain
	Sets    []*Set
}

// Chain is a list of rules. A base chain is asked by the kernel at a hook, any
// other only by a jump or goto.
type Chain struct {
	Name  string
	Base  *Base // nil for a chain that is only jumped to
	Rules []*Rule
	// Table is the table that holds the chain.
	Table *Table
}

// Base is what makes a chain a base chain.
type Base struct {
	Hook     Hook
	Priority int32
	// Type is nft's chain type: filter, nat or route. The tables of x_tables
	// have nat for the table of that name, and filter for the rest.
	Type string
	// Policy is what happens to a packet at the end: [Accept] or [Drop].
	Policy VerdictKind
	// Devices are the interfaces of netdev and inet ingress or egress chains.
	Devices []string
}

// Rule is one rule: its steps are taken in order until one does not match
// (the next rule follows) or one ends the evaluation.
type Rule struct {
	Chain *Chain
	// Number is the rule's place in its chain, from 1.
	Number int
	// Handle is the kernel's number of an nf_tables rule, 0 elsewhere.
	Handle uint64
	// Line is the line in the text that it was read from, 0 if from a kernel.
	Line int
	// Text is the rule as an administrator would write it: nft syntax, or the
	// iptables-save line for rules of x_tables.
	Text    string
	Comment string
	Steps   []Step
}

// Place returns where the rule stands, for people: "ip filter INPUT rule 3".
func (r *Rule) Place() string {
	return r.Chain.Place() + " rule " + strconv.Itoa(r.Number)
}

// Place returns where the chain stands: "inet filter input", with "(legacy)"
// after the family of a table of iptables-legacy.
func (c *Chain) Place() string {
	return c.Table.Place() + " " + c.Name
}

// Place returns the table's family and name: "inet filter".
func (t *Table) Place() string {
	if t.Backend == Legacy {
		return t.Family.String() + " (legacy) " + t.Name
	}
	return t.Family.String() + " " + t.Name
}

// Chain returns the chain of that name, or nil.
func (t *Table) Chain(name string) *Chain {
	for _, c := range t.Chains {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Set is a set or map of nf_tables, named or anonymous, or an ipset.
type Set struct {
	Name string
	// Fields are the widths in bits of the key's parts, in order: more than one
	// for a concatenation. Padding between the parts of a concatenation is not
	// counted; a decoder strips it.
	Fields []int
	// Elems are in the order in which the kernel keeps them: where elements
	// overlap, the first wins (pipapo). Without overlap the order is of no
	// consequence.
	Elems []Elem
	// Nearest is true for ipset's hash:net,iface: of the elements whose network,
	// the first part of the key, holds the address, only those with the longest
	// prefix are asked for the rest of the key.
	Nearest bool
	// Learns is true where the ruleset itself, or the traffic, changes the
	// contents (dynamic sets with a rule that adds or deletes): then a look-up
	// has no fixed answer.
	Learns bool
	// Opaque says why the contents could not be understood, "" if they were.
	Opaque string
}

// Elem is one element of a set or map.
type Elem struct {
	// Key has one interval per field of the set, in the byte order in which the
	// kernel compares them; nil for the catch-all element `*`, which matches
	// what no other element does.
	Key []Interval
	// Negate is ipset's nomatch: the packets of this element are not in the set
	// although a wider element holds them.
	Negate bool
	// Verdict is what a verdict map holds, nil elsewhere.
	Verdict *Verdict
	// Data is what any other map holds, in register order; DataHi is the upper
	// end where it is an interval, else nil.
	Data, DataHi []byte
	// Cond is nil, or a further condition on the element, such as a limit.
	Cond Cond
}

// Interval is a closed interval of big-endian or byte-wise compared keys, both
// ends of equal length, right-aligned to the field's width.
type Interval struct {
	Lo, Hi []byte
}
