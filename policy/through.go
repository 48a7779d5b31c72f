package policy

import (
	"net/netip"
	"slices"

	"sekimori/packet"
)

// Translation says which packets that open a connection get another address: all
// packets of the connection do, then.
type Translation struct {
	// Source is true where the source is translated, as packets leave; else it is
	// the destination, as they arrive.
	Source bool
	// To is the new address, not valid where the source becomes the address of the
	// interface by which packets leave. Port is the new port, 0 for the old one.
	To   netip.Addr
	Port uint16
	// Packets are those that are about to be translated, as they are then.
	Packets packet.Set
}

// Translations returns what the policy translates. The first that has a packet
// decides, among those of destinations and among those of sources.
func (f *File) Translations(sp *packet.Space, lists map[string][]packet.AddrRange, host Host) []Translation {
	if f.Policy.Router == nil {
		return nil
	}
	m := f.meaning(sp, lists, host, sp.Unknown)
	var out []Translation
	for _, t := range m.destinations() {
		out = append(out, t.Translation)
	}
	return append(out, m.sources()...)
}

// Redirected returns the packets that the policy sends on to another host: they
// are not for this one, whatever their destination says.
func (f *File) Redirected(sp *packet.Space, lists map[string][]packet.AddrRange, host Host) packet.Set {
	set := sp.None()
	for _, t := range f.Translations(sp, lists, host) {
		if !t.Source {
			set = set.Or(t.Packets)
		}
	}
	return set
}

// local are the packets for an address of this host.
func (m meaning) local() packet.Set { return number(m.sp, packet.DstType, 2) } // RTN_LOCAL

func (m meaning) ofFamily(a netip.Addr) bool { return a.Is4() == (m.sp.Family() == packet.V4) }

func (a Address) addr() netip.Addr {
	p, _ := netip.ParseAddr(string(a))
	return p
}

// zonesBut returns the zones but one, in order.
func (m meaning) zonesBut(but Name) []Peer {
	var out []Peer
	for _, name := range sortedKeys(m.f.Policy.Zones) {
		if name != string(but) {
			out = append(out, Peer(name))
		}
	}
	return out
}

// redirect is a translation of a destination, each packet in one alone. One is true
// for an address that stands for another; then only what is allowed passes.
type redirect struct {
	Translation
	one   bool
	allow []Service
}

func (m meaning) destinations() []redirect {
	left := m.sp.States(packet.New)
	var out []redirect
	add := func(t redirect) {
		t.Packets = t.Packets.And(left)
		left = left.Minus(t.Packets)
		out = append(out, t)
	}
	r := m.f.Policy.Router
	for _, f := range r.PortForward {
		set := m.party(Peer(f.From), packet.InInterface, packet.Src)
		if f.Hairpin {
			for _, z := range m.zonesBut(f.From) {
				set = set.Or(m.party(z, packet.InInterface, packet.Src))
			}
		}
		set = set.And(m.services([]Service{f.Port})).And(m.local())
		if m.ofFamily(f.To.addr()) {
			add(redirect{Translation: Translation{To: f.To.addr(), Port: uint16(f.ToPort), Packets: set}})
		}
	}
	for _, n := range r.OneToOne {
		if m.ofFamily(n.Inside.addr()) {
			set := m.sp.Addresses(packet.Dst, m.addresses(string(n.Outside))...)
			add(redirect{Translation: Translation{To: n.Inside.addr(), Packets: set}, one: true, allow: n.Allow})
		}
	}
	return out
}

func (m meaning) sources() []Translation {
	opens := m.sp.States(packet.New)
	var out []Translation
	r := m.f.Policy.Router
	for _, n := range r.OneToOne {
		if !m.ofFamily(n.Inside.addr()) {
			continue
		}
		away := m.sp.None()
		for _, z := range m.zonesBut("") {
			zone := m.f.Policy.Zones[string(z)]
			at := m.networks(zone)
			if !slices.ContainsFunc(at, func(r packet.AddrRange) bool { return within(n.Inside.addr(), r) }) {
				away = away.Or(m.on(packet.OutInterface, zone.Interfaces...))
			}
		}
		from := m.sp.Addresses(packet.Src, m.addresses(string(n.Inside))...)
		out = append(out, Translation{Source: true, To: n.Outside.addr(), Packets: from.And(away).And(opens)})
	}
	hide := m.sp.None()
	for _, f := range r.PortForward {
		if f.Hairpin && m.ofFamily(f.To.addr()) {
			hide = hide.Or(m.hairpin(f))
		}
	}
	for _, f := range r.Forward {
		if f.Masquerade {
			hide = hide.Or(m.forward(f))
		}
	}
	return append(out, Translation{Source: true, Packets: hide.And(opens)})
}

func within(a netip.Addr, r packet.AddrRange) bool {
	return a.Is4() == r.Lo.Is4() && !a.Less(r.Lo) && !r.Hi.Less(a)
}

// hairpin is what hosts of a zone send to a host of their own zone by way of the
// outer address: unless its source is hidden, the answers go another way.
func (m meaning) hairpin(f PortForward) packet.Set {
	back := m.sp.None()
	for _, z := range m.zonesBut(f.From) {
		on := m.f.Policy.Zones[string(z)].Interfaces
		back = back.Or(m.party(z, packet.InInterface, packet.Src).And(m.on(packet.OutInterface, on...)))
	}
	var arrived packet.Set
	if f.ToPort != 0 {
		arrived = m.sp.None()
		for _, t := range f.Port.Matches() {
			t.Lo, t.Hi = uint16(f.ToPort), uint16(f.ToPort)
			arrived = arrived.Or(m.match(t, packet.DstPort))
		}
	} else {
		arrived = m.services([]Service{f.Port})
	}
	return back.And(arrived).And(m.sp.Addresses(packet.Dst, m.addresses(string(f.To))...))
}

// forward is what one zone may open to another.
func (m meaning) forward(f Forward) packet.Set {
	set := m.party(Peer(f.From), packet.InInterface, packet.Src).And(m.party(Peer(f.To), packet.OutInterface, packet.Dst))
	if f.Allow != nil {
		set = set.And(m.services(f.Allow))
	}
	return set
}

// ContainerInterfaces are the bridges, and other interfaces, that the usual
// programs make for containers and virtual machines. A zone that names such an
// interface makes it one of its own.
func ContainerInterfaces() []Interface {
	return []Interface{
		"docker0", "docker_gwbridge", "br-*", "podman*", "cni*", "virbr*", "lxcbr*", "lxdbr*", "incusbr*", "veth*",
	}
}

// containers returns the packets on an interface of containers.
func (m meaning) containers(f packet.Field) packet.Set {
	set := m.on(f, slices.Concat(ContainerInterfaces(), m.host.Containers)...)
	for _, z := range m.f.Policy.Zones {
		set = set.Minus(m.on(f, z.Interfaces...))
	}
	return set
}

// forwards tells whether the policy refuses anything that passes this host.
func (f *File) forwards() bool {
	return f.Policy.Router != nil || f.Policy.Containers == "enforce"
}

// through is what passes this host.
func (m meaning) through() packet.Set {
	p := &m.f.Policy
	if !m.f.forwards() {
		return m.sp.All()
	}
	known := m.sp.States(packet.Established | packet.Related)
	opens := m.sp.States(packet.New)
	pass := m.sp.All()
	if p.Router != nil {
		pass = m.routed().And(opens)
	}
	if p.Containers != "" {
		in, out := m.containers(packet.InInterface), m.containers(packet.OutInterface)
		published := m.unknown(Published).And(opens)
		if p.Containers == "enforce" {
			own := m.sp.None()
			if p.Router != nil {
				own = m.translated().And(opens)
			}
			pass = pass.Minus(out.Minus(own)).Minus(published).Or(published.And(m.published()))
		} else {
			pass = pass.Or(out.Minus(m.untold())).Or(published)
		}
		pass = pass.Or(in)
	}
	return pass.Or(known)
}

// published is what inbound rules say of a container's port, asked about the
// destination that the sender wrote. Without inbound rules there is nothing that a
// port would need.
func (m meaning) published() packet.Set {
	if m.f.Policy.Inbound == nil {
		return m.sp.All()
	}
	return m.rules()
}

// routed is what the router's rules let through of new connections that nobody
// else has translated.
func (m meaning) routed() packet.Set {
	r := m.f.Policy.Router
	plain := m.sp.None()
	for _, f := range r.Forward {
		plain = plain.Or(m.forward(f))
	}
	elsewhere := m.sp.None()
	for _, t := range m.destinations() {
		elsewhere = elsewhere.Or(t.Packets)
	}
	return plain.Minus(elsewhere).Or(m.translated())
}

// untold is what is sent to an address that stands for another, and not allowed.
func (m meaning) untold() packet.Set {
	set := m.sp.None()
	if m.f.Policy.Router == nil {
		return set
	}
	for _, t := range m.destinations() {
		set = set.Or(t.Packets)
	}
	return set.Minus(m.translated())
}

// translated is what passes because this host translates it: each port forward,
// and of an address that stands for another what is allowed.
func (m meaning) translated() packet.Set {
	set := m.sp.None()
	for _, t := range m.destinations() {
		if t.one {
			t.Packets = t.Packets.And(m.services(t.allow))
		}
		set = set.Or(t.Packets)
	}
	return set
}
