//go:build linux

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/lab"
	"sekimori/internal/report"
)

// TestWriters: what ufw, firewalld and fail2ban themselves load is understood
// without an undecided answer, and means what they were told. The host has wan0
// with 203.0.113.5 and 2001:db8:1::5 (see world).
func TestWriters(t *testing.T) {
	const anyone4, anyone6 = "0.0.0.0/0", "::/0"
	open := []string{anyone4, anyone6}
	unbanned := []string{"0.0.0.0/0 but 198.51.100.66/32", anyone6}
	cases := map[string]struct {
		load func(t *testing.T)
		want map[string][]string // port: sources
	}{
		"ufw": {loadUFW, map[string][]string{
			"22/tcp": {"10.0.0.0/8"}, "80/tcp": {"0.0.0.0/0?", "::/0?"}, "443/tcp": open, "3306/tcp": nil,
		}},
		"firewalld": {loadFirewalld, map[string][]string{
			// Its IPv6 filter of reverse paths lets only sources in that are routed
			// back by the same interface: here, without a default route, the link's own.
			"22/tcp": {"10.0.0.0/8"}, "80/tcp": {anyone4, "2001:db8:1::/64 fe80::/10"}, "3306/tcp": nil,
		}},
		"fail2ban nftables":  {loadFail2ban("nftables-multiport"), map[string][]string{"22/tcp": unbanned, "80/tcp": open}},
		"fail2ban iptables":  {loadFail2ban("iptables-multiport"), map[string][]string{"22/tcp": unbanned, "80/tcp": open}},
		"fail2ban and ipset": {loadFail2ban("iptables-ipset"), map[string][]string{"22/tcp": unbanned, "80/tcp": open}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			lab.EnterRoot(t, func(t *testing.T) {
				lab.Need(t, "ufw", "firewalld", "firewall-offline-cmd", "dbus-daemon", "fail2ban-client", "ipset", "nft", "iptables")
				world(t)
				c.load(t)
				for port, want := range c.want {
					got := answer[report.Port](t, "reach", port)
					if got.Reach.Verdict == report.Undecided || got.Reach.Verdict != report.Nobody && len(got.Reach.Why) > 0 {
						t.Errorf("%s: undecided: %v", port, got.Reach.Why)
					}
					if d := cmp.Diff(want, sources(got.Reach)); d != "" {
						t.Errorf("%s: -want +got\n%s", port, d)
					}
				}
			})
		})
	}
}

// sources writes each group as its prefixes, exceptions, and "?" for one that
// depends on something.
func sources(r report.Reach) []string {
	var out []string
	for _, g := range r.From {
		s := strings.Join(g.Sources, " ")
		if len(g.Except) > 0 {
			s += " but " + strings.Join(g.Except, " ")
		}
		if !g.Certain {
			s += "?"
		}
		out = append(out, s)
	}
	return out
}

// ownConfig lets a program change its configuration without changing this
// machine's: a copy is mounted over the directory, in this namespace alone.
func ownConfig(t *testing.T, directory string) {
	t.Helper()
	copied := "/run/config" + strings.ReplaceAll(directory, "/", "-")
	lab.Run(t, "cp", "-a", directory, copied)
	lab.Run(t, "mount", "--bind", copied, directory)
}

func loadUFW(t *testing.T) {
	ownConfig(t, "/etc/ufw")
	lab.Run(t, "ufw", "allow", "from", "10.0.0.0/8", "to", "any", "port", "22", "proto", "tcp")
	lab.Run(t, "ufw", "limit", "80/tcp")
	lab.Run(t, "ufw", "allow", "443/tcp")
	lab.Run(t, "ufw", "--force", "enable")
}

// busConfig lets anybody of this namespace do anything on a bus of its own.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>`

func loadFirewalld(t *testing.T) {
	ownConfig(t, "/etc/firewalld")
	if err := os.Mkdir("/run/dbus", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/run/dbus.conf", []byte(busConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	background(t, "dbus-daemon", "--config-file=/run/dbus.conf", "--nofork", "--nopidfile")
	for _, change := range [][]string{
		{"--add-interface=wan0"},
		{"--remove-service-from-zone=ssh"},
		{"--add-port=80/tcp"},
		{`--add-rich-rule=rule family="ipv4" source address="10.0.0.0/8" port port="22" protocol="tcp" accept`},
	} {
		lab.Run(t, append([]string{"firewall-offline-cmd", "--zone=public"}, change...)...)
	}
	waitFor(t, func() bool { _, err := os.Stat("/run/dbus/system_bus_socket"); return err == nil })
	background(t, "firewalld", "--nofork", "--nopid")
	waitFor(t, func() bool { _, err := lab.Try(t, "", "firewall-cmd", "--state"); return err == nil })
}

func loadFail2ban(action string) func(*testing.T) {
	return func(t *testing.T) {
		config := "/run/fail2ban.config"
		lab.Run(t, "cp", "-a", "/etc/fail2ban", config)
		for file, text := range map[string]string{
			"/run/auth.log":            "",
			config + "/jail.local":     "[DEFAULT]\nbackend = polling\nbanaction = " + action + "\n[sshd]\nenabled = true\nlogpath = /run/auth.log\n",
			config + "/fail2ban.local": "[Definition]\ndbfile = None\nlogtarget = /run/fail2ban.log\n",
		} {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		client := []string{"fail2ban-client", "-c", config, "-s", "/run/fail2ban.sock", "-p", "/run/fail2ban.pid"}
		lab.Run(t, append(client, "start")...)
		t.Cleanup(func() { lab.Run(t, append(client, "stop")...) })
		lab.Run(t, append(client, "set", "sshd", "banip", "198.51.100.66")...)
		// The ban is carried out by a thread of the server.
		waitFor(t, func() bool {
			rules := lab.Run(t, "nft", "list", "ruleset")
			sets := lab.Run(t, "ipset", "list")
			return strings.Contains(rules+sets, "198.51.100.66")
		})
	}
}

// background starts a program that is ended with the test.
func background(t *testing.T, argv ...string) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed
	})
}

// waitFor polls a condition of another program's making.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for range 300 {
		if done() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("waited for 30 seconds in vain")
}
