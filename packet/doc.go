// Package packet is an algebra of exact, symbolic sets of packets: which
// packets a firewall rule matches, a ruleset accepts, two rulesets treat
// differently. A set may have 2^200 members; the answers are exact all the same,
// or there is no answer.
//
// # Spaces, sets and fields
//
// A [Space] holds sets of packets of one address family. A packet is a value for
// every [Field]: transport protocol, ports, addresses, interfaces, conntrack
// state, marks and so on, and for every further field and unknown that is asked
// for by [Space.Extra] and [Space.Unknown]. Sets are made from fields
// ([Space.Values], [Space.Prefixes], [Space.Interfaces], [Space.States]) and
// combined with the operations of set algebra; all operations return new sets
// and change nothing. A worked example, which a test runs:
//
//	sp := packet.NewSpace(packet.Config{Family: packet.V4, Interfaces: []string{"lo", "eth0", "wg0"}})
//	err := sp.Do(func() error {
//		tcp := sp.Values(packet.Protocol, packet.Range{Lo: 6, Hi: 6})
//		ssh := tcp.And(sp.Values(packet.DstPort, packet.Range{Lo: 22, Hi: 22}))
//		lan := sp.Prefixes(packet.Src, netip.MustParsePrefix("10.0.0.0/8"))
//		eth0 := sp.Interfaces(packet.InInterface, func(name string) bool { return name == "eth0" })
//
//		// accept ssh from the lan, over eth0 only while a rate limit allows it
//		accepted := ssh.And(lan).And(eth0.Not().Or(sp.Unknown("limit 5/minute")))
//		boxes, _ := accepted.Boxes(10)
//		for _, b := range boxes {
//			fmt.Println(b)
//		}
//		fmt.Println("certain:", accepted.Must().InterfaceNames(packet.InInterface))
//		fmt.Println("possible:", accepted.May().InterfaceNames(packet.InInterface))
//		sample, _ := accepted.Must().Sample()
//		fmt.Println(sample)
//		return nil
//	})
//
// prints
//
//	tcp dport 22 from 10.0.0.0/8 in except eth0
//	tcp dport 22 from 10.0.0.0/8 in eth0 if limit 5/minute
//	certain: [lo wg0]
//	possible: [lo eth0 wg0]
//	tcp 10.0.0.1:40000 -> 203.0.113.5:22 in lo
//
// The numbers of SrcPort and DstPort are the first four bytes of the transport
// header whatever the protocol: for ICMP, SrcPort is type and code. A rule on
// ports must therefore be combined with one on the protocol, as the kernel does.
//
// # What packets there are
//
// Packets have only valid values: a conntrack state from 0 to 4, the number of an
// interned interface, an address type from 0 to 11. [Space.All] is every valid
// packet, Not is relative to it, and Empty, Equal, SubsetOf, Overlaps and
// everything that reads a set look at valid packets alone. A packet that has no
// output interface, or one with a name the caller does not know, needs a
// stand-in among [Config.Interfaces].
//
// # Unknowns
//
// What a match will say may not be known: a rate limit, a module that cannot be
// decoded. It becomes a boolean of its own: both outcomes are in the space, as
// two packets that are otherwise alike. [Set.May] are the packets for which some
// outcome of all unknowns puts them in the set, [Set.Must] those for which every
// outcome does. That Must and May are the same is what "certain" means.
//
// # Never a wrong answer
//
// Decision diagrams can become too large. A space has a node budget
// ([Config.MaxNodes]); using more, or asking for a list that is too long, ends
// the question: [Space.Do] returns [ErrBudget], and there is no partial answer
// that could be taken for one. Use spaces and sets inside Do only. Mistakes of
// the caller (mixing spaces, a value that a field cannot have, an interval of the
// wrong length) panic.
//
// # Packets as text
//
// [ParsePacket] and [Packet.String] are inverse. An expression has these parts,
// each at most once; what is left out is free:
//
//	tcp | udp | icmp | … | proto N    the protocol, first
//	SOURCE -> DESTINATION             addresses: 192.0.2.1, 192.0.2.1:53, 2001:db8::1, [2001:db8::1]:53, *, *:53
//	sport N, dport N                  bytes 0-1 and 2-3 of the transport header, where they are no ports
//	type NAME|N, code N               of ICMP
//	in NAME, out NAME                 interfaces
//	new | established | related | invalid | untracked
//	status BITS                       of conntrack: dnat,confirmed or none or 0x28
//	flags BITS                        of TCP: syn,ack or none or 0x12; flags not named are not set
//	frag N                            Fragment
//	srctype NAME, dsttype NAME        address types: local, unicast, …
//	mark N, ctmark N                  numbers, decimal or 0x hexadecimal
//	with "ip ttl"/8 N                 an Extra field with its width
//	if "KEY", unless "KEY"            an Unknown that holds, that does not
//
// Names with blanks are quoted as in Go. The text of a [Box] is similar, but it
// is for reading only.
//
// # How it is done
//
// Reduced ordered binary decision diagrams with complement edges. What nearly
// every rule asks in the same way is tested first, ports and addresses later,
// unknowns last; that keeps the usual rules of hosts and routers, and limits on
// them, small. Nodes are shared by all sets of a space and never
// freed: make a space for a question and drop it afterwards. An empty space takes
// some kilobytes.
package packet
