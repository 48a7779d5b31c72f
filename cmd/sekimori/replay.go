package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sekimori/internal/guard"
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
their order, different logs side by side in the order of their times.

Entries of a journal count if the service itself wrote them, by the fields that
the journal vouches for (journalmatch); what others wrote is told of.

What cannot be read is named on standard error. If that is a whole log, or the
end of one, or entries of one, the rest counts and the exit status is 1.`,
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
	f.StringVar(&r.since, "since", "", "leave out what is older: a date, or a length of time before now such as 7d")
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
	if r.list < 0 {
		return usage("--list 0 shows all", "--list: %d is no number of rows", r.list)
	}
	if o.Jails, err = r.jailList(); err != nil {
		return err
	}
	inputs, err := r.inputs(names)
	if err != nil {
		return err
	}
	if o.Since, err = sinceWhen(r.since, time.Now()); err != nil {
		return err
	}
	// What is kept of many sources has few pointers: looking for garbage often
	// costs little time, and memory is not taken for what is garbage.
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	bar := newBar(r.streams, inputs)
	o.Progress = bar.lines
	res, err := replay.Run(ctx, bar.watch(inputs), o)
	bar.end()
	if err != nil {
		return err
	}
	r.faults(res, o.Jails)
	if r.format == "json" {
		err = r.json(res)
	} else {
		err = answerText(r.out, func(w io.Writer) { r.text(w, res, o) })
	}
	if n := res.Incomplete(); err == nil && n > 0 {
		err = fmt.Errorf("%d of %d logs could not be read wholly; what is said is about the rest", n, len(res.Files))
	}
	return err
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
	given := map[string]string{} // by the name of the filter
	for _, u := range uses {
		f, err := loadFilter(r.from, u)
		if err != nil {
			return nil, err
		}
		if before, twice := given[f.Name()]; twice {
			return nil, usage("give one of them", "--jail: %s and %s are one filter: each failure would count twice", before, u)
		}
		given[f.Name()] = u
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
	switch {
	case rule.For <= 0:
		return rule, usage("for example: --for 1h", "--for: %q is no time at all", r.banFor)
	case rule.Max > 0 && rule.Max < rule.For:
		return rule, usage("leave it out, or let it be at least as long as --for", "--repeat: up to %s is less than the %s of --for: bans would get shorter", guard.Words(rule.Max), guard.Words(rule.For))
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
		return netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is neither an address nor a prefix such as 192.0.2.0/24", s)
	}
	return p.Masked(), nil
}

// inputs opens nothing yet: it finds the files and when they end.
func (r replayer) inputs(names []string) ([]replay.Input, error) {
	var out []replay.Input
	var seen []os.FileInfo
	stdin := false
	for _, n := range names {
		if n == "-" {
			if stdin {
				return nil, usage("", "- is given twice")
			}
			stdin = true
			if f, ok := r.in.(*os.File); ok {
				if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
					if slices.ContainsFunc(seen, func(other os.FileInfo) bool { return os.SameFile(st, other) }) {
						return nil, usage("", "- is given twice: it is one of the files")
					}
					seen = append(seen, st)
				}
			}
			out = append(out, replay.Input{Name: "-", Newest: time.Now(), Open: func() (io.ReadCloser, error) {
				return io.NopCloser(r.in), nil
			}})
			continue
		}
		st, err := statLog(n)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(seen, func(other os.FileInfo) bool { return os.SameFile(st, other) }) {
			return nil, usage("", "%s is given twice: each failure in it would count twice", n)
		}
		seen = append(seen, st)
		out = append(out, replay.Input{Name: n, Newest: st.ModTime(), Open: func() (io.ReadCloser, error) { return os.Open(n) }})
	}
	return out, nil
}

// statLog finds a file that may be a log.
func statLog(name string) (os.FileInfo, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return nil, hinted(fmt.Errorf("%s is a directory", name), "give the logs in it: "+filepath.Join(name, "*"))
	}
	return st, nil
}

// sinceWhen reads --since: a date, or a length of time before now.
func sinceWhen(s string, now time.Time) (time.Time, error) {
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
	return now.Add(-d), nil
}
