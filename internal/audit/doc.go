// Package audit says what is weak on a host, over a snapshot: one table of
// checks ([Checks]), each a pure function. It looks at nothing by itself; what it
// is shown stands in [Input], the time included.
//
//	result := audit.Run(audit.Input{Snapshot: s, Rules: rules, Now: now})
//	for _, f := range result.Findings {
//		fmt.Println(f.Severity, f.ID, f.Evidence)
//	}
//
// # Findings
//
// A check gives at most one finding, with one line of evidence for each thing
// that it is about: a socket, a line of a file, an account. What has no evidence is
// no finding. Titles, reasons and remedies are words for people and stand in
// package words, by the id of the check, in each language.
//
// # Three answers
//
// A check finds something, or nothing, or could not see what it asks about:
// then it gives a reason in [Result.Unseen], and never "nothing". The worst
// finding decides the grade; while something about who reaches this host could not
// be seen or decided, the grade is "?".
//
// # Where checks stand
//
// One file per section. What several checks ask (which sockets are open to whom,
// the effective values of sshd for each account, source and port) is worked out
// once, in a view.
package audit
