package main

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"sekimori/internal/guard"
	"sekimori/internal/guard/filter"
	"sekimori/internal/guard/replay"
)

// text answers for people.
func (r replayer) text(w io.Writer, res *replay.Result, o replay.Options) {
	fmt.Fprintf(w, "%d lines, %d failures", res.Lines, res.Failures)
	if res.Failures > 0 {
		fmt.Fprintf(w, " from %d sources, %s to %s", len(res.Sources), stamp(res.First), stamp(res.Last))
	}
	fmt.Fprintln(w)
	if res.Early > 0 {
		fmt.Fprintf(w, "%d failures are older than %s (--since) and left out, the last of them of %s\n", res.Early, stamp(o.Since), stamp(res.EarlyLast))
	}
	for _, f := range res.Forged {
		fmt.Fprintf(w, "%d journal entries look like failures of %s, but are not of its own and do not count; the first (%s, line %d) has %s:\n    %s\n",
			f.Entries, f.Jail, f.Name, f.Num, f.Fields, f.Line)
	}
	if res.Failures == 0 {
		return
	}
	refused := 0
	for _, d := range res.Decisions {
		if d.Refused {
			refused++
		}
	}
	rule := o.Jails[0].Rule
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
func (r replayer) faults(res *replay.Result, jails []replay.Jail) {
	journal := false
	for i := range res.Files {
		r.fileFaults(&res.Files[i])
		journal = journal || strings.Contains(res.Files[i].Format, "journal")
	}
	for _, j := range jails {
		if journal && j.Filter.Journal().Forgeable() {
			fmt.Fprintf(r.err, "sekimori: %s takes journal entries that anybody may have written (journalmatch: %s)\n", j.Name, cmp.Or(j.Filter.Journal().String(), "none"))
		}
	}
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{res.Exhausted, "lines took too much effort to match: it is not known whether they are failures"},
		{res.Undated, "failures had no date of their own and count as of the line before, or of the log's end"},
		{res.Future, "failures are dated more than a day after their log was written"},
		{res.Unnamed, "failures name somebody by other than an address; nobody could be refused"},
		{res.Others, "failures are of more sources than are listed"},
	} {
		if c.n > 0 {
			fmt.Fprintf(r.err, "sekimori: %d %s\n", c.n, c.what)
		}
	}
}

// fileFaults says what of a log could not be read, or not as it should be.
func (s streams) fileFaults(f *replay.File) {
	say := func(format string, args ...any) {
		fmt.Fprintf(s.err, "sekimori: %s: %s\n", f.Name, fmt.Sprintf(format, args...))
	}
	switch {
	case f.Fault != "" && f.Lines == 0:
		say("not read: %s", f.Fault)
	case f.Fault != "":
		say("read up to %s %d only: %s", unit(f), f.Lines, f.Fault)
	}
	if x := f.Flaws; x.Bad > 0 {
		say("%d entries could not be read and do not count; the first is in line %d: %s", x.Bad, x.FirstBad, x.Why)
	}
	if f.Long > 0 {
		say("%d lines have more than %d bytes and do not count, whatever they say; the first is line %d", f.Long, filter.MaxLine, f.FirstLong)
	}
	if x := f.Flaws; x.NUL > 0 {
		say("%d lines have NUL bytes inside, the first is line %d; part of what they said may be lost", x.NUL, x.FirstNUL)
	}
	if x := f.Flaws; x.Holes > 0 {
		say("%d stretches of NUL bytes where lines should be: what stood there is lost", x.Holes)
	}
	if f.NoDate > 0 {
		say("%d lines that a filter may be about have a date that cannot be, or none that it expects, and do not count; the first is line %d: %s",
			f.NoDate, f.FirstNoDate, f.NoDateExample)
	}
}

func unit(f *replay.File) string {
	if strings.Contains(f.Format, "journal") {
		return "entry"
	}
	return "line"
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
