package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sekimori/internal/report"
	"sekimori/policy"
)

// edit is a command that changes one rule of the policy.
type edit struct {
	look
	file string
	dry  bool
}

func newAllow(io streams) *cobra.Command {
	return newEdit(io, "allow", &cobra.Command{
		Use:   "allow SERVICE[,SERVICE] [from PEER] [rate RATE] | SERVICE to PEER out",
		Short: "Let a service in (or out): one line more in the policy",
		Long: `allow adds a rule to the policy file: one line is inserted, every other line,
comments among them, stays byte for byte. It comes last, so that it never lifts a
refusal that stands already. The change is shown, and is not in force until
sekimori apply.

SERVICE is a name (ssh, https, ping, …), PORT/tcp, PORT-PORT/udp, icmp/TYPE; PEER
an address, a prefix, a list or a zone of the policy.`,
		Example: `  sekimori allow https
  sekimori allow 5432/tcp from lan
  sekimori allow ssh from 192.0.2.0/24 rate 6/min per source
  sekimori allow 25/tcp to 192.0.2.25 out`,
	})
}

func newDeny(io streams) *cobra.Command {
	return newEdit(io, "deny", &cobra.Command{
		Use:   "deny SERVICE[,SERVICE] [from PEER] | SERVICE [to PEER] out",
		Short: "Refuse a service in (or out): one line more in the policy, before the others",
		Long: `deny adds a rule to the policy file, before all others, so that nothing outdoes
it. What no rule allows is refused anyway: deny is for exceptions. A policy after
which nobody could log in is refused. The change is shown, and is not in force
until sekimori apply.`,
		Example: `  sekimori deny smtp out
  sekimori deny https from 192.0.2.66`,
	})
}

func newRemove(io streams) *cobra.Command {
	return newEdit(io, "remove", &cobra.Command{
		Use:   "remove [allow|deny] SERVICE[,SERVICE] [from PEER] | SERVICE [to PEER] out",
		Short: "Take a rule out of the policy",
		Long: `remove takes the rule that says exactly this out of the policy file; where the
rule names further services, it keeps those. The change is shown, and is not in
force until sekimori apply.`,
		Example: `  sekimori remove https
  sekimori remove 5432/tcp from lan
  sekimori remove deny smtp out`,
	})
}

// newEdit completes one of the three commands.
func newEdit(io streams, verb string, cmd *cobra.Command) *cobra.Command {
	e := edit{look: look{streams: io}}
	cmd.GroupID = groupDecide
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			line, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
			return usage("for example: "+line, "%s needs a service", verb)
		}
		return nil
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		return e.run(append([]string{verb}, args...))
	}
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return e.complete(args), cobra.ShellCompDirectiveNoFileComp
	}
	e.formatFlag(cmd)
	cmd.Flags().StringVarP(&e.file, "file", "f", policyPath, "the policy `FILE` to change")
	cmd.Flags().BoolVarP(&e.dry, "dry-run", "n", false, "show the change, write nothing")
	return cmd
}

// run changes the file and shows how.
func (e *edit) run(words []string) error {
	change, err := policy.ParseChange(words...)
	if err != nil {
		text, hint, _ := strings.Cut(err.Error(), "\nhint: ")
		return usage(hint, "%s", text)
	}
	var answer report.PolicyEdit
	err = e.rewrite(func(old []byte) ([]byte, error) {
		before, err := policy.Parse(e.file, old)
		if err != nil {
			return nil, faulty(e.file, err)
		}
		after, err := before.Edit(change)
		if err != nil {
			return nil, refused(e.file, err)
		}
		answer = report.NewPolicyEdit(e.file, string(old), string(after.Text()), !e.dry, newWarnings(before, after))
		return after.Text(), nil
	})
	if err != nil {
		return err
	}
	return e.answerEdit(answer, false)
}

// rewrite edits the file, or with --dry-run only looks at it.
func (e *edit) rewrite(change func([]byte) ([]byte, error)) error {
	if !e.dry && e.file != "-" {
		return editPolicy(e.file, change)
	}
	if e.file == "-" {
		return usage("sekimori policy check - reads stdin", "a policy is edited in its file")
	}
	old, err := e.readPolicyText(e.file)
	if err == nil {
		_, err = change(old)
	}
	return err
}

// refused says why an edit was not made: what would be wrong with the new text.
func refused(name string, err error) error {
	if _, ok := errors.AsType[*policy.Error](err); ok {
		return fmt.Errorf("%s stays as it is; the change would make it wrong:\n%w", name, err)
	}
	text, rest, _ := strings.Cut(err.Error(), "\nhint: ")
	if rest == "" {
		return err
	}
	return hinted(errors.New(text), strings.Split(rest, "\nhint: ")...)
}

// newWarnings are those of a text that an older one did not have.
func newWarnings(before, after *policy.File) []policy.Problem {
	var out []policy.Problem
	for _, w := range after.Warnings {
		if !slices.ContainsFunc(before.Warnings, func(o policy.Problem) bool { return o.Message == w.Message }) {
			out = append(out, w)
		}
	}
	return out
}

// complete proposes the next word for a shell.
func (e *edit) complete(args []string) []string {
	last := ""
	if len(args) > 0 {
		last = args[len(args)-1]
	}
	switch last {
	case "from", "to":
		words := []string{"anywhere"}
		if f, err := e.openPolicy(e.file); err == nil {
			for name := range f.Policy.Zones {
				words = append(words, name)
			}
			for name := range f.Policy.Lists {
				words = append(words, name)
			}
		}
		slices.Sort(words)
		return words
	case "rate":
		return []string{"6/min per source", "5/s per source"}
	case "", "allow", "deny":
		var words []string
		for n := range policy.Names() {
			words = append(words, n[0]+"\t"+n[1]+", "+n[2])
		}
		return words
	}
	return []string{"from", "to", "out", "rate"}
}
