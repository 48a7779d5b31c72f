package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sekimori/internal/guard"
	"sekimori/internal/guard/filter"
	"sekimori/internal/guard/filters"
	"sekimori/internal/guard/logdate"
	"sekimori/internal/guard/pyre"
	"sekimori/internal/guard/source"
)

func newFilter(io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "filter",
		Short:   "What failed logins look like in logs: list, try, show, import",
		Long:    "filter is about the patterns by which attacks are found in logs. They are in\nfail2ban's format; ours are built in.",
		Example: "  sekimori filter list\n  sekimori filter test sshd /var/log/auth.log\n  sekimori filter show 'sshd[mode=aggressive]'\n  sekimori filter import /etc/fail2ban",
		GroupID: groupSee,
	}
	cmd.AddCommand(newFilterList(io), newFilterTest(io), newFilterShow(io), newFilterImport(io))
	return cmd
}

func newFilterList(io streams) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "The filters that are built in", Args: exactly(),
		Example: "  sekimori filter list",
		RunE: func(*cobra.Command, []string) error {
			tw := tabwriter.NewWriter(io.out, 0, 8, 2, ' ', 0)
			for _, e := range filters.All() {
				modes := ""
				if len(e.Modes) > 0 {
					modes = "modes: normal, " + strings.Join(e.Modes, ", ")
				}
				fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", e.Name, e.Title, e.Logs[0], modes)
			}
			return tw.Flush()
		},
	}
}

func newFilterShow(io streams) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "show NAME", Short: "The patterns after all substitutions, and how each is matched", Args: exactly("the name of a filter"),
		Long: `show prints the patterns of a filter after includes and substitutions, how each is
matched, and which literals a line must have before it is tried at all:
  literal  fixed text
  linear   regular; the effort grows with the length of the line
  around   with lookahead, lookbehind or conditionals; linear all the same
  bounded  with back-references; ended by the effort that a line may cost`,
		Example: "  sekimori filter show 'sshd[mode=aggressive]'\n  sekimori filter show sshd --filters /etc/fail2ban",
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := loadFilter(dir, args[0])
			if err != nil {
				return err
			}
			showFilter(io.out, f)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "filters", "", "take the filter from `DIR`, laid out like /etc/fail2ban")
	return cmd
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
	for _, j := range d.JournalMatch {
		fmt.Fprintf(w, "journalmatch: %s\n", j)
	}
	n := map[string]int{}
	for _, p := range f.Describe() {
		n[p.Kind]++
		fmt.Fprintf(w, "\n%s %d  %s  %s\n  %s\n", p.Kind, n[p.Kind], p.Way, literals(p.Literals), p.Text)
	}
	if len(filter.NewSet(f).Always()) > 0 {
		fmt.Fprintln(w, "\nevery line goes through the patterns: there are no literals to look for first")
	}
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

func newFilterTest(io streams) *cobra.Command {
	t := filterTest{streams: io}
	cmd := &cobra.Command{
		Use: "test NAME FILE", Short: "Which lines match which pattern, and which look like attacks but do not", Args: exactly("the name of a filter", "a log"),
		Example: "  sekimori filter test sshd /var/log/auth.log\n  sekimori filter test 'nginx[mode=aggressive]' access.log --lines",
		RunE:    func(_ *cobra.Command, args []string) error { return t.run(args[0], args[1]) },
	}
	cmd.Flags().StringVar(&t.dir, "filters", "", "take the filter from `DIR`, laid out like /etc/fail2ban")
	cmd.Flags().BoolVar(&t.lines, "lines", false, "show every line that matches, with what was found in it")
	return cmd
}

type filterTest struct {
	streams
	dir   string
	lines bool
}

// suspicious are words of lines that one would expect to match.
var suspicious = pyre.MustCompile(`(?i)(?:fail(?:ed|ure)|invalid|denied|refused|incorrect|not allowed|unauthori[sz]ed|illegal|break-in|attack|bad password|wrong)`, 0)

// maxMissed bounds how many lines that were missed are shown.
const maxMissed = 20

func (t filterTest) run(name, file string) error {
	f, err := loadFilter(t.dir, name)
	if err != nil {
		return err
	}
	in, newest, err := t.open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	r, err := source.NewReader(in)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	defer r.Close()
	run, err := filter.NewSet(f).NewRun(filter.Settings{Clock: logdate.Clock{Now: newest, Local: time.Local}, Year: newest.Year()})
	if err != nil {
		return err
	}
	hits := make([]int, f.Patterns())
	var missed []string
	missedAll, matched := 0, 0
	m := pyre.NewMachine()
	start := time.Now()
	for num := 1; ; num++ {
		l, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				fmt.Fprintf(t.err, "sekimori: %s: read up to line %d only: %v\n", file, num-1, err)
			}
			break
		}
		var found []filter.Hit
		if l.Timed {
			found = run.LineAt(l.Text, l.Seconds)
		} else {
			found = run.Line(l.Text)
		}
		for i := range found {
			hits[found[i].Pattern]++
			if t.lines {
				t.show(num, &found[i], l.Text)
			}
		}
		if len(found) > 0 {
			matched++
			continue
		}
		budget := 10_000
		if m.Search(suspicious, l.Text[:min(len(l.Text), filter.MaxLine)], &budget) == pyre.Matched {
			if missedAll++; len(missed) < maxMissed {
				missed = append(missed, fmt.Sprintf("%6d: %s", num, printable(l.Text)))
			}
		}
	}
	t.summary(f, run, hits, matched, missed, missedAll, time.Since(start))
	return nil
}

func (t filterTest) open(file string) (io.ReadCloser, time.Time, error) {
	if file == "-" {
		return io.NopCloser(t.in), time.Now(), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, time.Time{}, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, time.Time{}, err
	}
	return f, st.ModTime(), nil
}

func (t filterTest) show(num int, h *filter.Hit, text []byte) {
	fmt.Fprintf(t.out, "%d: failregex %d, %s", num, h.Pattern+1, time.Unix(int64(h.Time), 0).Format(time.DateTime))
	if !h.Dated {
		fmt.Fprint(t.out, " (no date of its own)")
	}
	for _, n := range h.Fields() {
		if v, _ := h.Field(n); n != "mlfid" {
			fmt.Fprintf(t.out, ", %s %s", n, printable([]byte(v)))
		}
	}
	fmt.Fprintf(t.out, "\n    %s\n", printable(text))
}

func (t filterTest) summary(f *filter.Filter, run *filter.Run, hits []int, matched int, missed []string, missedAll int, took time.Duration) {
	c := run.Session(0).Counts()
	fmt.Fprintf(t.out, "%d lines, %d failures, %s", run.Lines(), matched, took.Round(time.Millisecond))
	if took > 0 {
		fmt.Fprintf(t.out, " (%.0f lines a second)", float64(run.Lines())/took.Seconds())
	}
	fmt.Fprintf(t.out, "\n%d lines had a literal of a pattern; %d of these matched none\n\n", c.Lines, c.Lines-min(c.Lines, c.Matched))
	pattern := 0
	for _, p := range f.Describe() {
		if p.Kind != "failregex" {
			continue
		}
		fmt.Fprintf(t.out, "%8d  failregex %d: %s\n", hits[pattern], pattern+1, p.Text)
		pattern++
	}
	if missedAll > 0 {
		fmt.Fprintf(t.out, "\n%d lines match nothing, but have words such as failed, invalid or denied:\n%s\n", missedAll, strings.Join(missed, "\n"))
	}
	for _, x := range []struct {
		n    uint64
		what string
	}{
		{c.Exhausted, "lines took too much effort: it is not known whether they match"},
		{c.Undated, "matches had no date of their own"},
		{c.Cut, "lines were longer than is looked at"},
	} {
		if x.n > 0 {
			fmt.Fprintf(t.err, "sekimori: %d %s\n", x.n, x.what)
		}
	}
}

// printable makes bytes of a log fit for a terminal.
func printable(b []byte) string {
	b = b[:min(len(b), 1000)]
	if !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0xfffd }) {
		return string(b)
	}
	q := fmt.Sprintf("%q", b)
	return q[1 : len(q)-1]
}

func newFilterImport(io streams) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "import DIR", Short: "What of an installation of fail2ban could be taken over, jail by jail", Args: exactly("the directory of fail2ban, as /etc/fail2ban"),
		Long: `import reads the jails and filters of an existing installation and says, jail by
jail, which line of the policy would do the same, and exactly what could not be
taken over and why. It changes nothing.`,
		Example: "  sekimori filter import /etc/fail2ban",
		RunE: func(_ *cobra.Command, args []string) error {
			return importJails(io.out, os.DirFS(args[0]), args[0], all)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "jails that are not enabled, too")
	return cmd
}

func importJails(w io.Writer, fsys fs.FS, dir string, all bool) error {
	jails, err := filter.ReadJails(fsys)
	if jails == nil && err != nil {
		return hinted(fmt.Errorf("%s: %w", dir, err), "sekimori filter import /etc/fail2ban")
	}
	if err != nil {
		fmt.Fprintf(w, "cannot be read:\n%v\n\n", err)
	}
	slices.SortStableFunc(jails, func(a, b filter.JailSetting) int { return cmp.Compare(rank(a), rank(b)) })
	enabled := 0
	for _, j := range jails {
		if j.Enabled {
			enabled++
		}
		if !j.Enabled && !all {
			continue
		}
		importJail(w, fsys, j)
	}
	fmt.Fprintf(w, "%d jails, %d enabled", len(jails), enabled)
	if !all && enabled < len(jails) {
		fmt.Fprint(w, "; --all shows the others")
	}
	fmt.Fprintln(w)
	return nil
}

func rank(j filter.JailSetting) int {
	if j.Enabled {
		return 0
	}
	return 1
}

// importJail says what a jail would be in the policy.
func importJail(w io.Writer, fsys fs.FS, j filter.JailSetting) {
	state := "enabled"
	if !j.Enabled {
		state = "not enabled"
	}
	fmt.Fprintf(w, "[%s] %s\n", j.Name, state)
	f, err := filter.LoadJail(fsys, j)
	switch {
	case j.Err != nil:
		fmt.Fprintf(w, "  cannot: %v\n\n", j.Err)
		return
	case err != nil:
		fmt.Fprintf(w, "  cannot: %v\n\n", err)
		return
	}
	name, options, _ := filter.ParseUse(j.Filter)
	own := "your own filter of that name is read when asked"
	if e, ok := filters.Find(ourName(name)); ok {
		own = fmt.Sprintf("ours for %s is %q", e.Title, e.Name)
	}
	fmt.Fprintf(w, "  filter %s: %d patterns, all of them run; %s\n", j.Filter, f.Patterns(), own)
	if mode := options["mode"]; mode != "" && mode != "normal" {
		fmt.Fprintf(w, "    with mode=%s\n", mode)
	}
	fmt.Fprintf(w, "  policy: guard: {watch: [%s], ban: {after: %s failures in %s, for: %s%s}}\n", cmp.Or(ourName(name), name),
		cmp.Or(j.Values["maxretry"], "5"), words(j.Values["findtime"], "10m"), words(j.Values["bantime"], "10m"), repeatOf(j))
	if ignore := strings.Fields(strings.ReplaceAll(j.Values["ignoreip"], ",", " ")); len(ignore) > 0 {
		fmt.Fprintf(w, "  policy: guard: {never: [%s]}\n", strings.Join(ignore, ", "))
	}
	for _, c := range cannot(j, f) {
		fmt.Fprintf(w, "  not taken over: %s\n", c)
	}
	fmt.Fprintln(w)
}

// ourName returns what our filter for the same service is called.
func ourName(name string) string {
	if _, ok := filters.Find(name); ok {
		return name
	}
	for _, p := range [][2]string{
		{"nginx-", "nginx"},
		{"apache-", "apache"},
		{"mysqld-", "mysql"},
		{"haproxy-", "haproxy"},
		{"traefik-", "traefik"},
		{"roundcube-", "roundcube"},
		{"phpmyadmin-", "phpmyadmin"},
		{"pure-ftpd", "pureftpd"},
		{"named-", "named"},
		{"pam-generic", "pam"},
		{"bitwarden", "vaultwarden"},
		{"exim-", "exim"},
	} {
		if strings.HasPrefix(name, p[0]) {
			return p[1]
		}
	}
	return ""
}

func words(s, otherwise string) string {
	d, err := guard.ParseDuration(cmp.Or(s, otherwise))
	if err != nil {
		return cmp.Or(s, otherwise)
	}
	return guard.Words(d)
}

func repeatOf(j filter.JailSetting) string {
	if v := strings.ToLower(j.Values["bantime.increment"]); v != "true" && v != "yes" && v != "1" && v != "on" {
		return ""
	}
	limit := ""
	if m := j.Values["bantime.maxtime"]; m != "" {
		limit = " up to " + words(m, "")
	}
	return ", repeat: x2" + limit
}

// cannot lists what of a jail has no counterpart, each with the reason.
func cannot(j filter.JailSetting, f *filter.Filter) []string {
	var out []string
	add := func(option, why string) {
		if v := j.Values[option]; v != "" {
			at := ""
			if p, ok := j.Pos[option]; ok && p.Line > 0 {
				at = " (" + p.String() + ")"
			}
			out = append(out, fmt.Sprintf("%s = %s%s: %s", option, clipWord(v), at, why))
		}
	}
	add("action", "bans go to the kernel directly; what else an action does is for hooks of your own")
	add("ignorecommand", "nothing in a log starts a process")
	add("bantime.formula", "bans grow by a factor, not by a Python expression")
	add("bantime.multipliers", "bans grow by a factor")
	add("bantime.rndtime", "bans are as long as they say")
	if u := strings.ToLower(j.Values["usedns"]); u == "yes" || u == "warn" {
		for _, p := range f.Describe() {
			if strings.Contains(p.Text, "<HOST>") || strings.Contains(p.Text, "<DNS>") {
				add("usedns", "names in logs are never looked up; lines that have only a name refuse nobody")
				break
			}
		}
	}
	for w := range strings.FieldsSeq(strings.ReplaceAll(j.Values["ignoreip"], ",", " ")) {
		if _, err := parsePrefix(w); err != nil {
			out = append(out, fmt.Sprintf("ignoreip %s: a name; addresses and prefixes can be protected", w))
		}
	}
	return out
}

func clipWord(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 70 {
		return s[:67] + "..."
	}
	return s
}
