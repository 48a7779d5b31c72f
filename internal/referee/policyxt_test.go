//go:build linux

package referee

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sekimori/internal/compile"
	"sekimori/internal/compile/policygen"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/lab"
	"sekimori/policy"
)

// TestRefereePoliciesXT is TestRefereePolicies for iptables and ip6tables, by both
// kernel interfaces: the kernel judges packets as the policy says, whether lists
// are ipsets or in the text, and whether the text stands beside others or alone.
func TestRefereePoliciesXT(t *testing.T) {
	t.Parallel()
	lab.Enter(t, func(t *testing.T) {
		lab.Need(t, "iptables-legacy-restore", "iptables-nft-restore", "ipset")
		s := scaleOf(t)
		w := newWorld(t, true, policygen.Interfaces[0], policygen.Interfaces[1])
		w.establish(t, rand.New(rand.NewPCG(s.seed, 5)), 300)
		var sum outcome
		rulesets := (s.rulesets + 1) / 2
		for i := range rulesets {
			seed := s.seed + uint64(i)
			t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
				out := w.xtTrial(t, seed, s.packets)
				sum.packets += out.packets
				sum.passed += out.passed
				sum.undecided += out.undecided
				sum.wrong = append(sum.wrong, out.wrong...)
			})
		}
		t.Logf("referee: %d random policies, %d packets, %d passed, %d undecided, %d judged wrongly",
			rulesets, sum.packets, sum.passed, sum.undecided, len(sum.wrong))
		if sum.passed == 0 || sum.passed == sum.packets {
			t.Errorf("%d of %d packets passed", sum.passed, sum.packets)
		}
	})
}

func (w *world) xtTrial(t *testing.T, seed uint64, n int) outcome {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 6))
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
	host := policy.Host{DHCPv4: []string{"h0"}, DHCPv6: []string{"h1"}}
	how := acl.Options{Separate: seed%2 == 0, Complete: seed%3 == 0}
	suffix := []string{"nft", "legacy"}[seed/2%2]
	for loader := range w.legacy { // a policy outlives the rules
		lab.RunInput(t, "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n", loader)
	}
	w.clear(t)
	w.fragments = false
	var all strings.Builder
	all.WriteString(text)
	for _, target := range []compile.Target{compile.IPTables, compile.IP6Tables} {
		c, err := compile.Compile(f, lists, host, target, how)
		if _, ok := errors.AsType[acl.UnsupportedList](err); ok && o.Rates {
			return outcome{} // said in other words nowhere
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		w.loadXT(t, c.Files, fmt.Sprintf("%s-%s-restore", target, suffix), how.Complete)
		all.WriteString(string(c.Text()))
	}
	_, facts, _ := observed(t)
	return w.disagreements(t, r, n, text, wantOf(t, f, lists, host, facts), suffix+"\n"+all.String())
}

// loadXT loads the files of a back-end, twice where that is meant to be done.
func (w *world) loadXT(t testing.TB, files []acl.File, loader string, complete bool) {
	t.Helper()
	w.legacy[loader] = w.legacy[loader] || slices.Contains([]string{"iptables-legacy-restore", "ip6tables-legacy-restore"}, loader)
	if !w.legacy[loader] {
		delete(w.legacy, loader)
	}
	args := []string{loader}
	if !complete {
		args = append(args, "--noflush")
	}
	for range 2 {
		for _, f := range files[1:] {
			if !strings.HasSuffix(f.Name, ".ipset") {
				continue
			}
			w.ipsets = true
			lab.RunInput(t, string(f.Text), "ipset", "restore")
		}
		lab.RunInput(t, string(files[0].Text), append(slices.Clone(args), "--test")...)
		lab.RunInput(t, string(files[0].Text), args...)
	}
}
