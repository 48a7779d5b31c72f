package iptables_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/firewall/iptables"
	"sekimori/internal/lab"
	"sekimori/packet"
)

// family is one of iptables and ip6tables in tests.
type family struct {
	name   string
	family firewall.Family
}

func bothFamilies() []family {
	return []family{{"iptables", firewall.IPv4}, {"ip6tables", firewall.IPv6}}
}

// discard is UDP to port 9.
func discard() []acl.Service { return []acl.Service{{Protocol: 17, Lo: 9, Hi: 9}} }

// limited lets in two datagrams from each source a minute.
func limited() *acl.List {
	rate := &acl.Rate{ID: "inbound[0].rate", Count: 2, Per: time.Minute, PerSource: true, Burst: 2}
	return &acl.List{Inbound: &acl.Section{
		Rules:   []acl.Rule{{Services: discard(), Rate: rate, Origin: acl.Origin{Path: "inbound[0]", Line: 1, Why: "let in discard"}}},
		Default: acl.Drop,
	}}
}

// TestSourcesPassFullTable: more sources than xt_recent has room for all get their
// share, and none gets more than that. hashlimit would drop each that finds the
// table full.
func TestSourcesPassFullTable(t *testing.T) {
	t.Parallel()
	lab.Enter(t, func(t *testing.T) {
		lab.Need(t, "iptables-legacy-restore", "ip6tables-nft-restore")
		lab.Address(t, "lo", "2001:db8::1/128")
		const sources = 250
		from := func(f family, i int) string {
			if f.family == firewall.IPv4 {
				return fmt.Sprintf("127.0.1.%d", i+1)
			}
			return fmt.Sprintf("2001:db8:0:%x::1", i+1)
		}
		for i := range sources {
			lab.Address(t, "lo", from(bothFamilies()[1], i)+"/128")
		}
		for _, f := range bothFamilies() {
			for _, kind := range []string{"nft", "legacy"} {
				files, err := iptables.Write(f.family, limited(), acl.Options{Complete: true})
				if err != nil {
					t.Fatal(err)
				}
				loader := fmt.Sprintf("%s-%s-restore", f.name, kind)
				lab.RunInput(t, string(files[0].Text), loader)
				to := map[firewall.Family]string{firewall.IPv4: "127.0.0.1", firewall.IPv6: "2001:db8::1"}[f.family]
				got := datagrams(t, to, sources, func(i int) string { return from(f, i) })
				for i := range sources {
					if got[from(f, i)] != 2 {
						t.Errorf("%s: %d datagrams came through from %s, want 2", loader, got[from(f, i)], from(f, i))
						break
					}
				}
				lab.RunInput(t, "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n", loader)
			}
		}
	})
}

// datagrams sends four to port 9 from each source, and counts those that arrive.
func datagrams(t *testing.T, to string, sources int, from func(int) string) map[string]int {
	t.Helper()
	sink, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(to), Port: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	got := map[string]int{}
	buf := make([]byte, 16)
	count := func(wait time.Duration) { // what has come so far, before the socket is full
		if err := sink.SetReadDeadline(time.Now().Add(wait)); err != nil {
			t.Fatal(err)
		}
		for {
			_, a, err := sink.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			got[a.Addr().Unmap().String()]++
		}
	}
	for i := range sources {
		for range 4 { // each from a port of its own: a connection of its own
			c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from(i))}, &net.UDPAddr{IP: net.ParseIP(to), Port: 9})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Write([]byte("x"))
			c.Close()
		}
		if i%20 == 0 {
			count(5 * time.Millisecond)
		}
	}
	count(100 * time.Millisecond)
	return got
}

// TestLoadAgain runs the script that -o writes, three times: what is loaded is the
// same as after the first, other people's rules stay, and lists change in place.
func TestLoadAgain(t *testing.T) {
	t.Parallel()
	lab.Enter(t, func(t *testing.T) {
		lab.Need(t, "iptables-restore", "ip6tables-restore", "ipset")
		for _, f := range bothFamilies() {
			dir := t.TempDir()
			load := func(list *acl.List) string {
				files, err := iptables.Write(f.family, list, acl.Options{Separate: true})
				if err != nil {
					t.Fatal(err)
				}
				for _, one := range files {
					if err := os.WriteFile(filepath.Join(dir, one.Name), one.Text, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				lab.Run(t, "sh", filepath.Join(dir, files[len(files)-1].Name))
				var rules []string
				for line := range strings.Lines(lab.Run(t, f.name+"-save")) {
					if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ":") {
						rules = append(rules, line)
					}
				}
				return strings.Join(rules, "")
			}
			lab.Run(t, f.name, "-A", "INPUT", "-p", "tcp", "--dport", "7", "-j", "DROP")
			once := load(listed(40))
			again := load(listed(40))
			other := load(listed(39))
			if once != again || once != other {
				t.Errorf("%s: loaded once:\n%sand again:\n%s", f.name, once, again)
			}
			if !strings.Contains(once, "--dport 7 -j DROP") || strings.Count(once, "-A INPUT -j SEKIMORI-INPUT") != 1 {
				t.Errorf("%s: what is loaded:\n%s", f.name, once)
			}
			set := lab.Run(t, "ipset", "save", "SEKIMORI-friends."+map[firewall.Family]string{firewall.IPv4: "4", firewall.IPv6: "6"}[f.family])
			if n := strings.Count(set, "\nadd "); n != 39 {
				t.Errorf("%s: the list has %d entries, want 39:\n%s", f.name, n, set)
			}
		}
	})
}

// listed lets in discard from a list of n networks of each family.
func listed(n int) *acl.List {
	friends := &acl.Addresses{Name: "friends"}
	for i := range n {
		for _, a := range []string{fmt.Sprintf("192.0.2.%d", 2*i), fmt.Sprintf("2001:db8:%x::", 2*i)} {
			lo := netip.MustParseAddr(a)
			friends.Ranges = append(friends.Ranges, packet.AddrRange{Lo: lo, Hi: lo})
		}
	}
	friends.Ranges = acl.Join(friends.Ranges)
	l := limited()
	l.Inbound.Rules[0].Rate = nil
	l.Inbound.Rules[0].From = []acl.Peer{{Addresses: friends}}
	return l
}

// TestLimiterIsReadBack: what counts as a limiter is exactly what drops what
// exceeds it; and a list of recent that two chains share is none.
func TestLimiterIsReadBack(t *testing.T) {
	files, err := iptables.Write(firewall.IPv4, limited(), acl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := string(files[0].Text)
	_, limits, err := iptables.Read(firewall.IPv4, files)
	if err != nil || len(limits) != 1 {
		t.Fatalf("%v, %v from\n%s", limits, err, text)
	}
	for _, l := range limits {
		if l.Name != "inbound-0" || l.Count != 2 || l.Per != time.Minute || l.Burst != 2 || !l.PerSource || !l.Exceeded {
			t.Errorf("%+v", l)
		}
	}
	for name, change := range map[string][2]string{
		"drop and pass exchanged":   {"--hitcount 2 --name sekimori4-inbound-0 --mask 255.255.255.255 --rsource -m comment --comment \"inbound[0], line 1\" -j DROP", "--hitcount 2 --name sekimori4-inbound-0 --mask 255.255.255.255 --rsource -j RETURN"},
		"sources taken together":    {"--mask 255.255.255.255 --rsource", "--mask 255.255.255.0 --rsource"},
		"destinations for sources":  {"--rsource", "--rdest"},
		"another list that is set":  {"--set --name sekimori4-inbound-0", "--set --name other"},
		"a rule between the two":    {"-A SEKIMORI-inbound-0 -m recent --set", "-A SEKIMORI-inbound-0 -j RETURN\n-A SEKIMORI-inbound-0 -m recent --set"},
		"updated when it is asked":  {"--rcheck", "--update"},
		"no upper bound of seconds": {"--seconds 60 ", ""},
	} {
		changed := strings.ReplaceAll(text, change[0], change[1])
		if changed == text {
			t.Errorf("%s: nothing changed in\n%s", name, text)
		}
		if _, limits, err := iptables.Read(firewall.IPv4, []acl.File{{Name: "x", Text: []byte(changed)}}); err == nil && len(limits) != 0 {
			t.Errorf("%s: still a limiter", name)
		}
	}
}

// TestUnsupportedXT: what x_tables has no room for is named, with its line.
func TestUnsupportedXT(t *testing.T) {
	l := limited()
	slow, big, named := *l.Inbound.Rules[0].Rate, *l.Inbound.Rules[0].Rate, l.Inbound.Rules[0]
	slow.Burst, big.Count, big.Burst = 3, 256, 256
	named.In = []acl.Interface{"eth0+"}
	whole := acl.Rate{ID: "x", Count: 20000, Per: time.Second, Burst: 1}
	for i, r := range []*acl.Rate{&slow, &big, &whole} {
		rule := l.Inbound.Rules[0]
		rule.Rate, rule.Line = r, i+2
		l.Inbound.Rules = append(l.Inbound.Rules, rule)
	}
	l.Inbound.Rules = append(l.Inbound.Rules, named)
	_, err := iptables.Write(firewall.IPv4, l, acl.Options{})
	want := []string{
		"line 2: iptables cannot express a rate for each source with a burst of its own (inbound[0])",
		"line 3: iptables cannot express a rate for each source with more than 255 at once (inbound[0])",
		"line 4: iptables cannot express the rate 20000/s burst 1 (inbound[0])",
		`line 1: iptables cannot express the interface "eth0+" (inbound[0])`,
	}
	if err == nil || !slices.Equal(strings.Split(err.Error(), "\n"), want) {
		t.Errorf("%v", err)
	}
	files, err := iptables.Write(firewall.IPv4, l, acl.Options{Degrade: true})
	if err != nil || !strings.Contains(string(files[0].Text), "# NOT EQUIVALENT") {
		t.Errorf("degraded: %v", err)
	}
}

// TestOwnersByName: a user whose number was not known is written by name, which
// iptables-restore looks up, and is read back as the number that stands for it.
func TestOwnersByName(t *testing.T) {
	t.Parallel()
	root := acl.NameID("root")
	l := &acl.List{
		Owners: map[uint32]string{root: "root"},
		Outbound: &acl.Section{Rules: []acl.Rule{
			{Action: acl.Drop, Services: discard(), ExceptUsers: []uint32{root}},
			{Action: acl.Drop, Services: discard(), Groups: []uint32{root, 7}},
		}},
	}
	files, err := iptables.Write(firewall.IPv4, l, acl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := string(files[0].Text)
	for _, want := range []string{"-m owner ! --uid-owner root", "-m owner --gid-owner root", "-m owner --gid-owner 7"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	rs, _, err := iptables.Read(firewall.IPv4, files)
	if err != nil {
		t.Fatal(err)
	}
	rules := rs.Tables[0].Chain("SEKIMORI-OUTPUT").Rules
	if len(rules) != 3 || !strings.Contains(rules[0].Text, fmt.Sprintf("! --uid-owner %d", root)) {
		t.Errorf("read back as %v", rules)
	}
	lab.Enter(t, func(t *testing.T) {
		lab.RunInput(t, text, "iptables-restore", "--noflush")
		if saved := lab.Run(t, "iptables-save"); !strings.Contains(saved, "! --uid-owner 0") {
			t.Errorf("loaded as\n%s", saved)
		}
	})
}
