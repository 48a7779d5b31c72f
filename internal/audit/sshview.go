package audit

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"sekimori/internal/host"
	"sekimori/internal/host/sshd"
)

// sshView is what checks of sshd share: its configuration, read as its version
// reads it, and what holds for each kind of connection.
type sshView struct {
	// config is nil where no sshd is installed, or nothing of it could be read.
	config  *sshd.Config
	version sshd.Version
	// known is false where the version is a guess.
	known bool
	cells []sshd.Cell
	// blind is why something of it is not known.
	blind    []string
	accounts map[string]host.Account
	// reachable is false where it is known that nobody from outside reaches it.
	reachable bool
}

const mainConfig = "/etc/ssh/sshd_config"

// sshMain is the file that sshd reads first.
func sshMain(s *host.Snapshot) string {
	for i, a := range s.SSH.RunningArgs {
		if a == "-f" && i+1 < len(s.SSH.RunningArgs) {
			return s.SSH.RunningArgs[i+1]
		}
	}
	return mainConfig
}

func newSSHView(v *view) sshView {
	s := sshView{accounts: map[string]host.Account{}, reachable: true}
	for _, a := range v.s.Accounts {
		if _, dup := s.accounts[a.Name]; !dup {
			s.accounts[a.Name] = a // the first line of a name is the one that counts
		}
	}
	if !v.s.Audited {
		return s
	}
	s.blind = v.without(host.SectionSSH)
	if v.s.SSH.Binary == "" && v.s.SSH.Running == 0 {
		return s
	}
	if len(v.s.SSH.Config) == 0 {
		s.blind = append(s.blind, mainConfig+" could not be read")
		return s
	}
	s.version, s.known = sshVersion(v.s)
	s.config = sshd.Read(v.s.SSH.Config, sshMain(v.s), s.version)
	for _, p := range s.config.Problems {
		if p.Kind == sshd.Unread {
			s.blind = append(s.blind, p.String())
		}
	}
	s.reachable = v.sshReachable()
	cells, limits, err := s.config.Cells(v.population())
	if err != nil {
		s.blind = append(s.blind, "sshd's values were not worked out for each account: "+err.Error())
		cells = []sshd.Cell{{Effective: s.config.Global()}}
	}
	for _, l := range limits {
		s.blind = append(s.blind, "not every source could be tried: "+l)
	}
	s.cells = cells
	return s
}

// sshVersion is the version of the installed sshd; where it is not known, that of
// Debian 12.
func sshVersion(s *host.Snapshot) (sshd.Version, bool) {
	for _, text := range []string{s.SSH.Version, s.SSH.PackageVersion} {
		if text == "" {
			continue
		}
		if v, err := sshd.ParseVersion(text); err == nil {
			v.Vendor = cmp.Or(v.Vendor, vendorOf(s.System.ID))
			return v, true
		}
	}
	return sshd.Debian12(), false
}

func vendorOf(id string) string {
	switch id {
	case "debian", "ubuntu", "raspbian", "linuxmint":
		return "debian"
	case "rhel", "fedora", "centos", "rocky", "almalinux", "ol", "amzn":
		return "redhat"
	}
	return ""
}

// population is whom and from where the effective values are asked for: each
// account that can log in, one that does not exist, from anywhere.
func (v *view) population() sshd.Population {
	p := sshd.Population{
		Users:   []sshd.Connection{{User: "nobody-of-this-name", Unknown: true}},
		Sources: []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8:ffff::1"), netip.MustParseAddr("127.0.0.1")},
	}
	const most = 200 // accounts beyond are asked about by the groups they are in
	for _, a := range v.s.Accounts {
		if (a.LoginShell || a.UID == 0) && len(p.Users) < most {
			p.Users = append(p.Users, sshd.Connection{User: a.Name, Groups: a.Groups})
		}
	}
	for _, i := range v.s.Interfaces {
		for _, a := range i.Addresses {
			if len(p.Local) < 16 {
				p.Local = append(p.Local, a.Prefix.Addr())
			}
		}
	}
	for _, u := range v.s.Units {
		if (u.Name == "ssh.socket" || u.Name == "sshd.socket") && u.Active == "active" {
			for _, l := range u.Listen {
				if l.Port != 0 {
					p.Ports = append(p.Ports, int(l.Port))
				}
			}
		}
	}
	return p
}

// sshReachable reports whether somebody from outside may reach sshd, or that is
// not known.
func (v *view) sshReachable() bool {
	if v.Exposure == nil || len(v.without(host.SectionSockets)) > 0 {
		return true
	}
	for _, k := range v.sshSockets() {
		if k.Reach.Verdict.String() != "none" {
			return true
		}
	}
	return false
}

// limitsSources reports whether sshd slows down sources that misbehave.
func (s sshView) limitsSources() bool {
	if s.config == nil {
		return false
	}
	value := s.config.Global().Value("persourcepenalties")
	return s.atLeast(9, 8) && value != "no"
}

func (s sshView) atLeast(major, minor int) bool {
	return s.version.Major > major || s.version.Major == major && s.version.Minor >= minor
}

// account gives sshd's view of an account.
func (v *view) account(name string) (sshd.Account, bool) {
	a, ok := v.ssh.accounts[name]
	if !ok {
		return sshd.Account{}, false
	}
	return sshd.Account{
		Name: a.Name, UID: a.UID, GIDs: a.GIDs, Groups: a.Groups, Home: a.Home, Shell: a.Shell,
		ShellWorks: sshd.Answer(cmp.Or(a.ShellRuns, string(sshd.Unknown))),
		Shadow: sshd.Shadow{
			Known: a.Shadow.State != "unknown" && a.Shadow.State != "missing", Locked: a.Shadow.State == "locked",
			Empty: a.Shadow.State == "empty", Password: a.Shadow.State == "password",
			Changed: a.Shadow.Changed, Max: a.Shadow.Max, Inactive: a.Shadow.Inactive, Expires: a.Shadow.Expires,
		},
	}, true
}

// machine is what a login depends on beside sshd's own settings and the keys.
func (v *view) machine() sshd.Machine {
	m := sshd.Machine{
		Version: v.ssh.version, Nologin: sshd.No, Now: v.Now, Groups: map[int]sshd.Group{},
		Location: time.FixedZone(v.s.Clock.Zone, v.s.Clock.UTCOffset),
	}
	if v.s.Logins.Nologin {
		m.Nologin = sshd.Yes
	}
	for _, g := range v.s.Groups {
		group := sshd.Group{GID: g.GID, Members: g.Members}
		for _, name := range g.Primary {
			if a, ok := v.ssh.accounts[name]; ok {
				group.Primary = append(group.Primary, a.UID)
			}
		}
		m.Groups[g.GID] = group
	}
	return m
}

func nodes(chain []host.File) []sshd.Node {
	var out []sshd.Node
	for _, f := range chain {
		out = append(out, sshd.Node{Path: f.Path, UID: f.UID, GID: f.GID, Mode: f.Mode, Regular: f.Type == "file", Modified: f.Modified})
	}
	return out
}

// shutOut reports whether sshd keeps an account out before any method is tried:
// by name, by root's rule, by its shell or its end.
func (v *view) shutOut(e *sshd.Effective, c sshd.Connection, a sshd.Account) bool {
	for _, r := range e.KeyLogin(c, a, sshd.Key{}, 0, v.machine()).Blocked {
		switch r.ID {
		case sshd.ReasonNotAllowed, sshd.ReasonShell, sshd.ReasonExpired, sshd.ReasonRefusedSource, sshd.ReasonRefused:
			return true
		}
	}
	return false
}

// from tells where a value stands.
func from(s sshd.Setting) string {
	if len(s.From) == 0 {
		return "the default"
	}
	return s.From[0].String()
}

// values asks all cells for a keyword that is given, by value, with an example of
// whom it holds for.
func (v *view) values(keyword string) map[string]cellValue {
	out := map[string]cellValue{}
	for _, c := range v.ssh.cells {
		s := c.Effective.Setting(keyword)
		key := strings.ToLower(strings.Join(s.Values, " "))
		if _, ok := out[key]; !ok && key != "" {
			cv := cellValue{setting: s}
			if len(c.Connections) > 0 {
				cv.whom = c.Connections[0]
			}
			out[key] = cv
		}
	}
	return out
}

type cellValue struct {
	setting sshd.Setting
	whom    sshd.Connection
}

// line is evidence: keyword, value, place.
func (c cellValue) line(keyword string) string {
	return fmt.Sprintf("%s %s (%s)", keyword, strings.Join(c.setting.Values, " "), from(c.setting))
}

// connection is what a dump of sshd -T was asked about.
func (v *view) connection(d host.SSHDump) sshd.Connection {
	c := sshd.Connection{User: d.User, LocalPort: d.LocalPort}
	c.Addr, _ = netip.ParseAddr(d.Addr)
	c.LocalAddr, _ = netip.ParseAddr(d.LocalAddr)
	if a, ok := v.ssh.accounts[d.User]; ok {
		c.Groups = a.Groups
	} else {
		c.Unknown = true
	}
	return c
}
