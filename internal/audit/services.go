package audit

import (
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/host"
)

func serviceChecks() []Check {
	return []Check{
		{"svc-legacy", Services, High, []string{"CIS Debian 12 2.2.1 to 2.2.5", "dev-sec package-01 to package-06"}, (*view).legacy},
		{"svc-orphan", Services, High, []string{"ANSSI BP-028 R59"}, (*view).orphans},
		{"svc-unneeded", Services, Medium, []string{"CIS Debian 12 2.1.1 to 2.1.21"}, (*view).unneeded},
		{"svc-root-net", Services, Medium, []string{"systemd.exec(5)", "Lynis BOOT-5264", "ANSSI BP-028 R63"}, (*view).rootOnTheNet},
		{"svc-mta", Services, Medium, []string{"CIS Debian 12 2.1.21"}, (*view).mailForAll},
		{"svc-inetd", Services, Low, []string{"CIS Debian 12 2.1.19"}, (*view).inetd},
		{"svc-linger", Services, Low, []string{"loginctl(1)"}, (*view).lingering},
		{"svc-minimal", Services, Info, []string{"Lynis HRDN-7220", "ANSSI BP-028 R58"}, (*view).compilers},
	}
}

// keepPolicy keeps the services that are meant to be reachable.
func (v *view) keepPolicy() []string {
	var names []string
	for _, k := range v.sockets {
		p := programOf(k.Owner)
		if p != "" && v.meantFor(k) && !v.judged(k) && k.Proto == "tcp" && !slices.Contains(names, p) && k.Owner.Container == "" && p != "systemd" {
			names = append(names, p)
		}
	}
	if !slices.Contains(names, "sshd") {
		names = append(names, "sshd")
	}
	slices.Sort(names)
	return []string{"services: {keep: [" + strings.Join(names, ", ") + "]}"}
}

// legacy finds servers of protocols that send passwords in the clear or ask for
// none.
func (v *view) legacy() outcome {
	o := outcome{policy: v.keepPolicy()}
	packages := map[string]string{
		"telnetd": "telnet", "telnetd-ssl": "telnet", "inetutils-telnetd": "telnet", "telnet-server": "telnet",
		"rsh-server": "rsh", "rsh-redone-server": "rsh", "rlinetd": "inetd", "nis": "NIS", "ypserv": "NIS",
		"tftpd-hpa": "TFTP", "tftpd": "TFTP", "atftpd": "TFTP", "tftp-server": "TFTP", "talkd": "talk", "talk-server": "talk",
		"xinetd": "xinetd", "fingerd": "finger", "rwhod": "rwho",
	}
	for _, p := range v.s.Packages {
		if what := packages[p.Name]; what != "" {
			o.add("%s is installed (%s %s)", what, p.Name, p.Version)
			if what == "xinetd" || what == "inetd" {
				o.atLeast(Low)
			} else {
				o.atLeast(High)
			}
		}
	}
	for _, k := range v.s.Sockets {
		for _, pid := range k.Owners {
			p := v.procs[pid]
			if slices.Contains([]string{"in.telnetd", "telnetd", "utelnetd", "in.rlogind", "in.rshd", "in.rexecd", "in.fingerd"}, programOf(p)) {
				o.add("%s listens on %d/%s", processName(p), k.Local.Port(), k.Proto)
				o.atLeast(High)
			}
		}
	}
	for _, s := range v.s.Startup.Inetd {
		if !s.Disabled && slices.Contains([]string{"telnet", "shell", "login", "exec", "finger", "tftp", "chargen", "echo", "discard", "daytime", "time"}, s.Name) {
			o.add("%s:%d: %s/%s", s.File, s.Line, s.Name, s.Protocol)
			o.atLeast(High)
		}
	}
	return o
}

// systemDirs are where programs of packages are.
func systemDir(path string) bool {
	for _, d := range []string{"/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/nix/store/", "/snap/", "/gnu/store/"} {
		if strings.HasPrefix(path, d) && !strings.HasPrefix(path, "/usr/local/") {
			return true
		}
	}
	return false
}

// orphans finds programs that listen and that no package brought.
func (v *view) orphans() outcome {
	o := outcome{policy: v.keepPolicy()}
	if len(v.without(host.SectionPackages)) > 0 || !v.s.Audited {
		o.miss(v.without(host.SectionPackages)...)
		return o
	}
	for _, k := range v.sockets {
		p := k.Owner
		if p == nil || p.Exe == "" || p.Container != "" || p.Package != "" || p.OtherNetNS {
			continue
		}
		switch {
		case systemDir(p.Exe) && v.s.System.ID != "nixos" && !strings.HasPrefix(p.Exe, "/snap/") && !strings.HasPrefix(p.Exe, "/nix/") && !strings.HasPrefix(p.Exe, "/gnu/"):
			o.add("%s: no package has %s", v.socketName(k.Socket), p.Exe)
			if !p.Deleted {
				o.atLeast(High)
			} else {
				o.atLeast(Low) // one that an upgrade replaced
			}
		case v.world(k.Reach) || k.Reach.Verdict.String() == "some":
			o.add("%s: %s is of no package", v.socketName(k.Socket), p.Exe)
			o.atLeast(Low) // locally installed software is common; nobody updates it
		}
	}
	return o
}

// unneeded finds services that a server rarely needs and that are started.
func (v *view) unneeded() outcome {
	o := outcome{policy: v.keepPolicy()}
	names := map[string]string{
		"avahi-daemon.service": "mDNS", "avahi-daemon.socket": "mDNS", "cups.service": "printing", "cups.socket": "printing", "cups-browsed.service": "printing",
		"rpcbind.service": "portmap", "rpcbind.socket": "portmap", "nfs-server.service": "NFS", "nfs-kernel-server.service": "NFS",
		"smbd.service": "SMB", "nmbd.service": "NetBIOS", "samba.service": "SMB", "snmpd.service": "SNMP",
		"bluetooth.service": "Bluetooth", "ModemManager.service": "modems", "isc-dhcp-server.service": "DHCP server", "slapd.service": "LDAP",
		"vsftpd.service": "FTP", "proftpd.service": "FTP", "pure-ftpd.service": "FTP", "minidlna.service": "DLNA and SSDP", "miniupnpd.service": "UPnP",
		"xrdp.service": "RDP", "x11vnc.service": "VNC", "wsdd.service": "WS-Discovery", "squid.service": "proxy", "ypserv.service": "NIS", "rsync.service": "rsync server",
		"tftpd-hpa.service": "TFTP", "dovecot.service": "", "gdm.service": "graphical login", "lightdm.service": "graphical login", "inetd.service": "inetd", "openbsd-inetd.service": "inetd", "xinetd.service": "xinetd",
	}
	for _, u := range v.s.Units {
		what := names[u.Name]
		started := strings.HasPrefix(u.State, "enabled") && (u.Active == "" || u.Active == "active")
		if what != "" && (started || u.Active == "active") {
			o.add("%s (%s) is %s", u.Name, what, strings.TrimSpace(u.State+" "+u.Active))
		}
	}
	if len(o.evidence) > 0 && !v.someReachable(names) {
		o.atLeast(Low)
	}
	return o
}

// someReachable reports whether a socket of one of some units is open to anybody,
// or that is not known.
func (v *view) someReachable(units map[string]string) bool {
	if v.Exposure == nil || len(v.without(host.SectionSockets)) > 0 {
		return true
	}
	for _, k := range v.sockets {
		if k.Owner != nil && k.Reach.Verdict.String() != "none" {
			if _, ok := units[k.Owner.Unit]; ok {
				return true
			}
		}
	}
	return false
}

// rootOnTheNet finds programs that strangers talk to and that run as root without
// any restriction by their unit.
func (v *view) rootOnTheNet() outcome {
	var o outcome
	units := map[string]host.Unit{}
	for _, u := range v.s.Units {
		units[u.Name] = u
	}
	for _, k := range v.sockets {
		p := k.Owner
		if p == nil || p.UID != 0 || p.Container != "" || !v.world(k.Reach) || p.NoNewPrivs || p.Seccomp {
			continue
		}
		// These drop their rights for whoever talks to them, in processes of their own.
		if slices.Contains([]string{"sshd", "nginx", "apache2", "httpd", "systemd", "master", "dovecot", "haproxy", "lighttpd", "dockerd", "docker-proxy", "openvpn", "charon", "exim4"}, programOf(p)) {
			continue
		}
		if u, ok := units[p.Unit]; ok && u.Settings["ProtectSystem"] != "" && u.Settings["ProtectSystem"] != "no" {
			continue
		}
		o.add("%s; it runs as root", v.line(k))
	}
	return o
}

// mailForAll finds a mail server that takes mail from elsewhere on a host that is
// no mail server: nothing but the sending port is configured.
func (v *view) mailForAll() outcome {
	var o outcome
	mailbox := false
	var open []string
	for _, k := range v.sockets {
		switch programOf(k.Owner) {
		case "dovecot", "imapd", "cyrmaster":
			mailbox = true
		}
		if k.Proto == "tcp" && k.Local.Port() == 25 && v.world(k.Reach) {
			open = append(open, v.line(k))
		}
		if k.Proto == "tcp" && (k.Local.Port() == 587 || k.Local.Port() == 465) && v.world(k.Reach) {
			mailbox = true
		}
	}
	if !mailbox {
		for _, l := range open {
			o.add("%s", l)
		}
	}
	return o
}

func (v *view) inetd() outcome {
	var o outcome
	for _, s := range v.s.Startup.Inetd {
		if !s.Disabled {
			o.add("%s:%d: %s/%s %s", s.File, s.Line, s.Name, s.Protocol, strings.Join(s.Argv, " "))
		}
	}
	return o
}

func (v *view) lingering() outcome {
	var o outcome
	for _, a := range v.s.Accounts {
		if a.Linger {
			o.add("%s", a.Name)
		}
	}
	return o
}

func (v *view) compilers() outcome {
	var o outcome
	var found []string
	for _, p := range v.s.Packages {
		if slices.Contains([]string{"gcc", "g++", "clang", "make", "golang-go", "rustc", "tcc", "nmap", "tcpdump", "netcat-traditional", "ncat", "socat", "hydra", "masscan"}, p.Name) {
			found = append(found, p.Name)
		}
	}
	if len(found) > 0 {
		o.add("%s; %d packages in all", strings.Join(found, ", "), len(v.s.Packages))
	}
	return o
}

// unitOf names the unit of a process for evidence.
func unitOf(p *host.Process) string {
	if p == nil || p.Unit == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", p.Unit)
}
