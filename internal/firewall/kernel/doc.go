// Package kernel turns the bytes in which the Linux kernel hands out its
// packet filters into a [sekimori/internal/firewall.Ruleset]: nf_tables
// netlink messages, x_tables (iptables-legacy) blobs and ipset listings. It is
// pure: the sockets belong to package observe.
//
// It fails closed. An attribute, expression, match or target that is not known,
// or that has a length or a revision that is not known, makes the rule that
// holds it undecidable, with its name in the text; it is never skipped.
package kernel
