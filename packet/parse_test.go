package packet_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sekimori/packet"
)

func TestParsePacket(t *testing.T) {
	// Each text is either its own String, or stands before the one it has.
	tests := []struct{ text, want string }{
		{"", ""},
		{"tcp 198.51.100.7:4242 -> 203.0.113.5:22 in eth0 new", ""},
		{"udp [2001:db8::1]:53 -> *:40000", ""},
		{"icmp 192.0.2.1 -> 192.0.2.2 type echo-request", ""},
		{"icmp type destination-unreachable code 4", ""},
		{"icmpv6 fe80::1 -> ff02::1 type nd-router-advert code 0 in wg0", ""},
		{"icmp6 2001:db8::1 -> * type 128", "icmpv6 2001:db8::1 -> * type echo-request"},
		{"2001:db8::1 -> [2001:db8::2]", "2001:db8::1 -> 2001:db8::2"},
		{"proto 47 192.0.2.1 -> *", "gre 192.0.2.1 -> *"},
		{"proto 200 192.0.2.1 -> *", ""},
		{"gre * -> 192.0.2.1 sport 7 dport 65535", ""},
		{"icmp dport 9", ""},
		{"192.0.2.1 -> * proto udp dport 53", "udp 192.0.2.1 -> *:53"},
		{"type 8 code 0", "*:2048 -> *"},
		{"type 8", ""},
		{"tcp flags syn,ack", ""},
		{"tcp flags 0x12", "tcp flags syn,ack"},
		{"flags none", ""},
		{"status dnat,confirmed", "status confirmed,dnat"},
		{"out eth1 established in eth0", "in eth0 out eth1 established"},
		{`in "eth 0"`, ""},
		{`in "eth0"`, "in eth0"},
		{"in in", ""},
		{"frag 0x2000 srctype unicast dsttype local mark 0x10 ctmark 0xffffffff", ""},
		{"frag 8192 mark 16", "frag 0x2000 mark 0x10"},
		{`with "ip ttl"/8 64 with "ip ttl"/4 1`, `with "ip ttl"/4 0x1 with "ip ttl"/8 0x40`},
		{`with "ether"/128 0xffffffffffffffffffffffffffffffff`, ""},
		{`if "limit 5/minute" unless "a \"quoted\" thing"`, `unless "a \"quoted\" thing" if "limit 5/minute"`},
	}
	for _, tt := range tests {
		p, err := packet.ParsePacket(tt.text)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		want := tt.want
		if want == "" {
			want = tt.text
		}
		if p.String() != want {
			t.Errorf("%q: %q, want %q", tt.text, p, want)
		}
	}
}

func TestParsePacketErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"tpc 192.0.2.1 -> *", `column 1: unexpected "tpc"; did you mean "tcp"?`},
		{"bogus", `column 1: unexpected "bogus"; expected a part such as: in eth0, new, flags syn, mark 0x1`},
		{"tcp 192.0.2.1:99999 -> *", `column 15: "99999" is not a port; expected a number from 0 to 65535`},
		{"tcp 192.0.2.1: -> *", `column 15: "" is not a port; expected a number from 0 to 65535`},
		{"tcp 192.0.2.1:+5 -> *", `column 15: "+5" is not a port; expected a number from 0 to 65535`},
		{"tcp 192.0.2.300 -> *", `column 5: "192.0.2.300" is not an address; expected ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT or *`},
		{"tcp [192.0.2.3]:1 -> *", "column 5: expected an IPv6 address between the brackets"},
		{"tcp [2001:db8::1 -> *", `column 5: expected "]" behind the address`},
		{"tcp [2001:db8::1]5 -> *", `column 5: expected ":" and a port behind "]"`},
		{"tcp 192.0.2.1 > *", `column 15: expected "->" and a destination behind the source`},
		{"tcp 192.0.2.1 ->", "column 17: expected a destination: an address, an address with a port, or *"},
		{"tcp -> 192.0.2.1", `column 5: expected a source before "->": an address, or *`},
		{"tcp 192.0.2.1 -> 2001:db8::1", "column 18: 2001:db8::1 is not of the same family as the source 192.0.2.1"},
		{"tcp fe80::1%eth0 -> *", `column 5: "fe80::1%eth0" has a zone; write the interface as: in eth0`},
		{"icmp 192.0.2.1:8 -> *", "column 16: icmp has no ports; write: type echo-request"},
		{"gre 192.0.2.1:8 -> *", "column 15: protocol 47 has no ports; its bytes 0-1 and 2-3 are written sport and dport"},
		{"192.0.2.1 -> * tcp", "column 16: the protocol tcp must come first"},
		{"new establshed", `column 5: unexpected "establshed"; did you mean "established"?`},
		{"new established", "column 5: the state is given twice"},
		{"in eth0 in eth1", "column 12: the input interface is given twice"},
		{"in", "column 3: in needs the name of an interface behind it"},
		{`in ""`, "column 4: the name of an interface is empty"},
		{"tcp flags syn,akc", `column 15: "akc" is not a TCP flag; expected none or some of fin,syn,rst,psh,ack,urg,ece,cwr; did you mean "ack"?`},
		{"icmp type eco-request", `column 11: "eco-request" is not a type of icmp; expected a number from 0 to 255 or a name such as echo-request; did you mean "echo-request"?`},
		{"type echo-request", "column 6: echo-request stands for a number only behind icmp or icmpv6; write that first"},
		{"tcp type echo-request", "column 10: echo-request is a type of icmp and icmpv6 alone"},
		{"icmp type 8 type 9", "column 18: the type is given twice"},
		{"*:5 -> * type 8", "column 15: the type is part of the same two bytes as the source port"},
		{"type 8 sport 9", "column 14: sport is the same two bytes as type and code"},
		{"tcp *:5 -> * sport 6", "column 20: the source port is given twice"},
		{"srctype locl", `column 9: "locl" is not an address type; expected one of unspec, unicast, local, broadcast, anycast, multicast, blackhole, unreachable, prohibit, throw, nat, xresolve; did you mean "local"?`},
		{"mark 0x100000000", `column 6: "0x100000000" is not a mark; expected a number from 0 to 4294967295`},
		{"mark -1", `column 6: "-1" is not a mark; expected a number from 0 to 4294967295`},
		{`if "open`, "column 4: this quote has no valid end"},
		{`with "ip ttl" 64`, `column 15: expected a quoted field name, "/" and its width, as in: with "ip ttl"/8 64`},
		{`with "ip ttl"/0 64`, `column 14: "0" is not a width; expected a number from 1 to 128`},
		{`with "ip ttl"/8 256`, `column 17: "256" is not a number of 8 bits`},
		{`with "ip ttl"/8 0x-1`, `column 17: "0x-1" is not a number of 8 bits`},
		{`with "x"/1 0 with "x"/1 1`, `column 19: the field "x" is given twice`},
		{`if "x" unless "x"`, `column 15: the condition "x" is given twice`},
		{"in ä new nwe", `column 10: unexpected "nwe"; did you mean "new"?`},
	}
	for _, tt := range tests {
		p, err := packet.ParsePacket(tt.text)
		syntax, ok := errors.AsType[*packet.SyntaxError](err)
		if !ok || err.Error() != tt.want || syntax.Text != tt.text {
			t.Errorf("%q: %v (packet %q)\nwant %s", tt.text, err, p, tt.want)
		}
	}
}

// drawPacket makes any packet that the methods of Packet can make.
func drawPacket(t *rapid.T, family packet.Family) packet.Packet {
	var p packet.Packet
	some := func(what string) bool { return rapid.Bool().Draw(t, what) }
	addr := func(what string) netip.Addr {
		if family == packet.V4 {
			return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, rapid.Uint32().Draw(t, what))))
		}
		return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, what)))
	}
	if some("has src") {
		p.Src = addr("src")
	}
	if some("has dst") {
		p.Dst = addr("dst")
	}
	if some("has in") {
		p.In = rapid.StringN(1, 15, -1).Draw(t, "in")
	}
	if some("has out") {
		p.Out = rapid.StringN(1, 15, -1).Draw(t, "out")
	}
	limits := map[packet.Field]uint64{
		packet.Protocol: 0xff, packet.DstPort: 0xffff, packet.SrcPort: 0xffff, packet.State: 7, packet.Status: 0xffff,
		packet.TCPFlags: 0xff, packet.Fragment: 0xffff, packet.SrcType: 15, packet.DstType: 15, packet.Mark: 1<<32 - 1, packet.CtMark: 1<<32 - 1,
	}
	for f := range packet.Src {
		if limit, ok := limits[f]; ok && some("has field") {
			v := rapid.Uint64Range(0, limit).Draw(t, "value")
			if f == packet.Protocol {
				v = rapid.SampledFrom([]uint64{1, 6, 17, 58, 132, 47, 0, 255}).Draw(t, "protocol")
			}
			p = p.With(f, v)
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "extras") {
		p = p.WithExtra(rapid.String().Draw(t, "extra"), 16, rapid.SliceOfN(rapid.Byte(), 2, 2).Draw(t, "extra value"))
	}
	for range rapid.IntRange(0, 2).Draw(t, "unknowns") {
		p = p.WithUnknown(rapid.String().Draw(t, "key"), rapid.Bool().Draw(t, "holds"))
	}
	return p
}

func TestPacketStringIsParsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPacket(t, rapid.SampledFrom([]packet.Family{packet.V4, packet.V6}).Draw(t, "family"))
		q, err := packet.ParsePacket(p.String())
		if err != nil || !q.Equal(p) {
			t.Fatalf("%q is read as %q, %v", p, q, err)
		}
	})
}

func FuzzParsePacket(f *testing.F) {
	for _, seed := range []string{
		"tcp 198.51.100.7:4242 -> 203.0.113.5:22 in eth0 new",
		"udp [2001:db8::1]:53 -> *:40000 out wg0 established status dnat",
		"icmp 192.0.2.1 -> 192.0.2.2 type echo-request code 0",
		`proto 200 flags syn,ack mark 0x1 frag 0x2000 with "ip ttl"/8 0x40 if "limit" unless "x"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := packet.ParsePacket(text)
		if err != nil {
			syntax, ok := errors.AsType[*packet.SyntaxError](err)
			if !ok || syntax.Column < 1 || syntax.Column > len(text)+1 || strings.TrimSpace(syntax.Reason) == "" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		q, err := packet.ParsePacket(p.String())
		if err != nil || !q.Equal(p) || q.String() != p.String() {
			t.Fatalf("%q is %q, which is read as %q, %v", text, p, q, err)
		}
	})
}
