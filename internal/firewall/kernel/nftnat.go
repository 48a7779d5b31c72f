package kernel

import (
	"errors"
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// Flags of translations (NF_NAT_RANGE_ in linux/netfilter/nf_nat.h).
const (
	natMapIPs     = 1
	natProto      = 2
	natRandom     = 4
	natPersistent = 8
	natFully      = 16
	natNetmap     = 64
	natKnown      = natMapIPs | natProto | natRandom | natPersistent | natFully | natNetmap
)

func natFlagText(flags uint32) string {
	var words []string
	for _, f := range []struct {
		bit  uint32
		name string
	}{{natRandom, "random"}, {natFully, "fully-random"}, {natPersistent, "persistent"}} {
		if flags&f.bit != 0 {
			words = append(words, f.name)
		}
	}
	if len(words) == 0 {
		return ""
	}
	return " " + strings.Join(words, ",")
}

// target reads what a translation puts in from one or two registers.
func (r *rule) target(a *reader, lo, hi, n int) (firewall.NATTarget, string, error) {
	var t firewall.NATTarget
	if !a.has(lo) {
		if a.has(hi) {
			return t, "", errors.New("an upper end without a lower one")
		}
		return t, "", nil
	}
	from, err := r.source(a.num(lo), n)
	if err != nil || a.err != nil {
		return t, "", errors.Join(err, a.err)
	}
	to := from
	if a.has(hi) {
		if to, err = r.source(a.num(hi), n); err != nil || a.err != nil {
			return t, "", errors.Join(err, a.err)
		}
	}
	lob, lok := from.isConst()
	hib, hok := to.isConst()
	switch {
	case lok && hok:
		t.Lo, t.Hi = lob, hib
		return t, r.targetText(lob, hib), nil
	case from == to || a.num(lo) == a.num(hi):
		t, text := r.mappedTarget(a.num(lo), n)
		return t, text, nil
	}
	if t, text, ok := r.mappedRange(a.num(lo), a.num(hi), n); ok {
		return t, text, nil
	}
	t.Unknown = true
	return t, r.valueText(from, typeHex, false) + "-" + r.valueText(to, typeHex, false), nil
}

// mappedTarget reads a target that comes from a map: the bytes of it that begin at
// a register.
func (r *rule) mappedTarget(reg uint32, n int) (firewall.NATTarget, string) {
	at, err := register(reg, n)
	if err != nil {
		return firewall.NATTarget{Unknown: true}, ""
	}
	c := r.regs[at]
	if c.v == nil || c.v.kind != mapped {
		return firewall.NATTarget{Unknown: true}, "an address that is not fixed"
	}
	for i := range n {
		if r.regs[at+i].v != c.v || r.regs[at+i].i != c.i+i {
			return firewall.NATTarget{Unknown: true}, c.v.text
		}
	}
	key, m := r.askable(c.v.m, c.v.key)
	return firewall.NATTarget{Map: m, Key: key, DataOffset: c.i}, r.mapText(c.v)
}

// mapText shows a map whose data are addresses, ports or both, as their length
// tells.
func (r *rule) mapText(v *operand) string {
	var ts []dataType
	for _, e := range v.m.Elems {
		switch len(e.Data) {
		case 2:
			ts = []dataType{typePort}
		case 4:
			ts = []dataType{typeIPv4}
		case 8:
			ts = []dataType{typeIPv4, typePort}
		case 16:
			ts = []dataType{typeIPv6}
		case 20:
			ts = []dataType{typeIPv6, typePort}
		}
	}
	return r.keyText(v.key) + " map " + r.setText(v.m, v.key, ts, false)
}

// mappedRange reads a target whose two ends come from the same map.
func (r *rule) mappedRange(lo, hi uint32, n int) (firewall.NATTarget, string, bool) {
	from, err1 := register(lo, n)
	to, err2 := register(hi, n)
	var t firewall.NATTarget
	if err1 != nil || err2 != nil || r.regs[from].v == nil || r.regs[from].v.kind != mapped {
		return t, "", false
	}
	v, f, u := r.regs[from].v, r.regs[from].i, r.regs[to].i
	for i := range n {
		if r.regs[from+i] != (cell{v, f + i}) || r.regs[to+i] != (cell{v, u + i}) {
			return t, "", false
		}
	}
	m := *v.m
	m.Elems = nil
	for _, e := range v.m.Elems {
		if e.DataHi != nil || max(f, u)+n > len(e.Data) {
			return t, "", false
		}
		e.Data, e.DataHi = e.Data[f:f+n], e.Data[u:u+n]
		m.Elems = append(m.Elems, e)
	}
	t.Key, t.Map = r.askable(&m, v.key)
	return t, r.keyText(v.key) + " map " + r.setText(&m, v.key, nil, false), true
}

func (r *rule) targetText(lo, hi []byte) string {
	t := typePort
	switch len(lo) {
	case 4:
		t = typeIPv4
	case 16:
		t = typeIPv6
	}
	s := t.format(lo, r.n)
	if string(lo) != string(hi) {
		s += "-" + t.format(hi, r.n)
	}
	return s
}

// Attributes of nat (enum nft_nat_attributes).
const (
	natAttrType     = 1
	natAttrFamily   = 2
	natAttrAddrMin  = 3
	natAttrAddrMax  = 4
	natAttrProtoMin = 5
	natAttrProtoMax = 6
	natAttrFlags    = 7
)

func (r *rule) nat(data []byte) error {
	a := read(data, types(natAttrType, natAttrFamily, natAttrAddrMin, natAttrAddrMax, natAttrProtoMin, natAttrProtoMax, natAttrFlags))
	typ, fam, flags := a.num(natAttrType), a.family(natAttrFamily), a.flags(natAttrFlags, natKnown)
	n := map[firewall.Family]int{firewall.IPv4: 4, firewall.IPv6: 16}[fam]
	switch {
	case a.err != nil:
		return a.err
	case typ > 1:
		return fmt.Errorf("type %d is not known", typ)
	case n == 0 && fam != firewall.Inet:
		return fmt.Errorf("translation for family %s", fam)
	case n == 0 && a.has(natAttrAddrMin):
		return errors.New("an address of no family")
	}
	addr, at, err := r.target(&a, natAttrAddrMin, natAttrAddrMax, max(n, 4))
	if err != nil {
		return err
	}
	port, pt, err := r.target(&a, natAttrProtoMin, natAttrProtoMax, 2)
	if err != nil {
		return err
	}
	step := firewall.NAT{Kind: firewall.SNAT, Family: fam, Addr: addr, Port: port, Prefix: flags&natNetmap != 0}
	word := "snat"
	if typ == 1 {
		step.Kind, word = firewall.DNAT, "dnat"
	}
	if fam != firewall.Inet && (r.t.Family == firewall.Inet || step.Prefix || addr.Map != nil && port.Map != nil) {
		word += " " + fam.String()
	}
	if step.Prefix {
		word += " prefix"
		at = prefixText(addr, at)
	}
	r.translateStep(step)
	r.say(word + " to " + joinTarget(at, pt, fam) + natFlagText(flags))
	return nil
}

// prefixText shows the network that addresses are moved to.
func prefixText(t firewall.NATTarget, text string) string {
	if p, ok := prefixOf(t.Lo, t.Hi); ok {
		return p
	}
	return text
}

func joinTarget(addr, port string, f firewall.Family) string {
	switch {
	case port == "" || port == addr: // of one map
		return addr
	case addr == "":
		return ":" + port
	case f == firewall.IPv6:
		return "[" + addr + "]:" + port
	}
	return addr + ":" + port
}

// translateStep adds a translation, which ends the rule for those that it is for:
// in an inet table, packets of the other family go on.
func (r *rule) translateStep(s firewall.NAT) {
	both := s.Family != 0 && s.Family != firewall.Inet && s.Family != r.t.Family && r.text.l3 != s.Family
	if both && r.index+1 < len(r.raw.exprs) {
		r.opaque("a translation for one family before the end of a rule for both", nil)
	} else {
		r.emit(s)
	}
	r.ended = true
}

func (r *rule) masquerade(data []byte) error {
	a := read(data, types(1, 2, 3)) // flags, port from, to
	flags := a.flags(1, natKnown)
	port, text, err := r.target(&a, 2, 3, 2)
	if err != nil || a.err != nil {
		return errors.Join(err, a.err)
	}
	r.translateStep(firewall.NAT{Kind: firewall.Masquerade, Port: port})
	if text != "" {
		text = " to :" + text
	}
	r.say("masquerade" + text + natFlagText(flags))
	return nil
}

func (r *rule) redirect(data []byte) error {
	a := read(data, types(1, 2, 3)) // port from, to, flags
	flags := a.flags(3, natKnown)
	port, text, err := r.target(&a, 1, 2, 2)
	if err != nil || a.err != nil {
		return errors.Join(err, a.err)
	}
	r.translateStep(firewall.NAT{Kind: firewall.Redirect, Port: port})
	if text != "" {
		text = " to :" + text
	}
	r.say("redirect" + text + natFlagText(flags))
	return nil
}

// tproxy gives the packet to a local socket, if there is one; else the rule ends.
func (r *rule) tproxy(data []byte) error {
	a := read(data, types(1, 2, 3)) // family, address, port
	fam := a.family(1)
	n := map[firewall.Family]int{firewall.IPv4: 4, firewall.IPv6: 16}[fam]
	if a.err != nil || n == 0 && (fam != firewall.Inet && fam != 0 || a.has(2)) {
		return errors.Join(fmt.Errorf("family %s", fam), a.err)
	}
	addr, at, err := r.target(&a, 2, 2, max(n, 4))
	if err != nil {
		return err
	}
	port, pt, err := r.target(&a, 3, 3, 2)
	if err != nil {
		return err
	}
	r.emit(firewall.NAT{Kind: firewall.DNAT, Family: fam, Addr: addr, Port: port, TProxy: true})
	word := "tproxy"
	if r.t.Family == firewall.Inet && n != 0 {
		word += " " + fam.String()
	}
	r.say(word + " to " + joinTarget(at, pt, fam))
	return nil
}

func (r *rule) notrack(data []byte) error {
	if a := read(data, types()); a.err != nil {
		return a.err
	}
	r.emit(firewall.NoTrack{})
	r.say("notrack")
	return nil
}

// reject refuses the packet and says so to its sender.
func (r *rule) reject(data []byte) error {
	a := read(data, types(1, 2)) // type, code
	typ := a.num(1)
	code := uint8(0)
	if a.has(2) {
		code = a.byte(2)
	}
	if a.err != nil {
		return a.err
	}
	v4 := []string{"net-unreachable", "host-unreachable", "prot-unreachable", "port-unreachable", "", "", "", "", "", "net-prohibited", "host-prohibited", "", "", "admin-prohibited"}
	v6 := []string{"no-route", "admin-prohibited", "", "addr-unreachable", "port-unreachable", "policy-fail", "reject-route"}
	vx := []string{"no-route", "port-unreachable", "host-unreachable", "admin-prohibited"}
	name := func(names []string) string {
		if int(code) < len(names) && names[code] != "" {
			return names[code]
		}
		return fmt.Sprint(code)
	}
	detail := ""
	switch {
	case typ == 0 && r.text.l3 == firewall.IPv6:
		detail = "with icmpv6 " + name(v6)
	case typ == 0:
		detail = "with icmp " + name(v4)
	case typ == 1:
		detail = "with tcp reset"
		if r.text.l4 == 6 {
			r.imply(firewall.FieldTransport, "tcp ")
		}
	case typ == 2:
		detail = "with icmpx " + name(vx)
	default:
		return fmt.Errorf("type %d is not known", typ)
	}
	r.emit(firewall.Verdict{Kind: firewall.Reject, Detail: detail})
	if detail == "with icmp port-unreachable" || detail == "with icmpv6 port-unreachable" || detail == "with icmpx port-unreachable" {
		r.say("reject")
	} else {
		r.say("reject " + detail)
	}
	return nil
}
