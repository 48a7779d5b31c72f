package main

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/plan"
)

func TestParseFlows(t *testing.T) {
	const text = `ipv4     2 udp      17 29 src=10.0.0.9 dst=192.0.2.9 sport=4242 dport=1900 [UNREPLIED] src=192.0.2.9 dst=203.0.113.5 sport=1900 dport=4242 mark=0 zone=0 use=2
ipv6     10 tcp      6 431999 ESTABLISHED src=2001:db8::7 dst=2001:db8:5::5 sport=40000 dport=22 src=2001:db8:5::5 dst=2001:db8::7 sport=22 dport=40000 [ASSURED] mark=0 use=1
ipv4     2 icmp     1 29 src=10.0.0.9 dst=192.0.2.9 type=8 code=0 id=1 src=192.0.2.9 dst=10.0.0.9 type=0 code=0 id=1 use=2
ipv4     2 unknown  89 599 src=10.0.0.9 dst=224.0.0.5 [UNREPLIED] src=224.0.0.5 dst=10.0.0.9 use=2

ipv4 2 udp 17 29 src=nonsense dst=192.0.2.9 sport=1 dport=2
`
	want := []plan.Flow{
		{Proto: "udp", Src: netip.MustParseAddrPort("10.0.0.9:4242"), Dst: netip.MustParseAddrPort("192.0.2.9:1900")},
		{Proto: "tcp", Src: netip.MustParseAddrPort("[2001:db8::7]:40000"), Dst: netip.MustParseAddrPort("[2001:db8:5::5]:22")},
		{Proto: "icmp", Src: netip.MustParseAddrPort("10.0.0.9:0"), Dst: netip.MustParseAddrPort("192.0.2.9:0")},
		{Proto: "unknown", Src: netip.MustParseAddrPort("10.0.0.9:0"), Dst: netip.MustParseAddrPort("224.0.0.5:0")},
	}
	if d := cmp.Diff(want, parseFlows(text), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Error(d)
	}
}
