package winfw

import (
	"sekimori/packet"
)

// Firewall is what a text asks for.
type Firewall struct {
	// Inbound and Outbound are the defaults of all profiles.
	Inbound, Outbound Default
	Rules             []Rule
	// Exclusive is true where the script disables the allow rules of others.
	Exclusive bool
}

// Default is what happens to what no rule matches.
type Default uint8

// The defaults; Unset leaves what there is.
const (
	Unset Default = iota
	AllowAll
	BlockAll
)

// Direction is where a flow begins.
type Direction uint8

// The directions.
const (
	In Direction = iota
	Out
)

// Action is what a rule does.
type Action uint8

// The actions. Bypass is an allow rule that wins over block rules.
const (
	Allow Action = iota
	Block
	Bypass
)

// Rule is one rule. A list that is empty restricts nothing.
type Rule struct {
	Name, Display, Description string
	Line                       int
	Direction                  Direction
	Action                     Action
	Disabled                   bool
	// Profiles are those in which it is active: Domain, Private, Public; none is all.
	Profiles []string
	// Protocol is the IANA number, or AnyProtocol.
	Protocol                int
	LocalPorts, RemotePorts []packet.Range
	// ICMP are type*256 + code.
	ICMP          []packet.Range
	Local, Remote Addresses
	// Interfaces are their names (aliases).
	Interfaces []string
	// Varies are conditions without a fixed answer: programs, services, LocalSubnet.
	Varies []string
}

// AnyProtocol is the Protocol of a rule for all.
const AnyProtocol = 256

// Addresses are a condition on addresses of both families.
type Addresses struct {
	V4, V6 []packet.AddrRange
	// Keywords are LocalSubnet and the like, whose addresses are not known.
	Keywords []string
}

func (a Addresses) empty() bool { return len(a.V4)+len(a.V6)+len(a.Keywords) == 0 }
