package ipfw

import (
	"fmt"
	"os"
	"testing"

	"sekimori/packet"
)

var interfaces = []string{"lo", "em0", "em1", "any other"}

func space(family packet.Family) *packet.Space {
	return packet.NewSpace(packet.Config{Family: family, Interfaces: interfaces, MaxNodes: 500_000})
}

// checkSums checks that every packet meets exactly one end.
func checkSums(t testing.TB, rs *Ruleset) {
	t.Helper()
	for _, family := range []packet.Family{packet.V4, packet.V6} {
		for _, pass := range []Pass{In, Out, Through} {
			sp := space(family)
			err := sp.Do(func() error {
				v := rs.Judge(sp, pass)
				if v.Accept.Overlaps(v.Deny) || v.Accept.Overlaps(v.Rest) || v.Deny.Overlaps(v.Rest) {
					t.Errorf("%v: a packet meets two ends", family)
				}
				if !v.Accept.Or(v.Deny).Or(v.Rest).Equal(sp.All()) {
					t.Errorf("%v: a packet meets no end", family)
				}
				if !v.Keep.SubsetOf(v.Accept) {
					t.Errorf("%v: a state for what is not accepted", family)
				}
				return nil
			})
			if err != nil {
				t.Logf("undecided: %v", err)
			}
		}
	}
}

// ends says what becomes of the packets of an expression.
func ends(t *testing.T, list string, pass Pass, expr string) string {
	t.Helper()
	rs, err := Parse([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	p, err := packet.ParsePacket(expr)
	if err != nil {
		t.Fatal(err)
	}
	family := packet.V4
	if p.Src.Is6() || p.Dst.Is6() {
		family = packet.V6
	}
	sp := space(family)
	answer := ""
	err = sp.Do(func() error {
		if err := sp.Fits(p); err != nil {
			return err
		}
		v, in := rs.Judge(sp, pass), sp.Point(p)
		for name, s := range map[string]packet.Set{"accept": v.Accept, "deny": v.Deny, "rest": v.Rest} {
			if in.SubsetOf(s) {
				answer = name
			}
		}
		if answer == "" {
			return fmt.Errorf("the packets meet different ends")
		}
		if in.SubsetOf(v.Keep) {
			answer += ", kept"
		}
		return nil
	})
	if err != nil {
		return err.Error()
	}
	return answer
}

// TestMeaning has one line for each thing that ipfw does otherwise than people
// expect; what is right is from ipfw(8) and ip_fw2.c.
func TestMeaning(t *testing.T) {
	const local, unicast = " dsttype local", " dsttype unicast"
	for _, c := range []struct {
		name, list string
		pass       Pass
		packet     string
		want       string
	}{
		{"the first that matches decides", "add 200 deny ip from any to any\nadd 100 allow tcp from any to any", In, "tcp", "accept"},
		{"what nobody decides is left to the default", "add 100 allow tcp from any to any", In, "udp", "rest"},
		{"count decides nothing", "add count ip from any to any\nadd deny ip from any to any", In, "udp", "deny"},
		{"disabled sets are not asked", "add 1 set 5 deny ip from any to any\nset disable 5", In, "udp", "rest"},
		{"set 31 is always asked", "add 1 set 31 deny ip from any to any", In, "udp", "deny"},
		{"skipto passes over", "add 1 skipto 5 ip from any to any\nadd 2 deny ip from any to any\nadd 5 allow ip from any to any", In, "udp", "accept"},
		{"skipto to where nothing is", "add 1 skipto 9 ip from any to any\nadd 2 deny ip from any to any", In, "udp", "rest"},
		{"skipto goes forward only", "add 5 skipto 1 tcp from any to any\nadd 6 deny ip from any to any", In, "tcp", "deny"},
		{"in on the way in", "add allow ip from any to any in", In, "tcp", "accept"},
		{"in on the way out", "add allow ip from any to any in", Out, "tcp", "rest"},
		{"not in on the way out", "add allow ip from any to any not in", Out, "tcp", "accept"},
		{"xmit on the way in never matches", "add allow ip from any to any xmit em0", In, "tcp in em0", "rest"},
		{"not xmit on the way in always does", "add allow ip from any to any not xmit em0", In, "tcp in em0", "accept"},
		{"recv of a packet sent by the host", "add allow ip from any to any recv em0", Out, "tcp in em0", "rest"},
		{"not recv of a packet sent by the host", "add allow ip from any to any not recv em0", Out, "tcp", "accept"},
		{"recv of a packet passing through", "add allow ip from any to any recv em0 xmit em1", Through, "tcp in em0 out em1", "accept"},
		{"recv of whatever interface", "add deny ip from any to any out recv *", Through, "tcp in em0 out em1", "deny"},
		{"recv of whatever interface, sent by the host", "add deny ip from any to any out recv *", Out, "tcp out em1", "rest"},
		{"via is where it comes in", "add allow ip from any to any via em0", In, "tcp in em0 out em1", "accept"},
		{"recv of whatever interface", "add deny ip from any to any out recv *", Through, "tcp in em0 out em1", "deny"},
		{"recv of whatever interface, sent by the host", "add deny ip from any to any out recv *", Out, "tcp out em1", "rest"},
		{"via is where it goes out", "add allow ip from any to any via em0", Out, "tcp in em0 out em1", "rest"},
		{"all interfaces that begin so", "add allow ip from any to any via em*", Out, "tcp out em1", "accept"},
		{"loopback has its own name", "add allow ip from any to any via lo0", In, "tcp in lo", "accept"},
		{"me is an address of the host", "add allow ip from any to me", In, "tcp 198.51.100.1 -> 192.0.2.1" + local, "accept"},
		{"me is not what others have", "add allow ip from any to me", In, "tcp 198.51.100.1 -> 192.0.2.1" + unicast, "rest"},
		{"me is both families", "add allow ip from any to me", In, "tcp 2001:db8::2 -> 2001:db8::1" + local, "accept"},
		{"me6 is one", "add allow ip from any to me6", In, "tcp 198.51.100.1 -> 192.0.2.1" + local, "rest"},
		{"an address of the other family", "add allow ip from 192.0.2.1 to any", In, "tcp 2001:db8::2 -> 2001:db8::1", "rest"},
		{"not an address of the other family", "add allow ip from not 192.0.2.1 to any", In, "tcp 2001:db8::2 -> 2001:db8::1", "accept"},
		{"lists of addresses", "add allow ip from 192.0.2.1,192.0.2.8/29 to any", In, "tcp 192.0.2.9 -> *", "accept"},
		{"masks", "add allow ip from 192.0.2.0:255.255.255.0 to any", In, "tcp 192.0.2.9 -> *", "accept"},
		{"sets of addresses", "add allow ip from 192.0.2.0/24{3,7-9} to any", In, "tcp 192.0.2.8 -> *", "accept"},
		{"not in the set of addresses", "add allow ip from 192.0.2.0/24{3,7-9} to any", In, "tcp 192.0.2.4 -> *", "rest"},
		{"either address", "add allow ip from { 192.0.2.1 or 2001:db8::2 } to any", In, "tcp 2001:db8::2 -> *", "accept"},
		{"in parentheses", "add allow ip from (192.0.2.1 or 2001:db8::2) to any", In, "tcp 2001:db8::2 -> *", "accept"},
		{"a table", "table x add 192.0.2.0/24\nadd allow ip from table(x) to any", In, "tcp 192.0.2.1 -> *", "accept"},
		{"ports of TCP", "add allow ip from any to any 22", In, "tcp *:1 -> *:22 frag 0", "accept"},
		{"what ICMP has there is no port", "add allow ip from any to any 22", In, "icmp dport 22 frag 0", "rest"},
		{"and so not a port matches", "add allow ip from any to any not 22", In, "icmp dport 22 frag 0", "accept"},
		{"a later fragment has no ports", "add allow tcp from any to any 22", In, "tcp 192.0.2.1:1 -> 192.0.2.2:22 frag 185", "rest"},
		{"a first fragment has", "add allow tcp from any to any 22", In, "tcp 192.0.2.1:1 -> 192.0.2.2:22 frag 0x2000", "accept"},
		{"frag is every fragment but the first", "add allow ip from any to any frag", In, "tcp 192.0.2.1 -> 192.0.2.2 frag 185", "accept"},
		{"frag is not the first", "add allow ip from any to any frag", In, "tcp 192.0.2.1 -> 192.0.2.2 frag 0x2000", "rest"},
		{"fragments of IPv6", "add allow ip from any to any frag", In, "tcp 2001:db8::1 -> 2001:db8::2 frag 8", "accept"},
		{"the first one of IPv6", "add allow ip from any to any frag", In, "tcp 2001:db8::1 -> 2001:db8::2 frag 1", "rest"},
		{"setup is SYN without ACK", "add allow tcp from any to any setup", In, "tcp flags syn,urg frag 0", "accept"},
		{"setup is not SYN and ACK", "add allow tcp from any to any setup", In, "tcp flags syn,ack frag 0", "rest"},
		{"established is ACK or RST", "add allow tcp from any to any established", In, "tcp flags rst frag 0", "accept"},
		{"established without a state", "add allow tcp from any to any established", In, "tcp flags ack new frag 0", "accept"},
		{"flags that are set and not", "add allow tcp from any to any tcpflags fin,!syn", In, "tcp flags fin,psh frag 0", "accept"},
		{"types of ICMP", "add allow icmp from any to any icmptypes 0,8", In, "icmp 192.0.2.1 -> * type echo-request code 7 frag 0", "accept"},
		{"types of ICMPv6 in an IPv4 packet", "add allow ip from any to any icmp6types 128", In, "proto 58 192.0.2.1 -> * frag 0", "rest"},
		{"types of ICMPv6", "add allow ip from any to any icmp6types 128", In, "icmpv6 2001:db8::1 -> * type echo-request frag 0", "accept"},
		{"a state is looked up at check-state", "add check-state\nadd deny ip from any to any", In, "udp established", "accept, kept"},
		{"and not before", "add 1 deny ip from any to any\nadd 2 check-state", In, "udp established", "deny"},
		{"and at any rule that keeps states", "add 1 allow tcp from any to any 22 keep-state\nadd 2 deny ip from any to any", In, "udp established", "accept, kept"},
		{"a state that nobody looks up", "add 1 allow tcp from any to any 22", In, "udp established", "rest"},
		{"errors about connections are packets as others", "add check-state\nadd 2 deny ip from any to any", In, "icmp related", "deny"},
		{"what makes a state", "add allow udp from any to any keep-state", In, "udp new", "accept, kept"},
		{"what makes none", "add allow udp from any to any", In, "udp new", "accept"},
		{"a limit that may be exceeded", "add allow udp from any to any limit src-addr 4", In, `udp new unless "limit src-addr 4 in add allow udp from any to any limit src-addr 4"`, "deny"},
		{"users of TCP", "add allow ip from any to any uid postfix", Out, `tcp frag 0 with "meta skuid"/32 3282321826 if "owner known"`, "accept"},
		{"users by number", "add allow ip from any to any { uid 100 or uid 101 }", Out, `tcp frag 0 with "meta skuid"/32 101 if "owner known"`, "accept"},
		{"ICMP has no user", "add allow ip from any to any uid postfix", Out, `icmp frag 0 with "meta skuid"/32 3282321826 if "owner known"`, "rest"},
		{"and so is not a user's", "add allow ip from any to any not uid postfix", Out, `icmp frag 0 with "meta skuid"/32 3282321826 if "owner known"`, "accept"},
		{"IPv4 alone", "add allow ip4 from any to any", In, "tcp 2001:db8::1 -> *", "rest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ends(t, c.list, c.pass, c.packet); got != c.want {
				t.Errorf("%s: %s, want %s", c.packet, got, c.want)
			}
		})
	}
}

// TestScripts reads scripts as administrators share them.
func TestScripts(t *testing.T) {
	text, err := os.ReadFile("testdata/rc.firewall.txt")
	if err != nil {
		t.Fatal(err)
	}
	for packets, want := range map[string]string{
		"tcp 198.51.100.7:4000 -> 192.0.2.1:22 in em0 new flags syn frag 0 dsttype local":                "accept, kept",
		"tcp 203.0.113.7:4000 -> 192.0.2.1:22 in em0 new flags syn frag 0 srctype unicast dsttype local": "deny",
		"tcp 203.0.113.7:4000 -> 192.0.2.1:22 in em0 new flags ack frag 0 dsttype local":                 "accept", // established, whoever sends it
		"udp 203.0.113.7:53 -> 192.0.2.1:4000 in em0 established frag 0 dsttype local":                   "accept, kept",
		"tcp 203.0.113.7:4000 -> 127.0.0.1:22 in em0 new flags syn frag 0 dsttype local":                 "deny",
		"tcp 127.0.0.1:4000 -> 127.0.0.1:22 in lo new flags syn frag 0 dsttype local":                    "accept",
		"icmp 203.0.113.7 -> 192.0.2.1 type echo-request in em0 new frag 0 dsttype local":                "accept",
		"icmp 203.0.113.7 -> 192.0.2.1 type redirect in em0 new frag 0 dsttype local":                    "deny",
		"icmpv6 2001:db8::7 -> 2001:db8::1 type echo-request in em0 new frag 0 dsttype local":            "deny",
	} {
		if got := ends(t, string(text), In, packets); got != want {
			t.Errorf("%s: %s, want %s", packets, got, want)
		}
	}
	rs, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, rs)
}
