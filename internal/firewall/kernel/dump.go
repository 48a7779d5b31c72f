package kernel

// Dump is everything that judges packets in one network namespace, as the
// kernel hands it out: undecoded, so that a saved dump can be read again by a
// later version that understands more. It is filled by package observe and
// turned into a ruleset by [Decode].
type Dump struct {
	// Generation is the nf_tables generation id (NFT_MSG_GETGEN) that was the
	// same before and after Messages was read; 0 where nf_tables is absent.
	Generation uint32 `json:"generation,omitempty"`
	// Messages are the nf_tables objects in the order in which the kernel sent
	// them: tables, chains, sets, set elements, objects, flowtables, rules.
	Messages []Message `json:"messages,omitempty"`
	// Tables are the iptables-legacy, ip6tables-legacy, arptables-legacy and
	// ebtables-legacy tables that are registered in the kernel.
	Tables []LegacyTable `json:"tables,omitempty"`
	// IPSets are the IPSET_CMD_LIST answers of nfnetlink's ipset subsystem.
	IPSets []Message `json:"ipsets,omitempty"`
	// Programs are the other things that can drop or redirect a packet: XDP,
	// tc, cgroup and netfilter BPF programs, found by enumeration.
	Programs []Program `json:"programs,omitempty"`
	// Unread says what exists, or may exist, and could not be read. An entry
	// here makes an answer that depends on it undecided; it is never dropped.
	Unread []Unread `json:"unread,omitempty"`
}

// Message is one nfnetlink message without its nlmsghdr.
type Message struct {
	// Type is the low byte of nlmsg_type: NFT_MSG_NEWRULE and so on
	// (linux/netfilter/nf_tables.h), or IPSET_CMD_LIST.
	Type uint8 `json:"type"`
	// Family is nfgenmsg.nfgen_family, an NFPROTO_ constant.
	Family uint8 `json:"family"`
	// Data is the attributes, after nfgenmsg.
	Data []byte `json:"data"`
}

// LegacyTable is one table of the x_tables interface as getsockopt returns it
// (linux/netfilter_ipv4/ip_tables.h: IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES and
// their IPv6, ARP and bridge counterparts).
type LegacyTable struct {
	// Family is an NFPROTO_ constant: 2 IPv4, 10 IPv6, 3 ARP, 7 bridge.
	Family uint8 `json:"family"`
	// Name is the table's: filter, nat, mangle, raw, security, broute.
	Name string `json:"name"`
	// ValidHooks is the bit mask of hooks; HookEntry and Underflow the byte
	// offsets of each hook's first rule and policy rule in Entries.
	ValidHooks uint32    `json:"valid_hooks"`
	HookEntry  [5]uint32 `json:"hook_entry"`
	Underflow  [5]uint32 `json:"underflow"`
	// Entries is the blob of ipt_entry (ip6t_entry, …) structures in the byte
	// order of the machine that wrote it; little-endian on every platform that
	// sekimori reads live. Empty where only the table's existence is known.
	Entries []byte `json:"entries,omitempty"`
}

// Program is a BPF program or classifier attached where it can judge packets.
type Program struct {
	// Kind is xdp, tc, tcx, netkit, cgroup-skb, cgroup-sock, netfilter, or flow.
	Kind string `json:"kind"`
	// Interface is the device of xdp, tc and tcx programs.
	Interface string `json:"interface,omitempty"`
	// Attach is where it hangs: ingress, egress, a cgroup path, a hook and
	// priority.
	Attach string `json:"attach,omitempty"`
	// ID and Name are the program's, 0 and "" where unknown.
	ID   uint32 `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	// CanDrop is false where the program is of a sort that provably cannot
	// refuse a packet that was sent to this host.
	CanDrop bool `json:"can_drop"`
}

// Unread names one thing that could not be read, and why.
type Unread struct {
	// What is "nf_tables", "ip_tables", "ip6_tables", "ipset", "bpf", …
	What string `json:"what"`
	// Why is the error, for people.
	Why string `json:"why"`
}
