package plan

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"sekimori/internal/compile"
	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/firewall/iptables"
	"sekimori/internal/firewall/nft"
	"sekimori/internal/host"
	"sekimori/policy"
)

// fataler is a test, or one of rapid's.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// input compiles a policy for a host.
func input(t fataler, s *host.Snapshot, live *firewall.Ruleset, text string, sessions []Session) Input {
	t.Helper()
	f, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v", err)
	}
	lists, err := f.Lists(nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	facts := Facts(s)
	r, err := compile.Compile(f, lists, facts, compile.NFTables, acl.Options{Lang: "en"})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	own, _, err := nft.Read(r.Text())
	if err != nil {
		t.Fatalf("%v\n%s", err, r.Text())
	}
	return Input{Host: s, Live: live, Own: own, Policy: f, Lists: lists, Facts: facts, Sessions: sessions, SessionsKnown: true, Boxes: 8}
}

// proofs of one kind.
func proofs(p Plan, k Kind) []Proof {
	var out []Proof
	for _, o := range p.Proofs {
		if o.Kind == k {
			out = append(out, o)
		}
	}
	return out
}

// A situation is a host and somebody who is logged in there.
type situation struct {
	host   *host.Snapshot
	logins []Session
	keep   []bool
}

func situations() *rapid.Generator[situation] {
	return rapid.Custom(func(t *rapid.T) situation {
		s := &host.Snapshot{Sysctls: map[string]string{"net.ipv4.ip_forward": rapid.SampledFrom([]string{"0", "1"}).Draw(t, "forward")}}
		s.Conntrack.Count = rapid.IntRange(0, 1).Draw(t, "tracked")
		s.Interfaces = append(s.Interfaces, device(1, "lo", "", "127.0.0.1/8"),
			device(2, "eth0", "", "203.0.113.5/24", "2001:db8:5::5/64"),
			device(3, rapid.SampledFrom([]string{"eth1", "docker0", "virbr0", "wg0", "br-lan"}).Draw(t, "second"), "bridge", "10.0.0.1/24", "fd00::1/64"))
		s.Routes = append(s.Routes, defaultRoute(4, 2, "203.0.113.1"), defaultRoute(6, 2, "2001:db8:5::1"),
			host.Route{Family: 4, Table: 254, Type: "unicast", Dst: prefix("10.0.0.0/24"), Hops: []host.Hop{{Interface: 3}}},
			host.Route{Family: 6, Table: 254, Type: "unicast", Dst: prefix("fd00::/64"), Hops: []host.Hop{{Interface: 3}}})
		port := rapid.SampledFrom([]uint16{22, 2222}).Draw(t, "port")
		listener(s, "tcp", netip.AddrPortFrom(addr("::"), port).String(), "sshd")
		for range rapid.IntRange(0, 4).Draw(t, "sockets") {
			at := netip.AddrPortFrom(addr(rapid.SampledFrom([]string{"0.0.0.0", "::", "10.0.0.1"}).Draw(t, "bound")), rapid.SampledFrom([]uint16{25, 53, 80, 443, 3306, 8080}).Draw(t, "at"))
			listener(s, rapid.SampledFrom([]string{"tcp", "udp"}).Draw(t, "proto"), at.String(), "nginx")
		}
		way := rapid.SampledFrom([][2]string{
			{"198.51.100.7", "203.0.113.5"},
			{"203.0.113.77", "203.0.113.5"},
			{"10.0.0.9", "10.0.0.1"},
			{"10.0.0.9", "203.0.113.5"},
			{"2001:db8:a:b::7", "2001:db8:5::5"},
			{"fd00::9", "fd00::1"},
		}).Draw(t, "way")
		logins := session(netip.AddrPortFrom(addr(way[0]), 40000).String(), netip.AddrPortFrom(addr(way[1]), port).String())
		return situation{s, logins, rapid.SliceOfN(rapid.Bool(), 8, 8).Draw(t, "keep")}
	})
}

// TestDraftNeverShutsOut: whatever a host looks like, from wherever somebody is
// logged in, and whatever is answered, what init writes lets the session live on and
// its network log in again, tracked or not.
func TestDraftNeverShutsOut(t *testing.T) {
	all := situations()
	for seed := range 30 {
		c := all.Example(seed)
		d := draft(c.host, c.logins)
		for i := range d.Offers {
			d.Offers[i].Keep = d.Offers[i].Must || c.keep[i%len(c.keep)]
		}
		p := Prove(input(t, c.host, &firewall.Ruleset{}, d.Text(), c.logins))
		for _, k := range []Kind{KindSession, KindReturn, KindOutgoing} {
			if got := proofs(p, k); len(got) != 1 || got[0].Answer != Holds {
				t.Fatalf("seed %d, kind %d: %+v\n%s", seed, k, got, d.Text())
			}
		}
		if p.Locked() || len(p.Undecided) > 0 {
			t.Fatalf("seed %d: locked: %+v, undecided: %v\n%s", seed, p.Proofs, p.Undecided, d.Text())
		}
	}
}

// save is a ruleset as iptables-save writes it.
func save(t *testing.T, text string) *firewall.Ruleset {
	t.Helper()
	rs, err := iptables.Parse(firewall.IPv4, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

const office = "version: 1\ninbound:\n  - {allow: ssh, from: 198.51.100.0/24}\n"

// TestProofs: what must be found, and must not be.
func TestProofs(t *testing.T) {
	routed := func() *host.Snapshot {
		s := webServer()
		s.Routes = append(s.Routes, host.Route{Family: 4, Table: 254, Type: "unicast", Dst: prefix("10.0.0.0/8"), Hops: []host.Hop{{Interface: 3}}})
		return s
	}
	cases := map[string]struct {
		policy, live string
		from         string // a session
		tracked      int
		session      Answer
		admins       Answer
		locked       bool
	}{
		"admitted": {policy: office, from: "198.51.100.7:4000"},
		"a session from elsewhere lives on where connections are tracked": {policy: office, from: "192.0.2.7:4000", tracked: 3},
		"and would hang where they are not":                               {policy: office, from: "192.0.2.7:4000", session: Fails, locked: true},
		"a limit for everybody may be used up by an attacker": {
			policy: "version: 1\ninbound:\n  - {allow: ssh, from: 198.51.100.0/24, rate: 6/min}\n", from: "198.51.100.7:4000", tracked: 1, admins: Unsure, locked: true,
		},
		"a limit for each source is not": {
			policy: "version: 1\ninbound:\n  - {allow: ssh, from: 198.51.100.0/24, rate: 6/min per source}\n", from: "198.51.100.7:4000", tracked: 1,
		},
		"somebody else's drop": {
			policy: office, from: "198.51.100.7:4000", tracked: 1, admins: Fails, locked: true,
			live: "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 198.51.100.128/25 -p tcp --dport 22 -m conntrack --ctstate NEW -j DROP\nCOMMIT\n",
		},
		"somebody else's drop of the session itself": {
			policy: office, from: "198.51.100.7:4000", tracked: 1, session: Fails, admins: Fails, locked: true,
			live: "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 198.51.100.7 -j DROP\nCOMMIT\n",
		},
		"a match that nobody can decode": {
			policy: office, from: "198.51.100.7:4000", tracked: 1, session: Unsure, admins: Unsure, locked: true,
			live: "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m mystery --what 7 -j DROP\nCOMMIT\n",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := routed()
			s.Conntrack.Count = c.tracked
			live := &firewall.Ruleset{}
			if c.live != "" {
				live = save(t, c.live)
			}
			p := Prove(input(t, s, live, c.policy, session(c.from, "203.0.113.5:22")))
			if got := proofs(p, KindSession); len(got) != 1 || got[0].Answer != c.session {
				t.Errorf("session: %+v, want %v", got, c.session)
			}
			if got := proofs(p, KindAdmins); len(got) != 1 || got[0].Answer != c.admins {
				t.Errorf("admins: %+v, want %v", got, c.admins)
			}
			if p.Locked() != c.locked {
				t.Errorf("locked %v, want %v", p.Locked(), c.locked)
			}
		})
	}
}

// TestNobodyCouldCome: where all that are let in to ssh cannot exist or cannot
// come, somebody is shut out, though no single proof fails.
func TestNobodyCouldCome(t *testing.T) {
	for _, from := range []string{"127.0.0.1", "224.0.0.0/4", "203.0.113.5", "0.0.0.0/32", "240.0.0.0/4", "gone", "loop"} {
		text := "version: 1\nzones: {gone: {interfaces: [eth9]}, loop: {interfaces: [lo]}}\ninbound:\n  - {allow: ssh, from: " + from + "}\n"
		p := Prove(input(t, webServer(), &firewall.Ruleset{}, text, nil))
		if got := proofs(p, KindAdmins); len(got) != 1 || got[0].Answer != Fails || !p.Locked() {
			t.Errorf("from %s: %+v, locked %v", from, got, p.Locked())
		}
	}
}

// TestAdminsBehindAnotherInterface: who comes by an interface that the policy does
// not mean is not let in, and the proof knows by routing which one that is.
func TestAdminsBehindAnotherInterface(t *testing.T) {
	s := webServer()
	s.Interfaces = append(s.Interfaces, device(4, "eth1", "", "10.0.0.1/24"))
	for iface, want := range map[string]Answer{"eth0": Holds, "eth1": Fails} {
		other := map[string]string{"eth0": "eth1", "eth1": "eth0"}[iface]
		text := "version: 1\nzones: {other: {interfaces: [" + other + "]}}\nlists: {admins: [198.51.100.0/24]}\ninbound:\n  - {deny: ssh, from: other}\n  - {allow: ssh, from: admins}\n"
		p := Prove(input(t, s, &firewall.Ruleset{}, text, nil))
		if got := proofs(p, KindAdmins); len(got) != 1 || got[0].Answer != want {
			t.Errorf("%s: %+v, want %v", iface, got, want)
		}
	}
}
