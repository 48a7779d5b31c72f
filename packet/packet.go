package packet

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Packet is a concrete packet, or a part of one: what is not given is free. The
// zero Packet leaves everything free. String and [ParsePacket] are inverse.
type Packet struct {
	Src, Dst netip.Addr // zero: free
	In, Out  string     // names of interfaces; empty: free

	scalars  [CtMark + 1]pinned // by Field; the interfaces' are not used
	extras   []extraValue       // by name and width
	unknowns []unknownValue     // by key
}

// pinned says which bits of a field are given. Only the two bytes of SrcPort,
// ICMP type and code, are ever given apart.
type pinned struct{ value, mask uint32 }

type extraValue struct {
	name  string
	width int
	value u128
}

type unknownValue struct {
	key   string
	holds bool
}

// scalarBits returns the width of the fields that a Packet keeps as numbers.
func scalarBits(f Field) int {
	switch f {
	case Protocol, TCPFlags:
		return 8
	case DstPort, SrcPort, Status, Fragment:
		return 16
	case State:
		return 3
	case SrcType, DstType:
		return 4
	case Mark, CtMark:
		return 32
	}
	return 0
}

// With returns p with the number v in field f. It panics if v does not fit, or
// if f is an address, an interface or an Extra field.
func (p Packet) With(f Field, v uint64) Packet {
	width := scalarBits(f)
	if width == 0 || v>>width != 0 {
		panic(fmt.Sprintf("packet: With(%d, %d): no such field, or it is too narrow", f, v))
	}
	p.scalars[f] = pinned{uint32(v), uint32(ones(width).lo)}
	return p
}

// Get returns the number in field f, if all of it is given.
func (p Packet) Get(f Field) (v uint64, ok bool) {
	width := scalarBits(f)
	if width == 0 || p.scalars[f].mask != uint32(ones(width).lo) {
		return 0, false
	}
	return uint64(p.scalars[f].value), true
}

// WithExtra returns p with a value for an Extra field: a big-endian number of
// width bits, right-aligned in ceil(width/8) bytes.
func (p Packet) WithExtra(name string, width int, value []byte) Packet {
	if width < 1 || width > 128 || len(value) != (width+7)/8 || ones(width).less(bigEndian(value)) {
		panic(fmt.Sprintf("packet: WithExtra(%q): %d bytes are not a number of %d bits, at most 128", name, len(value), width))
	}
	return p.withExtra(extraValue{name, width, bigEndian(value)})
}

func (p Packet) withExtra(x extraValue) Packet {
	i, found := slices.BinarySearchFunc(p.extras, x, func(a, b extraValue) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.width, b.width))
	})
	p.extras = slices.Clone(p.extras)
	if found {
		p.extras[i] = x
	} else {
		p.extras = slices.Insert(p.extras, i, x)
	}
	return p
}

// WithUnknown returns p with an outcome for an Unknown boolean.
func (p Packet) WithUnknown(key string, holds bool) Packet {
	u := unknownValue{key, holds}
	i, found := slices.BinarySearchFunc(p.unknowns, u, func(a, b unknownValue) int { return cmp.Compare(a.key, b.key) })
	p.unknowns = slices.Clone(p.unknowns)
	if found {
		p.unknowns[i] = u
	} else {
		p.unknowns = slices.Insert(p.unknowns, i, u)
	}
	return p
}

// Equal tells whether both packets give the same parts the same values.
func (p Packet) Equal(q Packet) bool {
	return p.Src == q.Src && p.Dst == q.Dst && p.In == q.In && p.Out == q.Out && p.scalars == q.scalars &&
		slices.Equal(p.extras, q.extras) && slices.Equal(p.unknowns, q.unknowns)
}

// Fits tells whether a space has packets like p at all, and if not, why: an
// address of the other family, an interface the space has no name for, or a
// number that the field cannot have.
func (sp *Space) Fits(p Packet) error {
	for _, a := range [...]netip.Addr{p.Src, p.Dst} {
		if _, ok := sp.number(a); a.IsValid() && !ok {
			return fmt.Errorf("packet %s: %s is not an %s address", p, a, sp.family)
		}
	}
	for _, name := range [...]string{p.In, p.Out} {
		if _, ok := sp.ifindex[name]; name != "" && !ok {
			return fmt.Errorf("packet %s: unknown interface %q%s", p, name, nearest(name, sp.ifnames))
		}
	}
	if v := p.scalars[State].value; v >= uint32(len(stateNames)) {
		return fmt.Errorf("packet %s: there is no conntrack state %d", p, v)
	}
	for _, f := range [...]Field{SrcType, DstType} {
		if v := p.scalars[f].value; v >= addressTypes {
			return fmt.Errorf("packet %s: there is no address type %d", p, v)
		}
	}
	return nil
}

// pin is what a packet gives of one field of a space.
type pin struct{ value, mask u128 }

// pins is what a packet gives of every field of a space.
type pins struct {
	fixed [numFixed]pin
	more  map[Field]pin // extra fields and unknowns
}

func (x *pins) of(f Field) pin {
	if f < numFixed {
		return x.fixed[f]
	}
	return x.more[f]
}

// pins stores what a fitting packet gives in out, which is empty; create makes the extra fields and
// unknowns that the space does not have yet.
func (sp *Space) pins(p *Packet, create bool, out *pins) {
	for f, x := range p.scalars {
		out.fixed[f] = pin{u128{0, uint64(x.value)}, u128{0, uint64(x.mask)}}
	}
	sp.pinName(&out.fixed[InInterface], p.In)
	sp.pinName(&out.fixed[OutInterface], p.Out)
	sp.pinAddress(&out.fixed[Src], p.Src)
	sp.pinAddress(&out.fixed[Dst], p.Dst)
	if len(p.extras)+len(p.unknowns) > 0 {
		out.more = map[Field]pin{}
	}
	for _, x := range p.extras {
		f, ok := sp.extras[extraKey{x.name, x.width}]
		if !ok && create {
			f, ok = sp.Extra(x.name, x.width), true
		}
		if ok {
			out.more[f] = pin{x.value, ones(x.width)}
		}
	}
	for _, u := range p.unknowns {
		if create {
			sp.Unknown(u.key)
		}
		if f, ok := sp.unknowns[u.key]; ok {
			x := pin{mask: ones(1)}
			if u.holds {
				x.value = ones(1)
			}
			out.more[f] = x
		}
	}
}

func (sp *Space) pinName(x *pin, name string) {
	if name != "" {
		*x = pin{u128{0, uint64(sp.ifindex[name])}, ones(sp.fields[InInterface].width)}
	}
}

func (sp *Space) pinAddress(x *pin, a netip.Addr) {
	if n, ok := sp.number(a); ok {
		*x = pin{n, ones(sp.family.addressBits())}
	}
}

// Point returns the packets that are like p in all that p gives; none if p does
// not fit the space (see [Space.Fits]).
func (sp *Space) Point(p Packet) Set {
	if sp.Fits(p) != nil {
		return sp.None()
	}
	r := one
	var pins pins
	sp.pins(&p, true, &pins)
	for _, f := range sp.descending() {
		x := pins.of(f)
		r = sp.graph.and(sp.masked(f, x.value, x.mask), r)
	}
	return Set{sp, r}
}

// descending returns all fields and unknowns, those tested last first.
func (sp *Space) descending() []Field {
	fs := make([]Field, len(sp.fields))
	for f := range fs {
		fs[f] = Field(f)
	}
	slices.SortFunc(fs, func(a, b Field) int { return cmp.Compare(sp.fields[b].first, sp.fields[a].first) })
	return fs
}

// Contains tells whether every packet that is like p in all that p gives is in
// s. It is false if p does not fit the space (see [Space.Fits]). It makes no
// nodes.
func (s Set) Contains(p Packet) bool {
	if s.sp.Fits(p) != nil {
		return false
	}
	c := completion{sp: s.sp}
	s.sp.pins(&p, false, &c.pins)
	return !c.exists(s.f^1, s.sp.valid)
}

// completion searches for a packet that has what the pins give.
type completion struct {
	sp   *Space
	pins pins
	memo map[[2]ref]bool
}

// exists tells whether some completion is in both f and care.
func (c *completion) exists(f, care ref) bool {
	g := &c.sp.graph
	for f != zero && care != zero {
		if f == one && care == one {
			return true
		}
		l := min(g.level(f), g.level(care))
		field, i := c.sp.owner(l)
		v := c.sp.fields[field]
		if last := v.first + level(v.width-1); g.level(f) > last {
			// f does not depend on this field: any of its valid values will do, and
			// they all lead to the same conditions on later fields.
			for g.level(care) <= last {
				lo, hi := g.cofactors(care, g.level(care))
				if care = lo; lo == zero {
					care = hi
				}
			}
			continue
		}
		x, bit := c.pins.of(field), v.width-1-i
		f0, f1 := g.cofactors(f, l)
		care0, care1 := g.cofactors(care, l)
		switch {
		case !x.mask.bit(bit):
			key := [2]ref{f, care}
			if r, ok := c.memo[key]; ok {
				return r
			}
			if c.memo == nil {
				c.memo = map[[2]ref]bool{}
			}
			r := c.exists(f1, care1) || c.exists(f0, care0)
			c.memo[key] = r
			return r
		case x.value.bit(bit):
			f, care = f1, care1
		default:
			f, care = f0, care0
		}
	}
	return false
}

// String writes the packet in the language of [ParsePacket].
func (p Packet) String() string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	protocol, known := p.Get(Protocol)
	if known {
		if name := nameOf(protocolNames, uint32(protocol)); name[0] >= 'a' {
			add("%s", name)
		} else {
			add("proto %s", name)
		}
	}
	ports := !known || hasPorts(uint32(protocol))
	sport, hasSport := p.Get(SrcPort)
	dport, hasDport := p.Get(DstPort)
	if p.Src.IsValid() || p.Dst.IsValid() || ports && (hasSport || hasDport) {
		add("%s -> %s", endpoint(p.Src, sport, hasSport && ports), endpoint(p.Dst, dport, hasDport && ports))
	}
	if !ports {
		p.addTransport(add, uint32(protocol))
	} else if !hasSport {
		p.addType(add, nil)
	}
	p.addRest(add)
	return strings.Join(out, " ")
}

func endpoint(a netip.Addr, port uint64, hasPort bool) string {
	host := "*"
	if a.IsValid() {
		host = a.WithZone("").String()
		if a.Is6() && hasPort {
			host = "[" + host + "]"
		}
	}
	if hasPort {
		host += ":" + strconv.FormatUint(port, 10)
	}
	return host
}

// addTransport writes the first four bytes of a transport header without ports.
func (p Packet) addTransport(add func(string, ...any), protocol uint32) {
	if v, ok := p.Get(SrcPort); ok && !isICMP(protocol) {
		add("sport %d", v)
	} else {
		p.addType(add, typeNames(protocol))
	}
	if v, ok := p.Get(DstPort); ok {
		add("dport %d", v)
	}
}

func (p Packet) addType(add func(string, ...any), names []named) {
	if x := p.scalars[SrcPort]; x.mask&0xff00 != 0 {
		add("type %s", nameOf(names, x.value>>8))
	}
	if x := p.scalars[SrcPort]; x.mask&0xff != 0 {
		add("code %d", x.value&0xff)
	}
}

func (p Packet) addRest(add func(string, ...any)) {
	if p.In != "" {
		add("in %s", word(p.In))
	}
	if p.Out != "" {
		add("out %s", word(p.Out))
	}
	texts := []struct {
		f    Field
		text func(v uint32) string
	}{
		{State, func(v uint32) string {
			if _, ok := numberOf(stateNames, nameOf(stateNames, v)); !ok {
				return fmt.Sprintf("state %d", v)
			}
			return nameOf(stateNames, v)
		}},
		{Status, func(v uint32) string { return "status " + bitList(statusNames, v) }},
		{TCPFlags, func(v uint32) string { return "flags " + bitList(flagNames, v) }},
		{Fragment, func(v uint32) string { return fmt.Sprintf("frag 0x%04x", v) }},
		{SrcType, func(v uint32) string { return "srctype " + nameOf(addressTypeNames, v) }},
		{DstType, func(v uint32) string { return "dsttype " + nameOf(addressTypeNames, v) }},
		{Mark, func(v uint32) string { return fmt.Sprintf("mark 0x%x", v) }},
		{CtMark, func(v uint32) string { return fmt.Sprintf("ctmark 0x%x", v) }},
	}
	for _, t := range texts {
		if v, ok := p.Get(t.f); ok {
			add("%s", t.text(uint32(v)))
		}
	}
	for _, x := range p.extras {
		add("with %s/%d %s", strconv.Quote(x.name), x.width, x.value.hex())
	}
	for _, u := range p.unknowns {
		if u.holds {
			add("if %s", strconv.Quote(u.key))
		} else {
			add("unless %s", strconv.Quote(u.key))
		}
	}
}

// word quotes a name that would not be read back as it is.
func word(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r >= 0x7f }) {
		return strconv.Quote(name)
	}
	return name
}

// hex is "0x" and the number without leading zeros.
func (a u128) hex() string {
	if a.hi == 0 {
		return fmt.Sprintf("0x%x", a.lo)
	}
	return fmt.Sprintf("0x%x%016x", a.hi, a.lo)
}
