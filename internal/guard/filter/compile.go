package filter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"sekimori/internal/guard/logdate"
	"sekimori/internal/guard/pyre"
)

// The fields that mean something to the engine, by their index in a record.
// Others follow as a filter names them.
const (
	fieldID = iota
	fieldIP4
	fieldIP6
	fieldDNS
	fieldCIDR
	fieldUser
	fieldSession // mlfid
	fieldNofail
	fieldForget
	fieldGained
	fieldContent
	fixedFields
)

// fieldNames are the groups of the fixed fields.
var fieldNames = [fixedFields]string{
	"fid", "ip4", "ip6", "dns", "cidr", "user", "mlfid", "nofail", "mlfforget", "mlfgained", "content",
}

// A pattern is one compiled expression of a filter.
type pattern struct {
	re     *pyre.Regexp
	uses   []use
	merges []merge
	skips  []int // groups of <SKIPLINES>
	needs  []pyre.Literals
	place  int // in Describe
}

// A use is a group of a pattern with the field that it fills.
type use struct{ group, field int }

// A Filter is a compiled Definition. It is not changed by use; Sessions run it.
type Filter struct {
	def    *Definition
	names  []string // of the fields
	pref   *pattern
	fail   []*pattern
	ignore []*pattern
	begins begins
	gate   string // stands in every line that prefregex matches; "" if nothing is known
	// journal says which entries of a journal count.
	journal *JournalMatch
}

// Compile compiles all patterns of d. Every pattern that is refused is reported,
// with the line of the file in which that stands which is to blame.
func Compile(d *Definition) (*Filter, error) {
	c := compiler{d: d, f: &Filter{def: d, names: slices.Clone(fieldNames[:])}}
	f := c.f
	if d.Prefregex != "" {
		f.pref = c.pattern("prefregex", 0, d.Prefregex, 0)
	}
	var flags pyre.Flags
	if d.MaxLines > 1 {
		flags = pyre.Multiline
	}
	for i, s := range d.Failregex {
		p := c.pattern("failregex", i, s, flags)
		if p != nil && !p.identifies() && (f.pref == nil || !f.pref.identifies()) {
			c.fail("failregex", i, 0, s, "nothing says who it was (no <HOST>, <ADDR>, <F-ID> or <F-MLFID>)")
		}
		f.fail = append(f.fail, p)
	}
	for i, s := range d.Ignoreregex {
		f.ignore = append(f.ignore, c.pattern("ignoreregex", i, s, 0))
	}
	for i, p := range d.DatePatterns {
		if err := logdate.Check([]string{p}); err != nil {
			c.errs = append(c.errs, &Error{c.position("datepattern", i, 0), err.Error()})
		}
	}
	for i, l := range d.JournalMatch {
		if _, err := ParseJournalMatch([]string{l}); err != nil {
			c.errs = append(c.errs, &Error{c.position("journalmatch", i, 0), err.Error()})
		}
	}
	if len(f.names) > maxFields {
		c.errs = append(c.errs, &Error{d.Pos["failregex"], fmt.Sprintf("the patterns have %d different fields; at most %d can be", len(f.names), maxFields)})
	}
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	for i, p := range slices.Concat(f.fail, f.ignore) {
		p.place = 1 + i // prefregex has 0
	}
	f.begins = newBegins(f.fail)
	if f.pref != nil && f.needs() != nil {
		f.gate = f.pref.re.Common()
	}
	var err error
	f.journal, err = ParseJournalMatch(d.JournalMatch)
	return f, err
}

// A compiler makes a Filter of a Definition.
type compiler struct {
	d    *Definition
	f    *Filter
	errs Errors
}

// position returns where a byte of a pattern stands; where the option as a
// whole does if that is not known.
func (c *compiler) position(kind string, i, at int) Position {
	if lines := c.d.lines[kind]; i < len(lines) {
		if p, ok := lines[i].position(at); ok {
			return p
		}
	}
	return c.d.Pos[kind]
}

// fail puts down what is wrong at a byte of a pattern, which is shown as it is
// after substitution.
func (c *compiler) fail(kind string, i, at int, text, format string, args ...any) {
	name := kind
	if kind != "prefregex" {
		name = fmt.Sprintf("%s %d", kind, i+1)
	}
	c.errs = append(c.errs, &Error{c.position(kind, i, at), fmt.Sprintf("%s: %s: %s", name, fmt.Sprintf(format, args...), text)})
}

func (c *compiler) pattern(kind string, i int, text string, flags pyre.Flags) *pattern {
	expanded, stray := expandTags(text)
	for _, t := range stray {
		if what := t.about(c.d); what != "" {
			c.fail(kind, i, t.at, text, "%s at position %d", what, utf8.RuneCountInString(text[:t.at]))
		}
	}
	if strings.TrimSpace(expanded.b.String()) == "" {
		c.fail(kind, i, 0, text, "an empty pattern")
		return nil
	}
	re, err := pyre.Compile(expanded.b.String(), flags)
	if e, ok := errors.AsType[*pyre.SyntaxError](err); ok {
		at := min(expanded.origin(e.Offset), len(text))
		c.fail(kind, i, min(at, max(len(text)-1, 0)), text, "%s at position %d", e.Msg, utf8.RuneCountInString(text[:at]))
		return nil
	}
	if err != nil {
		c.fail(kind, i, 0, text, "%v", err)
		return nil
	}
	return c.f.pattern(re)
}

// pattern takes what has been compiled into f.
func (f *Filter) pattern(re *pyre.Regexp) *pattern {
	p := &pattern{re: re, needs: re.Required()}
	var complex []string
	for g, name := range re.Names() {
		if g == 0 || name == "" {
			continue
		}
		if strings.HasPrefix(name, "skiplines") {
			p.skips = append(p.skips, g)
		}
		if strings.HasPrefix(name, "alt_") || strings.HasPrefix(name, "tuple_") {
			complex = append(complex, name)
		}
		p.uses = append(p.uses, use{g, f.field(name)})
	}
	// In order of their names, alternatives before tuples.
	slices.Sort(complex)
	for _, name := range complex {
		kind, of, _ := strings.Cut(name, "_")
		if i := strings.LastIndexByte(of, '_'); i > 0 && strings.Trim(of[i+1:], "0123456789") == "" && i+1 < len(of) {
			of = of[:i]
		}
		switch of {
		case "id":
			of = "fid"
		case "port":
			of = "fport"
		}
		p.merges = append(p.merges, merge{f.field(name), f.field(of), kind == "tuple"})
	}
	return p
}

// field returns the index of a field by its name, adding it if it is new.
func (f *Filter) field(name string) int {
	if i := slices.Index(f.names, name); i >= 0 {
		return i
	}
	f.names = append(f.names, name)
	return len(f.names) - 1
}

// identifies reports whether p has a group that says who it was.
func (p *pattern) identifies() bool {
	for _, u := range p.uses {
		switch u.field {
		case fieldID, fieldIP4, fieldIP6, fieldDNS, fieldSession:
			return true
		}
	}
	return false
}

// Definition returns what f was compiled from.
func (f *Filter) Definition() *Definition { return f.def }

// Name returns the name of the filter.
func (f *Filter) Name() string { return f.def.Name }

// Patterns returns the number of patterns that find failures.
func (f *Filter) Patterns() int { return len(f.fail) }

// A Described is a pattern as it is shown to people.
type Described struct {
	Kind     string // prefregex, failregex or ignoreregex
	Text     string // after all substitutions, <HOST> and the like as they are written
	Way      pyre.Way
	Literals []string // of which a line must have one; none: every line is tried
	Size     int      // steps for each byte of a line at most, see pyre.Regexp.Size
	Pos      Position // where it begins
}

// Describe lists the patterns of f, in the order in which they are tried.
func (f *Filter) Describe() []Described {
	var out []Described
	c := compiler{d: f.def}
	add := func(kind string, i int, text string, p *pattern) {
		out = append(out, Described{kind, text, p.re.Way(), p.need(), p.re.Size(), c.position(kind, i, 0)})
	}
	if f.pref != nil {
		add("prefregex", 0, f.def.Prefregex, f.pref)
	}
	for i, p := range f.fail {
		add("failregex", i, f.def.Failregex[i], p)
	}
	for i, p := range f.ignore {
		add("ignoreregex", i, f.def.Ignoreregex[i], p)
	}
	return out
}
