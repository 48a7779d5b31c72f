#!/bin/sh
# Loads the rules beside it. Loaded again, they replace those of before, table by table.
set -e
cd "$(dirname "$0")"
ip6tables-restore --noflush --test < sekimori.ip6tables
ip6tables-restore --noflush < sekimori.ip6tables
once() {
	while [ "$(ip6tables -w -t "$1" -S "$2" | grep -cxF -e "-A $2 -j $3")" -gt 1 ]; do
		ip6tables -w -t "$1" -D "$2" -j "$3"
	done
}
once filter INPUT SEKIMORI-INPUT
once filter OUTPUT SEKIMORI-OUTPUT
