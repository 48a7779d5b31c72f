// Package ipfw reads and writes rule lists of FreeBSD's ipfw, and says what they
// mean. It is pure, and independent of the writer's half: what [Write] has
// written is proven only by what [Parse] and [Ruleset.Judge] make of its text.
//
// # Text
//
// [Parse] reads what administrators have: the file of commands that
// firewall_type may name, what `ipfw list` (or `-S list`, `show`) prints, and shell
// scripts in the manner of rc.firewall as long as they are nothing but calls of
// ipfw, with the commands as arguments or in a here-document. Shell is not
// interpreted: a line with anything else in it is an error. So is every word
// that is not known: a rule is never read without one of its parts. Errors say
// line and column, with a caret, and all are reported ([Errors]).
//
// # Meaning
//
// One list sees each packet once per pass: a packet to this host once on its way
// in, one from it once on its way out, one through it twice ([Pass]). Rules are
// asked in the order of their numbers, equal numbers in that of their arrival;
// allow and deny end the search, skipto goes on elsewhere. What no rule decides
// gets to rule 65535, which the kernel has and no script can change: [Verdict.Rest].
//
// A pattern that cannot be looked at in a packet (ports of ICMP, ports of later
// fragments, the sending interface on the way in) does not match, and with `not`
// before it does. A packet of a connection that has a state is decided by the
// first rule that looks states up: check-state, keep-state or limit. In the sets
// these are the packets with [packet.Established]; ipfw knows of no others, so
// ICMP errors about a connection are judged as any packet is.
//
//	rs, err := ipfw.Parse(text)
//	v := rs.Judge(sp, ipfw.In)
//	v.Accept // the packets that get in
package ipfw
