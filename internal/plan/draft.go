package plan

import (
	"net/netip"
	"slices"
	"strings"

	"sekimori/internal/exposure"
	"sekimori/internal/firewall"
	"sekimori/internal/host"
	"sekimori/policy"
)

// Draft is a policy in the making. Whoever asks people changes Keep of the
// offers and Anywhere; the rest stays as it is. Text writes it.
type Draft struct {
	Hostname string
	Zones    []Zone
	// Admins are the networks that administrators log in from; none where no
	// session was found.
	Admins []Network
	// Anywhere lets ssh in from everywhere, at a low rate for each source, instead
	// of from Admins alone.
	Anywhere bool
	// SSHPorts are those at which sshd is reached.
	SSHPorts []uint16
	SSHWhy   string
	Offers   []Offer
	// Router is nil where the host forwards nothing but its containers' packets.
	Router []Forward
	// Containers says which networks of containers or virtual machines there are.
	Containers []string
	// DHCP are interfaces whose addresses come from a server.
	DHCP []string
	// Notes are things that a reader should know.
	Notes []string
}

// Zone is a part of the network.
type Zone struct {
	Name       string
	Interfaces []string
	Why        string
}

// Network is where administrators are.
type Network struct {
	Prefix netip.Prefix
	Why    string
}

// Offer is a rule for something that can be reached now.
type Offer struct {
	// Services are the words of the policy: https, 8080/tcp.
	Services []string
	// From are zones or prefixes, To addresses of this host; none is any.
	From, To []string
	Why      string
	// Keep is what is done unless somebody decides otherwise: what is meant for
	// everybody stays, what is seldom meant does not, and is written as a comment.
	Keep bool
	// Must marks what a host needs to stay on its network; it is not asked about.
	Must bool
}

// Forward is what a router lets through.
type Forward struct {
	From, To   string
	Masquerade bool
}

// The names of the zones.
const (
	zoneInternet = "internet"
	zoneLAN      = "lan"
	zoneVPN      = "vpn"
)

// NewDraft makes a policy of what a host does now. Exposed is who can reach what
// through rules, the ones that are loaded.
func NewDraft(s *host.Snapshot, exposed *exposure.Host, rules *firewall.Ruleset, sessions []Session) Draft {
	d := Draft{Hostname: plainText(s.System.Hostname, 64)}
	roles := rolesOf(s)
	d.zones(s, roles)
	facts := Facts(s)
	d.DHCP = slices.Compact(slices.Sorted(slices.Values(slices.Concat(facts.DHCPv4, facts.DHCPv6))))
	d.ssh(s, exposed, sessions, roles)
	d.offers(s, exposed, roles)
	d.routing(s, rules, roles)
	return d
}

// role is what an interface leads to.
type role int

const (
	roleNone     role = iota // loopback, parts of a bridge, unused
	roleExternal             // a default route
	roleLAN
	roleVPN
	roleContainers // bridges of containers and virtual machines
)

// rolesOf tells what each interface leads to, by its name.
func rolesOf(s *host.Snapshot) map[string]role {
	external := map[int]bool{}
	for _, r := range s.Routes {
		if r.Type != "unicast" || r.Dst.Bits() != 0 {
			continue
		}
		for _, h := range r.Hops {
			external[h.Interface] = true
		}
	}
	roles := map[string]role{}
	for _, i := range s.Interfaces {
		switch {
		case i.Loopback || i.Master != 0 || !plainName(i.Name):
		case strings.HasPrefix(i.Name, "ppp") && external[i.Index]:
			roles[i.Name] = roleExternal // the way to the provider, over DSL
		case tunnel(i):
			roles[i.Name] = roleVPN
		case containerBridge(s, i):
			roles[i.Name] = roleContainers
		case external[i.Index]:
			roles[i.Name] = roleExternal
		case i.Kind == "veth" && len(i.Addresses) == 0:
		case i.Up && hasAddress(i):
			roles[i.Name] = roleLAN
		}
	}
	return roles
}

// hasAddress tells whether an interface has an address that others may use.
func hasAddress(i host.Interface) bool {
	return slices.ContainsFunc(i.Addresses, func(a host.Address) bool { return !a.Prefix.Addr().IsLinkLocalUnicast() })
}

func tunnel(i host.Interface) bool {
	switch i.Kind {
	case "wireguard", "tun", "ipip", "gre", "vti", "vti6", "xfrm", "sit", "ip6tnl":
		return true
	}
	return hasPrefix(i.Name, "tailscale", "zt", "wg", "nebula", "tun", "ppp")
}

// containerBridge tells whether an interface is a bridge behind which containers or
// virtual machines of this host live. One with a name that others have as well, such
// as br-lan, is only if no network card is part of it.
func containerBridge(s *host.Snapshot, i host.Interface) bool {
	if unusualBridge(i) {
		return true
	}
	usual := slices.ContainsFunc(policy.ContainerInterfaces(), func(p policy.Interface) bool {
		return p != "veth*" && matches(string(p), i.Name)
	})
	if !usual || !hasPrefix(i.Name, "br-") {
		return usual
	}
	return !slices.ContainsFunc(s.Interfaces, func(o host.Interface) bool {
		return o.Master == i.Index && o.Kind != "veth" && o.Kind != "tun"
	})
}

// unusualBridge knows bridges that policies do not know of themselves: nerdctl's,
// Kubernetes' kubenet, multipass'.
func unusualBridge(i host.Interface) bool {
	return hasPrefix(i.Name, "nerdctl", "mpqemubr") || i.Name == "cbr0"
}

// guestBridge knows the bridges where this host itself gives out addresses and
// names: those of libvirt, LXD, Incus, LXC and multipass.
func guestBridge(i host.Interface) bool {
	return hasPrefix(i.Name, "virbr", "lxdbr", "lxcbr", "incusbr", "mpqemubr")
}

func hasPrefix(s string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

// zones writes the zones that there are.
func (d *Draft) zones(s *host.Snapshot, roles map[string]role) {
	for _, z := range []struct {
		name string
		role role
		why  string
	}{
		{zoneInternet, roleExternal, "the default route leads there"},
		{zoneLAN, roleLAN, "networks of this host without a default route"},
		{zoneVPN, roleVPN, "tunnels"},
	} {
		zone := Zone{Name: z.name, Why: z.why}
		for _, i := range s.Interfaces {
			if roles[i.Name] == z.role && z.role != roleNone {
				zone.Interfaces = append(zone.Interfaces, i.Name)
			}
		}
		if len(zone.Interfaces) > 0 {
			d.Zones = append(d.Zones, zone)
		}
	}
	for _, i := range s.Interfaces {
		if roles[i.Name] == roleContainers {
			d.Containers = append(d.Containers, i.Name)
		}
		if !i.Loopback && !plainName(i.Name) {
			d.Notes = append(d.Notes, "an interface has a name that no policy can have: "+plainText(i.Name, 20))
		}
	}
}

// zoneOf is the zone of an interface, "" where it has none.
func zoneOf(r role) string {
	switch r {
	case roleExternal:
		return zoneInternet
	case roleLAN:
		return zoneLAN
	case roleVPN:
		return zoneVPN
	}
	return ""
}

// ssh works out where administrators come from, and to which ports.
func (d *Draft) ssh(s *host.Snapshot, exposed *exposure.Host, sessions []Session, roles map[string]role) {
	add := func(port uint16) {
		if port != 0 && !slices.Contains(d.SSHPorts, port) {
			d.SSHPorts = append(d.SSHPorts, port)
		}
	}
	for _, c := range sessions {
		if c.Current {
			add(c.Server.Port())
		}
		if !c.Current || !c.Remote() {
			continue
		}
		for _, n := range networksOf(s, c) {
			if !slices.ContainsFunc(d.Admins, func(o Network) bool { return o.Prefix == n.Prefix }) {
				d.Admins = append(d.Admins, n)
			}
		}
	}
	listens := false
	for _, k := range exposed.Sockets() {
		if k.Proto == "tcp" && k.Owner != nil && isSSHD(k.Owner.Name) || k.Proto == "tcp" && k.Local.Port() == 22 {
			add(k.Local.Port())
			listens = true
			d.limited(k.Reach, roles)
		}
	}
	switch {
	case len(d.Admins) > 0:
	case listens:
		d.Anywhere = true
		d.SSHWhy = "no ssh session was found to tell where administrators are; say from: where"
	default:
		d.Anywhere = true
		d.SSHWhy = "nothing listens; a policy must let somebody log in, though"
	}
	if len(d.SSHPorts) == 0 {
		d.SSHPorts = []uint16{22}
	}
	slices.Sort(d.SSHPorts)
}

// limited adds the sources that the loaded rules let in to sshd, where those are
// few: somebody has thought about it.
func (d *Draft) limited(r exposure.Reach, roles map[string]role) {
	if r.Verdict != firewall.ReachSome {
		return
	}
	for _, f := range r.From {
		if len(f.Except) > 0 || wide(f) || len(f.Sources) > mostPrefixes || f.Group.IsValid() || roles[f.Interface] == roleNone {
			continue
		}
		for _, p := range f.Sources {
			if !slices.ContainsFunc(d.Admins, func(o Network) bool { return o.Prefix == p }) {
				d.Admins = append(d.Admins, Network{p, "the rules that are loaded let it in"})
			}
		}
	}
}

// mostPrefixes is how many prefixes a rule of a draft names.
const mostPrefixes = 8

func isSSHD(name string) bool {
	return name == "sshd" || name == "sshd-session" || name == "sshd-auth" || name == "dropbear"
}

// networksOf are the networks of a session: those of the interface that it shares
// with this host, of both families, or else as much around the address as
// providers commonly give to one customer or office.
func networksOf(s *host.Snapshot, c Session) []Network {
	a := c.Client.Addr().Unmap().WithZone("")
	why := "the ssh session that wrote this came from " + a.String()
	linkLocal := netip.MustParsePrefix("fe80::/10")
	if linkLocal.Contains(a) {
		return []Network{{linkLocal, why + ", on a network of this host"}}
	}
	for _, i := range s.Interfaces {
		var near []Network
		found := false
		for _, own := range i.Addresses {
			p := own.Prefix.Masked()
			if p.IsSingleIP() || p.Bits() == 0 || linkLocal.Contains(p.Addr()) {
				continue
			}
			reason := "the same network, " + i.Name
			if p.Contains(a) {
				found, reason = true, why+", on a network of this host"
			}
			near = append(near, Network{p, reason})
		}
		if found && !i.Loopback {
			return near
		}
	}
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, _ := a.Prefix(bits) // a has at least as many
	return []Network{{p, why + "; narrow it if you know the network"}}
}

// routing recognises a router: it forwards between networks that are not those
// of its own containers.
func (d *Draft) routing(s *host.Snapshot, rules *firewall.Ruleset, roles map[string]role) {
	facts := s.Facts()
	has := func(zone string) bool {
		return slices.ContainsFunc(d.Zones, func(z Zone) bool { return z.Name == zone })
	}
	if !facts.Known || !facts.Forward4 && !facts.Forward6 || !has(zoneInternet) {
		return
	}
	hides := masquerades(rules)
	// Docker turns forwarding on by itself: then it tells nothing about the rest.
	switched := slices.ContainsFunc(s.Interfaces, func(i host.Interface) bool {
		return roles[i.Name] == roleContainers
	})
	for _, zone := range []string{zoneLAN, zoneVPN} {
		if !has(zone) {
			continue
		}
		if switched && !hides[zone] {
			d.Notes = append(d.Notes, "this host may forward from "+zone+" to "+zoneInternet+"; nothing here is about that")
			continue
		}
		d.Router = append(d.Router, Forward{From: zone, To: zoneInternet, Masquerade: hides[zone]})
	}
	if len(d.Router) == 0 {
		return
	}
	if has(zoneLAN) && has(zoneVPN) {
		d.Router = append(d.Router, Forward{From: zoneLAN, To: zoneVPN}, Forward{From: zoneVPN, To: zoneLAN})
	}
}

// masquerades tells from which zones a rule hides the sources, as far as it can
// be told: a rule that names no container network hides all.
func masquerades(rules *firewall.Ruleset) map[string]bool {
	out := map[string]bool{}
	for _, t := range rules.Tables {
		for _, c := range t.Chains {
			if c.Base == nil || c.Base.Hook != firewall.Postrouting || strings.Contains(t.Name, "docker") || strings.Contains(t.Name, "libvirt") {
				continue
			}
			for _, r := range c.Rules {
				if hidesSources(r) && !strings.Contains(r.Text, "172.1") && !strings.Contains(r.Text, "192.168.122.") {
					out[zoneLAN], out[zoneVPN] = true, true
				}
			}
		}
	}
	return out
}

func hidesSources(r *firewall.Rule) bool {
	return slices.ContainsFunc(r.Steps, func(st firewall.Step) bool {
		n, ok := st.(firewall.NAT)
		return ok && (n.Kind == firewall.Masquerade || n.Kind == firewall.SNAT)
	})
}
