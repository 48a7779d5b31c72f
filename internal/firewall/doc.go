// Package firewall gives rulesets a meaning: which packets are surely, and
// which are possibly, accepted, by which rule, and what changes from one ruleset
// to another. It is pure.
//
// # Rulesets
//
// A [Ruleset] is everything loaded on a host, whoever loaded it: tables of
// nf_tables of every family, tables of iptables-legacy, and, as obstacles, what
// else can refuse a packet. Readers in the packages below this one produce it:
// from the kernel's bytes (kernel), from iptables-save text (iptables).
//
// A [Rule] is a list of steps. A condition is over bits of named fields, so
// that a reader can say exactly which bits a rule looks at, however it loads
// them; the evaluation decides what those bits are at that point of the packet's
// way, in that family, after the assignments and translations before it.
//
// # Must and may
//
// Each condition without a fixed answer ([Varies]: a rate limit, a learning
// set) and each part that could not be decoded ([Undecoded], [Opaque]) becomes a
// boolean of the packet space. A packet is surely accepted if it is for every
// value of these booleans, possibly if it is for some. Nothing that is unknown
// is ever taken for a yes or a no.
//
// # Ways
//
// A packet meets hooks, and at each hook the base chains of all tables in order
// of their priority. A drop is final; an accept ends only the base chain that
// says it. The evaluation follows a packet from the interface through netdev
// ingress, prerouting, destination translation and routing to the input hook or
// the forward hook, and on to postrouting.
package firewall
