package main

import (
	"context"
	"fmt"
	"strings"

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

// overview is what sekimori shows without a command: ports in short, and what
// to type next.
func (l look) overview(ctx context.Context) error {
	v, h, p, err := l.ports(ctx)
	if err != nil {
		return err
	}
	if l.format == "json" {
		return report.JSON(l.out, p)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", v.title())
	if err := p.Short(&b, l.style(), h.Interfaces()); err != nil {
		return err
	}
	b.WriteString("\n" + nextSteps(v, p))
	_, err = l.out.Write([]byte(b.String()))
	return err
}

// title names the host.
func (v view) title() string {
	s := v.host.System
	var parts []string
	for _, p := range []string{s.Hostname, s.PrettyName, s.Kernel} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, " · ")
}

// nextSteps are the commands that fit what was shown.
func nextSteps(v view, p report.Ports) string {
	var b strings.Builder
	b.WriteString("Next:\n")
	next := func(command, why string) { fmt.Fprintf(&b, "  %-28s %s\n", command, why) }
	if v.host.EUID > 0 && len(p.Unseen) > 0 {
		next("sudo sekimori", "see what is root's to see")
	}
	next("sekimori ports", "each socket, with the rule that decides")
	if len(p.Sockets) > 0 {
		k := p.Sockets[0]
		if k.Proto != "raw" {
			next("sekimori reach "+k.Name(), "who exactly may reach it")
		}
	}
	next("sekimori help", "what else there is")
	return b.String()
}
