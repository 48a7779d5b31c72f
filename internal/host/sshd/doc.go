// Package sshd reads what decides who logs in by SSH: sshd_config(5) in the
// language that sshd itself understands, public keys, authorized_keys files,
// and the permissions of the way to them. It looks at nothing by itself: texts
// and facts are arguments.
//
// # The configuration
//
// [Read] follows servconf.c of OpenSSH, not the manual page:
//
//   - The first value wins, in the order of reading; Include is expanded in
//     place, its files in the order of their bytes. Port, ListenAddress,
//     HostKey, AcceptEnv, AllowUsers and their like add up. A few keywords take
//     the last value (IPQoS, MaxStartups, FingerprintHash, StreamLocalBindMask,
//     PerSourceMaxStartups).
//   - A Match block ends with the file that it is in. Its values beat those
//     outside whatever their order; of several blocks that a connection meets
//     the first one wins, and a list in a block replaces the list outside.
//   - Keywords, their place (global or Match), defaults and lists of algorithms
//     are those of a [Version].
//
// One configuration has as many meanings as there are kinds of connections.
// [Config.Effective] gives that of one; [Config.Cells] those of all users,
// sources and ports, with each value's file and line. [Effective.Compare] puts
// a meaning beside what sshd -T says of the same connection.
//
//	c := sshd.Read(files, "/etc/ssh/sshd_config", sshd.Debian12())
//	e := c.Effective(sshd.Connection{User: "alice", Addr: addr, LocalPort: 22})
//	e.Setting("passwordauthentication") // {[yes] [/etc/ssh/sshd_config.d/50-cloud-init.conf:1]}
//
// Whatever is wrong stands in [Config.Problems], with file and line: what sshd
// of that version refuses ([Refused]; reading for a newer version tells what
// will stop it after an upgrade), what could not be read ([Unread]; then no
// value is certain), and what does not do what it seems to ([Remark]). Nothing
// is passed over in silence.
//
// # Logins
//
// [Effective.KeyLogin] says whether an account gets in with a key, and what
// stands against it; [Effective.PasswordDoors] says by which methods a password
// opens a session. What was not looked at makes a login unsure, never good.
//
// # Tests
//
// The installed sshd is the referee: go test puts 150 generated configurations
// to sshd -T -C in a mount namespace of its own, and
//
//	go test -run Referee ./internal/host/sshd -args -sshd.configs 4000 -sshd.seed 7
//
// as many as one likes; -sshd.binary names the sshd of another release (the one of
// Debian 13, 10.0, agrees as well).
//
// # Bounds
//
// Files above 4 MiB, 16 MiB in all, a million lines processed, and Include
// below 16 levels are reported as problems. Not modelled: the quotes of OpenSSH
// before 8.7 (reported where they occur), name resolution of ListenAddress
// (remarked), LDAP users.
package sshd
