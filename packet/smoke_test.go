package packet

import (
	"net/netip"
	"testing"
)

func TestSmoke(t *testing.T) {
	for _, fam := range []Family{V4, V6} {
		sp := NewSpace(Config{Family: fam, Interfaces: []string{"eth0", "eth1", "other"}})
		all := netip.MustParsePrefix("0.0.0.0/0")
		ten := netip.MustParsePrefix("10.0.0.0/8")
		if fam == V6 {
			all, ten = netip.MustParsePrefix("::/0"), netip.MustParsePrefix("fd00::/8")
		}
		s := sp.Values(Protocol, Range{6, 6}).And(sp.Values(DstPort, Range{22, 22}, Range{80, 90})).And(sp.Prefixes(Src, ten))
		t.Log(s.Nodes(), s.Count(), s.Ranges(DstPort), s.Prefixes(Src), s.AddrRanges(Dst), s.InterfaceNames(InInterface), s.Not().Prefixes(Src), s.Exists(Protocol, DstPort).Not().Prefixes(Src), sp.All().Prefixes(Dst), sp.States(New|Related).Not().Ranges(State), all)
		u := sp.Unknown("x")
		v := s.And(u)
		if !v.May().Equal(s) || !v.Must().Empty() || !v.SubsetOf(s) || s.SubsetOf(v) {
			t.Fatal("unknown")
		}
		t.Log(sp.UnknownKeys(v), sp.UnknownKeys(s))
	}
}
