package xt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Option is one option of a match or target, as in `! --dports 80,443`.
type Option struct {
	// Name is the canonical name without its dashes.
	Name string
	Not  bool
	// Values are what follows it: one in most cases, none for `--syn`, two for
	// `--tcp-flags`.
	Values []string
	// quoting of the values, which are free text.
	quoting quoting
	// hidden options are not printed.
	hidden bool
}

// quoting is how iptables-save prints free text.
type quoting uint8

const (
	bare        quoting = iota // in quotes if it would else be several words
	quoteOdd                   // in quotes if it is more than letters, digits, `-` and `_`
	quoteAlways                // in quotes, a backslash before quotes and backslashes
)

// opt, flag, not and text make options for decoders.
func opt(name string, values ...string) Option { return Option{Name: name, Values: values} }

func inv(not bool, name string, values ...string) Option {
	return Option{Name: name, Not: not, Values: values}
}

func quoted(name, value string) Option {
	return Option{Name: name, Values: []string{value}, quoting: quoteOdd}
}

// appendTo writes the option as iptables-save does.
func (o Option) appendTo(b *strings.Builder) {
	if o.hidden {
		return
	}
	if o.Not {
		b.WriteString(" !")
	}
	b.WriteString(" --")
	b.WriteString(o.Name)
	for _, v := range o.Values {
		b.WriteByte(' ')
		switch o.quoting {
		case quoteOdd:
			b.WriteString(Quote(v))
		case quoteAlways:
			b.WriteString(`"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(v) + `"`)
		default:
			if v == "" || strings.ContainsAny(v, " \t\"\\") {
				v = Quote(v)
			}
			b.WriteString(v)
		}
	}
}

// Quote returns a string as iptables-save prints free text (xtables_save_string
// in libxtables): in double quotes unless it is made of letters, digits, `-`
// and `_` alone, with a backslash before quotes and backslashes.
func Quote(s string) string {
	plain := s != ""
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
	}
	if plain {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' || s[i] == '\'' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// render returns the text of a match or target: `-m tcp --dport 22`.
func render(flag, name string, opts []Option) string {
	var b strings.Builder
	b.WriteString(flag)
	b.WriteByte(' ')
	b.WriteString(name)
	for _, o := range opts {
		o.appendTo(&b)
	}
	return b.String()
}

// text identifies a match by its options, whether they came from bytes or from
// text. Words that need no quotes have none.
func (a *args) text() string {
	opts := make([]Option, len(a.opts))
	for i, o := range a.opts {
		o.quoting = bare
		o.Values = slices.Clone(o.Values)
		for j, v := range o.Values {
			if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
				o.Values[j] = Quote(v)
			}
		}
		opts[i] = o
	}
	return render("-m", a.name, opts)
}

// OptionSpec says what an option takes.
type OptionSpec struct {
	// Name is the canonical name; Values the number of values that follow.
	Name   string
	Values int
	// Negatable is true where `!` may stand before it.
	Negatable bool
}

// parseSpecs reads the compact list of options of an extension: names parted by
// spaces, each with `!` if it can be negated, `:n` if it takes other than one
// value, and `=name` if it is another spelling of that option.
func parseSpecs(list string) map[string]OptionSpec {
	specs := make(map[string]OptionSpec)
	for word := range strings.FieldsSeq(list) {
		word, canonical, alias := strings.Cut(word, "=")
		word, count, counted := strings.Cut(word, ":")
		name, negatable := strings.CutSuffix(word, "!")
		s := OptionSpec{Name: name, Values: 1, Negatable: negatable}
		if counted {
			s.Values, _ = strconv.Atoi(count) // the lists are ours; a test reads them all
		}
		if alias {
			s.Name = canonical
		}
		specs[name] = s
	}
	return specs
}

// args are the options of one match or target while they are given a meaning;
// the first thing wrong with them stays in err.
type args struct {
	c    *Context
	name string
	opts []Option
	err  error
}

func (a *args) fail(format string, v ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, v...)
	}
}

// get returns an option; given more than once, the last one counts, as it does
// for iptables where it does not refuse that.
func (a *args) get(name string) (Option, bool) {
	for i := len(a.opts) - 1; i >= 0; i-- {
		if a.opts[i].Name == name {
			return a.opts[i], true
		}
	}
	return Option{}, false
}

func (a *args) has(name string) bool {
	_, ok := a.get(name)
	return ok
}

// value returns the only value of an option, or "" if it was not given.
func (a *args) value(name string) string {
	o, ok := a.get(name)
	if !ok || len(o.Values) == 0 {
		return ""
	}
	return o.Values[0]
}

// number reads a number in C's notation (0x for hexadecimal, 0 for octal).
func (a *args) number(s string, limit uint64) uint64 {
	n, err := parseNumber(s)
	if err != nil || n > limit {
		a.fail("%q is not a number from 0 to %d", s, limit)
		return 0
	}
	return n
}

func parseNumber(s string) (uint64, error) {
	base := 10
	switch {
	case len(s) > 2 && (s[:2] == "0x" || s[:2] == "0X"):
		s, base = s[2:], 16
	case len(s) > 1 && s[0] == '0':
		s, base = s[1:], 8
	}
	return strconv.ParseUint(s, base, 64)
}

// span reads `a`, `a:b`, `a:` or `:b`.
func (a *args) span(s, sep string, limit uint64) (lo, hi uint64) {
	from, to, ranged := strings.Cut(s, sep)
	if !ranged {
		lo = a.number(from, limit)
		return lo, lo
	}
	hi = limit
	if from != "" {
		lo = a.number(from, limit)
	}
	if to != "" {
		hi = a.number(to, limit)
	}
	return lo, hi
}

// masked reads `value` or `value/mask`; without a mask all bits count.
func (a *args) masked(s string, limit uint64) (value, mask uint32) {
	v, m, ok := strings.Cut(s, "/")
	value, mask = uint32(a.number(v, limit)), uint32(limit)
	if ok {
		mask = uint32(a.number(m, limit))
	}
	return value, mask
}
