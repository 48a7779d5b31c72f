package main

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sekimori/internal/lab"
)

// ownCommand makes this binary available as sekimori to programs of the lab.
func ownCommand(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := "/run/sekimori"
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// town is a server with an office and a stranger, each in a network of its own.
type town struct{ server, office, stranger *lab.Host }

func newTown(t *testing.T) town {
	t.Helper()
	n := town{lab.NewHost(t, "server"), lab.NewHost(t, "office"), lab.NewHost(t, "stranger")}
	router := lab.NewHost(t, "router")
	for i, h := range []struct {
		host   *lab.Host
		v4, v6 string
	}{
		{n.server, "203.0.113", "2001:db8:5::"},
		{n.office, "198.51.100", "2001:db8:a::"},
		{n.stranger, "192.0.2", "2001:db8:66::"},
	} {
		link := []string{"eth0", "eth1", "eth2"}[i]
		lab.Connect(t, h.host, "eth0", router, link)
		h.host.Address("eth0", h.v4+".7/24", h.v6+"7/64")
		router.Address(link, h.v4+".1/24", h.v6+"1/64")
		h.host.Gateway(h.v4+".1", h.v6+"1")
	}
	router.Forwards()
	return n
}

// Both tests need root outside of a user namespace: see live_test.go.

// TestFirstPolicyOverSSH: somebody logs in to a fresh server, lets init write a
// policy, reads the plan, and loads what it compiles to. The session that did so
// lives on, the office gets in again, nobody else does.
func TestFirstPolicyOverSSH(t *testing.T) {
	lab.EnterRoot(t, func(t *testing.T) {
		sekimori := ownCommand(t)
		n := newTown(t)
		sshd := n.server.ServeSSH(22)
		n.server.ServeTCP(":80", "web")
		n.server.ServeTCP(":3306", "database")
		session := sshd.Open(n.office, "203.0.113.7")
		run := func(command string) (string, error) {
			return sshd.Login(n.office, "203.0.113.7", command)
		}

		// As sudo would have it: without SSH_CONNECTION.
		first, err := run("env -u SSH_CONNECTION " + sekimori + " init --yes -o /run/policy.yaml 2>&1; cat /run/policy.yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			`your ssh session comes from 198\.51\.100\.7, by the socket of sshd`,
			`    - 198\.51\.100\.0/24  # the ssh session that wrote this came from 198\.51\.100\.7`,
			`  - \{allow: ssh, from: admins\}`,
			`  # - \{allow: mysql\}`,
		} {
			if !regexp.MustCompile(want).MatchString(first) {
				t.Errorf("init does not say %s:\n%s", want, first)
			}
		}
		if _, err := run(sekimori + " init --yes -o /run/policy.yaml"); err == nil {
			t.Error("init overwrote a policy")
		}

		// The test itself serves the web port: its name is not one of a web server.
		if out, err := run(sekimori + " allow http -f /run/policy.yaml"); err != nil {
			t.Fatal(out, err)
		}
		plan, err := run(sekimori + " plan --rehearse /run/policy.yaml")
		if err == nil || !strings.Contains(err.Error(), "exit status 3") {
			t.Errorf("plan: %v, want exit status 3", err)
		}
		for _, want := range []string{
			`your current ssh session, 198\.51\.100\.7:\d+ -> 203\.0\.113\.7:22: stays\n`,
			`a new login from 198\.51\.100\.7: possible\n`,
			`logins from admins to port 22 \(IPv4\): proven\n`,
			`(?m)^  3306/tcp +\S+ +anyone \(?.*nobody$`,
			`the same as now: .*80/tcp`,
			`REHEARSAL: .* \d+ packets in \d+ ms: as planned\n`,
			`  passed   your session: tcp 198\.51\.100\.7:\d+ -> 203\.0\.113\.7:22 in eth0 established\n`,
			`  dropped  an outsider to 3306/tcp: `,
			`  passed   a neighbour that forgot this host: `,
		} {
			if !regexp.MustCompile(want).MatchString(plan) {
				t.Errorf("plan does not say %s:\n%s", want, plan)
			}
		}

		if out, err := run(sekimori + " compile /run/policy.yaml --to nftables --facts live | nft -f -"); err != nil {
			t.Fatal(out, err)
		}
		if err := session.Echo("still here"); err != nil {
			t.Errorf("the session that was there before: %v", err)
		}
		if out, err := run(sekimori + " plan /run/policy.yaml"); err != nil || !strings.Contains(out, "is in force") {
			t.Errorf("plan once it is loaded: %v\n%s", err, out)
		}
		if !sshd.Silent(n.stranger, "203.0.113.7") {
			t.Error("sshd answers a stranger")
		}
		for port, open := range map[string]bool{"80": true, "3306": false} {
			for _, to := range []string{"203.0.113.7:" + port, "[2001:db8:5::7]:" + port} {
				patience := 10 * time.Second
				if !open {
					patience = lab.Quiet
				}
				_, err := n.stranger.AskFor(patience, "tcp", netip.Addr{}, to)
				if (err == nil) != open || err != nil && !errors.Is(err, lab.ErrSilence) {
					t.Errorf("%s from outside: %v, open %v", to, err, open)
				}
			}
		}
	})
}

// TestPlanNamesABan: somebody else's rule that keeps an administrator out is
// found, and named.
func TestPlanNamesABan(t *testing.T) {
	lab.EnterRoot(t, func(t *testing.T) {
		sekimori := ownCommand(t)
		n := newTown(t)
		policy := filepath.Join("/run", "policy.yaml")
		if err := os.WriteFile(policy, []byte("version: 1\ninbound:\n  - {allow: ssh, from: [198.51.100.0/24, \"2001:db8:a::/48\"]}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		n.server.Do(func() {
			lab.LoadNFT(t, "table inet f2b-table { set banned { type ipv4_addr; elements = { 198.51.100.66 }; }; chain c { type filter hook input priority -1; ip saddr @banned tcp dport 22 reject; }; }")
		})
		out, err := n.server.Try("", sekimori, "plan", policy)
		if err == nil || !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("%v, want exit status 1", err)
		}
		for _, want := range []string{
			`logins from 198\.51\.100\.0/24 to port 22 \(IPv4\): NOT FOR ALL OF THEM`,
			`example: tcp 198\.51\.100\.66:\d+ -> 203\.0\.113\.7:22 in eth0 new`,
			`because: inet f2b-table c rule 1`,
			`logins from 2001:db8:a::/48 to port 22 \(IPv6\): proven`,
		} {
			if !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("plan does not say %s:\n%s", want, out)
			}
		}
	})
}

// TestRehearsal: for policies of every sort, the kernel does in a throwaway
// namespace what the plan expects.
func TestRehearsal(t *testing.T) {
	lab.EnterRoot(t, func(t *testing.T) {
		sekimori := ownCommand(t)
		n := newTown(t)
		inside := lab.NewHost(t, "inside")
		lab.Connect(t, n.server, "eth1", inside, "eth0")
		n.server.Address("eth1", "10.0.0.1/24", "fd00:10::1/64")
		n.server.Forwards()
		for _, port := range []string{"22", "25", "80", "443", "587", "8443"} {
			n.server.ServeTCP(":"+port, "tcp")
		}
		n.server.ServeUDP(":53", "udp")
		const zones = "version: 1\nzones:\n  internet: {interfaces: [eth0]}\n  lan: {interfaces: [eth1], networks: [10.0.0.0/24, \"fd00:10::/64\"]}\nlists:\n  admins: [198.51.100.0/24, \"2001:db8:a::/48\"]\n"
		for name, policy := range map[string]string{
			"host":   zones + "inbound:\n  - {deny: any, from: 192.0.2.0/28}\n  - {allow: ssh, from: admins, rate: 6/min per source}\n  - {allow: [http, https]}\n  - {allow: [smtp, submission], from: lan}\n  - {allow: ping, rate: 5/s per source}\n",
			"router": zones + "inbound:\n  - {allow: ssh, from: [admins, lan]}\n  - {allow: dns, from: lan}\nrouter:\n  forward:\n    - {from: lan, to: internet, masquerade: true}\n  port-forward:\n    - {from: internet, port: 8443/tcp, to: 10.0.0.20, to-port: 443}\n",
			"edge":   zones + "inbound:\n  - {allow: ssh}\n  - {allow: dns}\nedge: {interface: eth0, block: [53/udp, 1900/udp, broadcast]}\noutbound:\n  default: deny\n  rules:\n    - {allow: [dns, https]}\ncontainers: enforce\n",
		} {
			file := filepath.Join("/run", name+".yaml")
			if err := os.WriteFile(file, []byte(policy), 0o644); err != nil {
				t.Fatal(err)
			}
			out, err := n.server.Try("", sekimori, "plan", "--rehearse", "--no-rules", file)
			if err == nil || !strings.Contains(err.Error(), "exit status 3") {
				t.Errorf("%s: %v, want exit status 3", name, err)
			}
			m := regexp.MustCompile(`REHEARSAL: .* with (\d+) packets in \d+ ms: as planned\n`).FindStringSubmatch(out)
			if m == nil || len(m[1]) < 2 {
				t.Errorf("%s: fewer than 10 packets, or not as planned:\n%s", name, out)
			}
		}
	})
}
