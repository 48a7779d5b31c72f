package firewall

import (
	"slices"
	"strconv"
	"strings"

	"sekimori/packet"
)

// env says what the fields of a packet are at a point of its way, as functions
// of the packet as it arrived. A nil slice stands for "as it arrived".
type env struct {
	mark, ctmark []packet.Set // 32 bits each
	src, dst     []packet.Set // after address translation
	sport, dport []packet.Set
	ttl          []packet.Set // 8 bits; routing takes one off (ip_forward, ip6_forward)
	defragged    bool         // fragments have been put together
	tracked      bool         // conntrack has seen the packet
	notrack      packet.Set   // packets that NOTRACK has exempted
	// What nat chains have done to new connections: the packets whose
	// destination (source) they changed, and whether they were asked at all.
	dnat, snat         packet.Set
	dnatDone, snatDone bool
	version            int // changes with every assignment, for memos
	known              assumptions
}

// assumptions are what is the same for all packets that are followed. To know
// it beforehand keeps what every rule asks for out of the sets.
type assumptions struct {
	unmarked bool             // the mark is 0
	noOut    bool             // there is no output interface
	whole    bool             // no packet is a fragment but the first
	states   packet.StateMask // the conntrack states, one or more
	in       string           // the interface that rules see, "" for the packet's own
}

const anyState = packet.New | packet.Established | packet.Related | packet.Invalid | packet.Untracked

// assume looks what is the same for all packets of in, and returns a wider set
// to follow: what is assumed is no part of it. The result holds for the packets
// of in alone.
func (e *Engine) assume(in packet.Set) (assumptions, packet.Set) {
	sp := e.space
	var a assumptions
	var settled []packet.Field
	if a.unmarked = in.SubsetOf(sp.Values(packet.Mark, packet.Range{})); a.unmarked {
		settled = append(settled, packet.Mark)
	}
	if a.noOut = in.SubsetOf(e.ifaceSet(Interface{Out: true})); a.noOut {
		settled = append(settled, packet.OutInterface)
	}
	if a.whole = in.SubsetOf(e.firstFragment()); a.whole {
		settled = append(settled, packet.Fragment)
	}
	a.states = anyState
	for _, m := range []packet.StateMask{packet.New, packet.Established, packet.Related, packet.Invalid, packet.Untracked} {
		if !in.Overlaps(sp.States(m)) {
			a.states &^= m
		}
	}
	if a.states&(a.states-1) == 0 {
		settled = append(settled, packet.State)
	}
	return a, in.Exists(settled...)
}

func (e *Engine) newEnv() env {
	none := e.space.None()
	return env{notrack: none, dnat: none, snat: none, known: assumptions{states: anyState}}
}

// states is [packet.Space.States], with what is known of all packets.
func (e *Engine) states(v *env, m packet.StateMask) packet.Set {
	switch {
	case v.known.states&m == 0:
		return e.space.None()
	case v.known.states&^m == 0:
		return e.space.All()
	}
	return e.space.States(m)
}

// bit returns the packets in which one bit of a value is 1.
func (e *Engine) bit(v *env, b Bit) packet.Set {
	var s packet.Set
	switch {
	case b.Field == "" && b.Invert:
		return e.space.All()
	case b.Field == "":
		return e.space.None()
	default:
		s = e.fieldBit(v, b.Field, int(b.Width), int(b.Index))
	}
	if b.Invert {
		return s.Not()
	}
	return s
}

func (e *Engine) bits(v *env, val Value) []packet.Set {
	out := make([]packet.Set, len(val))
	for i, b := range val {
		out[i] = e.bit(v, b)
	}
	return out
}

// fieldBit returns the packets in which bit i (0 the most significant) of a
// field is 1.
func (e *Engine) fieldBit(v *env, f Field, width, i int) packet.Set {
	sp := e.space
	switch f {
	case FieldNetwork:
		return e.networkBit(v, i)
	case FieldTransport:
		return e.transportBit(v, i)
	case FieldLink:
		return sp.Bit(sp.Extra("link header", 112), min(i, 111))
	case FieldNFProto:
		return e.constBit(map[bool]uint64{true: 2, false: 10}[e.family == IPv4], 8, i)
	case FieldProtocol:
		return e.constBit(map[bool]uint64{true: 0x0800, false: 0x86dd}[e.family == IPv4], 16, i)
	case FieldL4Proto, FieldCtProto:
		return sp.Bit(packet.Protocol, i)
	case FieldCtL3Proto:
		return e.constBit(map[bool]uint64{true: 2, false: 10}[e.family == IPv4], 8, i)
	case FieldMark:
		if v.mark == nil && v.known.unmarked {
			return sp.None()
		}
		return pick(v.mark, i, sp, packet.Mark)
	case FieldCtMark:
		return pick(v.ctmark, i, sp, packet.CtMark)
	case FieldIif, FieldOif:
		if f == FieldOif && v.known.noOut {
			return sp.None()
		}
		if f == FieldIif && v.known.in != "" {
			return e.always(e.number(v.known.in)>>(31-i)&1 == 1)
		}
		return e.indexBit(f == FieldOif, i)
	case FieldIifName, FieldOifName:
		if f == FieldOifName && v.known.noOut {
			return sp.None()
		}
		if f == FieldIifName && v.known.in != "" {
			return e.always(nameBitOf(v.known.in, i))
		}
		return e.nameBit(f == FieldOifName, i)
	case FieldCtState:
		return e.stateIs(v, StateMask(1)<<(31-i))
	case FieldCtStatus:
		return e.statusBit(v, 31-i)
	case FieldCtDir:
		if i != 7 {
			return sp.None()
		}
		return e.unlessNew(v, sp.None(), sp.Bit(sp.Extra("ct direction", 1), 0))
	case FieldCtOrigSrc, FieldCtOrigDst, FieldCtReplySrc, FieldCtReplyDst, FieldCtOrigSport, FieldCtOrigDport:
		return e.tupleBit(v, f, i)
	}
	return sp.Bit(sp.Extra(string(f), max(width, i+1)), i)
}

func pick(over []packet.Set, i int, sp *packet.Space, f packet.Field) packet.Set {
	if over != nil {
		return over[i]
	}
	return sp.Bit(f, i)
}

func (e *Engine) constBit(n uint64, width, i int) packet.Set {
	if n>>(width-1-i)&1 == 1 {
		return e.space.All()
	}
	return e.space.None()
}

// unlessNew is a for packets that begin a connection, else b.
func (e *Engine) unlessNew(v *env, a, b packet.Set) packet.Set {
	return e.space.If(e.states(v, packet.New), a, b)
}

// networkBit is bit i of the IP header.
func (e *Engine) networkBit(v *env, i int) packet.Set {
	if e.family == IPv6 {
		return e.network6Bit(v, i)
	}
	sp := e.space
	switch {
	case i < 4: // version
		return e.constBit(4, 4, i)
	case i < 8:
		return sp.Bit(sp.Extra("ip hdrlength", 4), i-4)
	case i < 16:
		return sp.Bit(sp.Extra("ip tos", 8), i-8)
	case i < 32:
		return sp.Bit(sp.Extra("ip length", 16), i-16)
	case i < 48:
		return sp.Bit(sp.Extra("ip id", 16), i-32)
	case i < 64:
		if v.defragged && i >= 50 {
			return sp.None() // neither more fragments nor an offset
		}
		return sp.Bit(packet.Fragment, i-48)
	case i < 72:
		return pick(v.ttl, i-64, sp, sp.Extra("ip ttl", 8))
	case i < 80:
		return sp.Bit(packet.Protocol, i-72)
	case i < 96:
		return sp.Bit(sp.Extra("ip checksum", 16), i-80)
	case i < 128:
		return pick(v.src, i-96, sp, packet.Src)
	case i < 160:
		return pick(v.dst, i-128, sp, packet.Dst)
	}
	return e.rawBit("ip option byte ", i-160)
}

func (e *Engine) network6Bit(v *env, i int) packet.Set {
	sp := e.space
	switch {
	case i < 4:
		return e.constBit(6, 4, i)
	case i < 12:
		return sp.Bit(sp.Extra("ip6 tclass", 8), i-4)
	case i < 32:
		return sp.Bit(sp.Extra("ip6 flowlabel", 20), i-12)
	case i < 48:
		return sp.Bit(sp.Extra("ip6 length", 16), i-32)
	case i < 56:
		// The first header's number is the transport protocol unless extension
		// headers stand between.
		ext := sp.Bit(sp.Extra("ip6 extension headers", 1), 0)
		return sp.If(ext, e.extensionBit(i-48), sp.Bit(packet.Protocol, i-48))
	case i < 64:
		return pick(v.ttl, i-56, sp, sp.Extra("ip6 hoplimit", 8))
	case i < 192:
		return pick(v.src, i-64, sp, packet.Src)
	case i < 320:
		return pick(v.dst, i-192, sp, packet.Dst)
	}
	return e.rawBit("ip6 payload byte ", i-320)
}

// extensionBit is bit i of the number of the first extension header. Only a
// header that the kernel skips on its way to the transport protocol is one
// (ipv6_ext_hdr): a packet of TCP never has the number of ICMPv6 there.
func (e *Engine) extensionBit(i int) packet.Set {
	numbers := [8]uint8{0, 43, 44, 51, 60, 60, 60, 60} // hop-by-hop, routing, fragment, authentication, destination
	sp := e.space
	which := sp.Extra("ip6 first extension header", 3)
	s := sp.None()
	for k, n := range numbers {
		if n>>(7-i)&1 == 1 {
			s = s.Or(sp.Values(which, packet.Range{Lo: uint64(k), Hi: uint64(k)}))
		}
	}
	return s
}

// oneHop takes one off the packets' time to live, as forwarding does before it
// asks the forward hook.
func (e *Engine) oneHop(v *env) {
	from := 64
	if e.family == IPv6 {
		from = 56
	}
	old := e.bits(v, Whole(FieldNetwork, 0, from, 8))
	ttl := make([]packet.Set, len(old))
	borrow := e.space.All()
	for i := len(old) - 1; i >= 0; i-- {
		ttl[i] = old[i].Xor(borrow)
		borrow = borrow.Minus(old[i])
	}
	v.ttl = ttl
	v.version = e.nextVersion()
}

// transportBit is bit i of the transport header, whatever the protocol. What is
// loaded from a later fragment in its place (see reachable) is anything: for IPv6
// not even from behind the headers (ipv6_find_hdr leaves the offset at 0).
func (e *Engine) transportBit(v *env, i int) packet.Set {
	if v.known.whole {
		return e.headerBit(v, i)
	}
	return e.space.If(e.firstFragment(), e.headerBit(v, i), e.rawBit("later fragment byte ", i))
}

func (e *Engine) headerBit(v *env, i int) packet.Set {
	sp := e.space
	switch {
	case i < 16:
		return pick(v.sport, i, sp, packet.SrcPort)
	case i < 32:
		return pick(v.dport, i-16, sp, packet.DstPort)
	case i >= 104 && i < 112:
		return sp.Bit(packet.TCPFlags, i-104)
	}
	return e.rawBit("@th byte ", i)
}

// rawBit is bit i of bytes that nothing else is known of.
func (e *Engine) rawBit(name string, i int) packet.Set {
	return e.space.Bit(e.space.Extra(name+strconv.Itoa(i/8), 8), i%8)
}

// indexBit is bit i of the 32-bit number of an interface.
func (e *Engine) indexBit(out bool, i int) packet.Set {
	return e.space.Interfaces(ifaceField(out), func(name string) bool { return e.number(name)>>(31-i)&1 == 1 })
}

// number is the number of an interface, 0 for none. Those of an unknown host are
// known by their number alone: see indexName.
func (e *Engine) number(name string) int {
	for n, known := range e.index {
		if known == name {
			return n
		}
	}
	if rest, ok := strings.CutPrefix(name, "#"); ok {
		if n, err := strconv.Atoi(rest); err == nil {
			return n
		}
	}
	return 0
}

// nameBit is bit i of the 16 bytes of an interface's name.
func (e *Engine) nameBit(out bool, i int) packet.Set {
	return e.space.Interfaces(ifaceField(out), func(name string) bool {
		return name != noInterface && nameBitOf(name, i)
	})
}

func nameBitOf(name string, i int) bool {
	return i/8 < len(name) && name[i/8]>>(7-i%8)&1 == 1
}

func ifaceField(out bool) packet.Field {
	if out {
		return packet.OutInterface
	}
	return packet.InInterface
}

// stateIs returns the packets whose conntrack state is in the mask. Before
// conntrack has seen a packet it is invalid, or untracked once exempted
// (nft_ct_get_eval, xt_conntrack).
func (e *Engine) stateIs(v *env, m StateMask) packet.Set {
	sp := e.space
	var s packet.Set
	if v.tracked {
		s = e.states(v, packetStates(m)).Minus(v.notrack)
	} else {
		s = sp.None()
		if m&StateInvalid != 0 {
			s = v.notrack.Not()
		}
	}
	if m&StateUntracked != 0 {
		s = s.Or(v.notrack)
	}
	return s
}

func packetStates(m StateMask) packet.StateMask {
	var p packet.StateMask
	for _, b := range []struct {
		m StateMask
		p packet.StateMask
	}{
		{StateNew, packet.New},
		{StateEstablished, packet.Established},
		{StateRelated, packet.Related},
		{StateInvalid, packet.Invalid},
		{StateUntracked, packet.Untracked},
	} {
		if m&b.m != 0 {
			p |= b.p
		}
	}
	return p
}

// hasEntry returns the packets that have a conntrack entry.
func (e *Engine) hasEntry(v *env) packet.Set {
	if !v.tracked {
		return e.space.None()
	}
	return e.states(v, packet.New|packet.Established|packet.Related).Minus(v.notrack)
}

// The bits of ct status (linux/netfilter/nf_conntrack_common.h) that the entry of
// a new connection can have before it is confirmed.
const (
	statusSNAT     = 4
	statusDNAT     = 5
	statusSNATDone = 7
	statusDNATDone = 8
	statusHelper   = 13
)

// statusBit is the bit of value 1<<n of ct status.
func (e *Engine) statusBit(v *env, n int) packet.Set {
	sp := e.space
	if n > 15 {
		return sp.None()
	}
	var fresh packet.Set // of an entry that is not confirmed yet
	switch n {
	case statusSNAT:
		fresh = v.snat
	case statusDNAT:
		fresh = v.dnat
	case statusSNATDone:
		fresh = e.always(v.snatDone)
	case statusDNATDone:
		fresh = e.always(v.dnatDone)
	case statusHelper:
		fresh = sp.Bit(packet.Status, 15-n)
	default:
		fresh = sp.None()
	}
	return e.unlessNew(v, fresh, sp.Bit(packet.Status, 15-n))
}

func (e *Engine) always(b bool) packet.Set {
	if b {
		return e.space.All()
	}
	return e.space.None()
}

// tupleBit is a bit of the connection's tuples. For a packet that begins a
// connection they follow from the packet; for others they are free.
func (e *Engine) tupleBit(v *env, f Field, i int) packet.Set {
	sp := e.space
	addr := 32
	if e.family == IPv6 {
		addr = 128
	}
	if i >= addr {
		return sp.None() // a key of the other family, which no packet of this one has
	}
	var now packet.Set
	width := addr
	switch f {
	case FieldCtOrigSrc:
		now = sp.Bit(packet.Src, i)
	case FieldCtOrigDst:
		now = sp.Bit(packet.Dst, i)
	case FieldCtReplySrc:
		now = pick(v.dst, i, sp, packet.Dst)
	case FieldCtReplyDst:
		now = pick(v.src, i, sp, packet.Src)
	case FieldCtOrigSport, FieldCtOrigDport:
		now, width = e.portOfTuple(f, i), 16
	}
	return e.unlessNew(v, now, sp.Bit(sp.Extra(string(f), width), i))
}

// portOfTuple is bit i of the numbers that stand for ports in a new connection's
// tuple: of ICMP the identifier, and type and code; of protocols that conntrack
// does not look into, zero. What it looks into depends on the kernel.
func (e *Engine) portOfTuple(f Field, i int) packet.Set {
	sp := e.space
	is := func(protocols ...uint64) packet.Set {
		var rs []packet.Range
		for _, p := range protocols {
			rs = append(rs, packet.Range{Lo: p, Hi: p})
		}
		return sp.Values(packet.Protocol, rs...)
	}
	port, echo := sp.Bit(packet.DstPort, i), sp.Bit(packet.SrcPort, i)
	if f == FieldCtOrigSport {
		port, echo = sp.Bit(packet.SrcPort, i), e.rawBit("@th byte ", 32+i)
	}
	free := sp.Bit(sp.Extra(string(f), 16), i)
	rest := sp.If(is(protoDCCP, protoUDPLite, 47), free, sp.None()) // 47: GRE, whose key counts
	return sp.If(is(protoTCP, protoUDP, protoSCTP), port, sp.If(is(1, 58), echo, rest))
}

// assign gives the packets of cur the bits val in one 32-bit field.
func (e *Engine) assign(old []packet.Set, cur packet.Set, val []packet.Set) []packet.Set {
	out := slices.Clone(old)
	for i := range out {
		out[i] = e.space.If(cur, val[i], old[i])
	}
	return out
}
