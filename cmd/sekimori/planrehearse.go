package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sekimori/internal/firewall"
	"sekimori/internal/host"
	"sekimori/internal/plan"
	"sekimori/internal/rehearse"
	"sekimori/internal/report"
)

// rehearseCommand is the hidden command that runs in the throwaway namespace.
const rehearseCommand = "rehearse-inside"

func newRehearse(io streams) *cobra.Command {
	return &cobra.Command{
		Use:    rehearseCommand,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return rehearse.Inside(cmd.Context(), io.in, io.out) },
	}
}

// rehearsal tries the rules out, and compares with what the plan expects of them.
func (s streams) rehearsal(ctx context.Context, in plan.Input, p plan.Plan, rules string) (*report.Rehearsal, error) {
	job := rehearse.Job{Rules: []byte(rules)}
	links := map[int]string{}
	for _, i := range in.Host.Interfaces {
		if i.Loopback || !i.Up || len(i.Addresses) == 0 {
			continue
		}
		links[i.Index] = i.Name
		l := rehearse.Interface{Name: i.Name}
		for _, a := range i.Addresses {
			l.Addresses = append(l.Addresses, a.Prefix)
		}
		job.Interfaces = append(job.Interfaces, l)
	}
	job.Routes = routesBy(in.Host, links)
	facts := in.Host.Facts()
	job.Forward = facts.Forward4 || facts.Forward6
	var asked []plan.Probe
	for _, q := range plan.Probes(in, p) {
		probe, ok := rehearse.NewProbe(q.Packet)
		if ok && hasInterface(job, probe.In) {
			job.Probes = append(job.Probes, probe)
			asked = append(asked, q)
		}
	}
	start := time.Now()
	var passed []bool
	err := s.while("rehearsing", func() (err error) {
		passed, err = rehearse.Run(ctx, []string{"sekimori", rehearseCommand}, job)
		return err
	})
	if err != nil {
		return nil, err
	}
	r := &report.Rehearsal{
		Alone: slices.ContainsFunc(in.Live.Tables, func(t *firewall.Table) bool { return t.Name != plan.OwnTable }),
		Asked: len(asked), Milliseconds: time.Since(start).Milliseconds(),
	}
	for i, q := range asked {
		if passed[i] != q.Expected {
			r.Wrong++
		}
		r.Probes = append(r.Probes, report.Rehearsed{About: q.About, Packet: job.Probes[i].String(), Expected: q.Expected, Passed: passed[i]})
	}
	return r, nil
}

// routesBy are the routes by interfaces that are there.
func routesBy(s *host.Snapshot, links map[int]string) []rehearse.Route {
	var out []rehearse.Route
	for _, r := range s.Routes {
		if r.Type != "unicast" || r.Table != 254 || len(r.Hops) == 0 || links[r.Hops[0].Interface] == "" {
			continue
		}
		out = append(out, rehearse.Route{Dst: r.Dst, Interface: links[r.Hops[0].Interface]})
	}
	return out
}

func hasInterface(job rehearse.Job, name string) bool {
	for _, i := range job.Interfaces {
		if i.Name == name {
			return true
		}
	}
	return false
}
