package firewall

import (
	"net/netip"
	"slices"

	"sekimori/packet"
)

// Published is a port of this host whose packets are translated: a container's, a
// port forward, or a redirection to another port of the host itself.
type Published struct {
	Protocol uint8
	Lo, Hi   uint16 // the ports on this host
	// To is where the packets go, invalid where it is not one address; ToPort is
	// 0 where the port is kept or not one.
	To     netip.Addr
	ToPort uint16
	Rule   Because
	Reach  Reach
}

// Published returns the ports of this host that translation sends elsewhere,
// those that nobody outside may use included.
func (x *Exposure) Published(rs *Ruleset) ([]Published, error) {
	var out []Published
	err := x.e.Do(func() error {
		out = x.published(rs)
		return nil
	})
	return out, err
}

func (x *Exposure) published(rs *Ruleset) []Published {
	e := x.e
	var out []Published
	for _, f := range e.translated(rs, x.outside) {
		to, toPort := f.target(e)
		sent := f.Set.And(e.space.Prefixes(packet.Dst, e.hostPrefixes()...))
		for _, proto := range f.Set.Ranges(packet.Protocol) {
			for n := proto.Lo; n <= proto.Hi; n++ {
				port := Port{Protocol: uint8(n)}
				if !port.hasPort() {
					continue
				}
				of := sent.And(e.space.Values(packet.Protocol, packet.Range{Lo: n, Hi: n}))
				for _, r := range of.Ranges(packet.DstPort) {
					out = addPublished(out, x.publishedPort(f, uint8(n), r, to, toPort))
				}
			}
		}
	}
	return out
}

// addPublished adds a port, once: a redirection leads to another address on each
// interface.
func addPublished(out []Published, p Published) []Published {
	for i, o := range out {
		if o.Protocol == p.Protocol && o.Lo == p.Lo && o.Hi == p.Hi && o.ToPort == p.ToPort && o.Rule == p.Rule {
			if o.To != p.To {
				out[i].To = netip.Addr{}
			}
			return out
		}
	}
	return append(out, p)
}

func (x *Exposure) publishedPort(f Flow, proto uint8, r packet.Range, to netip.Addr, toPort uint16) Published {
	e := x.e
	p := Published{
		Protocol: proto, Lo: uint16(r.Lo), Hi: uint16(r.Hi), To: to, ToPort: toPort,
		Rule: because(Reason{Rule: f.Translated}),
	}
	sent := e.space.Values(packet.Protocol, packet.Range{Lo: uint64(proto), Hi: uint64(proto)}).
		And(e.space.Values(packet.DstPort, r)).
		And(e.space.Prefixes(packet.Dst, e.hostPrefixes()...)).And(f.Set.May())
	var flows []accessFlow
	for _, t := range slices.Concat(x.inside, x.through) {
		if t.Translated == f.Translated {
			flows = append(flows, t)
		}
	}
	p.Reach = x.reach(Port{Protocol: proto, Number: p.Lo}, flows, func(*env) packet.Set { return sent })
	return p
}

// translated returns what the destination translations of a ruleset send
// elsewhere, before the input or the forward hook judges it. What they send to a
// socket by its own address and port is no news.
func (e *Engine) translated(rs *Ruleset, in packet.Set) []Flow {
	f := &follower{e: e, rs: rs, calls: newCallGraph(rs), way: WayForward}
	none := e.space.None()
	f.res = Result{Accept: none, Drop: none, Reject: none}
	v := e.newEnv()
	v.version = e.nextVersion()
	f.flows = []Flow{{Set: in, env: v}}
	f.atHook(Prerouting)
	return slices.DeleteFunc(f.flows, func(fl Flow) bool { return fl.Translated == nil })
}

// target returns where a flow is sent, as far as it is one address and port.
func (f Flow) target(e *Engine) (netip.Addr, uint16) {
	var to netip.Addr
	if b, ok := e.constant(f.env.dst); ok {
		to, _ = netip.AddrFromSlice(b)
	}
	var port uint16
	if b, ok := e.constant(f.env.dport); ok {
		port = uint16(b[0])<<8 | uint16(b[1])
	}
	return to, port
}

// constant returns bits as bytes, if none of them depends on the packet.
func (e *Engine) constant(bits []packet.Set) ([]byte, bool) {
	if len(bits) == 0 {
		return nil, false
	}
	out := make([]byte, len(bits)/8)
	for i, b := range bits {
		switch {
		case b == e.space.All():
			out[i/8] |= 1 << (7 - i%8)
		case b != e.space.None():
			return nil, false
		}
	}
	return out, true
}
