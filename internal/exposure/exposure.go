// Package exposure answers who may reach the sockets of a host, and the ports
// that it forwards, over a snapshot: package firewall says what the rules mean,
// package host what listens, this package puts the two together. It is pure.
//
// A socket that takes packets of both families is asked about in both, and gets
// one answer. Sockets that only take packets of one peer (connected UDP) are not
// listening and are left out, as are raw sockets that can only send.
package exposure

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"sekimori/internal/firewall"
	"sekimori/internal/host"
)

// Socket is a listening socket and who may reach it.
type Socket struct {
	host.Socket
	// Owner is the first of the processes that hold it, nil where unknown.
	Owner *host.Process
	// Device is the name of the interface that it is bound to, "" for any.
	Device string
	Reach  Reach
}

// Forward is a port of this host that translation sends elsewhere.
type Forward struct {
	firewall.Published
	// Family is 4 or 6.
	Family int
	// Container is the name, or else the id, of the container it leads to.
	Container string
	// Reach hides Published's, with which it agrees.
	Reach Reach
}

// Reach is who may reach something, in both families together.
type Reach struct {
	// Verdict is the most alarming of the families'. Where one family is open to
	// anyone and the other undecided it is ReachAnyone, and Undecided is not empty.
	Verdict firewall.ReachVerdict
	From    []firewall.Sources
	// Blocked is what refuses the rest, of the first family that was asked.
	Blocked   *firewall.Because
	Undecided []string
	// Note says why nobody can, where no rule is to thank for it.
	Note string
}

// Host is a host whose rules have been evaluated, ready to be asked.
type Host struct {
	snapshot *host.Snapshot
	rules    *firewall.Ruleset
	families []family
	devices  map[int]string
	owners   map[int]*host.Process
	localnet bool // some interface takes packets to 127.0.0.0/8 from outside
}

// family is the evaluation of one family; err is not nil where it could not be
// finished (firewall.Undecided).
type family struct {
	number int
	x      *firewall.Exposure
	err    error
	asked  map[firewall.Port]firewall.Reach
}

// Evaluate works out what the rules mean for packets from outside, in the
// families given, none meaning both: a file of iptables-save says nothing about
// IPv6. A family that exceeds the node budget (maxNodes, 0 for the default) is
// answered with "undecided".
func Evaluate(s *host.Snapshot, rules *firewall.Ruleset, maxNodes int, families ...firewall.Family) *Host {
	h := &Host{snapshot: s, rules: rules, devices: map[int]string{}, owners: map[int]*host.Process{}}
	for _, i := range s.Interfaces {
		h.devices[i.Index] = i.Name
	}
	for i := range s.Processes {
		h.owners[s.Processes[i].PID] = &s.Processes[i]
	}
	facts := s.Facts()
	h.localnet = len(facts.RouteLocalnet) > 0
	if len(families) == 0 {
		families = []firewall.Family{firewall.IPv4, firewall.IPv6}
	}
	h.families = make([]family, len(families))
	var wait sync.WaitGroup
	for i, f := range families {
		wait.Go(func() {
			e := firewall.NewEngine(f, facts, maxNodes, rules)
			x, err := e.NewExposure(rules)
			number := map[firewall.Family]int{firewall.IPv4: 4, firewall.IPv6: 6}[f]
			h.families[i] = family{number, x, err, map[firewall.Port]firewall.Reach{}}
		})
	}
	wait.Wait()
	return h
}

// Only is the same host in one family alone. Where that family was not evaluated,
// every answer is undecided.
func (h *Host) Only(f firewall.Family) *Host {
	number := map[firewall.Family]int{firewall.IPv4: 4, firewall.IPv6: 6}[f]
	one := *h
	one.families = slices.DeleteFunc(slices.Clone(h.families), func(f family) bool { return f.number != number })
	if len(one.families) == 0 {
		one.families = []family{{number: number, err: errors.New("the rules were not evaluated for it"), asked: map[firewall.Port]firewall.Reach{}}}
	}
	return &one
}

// Interfaces are the names of the interfaces that packets come in by, as they
// are in answers.
func (h *Host) Interfaces() []string {
	var names []string
	for _, f := range h.families {
		if f.err != nil {
			continue
		}
		for _, n := range f.x.Interfaces() {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// Sockets returns all listening sockets, in the snapshot's order.
func (h *Host) Sockets() []Socket {
	var out []Socket
	for _, s := range h.snapshot.Sockets {
		if s.Connected() || s.Proto == "raw" && s.Local.Port() == ipprotoRaw {
			continue
		}
		out = append(out, h.name(s))
	}
	h.ask(out)
	return out
}

// ipprotoRaw is IPPROTO_RAW: a raw socket that receives nothing (raw(7)).
const ipprotoRaw = 255

// name finds out whose a socket is, and where it is bound.
func (h *Host) name(s host.Socket) Socket {
	k := Socket{Socket: s, Device: h.devices[s.Interface]}
	if len(s.Owners) > 0 {
		k.Owner = h.owners[s.Owners[0]]
	}
	return k
}

// ask fills in who may reach the sockets. The families are asked side by side.
func (h *Host) ask(sockets []Socket) {
	answers := make([][]firewall.Reach, len(h.families))
	var wait sync.WaitGroup
	for i := range h.families {
		f := &h.families[i]
		answers[i] = make([]firewall.Reach, len(sockets))
		wait.Go(func() {
			for j, k := range sockets {
				if p, ok := h.question(k); ok && f.concerns(k.Socket) {
					answers[i][j] = f.socket(p)
				}
			}
		})
	}
	wait.Wait()
	for j := range sockets {
		k := &sockets[j]
		if _, ok := h.question(*k); !ok {
			k.Reach = k.unasked()
			continue
		}
		for i := range h.families {
			k.Reach.add(answers[i][j])
		}
		h.explain(&k.Reach)
	}
}

// explain adds why nobody can come where no rule is to thank for it.
func (h *Host) explain(r *Reach) {
	if r.Verdict == firewall.ReachNone && r.Blocked == nil && r.Note == "" && len(h.Interfaces()) == 0 {
		r.Note = "there is no interface but loopback"
	}
}

// question is what to ask the rules about a socket; false where they are not to
// be asked.
func (h *Host) question(k Socket) (firewall.Port, bool) {
	addr := k.Local.Addr().WithZone("").Unmap()
	number, known := protocolNumber(k.Proto)
	p := firewall.Port{Protocol: number, Number: k.Local.Port(), Addr: addr, Interface: k.Device}
	if k.Proto == "raw" {
		p.Protocol, p.Number, p.Raw = uint8(k.Local.Port()), 0, true
	}
	closed := addr.IsLoopback() && (addr.Is6() || !h.localnet)
	return p, known && !closed && (k.Interface == 0 || k.Device != "")
}

// unasked is the answer about a socket that the rules are not asked about.
func (k Socket) unasked() Reach {
	if k.Local.Addr().WithZone("").Unmap().IsLoopback() {
		return Reach{Note: "bound to a loopback address"}
	}
	why := "protocol " + k.Proto + " is not known here"
	if _, known := protocolNumber(k.Proto); known {
		why = fmt.Sprintf("interface number %d is not known", k.Interface)
	}
	return Reach{Verdict: firewall.ReachUndecided, Undecided: []string{why}}
}

// concerns reports whether a socket takes packets of the family.
func (f *family) concerns(s host.Socket) bool {
	return f.number == 4 && s.Takes4 || f.number == 6 && s.Takes6
}

// socket answers about sockets; those that differ in nothing that matters, as
// workers that share a port, are asked about once.
func (f *family) socket(p firewall.Port) firewall.Reach {
	if r, ok := f.asked[p]; ok {
		return r
	}
	r := f.answer(func(x *firewall.Exposure) (firewall.Reach, error) { return x.Socket(p) })
	f.asked[p] = r
	return r
}

// answer puts a question to the family's rules; an answer that cannot be had is
// undecided.
func (f *family) answer(question func(*firewall.Exposure) (firewall.Reach, error)) firewall.Reach {
	err := f.err
	var r firewall.Reach
	if err == nil {
		r, err = question(f.x)
	}
	if err != nil {
		return firewall.Reach{Verdict: firewall.ReachUndecided, Undecided: []string{fmt.Sprintf("IPv%d: %v", f.number, err)}}
	}
	return r
}

// severity orders verdicts; open to anyone outranks undecided, which outranks
// what is known to be limited.
func severity(v firewall.ReachVerdict) int {
	return slices.Index([]firewall.ReachVerdict{
		firewall.ReachNone, firewall.ReachSome, firewall.ReachUndecided, firewall.ReachAnyone,
	}, v)
}

func (r *Reach) add(part firewall.Reach) {
	if severity(part.Verdict) > severity(r.Verdict) {
		r.Verdict = part.Verdict
	}
	r.From = append(r.From, part.From...)
	if r.Blocked == nil {
		r.Blocked = part.Blocked
	}
	for _, u := range part.Undecided {
		if !slices.Contains(r.Undecided, u) {
			r.Undecided = append(r.Undecided, u)
		}
	}
}

// merge adds what others may do to what r says.
func (r *Reach) merge(o Reach) {
	r.add(firewall.Reach{Verdict: o.Verdict, From: o.From, Blocked: o.Blocked, Undecided: o.Undecided})
	r.Note = cmp.Or(r.Note, o.Note)
}

// Forwards returns the ports that translation sends on to other hosts or
// containers, as far as they could be worked out: an error comes beside them.
func (h *Host) Forwards() ([]Forward, error) {
	var out []Forward
	var failed error
	for _, f := range h.families {
		err := f.err
		var published []firewall.Published
		if err == nil {
			published, err = f.x.Published(h.rules)
		}
		if err != nil {
			failed = fmt.Errorf("forwarded ports, IPv%d: %w", f.number, err)
			continue
		}
		for _, p := range published {
			w := Forward{Published: p, Family: f.number, Container: h.containerAt(p.To)}
			w.Reach.add(p.Reach)
			for i := range w.Reach.From {
				if w.Reach.From[i].Because.Chain == "" { // then it is the translation that lets them in
					w.Reach.From[i].Because = p.Rule
				}
			}
			out = append(out, w)
		}
	}
	return out, failed
}

func (h *Host) containerAt(a netip.Addr) string {
	for _, c := range h.snapshot.Containers {
		if slices.Contains(c.Addresses, a) {
			return cmp.Or(c.Name, c.ID[:min(12, len(c.ID))])
		}
	}
	return ""
}

// protocolNumber returns the IANA number of a protocol with ports.
func protocolNumber(proto string) (uint8, bool) {
	switch proto {
	case "tcp":
		return 6, true
	case "udp":
		return 17, true
	case "dccp":
		return 33, true
	case "sctp":
		return 132, true
	case "udplite":
		return 136, true
	case "raw":
		return 0, true
	}
	return 0, false
}

// ProtocolName is the name of a protocol with ports, "" if it is none.
func ProtocolName(number uint8) string {
	for _, name := range []string{"tcp", "udp", "dccp", "sctp", "udplite"} {
		if n, _ := protocolNumber(name); n == number {
			return name
		}
	}
	return ""
}
