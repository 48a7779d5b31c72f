package compile

import (
	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/firewall/nft"
	"sekimori/packet"
)

// backend is one packet filter as the compiler knows it.
type backend struct {
	target Target
	// families are those that the filter judges.
	families []packet.Family
	// ways are those that the filter judges.
	ways []firewall.Way
	// write puts a list into the filter's language. What it has no words for is an
	// acl.UnsupportedList, unless the options ask to leave it out.
	write func(*acl.List, acl.Options) ([]acl.File, error)
	// read reads the text back. It shares nothing with write.
	read func([]acl.File) (Reading, error)
}

// backends is the table of all packet filters.
func backends() []backend {
	both := []packet.Family{packet.V4, packet.V6}
	all := []firewall.Way{firewall.WayInput, firewall.WayOutput, firewall.WayForward}
	return []backend{
		{target: NFTables, families: both, ways: all, write: nft.Write, read: func(files []acl.File) (Reading, error) {
			rs, limits, err := nft.Read(files[0].Text)
			return Ruleset(rs, limits), err
		}},
		xtablesBackend(IPTables, packet.V4, firewall.IPv4),
		xtablesBackend(IP6Tables, packet.V6, firewall.IPv6),
		ipfwBackend(),
		windowsBackend(),
	}
}

// Reading is what a text means, as its reader understood it.
type Reading interface {
	// Judge gives the text's meaning for packets of one family. Packets may carry
	// the names of interfaces given, and those that the text mentions: for a
	// pattern p* of the text also p:other, for those that it does not name. A name
	// that begins with a colon stands for others (":other") or for none (":none").
	// MaxNodes is the budget of the space, 0 for its default.
	Judge(family packet.Family, interfaces []string, maxNodes int) Judge
}

// Judge is a text's meaning for one family. All but Space is called inside Do of
// its space.
type Judge interface {
	Space() *packet.Space
	// Domain returns the packets of a way that the filter tells apart as the
	// policy does, and that the comparison is about: for instance without those in
	// states of connections that it does not know.
	Domain(way firewall.Way) packet.Set
	// Accepts returns the packets of the domain that the text lets pass. Packets
	// are as they set out: before they are translated.
	Accepts(way firewall.Way) packet.Set
	// Limit returns the limiter behind an unknown of the sets, and false if the
	// unknown is something else.
	Limit(unknown string) (acl.Limit, bool)
}
