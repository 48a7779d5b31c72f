package host

import (
	"cmp"
	"net/netip"
	"slices"
)

// Outbound is the connections that one process (or, where it is not known, one
// user) has open to one port of others. Connections that came in are not counted.
type Outbound struct {
	// Proto is tcp or udp.
	Proto string `json:"proto"`
	// Port is the port at the other end.
	Port uint16 `json:"port"`
	// PID is the process, 0 if unknown; UID is the user id of the sockets.
	PID int    `json:"pid,omitempty"`
	UID uint32 `json:"uid"`
	// Connections counts them, Opening those still waiting for an answer
	// (SYN-SENT), Peers the distinct addresses, Networks the distinct /24 and /48.
	Connections int `json:"connections"`
	Opening     int `json:"opening,omitempty"`
	Peers       int `json:"peers"`
	Networks    int `json:"networks"`
	// Local is true where all of the peers are loopback or the host's own addresses.
	Local bool `json:"local,omitempty"`
	// Sample are a few of the peers.
	Sample []netip.Addr `json:"sample,omitempty"`
}

// Inbound is a connection that came in to one of the host's listening TCP ports.
type Inbound struct {
	Local netip.AddrPort `json:"local"`
	Peer  netip.AddrPort `json:"peer"`
	// Owners are the processes that hold it open, by rising pid.
	Owners []int `json:"owners,omitempty"`
}

// Gateway is a router that the host sends to whatever is not nearby.
type Gateway struct {
	// Interface is the index of the way out, Name its name.
	Interface int        `json:"interface"`
	Name      string     `json:"name,omitempty"`
	Addr      netip.Addr `json:"addr"`
	// MAC and Vendor are those of the neighbour table, "" where it has none. The
	// vendor is inferred from the hardware address.
	MAC    string `json:"mac,omitempty"`
	Vendor string `json:"vendor,omitempty"`
}

// Provider is who runs the machine that the host runs on, as files on its disk
// and the firmware's tables tell. Nothing is asked of a network.
type Provider struct {
	// Name is that of the provider: aws, gcp, azure, hetzner, digitalocean, vultr,
	// linode, ovh, oracle, …; "" if it does not show.
	Name string `json:"name,omitempty"`
	// Instance, Type, Region and Zone are as its metadata have them.
	Instance string `json:"instance,omitempty"`
	Type     string `json:"type,omitempty"`
	Region   string `json:"region,omitempty"`
	Zone     string `json:"zone,omitempty"`
	// From are the files that told.
	From []string `json:"from,omitempty"`
	// Vendor and Product are the firmware's (/sys/class/dmi/id).
	Vendor  string `json:"vendor,omitempty"`
	Product string `json:"product,omitempty"`
}

// Gateways gives the routers of the default routes, by family and metric.
func (s *Snapshot) Gateways() []Gateway {
	names := map[int]string{}
	for _, i := range s.Interfaces {
		names[i.Index] = i.Name
	}
	type place struct {
		iface int
		addr  netip.Addr
	}
	known := map[place]Neighbour{}
	for _, n := range s.Neighbours {
		known[place{n.Interface, n.Addr}] = n
	}
	seen := map[place]bool{}
	var out []Gateway
	routes := slices.SortedStableFunc(slices.Values(s.Routes), func(a, b Route) int { return cmp.Compare(a.Metric, b.Metric) })
	for _, family := range []int{4, 6} {
		for _, r := range routes {
			if r.Family != family || r.Type != "unicast" || r.Dst.Bits() != 0 || r.Table == tableLocal {
				continue
			}
			for _, h := range r.Hops {
				at := place{h.Interface, h.Gateway}
				if !h.Gateway.IsValid() || seen[at] {
					continue
				}
				seen[at] = true
				n := known[at]
				out = append(out, Gateway{Interface: h.Interface, Name: names[h.Interface], Addr: h.Gateway, MAC: n.MAC, Vendor: n.Vendor})
			}
		}
	}
	return out
}
