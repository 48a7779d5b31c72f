//go:build linux

package referee

import (
	"net/netip"
	"strings"
	"testing"

	"sekimori/internal/compile"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/lab"
	"sekimori/policy"
)

// TestRates sends bursts: each source has its own limit, an IPv6 network of 64 bits
// is one source, a limit without sources is one for all, a source for which there is
// no room passes, and what exceeds a rate falls through to no later rule.
func TestRates(t *testing.T) {
	t.Parallel()
	lab.Enter(t, func(t *testing.T) {
		w := newWorld(t, true, "h0", "h1")
		f, err := policy.Parse("policy.yaml", []byte("version: 1\ninbound:\n  - {allow: ssh, rate: 4/day per source burst 6}\n  - {allow: 80/tcp, rate: 3/day}\n  - {allow: 22-80/tcp}\n"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := compile.Compile(f, nil, policy.Host{}, compile.NFTables, acl.Options{})
		if err != nil {
			t.Fatal(err)
		}
		// A table of sources that is full soon: size 3 in place of 65535 for IPv4.
		lab.LoadNFT(t, strings.Replace(string(c.Text()), "size 65535", "size 3", 1))
		var ps []probe
		send := func(n int, port uint16, sources ...string) {
			for i := range n {
				src := netip.MustParseAddr(sources[i%len(sources)])
				p := probe{
					id: uint32(1000 + len(ps)), in: "h0", src: src, dst: w.link("h0").network(src.Is6()).Addr(), proto: tcp,
					sport: uint16(3000 + len(ps)), dport: port, flags: synBit, ttl: 64, mac: [6]byte{2, 0, 0, 0, 0, 1}, to: w.link("h0").mac,
				}
				ps = append(ps, p)
			}
		}
		bursts := []struct {
			name    string
			n, pass int
			port    uint16
			sources []string
		}{
			{"one source", 10, 6, 22, []string{"203.0.113.1"}},
			{"another", 5, 5, 22, []string{"203.0.113.2"}},
			{"the first again", 3, 0, 22, []string{"203.0.113.1"}},
			{"a third", 7, 6, 22, []string{"203.0.113.3"}},
			{"one that the table has no room for", 15, 15, 22, []string{"203.0.113.4"}},
			{"one that is in it", 3, 0, 22, []string{"203.0.113.3"}},
			{"two addresses of one network", 12, 6, 22, []string{"2001:db8:f:1::1", "2001:db8:f:1:ffff::2"}},
			{"another network", 5, 5, 22, []string{"2001:db8:f:2::1"}},
			{"one for all", 4, 3, 80, []string{"203.0.113.1", "2001:db8:f:2::1"}},
			{"a port without a rate", 20, 20, 79, []string{"203.0.113.1"}},
		}
		for _, b := range bursts {
			send(b.n, b.port, b.sources...)
		}
		passed := w.judge(t, ps)
		for _, b := range bursts {
			got := 0
			for _, ok := range passed[:b.n] {
				if ok {
					got++
				}
			}
			if got != b.pass {
				t.Errorf("%s: %d of %d passed, want %d", b.name, got, b.n, b.pass)
			}
			passed = passed[b.n:]
		}
	})
}
