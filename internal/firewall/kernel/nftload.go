package kernel

import (
	"errors"
	"fmt"
	"slices"

	"sekimori/internal/firewall"
)

// errUnknown is the error of an expression that is not known at all.
var errUnknown = errors.New("not known")

// field returns bits of a field as a register holds them: in host order, the bytes
// of a number stand the other way round.
func (n *nftables) field(k loadKey) *operand {
	if v := n.loads[k]; v != nil {
		return v
	}
	v := firewall.Whole(k.field, k.width, k.from, k.bits)
	if k.hostEndian {
		v = v.Reverse()
	}
	o := &operand{bits: v, shared: needOf(k.field) < 0 || needOf(k.field) == needCt}
	n.loads[k] = o
	return o
}

// free returns a field without a meaning of its own for the evaluation.
func (n *nftables) free(name string, bits int, hostEndian bool) *operand {
	return n.field(loadKey{field: firewall.Field(name), width: bits, bits: bits, hostEndian: hostEndian})
}

// freeBit is the condition that a property of the packet that is there or not, is.
func freeBit(name string) firewall.Cond {
	return firewall.Compare{Value: firewall.FreeField(name, 1), In: []firewall.Interval{{Lo: []byte{1}, Hi: []byte{1}}}}
}

// Attributes of payload (enum nft_payload_attributes).
const (
	payloadAttrDreg      = 1
	payloadAttrBase      = 2
	payloadAttrOffset    = 3
	payloadAttrLen       = 4
	payloadAttrSreg      = 5
	payloadAttrCsumType  = 6
	payloadAttrCsumOff   = 7
	payloadAttrCsumFlags = 8
)

// headers are the bases of payload loads (enum nft_payload_bases).
func headers() [4]firewall.Field {
	return [...]firewall.Field{firewall.FieldLink, firewall.FieldNetwork, firewall.FieldTransport, firewall.FieldInner}
}

func (r *rule) payload(data []byte) error {
	a := read(data, types(payloadAttrDreg, payloadAttrBase, payloadAttrOffset, payloadAttrLen,
		payloadAttrSreg, payloadAttrCsumType, payloadAttrCsumOff, payloadAttrCsumFlags))
	base, off, n := a.num(payloadAttrBase), int(a.num(payloadAttrOffset)), int(a.num(payloadAttrLen))
	switch {
	case a.err != nil:
		return a.err
	case base > 3:
		return fmt.Errorf("header %d is not known", base)
	case off > 255 || n > 255:
		return fmt.Errorf("%d bytes at %d", n, off)
	case a.has(payloadAttrSreg) == a.has(payloadAttrDreg):
		return errors.New("neither a load nor a write")
	case a.has(payloadAttrSreg):
		return r.rewrite(&a, headers()[base], off, n)
	}
	f := headers()[base]
	v := r.n.field(loadKey{field: f, from: 8 * off, bits: 8 * n})
	r.requireHeader(f, 8*(off+n))
	return r.load(&a, payloadAttrDreg, v, n)
}

// requireHeader notes that a header has to be so long. The fixed part of the IP
// header is always there in tables that see nothing but IP.
func (r *rule) requireHeader(f firewall.Field, bits int) {
	if f == firewall.FieldNetwork {
		switch fixed := map[firewall.Family]int{firewall.IPv4: 160, firewall.IPv6: 320, firewall.Inet: 160}[r.t.Family]; {
		case bits <= fixed:
			return
		case bits <= 320 && r.text.l3 == firewall.IPv6:
			return // behind a comparison of meta nfproto
		}
	}
	r.require(needOf(f), bits)
}

// Attributes of meta and their like: destination, key, source.
const (
	metaAttrDreg = 1
	metaAttrKey  = 2
	metaAttrSreg = 3
)

// metaKey describes what one key of meta loads (enum nft_meta_keys).
type metaKey struct {
	name  string
	bytes int
	// host is true for numbers in host order.
	host bool
	// field is set where the evaluation knows the field.
	field firewall.Field
	// varies is true where the value is not the packet's own.
	varies, stateful bool
	// lacking is true where the value may be missing, which ends the rule.
	lacking bool
}

func metaKeys() []metaKey {
	return []metaKey{
		{name: "meta length", bytes: 4, host: true},
		{name: "meta protocol", bytes: 2, field: firewall.FieldProtocol},
		{name: "meta priority", bytes: 4, host: true, varies: true, stateful: true},
		{name: "meta mark", bytes: 4, host: true, field: firewall.FieldMark},
		{name: "iif", bytes: 4, host: true, field: firewall.FieldIif},
		{name: "oif", bytes: 4, host: true, field: firewall.FieldOif},
		{name: "iifname", bytes: 16, field: firewall.FieldIifName},
		{name: "oifname", bytes: 16, field: firewall.FieldOifName},
		{name: "meta iiftype", bytes: 2, host: true, lacking: true},
		{name: "meta oiftype", bytes: 2, host: true, lacking: true},
		{name: "meta skuid", bytes: 4, host: true, lacking: true},
		{name: "meta skgid", bytes: 4, host: true, lacking: true},
		{name: "meta nftrace", bytes: 1, varies: true}, // can only be set
		{name: "meta rtclassid", bytes: 4, host: true, lacking: true, varies: true},
		{name: "meta secmark", bytes: 4, host: true, varies: true, stateful: true},
		{name: "meta nfproto", bytes: 1, field: firewall.FieldNFProto},
		{name: "meta l4proto", bytes: 1, field: firewall.FieldL4Proto},
		{name: "meta ibrname", bytes: 16, lacking: true},
		{name: "meta obrname", bytes: 16, lacking: true},
		{name: "meta pkttype", bytes: 1},
		{name: "meta cpu", bytes: 4, host: true, varies: true},
		{name: "meta iifgroup", bytes: 4, host: true, lacking: true},
		{name: "meta oifgroup", bytes: 4, host: true, lacking: true},
		{name: "meta cgroup", bytes: 4, host: true, varies: true, lacking: true},
		{name: "meta random", bytes: 4, host: true, varies: true, stateful: true},
		{name: "meta ipsec", bytes: 1, varies: true},
		{name: "meta iifkind", bytes: 16, lacking: true},
		{name: "meta oifkind", bytes: 16, lacking: true},
		{name: "meta ibrpvid", bytes: 2, host: true, lacking: true},
		{name: "meta ibrvproto", bytes: 2, lacking: true},
		{name: "meta time", bytes: 8, host: true, varies: true},
		{name: "meta day", bytes: 1, varies: true},
		{name: "meta hour", bytes: 4, host: true, varies: true},
		{name: "meta sdif", bytes: 4, host: true},
		{name: "meta sdifname", bytes: 16},
		{name: "meta broute", bytes: 1, varies: true}, // can only be set
		{name: "meta ibrhwaddr", bytes: 6, lacking: true},
	}
}

func (r *rule) meta(data []byte) error {
	a := read(data, types(metaAttrDreg, metaAttrKey, metaAttrSreg))
	num := a.num(metaAttrKey)
	switch {
	case a.err != nil:
		return a.err
	case int(num) >= len(r.n.metas):
		return fmt.Errorf("key %d is not known", num)
	case a.has(metaAttrSreg) == a.has(metaAttrDreg):
		return errors.New("neither a load nor an assignment")
	}
	k := r.n.metas[num]
	if a.has(metaAttrSreg) {
		return r.metaSet(&a, k)
	}
	return r.load(&a, metaAttrDreg, r.metaLoad(k), k.bytes)
}

func (r *rule) metaLoad(k metaKey) *operand {
	switch {
	case k.field != "":
		return r.n.field(loadKey{field: k.field, bits: 8 * k.bytes, hostEndian: k.host})
	case k.varies || r.n.facts.assigned[k.name]:
		if k.lacking {
			r.match(firewall.Varies{Text: k.name + " is known"})
		}
		return &operand{kind: varying, text: k.name, host: k.host, stateful: k.stateful || r.n.facts.assigned[k.name]}
	case k.lacking && !r.alwaysKnown(k.name):
		r.match(firewall.Varies{Text: k.name + " is known"})
	}
	return r.n.free(k.name, 8*k.bytes, k.host)
}

// alwaysKnown reports whether the packets of a rule have what is missing from
// others: on the way in an interface that they came by, on the way out one that
// they leave by.
func (r *rule) alwaysKnown(key string) bool {
	var hooks []firewall.Hook
	switch key {
	case "meta iiftype", "meta iifgroup":
		hooks = []firewall.Hook{firewall.Ingress, firewall.Prerouting, firewall.Input, firewall.Forward}
	case "meta oiftype", "meta oifgroup":
		hooks = []firewall.Hook{firewall.Forward, firewall.Output, firewall.Postrouting, firewall.Egress}
	}
	return len(r.c.hooks) > 0 && !slices.ContainsFunc(r.c.hooks, func(h firewall.Hook) bool { return !slices.Contains(hooks, h) })
}

// metaSet is an assignment to a packet's metadata. What no rule looks at changes
// nothing; where one does, its answer has become uncertain.
func (r *rule) metaSet(a *reader, k metaKey) error {
	n := k.bytes
	v, err := r.source(a.num(metaAttrSreg), n)
	if err != nil || a.err != nil {
		return errors.Join(err, a.err)
	}
	what := k.name + " set " + r.valueText(v, fieldType(k.name), k.host)
	switch k.name {
	case "meta mark":
		r.assign(firewall.FieldMark, v)
	case "meta priority", "meta nftrace", "meta secmark", "meta pkttype":
		r.n.facts.assign(k.name)
		r.settle(nil)
	case "meta broute": // makes a bridge hand the frame to the IP stack
		r.opaque(what, a.attrs[metaAttrKey])
	default:
		return fmt.Errorf("%s cannot be set", k.name)
	}
	r.say(what)
	if b, ok := v.isConst(); ok && k.name == "meta nftrace" && b[0] == 1 {
		r.text.frags[len(r.text.frags)-1].save = saveOption{ok: true, slot: saveTarget, text: "-j TRACE"}
	}
	return nil
}

func (f *facts) assign(key string) {
	if !f.assigned[key] {
		f.assigned[key], f.grown = true, true
	}
}

// assign sets a mark to what 4 bytes of registers hold, a number in host order.
func (r *rule) assign(f firewall.Field, v *operand) {
	s := firewall.Assign{Field: f}
	switch v.kind {
	case plain:
		if len(v.bits) == 32 {
			s.Value = v.bits.Reverse()
		}
	case mapped:
		s.Map, s.Value = r.markMap(v)
	}
	r.emit(s) // without a value: of the packet's marks, nothing is known afterwards
}
