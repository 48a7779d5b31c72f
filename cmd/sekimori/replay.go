package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sekimori/internal/guard"
	"sekimori/internal/guard/filter"
	"sekimori/internal/guard/filters"
	"sekimori/internal/guard/replay"
)

// replayer is the command's flags.
type replayer struct {
	look
	jails   []string
	after   string
	banFor  string
	repeat  string
	since   string
	never   []string
	from    string
	list    int
	evident bool
}

func newReplay(io streams) *cobra.Command {
	r := replayer{look: look{streams: io}}
	cmd := &cobra.Command{
		Use:   "replay FILE...",
		Short: "Who would have been refused, by old logs and a setting, without touching anything",
		Long: `replay runs old logs through the guard at full speed and shows who attacked, how,
and what a setting would have done: who would have been refused, when, for how
long and why, with the lines as evidence. It changes nothing.

Logs may be plain or compressed (gzip, xz, zstd), or what journalctl writes with
-o export or -o json; - is standard input. Rotations of one log are read in
their order, different logs side by side in the order of their times.`,
		Example: `  sekimori replay /var/log/auth.log*
  journalctl -o export | sekimori replay -
  sekimori replay --jail sshd --after "5 failures in 10m" --for 1h /var/log/auth.log
  sekimori replay --jail 'sshd[mode=aggressive]' --repeat "x2 up to 7d" --evidence auth.log`,
		GroupID: groupSee,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("for example: sekimori replay /var/log/auth.log*", "replay needs a log")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&r.jails, "jail", nil, "the `FILTER` to use, with options in brackets; may be repeated (default: all but pam and sudo)")
	f.StringVar(&r.after, "after", "5 failures in 10m", "refuse after so many failures in so much time")
	f.StringVar(&r.banFor, "for", "1h", "refuse for so long")
	f.StringVar(&r.repeat, "repeat", "", `longer each time: "x2 up to 7d"`)
	f.StringVar(&r.since, "since", "", "leave out what is older: a date, or a length of time before the end such as 7d")
	f.StringArrayVar(&r.never, "never", nil, "an address or `PREFIX` never to refuse; may be repeated")
	f.StringVar(&r.from, "filters", "", "take the filters from `DIR`, laid out like /etc/fail2ban")
	f.IntVar(&r.list, "list", 15, "how many rows to show of each table; 0 for all")
	f.BoolVar(&r.evident, "evidence", false, "show the lines that told")
	r.formatFlag(cmd)
	return cmd
}

func (r replayer) run(ctx context.Context, names []string) error {
	o := replay.Options{Local: time.Local}
	var err error
	if o.Jails, err = r.jailList(); err != nil {
		return err
	}
	inputs, err := r.inputs(names)
	if err != nil {
		return err
	}
	if o.Since, err = sinceWhen(r.since, inputs); err != nil {
		return err
	}
	bar := newBar(r.streams, inputs)
	o.Progress = bar.lines
	res, err := replay.Run(ctx, bar.watch(inputs), o)
	bar.end()
	if err != nil {
		return err
	}
	if r.format == "json" {
		return r.json(res)
	}
	return r.text(res, o.Jails)
}

// jailList compiles what --jail names.
func (r replayer) jailList() ([]replay.Jail, error) {
	rule, err := r.rule()
	if err != nil {
		return nil, err
	}
	uses := r.jails
	if len(uses) == 0 {
		if r.from != "" {
			return nil, usage("for example: --jail sshd", "--filters needs --jail to say which")
		}
		for _, e := range filters.All() {
			// pam tells of the same failures as the services do; sudo has no address.
			if e.Name != "pam" && e.Name != "sudo" {
				uses = append(uses, e.Name)
			}
		}
	}
	var out []replay.Jail
	for _, u := range uses {
		f, err := loadFilter(r.from, u)
		if err != nil {
			return nil, err
		}
		out = append(out, replay.Jail{Name: f.Name(), Filter: f, Rule: rule})
	}
	return out, nil
}

func (r replayer) rule() (guard.Rule, error) {
	var rule guard.Rule
	var err error
	if rule.After, rule.Within, err = guard.ParseAfter(r.after); err != nil {
		return rule, usage("", "--after: %w", err)
	}
	if rule.For, err = guard.ParseDuration(r.banFor); err != nil {
		return rule, usage("", "--for: %w", err)
	}
	if rule.Repeat, rule.Max, err = guard.ParseRepeat(r.repeat); err != nil {
		return rule, usage("", "--repeat: %w", err)
	}
	for _, n := range r.never {
		p, err := parsePrefix(n)
		if err != nil {
			return rule, usage("", "--never: %w", err)
		}
		rule.Never = append(rule.Never, p)
	}
	return rule, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// inputs opens nothing yet: it finds the files and when they end.
func (r replayer) inputs(names []string) ([]replay.Input, error) {
	var out []replay.Input
	for _, n := range names {
		if n == "-" {
			out = append(out, replay.Input{Name: "-", Newest: time.Now(), Open: func() (io.ReadCloser, error) {
				return io.NopCloser(r.in), nil
			}})
			continue
		}
		st, err := os.Stat(n)
		switch {
		case err != nil:
			return nil, err
		case st.IsDir():
			return nil, hinted(fmt.Errorf("%s is a directory", n), "sekimori replay "+filepath.Join(n, "*"))
		}
		out = append(out, replay.Input{Name: n, Newest: st.ModTime(), Open: func() (io.ReadCloser, error) { return os.Open(n) }})
	}
	return out, nil
}

// sinceWhen reads --since: a date, or a length of time before the newest log ends.
func sinceWhen(s string, inputs []replay.Input) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", time.DateTime, time.RFC3339} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	d, err := guard.ParseDuration(s)
	if err != nil || d == guard.Forever {
		return time.Time{}, usage("for example: --since 7d, or --since 2026-08-01", "--since: %q is neither a date nor a length of time", s)
	}
	var newest time.Time
	for _, in := range inputs {
		if in.Newest.After(newest) {
			newest = in.Newest
		}
	}
	return newest.Add(-d), nil
}

// loadFilter compiles a filter, ours or from a directory, as a jail names it.
func loadFilter(dir, use string) (*filter.Filter, error) {
	name, options, err := filter.ParseUse(use)
	if err != nil {
		return nil, usage("", "%w", err)
	}
	fsys := filters.FS()
	if dir != "" {
		fsys = os.DirFS(dir)
	} else if _, ok := filters.Find(name); !ok {
		var names []string
		for _, e := range filters.All() {
			names = append(names, e.Name)
		}
		hint := "sekimori filter list"
		if n := nearest(name, names); n != "" {
			hint = "did you mean: " + n
		}
		return nil, usage(hint, "there is no filter %q", name)
	}
	d, err := filter.Load(fsys, name, options)
	if err != nil {
		return nil, err
	}
	return filter.Compile(d)
}

// text answers for people.
func (r replayer) text(res *replay.Result, jails []replay.Jail) error {
	w := r.out
	fmt.Fprintf(w, "%d lines, %d failures", res.Lines, res.Failures)
	if res.Failures > 0 {
		fmt.Fprintf(w, " from %d sources, %s to %s", len(res.Sources), stamp(res.First), stamp(res.Last))
	}
	fmt.Fprintln(w)
	r.faults(res)
	if res.Failures == 0 {
		return nil
	}
	refused := 0
	for _, d := range res.Decisions {
		if d.Refused {
			refused++
		}
	}
	rule := jails[0].Rule
	fmt.Fprintf(w, "\n%d bans, after %d failures in %s, for %s:\n", refused, rule.After, guard.Words(rule.Within), guard.Words(rule.For))
	r.decisions(w, res)
	fmt.Fprintln(w, "\nby source:")
	r.table(w, len(res.Sources), func(tw io.Writer, i int) {
		s := res.Sources[i]
		fmt.Fprintf(tw, "  %s\t%d failures\t%d bans\t%s\t%s\t%s\n", who(s.Prefix), s.Failures, s.Refused, span(s.First, s.Last), strings.Join(s.Services, ","), many(s.Users, "name"))
	})
	nets := res.Networks()
	fmt.Fprintln(w, "\nby network:")
	r.table(w, len(nets), func(tw io.Writer, i int) {
		n := nets[i]
		fmt.Fprintf(tw, "  %s\t%d failures\t%d bans\t%s\n", n.Prefix, n.Failures, n.Refused, many(n.Users, "source"))
	})
	if len(res.Users) > 0 {
		fmt.Fprintln(w, "\nby user name tried:")
		r.table(w, len(res.Users), func(tw io.Writer, i int) {
			u := res.Users[i]
			fmt.Fprintf(tw, "  %s\t%d failures\t%s\n", u.Name, u.Failures, many(u.Sources, "source"))
		})
	}
	return nil
}

func (r replayer) decisions(w io.Writer, res *replay.Result) {
	r.table(w, len(res.Decisions), func(tw io.Writer, i int) {
		d := res.Decisions[i]
		length := guard.Words(d.For)
		if !d.Refused {
			length = "never"
		}
		fmt.Fprintf(tw, "  %s\t%s\tfor %s\t%s\t%s\n", stamp(d.Time), who(d.Prefix), length, d.Service, d.Reason)
		if r.evident {
			for _, l := range d.Evidence {
				fmt.Fprintf(tw, "      %s\n", l)
			}
		}
	})
}

// table prints rows in columns, as many as --list allows.
func (r replayer) table(w io.Writer, n int, row func(io.Writer, int)) {
	shown := n
	if r.list > 0 {
		shown = min(n, r.list)
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i := range shown {
		row(tw, i)
	}
	tw.Flush()
	if shown < n {
		fmt.Fprintf(w, "  and %d more (--list 0 shows all)\n", n-shown)
	}
}

// faults says what the figures do not cover.
func (r replayer) faults(res *replay.Result) {
	for _, f := range res.Files {
		if f.Fault != "" {
			fmt.Fprintf(r.err, "sekimori: %s: read up to line %d only: %s\n", f.Name, f.Lines, f.Fault)
		}
		if f.Long > 0 {
			fmt.Fprintf(r.err, "sekimori: %s: %d lines are so long that only their beginning was looked at\n", f.Name, f.Long)
		}
	}
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{res.Exhausted, "lines took too much effort to match: it is not known whether they are failures"},
		{res.Undated, "failures had no date of their own and count as of the line before, or of the log's end"},
		{res.Unnamed, "failures name somebody by other than an address; nobody could be refused"},
		{res.Others, "failures are of more sources than are listed"},
	} {
		if c.n > 0 {
			fmt.Fprintf(r.err, "sekimori: %d %s\n", c.n, c.what)
		}
	}
}

func who(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func stamp(t time.Time) string { return t.Local().Format(time.DateTime) }

func span(a, b time.Time) string {
	return fmt.Sprintf("%s, for %s", stamp(a), guard.Words(b.Sub(a)))
}

func many(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case n >= 100:
		return "100 or more " + what + "s"
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// The JSON answer; field names are a promise.
type replayJSON struct {
	Lines     uint64         `json:"lines"`
	Failures  uint64         `json:"failures"`
	Exhausted uint64         `json:"exhausted"`
	Undated   uint64         `json:"undated"`
	Unnamed   uint64         `json:"unnamed"`
	Decisions []decisionJSON `json:"decisions"`
	Sources   []sourceJSON   `json:"sources"`
	Networks  []sourceJSON   `json:"networks"`
	Users     []userJSON     `json:"users"`
	Files     []fileJSON     `json:"files"`
}

type decisionJSON struct {
	Time      time.Time  `json:"time"`
	Prefix    string     `json:"prefix"`
	Refused   bool       `json:"refused"`
	Until     *time.Time `json:"until,omitempty"`
	Seconds   float64    `json:"seconds,omitempty"`
	Service   string     `json:"service"`
	Failures  int        `json:"failures"`
	Earlier   int        `json:"earlier"`
	Reason    string     `json:"reason"`
	Protected string     `json:"protected,omitempty"`
	Users     []string   `json:"users,omitempty"`
	Evidence  []string   `json:"evidence,omitempty"`
}

type sourceJSON struct {
	Prefix   string    `json:"prefix"`
	Failures int       `json:"failures"`
	Bans     int       `json:"bans"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Services []string  `json:"services,omitempty"`
}

type userJSON struct {
	Name     string `json:"name"`
	Failures int    `json:"failures"`
	Sources  int    `json:"sources"`
}

type fileJSON struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	Lines  uint64 `json:"lines"`
	Fault  string `json:"fault,omitempty"`
}

func (r replayer) json(res *replay.Result) error {
	out := replayJSON{
		Lines: res.Lines, Failures: res.Failures, Exhausted: res.Exhausted, Undated: res.Undated, Unnamed: res.Unnamed,
		Decisions: []decisionJSON{}, Users: []userJSON{},
	}
	for _, d := range res.Decisions {
		j := decisionJSON{
			Time: d.Time, Prefix: d.Prefix.String(), Refused: d.Refused, Service: d.Service, Failures: d.Failures,
			Earlier: d.Earlier, Reason: d.Reason, Users: d.Users, Evidence: d.Evidence,
		}
		if d.Refused && !d.Until.IsZero() {
			j.Until, j.Seconds = &d.Until, d.For.Seconds()
		}
		if d.Protected.IsValid() {
			j.Protected = d.Protected.String()
		}
		out.Decisions = append(out.Decisions, j)
	}
	out.Sources, out.Networks = sourcesJSON(res.Sources), sourcesJSON(res.Networks())
	for _, u := range res.Users {
		out.Users = append(out.Users, userJSON{u.Name, u.Failures, u.Sources})
	}
	for _, f := range res.Files {
		out.Files = append(out.Files, fileJSON{f.Name, f.Format, f.Lines, f.Fault})
	}
	enc := json.NewEncoder(r.out)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func sourcesJSON(in []replay.Source) []sourceJSON {
	out := []sourceJSON{}
	for _, s := range in {
		out = append(out, sourceJSON{s.Prefix.String(), s.Failures, s.Refused, s.First, s.Last, s.Services})
	}
	return out
}
