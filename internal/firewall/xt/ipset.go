package xt

import (
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/firewall"
)

// IPSet is an ipset, as a `set` match refers to it.
type IPSet struct {
	Name string
	// Type is the kernel's name: "hash:ip,port", "list:set".
	Type string
	// Family is IPv4 or IPv6, or 0 for types that have none.
	Family firewall.Family
	// Set holds the elements; its fields are those of the type's parts in order,
	// with two (protocol, port) for each "port". Nil for list:set.
	Set *firewall.Set
	// Members are the sets of a list:set, in order.
	Members []*IPSet
	// MarkMask is what hash:ip,mark takes of a packet's mark.
	MarkMask uint32

	// derived are other views of Set, which change when it does.
	derived map[string]*firewall.Set
}

// learn notes that rules add to the set, or delete from it.
func (s *IPSet) learn() {
	for _, m := range s.Members {
		if m != s {
			m.learn()
		}
	}
	sets := []*firewall.Set{s.Set}
	for _, d := range s.derived {
		sets = append(sets, d)
	}
	for _, set := range sets {
		if set != nil {
			// What the rules change is not known, however little was known before.
			set.Learns, set.Opaque = true, ""
		}
	}
}

// view returns a set derived from s, made once.
func (s *IPSet) view(key string, derive func(*firewall.Set) *firewall.Set) *firewall.Set {
	if v, ok := s.derived[key]; ok {
		return v
	}
	if s.derived == nil {
		s.derived = make(map[string]*firewall.Set)
	}
	v := derive(s.Set)
	v.Learns = v.Learns || s.Set.Learns
	s.derived[key] = v
	return v
}

// Parts returns the parts of the elements of a type, in order: "ip", "net",
// "port", "mac", "iface", "mark", "set".
func (s *IPSet) Parts() []string {
	_, parts, _ := strings.Cut(s.Type, ":")
	return strings.Split(parts, ",")
}

// PartFields returns the widths of the fields that a part takes in the set.
func (s *IPSet) PartFields(part string) ([]int, error) {
	switch part {
	case "ip", "net":
		if s.Family == firewall.IPv6 {
			return []int{128}, nil
		}
		return []int{32}, nil
	case "port":
		if s.Type == "bitmap:port" {
			return []int{16}, nil
		}
		return []int{8, 16}, nil
	case "mac":
		return []int{48}, nil
	case "iface":
		return []int{128}, nil
	case "mark":
		return []int{32}, nil
	}
	return nil, fmt.Errorf("elements with a part %q are not known", part)
}

// setMatch is what a set match asks for.
type setMatch struct {
	// dirs are its directions, true for src.
	dirs          []bool
	returnNomatch bool
}

func (a *args) directions(s string) []bool {
	var dirs []bool
	for w := range strings.SplitSeq(s, ",") {
		switch w {
		case "src", "dst":
			dirs = append(dirs, w == "src")
		default:
			a.fail("%q is neither src nor dst", w)
		}
	}
	if len(dirs) > 6 {
		a.fail("more than six directions")
	}
	return dirs
}

// setNamed returns the set of that name; where nothing is known of it, as in
// text, a set whose contents are not known takes its place.
func (c *Context) setNamed(name string) *IPSet {
	if s, ok := c.ByName[name]; ok {
		return s
	}
	if c.ByName == nil {
		c.ByName = make(map[string]*IPSet)
	}
	s := &IPSet{Name: name, Set: &firewall.Set{Name: name, Opaque: "its contents are not in this file"}}
	c.ByName[name] = s
	return s
}

// in holds where the packet is in the set, as ip_set_test in ip_set_core.c says:
// a set of another family, or with more parts than there are directions, holds
// nothing.
func (m setMatch) in(a *args, s *IPSet) firewall.Cond {
	if s.Set != nil && s.Set.Opaque != "" {
		return m.unknown(s)
	}
	if s.Family != 0 && s.Family != a.c.Family {
		return firewall.Const(false)
	}
	if s.Type == "list:set" {
		var or []firewall.Cond
		for _, member := range s.Members {
			or = append(or, m.in(a, member))
		}
		return either(or...)
	}
	parts := s.Parts()
	if len(m.dirs) < len(parts) {
		return firewall.Const(false)
	}
	set := s.Set
	if m.returnNomatch && hasNomatch(s.Type) {
		set = s.view("return-nomatch", swapNomatch)
	}
	return m.lookup(a, s, set, parts)
}

// unknown is the look-up in a set whose contents are not known: one unknown for
// each way to ask.
func (m setMatch) unknown(s *IPSet) firewall.Cond {
	way := directionText(m.dirs)
	if m.returnNomatch {
		way += " --return-nomatch"
	}
	return firewall.Lookup{Set: s.view(way, func(set *firewall.Set) *firewall.Set {
		return &firewall.Set{Name: set.Name + " by " + way, Opaque: set.Opaque}
	})}
}

func directionText(dirs []bool) string {
	words := make([]string, len(dirs))
	for i, src := range dirs {
		words[i] = "dst"
		if src {
			words[i] = "src"
		}
	}
	return strings.Join(words, ",")
}

// hasNomatch reports whether elements of the type can be marked nomatch: those
// with networks.
func hasNomatch(typ string) bool {
	return strings.HasPrefix(typ, "hash:") && strings.Contains(typ, "net")
}

// swapNomatch gives the set of packets that a nomatch element decides about.
func swapNomatch(s *firewall.Set) *firewall.Set {
	t := *s
	t.Elems = slices.Clone(s.Elems)
	for i := range t.Elems {
		t.Elems[i].Negate = !t.Elems[i].Negate
	}
	return &t
}

// portSort is how the port of a packet is found, which depends on its protocol
// (ip_set_getport.c).
type portSort uint8

const (
	ports   portSort = iota // TCP, UDP, UDP-Lite, SCTP
	icmps                   // type and code
	noPorts                 // any other: 0
)

func portSortOf(proto byte) portSort {
	switch proto {
	case 6, 17, 132, 136:
		return ports
	case 1, 58:
		return icmps
	}
	return noPorts
}

// lookup asks for the key of the packet in the set.
func (m setMatch) lookup(a *args, s *IPSet, set *firewall.Set, parts []string) firewall.Cond {
	port := slices.Index(parts, "port")
	if port < 0 {
		return firewall.Total{Of: m.look(a, s, set, parts, noPorts)}
	}
	proto := a.c.value(firewall.FieldL4Proto, 0, 0, 8)
	if s.Type == "bitmap:port" { // TCP and UDP alone
		which := firewall.Compare{Value: proto, In: []firewall.Interval{interval(6, 6, 8), interval(17, 17, 8)}}
		return firewall.Total{Of: all(which, header(portBits), m.look(a, s, set, parts, ports))}
	}
	have := [3]bool{true, true, true}
	if !a.c.changedBy("SET") {
		have = elementSorts(set, port) // the parts before it have one field each
	}
	var or []firewall.Cond
	if have[ports] {
		which := firewall.Compare{Value: proto}
		for _, p := range []uint64{6, 17, 132, 136} {
			which.In = append(which.In, interval(p, p, 8))
		}
		or = append(or, all(which, header(portBits), m.look(a, s, set, parts, ports)))
	}
	if have[icmps] {
		which := firewall.Compare{Value: proto, In: []firewall.Interval{interval(1, 1, 8), interval(58, 58, 8)}}
		or = append(or, all(which, header(portBits), m.look(a, s, set, parts, icmps)))
	}
	if have[noPorts] {
		which := firewall.Not{Of: firewall.Compare{Value: proto, In: []firewall.Interval{
			interval(1, 1, 8), interval(6, 6, 8), interval(17, 17, 8), interval(58, 58, 8), interval(132, 132, 8), interval(136, 136, 8),
		}}}
		var whole firewall.Cond
		if a.c.Family == firewall.IPv6 {
			whole = header(0) // no later fragments
		}
		or = append(or, all(which, whole, m.look(a, s, set, parts, noPorts)))
	}
	return firewall.Total{Of: either(or...)}
}

// elementSorts says which sorts of protocols the elements have.
func elementSorts(set *firewall.Set, field int) [3]bool {
	var have [3]bool
	for _, e := range set.Elems {
		for p := int(e.Key[field].Lo[0]); p <= int(e.Key[field].Hi[0]); p++ {
			have[portSortOf(byte(p))] = true
		}
	}
	return have
}

// look is the look-up itself for packets of one sort of protocol.
func (m setMatch) look(a *args, s *IPSet, set *firewall.Set, parts []string, sort portSort) firewall.Cond {
	var key []firewall.Value
	var conds []firewall.Cond
	for i, p := range parts {
		src := m.dirs[i]
		switch p {
		case "ip", "net":
			key = append(key, pick(src, a.c.source(), a.c.destination()))
		case "port":
			if s.Type != "bitmap:port" {
				key = append(key, a.c.value(firewall.FieldL4Proto, 0, 0, 8))
			}
			switch sort {
			case ports:
				key = append(key, pick(src, a.c.transport(0, 16), a.c.transport(16, 16)))
			case icmps:
				key = append(key, a.c.transport(0, 16))
			default:
				key = append(key, firewall.Constant([]byte{0, 0}))
			}
		case "mac":
			conds = append(conds, firewall.Present{Header: firewall.FieldLink, Bits: 112})
			mac := pick(src, a.c.value(firewall.FieldLink, 0, 48, 48), a.c.value(firewall.FieldLink, 0, 0, 48))
			zero := make([]byte, 6)
			conds = append(conds, firewall.Not{Of: spanned(mac, zero, zero)})
			key = append(key, mac)
		case "iface":
			key = append(key, pick(src, a.c.value(firewall.FieldIifName, 0, 0, 128), a.c.value(firewall.FieldOifName, 0, 0, 128)))
		case "mark":
			mark := slices.Clone(a.c.value(firewall.FieldMark, 0, 0, 32))
			for b := range mark {
				if s.MarkMask>>(31-b)&1 == 0 {
					mark[b] = firewall.Bit{}
				}
			}
			key = append(key, mark)
		}
	}
	return all(append(conds, firewall.Lookup{Key: key, Set: set})...)
}

func pick(src bool, a, b firewall.Value) firewall.Value {
	if src {
		return a
	}
	return b
}
