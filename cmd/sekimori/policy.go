package main

import (
	"bytes"
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"sekimori/internal/plan"
	"sekimori/internal/report"
	"sekimori/packet"
	"sekimori/policy"
)

func newPolicy(io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Check and format the policy file; its schema for editors",
		Long: `policy works on the text of a policy file alone; docs/policy.md describes the
language. FILE is ` + policyPath + ` unless given, - is stdin.`,
		Example: `  sekimori policy check
  sekimori policy format policy.yaml
  sekimori policy schema > policy.schema.json`,
		GroupID: groupDecide,
		Args:    knownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(newPolicyCheck(io), newPolicyFormat(io), newPolicySchema(io))
	return cmd
}

func newPolicyCheck(io streams) *cobra.Command {
	l := look{streams: io}
	var facts string
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Everything that is wrong with a policy, each with its line and a caret",
		Long: `check reads a policy and the lists of addresses that it names, and says everything
that is wrong with it, and what is allowed but hardly meant (a warning).

With --facts it is also proven for a host that nobody is shut out who must get in,
by the policy or by what else is loaded there: your ssh session, logins from each
network that the policy names, what keeps a host on its network. That is done by
itself where root checks the policy of this machine, ` + policyPath + `.

Exit status: 0 if nothing is wrong, warnings or not; 3 if something is; 1 if the
file could not be read.`,
		Example: `  sekimori policy check
  sekimori policy check policy.yaml --format json
  git show HEAD:policy.yaml | sekimori policy check -`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := l.checkPolicy(policyName(args))
			if err != nil {
				return err
			}
			if len(args) == 0 && facts == "" && os.Geteuid() == 0 {
				facts = "live"
			}
			if facts != "" && c.Valid {
				if err := l.proveHost(cmd.Context(), policyName(args), facts, &c); err != nil {
					return err
				}
			}
			if l.format == "json" {
				err = report.JSON(l.out, c)
			} else {
				err = c.Text(l.out, l.style())
			}
			if err == nil && (!c.Valid || c.Safe != nil && !*c.Safe) {
				err = errFindings
			}
			return err
		},
	}
	l.formatFlag(cmd)
	cmd.Flags().StringVar(&facts, "facts", "", "prove it for a host: a snapshot `FILE`, or live")
	return cmd
}

// proveHost adds what is proven about a policy on one host.
func (l look) proveHost(ctx context.Context, name, facts string, c *report.PolicyCheck) error {
	if facts != "live" {
		l.snapshot = facts
	}
	f, lists, err := l.openLists(name)
	if err != nil {
		return err
	}
	v, err := l.open(ctx)
	if err != nil {
		return err
	}
	return l.while("proving", func() error {
		in, _, err := l.input(name, f, lists, v, "en")
		if err != nil {
			return err
		}
		c.Prove(report.NewPlan(shown(name), v.host.System.Hostname, f.Text(), plan.Prove(in), "", nil))
		return nil
	})
}

// checkPolicy reads a policy and the files that it names.
func (l look) checkPolicy(name string) (report.PolicyCheck, error) {
	text, err := l.readPolicyText(name)
	if err != nil {
		return report.PolicyCheck{}, err
	}
	f, err := policy.Parse(shown(name), text)
	var warnings []policy.Problem
	if err == nil {
		var lists map[string][]packet.AddrRange
		if lists, err = f.Lists(readListFile(name)); err == nil {
			warnings, err = f.Review(lists, policy.Host{})
		}
	}
	wrong, ok := errors.AsType[*policy.Error](err)
	switch {
	case ok:
		return report.NewPolicyCheck(shown(name), wrong.Problems, warnings), nil
	case err != nil:
		return report.PolicyCheck{}, err
	}
	return report.NewPolicyCheck(shown(name), nil, warnings), nil
}

func newPolicyFormat(io streams) *cobra.Command {
	l := look{streams: io}
	var only bool
	cmd := &cobra.Command{
		Use:   "format [FILE]",
		Short: "Lay a policy out in the canonical form; what it says stays the same",
		Long: `format indents and spaces a policy in the canonical form. Lines, their order,
quotes and comments stay; what it says stays exactly the same, which is checked
before anything is written. The file is replaced as a whole or not at all; - reads
stdin and writes stdout.

Exit status: 0; with --check 3 if something is not formatted.`,
		Example: `  sekimori policy format
  sekimori policy format --check policy.yaml
  sekimori policy format - < policy.yaml`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error { return l.formatPolicy(policyName(args), only) },
	}
	l.formatFlag(cmd)
	cmd.Flags().BoolVar(&only, "check", false, "change nothing; say what would change")
	return cmd
}

// formatPolicy formats a file, or only says what it would change.
func (l look) formatPolicy(name string, only bool) error {
	formatted := func(old []byte) ([]byte, error) {
		f, err := policy.Parse(shown(name), old)
		if err != nil {
			return nil, faulty(name, err)
		}
		return f.Format()
	}
	if name == "-" || only {
		old, err := l.readPolicyText(name)
		if err != nil {
			return err
		}
		text, err := formatted(old)
		if err != nil {
			return err
		}
		if !only {
			_, err = l.out.Write(text)
			return err
		}
		if err := l.answerEdit(report.NewPolicyEdit(shown(name), string(old), string(text), false, nil), false); err != nil {
			return err
		}
		if !bytes.Equal(old, text) {
			return errFindings
		}
		return nil
	}
	var e report.PolicyEdit
	err := editPolicy(name, func(old []byte) ([]byte, error) {
		text, err := formatted(old)
		e = report.NewPolicyEdit(name, string(old), string(text), true, nil)
		return text, err
	})
	if err != nil {
		return err
	}
	return l.answerEdit(e, true)
}

// answerEdit says what was changed in a file. Where silent is set, nothing is
// said in text about a file that stayed as it was, and nothing about what to do
// next.
func (l look) answerEdit(e report.PolicyEdit, silent bool) error {
	switch {
	case l.format == "json":
		return report.JSON(l.out, e)
	case silent && !e.Changed:
		return nil
	case silent:
		return e.Layout(l.out, l.style())
	}
	return e.Text(l.out, l.style())
}

func newPolicySchema(io streams) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "The JSON schema of the policy file, for editors that complete and check",
		Long: `schema prints the JSON schema (draft 2020-12) of the policy file. Editors with a
YAML language server read it where the file's first line says so:

  # yaml-language-server: $schema=/etc/sekimori/policy.schema.json`,
		Example: `  sekimori policy schema > policy.schema.json`,
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.out.Write(policy.Schema())
			return err
		},
	}
}

// atMost checks that there are not too many arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usage(cmd.CommandPath()+" --help", "%s does not take %q", cmd.Name(), args[n])
		}
		return nil
	}
}
