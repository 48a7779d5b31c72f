package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/xt"
)

// legacyTable decodes one table of iptables-legacy or ip6tables-legacy: a blob of
// entries, each a few conditions, matches and a target, in which jumps are byte
// offsets.
type legacyTable struct {
	raw    LegacyTable
	layout entryLayout
	out    *firewall.Table
	xt     *xt.Context
	// entries are those of the blob in order, and at their index by offset.
	entries []entry
	at      map[uint32]int
	// heads are the chains by the offset of their first rule.
	heads map[uint32]*firewall.Chain
}

// entry is one struct ipt_entry or ip6t_entry, cut apart.
type entry struct {
	offset uint32
	ip     []byte // struct ipt_ip or ip6t_ip6
	exts   []extension
	target extension
}

// extension is one struct xt_entry_match or xt_entry_target.
type extension struct {
	name string
	rev  uint8
	data []byte
}

// entryLayout says where things are in an entry (linux/netfilter_ipv4/ip_tables.h,
// linux/netfilter_ipv6/ip6_tables.h).
type entryLayout struct {
	addr                         int // bytes of an address
	ifaces, proto, flags, invert int
	ipSize, targetOffset, size   int
}

func layoutOf(f firewall.Family) entryLayout {
	if f == firewall.IPv6 {
		return entryLayout{addr: 16, ifaces: 64, proto: 128, flags: 131, invert: 132, ipSize: 136, targetOffset: 140, size: 168}
	}
	return entryLayout{addr: 4, ifaces: 16, proto: 80, flags: 82, invert: 83, ipSize: 84, targetOffset: 88, size: 112}
}

// The hooks of x_tables by their number (NF_INET_*), and the names of their
// chains.
func legacyHooks() [5]struct {
	hook firewall.Hook
	name string
} {
	return [5]struct {
		hook firewall.Hook
		name string
	}{
		{firewall.Prerouting, "PREROUTING"},
		{firewall.Input, "INPUT"},
		{firewall.Forward, "FORWARD"},
		{firewall.Output, "OUTPUT"},
		{firewall.Postrouting, "POSTROUTING"},
	}
}

// decodeLegacy reads the tables of x_tables and adds them to the ruleset. One
// that cannot be read is an obstacle.
//
// Tables of arptables and ebtables are obstacles where they can refuse anything:
// those of ebtables for what comes in through a bridge.
func decodeLegacy(tables []LegacyTable, ifaces []firewall.HostInterface, sets *xtSets, rs *firewall.Ruleset) {
	for _, t := range tables {
		f := firewall.Family(t.Family)
		switch f {
		case firewall.IPv4, firewall.IPv6:
			out, err := decodeLegacyTable(t, sets)
			if err != nil {
				rs.Obstacles = append(rs.Obstacles, firewall.Obstacle{
					What:   fmt.Sprintf("table %s of %s", t.Name, legacyTool(f)),
					Why:    "could not be read: " + err.Error(),
					Family: f,
				})
				continue
			}
			rs.Tables = append(rs.Tables, out)
		case firewall.ARP, firewall.Bridge:
			rs.Obstacles = append(rs.Obstacles, lowerObstacles(t, ifaces)...)
		default:
			rs.Obstacles = append(rs.Obstacles, firewall.Obstacle{
				What: fmt.Sprintf("table %s of family %d", t.Name, t.Family), Why: "tables of this family are not known",
			})
		}
	}
}

func legacyTool(f firewall.Family) string {
	switch f {
	case firewall.IPv6:
		return "ip6tables-legacy"
	case firewall.ARP:
		return "arptables-legacy"
	case firewall.Bridge:
		return "ebtables-legacy"
	}
	return "iptables-legacy"
}

func decodeLegacyTable(raw LegacyTable, sets *xtSets) (*firewall.Table, error) {
	f := firewall.Family(raw.Family)
	t := &legacyTable{
		raw: raw, layout: layoutOf(f), xt: sets.context(f),
		out:   &firewall.Table{Family: f, Name: raw.Name, Backend: firewall.Legacy},
		at:    map[uint32]int{},
		heads: map[uint32]*firewall.Chain{},
	}
	if err := t.cut(); err != nil {
		return nil, err
	}
	chains, err := t.chains()
	if err != nil {
		return nil, err
	}
	hooks := t.reach(chains)
	for _, c := range chains {
		t.xt.Hooks = hooks[c.chain]
		for i, e := range c.entries {
			r, err := t.rule(c.chain, e)
			if err != nil {
				return nil, fmt.Errorf("chain %s rule %d: %w", c.chain.Name, i+1, err)
			}
			r.Number = i + 1
			c.chain.Rules = append(c.chain.Rules, r)
		}
		t.out.Chains = append(t.out.Chains, c.chain)
	}
	return t.out, nil
}

// cut cuts the blob into entries.
func (t *legacyTable) cut() error {
	b := t.raw.Entries
	for off := 0; off < len(b); {
		rest := b[off:]
		if len(rest) < t.layout.size {
			return fmt.Errorf("%d stray bytes at %d", len(rest), off)
		}
		target := int(binary.LittleEndian.Uint16(rest[t.layout.targetOffset:]))
		end := int(binary.LittleEndian.Uint16(rest[t.layout.targetOffset+2:]))
		if target < t.layout.size || end < target || end > len(rest) {
			return fmt.Errorf("entry at %d: target at %d, end at %d, of %d bytes", off, target, end, len(rest))
		}
		e := entry{offset: uint32(off), ip: rest[:t.layout.ipSize]}
		for m := rest[t.layout.size:target]; len(m) > 0; {
			x, n, err := cutExtension(m)
			if err != nil {
				return fmt.Errorf("entry at %d: match: %w", off, err)
			}
			e.exts = append(e.exts, x)
			m = m[n:]
		}
		x, n, err := cutExtension(rest[target:end])
		if err == nil && n != end-target {
			err = fmt.Errorf("%d bytes of %d", n, end-target)
		}
		if err != nil {
			return fmt.Errorf("entry at %d: target: %w", off, err)
		}
		e.target = x
		t.at[e.offset] = len(t.entries)
		t.entries = append(t.entries, e)
		off += end
	}
	return nil
}

// Structures calls f with every match and target of a table that can be cut apart,
// undecoded.
func Structures(raw LegacyTable, f func(target bool, name string, rev uint8, data []byte)) {
	t := &legacyTable{raw: raw, layout: layoutOf(firewall.Family(raw.Family)), at: map[uint32]int{}}
	if t.cut() != nil {
		return
	}
	for _, e := range t.entries {
		for _, x := range e.exts {
			f(false, x.name, x.rev, x.data)
		}
		if e.target.name != "" && e.target.name != "ERROR" {
			f(true, e.target.name, e.target.rev, e.target.data)
		}
	}
}

const extensionHeader = 32 // struct xt_entry_match without its data

func cutExtension(b []byte) (extension, int, error) {
	if len(b) < extensionHeader {
		return extension{}, 0, fmt.Errorf("%d bytes", len(b))
	}
	n := int(binary.LittleEndian.Uint16(b))
	if n < extensionHeader || n > len(b) {
		return extension{}, 0, fmt.Errorf("size %d in %d bytes", n, len(b))
	}
	name, _, ok := bytes.Cut(b[2:31], []byte{0})
	if !ok {
		return extension{}, 0, fmt.Errorf("a name without end")
	}
	return extension{string(name), b[31], b[extensionHeader:n]}, n, nil
}

// legacyChain is a chain and its entries, policy excluded.
type legacyChain struct {
	chain   *firewall.Chain
	entries []entry
}

// chains finds the chains: those of the hooks from the table's header, and those
// of users behind the ERROR entries that bear their names. Each ends with an
// entry of its own, the policy or a return; the blob ends with an ERROR entry.
func (t *legacyTable) chains() ([]legacyChain, error) {
	var chains []legacyChain
	used := 0
	for n, h := range legacyHooks() {
		if t.raw.ValidHooks>>n&1 == 0 {
			continue
		}
		from, ok := t.at[t.raw.HookEntry[n]]
		to, ok2 := t.at[t.raw.Underflow[n]]
		if !ok || !ok2 || to < from || from != used {
			return nil, fmt.Errorf("chain %s from %d to %d", h.name, t.raw.HookEntry[n], t.raw.Underflow[n])
		}
		used = to + 1
		policy, err := t.policy(t.entries[to])
		if err != nil {
			return nil, fmt.Errorf("policy of %s: %w", h.name, err)
		}
		c := &firewall.Chain{Name: h.name, Table: t.out, Base: &firewall.Base{
			Hook: h.hook, Priority: t.priority(h.hook), Type: "filter", Policy: policy,
		}}
		if t.out.Name == "nat" {
			c.Base.Type = "nat"
		}
		t.heads[t.raw.HookEntry[n]] = c
		chains = append(chains, legacyChain{c, t.entries[from:to]})
	}
	for used < len(t.entries) {
		name, ok := t.entries[used].errorName()
		if !ok {
			return nil, fmt.Errorf("entry at %d belongs to no chain", t.entries[used].offset)
		}
		if used == len(t.entries)-1 {
			return chains, nil
		}
		to := used + 1
		for ; to < len(t.entries); to++ {
			if _, ok := t.entries[to].errorName(); ok {
				break
			}
		}
		if to == len(t.entries) || to == used+1 {
			return nil, fmt.Errorf("chain %s has no end", name)
		}
		if v, ok := t.entries[to-1].verdict(); !ok || v != verdictReturn || !t.unconditional(t.entries[to-1]) {
			return nil, fmt.Errorf("chain %s does not end with a return", name)
		}
		c := &firewall.Chain{Name: name, Table: t.out}
		t.heads[t.entries[used+1].offset] = c
		chains = append(chains, legacyChain{c, t.entries[used+1 : to-1]})
		used = to
	}
	return nil, fmt.Errorf("the blob has no end")
}

// errorName returns the name in an ERROR target, which begins a user's chain.
func (e entry) errorName() (string, bool) {
	if e.target.name != "ERROR" {
		return "", false
	}
	s, _, ok := bytes.Cut(e.target.data, []byte{0})
	return string(s), ok
}

// Verdicts of the standard target: -NF_x - 1, or the offset of a jump.
const (
	verdictDrop   = -1
	verdictAccept = -2
	verdictQueue  = -4
	verdictReturn = -5
)

func (e entry) verdict() (int32, bool) {
	if e.target.name != "" || len(e.target.data) < 4 {
		return 0, false
	}
	return int32(binary.LittleEndian.Uint32(e.target.data)), true
}

// unconditional reports whether an entry matches every packet.
func (t *legacyTable) unconditional(e entry) bool {
	return len(e.exts) == 0 && !slices.ContainsFunc(e.ip, func(b byte) bool { return b != 0 })
}

func (t *legacyTable) policy(e entry) (firewall.VerdictKind, error) {
	v, ok := e.verdict()
	switch {
	case !ok || !t.unconditional(e):
		return 0, fmt.Errorf("entry at %d is not a policy", e.offset)
	case v == verdictAccept:
		return firewall.Accept, nil
	case v == verdictDrop:
		return firewall.Drop, nil
	}
	return 0, fmt.Errorf("verdict %d", v)
}

// priority is that of the table's hook (linux/netfilter_ipv4.h: NF_IP_PRI_*). The
// raw table can be loaded to stand before the reassembly of fragments, at -450;
// at either place only itself and reassembly come before conntrack.
func (t *legacyTable) priority(h firewall.Hook) int32 {
	switch t.out.Name {
	case "raw":
		return -300
	case "mangle":
		return -150
	case "nat":
		if h == firewall.Prerouting || h == firewall.Output {
			return -100
		}
		return 100
	case "security":
		return 50
	}
	return 0
}

// reach finds the hooks from which each chain can be reached.
func (t *legacyTable) reach(chains []legacyChain) map[*firewall.Chain][]firewall.Hook {
	entries := map[*firewall.Chain][]entry{}
	for _, c := range chains {
		entries[c.chain] = c.entries
	}
	out := map[*firewall.Chain][]firewall.Hook{}
	var visit func(c *firewall.Chain, h firewall.Hook)
	visit = func(c *firewall.Chain, h firewall.Hook) {
		if slices.Contains(out[c], h) {
			return
		}
		out[c] = append(out[c], h)
		for _, e := range entries[c] {
			if v, ok := e.verdict(); ok && v >= 0 {
				if next, ok := t.heads[uint32(v)]; ok {
					visit(next, h)
				}
			}
		}
	}
	for _, c := range chains {
		if c.chain.Base != nil {
			visit(c.chain, c.chain.Base.Hook)
		}
	}
	return out
}
