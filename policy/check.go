package policy

import (
	"fmt"
	"slices"
	"strings"
)

// A checker finds what the words of a policy, each right by itself, get wrong
// together.
type checker struct {
	d    *decoder
	p    *Policy
	file *File
}

// at reports a fault at a value, or at a key if there is no value.
func (c *checker) at(path, format string, args ...any) *Problem {
	s, ok := c.d.spans[path]
	if !ok {
		s = c.d.keys[path]
	}
	return c.d.at(s, format, args...)
}

func (c *checker) warn(path, hint, format string, args ...any) {
	s := c.d.spans[path]
	p := c.d.src.problem(s.line, s.column, s.width, fmt.Sprintf(format, args...))
	p.Hint = hint
	c.file.Warnings = append(c.file.Warnings, p)
}

func (c *checker) policy() {
	if _, ok := c.d.spans["version"]; ok && c.p.Version != Version && c.p.Version != 0 {
		c.at("version", "version %d of the language is not known", c.p.Version).Expected = fmt.Sprint(Version)
	}
	c.zones()
	c.lists()
	for i, r := range c.p.Inbound {
		path := fmt.Sprintf("inbound[%d]", i)
		c.verdict(path, r.Allow != nil, r.Deny != nil, r.Rate)
		c.peers(path+".from", r.From)
		c.sources(path+".to", r.To)
	}
	c.outbound()
	c.router()
	c.edge()
	c.lockout()
	if g := c.p.Guard; g != nil {
		c.peers("guard.never", g.Never)
		for i, n := range g.Never {
			if n == anywhere {
				c.at(fmt.Sprintf("guard.never[%d]", i), "a guard that never bans anybody").Hint = "leave the guard out instead"
			}
		}
	}
}

// verdict checks that a rule says exactly one thing.
func (c *checker) verdict(path string, allow, deny bool, rate Rate) {
	_, hasAllow := c.d.keys[path+".allow"]
	_, hasDeny := c.d.keys[path+".deny"]
	switch {
	case hasAllow && hasDeny:
		c.at(path, "a rule that both allows and denies").Expected = "one of allow and deny"
	case !hasAllow && !hasDeny:
		if !c.d.unknown[path] {
			c.at(path, "a rule that neither allows nor denies").Expected = "one of allow and deny"
		}
	case deny && !allow && rate != "":
		c.at(path+".rate", "a rate on a rule that denies").Hint = "a rate says how much of what is allowed comes in"
	}
}

// names returns the zones and lists there are.
func (c *checker) names(zones, lists bool) []string {
	var names []string
	if len(c.p.Zones)+len(c.p.Lists) > 200 {
		return nil // too many to be of help, and to be sorted for each mistake
	}
	if zones {
		names = append(names, sortedKeys(c.p.Zones)...)
	}
	if lists {
		names = append(names, sortedKeys(c.p.Lists)...)
	}
	return names
}

// peers looks up the names among peers.
func (c *checker) peers(path string, ps []Peer) {
	for i, p := range ps {
		if p == anywhere || p.fault() != nil || looksLikeAddress(string(p)) {
			continue
		}
		_, isZone := c.p.Zones[string(p)]
		if _, isList := c.p.Lists[string(p)]; !isList && !isZone {
			c.unknown(fmt.Sprintf("%s[%d]", path, i), string(p), "zone or list", c.names(true, true), anywhere)
		}
	}
}

// sources looks up the names among addresses of this host.
func (c *checker) sources(path string, ss []Source) {
	for i, s := range ss {
		if s.fault() != nil || looksLikeAddress(string(s)) {
			continue
		}
		at := fmt.Sprintf("%s[%d]", path, i)
		_, isZone := c.p.Zones[string(s)]
		if _, isList := c.p.Lists[string(s)]; !isList && isZone {
			c.at(at, "%s is a zone; addresses belong here", s)
		} else if !isList {
			c.unknown(at, string(s), "list", c.names(false, true))
		}
	}
}

// unknown reports a name that nothing has.
func (c *checker) unknown(at, name, what string, have []string, more ...string) {
	p := c.at(at, "there is no %s %q", what, name)
	if len(have) > 0 && len(have) <= 12 {
		p.Expected = alternatives(slices.Concat(have, more))
	}
	if near := nearest(name, slices.Concat(have, more)); near != "" {
		p.Hint = fmt.Sprintf("did you mean %s?", near)
	}
}

// zone looks up a zone.
func (c *checker) zone(path string, n Name) {
	if n == "" || n.fault() != nil {
		return
	}
	if _, ok := c.p.Zones[string(n)]; !ok {
		c.unknown(path, string(n), "zone", c.names(true, false))
	}
}

// maxZones bounds how many zones are compared with each other.
const maxZones = 256

func (c *checker) zones() {
	names := sortedKeys(c.p.Zones)
	if len(names) > maxZones {
		c.at("zones", "%d zones, more than %d", len(names), maxZones)
		return
	}
	for i, a := range names {
		if a == anywhere {
			c.at("zones."+a, "the name %s has a meaning of its own", anywhere)
		}
		if _, both := c.p.Lists[a]; both {
			c.d.at(c.d.keys["lists."+a], "%q is both a list and a zone", a).Hint = "rename one of them: rules could not tell which is meant"
		}
		for _, b := range names[i+1:] {
			c.overlap(a, b)
		}
	}
	if _, both := c.p.Lists[anywhere]; both {
		c.d.at(c.d.keys["lists."+anywhere], "the name %s has a meaning of its own", anywhere)
	}
}

// overlap reports two zones that a packet could belong to both of.
func (c *checker) overlap(a, b string) {
	for _, ia := range c.p.Zones[a].Interfaces {
		for j, ib := range c.p.Zones[b].Interfaces {
			if !sameInterface(ia, ib) {
				continue
			}
			na, nb := c.p.Zones[a].Networks, c.p.Zones[b].Networks
			if len(na) > 0 && len(nb) > 0 && !networksMeet(na, nb) {
				continue
			}
			p := c.at(fmt.Sprintf("zones.%s.interfaces[%d]", b, j), "zones %s and %s overlap on %s", a, b, ib)
			p.Hint = "give them interfaces of their own, or networks that do not meet"
			return
		}
	}
}

// sameInterface tells whether some name is of both patterns.
func sameInterface(a, b Interface) bool {
	as, wa := strings.CutSuffix(string(a), "*")
	bs, wb := strings.CutSuffix(string(b), "*")
	switch {
	case wa && wb:
		return strings.HasPrefix(as, bs) || strings.HasPrefix(bs, as)
	case wa:
		return strings.HasPrefix(bs, as)
	case wb:
		return strings.HasPrefix(as, bs)
	}
	return as == bs
}

func networksMeet(as, bs []Prefix) bool {
	for _, a := range as {
		ra, fa := parseAddresses(string(a))
		for _, b := range bs {
			rb, fb := parseAddresses(string(b))
			if fa == nil && fb == nil && ra.Lo.Is4() == rb.Lo.Is4() && !ra.Hi.Less(rb.Lo) && !rb.Hi.Less(ra.Lo) {
				return true
			}
		}
	}
	return false
}

// maxNested is how deep lists may name other lists.
const maxNested = 16

func (c *checker) lists() {
	depth := map[string]int{}
	for _, name := range sortedKeys(c.p.Lists) {
		c.list(name, nil, depth)
	}
}

// list checks a list and those that it names, each once: depth has the depth of
// those that have been looked at. way are the lists that led here.
func (c *checker) list(name string, way []string, depth map[string]int) int {
	if d, ok := depth[name]; ok {
		return d
	}
	way = append(way, name)
	deepest := 0
	for i, e := range c.p.Lists[name] {
		at := fmt.Sprintf("lists.%s[%d]", name, i)
		if _, ok := c.d.keys[at+".file"]; ok && e.File == "" {
			c.at(at, "a file without a name")
		}
		next := string(e.Text)
		if next == "" || e.Text.fault() != nil || looksLikeAddress(next) {
			continue
		}
		if _, ok := c.p.Lists[next]; !ok {
			c.unknown(at, next, "list", c.names(false, true))
		} else if j := slices.Index(way, next); j >= 0 {
			c.at(at, "list %s contains itself: %s", next, strings.Join(append(slices.Clone(way[j:]), next), " -> "))
		} else if len(way) > maxNested {
			deepest = max(deepest, maxNested)
		} else {
			deepest = max(deepest, c.list(next, way, depth))
		}
	}
	if deepest == maxNested { // and not for every list above
		c.at("lists."+name, "lists within lists, more than %d deep", maxNested)
	}
	depth[name] = deepest + 1
	return deepest + 1
}

func (c *checker) outbound() {
	if c.p.Outbound == nil {
		return
	}
	for i, r := range c.p.Outbound.Rules {
		path := fmt.Sprintf("outbound.rules[%d]", i)
		c.verdict(path, r.Allow != nil, r.Deny != nil, r.Rate)
		c.peers(path+".to", r.To)
		if l, ok := r.Rate.Limit(); ok && l.PerSource {
			c.at(path+".rate", "a rate per source on what this host sends").Hint = "leave out: per source"
		}
		if r.Users != nil && r.ExceptUsers != nil || r.Groups != nil && r.ExceptGroups != nil {
			c.at(path, "a rule for some users, and for all but some").Hint = "keep one of the two"
		}
	}
}

func (c *checker) router() {
	if c.p.Router == nil {
		return
	}
	for i, f := range c.p.Router.Forward {
		path := fmt.Sprintf("router.forward[%d]", i)
		c.zone(path+".from", f.From)
		c.zone(path+".to", f.To)
		if f.From == f.To && f.Masquerade {
			c.at(path+".masquerade", "masquerading from a zone to itself").Hint = "for port forwards that hosts inside use: hairpin: true"
		}
	}
	for i, f := range c.p.Router.PortForward {
		c.portForward(fmt.Sprintf("router.port-forward[%d]", i), f)
	}
	for i, n := range c.p.Router.OneToOne {
		in, fi := parseAddress(string(n.Inside))
		out, fo := parseAddress(string(n.Outside))
		if fi == nil && fo == nil && in.Is4() != out.Is4() {
			c.at(fmt.Sprintf("router.one-to-one[%d]", i), "%s and %s are of different families", out, in)
		}
	}
}

func (c *checker) portForward(path string, f PortForward) {
	c.zone(path+".from", f.From)
	if f.Port == "" || f.Port.fault() != nil {
		return
	}
	for _, m := range f.Port.Matches() {
		switch {
		case m.Any || m.Lo == 0 || protocolName(m.Protocol) == "":
			c.at(path+".port", "%s has no port that could be forwarded", f.Port).Expected = "PORT/tcp or PORT/udp"
			return
		case m.Lo != m.Hi && f.ToPort != 0:
			c.at(path+".to-port", "one port for the range %s", f.Port).Hint = "without to-port each keeps its number"
			return
		}
	}
}

// protocolName is the inverse of protocol for those with ports.
func protocolName(n uint8) string {
	for _, name := range []string{"tcp", "udp", "sctp", "dccp", "udplite"} {
		if p, _, _ := protocol(name); p == n {
			return name
		}
	}
	return ""
}

func (c *checker) edge() {
	if c.p.Edge == nil {
		return
	}
	for i, b := range c.p.Edge.Block {
		if b == "broadcast" || b.fault() != nil {
			continue
		}
		for _, m := range Service(b).Matches() {
			if m.Any {
				c.at(fmt.Sprintf("edge.block[%d]", i), "an edge that blocks everything").Hint = "name the ports"
			}
		}
	}
}

// lockout refuses a policy after which nobody could log in: the one thing that
// no later step may have to find out. What a host's rules do to the operator's
// own session is proven where the host is known.
func (c *checker) lockout() {
	if a, s := c.p.Accounts, c.p.SSH; a != nil && s != nil && s.Users != nil && a.Admin != "" && !slices.Contains(s.Users, a.Admin) {
		c.at("ssh.users", "the admin %s may not log in", a.Admin).Hint = fmt.Sprintf("add %s to ssh.users", a.Admin)
	}
	if c.p.Inbound == nil || c.faulty("inbound") {
		return
	}
	ports := []int{22}
	if s := c.p.SSH; s != nil && s.Ports != nil {
		ports = s.Ports
	}
	admits := func(s Service) bool { return slices.ContainsFunc(ports, func(p int) bool { return admitsTCP(s, p) }) }
	for i, r := range c.p.Inbound {
		open := len(r.From) == 0 || slices.Contains(r.From, anywhere)
		switch {
		case slices.ContainsFunc(r.Deny, admits) && open && len(r.To) == 0 && len(ports) == 1:
			c.at(fmt.Sprintf("inbound[%d]", i), "nobody could log in any more: this denies ssh before anything allows it").Hint = "allow ssh from somewhere in a rule above"
			return
		case slices.ContainsFunc(r.Allow, admits):
			if s := c.p.SSH; open && r.Rate == "" && s != nil && s.Passwords != nil && *s.Passwords {
				c.warn(fmt.Sprintf("inbound[%d]", i), "say from where, or passwords: false", "ssh from anywhere with passwords on: they will be guessed")
			}
			return
		}
	}
	c.d.at(c.d.keys["inbound"], "nobody could log in any more: no rule allows ssh").Hint = "add: - {allow: ssh, from: ADDRESSES OF ADMINS}; or name sshd's port: ssh: {ports: [2222]}"
}

// faulty tells whether a section has faults already: then what it would let in
// is not known.
func (c *checker) faulty(section string) bool {
	from, to := c.d.keys[section].line, c.d.spans[section].last
	return slices.ContainsFunc(c.d.problems, func(p Problem) bool { return from <= p.Line && p.Line <= to })
}

// admitsTCP tells whether a service includes a port of TCP.
func admitsTCP(s Service, port int) bool {
	return slices.ContainsFunc(s.Matches(), func(m Match) bool {
		return m.Any || m.Protocol == 6 && int(m.Lo) <= port && port <= int(m.Hi)
	})
}
