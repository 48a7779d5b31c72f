// Package host holds what was observed about one host at one moment, as plain
// data: a [Snapshot]. It is pure. Package observe fills it; audits, reports and
// the questions about reachability read it, on any operating system.
//
// # The file
//
// [Write] gives a snapshot as one indented JSON object whose first member is
// "schema". The same snapshot gives the same bytes, and reading these gives the
// same snapshot again. [Read] refuses a schema that is newer than [Schema], and
// members that schema does not have: a file is understood completely or not at all.
//
// # What never enters
//
// Password hashes, private keys, environments (but for libraries that they force
// into a process) and the values of secret-looking arguments (see [MaskArgs]) are
// not observed. Configurations of sshd and sudo are carried as texts, because
// their readers are to judge them elsewhere; those of web servers are not. A snapshot still describes the
// inside of a host: addresses, programs, users. It is not for publication.
//
// # Unseen
//
// What could not be read stands in [Snapshot.Unseen]. An empty list of sockets
// with an entry for [SectionSockets] means "unknown", without one "none". What only
// an audit asks for is known where [Snapshot.Audited]; [Snapshot.Misses] knows both.
package host
