package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/host/sshd"
)

func sshChecks() []Check {
	return []Check{
		{"ssh-password", SSH, Critical, []string{"dev-sec sshd-27", "ssh-audit hardening guide"}, func(v *view) outcome { return v.passwordDoor("password") }},
		{"ssh-kbdint", SSH, Critical, []string{"dev-sec sshd-29", "sshd_config(5) UsePAM"}, func(v *view) outcome { return v.passwordDoor("keyboard-interactive") }},
		{"ssh-empty", SSH, Critical, []string{"CIS Debian 12 5.1.19", "dev-sec sshd-28"}, (*view).emptyPasswords},
		{"ssh-methods-wire", SSH, Critical, []string{"RFC 4252 section 5.2"}, (*view).wireMethods},
		{"ssh-root", SSH, High, []string{"CIS Debian 12 5.1.20", "ANSSI BP-028 R33", "dev-sec sshd-06"}, (*view).rootLogin},
		{"ssh-match", SSH, High, []string{"sshd_config(5) Match"}, (*view).looserMatch},
		{"ssh-dropin", SSH, High, []string{"sshd_config(5) Include"}, (*view).deadLines},
		{"ssh-refused", SSH, High, []string{"sshd(8) -t"}, (*view).refusedConfig},
		{"ssh-strictmodes", SSH, High, []string{"dev-sec sshd-11"}, func(v *view) outcome { return v.loose("strictmodes", High, "no") }},
		{"ssh-hostkey-perm", SSH, High, []string{"CIS Debian 12 5.1.2"}, (*view).hostKeyFiles},
		{"ssh-authkeys-perm", SSH, High, []string{"sshd(8) AUTHORIZED_KEYS FILE FORMAT"}, (*view).keyFileModes},
		{"ssh-perms", SSH, High, []string{"CIS Debian 12 5.1.1", "dev-sec sshd-04, sshd-05"}, (*view).configFiles},
		{"ssh-cve", SSH, High, []string{"CVE-2024-6387", "CVE-2023-48795"}, (*view).oldSSHD},
		{"ssh-socket", SSH, High, []string{"systemd.socket(5)"}, (*view).socketActivated},
		{"ssh-nextver", SSH, Medium, []string{"OpenSSH release notes"}, (*view).nextRelease},
		{"ssh-disagree", SSH, Medium, []string{"sshd(8) -T"}, (*view).disagreement},
		{"ssh-stale", SSH, Medium, []string{"sshd(8)"}, (*view).staleSSHD},
		{"ssh-kex", SSH, Medium, []string{"CIS Debian 12 5.1.12", "dev-sec sshd-02", "ssh-audit"}, func(v *view) outcome { return v.weak("kexalgorithms") }},
		{"ssh-cipher", SSH, Medium, []string{"CIS Debian 12 5.1.6", "dev-sec sshd-01", "ssh-audit"}, func(v *view) outcome { return v.weak("ciphers") }},
		{"ssh-mac", SSH, Medium, []string{"CIS Debian 12 5.1.15", "dev-sec sshd-03", "ssh-audit"}, func(v *view) outcome { return v.weak("macs") }},
		{"ssh-algos-wire", SSH, Medium, []string{"RFC 4253 section 7.1", "ssh-audit"}, (*view).wireAlgorithms},
		{"ssh-userkey", SSH, Medium, []string{"NIST SP 800-57", "ssh-keygen(1)"}, (*view).userKeys},
		{"ssh-userenv", SSH, Medium, []string{"CIS Debian 12 5.1.21", "dev-sec sshd-17"}, (*view).userEnvironment},
		{"ssh-hostbased", SSH, Medium, []string{"CIS Debian 12 5.1.10, 5.1.11", "dev-sec sshd-23, sshd-25"}, (*view).hostBased},
		{"ssh-log", SSH, Medium, []string{"CIS Debian 12 5.1.14", "dev-sec sshd-13"}, func(v *view) outcome { return v.loose("loglevel", Medium, "silent", "quiet", "fatal", "error") }},
		{"ssh-hostkey-alg", SSH, Low, []string{"ssh-audit", "dev-sec sshd-14, sshd-50"}, (*view).hostKeyAlgorithms},
		{"ssh-limits", SSH, Low, []string{"CIS Debian 12 5.1.13, 5.1.16, 5.1.17, 5.1.18"}, (*view).limits},
		{"ssh-penalty", SSH, Low, []string{"sshd_config(5) PerSourcePenalties"}, (*view).penalties},
		{"ssh-forward", SSH, Low, []string{"dev-sec sshd-38 to sshd-43"}, (*view).forwardings},
		{"ssh-remark", SSH, Low, []string{"sshd_config(5)"}, (*view).remarks},
		{"ssh-allow", SSH, Info, []string{"CIS Debian 12 5.1.4"}, (*view).everybodyAllowed},
		{"ssh-hostkey-clone", SSH, Info, []string{"ssh-keygen(1)"}, (*view).clonedKeys},
	}
}

const noPasswords = "ssh: {passwords: false}"

// passwordDoor finds the accounts that a password alone opens by one method.
func (v *view) passwordDoor(method string) outcome {
	o := outcome{policy: []string{noPasswords}}
	if method == "password" {
		o.unseen = v.ssh.blind
	}
	settings := map[string]string{"password": "passwordauthentication", "keyboard-interactive": "kbdinteractiveauthentication"}
	type door struct{ value, place string }
	users := map[door][]string{}
	guessable := false
	for _, c := range v.ssh.cells {
		s := c.Effective.Setting(settings[method])
		at := door{settings[method] + " " + strings.Join(s.Values, " "), from(s)}
		for _, conn := range c.Connections {
			a, known := v.account(conn.User)
			if !known && !conn.Unknown || !slices.Contains(c.Effective.PasswordDoors(conn, conn.User == "root" || known && a.UID == 0), method) {
				continue
			}
			if known && v.shutOut(c.Effective, conn, a) {
				continue
			}
			name := conn.User
			if conn.Unknown {
				continue // nobody: the door is there, but for whom
			}
			if a.Shadow.Password || a.Shadow.Empty || !a.Shadow.Known {
				guessable = true
			} else {
				name += " (no password set)"
			}
			if !slices.Contains(users[at], name) {
				users[at] = append(users[at], name)
			}
		}
	}
	for _, at := range slices.SortedFunc(maps.Keys(users), func(a, b door) int { return strings.Compare(a.place+a.value, b.place+b.value) }) {
		slices.Sort(users[at])
		o.add("%s (%s): opens %s", at.value, at.place, few(users[at]))
	}
	switch {
	case len(o.evidence) == 0:
	case !v.ssh.reachable, !guessable:
		o.atLeast(Medium)
	}
	return o
}

func (v *view) emptyPasswords() outcome {
	var o outcome
	c, ok := v.values("permitemptypasswords")["yes"]
	if !ok {
		return o
	}
	o.add("%s", c.line("PermitEmptyPasswords"))
	o.atLeast(High)
	for _, a := range v.s.Accounts {
		if a.Shadow.State == "empty" && a.LoginShell {
			o.add("%s has no password", a.Name)
			o.atLeast(Critical)
		}
	}
	return o
}

// wireMethods says what sshd itself offered to somebody who has shown nothing.
func (v *view) wireMethods() outcome {
	o := outcome{policy: []string{noPasswords}}
	for _, a := range v.s.Asked.SSH {
		if a.Err != "" && a.Methods == nil {
			o.miss(fmt.Sprintf("%s was asked for its methods: %s", a.To, a.Err))
			continue
		}
		if a.None {
			o.add("%s lets %s in without anything", a.To, a.User)
		}
		for _, m := range a.Methods {
			if m == "password" || m == "keyboard-interactive" {
				o.add("%s (%s) offers %s to %s", a.To, a.Banner, strings.Join(a.Methods, ", "), a.User)
			}
		}
	}
	if len(o.evidence) > 0 && !v.ssh.reachable {
		o.atLeast(Medium)
	}
	return o
}

func (v *view) rootLogin() outcome {
	o := outcome{policy: []string{"ssh: {root: false}"}}
	values := v.rootValues()
	if c, ok := values["yes"]; ok {
		o.add("%s", c.line("PermitRootLogin"))
		if !v.ssh.reachable {
			o.atLeast(Medium)
		}
		return o
	}
	for _, value := range []string{"prohibit-password", "without-password"} {
		if c, ok := values[value]; ok && v.keysOf("root") > 0 && len(v.admins()) > 0 {
			o.add("%s; root has %d keys, and %s can use sudo", c.line("PermitRootLogin"), v.keysOf("root"), few(v.admins()))
			o.atLeast(Low)
		}
	}
	return o
}

// rootValues are the values of PermitRootLogin for connections as root.
func (v *view) rootValues() map[string]cellValue {
	out := map[string]cellValue{}
	for _, c := range v.ssh.cells {
		for _, conn := range c.Connections {
			if a, ok := v.account(conn.User); ok && a.UID == 0 && !v.shutOut(c.Effective, conn, a) {
				s := c.Effective.Setting("permitrootlogin")
				out[strings.ToLower(strings.Join(s.Values, " "))] = cellValue{s, conn}
			}
		}
	}
	return out
}

// keysOf counts the keys with which an account may log in.
func (v *view) keysOf(name string) int {
	n := 0
	for _, f := range v.s.SSH.KeyFiles {
		if slices.Contains(f.Accounts, name) {
			for _, e := range sshd.ParseAuthorizedKeys(f.Text) {
				if e.Err == "" {
					n++
				}
			}
		}
	}
	return n
}

// looserMatch finds what is allowed to some although it is refused in general.
func (v *view) looserMatch() outcome {
	var o outcome
	if v.ssh.config == nil {
		return o
	}
	global := v.ssh.config.Global()
	for _, k := range []struct{ keyword, tight string }{
		{"passwordauthentication", "no"},
		{"kbdinteractiveauthentication", "no"},
		{"permitemptypasswords", "no"},
		{"permitrootlogin", "no"},
		{"hostbasedauthentication", "no"},
	} {
		if global.Value(k.keyword) != k.tight {
			continue
		}
		for _, c := range v.ssh.cells {
			s := c.Effective.Setting(k.keyword)
			if strings.Join(s.Values, " ") == k.tight || len(c.Connections) == 0 {
				continue
			}
			conn := c.Connections[0]
			if k.keyword == "permitrootlogin" && !slices.ContainsFunc(c.Connections, func(c sshd.Connection) bool { return c.User == "root" }) {
				continue
			}
			o.add("%s is %s in general, and %s (%s) for %s from %s", k.keyword, k.tight, strings.Join(s.Values, " "), from(s), conn.User, conn.Addr)
		}
	}
	if len(o.evidence) > 12 {
		o.evidence = append(o.evidence[:12], fmt.Sprintf("and %d more", len(o.evidence)-12))
	}
	return o
}

// deadLines finds lines that demand more than holds, because another one comes
// before them.
func (v *view) deadLines() outcome {
	var o outcome
	if v.ssh.config == nil {
		return o
	}
	global := v.ssh.config.Global()
	for _, f := range v.s.SSH.Config {
		inMatch := false
		n := 0
		for line := range strings.Lines(f.Text) {
			n++
			keyword, value := settingOf(line)
			if keyword == "match" {
				inMatch = true
			}
			if inMatch || !slices.Contains(tight(keyword), value) {
				continue
			}
			s := global.Setting(canonical(keyword))
			now := strings.ToLower(strings.Join(s.Values, " "))
			if len(s.From) == 0 || slices.Contains(tight(keyword), now) || s.From[0].File == f.Path && s.From[0].Line == n {
				continue
			}
			o.add("%s:%d: %s has no effect: %s says %s before it", f.Path, n, strings.TrimSpace(line), s.From[0], now)
		}
	}
	return o
}

// canonical is the name that sshd -T uses for a keyword.
func canonical(keyword string) string {
	switch keyword {
	case "challengeresponseauthentication", "skeyauthentication":
		return "kbdinteractiveauthentication"
	}
	return keyword
}

// tight are the safe values of a keyword.
func tight(keyword string) []string {
	switch canonical(keyword) {
	case "passwordauthentication", "kbdinteractiveauthentication", "permitemptypasswords", "hostbasedauthentication", "permituserenvironment", "x11forwarding":
		return []string{"no"}
	case "permitrootlogin":
		return []string{"no", "prohibit-password", "without-password"}
	case "strictmodes":
		return []string{"yes"}
	}
	return nil
}

// settingOf splits a line of sshd_config that has one value.
func settingOf(line string) (keyword, value string) {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return "", ""
	}
	fields := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '=' || r == '"' })
	if len(fields) == 0 {
		return "", ""
	}
	if len(fields) > 1 {
		value = strings.ToLower(fields[1])
	}
	return strings.ToLower(fields[0]), value
}

func (v *view) refusedConfig() outcome {
	var o outcome
	if v.ssh.config == nil {
		return o
	}
	for _, p := range v.ssh.config.Problems {
		if p.Kind == sshd.Refused {
			o.add("%s", p)
		}
	}
	for _, d := range v.s.SSH.Second {
		if d.Err != "" && v.ssh.config.Refused() {
			o.add("sshd -T: %s", d.Err)
		}
	}
	if !v.ssh.known && len(o.evidence) > 0 {
		o.evidence = nil
		o.miss("which version of sshd reads " + mainConfig + " is not known")
	}
	return o
}

// loose finds a global setting with one of some values.
func (v *view) loose(keyword string, s Severity, bad ...string) outcome {
	var o outcome
	values := v.values(keyword)
	for _, b := range bad {
		if c, ok := values[b]; ok {
			o.add("%s", c.line(keyword))
			o.atLeast(s)
		}
	}
	return o
}

func (v *view) userEnvironment() outcome {
	var o outcome
	for value, c := range v.values("permituserenvironment") {
		if value != "no" {
			o.add("%s", c.line("PermitUserEnvironment"))
		}
	}
	slices.Sort(o.evidence)
	return o
}

func (v *view) hostBased() outcome {
	var o outcome
	if c, ok := v.values("hostbasedauthentication")["yes"]; ok {
		o.add("%s", c.line("HostbasedAuthentication"))
	}
	if c, ok := v.values("ignorerhosts")["no"]; ok {
		o.add("%s", c.line("IgnoreRhosts"))
	}
	return o
}

func (v *view) hostKeyFiles() outcome {
	var o outcome
	for _, k := range v.s.SSH.HostKeys {
		f := k.Private
		if f.Type == "" {
			continue
		}
		if f.UID != 0 {
			o.add("%s belongs to uid %d", f.Path, f.UID)
		}
		// Red Hat has them 0640 for the group ssh_keys, of which nobody is a member.
		if f.Mode&0o007 != 0 || f.Mode&0o030 != 0 || f.Mode&0o040 != 0 && !v.groupIs(f.GID, "ssh_keys") {
			o.add("%s has mode %04o", f.Path, f.Mode)
		}
	}
	return o
}

func (v *view) groupIs(gid int, name string) bool {
	return slices.ContainsFunc(v.s.Groups, func(g host.Group) bool { return g.GID == gid && g.Name == name && len(g.Members) == 0 })
}

func (v *view) keyFileModes() outcome {
	var o outcome
	m := v.machine()
	for _, f := range v.s.SSH.KeyFiles {
		if f.Missing || f.Err != "" || len(f.Chain) == 0 {
			continue
		}
		for _, name := range f.Accounts {
			a, ok := v.account(name)
			if !ok {
				continue
			}
			home := f.Home
			if home == "" {
				home = a.Home
			}
			if why := sshd.StrictModes(v.ssh.version, nodes(f.Chain), a, home, m.Groups); why != "" {
				o.add("%s: %s", f.Path, why)
			}
		}
	}
	return o
}

func (v *view) configFiles() outcome {
	var o outcome
	for _, f := range v.s.SSH.Config {
		if f.Type == "" {
			continue
		}
		if f.UID != 0 {
			o.add("%s belongs to uid %d", f.Path, f.UID)
		}
		if f.OthersWrite() || f.GroupWrites() && f.GID != 0 {
			o.add("%s has mode %04o", f.Path, f.Mode)
		}
	}
	return o
}

func (v *view) socketActivated() outcome {
	var o outcome
	if v.ssh.config == nil {
		return o
	}
	for _, u := range v.s.Units {
		if (u.Name != "ssh.socket" && u.Name != "sshd.socket") || u.Active != "active" {
			continue
		}
		var listens []string
		for _, l := range u.Listen {
			if l.Port != 0 {
				listens = append(listens, fmt.Sprint(l.Port))
			}
		}
		for _, p := range v.ssh.config.Global().Values("port") {
			if len(listens) > 0 && !slices.Contains(listens, p) {
				o.add("%s listens on %s, and sshd_config says Port %s (%s)", u.Name, strings.Join(listens, ", "), p, from(v.ssh.config.Global().Setting("port")))
			}
		}
	}
	return o
}

// nextRelease reads the configuration as later releases of OpenSSH will.
func (v *view) nextRelease() outcome {
	var o outcome
	if v.ssh.config == nil || v.ssh.config.Refused() {
		return o
	}
	for _, text := range []string{"OpenSSH_9.8p1", "OpenSSH_10.0p2"} {
		next, err := sshd.ParseVersion(text)
		if err != nil || v.ssh.atLeast(next.Major, next.Minor) {
			continue
		}
		next.Vendor, next.Without = v.ssh.version.Vendor, v.ssh.version.Without
		for _, p := range sshd.Read(v.s.SSH.Config, sshMain(v.s), next).Problems {
			if p.Kind == sshd.Refused {
				o.add("OpenSSH %s refuses %s", next, p)
			}
		}
		if len(o.evidence) > 0 {
			return o
		}
	}
	for _, f := range v.s.SSH.Config {
		n := 0
		for line := range strings.Lines(f.Text) {
			n++
			// Debian's sshd passes over these names up to 10.0, later ones do not.
			if keyword, _ := settingOf(line); keyword == "kexalgorithms" && strings.Contains(line, "gss-") {
				o.add("%s:%d: names of gss- in KexAlgorithms are not known to OpenSSH 10.6, which will not start: %s", f.Path, n, strings.TrimSpace(line))
			}
		}
	}
	return o
}

// disagreement puts our reading beside that of the installed sshd.
func (v *view) disagreement() outcome {
	var o outcome
	if v.ssh.config == nil || v.ssh.config.Refused() {
		return o
	}
	for _, d := range v.s.SSH.Second {
		if d.Err != "" || d.Text == "" {
			continue
		}
		e := v.ssh.config.Global()
		whom := "in general"
		if d.User != "" {
			e = v.ssh.config.Effective(v.connection(d))
			whom = "for " + d.User + " from " + d.Addr
		}
		for _, difference := range e.Compare(sshd.ParseDump(d.Text)) {
			o.add("%s: %s", whom, difference)
		}
	}
	if len(v.s.SSH.RunningArgs) > 0 {
		o.add("the running sshd was started with %s", strings.Join(v.s.SSH.RunningArgs, " "))
	}
	return o
}

func (v *view) staleSSHD() outcome {
	var o outcome
	p := v.procs[v.s.SSH.Running]
	if p == nil || p.Started.IsZero() {
		return o
	}
	if p.Deleted {
		o.add("sshd (pid %d) runs a binary that was replaced", p.PID)
	}
	for _, f := range v.s.SSH.Config {
		if f.Type == "file" && f.Modified.After(p.Started) {
			o.add("%s was changed %s, and sshd (pid %d) runs since %s", f.Path, f.Modified.UTC().Format("2006-01-02 15:04"), p.PID, p.Started.UTC().Format("2006-01-02 15:04"))
		}
	}
	if !p.Deleted && len(o.evidence) > 0 {
		o.atLeast(Low) // a reload reads it again and leaves no trace of when
	}
	return o
}
