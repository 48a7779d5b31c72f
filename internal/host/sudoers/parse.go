package sudoers

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekimori/internal/host/files"
)

// Source hands out the files that are read, and Files is one in memory.
type (
	Source = files.Source
	Files  = files.Map
)

// The bounds within which a policy is read.
const (
	maxFile  = 2 << 20
	maxText  = 4 << 20
	maxDepth = 128 // of includes: MAX_SUDOERS_DEPTH
	maxFiles = 10_000
)

// Read reads a policy, by default /etc/sudoers. The host is the short name of
// the machine, which %h in an include stands for. It never fails: whatever is
// wrong is in Problems.
func Read(src Source, name, host string) *Policy {
	if name == "" {
		name = "/etc/sudoers"
	}
	p := &Policy{Aliases: map[string]map[string]Alias{}}
	r := &reader{src: src, host: host, policy: p, rules: newRules()}
	r.file(name, Pos{name, 0}, 0)
	slices.SortStableFunc(p.Problems, func(a, b Problem) int {
		if n := strings.Compare(a.File, b.File); n != 0 {
			return n
		}
		return a.Line - b.Line
	})
	return p
}

// Complete reports whether all of it could be read.
func (p *Policy) Complete() bool {
	return !slices.ContainsFunc(p.Problems, func(x Problem) bool { return x.Kind == Unread })
}

// Valid reports whether sudo's grammar has every line: visudo -c.
func (p *Policy) Valid() bool {
	return !slices.ContainsFunc(p.Problems, func(x Problem) bool { return x.Kind == Invalid })
}

type reader struct {
	src    Source
	host   string
	policy *Policy
	rules  *rules
	size   int
	full   bool
}

func (r *reader) problem(pos Pos, k Kind, format string, args ...any) {
	r.policy.Problems = append(r.policy.Problems, Problem{pos, k, fmt.Sprintf(format, args...)})
}

func (r *reader) file(name string, at Pos, depth int) {
	if r.full {
		return
	}
	text, err := r.src.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.problem(at, Invalid, "%s: no such file", name)
		return
	case err != nil:
		r.problem(at, Unread, "%s: %v", name, err)
		return
	}
	r.size += len(text)
	if len(text) > maxFile || r.size > maxText || len(r.policy.Files) >= maxFiles {
		r.full = true
		r.problem(at, Unread, "%s: more than can be read here (at most %d bytes of one file, %d in all, %d files)", name, maxFile, maxText, maxFiles)
		return
	}
	r.policy.Files = append(r.policy.Files, name)
	p := &parser{reader: r, name: name, depth: depth, lex: newLexer(string(text), r.rules)}
	p.advance()
	for p.tok.kind != tokEOF {
		p.entry()
	}
}

// A parser reads one file.
type parser struct {
	*reader
	name  string
	depth int
	lex   *lexer
	tok   token
}

func (p *parser) advance() { p.tok = p.lex.next() }

func (p *parser) pos() Pos { return Pos{p.name, p.tok.line} }

var errSyntax = errors.New("syntax error")

// entry reads one entry up to its newline. After an error the rest of the line
// is passed over.
func (p *parser) entry() {
	if p.tok.kind == tokNewline {
		p.advance()
		return
	}
	start := p.pos()
	err := p.one()
	if err == nil && p.tok.kind == tokNewline {
		p.advance()
		return
	}
	if err == nil {
		err = errSyntax
	}
	at := p.pos()
	if p.tok.kind == tokError {
		err = errors.New(p.tok.text)
	}
	if at.Line < start.Line || p.tok.kind == tokEOF {
		at = start
	}
	p.problem(at, Invalid, "%v", err)
	for p.tok.kind != tokNewline && p.tok.kind != tokEOF {
		p.advance()
	}
	if p.tok.kind == tokNewline {
		p.advance()
	}
}

func (p *parser) one() error {
	switch p.tok.kind {
	case tokInclude, tokIncludeDir:
		return p.include()
	case tokDefaults:
		return p.defaults()
	case tokAliasDef:
		return p.aliases()
	}
	return p.rule()
}

// include reads a file in place. sudo reads the rest of the line first.
func (p *parser) include() error {
	dir, at := p.tok.kind == tokIncludeDir, p.pos()
	p.advance()
	if p.tok.kind != tokWord {
		return errSyntax
	}
	name := p.tok.text
	p.advance()
	if p.tok.kind != tokNewline {
		// The include counts even then.
		p.problem(at, Invalid, "extra text behind the name of the file")
		for p.tok.kind != tokNewline && p.tok.kind != tokEOF {
			p.advance()
		}
	}
	name = strings.ReplaceAll(name, "%h", p.host)
	if !strings.HasPrefix(name, "/") {
		name = path.Join(path.Dir(p.name), name)
	}
	switch {
	case p.depth >= maxDepth:
		p.problem(at, Invalid, "%s: too many levels of includes", name)
	case dir:
		p.includeDir(name, at)
	default:
		p.file(name, at, p.depth+1)
	}
	return nil
}

func (p *parser) includeDir(name string, at Pos) {
	names, err := p.src.ReadDir(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.problem(at, Remark, "%s: no such directory; sudo goes on without it", name)
		return
	case err != nil:
		p.problem(at, Unread, "%s: %v", name, err)
		return
	}
	slices.Sort(names)
	for _, n := range names {
		full := path.Join(name, n)
		if strings.Contains(n, ".") || strings.HasSuffix(n, "~") {
			p.problem(at, Remark, "%s is not read: its name has a dot or ends in ~", full)
			continue
		}
		if _, err := p.src.ReadDir(full); err == nil {
			continue // a directory
		}
		p.file(full, at, p.depth+1)
	}
}

func (p *parser) at(mark string) bool { return p.tok.kind == tokPunct && p.tok.text == mark }

// punct takes one punctuation mark if it stands here.
func (p *parser) punct(mark string) bool {
	if !p.at(mark) {
		return false
	}
	p.advance()
	return true
}

// list reads members separated by commas.
func (p *parser) list(one func() (Member, error)) ([]Member, error) {
	var out []Member
	for {
		negated := p.punct("!")
		m, err := one()
		if err != nil {
			return nil, err
		}
		m.Negated = negated
		out = append(out, m)
		if !p.punct(",") {
			return out, nil
		}
	}
}

// member takes one member of the kinds allowed here.
func (p *parser) member(kinds ...kind) (Member, error) {
	if !slices.Contains(kinds, p.tok.kind) {
		return Member{}, errSyntax
	}
	names := map[kind]string{tokAll: "all", tokWord: "name", tokAlias: "alias", tokGroup: "group", tokNetgroup: "netgroup", tokAddr: "address"}
	m := Member{Kind: names[p.tok.kind], Text: p.tok.text}
	p.advance()
	return m, nil
}

func (p *parser) user() (Member, error) {
	return p.member(tokAlias, tokAll, tokNetgroup, tokGroup, tokWord)
}

func (p *parser) host1() (Member, error) {
	return p.member(tokAlias, tokAll, tokNetgroup, tokAddr, tokWord)
}

func (p *parser) group() (Member, error) { return p.member(tokAlias, tokAll, tokWord) }

// command takes a command with the digests before it.
func (p *parser) command() (Member, error) {
	var digests []string
	for p.tok.kind == tokDigest {
		kind := p.tok.text
		p.advance()
		if !p.punct(":") || p.tok.kind != tokHash {
			return Member{}, errSyntax
		}
		digests = append(digests, kind+":"+p.tok.text)
		p.advance()
		if !p.punct(",") {
			break
		}
		if p.tok.kind != tokDigest {
			return Member{}, errSyntax
		}
	}
	negated := digests != nil && p.punct("!")
	m := Member{Text: p.tok.text, Args: p.tok.args, Digests: digests, Negated: negated}
	switch p.tok.kind {
	case tokAll:
		m.Kind = "all"
	case tokAlias:
		m.Kind = "alias"
	case tokCommand:
		m.Kind = "command"
		if len(m.Text) >= 4096 {
			return m, errors.New("path name too long")
		}
	case tokWord:
		if m.Text != "list" {
			return m, errors.New("expected a fully-qualified path name")
		}
		m.Kind = "command"
	default:
		return m, errSyntax
	}
	if m.Kind == "alias" && digests != nil {
		return m, errors.New("a digest requires a path name")
	}
	p.advance()
	return m, nil
}

// commands reads commands separated by commas, any of them negated; behind digests the mark stands
// between them and the command.
func (p *parser) commands() ([]Member, error) {
	var out []Member
	for {
		negated := p.punct("!")
		m, err := p.command()
		if err != nil {
			return nil, err
		}
		if negated && m.Digests != nil {
			return nil, errSyntax
		}
		m.Negated = m.Negated || negated
		out = append(out, m)
		if !p.punct(",") {
			return out, nil
		}
	}
}

func (p *parser) aliases() error {
	kind := strings.TrimSuffix(p.tok.text, "_Alias")
	if kind == "Cmd" {
		kind = "Cmnd"
	}
	p.advance()
	for {
		at, name, reserved := p.pos(), p.tok.text, p.tok.kind == tokAll || p.tok.kind == tokOption
		if p.tok.kind != tokAlias && !reserved {
			return errSyntax
		}
		if reserved {
			return fmt.Errorf("syntax error, reserved word %s used as an alias name", name)
		}
		p.advance()
		if !p.punct("=") {
			return errSyntax
		}
		var members []Member
		var err error
		switch kind {
		case "Host":
			members, err = p.list(p.host1)
		case "Cmnd":
			members, err = p.commands()
		default:
			members, err = p.list(p.user)
		}
		if err != nil {
			return err
		}
		if p.policy.Aliases[kind] == nil {
			p.policy.Aliases[kind] = map[string]Alias{}
		}
		if _, twice := p.policy.Aliases[kind][name]; twice {
			return fmt.Errorf("Alias %q already defined", name)
		}
		p.policy.Aliases[kind][name] = Alias{at, members}
		if !p.punct(":") {
			return nil
		}
	}
}

func (p *parser) defaults() error {
	d := Default{Pos: p.pos()}
	bound := p.tok.text
	p.advance()
	var err error
	switch bound {
	case ":":
		d.Scope = "user"
		d.Binding, err = p.list(p.user)
	case ">":
		d.Scope = "runas"
		d.Binding, err = p.list(p.user)
	case "@":
		d.Scope = "host"
		d.Binding, err = p.list(p.host1)
	case "!":
		d.Scope = "command"
		d.Binding, err = p.commands()
	}
	if err != nil {
		return err
	}
	var list []Default
	for {
		d.Op, d.Value = "on", ""
		if p.punct("!") {
			d.Op = "off"
		}
		if p.tok.kind != tokParameter {
			return errSyntax
		}
		d.Name = p.tok.text
		p.advance()
		if d.Op == "on" && p.tok.kind == tokPunct && (p.tok.text == "=" || p.tok.text == "+" || p.tok.text == "-") {
			d.Op = p.tok.text
			p.advance()
			if p.tok.kind != tokWord {
				return errSyntax
			}
			d.Value = p.tok.text
			p.advance()
		}
		list = append(list, d)
		if !p.punct(",") {
			break
		}
	}
	if p.tok.kind != tokNewline {
		return errSyntax
	}
	p.policy.Defaults = append(p.policy.Defaults, list...)
	return nil
}

func (p *parser) rule() error {
	at := p.pos()
	users, err := p.list(p.user)
	if err != nil {
		return err
	}
	var rules []Rule
	for {
		r := Rule{Pos: at, Users: users}
		if r.Hosts, err = p.list(p.host1); err != nil {
			return err
		}
		if !p.punct("=") {
			return errSyntax
		}
		if r.Commands, err = p.specs(); err != nil {
			return err
		}
		rules = append(rules, r)
		if !p.punct(":") {
			break
		}
	}
	if p.tok.kind != tokNewline {
		return errSyntax
	}
	p.policy.Rules = append(p.policy.Rules, rules...)
	return nil
}

// specs reads the commands of a rule.
func (p *parser) specs() ([]Command, error) {
	var out []Command
	for {
		c := Command{Pos: p.pos(), Default: true, Tags: map[string]Tag{}, Options: map[string]string{}}
		if err := p.runas(&c); err != nil {
			return nil, err
		}
		if err := p.options(&c); err != nil {
			return nil, err
		}
		for p.tok.kind == tokTag {
			name, off := strings.CutPrefix(p.tok.text, "NO")
			c.Tags[name] = On
			if off {
				c.Tags[name] = Off
			}
			p.advance()
		}
		negated := p.punct("!")
		m, err := p.command()
		if err != nil || negated && m.Digests != nil {
			return nil, errors.Join(err, condErr(err == nil))
		}
		m.Negated = m.Negated || negated
		c.Member = m
		if len(out) > 0 {
			inherit(&c, out[len(out)-1])
		}
		out = append(out, c)
		if !p.punct(",") {
			return out, nil
		}
	}
}

func condErr(bad bool) error {
	if bad {
		return errSyntax
	}
	return nil
}

// inherit takes from the command before what is not written anew.
func inherit(c *Command, before Command) {
	all := c.Member.Kind == "all" && !c.Member.Negated
	for k, v := range before.Tags {
		if all && k == "SETENV" {
			continue // ALL implies SETENV, whatever stands before it
		}
		if c.Tags[k] == Unset {
			c.Tags[k] = v
		}
	}
	for k, v := range before.Options {
		_, own := c.Options[k]
		// A role or a type alone replaces both.
		pair := k == "ROLE" && c.Options["TYPE"] != "" || k == "TYPE" && c.Options["ROLE"] != ""
		if !own && !pair {
			c.Options[k] = v
		}
	}
	if c.Default {
		c.Default, c.Runas, c.RunasGroups = before.Default, before.Runas, before.RunasGroups
	}
}

func (p *parser) runas(c *Command) error {
	if !p.punct("(") {
		return nil
	}
	c.Default = false
	var err error
	if !p.at(":") && !p.at(")") {
		if c.Runas, err = p.list(p.user); err != nil {
			return err
		}
	}
	if p.punct(":") && (c.Runas != nil || !p.at(")")) {
		if c.RunasGroups, err = p.list(p.group); err != nil {
			return err
		}
	}
	if c.Runas == nil && c.RunasGroups == nil {
		c.Runas = []Member{{Kind: "self"}}
	}
	if !p.punct(")") {
		return errSyntax
	}
	return nil
}

func (p *parser) options(c *Command) error {
	for p.tok.kind == tokOption {
		name := p.tok.text
		p.advance()
		if !p.punct("=") || p.tok.kind != tokWord {
			return errSyntax
		}
		v := p.tok.text
		switch name {
		case "CWD", "CHROOT":
			if v[0] != '/' && v[0] != '~' && v != "*" {
				return fmt.Errorf("values for %q must start with a '/', '~', or '*'", name)
			}
		case "TIMEOUT":
			n, ok := timeout(v)
			if !ok {
				return errors.New("invalid timeout value")
			}
			v = strconv.Itoa(n)
		case "NOTBEFORE", "NOTAFTER":
			if _, ok := generalizedTime(v); !ok {
				return fmt.Errorf("invalid %s value", strings.ToLower(name))
			}
		}
		c.Options[name] = v
		p.advance()
	}
	return nil
}

// timeout reads 2d3h4m5s, each unit at most once and in this order.
func timeout(s string) (int, bool) {
	total, units := 0, "dhms"
	for s != "" {
		end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
		if end < 0 {
			end = len(s)
		}
		n, err := strconv.ParseInt(s[:end], 10, 32)
		if err != nil {
			return 0, false
		}
		s = s[end:]
		seconds := 1
		if s != "" {
			i := strings.IndexByte(units, s[0]|0x20)
			if i < 0 {
				return 0, false
			}
			seconds = map[byte]int{'d': 86400, 'h': 3600, 'm': 60, 's': 1}[units[i]]
			units, s = units[i:], s[1:]
		}
		total += int(n) * seconds
		if total > 1<<31-1 {
			return 0, false
		}
	}
	return total, true
}

// generalizedTime reads yyyymmddHH[MM[SS]] with Z or an offset, RFC 4517.
func generalizedTime(s string) (time.Time, bool) {
	for _, layout := range []string{"20060102150405Z0700", "200601021504Z0700", "2006010215Z0700", "20060102150405", "200601021504", "2006010215"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
