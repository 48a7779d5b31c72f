package kernel

import (
	"encoding/binary"
	"fmt"

	"sekimori/internal/firewall"
)

// lowerObstacles are what a table of arptables or ebtables is to IP packets:
// nothing if it is empty and accepts, else something that can refuse them.
func lowerObstacles(t LegacyTable, ifaces []firewall.HostInterface) []firewall.Obstacle {
	f := firewall.Family(t.Family)
	o := firewall.Obstacle{What: fmt.Sprintf("table %s of %s", t.Name, legacyTool(f))}
	if f == firewall.ARP {
		if emptyARP(t) {
			return nil
		}
		o.Why = "it can refuse ARP, without which no neighbour finds this host"
		o.Family = firewall.IPv4
		return []firewall.Obstacle{o}
	}
	if emptyBridge(t) {
		return nil
	}
	o.Why = "its rules about frames are not evaluated"
	var out []firewall.Obstacle
	for _, i := range ifaces {
		if i.Bridge {
			o.Interface = i.Name
			out = append(out, o)
		}
	}
	if ifaces == nil {
		out = append(out, o) // which interfaces are bridges is not known
	}
	return out
}

// emptyARP reports whether the chains of the hooks have no rule and accept: chains
// of users are then never asked. Struct arpt_entry is 192 bytes long, and its
// policy's verdict stands behind the header of its target.
func emptyARP(t LegacyTable) bool {
	const size = 192
	for n := range t.HookEntry {
		if t.ValidHooks>>n&1 == 0 {
			continue
		}
		off := int(t.Underflow[n])
		if t.HookEntry[n] != t.Underflow[n] || off < 0 || off+size+extensionHeader+4 > len(t.Entries) {
			return false
		}
		if int32(binary.LittleEndian.Uint32(t.Entries[off+size+extensionHeader:])) != verdictAccept {
			return false
		}
	}
	return len(t.Entries) > 0
}

// emptyBridge reports whether all chains have no rule and accept. Struct
// ebt_entries is 48 bytes long: a zero, the name, an offset, the policy (-1 to
// accept) and the number of rules.
func emptyBridge(t LegacyTable) bool {
	const size = 48
	if len(t.Entries) == 0 || len(t.Entries)%size != 0 {
		return false
	}
	for b := t.Entries; len(b) > 0; b = b[size:] {
		head := binary.LittleEndian.Uint32(b)
		policy, rules := int32(binary.LittleEndian.Uint32(b[40:])), binary.LittleEndian.Uint32(b[44:])
		if head != 0 || policy != -1 || rules != 0 {
			return false
		}
	}
	return true
}
