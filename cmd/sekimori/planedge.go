package main

import (
	"errors"

	"sekimori/internal/plan"
	"sekimori/internal/report"
	"sekimori/policy"
)

// edge lists what the block at the edge would hit.
func (c *planner) edge(f *policy.File, v view) error {
	if f.Policy.Edge == nil {
		return hinted(errors.New("the policy has no edge"), `for example: edge: {interface: eth0, block: [22/udp, broadcast]}`)
	}
	answer := report.NewEdgePlan(plan.Edge(v.host, f.Policy.Edge))
	if c.format == "json" {
		return report.JSON(c.out, answer)
	}
	return answer.Text(c.out, c.style())
}
