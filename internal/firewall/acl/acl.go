// Package acl is an access list in the words that every packet filter has: what
// a compiled policy asks of a firewall, before one of them has put it into its
// own language. It is data alone.
//
// The compiler makes a [List] from a policy and the facts of a host; the writers
// of the firewalls turn it into text. Nobody proves anything with it: the text is
// read back, and its meaning compared with what the policy itself says.
//
// # Meaning
//
// A [Section] judges packets of one direction. Its rules are asked in order, the
// first that matches decides, and what none matches gets the section's default.
// A rule matches where one alternative of each of its parts does; a part without
// alternatives holds for every packet. Accepted connections include their
// replies, in whatever way the firewall keeps state: the compiler writes no
// rules for the way back.
//
// A rule with a [Rate] drops what exceeds it; such a packet never reaches a later
// rule. The limit is one for the rule as a whole, all its alternatives together,
// or one for each source address.
package acl

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sekimori/packet"
)

// List is everything that a policy asks of a packet filter. A section that is nil
// is left alone: nothing is written for it.
type List struct {
	Inbound, Outbound, Forward *Section
	// Observed are rules for what passes through the host that are counted and do
	// nothing else: a drop lets the packet pass. Rates are left out of them.
	Observed *Section
	// NAT is what is translated, in order; the first that matches decides.
	NAT []Translation
	// Edge is what is dropped without regard to connections, in both directions,
	// before anything else; nil is nothing.
	Edge *Edge
	// LogGroup, if not 0, is the netlink group to which some of the packets are told
	// that a section's default drops; a firewall without such groups tells nobody.
	LogGroup uint16
	// Owners are the names of those users and groups whose numbers were not known:
	// in rules their NameID stands for them. Who loads the text looks them up.
	Owners map[uint32]string
}

// GuardGroup is the LogGroup that the guard listens to.
const GuardGroup = 4649

// NameID is a number that stands for the name of a user or group in rules, where
// its own is not known. No system gives such numbers away.
func NameID(name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(name))
	return h.Sum32() | 1<<31
}

// Section is an ordered list of rules for one direction.
type Section struct {
	Rules   []Rule
	Default Action
	Origin
}

// Action is what happens to a packet.
type Action uint8

// The actions. Count lets the next rules decide.
const (
	Accept Action = iota
	Drop
	Count
)

// States are the connections that a rule is about.
type States uint8

// The states. New is a packet that opens a connection, and nothing else; Known
// is one of an established connection or related to one; AnyState is every
// packet, tracked or not, and needs no state.
const (
	New States = iota
	Known
	AnyState
)

// Rule is one rule.
type Rule struct {
	Action Action
	States States
	// In and Out are the interfaces of arrival and departure.
	In, Out []Interface
	// NotIn and NotOut are taken out of In and Out: names, or patterns.
	NotIn, NotOut []Interface
	// From and To are where packets come from and go to.
	From, To []Peer
	Services []Service
	// Users and Groups are the owners of the sending process, by number; with
	// Except they are those that the rule is not about. A packet that no process
	// sent is nobody's: a rule with Users is not about it, one with ExceptUsers is.
	// Outbound alone.
	Users, Groups             []uint32
	ExceptUsers, ExceptGroups []uint32
	Rate                      *Rate
	// Published restricts a rule of Forward to packets whose destination was
	// translated, and makes To and Services speak of the destination that the
	// sender wrote (conntrack's original tuple). Target, if valid, is where such a
	// packet goes now; a port of 0 is any.
	Published bool
	Target    netip.AddrPort

	Origin
}

// Origin says where in the policy something comes from.
type Origin struct {
	Path string // inbound[2]; "" for what every policy implies
	Line int    // in the policy file, 0 for what every policy implies
	Why  string // one sentence for people, in their language
}

// Interface is the name of an interface, or with a * at its end all names that
// begin so.
type Interface string

// Peer is a part of the network: addresses, behind interfaces.
type Peer struct {
	// Interfaces are those on the peer's side; none is any.
	Interfaces []Interface
	// Addresses restricts the peer; nil is any address of both families. An empty
	// list matches nothing.
	Addresses *Addresses
}

// Addresses is a set of addresses. Where it has a name, it is one that many rules
// share, and a firewall with sets keeps it in one.
type Addresses struct {
	Name string
	// Ranges are ascending, IPv4 before IPv6, disjoint and not adjacent.
	Ranges []packet.AddrRange
}

// Join sorts ranges, IPv4 first, and joins those that meet or touch.
func Join(rs []packet.AddrRange) []packet.AddrRange {
	rs = slices.Clone(rs)
	slices.SortFunc(rs, func(a, b packet.AddrRange) int { return a.Lo.Compare(b.Lo) })
	out := rs[:0]
	for _, r := range rs {
		if n := len(out); n > 0 && out[n-1].Hi.Is4() == r.Lo.Is4() {
			last := &out[n-1]
			if next := last.Hi.Next(); !next.IsValid() || !next.Less(r.Lo) {
				if last.Hi.Less(r.Hi) {
					last.Hi = r.Hi
				}
				continue
			}
		}
		out = append(out, r)
	}
	return out
}

// Service is one protocol with a range of ports, or with ICMP messages.
type Service struct {
	Family   packet.Family // 0 for both
	Protocol uint8         // IANA number
	Any      bool          // every protocol; the rest is not looked at
	// Lo to Hi are destination ports; for ICMP (protocols 1 and 58) they are
	// type*256 + code. A protocol without ports has 0 to 65535.
	Lo, Hi uint16
	// SrcLo to SrcHi are source ports; both 0 is any.
	SrcLo, SrcHi uint16
}

// Rate limits how often a rule may accept: Burst at once, and then Count in each
// Per.
type Rate struct {
	// ID names the limit in the policy: inbound[2].rate.
	ID    string
	Count int
	Per   time.Duration // a second, minute, hour or day
	// PerSource makes it one limit for each source: an IPv4 address, or an IPv6
	// network of 64 bits, because who has an address there has all of them. Where
	// the table of sources is full, a source that is not in it passes.
	PerSource bool
	Burst     int
}

// Name is the limit's ID as a word for chains and sets: inbound-2.
func (r Rate) Name() string { return Word(strings.TrimSuffix(r.ID, ".rate")) }

// Word is a path of the policy as a word for chains and sets: outbound-rules-0.
func Word(path string) string {
	return strings.Trim(strings.NewReplacer("[", "-", "].", "-", "]", "", ".", "-").Replace(path), "-")
}

// Limit is a limiter of a text, as its reader understood it.
type Limit struct {
	// Name is what the text calls it: it should be Rate.Name of some rate.
	Name string
	Rate // without its ID
	// Exceeded is true where the limiter's unknown being true means that the limit
	// is exceeded, false where it means that it is not.
	Exceeded bool
}

// Options are how a list is written, beside what it says.
type Options struct {
	// Complete asks for a text that stands for everything on the host: what it
	// does not say is not there once it is loaded.
	Complete bool
	// Separate allows several files, as lists kept in files of their own.
	Separate bool
	// Degrade leaves out what the firewall has no words for, so that nothing more
	// is admitted than the list says.
	Degrade bool
	// Exclusive turns off what others allow beside the list, where a firewall is
	// one for all (Windows).
	Exclusive bool
	// Lang is the language of what is written for people: en or ja.
	Lang string
}

// File is one file of a compiled policy. The first of several is the one to load.
type File struct {
	Name string
	Text []byte
}

// String returns the rate as a policy has it: 6/min per source burst 10.
func (r Rate) String() string {
	units := map[time.Duration]string{time.Second: "s", time.Minute: "min", time.Hour: "h", 24 * time.Hour: "day"}
	s := fmt.Sprintf("%d/%s", r.Count, units[r.Per])
	if r.PerSource {
		s += " per source"
	}
	if r.Burst != r.Count {
		s += fmt.Sprintf(" burst %d", r.Burst)
	}
	return s
}

// TranslationKind is how a packet is translated.
type TranslationKind uint8

// The kinds. Masquerade gives a packet that leaves the address of the interface
// it leaves by; Source gives it ToAddress; Destination sends it to ToAddress, and
// to ToPort if that is not 0.
const (
	Masquerade TranslationKind = iota
	Source
	Destination
)

// Translation is one rule of address translation; it is about packets that open
// connections, and holds for all that belong to these.
type Translation struct {
	Kind     TranslationKind
	From, To []Peer
	In, Out  []Interface
	Services []Service // destination ports, as they are before the translation
	// Local restricts Destination to packets for an address of this host.
	Local     bool
	ToAddress netip.Addr
	ToPort    uint16

	Origin
}

// Edge is the stateless block at the edge of the network: what has one of the
// services as its source or as its destination port and comes in or goes out by
// one of the interfaces.
type Edge struct {
	Interfaces []Interface
	// All stands for every interface but lo; Interfaces is not looked at then.
	All      bool
	Services []Service
	// Broadcast adds broadcast and multicast that is sent out, from this host or
	// through it, except neighbour discovery, IGMP, MLD and DHCP. Where the list has
	// a Forward, packets with a translated destination are excepted as well.
	Broadcast bool

	Origin
}

// Unsupported is what a firewall has no words for.
type Unsupported struct {
	Target string // nftables, iptables, ip6tables, ipfw, windows
	What   string // "a rate for each source"
	Origin
}

// Error names the policy line.
func (u *Unsupported) Error() string {
	if u.Line == 0 {
		return fmt.Sprintf("%s cannot express %s", u.Target, u.What)
	}
	return fmt.Sprintf("line %d: %s cannot express %s (%s)", u.Line, u.Target, u.What, u.Path)
}

// UnsupportedList is everything that one firewall has no words for.
type UnsupportedList []*Unsupported

// Error lists all of them, one a line.
func (l UnsupportedList) Error() string {
	var b strings.Builder
	for i, u := range l {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(u.Error())
	}
	return b.String()
}
