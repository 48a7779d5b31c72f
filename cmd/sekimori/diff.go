package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"sekimori/internal/firewall"
	"sekimori/internal/report"
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

Exit status: 0 if the two mean the same, 3 if not, 1 if it could not be told.`,
		Example: `  sekimori diff before.json live
  sekimori diff rules.save rules.new.save
  sekimori diff web1.json web2.json --format json`,
		GroupID: groupSee,
		Args:    exactly("an old ruleset", "a new one (files, or live)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := l.diff(cmd.Context(), args[0], args[1])
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
				return fmt.Errorf("could not be decided: %s", d.Why[0])
			}
			return errFindings
		},
	}
	l.formatFlag(cmd)
	return cmd
}

func (l look) diff(ctx context.Context, older, newer string) (report.Diff, error) {
	a, err := l.side(ctx, older)
	if err != nil {
		return report.Diff{}, err
	}
	b, err := l.side(ctx, newer)
	if err != nil {
		return report.Diff{}, err
	}
	if !slices.ContainsFunc(a.families, func(f firewall.Family) bool { return slices.Contains(b.families, f) }) {
		return report.Diff{}, usage("", "%s and %s are about different families, IPv4 and IPv6", older, newer)
	}
	var d report.Diff
	err = l.while("comparing", func() error {
		d = compare(a, b)
		return nil
	})
	return d, err
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
func compare(a, b view) report.Diff {
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
			changes = append(changes, c...)
		}
	}
	return report.NewDiff(changes, why)
}
