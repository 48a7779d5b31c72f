package kernel

import (
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// Decode turns a dump into the ruleset that it is. It never fails: what cannot be
// understood is in the ruleset as an [firewall.Opaque] step, an undecoded
// condition, a set that says why it is opaque, or an [firewall.Obstacle]. The
// interfaces are those of the host, for the numbers and patterns by which rules
// know them; it may be nil.
//
// The ruleset shares memory with the dump.
func Decode(d *Dump, ifaces []firewall.HostInterface) *firewall.Ruleset {
	rs := &firewall.Ruleset{}
	sets := decodeIPSets(d.IPSets)
	sets.targets = targetNames(d)
	n := newNFTables(ifaces, sets)
	n.decode(d.Messages, rs)
	decodeLegacy(d.Tables, ifaces, sets, rs)
	n.facts.undecideRules(rs)
	for _, p := range d.Programs {
		if p.CanDrop {
			rs.Obstacles = append(rs.Obstacles, programObstacle(p))
		}
	}
	for _, u := range d.Unread {
		rs.Obstacles = append(rs.Obstacles, firewall.Obstacle{What: u.What, Why: "could not be read: " + u.Why, MayAdmit: u.What != "arp_tables"})
	}
	return rs
}

// programObstacle is a BPF program, of which nothing is known but where it hangs.
func programObstacle(p Program) firewall.Obstacle {
	o := firewall.Obstacle{
		What: p.Kind + " program",
		Why:  "what a BPF program does to packets is not known",
	}
	if p.Name != "" {
		o.What += fmt.Sprintf(" %q", p.Name)
	}
	if p.ID != 0 {
		o.What += fmt.Sprintf(" (id %d)", p.ID)
	}
	if p.Interface != "" {
		o.What += " on " + p.Interface
	}
	if p.Attach != "" {
		o.What += " at " + p.Attach
	}
	o.Interface = p.Interface
	switch {
	case p.Kind == "xdp", p.Kind == "tc", p.Kind == "tcx":
		o.Hooks = []firewall.Hook{firewall.Ingress} // those at egress are not said to drop
		o.MayAdmit = true                           // by rewriting
	case p.Kind == "cgroup-skb" && strings.HasPrefix(p.Attach, "ingress"):
		o.Hooks = []firewall.Hook{firewall.Input}
	}
	return o
}
