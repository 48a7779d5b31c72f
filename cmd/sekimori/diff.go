package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"sekimori/internal/firewall"
	"sekimori/internal/report"
	"sekimori/packet"
)

// boxes is how many boxes of packets are shown for one change.
const boxes = 8

func newDiff(io streams) *cobra.Command {
	l := look{streams: io}
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Exactly the packets that two rulesets treat differently",
		Long: `diff compares what two rulesets mean, not how they are written: it lists the
packets whose verdict changes, with an example and the responsible rule on each
side. OLD and NEW are files (a snapshot, iptables-save, nft) or the word live.

A file of iptables-save is about IPv4 alone: then only that is compared, and the
answer says so.

Exit status: 0 if the two mean the same, 3 if not, 1 if it could not be told, as
where rules could not be read.`,
		Example: `  sekimori diff before.json live
  sekimori diff rules.save rules.new.save
  sekimori diff web1.json web2.json --format json`,
		GroupID: groupSee,
		Args:    exactly("an old ruleset", "a new one (files, or live)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, hints, err := l.diff(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			if l.format == "json" {
				err = report.JSON(l.out, d)
			} else {
				err = d.Text(l.out, l.style())
			}
			switch {
			case err != nil:
				return err
			case d.Equal:
				return nil
			case len(d.Changes) == 0:
				return hinted(fmt.Errorf("could not be decided: %s", d.Why[0]), hints...)
			}
			return errFindings
		},
	}
	l.formatFlag(cmd)
	return cmd
}

// diff compares, and says how to see what could not be read.
func (l look) diff(ctx context.Context, older, newer string) (report.Diff, []string, error) {
	a, err := l.side(ctx, older)
	if err != nil {
		return report.Diff{}, nil, err
	}
	b, err := l.side(ctx, newer)
	if err != nil {
		return report.Diff{}, nil, err
	}
	if !slices.ContainsFunc(a.families, func(f firewall.Family) bool { return slices.Contains(b.families, f) }) {
		return report.Diff{}, nil, usage("", "%s and %s are about different families, IPv4 and IPv6", older, newer)
	}
	var d report.Diff
	var hints []string
	err = l.while("comparing", func() error {
		var changes []firewall.Change
		var why []string
		if slices.Equal(a.unread, b.unread) { // else what one side hides would be a change
			changes, why = compare(a, b)
		}
		why = slices.Concat(why, a.unreadIn(older), b.unreadIn(newer))
		d = report.NewDiff(changes, why, silentIn(a, b, older, newer))
		return nil
	})
	if len(a.unread) > 0 && older != "live" {
		hints = append(hints, "make "+older+" again on its host, as root: sudo sekimori snapshot -o "+older)
	}
	if len(b.unread) > 0 && newer != "live" && newer != older {
		hints = append(hints, "make "+newer+" again on its host, as root: sudo sekimori snapshot -o "+newer)
	}
	if older == "live" && len(a.unread) > 0 || newer == "live" && len(b.unread) > 0 {
		hints = append(hints, fmt.Sprintf("sudo sekimori diff %s %s", older, newer))
	}
	return d, hints, err
}

// unreadIn says what of one side could not be read: it may differ.
func (v view) unreadIn(name string) []string {
	var out []string
	for _, u := range v.unread {
		out = append(out, fmt.Sprintf("%s: %s could not be read: %s", name, u.What, u.Why))
	}
	return out
}

// fromHere is the example of a change to packets from this host with a source of
// this host, where such a packet is among those that change.
func fromHere(e *firewall.Engine, facts firewall.Facts, c firewall.Change) packet.Packet {
	p := c.Example
	if len(c.Packets) == 0 || !p.Src.IsValid() {
		return p
	}
	var own []netip.Addr
	for _, l := range facts.Local {
		if a := l.Addr(); a.Is4() == p.Src.Is4() && a.IsGlobalUnicast() {
			own = append(own, a)
		}
	}
	if slices.Contains(own, p.Src) {
		return p
	}
	chosen := p
	// The budget of nodes may be used up: then the example stays as it is.
	_ = e.Do(func() error {
		changed, sent := e.Space().None(), e.Sent(c.Way)
		for _, box := range c.Packets {
			changed = changed.Or(box.Set())
		}
		for _, a := range own {
			for _, to := range []netip.Addr{p.Dst, p.Src} {
				q := p
				q.Src, q.Dst = a, to
				if to == a || !to.IsValid() {
					continue
				}
				if point := e.Space().Point(q).And(sent); !point.Empty() && point.SubsetOf(changed) {
					chosen = q
					return nil
				}
			}
		}
		return nil
	})
	return chosen
}

// silentIn are the families that were not compared.
func silentIn(a, b view, older, newer string) []report.Unseen {
	both := report.Silent(older+" and "+newer, slices.Concat(a.families, b.families))
	for i := range both {
		both[i].Reason = "neither " + older + " nor " + newer + " says anything about it"
	}
	if len(both) > 0 {
		return both
	}
	return slices.Concat(report.Silent(older, a.families), report.Silent(newer, b.families))
}

// side reads one of the two rulesets.
func (l look) side(ctx context.Context, name string) (view, error) {
	one := l
	if name != "live" {
		one.rulesets = []string{name}
	}
	return one.open(ctx)
}

// compare asks for each family and way. Both are taken to stand on the host of
// the newer where that is known, else of the older.
func compare(a, b view) ([]firewall.Change, []string) {
	facts := b.host.Facts()
	if !facts.Known {
		facts = a.host.Facts()
	}
	var changes []firewall.Change
	var why []string
	for _, family := range a.families {
		if !slices.Contains(b.families, family) {
			continue // a file of iptables-save says nothing about IPv6
		}
		e := firewall.NewEngine(family, facts, 0, a.rules, b.rules)
		for _, way := range []firewall.Way{firewall.WayInput, firewall.WayForward, firewall.WayOutput} {
			c, err := e.Diff(a.rules, b.rules, way, boxes)
			if err != nil {
				why = append(why, fmt.Sprintf("%s, %s: %v", family, way, err))
			}
			if way == firewall.WayOutput {
				for i := range c {
					c[i].Example = fromHere(e, facts, c[i])
				}
			}
			changes = append(changes, c...)
		}
	}
	return changes, why
}
