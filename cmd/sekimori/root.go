package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sekimori/internal/near"
)

// The groups of commands, by what one wants to do.
const (
	groupSee    = "see"
	groupDecide = "decide"
	groupKeep   = "keep"
	groupMore   = "more"
)

// newRoot returns the whole command tree.
func newRoot(io streams) *cobra.Command {
	l := look{streams: io}
	said := false // --version
	root := &cobra.Command{
		Use:   "sekimori",
		Short: "Show who can reach what on this machine, through the rules that are really loaded",
		Long: `sekimori shows who can reach what on this machine, through the rules that are
really loaded: nftables, iptables, ufw, firewalld, Docker, whoever wrote them.
Without a command it says so in short, worst first.`,
		Example: `  sekimori                                   # what is open, worst first
  sekimori reach 3306/tcp                    # who may reach the database
  sekimori reach 22/tcp --from 198.51.100.7  # may this one?
  sekimori trace 'tcp 198.51.100.7 -> 203.0.113.5:22 in eth0'
  sekimori snapshot -o before.json; …; sekimori diff before.json live`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if said {
				return printVersion(io)
			}
			return l.overview(cmd.Context())
		},
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	root.SetFlagErrorFunc(unknownFlag)
	root.AddGroup(
		&cobra.Group{ID: groupSee, Title: "See who can reach what:"},
		&cobra.Group{ID: groupDecide, Title: "Decide what shall be reachable:"},
		&cobra.Group{ID: groupKeep, Title: "Keep it for later, or for another machine:"},
		&cobra.Group{ID: groupMore, Title: "More:"},
	)
	root.SetHelpCommandGroupID(groupMore)
	root.SetCompletionCommandGroupID(groupMore)
	root.SetUsageFunc(printUsage)
	root.AddCommand(
		newAudit(io), newExplain(io),
		newPorts(io), newReach(io), newTrace(io), newDiff(io),
		newInit(io), newPolicy(io), newAllow(io), newDeny(io), newRemove(io), newCompile(io), newPlan(io),
		newReplay(io), newFilter(io),
		newSnapshot(io), newLoadNFT(io), newRehearse(io),
		newVersion(io),
	)
	l.flags(root, false)
	root.Flags().BoolVarP(&said, "version", "v", false, "version for sekimori")
	return root
}

// knownCommand refuses a first word that is no command, with the near miss.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "sekimori help lists the commands"
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		hint = "did you mean: " + cmd.CommandPath() + " " + s[0]
	}
	return usage(hint, "unknown command %q", args[0])
}

// unknownFlag makes pflag's error one of usage, with the near miss.
func unknownFlag(cmd *cobra.Command, err error) error {
	hint := cmd.CommandPath() + " --help lists the flags"
	if _, name, ok := strings.Cut(err.Error(), "unknown flag: --"); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if n := nearest(name, names); n != "" {
			hint = "did you mean: --" + n
		}
	}
	return usage(hint, "%w", err)
}

// exactly checks the number of arguments and names those that are missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		example := ""
		if line, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n"); line != "" {
			example = "for example: " + line
		}
		switch {
		case len(args) < len(names):
			return usage(example, "%s needs %s", cmd.Name(), strings.Join(names[len(args):], " and "))
		case len(args) > len(names):
			return usage(example, "%s does not take %q", cmd.Name(), args[len(names)])
		}
		return nil
	}
}

// nearest returns the name that is at most two edits away from word, "" if none.
func nearest(word string, names []string) string {
	best, least := "", 3
	for _, n := range names {
		if d := near.Distance(word, n); d < least {
			best, least = n, d
		}
	}
	return best
}

// oneOf is a flag that takes one of a few words.
type oneOf struct {
	value *string
	words []string
}

func (o oneOf) String() string {
	if o.value == nil {
		return ""
	}
	return *o.value
}
func (o oneOf) Type() string { return strings.Join(o.words, "|") }

func (o oneOf) Set(s string) error {
	if !slices.Contains(o.words, s) {
		return fmt.Errorf("must be %s", strings.Join(o.words, " or "))
	}
	*o.value = s
	return nil
}
