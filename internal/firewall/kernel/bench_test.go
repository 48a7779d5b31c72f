package kernel

import (
	"encoding/binary"
	"fmt"
	"testing"

	"sekimori/internal/firewall"
)

// hostRules is a dump of n rules as nft makes them for
// `iifname "eth0" ip saddr A/24 tcp dport P ct state new counter accept`.
func hostRules(n int) *Dump {
	d := dumpOf(firewall.Inet)
	d.Messages = d.Messages[:2]
	reg := be(1)
	load := func(name string, key uint32) []byte { return ex(name, nest(1, reg), nest(2, be(key))) }
	payload := func(base, off, n uint32) []byte {
		return ex("payload", nest(1, reg), nest(2, be(base)), nest(3, be(off)), nest(4, be(n)))
	}
	eq := func(b ...byte) []byte { return ex("cmp", nest(1, reg), nest(2, be(0)), value(3, b...)) }
	for i := range n {
		name := make([]byte, 16)
		copy(name, fmt.Sprintf("eth%d", i%4))
		port := binary.BigEndian.AppendUint16(nil, uint16(1+i%60000))
		expressions := [][]byte{
			load("meta", 6), eq(name...),
			load("meta", 15), eq(2),
			payload(1, 12, 3), eq(10, byte(i>>8), byte(i)),
			load("meta", 16), eq(6),
			payload(2, 2, 2), eq(port...),
			load("ct", 0), ex("bitwise", nest(1, reg), nest(2, reg), nest(3, be(4)), value(4, 8, 0, 0, 0), value(5, 0, 0, 0, 0)),
			ex("cmp", nest(1, reg), nest(2, be(1)), value(3, 0, 0, 0, 0)),
			ex("counter", nest(1, make([]byte, 8)), nest(2, make([]byte, 8))),
			ex("immediate", nest(1, be(0)), nest(2, nest(2, nest(1, be(1))))),
		}
		handle := binary.BigEndian.AppendUint64(nil, uint64(i+2))
		data := append(append(append(nest(1, str("t")), nest(2, str("c"))...), nest(3, handle)...), nest(4, expressions...)...)
		d.Messages = append(d.Messages, Message{Type: msgNewRule, Family: 1, Data: data})
	}
	return d
}

func TestHostRules(t *testing.T) {
	rs := Decode(hostRules(3), hostInterfaces())
	want := `iifname "eth2" ip saddr 10.0.2.0/24 tcp dport 3 ct state new counter accept`
	if got := rs.Tables[0].Chains[0].Rules[2].Text; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func BenchmarkDecode10000Rules(b *testing.B) {
	d := hostRules(10000)
	b.ReportAllocs()
	for b.Loop() {
		if rs := Decode(d, hostInterfaces()); len(rs.Tables[0].Chains[0].Rules) != 10000 {
			b.Fatal("rules are missing")
		}
	}
}

// BenchmarkDecodeSet decodes a set of 100,000 addresses, as lists of bans are.
func BenchmarkDecodeSet(b *testing.B) {
	d := dumpOf(firewall.Inet)
	d.Messages = d.Messages[:2]
	d.Messages = append(d.Messages, Message{Type: msgNewSet, Family: 1, Data: append(append(append(nest(1, str("t")), nest(2, str("s"))...), nest(3, be(0))...), nest(5, be(4))...)})
	for i := range 1000 {
		var elems [][]byte
		for j := range 100 {
			elems = append(elems, nest(1, value(1, 10, byte(i>>2), byte(i<<6|j), byte(j))))
		}
		d.Messages = append(d.Messages, Message{Type: msgNewSetElem, Family: 1, Data: append(append(nest(1, str("t")), nest(2, str("s"))...), nest(3, elems...)...)})
	}
	b.ReportAllocs()
	for b.Loop() {
		if rs := Decode(d, hostInterfaces()); len(rs.Tables[0].Sets[0].Elems) != 100000 {
			b.Fatalf("elements are missing: %s", rs.Tables[0].Sets[0].Opaque)
		}
	}
}
