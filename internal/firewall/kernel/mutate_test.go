package kernel

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"sekimori/internal/firewall"
)

// clone copies a dump deeply.
func clone(d *Dump) *Dump {
	c := *d
	c.Messages = nil
	for _, m := range d.Messages {
		m.Data = bytes.Clone(m.Data)
		c.Messages = append(c.Messages, m)
	}
	return &c
}

// alone returns dumps of one rule each, with all chains and sets of its table.
func alone(d *Dump) []*Dump {
	base := map[string][]Message{}
	name := func(m Message) string { // the table's is the first attribute of all messages
		a, _, _ := next(m.Data)
		return fmt.Sprintf("%d %s", m.Family, a.data)
	}
	for _, m := range d.Messages {
		if m.Type != msgNewRule {
			base[name(m)] = append(base[name(m)], m)
		}
	}
	var out []*Dump
	for _, m := range d.Messages {
		if m.Type == msgNewRule {
			b := base[name(m)]
			out = append(out, clone(&Dump{Messages: append(b[:len(b):len(b)], m)}))
		}
	}
	return out
}

// rule returns the message of the only rule of a dump.
func (d *Dump) rule() *Message { return &d.Messages[len(d.Messages)-1] }

// TestNothingVanishes gives each expression of the recorded rulesets, one by one,
// an attribute that does not exist. The rule must then say so.
func TestNothingVanishes(t *testing.T) {
	for _, file := range recorded(t, "*/*.json") {
		for _, d := range alone(readDump(t, file)) {
			m := d.rule()
			whole := m.Data
			xs, err := expressions(rawExpressions(t, *m))
			if err != nil {
				t.Fatal(err)
			}
			m.Data = bytes.Clone(whole)
			for i, x := range xs {
				before := opaque(Decode(d, hostInterfaces()))
				m.Data = withUnknownAttribute(t, Message{Data: whole}, i)
				if opaque(Decode(d, hostInterfaces())) <= before {
					t.Errorf("%s: an unknown attribute of expression %d (%s) vanished:\n%s", file, i, x.name, show(Decode(d, hostInterfaces())))
				}
				m.Data = whole
			}
		}
	}
}

func opaque(rs *firewall.Ruleset) int {
	n := strings.Count(show(rs), "OPAQUE") + strings.Count(show(rs), "UNDECODED")
	for text := range strings.SplitSeq(show(rs), "\n") {
		n += strings.Count(text, "is not known]")
	}
	return n
}

func rawExpressions(t *testing.T, m Message) []byte {
	t.Helper()
	var a attrs
	if err := a.parse(m.Data, known(1<<12-2)); err != nil {
		t.Fatal(err)
	}
	return a[ruleAttrExpressions]
}

// withUnknownAttribute rebuilds a rule with attribute 23 added to one expression.
func withUnknownAttribute(t *testing.T, m Message, n int) []byte {
	xs, err := expressions(rawExpressions(t, m))
	if err != nil {
		t.Fatal(err)
	}
	var list [][]byte
	for i, x := range xs {
		data := x.data
		if i == n {
			data = append(bytes.Clone(data), nest(23, be(0))...)
		}
		list = append(list, nest(1, nest(1, str(x.name)), nest(2, data)))
	}
	var out []byte
	rest := m.Data
	for len(rest) > 0 {
		a, r, err := next(rest)
		if err != nil {
			t.Fatal(err)
		}
		if a.typ == ruleAttrExpressions {
			out = append(out, nest(a.typ, list...)...)
		} else {
			out = append(out, nest(a.typ, a.data)...)
		}
		rest = r
	}
	return out
}

// TestFlippedBytes flips a bit in each byte of each expression. A changed rule has
// to be decoded differently, or to be opaque: except where the byte means nothing.
func TestFlippedBytes(t *testing.T) {
	for _, file := range recorded(t, "nft/*.json") {
		flips := 0
		for _, d := range alone(readDump(t, file)) {
			before := show(Decode(d, hostInterfaces()))
			xs, err := expressions(rawExpressions(t, *d.rule()))
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range xs {
				meaning := canonical(x.name, x.data)
				for j := range x.data {
					x.data[j] ^= 0x40 // in the message itself
					if changed := canonical(x.name, x.data); changed != meaning && !harmless(x.name, meaning, changed) {
						flips++
						if show(Decode(d, hostInterfaces())) == before {
							t.Errorf("%s: %s\n%s\nchanged to\n%s\nis the same:\n%s", file, x.name, meaning, changed, before)
						}
					}
					x.data[j] ^= 0x40
				}
			}
		}
		if flips == 0 {
			t.Errorf("%s: nothing to flip", file)
		}
	}
}

// canonical prints attributes without what means nothing: padding, and the bits of
// a type that say how it is encoded.
func canonical(name string, b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		a, rest, err := next(b)
		if err != nil {
			fmt.Fprintf(&out, "rest %x", b)
			break
		}
		switch {
		case isNested(name, a.typ):
			fmt.Fprintf(&out, "%d{%s} ", a.typ, canonical("data", a.data))
		default:
			fmt.Fprintf(&out, "%d=%x ", a.typ, a.data)
		}
		b = rest
	}
	return out.String()
}

func isNested(name string, typ uint16) bool {
	switch name {
	case "data":
		return typ == 2 // a verdict
	case "cmp":
		return typ == 3
	case "immediate":
		return typ == 2
	case "range":
		return typ == 3 || typ == 4
	case "bitwise":
		return typ == 4 || typ == 5 || typ == 7
	}
	return false
}

// oneByteMask matches the mask of a bitwise expression that leaves one byte.
var oneByteMask = regexp.MustCompile(` 4\{1=([0-9a-f]{2})000000 `)

// harmless reports whether two sets of attributes mean the same though they differ.
func harmless(name, a, b string) bool {
	fields := func(s string) map[string]string {
		m := map[string]string{}
		for f := range strings.FieldsSeq(s) {
			k, v, _ := strings.Cut(f, "=")
			m[k] = v
		}
		return m
	}
	if m := oneByteMask.FindStringSubmatch(a); name == "bitwise" && m != nil && strings.Contains(b, " 4{1="+m[1]) {
		return true // a mask over the zeros behind a single byte
	}
	x, y := fields(a), fields(b)
	without := map[string][]string{
		"lookup":  {"4"},                // the id of a set in a transaction
		"objref":  {"5"},                // likewise
		"dynset":  {"2", "7", "8"},      // likewise; the first of expressions, which are listed as well; padding
		"payload": {"6", "7", "8"},      // the checksum that a write mends
		"counter": {"1", "2", "3"},      // numbers counted
		"quota":   {"3", "4"},           // what has been used up, padding
		"limit":   {"6"},                // padding
		"exthdr":  {"3"},                // the place in an option of which only the presence counts
		"log":     {"5"},                // a level that has no name
		"nat":     {"7"}, "masq": {"1"}, // flags that the kernel sets itself
		"redir": {"3"},
	}[name]
	for _, k := range without {
		delete(x, k)
		delete(y, k)
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

// TestRandomDamage damages dumps anywhere; nothing may panic, and no rule's chain
// may lose a rule.
func TestRandomDamage(t *testing.T) {
	for _, file := range recorded(t, "*/*.json") {
		d := readDump(t, file)
		rng := rand.New(rand.NewPCG(1, 2))
		whole := rules(Decode(d, hostInterfaces()))
		for range 200 {
			c := clone(d)
			m := &c.Messages[rng.IntN(len(c.Messages))]
			switch k := rng.IntN(len(m.Data)); rng.IntN(3) {
			case 0:
				m.Data[k] ^= byte(1 + rng.IntN(255))
			case 1:
				m.Data = m.Data[:k]
			case 2:
				m.Data = append(m.Data, make([]byte, 1+rng.IntN(8))...)
			}
			rs := Decode(c, hostInterfaces())
			if rules(rs)+len(rs.Obstacles) < whole && !chainLost(rs) {
				t.Fatalf("%s: a rule vanished", file)
			}
		}
	}
}

// chainLost reports whether a table or chain could not be read, and with it all of
// its rules: each of them is an obstacle then, or the table is.
func chainLost(rs *firewall.Ruleset) bool {
	for _, o := range rs.Obstacles {
		if strings.Contains(o.What, "table (") || strings.Contains(o.What, "chain (") {
			return true
		}
	}
	return false
}

func rules(rs *firewall.Ruleset) int {
	n := 0
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			n += len(c.Rules)
		}
	}
	return n
}
