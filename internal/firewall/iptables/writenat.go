package iptables

import (
	"fmt"
	"net/netip"

	"sekimori/internal/firewall/acl"
)

// markMask are the bits of the packet mark that carry to nat's POSTROUTING by which
// interface a packet came, which cannot be asked there: the number of a
// translation, from 1.
const (
	markShift = 28
	markMask  = 0xf << markShift
)

// natCannot finds translations that iptables has no words for.
func (w *writer) natCannot(l *acl.List) acl.UnsupportedList {
	var bad acl.UnsupportedList
	marks := 0
	for _, t := range l.NAT {
		if t.Kind != acl.Destination && hasInterfaces(t.From) {
			marks++
		}
		if marks > markMask>>markShift {
			bad = append(bad, &acl.Unsupported{Target: w.target(), What: "more than 15 translations of sources by the interface they come from", Origin: t.Origin})
		}
	}
	return bad
}

func hasInterfaces(ps []acl.Peer) bool {
	for _, p := range ps {
		if len(p.Interfaces) > 0 {
			return true
		}
	}
	return false
}

// nat writes the translations.
func (w *writer) nat(ts []acl.Translation) {
	var pre, post, mark *chainText
	marks := 0
	for i := range ts {
		t := &ts[i]
		if t.ToAddress.IsValid() && t.ToAddress.Is6() != w.v6() {
			continue
		}
		if t.Kind == acl.Destination {
			if pre == nil {
				pre = w.base("nat", "PREROUTING", "ACCEPT")
			}
			w.destination(pre, t)
			continue
		}
		matches := w.translated(t, "-i ")
		if len(matches) == 0 {
			continue
		}
		if post == nil {
			post = w.base("nat", "POSTROUTING", "ACCEPT")
		}
		if hasInterfaces(t.From) {
			if mark == nil {
				mark = w.base("mangle", "FORWARD", "ACCEPT")
			}
			marks++
			mark.say(t.Origin)
			for _, m := range matches {
				mark.rule(m, fmt.Sprintf("-m mark --mark 0x0/%#x -j MARK --set-xmark %#x/%#x", markMask, marks<<markShift, markMask))
			}
			matches = []string{fmt.Sprintf("-m mark --mark %#x/%#x", marks<<markShift, markMask)}
		}
		post.say(t.Origin)
		for _, m := range matches {
			post.rule(m, comment(t.Origin), sourceText(t))
		}
	}
}

func sourceText(t *acl.Translation) string {
	if t.Kind == acl.Source {
		return "-j SNAT --to-source " + t.ToAddress.String()
	}
	return "-j MASQUERADE"
}

func (w *writer) destination(c *chainText, t *acl.Translation) {
	to := t.ToAddress.String()
	if t.ToPort != 0 {
		to = netip.AddrPortFrom(t.ToAddress, t.ToPort).String()
	}
	local := ""
	if t.Local {
		local = "-m addrtype --dst-type LOCAL"
	}
	c.say(t.Origin)
	for _, m := range w.translated(t, "-i ") {
		c.rule(m, local, comment(t.Origin), "-j DNAT --to-destination "+to)
	}
}

// translated is what a translation is about: all combinations, none for a
// translation that is about no packet of the family.
func (w *writer) translated(t *acl.Translation, in string) []string {
	var axes []axis
	for _, a := range []axis{
		names(in, t.In), names("-o ", t.Out), w.peers(t.From, in, "src"), w.peers(t.To, "-o ", "dst"), w.services(t.Services, "", false),
	} {
		switch {
		case a == nil:
		case len(a) == 0:
			return nil
		default:
			axes = append(axes, a)
		}
	}
	return product(axes)
}

// edge writes the stateless block: what comes in is dropped before it is tracked,
// what goes out where the interface is known.
func (w *writer) edge(l *acl.List) {
	e := l.Edge
	if e == nil {
		return
	}
	blocked := w.services(e.Services, "--ports", false)
	at := func(option string) axis {
		if e.All {
			return axis{"! " + option + "lo"}
		}
		return names(option, e.Interfaces)
	}
	if len(blocked) > 0 {
		c := w.base("raw", "PREROUTING", "ACCEPT")
		c.say(e.Origin)
		for _, m := range product([]axis{at("-i "), blocked}) {
			c.rule(m, comment(e.Origin), "-j DROP")
		}
	}
	c := w.base("mangle", "POSTROUTING", "ACCEPT")
	c.say(e.Origin)
	for _, m := range product([]axis{at("-o "), blocked}) {
		if len(blocked) > 0 {
			c.rule(m, comment(e.Origin), "-j DROP")
		}
	}
	if e.Broadcast {
		w.broadcast(c, at("-o "), l.Forward != nil, e.Origin)
	}
}

// broadcast drops what is sent to everybody on a link, or to a group, but for what
// keeps hosts on the network.
func (w *writer) broadcast(c *chainText, at axis, forwards bool, o acl.Origin) {
	pass := []string{"-p 2", "-p udp -m udp --dport 67:68"}
	kinds := axis{"-m addrtype --dst-type BROADCAST", "-m addrtype --dst-type MULTICAST"}
	if w.v6() {
		pass = []string{"-p udp -m udp --dport 546:547"}
		for _, t := range []int{130, 131, 132, 133, 134, 135, 136, 137, 143} {
			pass = append(pass, fmt.Sprintf("-p ipv6-icmp -m icmp6 --icmpv6-type %d", t))
		}
		kinds = kinds[1:]
	}
	if forwards {
		pass = append(pass, "-m conntrack --ctstate DNAT")
	}
	for _, m := range pass {
		c.rule(m, "-j RETURN")
	}
	for _, m := range product([]axis{at, kinds}) {
		c.rule(m, comment(o), "-j DROP")
	}
}
