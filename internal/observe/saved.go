package observe

import (
	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// savedRuleFiles are the files from which programs of distributions load packet
// filter rules at boot.
func savedRuleFiles() []string {
	return []string{
		"/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft",
		"/etc/iptables/rules.v4", "/etc/iptables/rules.v6",
		"/etc/sysconfig/iptables", "/etc/sysconfig/ip6tables",
		"/etc/iptables/rules-save", "/etc/iptables/rules6-save",
	}
}

// maxSavedRules bounds one of them.
const maxSavedRules = 32 << 20

// readSavedRules reads those that are there.
func readSavedRules(files rootfs.FS) []host.TextFile {
	var out []host.TextFile
	for _, name := range savedRuleFiles() {
		if files.Exists(name) {
			out = append(out, files.Text(name, maxSavedRules))
		}
	}
	return out
}
