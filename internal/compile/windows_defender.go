package compile

import (
	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/firewall/winfw"
	"sekimori/packet"
)

// windowsBackend is the Windows Defender Firewall: a host's own, not a router's.
func windowsBackend() backend {
	return backend{
		target: Windows, families: []packet.Family{packet.V4, packet.V6},
		ways:  []firewall.Way{firewall.WayInput, firewall.WayOutput},
		write: winfw.Write, read: readWindows,
	}
}

// readWindows reads the script, and the registry's text if there is one. They have
// to mean the same: what they differ about has no fixed answer.
func readWindows(files []acl.File) (Reading, error) {
	var all []*winfw.Firewall
	var names []string
	for i, f := range files {
		read := winfw.ParseScript
		if i > 0 {
			read = winfw.ParseRegistry
		}
		fw, err := read(f.Text)
		if err != nil {
			return nil, err
		}
		all = append(all, fw)
		for _, r := range fw.Rules {
			names = append(names, r.Interfaces...)
		}
	}
	// What the text leaves alone is not its matter.
	for _, fw := range all {
		if fw.Inbound == winfw.Unset {
			fw.Inbound = winfw.AllowAll
		}
		if fw.Outbound == winfw.Unset {
			fw.Outbound = winfw.AllowAll
		}
	}
	direction := map[firewall.Way]winfw.Direction{firewall.WayInput: winfw.In, firewall.WayOutput: winfw.Out}
	accept := func(sp *packet.Space, way firewall.Way) packet.Set {
		set := all[0].Judge(sp, direction[way])
		for _, fw := range all[1:] {
			if !set.Equal(fw.Judge(sp, direction[way])) {
				return sp.Unknown("the script and the text for the registry differ")
			}
		}
		return set
	}
	domain := func(sp *packet.Space, way firewall.Way) packet.Set { return all[0].Domain(sp, direction[way]) }
	return plain{names: names, domain: domain, accept: accept}, nil
}
