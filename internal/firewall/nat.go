package firewall

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"

	"sekimori/packet"
)

// translate asks the nat chains of a hook for the packets that begin a
// connection; the first translation found counts. Packets of other states are
// taken as not translated: their connection's is not known here.
func (f *follower) translate(h Hook, chains []*Chain) {
	e := f.e
	var out []Flow
	for _, fl := range f.flows {
		begins := fl.Set.And(e.states(&fl.env, packet.New)).Minus(fl.env.notrack)
		others := fl.Set.Minus(begins)
		var hits []natHit
		undone := begins
		for _, c := range chains {
			w := f.newWalk(fl.env, h)
			if f.reasons {
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
		fl.env.snat = true
		fl.env.src = f.unknownBits("a translated source address", n, len(f.e.srcBits(&fl.env)))
		fl.env.sport = f.unknownBits("a translated source port", n, 16)
		return []Flow{fl}
	}
	fl.env.dnat = true
	fl.Translated = n.rule
	var out []Flow
	for _, a := range f.rewriteAddr(fl, n) {
		out = append(out, f.rewritePort(a, n)...)
	}
	return out
}

func (f *follower) rewriteAddr(fl Flow, n natHit) []Flow {
	e := f.e
	bits := f.e.dstBits(&fl.env)
	if n.nat.Kind == Redirect {
		return f.redirect(fl, n)
	}
	if n.nat.Prefix && n.nat.Addr.Lo != nil {
		fl.env.dst = e.netmap(bits, n.nat.Addr)
		return []Flow{fl}
	}
	set := func(fl *Flow, bits []packet.Set) { fl.env.dst = bits }
	return f.rewriteField(fl, n, n.nat.Addr, len(bits), "a translated address", set)
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
	w := f.newWalk(fl.env, Prerouting)
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

// redirect sends packets to the first address of the interface they came by
// (nf_nat_redirect.c).
func (f *follower) redirect(fl Flow, n natHit) []Flow {
	e := f.e
	if !e.facts.Known {
		fl.env.dst = f.unknownBits("the address of an unknown interface", n, len(e.dstBits(&fl.env)))
		return []Flow{fl}
	}
	var out []Flow
	for _, i := range e.facts.Interfaces {
		one := fl
		one.Set = fl.Set.And(e.ifaceSet(Interface{Name: i.Name}))
		k := slices.IndexFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr().Is4() == (e.family == IPv4) })
		if k < 0 || one.Set.Empty() {
			continue // the kernel drops what it cannot redirect
		}
		one.env.dst = e.bits(&fl.env, Constant(i.Addresses[k].Addr().AsSlice()))
		out = append(out, one)
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
