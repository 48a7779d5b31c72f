//go:build linux

package referee

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sekimori/internal/compile"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/lab"
	"sekimori/policy"
)

// publishing is what somebody who publishes the ports of containers loads, in
// Docker's manner: 8081 leads to one, 8443 and 53/udp to another, in both families.
const publishing = `
table inet published {
	chain pre {
		type nat hook prerouting priority dstnat; policy accept;
		iifname != "br-0123456789" fib daddr type local tcp dport 8081 dnat ip to 198.51.100.20:80
		iifname != "br-0123456789" fib daddr type local tcp dport 8081 dnat ip6 to [2001:db8:2::20]:80
		iifname != "br-0123456789" fib daddr type local tcp dport 8443 dnat ip to 198.51.100.21:443
		iifname != "br-0123456789" fib daddr type local tcp dport 8443 dnat ip6 to [2001:db8:2::21]:443
		iifname != "br-0123456789" fib daddr type local udp dport 53 dnat ip to 198.51.100.21:53
		iifname != "br-0123456789" fib daddr type local udp dport 53 dnat ip6 to [2001:db8:2::21]:53
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct status dnat accept
	}
}
`

// TestContainers: with containers: enforce a published port is open as inbound rules
// say of the port that the sender wrote, a container's own address is closed, and
// containers reach the world; with observe and off everything is open. Both
// families, in the kernel.
func TestContainers(t *testing.T) {
	t.Parallel()
	lab.Enter(t, func(t *testing.T) {
		w := newWorld(t, true, "h0", "br-0123456789")
		const inbound = "version: 1\nzones:\n  outside: {interfaces: h0}\ninbound:\n  - {allow: ssh}\n  - {deny: 8443/tcp, from: [192.0.2.66, \"2001:db8:1::66\"]}\n  - {allow: 8443/tcp, from: [outside]}\n" +
			"guard: {never: 192.0.2.9}\n"
		type ask struct {
			from       string // the last part of an address on the link
			in         string
			to         string // host, or the last part of a container's address
			proto      uint8
			port       uint16
			open, free bool // with enforce, and without
		}
		asks := []ask{
			{"9", "h0", "host", tcp, 8443, true, true},             // an inbound rule allows it
			{"66", "h0", "host", tcp, 8443, false, true},           // another denies it
			{"9", "h0", "host", tcp, 8081, false, true},            // none speaks of it
			{"9", "h0", "host", udp, 53, false, true},              // nor of this
			{"9", "h0", "20", tcp, 80, false, true},                // the container itself
			{"9", "h0", "21", tcp, 8443, false, true},              // with a port that is allowed, but not as published
			{"9", "h0", "host", tcp, 22, true, true},               // no container's
			{"9", "h0", "host", tcp, 23, false, false},             // nor this: an inbound rule decides it anyway
			{"20", "br-0123456789", "remote", tcp, 25, true, true}, // containers reach the world
			{"20", "br-0123456789", "21", tcp, 443, true, true},    // and each other
		}
		for _, mode := range []string{"enforce", "observe", "off"} {
			f, err := policy.Parse("policy.yaml", []byte(inbound+"containers: "+mode+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			c, err := compile.Compile(f, nil, policy.Host{}, compile.NFTables, acl.Options{})
			if err != nil {
				t.Fatal(err)
			}
			w.clear(t)
			lab.LoadNFT(t, publishing)
			lab.LoadNFT(t, string(c.Text()))
			var ps []probe
			var wanted []bool
			for _, v6 := range []bool{false, true} {
				for i, a := range asks {
					p := w.containerProbe(v6, a.from, a.in, a.to)
					p.proto, p.dport, p.sport, p.flags, p.ttl = a.proto, a.port, uint16(2000+i), synBit, 64
					p.id, p.to = uint32(1000+len(ps)), w.link(a.in).mac
					ps = append(ps, p)
					wanted = append(wanted, mode == "enforce" && a.open || mode != "enforce" && a.free)
				}
			}
			for i, passed := range w.judge(t, ps) {
				if passed != wanted[i] {
					t.Errorf("containers: %s: %s to %s port %d by %s passed: %v", mode, ps[i].src, ps[i].dst, ps[i].dport, ps[i].in, passed)
				}
			}
			if text := lab.Run(t, "nft", "list", "chain", "inet", "sekimori", map[string]string{"enforce": "passing", "observe": "watching", "off": "input"}[mode]); mode != "off" {
				for line := range strings.Lines(text) {
					if strings.Contains(line, "ct status dnat counter") && strings.Contains(line, "packets 0 ") {
						t.Errorf("containers: %s counts nothing: %s", mode, strings.TrimSpace(line))
					}
				}
			}
		}
	})
}

// containerProbe is a packet between hosts of the test.
func (w *world) containerProbe(v6 bool, from, in, to string) probe {
	l := w.link(in)
	at := func(p netip.Prefix, n string) netip.Addr {
		if v6 {
			return netip.MustParseAddr(fmt.Sprintf("%s%s", p.Masked().Addr(), n))
		}
		return netip.MustParseAddr(strings.TrimSuffix(p.Masked().Addr().String(), "0") + n)
	}
	p := probe{in: in, src: at(l.network(v6), from), mac: [6]byte{2, 0, 0, 0, 0, 1}}
	switch to {
	case "host":
		p.dst = w.link("h0").network(v6).Addr()
	case "remote":
		p.dst = w.link("h0").network(v6).Addr().Next().Next()
	default:
		p.dst = at(w.link("br-0123456789").network(v6), to)
	}
	return p
}
