package audit_test

import (
	"net/netip"
	"path"
	"slices"
	"testing"
	"time"

	"sekimori/internal/audit"
	"sekimori/internal/firewall"
	"sekimori/internal/firewall/iptables"
	"sekimori/internal/host"
)

// The public halves of keys that were made for these tests.
const (
	keyA    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPfLGavIrl4v3tzSNFYnvsokCQl+/8xG7D5df9D97zOk"
	keyB    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG9xBl2AGddrvScSRpHPe1qaYhFqUujdmBDhH29Jw2pw"
	keyRSA1 = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDyse+uj10CcfpzRHtbTqyh0I6oCq4bKvSzEffR6HatdjzZPAiMN84PfEi0bA4STiH4z5c9RFalriX2IxL9QU/quF42o3jbLWrRYjfeoZd2btcCz27s4wbEJHMOV8btZmuZ3hHq31Fn4HBASOgZX/jQCPOpWDY2L5zxk1aTPBAsUQ=="
	keyRSA2 = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDtQSqN5ndTyhVQmV8RdgY17llTwFByyYRxmZ/OUffrnfK7VkAc0ICtkhKLF7io9pum9gkEm8P8OpB5suLo5D4uMDvKG04fQ5JpUhzJbl1rZE/l8hIl4z46Pi1d+JJlYAswC5m+CBwP95/8zXTJmTw5IZziXjs0etWW2bZXAD0h7Nax8gD1RN8UA2ZInGWxpDCrbH7aNI1HAdin+LYJVKij1AQ/8c/imjE9ghXjfjH/6R//TO6GvmiIJRahVue949oFqbNIITgBv3ZMBwlb3F3FPh5HFeJXzFZmS9+ePcoHp2DBm6rF/RYgV9t/bVV+N+HlrPBsGQJVk4aQKWBliNHl"
	keyRSA4 = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAACAQCuMJDvIr4tjQePyCW9YJhxt6izeUGxh3T2ATYf74/7fuPN726QL2Q5mQQyt+ogY9ysUNgj4S+5RTNi6rKBCCVqNpnTkr1vN/ErBE3d40t9r2IUfpeJwlFr8RUaoPMSBTqAisVmdlRDzM6jOiLU6m2m5i7d7GHGBx6VEyetX0+qbS1dsgWncr5RGHjuloTdo4mbOcUZ8R8KnRCqQWR1QLOjfwCDANpugcZ5gBcliAI6a9wX9NEmkoca7AtzHs0GGXmCP8Rvd7dy7A4FE4a4gY4XMOWxm1wJZW0DPSx2+YyUFr4/JBP1F+e8nFUQePVM5hfYIkdH43WMwf90CD6lAa5CXLI+QXQC4bMsm3yvQ3YR/hqKstmU42ZNP99Tzfm9lohssQQMquXyny+DOtaPQybzcgmriI7jwXAYN+eyOHO52TfQGf9VuqtCK3SnB/5SLKO3jUollNP3IuZkzTflALcCRC+tpomF8g5jWykiiOpXyRsRpTjKhosluuMRLKPAXFu0QwpPIYuu/0g+0jX2sImJu3EBJP4XY1U6XtbDnjPc/pwenZCUihyXHK2alS1wIJCFEUMRxipSTQqv7G3FCK14eLulQcuKCvJz1hczzpovLBfeCfejxCiIV3FHI7Ia4QMwnEk82xKLIafuT/mD/TEyThR6MlWEl1wRLzBW4W6T6w=="
	keyEC   = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBG0mHG0cD3/SvDel6KT79vzLU9CdiZiO84Ah7/ot7yVyc3OR9Q9ltZ+2WI55NFnl+zK/nnbhIF7ixRYyjqISFKI="
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func ago(days int) time.Time { return now.AddDate(0, 0, -days) }

// machine is a host with its rules, as text, one for each family.
type machine struct {
	s      *host.Snapshot
	v4, v6 string
	// legacy are further tables, of iptables-legacy.
	legacy string
	saved  []audit.SavedRules
}

// The rules of the healthy machine.
const (
	rules4 = `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT
-A INPUT -m limit --limit 5/min -j LOG --log-prefix "drop: "
-A OUTPUT -p tcp -m tcp --dport 22 -j REJECT
-A OUTPUT -p tcp -m tcp --dport 25 -j REJECT
-A OUTPUT -p tcp -m tcp --dport 6667 -j REJECT
COMMIT
`
	rules6 = `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p ipv6-icmp -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT
-A INPUT -m limit --limit 5/min -j LOG
COMMIT
`
	sshdConfig = `Include /etc/ssh/sshd_config.d/*.conf
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
UsePAM yes
MaxAuthTries 4
LoginGraceTime 60
X11Forwarding no
AllowTcpForwarding no
AllowAgentForwarding no
AllowStreamLocalForwarding no
AllowUsers alice
HostKey /etc/ssh/ssh_host_ed25519_key
KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256
Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com
MACs hmac-sha2-256-etm@openssh.com
Subsystem sftp /usr/lib/openssh/sftp-server
`
	sudoersText = `Defaults use_pty
root ALL=(ALL:ALL) ALL
%sudo ALL=(ALL:ALL) ALL
@includedir /etc/sudoers.d
`
)

func file(path string, mode uint32) host.File {
	return host.File{Path: path, Type: "file", Mode: mode, Modified: ago(30)}
}

func dir(path string, mode uint32) host.File {
	return host.File{Path: path, Type: "dir", Mode: mode, Modified: ago(30)}
}

func text(path string, mode uint32, content string) host.TextFile {
	return host.TextFile{File: file(path, mode), Text: content}
}

// healthy is a web server of Debian 13 that is set up well: nothing worse than
// information is found on it.
func healthy() *machine {
	s := &host.Snapshot{
		Schema: host.Schema, Time: now, EUID: 0, Audited: true,
		System: host.System{Hostname: "web1", OS: "linux", ID: "debian", VersionID: "13", PrettyName: "Debian GNU/Linux 13 (trixie)", Kernel: "6.12.57+deb13-amd64", Started: ago(20)},
		Interfaces: []host.Interface{
			{Index: 1, Name: "lo", Up: true, Loopback: true, Addresses: []host.Address{{Prefix: netip.MustParsePrefix("127.0.0.1/8"), Scope: "host"}, {Prefix: netip.MustParsePrefix("::1/128"), Scope: "host"}}},
			{Index: 2, Name: "eth0", Up: true, Running: true, Addresses: []host.Address{{Prefix: netip.MustParsePrefix("203.0.113.5/24"), Scope: "global"}, {Prefix: netip.MustParsePrefix("2001:db8:1::5/64"), Scope: "global"}}},
		},
		Routes: []host.Route{
			{Family: 4, Table: 254, Type: "unicast", Dst: netip.MustParsePrefix("0.0.0.0/0"), Hops: []host.Hop{{Interface: 2, Gateway: netip.MustParseAddr("203.0.113.1")}}},
			{Family: 6, Table: 254, Type: "unicast", Dst: netip.MustParsePrefix("::/0"), Hops: []host.Hop{{Interface: 2, Gateway: netip.MustParseAddr("fe80::1")}}},
			{Family: 4, Table: 254, Type: "unicast", Dst: netip.MustParsePrefix("203.0.113.0/24"), Hops: []host.Hop{{Interface: 2}}},
			{Family: 6, Table: 254, Type: "unicast", Dst: netip.MustParsePrefix("2001:db8:1::/64"), Hops: []host.Hop{{Interface: 2}}},
			{Family: 4, Table: 255, Type: "local", Dst: netip.MustParsePrefix("203.0.113.5/32"), Hops: []host.Hop{{Interface: 2}}},
			{Family: 6, Table: 255, Type: "local", Dst: netip.MustParsePrefix("2001:db8:1::5/128"), Hops: []host.Hop{{Interface: 2}}},
			{Family: 4, Table: 255, Type: "local", Dst: netip.MustParsePrefix("127.0.0.0/8"), Hops: []host.Hop{{Interface: 1}}},
			{Family: 6, Table: 255, Type: "local", Dst: netip.MustParsePrefix("::1/128"), Hops: []host.Hop{{Interface: 1}}},
		},
		Sysctls: map[string]string{
			"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0", "net.netfilter.nf_conntrack_tcp_loose": "1",
			"net.ipv4.conf.all.accept_redirects": "0", "net.ipv4.conf.eth0.accept_redirects": "0", "net.ipv4.conf.default.accept_redirects": "1",
			"net.ipv6.conf.all.accept_redirects": "1", "net.ipv6.conf.eth0.accept_redirects": "0",
			"net.ipv4.conf.all.send_redirects": "1", "net.ipv4.conf.eth0.send_redirects": "1",
			"net.ipv4.conf.all.accept_source_route": "0", "net.ipv6.conf.all.accept_source_route": "0", "net.ipv4.tcp_syncookies": "1",
			"net.ipv4.conf.all.rp_filter": "2", "net.ipv4.conf.eth0.rp_filter": "2", "net.ipv4.conf.all.log_martians": "1",
			"net.ipv4.icmp_echo_ignore_broadcasts": "1", "net.ipv4.conf.all.route_localnet": "0",
			"kernel.randomize_va_space": "2", "kernel.kptr_restrict": "1", "kernel.dmesg_restrict": "1", "kernel.yama.ptrace_scope": "1",
			"kernel.unprivileged_bpf_disabled": "2", "net.core.bpf_jit_harden": "2", "kernel.sysrq": "176", "kernel.perf_event_paranoid": "3",
			"fs.suid_dumpable": "0", "fs.protected_hardlinks": "1", "fs.protected_symlinks": "1", "fs.protected_fifos": "1", "fs.protected_regular": "2",
			"vm.mmap_min_addr": "65536", "kernel.unprivileged_userns_clone": "0", "kernel.core_pattern": "|/usr/lib/systemd/systemd-coredump %P",
		},
		Conntrack: host.Conntrack{Available: true},
		Kernel: host.KernelState{
			LSMs: []string{"lockdown", "apparmor"}, AppArmor: true, Profiles: map[string]int{"enforce": 30},
			Vulnerabilities: map[string]string{"meltdown": "Not affected", "spectre_v2": "Mitigation: Enhanced IBRS"},
		},
		Settings: []host.KernelSetting{{Name: "kernel.kptr_restrict", Value: "1", File: "/etc/sysctl.d/90-hard.conf", Line: 1}},
		Mounts:   []host.Mount{{Target: "/", Type: "ext4", Options: []string{"rw"}}, {Target: "/tmp", Type: "tmpfs", Options: []string{"rw", "nosuid", "nodev"}}, {Target: "/dev/shm", Type: "tmpfs", Options: []string{"rw", "nosuid", "nodev"}}},
	}
	s.Sockets, s.Processes = sockets()
	people(s)
	doors(s)
	upkeep(s)
	return &machine{s: s, v4: rules4, v6: rules6}
}

// sockets are those of the healthy machine with their owners.
func sockets() ([]host.Socket, []host.Process) {
	procs := []host.Process{
		{PID: 100, Name: "sshd", Exe: "/usr/sbin/sshd", Argv: []string{"sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"}, User: "root", Unit: "ssh.service", Package: "openssh-server", Manager: "dpkg", Started: ago(20)},
		{PID: 200, Name: "nginx", Exe: "/usr/sbin/nginx", Argv: []string{"nginx: master process"}, User: "root", Unit: "nginx.service", Package: "nginx", Manager: "dpkg", Started: ago(20)},
		{PID: 300, Name: "redis-server", Exe: "/usr/bin/redis-server", Argv: []string{"/usr/bin/redis-server 127.0.0.1:6379"}, UID: 105, User: "redis", Unit: "redis-server.service", Package: "redis-tools", Manager: "dpkg", Started: ago(20)},
		{PID: 400, Name: "dhcpcd", Exe: "/usr/sbin/dhcpcd", User: "root", Package: "dhcpcd-base", Manager: "dpkg"},
	}
	var out []host.Socket
	for _, k := range []struct {
		local string
		pid   int
	}{{"0.0.0.0:22", 100}, {"[::]:22", 100}, {"0.0.0.0:443", 200}, {"[::]:443", 200}, {"127.0.0.1:6379", 300}} {
		out = append(out, listen("tcp", k.local, k.pid))
	}
	return out, procs
}

func listen(proto, local string, pid int) host.Socket {
	at := netip.MustParseAddrPort(local)
	k := host.Socket{Proto: proto, Family: 4, Local: at, Takes4: true, Owners: []int{pid}}
	if at.Addr().Is6() {
		k.Family, k.Takes4, k.Takes6 = 6, false, true
	}
	return k
}

// people are the accounts of the healthy machine.
func people(s *host.Snapshot) {
	never := func(state, scheme string) host.Shadow {
		return host.Shadow{State: state, Scheme: scheme, Changed: 20000, Min: 0, Max: 99999, Warn: 7, Inactive: -1, Expires: -1}
	}
	s.Accounts = []host.Account{
		{Name: "root", UID: 0, GID: 0, Home: "/root", Shell: "/bin/bash", Line: 1, Groups: []string{"root"}, GIDs: []int{0}, LoginShell: true, ShellRuns: "yes", Shadow: never("star", ""), HomeDir: dir("/root", 0o700)},
		{Name: "daemon", UID: 1, GID: 1, Home: "/usr/sbin", Shell: "/usr/sbin/nologin", Line: 2, Groups: []string{"daemon"}, GIDs: []int{1}, ShellRuns: "yes", Shadow: never("star", "")},
		{Name: "alice", UID: 1000, GID: 1000, Home: "/home/alice", Shell: "/bin/bash", Line: 3, Groups: []string{"alice", "sudo"}, GIDs: []int{1000, 27}, LoginShell: true, ShellRuns: "yes", Shadow: never("password", "y"), HomeDir: dir("/home/alice", 0o750)},
	}
	s.Accounts[2].HomeDir.UID, s.Accounts[2].HomeDir.GID = 1000, 1000
	s.Groups = []host.Group{
		{Name: "root", GID: 0, Line: 1, Primary: []string{"root"}},
		{Name: "daemon", GID: 1, Line: 2, Primary: []string{"daemon"}},
		{Name: "sudo", GID: 27, Line: 3, Members: []string{"alice"}},
		{Name: "docker", GID: 110, Line: 4},
		{Name: "alice", GID: 1000, Line: 5, Primary: []string{"alice"}},
	}
	s.Logins = host.LoginRules{
		Defs:  map[string]string{"UID_MIN": "1000"},
		Files: []host.File{file("/etc/passwd", 0o644), file("/etc/group", 0o644), {Path: "/etc/shadow", Type: "file", GID: 42, Mode: 0o640}},
		PAM:   []host.PAMLine{{Service: "common-auth", Line: 1, Type: "auth", Control: "[success=1 default=ignore]", Module: "pam_unix.so", Args: []string{"nullok"}}, {Service: "common-auth", Line: 3, Type: "auth", Control: "required", Module: "pam_permit.so"}},
	}
	s.Sudo = host.Sudo{
		Binary: file("/usr/bin/sudo", 0o4755), Package: "sudo", PackageVersion: "1.9.16p2-3",
		Files:    host.Texts{text("/etc/sudoers", 0o440, sudoersText), {File: dir("/etc/sudoers.d", 0o750)}},
		Commands: []host.PathChain{{Path: "/usr/bin/systemctl", Chain: []host.File{file("/usr/bin/systemctl", 0o755), dir("/usr/bin", 0o755), dir("/usr", 0o755), dir("/", 0o755)}}},
	}
}

// doors is ssh and the web of the healthy machine.
func doors(s *host.Snapshot) {
	s.SSH = host.SSH{
		Binary: "/usr/sbin/sshd", Version: "OpenSSH_10.0p2 Debian-7", Package: "openssh-server", PackageVersion: "1:10.0p1-7", Running: 100,
		Config:   host.Texts{text("/etc/ssh/sshd_config", 0o644, sshdConfig), {File: dir("/etc/ssh/sshd_config.d", 0o755)}},
		HostKeys: []host.HostKey{{Path: "/etc/ssh/ssh_host_ed25519_key", Private: file("/etc/ssh/ssh_host_ed25519_key", 0o600), Public: keyA + " root@web1"}},
		KeyFiles: []host.KeyFile{keyFile("alice", 1000, keyB+" alice@laptop\n")},
	}
	s.Web = []host.WebServer{{
		Software: "nginx", Config: "/etc/nginx/nginx.conf", Complete: true, Modules: []string{"modsecurity"},
		Sites: []host.WebSite{
			{
				Names: []string{"example.org"}, File: "/etc/nginx/sites-enabled/example", Line: 3, Listen: []host.WebListen{{Port: 443, TLS: true}},
				Protocols: []string{"TLSv1.2", "TLSv1.3"}, ProtocolsFrom: "/etc/nginx/nginx.conf:20", Ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256:!RC4:!MD5",
				ClientAuth: "require", ClientCA: "/etc/nginx/ca.pem", WAF: "on", HSTS: true,
				Auth:  []host.WebAuth{{Kind: "basic", Path: "/private", File: "/etc/nginx/sites-enabled/example", Line: 9, Passwords: file("/etc/nginx/htpasswd", 0o640)}},
				Pages: []host.WebPage{{Kind: "status", Path: "/status", File: "/etc/nginx/sites-enabled/example", Line: 12, Restricted: true}},
			},
			{Names: []string{"example.org"}, File: "/etc/nginx/sites-enabled/example", Line: 30, Listen: []host.WebListen{{Port: 80}}, Redirect: true},
		},
	}}
	s.Certificates = []host.Certificate{{Path: "/etc/ssl/example.pem", NotBefore: ago(20), NotAfter: now.AddDate(0, 2, 0), KeyType: "ECDSA", Bits: 256, Signature: "ECDSA-SHA256", UsedBy: []string{"nginx"}, Key: file("/etc/ssl/private/example.key", 0o600)}}
}

func keyFile(user string, uid int, content string) host.KeyFile {
	home := "/home/" + user
	if uid == 0 {
		home = "/root"
	}
	own := func(f host.File) host.File { f.UID, f.GID = uid, uid; return f }
	path := home + "/.ssh/authorized_keys"
	return host.KeyFile{
		TextFile: host.TextFile{File: own(file(path, 0o600)), Text: content}, Accounts: []string{user}, Home: home,
		Chain: []host.File{own(file(path, 0o600)), own(dir(home+"/.ssh", 0o700)), own(dir(home, 0o750)), dir("/home", 0o755), dir("/", 0o755)},
	}
}

// upkeep is updates, logs, units and files of the healthy machine.
func upkeep(s *host.Snapshot) {
	s.Packages = []host.Package{{Name: "openssh-server", Version: "1:10.0p1-7", Manager: "dpkg"}, {Name: "nginx", Version: "1.26", Manager: "dpkg"}, {Name: "aide", Version: "0.19", Manager: "dpkg"}}
	s.Updates = host.Updates{
		Manager: "apt", Known: true,
		Sources:   []host.PackageSource{{File: "/etc/apt/sources.list", Line: 1, Type: "deb", URI: "http://deb.debian.org/debian", Suite: "trixie"}, {File: "/etc/apt/sources.list", Line: 2, Type: "deb", URI: "http://security.debian.org/debian-security", Suite: "trixie-security"}},
		Lists:     []host.PackageList{{Path: "/var/lib/apt/lists/x_InRelease", Origin: "Debian", Date: ago(1), Fetched: ago(1), ValidUntil: now.AddDate(0, 0, 6), Security: true}},
		Automatic: host.AutomaticUpdates{Tool: "unattended-upgrades", Refresh: true, Install: true, Security: true, Timers: []string{"apt-daily.timer enabled"}, Refreshed: ago(1), Ran: ago(1)},
		Support:   host.Support{Release: "debian 13", Ends: now.AddDate(2, 0, 0), Long: now.AddDate(4, 0, 0)},
		Kernel:    host.Kernels{Running: "6.12.57+deb13-amd64", Version: "#1 SMP", Installed: []host.KernelImage{{Path: "/boot/vmlinuz-6.12.57+deb13-amd64", Release: "6.12.57+deb13-amd64", Version: "#1 SMP"}}},
	}
	s.Units = []host.Unit{
		{Name: "ssh.service", Manager: "systemd", State: "enabled", Active: "active", File: file("/usr/lib/systemd/system/ssh.service", 0o644), Commands: []host.UnitCommand{{Kind: "ExecStart", Argv: []string{"/usr/sbin/sshd", "-D"}}}},
		{Name: "netfilter-persistent.service", Manager: "systemd", State: "enabled", Active: "active", File: file("/usr/lib/systemd/system/netfilter-persistent.service", 0o644)},
		{Name: "avahi-daemon.service", Manager: "systemd", State: "masked"},
	}
	s.Startup = host.Startup{
		Init: "systemd", Running: true,
		Cron: []host.CronJob{{File: file("/etc/crontab", 0o644), Line: 8, Kind: "cron", Schedule: "17 * * * *", User: "root", Command: "cd / && run-parts --report /etc/cron.hourly"}, {File: file("/etc/cron.d/backup", 0o644), Line: 1, Kind: "cron", User: "root", Command: "/usr/local/bin/backup >/tmp/backup.log 2>&1"}},
	}
	s.Logging = host.Logging{
		Journal:  host.Journal{Present: true, Storage: "persistent", Persistent: true, Newest: now.Add(-time.Minute)},
		Daemons:  []host.LogDaemon{{Name: "rsyslog", Running: true, Remote: []string{"tcp logs.example.org:6514"}}},
		Files:    []host.File{file("/var/log/auth.log", 0o640), {Path: "/var/log/wtmp", Type: "file", Mode: 0o664, Size: 3840, Modified: ago(0)}},
		Audit:    host.AuditDaemon{Present: true, Running: true, Rules: 10, Exec: true},
		Rotation: []host.Rotation{{File: "/etc/logrotate.d/rsyslog", Line: 1, Paths: []string{"/var/log/auth.log"}, Keep: 12, Period: "weekly"}},
	}
	s.Logging.Files[0].Modified = now
	s.Clock = host.Clock{Synchronized: "yes", Daemons: []host.TimeDaemon{{Name: "systemd-timesyncd", Running: true, Enabled: true}}}
	s.Integrity = host.Integrity{
		Checked: true, Files: 1000, SetID: []host.SetIDFile{{File: file("/usr/bin/sudo", 0o4755), Package: "sudo", Manager: "dpkg"}},
		Changed:  []host.ChangedFile{{Path: "/etc/nginx/nginx.conf", Package: "nginx", What: "content", Config: true}},
		Writable: []host.File{{Path: "/var/tmp", Type: "dir", Mode: 0o1777}},
		Odd:      []host.File{file("/tmp/build.sh", 0o755)},
	}
}

// rules reads the rules of a machine.
func (m *machine) rules(t *testing.T) *firewall.Ruleset {
	t.Helper()
	all := &firewall.Ruleset{}
	for _, p := range []struct {
		family firewall.Family
		text   string
		legacy bool
	}{{firewall.IPv4, m.v4, false}, {firewall.IPv6, m.v6, false}, {firewall.IPv4, m.legacy, true}} {
		if p.text == "" {
			continue
		}
		r := parse(t, p.family, p.text)
		for _, table := range r.Tables {
			if p.legacy {
				table.Backend = firewall.Legacy
			}
			all.Tables = append(all.Tables, table)
		}
	}
	return all
}

func parse(t *testing.T, family firewall.Family, text string) *firewall.Ruleset {
	t.Helper()
	r, err := iptables.Parse(family, []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return r
}

// run audits a machine, or some sections of it.
func (m *machine) run(t *testing.T, only ...audit.Section) audit.Result {
	t.Helper()
	return audit.Run(audit.Input{Snapshot: m.s, Rules: m.rules(t), Saved: m.saved, Now: now, Only: only})
}

// find gives the finding of a check.
func find(r audit.Result, id string) (audit.Finding, bool) {
	i := slices.IndexFunc(r.Findings, func(f audit.Finding) bool { return f.ID == id })
	if i < 0 {
		return audit.Finding{}, false
	}
	return r.Findings[i], true
}

// add puts a listening program on the machine and gives it back.
func (m *machine) add(proto, local, exe string, argv ...string) *host.Process {
	pid := 1000 + len(m.s.Processes)
	m.s.Processes = append(m.s.Processes, host.Process{PID: pid, Name: path.Base(exe), Exe: exe, Argv: append([]string{exe}, argv...), UID: 33, User: "www-data", Package: "some-package", Manager: "dpkg"})
	if local != "" {
		m.s.Sockets = append(m.s.Sockets, listen(proto, local, pid))
	}
	return &m.s.Processes[len(m.s.Processes)-1]
}

// open makes the rules accept everything to a port of both families.
func (m *machine) open(proto, port string) {
	line := "-A INPUT -p " + proto + " -m " + proto + " --dport " + port + " -j ACCEPT\nCOMMIT\n"
	m.v4 = replaceLast(m.v4, line)
	m.v6 = replaceLast(m.v6, line)
}

func replaceLast(rules, line string) string { return rules[:len(rules)-len("COMMIT\n")] + line }

// sshd adds lines to the beginning of sshd_config.
func (m *machine) sshd(lines string) {
	m.s.SSH.Config[0].Text = lines + "\n" + m.s.SSH.Config[0].Text
}

func parseSave(text string) (*firewall.Ruleset, error) {
	return iptables.Parse(firewall.IPv4, []byte(text))
}
