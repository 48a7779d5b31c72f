package rehearse_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sekimori/internal/compile"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/lab"
	"sekimori/policy"
)

// A city is a gate with a world before it and a network behind it: an office from
// where it is administered, a stranger, a host inside. The world knows no way to
// what is inside but through the gate.
type city struct{ gate, office, stranger, inside *lab.Host }

func newCity(t *testing.T) city {
	t.Helper()
	c := city{lab.NewHost(t, "gate"), lab.NewHost(t, "office"), lab.NewHost(t, "stranger"), lab.NewHost(t, "inside")}
	world := lab.NewHost(t, "world")
	for i, h := range []struct {
		host   *lab.Host
		v4, v6 string
	}{
		{c.gate, "203.0.113", "2001:db8:5::"},
		{c.office, "198.51.100", "2001:db8:a::"},
		{c.stranger, "192.0.2", "2001:db8:66::"},
	} {
		link := fmt.Sprintf("eth%d", i)
		lab.Connect(t, h.host, "eth0", world, link)
		h.host.Address("eth0", h.v4+".7/24", h.v6+"7/64")
		world.Address(link, h.v4+".1/24", h.v6+"1/64")
		h.host.Gateway(h.v4+".1", h.v6+"1")
	}
	world.Forwards()
	lab.Connect(t, c.inside, "eth0", c.gate, "eth1")
	c.inside.Address("eth0", "10.0.0.20/24", "fd00:10::20/64")
	c.gate.Address("eth1", "10.0.0.1/24", "fd00:10::1/64")
	c.inside.Gateway("10.0.0.1", "fd00:10::1")
	c.gate.Forwards()
	// Somebody in the world who guesses what is inside.
	world.Run("ip", "route", "add", "10.0.0.0/24", "via", "203.0.113.7")
	world.Run("ip", "-6", "route", "add", "fd00:10::/64", "via", "2001:db8:5::7")
	return c
}

// compiled is a policy in nft's language.
func compiled(t *testing.T, text string) string {
	t.Helper()
	f, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	lists, err := f.Lists(nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := compile.Compile(f, lists, policy.Host{}, compile.NFTables, acl.Options{Lang: "en"})
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Text())
}

// apply loads a policy on a host.
func apply(t *testing.T, h *lab.Host, policy string) {
	t.Helper()
	text := compiled(t, policy)
	h.Do(func() { lab.LoadNFT(t, text) })
}

// try is a question of one host to another, with the line that comes back; "" for
// silence.
type try struct {
	who     *lab.Host
	network string
	to      string
	answer  string
}

func check(t *testing.T, tries ...try) {
	t.Helper()
	for _, q := range tries {
		patience := 10 * time.Second
		if q.answer == "" {
			patience = lab.Quiet
		}
		got, err := q.who.AskFor(patience, q.network, netip.Addr{}, q.to)
		switch {
		case q.answer == "" && !errors.Is(err, lab.ErrSilence):
			t.Errorf("%s asks %s/%s: %q, %v; want silence", q.who.Name, q.to, q.network, got, err)
		case q.answer != "" && (err != nil || got != q.answer):
			t.Errorf("%s asks %s/%s: %q, %v; want %q", q.who.Name, q.to, q.network, got, err, q.answer)
		}
	}
}

const routerPolicy = `version: 1
zones:
  internet: {interfaces: [eth0]}
  lan: {interfaces: [eth1], networks: [10.0.0.0/24, "fd00:10::/64"]}
lists:
  admins: [198.51.100.0/24, "2001:db8:a::/48"]
inbound:
  - {allow: ssh, from: admins, rate: 60/min per source}
  - {allow: http}
  - {allow: ping, rate: 5/s per source}
  - {allow: dns, from: lan}
router:
  forward:
    - {from: lan, to: internet, masquerade: true}
  port-forward:
    - {from: internet, port: 8443/tcp, to: 10.0.0.20, to-port: 443, hairpin: true}
    - {from: internet, port: 8443/tcp, to: "fd00:10::20", to-port: 443}
`

// TestRealPrograms: a gate with sshd, web and name servers, and a network behind
// it, under one policy: who gets what, in both families.
func TestRealPrograms(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		c := newCity(t)
		sshd := c.gate.ServeSSH(22)
		c.gate.ServeTCP(":80", "gate web")
		c.gate.ServeTCP(":81", "gate other")
		c.gate.ServeUDP("10.0.0.1:53", "gate names")
		c.inside.ServeTCP(":443", "inside web")
		c.inside.ServeTCP(":80", "inside other")
		c.stranger.ServeTCP(":443", "stranger web")
		c.stranger.ServeUDP(":123", "stranger time")
		apply(t, c.gate, routerPolicy)

		t.Run("ssh", func(t *testing.T) {
			for who, in := range map[*lab.Host]bool{c.office: true, c.stranger: false, c.inside: false} {
				for _, to := range []string{"203.0.113.7", "2001:db8:5::7"} {
					if !in {
						if !sshd.Silent(who, to) {
							t.Errorf("%s gets an answer from sshd at %s", who.Name, to)
						}
						continue
					}
					if out, err := sshd.Login(who, to, "echo inside"); err != nil || out != "inside\n" {
						t.Errorf("%s logs in at %s: %q, %v", who.Name, to, out, err)
					}
				}
			}
		})
		t.Run("services", func(t *testing.T) {
			check(t,
				try{c.stranger, "tcp", "203.0.113.7:80", "gate web 192.0.2.7"},
				try{c.stranger, "tcp", "[2001:db8:5::7]:80", "gate web 2001:db8:66::7"},
				try{c.stranger, "tcp", "203.0.113.7:81", ""},
				try{c.stranger, "tcp", "[2001:db8:5::7]:81", ""},
				try{c.inside, "udp", "10.0.0.1:53", "gate names 10.0.0.20"},
				try{c.stranger, "udp", "10.0.0.1:53", ""},
			)
		})
		t.Run("ping", func(t *testing.T) {
			for _, to := range []string{"203.0.113.7", "2001:db8:5::7"} {
				if !c.stranger.Ping(netip.Addr{}, to) {
					t.Errorf("no answer from %s", to)
				}
			}
		})
		t.Run("port forward", func(t *testing.T) {
			check(t,
				try{c.stranger, "tcp", "203.0.113.7:8443", "inside web 192.0.2.7"},
				try{c.stranger, "tcp", "[2001:db8:5::7]:8443", "inside web 2001:db8:66::7"},
				try{c.inside, "tcp", "203.0.113.7:8443", "inside web 10.0.0.1"}, // by the outer address, from inside
			)
		})
		t.Run("nothing else comes in", func(t *testing.T) {
			check(t,
				try{c.stranger, "tcp", "10.0.0.20:443", ""},
				try{c.stranger, "tcp", "10.0.0.20:80", ""},
				try{c.stranger, "tcp", "[fd00:10::20]:80", ""},
			)
		})
		t.Run("what is inside gets out", func(t *testing.T) {
			check(t,
				try{c.inside, "tcp", "192.0.2.7:443", "stranger web 203.0.113.7"},
				try{c.inside, "udp", "192.0.2.7:123", "stranger time 203.0.113.7"},
				try{c.inside, "tcp", "[2001:db8:66::7]:443", "stranger web 2001:db8:5::7"},
			)
		})
	})
}

// dockerCity is the city with Docker's network br-dummy on the gate in the place of
// the one inside: a container at 192.168.0.2 whose port 80 is published as 8080, by
// Docker's own rules.
func dockerCity(t *testing.T) city {
	t.Helper()
	c := newCity(t)
	lab.In(t, "world", func() { lab.Run(t, "ip", "route", "add", "192.168.0.0/24", "via", "203.0.113.7") })
	container := lab.NewHost(t, "container")
	c.gate.Run("ip", "link", "add", "br-dummy", "type", "bridge")
	c.gate.Address("br-dummy", "192.168.0.1/24", "fd49:efd7:54aa::ff/64")
	lab.Connect(t, container, "eth0", c.gate, "veth1")
	c.gate.Run("ip", "link", "set", "veth1", "master", "br-dummy")
	c.gate.Run("ip", "link", "set", "br-dummy", "up")
	container.Address("eth0", "192.168.0.2/24")
	container.Gateway("192.168.0.1")
	container.ServeTCP(":80", "container web")
	container.ServeTCP(":9999", "container other")
	c.inside = container
	return c
}

// corpus is a recorded file of Docker's.
func corpus(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("SEKIMORI_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "corpus")
	}
	text, err := os.ReadFile(filepath.Join(dir, "docker", name))
	if err != nil {
		lab.Unavailable(t, "the corpus is not there: "+err.Error())
	}
	return string(text)
}

// TestDocker: with either of Docker's two sets of rules, a published port is what
// the policy says of it, containers get out, and Docker's rules are afterwards what
// they were.
func TestDocker(t *testing.T) {
	const head = "version: 1\nzones: {internet: {interfaces: [eth0]}}\ninbound:\n  - {allow: ssh, from: 198.51.100.0/24}\n"
	backends := map[string]struct {
		load func(t *testing.T, c city)
		list []string
	}{
		"iptables": {func(t *testing.T, c city) {
			text := corpus(t, "nat.iptables.save")
			c.gate.Do(func() { lab.LoadIPTables(t, "iptables-nft-restore", text) })
		}, []string{"iptables-nft-save"}},
		"nftables": {func(t *testing.T, c city) {
			text := strings.ReplaceAll(corpus(t, "nat.ip.nft"), "hook output priority dstnat;", "hook output priority -100;")
			c.gate.Do(func() { lab.LoadNFT(t, text) })
		}, []string{"nft", "-s", "list", "table", "ip", "docker-bridges"}},
	}
	for name, docker := range backends {
		t.Run(name, func(t *testing.T) {
			corpus(t, "nat.ip.nft") // before the lab, where a skip is seen
			lab.Enter(t, func(t *testing.T) {
				c := dockerCity(t)
				c.stranger.ServeTCP(":443", "stranger web")
				docker.load(t, c)
				theirs := func() string {
					var kept []string
					for line := range strings.Lines(c.gate.Run(docker.list...)) {
						if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ":") { // times and counters
							kept = append(kept, line)
						}
					}
					return strings.Join(kept, "")
				}
				before := theirs()
				open := try{c.stranger, "tcp", "203.0.113.7:8080", "container web 192.0.2.7"}
				closed := try{c.stranger, "tcp", "203.0.113.7:8080", ""}
				egress := try{c.inside, "tcp", "192.0.2.7:443", "stranger web 203.0.113.7"}
				check(t, open, egress) // as Docker has it

				apply(t, c.gate, head+"containers: enforce\n")
				check(t, closed, egress)
				apply(t, c.gate, head+"  - {allow: 8080/tcp}\ncontainers: enforce\n")
				check(t, open, egress, try{c.stranger, "tcp", "192.168.0.2:9999", ""})
				apply(t, c.gate, head+"  - {allow: 80/tcp}\ncontainers: enforce\n") // the port inside is not the one that was dialled
				check(t, closed, egress)
				apply(t, c.gate, head+"containers: observe\n")
				check(t, open, egress)
				if after := theirs(); after != before {
					t.Errorf("Docker's rules were:\n%s\nand are:\n%s", before, after)
				}
			})
		})
	}
}

// TestReplacedUnderFlood: while thousands of new connections come in from as many
// addresses, the ruleset is replaced again and again. What is forbidden by each of
// the rulesets is never answered, what each allows always is, and an ssh session
// lives on.
func TestReplacedUnderFlood(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		c := newCity(t)
		sshd := c.gate.ServeSSH(22)
		c.gate.ServeTCP(":80", "gate web")
		c.gate.ServeTCP(":81", "gate other")
		c.stranger.Owns("198.18.0.0/16")
		c.gate.Run("ip", "route", "add", "198.18.0.0/16", "via", "203.0.113.1")
		lab.In(t, "world", func() { lab.Run(t, "ip", "route", "add", "198.18.0.0/16", "via", "192.0.2.7") })
		const head = "version: 1\ninbound:\n  - {allow: ssh, from: 198.51.100.0/24}\n  - {allow: http}\n"
		texts := []string{compiled(t, head), compiled(t, head+"  - {allow: ntp}\n  - {allow: 1000-2000/udp, from: 192.0.2.0/24}\n")}
		load := func(i int) { c.gate.Do(func() { lab.LoadNFT(t, texts[i%len(texts)]) }) }
		load(0)
		session := sshd.Open(c.office, "203.0.113.7")

		var stop atomic.Bool
		var allowed, forbidden, leaks, fails atomic.Int64
		var flood sync.WaitGroup
		for w := range 8 {
			flood.Go(func() {
				for n := 0; !stop.Load(); n++ {
					from := netip.AddrFrom4([4]byte{198, 18, byte(w<<4 | n>>8&15), byte(n)})
					if w%2 == 0 {
						allowed.Add(1)
						if _, err := c.stranger.AskFor(5*time.Second, "tcp", from, "203.0.113.7:80"); err != nil {
							fails.Add(1)
							t.Log(err)
						}
						continue
					}
					forbidden.Add(1)
					if got, err := c.stranger.AskFor(10*time.Millisecond, "tcp", from, "203.0.113.7:81"); err == nil {
						leaks.Add(1)
						t.Log(got)
					}
				}
			})
		}
		const replaced = 50
		for i := range replaced {
			load(i + 1)
			if err := session.Echo(fmt.Sprint("after ", i)); err != nil {
				t.Errorf("the session, after %d replacements: %v", i, err)
				break
			}
		}
		stop.Store(true)
		flood.Wait()
		t.Logf("%d replacements, %d connections to an open port, %d to a closed one: %d failed, %d leaked",
			replaced, allowed.Load(), forbidden.Load(), fails.Load(), leaks.Load())
		if allowed.Load() < 200 || forbidden.Load() < 200 {
			t.Error("that was no flood")
		}
		if fails.Load() > 0 || leaks.Load() > 0 {
			t.Error("a packet was judged by neither ruleset")
		}
	})
}
