// Package guard decides, from failures and the time, who is to be refused and
// for how long.
//
// It is a function of what it has seen: (state, event, now) to decision, with
// no clock, no files, no names looked up. So the same log always gives the same
// decisions, and replaying an old one shows what a setting would have done.
//
//	s := guard.New(guard.Rule{After: 5, Within: 10 * time.Minute, For: time.Hour})
//	d, ok := s.Failure(guard.Event{Source: addr, Service: "sshd", Time: t}, t)
//
// What a decision is about:
//
//   - IPv4 sources count one by one; IPv6 sources by their /64, which is what one
//     customer has. An IPv4-mapped IPv6 address is the IPv4 address. A log that
//     tells of a network has at most a /24 or /48 of it refused.
//   - A source is refused with the failure that makes After of them Within the
//     time that ends with it. Failures that are told late count where they
//     belong; what is older than Within before the newest one counts no more.
//   - While it is refused, further failures count for nothing. A source that
//     comes back is refused Repeat times as long as before, up to Max.
//   - Nothing that meets a protected prefix is ever refused: a source in one gives
//     a decision that says Refused is false and why; where only the rest of its
//     /64 is protected, the single address is refused.
//
// State is bounded: MaxSources are remembered, the one not seen for longest
// forgotten first, and the same number of earlier bans. Each source costs about
// 100 bytes, each ban 60. The lines that are kept as evidence of all sources take
// EvidenceSize; the oldest are forgotten first, which changes no count.
//
// Counting as fail2ban does, by an estimate of the rate, is there for comparison
// with what an existing installation would have done (Rule.Estimate).
package guard
