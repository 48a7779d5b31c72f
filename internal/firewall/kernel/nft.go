package kernel

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/xt"
)

// Types of nf_tables messages (enum nf_tables_msg_types).
const (
	msgNewTable     = 0
	msgNewChain     = 3
	msgNewRule      = 6
	msgNewSet       = 9
	msgNewSetElem   = 12
	msgNewObj       = 18
	msgNewFlowtable = 22
)

// nftables decodes the nf_tables part of a dump.
type nftables struct {
	ifaces []firewall.HostInterface
	ipsets *xtSets

	tables []*table
	byName map[tableName]*table
	// lost are objects that could not be read at all.
	lost []firewall.Obstacle
	// found are obstacles found while translating rules; each pass starts anew.
	found map[string]firewall.Obstacle
	facts facts
	// loads caches the values of loads, which rules have in common.
	loads map[loadKey]*operand
	// zero is a byte of zeros in a register, as what fills up short values.
	zero  operand
	metas []metaKey
	cts   []ctKey
	// names caches the descriptions of headers.
	names map[headerKey]headerNames
	// masked and compared cache what rules do alike with the values of loads.
	masked   map[maskKey]*operand
	compared map[compareKey]comparison
	// words caches the symbolic constants of data types.
	words [dataTypes]map[uint64]string
}

type headerKey struct {
	field firewall.Field
	l3    firewall.Family
	l4    int
}

type headerNames struct {
	prefix string
	fields []headerField
}

// header returns the fields of a header as far as the protocol is known.
func (n *nftables) header(f firewall.Field, l3 firewall.Family, l4 int) (string, []headerField) {
	k := headerKey{f, l3, l4}
	h, ok := n.names[k]
	if !ok {
		h.prefix, h.fields = headerFields(f, l3, l4)
		n.names[k] = h
	}
	return h.prefix, h.fields
}

// facts are what the translation of one rule has to know of all others. They are
// gathered by translating; while that brings new ones, it is done again.
type facts struct {
	// rewritten are header bits that some rule changes; true for those that decide
	// about a packet's way.
	rewritten map[headerBit]bool
	// extensions says that nft rules, not only targets of x_tables, change packets.
	extensions bool
	// assigned are keys of meta and ct, beside the marks, that some rule sets, and
	// options that some rule changes.
	assigned map[string]bool
	// learns are sets to which some rule adds or from which it deletes.
	learns map[*set]bool
	grown  bool
}

// headerBit is a bit of a header in packets of one family, or of any (0).
type headerBit struct {
	field  firewall.Field
	family firewall.Family
	index  int
}

type tableName struct {
	family firewall.Family
	name   string
}

type table struct {
	*firewall.Table
	chains   map[string]*chain
	sets     map[string]*set
	objects  map[objectName]string
	xt       *xt.Context
	iptables bool
}

type objectName struct {
	typ  uint32
	name string
}

type chain struct {
	*firewall.Chain
	rules []rawRule
	hooks []firewall.Hook
}

// rawRule is a rule whose expressions have been cut apart, nothing more.
type rawRule struct {
	handle  uint64
	comment string
	exprs   []expr
	broken  error // the message could not be read in full
}

// expr is one expression of a rule.
type expr struct {
	name string
	data []byte
}

func newNFTables(ifaces []firewall.HostInterface, sets *xtSets) *nftables {
	return &nftables{
		ifaces: ifaces,
		ipsets: sets,
		byName: map[tableName]*table{},
		loads:  map[loadKey]*operand{},
		zero:   operand{bits: firewall.Constant([]byte{0})},
		metas:  metaKeys(),
		cts:    ctKeys(),
		names:  map[headerKey]headerNames{},

		masked:   map[maskKey]*operand{},
		compared: map[compareKey]comparison{},
		facts: facts{
			rewritten: map[headerBit]bool{},
			assigned:  map[string]bool{},
			learns:    map[*set]bool{},
		},
	}
}

// decode reads the messages and adds their tables and obstacles to rs.
func (n *nftables) decode(msgs []Message, rs *firewall.Ruleset) {
	for _, step := range []struct {
		typ  uint8
		read func(Message) error
	}{
		{msgNewTable, n.table},
		{msgNewChain, n.chain},
		{msgNewSet, n.set},
		{msgNewSetElem, n.elements},
		{msgNewObj, n.object},
		{msgNewFlowtable, n.flowtable},
		{msgNewRule, n.rule},
	} {
		for i, m := range msgs {
			if m.Type != step.typ {
				continue
			}
			if err := step.read(m); err != nil {
				n.lose(i, m, err)
			}
		}
	}
	for i, m := range msgs {
		switch m.Type {
		case msgNewTable, msgNewChain, msgNewSet, msgNewSetElem, msgNewObj, msgNewFlowtable, msgNewRule:
		default:
			n.lose(i, m, fmt.Errorf("messages of type %d are not known", m.Type))
		}
	}
	n.finishSets()
	n.translateAll()
	for _, t := range n.tables {
		rs.Tables = append(rs.Tables, t.Table)
	}
	rs.Obstacles = append(rs.Obstacles, n.lost...)
	for _, what := range slices.Sorted(maps.Keys(n.found)) {
		rs.Obstacles = append(rs.Obstacles, n.found[what])
	}
}

// lose records an object that could not be read, and that may therefore do
// anything.
func (n *nftables) lose(i int, m Message, err error) {
	names := map[uint8]string{
		msgNewTable: "table", msgNewChain: "chain", msgNewSet: "set", msgNewSetElem: "set elements",
		msgNewObj: "object", msgNewFlowtable: "flowtable", msgNewRule: "rule",
	}
	what := names[m.Type]
	if what == "" {
		what = "message"
	}
	n.lost = append(n.lost, firewall.Obstacle{
		What:   fmt.Sprintf("nf_tables %s (message %d, family %s)", what, i+1, firewall.Family(m.Family)),
		Why:    err.Error(),
		Family: ipFamily(firewall.Family(m.Family)),
	})
}

// ipFamily is the family to which something in a table of family f is confined.
func ipFamily(f firewall.Family) firewall.Family {
	if f == firewall.IPv4 || f == firewall.IPv6 {
		return f
	}
	return 0
}

// Attributes of tables (enum nft_table_attributes). Without meaning for packets
// are use (3), handle (4), pad (5), user data (6) and the owner's port id (7).
const (
	tableAttrName  = 1
	tableAttrFlags = 2
)

// Table flags. An owner (2) and its persistence (4) say who may change the table.
const (
	tableDormant = 1
	tableKnown   = 1 | 2 | 4
)

func (n *nftables) table(m Message) error {
	r := read(m.Data, types(tableAttrName, tableAttrFlags, 3, 4, 5, 6, 7))
	name := r.text(tableAttrName)
	flags := r.flags(tableAttrFlags, tableKnown)
	if r.err != nil {
		return r.err
	}
	f := firewall.Family(m.Family)
	switch f {
	case firewall.Inet, firewall.IPv4, firewall.ARP, firewall.Netdev, firewall.Bridge, firewall.IPv6:
	default:
		return fmt.Errorf("tables of %s are not known", f)
	}
	key := tableName{f, name}
	if n.byName[key] != nil {
		return fmt.Errorf("table %s comes twice", name)
	}
	t := &table{
		Table:   &firewall.Table{Family: f, Name: name, Backend: firewall.NFTables, Dormant: flags&tableDormant != 0},
		chains:  map[string]*chain{},
		sets:    map[string]*set{},
		objects: map[objectName]string{},
	}
	t.xt = n.ipsets.context(f)
	n.byName[key] = t
	n.tables = append(n.tables, t)
	return nil
}

// find returns the table that an object belongs to.
func (n *nftables) find(m Message, name string) (*table, error) {
	t := n.byName[tableName{firewall.Family(m.Family), name}]
	if t == nil {
		return nil, fmt.Errorf("its table %s %q is not there", firewall.Family(m.Family), name)
	}
	return t, nil
}

// Attributes of chains (enum nft_chain_attributes). Without meaning for packets
// are handle (2), use (6), counters (8), pad (9), id (11) and user data (12).
const (
	chainAttrTable  = 1
	chainAttrName   = 3
	chainAttrHook   = 4
	chainAttrPolicy = 5
	chainAttrType   = 7
	chainAttrFlags  = 10
)

func (n *nftables) chain(m Message) error {
	r := read(m.Data, types(chainAttrTable, 2, chainAttrName, chainAttrHook, chainAttrPolicy, 6, chainAttrType, 8, 9, chainAttrFlags, 11, 12))
	tn, name := r.text(chainAttrTable), r.text(chainAttrName)
	r.flags(chainAttrFlags, 1|2|4) // base, offloaded to hardware, bound to a rule
	if r.err != nil {
		return r.err
	}
	t, err := n.find(m, tn)
	if err != nil {
		return fmt.Errorf("chain %s: %w", name, err)
	}
	c := &chain{Chain: &firewall.Chain{Name: name, Table: t.Table}}
	if r.has(chainAttrHook) {
		if c.Base, err = n.base(t, &r); err != nil {
			return fmt.Errorf("base chain %s %s: %w", t.Place(), name, err)
		}
	}
	if t.chains[name] != nil {
		return fmt.Errorf("chain %s %s comes twice", t.Place(), name)
	}
	t.chains[name] = c
	t.Chains = append(t.Chains, c.Chain)
	return nil
}

// Attributes of hooks (enum nft_hook_attributes).
const (
	hookAttrNum      = 1
	hookAttrPriority = 2
	hookAttrDev      = 3
	hookAttrDevs     = 4
)

// Verdicts of netfilter (linux/netfilter.h).
const (
	nfDrop   = 0
	nfAccept = 1
	nfQueue  = 3
)

func (n *nftables) base(t *table, c *reader) (*firewall.Base, error) {
	r := read(c.attrs[chainAttrHook], types(hookAttrNum, hookAttrPriority, hookAttrDev, hookAttrDevs))
	num, prio := r.num(hookAttrNum), r.num(hookAttrPriority)
	typ := c.text(chainAttrType)
	policy := c.numOr(chainAttrPolicy, nfAccept)
	if r.err != nil {
		return nil, r.err
	}
	if c.err != nil {
		return nil, c.err
	}
	hook, err := hookOf(t.Family, num)
	if err != nil {
		return nil, err
	}
	b := &firewall.Base{Hook: hook, Priority: int32(prio), Type: typ}
	switch policy {
	case nfAccept:
		b.Policy = firewall.Accept
	case nfDrop:
		b.Policy = firewall.Drop
	default:
		return nil, fmt.Errorf("policy %d is not known", policy)
	}
	switch typ {
	case "filter", "nat", "route":
	default:
		return nil, fmt.Errorf("chain type %q is not known", typ)
	}
	if b.Devices, err = n.devices(&r); err != nil {
		return nil, err
	}
	return b, nil
}

// hookOf gives the hook of that number in a family: NF_INET_ (linux/netfilter.h),
// NF_NETDEV_, NF_ARP_ and NF_BR_.
func hookOf(f firewall.Family, num uint32) (firewall.Hook, error) {
	var hooks []firewall.Hook
	switch f {
	case firewall.Netdev:
		hooks = []firewall.Hook{firewall.Ingress, firewall.Egress}
	case firewall.ARP:
		hooks = []firewall.Hook{firewall.Input, firewall.Output, firewall.Forward}
	case firewall.Inet:
		hooks = []firewall.Hook{firewall.Prerouting, firewall.Input, firewall.Forward, firewall.Output, firewall.Postrouting, firewall.Ingress}
	default:
		hooks = []firewall.Hook{firewall.Prerouting, firewall.Input, firewall.Forward, firewall.Output, firewall.Postrouting}
	}
	if num >= uint32(len(hooks)) {
		return 0, fmt.Errorf("hook %d of family %s is not known", num, f)
	}
	return hooks[num], nil
}

// Attributes of devices: a name, or what the names of all devices meant begin
// with (since Linux 6.16).
const (
	deviceAttrName   = 1
	deviceAttrPrefix = 2
)

// devices reads the interfaces of a hook. A prefix stands for the interfaces of
// the host that have it, and is kept itself with a star for those to come.
func (n *nftables) devices(r *reader) ([]string, error) {
	var out []string
	if r.has(hookAttrDev) {
		out = append(out, r.text(hookAttrDev))
	}
	devs := r.attrs[hookAttrDevs]
	for len(devs) > 0 {
		a, rest, err := next(devs)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(string(a.data), "\x00")
		switch {
		case a.typ == deviceAttrName && !slices.Contains(out, name):
			out = append(out, name)
		case a.typ == deviceAttrName:
		case a.typ == deviceAttrPrefix:
			for _, i := range n.ifaces {
				if strings.HasPrefix(i.Name, name) && !slices.Contains(out, i.Name) {
					out = append(out, i.Name)
				}
			}
			out = append(out, name+"*")
		default:
			return nil, fmt.Errorf("device attribute %d is not known", a.typ)
		}
		devs = rest
	}
	return out, r.err
}

// Attributes of objects (enum nft_object_attributes). Their data (4) is read for
// nothing: what an object does to a packet depends on its type alone, and where
// it depends on more (limit, quota, connlimit) it has no fixed answer. Use (5),
// handle (6), pad (7) and user data (8) have no meaning for packets.
const (
	objAttrTable = 1
	objAttrName  = 2
	objAttrType  = 3
)

func (n *nftables) object(m Message) error {
	r := read(m.Data, types(objAttrTable, objAttrName, objAttrType, 4, 5, 6, 7, 8))
	tn, name, typ := r.text(objAttrTable), r.text(objAttrName), r.num(objAttrType)
	if r.err != nil {
		return r.err
	}
	t, err := n.find(m, tn)
	if err != nil {
		return err
	}
	t.objects[objectName{typ, name}] = name
	return nil
}

// flowtable checks that a flowtable can be read. Only a rule that adds flows to it
// makes it act, see [rule.flowOffload].
func (n *nftables) flowtable(m Message) error {
	r := read(m.Data, types(1, 2, 3, 4, 5, 6, 7))
	r.text(1)
	r.text(2)
	return r.err
}
