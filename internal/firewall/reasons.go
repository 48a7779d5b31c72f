package firewall

import (
	"slices"

	"sekimori/packet"
)

// indexed is a reason with the protocols and ports that it can be about.
type indexed struct {
	Reason
	protocols, ports []packet.Range
}

// reasonIndex finds the reasons that can be about a port, in their order: there
// may be as many as there are rules, and as many questions as there are sockets.
type reasonIndex struct {
	all    []indexed
	byPort map[Port][]int // those about a few ports
	broad  []int          // the others
}

// fewPorts is how many ports a reason may be about to be found by its ports.
const fewPorts = 64

func index(rs []Reason) reasonIndex {
	x := reasonIndex{byPort: map[Port][]int{}}
	for _, r := range rs {
		if r.Set.Empty() {
			continue
		}
		i := indexed{r, r.Set.Ranges(packet.Protocol), r.Set.Ranges(packet.DstPort)}
		n := len(x.all)
		x.all = append(x.all, i)
		ports := i.list()
		for _, p := range ports {
			x.byPort[p] = append(x.byPort[p], n)
		}
		if ports == nil {
			x.broad = append(x.broad, n)
		}
	}
	return x
}

// list returns the ports that a reason is about, nil if they are many or if some
// of its protocols have none.
func (i indexed) list() []Port {
	var out []Port
	for _, proto := range i.protocols {
		for n := proto.Lo; n <= proto.Hi; n++ {
			if !(Port{Protocol: uint8(n)}).hasPort() {
				return nil
			}
			for _, r := range i.ports {
				if r.Hi-r.Lo >= fewPorts || len(out) >= fewPorts {
					return nil
				}
				for m := r.Lo; m <= r.Hi; m++ {
					out = append(out, Port{Protocol: uint8(n), Number: uint16(m)})
				}
			}
		}
	}
	return out
}

// about returns the reasons that can be about a port.
func (x reasonIndex) about(p Port) []indexed {
	if !p.hasPort() {
		return slices.DeleteFunc(slices.Clone(x.all), func(i indexed) bool { return !i.about(p) })
	}
	narrow := x.byPort[Port{Protocol: p.Protocol, Number: p.Number}]
	order := slices.Concat(narrow, x.broad)
	slices.Sort(order)
	var out []indexed
	for _, n := range order {
		if x.all[n].about(p) {
			out = append(out, x.all[n])
		}
	}
	return out
}

func (i indexed) about(p Port) bool {
	return inRanges(i.protocols, uint64(p.Protocol)) && (!p.hasPort() || inRanges(i.ports, uint64(p.Number)))
}

func inRanges(rs []packet.Range, n uint64) bool {
	return slices.ContainsFunc(rs, func(r packet.Range) bool { return r.Lo <= n && n <= r.Hi })
}
