package firewall

import "strconv"

// Step is one part of a rule: [Match], [Verdict], [VerdictMap], [Assign],
// [NAT], [NoTrack] or [Opaque]. Parts without influence on where a packet goes
// (counter, log, comment) are in the rule's text only.
type Step interface{ step() }

// Match ends the rule for packets that do not meet the condition.
type Match struct{ Cond Cond }

// VerdictKind is what a rule or policy does with a packet.
type VerdictKind uint8

// The verdicts. Continue goes on with the next rule. Reject is a drop that
// answers. Queue hands the packet to a program, whose answer is not known.
const (
	Continue VerdictKind = iota
	Accept
	Drop
	Reject
	Return
	Jump
	Goto
	Queue
)

// String returns nft's word for the verdict.
func (k VerdictKind) String() string {
	names := [...]string{"continue", "accept", "drop", "reject", "return", "jump", "goto", "queue"}
	if int(k) < len(names) {
		return names[k]
	}
	return "verdict " + strconv.Itoa(int(k))
}

// Verdict ends the rule, and for all but Continue, Return, Jump and Goto the
// base chain.
type Verdict struct {
	Kind VerdictKind
	// Chain is the target of Jump and Goto, in the same table.
	Chain string
	// Detail is further text for people: the reject type, the queue number.
	Detail string
}

// VerdictMap looks the key up and takes the verdict found; a miss ends the rule,
// and Continue goes on with its next step (nft_lookup_eval, nft_do_chain).
type VerdictMap struct {
	Key []Value
	Map *Set
}

// Assign gives packets that reach it a new value of one field: [FieldMark] or
// [FieldCtMark]. Value has as many bits as the field, most significant first.
// Assignments to anything that no rule can match on are left out by decoders.
type Assign struct {
	Field Field
	Value Value
	// Map is nil, or the map in which Value's bits are the key and whose data
	// is assigned; a miss ends the rule.
	Map *Set
}

// NoTrack makes conntrack leave the packet alone; without effect once it has
// been tracked.
type NoTrack struct{}

// NATKind is the sort of address translation.
type NATKind uint8

// The four sorts. Redirect is a destination translation to the address of the
// incoming interface, Masquerade a source translation to that of the outgoing.
const (
	SNAT NATKind = iota
	DNAT
	Redirect
	Masquerade
)

// NAT translates the addresses of a new connection, and accepts.
type NAT struct {
	Kind NATKind
	// Family restricts the translation to IPv4 or IPv6; 0 or Inet is any.
	Family Family
	// Addr and Port are the target; each may be absent (unchanged).
	Addr, Port NATTarget
	// Prefix is true for NETMAP: only the bits of the network part are
	// replaced. Addr.Lo is then the network, Addr.Hi its last address.
	Prefix bool
	// TProxy marks the TPROXY target: the packet is handed to a local socket.
	TProxy bool
}

// NATTarget is the value that a translation puts in: an interval, or the
// answer of a map.
type NATTarget struct {
	// Lo and Hi are network byte order, nil where absent.
	Lo, Hi []byte
	// Map is nil, or the map asked with Key; DataOffset is where in the map's
	// data this target's bytes begin (addr . port maps). A miss ends the rule.
	Map        *Set
	Key        []Value
	DataOffset int
	// Unknown is true where the target could not be told.
	Unknown bool
}

// Opaque is a part that could not be decoded. It may match or not, end the
// evaluation or not, and change marks: all of it undecided.
type Opaque struct {
	// Name is what could not be decoded: `expression "osf"`, `match "geoip"
	// revision 2`.
	Name string
	// Content identifies it: equal contents give equal outcomes for a packet.
	Content string
}

func (Match) step()      {}
func (Verdict) step()    {}
func (VerdictMap) step() {}
func (Assign) step()     {}
func (NoTrack) step()    {}
func (NAT) step()        {}
func (Opaque) step()     {}

// Cond is a condition on a packet: [And], [Or], [Not], [Const], [Compare],
// [Lookup], [Interface], [AddrType], [ReversePath], [Present], [Total], [State],
// [Varies] or [Undecoded].
type Cond interface{ cond() }

// And holds where all of its parts do; of none, everywhere.
type And []Cond

// Or holds where any of its parts does; of none, nowhere.
type Or []Cond

// Not holds where Of does not.
type Not struct{ Of Cond }

// Const holds everywhere, or nowhere.
type Const bool

// Compare holds where the value, read as a big-endian number of its bits, lies
// in one of the intervals. Where the value cannot be loaded from a packet (see
// [Present]), it does not hold, and neither does it within Not: readers put
// [Present] outside.
type Compare struct {
	Value Value
	In    []Interval
}

// Lookup holds where the key is in the set.
type Lookup struct {
	Key []Value
	Set *Set
}

// Interface holds where the name of the packet's input (or output) interface
// is Name, or begins with it if Prefix is set. A packet without such an
// interface, as at the input hook, has the name "".
type Interface struct {
	Out    bool
	Name   string
	Prefix bool
}

// InterfaceIndex holds where the input (or output) interface has that number.
type InterfaceIndex struct {
	Out   bool
	Index int
}

// AddrType holds where the kernel's routing gives the source (or destination)
// address one of the types: bit n stands for RTN_n (linux/rtnetlink.h: 1
// unicast, 2 local, 3 broadcast, 4 anycast, 5 multicast, 6 blackhole, 7
// unreachable, 8 prohibit).
type AddrType struct {
	Source bool
	Types  uint16
	// LimitIn and LimitOut ask for the type on the packet's interface alone.
	LimitIn, LimitOut bool
}

// ReversePath holds where the kernel would route an answer to the source out
// of the interface by which the packet came (fib saddr . iif oif; xt_rpfilter).
// Loose asks only that a route exists.
type ReversePath struct {
	Loose bool
	// AcceptLocal lets packets from an address of this host pass.
	AcceptLocal bool
}

// Present holds where the bytes can be loaded, so that a rule that loads them
// can match: From nil, the header must reach at least Bits.
type Present struct {
	Header Field // FieldNetwork, FieldTransport, FieldLink or FieldInner
	Bits   int
	// First is true where a fragment without the transport header never matches,
	// as in x_tables; loads of nf_tables may read what stands in its place.
	First bool
}

// Total holds where Of does. Where Of's values cannot be loaded it does not hold,
// and then [Not] of it does: unlike an expression of nf_tables, a match of
// x_tables that cannot look says no, and its inversion yes.
type Total struct{ Of Cond }

// State holds for the conntrack states in Mask.
type State struct{ Mask StateMask }

// StateMask is a set of conntrack states, with nft's bits (NF_CT_STATE_BIT).
type StateMask uint32

// The conntrack states.
const (
	StateInvalid     StateMask = 1
	StateEstablished StateMask = 2
	StateRelated     StateMask = 4
	StateNew         StateMask = 8
	StateUntracked   StateMask = 64
)

// Varies is a condition without a fixed answer, although it is understood:
// a rate limit, a random choice, a clock, a set that learns.
type Varies struct {
	// Text says what it is, for people: "limit rate 5/second".
	Text string
	// Stateful conditions can answer differently each time they are asked; the
	// others have one answer per packet and Text.
	Stateful bool
	// Hidden is true where Text does not tell the condition from others, because
	// something in it was made unreadable: each rule then has its own answer, which
	// is the same each time the rule is asked.
	Hidden bool
}

// Undecoded is a condition that could not be understood. Equal Text, equal
// answer.
type Undecoded struct{ Text string }

func (And) cond()            {}
func (Or) cond()             {}
func (Not) cond()            {}
func (Const) cond()          {}
func (Compare) cond()        {}
func (Lookup) cond()         {}
func (Interface) cond()      {}
func (InterfaceIndex) cond() {}
func (AddrType) cond()       {}
func (ReversePath) cond()    {}
func (Present) cond()        {}
func (Total) cond()          {}
func (State) cond()          {}
func (Varies) cond()         {}
func (Undecoded) cond()      {}
