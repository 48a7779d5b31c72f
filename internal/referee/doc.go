// Package referee holds no code, only tests: they let the Linux kernel itself
// judge whether packages firewall, kernel, xt and observe are right.
//
// A test loads a ruleset into a network namespace of its own with the tools that
// people use (nft, iptables-nft-restore, iptables-legacy-restore, …), reads it
// back as sekimori does on any host, and then sends crafted packets by the tens
// of thousands: addresses, ports, flags and interfaces near the constants of the
// ruleset, conntrack states of every sort. A last base chain on the input and the
// postrouting hook notes the packets that passed everything, each known by its
// IPv4 identification or IPv6 flow label. The model has to agree on every packet:
//
//	surely accepted    the kernel must have let it pass
//	surely refused     the kernel must have dropped it
//	undecided          counted; a ruleset without undecidable parts may have none
//
// Plain `go test` judges a few dozen random rulesets, and the named cases;
// `make referee` hundreds, and the recorded rulesets of other people's machines.
// Packets are independent of each other: what would make a conntrack entry last is
// dropped before it is confirmed, and the entries that tests make themselves get
// their marks back before each batch.
//
// A failure prints the seed, the shortest ruleset that was found to fail still,
// and the model's trace of the packet. The flags:
//
//	-referee.rulesets N   random rulesets to judge
//	-referee.packets N    packets for each ruleset
//	-referee.seed N       of the first ruleset; the next one has N+1
package referee
