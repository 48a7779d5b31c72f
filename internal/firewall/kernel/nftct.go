package kernel

import (
	"errors"
	"fmt"

	"sekimori/internal/firewall"
)

// Attributes of ct (enum nft_ct_attributes).
const (
	ctAttrDreg = 1
	ctAttrKey  = 2
	ctAttrDir  = 3
	ctAttrSreg = 4
)

// ctKey describes what one key of ct loads (enum nft_ct_keys).
type ctKey struct {
	name  string
	bytes int
	host  bool
	field firewall.Field
	// orig and reply are the fields in either direction.
	orig, reply firewall.Field
	// varies is true where the value is kept with the connection and is not to be
	// seen in the packet.
	varies, stateful bool
	// family is the only one that has the key, 0 for all.
	family firewall.Family
	// directed keys must, others must not have a direction; optional ones may.
	directed, optional bool
	// lacking is true where a value may be missing though there is a connection.
	lacking bool
}

func ctKeys() []ctKey {
	src := ctKey{directed: true, orig: firewall.FieldCtOrigSrc, reply: firewall.FieldCtReplySrc}
	dst := ctKey{directed: true, orig: firewall.FieldCtOrigDst, reply: firewall.FieldCtReplyDst}
	address := func(k ctKey, name string, f firewall.Family, n int) ctKey {
		k.name, k.family, k.bytes = name, f, n
		return k
	}
	return []ctKey{
		{name: "ct state", bytes: 4, host: true, field: firewall.FieldCtState},
		{name: "ct direction", bytes: 1, field: firewall.FieldCtDir},
		{name: "ct status", bytes: 4, host: true, field: firewall.FieldCtStatus},
		{name: "ct mark", bytes: 4, host: true, field: firewall.FieldCtMark},
		{name: "ct secmark", bytes: 4, host: true, varies: true, stateful: true},
		{name: "ct expiration", bytes: 4, host: true, varies: true},
		{name: "ct helper", bytes: 16, varies: true, lacking: true},
		{name: "ct l3proto", bytes: 1, field: firewall.FieldCtL3Proto, optional: true},
		address(src, "saddr", 0, 0),
		address(dst, "daddr", 0, 0),
		{name: "ct protocol", bytes: 1, field: firewall.FieldCtProto, optional: true},
		{name: "proto-src", bytes: 2, directed: true, orig: firewall.FieldCtOrigSport},
		{name: "proto-dst", bytes: 2, directed: true, orig: firewall.FieldCtOrigDport},
		{name: "ct label", bytes: 16, varies: true, stateful: true},
		{name: "packets", bytes: 8, host: true, varies: true, optional: true},
		{name: "bytes", bytes: 8, host: true, varies: true, optional: true},
		{name: "avgpkt", bytes: 8, host: true, varies: true, optional: true},
		{name: "zone", bytes: 2, host: true, varies: true, stateful: true, optional: true},
		{name: "ct event", bytes: 4, host: true, varies: true}, // can only be set
		address(src, "ip saddr", firewall.IPv4, 4),
		address(dst, "ip daddr", firewall.IPv4, 4),
		address(src, "ip6 saddr", firewall.IPv6, 16),
		address(dst, "ip6 daddr", firewall.IPv6, 16),
		{name: "ct id", bytes: 4, varies: true},
	}
}

func (r *rule) ct(data []byte) error {
	a := read(data, types(ctAttrDreg, ctAttrKey, ctAttrDir, ctAttrSreg))
	num := a.num(ctAttrKey)
	switch {
	case a.err != nil:
		return a.err
	case int(num) >= len(r.n.cts):
		return fmt.Errorf("key %d is not known", num)
	case a.has(ctAttrSreg) == a.has(ctAttrDreg):
		return errors.New("neither a load nor an assignment")
	}
	k := r.n.cts[num]
	dir := uint8(2)
	if a.has(ctAttrDir) {
		dir = a.byte(ctAttrDir)
		if a.err != nil || dir > 1 || !k.directed && !k.optional {
			return fmt.Errorf("direction %d for %s", dir, k.name)
		}
	} else if k.directed {
		return errors.New("no direction")
	}
	if a.has(ctAttrSreg) {
		return r.ctSet(&a, k)
	}
	v, n, err := r.ctLoad(k, dir)
	if err != nil {
		return err
	}
	return r.load(&a, ctAttrDreg, v, n)
}

// ctName is nft's name of a key in a direction: "ct original ip saddr".
func ctName(k ctKey, dir uint8) string {
	switch {
	case dir == 0 && !k.isPlainTuple():
		return "ct original " + k.name
	case dir == 1 && !k.isPlainTuple():
		return "ct reply " + k.name
	case len(k.name) > 3 && k.name[:3] == "ct ":
		return k.name
	}
	return "ct " + k.name
}

// isPlainTuple is true for the keys whose direction nft neither wants nor shows.
func (k ctKey) isPlainTuple() bool {
	return k.field == firewall.FieldCtL3Proto || k.field == firewall.FieldCtProto
}

func (r *rule) ctLoad(k ctKey, dir uint8) (*operand, int, error) {
	name := ctName(k, dir)
	if k.field == firewall.FieldCtState {
		return r.n.field(loadKey{field: k.field, bits: 32, hostEndian: true}), 4, nil
	}
	n := k.bytes
	if k.directed && n == 0 { // as wide as the table's family
		switch r.t.Family {
		case firewall.IPv4:
			n = 4
		case firewall.IPv6:
			n = 16
		default:
			return nil, 0, fmt.Errorf("%s in a table of family %s", name, r.t.Family)
		}
	}
	if k.family != 0 {
		r.onlyFamily(k.family)
	}
	r.require(needCt, 1)
	if k.lacking {
		r.match(firewall.Varies{Text: name + " is known"})
	}
	set := r.n.facts.assigned[name]
	f := k.field
	switch {
	case k.directed && dir == 0:
		f = k.orig
	case k.directed:
		f = k.reply
	}
	switch {
	case k.varies || set:
		return &operand{kind: varying, text: name, host: k.host, stateful: k.stateful || set}, n, nil
	case f == "":
		return r.n.free(name, 8*n, k.host), n, nil
	}
	return r.n.field(loadKey{field: f, bits: 8 * n, hostEndian: k.host}), n, nil
}

// onlyFamily ends the rule for packets that are not of the family.
func (r *rule) onlyFamily(f firewall.Family) {
	if r.t.Family != f && r.text.l3 != f {
		b := []byte{byte(f)}
		r.match(firewall.Compare{Value: firewall.Whole(firewall.FieldNFProto, 0, 0, 8), In: []firewall.Interval{{Lo: b, Hi: b}}})
	}
}

func (r *rule) ctSet(a *reader, k ctKey) error {
	v, err := r.source(a.num(ctAttrSreg), k.bytes)
	if err != nil || a.err != nil {
		return errors.Join(err, a.err)
	}
	name := ctName(k, 2)
	what := name + " set " + r.valueText(v, fieldType(name), k.host)
	switch name {
	case "ct mark":
		r.assign(firewall.FieldCtMark, v)
	case "ct label", "ct event", "ct secmark", "ct zone":
		// Nothing of this decides about a packet but through rules that look at it.
		// A zone has an effect on which connection the packet belongs to, which is
		// open in any case.
		r.n.facts.assign(name)
		r.settle(nil)
	default:
		return fmt.Errorf("%s cannot be set", name)
	}
	r.say(what)
	return nil
}
