package sshd

import (
	"fmt"
	"slices"
	"strings"
)

// A pass is one reading of the configuration. sshd makes two: at start, for
// what stands outside Match blocks (and in "Match all"), and once more for each
// connection, for what stands inside those that the connection meets.
type pass struct {
	v        Version
	conn     *Connection // nil in the first pass
	reader   *reader     // nil in the second: all is read by then
	set      map[string]*Setting
	active   bool
	visited  int
	stopped  bool
	problems []Problem
	hits     []bool // of the Match lines evaluated, in order
	matches  []condition
	onlyHits bool // values are not wanted
}

// A place is the state that belongs to one file being processed.
type place struct {
	depth int
	// never: the file is included from a block that does not match.
	never bool
	// matchOnly: nothing but Match blocks count, up to the first one.
	matchOnly bool
}

func newPass(v Version, conn *Connection) *pass {
	return &pass{v: v, conn: conn, set: map[string]*Setting{}}
}

func (p *pass) problem(pos Pos, kind Kind, format string, args ...any) {
	if p.reader != nil {
		p.reader.problem(pos, kind, format, args...)
		return
	}
	p.problems = append(p.problems, Problem{pos, kind, fmt.Sprintf(format, args...)})
}

func (p *pass) file(f *file, at place) {
	if f == nil {
		return
	}
	for _, l := range f.lines {
		if p.visited++; p.visited > maxLines {
			p.problem(l.pos, Unread, "more than %d lines, included ones counted as often as they are", maxLines)
			p.stopped = true
		}
		if p.stopped {
			return
		}
		p.line(l, &at)
	}
}

func (p *pass) line(l *line, at *place) {
	if !p.active && l.kw.global {
		if p.conn == nil {
			p.problem(l.pos, Refused, "%s is not allowed within a Match block", l.word)
		}
		return
	}
	switch l.kw.name {
	case "match":
		p.match(l, at)
	case "include":
		for i := range l.includes {
			p.include(&l.includes[i], l.pos, *at)
		}
	default:
		if !p.onlyHits {
			p.merge(l)
		}
	}
}

func (p *pass) match(l *line, at *place) {
	hit := false
	switch {
	case p.conn == nil || at.never:
		hit = l.cond.all()
	case l.cond != nil:
		hit = l.cond.meets(p.conn, p.v)
		p.hits = append(p.hits, hit)
	}
	if p.conn == nil {
		p.matches = append(p.matches, l.cond)
	}
	p.active = hit && !at.never
	at.matchOnly = false
}

func (p *pass) include(inc *include, pos Pos, at place) {
	if p.reader != nil {
		p.reader.load(inc, pos)
	}
	outer := p.active
	below := place{depth: at.depth + 1, matchOnly: at.matchOnly, never: !at.matchOnly && !outer}
	for _, f := range inc.files {
		if below.depth > maxDepth {
			p.problem(pos, Refused, "too many recursive configuration includes")
			p.stopped = true
			return
		}
		p.file(f, below)
		p.active = outer
	}
}

// merge lets a line take effect.
func (p *pass) merge(l *line) {
	switch l.kw.merge {
	case first:
		if p.active && p.set[l.kw.name] == nil {
			p.put(l.kw.name, l.pos, l.vals...)
		}
	case last:
		if p.active {
			p.put(l.kw.name, l.pos, l.vals...)
		}
	case add:
		p.append(l)
	case byHand:
		p.special(l)
	}
}

func (p *pass) put(name string, pos Pos, vals ...string) {
	if len(vals) == 0 {
		return
	}
	s := &Setting{Values: slices.Clone(vals)}
	for range vals {
		s.From = append(s.From, pos)
	}
	p.set[name] = s
}

func (p *pass) append(l *line) {
	if !p.active || len(l.vals) == 0 {
		return
	}
	s := p.set[l.kw.name]
	if s == nil {
		s = &Setting{}
		p.set[l.kw.name] = s
	}
	for _, v := range l.vals {
		s.Values = append(s.Values, v)
		s.From = append(s.From, l.pos)
	}
	if l.kw.name == "port" && len(s.Values) == 257 {
		p.problem(l.pos, Refused, "too many ports")
	}
}

// special merges the keywords that follow a rule of their own.
func (p *pass) special(l *line) {
	name := l.kw.name
	switch name {
	case "authenticationmethods":
		p.methods(l)
	case "subsystem":
		p.subsystem(l)
	case "persourcepenalties":
		p.penalties(l)
	case "rekeylimit":
		p.parts(l, name, name+".time")
	case "permituserenvironment":
		if p.active && p.set[name] == nil && len(l.vals) > 0 {
			p.put(name, l.pos, l.vals[0])
			p.put(name+".names", l.pos, l.vals[1:]...)
		}
	case "maxstartups":
		if len(l.vals) == 3 {
			p.put(name+".begin", l.pos, l.vals[0])
			p.put(name+".full", l.pos, l.vals[2])
			if l.vals[1] != "" {
				p.put(name+".rate", l.pos, l.vals[1])
			}
		}
	case "unusedconnectiontimeout":
		if p.active && len(l.vals) > 0 && (p.set[name] == nil || len(l.vals) == 2) {
			p.put(name, l.pos, l.vals[0])
		}
	case "authorizedprincipalscommand":
		// Up to 9.8 the daemon looks whether the other command is set.
		guard := name
		if p.v.release() < 909 {
			guard = "authorizedkeyscommand"
		}
		if p.active && p.set[guard] == nil {
			p.put(name, l.pos, l.vals...)
		}
	}
}

// parts sets each value by itself, unless that one is set.
func (p *pass) parts(l *line, names ...string) {
	for i, v := range l.vals {
		if i < len(names) && p.active && p.set[names[i]] == nil {
			p.put(names[i], l.pos, v)
		}
	}
}

// methods is the first line that counts, with sshd's own check of "any": up to
// 9.4 it looks at what earlier lines have set, even in a block that is not met.
func (p *pass) methods(l *line) {
	s := p.set["authenticationmethods"]
	taken := s != nil
	count := 0
	if taken && p.v.release() < 905 {
		count = len(s.Values)
	}
	for _, m := range l.vals {
		if m == "any" && count > 0 {
			p.problem(l.pos, Refused, `%s: "any" must appear alone`, l.word)
			return
		}
		if p.active && !taken || p.v.release() >= 905 {
			count++
		}
	}
	if p.active && !taken {
		p.put("authenticationmethods", l.pos, l.vals...)
	}
}

func (p *pass) subsystem(l *line) {
	if !p.active || len(l.vals) == 0 {
		return
	}
	name := "subsystem " + l.vals[0]
	switch {
	case p.set[name] != nil && p.v.release() < 905:
		p.problem(l.pos, Refused, "subsystem %q is already defined", l.vals[0])
	case len(l.vals) < 2 || l.vals[1] == "":
		p.problem(l.pos, Refused, "missing command of subsystem %q", l.vals[0])
	case p.set[name] == nil:
		p.put(name, l.pos, strings.Join(l.vals, " "))
	}
}

// penalties sets each value by itself; any value turns penalties on.
func (p *pass) penalties(l *line) {
	if !p.active {
		return
	}
	const name = "persourcepenalties"
	for _, v := range l.vals {
		if v == "yes" || v == "no" {
			if p.set[name] == nil {
				p.put(name, l.pos, v)
			}
			continue
		}
		if key, value, _ := strings.Cut(v, ":"); p.set[name+"."+key] == nil {
			p.put(name+"."+key, l.pos, value)
			p.put(name, l.pos, "yes")
		}
	}
}

// finish checks what sshd checks when all is read: a command needs a user, a
// list of methods must be possible, algorithms must be left.
func (p *pass) finish() {
	e := p.effective(nil)
	for _, kind := range []string{"keys", "principals"} {
		command, user := "authorized"+kind+"command", "authorized"+kind+"commanduser"
		if s := p.set[command]; s != nil && !strings.EqualFold(s.Values[0], "none") && p.set[user] == nil {
			p.problem(s.From[0], Refused, "%s is set without %s", command, user)
		}
	}
	if s := p.set["authenticationmethods"]; s != nil && s.Values[0] != "any" && !slices.ContainsFunc(s.Values, e.enabledMethods) {
		p.problem(s.From[0], Refused, "AuthenticationMethods cannot be satisfied by enabled authentication methods")
	}
	p.checkAlgorithms()
	p.checkListen()
}

func (p *pass) checkAlgorithms() {
	for _, k := range algorithmKeywords() {
		s := p.set[k]
		if s == nil {
			continue
		}
		list, err := assemble(k, s.Values[0], p.v)
		if err != nil {
			p.problem(s.From[0], Refused, "%s: %v", k, err)
			continue
		}
		if s.Values[0][0] == '-' && list == strings.Join(firstOf(algorithmLists(k, p.v)), ",") {
			p.problem(s.From[0], Remark, "%s: %q removes nothing, or all of it", k, s.Values[0])
		}
	}
}

func firstOf[A, B any](a A, _ B) A { return a }

// checkListen works out the addresses to listen on.
func (p *pass) checkListen() {
	s := p.set["listenaddress"]
	if s == nil {
		return
	}
	for i, v := range s.Values {
		host, _, _ := strings.Cut(v, "\x00")
		addr, ok := parseAddr(host)
		family := "any"
		if f := p.set["addressfamily"]; f != nil {
			family = f.Values[0]
		}
		switch {
		case !ok && (host == "" || strings.ContainsFunc(host, notInNames)):
			p.problem(s.From[i], Refused, "bad addr or host: %q", host)
		case !ok:
			p.problem(s.From[i], Remark, "ListenAddress %s is a name; where sshd listens depends on the resolver", host)
		case addr.Is4() && family == "inet6", addr.Is6() && family == "inet":
			p.problem(s.From[i], Refused, "ListenAddress %s is not of AddressFamily %s", host, family)
		}
	}
}

// notInNames reports what no host name has, so that no resolver finds it.
func notInNames(r rune) bool {
	return r < 0x80 && !isAlnum(byte(r)) && !strings.ContainsRune("-_.:%", r)
}

// listen gives the sockets as sshd -T prints them.
func (p *pass) listen(e *Effective) *Setting {
	s := p.set["listenaddress"]
	out := &Setting{}
	ports, family := e.Values("port"), e.Value("addressfamily")
	if s == nil {
		for _, port := range ports {
			if family != "inet" {
				out.Values = append(out.Values, "[::]:"+port)
			}
			if family != "inet6" {
				out.Values = append(out.Values, "0.0.0.0:"+port)
			}
		}
		return out
	}
	for i, v := range s.Values {
		f := strings.Split(v, "\x00")
		own := ports
		if f[1] != "" {
			own = []string{f[1]}
		}
		host := f[0]
		if a, ok := parseAddr(host); ok {
			host = a.String()
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		for _, port := range own {
			out.Values = append(out.Values, host+":"+port+f[2])
			out.From = append(out.From, s.From[i])
		}
	}
	return out
}

// startups is "begin:rate:full".
func (p *pass) startups() *Setting {
	out := &Setting{}
	nums := []string{"10", "30", "100"}
	for i, part := range []string{"begin", "rate", "full"} {
		if s := p.set["maxstartups."+part]; s != nil {
			nums[i] = s.Values[0]
			out.From = s.From
		}
	}
	out.Values = []string{strings.Join(nums, ":")}
	return out
}

func (p *pass) penaltyText() *Setting {
	const name = "persourcepenalties"
	out := &Setting{}
	s := p.set[name]
	if s != nil {
		out.From = s.From
		if s.Values[0] == "no" {
			out.Values = []string{"no"}
			return out
		}
	}
	defaults := []string{
		"crash", "90", "authfail", "5", "noauth", "1", "grace-exceeded", "10", "refuseconnection", "10",
		"max", "600", "min", "15", "max-sources4", "65536", "max-sources6", "65536", "overflow", "permissive", "overflow6", "",
	}
	overflow := "permissive"
	for i := 0; i < len(defaults); i += 2 {
		key, value := defaults[i], defaults[i+1]
		if key == "refuseconnection" && p.v.release() < 909 {
			continue
		}
		if s := p.set[name+"."+key]; s != nil {
			value = s.Values[0]
		} else if key == "overflow6" {
			value = overflow
		}
		if key == "overflow" {
			overflow = value
		}
		out.Values = append(out.Values, key+":"+value)
	}
	return out
}
