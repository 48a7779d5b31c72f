package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sekimori/internal/compile"
	"sekimori/internal/exposure"
	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	nftables "sekimori/internal/firewall/nft"
	"sekimori/internal/plan"
	"sekimori/internal/report"
	"sekimori/policy"
)

// planner is the command that shows what a policy would change.
type planner struct {
	look
	only     string
	lang     string
	rehearse bool
	terse    bool
}

func newPlan(io streams) *cobra.Command {
	p := planner{look: look{streams: io}}
	cmd := &cobra.Command{
		Use:   "plan [FILE]",
		Short: "What would change on this machine if the policy were applied",
		Long: `plan compares what is loaded on this machine, all of it, with what would be loaded
if the policy were applied: who could reach each port, and exactly which packets
would be judged otherwise. It proves what must stay possible: your ssh session,
logins from each network that the policy lets in, what keeps a host on its network.
With --rehearse the rules are also loaded into a throwaway namespace, with this
host's interfaces and addresses, and asked with real packets. It changes nothing.

Exit status: 0 if the policy is in force, 3 if something would change, 1 if
applying it might shut somebody out who must get in, or if it could not be told.`,
		Example: `  sudo sekimori plan
  sekimori plan policy.yaml --snapshot web1.json
  sudo sekimori plan --only edge`,
		GroupID: groupDecide,
		Args:    atMost(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return p.run(cmd.Context(), policyName(args)) },
	}
	p.flags(cmd, true)
	f := cmd.Flags()
	f.Var(oneOf{&p.only, []string{"edge"}}, "only", "one part: the listeners and flows that the block at the edge would hit")
	f.BoolVar(&p.terse, "no-rules", false, "leave the native rules out")
	f.BoolVar(&p.rehearse, "rehearse", false, "load the rules into a throwaway namespace and ask them with real packets")
	p.lang = "en"
	f.Var(oneOf{&p.lang, []string{"en", "ja"}}, "lang", "the language of the comments in the rules")
	return cmd
}

func (c *planner) run(ctx context.Context, name string) error {
	f, lists, err := c.openLists(name)
	if err != nil {
		return err
	}
	v, err := c.open(ctx)
	if err != nil {
		return err
	}
	if c.only == "edge" {
		return c.edge(ctx, f, v)
	}
	var text string
	var in plan.Input
	var p plan.Plan
	err = c.while("comparing", func() error {
		if in, text, err = c.input(name, f, lists, v, c.lang); err == nil {
			p = plan.New(in)
		}
		return err
	})
	if err != nil {
		return err
	}
	interfaces := exposure.Evaluate(v.host, &firewall.Ruleset{}, 0).Interfaces()
	answer := report.NewPlan(shown(name), v.host.System.Hostname, f.Text(), p, text, interfaces)
	if c.rehearse {
		if answer.Rehearsal, err = c.rehearsal(ctx, in, p, text); err != nil {
			return err
		}
	}
	answer.Terse = c.terse
	for _, u := range v.unread {
		answer.Undecided = append(answer.Undecided, fmt.Sprintf("%s could not be read: %s", u.What, u.Why))
	}
	if c.format == "json" {
		err = report.JSON(c.out, answer)
	} else {
		err = answer.Text(c.out, c.style())
	}
	switch {
	case err != nil:
		return err
	case len(v.unread) > 0 && c.snapshot == "" && os.Geteuid() != 0:
		return hinted(fmt.Errorf("what is loaded could not be read"), "sudo sekimori plan"+fileArgument(name))
	case answer.Rehearsal != nil && answer.Rehearsal.Wrong > 0:
		return fmt.Errorf("the kernel did otherwise than planned with %d packets", answer.Rehearsal.Wrong)
	case !answer.Safe:
		return fmt.Errorf("%s might shut somebody out who must get in", shown(name))
	case len(answer.Undecided) > 0:
		return fmt.Errorf("could not be decided: %s", strings.Join(answer.Undecided, "; "))
	case answer.InForce:
		return nil
	}
	return errFindings
}

// input is what a plan for the host of a view is made from, and the native text.
func (l look) input(name string, f *policy.File, lists compile.Lists, v view, lang string) (plan.Input, string, error) {
	facts := plan.Facts(v.host)
	in := plan.Input{Host: v.host, Live: v.rules, Policy: f, Lists: lists, Boxes: boxes}
	if l.snapshot == "" {
		addUsers(&facts, f)
	}
	in.Facts = facts
	if l.snapshot == "" && len(l.rulesets) == 0 {
		in.Sessions, in.SessionsKnown = sessions(os.DirFS("/"), os.Getpid(), l.env), true
	}
	r, err := compile.Compile(f, lists, facts, compile.NFTables, acl.Options{Lang: lang})
	if err != nil {
		return in, "", notCompiled(name, err)
	}
	if in.Own, _, err = nftables.Read(r.Text()); err != nil {
		return in, "", err
	}
	in.InForce = inForce(v.rules, func(own *firewall.Ruleset) error {
		return compile.Prove(compile.NFTables, compile.Loaded(own), r, f, lists, facts)
	})
	return in, string(r.Text()), nil
}

// inForce tells whether our own table is loaded and means what the policy means.
func inForce(live *firewall.Ruleset, prove func(*firewall.Ruleset) error) bool {
	own := &firewall.Ruleset{}
	for _, t := range live.Tables {
		if t.Name == plan.OwnTable && t.Family == firewall.Inet && t.Backend == firewall.NFTables {
			if t.Dormant {
				return false
			}
			own.Tables = append(own.Tables, t)
		}
	}
	return len(own.Tables) > 0 && prove(own) == nil
}
