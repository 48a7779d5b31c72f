//go:build linux

package referee_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/iptables"
	"sekimori/internal/firewall/kernel"
	"sekimori/internal/lab"
	"sekimori/internal/observe"
	"sekimori/packet"
)

// dockerPair is what Docker writes for one bridge network, br-dummy, on which one
// container's port 80 is published as port 8080, in the two languages it can write.
type dockerPair struct {
	mode   string // gateway mode: nat, nat-unprotected, routed
	family firewall.Family
	save   string
	nft    string

	iptables, nftables *firewall.Ruleset
	facts              firewall.Facts
}

func dockerPairs() []dockerPair {
	var out []dockerPair
	for _, mode := range []string{"nat", "nat-unprotected", "routed"} {
		out = append(out,
			dockerPair{mode: mode, family: firewall.IPv4, save: mode + ".iptables.save", nft: mode + ".ip.nft"},
			dockerPair{mode: mode, family: firewall.IPv6, save: mode + ".ip6tables.save", nft: mode + ".ip6.nft"})
	}
	return out
}

// TestDocker compares the two versions, for packets through the host, to it and
// from it, of any conntrack state: what is accepted, dropped and rejected is the
// same, without a difference, nothing is undecided, and the same packets get the
// same new destination. So it is on any host, of which nothing is known, and on one
// with the network's bridge and an interface to the outside.
//
// Lest it be the comparison that sees no difference: the versions of any two
// gateway modes do differ for forwarded packets.
func TestDocker(t *testing.T) {
	pairs := dockerPairs()
	files, err := filepath.Glob(corpus(t, "docker", "*"))
	if err != nil || len(files) != 2*len(pairs) {
		t.Fatalf("%d files of Docker's in the corpus, not %d: %v", len(files), 2*len(pairs), err)
	}
	lab.Enter(t, func(t *testing.T) {
		lab.Need(t, "nft", "ip")
		dockerHost(t)
		for i := range pairs {
			pairs[i].read(t)
		}
		for _, p := range pairs {
			t.Run(fmt.Sprintf("%s %s", p.mode, p.family), p.same)
			for _, q := range pairs {
				if p.family == q.family && p.mode != q.mode {
					p.differs(t, q)
				}
			}
		}
	})
}

// dockerHost makes the host that the rules are for.
func dockerHost(t *testing.T) {
	t.Helper()
	lab.Netns(t, "wire")
	for _, l := range []struct{ name, peer, v4, v6 string }{
		{"br-dummy", "container", "192.168.0.1/24", "fd49:efd7:54aa::ff/64"},
		{"eth0", "world", "203.0.113.5/24", "2001:db8::5/64"},
	} {
		lab.Veth(t, l.name, l.peer, "wire")
		lab.Address(t, l.name, l.v4)
		lab.Address(t, l.name, l.v6)
	}
	lab.Run(t, "ip", "route", "add", "default", "via", "203.0.113.1")
	lab.Run(t, "ip", "-6", "route", "add", "default", "via", "2001:db8::1")
	for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		if err := os.WriteFile("/proc/sys/net/"+name, []byte("1"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// loadedNFT loads a file of nft and reads back what the kernel made of it.
func loadedNFT(t *testing.T, path string) (*firewall.Ruleset, firewall.Facts) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// nft before 1.0.7 knows this name of -100 at the hook prerouting only.
	lab.LoadNFT(t, strings.ReplaceAll(string(text), "hook output priority dstnat;", "hook output priority -100;"))
	defer lab.Run(t, "nft", "flush", "ruleset")
	snap, err := observe.Host(context.Background(), observe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	facts := snap.Facts()
	if !facts.Known {
		t.Fatalf("the facts of the host are not known: %+v", snap.Unseen)
	}
	rs := kernel.Decode(&snap.Filters, facts.Interfaces)
	// A lab may not list the BPF programs of the machine.
	rs.Obstacles = slices.DeleteFunc(rs.Obstacles, func(o firewall.Obstacle) bool { return o.What == "bpf" })
	if len(rs.Obstacles) > 0 || len(rs.Tables) != 1 {
		t.Fatalf("read back %d tables, obstacles %v", len(rs.Tables), rs.Obstacles)
	}
	return rs, facts
}

// read reads both versions.
func (p *dockerPair) read(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(corpus(t, "docker", p.save))
	if err != nil {
		t.Fatal(err)
	}
	if p.iptables, err = iptables.Parse(p.family, text); err != nil {
		t.Fatalf("%s: %v", p.save, err)
	}
	p.nftables, p.facts = loadedNFT(t, corpus(t, "docker", p.nft))
}

func (p dockerPair) same(t *testing.T) {
	for name, facts := range map[string]firewall.Facts{
		"any host": {Named: []string{"br-dummy", "eth0"}}, "the host": p.facts,
	} {
		e := firewall.NewEngine(p.family, facts, 0, p.iptables, p.nftables)
		for _, way := range []firewall.Way{firewall.WayForward, firewall.WayInput, firewall.WayOutput} {
			changes, err := e.Diff(p.iptables, p.nftables, way, 20)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range changes {
				t.Errorf("%s, %s: from %s to %s, such as %s:\n%v\niptables: %+v\nnft: %+v", name, way, c.From, c.To, c.Example, c.Packets, c.Old, c.New)
			}
			p.sameFlows(t, e, way)
		}
	}
}

// sameFlows compares the accepted packets themselves, and where they go.
func (p dockerPair) sameFlows(t *testing.T, e *firewall.Engine, way firewall.Way) {
	t.Helper()
	err := e.Do(func() error {
		in := e.Sent(way)
		a, b := e.Follow(p.iptables, way, in, false), e.Follow(p.nftables, way, in, false)
		for _, s := range []packet.Set{a.Accept, b.Accept} {
			if s.Empty() {
				t.Errorf("%s: nothing is accepted", way)
			}
			for _, k := range e.Space().UnknownKeys(s) {
				// Where the packets of a connection go that was translated earlier no
				// rule tells; nothing else is open.
				if why, _ := e.Reason(k); why != "where a connection goes that has been translated" {
					t.Errorf("%s: undecided: %s", way, why)
				}
			}
		}
		older, newer := translated(t, e, a), translated(t, e, b)
		if older.Empty() && way != firewall.WayInput {
			t.Errorf("%s: nothing is translated", way)
		}
		report(t, way.String()+": translated by one of them only", older.Xor(newer))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// differs fails unless iptables of one mode and nft of another mean different things.
func (p dockerPair) differs(t *testing.T, q dockerPair) {
	t.Helper()
	e := firewall.NewEngine(p.family, p.facts, 0, p.iptables, q.nftables)
	changes, err := e.Diff(p.iptables, q.nftables, firewall.WayForward, 20)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) == 0 {
		t.Errorf("%s: iptables of %s means the same as nft of %s", p.family, p.mode, q.mode)
	}
}

// translated returns the packets whose destination a rule rewrote, which has to be
// the container's port 80.
func translated(t *testing.T, e *firewall.Engine, r firewall.Result) packet.Set {
	t.Helper()
	s := e.Space().None()
	for _, f := range r.Flows {
		if f.Translated == nil {
			continue
		}
		s = s.Or(f.Set)
		var to []string
		for _, step := range f.Translated.Steps {
			if n, ok := step.(firewall.NAT); ok {
				to = append(to, fmt.Sprintf("%x:%x", n.Addr.Lo, n.Port.Lo))
			}
		}
		want := "c0a80002:0050"
		if e.Family() == firewall.IPv6 {
			want = "fd49efd754aa" + strings.Repeat("00", 9) + "01:0050"
		}
		if !slices.Equal(to, []string{want}) {
			t.Errorf("%s sends to %v, not to %s", f.Translated.Text, to, want)
		}
	}
	return s
}
