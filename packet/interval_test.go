package packet_test

import (
	"cmp"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sekimori/packet"
)

func newSpace(f packet.Family) *packet.Space {
	return packet.NewSpace(packet.Config{Family: f, Interfaces: []string{"lo", "eth0", "eth1", "wg0", "other"}})
}

func drawAddr(t *rapid.T, f packet.Family, what string) netip.Addr {
	// Few distinct bytes, so that prefixes nest and touch.
	b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 127, 128, 254, 255}), 16, 16).Draw(t, what)
	if f == packet.V4 {
		return netip.AddrFrom4([4]byte(b))
	}
	return netip.AddrFrom16([16]byte(b))
}

func TestPrefixesRoundTrip(t *testing.T) {
	for _, f := range []packet.Family{packet.V4, packet.V6} {
		sp := newSpace(f)
		rapid.Check(t, func(t *rapid.T) {
			in := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) netip.Prefix {
				a := drawAddr(t, f, "addr")
				return netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
			}), 0, 8).Draw(t, "prefixes")
			s := sp.Prefixes(packet.Src, in...)
			out := s.Prefixes(packet.Src)
			if !sp.Prefixes(packet.Src, out...).Equal(s) {
				t.Fatalf("%v reads back as %v", in, out)
			}
			for i, p := range out {
				if p != p.Masked() || i > 0 && !out[i-1].Addr().Less(p.Addr()) {
					t.Fatalf("%v: not ascending or not masked", out)
				}
				if i > 0 && out[i-1].Overlaps(p) {
					t.Fatalf("%v overlap", out)
				}
				// Two halves of one prefix would be one prefix.
				if p.Bits() > 0 && i > 0 && out[i-1].Bits() == p.Bits() {
					if parent := netip.PrefixFrom(p.Addr(), p.Bits()-1); parent.Contains(out[i-1].Addr()) {
						t.Fatalf("%v: %s and %s are one prefix", out, out[i-1], p)
					}
				}
			}
			for range 5 {
				a := drawAddr(t, f, "probe")
				want := slices.ContainsFunc(in, func(p netip.Prefix) bool { return p.Contains(a) })
				if s.Contains(packet.Packet{Src: a}) != want {
					t.Fatalf("%s in %v: want %v", a, in, want)
				}
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	for _, f := range []packet.Family{packet.V4, packet.V6} {
		sp := newSpace(f)
		rapid.Check(t, func(t *rapid.T) {
			in := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) packet.AddrRange {
				return packet.AddrRange{Lo: drawAddr(t, f, "lo"), Hi: drawAddr(t, f, "hi")}
			}), 0, 6).Draw(t, "ranges")
			s := sp.Addresses(packet.Dst, in...)
			probes := []netip.Addr{drawAddr(t, f, "probe")}
			for _, r := range in {
				probes = append(probes, r.Lo, r.Hi, r.Lo.Prev(), r.Hi.Next())
			}
			for _, a := range probes {
				want := slices.ContainsFunc(in, func(r packet.AddrRange) bool { return !a.Less(r.Lo) && !r.Hi.Less(a) })
				if a.IsValid() && s.Contains(packet.Packet{Dst: a}) != want {
					t.Fatalf("%s in %v: want %v", a, in, want)
				}
			}
			out := s.AddrRanges(packet.Dst)
			for i, r := range out {
				if r.Hi.Less(r.Lo) || i > 0 && !out[i-1].Hi.Next().Less(r.Lo) {
					t.Fatalf("%v: ranges touch or are out of order", out)
				}
			}
			if !sp.Addresses(packet.Dst, out...).Equal(s) {
				t.Fatalf("%v reads back as %v", in, out)
			}
		})
	}
}

func TestOtherFamilyContributesNothing(t *testing.T) {
	v4, v6 := netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")
	mapped := netip.MustParsePrefix("::ffff:10.0.0.0/104")
	sp4, sp6 := newSpace(packet.V4), newSpace(packet.V6)
	if got := sp4.Prefixes(packet.Src, v4, v6, mapped, netip.Prefix{}).Prefixes(packet.Src); !slices.Equal(got, []netip.Prefix{v4}) {
		t.Errorf("IPv4: %v", got)
	}
	want := []netip.Prefix{mapped, v6}
	if got := sp6.Prefixes(packet.Src, v4, v6, mapped).Prefixes(packet.Src); !slices.Equal(got, want) {
		t.Errorf("IPv6: %v", got)
	}
	mixed := packet.AddrRange{Lo: v4.Addr(), Hi: v6.Addr()}
	if !sp4.Addresses(packet.Src, mixed, packet.AddrRange{}).Empty() || !sp6.Addresses(packet.Src, mixed).Empty() {
		t.Error("a range from one family to the other is not empty")
	}
	for _, p := range []packet.Packet{{Src: v6.Addr()}, {Dst: v6.Addr()}} {
		if sp4.Fits(p) == nil || sp4.All().Contains(p) || !sp4.Point(p).Empty() {
			t.Errorf("%s fits an IPv4 space", p)
		}
	}
}

// TestBetweenWide compares numbers of more than 128 bits with math/big.
func TestBetweenWide(t *testing.T) {
	sp := newSpace(packet.V6)
	bits := slices.Concat(sp.Bits(packet.Dst), sp.Bits(packet.SrcPort), sp.Bits(packet.Src)[:3])
	size := (len(bits) + 7) / 8
	rng := rand.New(rand.NewPCG(3, 4))
	number := func() []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = []byte{0, 0, 1, 0x80, 0xff, 0xff}[rng.IntN(6)]
		}
		b[0] &= 7 // 147 bits are 19 bytes with 5 bits to spare
		return b
	}
	value := func(b []byte) *big.Int { return new(big.Int).SetBytes(b) }
	outside, inside := 0, 0
	for range 300 {
		iv := packet.Interval{Lo: number(), Hi: number()}
		if rng.IntN(3) == 0 {
			copy(iv.Hi, iv.Lo[:rng.IntN(size)])
		}
		s := sp.Between(bits, []packet.Interval{iv})
		for range 30 {
			x := number()
			if rng.IntN(2) == 0 {
				copy(x, iv.Lo[:rng.IntN(size+1)])
			} else {
				copy(x, iv.Hi[:rng.IntN(size+1)])
			}
			// x is 128 bits destination, 16 bits source port, 3 bits source.
			shifted := new(big.Int).Lsh(value(x), 5).FillBytes(make([]byte, 19))
			var src [16]byte
			src[0] = shifted[18]
			p := packet.Packet{Dst: netip.AddrFrom16([16]byte(shifted[:16])), Src: netip.AddrFrom16(src)}
			p = p.With(packet.SrcPort, uint64(binary.BigEndian.Uint16(shifted[16:18])))
			want := value(iv.Lo).Cmp(value(x)) <= 0 && value(x).Cmp(value(iv.Hi)) <= 0
			if s.Contains(p) != want {
				t.Fatalf("%x in %x-%x: want %v", x, iv.Lo, iv.Hi, want)
			}
			if want {
				inside++
			} else {
				outside++
			}
		}
	}
	if inside < 100 || outside < 100 {
		t.Fatalf("%d inside, %d outside: too few", inside, outside)
	}
	// Beyond the width there are no numbers.
	over := packet.Interval{Lo: slices.Repeat([]byte{0xff}, size), Hi: slices.Repeat([]byte{0xff}, size)}
	all := packet.Interval{Lo: make([]byte, size), Hi: over.Hi}
	if !sp.Between(bits, []packet.Interval{over}).Empty() || !sp.Between(bits, []packet.Interval{all}).Equal(sp.All()) {
		t.Error("numbers beyond the width are not clipped")
	}
}

func TestBetweenOfNothing(t *testing.T) {
	sp := newSpace(packet.V4)
	if !sp.Between(sp.Bits(packet.DstPort), nil).Empty() {
		t.Error("no intervals, but packets")
	}
	// A number without bits is 0.
	if !sp.Between(nil, []packet.Interval{{}}).Equal(sp.All()) || !sp.Between(nil, nil).Empty() {
		t.Error("a number without bits is not 0")
	}
	if !sp.Tuples(nil, [][]packet.Interval{{}}).Equal(sp.All()) || !sp.Tuples(nil, nil).Empty() {
		t.Error("a tuple without fields is not empty")
	}
}

// TestTuples compares a set of concatenations with looking at each element.
func TestTuples(t *testing.T) {
	sp := newSpace(packet.V4)
	// nft writes them in any order; here against the order of the variables.
	fields := [][]packet.Set{sp.Bits(packet.Src), sp.Bits(packet.Protocol), sp.Bits(packet.DstPort)}
	rng := rand.New(rand.NewPCG(5, 6))
	interval := func(size int, wide bool) packet.Interval {
		lo, hi := make([]byte, size), make([]byte, size)
		for i := range lo {
			lo[i] = byte(rng.IntN(4))
			hi[i] = lo[i]
		}
		if wide {
			hi[size-1] += byte(rng.IntN(4))
		}
		return packet.Interval{Lo: lo, Hi: hi}
	}
	for _, wide := range []bool{false, true} {
		var elems [][]packet.Interval
		for range 400 {
			elems = append(elems, []packet.Interval{interval(4, wide), interval(1, wide), interval(2, wide)})
		}
		s := sp.Tuples(fields, elems)
		inside := 0
		for range 20_000 {
			src, proto, port := interval(4, false).Lo, interval(1, false).Lo, interval(2, false).Lo
			in := func(v []byte, iv packet.Interval) bool {
				return cmp.Compare(string(iv.Lo), string(v)) <= 0 && cmp.Compare(string(v), string(iv.Hi)) <= 0
			}
			want := slices.ContainsFunc(elems, func(e []packet.Interval) bool { return in(src, e[0]) && in(proto, e[1]) && in(port, e[2]) })
			p := packet.Packet{Src: netip.AddrFrom4([4]byte(src))}.With(packet.Protocol, uint64(proto[0])).
				With(packet.DstPort, uint64(binary.BigEndian.Uint16(port)))
			if s.Contains(p) != want {
				t.Fatalf("wide %v: %s: want %v", wide, p, want)
			}
			if want {
				inside++
			}
		}
		if inside < 100 {
			t.Fatalf("wide %v: %d of the packets are in the set: too few", wide, inside)
		}
	}
}

func TestRangesOfAPort(t *testing.T) {
	sp := newSpace(packet.V4)
	s := sp.Values(packet.DstPort, packet.Range{Lo: 80, Hi: 90}, packet.Range{Lo: 0, Hi: 0}, packet.Range{Lo: 85, Hi: 100},
		packet.Range{Lo: 101, Hi: 110}, packet.Range{Lo: 5, Hi: 4}, packet.Range{Lo: 65535, Hi: 1 << 40}, packet.Range{Lo: 1 << 40, Hi: 1 << 41})
	want := []packet.Range{{Lo: 0, Hi: 0}, {Lo: 80, Hi: 110}, {Lo: 65535, Hi: 65535}}
	if d := gocmp.Diff(want, s.Ranges(packet.DstPort)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if n := s.Count(packet.DstPort); n.Int64() != 33 {
		t.Errorf("%s ports, want 33", n)
	}
}
