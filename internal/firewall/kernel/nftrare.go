package kernel

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// Attributes of exthdr (enum nft_exthdr_attributes).
const (
	exthdrAttrDreg  = 1
	exthdrAttrType  = 2
	exthdrAttrOff   = 3
	exthdrAttrLen   = 4
	exthdrAttrFlags = 5
	exthdrAttrOp    = 6
	exthdrAttrSreg  = 7
)

// Sorts of exthdr (enum nft_exthdr_op).
const (
	exthdrIPv6 = 0
	exthdrTCP  = 1
	exthdrIPv4 = 2
	exthdrSCTP = 3
	exthdrDCCP = 4
)

// exthdr looks at an extension header of IPv6, an option of IPv4, TCP or DCCP or a
// chunk of SCTP, or only whether there is one.
func (r *rule) exthdr(data []byte) error {
	a := read(data, types(exthdrAttrDreg, exthdrAttrType, exthdrAttrOff, exthdrAttrLen, exthdrAttrFlags, exthdrAttrOp, exthdrAttrSreg))
	op, typ := a.numOr(exthdrAttrOp, exthdrIPv6), a.byte(exthdrAttrType)
	flags := a.flags(exthdrAttrFlags, 1) // NFT_EXTHDR_F_PRESENT
	off, n := int(a.numOr(exthdrAttrOff, 0)), int(a.numOr(exthdrAttrLen, 0))
	switch {
	case a.err != nil:
		return a.err
	case op > exthdrDCCP:
		return fmt.Errorf("option class %d is not known", op)
	case off > 255 || n > 255:
		return fmt.Errorf("%d bytes at %d", n, off)
	}
	name := optionName(op, typ)
	if !a.has(exthdrAttrDreg) {
		return r.optionWrite(&a, name, op, n)
	}
	present := freeBit(name + " exists")
	if r.n.facts.assigned[name] {
		present = firewall.Varies{Text: name + " exists, which a rule changes", Stateful: true}
	}
	switch op { // for other families the rule ends, even if only the presence is asked for
	case exthdrIPv6:
		r.onlyFamily(firewall.IPv6)
		r.imply(firewall.FieldNetwork, "ip6 ")
	case exthdrIPv4:
		r.onlyFamily(firewall.IPv4)
		r.imply(firewall.FieldNetwork, "ip ")
	default:
		present = firewall.And{optionApplies(op), present}
	}
	if flags != 0 {
		return r.load(&a, exthdrAttrDreg, &operand{kind: truth, text: name, cond: present}, max(1, n))
	}
	r.match(present)
	field := optionField(name, op, off, n)
	v := r.n.free(field, 8*n, false)
	if r.n.facts.assigned[name] {
		v = &operand{kind: varying, text: field, stateful: true}
	}
	return r.load(&a, exthdrAttrDreg, v, n)
}

// optionWrite is the setting or removal of a TCP option. Neither decides about the
// packet, but through rules that look at the option.
func (r *rule) optionWrite(a *reader, name string, op uint32, n int) error {
	if op != exthdrTCP {
		return errors.New("options of this class cannot be written")
	}
	r.n.facts.assign(name)
	r.n.facts.extensions = true
	what := "reset " + name
	if !a.has(exthdrAttrSreg) && n != 0 {
		return errors.New("the removal of a part of an option")
	}
	if a.has(exthdrAttrSreg) {
		v, err := r.source(a.num(exthdrAttrSreg), n)
		if err != nil || a.err != nil {
			return errors.Join(err, a.err)
		}
		what = optionField(name, op, int(a.num(exthdrAttrOff)), n) + " set " + r.valueText(v, typeInteger, false)
	}
	r.match(optionApplies(op)) // else the rule ends
	r.settle(nil)
	r.say(what)
	return a.err
}

// optionApplies is the condition under which a packet can have an option of a
// transport protocol.
func optionApplies(op uint32) firewall.Cond {
	is := func(f firewall.Field, b byte) firewall.Cond {
		return firewall.Compare{Value: firewall.Whole(f, 0, 0, 8), In: []firewall.Interval{{Lo: []byte{b}, Hi: []byte{b}}}}
	}
	switch op {
	case exthdrTCP:
		return is(firewall.FieldL4Proto, 6)
	case exthdrSCTP:
		return is(firewall.FieldL4Proto, 132)
	}
	return is(firewall.FieldL4Proto, 33)
}

// optionName is nft's name of an option, chunk or header: "tcp option maxseg".
func optionName(op uint32, typ uint8) string {
	pick := func(class string, names map[uint8]string) string {
		if s, ok := names[typ]; ok {
			return class + s
		}
		return fmt.Sprintf("%s%d", class, typ)
	}
	switch op {
	case exthdrIPv6:
		return pick("exthdr ", map[uint8]string{0: "hbh", 43: "rt", 44: "frag", 51: "ah", 50: "esp", 60: "dst", 135: "mh"})
	case exthdrTCP:
		return pick("tcp option ", map[uint8]string{
			0: "eol", 1: "nop", 2: "maxseg", 3: "window", 4: "sack-perm", 5: "sack", 8: "timestamp", 19: "md5sig", 30: "mptcp", 34: "fastopen",
		})
	case exthdrIPv4:
		return pick("ip option ", map[uint8]string{7: "rr", 131: "lsrr", 137: "ssrr", 148: "ra"})
	case exthdrSCTP:
		return pick("sctp chunk ", map[uint8]string{
			0: "data", 1: "init", 2: "init-ack", 3: "sack", 4: "heartbeat", 5: "heartbeat-ack", 6: "abort", 7: "shutdown",
			8: "shutdown-ack", 9: "error", 10: "cookie-echo", 11: "cookie-ack", 12: "ecne", 13: "cwr", 14: "shutdown-complete",
			0x80: "asconf-ack", 0xc0: "forward-tsn", 0xc1: "asconf",
		})
	}
	return fmt.Sprintf("dccp option %d", typ)
}

// optionField names bytes of an option.
func optionField(name string, op uint32, off, n int) string {
	known := map[string]string{
		"tcp option maxseg 2 2": "size", "tcp option window 2 1": "count", "tcp option timestamp 2 4": "tsval",
		"tcp option timestamp 6 4": "tsecr", "tcp option sack 2 4": "left", "tcp option sack 6 4": "right", "ip option ra 2 2": "value", "exthdr frag 4 4": "id", "exthdr frag 0 1": "nexthdr",
		"exthdr rt 2 1": "type", "exthdr rt 3 1": "seg-left", "exthdr rt 0 1": "nexthdr", "exthdr rt 1 1": "hdrlength",
		"exthdr hbh 0 1": "nexthdr", "exthdr hbh 1 1": "hdrlength", "exthdr dst 0 1": "nexthdr", "exthdr dst 1 1": "hdrlength",
		"exthdr mh 2 1": "type",
	}
	s, ok := known[fmt.Sprintf("%s %d %d", name, off, n)]
	if !ok {
		return fmt.Sprintf("%s @%d,%d", name, 8*off, 8*n)
	}
	if op == exthdrIPv6 {
		name = strings.TrimPrefix(name, "exthdr ")
	}
	return name + " " + s
}

// Attributes and flags of fib (enum nft_fib_attributes, nft_fib_flags).
const (
	fibAttrDreg   = 1
	fibAttrResult = 2
	fibAttrFlags  = 3

	fibSaddr   = 1
	fibDaddr   = 2
	fibMark    = 4
	fibIif     = 8
	fibOif     = 16
	fibPresent = 32

	fibResultOif     = 1
	fibResultOifName = 2
	fibResultType    = 3
)

// fib asks the routing tables.
func (r *rule) fib(data []byte) error {
	a := read(data, types(fibAttrDreg, fibAttrResult, fibAttrFlags))
	result, flags := a.num(fibAttrResult), a.flags(fibAttrFlags, 63)
	if a.err != nil {
		return a.err
	}
	name := "fib " + strings.Join(fibParts(flags), " . ")
	source := flags&fibSaddr != 0
	if source == (flags&fibDaddr != 0) {
		return errors.New("neither the source nor the destination is looked up")
	}
	if result == fibResultType {
		if flags&fibPresent != 0 {
			return errors.New("the presence of a type")
		}
		v := &operand{kind: addrType, text: name + " type", host: true, addr: firewall.AddrType{
			Source: source, LimitIn: flags&fibIif != 0, LimitOut: flags&fibOif != 0,
		}}
		if flags&fibMark != 0 {
			v = &operand{kind: varying, text: v.text, host: true}
		}
		return r.load(&a, fibAttrDreg, v, 4)
	}
	n := map[uint32]int{fibResultOif: 4, fibResultOifName: ifNameLen}[result]
	if n == 0 {
		return fmt.Errorf("result %d is not known", result)
	}
	name += map[uint32]string{fibResultOif: " oif", fibResultOifName: " oifname"}[result]
	v := &operand{kind: varying, text: name, host: result == fibResultOif}
	if source && flags&fibOif == 0 {
		v = &operand{kind: route, text: name, host: v.host, cond: firewall.ReversePath{Loose: flags&fibIif == 0}}
	}
	if flags&fibPresent != 0 {
		n = 1
		if v.kind == route {
			v.kind = truth
		}
	}
	return r.load(&a, fibAttrDreg, v, n)
}

func fibParts(flags uint32) []string {
	var parts []string
	for i, s := range []string{"saddr", "daddr", "mark", "iif", "oif"} {
		if flags&(1<<i) != 0 {
			parts = append(parts, s)
		}
	}
	return parts
}

// rt looks at the route of the packet.
func (r *rule) rt(data []byte) error {
	a := read(data, types(1, 2)) // dreg, key
	key := a.num(2)
	keys := []struct {
		name  string
		bytes int
		host  bool
	}{{"rt classid", 4, true}, {"rt ip nexthop", 4, false}, {"rt ip6 nexthop", 16, false}, {"rt mtu", 2, true}, {"rt ipsec", 1, false}}
	if a.err == nil && int(key) >= len(keys) {
		return fmt.Errorf("key %d is not known", key)
	}
	if a.err != nil {
		return a.err
	}
	k := keys[key]
	r.match(firewall.Varies{Text: k.name + " is known"})
	return r.load(&a, 1, &operand{kind: varying, text: k.name, host: k.host}, k.bytes)
}

// socket looks for a local socket that the packet belongs to.
func (r *rule) socket(data []byte) error {
	a := read(data, types(1, 2, 3)) // key, dreg, level
	key := a.num(1)
	level := a.numOr(3, 0)
	keys := []struct {
		name  string
		bytes int
	}{{"socket transparent", 1}, {"socket mark", 4}, {"socket wildcard", 1}, {"socket cgroupv2", 8}}
	if a.err == nil && int(key) >= len(keys) {
		return fmt.Errorf("key %d is not known", key)
	}
	if a.err != nil {
		return a.err
	}
	k := keys[key]
	if key == 3 {
		k.name += fmt.Sprintf(" level %d", level)
	}
	r.match(firewall.Varies{Text: "a socket is found"})
	return r.load(&a, 2, &operand{kind: varying, text: k.name, host: k.bytes > 1}, k.bytes)
}

// numgen counts or draws a number.
func (r *rule) numgen(data []byte) error {
	a := read(data, types(1, 2, 3, 4)) // dreg, modulus, type, offset
	mod, typ, off := a.num(2), a.num(3), a.numOr(4, 0)
	if a.err == nil && typ > 1 {
		return fmt.Errorf("type %d is not known", typ)
	}
	if a.err != nil {
		return a.err
	}
	name := fmt.Sprintf("numgen %s mod %d", []string{"inc", "random"}[typ], mod)
	if off != 0 {
		name += fmt.Sprintf(" offset %d", off)
	}
	return r.load(&a, 1, &operand{kind: varying, text: name, stateful: true, host: true}, 4)
}

// hash is jhash over a register, or symhash over the packet's flow.
func (r *rule) hash(data []byte) error {
	a := read(data, types(1, 2, 3, 4, 5, 6, 7)) // sreg, dreg, len, modulus, seed, offset, type
	mod, off, typ := a.num(4), a.numOr(6, 0), a.numOr(7, 0)
	if a.err != nil {
		return a.err
	}
	name := "symhash"
	switch typ {
	case 0:
		v, err := r.source(a.num(1), int(min(a.num(3), regBytes+1)))
		if err != nil || a.err != nil {
			return errors.Join(err, a.err)
		}
		name = "jhash " + r.valueText(v, typeHex, false)
	case 1:
	default:
		return fmt.Errorf("type %d is not known", typ)
	}
	name += fmt.Sprintf(" mod %d", mod)
	if a.has(5) {
		name += fmt.Sprintf(" seed %#x", a.num(5))
	}
	if off != 0 {
		name += fmt.Sprintf(" offset %d", off)
	}
	if a.err != nil {
		return a.err
	}
	return r.load(&a, 2, &operand{kind: varying, text: name, host: true}, 4)
}

// osf guesses the operating system of the sender.
func (r *rule) osf(data []byte) error {
	a := read(data, types(1, 2, 3)) // dreg, ttl, flags
	flags := a.flags(3, 1)
	ttl := uint8(0)
	if a.has(2) {
		ttl = a.byte(2)
	}
	if a.err == nil && ttl > 2 {
		return fmt.Errorf("ttl %d is not known", ttl)
	}
	if a.err != nil {
		return a.err
	}
	name := "osf " + []string{"", "ttl loose ", "ttl skip "}[ttl] + []string{"name", "version"}[flags]
	r.match(optionApplies(exthdrTCP))
	r.match(firewall.Varies{Text: "the operating system is known"})
	return r.load(&a, 1, &operand{kind: varying, text: name}, 16)
}

// xfrm looks at the IPsec state that a packet came or goes through.
func (r *rule) xfrm(data []byte) error {
	a := read(data, types(1, 2, 3, 4)) // dreg, key, dir, spnum
	key, dir, sp := a.num(2), a.byte(3), a.numOr(4, 0)
	keys := []struct {
		name  string
		bytes int
	}{{}, {"ip daddr", 4}, {"ip6 daddr", 16}, {"ip saddr", 4}, {"ip6 saddr", 16}, {"reqid", 4}, {"spi", 4}} // reqid is in host order
	if a.err == nil && (key == 0 || int(key) >= len(keys) || dir > 1) {
		return fmt.Errorf("key %d, direction %d are not known", key, dir)
	}
	if a.err != nil {
		return a.err
	}
	name := "ipsec " + []string{"in ", "out "}[dir]
	if sp != 0 {
		name += fmt.Sprintf("spnum %d ", sp)
	}
	name += keys[key].name
	r.match(firewall.Varies{Text: name + " is known"})
	return r.load(&a, 1, &operand{kind: varying, text: name, host: key == 5}, keys[key].bytes)
}

// tunnel looks at the metadata of a tunnel that the packet came through.
func (r *rule) tunnel(data []byte) error {
	a := read(data, types(1, 2, 3)) // key, dreg, mode
	key, mode := a.num(1), a.numOr(3, 0)
	if a.err == nil && (key > 1 || mode > 2) {
		return fmt.Errorf("key %d, mode %d are not known", key, mode)
	}
	if a.err != nil {
		return a.err
	}
	name := []string{"tunnel path", "tunnel id"}[key] + []string{"", " rx", " tx"}[mode]
	if key == 1 {
		r.match(firewall.Varies{Text: name + " is known"})
	}
	return r.load(&a, 2, &operand{kind: varying, text: name}, []int{1, 4}[key])
}

// inner looks at the packet inside a tunnel: at its bytes, which are the packet's
// own to choose.
func (r *rule) inner(data []byte) error {
	a := read(data, types(1, 2, 3, 4, 5)) // num, type, flags, header size, expression
	if a.num(1) != 0 || a.num(2) > 2 || a.err != nil {
		return errors.Join(fmt.Errorf("nesting %d of type %d", a.num(1), a.num(2)), a.err)
	}
	flags, hdr := a.num(3), a.numOr(4, 0)
	if flags&^15 != 0 {
		return fmt.Errorf("flags %#x are not known", flags)
	}
	x, err := oneExpression(a.attrs[5])
	if err != nil {
		return err
	}
	name := fmt.Sprintf("inner %s %d %#x %d", []string{"tunnel", "vxlan", "geneve"}[a.num(2)], a.num(1), flags, hdr)
	var dreg uint32
	var n int
	switch x.name {
	case "payload":
		p := read(x.data, types(payloadAttrDreg, payloadAttrBase, payloadAttrOffset, payloadAttrLen))
		dreg, n = p.num(payloadAttrDreg), int(min(p.num(payloadAttrLen), 255))
		name += fmt.Sprintf(" payload %d,%d,%d", p.num(payloadAttrBase), 8*p.num(payloadAttrOffset), 8*n)
		err = p.err
	case "meta":
		m := read(x.data, types(metaAttrDreg, metaAttrKey))
		k := m.num(metaAttrKey)
		if m.err == nil && k != 1 && k != 16 { // NFT_META_PROTOCOL, NFT_META_L4PROTO
			return fmt.Errorf("meta key %d of an inner packet", k)
		}
		dreg, n = m.num(metaAttrDreg), map[uint32]int{1: 2, 16: 1}[k]
		name += fmt.Sprintf(" meta %d", k)
		err = m.err
	default:
		return fmt.Errorf("expression %q of an inner packet: %s", x.name, hex.EncodeToString(x.data))
	}
	if err != nil {
		return err
	}
	r.match(freeBit(name + " exists"))
	return r.store(dreg, r.n.free(name, 8*n, false), n)
}
