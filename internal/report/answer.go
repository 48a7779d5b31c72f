package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/exposure"
	"sekimori/internal/firewall"
	"sekimori/internal/host"
	"sekimori/packet"
)

// NewPorts is the answer about all sockets and forwarded ports of a host, worst
// first.
func NewPorts(h *exposure.Host, s *host.Snapshot) Ports {
	p := Ports{Unseen: newUnseen(s)}
	for _, k := range h.Sockets() {
		p.Sockets = append(p.Sockets, newSocket(k, s))
	}
	forwards, err := h.Forwards()
	if err != nil {
		p.Unseen = append(p.Unseen, Unseen{"forwarded ports", err.Error()})
	}
	for _, f := range forwards {
		p.Sockets = append(p.Sockets, newForward(f))
	}
	for _, k := range p.Sockets {
		p.Down = down(p.Down, k.Reach, s)
	}
	p.Sort()
	return p
}

// down adds the interfaces of an answer that are not up.
func down(known []string, r Reach, s *host.Snapshot) []string {
	if s.Misses(host.SectionInterfaces) {
		return known
	}
	for _, g := range r.From {
		isDown := slices.ContainsFunc(s.Interfaces, func(i host.Interface) bool { return i.Name == g.Interface && !i.Up })
		if isDown && !slices.Contains(known, g.Interface) {
			known = append(known, g.Interface)
		}
	}
	return known
}

func newUnseen(s *host.Snapshot) []Unseen {
	var out []Unseen
	for _, u := range s.Unseen {
		if !auditOnly(u.Section) {
			out = append(out, Unseen(u))
		}
	}
	return out
}

func newSocket(k exposure.Socket, s *host.Snapshot) Socket {
	r := Socket{
		Proto: k.Proto, Address: address(k), Port: k.Local.Port(), Listening: true,
		Interface: k.Device, Reach: newReach(k.Reach),
	}
	if k.Owner == nil {
		if len(k.Owners) > 0 {
			r.PID = k.Owners[0]
		}
		r.User = userName(k.UID)
		return r
	}
	r.PID, r.Process, r.User = k.Owner.PID, k.Owner.Name, k.Owner.User
	if r.User == "" {
		r.User = userName(k.Owner.UID)
	}
	r.Unit, r.Package = k.Owner.Unit, k.Owner.Package
	r.Container = containerName(k.Owner.Container, s)
	return r
}

// userName is the name of a user of which only the number is known.
func userName(uid uint32) string {
	if uid == 0 {
		return "root"
	}
	return strconv.FormatUint(uint64(uid), 10)
}

// address is the one the socket is bound to; "*" stands for all of both families.
func address(k exposure.Socket) string {
	a := k.Local.Addr().WithZone("")
	if a.Is6() && a.IsUnspecified() && k.Takes4 && k.Takes6 {
		return "*"
	}
	return a.Unmap().String()
}

func containerName(id string, s *host.Snapshot) string {
	for _, c := range s.Containers {
		if c.ID == id && c.Name != "" {
			return c.Name
		}
	}
	return id[:min(12, len(id))]
}

func newForward(f exposure.Forward) Socket {
	any := map[int]string{4: netip.IPv4Unspecified().String(), 6: netip.IPv6Unspecified().String()}
	to := "elsewhere"
	if f.To.IsValid() {
		to = f.To.String()
		if f.ToPort != 0 {
			to = netip.AddrPortFrom(f.To, f.ToPort).String()
		}
	}
	if f.Container != "" {
		to += " (" + f.Container + ")"
	}
	s := Socket{
		Proto: exposure.ProtocolName(f.Protocol), Address: any[f.Family], Port: f.Lo, To: to,
		Container: f.Container, Reach: newReach(f.Reach),
	}
	if f.Hi != f.Lo {
		s.LastPort = f.Hi
	}
	return s
}

func newReach(r exposure.Reach) Reach {
	out := Reach{Verdict: Verdict(r.Verdict.String()), Why: r.Undecided}
	for _, f := range r.From {
		out.From = append(out.From, newGroup(f))
	}
	if r.Verdict == firewall.ReachNone {
		switch {
		case r.Note != "":
			out.Why = []string{r.Note}
		case r.Blocked != nil:
			out.Why = []string{"kept out by " + newRule(*r.Blocked).line()}
		}
	}
	return out
}

func newGroup(f firewall.Sources) Group {
	g := Group{
		Interface: f.Interface, Sources: prefixes(f.Sources), Except: prefixes(f.Except),
		Certain: f.Certain, Depends: f.Depends, Because: newRule(f.Because),
	}
	if f.Group.IsValid() {
		g.Group = f.Group.String()
	}
	return g
}

func prefixes(ps []netip.Prefix) []string {
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = p.String()
	}
	return out
}

func newRule(b firewall.Because) Rule {
	return Rule{Table: b.Table, Chain: b.Chain, Rule: b.Rule, Line: b.Line, Text: b.Text}
}

// NewPort is the answer about one port. From restricts it to one source where it
// is valid. Silent are the families that the rules are not about, with the
// reason: what they would change is unknown.
func NewPort(h *exposure.Host, s *host.Snapshot, proto string, number uint16, from netip.Addr, silent []Unseen) (Port, error) {
	found, err := h.Port(proto, number)
	if err != nil {
		return Port{}, err
	}
	p := Port{
		Port: strconv.Itoa(int(number)) + "/" + proto, Listening: len(found.Sockets) > 0,
		Reach: newReach(found.Reach), Unseen: newUnseen(s),
	}
	for _, k := range found.Sockets {
		n := newSocket(k, s)
		who := n.owner() + " on " + n.place()
		if n.PID != 0 {
			who = fmt.Sprintf("%s, pid %d, on %s", n.owner(), n.PID, n.place())
		}
		p.Process = append(p.Process, who)
	}
	for _, f := range found.Forwards {
		p.Process = append(p.Process, "forwarded to "+newForward(f).To)
	}
	for _, f := range found.Via {
		if name := newForward(f).Name(); p.Listening && !slices.Contains(p.Via, name) {
			p.Via = append(p.Via, name)
		}
	}
	if from.IsValid() {
		p.Reach = p.Reach.only(from)
		p.Down = down(nil, p.Reach, s)
		return p, nil // its family is not a silent one
	}
	p.Down = down(nil, p.Reach, s)
	p.silence(silent)
	return p, nil
}

// silence adds the families that nothing is known about. Where nobody is known to
// come, the answer hangs on them.
func (p *Port) silence(families []Unseen) {
	if len(families) == 0 {
		return
	}
	p.Unseen = append(p.Unseen, families...)
	if p.Reach.Verdict != Nobody {
		return
	}
	p.Reach.Verdict, p.closedIn = Undecided, otherFamily(families[0].Section)
	for _, u := range families {
		p.Reach.Why = append(p.Reach.Why, u.Section+": "+u.Reason)
	}
}

// otherFamily is the family that is not the named one.
func otherFamily(name string) string {
	if name == familyName(firewall.IPv6) {
		return familyName(firewall.IPv4)
	}
	return familyName(firewall.IPv6)
}

// only restricts an answer to one source address.
func (r Reach) only(a netip.Addr) Reach {
	out := Reach{Verdict: Nobody, Why: r.Why}
	for _, g := range r.From {
		if !holds(g.Sources, a) || holds(g.Except, a) {
			continue
		}
		g.Sources, g.Except = []string{netip.PrefixFrom(a, a.BitLen()).String()}, nil
		out.From = append(out.From, g)
		out.Verdict = Some
	}
	switch {
	case out.Verdict == Some:
		out.Why = nil
	case len(r.Why) > 0 && r.Verdict != Nobody:
		out.Verdict = Undecided
	}
	return out
}

func holds(list []string, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(s string) bool {
		p, err := netip.ParsePrefix(s)
		return err == nil && p.Contains(a)
	})
}

// NewTrace is the answer about one packet.
func NewTrace(p packet.Packet, t firewall.Trace, s *host.Snapshot) Trace {
	out := Trace{Verdict: t.Verdict.String(), Packet: shortPacket(p), Unseen: newUnseen(s)}
	for _, s := range t.Steps {
		if s.Maybe && s.Effect != noMatch {
			s.Effect = "maybe " + s.Effect
		}
		out.Steps = append(out.Steps, Step{
			Hook: s.Hook.String(), Table: s.Table, Chain: s.Chain, Rule: s.Rule, Line: s.Line, Text: s.Text, Effect: s.Effect,
		})
	}
	switch {
	case t.Verdict == firewall.TraceUndecided:
		out.Reason = "depends on " + strings.Join(t.Depends, ", ")
		out.Depends = t.Depends
	case t.Unrouted:
		out.Reason = "routing, not a rule, ends its way " + t.Way.String()
	default:
		out.Reason = newRule(t.Because).line()
	}
	if t.Translated != nil {
		out.Reason += "; its destination was rewritten by " + newRule(*t.Translated).line()
	}
	return out
}

// line is place and text of a rule.
func (r Rule) line() string {
	if p := r.Place(); p != "" {
		return p + ": " + r.Text
	}
	return r.Text
}

// NewDiff is the answer about two rulesets, from the changes of each family and
// way, what could not be decided, and the families that were not compared.
func NewDiff(changes []firewall.Change, why []string, silent []Unseen) Diff {
	d := Diff{Equal: len(changes) == 0 && len(why) == 0, Why: why, Unseen: silent}
	for _, c := range changes {
		ch := Change{
			From: c.From.String(), To: c.To.String(), Way: c.Way.String(), Family: familyName(c.Family),
			Example: shortPacket(c.Example), OldRule: newRule(c.Old), NewRule: newRule(c.New),
		}
		for _, b := range c.Packets {
			ch.Packets = append(ch.Packets, plainUnknowns(b.String()))
		}
		if c.More {
			ch.Packets = append(ch.Packets, "and more")
		}
		d.Changes = append(d.Changes, ch)
	}
	return d
}

// shortPacket writes a packet without what goes without saying, and what
// `sekimori trace` therefore adds again: no fragment, no mark, and the SYN of a
// new TCP connection.
func shortPacket(p packet.Packet) string {
	head, quoted, _ := strings.Cut(p.String(), `"`) // names in quotes may hold anything
	if quoted != "" {
		quoted = `"` + quoted
	}
	head += " "
	for _, said := range []string{"frag 0x0000 ", "mark 0x0 "} {
		head = strings.Replace(head, " "+said, " ", 1)
	}
	if strings.HasPrefix(head, "tcp ") && strings.Contains(head, " new ") {
		head = strings.Replace(head, " flags syn ", " ", 1)
	}
	return strings.TrimSuffix(head+quoted, " ")
}

// plainUnknowns takes the marks off the names of what a box leaves to chance.
func plainUnknowns(box string) string {
	return strings.NewReplacer("unless ~ ", "unless ", "with ~ ", "with ", "unless ? ", "unless ", "with ? ", "with ").Replace(box)
}

// Silent are the families that a source of rules says nothing about, given those
// that it is about.
func Silent(source string, about []firewall.Family) []Unseen {
	var out []Unseen
	for _, f := range []firewall.Family{firewall.IPv4, firewall.IPv6} {
		if !slices.Contains(about, f) {
			out = append(out, Unseen{familyName(f), source + " says nothing about it"})
		}
	}
	return out
}

func familyName(f firewall.Family) string {
	if f == firewall.IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// auditOnly reports whether a section of a snapshot bears on audits alone, and not
// on who may reach what.
func auditOnly(section string) bool {
	switch section {
	case host.SectionAccounts, host.SectionSSH, host.SectionSudo, host.SectionUnits, host.SectionStartup, host.SectionUpdates, host.SectionSettings,
		host.SectionKernel, host.SectionMounts, host.SectionLogging, host.SectionClock, host.SectionWeb, host.SectionIntegrity,
		host.SectionConnections, host.SectionPrograms, host.SectionProvider:
		return true
	}
	return false
}
