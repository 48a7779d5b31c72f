// Package plan holds the two pure halves of deciding what a host shall let in.
//
// [NewDraft] goes from what a host does now to a policy: zones from its
// interfaces and routes, a rule for each service that should stay reachable,
// and the network of the administrator's own session. Nothing that it writes,
// unedited, shuts that session out.
//
// [New] goes the other way: from a host and a policy, compiled, to what would
// change if the policy were applied. The packets that become reachable or
// unreachable are worked out for everything that is loaded, other people's rules
// included, which stay; and what must not happen, that the administrator is
// shut out, is proven not to, or said to be possible ([Plan.Proofs]).
//
// Neither looks at anything but its arguments.
package plan
