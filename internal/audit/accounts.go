package audit

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sekimori/internal/host"
	"sekimori/internal/host/sshd"
	"sekimori/internal/host/sudoers"
)

func accountChecks() []Check {
	return []Check{
		{"acct-admin", Accounts, High, []string{"ANSSI BP-028 R33", "CIS Debian 12 5.1.20"}, (*view).noAdmin},
		{"acct-uid0", Accounts, Critical, []string{"CIS Debian 12 5.4.2.1", "Lynis AUTH-9204"}, (*view).otherRoots},
		{"acct-empty", Accounts, Critical, []string{"CIS Debian 12 7.2.2"}, (*view).emptyAccounts},
		{"acct-expiry-lock", Accounts, High, []string{"shadow(5)", "pam_unix(8)"}, (*view).ageingLocks},
		{"acct-files", Accounts, High, []string{"CIS Debian 12 7.1.1 to 7.1.8"}, (*view).accountFiles},
		{"acct-hash", Accounts, Medium, []string{"ANSSI BP-028 R68", "Lynis AUTH-9229"}, (*view).weakHashes},
		{"acct-root-locked", Accounts, Low, []string{"ANSSI BP-028 R33"}, (*view).rootPassword},
		{"acct-docker", Accounts, Medium, []string{"Docker: attack surface of the daemon"}, (*view).rootGroups},
		{"acct-dupes", Accounts, Medium, []string{"CIS Debian 12 7.2.5 to 7.2.8"}, (*view).duplicates},
		{"acct-sharedkey", Accounts, Low, []string{"ANSSI BP-028 R38"}, (*view).sharedKeys},
		{"acct-sysshell", Accounts, Low, []string{"CIS Debian 12 5.4.2.7"}, (*view).systemShells},
		{"acct-home", Accounts, Low, []string{"CIS Debian 12 7.2.9"}, (*view).homes},
		{"acct-pam", Accounts, High, []string{"pam.conf(5)", "pam_permit(8)"}, (*view).openPAM},
		{"sudo-perms", Accounts, High, []string{"CIS Debian 12 5.2.1", "sudoers(5)"}, (*view).sudoFiles},
		{"sudo-writable", Accounts, High, []string{"ANSSI BP-028 R42"}, (*view).sudoWritable},
		{"sudo-invalid", Accounts, Medium, []string{"visudo(8)"}, (*view).sudoInvalid},
		{"sudo-nopasswd", Accounts, Medium, []string{"CIS Debian 12 5.2.4, 5.2.5"}, (*view).sudoNoPassword},
		{"sudo-remark", Accounts, Low, []string{"sudoers(5)", "ANSSI BP-028 R43"}, (*view).sudoRemarks},
		{"sudo-pty", Accounts, Low, []string{"CIS Debian 12 5.2.2, 5.2.3", "ANSSI BP-028 R39"}, (*view).sudoPTY},
	}
}

// roots are those who can become root by sudo.
func (v *view) roots() []sudoers.Root {
	if v.sudo == nil {
		return nil
	}
	var users []sudoers.User
	for _, a := range v.s.Accounts {
		users = append(users, sudoers.User{Name: a.Name, UID: a.UID, Groups: a.Groups, GIDs: a.GIDs})
	}
	h := sudoers.Host{Names: []string{v.s.System.Hostname}}
	if short, _, ok := strings.Cut(v.s.System.Hostname, "."); ok {
		h.Names = append(h.Names, short)
	}
	for _, i := range v.s.Interfaces {
		for _, a := range i.Addresses {
			h.Addresses = append(h.Addresses, netip.PrefixFrom(a.Prefix.Addr(), a.Prefix.Bits()))
		}
	}
	return v.sudo.Roots(users, h)
}

// admins are the ordinary accounts with a shell that can become root.
func (v *view) admins() []string {
	var names []string
	for _, r := range v.roots() {
		if a := v.ssh.accounts[r.User]; (r.Any || r.Undecided) && a.LoginShell && a.UID != 0 {
			names = append(names, r.User)
		}
	}
	return names
}

// noAdmin finds that everything is done as root, because nobody else can become it.
func (v *view) noAdmin() outcome {
	var o outcome
	if !v.s.Audited {
		return o
	}
	o.miss(v.without(host.SectionAccounts, host.SectionSudo)...)
	if len(v.s.Accounts) == 0 || len(v.admins()) > 0 || len(o.unseen) > 0 {
		return o
	}
	if len(v.s.Sudo.Doas) > 0 {
		return o // doas.conf is not read here
	}
	var shells []string
	for _, a := range v.s.Accounts {
		if a.LoginShell && a.UID != 0 {
			shells = append(shells, a.Name)
		}
	}
	who := "no account but root has a shell"
	if len(shells) > 0 {
		who = "of " + few(shells) + " nobody may become root by sudo"
	}
	if v.s.Sudo.Binary.Path == "" {
		who += "; sudo is not installed"
	}
	o.add("%s", who)
	if v.ssh.config == nil {
		o.atLeast(Low)
	} else if values := v.rootValues(); values["yes"].setting.Values == nil {
		o.atLeast(Medium)
	}
	return o
}

func (v *view) otherRoots() outcome {
	var o outcome
	for _, a := range v.s.Accounts {
		if a.UID == 0 && a.Name != "root" {
			o.add("/etc/passwd:%d: %s has uid 0, shell %s, password: %s", a.Line, a.Name, a.Shell, a.Shadow.State)
		}
	}
	return o
}

func (v *view) emptyAccounts() outcome {
	o := outcome{unseen: v.without(host.SectionAccounts)}
	for _, a := range v.s.Accounts {
		if a.Shadow.State != "empty" {
			continue
		}
		o.add("/etc/passwd:%d: %s has no password, shell %s", a.Line, a.Name, a.Shell)
		if a.LoginShell {
			o.atLeast(Critical)
		} else {
			o.atLeast(Medium)
		}
	}
	return o
}

// day is a time as shadow(5) counts it.
func day(n int) time.Time { return time.Unix(0, 0).UTC().AddDate(0, 0, n) }

// ageingLocks finds accounts that only keys open, and that password ageing shuts:
// PAM then asks for a new password, which ssh without a terminal cannot give.
func (v *view) ageingLocks() outcome {
	var o outcome
	if v.ssh.config == nil || !v.ssh.config.Global().Bool("usepam") {
		return o
	}
	for _, a := range v.s.Accounts {
		s := a.Shadow
		if !a.LoginShell || v.keysOf(a.Name) == 0 || s.State == "unknown" || s.State == "missing" {
			continue
		}
		switch {
		case s.Changed == 0:
			o.add("%s: the password must be changed at the next login", a.Name)
		case s.Max >= 0 && s.Max < 10000 && s.Changed > 0 && (s.State == "locked" || s.State == "star"):
			end := day(s.Changed + s.Max)
			o.add("%s: only keys open it, and its password of %s ends on %s (at most %d days)", a.Name, day(s.Changed).Format("2006-01-02"), end.Format("2006-01-02"), s.Max)
		case s.Max >= 0 && s.Max < 10000 && s.Changed > 0 && day(s.Changed+s.Max).Before(v.Now):
			o.add("%s: its password ended on %s", a.Name, day(s.Changed+s.Max).Format("2006-01-02"))
		}
		if s.Expires > 0 && day(s.Expires).Before(v.Now) {
			o.add("%s: the account ended on %s", a.Name, day(s.Expires).Format("2006-01-02"))
		}
	}
	return o
}

func (v *view) accountFiles() outcome {
	var o outcome
	for _, f := range v.s.Logins.Files {
		secret := strings.Contains(f.Path, "shadow")
		switch {
		case f.UID != 0:
			o.add("%s belongs to uid %d", f.Path, f.UID)
		case f.OthersWrite(), f.GroupWrites() && f.GID != 0:
			o.add("%s has mode %04o", f.Path, f.Mode)
		case secret && f.Mode&0o007 != 0:
			o.add("%s has mode %04o: password hashes can be read", f.Path, f.Mode)
		}
	}
	for _, a := range v.s.Accounts {
		if a.Shadow.InPasswd {
			o.add("/etc/passwd:%d: the password hash of %s can be read by all", a.Line, a.Name)
		}
	}
	return o
}

func (v *view) weakHashes() outcome {
	var o outcome
	for _, a := range v.s.Accounts {
		names := map[string]string{"des": "DES", "1": "MD5", "sha1": "SHA-1", "3": "NT", "bsdi": "extended DES"}
		if weak := names[a.Shadow.Scheme]; weak != "" && a.Shadow.State == "password" {
			o.add("%s: %s", a.Name, weak)
		}
	}
	return o
}

// rootPassword finds that root has a password although somebody else can become it.
func (v *view) rootPassword() outcome {
	var o outcome
	if a, ok := v.ssh.accounts["root"]; ok && a.Shadow.State == "password" && len(v.admins()) > 0 {
		o.add("root has a password; %s can use sudo", few(v.admins()))
	}
	return o
}

// rootGroups finds members of groups that are as good as root.
func (v *view) rootGroups() outcome {
	var o outcome
	admins := v.admins()
	for _, g := range v.s.Groups {
		if !slices.Contains([]string{"docker", "lxd", "incus-admin", "disk", "kmem", "shadow", "libvirt", "podman"}, g.Name) {
			continue
		}
		for _, m := range slices.Concat(g.Members, g.Primary) {
			if a, ok := v.ssh.accounts[m]; ok && a.UID != 0 && a.LoginShell && !slices.Contains(admins, m) {
				o.add("%s is in group %s (/etc/group:%d)", m, g.Name, g.Line)
			}
		}
	}
	return o
}

func (v *view) duplicates() outcome {
	var o outcome
	type seen struct{ what, value string }
	first := map[seen]string{}
	note := func(what, value, who string) {
		k := seen{what, value}
		if other, dup := first[k]; dup {
			o.add("%s %s is that of %s and of %s", what, value, other, who)
			return
		}
		first[k] = who
	}
	for _, a := range v.s.Accounts {
		if a.UID != 0 { // those of uid 0 are worse, and told elsewhere
			note("uid", fmt.Sprint(a.UID), a.Name)
		}
		note("account", a.Name, fmt.Sprintf("line %d", a.Line))
	}
	for _, g := range v.s.Groups {
		note("gid", fmt.Sprint(g.GID), g.Name)
		note("group", g.Name, fmt.Sprintf("line %d", g.Line))
	}
	return o
}

func (v *view) sharedKeys() outcome {
	var o outcome
	where := map[string][]string{}
	var order []string
	for _, f := range v.s.SSH.KeyFiles {
		for _, e := range sshd.ParseAuthorizedKeys(f.Text) {
			if e.Err != "" || e.Key.Cert != nil {
				continue
			}
			print := e.Key.Fingerprint()
			if where[print] == nil {
				order = append(order, print)
			}
			for _, a := range f.Accounts {
				if !slices.Contains(where[print], a) {
					where[print] = append(where[print], a)
				}
			}
		}
	}
	for _, print := range order {
		if len(where[print]) > 1 {
			o.add("%s opens %s", print, few(where[print]))
		}
	}
	return o
}

func (v *view) systemShells() outcome {
	var o outcome
	least := 1000
	if n := v.s.Logins.Defs["UID_MIN"]; n != "" {
		if _, err := fmt.Sscan(n, &least); err != nil {
			least = 1000
		}
	}
	for _, a := range v.s.Accounts {
		if a.LoginShell && a.UID != 0 && a.UID < least && a.Shadow.State != "password" && v.keysOf(a.Name) == 0 {
			o.add("/etc/passwd:%d: %s (uid %d) has the shell %s", a.Line, a.Name, a.UID, a.Shell)
		}
	}
	return o
}

func (v *view) homes() outcome {
	var o outcome
	for _, a := range v.s.Accounts {
		d := a.HomeDir
		if !a.LoginShell || d.Type == "" {
			continue
		}
		switch {
		case d.UID != a.UID && d.UID != 0:
			o.add("%s, home of %s, belongs to uid %d", d.Path, a.Name, d.UID)
			o.atLeast(Medium)
		case d.OthersWrite():
			o.add("%s, home of %s, has mode %04o", d.Path, a.Name, d.Mode)
			o.atLeast(High)
		case d.Mode&0o005 != 0 && a.UID != 0:
			o.add("%s, home of %s, has mode %04o", d.Path, a.Name, d.Mode)
			o.atLeast(Low)
		}
	}
	return o
}

// openPAM finds services that let everybody in: pam_permit that is sufficient, or
// nullok where passwords are empty.
func (v *view) openPAM() outcome {
	var o outcome
	for _, l := range v.s.Logins.PAM {
		if l.Type == "auth" && base(l.Module) == "pam_permit.so" && (l.Control == "sufficient" || strings.HasPrefix(l.Control, "[success=done")) {
			o.add("/etc/pam.d/%s:%d: auth %s %s lets everybody in", l.Service, l.Line, l.Control, l.Module)
		}
		if l.Type == "auth" && base(l.Module) == "pam_rhosts.so" {
			o.add("/etc/pam.d/%s:%d: %s trusts other hosts", l.Service, l.Line, l.Module)
		}
		if l.Type == "auth" && base(l.Module) == "pam_exec.so" && slices.Contains(l.Args, "expose_authtok") {
			o.add("/etc/pam.d/%s:%d: pam_exec hands passwords to %s", l.Service, l.Line, cmp.Or(strings.Join(l.Args, " "), "a program"))
		}
	}
	return o
}

func (v *view) sudoFiles() outcome {
	o := outcome{unseen: v.without(host.SectionSudo)}
	for _, f := range v.s.Sudo.Files {
		switch {
		case f.Type == "":
		case f.UID != 0:
			o.add("%s belongs to uid %d", f.Path, f.UID)
		case f.OthersWrite() || f.GroupWrites() && f.GID != 0:
			o.add("%s has mode %04o", f.Path, f.Mode)
		}
	}
	return o
}

// sudoWritable finds commands that run with other rights and that somebody without
// those could replace.
func (v *view) sudoWritable() outcome {
	var o outcome
	for _, c := range v.s.Sudo.Commands {
		for _, f := range c.Chain {
			sticky := f.Type == "dir" && f.Mode&0o1000 != 0
			switch {
			case f.UID != 0:
				o.add("%s: %s belongs to uid %d", c.Path, f.Path, f.UID)
			case f.OthersWrite() && (!sticky || c.Missing), f.GroupWrites() && f.GID != 0 && !sticky:
				o.add("%s: %s has mode %04o", c.Path, f.Path, f.Mode)
			}
		}
	}
	return o
}

func (v *view) sudoInvalid() outcome {
	var o outcome
	if v.sudo == nil {
		return o
	}
	for _, p := range v.sudo.Problems {
		if p.Kind == sudoers.Invalid {
			o.add("%s", p)
		}
		if p.Kind == sudoers.Unread && len(v.without(host.SectionSudo)) == 0 {
			o.miss(p.String())
		}
	}
	return o
}

func (v *view) sudoNoPassword() outcome {
	var o outcome
	for _, r := range v.roots() {
		a := v.ssh.accounts[r.User]
		if r.Any && r.Password == sudoers.NotAsked && a.LoginShell {
			o.add("%s: %s runs anything as root without a password", r.From, r.User)
		}
	}
	if len(o.evidence) > 0 && v.keyOnly() {
		o.atLeast(Low)
	}
	return o
}

// keyOnly reports whether all accounts that sudo asks nothing have no password
// that could be asked for: then NOPASSWD is the way that key logins are meant.
func (v *view) keyOnly() bool {
	for _, r := range v.roots() {
		a := v.ssh.accounts[r.User]
		if r.Any && r.Password == sudoers.NotAsked && a.LoginShell && (a.Shadow.State != "locked" && a.Shadow.State != "star") {
			return false
		}
	}
	return true
}

func (v *view) sudoRemarks() outcome {
	var o outcome
	if v.sudo == nil {
		return o
	}
	for _, p := range v.sudo.Problems {
		if p.Kind == sudoers.Remark && !strings.Contains(p.Text, "no such directory") {
			o.add("%s", p)
		}
	}
	for _, r := range v.sudo.Rules {
		all := false
		for _, c := range r.Commands {
			all = all || c.Member.Kind == "all" && !c.Member.Negated
			if all && c.Member.Negated {
				o.add("%s: all but %s: a copy of it has another name", c.Pos, c.Member.Text)
			}
			if c.Member.Args != nil && strings.ContainsAny(*c.Member.Args, "*?") {
				o.add("%s: %s %s: a wildcard matches blanks as well, and so further arguments", c.Pos, c.Member.Text, *c.Member.Args)
			}
		}
	}
	return o
}

func (v *view) sudoPTY() outcome {
	var o outcome
	if v.sudo == nil || strings.HasPrefix(v.s.Sudo.Package, "sudo-rs") || len(v.roots()) == 0 {
		return o
	}
	on := map[string]bool{"use_pty": compareDebian(v.s.Sudo.PackageVersion, "1.9.14") >= 0 && v.s.Sudo.PackageVersion != ""}
	for _, d := range v.sudo.Defaults {
		if d.Scope == "" {
			on[d.Name] = d.Op != "off"
		}
	}
	if !on["use_pty"] {
		o.add("Defaults use_pty is not set")
	}
	return o
}
