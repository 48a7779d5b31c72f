//go:build ignore

package main

import (
	"bytes"
	"fmt"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/iptables"
)

// readSave reads what iptables-save or ip6tables-save printed, told apart by
// their names in the first line.
func readSave(name string, data []byte) (*firewall.Ruleset, firewall.Family, error) {
	family := firewall.IPv4
	if bytes.Contains(firstLine(data), []byte("ip6tables")) {
		family = firewall.IPv6
	}
	rules, err := iptables.Parse(family, string(data))
	if err != nil {
		return nil, family, fmt.Errorf("%s: %w", name, err)
	}
	return rules, family, nil
}
