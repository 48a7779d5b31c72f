// Package logdate finds and reads the dates of log lines, as fail2ban does.
//
// A log says in its own way when something happened, and a guard that reads the
// date wrongly counts failures of last week as of now, or none at all. fail2ban
// has 17 templates, tries them in an order that it learns from the log, and
// lets a filter give templates of its own; filters are written with that in
// mind, and what they match is the line without its date. So this package
// finds the same dates at the same places:
//
//	d, err := logdate.New(nil, logdate.Options{Year: 2026})
//	from, to, ok := d.Find(m, []byte("Mar  7 10:11:12 host sshd[1]: ..."), &budget)
//	// line[from:to] is "Mar  7 10:11:12"
//	t, ok := d.Read(clock)
//
// Find is called for lines that matter only; Read only for those that match.
// A date without a year is of this year, or of the last one if it would lie
// more than a day ahead; a time without a date is of today or yesterday. A date
// that cannot be (30 February) is found but not read.
//
// The specification is fail2ban 1.0.2, man page jail.conf(5), "datepattern";
// tests compare with its Python classes where they are installed.
package logdate
