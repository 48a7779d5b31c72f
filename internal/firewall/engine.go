package firewall

import (
	"fmt"
	"slices"
	"strings"

	"sekimori/packet"
)

// Engine gives rulesets a meaning in one packet space: one family, one host.
// Rulesets that are to be compared share an engine, which has to be told of all
// of them at the start. An Engine is not for concurrent use.
type Engine struct {
	family Family
	space  *packet.Space
	facts  Facts
	names  []string       // interface universe: noInterface first
	index  map[int]string // ifindex -> name

	undecoded map[string]string // unknown key -> what could not be decoded
	varying   map[string]string // unknown key -> the condition without a fixed answer
	sets      map[setKey]packet.Set
	headers   map[headerKey]packet.Set
	version   int // the last environment
}

// Undecided is the error of an evaluation that ran into the node budget: the
// answer is neither yes nor no.
var Undecided = packet.ErrBudget

// NewEngine returns an engine for packets of one family (IPv4 or IPv6) on the
// host that facts describe, for the rulesets given. MaxNodes is the node budget
// of the packet space, 0 for its default.
func NewEngine(family Family, facts Facts, maxNodes int, rulesets ...*Ruleset) *Engine {
	e := &Engine{
		family:    family,
		facts:     facts,
		index:     map[int]string{},
		undecoded: map[string]string{},
		varying:   map[string]string{},
		sets:      map[setKey]packet.Set{},
		headers:   map[headerKey]packet.Set{},
	}
	for _, i := range facts.Interfaces {
		e.index[i.Index] = i.Name
	}
	e.names = interfaceUniverse(facts, rulesets)
	fam := packet.V4
	if family == IPv6 {
		fam = packet.V6
	}
	e.space = packet.NewSpace(packet.Config{Family: fam, Interfaces: e.names, MaxNodes: maxNodes})
	return e
}

// Space returns the packet space in which the engine's answers are sets.
func (e *Engine) Space() *packet.Space { return e.space }

// Family returns the family of the packets that the engine judges.
func (e *Engine) Family() Family { return e.family }

// Do runs f and turns an exhausted node budget inside it into [Undecided].
func (e *Engine) Do(f func() error) error { return e.space.Do(f) }

// Reason returns what an unknown of the packet space stands for, and whether it
// is something that could not be decoded rather than something that varies.
func (e *Engine) Reason(key string) (text string, undecoded bool) {
	if t, ok := e.undecoded[key]; ok {
		return t, true
	}
	if t, ok := e.varying[key]; ok {
		return t, false
	}
	return key, false
}

// undecodedSet is the boolean of something that could not be decoded.
func (e *Engine) undecodedSet(content, text string) packet.Set {
	key := "? " + content
	e.undecoded[key] = text
	return e.space.Unknown(key)
}

// varyingSet is the boolean of something without a fixed answer.
func (e *Engine) varyingSet(content, text string) packet.Set {
	key := "~ " + content
	e.varying[key] = text
	return e.space.Unknown(key)
}

func isUndecodedKey(key string) bool { return strings.HasPrefix(key, "? ") }

func isVaryingKey(key string) bool { return strings.HasPrefix(key, "~ ") }

// Certain returns the packets of s that are in it whatever the unknowns are.
func (e *Engine) Certain(s packet.Set) packet.Set { return s.Must() }

// Possible returns the packets of s that are in it for some outcome of the
// unknowns that vary, and for every outcome (sure) or some outcome (maybe) of
// what could not be decoded. Where the two differ, the answer is undecided.
func (e *Engine) Possible(s packet.Set) (sure, maybe packet.Set) {
	sure = s.ForallUnknowns(isUndecodedKey).ExistsUnknowns(isVaryingKey)
	maybe = s.May()
	return sure, maybe
}

// Stand-ins among the interface names of a packet space. A colon cannot be part
// of a real name (dev_valid_name in the kernel's net/core/dev.c).
const (
	// noInterface is what a packet has that came by no interface, or has none to
	// leave by yet; rules see the empty name.
	noInterface = ":none"
	// AnyOther, after a prefix that a rule covers, stands for all names with that
	// prefix that neither a rule nor the host names in full.
	AnyOther = ":other"
)

// interfaceUniverse returns the names that packets can carry: those of the host
// and of the rules, one for each prefix used by a rule, and one for no interface.
func interfaceUniverse(facts Facts, rulesets []*Ruleset) []string {
	names := map[string]bool{}
	for _, i := range facts.Interfaces {
		names[i.Name] = true
	}
	for _, n := range facts.Named {
		names[n] = true
	}
	u := universe{names: names, live: facts.Known}
	for _, rs := range rulesets {
		for _, t := range rs.Tables {
			for _, s := range t.Sets {
				u.set(s)
			}
			for _, c := range t.Chains {
				u.chain(c)
			}
		}
		for _, o := range rs.Obstacles {
			u.name(o.Interface)
		}
	}
	if !facts.Known {
		u.names[AnyOther] = true
	}
	delete(u.names, "")
	return append([]string{noInterface}, slices.Sorted(mapsKeys(u.names))...)
}

type universe struct {
	names map[string]bool
	live  bool
	seen  map[*Set]bool
}

func (u *universe) name(n string) { u.names[n] = true }

func (u *universe) prefix(p string) {
	if !u.live {
		u.names[p+AnyOther] = true
	}
}

func (u *universe) chain(c *Chain) {
	if c.Base != nil {
		for _, d := range c.Base.Devices {
			if p, ok := strings.CutSuffix(d, "*"); ok {
				u.prefix(p)
			} else {
				u.name(d)
			}
		}
	}
	for _, r := range c.Rules {
		for _, s := range r.Steps {
			u.step(s)
		}
	}
}

func (u *universe) step(s Step) {
	switch s := s.(type) {
	case Match:
		u.cond(s.Cond)
	case VerdictMap:
		u.set(s.Map)
	case Assign:
		u.set(s.Map)
	case NAT:
		u.set(s.Addr.Map)
		u.set(s.Port.Map)
	}
}

func (u *universe) cond(c Cond) {
	switch c := c.(type) {
	case And:
		for _, p := range c {
			u.cond(p)
		}
	case Or:
		for _, p := range c {
			u.cond(p)
		}
	case Not:
		u.cond(c.Of)
	case Total:
		u.cond(c.Of)
	case Interface:
		if c.Prefix {
			u.prefix(c.Name)
		} else {
			u.name(c.Name)
		}
	case InterfaceIndex:
		if !u.live {
			u.name(indexName(c.Index))
		}
	case Lookup:
		u.set(c.Set)
	}
}

// set adds the interface names in the keys of a set. Any 16-byte part may be a
// name: one too many does no harm.
func (u *universe) set(s *Set) {
	if s == nil || u.seen[s] {
		return
	}
	if u.seen == nil {
		u.seen = map[*Set]bool{}
	}
	u.seen[s] = true
	for i, w := range s.Fields {
		if w != 8*ifNameLen {
			continue
		}
		for _, e := range s.Elems {
			if i >= len(e.Key) || !printable(nameOf(e.Key[i].Lo)) {
				continue
			}
			if lo, hi := e.Key[i].Lo, e.Key[i].Hi; slices.Equal(lo, hi) {
				u.name(nameOf(lo))
			} else {
				u.prefix(nameOf(lo))
			}
		}
	}
}

// ifNameLen is IFNAMSIZ of linux/if.h.
const ifNameLen = 16

func nameOf(b []byte) string { return strings.TrimRight(string(b), "\x00") }

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 127 || r == '/' })
}

// indexName is the name of an interface of an unknown host that a rule knows by
// number.
func indexName(i int) string { return fmt.Sprintf("#%d", i) }

func mapsKeys(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
