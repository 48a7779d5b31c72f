package sshd

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Population is whom and from where the effective values are asked for.
type Population struct {
	// Users are the accounts that can log in. Add root, and one that does not
	// exist, where it matters.
	Users []Connection // only User, Groups and Unknown are looked at
	// Sources are client addresses to ask for beside those that the Match and
	// Allow lines name.
	Sources []netip.Addr
	// Local are the host's own addresses; empty asks for one of documentation.
	Local []netip.Addr
	// Ports are those that sshd listens on where the socket is not its own
	// (ssh.socket); empty takes the configuration's.
	Ports []int
}

// A Cell is a set of connections for which the same lines hold.
type Cell struct {
	// Connections are those of the population, one for each combination.
	Connections []Connection
	Effective   *Effective
}

// maxCells bounds the combinations that are asked for, and maxVisits the lines
// that are looked at for them.
const (
	maxCells  = 500_000
	maxVisits = 200_000_000
)

// Cells gives the effective values for each user x source x port. The sources
// are complete in this sense: each way in which the address prefixes of Match,
// AllowUsers and DenyUsers lines overlap has a representative. What cannot be
// sampled (a wildcard over the text of an address, a host name) is named in
// limits. More than 500,000 combinations are an error.
func (c *Config) Cells(pop Population) (cells []Cell, limits []string, err error) {
	sources, local, limits := c.samples(pop)
	ports := pop.Ports
	if len(ports) == 0 {
		for _, p := range c.Global().Values("port") {
			n, _ := strconv.Atoi(p)
			ports = append(ports, n)
		}
	}
	domains := c.domains()
	if n := len(pop.Users) * len(sources) * len(local) * len(ports) * len(domains); n > maxCells {
		return nil, limits, fmt.Errorf("%d combinations of users, sources and ports; at most %d are asked for", n, maxCells)
	}
	byHits, visits := map[string]int{}, 0
	for _, u := range pop.Users {
		for _, src := range sources {
			for _, l := range local {
				for _, port := range ports {
					for _, d := range domains {
						conn := Connection{User: u.User, Groups: u.Groups, Unknown: u.Unknown, Addr: src, LocalAddr: l, LocalPort: port, RDomain: d}
						key, n := c.hits(&conn)
						if visits += n; visits > maxVisits {
							return nil, limits, fmt.Errorf("the configuration is too long to be asked for each of %d users", len(pop.Users))
						}
						i, ok := byHits[key]
						if !ok {
							i = len(cells)
							byHits[key] = i
							cells = append(cells, Cell{Effective: c.Effective(conn)})
						}
						cells[i].Connections = append(cells[i].Connections, conn)
					}
				}
			}
		}
	}
	return cells, limits, nil
}

// hits says which Match lines a connection meets, and how many lines that took.
func (c *Config) hits(conn *Connection) (key string, visited int) {
	p := newPass(c.Version, conn)
	p.onlyHits = true
	p.file(c.root, place{matchOnly: true})
	b := make([]byte, len(p.hits))
	for i, h := range p.hits {
		b[i] = '0'
		if h {
			b[i] = '1'
		}
	}
	return string(b), p.visited
}

// samples are the client and local addresses to ask for.
func (c *Config) samples(pop Population) (sources, local []netip.Addr, limits []string) {
	var remote, own []netip.Prefix
	note := func(list, what string) {
		limits = append(limits, fmt.Sprintf("%s %s: asked for the addresses listed only", what, list))
	}
	for _, m := range c.global.matches {
		for _, k := range m {
			switch k.kind {
			case "address":
				p, wild := prefixesOf(k.arg)
				remote = append(remote, p...)
				remote = append(remote, wildPrefixes(wild, func(w string) { note(w, "Match Address") })...)
			case "localaddress":
				p, wild := prefixesOf(k.arg)
				own = append(own, p...)
				own = append(own, wildPrefixes(wild, func(w string) { note(w, "Match LocalAddress") })...)
			case "host":
				note(k.arg, "Match Host")
			}
		}
	}
	for _, list := range []string{"allowusers", "denyusers"} {
		for _, u := range c.Global().Values(list) {
			if _, hosts, ok := strings.Cut(u, "@"); ok {
				p, wild := prefixesOf(hosts)
				remote = append(remote, p...)
				remote = append(remote, wildPrefixes(wild, func(w string) { note(w, list) })...)
			}
		}
	}
	sources = append(slices.Clone(pop.Sources), netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("127.0.0.1"))
	sources = append(sources, representatives(remote)...)
	local = append(slices.Clone(pop.Local), representatives(own)...)
	if len(local) == 0 {
		local = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	}
	return distinct(sources), distinct(local), limits
}

func distinct(list []netip.Addr) []netip.Addr {
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}

// wildPrefixes turns wildcards that mean a prefix, "10.1.*", into it; the others
// are handed to note.
func wildPrefixes(patterns []string, note func(string)) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range patterns {
		fixed, ok := strings.CutSuffix(p, ".*")
		n := strings.Count(fixed, ".") + 1
		if p == "*" {
			continue // everybody
		}
		if ok && n < 4 {
			if prefix, err := netip.ParsePrefix(fixed + strings.Repeat(".0", 4-n) + "/" + strconv.Itoa(8*n)); err == nil {
				out = append(out, prefix)
				continue
			}
		}
		note(p)
	}
	return out
}

// representatives gives for each prefix an address that is in none of the
// narrower ones, where there is one.
func representatives(prefixes []netip.Prefix) []netip.Addr {
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		if n := a.Bits() - b.Bits(); n != 0 {
			return n
		}
		return a.Addr().Compare(b.Addr())
	})
	prefixes = slices.Compact(prefixes)
	var out []netip.Addr
	for i, p := range prefixes {
		a := p.Addr()
		for moved := true; moved && a.IsValid() && p.Contains(a); {
			moved = false
			for _, q := range prefixes[i+1:] {
				if q.Contains(a) && q != p {
					a, moved = lastOf(q).Next(), true
				}
			}
		}
		if a.IsValid() && p.Contains(a) {
			out = append(out, a)
		}
	}
	return out
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// domains are the routing domains to ask for: none, and each that a line names.
func (c *Config) domains() []string {
	out := []string{""}
	for _, m := range c.global.matches {
		for _, k := range m {
			if k.kind != "rdomain" {
				continue
			}
			for p := range strings.SplitSeq(k.arg, ",") {
				out = append(out, strings.NewReplacer("!", "", "*", "x", "?", "x").Replace(p))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
