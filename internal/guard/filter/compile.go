package filter

import (
	"fmt"
	"slices"
	"strings"

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
	// journal says which entries of a journal count.
	journal *JournalMatch
}

// Compile compiles all patterns of d. Every pattern that is refused is reported.
func Compile(d *Definition) (*Filter, error) {
	f := &Filter{def: d, names: slices.Clone(fieldNames[:])}
	var errs Errors
	add := func(kind string, i int, text string, flags pyre.Flags) *pattern {
		p, err := f.pattern(text, flags)
		if err != nil {
			if i >= 0 {
				kind = fmt.Sprintf("%s %d", kind, i+1)
			}
			errs = append(errs, &Error{d.Pos[strings.Fields(kind)[0]], fmt.Sprintf("%s: %v: %s", kind, err, text)})
		}
		return p
	}
	if d.Prefregex != "" {
		f.pref = add("prefregex", -1, d.Prefregex, 0)
	}
	var flags pyre.Flags
	if d.MaxLines > 1 {
		flags = pyre.Multiline
	}
	for i, s := range d.Failregex {
		p := add("failregex", i, s, flags)
		if p != nil && !p.identifies() && (f.pref == nil || !f.pref.identifies()) {
			errs = append(errs, &Error{d.Pos["failregex"], fmt.Sprintf("failregex %d: nothing says who it was (no <HOST>, <ADDR>, <F-ID> or <F-MLFID>): %s", i+1, s)})
		}
		f.fail = append(f.fail, p)
	}
	for i, s := range d.Ignoreregex {
		f.ignore = append(f.ignore, add("ignoreregex", i, s, 0))
	}
	if err := logdate.Check(d.DatePatterns); err != nil {
		errs = append(errs, &Error{d.Pos["datepattern"], err.Error()})
	}
	journal, err := ParseJournalMatch(d.JournalMatch)
	if err != nil {
		errs = append(errs, &Error{d.Pos["journalmatch"], err.Error()})
	}
	f.journal = journal
	if len(f.names) > maxFields {
		errs = append(errs, &Error{d.Pos["failregex"], fmt.Sprintf("the patterns have %d different fields; at most %d can be", len(f.names), maxFields)})
	}
	if len(errs) > 0 {
		return nil, errs
	}
	f.begins = newBegins(f.fail)
	return f, nil
}

func (f *Filter) pattern(text string, flags pyre.Flags) (*pattern, error) {
	expanded := expandTags(text)
	if strings.TrimSpace(expanded) == "" {
		return nil, fmt.Errorf("an empty pattern")
	}
	re, err := pyre.Compile(expanded, flags)
	if err != nil {
		return nil, err
	}
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
	return p, nil
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
}

// Describe lists the patterns of f, in the order in which they are tried.
func (f *Filter) Describe() []Described {
	var out []Described
	add := func(kind, text string, p *pattern) {
		out = append(out, Described{kind, text, p.re.Way(), p.need()})
	}
	if f.pref != nil {
		add("prefregex", f.def.Prefregex, f.pref)
	}
	for i, p := range f.fail {
		add("failregex", f.def.Failregex[i], p)
	}
	for i, p := range f.ignore {
		add("ignoreregex", f.def.Ignoreregex[i], p)
	}
	return out
}
