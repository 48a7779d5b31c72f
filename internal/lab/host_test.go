//go:build linux

package lab_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"sekimori/internal/lab"
)

// TestInternet: a client behind a router reaches a server, with thousands of
// addresses of its own, and the server sees which.
func TestInternet(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		client, router, server := lab.NewHost(t, "client"), lab.NewHost(t, "router"), lab.NewHost(t, "server")
		lab.Connect(t, client, "eth0", router, "eth0")
		lab.Connect(t, server, "eth0", router, "eth1")
		client.Address("eth0", "198.51.100.7/24", "2001:db8:c::7/64")
		router.Address("eth0", "198.51.100.1/24", "2001:db8:c::1/64")
		router.Address("eth1", "203.0.113.1/24", "2001:db8:5::1/64")
		server.Address("eth0", "203.0.113.5/24", "2001:db8:5::5/64")
		client.Gateway("198.51.100.1", "2001:db8:c::1")
		server.Gateway("203.0.113.1", "2001:db8:5::1")
		router.Forwards()
		client.Owns("192.0.2.0/24", "2001:db8:d::/64")
		router.Run("ip", "route", "add", "192.0.2.0/24", "via", "198.51.100.7")
		router.Run("ip", "-6", "route", "add", "2001:db8:d::/64", "via", "2001:db8:c::7")
		server.ServeTCP(":80", "web")
		server.ServeUDP(":53", "names")

		for i := range 300 {
			from := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			if i > 255 {
				from = netip.MustParseAddr(fmt.Sprintf("2001:db8:d::%x", i))
			}
			to := "203.0.113.5:80"
			if from.Is6() {
				to = "[2001:db8:5::5]:80"
			}
			if got, err := client.Ask("tcp", from, to); err != nil || got != "web "+from.String() {
				t.Fatalf("from %s: %q, %v", from, got, err)
			}
		}
		if got, err := client.Ask("udp", netip.Addr{}, "203.0.113.5:53"); err != nil || got != "names 198.51.100.7" {
			t.Errorf("udp: %q, %v", got, err)
		}
		if !client.Ping(netip.Addr{}, "203.0.113.5") || !client.Ping(netip.MustParseAddr("2001:db8:d::9"), "2001:db8:5::5") {
			t.Error("no answer to a ping")
		}
		if _, err := client.Ask("tcp", netip.Addr{}, "203.0.113.5:81"); err == nil || errors.Is(err, lab.ErrSilence) {
			t.Errorf("a closed port: %v, want a refusal", err)
		}
		server.Do(func() {
			lab.LoadNFT(t, "table inet t { chain c { type filter hook input priority 0; tcp dport 81 drop; }; }")
		})
		if _, err := client.AskFor(lab.Quiet, "tcp", netip.Addr{}, "203.0.113.5:81"); !errors.Is(err, lab.ErrSilence) {
			t.Errorf("a dropped port: %v, want silence", err)
		}
	})
}

// TestSSH: a real login, and a session that says back what it is told.
func TestSSH(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		client, server := lab.NewHost(t, "client"), lab.NewHost(t, "server")
		lab.Connect(t, client, "eth0", server, "eth0")
		client.Address("eth0", "198.51.100.7/24")
		server.Address("eth0", "198.51.100.5/24")
		sshd := server.ServeSSH(22)
		out, err := sshd.Login(client, "198.51.100.5", "echo $SSH_CONNECTION; readlink /proc/self/ns/net")
		f := strings.Fields(out)
		if err != nil || len(f) != 5 || f[0] != "198.51.100.7" || f[2] != "198.51.100.5" || f[3] != "22" {
			t.Errorf("%q, %v", out, err)
		}
		if here, err := os.Readlink("/proc/thread-self/ns/net"); err != nil || len(f) == 5 && f[4] == here {
			t.Errorf("the session runs here, %s (%v), and not on the server", here, err)
		}
		if err := sshd.Open(client, "198.51.100.5").Echo("still there"); err != nil {
			t.Error(err)
		}
	})
}
