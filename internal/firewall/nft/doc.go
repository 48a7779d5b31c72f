// Package nft writes access lists in nft's language, and reads back what it has
// written.
//
// [Write] makes one file for `nft -f`: a transaction that replaces table
// `inet sekimori`, and touches nothing else. Its cost for a packet does not grow
// with the number of rules: replies and known connections are decided first, then
// a verdict map of protocols, one of ports, and where many rules of a port differ
// by their sources alone, one of addresses. Lists are sets. A rate is a chain of
// its own: what exceeds it is dropped, and where the table of sources is full a
// new one passes.
//
//	table inet sekimori {
//		set list-admins-4 { … }
//		chain input {
//			type filter hook input priority filter; policy drop
//			ct state established,related accept
//			iifname "lo" accept
//			ct state new goto inbound
//			counter drop
//		}
//		chain inbound { meta l4proto vmap { 1 : goto inbound-icmp, 6 : goto inbound-tcp } }
//		chain inbound-tcp { tcp dport vmap { 22 : goto inbound-tcp-22, 80 : accept, 443 : accept } }
//		chain inbound-tcp-22 { ip saddr @list-admins-4 goto inbound-0 }
//		…
//
// Everything is accepted by nft 1.0.6 and later.
//
// [Read] is a reader of exactly that language, written from the documentation of
// nft and not from Write: whatever it does not know is an error. It is how a text
// is proven before anybody sees it, on machines that have neither nft nor the
// right to load anything. Tests hold it against nft and the kernel themselves.
package nft
