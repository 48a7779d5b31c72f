package firewall

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"

	"sekimori/packet"
)

// translate asks the nat chains of a hook for the packets that begin a
// connection; the first translation found counts.
func (f *follower) translate(h Hook, chains []*Chain) {
	e := f.e
	if h == Prerouting || h == Output {
		f.established()
	}
	var out []Flow
	for _, fl := range f.flows {
		if h == Postrouting || h == Input {
			fl.env.snatDone = true
		} else {
			fl.env.dnatDone = true
		}
		fl.env.version = e.nextVersion()
		begins := fl.Set.And(e.states(&fl.env, packet.New)).Minus(fl.env.notrack)
		others := fl.Set.Minus(begins)
		var hits []natHit
		undone := begins
		for _, c := range chains {
			w := f.newWalk(fl.env, h)
			w.nat = h == Prerouting || h == Output
			if w.refusals = f.refusals; f.refusals {
				w.decide = func(r Reason) {
					if r.Verdict != Accept {
						f.res.Refused = append(f.res.Refused, r)
					}
				}
			}
			o := f.judge(w, c, undone)
			fl.env = w.env
			undone = o.accept.Or(o.rest)
			for _, n := range w.nats {
				hits = append(hits, n)
				undone = undone.Minus(n.set)
			}
		}
		same := fl
		same.Set = others.Or(undone)
		same.Accepted = within(fl.Accepted, same.Set)
		out = append(out, same)
		for _, n := range hits {
			out = append(out, f.rewrite(fl, n)...)
		}
	}
	f.flows = out
}

// established leaves open what becomes of the packets of connections that have
// been translated: they are sent on by a translation that is not known here.
func (f *follower) established() {
	e := f.e
	if len(f.flows) == 0 || f.flows[0].env.known.states&(packet.Established|packet.Related) == 0 {
		return
	}
	old := e.space.States(packet.Established | packet.Related)
	old = old.And(e.space.Bit(packet.Status, 15-statusSNAT).Or(e.space.Bit(packet.Status, 15-statusDNAT)))
	const text = "where a connection goes that has been translated"
	refused := old.And(e.varyingSet(text, text))
	for i := range f.flows {
		fl := &f.flows[i]
		theirs := fl.Set.And(old).Minus(fl.env.notrack)
		if theirs.Empty() {
			continue
		}
		f.res.Drop = f.res.Drop.Or(theirs.And(refused))
		f.admitted = f.admitted.Or(theirs.And(e.varyingSet(text+": admits", text)))
		fl.Set = fl.Set.Minus(theirs.And(refused))
	}
}

func within(rs []Reason, s packet.Set) []Reason {
	out := slices.Clone(rs)
	for i := range out {
		out[i].Set = out[i].Set.And(s)
	}
	return out
}

// rewrite returns the flows that one translation makes of a flow's packets.
func (f *follower) rewrite(fl Flow, n natHit) []Flow {
	fl.Set = n.set
	fl.Accepted = within(fl.Accepted, fl.Set)
	fl.env.version = f.e.nextVersion()
	if n.nat.Kind == SNAT || n.nat.Kind == Masquerade {
		f.rewriteSource(&fl, n)
		return []Flow{fl}
	}
	fl.Translated = n.rule
	before := fl.env
	var out []Flow
	for _, a := range f.rewriteAddr(fl, n) {
		out = append(out, f.rewritePort(a, n)...)
	}
	for i := range out {
		out[i].env.dnat = f.changed(&before, &out[i].env, n)
		out[i].env.version = f.e.nextVersion() // each has a destination of its own
	}
	return out
}

// changed returns the packets of which a translation has changed something:
// where it has not, the connection does not count as translated
// (nf_nat_setup_info).
func (f *follower) changed(before, after *env, n natHit) packet.Set {
	e := f.e
	if !n.nat.exact() {
		return f.mayChange(n)
	}
	s := e.differ(e.dstBits(before), e.dstBits(after))
	var ports []packet.Range
	for _, p := range []uint64{protoTCP, protoUDP, protoDCCP, protoSCTP, protoUDPLite} {
		ports = append(ports, packet.Range{Lo: p, Hi: p})
	}
	port := e.differ(e.dportBits(before), e.dportBits(after))
	return s.Or(port.And(e.space.Values(packet.Protocol, ports...)))
}

// exact reports whether a translation's result follows from the packet.
func (n NAT) exact() bool {
	for _, t := range []NATTarget{n.Addr, n.Port} {
		if t.Unknown || t.Map != nil && (t.Map.Opaque != "" || t.Map.Learns) {
			return false
		}
		if t.Map != nil && slices.ContainsFunc(t.Map.Elems, func(el Elem) bool { return el.DataHi != nil }) && !n.Prefix {
			return false
		}
		if t.Hi != nil && !bytes.Equal(t.Lo, t.Hi) && !n.Prefix {
			return false
		}
	}
	return true
}

func (f *follower) mayChange(n natHit) packet.Set {
	text := "whether the translation changes anything"
	return f.e.varyingSet(text+" of "+n.rule.Place(), text)
}

// differ returns the packets for which two numbers are not the same.
func (e *Engine) differ(a, b []packet.Set) packet.Set {
	s := e.space.None()
	for i := range a {
		s = s.Or(a[i].Xor(b[i]))
	}
	return s
}

// rewriteSource gives a flow the source that snat or masquerade chooses. The
// port is kept if that is possible, which is not known here; a source that is in
// the range already is kept as well (get_unique_tuple).
func (f *follower) rewriteSource(fl *Flow, n natHit) {
	e := f.e
	old := e.srcBits(&fl.env)
	a := n.nat.Addr
	kept := e.space.All() // the packets whose source may stay what it is
	switch single := a.Lo != nil && (a.Hi == nil || bytes.Equal(a.Lo, a.Hi)) && a.Map == nil && !a.Unknown; {
	case n.nat.Kind == SNAT && single && !n.nat.Prefix:
		kept = e.space.Between(old, []packet.Interval{{Lo: a.Lo, Hi: a.Lo}})
		fl.env.src = e.bits(&fl.env, Constant(a.Lo))
	case n.nat.Kind == SNAT && a.Lo == nil && a.Map == nil && !a.Unknown: // the port alone
	case n.nat.Kind == Masquerade && e.facts.Known:
		kept = e.addrs(old, e.facts.Local)
		fallthrough
	default:
		fl.env.src = f.unknownBits("a translated source address", n, len(old))
	}
	fl.env.snat = kept.Not().Or(f.mayChange(n))
	fl.env.sport = f.unknownBits("a translated source port", n, 16)
}

func (f *follower) rewriteAddr(fl Flow, n natHit) []Flow {
	if n.nat.Kind == Redirect {
		return f.redirect(fl, n)
	}
	set := func(fl *Flow, bits []packet.Set) { fl.env.dst = bits }
	return f.rewriteField(fl, n, n.nat.Addr, len(f.e.dstBits(&fl.env)), "a translated address", set)
}

func (f *follower) rewritePort(fl Flow, n natHit) []Flow {
	set := func(fl *Flow, bits []packet.Set) { fl.env.dport = bits }
	return f.rewriteField(fl, n, n.nat.Port, 16, "a translated port", set)
}

// rewriteField gives a flow the target's value; where it is one of several, the
// choice is an unknown.
func (f *follower) rewriteField(fl Flow, n natHit, t NATTarget, width int, what string, set func(*Flow, []packet.Set)) []Flow {
	switch {
	case t.Map != nil && !t.Unknown && t.Map.Opaque == "" && !t.Map.Learns:
		return f.rewriteByMap(fl, n, t, width, what, set)
	case t.Unknown || t.Map != nil:
		set(&fl, f.undecodedBits(what, n, width))
	case t.Lo == nil:
	case n.nat.Prefix && t.Hi != nil && width > 16:
		set(&fl, f.e.netmap(f.e.dstBits(&fl.env), t))
	case t.Hi == nil || bytes.Equal(t.Lo, t.Hi):
		set(&fl, f.e.bits(&fl.env, Constant(t.Lo)))
	default:
		bits := f.unknownBits(what, n, width)
		fl.Set = fl.Set.And(f.e.space.Between(bits, []packet.Interval{{Lo: t.Lo, Hi: t.Hi}}))
		set(&fl, bits)
	}
	return []Flow{fl}
}

func (f *follower) rewriteByMap(fl Flow, n natHit, t NATTarget, width int, what string, set func(*Flow, []packet.Set)) []Flow {
	w := f.newWalk(n.env, Prerouting) // as it came: the address may be translated already
	w.rule = n.rule
	key := w.keyBits(t.Key)
	live := fl.Set
	var out []Flow
	for _, el := range t.Map.Elems {
		hit := live
		if el.Key != nil {
			hit = live.And(f.e.union(key, [][]packet.Interval{intervals(el.Key)}))
		}
		live = live.Minus(hit)
		if hit.Empty() {
			continue
		}
		one := fl
		one.Set = hit
		target := NATTarget{Lo: part(el.Data, t.DataOffset, width), Hi: part(el.DataHi, t.DataOffset, width)}
		target.Unknown = target.Lo == nil
		out = append(out, f.rewriteField(one, n, target, width, what, set)...)
	}
	return out
}

// part cuts a target out of a map's data.
func part(data []byte, from, width int) []byte {
	if from+width/8 > len(data) {
		return nil
	}
	return data[from : from+width/8]
}

// netmap replaces the network part of an address.
func (e *Engine) netmap(bits []packet.Set, t NATTarget) []packet.Set {
	out := slices.Clone(bits)
	for i := range out {
		if i/8 >= len(t.Lo) || i/8 >= len(t.Hi) {
			break
		}
		lo, hi := t.Lo[i/8]>>(7-i%8)&1, t.Hi[i/8]>>(7-i%8)&1
		if lo == hi {
			out[i] = e.always(lo == 1)
		}
	}
	return out
}

// redirect sends packets to the first address of the interface they came by, and
// those that this host sends to its loopback address (nf_nat_redirect.c).
func (f *follower) redirect(fl Flow, n natHit) []Flow {
	e := f.e
	if f.way == WayOutput {
		to := netip.MustParseAddr("127.0.0.1")
		if e.family == IPv6 {
			to = netip.IPv6Loopback()
		}
		fl.env.dst = e.bits(&fl.env, Constant(to.AsSlice()))
		return []Flow{fl}
	}
	if !e.facts.Known {
		fl.env.dst = f.unknownBits("the address of an unknown interface", n, len(e.dstBits(&fl.env)))
		return []Flow{fl}
	}
	var out []Flow
	for _, i := range e.facts.Interfaces {
		on := fl.Set.And(e.ifaceSet(Interface{Name: i.Name}))
		if on.Empty() {
			continue
		}
		for _, r := range e.redirectTargets(&fl.env, i) {
			one := fl
			one.Set = on.And(r.dst)
			if one.Set.Empty() {
				continue // the kernel drops what it cannot redirect
			}
			one.env.dst = e.bits(&fl.env, Constant(r.addr.AsSlice()))
			out = append(out, one)
		}
	}
	return out
}

// redirectTarget is an address of an interface, and the destinations for which
// redirect chooses it.
type redirectTarget struct {
	addr netip.Addr
	dst  packet.Set
}

// redirectTargets are the choices among an interface's addresses: the first, but
// for IPv6 destinations of narrow scope the first of that scope
// (nf_nat_redirect_ipv6_usable).
func (e *Engine) redirectTargets(v *env, i HostInterface) []redirectTarget {
	first := func(in ...netip.Prefix) (netip.Addr, bool) {
		for _, p := range i.Addresses {
			a := p.Addr()
			if a.Is4() != (e.family == IPv4) || a.Is4In6() {
				continue
			}
			if len(in) == 0 || slices.ContainsFunc(in, func(p netip.Prefix) bool { return p.Contains(a) }) {
				return a, true
			}
		}
		return netip.Addr{}, false
	}
	rest := e.space.All()
	var out []redirectTarget
	if e.family == IPv6 {
		for _, scope := range [][]netip.Prefix{
			{linkLocal6, netip.MustParsePrefix("ff02::/16"), netip.MustParsePrefix("ff12::/16"), netip.MustParsePrefix("ff32::/16")},
			{netip.MustParsePrefix("fec0::/10"), netip.MustParsePrefix("ff05::/16"), netip.MustParsePrefix("ff15::/16"), netip.MustParsePrefix("ff35::/16")},
			{loopback6, netip.MustParsePrefix("ff01::/16"), netip.MustParsePrefix("ff11::/16"), netip.MustParsePrefix("ff31::/16")},
		} {
			narrow := e.addrs(e.dstBits(v), scope)
			rest = rest.Minus(narrow)
			if a, ok := first(scope...); ok {
				out = append(out, redirectTarget{a, narrow})
			}
		}
	}
	if a, ok := first(); ok {
		out = append(out, redirectTarget{a, rest})
	}
	return out
}

func (f *follower) unknownBits(what string, n natHit, width int) []packet.Set {
	return f.freshBits(f.e.varyingSet, what, n, width)
}

func (f *follower) undecodedBits(what string, n natHit, width int) []packet.Set {
	return f.freshBits(f.e.undecodedSet, what, n, width)
}

func (f *follower) freshBits(boolean func(content, text string) packet.Set, what string, n natHit, width int) []packet.Set {
	out := make([]packet.Set, width)
	for i := range out {
		out[i] = boolean(what+" of "+n.rule.Place()+" bit "+strconv.Itoa(i), what)
	}
	return out
}
