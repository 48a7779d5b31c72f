// Package xt knows the matches and targets of x_tables (iptables): their bytes,
// their options, and what both mean.
//
// The kernel keeps the same structures for iptables-legacy, whose tables are
// blobs of them, and for iptables-nft, which wraps them into `match` and
// `target` expressions of nf_tables. [Context.DecodeMatch] and
// [Context.DecodeTarget] read them for both. They turn the bytes into the
// options that iptables-save would print, and give the options a meaning;
// [Context.Match] and [Context.Target] give the same options, read from text,
// the same meaning. So text and bytes cannot disagree about what an option
// means, only about which options there are, and that is tested against a
// kernel.
//
// # Closed failure
//
// A name, revision, length, flag or option that is not known gives a
// [firewall.Undecoded] condition or a [firewall.Opaque] step with its name; no
// part of a rule is ever skipped. What is understood but has no fixed answer
// (rate limits, clocks, random choices) is [firewall.Varies].
//
// The structures are those of linux/netfilter/xt_*.h, linux/netfilter_ipv4 and
// linux/netfilter_ipv6, in the byte order of a little-endian machine.
package xt
