package main

import (
	"slices"

	"github.com/spf13/cobra"

	"sekimori/internal/audit"
	"sekimori/internal/report"
)

func newExplain(io streams) *cobra.Command {
	var lang string
	cmd := &cobra.Command{
		Use:   "explain ID",
		Short: "A check of the audit at length: why, how it is attacked, what to do",
		Long: `explain tells about one check of the audit: why it matters, how it is attacked, what
changes when it is cured, and where the demand comes from. "sekimori audit --list"
has the ids.`,
		Example: `  sekimori explain ssh-password
  sekimori explain exp-danger --lang ja`,
		GroupID: groupSee,
		Args:    exactly("the id of a check such as ssh-password"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return checkIDs(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			w, err := io.language(lang)
			if err != nil {
				return err
			}
			checks := audit.Checks()
			i := slices.IndexFunc(checks, func(c audit.Check) bool { return c.ID == args[0] })
			if i < 0 {
				hint := "sekimori audit --list has them all"
				if n := nearest(args[0], checkIDs()); n != "" {
					hint = "did you mean: sekimori explain " + n
				}
				return usage(hint, "there is no check %q", args[0])
			}
			return report.Explain(io.out, io.style(), checks[i], w)
		},
	}
	cmd.Flags().StringVar(&lang, "lang", "", "words in `LANGUAGE`: en or ja (default from LANG)")
	return cmd
}

func checkIDs() []string {
	var ids []string
	for _, c := range audit.Checks() {
		ids = append(ids, c.ID)
	}
	return ids
}
