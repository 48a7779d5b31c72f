package exposure

import (
	"fmt"
	"net/netip"

	"sekimori/internal/firewall"
)

// Port is the answer about one port: what becomes of packets that are sent to it.
type Port struct {
	// Sockets listen there. Their own Reach is by whatever port, as that of
	// [Host.Sockets] is.
	Sockets []Socket
	// Forwards are what translation makes of the port, Via the other ports that it
	// leads to this one.
	Forwards, Via []Forward
	// Reach is who may reach what is sent to this port: sockets or, translated,
	// something else. Where there is neither, it is who could reach a socket that
	// listened on every address.
	Reach Reach
}

// Port answers about one port. The error is about the question.
func (h *Host) Port(proto string, number uint16) (Port, error) {
	n, ok := protocolNumber(proto)
	if !ok {
		return Port{}, fmt.Errorf("protocol %q has no ports", proto)
	}
	var p Port
	for _, s := range h.snapshot.Sockets {
		if s.Proto == proto && s.Local.Port() == number && !s.Connected() {
			p.Sockets = append(p.Sockets, h.name(s))
		}
	}
	h.ask(p.Sockets)
	all, err := h.Forwards()
	if err != nil {
		p.Reach.add(firewall.Reach{Verdict: firewall.ReachUndecided, Undecided: []string{err.Error()}})
	}
	for _, f := range all {
		if f.Protocol != n {
			continue
		}
		if f.Lo <= number && number <= f.Hi {
			p.Forwards = append(p.Forwards, f)
		}
		if f.leadsTo(number) {
			p.Via = append(p.Via, f)
		}
	}
	for _, k := range p.Sockets {
		if len(p.Via) == 0 {
			p.Reach.merge(k.Reach)
		} else {
			p.Reach.merge(h.sentTo(k))
		}
	}
	for _, f := range p.Forwards {
		p.Reach.merge(f.Reach)
	}
	if p.Sockets == nil && p.Forwards == nil && err == nil {
		for i := range h.families {
			p.Reach.add(h.families[i].arriving(firewall.Port{Protocol: n, Number: number}))
		}
		h.explain(&p.Reach)
	}
	return p, nil
}

// leadsTo reports whether packets to another port end, or may end, at this one.
func (f Forward) leadsTo(number uint16) bool {
	other := f.Lo != number || f.Hi != number
	switch f.ToPort {
	case number:
		return other
	case 0: // the port is kept, or is none that could be told
		return other && !(f.Lo <= number && number <= f.Hi)
	}
	return false
}

// sentTo is who may reach a socket by its own port. One bound to an address gets
// the narrower of two answers that are both too wide by nothing but others'
// packets: those sent to the port at any address, and those that come to the
// socket by any port.
func (h *Host) sentTo(k Socket) Reach {
	q, ok := h.question(k)
	if !ok {
		return k.Reach
	}
	anywhere := !q.Addr.IsValid() || q.Addr.IsUnspecified()
	q.Addr = netip.Addr{}
	var r Reach
	for i := range h.families {
		if f := &h.families[i]; f.concerns(k.Socket) {
			r.add(f.arriving(q))
		}
	}
	h.explain(&r)
	if !anywhere && severity(k.Reach.Verdict) < severity(r.Verdict) {
		return k.Reach
	}
	return r
}

// arriving answers about packets sent to a port.
func (f *family) arriving(p firewall.Port) firewall.Reach {
	return f.answer(func(x *firewall.Exposure) (firewall.Reach, error) { return x.Arriving(p) })
}
