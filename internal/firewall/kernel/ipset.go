package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/xt"
)

// Attributes of an IPSET_CMD_LIST answer (linux/netfilter/ipset/ip_set.h).
const (
	ipsetProtocol = 1
	ipsetName     = 2
	ipsetType     = 3
	ipsetRevision = 4
	ipsetFamily   = 5
	ipsetFlags    = 6
	ipsetData     = 7
	ipsetElements = 8
	ipsetIndex    = 11

	cmdIPSetList = 7
)

// Attributes of a set's header and of its elements.
const (
	ipsetIP       = 1
	ipsetIPTo     = 2
	ipsetCIDR     = 3
	ipsetPort     = 4
	ipsetTimeout  = 6
	ipsetProto    = 7
	ipsetCADT     = 8
	ipsetMark     = 10
	ipsetMarkMask = 11
	ipsetBitmask  = 12

	ipsetNetmask = 20 // of a header

	ipsetEther   = 17 // of an element
	ipsetMember  = 18
	ipsetIP2     = 20
	ipsetCIDR2   = 21
	ipsetIface   = 23
	ipsetLastExt = 30 // counters, comment and skbinfo lie below
)

// Flags of elements (IPSET_FLAG_*).
const (
	ipsetFlagPhysdev  = 1 << 1
	ipsetFlagNomatch  = 1 << 2
	ipsetFlagWildcard = 1 << 7
)

// ipsetReader puts sets together from their messages.
type ipsetReader struct {
	sets    *xtSets
	members map[*xt.IPSet][]string
	masks   map[*xt.IPSet]ipsetMask
}

// ipsetMask is what a set takes of the addresses that it compares.
type ipsetMask struct {
	bits int // prefix length, -1 where there is none
}

// decodeIPSets reads the listing of ipsets. A set that cannot be understood is in
// the result with a reason; one whose name cannot be read is not, and rules that
// refer to it are undecoded.
func decodeIPSets(msgs []Message) *xtSets {
	r := &ipsetReader{
		sets:    &xtSets{byIndex: map[uint16]*xt.IPSet{}, byName: map[string]*xt.IPSet{}},
		members: map[*xt.IPSet][]string{},
		masks:   map[*xt.IPSet]ipsetMask{},
	}
	for _, m := range msgs {
		if m.Type == cmdIPSetList {
			r.message(m.Data)
		}
	}
	for s, names := range r.members {
		r.link(s, names)
	}
	for _, s := range r.sets.byName {
		finishIPSet(s)
	}
	return r.sets
}

// targetNames finds which of the targets that change what matches look at may be
// in the dump. It looks for their names anywhere in the bytes: finding one too
// many makes an answer less certain, never wrong.
func targetNames(d *Dump) map[string]bool {
	found := map[string]bool{}
	for _, name := range xt.ChangingTargets() {
		b := []byte(name + "\x00")
		in := func(data []byte) bool { return bytes.Contains(data, b) }
		found[name] = slices.ContainsFunc(d.Messages, func(m Message) bool { return m.Type == msgNewRule && in(m.Data) }) ||
			slices.ContainsFunc(d.Tables, func(t LegacyTable) bool { return in(t.Entries) })
	}
	return found
}

// attributes reads attributes of any type below 32 into a list by type. ipset
// marks numbers in network order by a flag, which is always set.
func attributes(b []byte) (at [32][]byte, err error) {
	for len(b) > 0 {
		a, rest, err := next(b)
		switch {
		case err != nil:
			return at, err
		case int(a.typ) >= len(at):
			return at, fmt.Errorf("attribute %d is not known", a.typ)
		case at[a.typ] != nil:
			return at, fmt.Errorf("attribute %d comes twice", a.typ)
		}
		at[a.typ] = a.data
		b = rest
	}
	return at, nil
}

func zeroTerminated(b []byte) (string, error) {
	s, ok := strings.CutSuffix(string(b), "\x00")
	if !ok || s == "" || strings.ContainsRune(s, 0) {
		return "", fmt.Errorf("%q is not a name", b)
	}
	return s, nil
}

// message reads one message: a set's header, elements, or both. Later messages of
// the same set have its name alone.
func (r *ipsetReader) message(b []byte) {
	at, attrErr := attributes(b)
	name, err := zeroTerminated(at[ipsetName])
	if err != nil {
		return
	}
	s := r.sets.byName[name]
	if s == nil {
		s = &xt.IPSet{Name: name, Set: &firewall.Set{Name: name}, MarkMask: 0xffffffff}
		r.sets.byName[name] = s
	}
	if attrErr == nil {
		attrErr = r.contents(s, at)
	}
	if attrErr != nil {
		lose(s, attrErr)
	}
}

// lose makes a set one that is not understood. The first reason is kept.
func lose(s *xt.IPSet, err error) {
	if s.Set.Opaque == "" {
		s.Set.Opaque = err.Error()
	}
}

func (r *ipsetReader) contents(s *xt.IPSet, at [32][]byte) error {
	for typ, b := range at {
		if b == nil {
			continue
		}
		switch typ {
		case ipsetProtocol, ipsetName, ipsetType, ipsetRevision, ipsetFamily, ipsetFlags, ipsetData, ipsetElements, ipsetIndex:
		default:
			return fmt.Errorf("attribute %d is not known", typ)
		}
	}
	if at[ipsetIndex] != nil {
		if len(at[ipsetIndex]) != 2 {
			return errors.New("an index that is not two bytes long")
		}
		r.sets.byIndex[binary.BigEndian.Uint16(at[ipsetIndex])] = s
	}
	if at[ipsetType] != nil {
		if err := r.header(s, at); err != nil {
			return err
		}
	}
	if at[ipsetElements] == nil {
		return nil
	}
	if s.Type == "" {
		return errors.New("elements before the header")
	}
	for b, err := range list(at[ipsetElements], ipsetData) {
		if err == nil {
			err = r.element(s, b)
		}
		if err != nil {
			return fmt.Errorf("element %d: %w", len(s.Set.Elems)+1, err)
		}
	}
	return nil
}

// knownIPSets are the types whose elements are understood.
func knownIPSets() []string {
	return []string{
		"bitmap:ip", "bitmap:ip,mac", "bitmap:port", "hash:ip", "hash:net", "hash:ip,port", "hash:net,port", "hash:net,iface",
		"hash:net,net", "hash:ip,port,ip", "hash:ip,port,net", "hash:net,port,net", "hash:mac", "hash:ip,mac", "hash:ip,mark",
		"list:set",
	}
}

func (r *ipsetReader) header(s *xt.IPSet, at [32][]byte) error {
	typ, err := zeroTerminated(at[ipsetType])
	if err != nil {
		return err
	}
	if s.Type != "" {
		return errors.New("it has two headers") // the kernel writes one, in a set's first message
	}
	s.Type = typ
	if len(at[ipsetFamily]) != 1 {
		return errors.New("no family")
	}
	s.Family = firewall.Family(at[ipsetFamily][0])
	if s.Family != 0 && s.Family != firewall.IPv4 && s.Family != firewall.IPv6 {
		return fmt.Errorf("family %d is not known", s.Family)
	}
	if !slices.Contains(knownIPSets(), typ) {
		return fmt.Errorf("sets of type %s are not known", typ)
	}
	if typ != "list:set" {
		for _, p := range s.Parts() {
			fields, err := s.PartFields(p)
			if err != nil {
				return err
			}
			s.Set.Fields = append(s.Set.Fields, fields...)
		}
	}
	return r.headerData(s, at[ipsetData])
}

// headerData reads the masks of a set. What else stands there (sizes, defaults,
// references) does not decide what is in it.
func (r *ipsetReader) headerData(s *xt.IPSet, b []byte) error {
	h, err := attributes(b)
	if err != nil {
		return err
	}
	r.masks[s] = ipsetMask{bits: -1}
	if m := h[ipsetNetmask]; m != nil {
		if len(m) != 1 || int(m[0]) > addressWidth(s) {
			return errors.New("a netmask that is none")
		}
		r.masks[s] = ipsetMask{bits: int(m[0])}
	}
	if m := h[ipsetBitmask]; m != nil {
		mask, err := ipsetAddress(m, s)
		if err != nil {
			return err
		}
		n := 0
		for n < 8*len(mask) && mask[n/8]>>(7-n%8)&1 == 1 {
			n++
		}
		for i := n; i < 8*len(mask); i++ {
			if mask[i/8]>>(7-i%8)&1 == 1 {
				return errors.New("a mask with holes")
			}
		}
		r.masks[s] = ipsetMask{bits: n}
	}
	if m := h[ipsetMarkMask]; m != nil {
		if len(m) != 4 {
			return errors.New("a mark mask that is none")
		}
		s.MarkMask = binary.BigEndian.Uint32(m)
	}
	return nil
}

func addressWidth(s *xt.IPSet) int {
	if s.Family == firewall.IPv6 {
		return 128
	}
	return 32
}

// ipsetAddress reads a nested address: attribute 1 is IPv4, 2 is IPv6.
func ipsetAddress(b []byte, s *xt.IPSet) ([]byte, error) {
	a, rest, err := next(b)
	if err != nil {
		return nil, err
	}
	want, n := uint16(1), 4
	if s.Family == firewall.IPv6 {
		want, n = 2, 16
	}
	if a.typ != want || len(a.data) != n || len(rest) != 0 {
		return nil, fmt.Errorf("an address of %d bytes in a set of family %v", len(a.data), s.Family)
	}
	return a.data, nil
}

// element reads one element. Timeouts, counters, comments and marks that it has
// for packets do not decide whether a packet is in the set.
func (r *ipsetReader) element(s *xt.IPSet, b []byte) error {
	at, err := attributes(b)
	if err != nil {
		return err
	}
	if s.Type == "list:set" {
		name, err := zeroTerminated(at[ipsetMember])
		r.members[s] = append(r.members[s], name)
		return err
	}
	var flags uint32
	if f := at[ipsetCADT]; f != nil {
		if len(f) != 4 {
			return errors.New("flags that are none")
		}
		flags = binary.BigEndian.Uint32(f)
	}
	if known := uint32(ipsetFlagPhysdev | ipsetFlagNomatch | ipsetFlagWildcard); flags&^known != 0 {
		return fmt.Errorf("flags %#x are not known", flags&^known)
	}
	if flags&ipsetFlagPhysdev != 0 {
		return errors.New("a bridge port")
	}
	if at[ipsetIPTo] != nil {
		return errors.New("a range")
	}
	e := firewall.Elem{Negate: flags&ipsetFlagNomatch != 0}
	second := false // ip2 and cidr2 are of the second address
	for _, p := range s.Parts() {
		ivs, err := r.part(s, p, at, flags, second)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		e.Key = append(e.Key, ivs...)
		second = second || p == "ip" || p == "net"
	}
	s.Set.Elems = append(s.Set.Elems, e)
	return nil
}

// part reads the intervals of one part of an element.
func (r *ipsetReader) part(s *xt.IPSet, part string, at [32][]byte, flags uint32, second bool) ([]firewall.Interval, error) {
	exact := func(b []byte, n int) ([]firewall.Interval, error) {
		if len(b) != n {
			return nil, fmt.Errorf("%d bytes instead of %d", len(b), n)
		}
		return []firewall.Interval{{Lo: b, Hi: b}}, nil
	}
	switch part {
	case "ip", "net":
		return r.network(s, part, at, second)
	case "port":
		ivs, err := exact(at[ipsetPort], 2)
		if err != nil || s.Type == "bitmap:port" {
			return ivs, err
		}
		proto, err := exact(at[ipsetProto], 1)
		return append(proto, ivs...), err
	case "mac":
		if s.Type == "bitmap:ip,mac" && at[ipsetEther] == nil {
			return nil, errors.New("an address that takes the first one that comes")
		}
		return exact(at[ipsetEther], 6)
	case "mark":
		return exact(at[ipsetMark], 4)
	case "iface":
		name, err := zeroTerminated(at[ipsetIface])
		if err != nil || len(name) > 15 {
			return nil, fmt.Errorf("%q is not an interface", at[ipsetIface])
		}
		lo, hi := make([]byte, 16), make([]byte, 16)
		copy(lo, name)
		copy(hi, name)
		if flags&ipsetFlagWildcard != 0 {
			for i := len(name); i < 16; i++ {
				hi[i] = 0xff
			}
		}
		return []firewall.Interval{{Lo: lo, Hi: hi}}, nil
	}
	return nil, errors.New("not known")
}

// network is an address with the prefix length of its element, or of its set.
func (r *ipsetReader) network(s *xt.IPSet, part string, at [32][]byte, second bool) ([]firewall.Interval, error) {
	ip, cidr := at[ipsetIP], at[ipsetCIDR]
	if second {
		ip, cidr = at[ipsetIP2], at[ipsetCIDR2]
	}
	addr, err := ipsetAddress(ip, s)
	if err != nil {
		return nil, err
	}
	ones := 8 * len(addr)
	switch {
	case len(cidr) == 1:
		ones = int(cidr[0])
	case cidr != nil:
		return nil, errors.New("a prefix length that is none")
	case part == "net":
		return nil, errors.New("no prefix length")
	}
	if m := r.masks[s].bits; m >= 0 {
		ones = min(ones, m)
	}
	if ones > 8*len(addr) {
		return nil, fmt.Errorf("prefix length %d", ones)
	}
	lo, hi := slices.Clone(addr), slices.Clone(addr)
	for i := ones; i < 8*len(addr); i++ {
		lo[i/8] &^= 0x80 >> (i % 8)
		hi[i/8] |= 0x80 >> (i % 8)
	}
	return []firewall.Interval{{Lo: lo, Hi: hi}}, nil
}

// link finds the members of a list:set.
func (r *ipsetReader) link(s *xt.IPSet, names []string) {
	for _, n := range names {
		m := r.sets.byName[n]
		if m == nil || m.Type == "list:set" {
			m = &xt.IPSet{Name: n, Set: &firewall.Set{Name: n, Opaque: "it is a member of " + s.Name + " and not listed"}}
		}
		s.Members = append(s.Members, m)
	}
}

// finishIPSet puts the elements into the order in which the kernel looks at them,
// the most specific first, and gives up on sets in which that order says more
// than one number can: two networks to an element, of which the first counts
// first, or patterns of interface names beside networks.
func finishIPSet(s *xt.IPSet) {
	if s.Type == "" {
		lose(s, errors.New("its header is not listed"))
		s.Type = "unknown"
	}
	s.Set.Nearest = s.Type == "hash:net,iface"
	if !slices.ContainsFunc(s.Set.Elems, func(e firewall.Elem) bool { return e.Negate }) {
		return
	}
	if strings.Count(s.Type, "net") > 1 {
		lose(s, errors.New("nomatch elements of two networks"))
	}
	if s.Type == "hash:net,iface" && slices.ContainsFunc(s.Set.Elems, func(e firewall.Elem) bool { return string(e.Key[1].Lo) != string(e.Key[1].Hi) }) {
		lose(s, errors.New("nomatch elements beside patterns of interfaces"))
	}
	slices.SortStableFunc(s.Set.Elems, func(a, b firewall.Elem) int { return spread(a) - spread(b) })
}

// spread counts the bits that an element leaves open.
func spread(e firewall.Elem) int {
	n := 0
	for _, iv := range e.Key {
		for i := range iv.Lo {
			for d := iv.Lo[i] ^ iv.Hi[i]; d != 0; d &= d - 1 {
				n++
			}
		}
	}
	return n
}
