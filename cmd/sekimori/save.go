package main

import (
	"errors"
	"fmt"
	"strings"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/iptables"
)

// readSave reads what iptables-save or ip6tables-save printed. Each thing wrong
// with it is one line of the error.
func readSave(name string, data []byte) (*firewall.Ruleset, firewall.Family, error) {
	family := iptables.Family(data)
	rules, err := iptables.Parse(family, data)
	wrong, ok := errors.AsType[iptables.Errors](err)
	switch {
	case ok && len(wrong) > 1:
		var text strings.Builder
		fmt.Fprintf(&text, "%s: %d errors", name, len(wrong))
		for _, e := range wrong {
			text.WriteString("\n" + e.Error())
		}
		return nil, family, errors.New(text.String())
	case err != nil:
		return nil, family, fmt.Errorf("%s: %w", name, err)
	}
	return rules, family, nil
}
