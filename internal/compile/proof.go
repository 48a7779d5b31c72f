package compile

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/packet"
	"sekimori/policy"
)

// Difference is a packet about which a text and its policy disagree. It is a fault
// of the compiler: nobody gets to see the text.
type Difference struct {
	Target Target
	Way    firewall.Way
	Packet packet.Packet
	// Passes is what the text does with it; the policy does the opposite.
	Passes bool
	// Translation, if not empty, says instead what the text does with the packet's
	// addresses and the policy does not, or the other way round.
	Translation string
}

// Error shows the packet.
func (d *Difference) Error() string {
	does, wants := "refuses", "lets pass"
	if d.Passes {
		does, wants = wants, does
	}
	what := fmt.Sprintf("%s, it %s what the policy %s", d.Way, does, wants)
	if d.Translation != "" {
		what = fmt.Sprintf("one of them, and not the other, %s", d.Translation)
	}
	return fmt.Sprintf("the text for %s does not mean what the policy means: %s:\n  %s\nhint: this is a fault of sekimori, please report it with the policy",
		d.Target, what, d.Packet)
}

// maxNodes bounds each question: some hundred megabytes.
const maxNodes = 8_000_000

// prove reads files back and compares their meaning with the policy's.
func prove(b backend, files []acl.File, f *policy.File, lists Lists, host policy.Host, list *acl.List, degrade bool) (Proof, error) {
	reading, err := b.read(files)
	if err != nil {
		return Proof{}, fmt.Errorf("the text for %s cannot be read back: %w", b.target, err)
	}
	if foreign, ok := reading.(interface{ withForeign() Reading }); ok && f.Policy.Containers != "" && list.Forward != nil {
		reading = foreign.withForeign()
	}
	p := prover{target: b.target, f: f, lists: lists, host: withNames(f, host), rates: ratesOf(list), degrade: degrade, limits: map[string]bool{}}
	proof := Proof{Families: b.families, Ways: b.ways, Equivalent: true}
	for _, family := range b.families {
		p.judge = reading.Judge(family, namesOf(f, host), maxNodes)
		for _, way := range b.ways {
			var less *Difference
			err := p.judge.Space().Do(func() error {
				var err error
				less, err = p.compare(way)
				if err == nil && way == firewall.WayForward {
					err = p.translations()
				}
				return err
			})
			if err != nil {
				return Proof{}, err
			}
			if less != nil {
				proof.Equivalent = false
				proof.Less = append(proof.Less, *less)
			}
		}
	}
	proof.Limits = len(p.limits)
	return proof, nil
}

type prover struct {
	target  Target
	f       *policy.File
	lists   Lists
	host    policy.Host
	rates   map[string]acl.Rate // by name
	degrade bool
	judge   Judge
	limits  map[string]bool // those that were compared
}

// compare holds the packets that the text lets pass on a way against those that
// the policy does. With degrade, the difference may be that the text admits less:
// then an example is returned.
func (p *prover) compare(way firewall.Way) (*Difference, error) {
	domain := p.domain(way)
	got, unknowns, err := p.identify(p.judge.Accepts(way).And(domain))
	if err != nil {
		return nil, err
	}
	want := p.f.Passes(p.judge.Space(), wayOf(way), p.lists, p.host, unknowns).And(domain)
	if s, ok := got.Minus(want).Sample(); ok {
		return nil, &Difference{Target: p.target, Way: way, Packet: s, Passes: true}
	}
	if s, ok := want.Minus(got).Sample(); ok {
		d := &Difference{Target: p.target, Way: way, Packet: s}
		if p.degrade {
			return d, nil
		}
		return nil, d
	}
	return nil, nil
}

// domain returns the packets that are compared: those of the judge, without what
// goes another way because the policy sends it there, and without translations to
// the address that a packet has already, which are none.
func (p *prover) domain(way firewall.Way) packet.Set {
	sp := p.judge.Space()
	domain := p.judge.Domain(way)
	if p.f.Policy.Router != nil {
		away := p.f.Redirected(sp, p.lists, p.host)
		if way == firewall.WayInput {
			return domain.Minus(away)
		}
		for _, t := range p.f.Translations(sp, p.lists, p.host) {
			if !t.Source {
				domain = domain.Minus(t.Packets.And(at(sp, packet.Dst, t.To)))
			}
		}
	}
	if p.f.Policy.Containers != "" {
		for _, family := range []firewall.Family{firewall.IPv4, firewall.IPv6} {
			domain = domain.Minus(at(sp, packet.Dst, elsewhere(family)))
		}
	}
	return domain
}

func at(sp *packet.Space, f packet.Field, a netip.Addr) packet.Set {
	return sp.Addresses(f, packet.AddrRange{Lo: a, Hi: a})
}

// translations compares which packets get which addresses.
func (p *prover) translations() error {
	reader, ok := p.judge.(interface{ translations() []translated })
	wants := p.f.Translations(p.judge.Space(), p.lists, p.host)
	switch {
	case !ok && len(wants) > 0:
		return fmt.Errorf("what the text for %s translates cannot be told", p.target)
	case !ok:
		return nil
	}
	type key struct {
		source bool
		to     netip.Addr
		port   uint16
	}
	none := p.judge.Space().None()
	want, got := map[key]packet.Set{}, map[key]packet.Set{}
	add := func(m map[key]packet.Set, k key, s packet.Set) {
		if _, ok := m[k]; !ok {
			m[k] = none
		}
		m[k] = m[k].Or(s)
	}
	taken := map[bool]packet.Set{true: none, false: none}
	var order []key
	for _, t := range wants {
		k := key{t.Source, t.To, t.Port}
		add(want, k, t.Packets.Minus(taken[t.Source]))
		taken[t.Source] = taken[t.Source].Or(t.Packets)
		order = append(order, k)
	}
	for _, t := range reader.translations() {
		k := key{t.source, t.to, t.port}
		add(got, k, t.packets)
		order = append(order, k)
	}
	domain := p.judge.Domain(firewall.WayForward)
	for _, k := range order {
		w, g := none, none
		if s, ok := want[k]; ok {
			w = s.And(domain)
		}
		if s, ok := got[k]; ok {
			g = s.And(domain)
		}
		if s, ok := w.Xor(g).Sample(); ok {
			what := "hides its source"
			if k.to.IsValid() {
				what = fmt.Sprintf("gives it the address %s port %d (source %v)", k.to, k.port, k.source)
			}
			return &Difference{Target: p.target, Way: firewall.WayForward, Packet: s, Translation: what}
		}
	}
	return nil
}

func wayOf(w firewall.Way) policy.Way {
	return [...]policy.Way{policy.ToHost, policy.Through, policy.FromHost}[w]
}

// identify finds out what the unknowns of a text's meaning are to the policy: a
// limiter in the text and a rate of the policy that are the same limit are one
// unknown. Where a limiter has several, because it is asked in several places, they
// become one: which packets ask it is compared all the same, and a back-end's
// reader makes sure that no packet asks it twice.
func (p *prover) identify(got packet.Set) (packet.Set, policy.Unknowns, error) {
	sp := p.judge.Space()
	unknowns := map[string]packet.Set{}
	var faults []error
	for _, key := range sp.UnknownKeys(got) {
		here := sp.Unknown(key)
		id := map[string]string{policy.OwnerKnown: policy.OwnerKnown, ownerKnown: policy.OwnerKnown, groupKnown: policy.OwnerKnown, published: policy.Published}[key]
		if id == "" {
			l, rate, err := p.limit(key)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			id = rate.ID
			if l.Exceeded {
				here = here.Not()
			}
		}
		first, twice := unknowns[id]
		if !twice {
			unknowns[id] = here
			continue
		}
		is := func(k string) bool { return k == key }
		yes := got.And(here).ExistsUnknowns(is)
		no := got.Minus(here).ExistsUnknowns(is)
		got = sp.If(first, yes, no)
	}
	return got, func(id string) packet.Set {
		if s, ok := unknowns[id]; ok {
			return s
		}
		return sp.Unknown(id)
	}, errors.Join(faults...)
}

// limit looks up the limiter behind an unknown, and the rate that it has to be.
func (p *prover) limit(key string) (acl.Limit, acl.Rate, error) {
	l, ok := p.judge.Limit(key)
	if !ok {
		return l, acl.Rate{}, fmt.Errorf("the text for %s depends on what has no fixed answer: %s", p.target, key)
	}
	rate, ok := p.rates[l.Name]
	if !ok {
		return l, rate, fmt.Errorf("the text for %s has a limit %q that the policy has not", p.target, l.Name)
	}
	if l.Count != rate.Count || l.Per != rate.Per || l.PerSource != rate.PerSource || l.Burst != rate.Burst {
		return l, rate, fmt.Errorf("the text for %s has the limit %s where %s says %s", p.target, l.Rate, rate.ID, rate)
	}
	p.limits[l.Name] = true
	return l, rate, nil
}

// ownerKnown and groupKnown are the unknowns by which package firewall says that a
// packet was sent by a process of this host: who has a user has a group.
const (
	ownerKnown = "~ meta skuid is known"
	groupKnown = "~ meta skgid is known"
)

// published is the unknown of the table that others translate by.
const published = "~ " + policy.Published

// ratesOf returns the rates of a list, by name.
func ratesOf(l *acl.List) map[string]acl.Rate {
	rates := map[string]acl.Rate{}
	for _, s := range []*acl.Section{l.Inbound, l.Outbound, l.Forward} {
		if s == nil {
			continue
		}
		for _, r := range s.Rules {
			if r.Rate != nil {
				rates[r.Rate.Name()] = *r.Rate
			}
		}
	}
	return rates
}

// namesOf returns the interface names of a policy, with stand-ins for those that
// patterns cover and for all others.
func namesOf(f *policy.File, host policy.Host) []string {
	names := []string{"lo", ":other"}
	for _, n := range f.Interfaces(host) {
		if start, ok := strings.CutSuffix(string(n), "*"); ok {
			names = append(names, start+":other")
		} else {
			names = append(names, string(n))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
