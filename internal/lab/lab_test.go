//go:build linux

package lab_test

import (
	"net"
	"os"
	"strings"
	"testing"

	"sekimori/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

func TestEnterIsIsolated(t *testing.T) {
	outside, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("LAB_TEST_OUTSIDE", outside)
	lab.Enter(t, func(t *testing.T) {
		inside, err := os.Readlink("/proc/self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		if !lab.Inside() || os.Geteuid() != 0 {
			t.Fatalf("inside %v, uid %d: want root in a lab", lab.Inside(), os.Geteuid())
		}
		links, err := net.Interfaces()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if l.Name == "eth0" {
				t.Error("sees eth0 of the machine, or something that looks like it")
			}
			if l.Name == "lo" && l.Flags&net.FlagUp == 0 {
				t.Error("lo is down")
			}
		}
		if entries, err := os.ReadDir("/run"); err != nil || len(entries) != 0 {
			t.Errorf("/run has %d entries (%v), want an empty tmpfs", len(entries), err)
		}
		t.Log(inside)
	})
}

func TestEnterInSubtest(t *testing.T) {
	for _, name := range []string{"plain", "with space", "a+b"} {
		t.Run(name, func(t *testing.T) {
			lab.Enter(t, func(t *testing.T) {
				if !lab.Inside() {
					t.Fatal("outside")
				}
			})
		})
	}
}

func TestRunRefusesOutside(t *testing.T) {
	if lab.Inside() {
		t.Skip("already inside")
	}
	refused := make(chan bool)
	go func() {
		tb := &fatalTB{TB: t}
		defer func() { recover(); refused <- tb.fatal }()
		lab.Run(tb, "true")
	}()
	if !<-refused {
		t.Error("Run ran a command on the machine itself")
	}
}

// fatalTB notes that a test would have ended, and ends by panicking.
type fatalTB struct {
	testing.TB
	fatal bool
}

func (f *fatalTB) Helper() {}

func (f *fatalTB) Fatalf(string, ...any) { f.fatal = true; panic("fatal") }

func TestVethCarriesPackets(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		lab.Netns(t, "peer")
		lab.Veth(t, "v0", "v1", "peer")
		lab.Address(t, "v0", "192.0.2.1/24")
		lab.Address(t, "v0", "2001:db8::1/64")
		var l net.Listener
		lab.In(t, "peer", func() {
			lab.Address(t, "v1", "192.0.2.2/24")
			var err error
			if l, err = net.Listen("tcp", "192.0.2.2:80"); err != nil {
				t.Error(err)
			}
		})
		defer l.Close()
		c, err := net.Dial("tcp", "192.0.2.2:80")
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if out := lab.Run(t, "ip", "-br", "addr"); !strings.Contains(out, "2001:db8::1/64") {
			t.Errorf("ip -br addr: %s", out)
		}
	})
}

func TestLoaders(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		lab.LoadNFT(t, "table inet t { chain c { type filter hook input priority 0; policy drop; }; }")
		if out := lab.Run(t, "nft", "list", "ruleset"); !strings.Contains(out, "policy drop") {
			t.Errorf("nft list ruleset: %s", out)
		}
		for _, restore := range []string{"iptables-legacy-restore", "iptables-nft-restore", "ip6tables-legacy-restore", "ip6tables-nft-restore"} {
			lab.LoadIPTables(t, restore, "*filter\n:INPUT ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n")
		}
	})
}

func TestEnterRoot(t *testing.T) {
	lab.EnterRoot(t, func(t *testing.T) {
		b, err := os.ReadFile("/proc/self/uid_map")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), "4294967295") {
			t.Skipf("already in a user namespace: %s", b)
		}
	})
}
