package audit

import (
	"slices"
	"strings"

	"sekimori/internal/host"
)

// SavedFiles are those of a snapshot's files of rules that an enabled unit loads at
// boot: to be parsed into [Input.Saved].
func SavedFiles(s *host.Snapshot) []host.TextFile {
	loaders := map[string][]string{
		"/etc/nftables.conf":           {"nftables.service"},
		"/etc/sysconfig/nftables.conf": {"nftables.service"},
		"/etc/nftables.nft":            {"nftables"},
		"/etc/iptables/rules.v4":       {"netfilter-persistent.service", "iptables.service"},
		"/etc/iptables/rules.v6":       {"netfilter-persistent.service", "ip6tables.service"},
		"/etc/sysconfig/iptables":      {"iptables.service"},
		"/etc/sysconfig/ip6tables":     {"ip6tables.service"},
		"/etc/iptables/rules-save":     {"iptables"},
		"/etc/iptables/rules6-save":    {"ip6tables"},
	}
	var out []host.TextFile
	for _, f := range s.SavedRules {
		if slices.ContainsFunc(s.Units, func(u host.Unit) bool {
			return slices.Contains(loaders[f.Path], u.Name) && strings.HasPrefix(u.State, "enabled")
		}) {
			out = append(out, f)
		}
	}
	return out
}
