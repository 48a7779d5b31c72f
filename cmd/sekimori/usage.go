package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// printUsage is what help says of a command, with the examples first: people read
// those. It takes the place of cobra's template, because programs that use
// text/template keep every method of every type: two megabytes more.
func printUsage(cmd *cobra.Command) error {
	var b strings.Builder
	if cmd.HasExample() {
		fmt.Fprintf(&b, "Examples:\n%s\n\n", cmd.Example)
	}
	b.WriteString("Usage:\n  ")
	if cmd.Runnable() {
		b.WriteString(cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n  %s [command]", cmd.CommandPath())
		for _, g := range cmd.Groups() {
			fmt.Fprintf(&b, "\n\n%s", g.Title)
			subcommands(&b, cmd, g.ID)
		}
		if !cmd.AllChildCommandsHaveGroup() {
			b.WriteString("\n")
			subcommands(&b, cmd, "")
		}
	}
	flags(&b, "Flags:", cmd.LocalFlags())
	flags(&b, "Global flags:", cmd.InheritedFlags())
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n\n\"%s help COMMAND\" tells more about one of them.", cmd.CommandPath())
	}
	b.WriteString("\n")
	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}

// subcommands lists the commands of a group with what they are for.
func subcommands(b *strings.Builder, cmd *cobra.Command, group string) {
	for _, c := range cmd.Commands() {
		if c.GroupID == group && (c.IsAvailableCommand() || group != "" && c.Name() == "help") {
			fmt.Fprintf(b, "\n  %-*s %s", c.NamePadding(), c.Name(), c.Short)
		}
	}
}

// flags lists flags under a title, if there are any to show.
func flags(b *strings.Builder, title string, set *pflag.FlagSet) {
	if set.HasAvailableFlags() {
		fmt.Fprintf(b, "\n\n%s\n%s", title, strings.TrimRight(set.FlagUsages(), " \n\t"))
	}
}
