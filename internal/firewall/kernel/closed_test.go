package kernel

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"sekimori/internal/firewall"
)

// be is a number in network order.
func be(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func str(s string) []byte { return append([]byte(s), 0) }

// nest makes one attribute.
func nest(typ uint16, parts ...[]byte) []byte {
	b := []byte{0, 0, byte(typ), byte(typ >> 8)}
	for _, p := range parts {
		b = append(b, p...)
	}
	binary.LittleEndian.PutUint16(b, uint16(len(b)))
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// ex makes one expression in a list.
func ex(name string, attributes ...[]byte) []byte {
	return nest(1, nest(1, str(name)), nest(2, attributes...))
}

// value is nested data.
func value(typ uint16, b ...byte) []byte { return nest(typ, nest(1, b)) }

// dumpOf is a dump of one table with one chain that holds one rule.
func dumpOf(family firewall.Family, expressions ...[]byte) *Dump {
	f := uint8(family)
	return &Dump{Messages: []Message{
		{Type: msgNewTable, Family: f, Data: nest(1, str("t"))},
		{Type: msgNewChain, Family: f, Data: append(nest(1, str("t")), nest(3, str("c"))...)},
		{Type: msgNewRule, Family: f, Data: append(append(append(nest(1, str("t")), nest(2, str("c"))...),
			nest(3, []byte{0, 0, 0, 0, 0, 0, 0, 7})...), nest(4, expressions...)...)},
	}}
}

// decodeRule decodes one rule of the expressions and prints it.
func decodeRule(family firewall.Family, expressions ...[]byte) string {
	rs := Decode(dumpOf(family, expressions...), hostInterfaces())
	lines := strings.Split(strings.TrimSpace(show(rs)), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines[2:], "\n")
}

// TestRareExpressions is about expressions that nft 1.0.6 or the kernel of the
// recordings does not have.
func TestRareExpressions(t *testing.T) {
	reg1 := be(8)
	accept := ex("immediate", nest(1, be(0)), nest(2, nest(2, nest(1, be(1)))))
	metaMark := ex("meta", nest(1, reg1), nest(2, be(3)))
	ctMark := ex("ct", nest(1, be(9)), nest(2, be(3)))
	isOne := ex("cmp", nest(1, reg1), nest(2, be(0)), value(3, 1, 0, 0, 0))
	for _, c := range []struct {
		name        string
		expressions [][]byte
		want        string
	}{
		{
			"queue",
			[][]byte{ex("queue", nest(1, []byte{0, 3}), nest(2, []byte{0, 2}), nest(3, []byte{0, 1}))},
			"queue flags bypass to 3-4\n-> queue flags bypass to 3-4",
		},
		{
			"bitwise or of two registers, of which one is the other",
			[][]byte{
				metaMark, ex("meta", nest(1, be(9)), nest(2, be(3))),
				ex("bitwise", nest(1, reg1), nest(2, reg1), nest(3, be(4)), nest(6, be(4)), nest(8, be(9))), isOne, accept,
			},
			"meta mark 0x00000001 accept\nmeta mark[0:32] in 00000001\n-> accept",
		},
		{
			"bitwise or of two registers",
			[][]byte{metaMark, ctMark, ex("bitwise", nest(1, reg1), nest(2, reg1), nest(3, be(4)), nest(6, be(4)), nest(8, be(9))), isOne, accept},
			"[a value computed by | ct mark (inet t c handle 7 expression 3)] 0x01000000 accept\nnot state invalid,untracked\nUNDECODED \"a value computed by | ct mark (inet t c handle 7 expression 3) 0x01000000\"\n-> accept",
		},
		{
			"bitwise and with a constant",
			[][]byte{metaMark, ex("bitwise", nest(1, reg1), nest(2, reg1), nest(3, be(4)), nest(6, be(3)), value(7, 1, 0, 0, 0)), isOne, accept},
			"meta mark & 0x00000001 == 0x00000001 accept\nmeta mark[31:32] in 01\n-> accept",
		},
		{
			"shift left",
			[][]byte{metaMark, ex("bitwise", nest(1, reg1), nest(2, reg1), nest(3, be(4)), nest(6, be(1)), value(7, 8, 0, 0, 0)), ex("meta", nest(3, reg1), nest(2, be(3)))},
			"meta mark set [0/8 meta mark,24,8 meta mark,16,8 meta mark,8,8]\nmeta mark := meta mark[8:32]+0x8",
		},
		{
			"byteorder of 8 bytes",
			[][]byte{
				ex("payload", nest(1, reg1), nest(2, be(2)), nest(3, be(0)), nest(4, be(8))),
				ex("byteorder", nest(1, reg1), nest(2, reg1), nest(3, be(1)), nest(4, be(8)), nest(5, be(8))),
				ex("cmp", nest(1, reg1), nest(2, be(0)), value(3, 1, 2, 3, 4, 5, 6, 7, 8)), accept,
			},
			"@th,0,64 0x807060504030201 accept\n@th[0:64] in 0807060504030201\n-> accept",
		},
		{
			"ipsec out",
			[][]byte{ex("xfrm", nest(1, reg1), nest(2, be(3)), nest(3, []byte{1}), nest(4, be(0))), ex("cmp", nest(1, reg1), nest(2, be(0)), value(3, 1, 2, 3, 4)), accept},
			"ipsec out ip saddr 1.2.3.4 accept\nvaries \"ipsec out ip saddr is known\"\nvaries \"ipsec out ip saddr 1.2.3.4\"\n-> accept",
		},
		{
			"inner",
			[][]byte{
				ex("inner", nest(1, be(0)), nest(2, be(1)), nest(3, be(15)), nest(4, be(8)), nest(5, nest(1, str("payload")), nest(2, nest(1, reg1), nest(2, be(2)), nest(3, be(2)), nest(4, be(2))))),
				ex("cmp", nest(1, reg1), nest(2, be(0)), value(3, 0, 22)), accept,
			},
			"inner vxlan 0 0xf 8 payload 2,16,16 22 accept\ninner vxlan 0 0xf 8 payload 2,16,16 exists[0:1] in 01\ninner vxlan 0 0xf 8 payload 2,16,16[0:16] in 0016\n-> accept",
		},
		{
			"flowtable",
			[][]byte{ex("flow_offload", nest(1, str("ft")))},
			"flow add @ft\nvaries \"flow add @ft\" each time\n" +
				"obstacle flowtable \"ft\" of table inet t: packets of the connections in it are forwarded without asking any rule at forward",
		},
		{
			"tunnel",
			[][]byte{ex("tunnel", nest(1, be(1)), nest(2, reg1), nest(3, be(0))), isOne, accept},
			"tunnel id 16777216 accept\nvaries \"tunnel id is known\"\nvaries \"tunnel id 16777216\"\n-> accept",
		},
		{
			"range",
			[][]byte{metaMark, ex("range", nest(1, reg1), nest(2, be(1)), value(3, 1, 0, 0, 0), value(4, 1, 0, 0, 9)), accept},
			"meta mark != (host order) 0x01000000-0x01000009 accept\nnot meta mark[24:32]+meta mark[16:24]+meta mark[8:16]+meta mark[0:8] in 01000000-01000009\n-> accept",
		},
		{
			"a register that nothing was loaded into",
			[][]byte{isOne, accept},
			"[a register that nothing was loaded into (inet t c handle 7 expression 1)] 0x01000000 accept\nUNDECODED \"a register that nothing was loaded into (inet t c handle 7 expression 1) 0x01000000\"\n-> accept",
		},
		{
			"the old registers are of 16 bytes",
			[][]byte{ex("meta", nest(1, be(2)), nest(2, be(3))), ex("cmp", nest(1, be(12)), nest(2, be(0)), value(3, 1, 0, 0, 0)), accept},
			"meta mark 0x00000001 accept\nmeta mark[0:32] in 00000001\n-> accept",
		},
		{
			"break",
			[][]byte{ex("immediate", nest(1, be(0)), nest(2, nest(2, nest(1, be(0xfffffffe))))), accept},
			"break accept\n-> continue\n-> accept",
		},
		{
			"queue as a verdict",
			[][]byte{ex("immediate", nest(1, be(0)), nest(2, nest(2, nest(1, be(0x00050003)))))},
			"queue to 5\n-> queue to 5",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := decodeRule(firewall.Inet, c.expressions...); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestClosedFailure has one thing in each rule that is not known. The rule has to
// say which.
func TestClosedFailure(t *testing.T) {
	reg1 := be(8)
	for _, c := range []struct {
		name       string
		expression []byte
		want       string
	}{
		{"an expression", ex("mirror", nest(1, reg1)), `expression "mirror": not known`},
		{"an attribute", ex("meta", nest(1, reg1), nest(2, be(3)), nest(4, be(1))), `expression "meta": attribute 4 is not known`},
		{"a key of meta", ex("meta", nest(1, reg1), nest(2, be(200))), `expression "meta": key 200 is not known`},
		{"a key of ct", ex("ct", nest(1, reg1), nest(2, be(200))), `expression "ct": key 200 is not known`},
		{"a key of rt", ex("rt", nest(1, reg1), nest(2, be(200))), `expression "rt": key 200 is not known`},
		{"a length", ex("meta", nest(1, []byte{1}), nest(2, be(3))), `expression "meta": attribute 1 has 1 bytes instead of 4`},
		{"a register", ex("meta", nest(1, be(99)), nest(2, be(3))), `expression "meta": register 99 is not known`},
		{"a flag of lookup", ex("lookup", nest(1, str("s")), nest(2, reg1), nest(5, be(4))), `expression "lookup": flags 0x4 are not known`},
		{"a set", ex("lookup", nest(1, str("s")), nest(2, reg1)), `expression "lookup": set "s" is not there`},
		{"a header", ex("payload", nest(1, reg1), nest(2, be(4)), nest(3, be(0)), nest(4, be(2))), `expression "payload": header 4 is not known`},
		{"an operator", ex("cmp", nest(1, reg1), nest(2, be(6)), value(3, 1)), `expression "cmp": operator 6 is not known`},
		{"an operation", ex("bitwise", nest(1, reg1), nest(2, reg1), nest(3, be(4)), nest(6, be(9))), `expression "bitwise": operation 9 is not known`},
		{"a size", ex("byteorder", nest(1, reg1), nest(2, reg1), nest(3, be(0)), nest(4, be(4)), nest(5, be(3))), `expression "byteorder": size 3 is not known`},
		{"a verdict", ex("immediate", nest(1, be(0)), nest(2, nest(2, nest(1, be(0xfffffff0))))), `expression "immediate": verdict -16 is not known`},
		{"a kind of limit", ex("limit", nest(1, make([]byte, 8)), nest(2, make([]byte, 8)), nest(4, be(7))), `expression "limit": limit type 7 is not known`},
		{"a fib result", ex("fib", nest(1, reg1), nest(2, be(9)), nest(3, be(1))), `expression "fib": result 9 is not known`},
		{"a fib flag", ex("fib", nest(1, reg1), nest(2, be(3)), nest(3, be(65))), `expression "fib": flags 0x40 are not known`},
		{"a kind of translation", ex("nat", nest(1, be(5)), nest(2, be(2))), `expression "nat": type 5 is not known`},
		{"a kind of reject", ex("reject", nest(1, be(5))), `expression "reject": type 5 is not known`},
		{"an option class", ex("exthdr", nest(1, reg1), nest(2, []byte{1}), nest(3, be(0)), nest(4, be(1)), nest(6, be(9))), `expression "exthdr": option class 9 is not known`},
		{"a match without contents", ex("match", nest(1, str("tcp")), nest(2, be(0))), `expression "match": no contents`},
		{"an object type", ex("objref", nest(1, be(77)), nest(2, str("o"))), `expression "objref": object type 77 is not known`},
	} {
		t.Run(c.name, func(t *testing.T) {
			accept := ex("immediate", nest(1, be(0)), nest(2, nest(2, nest(1, be(1)))))
			got := decodeRule(firewall.IPv4, c.expression, accept)
			want := fmt.Sprintf("[%s] accept\nOPAQUE %s\n-> accept", c.want, c.want)
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestUnknownSpoilsRegisters says that after something unknown the registers are
// unknown too.
func TestUnknownSpoilsRegisters(t *testing.T) {
	got := decodeRule(firewall.IPv4,
		ex("meta", nest(1, be(8)), nest(2, be(3))),
		ex("mirror"),
		ex("cmp", nest(1, be(8)), nest(2, be(0)), value(3, 1, 0, 0, 0)))
	for _, want := range []string{`OPAQUE expression "mirror": not known`, `UNDECODED "a register after expression \"mirror\" (ip t c handle 7 expression 2) 0x01000000"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}

// TestUnknownObjects has one thing in tables, chains and sets that is not known.
func TestUnknownObjects(t *testing.T) {
	table := Message{Type: msgNewTable, Family: 1, Data: nest(1, str("t"))}
	join := func(parts ...[]byte) []byte {
		var b []byte
		for _, p := range parts {
			b = append(b, p...)
		}
		return b
	}
	hook := func(num uint32, more ...[]byte) []byte {
		return nest(4, append([][]byte{nest(1, be(num)), nest(2, be(0))}, more...)...)
	}
	chain := func(parts ...[]byte) Message {
		return Message{Type: msgNewChain, Family: 1, Data: join(append([][]byte{nest(1, str("t")), nest(3, str("c"))}, parts...)...)}
	}
	set := func(parts ...[]byte) Message {
		return Message{Type: msgNewSet, Family: 1, Data: join(append([][]byte{nest(1, str("t")), nest(2, str("s")), nest(5, be(4))}, parts...)...)}
	}
	elems := func(parts ...[]byte) Message {
		return Message{Type: msgNewSetElem, Family: 1, Data: join(nest(1, str("t")), nest(2, str("s")), nest(3, parts...))}
	}
	for _, c := range []struct {
		name     string
		messages []Message
		want     string
	}{
		{"an attribute of a table", []Message{{Type: msgNewTable, Family: 1, Data: join(nest(1, str("t")), nest(9, be(0)))}}, "obstacle nf_tables table (message 1, family inet): attribute 9 is not known"},
		{"a flag of a table", []Message{{Type: msgNewTable, Family: 1, Data: join(nest(1, str("t")), nest(2, be(8)))}}, "obstacle nf_tables table (message 1, family inet): flags 0x8 are not known"},
		{"a family", []Message{{Type: msgNewTable, Family: 12, Data: nest(1, str("t"))}}, "tables of family 12 are not known"},
		{"a sort of message", []Message{{Type: 99, Family: 1}}, "messages of type 99 are not known"},
		{"a hook", []Message{table, chain(hook(9), nest(7, str("filter")))}, "hook 9 of family inet is not known"},
		{"a chain type", []Message{table, chain(hook(1), nest(7, str("mirror")))}, `chain type "mirror" is not known`},
		{"a policy", []Message{table, chain(hook(1), nest(5, be(2)), nest(7, str("filter")))}, "policy 2 is not known"},
		{"an attribute of a chain", []Message{table, chain(nest(20, be(0)))}, "obstacle nf_tables chain (message 2, family inet): attribute 20 is not known"},
		{"a device attribute", []Message{table, chain(hook(5, nest(4, nest(3, str("eth")))), nest(7, str("filter")))}, "device attribute 3 is not known"},
		{"a rule of no chain", []Message{table, {Type: msgNewRule, Family: 1, Data: join(nest(1, str("t")), nest(2, str("x")))}}, `its chain inet t "x" is not there`},
		{"a flag of a set", []Message{table, set(nest(3, be(0x200)))}, "s[]{} OPAQUE flags 0x200 are not known"},
		{"an attribute of a set", []Message{table, set(nest(23, be(0)))}, "OPAQUE attribute 23 is not known"},
		{"a flag of an element", []Message{table, set(), elems(nest(1, value(1, 1, 2, 3, 4), nest(3, be(4))))}, "s[32]{} OPAQUE element 1: flags 0x4 are not known"},
		{"a key of another length", []Message{table, set(), elems(nest(1, value(1, 1, 2, 3)))}, "OPAQUE element 1: key: attribute 1 has 3 bytes instead of 4"},
		{"an expression in an element", []Message{table, set(), elems(nest(1, value(1, 1, 2, 3, 4), nest(7, nest(1, str("mirror")), nest(2))))}, `UNDECODED`},
		{"elements of no set", []Message{table, elems()}, `their set inet t "s" is not there`},
		{"a prefix of devices", []Message{table, chain(hook(5, nest(4, nest(2, str("l")))), nest(7, str("filter")))}, "chain c filter ingress 0 accept lo,l*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := show(Decode(&Dump{Messages: c.messages}, hostInterfaces())); !strings.Contains(got, c.want) {
				t.Errorf("got\n%s\nwant in it: %s", got, c.want)
			}
		})
	}
}
