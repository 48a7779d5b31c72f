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
	"sekimori/internal/host/sudoers"
)

// view is what several checks ask, worked out once.
type view struct {
	Input
	s *host.Snapshot
	// inner are the interfaces by which nobody from outside comes: tunnels,
	// container bridges, networks of private addresses without a default route.
	inner map[string]bool
	// sockets are all listening sockets; forwards the ports that translation sends
	// elsewhere. Nil where nothing is known of exposure.
	sockets  []socket
	forwards []exposure.Forward
	// blind are the reasons for which exposure is not, or not wholly, known.
	blind []string
	procs map[int]*host.Process
	fw    firewallView
	ssh   sshView
	// sudo is nil where nothing of it was read.
	sudo *sudoers.Policy
}

// socket is a listening socket with what each family may do to it.
type socket struct {
	exposure.Socket
	v4, v6 exposure.Reach
}

func newView(in Input) *view {
	v := &view{Input: in, s: in.Snapshot, procs: map[int]*host.Process{}}
	for i := range v.s.Processes {
		v.procs[v.s.Processes[i].PID] = &v.s.Processes[i]
	}
	v.inner = innerInterfaces(v.s)
	if v.s.EUID == -1 {
		v.Rules, v.Exposure = nil, nil // files have no packet filters that are loaded
	}
	if v.Exposure == nil && v.Rules != nil {
		v.Exposure = exposure.Evaluate(v.s, v.Rules, 0)
	}
	v.expose()
	v.fw = newFirewallView(v)
	v.ssh = newSSHView(v)
	if len(v.s.Sudo.Files) > 0 {
		short, _, _ := strings.Cut(v.s.System.Hostname, ".")
		v.sudo = sudoers.Read(v.s.Sudo.Files, "/etc/sudoers", short)
	}
	return v
}

// expose asks who may reach what, in both families and in each.
func (v *view) expose() {
	for _, section := range []string{host.SectionSockets, host.SectionInterfaces, host.SectionRoutes, host.SectionFilters} {
		for _, u := range v.s.Unseen {
			if u.Section == section {
				v.blind = append(v.blind, u.Reason)
			}
		}
	}
	if v.Exposure == nil {
		if len(v.blind) == 0 {
			v.blind = append(v.blind, "the packet filters were not read")
		}
		return
	}
	named := len(v.blind) > 0 // why a socket is undecided has been said
	all := v.Exposure.Sockets()
	v4, v6 := v.Exposure.Only(firewall.IPv4).Sockets(), v.Exposure.Only(firewall.IPv6).Sockets()
	for i, k := range all {
		v.sockets = append(v.sockets, socket{k, v4[i].Reach, v6[i].Reach})
		if !named && (k.Reach.Verdict == firewall.ReachUndecided || len(k.Reach.Undecided) > 0) {
			v.blind = append(v.blind, fmt.Sprintf("who may reach %s could not be decided: %s", v.socketName(k), strings.Join(k.Reach.Undecided, "; ")))
		}
	}
	forwards, err := v.Exposure.Forwards()
	v.forwards = forwards
	if err != nil {
		v.blind = append(v.blind, err.Error())
	}
}

// innerInterfaces are those by which only this host's own guests, tunnels and
// private networks come. A default route makes any interface an outer one.
func innerInterfaces(s *host.Snapshot) map[string]bool {
	def := map[int]bool{}
	for _, r := range s.Routes {
		if r.Dst.IsValid() && r.Dst.Bits() == 0 && r.Type == "unicast" {
			for _, h := range r.Hops {
				def[h.Interface] = true
			}
		}
	}
	member := map[int]bool{}
	for _, i := range s.Interfaces {
		if i.Master != 0 && i.Kind != "veth" && i.Kind != "tun" {
			member[i.Master] = true // a bridge with a network card in it leads outside
		}
	}
	inner := map[string]bool{}
	for _, i := range s.Interfaces {
		if def[i.Index] || i.Loopback {
			continue
		}
		switch i.Kind {
		case "wireguard", "tun", "dummy":
			inner[i.Name] = true
		case "bridge":
			inner[i.Name] = !member[i.Index]
		}
		if onlyPrivate(i.Addresses) {
			inner[i.Name] = true
		}
	}
	return inner
}

func onlyPrivate(addresses []host.Address) bool {
	some := false
	for _, a := range addresses {
		ip := a.Prefix.Addr()
		if ip.IsLinkLocalUnicast() {
			continue
		}
		if !ip.IsPrivate() {
			return false
		}
		some = true
	}
	return some
}

// world reports whether anyone on the internet may come: most addresses, by an
// interface that leads outside.
func (v *view) world(r exposure.Reach) bool { return v.by(r, false) }

// neighbours reports whether anyone on an inner network may come.
func (v *view) neighbours(r exposure.Reach) bool { return v.by(r, true) }

func (v *view) by(r exposure.Reach, inner bool) bool {
	if r.Verdict != firewall.ReachAnyone {
		return false
	}
	wide := func(only string) bool {
		var weight float64
		for _, f := range r.From {
			if f.Group.IsValid() || v.inner[f.Interface] != inner || only != "" && f.Interface != only {
				continue
			}
			weight = max(weight, share(f.Sources)-share(f.Except))
		}
		return weight > 0.5
	}
	return wide("")
}

// share is which part of its family's addresses some prefixes hold.
func share(prefixes []netip.Prefix) float64 {
	sum := 0.0
	for _, p := range prefixes {
		part := 1.0
		for range p.Bits() {
			part /= 2
		}
		if p.Addr().Is6() && p.Bits() >= 3 && netip.MustParsePrefix("2000::/3").Overlaps(p) {
			part *= 8 // the internet's part of IPv6 is 2000::/3
		}
		sum += part
	}
	return sum
}

// socketName is "6379/tcp redis-server".
func (v *view) socketName(k exposure.Socket) string {
	name := fmt.Sprintf("%d/%s", k.Local.Port(), k.Proto)
	if p := processName(k.Owner); p != "" {
		name += " " + p
	}
	return name
}

func processName(p *host.Process) string {
	if p == nil {
		return ""
	}
	name := cmp.Or(base(p.Exe), p.Name)
	if interpreter(name) && len(p.Argv) > 1 {
		if script := scriptOf(p); script != "" {
			name += " " + base(script)
		}
	}
	return name
}

// base is the last element of a path.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// who says who may reach something and why, for evidence.
func (v *view) who(r exposure.Reach) string {
	switch r.Verdict {
	case firewall.ReachNone:
		return "nobody"
	case firewall.ReachUndecided:
		return "undecided"
	case firewall.ReachSome:
		var from []string
		for _, f := range r.From {
			for _, p := range f.Sources {
				if !slices.Contains(from, p.String()) {
					from = append(from, p.String())
				}
			}
		}
		return "some: " + few(from)
	}
	var devices, depends []string
	var because firewall.Because
	for _, f := range r.From {
		if f.Group.IsValid() {
			continue
		}
		if !slices.Contains(devices, f.Interface) {
			devices = append(devices, f.Interface)
		}
		if because.Chain == "" {
			because = f.Because
		}
		for _, d := range f.Depends {
			if !slices.Contains(depends, d) {
				depends = append(depends, d)
			}
		}
	}
	text := "anyone on " + few(devices)
	if because.Chain != "" {
		text += ": " + because.String() + ": " + because.Text
	} else {
		text += ": no rule is in the way"
	}
	if len(depends) > 0 {
		text += " (depends on " + few(depends) + ")"
	}
	return text
}

// few joins the first of some words and counts the rest.
func few(words []string) string {
	const most = 4
	if len(words) > most {
		return strings.Join(words[:most], ", ") + fmt.Sprintf(" and %d more", len(words)-most)
	}
	return strings.Join(words, ", ")
}

// line is the evidence about a socket.
func (v *view) line(k socket) string {
	addr := k.Local.Addr().String()
	if k.Takes4 && k.Takes6 {
		addr = "*"
	}
	text := v.socketName(k.Socket)
	if p := k.Owner; p != nil && p.Unit != "" {
		text += " (" + p.Unit + ")"
	}
	who := v.who(k.Reach)
	switch {
	case !k.Takes4 || !k.Takes6:
	case v.world(k.v6) && !v.world(k.v4):
		who = "over IPv6 " + v.who(k.v6)
	case v.world(k.v4) && !v.world(k.v6):
		who = "over IPv4 " + v.who(k.v4)
	}
	return text + " on " + addr + ": " + who
}

// evidence adds a line once.
func (o *outcome) add(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(o.evidence, text) {
		o.evidence = append(o.evidence, text)
	}
}

// miss adds a reason for which something was not seen.
func (o *outcome) miss(why ...string) {
	for _, w := range why {
		if !slices.Contains(o.unseen, w) {
			o.unseen = append(o.unseen, w)
		}
	}
}

// atLeast makes the finding as severe as s at least, where its severity was set
// here before.
func (o *outcome) atLeast(s Severity) {
	if o.severity == nil || *o.severity < s {
		o.severity = &s
	}
}

// without tells why a part of the snapshot is not there; none if it is.
func (v *view) without(sections ...string) []string {
	var why []string
	for _, u := range v.s.Unseen {
		if slices.Contains(sections, u.Section) {
			why = append(why, u.Reason)
		}
	}
	return why
}

// sectionOf is the section of the audit that suffers where one of the snapshot
// could not be read. What reachability needs is told by its own check.
func sectionOf(of string) (Section, bool) {
	section, ok := map[string]Section{
		host.SectionAccounts: Accounts, host.SectionSudo: Accounts, host.SectionSSH: SSH,
		host.SectionUnits: Services, host.SectionPackages: Updates, host.SectionUpdates: Updates,
		host.SectionSysctls: Kernel, host.SectionSettings: Kernel, host.SectionKernel: Kernel, host.SectionMounts: Kernel,
		host.SectionLogging: Logging, host.SectionClock: Logging, host.SectionWeb: Web, host.SectionIntegrity: Integrity,
		host.SectionProcesses: Compromise, host.SectionPrograms: Compromise, host.SectionConnections: Compromise, host.SectionStartup: Compromise,
	}[of]
	return section, ok
}

// unseen is what the snapshot itself says that it lacks.
func (v *view) unseen() []Unseen {
	var out []Unseen
	if !v.s.Audited {
		const why = "the snapshot was taken for questions about reachability alone (sekimori snapshot takes all)"
		for _, s := range Sections() {
			if s != Exposure && s != Firewall {
				out = append(out, Unseen{s, why})
			}
		}
	}
	for _, u := range v.s.Unseen {
		if section, ok := sectionOf(u.Section); ok && !slices.Contains(out, Unseen{section, u.Reason}) {
			out = append(out, Unseen{section, u.Reason})
		}
	}
	return out
}
