package nft

import (
	"slices"
	"strings"

	"sekimori/internal/firewall/acl"
)

// edge writes the stateless block: before connections are looked at, and as
// packets leave. Forwards is true where packets may have got other destinations on
// their way.
func (w *writer) edge(e *acl.Edge, forwards bool) {
	at := func(key string) string {
		if e.All {
			return key + ` != "lo"`
		}
		return interfaceMatch(key, e.Interfaces)
	}
	in := w.chain("edge-in")
	in.lines = append(in.lines, "type filter hook prerouting priority raw; policy accept")
	out := w.chain("edge-out")
	out.lines = append(out.lines, "type filter hook postrouting priority raw; policy accept")
	for _, side := range []struct {
		c   *chain
		key string
	}{{in, "iifname"}, {out, "oifname"}} {
		side.c.say(e.Origin)
		for _, m := range w.ported(e) {
			side.c.rule(at(side.key), m, "counter drop", comment(e.Origin))
		}
	}
	if !e.Broadcast {
		return
	}
	if forwards {
		out.rule(at("oifname"), "ct status dnat accept")
	}
	for _, keep := range []string{
		"meta nfproto ipv4 meta l4proto 2", "icmpv6 type { 130-137, 143 }",
		"meta nfproto ipv4 udp dport 67-68", "meta nfproto ipv6 udp dport 546-547",
	} {
		out.rule(at("oifname"), keep, "accept")
	}
	out.rule(at("oifname"), "fib daddr type { broadcast, multicast }", "counter drop", comment(e.Origin))
}

// ported are the conditions of the edge's services, with their ports on either
// side.
func (w *writer) ported(e *acl.Edge) []string {
	if len(e.Services) == 0 {
		return nil
	}
	var out []string
	for _, m := range w.services(acl.Rule{Services: e.Services, Origin: e.Origin}) {
		if strings.Contains(m.text, " dport ") {
			out = append(out, strings.Replace(m.text, " dport ", " sport ", 1))
		}
		out = append(out, m.text)
	}
	return slices.Compact(out)
}
