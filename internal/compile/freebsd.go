package compile

import (
	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/firewall/ipfw"
	"sekimori/packet"
)

// ipfwBackend is FreeBSD's ipfw, for a host's own packets.
func ipfwBackend() backend {
	return backend{
		target: IPFW, families: []packet.Family{packet.V4, packet.V6},
		ways:  []firewall.Way{firewall.WayInput, firewall.WayOutput},
		write: ipfw.Write, read: readIPFW,
	}
}

func readIPFW(files []acl.File) (Reading, error) {
	rs, err := ipfw.Parse(files[0].Text)
	if err != nil {
		return nil, err
	}
	passes := map[firewall.Way]ipfw.Pass{firewall.WayInput: ipfw.In, firewall.WayOutput: ipfw.Out}
	accept := func(sp *packet.Space, way firewall.Way) packet.Set {
		v := rs.Judge(sp, passes[way])
		// What opens a connection is let in if its answers are, by a state or without.
		unanswered := v.Accept.And(sp.States(packet.New)).Minus(v.Keep).Minus(rs.Answers(sp, passes[way]))
		if !v.Rest.Empty() || !rs.KeepsStates {
			return sp.Unknown("what the kernel was told at boot")
		}
		return v.Accept.Minus(unanswered)
	}
	domain := func(sp *packet.Space, _ firewall.Way) packet.Set { return ipfw.Domain(sp) }
	return plain{names: rs.Interfaces(), domain: domain, accept: accept}, nil
}
