package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/xt"
)

// Flags and inversion flags of struct ipt_ip and ip6t_ip6.
const (
	ip4Frag, ip4Goto          = 1, 2
	ip6Proto, ip6TOS, ip6Goto = 1, 2, 4

	invIn, invOut, invSrc, invDst, invFrag, invProto = 1, 2, 8, 16, 32, 64
)

// rule translates an entry. The error is for what no kernel would accept.
func (t *legacyTable) rule(c *firewall.Chain, e entry) (*firewall.Rule, error) {
	r := &firewall.Rule{Chain: c}
	var text strings.Builder
	text.WriteString("-A " + c.Name)
	goes := t.header(r, e, &text)
	for _, x := range e.exts {
		steps, s := t.xt.DecodeMatch(x.name, x.rev, x.data)
		r.Steps = append(r.Steps, steps...)
		text.WriteString(" " + s)
		if x.name == "comment" && len(x.data) == 256 {
			s, _, _ := bytes.Cut(x.data, []byte{0})
			r.Comment = string(s)
		}
	}
	if err := t.target(r, e, goes, &text); err != nil {
		return nil, err
	}
	r.Text = text.String()
	return r, nil
}

// target adds the steps of an entry's target.
func (t *legacyTable) target(r *firewall.Rule, e entry, goes bool, text *strings.Builder) error {
	if e.target.name != "" {
		steps, s := t.xt.DecodeTarget(e.target.name, e.target.rev, e.target.data)
		r.Steps = append(r.Steps, steps...)
		text.WriteString(" " + s)
		return nil
	}
	v, ok := e.verdict()
	if !ok {
		return fmt.Errorf("a standard target of %d bytes", len(e.target.data))
	}
	switch v {
	case verdictDrop, verdictAccept, verdictQueue, verdictReturn:
		kind := map[int32]firewall.VerdictKind{
			verdictDrop: firewall.Drop, verdictAccept: firewall.Accept, verdictQueue: firewall.Queue, verdictReturn: firewall.Return,
		}[v]
		r.Steps = append(r.Steps, firewall.Verdict{Kind: kind})
		text.WriteString(" -j " + strings.ToUpper(kind.String()))
		return nil
	}
	if v < 0 {
		return fmt.Errorf("verdict %d is not known", v)
	}
	if next := t.at[e.offset] + 1; next < len(t.entries) && t.entries[next].offset == uint32(v) {
		if _, begins := t.heads[uint32(v)]; !begins {
			return nil // no target: the next rule follows
		}
	}
	to, ok := t.heads[uint32(v)]
	if !ok {
		return fmt.Errorf("a jump to %d, where no chain begins", v)
	}
	kind, flag := firewall.Jump, "-j"
	if goes {
		kind, flag = firewall.Goto, "-g"
	}
	r.Steps = append(r.Steps, firewall.Verdict{Kind: kind, Chain: to.Name})
	text.WriteString(" " + flag + " " + to.Name)
	return nil
}

// header adds the conditions on addresses, interfaces, protocol and fragments, and
// reports whether a jump is a goto.
func (t *legacyTable) header(r *firewall.Rule, e entry, text *strings.Builder) (goes bool) {
	l := t.layout
	flags, not := e.ip[l.flags], e.ip[l.invert]
	h := xt.Header{
		Src: e.ip[:l.addr], Dst: e.ip[l.addr : 2*l.addr],
		SrcMask: e.ip[2*l.addr : 3*l.addr], DstMask: e.ip[3*l.addr : 4*l.addr],
		NotSrc: not&invSrc != 0, NotDst: not&invDst != 0,
		NotIn: not&invIn != 0, NotOut: not&invOut != 0, NotProto: not&invProto != 0,
		Proto: binary.LittleEndian.Uint16(e.ip[l.proto:]),
	}
	known := byte(invIn | invOut | invSrc | invDst | invProto)
	knownFlags := byte(ip6Proto | ip6Goto)
	if l.addr == 4 {
		known |= invFrag
		knownFlags = ip4Frag | ip4Goto
		h.Frag, h.NotFrag = flags&ip4Frag != 0, not&invFrag != 0
		goes = flags&ip4Goto != 0
	} else {
		goes = flags&ip6Goto != 0
		h.AnyProto = flags&ip6Proto == 0
	}
	var bad []string
	name := func(off int) string {
		s, ok := maskedName(e.ip[off:off+16], e.ip[off+32:off+48])
		if !ok {
			bad = append(bad, fmt.Sprintf("interface mask %x", e.ip[off+32:off+48]))
		}
		return s
	}
	h.In, h.Out = name(l.ifaces), name(l.ifaces+16)
	if flags&^knownFlags != 0 || not&^known != 0 {
		bad = append(bad, fmt.Sprintf("flags %#x, inverted %#x", flags, not))
	}
	r.Steps = append(r.Steps, t.xt.Header(h)...)
	text.WriteString(t.xt.HeaderText(h))
	for _, b := range bad {
		r.Steps = append(r.Steps, firewall.Match{Cond: firewall.Undecoded{Text: b}})
		text.WriteString(" [undecoded: " + b + "]")
	}
	return goes
}

// maskedName reads an interface name under its mask: "eth0" where the mask covers
// its end, "eth+" where it does not, "" for any.
func maskedName(name, mask []byte) (string, bool) {
	n := 0
	for n < 16 && mask[n] == 0xff {
		n++
	}
	if slices.ContainsFunc(mask[n:], func(b byte) bool { return b != 0 }) {
		return "", false
	}
	s, _, ended := bytes.Cut(name, []byte{0})
	switch {
	case n == 0:
		return "", true
	case n <= len(s):
		return string(s[:n]) + "+", n < 16
	case ended && n == len(s)+1, ended && n == 16:
		return string(s), !slices.ContainsFunc(name[len(s):n], func(b byte) bool { return b != 0 })
	}
	return "", false
}
