package kernel

import (
	"errors"
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// stateful is a statement that counts, and may end the rule by what it counted.
func (r *rule) stateful(x expr) error {
	c, text := statefulCond(x)
	if u, bad := c.(firewall.Undecoded); bad {
		return errors.New(u.Text)
	}
	if c != nil {
		r.match(c)
	} else {
		r.settle(nil)
	}
	r.say(text)
	r.text.frags[len(r.text.frags)-1].save = saveLimit(x)
	return nil
}

// statefulCond is the condition under which a counting expression lets a rule go
// on; nil for those that always do. What is not understood is Undecoded.
func statefulCond(x expr) (firewall.Cond, string) {
	var text string
	var err error
	counts := false
	switch x.name {
	case "counter":
		text, err = "counter", read(x.data, types(1, 2, 3)).err
	case "last":
		text, err = "last", read(x.data, types(1, 2, 3)).err
	case "limit":
		text, err = limitText(x.data)
		counts = true
	case "quota":
		text, err = quotaText(x.data)
		counts = true
	case "connlimit":
		text, err = connlimitText(x.data)
		counts = true
	default:
		err = fmt.Errorf("expression %q is not one that counts", x.name)
	}
	switch {
	case err != nil:
		return firewall.Undecoded{Text: err.Error()}, ""
	case counts:
		return firewall.Varies{Text: text, Stateful: true}, text
	}
	return nil, text
}

// Attributes of limit (enum nft_limit_attributes).
const (
	limitAttrRate  = 1
	limitAttrUnit  = 2
	limitAttrBurst = 3
	limitAttrType  = 4
	limitAttrFlags = 5
)

func limitText(data []byte) (string, error) {
	a := read(data, types(limitAttrRate, limitAttrUnit, limitAttrBurst, limitAttrType, limitAttrFlags, 6))
	rate, unit, burst := a.num64(limitAttrRate), a.num64(limitAttrUnit), a.numOr(limitAttrBurst, 0)
	typ, flags := a.numOr(limitAttrType, 0), a.flags(limitAttrFlags, 1)
	if a.err != nil {
		return "", a.err
	}
	units := map[uint64]string{1: "second", 60: "minute", 3600: "hour", 86400: "day", 604800: "week"}
	per, ok := units[unit]
	if !ok {
		per = fmt.Sprintf("%d seconds", unit)
	}
	over := ""
	if flags != 0 {
		over = "over "
	}
	switch typ {
	case 0: // NFT_LIMIT_PKTS
		s := fmt.Sprintf("limit rate %s%d/%s", over, rate, per)
		if burst != 5 {
			s += fmt.Sprintf(" burst %d packets", burst)
		}
		return s, nil
	case 1: // NFT_LIMIT_PKT_BYTES
		s := fmt.Sprintf("limit rate %s%s/%s", over, byteCount(rate), per)
		if burst != 0 {
			s += " burst " + byteCount(uint64(burst))
		}
		return s, nil
	}
	return "", fmt.Errorf("limit type %d is not known", typ)
}

// byteCount prints a number of bytes in the largest unit that leaves no rest.
func byteCount(n uint64) string {
	units := []string{"bytes", "kbytes", "mbytes"}
	i := 0
	for n > 0 && n%1024 == 0 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	return fmt.Sprintf("%d %s", n, units[i])
}

func quotaText(data []byte) (string, error) {
	a := read(data, types(1, 2, 3, 4)) // bytes, flags, pad, consumed
	n, flags := a.num64(1), a.flags(2, 3)
	over := ""
	if flags&1 != 0 {
		over = "over "
	}
	return "quota " + over + byteCount(n), a.err
}

func connlimitText(data []byte) (string, error) {
	a := read(data, types(1, 2)) // count, flags
	n, flags := a.num(1), a.flags(2, 1)
	over := ""
	if flags&1 != 0 {
		over = "over "
	}
	return fmt.Sprintf("ct count %s%d", over, n), a.err
}

// Types of objects (NFT_OBJECT_).
const (
	objCounter    = 1
	objQuota      = 2
	objCtHelper   = 3
	objLimit      = 4
	objConnlimit  = 5
	objTunnel     = 6
	objCtTimeout  = 7
	objSecmark    = 8
	objCtExpect   = 9
	objSynproxy   = 10
	objTypesKnown = 11
)

// Attributes of objref (enum nft_objref_attributes).
const (
	objrefAttrType = 1
	objrefAttrName = 2
	objrefAttrSreg = 3
	objrefAttrSet  = 4
)

// objref uses an object, by its name or by a map.
func (r *rule) objref(data []byte) error {
	a := read(data, types(objrefAttrType, objrefAttrName, objrefAttrSreg, objrefAttrSet, 5))
	if a.err != nil {
		return a.err
	}
	if a.has(objrefAttrSreg) {
		return r.objrefMap(&a)
	}
	typ, name := a.num(objrefAttrType), a.text(objrefAttrName)
	if a.err != nil {
		return a.err
	}
	return r.useObject(typ, fmt.Sprintf("%q", name), a.attrs[objrefAttrName])
}

func (r *rule) objrefMap(a *reader) error {
	sreg, name := a.num(objrefAttrSreg), a.text(objrefAttrSet)
	if a.err != nil {
		return a.err
	}
	s := r.t.sets[name]
	if s == nil || !s.objects {
		return fmt.Errorf("object map %q is not there", name)
	}
	key, err := r.lookupKey(s, sreg)
	if err != nil {
		return err
	}
	r.match(r.member(s, key))
	return r.useObject(s.objType, r.keyText(key)+" map "+r.setText(s.Set, key, nil, false), a.attrs[objrefAttrSet])
}

// useObject is what an object of a type does to the packets that use it.
func (r *rule) useObject(typ uint32, name string, data []byte) error {
	if typ == 0 || typ >= objTypesKnown {
		return fmt.Errorf("object type %d is not known", typ)
	}
	word := [objTypesKnown]string{
		objCounter: "counter name", objQuota: "quota name", objCtHelper: "ct helper set", objLimit: "limit name",
		objConnlimit: "ct count name", objTunnel: "tunnel name", objCtTimeout: "ct timeout set", objSecmark: "meta secmark set",
		objCtExpect: "ct expectation set", objSynproxy: "synproxy name",
	}[typ]
	text := word + " " + name
	switch typ {
	case objQuota, objLimit, objConnlimit:
		r.match(firewall.Varies{Text: text, Stateful: true})
	case objTunnel, objSynproxy:
		r.opaque(text, data)
	case objSecmark:
		r.n.facts.assign("meta secmark")
		r.n.facts.assign("ct secmark")
	case objCtHelper:
		r.n.facts.assign("ct helper")
	}
	r.settle(nil)
	r.say(text)
	return nil
}

// Attributes of dynset (enum nft_dynset_attributes).
const (
	dynsetAttrSet         = 1
	dynsetAttrOp          = 3
	dynsetAttrKey         = 4
	dynsetAttrData        = 5
	dynsetAttrTimeout     = 6
	dynsetAttrExpr        = 7
	dynsetAttrFlags       = 9
	dynsetAttrExpressions = 10
)

// dynset adds to a set or deletes from it. Adding ends the rule where the set is
// full, and what the element counts may end it too.
func (r *rule) dynset(data []byte) error {
	a := read(data, types(dynsetAttrSet, 2, dynsetAttrOp, dynsetAttrKey, dynsetAttrData, dynsetAttrTimeout, dynsetAttrExpr, 8, dynsetAttrFlags, dynsetAttrExpressions))
	name, op, flags := a.text(dynsetAttrSet), a.num(dynsetAttrOp), a.flags(dynsetAttrFlags, 3)
	sreg := a.num(dynsetAttrKey)
	switch {
	case a.err != nil:
		return a.err
	case op > 2:
		return fmt.Errorf("operation %d is not known", op)
	}
	s := r.t.sets[name]
	if s == nil || s.keyLen == 0 {
		return fmt.Errorf("set %q is not there", name)
	}
	if !r.n.facts.learns[s] {
		r.n.facts.learns[s], r.n.facts.grown = true, true
	}
	key, err := r.lookupKey(s, sreg)
	if err != nil {
		return err
	}
	var element strings.Builder
	element.WriteString(r.keyText(key))
	var inside []expr
	if a.has(dynsetAttrExpr) && !a.has(dynsetAttrExpressions) {
		x, err := oneExpression(a.attrs[dynsetAttrExpr])
		if err != nil {
			return err
		}
		inside = append(inside, x)
	}
	if a.has(dynsetAttrExpressions) {
		if inside, err = expressions(a.attrs[dynsetAttrExpressions]); err != nil {
			return err
		}
	}
	if a.has(dynsetAttrTimeout) {
		if ms := a.num64(dynsetAttrTimeout); ms != 0 {
			element.WriteString(" timeout " + duration(ms))
		}
	}
	for _, x := range inside {
		c, text := statefulCond(x)
		if u, bad := c.(firewall.Undecoded); bad {
			return errors.New(u.Text)
		}
		element.WriteString(" " + text)
	}
	if a.has(dynsetAttrData) {
		v, err := r.source(a.num(dynsetAttrData), max(1, s.dataLen))
		if err != nil {
			return err
		}
		element.WriteString(" : " + r.valueText(v, typeHex, false))
	}
	if a.err != nil {
		return a.err
	}
	text := fmt.Sprintf("%s @%s { %s }", []string{"add", "update", "delete"}[op], s.Name, element.String())
	if flags&1 != 0 { // inverted: goes on where the set is full, or the limit reached
		text = "! " + text
	}
	if op == 2 {
		r.settle(nil)
	} else {
		r.match(firewall.Varies{Text: text, Stateful: true})
	}
	r.say(text)
	return nil
}

// duration prints milliseconds as nft does: 1d2h3m4s5ms.
func duration(ms uint64) string {
	var b strings.Builder
	for _, u := range []struct {
		n    uint64
		name string
	}{{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}} {
		if ms >= u.n {
			fmt.Fprintf(&b, "%d%s", ms/u.n, u.name)
			ms %= u.n
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}
