#!/bin/sh
# Loads the rules beside it. Loaded again, they replace those of before, table by table.
set -e
cd "$(dirname "$0")"
ipset -exist restore < sekimori.iptables.ipset
iptables-restore --noflush --test < sekimori.iptables
iptables-restore --noflush < sekimori.iptables
once() {
	while [ "$(iptables -w -t "$1" -S "$2" | grep -cxF -e "-A $2 -j $3")" -gt 1 ]; do
		iptables -w -t "$1" -D "$2" -j "$3"
	done
}
once filter INPUT SEKIMORI-INPUT
once filter OUTPUT SEKIMORI-OUTPUT
