package policy

import (
	"slices"

	"sekimori/packet"
)

// Way is where a packet goes.
type Way uint8

// The ways: to a socket of this host, from one, and through this host.
const (
	ToHost Way = iota
	FromHost
	Through
)

// OwnerKnown is the unknown for packets that a process of this host sent: rules
// about users are about no others.
const OwnerKnown = "owner known"

// Unknowns gives the packets for which something without a fixed answer holds: a
// rate that is not exceeded, by its path (inbound[2].rate), or OwnerKnown. Where it
// is nil, that is packet.Space.Unknown.
type Unknowns func(key string) packet.Set

// Passes returns the packets that the policy as a whole lets pass on a way, as
// they set out: before the host translates anything. A section that is left out
// refuses nothing.
func (f *File) Passes(sp *packet.Space, way Way, lists map[string][]packet.AddrRange, host Host, unknowns Unknowns) packet.Set {
	if unknowns == nil {
		unknowns = sp.Unknown
	}
	m := meaning{f, sp, lists, host, unknowns}
	pass := sp.All()
	if way == ToHost && f.Policy.Inbound != nil {
		pass = m.inbound()
	}
	return pass
}

// Interfaces returns the interfaces, and patterns of some, that the meaning of the
// policy depends on.
func (f *File) Interfaces(host Host) []Interface {
	p := &f.Policy
	var out []Interface
	for _, name := range sortedKeys(p.Zones) {
		out = append(out, p.Zones[name].Interfaces...)
	}
	for _, name := range slices.Concat(host.DHCPv4, host.DHCPv6) {
		out = append(out, Interface(name))
	}
	if p.Edge != nil {
		out = append(out, p.Edge.Interface...)
	}
	if p.Containers != "" {
		out = append(out, host.Containers...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
