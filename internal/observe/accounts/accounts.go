package accounts

import (
	"context"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// People are the accounts of a host.
type People struct {
	Accounts []host.Account
	Groups   []host.Group
	Logins   host.LoginRules
	Unseen   []host.Unseen
}

// ReadPeople reads accounts, groups and what decides about logins in general.
func ReadPeople(f rootfs.FS) People {
	n := newNotes(host.SectionAccounts)
	var p People
	p.Accounts, p.Groups = readAccounts(f, n)
	p.Logins = readLogins(f, n)
	p.Unseen = n.done()
	return p
}

// Doors are what sshd and sudo say about accounts.
type Doors struct {
	SSH    host.SSH
	Sudo   host.Sudo
	Unseen []host.Unseen
}

// ReadDoors reads what sshd and sudo say about people; of the system it asks for
// the host's name and distribution. Live says that the files are those of the
// machine this runs on, whose sshd may be asked for a second opinion.
func ReadDoors(ctx context.Context, f rootfs.FS, system host.System, people People, live bool) Doors {
	var d Doors
	doors, roots := newNotes(host.SectionSSH), newNotes(host.SectionSudo)
	d.SSH = readSSH(ctx, f, vendor(system.ID), people.Accounts, doors)
	if live {
		d.SSH.Second = second(ctx, d.SSH.Binary, people.Accounts)
	}
	d.Sudo = readSudo(f, system.Hostname, roots)
	d.Unseen = append(doors.done(), roots.done()...)
	return d
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
