// Package systemd reads systemd's files: units with their drop-ins, presets, and
// the configurations of journald and its siblings, which are written in the same
// way (systemd.syntax(7)). It is pure: texts in, meaning out.
//
//	u := systemd.ReadUnit("ssh.service", []systemd.Text{{Path: "/usr/lib/systemd/system/ssh.service", Text: text}})
//	u.Commands[0].Argv // [/usr/sbin/sshd -D $SSHD_OPTS]
//
// Variables and specifiers are not filled in. Secrets in command lines are masked.
package systemd
