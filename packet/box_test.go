package packet_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"sekimori/packet"
)

// shorthand makes sets for tests that read like rules.
type shorthand struct{ *packet.Space }

func (sp shorthand) proto(n uint64) packet.Set {
	return sp.Values(packet.Protocol, packet.Range{Lo: n, Hi: n})
}

func (sp shorthand) value(f packet.Field, lo, hi uint64) packet.Set {
	return sp.Values(f, packet.Range{Lo: lo, Hi: hi})
}

func (sp shorthand) from(ps ...string) packet.Set { return sp.prefixes(packet.Src, ps) }
func (sp shorthand) to(ps ...string) packet.Set   { return sp.prefixes(packet.Dst, ps) }

func (sp shorthand) prefixes(f packet.Field, ps []string) packet.Set {
	var out []netip.Prefix
	for _, p := range ps {
		out = append(out, netip.MustParsePrefix(p))
	}
	return sp.Prefixes(f, out...)
}

func (sp shorthand) in(names ...string) packet.Set {
	return sp.Interfaces(packet.InInterface, func(n string) bool { return slices.Contains(names, n) })
}

func (sp shorthand) bits(f packet.Field, value, mask uint64) packet.Set {
	s, width := sp.All(), sp.Width(f)
	for i := range width {
		switch b := sp.Bit(f, i); {
		case mask>>(width-1-i)&1 == 0:
		case value>>(width-1-i)&1 != 0:
			s = s.And(b)
		default:
			s = s.Minus(b)
		}
	}
	return s
}

func TestBoxText(t *testing.T) {
	sp, sp6 := shorthand{newSpace(packet.V4)}, shorthand{newSpace(packet.V6)}
	tcp, icmp, ssh := sp.proto(6), sp.proto(1), sp.value(packet.DstPort, 22, 22)
	ttl := sp.Extra("ip ttl", 8)
	tests := []struct {
		set  packet.Set
		want []string
	}{
		{sp.None(), nil},
		{sp.All(), []string{"any packet"}},
		{sp.value(packet.State, 0, 4), []string{"any packet"}},
		{tcp.And(ssh).And(sp.from("203.0.113.0/24")).And(sp.in("eth0")), []string{"tcp dport 22 from 203.0.113.0/24 in eth0"}},
		{tcp.Or(sp.proto(17)).And(sp.value(packet.DstPort, 53, 53)), []string{"tcp,udp dport 53"}},
		{tcp.Not(), []string{"proto except tcp"}},
		{sp.value(packet.Protocol, 200, 210), []string{"proto 200-210"}},
		{sp.proto(200), []string{"proto 200"}},
		{ssh.Or(sp.value(packet.DstPort, 8000, 8010)).Or(sp.value(packet.DstPort, 80, 81)), []string{"dport 22,80,81,8000-8010"}},
		{ssh.Not(), []string{"dport except 22"}},
		{sp.from("10.0.0.0/8").Not().And(sp.to("192.0.2.1/32")), []string{"from except 10.0.0.0/8 to 192.0.2.1/32"}},
		{sp6.from("2001:db8::/32"), []string{"from 2001:db8::/32"}},
		{sp.bits(packet.Dst, 1, 1), []string{"to 0.0.0.1/0.0.0.1"}},
		{icmp.And(sp.value(packet.SrcPort, 8<<8, 8<<8|255)), []string{"icmp type echo-request"}},
		{icmp.And(sp.value(packet.SrcPort, 3<<8|4, 3<<8|4)), []string{"icmp type destination-unreachable code 4"}},
		{icmp.And(sp.bits(packet.SrcPort, 0, 0xff)), []string{"icmp code 0"}},
		{icmp.And(sp.value(packet.SrcPort, 3<<8|4, 3<<8|5).Or(sp.value(packet.SrcPort, 8<<8, 8<<8))), []string{
			"icmp type destination-unreachable code 4,5 or type echo-request code 0",
		}},
		{sp6.proto(58).And(sp6.value(packet.SrcPort, 133<<8, 136<<8|255)), []string{
			"icmpv6 type nd-router-solicit,nd-router-advert,nd-neighbor-solicit,nd-neighbor-advert",
		}},
		{sp.value(packet.SrcPort, 8<<8, 8<<8|255), []string{"sport 2048-2303"}},
		{sp.in("eth0", "eth1"), []string{"in eth0,eth1"}},
		{sp.in("eth0").Not(), []string{"in except eth0"}},
		{sp.States(packet.Established | packet.Related), []string{"state established,related"}},
		{sp.States(packet.Invalid).Not(), []string{"state except invalid"}},
		{sp.bits(packet.Status, 0x20, 0x20), []string{"status dnat"}},
		{sp.bits(packet.Status, 0x20, 0x30), []string{"status !snat+dnat"}},
		{sp.bits(packet.TCPFlags, 0x02, 0x17), []string{"flags syn/fin,syn,rst,ack"}},
		{sp.bits(packet.TCPFlags, 0x02, 0xff), []string{"flags syn"}},
		{sp.bits(packet.TCPFlags, 0, 0xff), []string{"flags none"}},
		{sp.bits(packet.TCPFlags, 0x02, 0x17).Not(), []string{"flags except syn/fin,syn,rst,ack"}},
		{sp.bits(packet.Fragment, 0, 0x3fff), []string{"unfragmented"}},
		{sp.bits(packet.Fragment, 0, 0x3fff).Not(), []string{"fragmented"}},
		{sp.bits(packet.Fragment, 0, 0x1fff), []string{"unfragmented or first fragment"}},
		{sp.bits(packet.Fragment, 0, 0x1fff).Not(), []string{"not first fragment"}},
		{sp6.bits(packet.Fragment, 0, 0xfff8).Not(), []string{"not first fragment"}},
		{sp.value(packet.Fragment, 0x2000, 0x2000), []string{"frag 0x2000"}},
		{sp.value(packet.DstType, 2, 2), []string{"dsttype local"}},
		{sp.value(packet.SrcType, 3, 5), []string{"srctype broadcast,anycast,multicast"}},
		{sp.bits(packet.Mark, 0x10, 0xf0), []string{"mark 0x10/0xf0"}},
		{sp.value(packet.CtMark, 7, 7), []string{"ctmark 0x7"}},
		{sp.value(ttl, 1, 4), []string{"ip ttl 1-4"}},
		{sp.bits(ttl, 1, 1), []string{"ip ttl 0x1/0x1"}},
		{tcp.And(sp.Unknown("limit 5/minute")), []string{"tcp if limit 5/minute"}},
		{tcp.Minus(sp.Unknown("limit 5/minute")), []string{"tcp unless limit 5/minute"}},
		{tcp.And(ssh).And(sp.from("10.0.0.0/8")).Or(tcp.And(sp.value(packet.DstPort, 443, 443))), []string{
			"tcp dport 22 from 10.0.0.0/8", "tcp dport 443",
		}},
		{tcp.And(ssh).Or(sp.from("192.0.2.1/32")), []string{"from 192.0.2.1/32", "tcp dport 22 from except 192.0.2.1/32"}},
		{tcp.And(ssh).Not(), []string{"proto except tcp", "tcp dport except 22"}},
	}
	for _, tt := range tests {
		boxes, complete := tt.set.Boxes(0)
		var got []string
		for _, b := range boxes {
			got = append(got, b.String())
		}
		if d := gocmp.Diff(tt.want, got); d != "" || !complete {
			t.Errorf("complete %v (-want +got)\n%s", complete, d)
		}
	}
}

func TestBoxesOfRules(t *testing.T) {
	sp := newSpace(packet.V4)
	s := firstMatch(sp, hostRules(300, 9))
	for _, s := range []packet.Set{s, s.Not()} {
		boxes, complete := s.Boxes(0)
		union := sp.None()
		for _, b := range boxes {
			if union.Overlaps(b.Set()) || b.Set().Empty() {
				t.Fatalf("box %s is empty or overlaps others", b)
			}
			union = union.Or(b.Set())
		}
		if !complete || !union.Equal(s) {
			t.Fatal("the boxes are not the set")
		}
		if some, complete := s.Boxes(7); complete || len(some) != 7 {
			t.Fatalf("%d boxes, complete %v", len(some), complete)
		}
	}
}

// TestBoxOfManyValues: an answer that nobody could read says so, quickly.
func TestBoxOfManyValues(t *testing.T) {
	sp := shorthand{newSpace(packet.V4)}
	rng := rand.New(rand.NewPCG(1, 1))
	var many []string
	for range 20_000 {
		many = append(many, fmt.Sprintf("%d.%d.%d.%d/32", rng.IntN(256), rng.IntN(256), rng.IntN(256), rng.IntN(256)))
	}
	boxes, complete := sp.from(many...).Boxes(0)
	if len(boxes) != 1 || !complete || boxes[0].String() != "from one of more than 4096 values" {
		t.Errorf("%v", boxes)
	}
	if n := len(boxes[0].Set().Prefixes(packet.Src)); n < 19_000 {
		t.Errorf("the box has %d prefixes", n)
	}
}
