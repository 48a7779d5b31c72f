// Package filter reads filters in fail2ban's format and finds failures in lines
// of logs with them.
//
// A filter is loaded, compiled and run:
//
//	d, err := filter.Load(os.DirFS("/etc/fail2ban"), "sshd", map[string]string{"mode": "aggressive"})
//	f, err := filter.Compile(d)
//	run, err := filter.NewSet(f).NewRun(filter.Settings{Clock: logdate.Clock{Now: now, Local: loc}})
//	for _, hit := range run.Line(line) { … hit.Addr … }
//
// # The language
//
// It is that of fail2ban 1.0 and 1.1, man page jail.conf(5): [INCLUDES] before
// and after, NAME.local and NAME.d beside NAME.conf, [DEFAULT], %(name)s also as
// %(section/name)s and %(known/name)s, <name> and <a-<b>>, [Init], options in
// brackets; prefregex, failregex, ignoreregex, maxlines, datepattern,
// journalmatch; <HOST>, <ADDR>, <SUBNET>, <CIDR>, <DNS>, <IP4>, <IP6>,
// <SKIPLINES>, <F-...> with what they mean over several lines of one session:
// mlfid, nofail, mlfforget, mlfgained, alt_ and tuple_. Regular expressions are
// Python's, package pyre.
//
// Where it differs, on purpose:
//
//   - Names are never looked up. A failure by a name has an ID and no Addr.
//   - Nothing in a log starts a process or opens a file.
//   - A line of more than MaxLine bytes matches nothing, for a match might depend
//     on the rest; it is counted (Counts.Long, Run.Long). All patterns of a filter
//     together have a budget for each line; a line for which it does not suffice
//     is counted (Counts.Exhausted), not taken for one that does not match.
//   - <F-TIMES>, a group like any other to fail2ban, says how many failures a
//     line stands for ("message repeated 5 times"; Match.Times). fail2ban counts
//     each line once.
//   - A line whose date cannot be (February 30, hour 25) does not count, as
//     Run.Undated says: there it counts as of now. February 29 without a year is
//     of the last leap year.
//   - A file that includes itself is an error, not passed over.
//   - A tag that means nothing, and a mode that there is not, are errors: there
//     they become text that no line has. \<tag> is the text itself, and words in
//     capitals that are no tag of the language, such as <NOSRV>, may be.
//   - Of a journal, entries that do not meet journalmatch run beside: what they
//     would have found is told apart (Run.Entry), and they touch no session.
//
// Where 1.0 and 1.1 differ, it is as 1.1: a group that took no part in a match
// leaves what prefregex found.
//
// Errors name the line of the file in which the fault stands, through includes
// and substitutions.
//
// # One pass
//
// From every pattern, literals are taken of which a line must have one. A Set
// looks for the literals of all its patterns in one scan, and only patterns
// whose literal is there are tried. A date is read only if a pattern matched.
//
// What a detector of dates learns from a log decides how it reads 02-03-2026. As
// in fail2ban it learns from every line, if all filters of a set expect dates of
// the same forms, as those of one jail do. In a set of filters that do not, each
// has its own, which learns from the lines that matter to it: there is no jail
// like that.
//
// Patterns over several lines (maxlines), those without literals, and dates
// that may begin inside of a word ({UNB}, **) see every line.
package filter
