// Package policygen makes random policies for tests: valid ones, dense with rules that
// overlap, about few interfaces, addresses and ports, so that random packets meet
// many of them.
//
//	text := policygen.Policy(r.IntN, policygen.Options{Rates: true})
package policygen

import (
	"fmt"
	"slices"
	"strings"
)

// Options say what a policy may contain beside inbound rules.
type Options struct {
	Rates      bool
	Outbound   bool
	Users      bool // rules of outbound about users 100 to 103
	Router     bool
	Containers bool
	Edge       bool
	// Portable leaves out what some packet filter has no words for.
	Portable bool
}

// Interfaces are those that the zones are made of, in order: outside, inside.
var Interfaces = [2]string{"h0", "h1"}

// maker draws a policy.
type maker struct {
	strings.Builder
	n func(int) int
	o Options
}

// Policy returns the text of a policy. N draws a number from 0 to n-1.
func Policy(n func(int) int, o Options) string {
	m := &maker{n: n, o: o}
	m.WriteString("version: 1\n")
	m.zones()
	m.lists()
	m.inbound()
	if o.Outbound {
		m.outbound()
	}
	if o.Router {
		m.router()
	}
	if o.Containers {
		fmt.Fprintf(m, "containers: %s\n", m.one("enforce", "observe", "off"))
	}
	if o.Edge {
		fmt.Fprintf(m, "edge: {interface: %s, block: [%s%s]}\n", Interfaces[0], m.several(1, 3, m.port), m.one("", ", broadcast"))
	}
	if m.percent(30) {
		m.WriteString("guard: {never: [friends]}\n")
	}
	return m.String()
}

func (m *maker) one(from ...string) string { return from[m.n(len(from))] }

func (m *maker) percent(p int) bool { return m.n(100) < p }

// several joins some things, at least from, at most to.
func (m *maker) several(from, to int, thing func() string) string {
	var out []string
	for range from + m.n(to-from+1) {
		if s := thing(); !contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, ", ")
}

func contains(all []string, s string) bool {
	return slices.Contains(all, s)
}

func (m *maker) zones() {
	fmt.Fprintf(m, "zones:\n  outside: {interfaces: %s}\n  inside: {interfaces: %s%s}\n  vpn: {interfaces: \"wg*\"}\n",
		Interfaces[0], Interfaces[1], m.one("", ", networks: [198.51.100.0/25, \"2001:db8:2::/65\"]", ", networks: \"2001:db8:2::/64\""))
}

func (m *maker) lists() {
	fmt.Fprintf(m, "lists:\n  friends: [%s]\n  others: [%s%s]\n", m.several(1, 4, m.address), m.several(1, 6, m.address), m.one("", ", friends"))
}

// address is one of few that overlap, from the networks of the referee's world.
func (m *maker) address() string {
	k, bits := m.n(8), m.n(3)
	switch m.n(8) {
	case 0:
		return fmt.Sprintf("192.0.2.%d/%d", k&^3<<bits, 30-bits)
	case 1:
		return fmt.Sprintf("198.51.100.%d", k*9)
	case 2:
		return fmt.Sprintf("192.0.2.%d-192.0.2.%d", k*5, k*5+m.n(90))
	case 3:
		return fmt.Sprintf("\"2001:db8:1::/%d\"", 48+16*m.n(3)+bits*4)
	case 4:
		return fmt.Sprintf("\"2001:db8:2::%x\"", k*9)
	case 5:
		return fmt.Sprintf("\"2001:db8:1::%x-2001:db8:1::%x\"", k*5, k*5+m.n(90))
	case 6:
		return m.one("203.0.113.0/25", "203.0.113.64/26", "\"2001:db8:f::/56\"")
	}
	return m.one("0.0.0.0/0", "\"::/0\"", "0.0.0.0/1", "\"2000::/3\"", "192.0.2.0/24", "\"2001:db8:1::/64\"")
}

func (m *maker) source() string {
	if m.percent(40) {
		return m.one("friends", "others")
	}
	return m.address()
}

func (m *maker) peer() string {
	if m.percent(30) {
		return m.one("outside", "inside", "vpn")
	}
	if m.percent(5) {
		return "anywhere"
	}
	return m.source()
}

func (m *maker) port() string {
	lo := 20 + m.n(12)
	proto := m.one("tcp", "tcp", "tcp", "udp", "udp", "sctp")
	if m.o.Portable {
		proto = m.one("tcp", "udp")
	}
	if m.percent(30) {
		return fmt.Sprintf("%d-%d/%s", lo, lo+m.n(12), proto)
	}
	return fmt.Sprintf("%d/%s", lo, proto)
}

func (m *maker) service() string {
	switch m.n(10) {
	case 0:
		return m.one("ping", "icmpv4/13", "icmpv6/139", "icmp/destination-unreachable")
	case 1:
		return m.one("gre", "esp", "udp", "tcp", "any")
	case 2:
		return m.one("ssh", "dns", "ipsec", "https")
	}
	return m.port()
}

func (m *maker) rate(perSource bool) string {
	if !m.o.Rates || !m.percent(25) {
		return ""
	}
	source := m.one("", " per source")
	if !perSource {
		source = ""
	}
	return fmt.Sprintf(", rate: %d/%s%s%s", 1+m.n(9), m.one("s", "min", "h", "day"), source, m.one("", " burst 3"))
}

func (m *maker) inbound() {
	m.WriteString("inbound:\n")
	for range 1 + m.n(10) {
		verdict, rate := "deny", ""
		if m.percent(65) {
			verdict, rate = "allow", m.rate(true)
		}
		from, to := "", ""
		if m.percent(60) {
			from = ", from: [" + m.several(1, 3, m.peer) + "]"
		}
		if m.percent(15) {
			to = ", to: [" + m.several(1, 2, m.source) + "]"
		}
		rule := fmt.Sprintf("  - {%s: [%s]%s%s%s}\n", verdict, m.several(1, 3, m.service), from, to, rate)
		m.WriteString(rule)
	}
	m.WriteString("  - {allow: ssh, from: 192.0.2.77}\nssh: {ports: [22, 2222]}\n") // nobody is shut out at first sight
}

func (m *maker) outbound() {
	fmt.Fprintf(m, "outbound:\n  default: %s\n  rules:\n", m.one("allow", "deny"))
	for range 1 + m.n(6) {
		verdict, rate := "deny", ""
		if m.percent(60) {
			verdict, rate = "allow", m.rate(false)
		}
		to, owner := "", ""
		if m.percent(50) {
			to = ", to: [" + m.several(1, 3, m.peer) + "]"
		}
		if m.o.Users && m.percent(40) {
			user := func() string { return fmt.Sprint(100 + m.n(4)) }
			owner = fmt.Sprintf(", %s: [%s]", m.one("users", "except-users", "groups", "except-groups"), m.several(1, 2, user))
		}
		fmt.Fprintf(m, "    - {%s: [%s]%s%s%s}\n", verdict, m.several(1, 3, m.service), to, owner, rate)
	}
}

func (m *maker) router() {
	m.WriteString("router:\n  forward:\n")
	zone := func() string { return m.one("outside", "inside", "vpn") }
	for range 1 + m.n(3) {
		from, to := zone(), zone()
		allow, masquerade := "", ""
		if m.percent(50) {
			allow = ", allow: [" + m.several(1, 3, m.service) + "]"
		}
		if from != to && m.percent(40) {
			masquerade = ", masquerade: true"
		}
		fmt.Fprintf(m, "    - {from: %s, to: %s%s%s}\n", from, to, allow, masquerade)
	}
	if m.percent(60) {
		m.WriteString("  port-forward:\n")
		for range 1 + m.n(3) {
			port := fmt.Sprintf("%d/%s", 20+m.n(12), m.one("tcp", "udp"))
			to := m.one("198.51.100.20", "198.51.100.21", "\"2001:db8:2::20\"")
			fmt.Fprintf(m, "    - {from: %s, port: %s, to: %s%s%s}\n", m.one("outside", "inside"), port, to,
				m.one("", fmt.Sprintf(", to-port: %d", 20+m.n(12))), m.one("", ", hairpin: true"))
		}
	}
	if m.percent(40) {
		fmt.Fprintf(m, "  one-to-one:\n    - {outside: 192.0.2.1, inside: 198.51.100.30%s}\n", m.one("", ", allow: ["+m.several(1, 2, m.service)+"]"))
	}
}
