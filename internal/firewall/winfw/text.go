package winfw

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// notEquivalent is the head of a text that says less than the policy.
func notEquivalent(b *bytes.Buffer, sign string, bad acl.UnsupportedList) {
	if len(bad) == 0 {
		return
	}
	fmt.Fprintf(b, "%s NOT EQUIVALENT to the policy: it admits less, because this firewall has no words for\n", sign)
	for _, l := range bad.Lacking() {
		fmt.Fprintf(b, "%s   %s\n", sign, oneLine(l))
	}
}

// oneLine keeps what people wrote from ending a comment.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, s)
}

// why writes the reason of a rule, where it is another than that of the last.
func why(b *bytes.Buffer, sign string, o acl.Origin, last *string) {
	if o.Why == "" || o.Why == *last {
		return
	}
	*last = o.Why
	where := ""
	if o.Line > 0 {
		where = fmt.Sprintf("line %d: ", o.Line)
	}
	fmt.Fprintf(b, "\n%s %s%s\n", sign, where, oneLine(o.Why))
}

// script writes everything for PowerShell. It first says what it leaves alone.
func (w *writer) script(bad acl.UnsupportedList) []byte {
	var b bytes.Buffer
	b.WriteString("#Requires -RunAsAdministrator\n# Windows Defender Firewall, written by sekimori. Proven by reading it back; never run on Windows by us.\n")
	notEquivalent(&b, "#", bad)
	b.WriteString(stmtStop + "\n\n# Our own rules of an earlier time go first.\n" + stmtRemove + "\n")
	reason := ""
	for i, r := range w.rules {
		why(&b, "#", w.origins[i], &reason)
		b.WriteString("New-NetFirewallRule" + arguments(r) + " | Out-Null\n")
	}
	b.WriteString("\n# What no rule allows is refused, whatever the network is taken for.\n")
	b.WriteString("Set-NetFirewallProfile -Profile Domain,Private,Public -Enabled True")
	for d, name := range []string{"-DefaultInboundAction", "-DefaultOutboundAction"} {
		switch w.defaults[d] {
		case AllowAll:
			b.WriteString(" " + name + " Allow")
		case BlockAll:
			b.WriteString(" " + name + " Block")
		}
	}
	b.WriteString(" -AllowInboundRules True -AllowLocalFirewallRules True\n")
	if in, out := w.defaults[In] == BlockAll, w.defaults[Out] == BlockAll; in || out {
		b.WriteString("\n# Rules of others that allow something beside ours:\n" + othersOf(in, out) + "\n" + stmtShow + "\n")
		if w.exclusive {
			b.WriteString(stmtDisable + "\n")
		}
	}
	return b.Bytes()
}

// arguments are those of New-NetFirewallRule.
func arguments(r Rule) string {
	var b strings.Builder
	add := func(name string, values ...string) {
		if len(values) > 0 {
			b.WriteString(" " + name + " " + strings.Join(values, ","))
		}
	}
	quoted := func(values []string) []string {
		out := make([]string, len(values))
		for i, v := range values {
			out[i] = "'" + strings.ReplaceAll(v, "'", "''") + "'"
		}
		return out
	}
	add("-Name", quoted([]string{r.Name})...)
	add("-DisplayName", quoted([]string{r.Display})...)
	add("-Group", quoted([]string{Group})...)
	add("-Direction", map[Direction]string{In: "Inbound", Out: "Outbound"}[r.Direction])
	add("-Action", map[Action]string{Allow: "Allow", Block: "Block"}[r.Action])
	add("-Profile", "Any")
	switch r.Protocol {
	case AnyProtocol:
		add("-Protocol", "Any")
	case 6:
		add("-Protocol", "TCP")
	case 17:
		add("-Protocol", "UDP")
	case 1:
		add("-Protocol", "ICMPv4")
	case 58:
		add("-Protocol", "ICMPv6")
	default:
		add("-Protocol", fmt.Sprint(r.Protocol))
	}
	add("-LocalPort", quoted(ranges(r.LocalPorts))...)
	add("-RemotePort", quoted(ranges(r.RemotePorts))...)
	add("-IcmpType", quoted(typeCodes(r.ICMP, ""))...)
	add("-LocalAddress", quoted(addresses(r.Local, prefixLength))...)
	add("-RemoteAddress", quoted(addresses(r.Remote, prefixLength))...)
	add("-InterfaceAlias", quoted(r.Interfaces)...)
	return b.String()
}

func ranges(rs []packet.Range) []string {
	var out []string
	for _, r := range rs {
		if r.Lo == r.Hi {
			out = append(out, fmt.Sprint(r.Lo))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", r.Lo, r.Hi))
		}
	}
	return out
}

// typeCodes writes TYPE with all its codes, or TYPE:CODE.
func typeCodes(rs []packet.Range, everyCode string) []string {
	var out []string
	for _, r := range rs {
		if r.Lo == r.Hi {
			out = append(out, fmt.Sprintf("%d:%d", r.Lo>>8, r.Lo&0xff))
		} else {
			out = append(out, fmt.Sprintf("%d%s", r.Lo>>8, everyCode))
		}
	}
	return out
}

func addresses(a Addresses, prefix func(netip.Prefix) string) []string {
	var out []string
	for _, rs := range [][]packet.AddrRange{a.V4, a.V6} {
		for _, r := range rs {
			out = append(out, addressText(r, prefix))
		}
	}
	return out
}

// addressText writes an address, a prefix where it is one, or a range. Prefixes of
// no bits are written as ranges: whether they are taken is not documented.
func addressText(r packet.AddrRange, prefix func(netip.Prefix) string) string {
	if r.Lo == r.Hi {
		return r.Lo.String()
	}
	for bits := 1; bits < r.Lo.BitLen(); bits++ {
		if p := netip.PrefixFrom(r.Lo, bits); p.Masked().Addr() == r.Lo && last(p) == r.Hi {
			return prefix(p)
		}
	}
	return r.Lo.String() + "-" + r.Hi.String()
}

func prefixLength(p netip.Prefix) string { return p.String() }

// masked is how the registry has prefixes: with a mask for IPv4.
func masked(p netip.Prefix) string {
	if p.Addr().Is6() {
		return p.String()
	}
	var m [4]byte
	for i := range p.Bits() {
		m[i/8] |= 0x80 >> (i % 8)
	}
	return p.Addr().String() + "/" + netip.AddrFrom4(m).String()
}

// registry writes everything as a .reg file.
func (w *writer) registry(bad acl.UnsupportedList) []byte {
	var b bytes.Buffer
	b.WriteString(regHeader + "\n\n; Windows Defender Firewall, written by sekimori. Proven by reading it back; never run on Windows by us.\n")
	notEquivalent(&b, ";", bad)
	for _, profile := range []string{"DomainProfile", "StandardProfile", "PublicProfile"} {
		fmt.Fprintf(&b, "\n[%s\\%s]\n\"EnableFirewall\"=dword:00000001\n", regKey, profile)
		for d, name := range []string{"DefaultInboundAction", "DefaultOutboundAction"} {
			switch w.defaults[d] {
			case AllowAll:
				fmt.Fprintf(&b, "%q=dword:00000000\n", name)
			case BlockAll:
				fmt.Fprintf(&b, "%q=dword:00000001\n", name)
			}
		}
	}
	fmt.Fprintf(&b, "\n[%s\\FirewallRules]\n", regKey)
	reason := ""
	for i, r := range w.rules {
		why(&b, ";", w.origins[i], &reason)
		fmt.Fprintf(&b, "%q=%q\n", r.Name, ruleText(r))
	}
	return b.Bytes()
}

// ruleText is a rule in the grammar of [MS-GPFAS] 2.2.2.19.
func ruleText(r Rule) string {
	var b strings.Builder
	b.WriteString("v2.10|")
	add := func(name string, values ...string) {
		for _, v := range values {
			b.WriteString(name + "=" + v + "|")
		}
	}
	add("Action", map[Action]string{Allow: "Allow", Block: "Block"}[r.Action])
	add("Active", "TRUE")
	add("Dir", map[Direction]string{In: "In", Out: "Out"}[r.Direction])
	if r.Protocol != AnyProtocol {
		add("Protocol", fmt.Sprint(r.Protocol))
	}
	ports := func(name string, rs []packet.Range) {
		for _, text := range ranges(rs) {
			if strings.Contains(text, "-") {
				add(name+"2_10", text)
			} else {
				add(name, text)
			}
		}
	}
	ports("LPort", r.LocalPorts)
	ports("RPort", r.RemotePorts)
	add(map[int]string{1: "ICMP4", 58: "ICMP6"}[r.Protocol], typeCodes(r.ICMP, ":*")...)
	for _, r := range []struct {
		side string
		a    Addresses
	}{{"LA", r.Local}, {"RA", r.Remote}} {
		add(r.side+"4", addresses(Addresses{V4: r.a.V4}, masked)...)
		add(r.side+"6", addresses(Addresses{V6: r.a.V6}, masked)...)
	}
	add("Name", strings.ReplaceAll(r.Display, "|", "/"))
	add("EmbedCtxt", Group)
	return b.String()
}
