package sshd

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// A Connection is what Match lines ask about, the arguments of sshd -T -C.
type Connection struct {
	User   string
	Groups []string // by name, the primary one included
	// Unknown says that there is no such account.
	Unknown bool
	// Host is the client's name by reverse lookup. Empty stands for the text of
	// the address, which is all that sshd asks about where UseDNS is no.
	Host      string
	Addr      netip.Addr
	LocalAddr netip.Addr
	LocalPort int
	RDomain   string
}

func (c *Connection) host() string {
	if c.Host == "" && c.Addr.IsValid() {
		return c.Addr.String()
	}
	return c.Host
}

// A criterion is one condition of a Match line: Kind is "all", "user", "group",
// "host", "address", "localaddress", "localport", "rdomain", "version",
// "invalid-user", in lower case.
type criterion struct {
	kind, arg string
	port      int
}

// A condition is a whole Match line; all of its criteria must hold.
type condition []criterion

// meets reports whether a connection meets the line.
func (m condition) meets(c *Connection, v Version) bool {
	for _, k := range m {
		if !k.meets(c, v) {
			return false
		}
	}
	return true
}

func (k criterion) meets(c *Connection, v Version) bool {
	switch k.kind {
	case "all":
		return true
	case "user":
		return patternList(c.User, k.arg) == matched
	case "group":
		return !c.Unknown && groupList(c.Groups, k.arg)
	case "host":
		return hostList(c.host(), k.arg) == matched
	case "address":
		return addrList(c.Addr, k.arg) == matched
	case "localaddress":
		return addrList(c.LocalAddr, k.arg) == matched
	case "localport":
		return c.LocalPort == k.port
	case "rdomain":
		return patternList(c.RDomain, k.arg) == matched
	case "version":
		return patternList("OpenSSH_"+v.String(), k.arg) == matched
	case "invalid-user":
		return c.Unknown
	}
	return false
}

// all reports whether the line is "Match all", which sshd honours when it reads
// the configuration for the first time as well.
func (m condition) all() bool { return len(m) == 1 && m[0].kind == "all" }

// words cuts the arguments of a Match line: up to 9.8 at blanks and equals
// signs, afterwards like those of any keyword.
func matchWords(in *input) (next func() (string, bool), left func() bool) {
	if in.v.release() >= 909 {
		var pending []string
		next = func() (string, bool) {
			if len(pending) > 0 {
				w := pending[0]
				pending = nil
				return w, true
			}
			w, ok := in.next()
			if name, value, cut := strings.Cut(w, "="); cut && takesValue(asciiLower(name)) {
				pending = []string{value}
				return name, ok
			}
			return w, ok
		}
		return next, func() bool { return len(in.args) > 0 }
	}
	c := &cursor{rest: in.raw}
	return c.next, func() bool { return !c.done && c.rest != "" && len(in.args) > 0 }
}

func takesValue(kind string) bool {
	switch kind {
	case "user", "group", "host", "address", "localaddress", "localport", "rdomain", "version":
		return true
	}
	return false
}

func parseMatch(in *input) (condition, error) {
	next, left := matchWords(in)
	var m condition
	for {
		word, ok := next()
		if !ok || word == "" || word[0] == '#' {
			if ok && word != "" {
				left = func() bool { return false } // a comment takes the rest
			}
			break
		}
		kind := asciiLower(word)
		if kind == "all" {
			arg, ok := next()
			if len(m) > 0 || ok && arg != "" && arg[0] != '#' {
				return nil, errors.New("'all' cannot be combined with other Match attributes")
			}
			if ok && arg != "" {
				left = func() bool { return false }
			}
			m = append(m, criterion{kind: "all"})
			break
		}
		k, err := parseCriterion(in, kind, next)
		if err != nil {
			return nil, err
		}
		m = append(m, k)
	}
	if len(m) == 0 {
		return nil, errors.New("one or more attributes required for Match")
	}
	if left() {
		return nil, errors.New("extra arguments at end of line")
	}
	in.rest()
	return m, nil
}

func parseCriterion(in *input, kind string, next func() (string, bool)) (criterion, error) {
	k := criterion{kind: kind}
	if kind == "invalid-user" && in.v.release() >= 909 {
		return k, nil
	}
	arg, ok := next()
	if !ok || arg == "" || arg[0] == '#' {
		return k, fmt.Errorf("missing Match criteria for %s", kind)
	}
	k.arg = arg
	switch kind {
	case "user", "group", "host":
	case "rdomain":
		if in.v.release() < 800 {
			return k, fmt.Errorf("unsupported Match attribute %q", kind)
		}
	case "version":
		if in.v.release() < 1000 {
			return k, fmt.Errorf("unsupported Match attribute %q", kind)
		}
	case "address", "localaddress":
		if addrList(netip.Addr{}, arg) != unmatched {
			return k, fmt.Errorf("invalid Match %s argument %q", kind, arg)
		}
	case "localport":
		p, err := in.host.port(arg)
		if err != nil {
			return k, fmt.Errorf("invalid LocalPort %q on Match line", arg)
		}
		k.port = p
	default:
		return k, fmt.Errorf("unsupported Match attribute %q", kind)
	}
	return k, nil
}
