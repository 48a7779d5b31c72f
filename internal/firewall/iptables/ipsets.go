package iptables

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/xt"
	"sekimori/packet"
)

// setText is an ipset to be.
type setText struct {
	name, list string
	prefixes   []netip.Prefix
}

// maxSetName is what the kernel takes (IPSET_MAXNAMELEN without its end), less the
// name of the set that a new one is made under.
const maxSetName = 31 - len(".new")

// set returns the name of the ipset of a list, made once.
func (w *writer) set(list string, ranges []packet.AddrRange) string {
	for _, s := range w.sets {
		if s.list == list {
			return s.name
		}
	}
	family := ".4"
	if w.v6() {
		family = ".6"
	}
	s := setText{name: prefix + list + family, list: list}
	if len(s.name) > maxSetName {
		s.name = fmt.Sprintf("%slist-%d%s", prefix, len(w.sets)+1, family)
	}
	for _, r := range ranges {
		s.prefixes = append(s.prefixes, prefixes(r)...)
	}
	w.sets = append(w.sets, s)
	return s.name
}

// setsText is what `ipset restore` takes: each set is filled under another name and
// then swapped in, so that it is never empty.
func (w *writer) setsText() []byte {
	var b bytes.Buffer
	family := "inet"
	if w.v6() {
		family = "inet6"
	}
	fmt.Fprintf(&b, "# ipset restore, written by sekimori; load it before sekimori.%s\n", w.target())
	for _, s := range w.sets {
		size := 65536
		for size < len(s.prefixes)+1 {
			size *= 2
		}
		for _, name := range []string{s.name, s.name + ".new"} {
			fmt.Fprintf(&b, "create -exist %s hash:net family %s maxelem %d\n", name, family, size)
		}
		fmt.Fprintf(&b, "flush %s.new\n", s.name)
		for _, p := range s.prefixes {
			halves := []netip.Prefix{p}
			if p.Bits() == 0 { // hash:net has no prefix of no bits
				lo := netip.PrefixFrom(p.Addr(), 1)
				halves = []netip.Prefix{lo, netip.PrefixFrom(lastOf(lo).Next(), 1)}
			}
			for _, h := range halves {
				fmt.Fprintf(&b, "add %s.new %s\n", s.name, h)
			}
		}
		fmt.Fprintf(&b, "swap %s.new %s\ndestroy %s.new\n", s.name, s.name, s.name)
	}
	return b.Bytes()
}

// ParseSets reads a text for `ipset restore` with sets of networks (hash:net), the
// only type that Write makes. Anything else is an error, an [Errors].
func ParseSets(src []byte) (map[string]*xt.IPSet, error) {
	r := &setReader{sets: map[string]*xt.IPSet{}}
	for i, line := range strings.Split(string(src), "\n") {
		if f := strings.Fields(line); len(f) > 0 && f[0][0] != '#' {
			r.number = i + 1
			r.command(f)
		}
		if len(r.errs) >= maxErrors {
			break
		}
	}
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	return r.sets, nil
}

type setReader struct {
	sets   map[string]*xt.IPSet
	number int
	errs   Errors
}

func (r *setReader) fail(format string, args ...any) {
	r.errs = append(r.errs, &Error{Line: r.number, Message: fmt.Sprintf(format, args...)})
}

func (r *setReader) command(f []string) {
	if n := map[string]int{"flush": 2, "destroy": 2, "swap": 3}[f[0]]; n > 0 && len(f) != n {
		r.fail("%s with %d words behind it", f[0], len(f)-1)
		return
	}
	named := func(i int) *xt.IPSet {
		if i >= len(f) || r.sets[f[i]] == nil {
			r.fail("%s of a set that was not created", f[0])
			return nil
		}
		return r.sets[f[i]]
	}
	switch f[0] {
	case "create":
		r.create(slices.DeleteFunc(f[1:], func(s string) bool { return s == "-exist" }))
	case "add":
		if s := named(1); s != nil {
			r.add(s, f[2:])
		}
	case "flush":
		if s := named(1); s != nil {
			s.Set.Elems = nil
		}
	case "swap":
		a, b := named(1), named(2)
		if a == nil || b == nil || a.Family != b.Family {
			r.fail("swap needs two sets of one sort")
			return
		}
		a.Set.Elems, b.Set.Elems = b.Set.Elems, a.Set.Elems
	case "destroy":
		if named(1) != nil {
			delete(r.sets, f[1])
		}
	default:
		r.fail("%q is not understood", short(f[0]))
	}
}

// create reads NAME hash:net family inet|inet6 maxelem N. A set that exists stays
// as it is, if it is the same.
func (r *setReader) create(f []string) {
	family := firewall.IPv4
	bits := 32
	if len(f) != 6 || f[1] != "hash:net" || f[2] != "family" || f[4] != "maxelem" {
		r.fail("only `create NAME hash:net family inet|inet6 maxelem N` is understood")
		return
	}
	switch f[3] {
	case "inet":
	case "inet6":
		family, bits = firewall.IPv6, 128
	default:
		r.fail("family %q", short(f[3]))
		return
	}
	if s := r.sets[f[0]]; s != nil {
		if s.Family != family {
			r.fail("set %s exists and is of the other family", f[0])
		}
		return
	}
	r.sets[f[0]] = &xt.IPSet{
		Name: f[0], Type: "hash:net", Family: family,
		Set: &firewall.Set{Name: f[0], Fields: []int{bits}},
	}
}

func (r *setReader) add(s *xt.IPSet, f []string) {
	if len(f) != 1 {
		r.fail("an element is one network")
		return
	}
	p, err := netip.ParsePrefix(f[0])
	if a, err2 := netip.ParseAddr(f[0]); err2 == nil {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	if err != nil || p.Bits() == 0 || p.Addr().Is6() != (s.Family == firewall.IPv6) || p.Addr().Is4In6() || p.Addr().Zone() != "" {
		r.fail("%q is not a network of the family", short(f[0]))
		return
	}
	p = p.Masked()
	s.Set.Elems = append(s.Set.Elems, firewall.Elem{Key: []firewall.Interval{{Lo: p.Addr().AsSlice(), Hi: lastOf(p).AsSlice()}}})
}
