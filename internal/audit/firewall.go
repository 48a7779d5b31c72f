package audit

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sekimori/internal/exposure"
	"sekimori/internal/firewall"
	"sekimori/internal/host"
)

func firewallChecks() []Check {
	return []Check{
		{"fw-present", Firewall, High, []string{"CIS Debian 12 4.1.1", "ANSSI BP-028 R80"}, (*view).noFirewall},
		{"fw-drop4", Firewall, High, []string{"CIS Debian 12 4.3.8, 4.4.2.1"}, func(v *view) outcome { return v.opensByDefault(firewall.IPv4) }},
		{"fw-drop6", Firewall, High, []string{"CIS Debian 12 4.3.8, 4.4.3.1"}, func(v *view) outcome { return v.opensByDefault(firewall.IPv6) }},
		{"fw-icmp6", Firewall, High, []string{"RFC 4890"}, (*view).icmp6},
		{"fw-persist", Firewall, High, []string{"CIS Debian 12 4.3.9, 4.3.10"}, (*view).persistence},
		{"fw-saved", Firewall, High, []string{"CIS Debian 12 4.3.10"}, (*view).savedDiffers},
		{"fw-est", Firewall, Medium, []string{"CIS Debian 12 4.4.2.3"}, (*view).replies},
		{"fw-lo", Firewall, Medium, []string{"CIS Debian 12 4.3.6, 4.4.2.2"}, (*view).loopback},
		{"fw-forward", Firewall, Medium, []string{"CIS Debian 12 4.3.8, 4.4.2.1"}, (*view).forwarding},
		{"fw-single", Firewall, Medium, []string{"CIS Debian 12 4.1.1"}, (*view).severalFirewalls},
		{"fw-dead", Firewall, Low, []string{"CIS Debian 12 4.2.6"}, (*view).deadRules},
		{"fw-log", Firewall, Low, []string{"Lynis FIRE-4586"}, (*view).dropsUnlogged},
		{"fw-ssh-rate", Firewall, Low, []string{"ssh-audit: throttle connections (DHEat, CVE-2002-20001)"}, (*view).sshUnlimited},
	}
}

// firewallView is what checks of the rules share.
type firewallView struct {
	// blind is why nothing is known of the rules.
	blind []string
	// many is true where going through each rule would take too long.
	many bool
	// engines are those of the two families.
	engines map[firewall.Family]*firewall.Engine
	// free is a port that nothing listens on and no rule speaks of.
	free uint16
}

// manyRules is the number of rules up to which each is asked about by itself.
const manyRules = 1500

func newFirewallView(v *view) firewallView {
	f := firewallView{engines: map[firewall.Family]*firewall.Engine{}}
	f.blind = v.without(host.SectionFilters)
	if v.Rules == nil {
		if len(f.blind) == 0 {
			f.blind = append(f.blind, "the packet filters were not read")
		}
		f.many = true
		return f
	}
	rules := 0
	spoken := map[uint16]bool{}
	for _, t := range v.Rules.Tables {
		for _, c := range t.Chains {
			rules += len(c.Rules)
			for _, r := range c.Rules {
				for _, p := range rulePorts(r.Text) {
					spoken[p] = true
				}
			}
		}
	}
	f.many = rules > manyRules
	for _, k := range v.s.Sockets {
		spoken[k.Local.Port()] = true
	}
	for f.free = 61; spoken[f.free]; f.free++ {
	}
	return f
}

// engine gives the engine of a family, made when first asked for.
func (v *view) engine(f firewall.Family) *firewall.Engine {
	if v.fw.engines[f] == nil {
		v.fw.engines[f] = firewall.NewEngine(f, v.s.Facts(), 0, v.Rules)
	}
	return v.fw.engines[f]
}

// hooked are the rules of the chains that packets meet at a hook, those jumped to
// included, in no order.
func (v *view) hooked(hook firewall.Hook) []*firewall.Rule {
	var out []*firewall.Rule
	if v.Rules == nil {
		return nil
	}
	for _, t := range v.Rules.Tables {
		if t.Dormant {
			continue
		}
		seen := map[*firewall.Chain]bool{}
		var visit func(c *firewall.Chain)
		visit = func(c *firewall.Chain) {
			if c == nil || seen[c] {
				return
			}
			seen[c] = true
			for _, r := range c.Rules {
				out = append(out, r)
				for _, to := range targets(r) {
					visit(t.Chain(to))
				}
			}
		}
		for _, c := range t.Chains {
			if c.Base != nil && c.Base.Hook == hook {
				visit(c)
			}
		}
	}
	return out
}

// targets are the chains that a rule may lead to.
func targets(r *firewall.Rule) []string {
	var names []string
	for _, s := range r.Steps {
		switch s := s.(type) {
		case firewall.Verdict:
			if s.Chain != "" {
				names = append(names, s.Chain)
			}
		case firewall.VerdictMap:
			for _, e := range s.Map.Elems {
				if e.Verdict != nil && e.Verdict.Chain != "" {
					names = append(names, e.Verdict.Chain)
				}
			}
		}
	}
	return names
}

// filters reports whether some chain judges packets of a family that come to this
// host.
func (v *view) filters(f firewall.Family) bool {
	if v.Rules == nil {
		return false
	}
	for _, t := range v.Rules.Tables {
		if t.Dormant || t.Family != f && t.Family != firewall.Inet && t.Family != firewall.Netdev {
			continue
		}
		for _, c := range t.Chains {
			if c.Base == nil || c.Base.Type != "filter" {
				continue
			}
			refuses := c.Base.Policy == firewall.Drop || len(c.Rules) > 0
			switch c.Base.Hook {
			case firewall.Input:
				if refuses {
					return true
				}
			case firewall.Ingress, firewall.Prerouting:
				for _, r := range c.Rules {
					for _, s := range r.Steps {
						if d, ok := s.(firewall.Verdict); ok && (d.Kind == firewall.Drop || d.Kind == firewall.Reject) {
							return true
						}
					}
				}
			}
		}
	}
	return false
}

// reached reports whether anything of the family can come from outside at all.
func (v *view) reached(f firewall.Family) bool {
	for _, i := range v.s.Interfaces {
		if i.Loopback || !i.Up {
			continue
		}
		for _, a := range i.Addresses {
			if (f == firewall.IPv4) == a.Prefix.Addr().Is4() {
				return true
			}
		}
	}
	return false
}

// unjudged asks who could reach a port that no rule speaks of.
func (v *view) unjudged(f firewall.Family, proto string) (exposure.Reach, bool) {
	if v.Exposure == nil {
		return exposure.Reach{}, false
	}
	p, err := v.Exposure.Only(f).Port(proto, v.fw.free)
	return p.Reach, err == nil
}

func (v *view) noFirewall() outcome {
	o := outcome{unseen: v.fw.blind, policy: v.inboundPolicy()}
	if v.Exposure == nil || v.filters(firewall.IPv4) || v.filters(firewall.IPv6) {
		return o
	}
	for _, f := range []firewall.Family{firewall.IPv4, firewall.IPv6} {
		r, ok := v.unjudged(f, "tcp")
		if ok && v.world(r) {
			o.add("%s: no chain at the input hook refuses anything; any port that a program opens is open to anyone on %s", familyName(f), v.doors(r))
		}
	}
	return o
}

// doors are the interfaces that lead outside, by which something comes.
func (v *view) doors(r exposure.Reach) string {
	var names []string
	for _, s := range r.From {
		if !v.inner[s.Interface] && !slices.Contains(names, s.Interface) {
			names = append(names, s.Interface)
		}
	}
	return few(names)
}

func familyName(f firewall.Family) string {
	if f == firewall.IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// opensByDefault finds that packets that no rule speaks of are let in, where
// there is a firewall at all.
func (v *view) opensByDefault(f firewall.Family) outcome {
	o := outcome{policy: v.inboundPolicy()}
	if !v.reached(f) || !v.filters(firewall.IPv4) && !v.filters(firewall.IPv6) {
		return o
	}
	if f == firewall.IPv6 && !v.globalV6() {
		o.atLeast(Low) // only the neighbours on the link can send
	}
	for _, proto := range []string{"tcp", "udp"} {
		r, ok := v.unjudged(f, proto)
		switch {
		case !ok || r.Verdict == firewall.ReachUndecided:
			o.miss(fmt.Sprintf("what becomes of %s packets that no rule speaks of could not be decided: %s", familyName(f), strings.Join(r.Undecided, "; ")))
		case v.world(r):
			o.add("%d/%s, of which no rule speaks, would be open to %s", v.fw.free, proto, v.who(r))
		}
	}
	return o
}

// outerAddress is an address of this host at which packets from outside arrive,
// and the interface.
func (v *view) outerAddress(f firewall.Family) (netip.Addr, string, bool) {
	for _, i := range v.s.Interfaces {
		if i.Loopback || v.inner[i.Name] {
			continue
		}
		for _, a := range i.Addresses {
			ip := a.Prefix.Addr()
			if (f == firewall.IPv4) == ip.Is4() && !ip.IsLinkLocalUnicast() {
				return ip, i.Name, true
			}
		}
	}
	return netip.Addr{}, "", false
}

// traced follows one packet; the text is what decided.
func (v *view) traced(f firewall.Family, text string) (firewall.Trace, bool) {
	if v.Rules == nil {
		return firewall.Trace{}, false
	}
	t, err := trace(v.engine(f), v.Rules, text)
	return t, err == nil
}

// refused reports whether a packet is surely refused, and by what.
func (v *view) refused(f firewall.Family, text string) (firewall.Because, bool) {
	t, ok := v.traced(f, text)
	return t.Because, ok && (t.Verdict == firewall.TraceDrop || t.Verdict == firewall.TraceReject) && !t.Unrouted
}

// closed reports whether what no rule speaks of is refused, so that exceptions
// matter.
func (v *view) closed(f firewall.Family) bool {
	r, ok := v.unjudged(f, "tcp")
	return ok && r.Verdict == firewall.ReachNone && r.Blocked != nil
}

// icmp6 finds that the firewall refuses what IPv6 cannot live without.
func (v *view) icmp6() outcome {
	var o outcome
	addr, dev, ok := v.outerAddress(firewall.IPv6)
	if !ok || v.Exposure == nil {
		return o
	}
	for _, m := range []struct{ what, from, kind string }{
		{"neighbour solicitation", "fe80::1", "nd-neighbor-solicit"},
		{"neighbour advertisement", "fe80::1", "nd-neighbor-advert"},
		{"packet too big", "2001:db8:ffff::1", "packet-too-big"},
	} {
		text := fmt.Sprintf("icmpv6 %s -> %s type %s in %s untracked", m.from, addr, m.kind, dev)
		if m.kind == "packet-too-big" {
			text = fmt.Sprintf("icmpv6 %s -> %s type %s in %s related", m.from, addr, m.kind, dev)
		}
		if why, refused := v.refused(firewall.IPv6, text); refused {
			o.add("%s on %s is refused: %s: %s", m.what, dev, why, why.Text)
		}
	}
	return o
}

// replies finds that answers to this host's own connections are refused.
func (v *view) replies() outcome {
	var o outcome
	for _, f := range []firewall.Family{firewall.IPv4, firewall.IPv6} {
		addr, dev, ok := v.outerAddress(f)
		if !ok || v.Exposure == nil || !v.closed(f) {
			continue
		}
		peer := "198.51.100.7:443"
		own := fmt.Sprintf("%s:40000", addr)
		if f == firewall.IPv6 {
			peer, own = "[2001:db8:ffff::7]:443", fmt.Sprintf("[%s]:40000", addr)
		}
		if why, refused := v.refused(f, fmt.Sprintf("tcp %s -> %s in %s established flags ack", peer, own, dev)); refused {
			o.add("%s: answers from port 443 are refused: %s: %s", familyName(f), why, why.Text)
		}
	}
	return o
}

// loopback finds that programs of this host cannot talk to each other.
func (v *view) loopback() outcome {
	var o outcome
	for f, text := range map[firewall.Family]string{
		firewall.IPv4: "tcp 127.0.0.1:40000 -> 127.0.0.1:%d in lo new flags syn",
		firewall.IPv6: "tcp [::1]:40000 -> [::1]:%d in lo new flags syn",
	} {
		if v.Exposure == nil || !v.filters(f) {
			continue
		}
		if why, refused := v.refused(f, fmt.Sprintf(text, v.fw.free)); refused {
			o.add("%s: connections over loopback are refused: %s: %s", familyName(f), why, why.Text)
		}
	}
	slices.Sort(o.evidence)
	return o
}

// forwarding finds that this host hands on whatever it is sent.
func (v *view) forwarding() outcome {
	var o outcome
	if v.Exposure == nil || v.s.Sysctls["net.ipv4.ip_forward"] != "1" {
		return o
	}
	_, dev, ok := v.outerAddress(firewall.IPv4)
	if !ok {
		return o
	}
	for _, i := range v.s.Interfaces {
		if i.Loopback || i.Name == dev || !v.inner[i.Name] {
			continue
		}
		for _, a := range i.Addresses {
			if !a.Prefix.Addr().Is4() || a.Prefix.Bits() > 30 {
				continue
			}
			guest := a.Prefix.Masked().Addr().Next()
			if guest == a.Prefix.Addr() {
				guest = guest.Next()
			}
			t, ok := v.traced(firewall.IPv4, fmt.Sprintf("tcp 198.51.100.7:40000 -> %s:%d in %s out %s new flags syn", guest, v.fw.free, dev, i.Name))
			if ok && t.Verdict == firewall.TraceAccept {
				why := "no rule is in the way"
				if t.Because.Chain != "" {
					why = t.Because.String() + ": " + t.Because.Text
				}
				o.add("a packet to %s that comes by %s is handed on to %s: %s", guest, dev, i.Name, why)
			}
		}
	}
	return o
}

// managers are programs that own the firewall's rules, with their unit.
func managers() map[string]string {
	return map[string]string{
		"ufw.service": "ufw", "firewalld.service": "firewalld", "nftables.service": "nftables.service",
		"netfilter-persistent.service": "netfilter-persistent", "shorewall.service": "shorewall",
		"iptables.service": "iptables.service", "ferm.service": "ferm",
	}
}

// enabledManagers are those that load rules at boot here.
func (v *view) enabledManagers() []string {
	var names []string
	for _, u := range v.s.Units {
		if name := managers()[u.Name]; name != "" && (strings.HasPrefix(u.State, "enabled") || u.Active == "active") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (v *view) severalFirewalls() outcome {
	var o outcome
	if v.Rules != nil {
		used := map[string][]string{}
		for _, t := range v.Rules.Tables {
			n := 0
			for _, c := range t.Chains {
				n += len(c.Rules)
				if c.Base != nil && c.Base.Policy == firewall.Drop {
					n++
				}
			}
			if n > 0 && !t.Dormant {
				kind := "nf_tables"
				if t.Backend == firewall.Legacy {
					kind = "iptables-legacy"
				}
				used[kind] = append(used[kind], t.Place())
			}
		}
		if len(used) == 2 {
			o.add("iptables-legacy: %s; nf_tables: %s", few(used["iptables-legacy"]), few(used["nf_tables"]))
		}
	}
	var lords []string
	for _, m := range v.enabledManagers() {
		if m == "ufw" || m == "firewalld" || m == "shorewall" || m == "ferm" {
			lords = append(lords, m)
		}
	}
	if len(lords) > 1 {
		o.add("%s are all enabled, and each takes the rules for its own", strings.Join(lords, " and "))
	}
	return o
}

// ownRules reports whether rules are loaded that somebody made to protect this
// host: not those of containers and bans alone.
func (v *view) ownRules() bool {
	for _, f := range []firewall.Family{firewall.IPv4, firewall.IPv6} {
		if v.filters(f) && v.closed(f) {
			return true
		}
	}
	return false
}

// persistence finds that rules are loaded which nothing will load at the next
// boot.
func (v *view) persistence() outcome {
	var o outcome
	if !v.s.Audited || v.Exposure == nil || !v.ownRules() {
		return o
	}
	if why := v.without(host.SectionUnits); len(why) > 0 {
		o.miss(why...)
		return o
	}
	if v.s.Startup.Init != "systemd" || len(v.enabledManagers()) > 0 || v.s.Kernel.Container {
		return o
	}
	for _, u := range v.s.Units {
		for _, c := range u.Commands {
			line := strings.Join(c.Argv, " ")
			if strings.HasPrefix(c.Kind, "ExecStart") && (strings.Contains(line, "nft") || strings.Contains(line, "tables-restore")) && strings.HasPrefix(u.State, "enabled") {
				return o
			}
		}
	}
	o.add("rules are loaded, and no enabled unit loads any at boot (nftables.service, netfilter-persistent, ufw, firewalld)")
	for _, f := range v.s.SavedRules {
		o.add("%s is there, last written %s", f.Path, f.Modified.UTC().Format("2006-01-02"))
	}
	return o
}

// savedDiffers compares what would be loaded at boot with what is loaded.
func (v *view) savedDiffers() outcome {
	var o outcome
	if v.Rules == nil {
		return o
	}
	for _, saved := range v.Saved {
		if saved.Rules == nil {
			o.miss(saved.File + ": " + saved.Err)
			continue
		}
		for _, f := range saved.Families {
			v.compareSaved(&o, saved, f)
		}
	}
	return o
}

// compareSaved reports what packets to this host would be let in after the next
// boot and are refused now, and the other way round.
func (v *view) compareSaved(o *outcome, saved SavedRules, f firewall.Family) {
	if !v.reached(f) {
		return
	}
	loaded := v.aboutFamily(f)
	e := firewall.NewEngine(f, v.s.Facts(), 0, loaded, saved.Rules)
	changes, err := e.Diff(loaded, saved.Rules, firewall.WayInput, 3)
	if err != nil {
		o.miss(fmt.Sprintf("%s: %s: %v", saved.File, familyName(f), err))
		return
	}
	for _, c := range changes {
		if transient(c.Old) || transient(c.New) {
			continue
		}
		for _, b := range c.Packets {
			o.add("%s: after the next boot %s becomes %s for %s packets: %s (now: %s)",
				saved.File, c.From, c.To, familyName(f), b, cmp.Or(c.Old.String(), c.Old.Text))
		}
		if c.To == firewall.Accept {
			o.atLeast(High)
		} else {
			o.atLeast(Medium)
		}
	}
}

// aboutFamily is the loaded rules that a saved file of that family could hold:
// without the tables of programs that write their own.
func (v *view) aboutFamily(f firewall.Family) *firewall.Ruleset {
	out := &firewall.Ruleset{Obstacles: v.Rules.Obstacles}
	for _, t := range v.Rules.Tables {
		if t.Family != f && t.Family != firewall.Inet || ownTable(t.Name) {
			continue
		}
		out.Tables = append(out.Tables, t)
	}
	return out
}

// ownTable reports whether a table is kept by a program that loads it by itself.
func ownTable(name string) bool {
	for _, prefix := range []string{"f2b", "crowdsec", "sekimori-bans", "docker", "netavark", "libvirt", "tailscale", "ts-", "sshguard"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// transient reports whether a rule is one of a program that comes and goes.
func transient(b firewall.Because) bool {
	return ownTable(strings.ToLower(b.Chain)) || strings.HasPrefix(b.Chain, "DOCKER")
}

// deadRules finds rules that decide about no packet, because those before them do.
func (v *view) deadRules() outcome {
	var o outcome
	if v.Rules == nil || len(v.fw.blind) > 0 {
		return o
	}
	if v.fw.many {
		o.miss(fmt.Sprintf("which rules never match was not asked: there are more than %d", manyRules))
		return o
	}
	alive := map[*firewall.Rule]bool{}
	for _, f := range []firewall.Family{firewall.IPv4, firewall.IPv6} {
		if err := v.deciding(f, alive); err != nil {
			o.miss(fmt.Sprintf("which rules never match could not be decided: %v", err))
			return o
		}
	}
	for _, hook := range []firewall.Hook{firewall.Input, firewall.Forward, firewall.Output} {
		only := v.onlyChain(hook)
		for _, r := range v.hooked(hook) {
			kind := decides(r)
			if alive[r] || kind == firewall.Continue || ownTable(strings.ToLower(r.Chain.Name)) || r.Chain.Table != nil && ownTable(r.Chain.Table.Name) {
				continue
			}
			if kind == firewall.Accept && !only {
				continue // what the next base chain says stands for it
			}
			o.add("%s: %s", r.Place(), r.Text)
		}
	}
	return o
}

// onlyChain reports whether each family has at most one chain that judges packets
// at a hook, so that its accept is the last word.
func (v *view) onlyChain(hook firewall.Hook) bool {
	n := map[firewall.Family]int{}
	for _, t := range v.Rules.Tables {
		for _, c := range t.Chains {
			if c.Base != nil && c.Base.Hook == hook && !t.Dormant {
				n[t.Family]++
			}
		}
	}
	return n[firewall.Inet]+n[firewall.IPv4] <= 1 && n[firewall.Inet]+n[firewall.IPv6] <= 1
}

// decides is the verdict that a rule ends with: accept, drop or reject, Continue
// for all others.
func decides(r *firewall.Rule) firewall.VerdictKind {
	for _, s := range r.Steps {
		switch s := s.(type) {
		case firewall.Verdict:
			switch s.Kind {
			case firewall.Accept, firewall.Drop, firewall.Reject:
				return s.Kind
			}
		case firewall.Opaque:
			return firewall.Continue
		}
	}
	return firewall.Continue
}

// deciding marks the rules that decide about some packet of a family.
func (v *view) deciding(f firewall.Family, alive map[*firewall.Rule]bool) error {
	e := v.engine(f)
	return e.Do(func() error {
		for _, way := range []firewall.Way{firewall.WayInput, firewall.WayForward, firewall.WayOutput} {
			r := e.Follow(v.Rules, way, e.Sent(way), true)
			mark := func(reasons []firewall.Reason) {
				for _, why := range reasons {
					if why.Rule != nil && !why.Set.Empty() {
						alive[why.Rule] = true
					}
				}
			}
			mark(r.Refused)
			for _, flow := range r.Flows {
				mark(flow.Accepted)
			}
		}
		return nil
	})
}

func (v *view) dropsUnlogged() outcome {
	var o outcome
	if v.Rules == nil || v.Exposure == nil || !v.ownRules() {
		return o
	}
	for _, r := range v.hooked(firewall.Input) {
		for word := range strings.FieldsSeq(r.Text) {
			if w := strings.ToLower(word); w == "log" || w == "nflog" || w == "ulog" {
				return o
			}
		}
	}
	o.add("no rule at the input hook logs anything")
	return o
}

// sshUnlimited finds an ssh that may be asked without end, where sshd itself has
// no limit per source.
func (v *view) sshUnlimited() outcome {
	var o outcome
	if v.ssh.config == nil || v.ssh.limitsSources() {
		return o
	}
	for _, k := range v.sshSockets() {
		limited := false
		for _, f := range k.Reach.From {
			limited = limited || len(f.Depends) > 0
		}
		if v.world(k.Reach) && !limited {
			o.add("%s", v.line(k))
		}
	}
	o.policy = []string{"inbound: [{allow: ssh, rate: 6/min per source}]"}
	return o
}
