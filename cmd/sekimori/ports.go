package main

import (
	"context"

	"github.com/spf13/cobra"

	"sekimori/internal/exposure"
	"sekimori/internal/report"
)

func newPorts(io streams) *cobra.Command {
	l := look{streams: io}
	cmd := &cobra.Command{
		Use:   "ports",
		Short: "Every listening socket, and who may reach it through the loaded rules",
		Long: `ports lists every listening socket (TCP, UDP, SCTP, raw) and every forwarded
port with who may reach it: anyone, some addresses, nobody. Worst first.

BECAUSE is the rule that decides. "depends on" names rate limits and other
conditions without a fixed answer. What could not be decided or seen is said,
never guessed; see it all with root's rights.`,
		Example: `  sekimori ports
  sekimori ports --format json | jq '.sockets[] | select(.reach.verdict == "anyone")'
  sekimori ports --snapshot web1.json`,
		GroupID: groupSee,
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, h, p, err := l.ports(cmd.Context())
			if err != nil {
				return err
			}
			if l.format == "json" {
				return report.JSON(l.out, p)
			}
			return p.Text(l.out, l.style(), h.Interfaces())
		},
	}
	l.flags(cmd, false)
	return cmd
}

// ports looks, evaluates and answers.
func (l look) ports(ctx context.Context) (view, *exposure.Host, report.Ports, error) {
	v, err := l.open(ctx)
	if err != nil {
		return view{}, nil, report.Ports{}, err
	}
	var h *exposure.Host
	var p report.Ports
	err = l.while("evaluating the rules", func() error {
		h = exposure.Evaluate(v.host, v.rules, 0, v.families...)
		p = report.NewPorts(h, v.host)
		return nil
	})
	return v, h, p, err
}
