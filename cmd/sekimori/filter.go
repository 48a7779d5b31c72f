package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sekimori/internal/guard/filter"
	"sekimori/internal/guard/filters"
)

func newFilter(io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "filter",
		Short:   "What failed logins look like in logs: list, try, show, import",
		Long:    "filter is about the patterns by which attacks are found in logs. They are in\nfail2ban's format; ours are built in.",
		Example: "  sekimori filter list\n  sekimori filter test sshd /var/log/auth.log\n  sekimori filter show 'sshd[mode=aggressive]'\n  sekimori filter import /etc/fail2ban",
		GroupID: groupSee,
		Args:    knownSubcommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(newFilterList(io), newFilterTest(io), newFilterShow(io), newFilterImport(io))
	return cmd
}

// knownSubcommand refuses a word that is no command of a group, with the near miss.
func knownSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help lists the commands"
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		hint = "did you mean: " + cmd.CommandPath() + " " + s[0]
	}
	return usage(hint, "unknown command %q of %s", args[0], cmd.CommandPath())
}

// answerJSON writes an answer for programs.
func answerJSON(w io.Writer, answer any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(answer)
}

// answerText writes an answer for people. The error is that of the first write
// that failed.
func answerText(w io.Writer, write func(io.Writer)) error {
	b := bufio.NewWriter(w)
	write(b)
	return b.Flush()
}

func newFilterList(io streams) *cobra.Command {
	l := look{streams: io}
	cmd := &cobra.Command{
		Use: "list", Short: "The filters that are built in", Args: exactly(),
		Example: "  sekimori filter list",
		RunE: func(*cobra.Command, []string) error {
			if l.format == "json" {
				return listJSON(io.out)
			}
			tw := tabwriter.NewWriter(io.out, 0, 8, 2, ' ', 0)
			for _, e := range filters.All() {
				modes := ""
				if len(e.Modes) > 0 {
					modes = "modes: " + strings.Join(modesOf(e), ", ")
				}
				fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", e.Name, e.Title, e.Logs[0], modes)
			}
			return tw.Flush()
		},
	}
	l.formatFlag(cmd)
	return cmd
}

func modesOf(e filters.Entry) []string { return append([]string{"normal"}, e.Modes...) }

// listJSON is the list for programs; field names are a promise.
func listJSON(w io.Writer) error {
	type filterJSON struct {
		Name  string   `json:"name"`
		Title string   `json:"title"`
		Logs  []string `json:"logs"`
		Modes []string `json:"modes"`
	}
	var out []filterJSON
	for _, e := range filters.All() {
		out = append(out, filterJSON{e.Name, e.Title, e.Logs, modesOf(e)})
	}
	return answerJSON(w, out)
}

func newFilterShow(io streams) *cobra.Command {
	var dir string
	l := look{streams: io}
	cmd := &cobra.Command{
		Use: "show NAME", Short: "The patterns after all substitutions, and how each is matched", Args: exactly("the name of a filter"),
		Long: `show prints the patterns of a filter after includes and substitutions, how each is
matched, and which literals a line must have before it is tried at all:
  literal  fixed text
  linear   regular; the effort grows with the length of the line
  around   with lookahead, lookbehind or conditionals; linear all the same
  bounded  with back-references; ended by the effort that a line may cost
and what it costs: how many steps at most for each byte of a line (bounded: for
each attempt). filter test says what the patterns took of a log.
Of a journal, entries count that journalmatch describes.`,
		Example: "  sekimori filter show 'sshd[mode=aggressive]'\n  sekimori filter show sshd --filters /etc/fail2ban",
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := loadFilter(dir, args[0])
			if err != nil {
				return err
			}
			if l.format == "json" {
				return showJSON(io.out, f)
			}
			return showText(io.out, f)
		},
	}
	cmd.Flags().StringVar(&dir, "filters", "", "take the filter from `DIR`, laid out like /etc/fail2ban")
	l.formatFlag(cmd)
	return cmd
}

func showText(w io.Writer, f *filter.Filter) error {
	return answerText(w, func(w io.Writer) { showFilter(w, f) })
}

func showFilter(w io.Writer, f *filter.Filter) {
	d := f.Definition()
	fmt.Fprintf(w, "files:        %s\n", strings.Join(d.Files, ", "))
	if len(d.DatePatterns) > 0 {
		fmt.Fprintf(w, "datepattern:  %s\n", strings.Join(d.DatePatterns, "\n              "))
	}
	if d.MaxLines > 1 {
		fmt.Fprintf(w, "maxlines:     %d\n", d.MaxLines)
	}
	match := "every entry counts, whoever wrote it"
	if !f.Journal().Any() {
		match = strings.ReplaceAll(f.Journal().String(), " + ", " +\n              ")
	}
	fmt.Fprintf(w, "journalmatch: %s\n", match)
	if f.Journal().Forgeable() && !f.Journal().Any() {
		fmt.Fprintln(w, "              (anybody who may log can write such entries)")
	}
	n := map[string]int{}
	for _, p := range f.Describe() {
		n[p.Kind]++
		fmt.Fprintf(w, "\n%s %d  %s, %d steps  %s\n  %s\n", p.Kind, n[p.Kind], p.Way, p.Size, literals(p.Literals), p.Text)
	}
	if len(filter.NewSet(f).Always()) > 0 {
		fmt.Fprintln(w, "\nevery line goes through the patterns: there are no literals to look for first")
	}
}

// showJSON is a filter for programs; field names are a promise.
func showJSON(w io.Writer, f *filter.Filter) error {
	type patternJSON struct {
		Kind     string   `json:"kind"`
		Number   int      `json:"number"`
		Way      string   `json:"way"`
		Steps    int      `json:"steps"`
		Literals []string `json:"literals"`
		Text     string   `json:"text"`
		File     string   `json:"file,omitempty"`
		Line     int      `json:"line,omitempty"`
	}
	type shownJSON struct {
		Name         string            `json:"name"`
		Options      map[string]string `json:"options"`
		Files        []string          `json:"files"`
		DatePatterns []string          `json:"datepatterns"`
		MaxLines     int               `json:"maxlines"`
		JournalMatch string            `json:"journalmatch"`
		Forgeable    bool              `json:"journal_forgeable"`
		EveryLine    bool              `json:"every_line"`
		Patterns     []patternJSON     `json:"patterns"`
	}
	d := f.Definition()
	out := shownJSON{
		Name: d.Name, Options: d.Options, Files: d.Files, DatePatterns: append([]string{}, d.DatePatterns...), MaxLines: d.MaxLines,
		JournalMatch: f.Journal().String(), Forgeable: f.Journal().Forgeable(), EveryLine: len(filter.NewSet(f).Always()) > 0,
		Patterns: []patternJSON{},
	}
	n := map[string]int{}
	for _, p := range f.Describe() {
		n[p.Kind]++
		out.Patterns = append(out.Patterns, patternJSON{
			Kind: p.Kind, Number: n[p.Kind], Way: string(p.Way), Steps: p.Size, Literals: append([]string{}, p.Literals...), Text: p.Text,
			File: p.Pos.File, Line: p.Pos.Line,
		})
	}
	return answerJSON(w, out)
}

func literals(ls []string) string {
	if len(ls) == 0 {
		return "no literal"
	}
	quoted := make([]string, 0, len(ls))
	for _, l := range ls[:min(len(ls), 6)] {
		quoted = append(quoted, fmt.Sprintf("%q", l))
	}
	if len(ls) > 6 {
		quoted = append(quoted, fmt.Sprintf("%d more", len(ls)-6))
	}
	return "looks for " + strings.Join(quoted, " or ")
}

// loadFilter compiles a filter, ours or from a directory, as a jail names it.
func loadFilter(dir, use string) (*filter.Filter, error) {
	name, options, err := filter.ParseUse(use)
	if err != nil {
		return nil, usage("for example: 'sshd[mode=aggressive]'", "%w", err)
	}
	fsys := filters.FS()
	if dir != "" {
		fsys = os.DirFS(dir)
	} else if err := ours(name, options); err != nil {
		return nil, err
	}
	d, err := filter.Load(fsys, name, options)
	if err != nil {
		return nil, err
	}
	return filter.Compile(d)
}

// ours checks what is asked for of our own filters.
func ours(name string, options map[string]string) error {
	e, ok := filters.Find(name)
	if !ok {
		var names []string
		for _, e := range filters.All() {
			names = append(names, e.Name)
		}
		hint := "sekimori filter list"
		if n := nearest(name, names); n != "" {
			hint = "did you mean: " + n
		}
		return usage(hint, "there is no filter %q", name)
	}
	if mode, given := options["mode"]; given && !slices.Contains(modesOf(e), mode) {
		hint := "it has the modes " + strings.Join(modesOf(e), ", ")
		if len(e.Modes) == 0 {
			hint = name + " has no modes: leave it out"
		} else if n := nearest(mode, modesOf(e)); n != "" {
			hint = fmt.Sprintf("did you mean: %s[mode=%s]", name, n)
		}
		return usage(hint, "%s: there is no mode %q", name, mode)
	}
	known := []string{"mode", "logtype", "failregex", "ignoreregex", "prefregex", "maxlines", "datepattern", "journalmatch", "usedns"}
	for o := range options {
		if !slices.Contains(known, o) {
			hint := "the options are " + strings.Join(known, ", ")
			if n := nearest(o, known); n != "" {
				hint = "did you mean: " + n
			}
			return usage(hint, "%s: there is no option %q", name, o)
		}
	}
	return nil
}
