package nft

import (
	"net/netip"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// translations writes the chains of address translation.
func (w *writer) translations(ts []acl.Translation) {
	var in, out *chain
	for _, t := range ts {
		c := &in
		base := "type nat hook prerouting priority dstnat; policy accept"
		if t.Kind != acl.Destination {
			c, base = &out, "type nat hook postrouting priority srcnat; policy accept"
		}
		if *c == nil {
			*c = w.chain(map[bool]string{true: "arriving", false: "leaving"}[t.Kind == acl.Destination])
			(*c).lines = append((*c).lines, base)
		}
		w.translation(*c, t)
	}
}

func (w *writer) translation(c *chain, t acl.Translation) {
	c.say(t.Origin)
	r := acl.Rule{In: t.In, Out: t.Out, From: t.From, To: t.To, Services: t.Services, Origin: t.Origin}
	cs := product(w.parties(r), w.services(r))
	verdict := "masquerade"
	if t.Kind != acl.Masquerade {
		word := map[acl.TranslationKind]string{acl.Source: "snat", acl.Destination: "dnat"}[t.Kind]
		f := packet.V4
		if t.ToAddress.Is6() {
			f = packet.V6
		}
		to := t.ToAddress.String()
		if t.ToPort != 0 {
			to = netip.AddrPortFrom(t.ToAddress, t.ToPort).String()
		}
		verdict = word + " " + ipWord(f) + " to " + to
		cs = product([]cond{{f, familyWord(f)}}, cs)
	}
	local := ""
	if t.Local {
		local = "fib daddr type local"
	}
	for _, m := range cs {
		c.rule(m.text, local, verdict, comment(t.Origin))
	}
}
