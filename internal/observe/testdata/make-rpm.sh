#!/bin/sh
# Makes the databases of the trees fedora and rhel8, with rpm's own tools (4.18,
# sqlite format) and Berkeley DB's db5.3_load: sh make-rpm.sh OUT
set -eu
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

package() { # name epoch version release directory files...
	name=$1 epoch=$2 version=$3 release=$4
	shift 4
	{
		printf 'Name: %s\nVersion: %s\nRelease: %s\nSummary: s\nLicense: x\nBuildArch: noarch\n' "$name" "$version" "$release"
		[ "$epoch" = 0 ] || printf 'Epoch: %s\n' "$epoch"
		printf '%%description\nd\n%%install\n'
		for f; do printf 'mkdir -p %%{buildroot}%s; echo %s > %%{buildroot}%s\n' "$(dirname "$f")" "$name" "$f"; done
		printf '%%files\n'
		for f; do printf '%s\n' "$f"; done
	} >"$work/$name.spec"
	rpmbuild -bb --quiet --define "_topdir $work/build" --define '_build_id_links none' --define 'debug_package %{nil}' "$work/$name.spec" 2>/dev/null
}

package openssh-server 0 9.6p1 1.fc40 /usr/sbin/sshd /etc/ssh/sshd_config /usr/libexec/openssh/sftp-server
package postgresql-server 2 16.1 4.fc40 /usr/bin/postgres /usr/bin/initdb
# Enough files that headers need overflow pages, and the index more than one level.
package big 0 1 1 $(seq -f '/usr/share/big/file-%g' 1 900) /usr/libexec/openssh/sshd
package tiny 0 1 1 /usr/bin/tiny
i=0
while [ $i -lt 24 ]; do
	package "filler$i" 0 1 1 "/usr/share/filler$i/sshd" "/usr/share/filler$i/readme"
	i=$((i + 1))
done

mkdir "$work/db"
rpm --dbpath "$work/db" --initdb
rpm --dbpath "$work/db" -i --justdb --nodeps --ignorearch --noscripts "$work"/build/RPMS/noarch/*.rpm
cp "$work/db/rpmdb.sqlite" "$out"
# Berkeley DB: the same headers, keyed by their number, as db5.3_load's text.
{
	printf 'VERSION=3\nformat=bytevalue\ntype=hash\nh_nelem=50\ndb_pagesize=4096\nHEADER=END\n'
	printf ' 00000000\n 32000000\n'
	sqlite3 "$out/rpmdb.sqlite" "select printf(' %02x%02x0000', hnum%256, hnum/256), ' ' || lower(hex(blob)) from Packages order by hnum" | tr '|' '\n'
	printf 'DATA=END\n'
} | db5.3_load "$out/Packages"
