package audit_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"sekimori/internal/audit"
	"sekimori/internal/host"
	"sekimori/policy"
)

// TestPolicyLines: each line that a finding offers is one that the policy language
// has, and all of them together are a policy.
func TestPolicyLines(t *testing.T) {
	var all []audit.Finding
	seen := map[string]bool{}
	for _, h := range slices.Concat(networkHits(), sshHits(), accountHits(), upkeepHits(), webHits(), compromiseHits()) {
		m := healthy()
		h.spoil(m)
		f, ok := find(m.run(t, sectionOf(h.id)), h.id)
		if !ok {
			t.Errorf("%s finds nothing", h.id)
			continue
		}
		all = append(all, f)
		for _, line := range f.Policy {
			if !seen[line] {
				seen[line] = true
				parsePolicy(t, h.id, "version: 1\n"+line+"\n")
			}
		}
	}
	text := audit.Suggest(all)
	parsePolicy(t, "all", text)
	for _, want := range []string{"version: 1\n", "inbound:\n  - {allow: ssh}", "passwords: false", "root: false", "updates: {automatic: security}", "containers: enforce", "services: {keep: ["} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if got := audit.Suggest(nil); got != "" {
		t.Errorf("for nothing: %q", got)
	}
}

// parsePolicy fails where a text is no policy. That nobody could log in is no
// fault of a single line.
func parsePolicy(t *testing.T, id, text string) {
	t.Helper()
	_, err := policy.Parse("policy.yaml", []byte(text))
	if e, ok := errors.AsType[*policy.Error](err); ok && strings.Contains(e.Error(), "nobody could log in") {
		return
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", id, err, text)
	}
}

// TestDropInCounts: OpenSCAP's content for Debian 12 reads the main file of sshd
// alone, and calls ten demands failed that a drop-in fulfils. Here they hold.
func TestDropInCounts(t *testing.T) {
	m := healthy()
	m.s.SSH.Config = host.Texts{
		text("/etc/ssh/sshd_config", 0o644, "Include /etc/ssh/sshd_config.d/*.conf\nKbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding yes\nPrintMotd no\nAcceptEnv LANG LC_*\nSubsystem sftp /usr/lib/openssh/sftp-server\n"),
		{File: dir("/etc/ssh/sshd_config.d", 0o755)},
		text("/etc/ssh/sshd_config.d/00-hard.conf", 0o600, `PasswordAuthentication no
PermitRootLogin no
PermitEmptyPasswords no
PermitUserEnvironment no
HostbasedAuthentication no
IgnoreRhosts yes
MaxAuthTries 4
MaxSessions 10
MaxStartups 10:30:60
LoginGraceTime 60
LogLevel VERBOSE
ClientAliveInterval 15
ClientAliveCountMax 3
X11Forwarding no
AllowTcpForwarding no
AllowAgentForwarding no
AllowStreamLocalForwarding no
AllowUsers alice
KexAlgorithms curve25519-sha256,sntrup761x25519-sha512@openssh.com
Ciphers aes256-gcm@openssh.com,aes256-ctr
MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com
`),
	}
	for _, version := range []string{"OpenSSH_9.2p1 Debian-2+deb12u10", "OpenSSH_10.0p2 Debian-7"} {
		m.s.SSH.Version, m.s.SSH.PackageVersion = version, ""
		for _, f := range m.run(t, audit.SSH).Findings {
			t.Errorf("%s: %s %s: %q", version, f.Severity, f.ID, f.Evidence)
		}
	}
	m.s.SSH.Config[2].Path = "/etc/ssh/sshd_config.d/99-hard.conf.bak" // which sshd does not read
	if _, ok := find(m.run(t, audit.SSH), "ssh-password"); !ok {
		t.Error("a file that sshd does not read was taken for one that it reads")
	}
}

// TestUnseen: what was not looked at is never taken for good.
func TestUnseen(t *testing.T) {
	bare := &host.Snapshot{Schema: host.Schema, Time: now, EUID: 0}
	r := audit.Run(audit.Input{Snapshot: bare, Now: now})
	if r.Grade != audit.GradeUnknown {
		t.Errorf("grade %s of a host of which nothing is known", r.Grade)
	}
	for _, s := range audit.Sections() {
		if !slices.ContainsFunc(r.Unseen, func(u audit.Unseen) bool { return u.Section == s }) {
			t.Errorf("%s was not looked at, and it is not said", s)
		}
	}
	if len(r.Findings) > 0 {
		t.Errorf("findings about a host of which nothing is known: %+v", r.Findings)
	}
	m := healthy()
	m.s.Unseen = []host.Unseen{{Section: host.SectionFilters, Reason: "nf_tables: operation not permitted"}}
	if r := m.run(t); r.Grade != audit.GradeUnknown {
		t.Errorf("grade %s although the packet filters were not read", r.Grade)
	}
	m = healthy()
	m.s.Unseen = []host.Unseen{{Section: host.SectionSudo, Reason: "/etc/sudoers: permission denied"}}
	m.s.Sudo = host.Sudo{}
	r = m.run(t)
	if f, ok := find(r, "acct-admin"); ok {
		t.Errorf("sudoers was not read: %q", f.Evidence)
	}
}
