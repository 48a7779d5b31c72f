package sudoers

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A User is an account that may ask sudo.
type User struct {
	Name   string   `json:"name"`
	UID    int      `json:"uid"`
	Groups []string `json:"groups"`
	GIDs   []int    `json:"gids"`
}

// A Host is the machine that the policy is read for.
type Host struct {
	Names     []string // its short name and, if known, its full one
	Addresses []netip.Prefix
}

// A Password says whether sudo asks for one.
type Password string

// The answers.
const (
	Asked    Password = "asked"     // the user's own, or that of Which
	NotAsked Password = "not-asked" // NOPASSWD, or !authenticate
)

// A Root is how one user becomes root.
type Root struct {
	User string `json:"user"`
	// Any says that any command at all may be run as root.
	Any bool `json:"any"`
	// Password is what holds for any command; see each of Commands otherwise.
	Password Password `json:"password,omitempty"`
	// Which is whose password is asked for, where it is not the user's own:
	// "root" (rootpw, or targetpw) or the default runas user's ("runas").
	Which string `json:"which,omitempty"`
	// Unsure says that it hangs on something that the text does not tell.
	Unsure bool `json:"unsure,omitempty"`
	// Undecided says that the policy is too large for the question to be answered
	// here: the user may become root.
	Undecided bool `json:"undecided,omitempty"`
	// From is the line that decides.
	From Pos `json:"from"`
	// Commands are those named one by one that may be run as root.
	Commands []Grant `json:"commands,omitempty"`
}

// A Grant is one command that a user may run as root.
type Grant struct {
	Command  string   `json:"command"`
	Password Password `json:"password"`
	Unsure   bool     `json:"unsure,omitempty"`
	From     Pos      `json:"from"`
}

// Roots gives those of the users who can run something as root, in their order.
// Root itself is left out.
func (p *Policy) Roots(users []User, h Host) []Root {
	var out []Root
	q := &query{p, h, maxEffort}
	for _, u := range users {
		if u.UID == 0 {
			continue
		}
		r, ok := q.root(u)
		if ok {
			out = append(out, r)
		}
	}
	return out
}

// A query is one call of [Policy.Roots].
type query struct {
	p      *Policy
	h      Host
	effort int // what is left of maxEffort
}

func (q *query) matcher(u User, unknown bool) *matcher {
	return &matcher{p: q.p, u: u, h: q.h, unknown: unknown, effort: &q.effort}
}

func (q *query) root(u User) (Root, bool) {
	r := Root{User: u.Name}
	any, unsure := q.decide(u, nil)
	if any != nil {
		r.Any, r.Unsure, r.From = true, unsure, any.Pos
		r.Password = q.password(u, any)
	}
	r.Which = q.which(u)
	q.commands(u, &r)
	r.Undecided = q.effort <= 0
	return r, r.Any || r.Undecided || r.Commands != nil
}

// commands adds what is granted command by command.
func (q *query) commands(u User, r *Root) {
	seen := map[string]bool{}
	for _, c := range q.named(u) {
		if q.effort <= 0 {
			return
		}
		key := c.Text + "\x00" + argsText(c.Args)
		if seen[key] {
			continue
		}
		seen[key] = true
		by, unsure := q.decide(u, &c)
		if by == nil || by.Member.Kind == "all" && r.Any {
			continue // allowed as any command is
		}
		r.Commands = append(r.Commands, Grant{strings.TrimSpace(c.Text + " " + argsText(c.Args)), q.password(u, by), unsure, by.Pos})
	}
}

func argsText(args *string) string {
	if args == nil {
		return ""
	}
	return *args
}

// named are the commands that rules for this user name.
func (q *query) named(u User) []Member {
	var out []Member
	m := q.matcher(u, true)
	for _, rule := range q.p.Rules {
		if m.users(rule.Users) != yes || m.hosts(rule.Hosts) != yes {
			continue
		}
		for _, c := range rule.Commands {
			out = append(out, q.flatten(c.Member, 0)...)
		}
	}
	return out
}

func (q *query) flatten(m Member, depth int) []Member {
	q.effort--
	switch {
	case q.effort <= 0:
		return nil
	case m.Kind == "command" && !m.Negated:
		return []Member{m}
	case m.Kind != "alias" || depth > maxAliasDepth:
		return nil
	}
	var out []Member
	for _, x := range q.p.Aliases["Cmnd"][m.Text].Members {
		out = append(out, q.flatten(x, depth+1)...)
	}
	return out
}

// decide finds the command of the rules that decides about running c as root; a
// nil c is a command that no rule names. It is nil where the answer is no. What
// is not known is taken once for a match and once for none.
func (q *query) decide(u User, c *Member) (by *Command, unsure bool) {
	yesBy := q.matcher(u, true).decide(c)
	noBy := q.matcher(u, false).decide(c)
	switch {
	case yesBy == nil:
		return noBy, noBy != nil
	case noBy == nil:
		return yesBy, true
	}
	return yesBy, yesBy != noBy
}

// password says whether sudo asks for one.
func (q *query) password(u User, by *Command) Password {
	authenticate := true
	for _, d := range q.p.Defaults {
		switch {
		case d.Name == "authenticate" && q.bound(d, u, by):
			authenticate = d.Op != "off"
		case d.Name == "exempt_group" && q.bound(d, u, by):
			if d.Op == "=" && slices.Contains(u.Groups, strings.TrimPrefix(d.Value, "%")) {
				return NotAsked
			}
		}
	}
	switch by.Tags["PASSWD"] {
	case On:
		return Asked
	case Off:
		return NotAsked
	}
	if !authenticate {
		return NotAsked
	}
	return Asked
}

// which is whose password is asked for.
func (q *query) which(u User) string {
	out := ""
	for _, d := range q.p.Defaults {
		if !q.bound(d, u, nil) {
			continue
		}
		name := map[string]string{"rootpw": "root", "targetpw": "root", "runaspw": "runas"}[d.Name]
		switch {
		case name == "":
		case d.Op == "on":
			out = name
		case out == name:
			out = ""
		}
	}
	return out
}

// bound reports whether a Defaults line holds for a user who runs that command
// as root.
func (q *query) bound(d Default, u User, by *Command) bool {
	return q.matcher(u, d.Op == "off").bound(d, by)
}

func (m *matcher) bound(d Default, by *Command) bool {
	*m.effort--
	switch d.Scope {
	case "user":
		return m.users(d.Binding) == yes
	case "host":
		return m.hosts(d.Binding) == yes
	case "runas":
		return m.runas(d.Binding) == yes
	case "command":
		return by != nil && by.Member.Kind == "command" && m.commands(d.Binding, &by.Member) == yes
	}
	return true
}

// An answer of a list: its last member that matches says yes or no.
type answer int

const (
	unset answer = iota
	yes
	no
)

func (a answer) not() answer {
	switch a {
	case yes:
		return no
	case no:
		return yes
	}
	return unset
}

// maxAliasDepth bounds aliases that name each other.
const maxAliasDepth = 32

// A matcher asks lists about one user on one host. What cannot be known from
// the text counts as unknown says.
type matcher struct {
	p       *Policy
	u       User
	h       Host
	unknown bool
	effort  *int
}

// maxEffort bounds the work for one call of Roots: the members looked at.
const maxEffort = 20_000_000

func (m *matcher) decide(c *Member) *Command {
	for i := range slices.Backward(m.p.Rules) {
		if *m.effort--; *m.effort <= 0 {
			return nil
		}
		r := &m.p.Rules[i]
		if m.users(r.Users) != yes || m.hosts(r.Hosts) != yes {
			continue
		}
		for k := range slices.Backward(r.Commands) {
			spec := &r.Commands[k]
			if !m.asRoot(spec) {
				continue
			}
			switch m.commands([]Member{spec.Member}, c) {
			case yes:
				return spec
			case no:
				return nil
			}
		}
	}
	return nil
}

// asRoot reports whether a command of a rule may be run as root.
func (m *matcher) asRoot(c *Command) bool {
	if c.Default {
		return m.defaultRunas()
	}
	return m.runas(c.Runas) == yes
}

// defaultRunas reports whether the user that sudo runs commands as is root.
func (m *matcher) defaultRunas() bool {
	root := true
	for _, d := range m.p.Defaults {
		if d.Name == "runas_default" && d.Op == "=" && d.Scope != "runas" && d.Scope != "command" && m.bound(d, nil) {
			root = d.Value == "root" || d.Value == "#0"
		}
	}
	return root
}

// last gives the answer of the last member that matches.
func (m *matcher) last(list []Member, alias string, depth int, one func(Member) bool) answer {
	for _, x := range slices.Backward(list) {
		if *m.effort--; *m.effort <= 0 {
			return unset
		}
		a := unset
		switch {
		case x.Kind == "alias":
			if def, ok := m.p.Aliases[alias][x.Text]; ok {
				if depth < maxAliasDepth {
					a = m.last(def.Members, alias, depth+1, one)
				}
				break
			}
			// An alias that is not defined is the name of a user or host.
			if alias != "Cmnd" && one(Member{Kind: "name", Text: x.Text}) {
				a = yes
			}
		case x.Kind == "all" || one(x):
			a = yes
		}
		if a == unset {
			continue
		}
		if x.Negated {
			return a.not()
		}
		return a
	}
	return unset
}

func (m *matcher) users(list []Member) answer {
	return m.last(list, "User", 0, func(x Member) bool { return m.isUser(x, m.u) })
}

// runas asks a list about root.
func (m *matcher) runas(list []Member) answer {
	root := User{Name: "root", UID: 0, Groups: []string{"root"}, GIDs: []int{0}}
	return m.last(list, "Runas", 0, func(x Member) bool { return m.isUser(x, root) })
}

func (m *matcher) isUser(x Member, u User) bool {
	switch x.Kind {
	case "name":
		if id, ok := strings.CutPrefix(x.Text, "#"); ok {
			n, err := strconv.Atoi(id)
			return err == nil && n == u.UID
		}
		return x.Text == u.Name
	case "group":
		name := strings.TrimPrefix(x.Text, "%")
		if strings.HasPrefix(name, ":") {
			return m.unknown // a group that a plugin knows
		}
		if id, ok := strings.CutPrefix(name, "#"); ok {
			n, err := strconv.Atoi(id)
			return err == nil && slices.Contains(u.GIDs, n)
		}
		return slices.Contains(u.Groups, name)
	case "netgroup":
		return m.unknown
	}
	return false // "self": as oneself, which root is not
}

func (m *matcher) hosts(list []Member) answer {
	return m.last(list, "Host", 0, m.isHost)
}

func (m *matcher) isHost(x Member) bool {
	switch x.Kind {
	case "name":
		if strings.ContainsAny(x.Text, "*?[") {
			return slices.ContainsFunc(m.h.Names, func(n string) bool {
				ok, err := path.Match(strings.ToLower(x.Text), strings.ToLower(n))
				return ok || err != nil && m.unknown
			})
		}
		if slices.ContainsFunc(m.h.Names, func(n string) bool { return strings.EqualFold(n, x.Text) }) {
			return true
		}
		// A full name may be this host's, if only its short one is known.
		short, _, dotted := strings.Cut(x.Text, ".")
		full := slices.ContainsFunc(m.h.Names, func(n string) bool { return strings.Contains(n, ".") })
		return m.unknown && (len(m.h.Names) == 0 || dotted && !full && slices.ContainsFunc(m.h.Names, func(n string) bool { return strings.EqualFold(n, short) }))
	case "address":
		return m.isAddress(x.Text)
	case "netgroup":
		return m.unknown
	}
	return false
}

// isAddress compares an address or a network with those of the host: a network
// alone means that of the interface.
func (m *matcher) isAddress(text string) bool {
	addr, mask, masked := strings.Cut(text, "/")
	a, err := netip.ParseAddr(addr)
	if err != nil || len(m.h.Addresses) == 0 {
		return m.unknown
	}
	bits := -1
	if masked {
		if bits, err = strconv.Atoi(mask); err != nil {
			if bits = maskBits(mask); bits < 0 {
				return m.unknown
			}
		}
	}
	return slices.ContainsFunc(m.h.Addresses, func(p netip.Prefix) bool {
		if bits < 0 {
			return p.Addr() == a || p.Masked().Addr() == a
		}
		q, err := a.Prefix(bits)
		return err == nil && q.Contains(p.Addr())
	})
}

func maskBits(mask string) int {
	a, err := netip.ParseAddr(mask)
	if err != nil {
		return -1
	}
	n, ended := 0, false
	for _, b := range a.AsSlice() {
		for i := 7; i >= 0; i-- {
			one := b>>i&1 == 1
			if one && ended {
				return -1
			}
			if one {
				n++
			}
			ended = ended || !one
		}
	}
	return n
}

// commands asks a list about a command; nil is one that no list names.
func (m *matcher) commands(list []Member, c *Member) answer {
	return m.last(list, "Cmnd", 0, func(x Member) bool { return c != nil && covers(x, *c) })
}

// covers reports whether one named command includes another one, as far as
// their texts tell: the same, a directory, a pattern.
func covers(x, c Member) bool {
	if x.Args != nil && argsText(x.Args) != argsText(c.Args) {
		return false
	}
	switch {
	case x.Text == c.Text:
		return true
	case strings.HasSuffix(x.Text, "/"):
		return path.Dir(c.Text)+"/" == x.Text
	case strings.ContainsAny(x.Text, "*?["):
		ok, err := path.Match(x.Text, c.Text)
		return ok && err == nil
	}
	return false
}
