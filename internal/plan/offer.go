package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/exposure"
	"sekimori/internal/firewall"
	"sekimori/internal/host"
	"sekimori/policy"
)

// public are the services that are meant for whoever asks: they stay.
const public = " http https http3 smtp submission smtps imap imaps pop3 pop3s dns dns-over-tls ipsec openvpn wireguard tailscale " +
	"jabber git sip sips minecraft mosh ftp bgp "

// servers are programs whose ports are meant for whoever asks, whatever the port.
const servers = " nginx apache2 httpd caddy haproxy traefik lighttpd envoy varnishd h2o openvpn tailscaled murmurd turnserver " +
	"named nsd knotd pdns_server "

// reached is what is known of one port.
type reached struct {
	service string // 443/tcp
	proto   string
	port    uint16
	who     string // for people
	process string
	zones   []string // where everybody may; "" is everywhere
	some    []netip.Prefix
	open    bool
	kernel  bool // no process: a tunnel of the kernel's own
	to      string
}

// offers looks at each port that somebody outside may reach.
func (d *Draft) offers(s *host.Snapshot, exposed *exposure.Host, roles map[string]role) {
	ports := map[string]*reached{}
	var order []*reached
	at := func(proto string, port uint16) *reached {
		name := fmt.Sprintf("%d/%s", port, proto)
		if ports[name] == nil {
			ports[name] = &reached{service: name, proto: proto, port: port}
			order = append(order, ports[name])
		}
		return ports[name]
	}
	for _, k := range exposed.Sockets() {
		if k.Proto == "raw" {
			d.raw(k)
			continue
		}
		if k.Reach.Verdict == firewall.ReachNone || d.implicit(s, k) {
			continue
		}
		r := at(k.Proto, k.Local.Port())
		r.listener(k)
		r.add(k.Reach, roles)
	}
	forwards, err := exposed.Forwards()
	if err != nil {
		d.Notes = append(d.Notes, "published ports could not be worked out: "+plainText(err.Error(), 120))
	}
	for _, f := range forwards {
		proto := exposure.ProtocolName(f.Protocol)
		if proto == "" || f.Reach.Verdict == firewall.ReachNone {
			continue
		}
		for port := int(f.Lo); port <= int(f.Hi) && port < int(f.Lo)+64; port++ {
			r := at(proto, uint16(port))
			r.to = cmp.Or(f.Container, f.To.String())
			r.who = "published: " + plainText(r.to, 40)
			r.add(f.Reach, roles)
		}
	}
	slices.SortStableFunc(order, func(a, b *reached) int {
		return cmp.Or(cmp.Compare(a.port, b.port), cmp.Compare(a.proto, b.proto))
	})
	for _, r := range order {
		if r.proto == "tcp" && slices.Contains(d.SSHPorts, r.port) {
			continue
		}
		d.offer(r)
	}
	d.guests(s)
	d.merge()
}

// implicit tells whether a socket needs no rule: what it takes belongs to
// connections that this host opened, or is let in by every policy.
func (d *Draft) implicit(s *host.Snapshot, k exposure.Socket) bool {
	port := k.Local.Port()
	if k.Proto != "udp" {
		return false
	}
	lo, hi := uint16(32768), uint16(60999)
	if f := strings.Fields(s.Sysctls["net.ipv4.ip_local_port_range"]); len(f) == 2 {
		a, errA := strconv.ParseUint(f[0], 10, 16)
		b, errB := strconv.ParseUint(f[1], 10, 16)
		if errA == nil && errB == nil {
			lo, hi = uint16(a), uint16(b)
		}
	}
	named, _ := serviceName(port, "udp")
	tunnel := k.Owner == nil && slices.ContainsFunc(s.Interfaces, func(i host.Interface) bool { return i.Kind == "wireguard" })
	return port == 68 || port == 546 || port >= lo && port <= hi && named == "" && !tunnel
}

func (r *reached) listener(k exposure.Socket) {
	switch {
	case k.Owner != nil:
		r.process = k.Owner.Name
		r.who = plainText(k.Owner.Name, 40)
	case k.UID == 0 && k.Inode != 0 && k.Proto == "udp":
		r.who, r.kernel = "the kernel, or a process that is not known", true
	default:
		r.who = "a process that is not known"
	}
}

// add collects from where a port can be reached.
func (r *reached) add(reach exposure.Reach, roles map[string]role) {
	for _, f := range reach.From {
		zone := zoneOf(roles[f.Interface])
		switch {
		case f.Group.IsValid():
		case wide(f) && (zone == "" || zone == zoneInternet):
			if roles[f.Interface] == roleExternal {
				r.open = true
			}
		case wide(f):
			if !slices.Contains(r.zones, zone) {
				r.zones = append(r.zones, zone)
			}
		default:
			for _, p := range f.Sources {
				if len(f.Except) == 0 && !slices.Contains(r.some, p) {
					r.some = append(r.some, p)
				}
			}
		}
	}
	if reach.Verdict == firewall.ReachUndecided {
		r.open = true // as far as is known: somebody has to decide
	}
}

// wide tells whether most addresses are meant.
func wide(f firewall.Sources) bool {
	return slices.ContainsFunc(f.Sources, func(p netip.Prefix) bool { return p.Bits() <= 1 })
}

// offer decides about one port.
func (d *Draft) offer(r *reached) {
	name, about := serviceName(r.port, r.proto)
	meant := name != "" && strings.Contains(public, " "+name+" ") || strings.Contains(servers, " "+r.process+" ") ||
		r.kernel && r.proto == "udp" && slices.ContainsFunc(d.Zones, func(z Zone) bool { return z.Name == zoneVPN })
	service := cmp.Or(name, r.service)
	slices.SortFunc(r.some, netip.Prefix.Compare)
	slices.Sort(r.zones)
	who := r.who
	if about != "" {
		who += ", " + about
	}
	switch {
	case r.open && meant:
		d.Offers = append(d.Offers, Offer{Services: []string{service}, Why: who + "; anyone can reach it now", Keep: true})
		return
	case r.open:
		d.Offers = append(d.Offers, Offer{Services: []string{service}, Why: who + "; anyone can reach it now, seldom on purpose"})
	case len(r.some) > 0 && len(r.some) <= mostPrefixes:
		from := make([]string, len(r.some))
		for i, p := range r.some {
			from[i] = p.String()
		}
		d.Offers = append(d.Offers, Offer{Services: []string{service}, From: from, Why: who + "; the rules that are loaded let these in", Keep: true})
	case len(r.some) > 0:
		d.Offers = append(d.Offers, Offer{Services: []string{service}, Why: fmt.Sprintf("%s; %d prefixes can reach it now", who, len(r.some))})
	}
	if len(r.zones) > 0 {
		d.Offers = append(d.Offers, Offer{Services: []string{service}, From: r.zones, Why: who, Keep: true})
	}
}

// raw offers the protocols by which routers find each other.
func (d *Draft) raw(k exposure.Socket) {
	names := map[uint16]string{89: "ospf", 112: "vrrp"}
	name := names[k.Local.Port()]
	if name == "" || slices.ContainsFunc(d.Offers, func(o Offer) bool { return o.Services[0] == name }) {
		return
	}
	who := "a routing daemon"
	if k.Owner != nil {
		who = plainText(k.Owner.Name, 40)
	}
	d.Offers = append(d.Offers, Offer{Services: []string{name}, Why: who + " speaks it with its neighbours", Keep: true, Must: true})
}

// guests offers what machines on this host need from it: an address, and names.
func (d *Draft) guests(s *host.Snapshot) {
	var to []string
	for _, i := range s.Interfaces {
		if !guestBridge(i) {
			continue
		}
		for _, a := range i.Addresses {
			if own := a.Prefix.Addr(); !own.IsLinkLocalUnicast() {
				to = append(to, own.String())
			}
		}
	}
	if len(to) == 0 {
		return
	}
	d.Offers = append(d.Offers, Offer{
		// Who has no address yet asks everybody.
		Services: []string{"dns", "dhcp", "dhcpv6"}, To: append(to, "255.255.255.255", "ff02::1:2"), Keep: true, Must: true,
		Why: "virtual machines get their addresses and names from this host",
	})
}

// merge puts both protocols of one service into its name.
func (d *Draft) merge() {
	for n := range policy.Names() {
		parts := strings.Fields(n[1])
		if len(parts) < 2 {
			continue
		}
		for first := range d.Offers {
			if first >= len(d.Offers) {
				break // merged away
			}
			d.mergeAt(first, n[0], parts)
		}
	}
}

// mergeAt makes one offer of those for all parts of a service that are like the
// first of them.
func (d *Draft) mergeAt(first int, name string, parts []string) {
	a := d.Offers[first]
	if !slices.Equal(a.Services, parts[:1]) {
		return
	}
	var rest []int
	for _, part := range parts[1:] {
		i := slices.IndexFunc(d.Offers, func(o Offer) bool {
			return slices.Equal(o.Services, []string{part}) && slices.Equal(o.From, a.From) && o.Keep == a.Keep
		})
		if i < 0 {
			return
		}
		rest = append(rest, i)
	}
	d.Offers[first].Services = []string{name}
	slices.Sort(rest)
	for _, i := range slices.Backward(rest) {
		d.Offers = slices.Delete(d.Offers, i, i+1)
	}
}

// serviceName is the name of a service that has this port and no other, and what
// it is; of one with several ports, only what it is.
func serviceName(port uint16, proto string) (name, about string) {
	want := fmt.Sprintf("%d/%s", port, proto)
	for n := range policy.Names() {
		parts := strings.Fields(n[1])
		if len(parts) == 1 && parts[0] == want {
			return n[0], n[2]
		}
		if slices.Contains(parts, want) && about == "" {
			about = n[2]
		}
	}
	return "", about
}
