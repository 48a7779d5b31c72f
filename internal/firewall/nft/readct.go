package nft

import (
	"encoding/binary"
	"net/netip"

	"sekimori/internal/firewall"
)

// conntrack reads: ct state LIST, ct status dnat, ct original ….
func (b *builder) conntrack() error {
	key, err := b.take("a key of ct")
	if err != nil {
		return err
	}
	switch key {
	case "state":
		return b.state()
	case "status":
		// Bit 5 of the status, IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h.
		b.match(same(firewall.Whole(firewall.FieldCtStatus, 0, 31-5, 1), 1))
		return b.expect("dnat")
	case "original":
		return b.original()
	}
	return b.fail("unknown key %q of ct", key)
}

func (b *builder) state() error {
	states := map[string]firewall.StateMask{
		"new": firewall.StateNew, "established": firewall.StateEstablished, "related": firewall.StateRelated,
	}
	var mask firewall.StateMask
	for {
		name, err := b.take("a state")
		if err != nil {
			return err
		}
		if states[name] == 0 {
			return b.fail("unknown state %q", name)
		}
		mask |= states[name]
		if more, err := b.accept(","); err != nil {
			return err
		} else if !more {
			b.match(firewall.State{Mask: mask})
			return nil
		}
	}
}

// original reads the destination as the sender wrote it: ct original ip daddr, ct
// original proto-dst. Addresses are known for packets of their family alone, and
// the port where the rule has asked for a protocol before.
func (b *builder) original() error {
	what, err := b.take("ip, ip6 or proto-dst")
	if err != nil {
		return err
	}
	switch what {
	case "ip", "ip6":
		if err := b.expect("daddr"); err != nil {
			return err
		}
		b.family(what == "ip6")
		kind, n := "ipv4_addr", 32
		if what == "ip6" {
			kind, n = "ipv6_addr", 128
		}
		return b.against(kind, firewall.Whole(firewall.FieldCtOrigDst, 0, 0, n))
	case "proto-dst":
		if !b.l4 {
			return b.fail("a port of a connection without its protocol")
		}
		return b.against("inet_service", firewall.Whole(firewall.FieldCtOrigDport, 0, 0, 16))
	}
	return b.fail("unknown part %q of a connection", what)
}

// fib reads: fib daddr type T, or several in braces.
func (b *builder) fib() error {
	if err := b.expect("daddr", "type"); err != nil {
		return err
	}
	types := map[string]uint16{"local": 1 << 2, "broadcast": 1 << 3, "multicast": 1 << 5} // RTN_ of linux/rtnetlink.h
	var mask uint16
	braces, err := b.accept("{")
	if err != nil {
		return err
	}
	for {
		name, err := b.take("a type of address")
		if err != nil {
			return err
		}
		if types[name] == 0 {
			return b.fail("unknown type of address %q", name)
		}
		mask |= types[name]
		if !braces {
			break
		}
		if ok, err := b.accept("}"); err != nil {
			return err
		} else if ok {
			break
		}
		if err := b.expect(","); err != nil {
			return err
		}
	}
	b.match(firewall.AddrType{Types: mask})
	return nil
}

// translate reads: dnat ip to ADDRESS, with or without a port.
func (b *builder) translate(source bool) error {
	family, err := b.take("ip or ip6")
	if err != nil {
		return err
	}
	n := firewall.NAT{Kind: firewall.DNAT, Family: firewall.IPv4}
	if source {
		n.Kind = firewall.SNAT
	}
	if family == "ip6" {
		n.Family = firewall.IPv6
	} else if family != "ip" {
		return b.fail("unknown family %q", family)
	}
	if err := b.expect("to"); err != nil {
		return err
	}
	text, err := b.take("an address")
	if err != nil {
		return err
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		ap, err := netip.ParseAddrPort(text)
		if err != nil || ap.Port() == 0 {
			return b.fail("%q is no address", text)
		}
		if !b.l4 {
			return b.fail("a port is translated without its protocol")
		}
		a = ap.Addr()
		n.Port.Lo = binary.BigEndian.AppendUint16(nil, ap.Port())
	}
	if a.Is6() != (family == "ip6") || a.Zone() != "" || a.Is4In6() {
		return b.fail("%q is no address of the family", text)
	}
	n.Addr.Lo = a.AsSlice()
	return b.nat(n)
}

// nat ends the rule with a translation, which nat chains alone may have.
func (b *builder) nat(n firewall.NAT) error {
	base := b.rule.Chain.Base
	before := n.Kind == firewall.DNAT
	if base == nil || base.Type != "nat" || before != (base.Hook == firewall.Prerouting) {
		return b.fail("a translation in a chain that is not for it")
	}
	b.ended = true
	b.rule.Steps = append(b.rule.Steps, n)
	return nil
}
