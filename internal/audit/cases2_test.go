package audit_test

import (
	"sekimori/internal/audit"
	"sekimori/internal/host"
)

func accountHits() []hit {
	addSudo := func(m *machine, line string) {
		m.s.Sudo.Files = append(m.s.Sudo.Files, text("/etc/sudoers.d/x", 0o440, line+"\n"))
	}
	return []hit{
		{id: "acct-admin", severity: audit.Medium, want: "of alice nobody may become root by sudo", spoil: func(m *machine) { m.s.Accounts[2].Groups = []string{"alice"}; m.s.Accounts[2].GIDs = []int{1000} }},
		{id: "acct-uid0", severity: audit.Critical, want: "toor has uid 0", spoil: func(m *machine) {
			m.s.Accounts = append(m.s.Accounts, host.Account{Name: "toor", UID: 0, Line: 9, Shell: "/bin/sh", LoginShell: true, Shadow: host.Shadow{State: "password"}})
		}},
		{id: "acct-empty", severity: audit.Critical, want: "alice has no password", spoil: func(m *machine) { m.s.Accounts[2].Shadow.State = "empty" }},
		{id: "acct-empty", severity: audit.Medium, want: "daemon has no password", spoil: func(m *machine) { m.s.Accounts[1].Shadow.State = "empty" }},
		{id: "acct-expiry-lock", severity: audit.High, want: "only keys open it, and its password of 2026-", spoil: func(m *machine) {
			sh := &m.s.Accounts[2].Shadow
			sh.State, sh.Changed, sh.Max = "locked", 20700, 60
		}},
		{id: "acct-expiry-lock", severity: audit.High, want: "must be changed at the next login", spoil: func(m *machine) { m.s.Accounts[2].Shadow.Changed = 0 }},
		{id: "acct-expiry-lock", severity: audit.High, want: "the account ended", spoil: func(m *machine) { m.s.Accounts[2].Shadow.Expires = 20000 }},
		{id: "acct-files", severity: audit.High, want: "/etc/shadow has mode 0644", spoil: func(m *machine) { m.s.Logins.Files[2].Mode = 0o644 }},
		{id: "acct-hash", severity: audit.Medium, want: "alice: MD5", spoil: func(m *machine) { m.s.Accounts[2].Shadow.Scheme = "1" }},
		{id: "acct-root-locked", severity: audit.Low, want: "root has a password; alice can use sudo", spoil: func(m *machine) { m.s.Accounts[0].Shadow.State = "password" }},
		{id: "acct-docker", severity: audit.Medium, want: "bob is in group docker", spoil: func(m *machine) {
			m.s.Accounts = append(m.s.Accounts, host.Account{Name: "bob", UID: 1001, GID: 1001, Line: 9, Shell: "/bin/bash", LoginShell: true, Groups: []string{"bob", "docker"}, Shadow: host.Shadow{State: "password", Max: -1}})
			m.s.Groups[3].Members = []string{"bob"}
		}, cure: func(m *machine) { m.s.Groups[3].Members = []string{"alice"} }},
		{id: "acct-dupes", severity: audit.Medium, want: "uid 1000 is that of alice and of eve", spoil: func(m *machine) {
			m.s.Accounts = append(m.s.Accounts, host.Account{Name: "eve", UID: 1000, Line: 9, Shell: "/usr/sbin/nologin"})
		}},
		{id: "acct-sharedkey", severity: audit.Low, want: "opens alice, bob", spoil: func(m *machine) {
			m.s.SSH.KeyFiles = append(m.s.SSH.KeyFiles, keyFile("bob", 1001, keyB+" x\n"))
		}},
		{id: "acct-sysshell", severity: audit.Low, want: "games (uid 5)", spoil: func(m *machine) {
			m.s.Accounts = append(m.s.Accounts, host.Account{Name: "games", UID: 5, Line: 9, Shell: "/bin/sh", LoginShell: true, Shadow: host.Shadow{State: "star"}})
		}},
		{id: "acct-home", severity: audit.Low, want: "/home/alice, home of alice, has mode 0755", spoil: func(m *machine) { m.s.Accounts[2].HomeDir.Mode = 0o755 }},
		{id: "acct-home", severity: audit.High, want: "has mode 0777", spoil: func(m *machine) { m.s.Accounts[2].HomeDir.Mode = 0o777 }},
		{id: "acct-pam", severity: audit.High, want: "lets everybody in", spoil: func(m *machine) {
			m.s.Logins.PAM = append(m.s.Logins.PAM, host.PAMLine{Service: "sshd", Line: 1, Type: "auth", Control: "sufficient", Module: "pam_permit.so"})
		}},
		{id: "sudo-perms", severity: audit.High, want: "/etc/sudoers has mode 0666", spoil: func(m *machine) { m.s.Sudo.Files[0].Mode = 0o666 }},
		{id: "sudo-writable", severity: audit.High, want: "/opt/tool: /opt/tool belongs to uid 1000", spoil: func(m *machine) {
			f := file("/opt/tool", 0o755)
			f.UID = 1000
			m.s.Sudo.Commands = append(m.s.Sudo.Commands, host.PathChain{Path: "/opt/tool", Chain: []host.File{f, dir("/opt", 0o755), dir("/", 0o755)}})
		}},
		{id: "sudo-invalid", severity: audit.Medium, want: "/etc/sudoers.d/x:1", spoil: func(m *machine) { addSudo(m, "alice ALL=(ALL ALL") }},
		{id: "sudo-nopasswd", severity: audit.Medium, want: "/etc/sudoers.d/x:1: alice runs anything as root without a password", spoil: func(m *machine) { addSudo(m, "alice ALL=(ALL) NOPASSWD: ALL") }},
		{id: "sudo-nopasswd", severity: audit.Low, want: "alice", spoil: func(m *machine) {
			addSudo(m, "alice ALL=(ALL) NOPASSWD: ALL")
			m.s.Accounts[2].Shadow.State = "locked"
		}},
		{id: "sudo-remark", severity: audit.Low, want: "/etc/sudoers.d/x", spoil: func(m *machine) { addSudo(m, "alice ALL=(ALL) ALL, !/bin/sh") }},
		{id: "sudo-pty", severity: audit.Low, want: "use_pty", spoil: func(m *machine) { m.s.Sudo.Files[0].Text = "Defaults !use_pty\n%sudo ALL=(ALL:ALL) ALL\n" }},
	}
}

func upkeepHits() []hit {
	unit := func(m *machine, name, state, active string) {
		m.s.Units = append(m.s.Units, host.Unit{Name: name, State: state, Active: active})
	}
	return []hit{
		{id: "svc-legacy", severity: audit.High, want: "telnet is installed", spoil: func(m *machine) {
			m.s.Packages = append(m.s.Packages, host.Package{Name: "telnetd", Version: "0.17"})
		}},
		{id: "svc-orphan", severity: audit.High, want: "no package has /usr/bin/thing", spoil: func(m *machine) { m.add("tcp", "0.0.0.0:7777", "/usr/bin/thing").Package = "" }},
		{id: "svc-orphan", severity: audit.Low, want: "/opt/app is of no package", spoil: func(m *machine) {
			m.add("tcp", "0.0.0.0:443", "/opt/app").Package = ""
		}},
		{id: "svc-unneeded", severity: audit.Low, want: "cups.service (printing) is enabled active", spoil: func(m *machine) { unit(m, "cups.service", "enabled", "active") }},
		{id: "svc-unneeded", severity: audit.Medium, want: "vsftpd.service", spoil: func(m *machine) {
			unit(m, "vsftpd.service", "enabled", "active")
			p := m.add("tcp", "0.0.0.0:21", "/usr/sbin/vsftpd")
			p.Unit = "vsftpd.service"
			m.open("tcp", "21")
		}},
		{id: "svc-root-net", severity: audit.Medium, want: "runs as root", spoil: func(m *machine) {
			p := m.add("tcp", "0.0.0.0:8089", "/usr/bin/app")
			p.UID, p.User = 0, "root"
			m.open("tcp", "8089")
		}, cure: func(m *machine) {
			p := m.add("tcp", "0.0.0.0:8089", "/usr/bin/app")
			p.UID, p.User, p.NoNewPrivs = 0, "root", true
			m.open("tcp", "8089")
		}},
		{id: "svc-mta", severity: audit.Medium, want: "25/tcp master", spoil: func(m *machine) {
			m.add("tcp", "0.0.0.0:25", "/usr/lib/postfix/sbin/master")
			m.open("tcp", "25")
		}, cure: func(m *machine) {
			m.add("tcp", "0.0.0.0:25", "/usr/lib/postfix/sbin/master")
			m.add("tcp", "0.0.0.0:993", "/usr/sbin/dovecot")
			m.open("tcp", "25")
		}},
		{id: "svc-inetd", severity: audit.Low, want: "/etc/inetd.conf:3", spoil: func(m *machine) {
			m.s.Startup.Inetd = []host.InetdService{{File: "/etc/inetd.conf", Line: 3, Name: "ident", Protocol: "tcp"}}
		}, cure: func(m *machine) {
			m.s.Startup.Inetd = []host.InetdService{{File: "/etc/xinetd.d/x", Line: 3, Name: "ident", Protocol: "tcp", Disabled: true}}
		}},
		{id: "svc-linger", severity: audit.Low, want: "alice", spoil: func(m *machine) { m.s.Accounts[2].Linger = true }},
		{id: "svc-minimal", severity: audit.Info, want: "gcc", spoil: func(m *machine) { m.s.Packages = append(m.s.Packages, host.Package{Name: "gcc"}) }},
		{id: "upd-security", severity: audit.High, want: "1 packages have security updates", spoil: func(m *machine) {
			m.s.Updates.Pending = []host.PendingUpdate{{Name: "openssl", Installed: "3.5.1", Candidate: "3.5.4", Security: true}}
		}},
		{id: "upd-eol", severity: audit.Critical, want: "support ended", spoil: func(m *machine) {
			m.s.Updates.Support = host.Support{Release: "debian 10", Ends: ago(1500), Long: ago(800)}
		}},
		{id: "upd-eol", severity: audit.Low, want: "long-term support ends", spoil: func(m *machine) {
			m.s.Updates.Support = host.Support{Release: "debian 12", Ends: ago(100), Long: now.AddDate(1, 0, 0)}
		}},
		{id: "upd-eol", severity: audit.High, want: "for customers it ends", spoil: func(m *machine) {
			m.s.Updates.Support = host.Support{Release: "ubuntu 20.04", Ends: ago(100), Paid: now.AddDate(3, 0, 0)}
		}},
		{id: "upd-fresh", severity: audit.High, want: "40 days ago", spoil: func(m *machine) {
			m.s.Updates.Lists[0].Fetched, m.s.Updates.Automatic.Refreshed = ago(40), ago(40)
		}},
		{id: "upd-nosecurity", severity: audit.High, want: "no line of sources.list", spoil: func(m *machine) {
			m.s.Updates.Sources = m.s.Updates.Sources[:1]
			m.s.Updates.Lists[0].Security = false
		}},
		{id: "upd-auto", severity: audit.High, want: "nothing installs updates by itself", spoil: func(m *machine) { m.s.Updates.Automatic = host.AutomaticUpdates{} }},
		{id: "upd-auto", severity: audit.High, want: "not told to install", spoil: func(m *machine) { m.s.Updates.Automatic.Install = false }},
		{id: "upd-auto-works", severity: audit.High, want: "last ran", spoil: func(m *machine) { m.s.Updates.Automatic.Ran = ago(12) }},
		{id: "upd-kernel", severity: audit.High, want: "installed is 6.12.63", spoil: func(m *machine) {
			m.s.Updates.Kernel.Installed = append(m.s.Updates.Kernel.Installed, host.KernelImage{Release: "6.12.63+deb13-amd64"})
		}},
		{id: "upd-stale", severity: audit.High, want: "nginx (nginx.service), pid 200", spoil: func(m *machine) {
			m.s.Updates.Stale = []host.StaleProcess{{PID: 200, Name: "nginx", User: "root", Unit: "nginx.service", Files: []string{"/usr/lib/x86_64-linux-gnu/libssl.so.3"}}}
		}},
		{id: "upd-stale", severity: audit.Low, want: "bash", spoil: func(m *machine) {
			m.s.Updates.Stale = []host.StaleProcess{{PID: 2000, Name: "bash", User: "alice", Binary: true}}
		}},
		{id: "upd-held", severity: audit.Medium, want: "held back: hold", spoil: func(m *machine) {
			m.s.Updates.Pending = []host.PendingUpdate{{Name: "openssl", Installed: "3.5.1", Candidate: "3.5.4", Security: true, Held: "hold"}}
		}},
		{id: "upd-repos", severity: audit.High, want: "trusted=yes", spoil: func(m *machine) {
			m.s.Updates.Sources = append(m.s.Updates.Sources, host.PackageSource{File: "/etc/apt/sources.list.d/x.list", Line: 1, Type: "deb", URI: "http://x.example", Unchecked: "trusted=yes"})
		}},
		{id: "upd-unsupported", severity: audit.Medium, want: "webkitgtk", spoil: func(m *machine) { m.s.Updates.Unsupported = []string{"webkitgtk"} }},
		{id: "upd-broken", severity: audit.Low, want: "half-configured", spoil: func(m *machine) { m.s.Packages[0].State = "half-configured" }},
		{id: "upd-pending", severity: audit.Low, want: "1 packages have newer versions: vim", spoil: func(m *machine) {
			m.s.Updates.Pending = []host.PendingUpdate{{Name: "vim", Installed: "1", Candidate: "2"}}
		}},
		{id: "log-none", severity: audit.High, want: "neither a journal", spoil: func(m *machine) { m.s.Logging.Journal.Storage, m.s.Logging.Daemons = "none", nil }},
		{id: "log-persist", severity: audit.Medium, want: "kept in memory", spoil: func(m *machine) {
			m.s.Logging.Journal.Persistent, m.s.Logging.Journal.Storage, m.s.Logging.Daemons = false, "auto", nil
		}},
		{id: "log-silent", severity: audit.High, want: "was last written", spoil: func(m *machine) {
			m.s.Logging.Journal.Newest, m.s.Logging.Files[0].Modified = ago(5), ago(6)
		}},
		{id: "log-perms", severity: audit.Medium, want: "/var/log/auth.log has mode 0644", spoil: func(m *machine) { m.s.Logging.Files[0].Mode = 0o644 }},
		{id: "log-listen", severity: audit.Medium, want: "rsyslog takes messages of others", spoil: func(m *machine) { m.s.Logging.Daemons[0].Listens = []string{"udp :514"} }},
		{id: "log-forward", severity: audit.Info, want: "no log is sent", spoil: func(m *machine) { m.s.Logging.Daemons[0].Remote = nil }},
		{id: "log-retention", severity: audit.Low, want: "logins are kept 4 days", spoil: func(m *machine) { m.s.Logging.Rotation[0].Keep, m.s.Logging.Rotation[0].Period = 4, "daily" }},
		{id: "log-trunc", severity: audit.Medium, want: "/var/log/wtmp is empty", spoil: func(m *machine) { m.s.Logging.Files[1].Size = 0 }},
		{id: "time-sync", severity: audit.Medium, want: "no program sets it", spoil: func(m *machine) { m.s.Clock = host.Clock{Synchronized: "no"} }},
		{id: "time-sync", severity: audit.Low, want: "not synchronized", spoil: func(m *machine) { m.s.Clock.Synchronized = "no" }},
		{id: "time-two", severity: audit.Low, want: "chrony and systemd-timesyncd", spoil: func(m *machine) {
			m.s.Clock.Daemons = append([]host.TimeDaemon{{Name: "chrony", Running: true}}, m.s.Clock.Daemons...)
		}},
		{id: "audit-exec", severity: audit.Info, want: "auditd is not installed", spoil: func(m *machine) { m.s.Logging.Audit = host.AuditDaemon{} }},
	}
}

func kernelHits() []hit {
	set := func(id string, severity audit.Severity, name, value string) hit {
		return hit{id: id, severity: severity, want: name + " = " + value, spoil: func(m *machine) { m.s.Sysctls[name] = value }}
	}
	return []hit{
		set("sys-redirect", audit.Low, "net.ipv4.conf.eth0.accept_redirects", "1"),
		{id: "sys-sendredirect", severity: audit.Low, want: "net.ipv4.conf.eth0.send_redirects = 1", spoil: func(m *machine) { m.s.Sysctls["net.ipv4.ip_forward"] = "1" }},
		set("sys-srcroute", audit.Medium, "net.ipv4.conf.all.accept_source_route", "1"),
		set("sys-syncookies", audit.Medium, "net.ipv4.tcp_syncookies", "0"),
		set("sys-martians", audit.Info, "net.ipv4.conf.all.log_martians", "0"),
		set("sys-broadcast", audit.Medium, "net.ipv4.icmp_echo_ignore_broadcasts", "0"),
		set("sys-aslr", audit.High, "kernel.randomize_va_space", "0"),
		set("sys-kptr", audit.Low, "kernel.kptr_restrict", "0"),
		set("sys-dmesg", audit.Low, "kernel.dmesg_restrict", "0"),
		set("sys-ptrace", audit.Low, "kernel.yama.ptrace_scope", "0"),
		set("sys-bpf", audit.Low, "kernel.unprivileged_bpf_disabled", "0"),
		set("sys-bpfjit", audit.Info, "net.core.bpf_jit_harden", "0"),
		set("sys-sysrq", audit.Info, "kernel.sysrq", "1"),
		set("sys-perf", audit.Info, "kernel.perf_event_paranoid", "-1"),
		set("sys-dumpable", audit.Medium, "fs.suid_dumpable", "1"),
		set("sys-protected", audit.Medium, "fs.protected_symlinks", "0"),
		set("sys-fifos", audit.Low, "fs.protected_fifos", "0"),
		set("sys-mmap", audit.Low, "vm.mmap_min_addr", "0"),
		set("sys-userns", audit.Info, "kernel.unprivileged_userns_clone", "1"),
		{id: "sys-cpu", severity: audit.Medium, want: "meltdown: Vulnerable", spoil: func(m *machine) { m.s.Kernel.Vulnerabilities["meltdown"] = "Vulnerable" }},
		{id: "sys-mac", severity: audit.Low, want: "neither AppArmor nor SELinux", spoil: func(m *machine) { m.s.Kernel.AppArmor, m.s.Kernel.LSMs = false, nil }},
		{id: "sys-mac", severity: audit.Medium, want: "SELinux is permissive", spoil: func(m *machine) {
			m.s.Kernel.AppArmor, m.s.Kernel.SELinux, m.s.Kernel.LSMs = false, "permissive", []string{"selinux"}
		}},
		{id: "sys-persist", severity: audit.Medium, want: "/etc/sysctl.d/90-hard.conf:1: kernel.kptr_restrict = 2, and it is 1 now", spoil: func(m *machine) { m.s.Settings[0].Value = "2" }},
		{id: "sys-rpfilter", severity: audit.Low, want: "net.ipv4.conf.eth0.rp_filter = 0", spoil: func(m *machine) {
			m.s.Sysctls["net.ipv4.conf.all.rp_filter"], m.s.Sysctls["net.ipv4.conf.eth0.rp_filter"] = "0", "0"
		}},
		{id: "sys-forward", severity: audit.Low, want: "net.ipv4.ip_forward = 1, and there is nothing behind", spoil: func(m *machine) { m.s.Sysctls["net.ipv4.ip_forward"] = "1" }, cure: docker},
		{id: "sys-mounts", severity: audit.Low, want: "/dev/shm (tmpfs) is mounted without nosuid", spoil: func(m *machine) { m.s.Mounts[2].Options = []string{"rw"} }},
		{id: "sys-coredump", severity: audit.Critical, want: "|/tmp/x", spoil: func(m *machine) { m.s.Sysctls["kernel.core_pattern"] = "|/tmp/x" }},
		{id: "sys-taint", severity: audit.Low, want: "without a valid signature", spoil: func(m *machine) { m.s.Kernel.Tainted = 1 << 13 }},
	}
}
