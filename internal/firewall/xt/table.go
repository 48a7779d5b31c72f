package xt

import (
	"maps"

	"sekimori/internal/firewall"
)

// table collects extensions by name.
type table map[string]*extension

func (t table) match(name, options string, sizes []int, decode func(*Context, *data) []Option, cond func(*args) firewall.Cond) *extension {
	e := &extension{specs: parseSpecs(options), sizes: sizes, decode: decode, cond: cond}
	t[name] = e
	return e
}

func (t table) target(name, options string, sizes []int, decode func(*Context, *data) []Option, steps func(*args) []firewall.Step) *extension {
	e := &extension{specs: parseSpecs(options), sizes: sizes, decode: decode, steps: steps}
	t[name] = e
	return e
}

// matchTable is every match that is known for a family.
func matchTable(f firewall.Family) map[string]*extension {
	t := make(table)
	for _, part := range []table{
		transportMatches(), conntrackMatches(), packetMatches(), hostMatches(), stateMatches(), setMatches(),
	} {
		maps.Copy(t, part)
	}
	if f == firewall.IPv6 {
		maps.Copy(t, ipv6Matches())
	} else {
		maps.Copy(t, ipv4Matches())
	}
	return t
}

// targetTable is every target that is known for a family.
func targetTable(f firewall.Family) map[string]*extension {
	t := make(table)
	for _, part := range []table{verdictTargets(f), markTargets(), natTargets(f), setTargets(), quietTargets(f)} {
		maps.Copy(t, part)
	}
	return t
}
