package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sekimori/packet"
)

// Review looks at what the rules mean, with lists as File.Lists gives them. The
// error is an *Error if nobody could log in by ssh, whoever asks: that is worked out
// as packets, for both families, and a rate that each source has for itself is
// taken as not exceeded. Where the rules are too many for that, a warning says so.
// Warnings are what File.Warnings has and more: rules that
// never decide anything, because they match nothing or because rules above them
// match all that they do, and ssh from anywhere where passwords are on.
func (f *File) Review(lists map[string][]packet.AddrRange, host Host) (warnings []Problem, err error) {
	r := &review{f: f, lists: lists, host: f.withNumbers(host)}
	for _, family := range []packet.Family{packet.V4, packet.V6} {
		names := []string{"lo", ":other"}
		for _, i := range f.Interfaces(host) {
			names = append(names, strings.TrimSuffix(string(i), "*")) // a name that the pattern covers
		}
		sp := packet.NewSpace(packet.Config{Family: family, Interfaces: names})
		if err := sp.Do(func() error { r.family(sp); return nil }); err != nil {
			p := f.at("inbound", "the rules are too many to be reviewed: which of them never decide, and who can log in, is not known")
			return append(slices.Clone(f.Warnings), p), nil
		}
	}
	if f.Policy.Inbound != nil && !r.login {
		key := f.key["inbound"]
		p := f.src.problem(key.line, key.column, key.width, "nobody could log in any more: no packet to ssh is let in")
		p.Hint = "allow ssh from the addresses of admins, above what denies it"
		return nil, &Error{[]Problem{p}}
	}
	warnings = slices.Clone(f.Warnings)
	for _, path := range r.order {
		if p, ok := r.verdict(path); ok {
			warnings = append(warnings, p)
		}
	}
	if r.guessable && !slices.ContainsFunc(warnings, func(p Problem) bool { return strings.Contains(p.Message, "passwords on") }) {
		key := f.key["inbound"]
		p := f.src.problem(key.line, key.column, key.width, "ssh from anywhere with passwords on: they will be guessed")
		p.Hint = "say from where, or passwords: false"
		warnings = append(warnings, p)
	}
	return warnings, nil
}

// withNumbers is a host on which users and groups that it does not know have
// numbers that nobody else has: whoever they are, they are somebody.
func (f *File) withNumbers(host Host) Host {
	if f.Policy.Outbound == nil {
		return host
	}
	next := uint32(1) << 31
	fill := func(known map[string]uint32, us ...[]User) map[string]uint32 {
		out := map[string]uint32{}
		maps.Copy(out, known)
		for _, u := range slices.Concat(us...) {
			if _, ok := u.Number(out); !ok {
				out[string(u)] = next
				next++
			}
		}
		return out
	}
	for _, r := range f.Policy.Outbound.Rules {
		host.Users = fill(host.Users, r.Users, r.ExceptUsers)
		host.Groups = fill(host.Groups, r.Groups, r.ExceptGroups)
	}
	return host
}

// review gathers what is seen in both families.
type review struct {
	f     *File
	lists map[string][]packet.AddrRange
	host  Host

	login     bool // somebody can log in
	guessable bool // everybody can try a password
	order     []string
	seen      map[string]sight
}

// sight is what a rule does in the families looked at.
type sight struct {
	matches, decides bool
	by               []string // the rules above that each match all that it does
}

func (r *review) family(sp *packet.Space) {
	m := r.f.meaning(sp, r.lists, r.host, sp.Unknown)
	p := &r.f.Policy
	var sets []packet.Set
	for _, rule := range p.Inbound {
		sets = append(sets, m.inboundRule(rule))
	}
	r.rules(sp, "inbound[%d]", sets)
	if p.Outbound != nil {
		sets = nil
		for _, rule := range p.Outbound.Rules {
			sets = append(sets, m.outboundRule(rule))
		}
		r.rules(sp, "outbound.rules[%d]", sets)
	}
	if p.Inbound != nil {
		r.logins(m)
	}
}

// logins asks who can reach sshd. A rate for each source lets everybody try.
func (r *review) logins(m meaning) {
	var ports []packet.Range
	for _, n := range r.f.sshPorts() {
		ports = append(ports, packet.Range{Lo: uint64(n), Hi: uint64(n)})
	}
	ssh := number(m.sp, packet.Protocol, 6).And(m.sp.Values(packet.DstPort, ports...))
	perSource := map[string]bool{}
	for i, rule := range r.f.Policy.Inbound {
		if l, ok := rule.Rate.Limit(); ok && l.PerSource {
			perSource[fmt.Sprintf("inbound[%d].rate", i)] = true
		}
	}
	m.unknown = func(key string) packet.Set {
		if perSource[key] {
			return m.sp.All()
		}
		return m.sp.Unknown(key)
	}
	in := m.rules().And(ssh).Must()
	r.login = r.login || !in.Empty()
	if s := r.f.Policy.SSH; s != nil && s.Passwords != nil && *s.Passwords {
		everywhere := in.Exists(packet.InInterface, packet.DstPort).Forall(packet.Src)
		r.guessable = r.guessable || !everywhere.Empty()
	}
}

// sshPorts are the ports where sshd listens.
func (f *File) sshPorts() []int {
	if s := f.Policy.SSH; s != nil && s.Ports != nil {
		return s.Ports
	}
	return []int{22}
}

// rules looks which rules decide something.
func (r *review) rules(sp *packet.Space, path string, sets []packet.Set) {
	if r.seen == nil {
		r.seen = map[string]sight{}
	}
	left := sp.All()
	for i, set := range sets {
		at := fmt.Sprintf(path, i)
		s, again := r.seen[at]
		if !again {
			r.order = append(r.order, at)
		}
		if !set.Empty() {
			s.matches = true
			if set.Overlaps(left) {
				s.decides = true
			} else if !s.decides {
				var by []string
				for j, above := range sets[:i] {
					if set.SubsetOf(above) {
						by = append(by, fmt.Sprintf(path, j))
					}
				}
				s.by = append(s.by, by...)
			}
		}
		left = left.Minus(set)
		r.seen[at] = s
	}
}

// verdict is what is to be said of a rule.
func (r *review) verdict(path string) (Problem, bool) {
	s := r.seen[path]
	switch {
	case s.decides:
		return Problem{}, false
	case !s.matches:
		p := r.f.at(path, "this rule matches nothing")
		p.Hint = "its lists are empty, or of a family that its services are not of"
		return p, true
	}
	p := r.f.at(path, "this rule never decides: the rules above match all that it does")
	if len(s.by) > 0 {
		line, _, _ := r.f.Position(s.by[0])
		p.Message = fmt.Sprintf("this rule never decides: the one in line %d matches all that it does", line)
	}
	p.Hint = "remove it, or put it above"
	return p, true
}

// at is a problem with a value.
func (f *File) at(path, message string) Problem {
	s, ok := f.span[path]
	if !ok {
		s = f.key[path]
	}
	return f.src.problem(s.line, s.column, s.width, message)
}
