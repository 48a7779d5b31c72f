package plan

import (
	"slices"

	"sekimori/internal/host"
	"sekimori/policy"
)

// Facts are what the meaning of a policy depends on beside its text, as seen on a
// host: where DHCP clients run, the numbers of users and groups, bridges of
// containers with unusual names.
func Facts(s *host.Snapshot) policy.Host {
	h := policy.Host{Users: map[string]uint32{}, Groups: map[string]uint32{}}
	for _, i := range s.Interfaces {
		if i.Loopback || !plainName(i.Name) {
			continue
		}
		if unusualBridge(i) {
			h.Containers = append(h.Containers, policy.Interface(i.Name))
		}
		if lent(i, true) || listensOn(s, i.Index, 68) {
			h.DHCPv4 = append(h.DHCPv4, i.Name)
		}
		if lent(i, false) || listensOn(s, i.Index, 546) {
			h.DHCPv6 = append(h.DHCPv6, i.Name)
		}
	}
	for _, p := range s.Processes {
		if p.User != "" {
			h.Users[p.User] = p.UID
		}
	}
	for _, a := range s.Accounts {
		h.Users[a.Name] = uint32(a.UID)
	}
	for _, g := range s.Groups {
		h.Groups[g.Name] = uint32(g.GID)
	}
	return h
}

// lent tells whether an interface has an address that a DHCP server lent it: one
// of IPv4 that does not last, or a single one of IPv6 that does not.
func lent(i host.Interface, v4 bool) bool {
	return slices.ContainsFunc(i.Addresses, func(a host.Address) bool {
		return slices.Contains(a.Flags, "dynamic") && a.Prefix.Addr().Is4() == v4 && (v4 || a.Prefix.IsSingleIP())
	})
}

// listensOn tells whether a client of DHCP has a socket on an interface: bound to
// it, or to one of its addresses.
func listensOn(s *host.Snapshot, index int, port uint16) bool {
	return slices.ContainsFunc(s.Sockets, func(k host.Socket) bool {
		if k.Proto != "udp" || k.Local.Port() != port {
			return false
		}
		if k.Interface != 0 || k.Local.Addr().IsUnspecified() {
			return k.Interface == index
		}
		return slices.ContainsFunc(s.Interfaces, func(i host.Interface) bool {
			return i.Index == index && slices.ContainsFunc(i.Addresses, func(a host.Address) bool {
				return a.Prefix.Addr().WithZone("") == k.Local.Addr().WithZone("")
			})
		})
	})
}
