package policy

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Change is one rule to put into a policy, or to take out of it.
type Change struct {
	Remove   bool
	Out      bool    // a rule for outbound, else for inbound
	Verdict  Verdict // may be empty to remove: either
	Services []Service
	Peers    []Peer // from whom; outbound: to whom. None is anywhere
	Rate     Rate   // not looked at to remove
}

// ParseChange reads what a person types:
//
//	allow https
//	allow 5432/tcp,6432/tcp from lan
//	deny smtp out
//	allow ssh from 192.0.2.0/24 rate 6/min per source
//	remove allow https
//	remove smtp to 192.0.2.1 out
//
// Words that belong together may be one argument or several.
func ParseChange(args ...string) (Change, error) {
	var c Change
	words := strings.Fields(strings.Join(args, " "))
	next := func() string {
		if len(words) == 0 {
			return ""
		}
		w := words[0]
		words = words[1:]
		return w
	}
	if len(words) > 0 && words[0] == "remove" {
		c.Remove = true
		next()
	}
	if len(words) > 0 && (words[0] == "allow" || words[0] == "deny") {
		c.Verdict = Verdict(next())
	}
	if c.Verdict == "" && !c.Remove {
		return c, errors.New("a change starts with allow, deny or remove")
	}
	for s := range strings.SplitSeq(next(), ",") {
		c.Services = append(c.Services, Service(s))
	}
	preposition := ""
	for len(words) > 0 {
		switch w := next(); {
		case w == "out" && !c.Out:
			c.Out = true
		case (w == "from" || w == "to") && c.Peers == nil && len(words) > 0:
			preposition = w
			for p := range strings.SplitSeq(next(), ",") {
				c.Peers = append(c.Peers, Peer(p))
			}
		case w == "rate" && !c.Remove && len(words) > 0:
			c.Rate = Rate(strings.TrimSuffix(strings.Join(words, " "), " out"))
			c.Out = c.Out || words[len(words)-1] == "out"
			words = nil
		default:
			return c, fmt.Errorf("%q does not belong there\nhint: the order is: allow SERVICE[,SERVICE] [from PEER | to PEER out] [rate RATE]", w)
		}
	}
	switch {
	case preposition == "to" && !c.Out:
		return c, errors.New("what comes in has a source\nhint: write from, or add out")
	case preposition == "from" && c.Out:
		return c, errors.New("what goes out has a destination\nhint: write to, or leave away out")
	}
	return c, c.check()
}

// check looks at each word.
func (c Change) check() error {
	var words []word
	for _, s := range c.Services {
		words = append(words, s)
	}
	for _, p := range c.Peers {
		words = append(words, p)
	}
	if c.Rate != "" {
		words = append(words, c.Rate)
	}
	if !c.Remove || c.Verdict != "" {
		words = append(words, c.Verdict)
	}
	for _, w := range words {
		if f := w.fault(); f != nil {
			text := f.message + "\nexpected: " + w.syntax()
			if f.near != "" {
				text += "\nhint: did you mean " + f.near + "?"
			}
			return errors.New(text)
		}
	}
	if len(words) == 0 {
		return errors.New("no service is named")
	}
	return nil
}

// Edit returns the policy with one rule more or less. Lines are inserted,
// removed, or lose a word; every other line, comments and empty ones among
// them, stays as it is, byte for byte. The result has been read again and says
// exactly what was intended. A rule that is there already changes nothing; a
// rule that is removed takes the comments in its own lines along.
//
// What is allowed comes last and what is denied first, so that an edit never
// lifts a refusal that stands already. An edit after which nobody could log in,
// or that names an unknown zone, is refused with an *Error about the new text.
func (f *File) Edit(c Change) (*File, error) {
	c.Rate = Rate(strings.Join(strings.Fields(string(c.Rate)), " "))
	if err := c.check(); err != nil {
		return nil, err
	}
	if f.span[""].flow {
		return nil, fmt.Errorf("%s: a policy in braces cannot be edited line by line", f.name)
	}
	e := &editor{f: f, c: c, lines: slices.Clone(f.src.lines)}
	want := clonePolicy(f.Policy)
	rs := rulesOf(&want, c)
	var err error
	if c.Remove {
		err = e.remove(&want, rs)
	} else {
		err = e.add(&want, rs)
	}
	if err != nil {
		return nil, err
	}
	g, err := Parse(f.name, []byte(strings.Join(e.lines, "\n")))
	if err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(g.Policy, want) {
		return nil, fmt.Errorf("%s: the rules are written in a way that cannot be edited line by line\nhint: write each rule in a line of its own", f.name)
	}
	return g, nil
}

// A plainRule is a rule as far as a change can tell.
type plainRule struct {
	path     string
	verdict  Verdict
	services []Service
	peers    []Peer
	rate     Rate
	more     bool // it says more than that
}

// rulesOf returns the rules that a change is about.
func rulesOf(p *Policy, c Change) []plainRule {
	var rs []plainRule
	if !c.Out {
		for i, r := range p.Inbound {
			pr := plainRule{fmt.Sprintf("inbound[%d]", i), "allow", r.Allow, r.From, r.Rate, r.To != nil}
			if r.Deny != nil {
				pr.verdict, pr.services = "deny", r.Deny
			}
			rs = append(rs, pr)
		}
		return rs
	}
	if p.Outbound == nil {
		return nil
	}
	for i, r := range p.Outbound.Rules {
		more := r.Users != nil || r.ExceptUsers != nil || r.Groups != nil || r.ExceptGroups != nil
		pr := plainRule{fmt.Sprintf("outbound.rules[%d]", i), "allow", r.Allow, r.To, r.Rate, more}
		if r.Deny != nil {
			pr.verdict, pr.services = "deny", r.Deny
		}
		rs = append(rs, pr)
	}
	return rs
}

// clonePolicy copies what an edit may change.
func clonePolicy(p Policy) Policy {
	p.Inbound = slices.Clone(p.Inbound)
	if p.Outbound != nil {
		o := *p.Outbound
		o.Rules = slices.Clone(o.Rules)
		p.Outbound = &o
	}
	return p
}

type editor struct {
	f     *File
	c     Change
	lines []string
}

// add inserts a rule, into want and into the lines.
func (e *editor) add(want *Policy, rs []plainRule) error {
	for _, r := range rs {
		if r.verdict == e.c.Verdict && !r.more && r.rate == e.c.Rate && slices.Equal(r.services, e.c.Services) && slices.Equal(r.peers, e.c.Peers) {
			return nil
		}
	}
	at := len(rs)
	if e.c.Verdict == "deny" {
		at = 0
	}
	if e.c.Out {
		r := OutboundRule{To: e.c.Peers, Rate: e.c.Rate}
		if e.c.Verdict == "deny" {
			r.Deny = e.c.Services
		} else {
			r.Allow = e.c.Services
		}
		if want.Outbound == nil {
			want.Outbound = &Outbound{Default: "allow"}
		}
		want.Outbound.Rules = slices.Insert(want.Outbound.Rules, at, r)
	} else {
		r := InboundRule{From: e.c.Peers, Rate: e.c.Rate}
		if e.c.Verdict == "deny" {
			r.Deny = e.c.Services
		} else {
			r.Allow = e.c.Services
		}
		want.Inbound = slices.Insert(want.Inbound, at, r)
	}
	return e.insert(len(rs))
}

// insert writes the rule into a sequence of n rules, into an empty one, or into
// a new section.
func (e *editor) insert(n int) error {
	path := e.c.section()
	s, there := e.f.span[path]
	key := e.f.key[path]
	switch {
	case there && n > 0 && s.flow:
		return fmt.Errorf("%s:%d: the rules share a line, so that none can be inserted\nhint: write each rule in a line of its own, as - {allow: ssh}", e.f.name, s.line)
	case there && n > 0:
		line := s.last
		if e.c.Verdict == "deny" {
			line = key.line
		}
		e.put(line, strings.Repeat(" ", s.column-1)+"- "+e.c.rule())
	case there:
		if !e.emptied(key.line) {
			return fmt.Errorf("%s:%d: no rule can be inserted here\nhint: write %s: [] in one line", e.f.name, key.line, path)
		}
		e.put(key.line, strings.Repeat(" ", key.column+1)+"- "+e.c.rule())
	case e.c.Out && e.f.Policy.Outbound != nil:
		o := e.f.span["outbound"]
		if o.flow {
			return fmt.Errorf("%s:%d: outbound is written in braces\nhint: write its keys in lines of their own", e.f.name, o.line)
		}
		indent := strings.Repeat(" ", o.column-1)
		e.put(o.last, indent+"rules:", indent+"  - "+e.c.rule())
	default:
		e.newSection()
	}
	return nil
}

var (
	emptyList = regexp.MustCompile(`^( *[a-z]+ *:) *\[ *\]( *(?: #.*)?\r?)$`)
	listKey   = regexp.MustCompile(`^( *[a-z]+ *:)( *(?: #.*)?\r?)$`)
)

// emptied makes way for entries in a line such as inbound: [].
func (e *editor) emptied(line int) bool {
	old := e.lines[line-1]
	e.lines[line-1] = emptyList.ReplaceAllString(old, "$1$2")
	return e.lines[line-1] != old
}

// newSection appends a section, behind comments that the policy ends with.
func (e *editor) newSection() {
	indent := strings.Repeat(" ", e.f.key["version"].column-1)
	add := []string{indent + "inbound:", indent + "  - " + e.c.rule()}
	if e.c.Out {
		add = []string{indent + "outbound:", indent + "  default: allow", indent + "  rules:", indent + "    - " + e.c.rule()}
	}
	last := len(e.lines)
	for strings.TrimSpace(e.lines[last-1]) == "" {
		last--
	}
	e.put(last, add...)
}

// put inserts lines after a line, with its line end.
func (e *editor) put(after int, lines ...string) {
	if strings.HasSuffix(e.lines[after-1], "\r") {
		for i := range lines {
			lines[i] += "\r"
		}
	}
	e.lines = slices.Insert(e.lines, after, lines...)
	if after+len(lines) == len(e.lines) {
		e.lines = append(e.lines, "") // the last line had no end
	}
}

// section is where the rules stand.
func (c Change) section() string {
	if c.Out {
		return "outbound.rules"
	}
	return "inbound"
}

// rule writes the rule as a line has it.
func (c Change) rule() string {
	text := "{" + string(c.Verdict) + ": " + writeWords(c.Services)
	if c.Peers != nil && c.Out {
		text += ", to: " + writeWords(c.Peers)
	} else if c.Peers != nil {
		text += ", from: " + writeWords(c.Peers)
	}
	if c.Rate != "" {
		text += ", rate: " + string(c.Rate)
	}
	return text + "}"
}

func writeWords[T ~string](ws []T) string {
	var texts []string
	for _, w := range ws {
		text := string(w)
		if strings.Contains(text, ":") {
			text = `"` + text + `"`
		}
		texts = append(texts, text)
	}
	if len(texts) == 1 {
		return texts[0]
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// remove takes the first rule that matches out of want and out of the lines,
// or, if the rule names further services, only those of the change.
func (e *editor) remove(want *Policy, rs []plainRule) error {
	i := slices.IndexFunc(rs, func(r plainRule) bool {
		return !r.more && (e.c.Verdict == "" || e.c.Verdict == r.verdict) && slices.Equal(r.peers, e.c.Peers) &&
			!slices.ContainsFunc(e.c.Services, func(s Service) bool { return !slices.Contains(r.services, s) })
	})
	if i < 0 {
		return fmt.Errorf("%s: no rule is like that%s", e.f.name, e.similar(rs))
	}
	left := slices.DeleteFunc(slices.Clone(rs[i].services), func(s Service) bool { return slices.Contains(e.c.Services, s) })
	if len(left) > 0 {
		return e.thin(want, i, rs[i], left)
	}
	if e.c.Out {
		want.Outbound.Rules = slices.Delete(want.Outbound.Rules, i, i+1)
	} else {
		want.Inbound = slices.Delete(want.Inbound, i, i+1)
	}
	s := e.f.span[rs[i].path]
	if e.f.span[e.c.section()].flow {
		return fmt.Errorf("%s:%d: the rules share a line, so that none can be removed\nhint: write each rule in a line of its own", e.f.name, s.line)
	}
	e.lines = slices.Delete(e.lines, s.line-1, s.last)
	if len(rs) == 1 {
		key := e.f.key[e.c.section()].line
		e.lines[key-1] = listKey.ReplaceAllString(e.lines[key-1], "$1 []$2")
	}
	return nil
}

// thin takes services out of a rule.
func (e *editor) thin(want *Policy, i int, r plainRule, left []Service) error {
	switch {
	case e.c.Out && r.verdict == "deny":
		want.Outbound.Rules[i].Deny = left
	case e.c.Out:
		want.Outbound.Rules[i].Allow = left
	case r.verdict == "deny":
		want.Inbound[i].Deny = left
	default:
		want.Inbound[i].Allow = left
	}
	path := fmt.Sprintf("%s.%s", r.path, r.verdict)
	list := e.f.span[path]
	if !list.flow || list.line != list.last {
		e.thinLines(path, r)
		return nil
	}
	rs := []rune(e.lines[list.line-1])
	first := e.f.span[path+"[0]"]
	last := e.f.span[fmt.Sprintf("%s[%d]", path, len(r.services)-1)]
	text := string(rs[:first.column-1])
	var kept []string
	for j, s := range r.services {
		if !slices.Contains(e.c.Services, s) {
			at := e.f.span[fmt.Sprintf("%s[%d]", path, j)]
			kept = append(kept, string(rs[at.column-1:at.column-1+at.width]))
		}
	}
	e.lines[list.line-1] = text + strings.Join(kept, ", ") + string(rs[last.column-1+last.width:])
	return nil
}

// thinLines removes services that stand in lines of their own.
func (e *editor) thinLines(path string, r plainRule) {
	for j, s := range slices.Backward(r.services) {
		if slices.Contains(e.c.Services, s) {
			at := e.f.span[fmt.Sprintf("%s[%d]", path, j)]
			e.lines = slices.Delete(e.lines, at.line-1, at.last)
		}
	}
}

// similar names the rules about the same services.
func (e *editor) similar(rs []plainRule) string {
	var b strings.Builder
	for _, r := range rs {
		if slices.ContainsFunc(e.c.Services, func(s Service) bool { return slices.Contains(r.services, s) }) {
			s := e.f.span[r.path]
			fmt.Fprintf(&b, "\nhint: line %d has: %s", s.line, strings.TrimSpace(e.f.src.line(s.line)))
		}
	}
	return b.String()
}
