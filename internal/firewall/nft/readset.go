package nft

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
)

// bitsOf returns the width of the keys of a type, 0 for an unknown type.
func bitsOf(kind string) int {
	return map[string]int{"ipv4_addr": 32, "ipv6_addr": 128, "inet_service": 16, "icmp_type": 8, "icmpv6_type": 8, "uid": 32, "gid": 32}[kind]
}

// set reads the definition of a set or a verdict map, behind its brace.
func (r *reader) set(name string, verdicts bool) error {
	s := &set{Set: &firewall.Set{Name: name}, verdicts: verdicts}
	if r.table.sets[name] != nil {
		return r.fail("set %s is defined twice", name)
	}
	r.table.sets[name] = s
	r.table.Sets = append(r.table.Sets, s.Set)
	interval, timeout, size, elements := false, false, false, false
	for {
		if err := r.blank(); err != nil {
			return err
		}
		if ok, err := r.accept("}"); err != nil {
			return err
		} else if ok {
			break
		}
		key, err := r.take("a property of a set")
		if err != nil {
			return err
		}
		switch key {
		case "type":
			err = r.setType(s)
		case "flags":
			interval, timeout, err = r.setFlags(s)
		case "size":
			size = true
			_, err = r.number("a size", 1<<31-1)
		case "timeout":
			s.timeout, err = r.seconds()
		case "elements":
			elements = true
			if err = r.expect("="); err == nil {
				s.Elems, err = r.elements(s.kind, verdicts)
			}
		default:
			err = r.fail("unknown property %q of a set", key)
		}
		if err == nil {
			err = r.lineEnd()
		}
		if err != nil {
			return err
		}
	}
	switch {
	case s.kind == "":
		return r.fail("set %s has no type", name)
	case s.dynamic && (elements || verdicts || interval || !timeout || s.timeout == 0 || !size):
		return r.fail("set %s is filled by packets, and is not one of a limit", name)
	case !s.dynamic && !interval && slices.ContainsFunc(s.Elems, func(e firewall.Elem) bool { return !bytes.Equal(e.Key[0].Lo, e.Key[0].Hi) }):
		return r.fail("set %s has ranges, and no flag that says so", name)
	}
	s.Learns = s.dynamic
	return nil
}

// seconds reads a time such as 60s.
func (r *reader) seconds() (time.Duration, error) {
	text, err := r.take("a time")
	if err != nil {
		return 0, err
	}
	n, ok := strings.CutSuffix(text, "s")
	secs, err := strconv.ParseUint(n, 10, 32)
	if !ok || err != nil {
		return 0, r.fail("%q is no time", text)
	}
	return time.Duration(secs) * time.Second, nil
}

func (r *reader) setType(s *set) error {
	kind, err := r.take("a type")
	if err != nil {
		return err
	}
	n := bitsOf(kind)
	if n == 0 || kind == "uid" || kind == "gid" {
		return r.fail("unknown type %q", kind)
	}
	s.kind, s.Fields = kind, []int{n}
	if s.verdicts {
		return r.expect(":", "verdict")
	}
	return nil
}

func (r *reader) setFlags(s *set) (interval, timeout bool, err error) {
	for {
		flag, err := r.take("a flag")
		if err != nil {
			return false, false, err
		}
		switch flag {
		case "interval":
			interval = true
		case "dynamic":
			s.dynamic = true
		case "timeout":
			timeout = true
		default:
			return false, false, r.fail("unknown flag %q", flag)
		}
		if ok, err := r.accept(","); !ok || err != nil {
			return interval, timeout, err
		}
	}
}

// elements reads what stands in braces. Elements that overlap are refused, as nft
// refuses them.
func (r *reader) elements(kind string, verdicts bool) ([]firewall.Elem, error) {
	if err := r.expect("{"); err != nil {
		return nil, err
	}
	var out []firewall.Elem
	for {
		if err := r.blank(); err != nil {
			return nil, err
		}
		if len(out) > 0 {
			if ok, err := r.accept("}"); err != nil {
				return nil, err
			} else if ok {
				break
			}
			if err := r.expect(","); err != nil {
				return nil, err
			}
			if err := r.blank(); err != nil {
				return nil, err
			}
		}
		e, err := r.element(kind, verdicts)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	sorted := slices.Clone(out)
	slices.SortFunc(sorted, func(a, b firewall.Elem) int { return bytes.Compare(a.Key[0].Lo, b.Key[0].Lo) })
	for i := 1; i < len(sorted); i++ {
		if bytes.Compare(sorted[i].Key[0].Lo, sorted[i-1].Key[0].Hi) <= 0 {
			return nil, r.fail("elements that overlap")
		}
	}
	return out, nil
}

func (r *reader) element(kind string, verdicts bool) (firewall.Elem, error) {
	iv, err := r.value(kind)
	if err != nil {
		return firewall.Elem{}, err
	}
	e := firewall.Elem{Key: []firewall.Interval{iv}}
	if err := r.comment(); err != nil {
		return e, err
	}
	if !verdicts {
		return e, nil
	}
	if err := r.expect(":"); err != nil {
		return e, err
	}
	v, ok, err := r.verdict()
	if err == nil && !ok {
		err = r.fail("%q where a verdict should be", r.tok.text)
	}
	e.Verdict = &v
	return e, err
}

// comment takes a comment, if there is one. It means nothing.
func (r *reader) comment() error {
	ok, err := r.accept("comment")
	if !ok || err != nil {
		return err
	}
	_, err = r.string("a comment")
	return err
}

// value reads one value, prefix or range of a type.
func (r *reader) value(kind string) (firewall.Interval, error) {
	if r.tok.kind == quoted && (kind == "uid" || kind == "gid") {
		id := binary.BigEndian.AppendUint32(nil, acl.NameID(r.tok.text))
		return firewall.Interval{Lo: id, Hi: id}, r.advance()
	}
	text, err := r.take("a value")
	if err != nil {
		return firewall.Interval{}, err
	}
	var iv firewall.Interval
	var ok bool
	switch kind {
	case "ipv4_addr", "ipv6_addr":
		iv, ok = addressInterval(text, kind == "ipv4_addr")
	default:
		iv, ok = numberInterval(text, bitsOf(kind)/8)
	}
	if !ok {
		return iv, r.fail("%q is no value of type %s", text, kind)
	}
	return iv, nil
}

// addressInterval reads an address, a prefix or a range of one family.
func addressInterval(text string, v4 bool) (firewall.Interval, bool) {
	parse := func(s string) ([]byte, bool) {
		a, err := netip.ParseAddr(s)
		return a.AsSlice(), err == nil && a.Is4() == v4 && a.Zone() == ""
	}
	if lo, hi, ok := strings.Cut(text, "-"); ok {
		a, good := parse(lo)
		b, good2 := parse(hi)
		return firewall.Interval{Lo: a, Hi: b}, good && good2 && bytes.Compare(a, b) <= 0
	}
	if addr, length, ok := strings.Cut(text, "/"); ok {
		a, good := parse(addr)
		n, err := strconv.Atoi(length)
		if !good || err != nil || n < 0 || n > 8*len(a) {
			return firewall.Interval{}, false
		}
		lo, hi := slices.Clone(a), slices.Clone(a)
		for i := n; i < 8*len(a); i++ {
			lo[i/8] &^= 0x80 >> (i % 8)
			hi[i/8] |= 0x80 >> (i % 8)
		}
		return firewall.Interval{Lo: lo, Hi: hi}, true
	}
	a, good := parse(text)
	return firewall.Interval{Lo: a, Hi: a}, good
}

// numberInterval reads a decimal number or a range of some bytes.
func numberInterval(text string, size int) (firewall.Interval, bool) {
	parse := func(s string) ([]byte, bool) {
		n, err := strconv.ParseUint(s, 10, 8*size)
		if err != nil {
			return nil, false
		}
		return binary.BigEndian.AppendUint64(nil, n)[8-size:], true
	}
	lo, hi, ok := strings.Cut(text, "-")
	if !ok {
		hi = lo
	}
	a, good := parse(lo)
	b, good2 := parse(hi)
	return firewall.Interval{Lo: a, Hi: b}, good && good2 && bytes.Compare(a, b) <= 0
}

// perUnit is the time that a rate's unit stands for, 0 for an unknown one.
func perUnit(unit string) time.Duration {
	return map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[unit]
}
