package xt

import (
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// u32Test is one test of the u32 match: a way to a number, and its ranges.
type u32Test struct {
	start  uint32
	steps  []u32Step
	ranges [][2]uint32
}

// u32Step is an operator and its operand: `&`, `<<`, `>>` or `@`.
type u32Step struct {
	op     string
	number uint32
}

func decodeU32(_ *Context, d *data) []Option {
	count := int(d.u8(1980))
	not := d.boolean(1981, 1)
	if count > 11 {
		d.refuse("%d tests", count)
		return nil
	}
	var tests []string
	for i := range count {
		off := 180 * i
		locations, values := int(d.u8(off+176)), int(d.u8(off+177))
		if locations < 1 || locations > 11 || values > 11 {
			d.refuse("%d locations with %d values", locations, values)
			return nil
		}
		var b strings.Builder
		fmt.Fprintf(&b, "0x%x", d.u32(off))
		for j := 1; j < locations; j++ {
			op := d.u8(off + 8*j + 4)
			if op > 3 {
				d.refuse("operator %d", op)
				return nil
			}
			fmt.Fprintf(&b, "%s0x%x", [...]string{"&", "<<", ">>", "@"}[op], d.u32(off+8*j))
		}
		b.WriteByte('=')
		for j := range values {
			if j > 0 {
				b.WriteByte(',')
			}
			lo, hi := d.u32(off+88+8*j), d.u32(off+92+8*j)
			fmt.Fprintf(&b, "0x%x", lo)
			if lo != hi {
				fmt.Fprintf(&b, ":0x%x", hi)
			}
		}
		tests = append(tests, b.String())
	}
	return []Option{{Name: "u32", Not: not, Values: []string{strings.Join(tests, "&&")}, quoting: quoteAlways}}
}

// u32 evaluates the tests over the bits of the headers (u32_match_it in
// xt_u32.c). Loads from the fixed IP header, and from the transport header
// through the header length, are exact; any other place in the packet gives a
// condition that is not understood.
func u32(a *args) firewall.Cond {
	o, ok := a.get("u32")
	if !ok {
		a.fail("u32 needs --u32")
		return firewall.Const(false)
	}
	var conds []firewall.Cond
	for s := range strings.SplitSeq(strings.Join(strings.Fields(o.Values[0]), ""), "&&") {
		t, err := parseU32(s)
		if err != nil {
			a.fail("u32 test %q: %v", s, err)
			return firewall.Const(false)
		}
		conds = append(conds, firewall.Total{Of: a.u32Test(t, s)})
	}
	return a.unlessChanged(negate(o.Not, all(conds...)), "DSCP", "TOS", "ECN", "TTL", "HL", "TCPMSS", "TCPOPTSTRIP")
}

func parseU32(s string) (u32Test, error) {
	var t u32Test
	place, values, ok := strings.Cut(s, "=")
	if !ok {
		return t, fmt.Errorf("no =")
	}
	op := ""
	for {
		end := strings.IndexAny(place, "&<>@")
		word := place
		if end >= 0 {
			word = place[:end]
		}
		n, err := parseNumber(word)
		if err != nil || n > 0xffffffff {
			return t, fmt.Errorf("%q is not a 32-bit number", word)
		}
		if op == "" {
			t.start = uint32(n)
		} else {
			t.steps = append(t.steps, u32Step{op, uint32(n)})
		}
		if end < 0 {
			break
		}
		place = place[end:]
		switch {
		case strings.HasPrefix(place, "<<"), strings.HasPrefix(place, ">>"):
			op = place[:2]
		case place[0] == '&', place[0] == '@':
			op = place[:1]
		default:
			return t, fmt.Errorf("unknown operator in %q", place)
		}
		place = place[len(op):]
	}
	for v := range strings.SplitSeq(values, ",") {
		from, to, ranged := strings.Cut(v, ":")
		lo, err := parseNumber(from)
		hi := lo
		if err == nil && ranged {
			hi, err = parseNumber(to)
		}
		if err != nil || lo > 0xffffffff || hi > 0xffffffff {
			return t, fmt.Errorf("%q is not a value or range", v)
		}
		t.ranges = append(t.ranges, [2]uint32{uint32(lo), uint32(hi)})
	}
	return t, nil
}

// u32Test is the condition of one test.
func (a *args) u32Test(t u32Test, text string) firewall.Cond {
	unknown := firewall.Undecoded{Text: "-m u32 --u32 " + text}
	inTransport := false
	v, ok := a.u32Load(t.start, false)
	for _, s := range t.steps {
		if !ok {
			return unknown
		}
		if s.number > 31 && (s.op == "<<" || s.op == ">>") {
			return unknown // not defined in C
		}
		switch s.op {
		case "&":
			for i := range v {
				if s.number>>(31-i)&1 == 0 {
					v[i] = firewall.Bit{}
				}
			}
		case "<<":
			v = u32Shift(v, s.number)
		case ">>":
			v = u32ShiftRight(v, s.number)
		default:
			if inTransport || !a.isHeaderLength(v) {
				return unknown
			}
			inTransport = true
			v, ok = a.u32Load(s.number, true)
		}
	}
	if !ok {
		return unknown
	}
	cmp := firewall.Compare{Value: v}
	for _, r := range t.ranges {
		if r[0] <= r[1] {
			cmp.In = append(cmp.In, interval(uint64(r[0]), uint64(r[1]), 32))
		}
	}
	if !inTransport {
		return cmp
	}
	// The kernel reads there in later fragments too, but it is payload then.
	bits := 0
	for _, b := range v {
		if b.Field == firewall.FieldTransport {
			bits = max(bits, int(b.Index)+1)
		}
	}
	there := header(bits)
	return either(all(there, cmp), all(firewall.Not{Of: firewall.Total{Of: there}}, unknown))
}

// u32Load loads four bytes of the IP or transport header.
func (a *args) u32Load(pos uint32, transport bool) (firewall.Value, bool) {
	fixed := uint32(20)
	field := firewall.FieldNetwork
	switch {
	case transport:
		fixed, field = 64, firewall.FieldTransport
	case a.c.Family == firewall.IPv6:
		fixed = 40
	}
	if pos > fixed-4 {
		return nil, false
	}
	return firewall.Whole(field, 0, int(pos)*8, 32), true
}

func u32Shift(v firewall.Value, n uint32) firewall.Value {
	w := make(firewall.Value, len(v))
	copy(w, v[n:])
	return w
}

func u32ShiftRight(v firewall.Value, n uint32) firewall.Value {
	w := make(firewall.Value, len(v))
	copy(w[n:], v)
	return w
}

// isHeaderLength reports whether a value is the length of the IPv4 header in
// bytes: its second four bits, times four.
func (a *args) isHeaderLength(v firewall.Value) bool {
	if a.c.Family != firewall.IPv4 {
		return false
	}
	for i, b := range v {
		want := firewall.Bit{}
		if i >= 26 && i < 30 {
			want = firewall.Bit{Field: firewall.FieldNetwork, Index: uint16(i - 22)}
		}
		if b != want {
			return false
		}
	}
	return true
}
