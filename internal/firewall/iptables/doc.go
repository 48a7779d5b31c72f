// Package iptables reads the text that iptables-save and ip6tables-save write
// into a [sekimori/internal/firewall.Ruleset], with the meaning that the same
// rules have when they are read from a kernel.
//
// # What is read
//
// All tables (`*filter` … `COMMIT`), chains with their policies and counters
// (`:INPUT DROP [0:0]`), and rules (`-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT`),
// with or without counters before them. Old spellings are read as well: `-s ! net`
// for `! -s net`, `-m state`, options of a protocol without its `-m`.
//
// # What is wrong, and what is only unknown
//
// A line that iptables-restore would refuse is an error: with its number, what is
// wrong and, where that helps, a hint. All errors are reported ([Errors]), not the
// first, and then there is no ruleset.
//
// A match, target or option that is not known is no error: somebody's kernel may
// have it. It makes its rule undecidable, by an Undecoded condition or an Opaque
// step with its name. It is never skipped.
//
// Ipsets are not part of the text: what matches them is undecided. The tables
// come out as tables of nf_tables, because the text does not say which of the two
// kernel interfaces it was taken from, and it makes no difference to its meaning.
package iptables
