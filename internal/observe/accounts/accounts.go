package accounts

import (
	"context"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// Result is what [Read] gives.
type Result struct {
	Accounts []host.Account
	Groups   []host.Group
	Logins   host.LoginRules
	SSH      host.SSH
	Sudo     host.Sudo
	Unseen   []host.Unseen
}

// Read reads the accounts of a host, and what sshd and sudo say about them. Of the
// system it asks for the host's name and distribution.
func Read(ctx context.Context, f rootfs.FS, system host.System) Result {
	var r Result
	people := newNotes(host.SectionAccounts)
	r.Accounts, r.Groups = readAccounts(f, people)
	r.Logins = readLogins(f, people)
	doors := newNotes(host.SectionSSH)
	r.SSH = readSSH(ctx, f, vendor(system.ID), r.Accounts, doors)
	roots := newNotes(host.SectionSudo)
	r.Sudo = readSudo(f, system.Hostname, roots)
	for _, n := range []*notes{people, doors, roots} {
		r.Unseen = append(r.Unseen, n.done()...)
	}
	return r
}

// vendor names whose OpenSSH a distribution has, as host/sshd calls it.
func vendor(id string) string {
	switch id {
	case "debian", "ubuntu", "raspbian", "devuan", "linuxmint", "pop", "kali":
		return "debian"
	case "rhel", "fedora", "centos", "rocky", "almalinux", "ol", "amzn":
		return "redhat"
	}
	return ""
}
