package plan

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/exposure"
	"sekimori/internal/firewall"
	"sekimori/internal/host"
	"sekimori/packet"
	"sekimori/policy"
)

// OwnTable is the table of nf_tables that holds the rules of a policy. It is
// replaced as a whole; everything else that is loaded stays.
const OwnTable = "sekimori"

// Input is what a plan is made from.
type Input struct {
	Host *host.Snapshot
	// Live is everything that is loaded, our own table included.
	Live *firewall.Ruleset
	// Own is what the policy is compiled to, read back from the text.
	Own *firewall.Ruleset
	// InForce is true where it is proven that the loaded table means what the policy
	// means, rates included.
	InForce bool
	Policy  *policy.File
	Lists   map[string][]packet.AddrRange
	Facts   policy.Host
	// Sessions are those that must live on; SessionsKnown is true where they were
	// looked for, so that where there are none, there are none.
	Sessions      []Session
	SessionsKnown bool
	// Boxes bounds how many boxes of packets describe one change.
	Boxes int
	// MaxNodes is the budget of each question, 0 for the default.
	MaxNodes int
}

// Plan is what would change on a host if a policy were applied.
type Plan struct {
	// InForce is as in [Input]: there is nothing to do.
	InForce bool
	// First is true where no table of ours is loaded yet.
	First bool
	// SessionsKnown is as in [Input].
	SessionsKnown bool
	// Changes are packets that meet another end, leaving aside what exceeds the rates
	// of our own rules.
	Changes []Change
	// Here are all addresses to which packets from outside to this host are sent, for each family
	// that was compared; none where that is not known.
	Here [][]netip.Prefix
	// Translated is true where packets of connections whose addresses are translated
	// may meet another end, too: those follow the first packet of their connection.
	Translated bool
	// Undecided says what could not be worked out: there may be further changes.
	Undecided []string
	Listeners []Listener
	Proofs    []Proof
}

// Change is packets that meet another end.
type Change struct {
	firewall.Change
	// Line is the line of the policy that decides about them, 0 if it is not one;
	// Default is true where it is because no rule there says anything.
	Line    int
	Default bool
}

// here returns the addresses of a family that are this host's to somebody outside:
// those of routing, and the unspecified one, which counts as one's own.
func here(e *firewall.Engine, facts firewall.Facts) []netip.Prefix {
	own, loopback := netip.MustParsePrefix("0.0.0.0/32"), netip.MustParsePrefix("127.0.0.0/8")
	if e.Family() == firewall.IPv6 {
		own, loopback = netip.Prefix{}, netip.Prefix{}
	}
	var out []netip.Prefix
	// Without an answer, boxes name the addresses: that is longer, and as true.
	_ = e.Do(func() error {
		sp := e.Space()
		set := sp.None()
		for _, p := range slices.Concat(facts.Local, facts.Broadcast, facts.Multicast, []netip.Prefix{own}) {
			if p.IsValid() && p.Addr().Is4() == (e.Family() == firewall.IPv4) {
				set = set.Or(sp.Prefixes(packet.Dst, p))
			}
		}
		if loopback.IsValid() {
			set = set.Minus(sp.Prefixes(packet.Dst, loopback))
		}
		out = set.Prefixes(packet.Dst)
		return nil
	})
	return out
}

// translates tells whether rules rewrite addresses.
func translates(rs *firewall.Ruleset) bool {
	return slices.ContainsFunc(rs.Tables, func(t *firewall.Table) bool {
		return slices.ContainsFunc(t.Chains, func(c *firewall.Chain) bool {
			return slices.ContainsFunc(c.Rules, func(r *firewall.Rule) bool {
				return slices.ContainsFunc(r.Steps, func(s firewall.Step) bool { _, ok := s.(firewall.NAT); return ok })
			})
		})
	})
}

// manyBoxes is how many boxes of a change are looked at where addresses are
// translated.
const manyBoxes = 64

// change adds a change, unless it is about nothing but connections that have been
// translated: where their packets go is decided by the first one, and not known for
// the others.
func (p *Plan) change(in Input, e *firewall.Engine, c firewall.Change) {
	only := false
	// Where the budget is used up, the change is shown.
	_ = e.Do(func() error {
		t := translated(e.Space())
		only = len(c.Packets) > 0 && !slices.ContainsFunc(c.Packets, func(b packet.Box) bool { return !b.Set().SubsetOf(t) })
		return nil
	})
	if only {
		p.Translated = true
		return
	}
	if len(c.Packets) > in.Boxes {
		c.Packets, c.More = c.Packets[:in.Boxes], true
	}
	p.Changes = append(p.Changes, in.blame(e, c))
}

// Listener is a port that something listens at, or that is forwarded, with who can
// reach it before and after.
type Listener struct {
	Proto         string
	Port          uint16
	Process, To   string
	Before, After exposure.Reach
}

// Prove proves what must stay possible, and leaves out what would change.
func Prove(in Input) Plan {
	p := Plan{InForce: in.InForce, First: !hasOwn(in.Live), SessionsKnown: in.SessionsKnown}
	p.prove(in, in.candidate())
	return p
}

// candidate is everything that would be loaded.
func (in Input) candidate() *firewall.Ruleset {
	if in.InForce {
		return in.Live
	}
	return Replace(in.Live, in.Own)
}

// New works out a plan.
func New(in Input) Plan {
	p := Plan{InForce: in.InForce, First: !hasOwn(in.Live), SessionsKnown: in.SessionsKnown}
	candidate := in.candidate()
	facts := in.Host.Facts()
	for _, family := range []firewall.Family{firewall.IPv4, firewall.IPv6} {
		older, newer := withinRates(in.Live, true), withinRates(candidate, true)
		if !in.InForce {
			e := firewall.NewEngine(family, facts, in.MaxNodes, older, newer)
			p.Here = append(p.Here, here(e, facts))
			limit := in.Boxes
			if translates(older) || translates(newer) {
				limit = max(limit, manyBoxes)
			}
			for _, way := range []firewall.Way{firewall.WayInput, firewall.WayForward, firewall.WayOutput} {
				c, err := e.Diff(older, newer, way, limit)
				if err != nil {
					p.Undecided = append(p.Undecided, fmt.Sprintf("%s packets %s: %v", nameOf(family), way, err))
				}
				for _, one := range c {
					p.change(in, e, one)
				}
			}
		}
	}
	p.prove(in, candidate)
	if !in.InForce {
		p.listeners(in, candidate)
	}
	return p
}

// lineIn finds the line of the policy in a rule's comment.
var lineIn = regexp.MustCompile(`comment "[^"]*, line (\d+)"`)

// blame finds the line of the policy that decides about a change, for those that
// our own rules decide about.
func (in Input) blame(e *firewall.Engine, c firewall.Change) Change {
	out := Change{Change: c}
	if c.New.Table != "inet "+OwnTable {
		return out
	}
	if m := lineIn.FindAllStringSubmatch(c.New.Text, -1); len(m) == 1 {
		out.Line, _ = strconv.Atoi(m[0][1])
		return out
	}
	for _, section := range []string{"inbound", "outbound", "forward", "edge"} {
		if strings.Contains(c.New.Text, `comment "`+section+`"`) {
			out.Default = true
			return out
		}
	}
	if c.Way != firewall.WayInput || c.To != firewall.Accept {
		return out
	}
	// One rule of ours may stand for several of the policy: the first with which the
	// policy lets the packet in is meant. Where that takes too much, none is named.
	_ = e.Do(func() error {
		point := e.Packets(c.Example)
		for i := range in.Policy.Policy.Inbound {
			some := *in.Policy
			some.Policy.Inbound = in.Policy.Policy.Inbound[:i+1]
			set, _ := some.Inbound(e.Space(), in.Lists, in.Facts)
			if point.SubsetOf(set.May()) {
				out.Line, _, _ = in.Policy.Position(fmt.Sprintf("inbound[%d]", i))
				return nil
			}
		}
		return nil
	})
	return out
}

// Locked tells whether something that must not happen may: a proof that does not
// hold although it holds now.
func (p Plan) Locked() bool {
	return slices.ContainsFunc(p.Proofs, func(o Proof) bool { return o.Needed && o.Answer != Holds })
}

func nameOf(f firewall.Family) string {
	if f == firewall.IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

func isOwn(t *firewall.Table) bool {
	return t.Name == OwnTable && t.Family == firewall.Inet && t.Backend == firewall.NFTables
}

func hasOwn(rs *firewall.Ruleset) bool { return slices.ContainsFunc(rs.Tables, isOwn) }

// Replace returns a ruleset with our own table in the place of the one that is
// there. Other people's tables and what else stands on the way stay.
func Replace(live, own *firewall.Ruleset) *firewall.Ruleset {
	out := *live
	out.Tables = slices.DeleteFunc(slices.Clone(live.Tables), isOwn)
	for _, t := range own.Tables {
		if isOwn(t) {
			out.Tables = append(out.Tables, t)
		}
	}
	return &out
}

// withinRates returns a ruleset whose own limiters never strike: those of single
// sources, or all of them. Every packet that opens a connection would otherwise
// change its end, because the tables of the limiters begin anew.
func withinRates(rs *firewall.Ruleset, all bool) *firewall.Ruleset {
	out := *rs
	out.Tables = slices.Clone(rs.Tables)
	for i, t := range out.Tables {
		if isOwn(t) {
			out.Tables[i] = copyTable(t, all)
		}
	}
	return &out
}

func copyTable(t *firewall.Table, all bool) *firewall.Table {
	table := *t
	table.Chains = nil
	for _, c := range t.Chains {
		chain := *c
		chain.Table, chain.Rules = &table, nil
		for _, r := range c.Rules {
			rule := *r
			rule.Chain, rule.Steps = &chain, nil
			for _, s := range r.Steps {
				rule.Steps = append(rule.Steps, withinRate(s, all))
			}
			chain.Rules = append(chain.Rules, &rule)
		}
		table.Chains = append(table.Chains, &chain)
	}
	return &table
}

// withinRate makes "over the limit" never hold.
func withinRate(s firewall.Step, all bool) firewall.Step {
	m, ok := s.(firewall.Match)
	if !ok {
		return s
	}
	v, ok := m.Cond.(firewall.Varies)
	if !ok {
		return s
	}
	perSource := strings.HasPrefix(v.Text, "limit of set ") || strings.HasPrefix(v.Text, "update @rate-")
	whole := strings.HasPrefix(v.Text, "limit of chain ") || strings.HasPrefix(v.Text, "limit rate over ")
	if perSource || all && whole {
		return firewall.Match{Cond: firewall.Const(false)}
	}
	return s
}

// listeners compares who can reach each port.
func (p *Plan) listeners(in Input, candidate *firewall.Ruleset) {
	type key struct {
		proto   string
		port    uint16
		process string
	}
	at := map[key]*Listener{}
	var order []key
	collect := func(rs *firewall.Ruleset, put func(*Listener, exposure.Reach)) {
		h := exposure.Evaluate(in.Host, withinRates(rs, true), in.MaxNodes)
		entry := func(k key, to string, r exposure.Reach) {
			if at[k] == nil {
				at[k] = &Listener{Proto: k.proto, Port: k.port, Process: k.process, To: to}
				order = append(order, k)
			}
			put(at[k], r)
		}
		for _, s := range h.Sockets() {
			if s.Proto == "raw" {
				continue
			}
			k := key{proto: s.Proto, port: s.Local.Port()}
			if s.Owner != nil {
				k.process = s.Owner.Name
			}
			entry(k, "", s.Reach)
		}
		forwards, err := h.Forwards()
		if err != nil {
			p.Undecided = append(p.Undecided, "forwarded ports: "+err.Error())
		}
		for _, f := range forwards {
			to := f.To.String()
			if f.Container != "" {
				to = f.Container
			}
			entry(key{exposure.ProtocolName(f.Protocol), f.Lo, "-> " + to}, to, f.Reach)
		}
	}
	collect(in.Live, func(l *Listener, r exposure.Reach) { l.Before = worse(l.Before, r) })
	collect(candidate, func(l *Listener, r exposure.Reach) { l.After = worse(l.After, r) })
	for _, k := range order {
		p.Listeners = append(p.Listeners, *at[k])
	}
	slices.SortStableFunc(p.Listeners, func(a, b Listener) int { return int(a.Port) - int(b.Port) })
}

// worse joins what several sockets of one program at one port let in.
func worse(a, b exposure.Reach) exposure.Reach {
	if len(a.From) == 0 && a.Blocked == nil && len(a.Undecided) == 0 && a.Note == "" {
		return b
	}
	a.From = slices.Concat(a.From, b.From)
	a.Undecided = slices.Concat(a.Undecided, b.Undecided)
	rank := func(v firewall.ReachVerdict) int {
		return map[firewall.ReachVerdict]int{firewall.ReachAnyone: 0, firewall.ReachUndecided: 1, firewall.ReachSome: 2, firewall.ReachNone: 3}[v]
	}
	if rank(b.Verdict) < rank(a.Verdict) {
		a.Verdict = b.Verdict
	}
	return a
}
