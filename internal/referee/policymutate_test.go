//go:build linux

package referee

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sekimori/internal/compile"
	"sekimori/internal/compile/policygen"
	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/firewall/nft"
	"sekimori/internal/lab"
	"sekimori/packet"
	"sekimori/policy"
)

// TestReaderOfNFT: texts like those that policies compile to, but with faults, mean
// to the reader of package nft what they mean to nft and the kernel, wherever both
// take them. A reader that overlooked something would let a wrong text be proven.
func TestReaderOfNFT(t *testing.T) {
	t.Parallel()
	lab.Enter(t, func(t *testing.T) {
		s := scaleOf(t)
		compared, refused := 0, 0
		for seed := range uint64(s.rulesets+1) / 2 {
			r := rand.New(rand.NewPCG(s.seed+seed, 7))
			text := policygen.Policy(r.IntN, policygen.Options{
				Outbound: r.IntN(2) == 0, Router: r.IntN(2) == 0, Containers: r.IntN(2) == 0, Edge: r.IntN(2) == 0,
			})
			f, err := policy.Parse("policy.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			lists, err := f.Lists(nil)
			if err != nil {
				t.Fatal(err)
			}
			c, err := compile.Compile(f, lists, policy.Host{}, compile.NFTables, acl.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				broken := mutated(r, string(c.Text()))
				rs, _, err := nft.Read([]byte(broken))
				if err != nil {
					refused++
					continue
				}
				lab.Run(t, "nft", "flush", "ruleset")
				if _, err := lab.Try(t, broken, "nft", "-f", "-"); err != nil {
					refused++
					continue
				}
				compared++
				if p, way, ok := differs(t, rs); ok {
					t.Errorf("seed %d: the reader and the kernel differ about a packet %s:\n%s\n%s", seed, way, p, broken)
				}
			}
		}
		t.Logf("referee: %d texts with faults read as the kernel reads them, %d refused", compared, refused)
		if compared < s.rulesets/2 {
			t.Errorf("%d texts compared: too few of them load", compared)
		}
	})
}

var numberRe = regexp.MustCompile(`\b\d{1,5}\b`)

// mutated is a text with one or two faults.
func mutated(r *rand.Rand, text string) string {
	for range 1 + r.IntN(2) {
		lines := strings.Split(text, "\n")
		i := r.IntN(len(lines))
		switch line := lines[i]; r.IntN(7) {
		case 0:
			lines = slices.Delete(lines, i, i+1)
		case 1:
			if i > 0 {
				lines[i], lines[i-1] = lines[i-1], line
			}
		case 2:
			lines[i] = swapped(line, "accept", "drop")
		case 3:
			lines[i] = numberRe.ReplaceAllStringFunc(line, func(s string) string {
				if n, _ := strconv.Atoi(s); r.IntN(3) == 0 {
					return strconv.Itoa(n + r.IntN(3) - 1)
				}
				return s
			})
		case 4:
			if words := strings.Fields(line); len(words) > 2 {
				k := r.IntN(len(words) - 1)
				lines[i] = "\t\t" + strings.Join(slices.Delete(words, k, k+1+r.IntN(2)), " ")
			}
		case 5:
			lines[i] = swapped(swapped(swapped(line, "iifname", "oifname"), "saddr", "daddr"), "sport", "dport")
		default:
			lines[i] = swapped(swapped(line, "goto", "jump"), "tcp", "udp")
		}
		text = strings.Join(lines, "\n")
	}
	return text
}

func swapped(s, a, b string) string {
	const between = "\x00"
	return strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(s, a, between), b, a), between, b)
}

// differs evaluates what was read and what the kernel holds in one space.
func differs(t *testing.T, read *firewall.Ruleset) (packet.Packet, firewall.Way, bool) {
	t.Helper()
	kernel, _, _ := observed(t)
	for _, family := range []firewall.Family{firewall.IPv4, firewall.IPv6} {
		e := firewall.NewEngine(family, firewall.Facts{Named: []string{"lo", "h0", "h1", "docker0"}}, 0, read, kernel)
		for _, way := range []firewall.Way{firewall.WayInput, firewall.WayForward, firewall.WayOutput} {
			var p packet.Packet
			var found bool
			err := e.Do(func() error {
				whole := e.Space().Values(packet.Fragment, packet.Range{})
				a, b := e.Follow(read, way, whole, false), e.Follow(kernel, way, whole, false)
				p, found = a.Accept.Xor(b.Accept).Sample()
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if found {
				return p, way, true
			}
		}
	}
	return packet.Packet{}, 0, false
}
