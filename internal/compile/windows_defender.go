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
	accept := func(sp *packet.Space, way firewall.Way) packet.Set {
		d, def := winfw.In, all[0].Inbound
		if way == firewall.WayOutput {
			d, def = winfw.Out, all[0].Outbound
		}
		one := func(fw *winfw.Firewall) packet.Set {
			fw2 := *fw
			if def == winfw.Unset { // left alone: what passes is not this text's matter
				fw2.Inbound, fw2.Outbound = winfw.AllowAll, winfw.AllowAll
			}
			return fw2.Judge(sp, d)
		}
		set := one(all[0])
		for _, fw := range all[1:] {
			if set.Equal(one(fw)) && fw.Inbound == all[0].Inbound && fw.Outbound == all[0].Outbound {
				continue
			}
			set = sp.Unknown("the script and the text for the registry differ")
		}
		return set
	}
	return plain{names: names, domain: winfw.Domain, accept: accept}, nil
}
