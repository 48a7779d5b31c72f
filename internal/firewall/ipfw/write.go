package ipfw

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// Target is what the compiler calls this firewall.
const Target = "ipfw"

// The sets that a script works with: Live is in force, Spare is made while it is
// disabled, and then both are swapped at once.
const (
	Live  = 28
	Spare = 29
)

// Numbers of rules, in the order of the text.
const (
	firstNumber = 1000
	lastNumber  = 60000
)

// Write returns a script for the shell that puts a list in force: the new rules are
// made in a set that is disabled, and swapped with those in force in one step.
// Connections live on. If a rule is refused, ipfw stops before the swap, and nothing
// has changed. Rules below 1000 and above 60000, and those of other sets, are
// nobody's business here; they are asked before and after ours.
//
// The first rules are for what ipfw sees otherwise than firewalls that put packets
// together: later fragments pass, because whoever puts them together lacks the
// first one if it was refused; and errors of ICMP about connections, which it does
// not know to be about them.
func Write(l *acl.List, o acl.Options) ([]acl.File, error) {
	w := &writer{owners: l.Owners}
	reduced, bad := l.EdgeFirst().Reduced(Target, cannot)
	if l.Edge != nil && l.Edge.Broadcast { // nothing that is less can be said instead
		return nil, append(bad, unsupported("broadcast at the edge", l.Edge.Origin))
	}
	for _, t := range l.NAT {
		bad = append(bad, unsupported("address translation", t.Origin))
	}
	if l.Observed != nil {
		bad = append(bad, unsupported("counts of what passes through the host", l.Observed.Origin))
	}
	if l.Forward != nil && len(l.Forward.Rules) == 0 {
		bad = append(bad, unsupported(through, l.Forward.Origin))
	}
	if len(bad) > 0 && !o.Degrade {
		return nil, bad
	}
	if l.Edge != nil { // before anything that looks at connections
		w.edge(acl.ToHost, reduced.Inbound, l.Edge.Origin)
		w.edge(acl.FromHost, reduced.Outbound, l.Edge.Origin)
	}
	w.line(acl.Origin{}, "allow ip from any to any frag")
	if l.Forward != nil {
		w.line(l.Forward.Origin, "deny ip from any to any out recv *")
	}
	w.section(acl.ToHost, reduced.Inbound)
	w.section(acl.FromHost, reduced.Outbound)
	if len(w.lines) > lastNumber-firstNumber {
		return nil, append(bad, unsupported(fmt.Sprintf("%d rules", len(w.lines)), acl.Origin{}))
	}
	return []acl.File{{Name: "sekimori.ipfw.sh", Text: w.script(bad)}}, nil
}

const through = "what passes through the host"

func unsupported(what string, o acl.Origin) *acl.Unsupported {
	return &acl.Unsupported{Target: Target, What: what, Origin: o}
}

// cannot says what ipfw has no words for in a rule.
func cannot(way acl.Way, r *acl.Rule) string {
	switch {
	case way == acl.ThroughHost:
		return through
	case r.Rate != nil && r.Rate.PerSource:
		return "a rate for each source"
	case r.Rate != nil:
		return "a rate"
	case r.Published:
		return "published ports"
	case len(r.NotIn)+len(r.NotOut) > 0 && !slices.Equal(slices.Concat(r.NotIn, r.NotOut), []acl.Interface{"lo"}):
		return "every interface but some"
	}
	owners := len(r.Users)+len(r.Groups)+len(r.ExceptUsers)+len(r.ExceptGroups) > 0
	if owners && len(r.Services) == 0 {
		return "users of every protocol"
	}
	for _, s := range r.Services {
		ports := s.Lo != 0 || s.Hi != 0xffff || s.SrcLo != 0 || s.SrcHi != 0
		switch {
		case owners && (s.Any || s.Protocol != 6 && s.Protocol != 17):
			return "users of other protocols than TCP and UDP"
		case s.Any || !ports:
		case s.Protocol == 1 || s.Protocol == 58:
			if s.Lo&0xff != 0 || s.Hi&0xff != 0xff {
				return "a code of ICMP"
			}
			if s.Protocol == 1 && s.Hi>>8 > 31 {
				return "a type of ICMP above 31"
			}
		case !slices.Contains([]uint8{6, 17, 132, 136}, s.Protocol):
			return fmt.Sprintf("ports of protocol %d", s.Protocol)
		}
	}
	return ""
}

// writer gathers rules.
type writer struct {
	lines   []string // # comments, and rules from the action on
	why     string
	looksUp bool // check-state stands already
	tables  []table
	owners  map[uint32]string
}

// table is a list that is kept in a table.
type table struct {
	name     string
	prefixes []netip.Prefix
}

// line adds a rule.
func (w *writer) line(o acl.Origin, text string) {
	if o.Why != "" && o.Why != w.why {
		w.why = o.Why
		where := ""
		if o.Line > 0 {
			where = fmt.Sprintf("line %d: ", o.Line)
		}
		w.lines = append(w.lines, "# "+where+oneLine(o.Why))
	}
	if o.Path != "" && o.Line > 0 {
		text += fmt.Sprintf(" // %s, line %d", o.Path, o.Line)
	}
	w.lines = append(w.lines, text)
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

// edge writes the rules that a section begins with, and takes them out of it.
func (w *writer) edge(way acl.Way, s *acl.Section, o acl.Origin) {
	for len(s.Rules) > 0 && s.Rules[0].Origin == o {
		w.rule(way, s.Rules[0])
		s.Rules = s.Rules[1:]
	}
}

// section writes the rules of a direction. One that is left alone passes, with
// states for its answers.
func (w *writer) section(way acl.Way, s *acl.Section) {
	dir := direct(way)
	if s == nil {
		w.line(acl.Origin{Why: "not said in the policy: left alone, but answers are known"}, "allow ip from any to any "+dir+" keep-state")
		return
	}
	for _, r := range s.Rules {
		w.rule(way, r)
	}
	if s.Default == acl.Drop {
		w.line(s.Origin, "deny ip from any to any "+dir)
	} else {
		w.line(s.Origin, "allow ip from any to any "+dir+" keep-state")
	}
}

func direct(way acl.Way) string {
	if way == acl.ToHost {
		return "in"
	}
	return "out"
}

// rule writes one rule, as many lines as it takes.
func (w *writer) rule(way acl.Way, r acl.Rule) {
	keep := ""
	switch r.States {
	case acl.Known:
		if !w.looksUp {
			w.line(r.Origin, "check-state")
			w.looksUp = true
		}
		w.line(r.Origin, "allow icmp from any to any "+direct(way)+" icmptypes 3,11,12")
		w.line(r.Origin, "allow ipv6-icmp from any to any "+direct(way)+" icmp6types 1,2,3,4")
		return
	case acl.New:
		keep = " keep-state"
	case acl.AnyState: // whoever answers a datagram is answered
		datagrams := func(s acl.Service) bool { return !s.Any && s.Protocol == 17 }
		if len(r.Services) > 0 && !slices.ContainsFunc(r.Services, func(s acl.Service) bool { return !datagrams(s) }) {
			keep = " keep-state"
		}
	}
	action := map[acl.Action]string{acl.Accept: "allow", acl.Drop: "deny", acl.Count: "count"}[r.Action]
	if r.Action != acl.Accept {
		keep = ""
	}
	for _, m := range w.matches(way, &r) {
		w.line(r.Origin, action+" "+m+keep)
	}
}

// matches are the lines of a rule, without what they do.
func (w *writer) matches(way acl.Way, r *acl.Rule) []string {
	var where strings.Builder
	for _, is := range [][]acl.Interface{r.In, r.Out} {
		where.WriteString(interfaceText(way, is))
	}
	for _, n := range slices.Concat(r.NotIn, r.NotOut) {
		where.WriteString(" not via " + ifaceName(n))
	}
	owner := w.owned("uid", r.Users, false) + w.owned("gid", r.Groups, false) +
		w.owned("uid", r.ExceptUsers, true) + w.owned("gid", r.ExceptGroups, true)
	var out []string
	for _, from := range peers(r.From) {
		for _, to := range peers(r.To) {
			at := interfaceText(way, from.Interfaces) + interfaceText(way, to.Interfaces)
			for _, s := range services(r.Services) {
				for _, family := range families(s.family, from, to) {
					src, ok1 := w.addresses(from.Addresses, family)
					dst, ok2 := w.addresses(to.Addresses, family)
					only := s.option
					if src == "any" && dst == "any" && only == "" {
						only = familyOption(family)
					}
					if ok1 && ok2 {
						out = append(out, fmt.Sprintf("%s from %s%s to %s%s %s%s%s%s%s",
							s.protocol(), src, s.source, dst, s.ports, direct(way), where.String(), at, owner, only))
					}
				}
			}
		}
	}
	return out
}

// peers are the peers one by one, or anybody.
func peers(ps []acl.Peer) []acl.Peer {
	if len(ps) == 0 {
		return []acl.Peer{{}}
	}
	return ps
}

// interfaceText restricts a rule to interfaces, those of the pass.
func interfaceText(way acl.Way, is []acl.Interface) string {
	which := "recv "
	if way == acl.FromHost {
		which = "xmit "
	}
	var out []string
	for _, i := range is {
		out = append(out, which+ifaceName(i))
	}
	switch len(out) {
	case 0:
		return ""
	case 1:
		return " " + out[0]
	}
	return " { " + strings.Join(out, " or ") + " }"
}

func ifaceName(i acl.Interface) string {
	if i == "lo" {
		return Loopback
	}
	return string(i)
}

// owned restricts a rule to users or groups, by number, or by a name that ipfw
// looks up when it loads the text.
func (w *writer) owned(what string, ids []uint32, except bool) string {
	var out []string
	for _, id := range ids {
		name, ok := w.owners[id]
		if !ok {
			name = fmt.Sprint(id)
		}
		out = append(out, what+" "+name)
	}
	switch {
	case len(out) == 0:
		return ""
	case except:
		return " not " + strings.Join(out, " not ")
	case len(out) == 1:
		return " " + out[0]
	}
	return " { " + strings.Join(out, " or ") + " }"
}

// families are those that a line is about: one line for each where addresses are
// named, because ipfw's lists are of one.
func families(f packet.Family, from, to acl.Peer) []packet.Family {
	switch {
	case f != 0:
		return []packet.Family{f}
	case from.Addresses == nil && to.Addresses == nil:
		return []packet.Family{0}
	}
	return []packet.Family{packet.V4, packet.V6}
}

// familyOption restricts a rule in which no address says its family.
func familyOption(f packet.Family) string {
	switch f {
	case packet.V4:
		return " ipv4"
	case packet.V6:
		return " ipv6"
	}
	return ""
}

// maxInline is how many prefixes stand in a rule; more are a table.
const maxInline = 16

// addresses writes those of one family; false is none at all.
func (w *writer) addresses(as *acl.Addresses, f packet.Family) (string, bool) {
	if as == nil {
		return "any", true
	}
	var ps []netip.Prefix
	for _, r := range as.Ranges {
		if f == 0 || r.Lo.Is4() == (f == packet.V4) {
			ps = append(ps, prefixes(r)...)
		}
	}
	switch {
	case len(ps) == 0:
		return "", false
	case len(ps) == 1 && ps[0].Bits() == 0:
		return "any", true
	case len(ps) > maxInline:
		return "table(" + w.table(as.Name, ps) + ")", true
	}
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = p.String()
	}
	return strings.Join(out, ","), true
}

// table returns the name of a table with these prefixes, made once.
func (w *writer) table(list string, ps []netip.Prefix) string {
	for _, t := range w.tables {
		if slices.Equal(t.prefixes, ps) {
			return t.name
		}
	}
	family := "-4"
	if ps[0].Addr().Is6() {
		family = "-6"
	}
	name := "sekimori-" + list + family
	if list == "" || len(name) > 50 || slices.ContainsFunc(w.tables, func(t table) bool { return t.name == name }) {
		name = fmt.Sprintf("sekimori-%d%s", len(w.tables)+1, family)
	}
	w.tables = append(w.tables, table{name, ps})
	return name
}

// prefixes cuts a range into prefixes, as few as there can be.
func prefixes(r packet.AddrRange) []netip.Prefix {
	var out []netip.Prefix
	for lo := r.Lo; ; {
		bits := lo.BitLen()
		end := lo
		for ; bits > 0; bits-- {
			p := netip.PrefixFrom(lo, bits-1)
			if p.Masked().Addr() != lo || r.Hi.Less(last(p)) {
				break
			}
			end = last(p)
		}
		out = append(out, netip.PrefixFrom(lo, bits))
		if lo = end.Next(); !lo.IsValid() || end.Compare(r.Hi) >= 0 {
			return out
		}
	}
}

// last is the last address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// script is the whole text.
func (w *writer) script(bad acl.UnsupportedList) []byte {
	var b bytes.Buffer
	b.WriteString("#!/bin/sh\n# ipfw, written by sekimori. In rc.conf: firewall_enable=\"YES\" firewall_script=\"/usr/local/etc/sekimori/sekimori.ipfw.sh\"\n")
	if len(bad) > 0 {
		b.WriteString("# NOT EQUIVALENT to the policy: it admits less, because this firewall has no words for\n")
		for _, l := range bad.Lacking() {
			fmt.Fprintf(&b, "#   %s\n", oneLine(l))
		}
	}
	b.WriteString("set -e\n# What is connected stays connected when the rules that let it in are replaced.\nsysctl net.inet.ip.fw.dyn_keep_states=1 >/dev/null\n")
	fmt.Fprintf(&b, "ipfw -q set disable %d enable %d\nipfw -q delete set %d 2>/dev/null || :\n", Spare, Live, Spare)
	for _, t := range w.tables {
		fmt.Fprintf(&b, "ipfw -q table %s create type addr 2>/dev/null || :\nipfw -q table %s-new create type addr 2>/dev/null || :\n", t.name, t.name)
	}
	b.WriteString("ipfw -q /dev/stdin << 'SEKIMORI'\n")
	for _, t := range w.tables {
		fmt.Fprintf(&b, "table %s-new flush\n", t.name)
		for _, p := range t.prefixes {
			fmt.Fprintf(&b, "table %s-new add %s\n", t.name, p)
		}
	}
	step := max(1, min(10, (lastNumber-firstNumber)/max(1, len(w.lines))))
	number := firstNumber
	for _, l := range w.lines {
		if strings.HasPrefix(l, "#") {
			b.WriteString(l + "\n")
			continue
		}
		fmt.Fprintf(&b, "add %d set %d %s\n", number, Spare, l)
		number += step
	}
	b.WriteString("# From here on the new rules are in force, and the old ones are not.\n")
	for _, t := range w.tables {
		fmt.Fprintf(&b, "table %s swap %s-new\n", t.name, t.name)
	}
	fmt.Fprintf(&b, "set swap %d %d\nSEKIMORI\nipfw -q delete set %d 2>/dev/null || :\n", Spare, Live, Spare)
	return b.Bytes()
}
