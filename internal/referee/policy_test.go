//go:build linux

package referee

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"sekimori/internal/compile"
	"sekimori/internal/compile/policygen"
	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/lab"
	"sekimori/packet"
	"sekimori/policy"
)

// want is what a policy says about packets, one space for each family, and what
// routing alone lets through.
type want struct {
	spaces  [2]*packet.Space
	passes  [2][3]packet.Set // by way
	moved   [2][]policy.Translation
	routing models
}

// wantOf asks the policy itself; nothing of the compilers takes part.
func wantOf(t testing.TB, f *policy.File, lists compile.Lists, host policy.Host, facts firewall.Facts) *want {
	t.Helper()
	w := &want{}
	names := []string{":none", "lo"}
	for _, i := range facts.Interfaces {
		names = append(names, i.Name)
	}
	for i, family := range []packet.Family{packet.V4, packet.V6} {
		sp := packet.NewSpace(packet.Config{Family: family, Interfaces: names})
		w.spaces[i] = sp
		err := sp.Do(func() error {
			for _, way := range []policy.Way{policy.ToHost, policy.Through} {
				w.passes[i][way] = f.Passes(sp, way, lists, host, func(key string) packet.Set {
					if key == policy.Published {
						return sp.None() // nobody else translates here
					}
					return sp.Unknown(key)
				})
			}
			w.moved[i] = f.Translations(sp, lists, host)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		fam := []firewall.Family{firewall.IPv4, firewall.IPv6}[i]
		if w.routing[i], err = newModel(fam, &firewall.Ruleset{}, facts); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// verdict is what the policy says of a packet that arrives at the world's host.
func (w *want) verdict(wd *world, p *probe) verdict {
	i := 0
	if !p.v4() {
		i = 1
	}
	if w.routing.of(p).verdict(p.model()) == refused {
		return refused
	}
	m := packet.Packet{Src: p.src, Dst: p.dst, In: p.in}
	for _, f := range []packet.Field{packet.Protocol, packet.SrcPort, packet.DstPort, packet.State} {
		v, _ := p.model().Get(f)
		m = m.With(f, v)
	}
	way, kind := wd.wayOf(p.dst)
	m = m.With(packet.DstType, kind)
	for _, t := range w.moved[i] {
		if !t.Source && way == policy.ToHost && t.Packets.Contains(m) {
			way = policy.Through
			m.Out = wd.routeOf(t.To)
		}
	}
	if way == policy.Through && m.Out == "" {
		m.Out = wd.routeOf(p.dst)
	}
	set := w.passes[i][way]
	switch {
	case set.Contains(m):
		return accepted
	case set.Not().Contains(m):
		return refused
	}
	return undecided
}

// wayOf says where a packet for an address goes, and what type routing gives the
// address (RTN_ of linux/rtnetlink.h).
func (w *world) wayOf(dst netip.Addr) (policy.Way, uint64) {
	switch {
	case w.own(dst):
		return policy.ToHost, 2
	case dst.IsMulticast():
		return policy.ToHost, 5
	case dst == netip.MustParseAddr("255.255.255.255"):
		return policy.ToHost, 3
	}
	return policy.Through, 1
}

// routeOf returns the link by which packets for an address leave.
func (w *world) routeOf(dst netip.Addr) string {
	for _, l := range w.links {
		if l.v4.Contains(dst) || l.v6.Contains(dst) {
			return l.name
		}
	}
	return w.links[1].name
}

// TestRefereePolicies loads what random policies compile to, and lets the kernel
// judge packets: it has to do what the policy itself says. What the kernel then
// holds has to mean the same, too.
func TestRefereePolicies(t *testing.T) {
	t.Parallel()
	lab.Enter(t, func(t *testing.T) {
		s := scaleOf(t)
		w := newWorld(t, true, policygen.Interfaces[0], policygen.Interfaces[1])
		w.establish(t, rand.New(rand.NewPCG(s.seed, 3)), 300)
		host := policy.Host{DHCPv4: []string{"h0"}, DHCPv6: []string{"h1"}}
		var sum outcome
		n := (s.rulesets + 1) / 2
		for i := range n {
			seed := s.seed + uint64(i)
			t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
				out := w.policyTrial(t, seed, host, s.packets)
				sum.packets += out.packets
				sum.passed += out.passed
				sum.undecided += out.undecided
				sum.wrong = append(sum.wrong, out.wrong...)
			})
		}
		t.Logf("referee: %d random policies, %d packets, %d passed, %d undecided, %d judged wrongly",
			n, sum.packets, sum.passed, sum.undecided, len(sum.wrong))
	})
}

// optionsOf are what the policy of a seed may contain.
func optionsOf(seed uint64) policygen.Options {
	o := policygen.Options{Rates: seed%4 == 3}
	if seed%2 == 0 {
		o.Router, o.Edge = seed%3 > 0, seed%5 > 1
		o.Containers, o.Outbound, o.Users = seed%7 > 2, seed%3 == 1, true
	}
	return o
}

func (w *world) policyTrial(t *testing.T, seed uint64, host policy.Host, n int) outcome {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 4))
	o := optionsOf(seed)
	text := policygen.Policy(r.IntN, o)
	f, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	lists, err := f.Lists(nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := compile.Compile(f, lists, host, compile.NFTables, acl.Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	w.clear(t)
	w.fragments = false
	lab.LoadNFT(t, string(c.Text()))
	rs, facts, _ := observed(t)
	if err := compile.Prove(compile.NFTables, compile.Loaded(rs), c, f, lists, host); err != nil {
		t.Errorf("what the kernel holds: %v\n%s", err, text)
	}
	out := w.disagreements(t, r, n, text, wantOf(t, f, lists, host, facts), string(c.Text()))
	if !o.Rates && out.undecided > 0 {
		t.Errorf("%d packets undecided, by a policy without rates", out.undecided)
	}
	return out
}

// disagreements sends packets through what is loaded, and compares what becomes
// of them with what the policy wants. What was loaded is shown where they differ.
func (w *world) disagreements(t *testing.T, r *rand.Rand, n int, policy string, wanted *want, loaded string) outcome {
	t.Helper()
	ps := w.packets(r, n, constants(policy+" 67 68 546 547 134"))
	passed := w.judge(t, ps)
	out := outcome{packets: len(ps)}
	for i := range ps {
		if passed[i] {
			out.passed++
		}
		switch v := wanted.verdict(w, &ps[i]); {
		case v == undecided:
			out.undecided++
		case (v == accepted) != passed[i]:
			out.wrong = append(out.wrong, disagreement{ps[i], passed[i]})
		}
	}
	if len(out.wrong) == 0 {
		return out
	}
	t.Errorf("%d of %d packets judged otherwise by the kernel than by\n%s", len(out.wrong), out.packets, policy)
	ms, _ := modelsOf(t)
	for _, d := range out.wrong[:min(3, len(out.wrong))] {
		p := d.probe.model()
		t.Logf("kernel passed: %v, policy: %s, routing: %s\n%s", d.passed, wanted.verdict(w, &d.probe), wanted.routing.of(&d.probe).verdict(p), p)
		for _, way := range []firewall.Way{firewall.WayInput, firewall.WayForward} {
			m := ms.of(&d.probe)
			if tr, err := m.e.Trace(m.rs, way, m.e.Space().Point(p)); err == nil && !tr.Unrouted {
				t.Logf("trace of it %s\n%s", way, showTrace(tr))
			}
		}
	}
	t.Logf("%s", loaded)
	return out
}

// TestPoliciesAreVaried: what is never drawn is never judged.
func TestPoliciesAreVaried(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(200) {
		text := policygen.Policy(rand.New(rand.NewPCG(seed, 4)).IntN, optionsOf(seed))
		for _, word := range []string{"deny", "rate:", "per source", "anywhere", "to:", "any", "sctp", "icmpv4", "masquerade", "port-forward", "hairpin", "one-to-one", "edge", "broadcast", "enforce", "observe", "users", "guard"} {
			seen[word] = seen[word] || strings.Contains(text, word)
		}
	}
	for word, ok := range seen {
		if !ok {
			t.Errorf("no policy with %s", word)
		}
	}
}
