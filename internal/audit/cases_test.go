package audit_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sekimori/internal/audit"
	"sekimori/internal/firewall"
	"sekimori/internal/host"
)

// hit is a machine on which a check finds something.
type hit struct {
	id       string
	severity audit.Severity
	// want stands in the evidence.
	want string
	// spoil makes the healthy machine one on which the check finds something; cure,
	// where the check tells something of the healthy machine as well, makes one on
	// which it finds nothing.
	spoil, cure func(m *machine)
}

// TestChecks: each check finds what it is for, and nothing on a machine without it.
func TestChecks(t *testing.T) {
	cases := slices.Concat(networkHits(), sshHits(), accountHits(), upkeepHits(), kernelHits(), webHits(), compromiseHits())
	for _, c := range audit.Checks() {
		if !slices.ContainsFunc(cases, func(h hit) bool { return h.id == c.ID }) {
			t.Errorf("%s has no case", c.ID)
		}
	}
	whole := healthy().run(t)
	for _, h := range cases {
		t.Run(h.id, func(t *testing.T) {
			t.Parallel()
			m := healthy()
			h.spoil(m)
			only := sectionOf(h.id)
			f, ok := find(m.run(t, only), h.id)
			switch {
			case !ok:
				t.Fatal("it finds nothing")
			case !strings.Contains(strings.Join(f.Evidence, "\n"), h.want):
				t.Errorf("evidence %q, want %q in it", f.Evidence, h.want)
			case f.Severity != h.severity:
				t.Errorf("severity %s, want %s", f.Severity, h.severity)
			}
			r := whole
			if h.cure != nil {
				good := healthy()
				h.cure(good)
				r = good.run(t, only)
			}
			if f, ok := find(r, h.id); ok {
				t.Errorf("on a machine without it: %q", f.Evidence)
			}
		})
	}
}

// sectionOf is the section of a check.
func sectionOf(id string) audit.Section {
	checks := audit.Checks()
	return checks[slices.IndexFunc(checks, func(c audit.Check) bool { return c.ID == id })].Section
}

func networkHits() []hit {
	return []hit{
		{id: "exp-danger", severity: audit.Critical, want: "Redis: 6379/tcp redis-server", spoil: func(m *machine) {
			m.s.Sockets[4] = listen("tcp", "0.0.0.0:6379", 300)
			m.open("tcp", "6379")
		}},
		{id: "exp-danger", severity: audit.Critical, want: "on *: over IPv6 anyone on eth0", spoil: func(m *machine) {
			k := listen("tcp", "[::]:6379", 300)
			k.Takes4 = true
			m.s.Sockets[4] = k
			m.v6 = replaceLast(m.v6, "-A INPUT -p tcp -m tcp --dport 6379 -j ACCEPT\nCOMMIT\n")
		}},
		{id: "exp-amplifier", severity: audit.Critical, want: "SSDP: 1900/udp", spoil: func(m *machine) {
			m.add("udp", "0.0.0.0:1900", "/usr/sbin/minidlnad")
			m.open("udp", "1900")
		}},
		{id: "exp-amplifier", severity: audit.Medium, want: "DNS: 53/udp", spoil: func(m *machine) {
			m.add("udp", "0.0.0.0:53", "/usr/sbin/unbound")
			m.open("udp", "53")
		}},
		{id: "exp-amplifier", severity: audit.Critical, want: "answers here: 812 bytes to a question of 17 (dns), recursive", spoil: func(m *machine) {
			m.add("udp", "0.0.0.0:53", "/usr/sbin/unbound")
			m.open("udp", "53")
			m.s.Asked.UDP = []host.UDPAnswer{{To: netip.MustParseAddrPort("127.0.0.1:53"), Protocol: "dns", Sent: 17, Received: 812, Detail: "recursive"}}
		}},
		{id: "exp-admin", severity: audit.High, want: "Cockpit", spoil: func(m *machine) {
			m.add("tcp", "0.0.0.0:9090", "/usr/lib/cockpit/cockpit-tls")
			m.open("tcp", "9090")
		}},
		{id: "exp-dev", severity: audit.High, want: "python -m http.server", spoil: func(m *machine) {
			p := m.add("tcp", "0.0.0.0:8000", "/usr/bin/python3.13")
			p.Argv = []string{"python3", "-m", "http.server"}
			p.Interpreter = "python"
			m.open("tcp", "8000")
		}},
		{id: "exp-v6-parity", severity: audit.High, want: "IPv4 nobody, IPv6 anyone", spoil: func(m *machine) {
			m.add("tcp", "0.0.0.0:8443", "/usr/bin/app")
			m.s.Sockets = append(m.s.Sockets, listen("tcp", "[::]:8443", 1004))
			m.v6 = replaceLast(m.v6, "-A INPUT -p tcp -m tcp --dport 8443 -j ACCEPT\nCOMMIT\n")
		}},
		{id: "exp-nat-publish", severity: audit.High, want: "8080/tcp -> 172.17.0.2:80 (container web)", spoil: docker},
		{id: "exp-reach", severity: audit.Medium, want: "8089/tcp app", spoil: func(m *machine) {
			m.add("tcp", "0.0.0.0:8089", "/opt/app/app")
			m.open("tcp", "8089")
		}},
		{id: "exp-localnet", severity: audit.Medium, want: "route_localnet = 1", spoil: func(m *machine) { m.s.Sysctls["net.ipv4.conf.all.route_localnet"] = "1" }},
		{id: "exp-wildcard", severity: audit.Low, want: "6379/tcp redis-server on 0.0.0.0", spoil: func(m *machine) { m.s.Sockets[4] = listen("tcp", "0.0.0.0:6379", 300) }},
		{id: "exp-stale-rule", severity: audit.Low, want: "8333/tcp", spoil: func(m *machine) { m.open("tcp", "8333") }},
		{id: "exp-sniffer", severity: audit.Low, want: "packet socket", spoil: func(m *machine) {
			p := m.add("", "", "/usr/bin/mysniff")
			m.s.PacketSockets = []host.PacketSocket{{Type: "raw", EtherType: 3, Owners: []int{p.PID}}, {Type: "raw", EtherType: 3, Owners: []int{400}}}
		}},
		{id: "exp-vsock-ssh", severity: audit.Info, want: "vsock", spoil: func(m *machine) {
			m.s.Units = append(m.s.Units, host.Unit{Name: "sshd-vsock.socket", State: "generated", Active: "active", Listen: []host.UnitListen{{Kind: "ListenStream", Address: "vsock::22"}}})
		}},
		{
			id: "exp-ssh-source", severity: audit.Info, want: "22/tcp", spoil: func(*machine) {},
			cure: func(m *machine) {
				m.v4 = strings.ReplaceAll(m.v4, "-A INPUT -p tcp -m tcp --dport 22", "-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 22")
				m.v6 = strings.ReplaceAll(m.v6, "-A INPUT -p tcp -m tcp --dport 22", "-A INPUT -s 2001:db8:a::/48 -p tcp -m tcp --dport 22")
			},
		},
		{id: "exp-egress", severity: audit.Info, want: "22/tcp, 25/tcp, 6667/tcp", spoil: func(m *machine) {
			m.v4 = strings.ReplaceAll(m.v4, "-j REJECT", "-j ACCEPT")
		}},
		{id: "exp-open", severity: audit.Info, want: "443/tcp nginx", spoil: func(*machine) {}, cure: func(m *machine) {
			m.v4 = strings.ReplaceAll(m.v4, "--dport", "--sport")
			m.v6 = strings.ReplaceAll(m.v6, "--dport", "--sport")
			m.v4 = strings.ReplaceAll(m.v4, "--sport 22 -j ACCEPT", "--sport 22 -s 10.0.0.0/8 -j ACCEPT")
			m.v4 = strings.ReplaceAll(m.v4, "--sport 443 -j ACCEPT", "--sport 443 -s 10.0.0.0/8 -j ACCEPT")
			m.v6 = strings.ReplaceAll(m.v6, "--sport 22 -j ACCEPT", "--sport 22 -s fd00::/8 -j ACCEPT")
			m.v6 = strings.ReplaceAll(m.v6, "--sport 443 -j ACCEPT", "--sport 443 -s fd00::/8 -j ACCEPT")
		}},
		{id: "fw-present", severity: audit.High, want: "IPv4: no chain", spoil: func(m *machine) { m.v4, m.v6 = "", "" }},
		{id: "fw-drop4", severity: audit.High, want: "61/tcp, of which no rule speaks", spoil: func(m *machine) {
			m.v4 = strings.ReplaceAll(m.v4, "INPUT DROP", "INPUT ACCEPT")
		}},
		{id: "fw-drop4", severity: audit.High, want: "-A INPUT -j ACCEPT", spoil: func(m *machine) {
			// the policy says drop, and a rule before it lets everybody in
			m.v4 = replaceLast(m.v4, "-A INPUT -j ACCEPT\nCOMMIT\n")
		}},
		{id: "fw-drop6", severity: audit.High, want: "anyone on eth0", spoil: func(m *machine) { m.v6 = "" }},
		{id: "fw-drop6", severity: audit.Low, want: "anyone on eth0", spoil: func(m *machine) {
			m.v6 = ""
			m.s.Interfaces[1].Addresses[1].Prefix = netip.MustParsePrefix("fe80::5/64")
		}},
		{id: "fw-icmp6", severity: audit.High, want: "neighbour solicitation on eth0 is refused", spoil: func(m *machine) {
			m.v6 = strings.ReplaceAll(m.v6, "-A INPUT -p ipv6-icmp -j ACCEPT\n", "")
		}},
		{id: "fw-persist", severity: audit.High, want: "no enabled unit loads any", spoil: func(m *machine) { m.s.Units[1].State, m.s.Units[1].Active = "disabled", "inactive" }},
		{id: "fw-saved", severity: audit.High, want: "after the next boot drop becomes accept", spoil: func(m *machine) {
			m.saved = []audit.SavedRules{{File: "/etc/iptables/rules.v4", Families: []firewall.Family{firewall.IPv4}, Rules: mustParse(strings.ReplaceAll(rules4, "--dport 443", "--dport 3306"))}}
		}, cure: func(m *machine) {
			m.saved = []audit.SavedRules{{File: "/etc/iptables/rules.v4", Families: []firewall.Family{firewall.IPv4}, Rules: mustParse(
				strings.ReplaceAll(strings.ReplaceAll(rules4, "-A INPUT -p icmp -j ACCEPT\n", ""), "-A INPUT -i lo", "-A INPUT -p icmp -j ACCEPT\n-A INPUT -i lo"))}}
		}},
		{id: "fw-saved", severity: audit.Medium, want: "accept becomes drop", spoil: func(m *machine) {
			m.saved = []audit.SavedRules{{File: "/etc/iptables/rules.v4", Families: []firewall.Family{firewall.IPv4}, Rules: mustParse(strings.ReplaceAll(rules4, "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT\n", ""))}}
		}},
		{id: "fw-est", severity: audit.Medium, want: "IPv4: answers from port 443 are refused", spoil: func(m *machine) {
			m.v4 = strings.ReplaceAll(m.v4, "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n", "")
		}},
		{id: "fw-lo", severity: audit.Medium, want: "IPv6: connections over loopback are refused", spoil: func(m *machine) {
			m.v6 = strings.ReplaceAll(m.v6, "-A INPUT -i lo -j ACCEPT\n", "")
		}},
		{id: "fw-forward", severity: audit.Medium, want: "is handed on to docker0", spoil: func(m *machine) {
			docker(m)
			m.v4 = strings.ReplaceAll(m.v4, "FORWARD DROP", "FORWARD ACCEPT")
		}, cure: docker},
		{id: "fw-single", severity: audit.Medium, want: "iptables-legacy: ip (legacy) filter; nf_tables: ip filter, ip6 filter", spoil: func(m *machine) { m.legacy = rules4 }},
		{id: "fw-single", severity: audit.Medium, want: "firewalld and ufw", spoil: func(m *machine) {
			m.s.Units = append(m.s.Units, host.Unit{Name: "ufw.service", State: "enabled"}, host.Unit{Name: "firewalld.service", State: "enabled"})
		}},
		{id: "fw-dead", severity: audit.Low, want: "ip filter INPUT rule 11: -A INPUT -s 192.0.2.9/32 -p tcp -m tcp --dport 22 -j DROP", spoil: func(m *machine) {
			m.v4 = strings.ReplaceAll(m.v4, "-A INPUT -m limit", "-A INPUT -s 192.0.2.8/32 -j DROP\n-A INPUT -s 192.0.2.7/32 -j DROP\n-A INPUT -s 192.0.2.6/32 -j DROP\n-A INPUT -s 192.0.2.5/32 -j DROP\n-A INPUT -m limit")
			m.v4 = strings.ReplaceAll(m.v4, "-A OUTPUT -p tcp -m tcp --dport 22 ", "-A INPUT -s 192.0.2.9/32 -p tcp -m tcp --dport 22 -j DROP\n-A OUTPUT -p tcp -m tcp --dport 22 ")
		}},
		{id: "fw-log", severity: audit.Low, want: "logs anything", spoil: func(m *machine) {
			m.v4 = strings.ReplaceAll(m.v4, "-j LOG --log-prefix \"drop: \"", "-j RETURN")
			m.v6 = strings.ReplaceAll(m.v6, "-j LOG", "-j RETURN")
		}},
		{id: "fw-ssh-rate", severity: audit.Low, want: "22/tcp", spoil: func(m *machine) {
			m.s.SSH.Version, m.s.SSH.PackageVersion = "OpenSSH_9.2p1 Debian-2+deb12u10", "1:9.2p1-2+deb12u10"
		}},
	}
}

func mustParse(text string) *firewall.Ruleset {
	r, err := parseSave(text)
	if err != nil {
		panic(err)
	}
	return r
}

// docker puts a container behind the machine and publishes its port, as Docker
// does.
func docker(m *machine) {
	m.s.Interfaces = append(m.s.Interfaces, host.Interface{Index: 3, Name: "docker0", Kind: "bridge", Up: true, Addresses: []host.Address{{Prefix: netip.MustParsePrefix("172.17.0.1/16"), Scope: "global"}}, Forwarding4: true})
	m.s.Routes = append(m.s.Routes,
		host.Route{Family: 4, Table: 254, Type: "unicast", Dst: netip.MustParsePrefix("172.17.0.0/16"), Hops: []host.Hop{{Interface: 3}}},
		host.Route{Family: 4, Table: 255, Type: "local", Dst: netip.MustParsePrefix("172.17.0.1/32"), Hops: []host.Hop{{Interface: 3}}})
	m.s.Sysctls["net.ipv4.ip_forward"] = "1"
	m.s.Containers = []host.Container{{ID: "0123456789abcdef", Runtime: "docker", Name: "web", Addresses: []netip.Addr{netip.MustParseAddr("172.17.0.2")}}}
	m.v4 = strings.ReplaceAll(m.v4, "COMMIT\n", `-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
`)
}

func sshHits() []hit {
	return []hit{
		{id: "ssh-password", severity: audit.Critical, want: "/etc/ssh/sshd_config:1): opens alice", spoil: func(m *machine) { m.sshd("PasswordAuthentication yes") }},
		{id: "ssh-password", severity: audit.Medium, want: "alice (no password set)", spoil: func(m *machine) {
			m.sshd("PasswordAuthentication yes")
			m.s.Accounts[2].Shadow.State = "locked"
		}},
		{id: "ssh-password", severity: audit.Critical, want: "50-cloud-init.conf:1): opens alice", spoil: func(m *machine) {
			m.s.SSH.Config = append(m.s.SSH.Config, text("/etc/ssh/sshd_config.d/50-cloud-init.conf", 0o600, "PasswordAuthentication yes\n"))
		}},
		{id: "ssh-password", severity: audit.Critical, want: "opens alice", spoil: func(m *machine) {
			m.s.SSH.Config[0].Text += "Match Group sudo\n  PasswordAuthentication yes\n"
		}},
		{id: "ssh-kbdint", severity: audit.Critical, want: "kbdinteractiveauthentication yes", spoil: func(m *machine) { m.sshd("KbdInteractiveAuthentication yes") }},
		{id: "ssh-empty", severity: audit.High, want: "PermitEmptyPasswords yes", spoil: func(m *machine) { m.sshd("PermitEmptyPasswords yes") }},
		{id: "ssh-empty", severity: audit.Critical, want: "alice has no password", spoil: func(m *machine) {
			m.sshd("PermitEmptyPasswords yes")
			m.s.Accounts[2].Shadow.State = "empty"
		}},
		{id: "ssh-methods-wire", severity: audit.Critical, want: "offers publickey, password to root", spoil: func(m *machine) {
			m.s.Asked.SSH = []host.SSHAnswer{{To: netip.MustParseAddrPort("127.0.0.1:22"), Banner: "SSH-2.0-OpenSSH_10.0", User: "root", Methods: []string{"publickey", "password"}}}
		}, cure: func(m *machine) {
			m.s.Asked.SSH = []host.SSHAnswer{{To: netip.MustParseAddrPort("127.0.0.1:22"), User: "root", Methods: []string{"publickey"}}}
		}},
		{id: "ssh-root", severity: audit.High, want: "PermitRootLogin yes", spoil: func(m *machine) { m.sshd("PermitRootLogin yes\nAllowUsers root") }},
		{id: "ssh-root", severity: audit.Low, want: "root has 1 keys, and alice can use sudo", spoil: func(m *machine) {
			m.sshd("PermitRootLogin prohibit-password\nAllowUsers root")
			m.s.SSH.KeyFiles = append(m.s.SSH.KeyFiles, keyFile("root", 0, keyA+" x\n"))
		}},
		{id: "ssh-match", severity: audit.High, want: "passwordauthentication is no in general, and yes (/etc/ssh/sshd_config:19) for alice", spoil: func(m *machine) {
			m.s.SSH.Config[0].Text += "Match Group sudo\n  PasswordAuthentication yes\n"
		}},
		{id: "ssh-dropin", severity: audit.High, want: "/etc/ssh/sshd_config:2: PasswordAuthentication no has no effect: /etc/ssh/sshd_config.d/50-cloud-init.conf:1 says yes before it", spoil: func(m *machine) {
			m.s.SSH.Config = append(m.s.SSH.Config, text("/etc/ssh/sshd_config.d/50-cloud-init.conf", 0o600, "PasswordAuthentication yes\n"))
		}},
		{id: "ssh-refused", severity: audit.High, want: "/etc/ssh/sshd_config:1", spoil: func(m *machine) { m.sshd("PasswordAuthentification no") }},
		{id: "ssh-strictmodes", severity: audit.High, want: "strictmodes no", spoil: func(m *machine) { m.sshd("StrictModes no") }},
		{id: "ssh-hostkey-perm", severity: audit.High, want: "has mode 0644", spoil: func(m *machine) { m.s.SSH.HostKeys[0].Private.Mode = 0o644 }},
		{id: "ssh-authkeys-perm", severity: audit.High, want: "/home/alice/.ssh/authorized_keys", spoil: func(m *machine) { m.s.SSH.KeyFiles[0].Chain[1].Mode = 0o777 }},
		{id: "ssh-perms", severity: audit.High, want: "/etc/ssh/sshd_config has mode 0666", spoil: func(m *machine) { m.s.SSH.Config[0].Mode = 0o666 }},
		{
			id: "ssh-cve", severity: audit.High, want: "CVE-2024-6387", spoil: func(m *machine) {
				m.s.SSH.Version, m.s.SSH.PackageVersion = "OpenSSH_9.2p1 Debian-2+deb12u1", "1:9.2p1-2+deb12u1"
			},
			cure: func(m *machine) {
				m.s.SSH.Version, m.s.SSH.PackageVersion = "OpenSSH_9.2p1 Debian-2+deb12u10", "1:9.2p1-2+deb12u10"
			},
		},
		{id: "ssh-cve", severity: audit.Medium, want: "Terrapin", spoil: func(m *machine) {
			m.s.SSH.Version, m.s.SSH.PackageVersion = "OpenSSH_8.4p1 Debian-5+deb11u2", "1:8.4p1-5+deb11u2"
		}},
		{id: "ssh-socket", severity: audit.High, want: "ssh.socket listens on 22, and sshd_config says Port 2222", spoil: func(m *machine) {
			m.sshd("Port 2222")
			m.s.Units = append(m.s.Units, host.Unit{Name: "ssh.socket", State: "enabled", Active: "active", Listen: []host.UnitListen{{Kind: "ListenStream", Address: "22", Port: 22}}})
		}},
		{id: "ssh-nextver", severity: audit.Medium, want: "OpenSSH", spoil: func(m *machine) {
			m.s.SSH.Version, m.s.SSH.PackageVersion = "OpenSSH_9.2p1 Debian-2+deb12u10", "1:9.2p1-2+deb12u10"
			m.sshd("HostKeyAlgorithms ssh-dss,ssh-ed25519")
		}, cure: func(m *machine) {
			m.s.SSH.Version, m.s.SSH.PackageVersion = "OpenSSH_9.2p1 Debian-2+deb12u10", "1:9.2p1-2+deb12u10"
		}},
		{id: "ssh-nextver", severity: audit.Medium, want: "gss-curve25519-sha256-", spoil: func(m *machine) {
			m.sshd("KexAlgorithms curve25519-sha256,gss-curve25519-sha256-")
		}},
		{id: "ssh-disagree", severity: audit.Medium, want: "passwordauthentication", spoil: func(m *machine) {
			m.s.SSH.Second = []host.SSHDump{{Text: "passwordauthentication yes\n"}}
		}},
		{id: "ssh-disagree", severity: audit.Medium, want: "-o PasswordAuthentication=yes", spoil: func(m *machine) {
			m.s.SSH.RunningArgs = []string{"-o", "PasswordAuthentication=yes"}
		}},
		{id: "ssh-stale", severity: audit.Medium, want: "binary that was replaced", spoil: func(m *machine) { m.s.Processes[0].Deleted = true }},
		{id: "ssh-stale", severity: audit.Low, want: "/etc/ssh/sshd_config was changed", spoil: func(m *machine) { m.s.SSH.Config[0].Modified = ago(1) }},
		{id: "ssh-kex", severity: audit.Medium, want: "diffie-hellman-group14-sha1 (SHA-1)", spoil: func(m *machine) { m.sshd("KexAlgorithms curve25519-sha256,diffie-hellman-group14-sha1") }},
		{id: "ssh-kex", severity: audit.Low, want: "ecdh-sha2-nistp256", spoil: func(m *machine) { m.sshd("KexAlgorithms curve25519-sha256,ecdh-sha2-nistp256") }},
		{id: "ssh-cipher", severity: audit.Medium, want: "aes256-cbc (CBC mode)", spoil: func(m *machine) { m.sshd("Ciphers aes256-cbc,aes256-ctr") }},
		{id: "ssh-mac", severity: audit.Medium, want: "hmac-md5 (MD5)", spoil: func(m *machine) { m.sshd("MACs hmac-md5,hmac-sha2-256") }},
		{id: "ssh-mac", severity: audit.Low, want: "hmac-sha1", spoil: func(m *machine) { m.sshd("MACs hmac-sha1") }},
		{id: "ssh-algos-wire", severity: audit.Medium, want: "offers as cipher 3des-cbc", spoil: func(m *machine) {
			m.s.Asked.SSH = []host.SSHAnswer{{To: netip.MustParseAddrPort("127.0.0.1:22"), User: "root", Methods: []string{"publickey"}, Ciphers: []string{"3des-cbc", "aes128-ctr"}}}
		}},
		{id: "ssh-userkey", severity: audit.Medium, want: "RSA of 1024 bits", spoil: func(m *machine) { m.s.SSH.KeyFiles[0].Text += keyRSA1 + " old\n" }},
		{id: "ssh-userkey", severity: audit.Low, want: "sshd passes over the line", spoil: func(m *machine) { m.s.SSH.KeyFiles[0].Text += "ssh-ed25519 AAAAbroken\n" }},
		{
			id: "ssh-userkey", severity: audit.Info, want: "RSA of 2048 bits", spoil: func(m *machine) { m.s.SSH.KeyFiles[0].Text += keyRSA2 + " old\n" },
			cure: func(m *machine) { m.s.SSH.KeyFiles[0].Text += keyRSA4 + " new\n" + keyEC + " other\n" },
		},
		{id: "ssh-userenv", severity: audit.Medium, want: "PermitUserEnvironment yes", spoil: func(m *machine) { m.sshd("PermitUserEnvironment yes") }},
		{id: "ssh-hostbased", severity: audit.Medium, want: "HostbasedAuthentication yes", spoil: func(m *machine) { m.sshd("HostbasedAuthentication yes") }},
		{id: "ssh-log", severity: audit.Medium, want: "loglevel", spoil: func(m *machine) { m.sshd("LogLevel QUIET") }},
		{id: "ssh-hostkey-alg", severity: audit.Low, want: "ECDSA", spoil: func(m *machine) {
			m.s.SSH.HostKeys = append(m.s.SSH.HostKeys, host.HostKey{Path: "/etc/ssh/ssh_host_ecdsa_key", Public: keyEC + " root@web1"})
		}},
		{id: "ssh-hostkey-alg", severity: audit.Medium, want: "RSA of 1024 bits", spoil: func(m *machine) { m.s.SSH.HostKeys[0].Public = keyRSA1 + " root@web1" }},
		{id: "ssh-limits", severity: audit.Low, want: "MaxAuthTries 10", spoil: func(m *machine) { m.sshd("MaxAuthTries 10") }},
		{id: "ssh-penalty", severity: audit.Low, want: "PerSourcePenalties no", spoil: func(m *machine) { m.sshd("PerSourcePenalties no") }},
		{id: "ssh-forward", severity: audit.Low, want: "x11forwarding yes", spoil: func(m *machine) { m.sshd("X11Forwarding yes") }},
		{id: "ssh-remark", severity: audit.Low, want: "/etc/ssh/sshd_config", spoil: func(m *machine) { m.sshd("RSAAuthentication yes") }},
		{id: "ssh-allow", severity: audit.Info, want: "accounts with a shell: root, alice", spoil: func(m *machine) {
			m.s.SSH.Config[0].Text = strings.Replace(m.s.SSH.Config[0].Text, "AllowUsers alice\n", "", 1)
		}},
		{id: "ssh-hostkey-clone", severity: audit.Info, want: "was made on template", spoil: func(m *machine) { m.s.SSH.HostKeys[0].Public = keyA + " root@template" }},
	}
}
