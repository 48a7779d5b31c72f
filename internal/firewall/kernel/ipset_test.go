package kernel

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/firewall"
)

// nla makes one attribute.
func nla(typ uint16, parts ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{0, 0}, typ)
	for _, p := range parts {
		b = append(b, p...)
	}
	binary.LittleEndian.PutUint16(b, uint16(len(b)))
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func name(typ uint16, s string) []byte { return nla(typ, []byte(s), []byte{0}) }

func ip4(typ uint16, a, b, c, d byte) []byte {
	return nla(typ|0x8000, nla(1|0x4000, []byte{a, b, c, d}))
}

// listing is a set's message: header and elements.
func listing(set, typ string, family byte, index uint16, head []byte, elems ...[]byte) Message {
	b := name(ipsetName, set)
	b = append(b, name(ipsetType, typ)...)
	b = append(b, nla(ipsetFamily, []byte{family})...)
	b = append(b, nla(ipsetRevision, []byte{1})...)
	b = append(b, nla(ipsetIndex|0x4000, binary.BigEndian.AppendUint16(nil, index))...)
	b = append(b, nla(ipsetData|0x8000, head)...)
	return Message{Type: cmdIPSetList, Data: append(b, elements(elems...)...)}
}

func elements(elems ...[]byte) []byte {
	var adt []byte
	for _, e := range elems {
		adt = append(adt, nla(ipsetData|0x8000, e)...)
	}
	return nla(ipsetElements|0x8000, adt)
}

func cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func key(ends ...[]byte) []firewall.Interval {
	var out []firewall.Interval
	for i := 0; i < len(ends); i += 2 {
		out = append(out, firewall.Interval{Lo: ends[i], Hi: ends[i+1]})
	}
	return out
}

// TestIPSetTypes reads those types that the kernels of tests need not have.
func TestIPSetTypes(t *testing.T) {
	mac := []byte{0, 17, 34, 51, 68, 85}
	port := []byte{0, 80}
	sets := decodeIPSets([]Message{
		listing("mac", "hash:mac", 0, 1, nil, nla(ipsetEther, mac)),
		listing("ipmac", "hash:ip,mac", 2, 2, nil, cat(ip4(ipsetIP, 192, 0, 2, 1), nla(ipsetEther, mac))),
		listing("ipmark", "hash:ip,mark", 2, 3, nla(ipsetMarkMask|0x4000, []byte{0, 0, 0, 0xff}), cat(ip4(ipsetIP, 192, 0, 2, 1), nla(ipsetMark|0x4000, []byte{0, 0, 0, 5}))),
		listing("netnet", "hash:net,net", 2, 4, nil,
			cat(ip4(ipsetIP, 10, 0, 0, 0), nla(ipsetCIDR, []byte{8}), ip4(ipsetIP2, 192, 0, 2, 0), nla(ipsetCIDR2, []byte{24}))),
		listing("netportnet", "hash:net,port,net", 2, 5, nil,
			cat(ip4(ipsetIP, 10, 0, 0, 0), nla(ipsetCIDR, []byte{8}), nla(ipsetPort|0x4000, port), nla(ipsetProto, []byte{6}), ip4(ipsetIP2, 192, 0, 2, 0), nla(ipsetCIDR2, []byte{0}))),
		listing("iface", "hash:net,iface", 2, 6, nil,
			cat(ip4(ipsetIP, 10, 0, 0, 0), nla(ipsetCIDR, []byte{8}), name(ipsetIface, "eth"), nla(ipsetCADT|0x4000, []byte{0, 0, 0, ipsetFlagWildcard}))),
	})
	eth := func(fill byte) []byte {
		b := []byte("eth")
		for len(b) < 16 {
			b = append(b, fill)
		}
		return b
	}
	for _, c := range []struct {
		index  uint16
		fields []int
		want   []firewall.Interval
	}{
		{1, []int{48}, key(mac, mac)},
		{2, []int{32, 48}, key([]byte{192, 0, 2, 1}, []byte{192, 0, 2, 1}, mac, mac)},
		{3, []int{32, 32}, key([]byte{192, 0, 2, 1}, []byte{192, 0, 2, 1}, []byte{0, 0, 0, 5}, []byte{0, 0, 0, 5})},
		{4, []int{32, 32}, key([]byte{10, 0, 0, 0}, []byte{10, 255, 255, 255}, []byte{192, 0, 2, 0}, []byte{192, 0, 2, 255})},
		{5, []int{32, 8, 16, 32}, key([]byte{10, 0, 0, 0}, []byte{10, 255, 255, 255}, []byte{6}, []byte{6}, port, port, []byte{0, 0, 0, 0}, []byte{255, 255, 255, 255})},
		{6, []int{32, 128}, key([]byte{10, 0, 0, 0}, []byte{10, 255, 255, 255}, eth(0), eth(255))},
	} {
		s := sets.byIndex[c.index]
		if s == nil || s.Set.Opaque != "" {
			t.Errorf("set %d: %+v", c.index, s)
			continue
		}
		if diff := cmp.Diff(c.fields, s.Set.Fields); diff != "" {
			t.Errorf("%s: fields %s", s.Name, diff)
		}
		if diff := cmp.Diff([]firewall.Elem{{Key: c.want}}, s.Set.Elems); diff != "" {
			t.Errorf("%s: %s", s.Name, diff)
		}
	}
	if m := sets.byIndex[3].MarkMask; m != 0xff {
		t.Errorf("mark mask %#x", m)
	}
}

// TestIPSetParts: a set comes in several messages, of which later ones have no
// header.
func TestIPSetParts(t *testing.T) {
	sets := decodeIPSets([]Message{
		listing("s", "hash:ip", 2, 7, nil, ip4(ipsetIP, 10, 0, 0, 1)),
		{Type: cmdIPSetList, Data: append(name(ipsetName, "s"), elements(ip4(ipsetIP, 10, 0, 0, 2), ip4(ipsetIP, 10, 0, 0, 3))...)},
		listing("l", "list:set", 0, 8, nil, name(ipsetMember, "s"), name(ipsetMember, "gone")),
	})
	if s := sets.byIndex[7]; len(s.Set.Elems) != 3 || s.Set.Opaque != "" {
		t.Errorf("%+v", s.Set)
	}
	l := sets.byIndex[8]
	if len(l.Members) != 2 || l.Members[0] != sets.byIndex[7] || l.Members[1].Set.Opaque == "" {
		t.Errorf("%+v", l.Members)
	}
}

// TestIPSetUnknown: a set that is not understood in full says why, and is not
// taken for what was understood of it.
func TestIPSetUnknown(t *testing.T) {
	nomatch := nla(ipsetCADT|0x4000, []byte{0, 0, 0, ipsetFlagNomatch})
	for _, c := range []struct {
		msg  Message
		want string
	}{
		{listing("s", "hash:banana", 2, 1, nil), "sets of type hash:banana are not known"},
		{listing("s", "hash:ip", 9, 1, nil), "family 9 is not known"},
		{listing("s", "hash:ip", 2, 1, nil, nla(ipsetIP|0x8000, nla(2, make([]byte, 16)))), "element 1: ip: an address of 16 bytes in a set of family ip"},
		{listing("s", "hash:net", 2, 1, nil, ip4(ipsetIP, 10, 0, 0, 0)), "element 1: net: no prefix length"},
		{listing("s", "hash:net", 2, 1, nil, cat(ip4(ipsetIP, 10, 0, 0, 0), nla(ipsetCIDR, []byte{33}))), "element 1: net: prefix length 33"},
		{listing("s", "hash:ip", 2, 1, nil, cat(ip4(ipsetIP, 10, 0, 0, 0), ip4(ipsetIPTo, 10, 0, 0, 9))), "element 1: a range"},
		{listing("s", "hash:ip", 2, 1, nil, cat(ip4(ipsetIP, 10, 0, 0, 0), nla(ipsetCADT, []byte{0, 0, 1, 0}))), "element 1: flags 0x100 are not known"},
		{listing("s", "hash:net,iface", 2, 1, nil, cat(ip4(ipsetIP, 10, 0, 0, 0), nla(ipsetCADT, []byte{0, 0, 0, ipsetFlagPhysdev}))), "element 1: a bridge port"},
		{listing("s", "bitmap:ip,mac", 2, 1, nil, ip4(ipsetIP, 10, 0, 0, 1)), "element 1: mac: an address that takes the first one that comes"},
		{
			listing("s", "hash:net,net", 2, 1, nil, cat(ip4(ipsetIP, 10, 0, 0, 0), nla(ipsetCIDR, []byte{8}), ip4(ipsetIP2, 10, 0, 0, 0), nla(ipsetCIDR2, []byte{8}), nomatch)),
			"nomatch elements of two networks",
		},
		{listing("s", "hash:ip", 2, 1, nla(ipsetBitmask|0x8000, nla(1, []byte{255, 0, 255, 0}))), "a mask with holes"},
		{Message{Type: cmdIPSetList, Data: append(name(ipsetName, "s"), elements(ip4(ipsetIP, 1, 2, 3, 4))...)}, "elements before the header"},
		{Message{Type: cmdIPSetList, Data: name(ipsetName, "s")}, "its header is not listed"},
		{Message{Type: cmdIPSetList, Data: append(name(ipsetName, "s"), 9, 0, 1)}, "3 stray bytes where an attribute should be"},
	} {
		s := decodeIPSets([]Message{c.msg}).byName["s"]
		if s == nil || s.Set.Opaque != c.want {
			t.Errorf("want %q: %+v", c.want, s)
		}
	}
}

// TestIPSetTwoHeaders: a set that is begun twice is not understood, whatever the
// second beginning says. Its elements would have more or fewer parts than the
// first has fields.
func TestIPSetTwoHeaders(t *testing.T) {
	first := listing("s", "hash:ip", 2, 1, nil, ip4(ipsetIP, 10, 0, 0, 1))
	for _, second := range []Message{first, listing("s", "hash:ip,port", 2, 1, nil)} {
		if s := decodeIPSets([]Message{first, second}).byName["s"]; s.Set.Opaque != "it has two headers" {
			t.Errorf("%+v", s.Set)
		}
	}
}

// FuzzIPSets: no message breaks the reader, and every element of a set that is
// understood has a key for each field.
func FuzzIPSets(f *testing.F) {
	f.Add(listing("a", "hash:ip", 2, 1, nil, ip4(ipsetIP, 10, 0, 0, 1)).Data, name(ipsetName, "a"))
	f.Add(listing("b", "hash:net,iface", 2, 1, nla(ipsetNetmask, []byte{24}),
		cat(ip4(ipsetIP, 10, 0, 0, 0), nla(ipsetCIDR, []byte{8}), name(ipsetIface, "eth0"))).Data, []byte{})
	f.Add(listing("l", "list:set", 0, 2, nil, name(ipsetMember, "l")).Data, []byte{1})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		sets := decodeIPSets([]Message{{Type: cmdIPSetList, Data: a}, {Type: cmdIPSetList, Data: b}})
		for _, s := range sets.byName {
			if s.Set.Opaque != "" {
				continue
			}
			for _, e := range s.Set.Elems {
				if len(e.Key) != len(s.Set.Fields) {
					t.Fatalf("%s: %d parts for %d fields", s.Type, len(e.Key), len(s.Set.Fields))
				}
				for i, iv := range e.Key {
					if len(iv.Lo) != s.Set.Fields[i]/8 || len(iv.Hi) != len(iv.Lo) {
						t.Fatalf("%s: field %d of %d bits has %d bytes", s.Type, i, s.Set.Fields[i], len(iv.Lo))
					}
				}
			}
		}
	})
}
