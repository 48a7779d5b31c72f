package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sekimori/internal/audit"
	"sekimori/internal/exposure"
	"sekimori/internal/report"
)

// overview is what sekimori shows without a command: what is open, what else is
// weak, and what to type next.
func (l look) overview(ctx context.Context) error {
	l.whole = l.format != "json"
	if !l.whole {
		_, _, p, err := l.ports(ctx)
		if err != nil {
			return err
		}
		return report.JSON(l.out, p)
	}
	w, err := l.language("")
	if err != nil {
		return err
	}
	v, err := l.open(ctx)
	if err != nil {
		return err
	}
	var h *exposure.Host
	var p report.Ports
	var result audit.Result
	err = l.while("evaluating the rules", func() error {
		h = exposure.Evaluate(v.host, v.rules, 0, v.families...)
		p = report.NewPorts(h, v.host)
		now := time.Now()
		if l.snapshot != "" {
			now = v.host.Time
		}
		result = audit.Run(audit.Input{Snapshot: v.host, Rules: v.rules, Exposure: h, Saved: l.saved(ctx, v.host), Now: now})
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	answer := report.NewAudit(result, v.host, w)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", v.title())
	if err := p.Short(&b, l.style(), h.Interfaces()); err != nil {
		return err
	}
	b.WriteString("\n")
	if err := answer.Short(&b, l.style()); err != nil {
		return err
	}
	b.WriteString("\n" + nextSteps(v, p, result))
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
func nextSteps(v view, p report.Ports, r audit.Result) string {
	var b strings.Builder
	b.WriteString("Next:\n")
	next := func(command, why string) { fmt.Fprintf(&b, "  %-28s %s\n", command, why) }
	if v.host.EUID > 0 && len(p.Unseen)+len(r.Unseen) > 0 {
		next("sudo sekimori", "see what is root's to see")
	}
	if len(r.Findings) > 0 {
		next("sekimori audit", "all that is weak, with evidence and what to do")
		next("sekimori explain "+r.Findings[0].ID, "the worst of it, at length")
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
