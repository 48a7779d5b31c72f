// Package kernel turns the bytes in which the Linux kernel hands out its
// packet filters into a [sekimori/internal/firewall.Ruleset]: nf_tables
// netlink messages, x_tables (iptables-legacy) blobs and ipset listings. It is
// pure: the sockets belong to package observe.
//
// It fails closed. An attribute, expression, match or target that is not known,
// or that has a length or a revision that is not known, makes the rule that
// holds it undecidable, with its name in the text; it is never skipped.
//
// # nf_tables
//
// A rule of nf_tables is a straight line of expressions over 16 registers of 4
// bytes. It is carried out symbolically: a register holds bits of packet fields
// and constants, or says why it does not (what a map holds for a key, the answer
// of the routing table, something that varies, something unknown). So it does not
// matter how a rule loads what it compares: whole fields, parts of them, two at
// once, masked, shifted or in the other byte order all come to the same bits. A
// rule such as
//
//	meta l4proto tcp ip saddr 10.0.0.0/8 tcp dport 22-23 accept
//
// whose expressions are
//
//	[ meta load l4proto => reg 1 ]
//	[ cmp eq reg 1 0x06 ]
//	[ payload load 1b @ network header + 12 => reg 1 ]
//	[ cmp eq reg 1 0x0a ]
//	[ payload load 2b @ transport header + 2 => reg 1 ]
//	[ cmp gte reg 1 0x0016 ]
//	[ cmp lte reg 1 0x0017 ]
//	[ immediate reg 0 accept ]
//
// becomes four steps: meta l4proto is 6; bits 96 to 103 of the network header are
// 10; bits 16 to 31 of the transport header are from 22 to 23; accept. A load that
// a packet lacks the bytes for ends the rule (NFT_BREAK), which is what comparisons
// of package firewall do by themselves; where no comparison follows, a
// [sekimori/internal/firewall.Present] step says so.
//
// What is understood but has no fixed answer is
// [sekimori/internal/firewall.Varies]: limits, quotas, counts of connections,
// adding to a set (which fails when it is full), clocks, random numbers, hashes,
// processors, sockets, routes' properties, IPsec, and what conntrack keeps but the
// packet does not show (labels, zones, byte counts, helpers). What a packet can
// carry and that is not looked at elsewhere (options, header fields, lengths) is a
// free field of it.
//
// Sets keep the order in which they decide. Ends of half-open intervals are joined
// to their starts; parts of concatenated keys lose their padding, unless something
// is in it; keys stay in the byte order in which the kernel compares them.
//
// Rules can change packets. Marks are assignments. Header bits are not: a rule that
// rewrites addresses, protocol, ports or the like is opaque and an obstacle, and
// every look at those bits, in any rule, is undecoded. Bits without influence on a
// packet's way (DSCP, TTL, options) make only those who look at them uncertain.
// Such facts about one rule from others are gathered by translating all rules again
// until none are new.
//
// Attributes without meaning for packets are named where they are left out:
// handles, positions, ids, user data (but comments), padding, use counts, time-outs.
//
// # Texts
//
// The text of a rule is what nft lists, without the numbers counted; and in tables
// that iptables-nft made, the line that iptables-nft-save prints. What nft has no
// word for is in brackets, or the raw form (@th,16,16). Values in the order of the
// machine that cannot be turned into a number say "(host order)". Hours and dates
// are in UTC.
package kernel
