package observe

import (
	"net"

	"sekimori/internal/host"
	"sekimori/internal/observe/oui"
)

// vendors names the makers of the interfaces' and neighbours' hardware.
func vendors(s *host.Snapshot) {
	name := func(text string) string {
		mac, err := net.ParseMAC(text)
		if err != nil {
			return ""
		}
		return oui.Vendor(mac)
	}
	for i := range s.Interfaces {
		s.Interfaces[i].Vendor = name(s.Interfaces[i].MAC)
	}
	for i := range s.Neighbours {
		s.Neighbours[i].Vendor = name(s.Neighbours[i].MAC)
	}
}
