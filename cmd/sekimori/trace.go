package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sekimori/internal/firewall"
	"sekimori/internal/host"
	"sekimori/internal/report"
	"sekimori/packet"
)

func newTrace(io streams) *cobra.Command {
	l := look{streams: io}
	var all bool
	cmd := &cobra.Command{
		Use:   "trace PACKET",
		Short: "The way of one packet through every hook and chain, rule by rule",
		Long: `trace follows one packet through every hook and chain, rule by rule, to its end
and the reason.

A packet is written as PROTOCOL SOURCE -> DESTINATION and what else is known of
it: "in eth0", "out eth1", a conntrack state (new, established, …). What is left
out is open; where that makes a difference the verdict is undecided and says so.
Without a state the packet is new, and a new TCP packet has the flag SYN.`,
		Example: `  sekimori trace 'tcp 198.51.100.7:4242 -> 203.0.113.5:22 in eth0 new'
  sekimori trace 'udp [2001:db8::1]:53 -> [2001:db8:1::5]:40000 in eth0 established'
  sekimori trace 'tcp 10.0.0.3:4242 -> 192.0.2.1:25 out eth0' --ruleset rules.save`,
		GroupID: groupSee,
		Args:    exactly("a packet such as 'tcp 198.51.100.7:4242 -> 203.0.113.5:22 in eth0 new'"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := parsePacket(args[0])
			if err != nil {
				return err
			}
			v, err := l.open(cmd.Context())
			if err != nil {
				return err
			}
			var t firewall.Trace
			err = l.while("following the packet", func() (err error) {
				t, err = tracePacket(v, p)
				return err
			})
			if err != nil {
				return err
			}
			answer := report.NewTrace(p, t, v.host)
			if l.format == "json" {
				return report.JSON(l.out, answer)
			}
			return answer.Text(l.out, l.style(), all)
		},
	}
	l.flags(cmd, true)
	cmd.Flags().BoolVar(&all, "all", false, "show each rule that does not match")
	return cmd
}

// parsePacket reads a packet, and makes it a new one where nothing else is said.
func parsePacket(text string) (packet.Packet, error) {
	if strings.TrimSpace(text) == "" {
		return packet.Packet{}, usage("for example: 'tcp 198.51.100.7:4242 -> 203.0.113.5:22 in eth0 new'", "packet: nothing is said of it")
	}
	p, err := packet.ParsePacket(text)
	if syntax, ok := errors.AsType[*packet.SyntaxError](err); ok {
		return p, usage("for example: 'tcp 198.51.100.7:4242 -> 203.0.113.5:22 in eth0 new'",
			"packet, %w\n  %s\n  %s^", err, syntax.Text, strings.Repeat(" ", syntax.Column-1))
	}
	if err != nil {
		return p, usage("", "packet: %w", err)
	}
	if _, ok := p.Get(packet.State); !ok {
		p = p.With(packet.State, 0)
	}
	if _, ok := p.Get(packet.Fragment); !ok {
		p = p.With(packet.Fragment, 0)
	}
	const tcp, syn = 6, 0x02
	protocol, _ := p.Get(packet.Protocol)
	state, _ := p.Get(packet.State)
	if _, ok := p.Get(packet.TCPFlags); !ok && protocol == tcp && state == 0 {
		p = p.With(packet.TCPFlags, syn)
	}
	return p, nil
}

func tracePacket(v view, p packet.Packet) (firewall.Trace, error) {
	if family := familyOf(p); !slices.Contains(v.families, family) {
		return firewall.Trace{}, usage("add the other file with a second --ruleset", "these rules are not about %s", map[firewall.Family]string{firewall.IPv4: "IPv4", firewall.IPv6: "IPv6"}[family])
	}
	e := firewall.NewEngine(familyOf(p), v.host.Facts(), 0, v.rules)
	p.In, p.Out = standIn(e, p.In, v.host), standIn(e, p.Out, v.host)
	if err := e.Space().Fits(p); err != nil {
		return firewall.Trace{}, usage("", "%w", err)
	}
	var way firewall.Way
	var point packet.Set
	err := e.Do(func() error {
		point = e.Space().Point(p)
		way = e.WayOf(point, p.In != "", p.Out != "")
		return nil
	})
	if err != nil {
		return firewall.Trace{}, err
	}
	t, err := traceOn(e, v.rules, way, point)
	if err == nil && t.Unrouted && way == firewall.WayInput {
		// Translation may have sent it on to another host.
		if on, err := traceOn(e, v.rules, firewall.WayForward, point); err == nil && !on.Unrouted {
			return on, nil
		}
	}
	return t, err
}

// standIn is the name under which an engine knows an interface. On a host that
// is not known there may be interfaces that no rule names; one name stands for
// those that a rule's pattern covers, another for the rest.
func standIn(e *firewall.Engine, name string, s *host.Snapshot) string {
	names := e.Space().InterfaceNames()
	if name == "" || slices.Contains(names, name) || s.Facts().Known {
		return name
	}
	best := ""
	for _, n := range names {
		if prefix, ok := strings.CutSuffix(n, firewall.AnyOther); ok && strings.HasPrefix(name, prefix) && len(n) > len(best) {
			best = n
		}
	}
	return cmp.Or(best, name)
}

// traceOn follows a packet on one way.
func traceOn(e *firewall.Engine, rules *firewall.Ruleset, way firewall.Way, point packet.Set) (firewall.Trace, error) {
	var in packet.Set
	err := e.Do(func() error {
		in = point.And(e.Sent(way))
		if in.Empty() {
			return fmt.Errorf("no such packet can be on its way %s", way)
		}
		return nil
	})
	if err != nil {
		return firewall.Trace{}, err
	}
	return e.Trace(rules, way, in)
}

// familyOf is the family of the packet's addresses, IPv4 where it has none.
func familyOf(p packet.Packet) firewall.Family {
	if p.Src.Is6() || p.Dst.Is6() {
		return firewall.IPv6
	}
	return firewall.IPv4
}
