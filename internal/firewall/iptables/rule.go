package iptables

import (
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/xt"
)

// rule is a rule as it was read: words sorted to what they belong to.
type rule struct {
	line    int
	text    string
	header  xt.Header
	matches []*use
	target  *use // nil for none, and for jumps
	jump    string
	goes    bool // -g
}

// use is one match or target and its options.
type use struct {
	name  string
	specs map[string]xt.OptionSpec
	opts  []xt.Option
	// unknown is true where there is no such match or target; strange are the
	// words of options that are not known.
	unknown bool
	strange []string
}

func (u *use) undecided() bool { return u.unknown || len(u.strange) > 0 }

// rule reads a line that begins with -A, or with -I: what restore texts put at the
// head of a chain.
func (p *parser) rule(s string) {
	ws, err := words(s, p.buf)
	p.buf = ws
	if err != nil {
		p.fail("%v", err)
		return
	}
	if len(ws) == 0 {
		p.failHint("the line may be truncated", "counters without a rule")
		return
	}
	head := false
	switch w := ws[0].s; {
	case w == "-A" || w == "--append":
	case w == "-I" || w == "--insert":
		head = true
	case strings.HasPrefix(w, "-"):
		p.failHint("iptables-save writes rules with -A", "%s is not understood in saved rules", short(w))
		return
	default:
		p.fail("%q is neither a rule nor COMMIT", short(s))
		return
	}
	if len(ws) < 2 || strings.HasPrefix(ws[1].s, "-") {
		p.failHint("the line may be truncated", "%s without a chain", ws[0].s)
		return
	}
	c := p.open.chains[ws[1].s]
	if c == nil {
		if _, ok := builtins(p.open.Name)[ws[1].s]; !ok {
			p.failHint(fmt.Sprintf("a line `:%s - [0:0]` declares it", ws[1].s), "chain %s is not declared in table %s", ws[1].s, p.open.Name)
			return
		}
		c = p.open.add(ws[1].s)
	}
	r := &rule{line: p.number, text: s}
	l := &lineReader{p: p, t: p.open, r: r, words: ws[2:]}
	if err := l.read(); err != nil {
		p.errs = append(p.errs, err)
		return
	}
	if head {
		c.rules = slices.Insert(c.rules, 0, r)
		return
	}
	c.rules = append(c.rules, r)
}

// lineReader reads the options of one rule.
type lineReader struct {
	p     *parser
	t     *table
	r     *rule
	words []word
	not   bool // a ! that waits for its option
	last  *use // the match or target that came last
	proto string
}

func (l *lineReader) errorf(hint, format string, args ...any) *Error {
	return &Error{Line: l.r.line, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func (l *lineReader) read() *Error {
	for len(l.words) > 0 {
		w := l.words[0]
		l.words = l.words[1:]
		var err *Error
		switch {
		case w.s == "!" && !w.quoted && !l.not:
			l.not = true
			continue
		case w.quoted || len(w.s) < 2 || w.s[0] != '-':
			return l.errorf("", "%q stands where an option should", short(w.s))
		default:
			err = l.option(w.s)
		}
		if err != nil {
			return err
		}
		l.not = false
	}
	if l.not {
		return l.errorf("the line may be truncated", "nothing follows the last !")
	}
	return l.check()
}

// value takes the value of an option. The old place of `!` is before it.
func (l *lineReader) value(option string) (string, *Error) {
	if len(l.words) > 1 && l.words[0].s == "!" && !l.words[0].quoted {
		if l.not {
			return "", l.errorf("", "%s is negated twice", option)
		}
		l.not = true
		l.words = l.words[1:]
	}
	if len(l.words) == 0 {
		return "", l.errorf("the line may be truncated", "%s needs a value", option)
	}
	w := l.words[0]
	l.words = l.words[1:]
	return w.s, nil
}

// option reads one option, of the rule itself or of a match or target.
func (l *lineReader) option(name string) *Error {
	if name, value, ok := strings.Cut(name, "="); ok && strings.HasPrefix(name, "--") {
		l.words = append([]word{{s: value, quoted: true}}, l.words...)
		return l.option(name)
	}
	switch name {
	case "-s", "--source", "--src":
		return l.address(name, &l.r.header.Src, &l.r.header.SrcMask, &l.r.header.NotSrc)
	case "-d", "--destination", "--dst":
		return l.address(name, &l.r.header.Dst, &l.r.header.DstMask, &l.r.header.NotDst)
	case "-i", "--in-interface":
		return l.iface(name, &l.r.header.In, &l.r.header.NotIn)
	case "-o", "--out-interface":
		return l.iface(name, &l.r.header.Out, &l.r.header.NotOut)
	case "--proto": // an option of the policy match, too
		if u, spec, ok := l.find("proto"); ok {
			return l.known(u, name, spec)
		}
		return l.protocol(name)
	case "-p", "--protocol":
		return l.protocol(name)
	case "-f", "--fragment":
		if l.p.family == firewall.IPv6 {
			return l.errorf("", "%s is an option of IPv4", name)
		}
		l.r.header.Frag, l.r.header.NotFrag = true, l.not
		return nil
	case "-4", "--ipv4", "-6", "--ipv6":
		if strings.HasSuffix(name, "4") != (l.p.family == firewall.IPv4) {
			return l.errorf("", "a rule for the other family (%s)", name)
		}
		return nil
	case "-c", "--set-counters":
		for range 2 {
			if _, err := l.value(name); err != nil {
				return err
			}
		}
		return nil
	case "-m", "--match":
		return l.match(name)
	case "-j", "--jump", "-g", "--goto":
		return l.jump(name)
	}
	return l.extension(name)
}

func (l *lineReader) address(name string, addr, mask *[]byte, not *bool) *Error {
	v, err := l.value(name)
	if err != nil {
		return err
	}
	if *mask != nil {
		return l.errorf("", "%s comes twice", name)
	}
	if strings.Contains(v, ",") {
		return l.errorf("write one rule for each", "%s has a list of addresses, which iptables-save never writes", name)
	}
	a, m, bad := l.t.xt.Network(v)
	if bad != nil {
		return l.errorf("", "%s: %v", name, bad)
	}
	for i := range a {
		a[i] &= m[i]
	}
	*addr, *mask, *not = a, m, l.not
	return nil
}

func (l *lineReader) iface(name string, to *string, not *bool) *Error {
	v, err := l.value(name)
	if err != nil {
		return err
	}
	switch {
	case *to != "":
		return l.errorf("", "%s comes twice", name)
	case v == "" || len(v) > 15:
		return l.errorf("", "%s: an interface's name has 1 to 15 bytes, %q has %d", name, v, len(v))
	}
	*to, *not = v, l.not
	return nil
}

func (l *lineReader) protocol(name string) *Error {
	v, err := l.value(name)
	if err != nil {
		return err
	}
	n, ok := xt.ProtocolNumber(v)
	switch {
	case !ok:
		return l.errorf("", "%q is not a protocol", v)
	case l.proto != "":
		return l.errorf("", "%s comes twice", name)
	case n == 0 && l.not:
		return l.errorf("", "! %s %s matches no packet", name, v)
	}
	l.proto = v
	l.r.header.Proto, l.r.header.NotProto = uint16(n), l.not
	return nil
}

func (l *lineReader) match(name string) *Error {
	if l.not {
		return l.errorf("", "! before %s", name)
	}
	v, err := l.value(name)
	if err != nil {
		return err
	}
	if l.not {
		return l.errorf("", "! before the name of a match")
	}
	l.use(v)
	return nil
}

// use begins a match.
func (l *lineReader) use(name string) *use {
	specs, ok := l.t.xt.MatchOptions(name)
	l.last = &use{name: name, specs: specs, unknown: !ok}
	l.r.matches = append(l.r.matches, l.last)
	return l.last
}

func (l *lineReader) jump(name string) *Error {
	if l.not {
		return l.errorf("", "! before %s", name)
	}
	v, err := l.value(name)
	if err != nil {
		return err
	}
	if l.r.jump != "" {
		return l.errorf("", "a second target, %s after %s", v, l.r.jump)
	}
	if v == "" || strings.HasPrefix(v, "-") {
		return l.errorf("the line may be truncated", "%s needs a target", name)
	}
	l.r.jump, l.r.goes = v, name == "-g" || name == "--goto"
	if l.r.goes || verdict(v) != firewall.Continue || l.t.chains[v] != nil {
		l.last = nil
		return nil
	}
	specs, ok := l.t.xt.TargetOptions(v)
	l.last = &use{name: v, specs: specs, unknown: !ok}
	l.r.target = l.last
	l.p.targets[v] = true
	return nil
}

// verdict is what a name behind -j says by itself, Continue for all other names.
func verdict(name string) firewall.VerdictKind {
	switch name {
	case "ACCEPT":
		return firewall.Accept
	case "DROP":
		return firewall.Drop
	case "RETURN":
		return firewall.Return
	case "QUEUE":
		return firewall.Queue
	}
	return firewall.Continue
}

// extension reads an option of a match or target: of the last that knows it, as
// getopt does in iptables, or of the protocol's own match, which need not be
// named. Any other belongs to the last match or target and is not understood.
func (l *lineReader) extension(name string) *Error {
	long, ok := strings.CutPrefix(name, "--")
	if !ok || long == "" {
		return l.errorf("", "unknown option %s", short(name))
	}
	if u, spec, ok := l.find(long); ok {
		return l.known(u, name, spec)
	}
	if l.last == nil {
		return l.errorf("", "unknown option %s", short(name))
	}
	strange := []string{name}
	if l.not {
		strange = []string{"!", name}
	}
	for len(l.words) > 0 && (l.words[0].quoted || !strings.HasPrefix(l.words[0].s, "-")) {
		if w := l.words[0].s; w == "!" && len(l.words) > 1 && strings.HasPrefix(l.words[1].s, "-") && !l.words[0].quoted {
			break
		}
		strange = append(strange, l.words[0].s)
		l.words = l.words[1:]
	}
	l.last.strange = append(l.last.strange, strange...)
	return nil
}

func (l *lineReader) find(long string) (*use, xt.OptionSpec, bool) {
	if t := l.r.target; t != nil {
		if s, ok := t.specs[long]; ok {
			return t, s, true
		}
	}
	for i := len(l.r.matches) - 1; i >= 0; i-- {
		if s, ok := l.r.matches[i].specs[long]; ok {
			return l.r.matches[i], s, true
		}
	}
	name := l.protocolMatch()
	if name == "" {
		return nil, xt.OptionSpec{}, false
	}
	specs, _ := l.t.xt.MatchOptions(name)
	s, ok := specs[long]
	if !ok {
		return nil, s, false
	}
	last := l.last
	u := l.use(name)
	if l.r.target != nil {
		l.last = last
	}
	return u, s, true
}

// protocolMatch is the match that iptables loads by itself for a protocol.
func (l *lineReader) protocolMatch() string {
	if l.proto == "" || l.r.header.NotProto {
		return ""
	}
	name := ""
	switch n := l.r.header.Proto; {
	case n == 1 && l.p.family == firewall.IPv4:
		name = "icmp"
	case n == 58 && l.p.family == firewall.IPv6:
		name = "icmp6"
	case n == 135:
		name = "mh"
	case n == 6, n == 17, n == 132, n == 33, n == 136, n == 50, n == 51, n == 108:
		name = xt.ProtocolName(uint8(n))
	}
	for _, u := range l.r.matches {
		if u.name == name {
			return ""
		}
	}
	return name
}

// known reads the values of an option that is known.
func (l *lineReader) known(u *use, name string, spec xt.OptionSpec) *Error {
	o := xt.Option{Name: spec.Name}
	for range spec.Values {
		v, err := l.value(name)
		if err != nil {
			return err
		}
		o.Values = append(o.Values, v)
	}
	if l.not && !spec.Negatable {
		return l.errorf("", "%s of %s cannot be negated", name, u.name)
	}
	o.Not = l.not
	u.opts = append(u.opts, o)
	if u.name == "comment" && spec.Name == "comment" && len(o.Values[0]) > 255 {
		return l.errorf("", "a comment of %d bytes; 255 fit", len(o.Values[0]))
	}
	return nil
}

// check asks for the protocol that some matches are for: without it the kernel
// refuses the rule, because the bytes of another protocol would be compared.
func (l *lineReader) check() *Error {
	for _, u := range l.r.matches {
		want := l.needs(u.name)
		if want == nil || u.unknown {
			continue
		}
		if !slices.Contains(want, l.r.header.Proto) || l.r.header.NotProto {
			names := make([]string, len(want))
			for i, n := range want {
				names[i] = "-p " + xt.ProtocolName(uint8(n))
			}
			return l.errorf("", "match %s needs %s", u.name, strings.Join(names, " or "))
		}
	}
	return nil
}

// needs are the protocols that a match is for, nil for any.
func (l *lineReader) needs(match string) []uint16 {
	switch match {
	case "tcp", "tcpmss", "osf":
		return []uint16{6}
	case "udp":
		return []uint16{17}
	case "udplite":
		return []uint16{136}
	case "sctp":
		return []uint16{132}
	case "dccp":
		return []uint16{33}
	case "esp":
		return []uint16{50}
	case "ipcomp":
		return []uint16{108}
	case "icmp":
		return []uint16{1}
	case "icmp6", "icmpv6":
		return []uint16{58}
	case "mh":
		return []uint16{135}
	case "multiport":
		return []uint16{6, 17, 136, 132, 33}
	case "ah":
		if l.p.family == firewall.IPv4 {
			return []uint16{51}
		}
	}
	return nil
}
