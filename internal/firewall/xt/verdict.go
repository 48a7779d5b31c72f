package xt

import (
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// verdictTargets are the targets that end a packet's way, or its tracking.
func verdictTargets(f firewall.Family) table {
	t := make(table)
	t.target("REJECT", "reject-with", []int{4}, decodeReject, reject)
	t.target("NFQUEUE", "queue-num queue-balance queue-bypass:0 queue-cpu-fanout:0", []int{2, 4, 6, 6}, decodeNFQueue, nfqueue)
	t.target("NOTRACK", "", []int{noBytes}, func(*Context, *data) []Option { return nil },
		func(*args) []firewall.Step { return []firewall.Step{firewall.NoTrack{}} })
	ct := t.target("CT", "notrack:0 helper timeout ctevents expevents zone zone-orig zone-reply", []int{40, 72, 72}, decodeCT, ctTarget)
	ct.alias = func(d *data) string {
		if d.u16(0)&ctNotrackAlias != 0 {
			return "NOTRACK"
		}
		return ""
	}
	t.target("SYNPROXY", "sack-perm:0 timestamp:0 wscale mss ecn:0", []int{4}, decodeSynproxy, opaque)
	for _, name := range [...]string{"MIRROR", "TARPIT", "DELUDE", "CHAOS", "STEAL", "ECHO", "CLUSTERIP", "FLOWOFFLOAD", "FULLCONENAT", "DNETMAP", "RAWDNAT", "RAWSNAT", "NAT"} {
		t.target(name, "", nil, nil, opaque)
	}
	if f == firewall.IPv6 {
		t.target("DNPT", "src-pfx dst-pfx", []int{36}, decodeNPT, opaque)
		t.target("SNPT", "src-pfx dst-pfx", []int{36}, decodeNPT, opaque)
	}
	return t
}

// opaque is a target that is known, and known to do what steps cannot say.
func opaque(a *args) []firewall.Step {
	text := strings.Replace(a.text(), "-m ", "-j ", 1)
	return []firewall.Step{firewall.Opaque{Name: "target " + a.name, Content: text}}
}

// rejectTypes are the answers of REJECT, by number; "" where there is none.
func rejectTypes(f firewall.Family) []string {
	if f == firewall.IPv6 {
		return []string{
			"icmp6-no-route", "icmp6-adm-prohibited", "", "icmp6-addr-unreachable", "icmp6-port-unreachable", "",
			"tcp-reset", "icmp6-policy-fail", "icmp6-reject-route",
		}
	}
	return []string{
		"icmp-net-unreachable", "icmp-host-unreachable", "icmp-proto-unreachable", "icmp-port-unreachable", "",
		"icmp-net-prohibited", "icmp-host-prohibited", "tcp-reset", "icmp-admin-prohibited",
	}
}

func decodeReject(c *Context, d *data) []Option {
	types := rejectTypes(c.Family)
	n := d.u32(0)
	if int64(n) >= int64(len(types)) || types[n] == "" {
		d.refuse("answer %d", n)
		return nil
	}
	return []Option{opt("reject-with", types[n])}
}

// reject: the answer is for people. Its short and old spellings are those that
// libxt_REJECT takes.
func reject(a *args) []firewall.Step {
	with := a.value("reject-with")
	short := map[string]string{
		"": "icmp-port-unreachable", "net-unreach": "icmp-net-unreachable", "host-unreach": "icmp-host-unreachable",
		"proto-unreach": "icmp-proto-unreachable", "port-unreach": "icmp-port-unreachable", "net-prohib": "icmp-net-prohibited",
		"host-prohib": "icmp-host-prohibited", "tcp-rst": "tcp-reset", "admin-prohib": "icmp-admin-prohibited",
	}
	if a.c.Family == firewall.IPv6 {
		short = map[string]string{
			"": "icmp6-port-unreachable", "no-route": "icmp6-no-route", "adm-prohibited": "icmp6-adm-prohibited",
			"addr-unreach": "icmp6-addr-unreachable", "port-unreach": "icmp6-port-unreachable", "tcp-rst": "tcp-reset",
			"policy-fail": "icmp6-policy-fail", "reject-route": "icmp6-reject-route",
		}
	}
	if long, ok := short[with]; ok {
		with = long
	}
	for _, t := range rejectTypes(a.c.Family) {
		if t != "" && t == with {
			return []firewall.Step{firewall.Verdict{Kind: firewall.Reject, Detail: with}}
		}
	}
	a.fail("%q is not an answer of REJECT for %v", with, a.c.Family)
	return nil
}

func decodeNFQueue(_ *Context, d *data) []Option {
	num, total, flags := d.u16(0), uint16(1), uint16(0)
	if d.rev > 0 {
		total = d.u16(2)
	}
	if d.rev > 1 {
		flags = d.u16(4)
	}
	known := uint64(1)
	if d.rev == 3 {
		known = 3
	}
	d.flags("flags", uint64(flags), known)
	opts := []Option{opt("queue-num", fmt.Sprint(num))}
	if total > 1 {
		opts[0] = opt("queue-balance", fmt.Sprintf("%d:%d", num, uint32(num)+uint32(total)-1))
	}
	if flags&1 != 0 {
		opts = append(opts, opt("queue-bypass"))
	}
	if flags&2 != 0 {
		opts = append(opts, opt("queue-cpu-fanout"))
	}
	return opts
}

func nfqueue(a *args) []firewall.Step {
	detail := a.value("queue-num")
	if v := a.value("queue-balance"); v != "" {
		detail = v
	}
	if detail == "" {
		detail = "0"
	}
	return []firewall.Step{firewall.Verdict{Kind: firewall.Queue, Detail: "to " + detail}}
}

// Flags of the CT target.
const (
	ctNotrack      = 1 << 0
	ctNotrackAlias = 1 << 1
	ctZoneOrig     = 1 << 2
	ctZoneReply    = 1 << 3
	ctZoneMark     = 1 << 4
)

func decodeCT(_ *Context, d *data) []Option {
	flags, zone := d.u16(0), d.u16(2)
	d.flags("flags", uint64(flags), 31)
	var opts []Option
	if flags&ctNotrack != 0 {
		// Under its old name, NOTRACK, the target has no option.
		opts = append(opts, Option{Name: "notrack", hidden: flags&ctNotrackAlias != 0})
	} else if flags&ctNotrackAlias != 0 {
		d.refuse("NOTRACK that tracks")
	}
	if s := d.str(12, 16); s != "" {
		opts = append(opts, quoted("helper", s))
	}
	if d.rev > 0 {
		if s := d.str(28, 32); s != "" {
			opts = append(opts, quoted("timeout", s))
		}
	}
	names := []string{"new", "related", "destroy", "reply", "assured", "protoinfo", "helper", "mark", "natseqinfo", "secmark"}
	if m := d.u32(4); m != 0 {
		opts = append(opts, opt("ctevents", bitNames(d, uint64(m), names)))
	}
	if m := d.u32(8); m != 0 {
		opts = append(opts, opt("expevents", bitNames(d, uint64(m), names[:1])))
	}
	name := "zone"
	switch {
	case flags&ctZoneOrig != 0:
		name = "zone-orig"
	case flags&ctZoneReply != 0:
		name = "zone-reply"
	}
	switch {
	case flags&ctZoneMark != 0:
		opts = append(opts, opt(name, "mark"))
	case zone != 0:
		opts = append(opts, opt(name, fmt.Sprint(zone)))
	}
	return opts
}

// ctTarget: helpers, timeouts and zones change what conntrack will know, which is
// free here anyway.
func ctTarget(a *args) []firewall.Step {
	if a.has("notrack") {
		return []firewall.Step{firewall.NoTrack{}}
	}
	return nil
}

func decodeSynproxy(_ *Context, d *data) []Option {
	flags := d.u8(0)
	d.flags("options", uint64(flags), 0x1f)
	var opts []Option
	if flags&4 != 0 {
		opts = append(opts, opt("sack-perm"))
	}
	if flags&8 != 0 {
		opts = append(opts, opt("timestamp"))
	}
	if flags&2 != 0 {
		opts = append(opts, opt("wscale", fmt.Sprint(d.u8(1))))
	}
	if flags&1 != 0 {
		opts = append(opts, opt("mss", fmt.Sprint(d.u16(2))))
	}
	if flags&16 != 0 {
		opts = append(opts, opt("ecn"))
	}
	return opts
}

func decodeNPT(c *Context, d *data) []Option {
	return []Option{
		opt("src-pfx", fmt.Sprintf("%s/%d", c.address(d.raw(0, 16)), d.u8(32))),
		opt("dst-pfx", fmt.Sprintf("%s/%d", c.address(d.raw(16, 16)), d.u8(33))),
	}
}
