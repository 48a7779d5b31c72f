// Package rehearse asks a kernel, before it matters, what a ruleset does: the
// candidate is loaded into a throwaway network namespace that has this host's
// interfaces and addresses, and real packets are sent to it.
//
// It is a second opinion beside the proofs of package plan, by a witness that
// shares nothing with them: the kernel itself. What it can not tell is what other
// people's rules do, which are not loaded there.
//
// # How
//
// [Run] starts this program again, in namespaces of its own ([Inside] is the other
// end), and hands it a [Job]. There each interface is one end of a veth pair with
// the name and the addresses of the real one; frames that are sent into the other
// end arrive as if from a wire. Behind all other chains of the input and forward
// hooks stands one of ours, which notes the identification (of IPv6: the flow
// label) of each packet that comes so far. What it has not noted was dropped.
//
// A packet of an established connection is preceded by the one that opened the
// connection, which is sent and answered before the candidate is loaded: so it is
// with a session that exists while rules are replaced.
package rehearse
