package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"sekimori/internal/plan"
	"sekimori/internal/report"
	"sekimori/policy"
)

// edge lists what the block at the edge would hit.
func (c *planner) edge(ctx context.Context, f *policy.File, v view) error {
	if f.Policy.Edge == nil {
		return hinted(errors.New("the policy has no edge"), `for example: edge: {interface: eth0, block: [22/udp, broadcast]}`)
	}
	var flows []plan.Flow
	if c.snapshot == "" {
		var seen bool
		if flows, seen = openFlows(ctx, os.DirFS("/")); !seen {
			fmt.Fprintln(c.err, "sekimori: tracked connections could not be read (needs root, and /proc/net/nf_conntrack or conntrack); those through this host are not among the flows")
		}
	}
	answer := report.NewEdgePlan(plan.Edge(v.host, f.Policy.Edge, flows))
	if c.format == "json" {
		return report.JSON(c.out, answer)
	}
	return answer.Text(c.out, c.style())
}
