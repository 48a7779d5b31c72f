package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/packet"
	"sekimori/policy"
)

// asked is a packet, and what becomes of it: yes, no, or what it depends on.
type asked struct {
	way    policy.Way
	packet string
	want   string
}

// answer says what a policy makes of a packet.
func answer(t *testing.T, f *policy.File, host policy.Host, a asked) string {
	t.Helper()
	lists, err := f.Lists(noFiles)
	if err != nil {
		t.Fatal(err)
	}
	p, err := packet.ParsePacket(a.packet)
	if err != nil {
		t.Fatal(err)
	}
	family := packet.V4
	if p.Dst.Is6() {
		family = packet.V6
	}
	sp := packet.NewSpace(packet.Config{Family: family, Interfaces: []string{"none", "lo", "eth0", "eth1", "wg0", "docker0", "br-lan", "br-0123456789ab", "other"}})
	var got string
	err = sp.Do(func() error {
		set := f.Passes(sp, a.way, lists, host, nil)
		if err := sp.Fits(p); err != nil {
			t.Fatal(err)
		}
		switch yes, no := set.Contains(p), set.Not().Contains(p); {
		case yes:
			got = "yes"
		case no:
			got = "no"
		default:
			got = "if " + strings.Join(sp.UnknownKeys(set), " ")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestPasses asks policies about single packets. What each of them should become of
// is said here in words, and follows from docs/policy.md.
func TestPasses(t *testing.T) {
	const zones = "version: 1\nzones:\n  internet: {interfaces: eth0}\n  lan: {interfaces: eth1, networks: [10.0.0.0/24, \"fd00:10::/64\"]}\n"
	tests := []struct {
		name, policy string
		host         policy.Host
		asks         []asked
	}{
		{"nothing is said", "version: 1\n", policy.Host{}, []asked{
			{policy.ToHost, "tcp 192.0.2.1:1 -> 203.0.113.5:23 in eth0 new", "yes"},
			{policy.FromHost, "tcp 203.0.113.5:1 -> 192.0.2.1:25 out eth0 invalid", "yes"},
			{policy.Through, "tcp 192.0.2.1:1 -> 203.0.113.5:23 in eth0 out eth1 untracked", "yes"},
		}},
		{"what leaves, by default", zones + "outbound:\n  rules:\n    - {allow: smtp, to: 203.0.113.25}\n    - {deny: smtp}\n    - {allow: 22/tcp, rate: 10/min}\n    - {deny: any, to: lan}\n", policy.Host{}, []asked{
			{policy.FromHost, "tcp 203.0.113.5:1 -> 203.0.113.25:25 out eth0 new", "yes"},
			{policy.FromHost, "tcp 203.0.113.5:1 -> 192.0.2.1:25 out eth0 new", "no"},
			{policy.FromHost, "tcp 203.0.113.5:1 -> 192.0.2.1:25 out eth0 established", "yes"},
			{policy.FromHost, "tcp 203.0.113.5:1 -> 192.0.2.1:25 out eth0 invalid", "yes"}, // opens nothing: no rule's
			{policy.FromHost, "tcp 127.0.0.1:1 -> 127.0.0.1:25 out lo new", "yes"},
			{policy.FromHost, "tcp 203.0.113.5:1 -> 192.0.2.1:22 out eth0 new", "if outbound.rules[2].rate"},
			{policy.FromHost, "tcp 203.0.113.5:1 -> 10.0.0.9:80 out eth1 new", "no"},
			{policy.FromHost, "tcp 203.0.113.5:1 -> 10.0.0.9:80 out eth0 new", "yes"}, // not where the zone is
			{policy.FromHost, "tcp 203.0.113.5:1 -> 10.0.1.9:80 out eth1 new", "yes"},
			{policy.FromHost, "icmpv6 fe80::1 -> ff02::1:ff00:1 type 135 code 0 out eth1 untracked", "yes"},
			{policy.FromHost, "udp [fd00:10::1]:1 -> [fd00:10::2]:53 out eth1 new", "no"},
		}},
		{"nothing leaves but", zones + "outbound:\n  default: deny\n  rules:\n    - {allow: dns}\n", policy.Host{DHCPv4: []string{"eth0"}, DHCPv6: []string{"eth0"}}, []asked{
			{policy.FromHost, "udp 203.0.113.5:1 -> 192.0.2.1:53 out eth0 new", "yes"},
			{policy.FromHost, "tcp 203.0.113.5:1 -> 192.0.2.1:80 out eth0 new", "no"},
			{policy.FromHost, "tcp 203.0.113.5:1 -> 192.0.2.1:80 out eth0 invalid", "no"},
			{policy.FromHost, "udp 0.0.0.0:68 -> 255.255.255.255:67 out eth0 new", "yes"},
			{policy.FromHost, "udp 0.0.0.0:68 -> 255.255.255.255:67 out eth1 new", "no"},
			{policy.FromHost, "udp [fe80::1]:546 -> [ff02::1:2]:547 out eth0 new", "yes"},
			{policy.FromHost, "udp [fe80::1]:546 -> [2001:db8::2]:547 out eth0 new", "no"},
			{policy.FromHost, "icmpv6 fe80::1 -> ff02::2 type 133 code 0 out eth1 untracked", "yes"},
			{policy.FromHost, "icmpv6 2001:db8::1 -> 2001:db8::2 type 128 code 0 out eth1 new", "no"},
		}},
		{
			"whose packets", zones + "outbound:\n  rules:\n    - {deny: smtp, except-users: [postfix, 7]}\n    - {deny: 80/tcp, users: alice}\n    - {deny: 81/tcp, groups: [100]}\n",
			policy.Host{Users: map[string]uint32{"postfix": 101, "alice": 1000}},
			[]asked{
				{policy.FromHost, `tcp 203.0.113.5:1 -> 192.0.2.1:25 out eth0 new with "meta skuid"/32 101 if "owner known"`, "yes"},
				{policy.FromHost, `tcp 203.0.113.5:1 -> 192.0.2.1:25 out eth0 new with "meta skuid"/32 7 if "owner known"`, "yes"},
				{policy.FromHost, `tcp 203.0.113.5:1 -> 192.0.2.1:25 out eth0 new with "meta skuid"/32 1000 if "owner known"`, "no"},
				{policy.FromHost, `tcp 203.0.113.5:1 -> 192.0.2.1:25 out eth0 new with "meta skuid"/32 101 unless "owner known"`, "no"}, // the kernel's own
				{policy.FromHost, `tcp 203.0.113.5:1 -> 192.0.2.1:80 out eth0 new with "meta skuid"/32 1000 if "owner known"`, "no"},
				{policy.FromHost, `tcp 203.0.113.5:1 -> 192.0.2.1:80 out eth0 new with "meta skuid"/32 1000 unless "owner known"`, "yes"},
				{policy.FromHost, `tcp 203.0.113.5:1 -> 192.0.2.1:81 out eth0 new with "meta skgid"/32 100 if "owner known"`, "no"},
			},
		},
		{"a router", zones + "router:\n  forward:\n    - {from: lan, to: internet}\n    - {from: internet, to: lan, allow: ping}\n", policy.Host{}, []asked{
			{policy.Through, "tcp 10.0.0.9:1 -> 192.0.2.1:80 in eth1 out eth0 new", "yes"},
			{policy.Through, "tcp 10.0.1.9:1 -> 192.0.2.1:80 in eth1 out eth0 new", "no"}, // spoofed: not of the zone
			{policy.Through, "tcp 10.0.0.9:1 -> 192.0.2.1:80 in eth0 out eth0 new", "no"},
			{policy.Through, "tcp 192.0.2.1:80 -> 10.0.0.9:1 in eth0 out eth1 established", "yes"},
			{policy.Through, "tcp 192.0.2.1:80 -> 10.0.0.9:1 in eth0 out eth1 invalid", "no"},
			{policy.Through, "tcp 192.0.2.1:1 -> 10.0.0.9:22 in eth0 out eth1 new", "no"},
			{policy.Through, "icmp 192.0.2.1 -> 10.0.0.9 type 8 code 0 in eth0 out eth1 new", "yes"},
			{policy.Through, "icmpv6 2001:db8::1 -> fd00:10::9 type 128 code 0 in eth0 out eth1 new", "yes"},
			{policy.Through, "tcp 10.0.0.9:1 -> 192.0.2.1:80 in eth1 out other new", "no"},
			{policy.ToHost, "tcp 192.0.2.1:1 -> 203.0.113.5:23 in eth0 new", "yes"}, // inbound is left alone
		}},
		{"ports that lead on", zones + "router:\n  port-forward:\n    - {from: internet, port: 8443/tcp, to: 10.0.0.20, to-port: 443}\n    - {from: internet, port: 53/udp, to: \"fd00:10::53\", hairpin: true}\n", policy.Host{}, []asked{
			{policy.Through, "tcp 192.0.2.1:1 -> 203.0.113.5:8443 in eth0 out eth1 dsttype local new", "yes"},
			{policy.Through, "tcp 192.0.2.1:1 -> 203.0.113.5:8444 in eth0 out eth1 dsttype local new", "no"},
			{policy.Through, "tcp 192.0.2.1:1 -> 10.0.0.20:8443 in eth0 out eth1 dsttype unicast new", "no"}, // not this host's
			{policy.Through, "tcp 192.0.2.1:1 -> 10.0.0.20:443 in eth0 out eth1 dsttype unicast new", "no"},  // nor asked for
			{policy.Through, "tcp 10.0.0.9:1 -> 203.0.113.5:8443 in eth1 out eth1 dsttype local new", "no"},
			{policy.Through, "udp [2001:db8::1]:1 -> [2001:db8::5]:53 in eth0 out eth1 dsttype local new", "yes"},
			{policy.Through, "udp [fd00:10::9]:1 -> [2001:db8::5]:53 in eth1 out eth1 dsttype local new", "yes"}, // hairpin
			{policy.Through, "udp 192.0.2.1:1 -> 203.0.113.5:53 in eth0 out eth1 dsttype local new", "no"},       // of the other family
		}},
		{"an address for another", zones + "router:\n  one-to-one:\n    - {outside: 203.0.113.7, inside: 10.0.0.7, allow: https}\n", policy.Host{}, []asked{
			{policy.Through, "tcp 192.0.2.1:1 -> 203.0.113.7:443 in eth0 out eth1 new", "yes"},
			{policy.Through, "tcp 192.0.2.1:1 -> 203.0.113.7:22 in eth0 out eth1 new", "no"},
			{policy.Through, "tcp 192.0.2.1:1 -> 10.0.0.7:443 in eth0 out eth1 new", "no"},
		}},
		{"containers", "version: 1\nzones:\n  lan: {interfaces: br-lan}\ninbound:\n  - {allow: ssh}\n  - {allow: 8443/tcp, from: lan, rate: 5/s}\ncontainers: enforce\n", policy.Host{}, []asked{
			{policy.Through, `tcp 192.0.2.1:1 -> 203.0.113.5:8443 in br-lan out docker0 new if "published"`, "if published inbound[1].rate"},
			{policy.Through, `tcp 192.0.2.1:1 -> 203.0.113.5:8443 in eth0 out docker0 new if "published"`, "no"},
			{policy.Through, `tcp 192.0.2.1:1 -> 203.0.113.5:22 in eth0 out other new if "published"`, "yes"}, // whatever the bridge is called
			{policy.Through, `tcp 192.0.2.1:1 -> 203.0.113.5:81 in eth0 out other new if "published"`, "no"},
			{policy.Through, `tcp 192.0.2.1:1 -> 172.17.0.2:22 in eth0 out docker0 new unless "published"`, "no"},
			{policy.Through, `tcp 172.17.0.2:1 -> 192.0.2.1:25 in docker0 out eth0 new unless "published"`, "yes"},
			{policy.Through, `tcp 172.17.0.2:1 -> 172.18.0.2:25 in docker0 out br-0123456789ab new unless "published"`, "yes"},
			{policy.Through, `tcp 192.0.2.1:1 -> 198.51.100.9:25 in eth0 out eth1 new unless "published"`, "yes"},   // no container's
			{policy.Through, `tcp 192.0.2.1:1 -> 198.51.100.9:25 in eth0 out br-lan new unless "published"`, "yes"}, // a zone's bridge
			{policy.Through, `tcp 192.0.2.1:1 -> 172.17.0.2:81 in eth0 out docker0 established`, "yes"},
			{policy.Through, `tcp 192.0.2.1:1 -> 172.17.0.2:81 in eth0 out docker0 invalid`, "no"},
		}},
		{"the edge", zones + "edge: {interface: eth0, block: [22/udp, 1900/udp, broadcast]}\n", policy.Host{}, []asked{
			{policy.ToHost, "udp 192.0.2.1:5 -> 203.0.113.5:1900 in eth0 new", "no"},
			{policy.ToHost, "udp 192.0.2.1:1900 -> 203.0.113.5:5 in eth0 established", "no"}, // stateless
			{policy.ToHost, "udp 192.0.2.1:5 -> 203.0.113.5:1900 in eth1 new", "yes"},
			{policy.ToHost, "tcp 192.0.2.1:5 -> 203.0.113.5:22 in eth0 new", "yes"}, // tcp untouched
			{policy.FromHost, "udp 203.0.113.5:1900 -> 192.0.2.1:5 out eth0 dsttype unicast established", "no"},
			{policy.FromHost, "udp 203.0.113.5:137 -> 203.0.113.255:137 out eth0 dsttype broadcast new", "no"},
			{policy.FromHost, "udp 203.0.113.5:137 -> 203.0.113.255:137 out eth1 dsttype broadcast new", "yes"},
			{policy.FromHost, "udp 0.0.0.0:68 -> 255.255.255.255:67 out eth0 dsttype broadcast new", "yes"},
			{policy.FromHost, "icmpv6 fe80::1 -> ff02::1:ff00:1 type 135 code 0 out eth0 dsttype multicast untracked", "yes"},
			{policy.FromHost, "udp [fe80::1]:5353 -> [ff02::fb]:5353 out eth0 dsttype multicast new", "no"},
			{policy.FromHost, "proto 2 203.0.113.5 -> 224.0.0.22 out eth0 dsttype multicast new", "yes"},
			{policy.ToHost, "udp 203.0.113.9:137 -> 203.0.113.255:137 in eth0 dsttype broadcast new", "yes"}, // from inside out alone
			{policy.Through, "udp 10.0.0.9:5 -> 192.0.2.1:22 in eth1 out eth0 dsttype unicast new", "no"},
			{policy.Through, "udp 10.0.0.9:5 -> 192.0.2.1:22 in eth1 out wg0 dsttype unicast new", "yes"},
		}},
		{"every edge", "version: 1\nedge: {interface: eth0, block: 1900/udp, scope: all}\n", policy.Host{}, []asked{
			{policy.ToHost, "udp 192.0.2.1:5 -> 203.0.113.5:1900 in eth1 new", "no"},
			{policy.ToHost, "udp 127.0.0.1:5 -> 127.0.0.1:1900 in lo new", "yes"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := policy.Parse("policy.yaml", []byte(tt.policy))
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range tt.asks {
				if got := answer(t, f, tt.host, a); got != a.want {
					t.Errorf("%s: %s, want %s", a.packet, got, a.want)
				}
			}
		})
	}
}

// TestTranslations reads what the example translates, and what a hairpin adds.
func TestTranslations(t *testing.T) {
	text := "version: 1\nzones:\n  internet: {interfaces: eth0}\n  lan: {interfaces: eth1, networks: 10.0.0.0/24}\nrouter:\n" +
		"  forward:\n    - {from: lan, to: internet, masquerade: true}\n" +
		"  port-forward:\n    - {from: internet, port: 8443/tcp, to: 10.0.0.20, to-port: 443, hairpin: true}\n" +
		"  one-to-one:\n    - {outside: 203.0.113.7, inside: 10.0.0.7}\n"
	f, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	sp := packet.NewSpace(packet.Config{Family: packet.V4, Interfaces: []string{"none", "eth0", "eth1", "other"}})
	var got []string
	err = sp.Do(func() error {
		for _, tr := range f.Translations(sp, nil, policy.Host{}) {
			boxes, _ := tr.Packets.Boxes(10)
			for _, b := range boxes {
				side := "destination"
				if tr.Source {
					side = "source"
				}
				to := "the interface's"
				if tr.To.IsValid() {
					to = tr.To.String()
				}
				got = append(got, side+" becomes "+to+": "+b.String())
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"destination becomes 10.0.0.20: tcp dport 8443 in eth0 state new dsttype local",
		"destination becomes 10.0.0.20: tcp dport 8443 from 10.0.0.0/24 in eth1 state new dsttype local",
		// what the first has not taken
		"destination becomes 10.0.0.7: proto except tcp to 203.0.113.7/32 state new",
		"destination becomes 10.0.0.7: tcp dport except 8443 to 203.0.113.7/32 state new",
		"destination becomes 10.0.0.7: tcp dport 8443 to 203.0.113.7/32 state new dsttype except local",
		"destination becomes 10.0.0.7: tcp dport 8443 to 203.0.113.7/32 in none,other state new dsttype local",
		"destination becomes 10.0.0.7: tcp dport 8443 from except 10.0.0.0/24 to 203.0.113.7/32 in eth1 state new dsttype local",
		"source becomes 203.0.113.7: from 10.0.0.7/32 out eth0 state new",
		"source becomes the interface's: from 10.0.0.0/24 in eth1 out eth0 state new",
		"source becomes the interface's: tcp dport 443 from 10.0.0.0/24 to 10.0.0.20/32 in eth1 out eth1 state new",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
