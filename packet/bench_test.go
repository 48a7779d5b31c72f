package packet_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"

	"sekimori/packet"
)

// rule is what a host's rule usually looks like: a source and a port.
type rule struct {
	src    netip.Prefix
	port   uint64
	accept bool
}

// hostRules returns n rules; two seeds that differ give rulesets that differ.
func hostRules(n int, seed uint64) []rule {
	rng := rand.New(rand.NewPCG(seed, 2))
	rules := make([]rule, n)
	for i := range rules {
		addr := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, rng.Uint32())))
		rules[i] = rule{netip.PrefixFrom(addr, 8+rng.IntN(25)).Masked(), uint64(rng.IntN(1 << 16)), rng.IntN(2) == 0}
	}
	return rules
}

func firstMatch(sp *packet.Space, rules []rule) packet.Set {
	tcp := sp.Values(packet.Protocol, packet.Range{Lo: 6, Hi: 6})
	accepted, seen := sp.None(), sp.None()
	for _, r := range rules {
		match := tcp.And(sp.Values(packet.DstPort, packet.Range{Lo: r.port, Hi: r.port})).And(sp.Prefixes(packet.Src, r.src))
		if r.accept {
			accepted = accepted.Or(match.Minus(seen))
		}
		seen = seen.Or(match)
	}
	return accepted
}

var config = packet.Config{Family: packet.V4, Interfaces: []string{"lo", "eth0", "eth1", "other"}}

func BenchmarkFirstMatch10k(b *testing.B) {
	rules := hostRules(10_000, 1)
	b.ReportAllocs()
	for b.Loop() {
		sp := packet.NewSpace(config)
		accepted := firstMatch(sp, rules)
		b.ReportMetric(float64(accepted.Nodes()), "nodes")
		b.ReportMetric(float64(heap())/1e6, "MB-heap")
		runtime.KeepAlive(sp)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkDiff10k evaluates a ruleset of 10,000 rules and one in which every
// hundredth rule has another port, and measures the difference both ways alone.
func BenchmarkDiff10k(b *testing.B) { benchmarkDiff(b, 100) }

// BenchmarkDiff10kUnrelated is the worst: all rules differ.
func BenchmarkDiff10kUnrelated(b *testing.B) { benchmarkDiff(b, 1) }

func benchmarkDiff(b *testing.B, every int) {
	for b.Loop() {
		b.StopTimer() // a space remembers results; each round needs a new one
		sp := packet.NewSpace(config)
		rules := hostRules(10_000, 1)
		old := firstMatch(sp, rules)
		for i := 0; i < len(rules); i += every {
			rules[i].port ^= 0x0101
		}
		now := firstMatch(sp, rules)
		b.StartTimer()
		opened, closed := now.Minus(old), old.Minus(now)
		if opened.Empty() || closed.Empty() {
			b.Fatal("the rulesets do not differ")
		}
	}
}

// BenchmarkBoxes10k makes the first 100 boxes of the accepted packets of 10,000
// rules.
func BenchmarkBoxes10k(b *testing.B) {
	sp := packet.NewSpace(config)
	accepted := firstMatch(sp, hostRules(10_000, 1))
	for b.Loop() {
		if boxes, _ := accepted.Boxes(100); len(boxes) != 100 {
			b.Fatal(len(boxes))
		}
	}
}

// BenchmarkContains is one question of the kernel's referee.
func BenchmarkContains(b *testing.B) {
	sp := packet.NewSpace(config)
	accepted := firstMatch(sp, hostRules(10_000, 1))
	p, ok := accepted.Sample()
	if !ok {
		b.Fatal("nothing is accepted")
	}
	for b.Loop() {
		accepted.Contains(p)
	}
}

func BenchmarkSample10k(b *testing.B) {
	sp := packet.NewSpace(config)
	accepted := firstMatch(sp, hostRules(10_000, 1))
	for b.Loop() {
		accepted.Sample()
	}
}

func BenchmarkPrefixes100k(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	ps := make([]netip.Prefix, 100_000)
	for i := range ps {
		ps[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, rng.Uint32()))), 16+rng.IntN(17)).Masked()
	}
	for b.Loop() {
		packet.NewSpace(config).Prefixes(packet.Src, ps...)
	}
}
