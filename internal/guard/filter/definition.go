package filter

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Definition is a filter as its files say it, after includes and all
// substitutions, not yet compiled.
type Definition struct {
	Name         string
	Options      map[string]string // as given in brackets: sshd[mode=aggressive]
	Files        []string          // what was read, in the order in which it counts
	Prefregex    string
	Failregex    []string
	Ignoreregex  []string
	MaxLines     int // 1 unless patterns span lines
	DatePatterns []string
	JournalMatch []string
	UseDNS       string              // as written; names are never looked up here
	Pos          map[string]Position // where each of failregex, prefregex, ... is given

	lines map[string][]text // the patterns with the places of their pieces
	tags  []string          // options whose value <name> stands for
}

// definitionOptions are the options that make a filter.
var definitionOptions = [...]string{"usedns", "prefregex", "ignoreregex", "failregex", "maxlines", "datepattern", "journalmatch"}

// Load reads filter.d/NAME.conf and what belongs to it from a directory laid
// out like /etc/fail2ban, with options as they stand in brackets after the name
// of a filter. The error is an Errors wherever a file is to blame.
func Load(fsys fs.FS, name string, options map[string]string) (*Definition, error) {
	return load(fsys, name, options, nil)
}

// load is Load with the options of the jail, which %(...)s may use too.
func load(fsys fs.FS, name string, options, jail map[string]string) (*Definition, error) {
	if name == "" || strings.ContainsAny(name, "/\\") || !fs.ValidPath(name) {
		return nil, fmt.Errorf("%q is not the name of a filter", name)
	}
	c, err := readConfig(fsys, "filter.d/"+name)
	if err != nil {
		return nil, err
	}
	file := Position{File: "filter.d/" + name + ".conf"}
	if _, ok := c.sections["Definition"]; !ok {
		return nil, Errors{{file, "there is no [Definition]"}}
	}
	values, err := c.combine(options, jail)
	if err != nil {
		return nil, asErrors(err, file)
	}
	d := &Definition{
		Name: name, Options: options, Files: c.files, UseDNS: values["usedns"].s, MaxLines: 1, Pos: map[string]Position{},
		lines: map[string][]text{}, tags: append(c.names("Definition"), c.names("Init")...),
	}
	for _, o := range definitionOptions {
		if at, ok := c.lookup("Definition", o, nil); ok {
			d.Pos[o] = at.pos
		}
	}
	d.Prefregex = values["prefregex"].s
	d.Failregex = nonEmptyLines(values["failregex"].s)
	d.Ignoreregex = nonEmptyLines(values["ignoreregex"].s)
	d.JournalMatch = nonEmptyLines(values["journalmatch"].s)
	d.lines["prefregex"] = []text{values["prefregex"]}
	for _, o := range []string{"failregex", "ignoreregex", "journalmatch", "datepattern"} {
		d.lines[o] = values[o].lines()
	}
	for _, p := range nonEmptyLines(values["datepattern"].s) {
		if p = strings.TrimSpace(p); p != "" {
			d.DatePatterns = append(d.DatePatterns, p)
		}
	}
	if s := values["maxlines"].s; s != "" {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 || n > 1000 {
			return nil, Errors{{d.Pos["maxlines"], fmt.Sprintf("maxlines = %s: want a number from 1 to 1000", clip(s))}}
		}
		d.MaxLines = n
	}
	return d, nil
}

func asErrors(err error, at Position) error {
	switch e := err.(type) {
	case Errors:
		return e
	case *Error:
		return Errors{e}
	}
	return Errors{{at, err.Error()}}
}

func nonEmptyLines(s string) []string {
	return slices.DeleteFunc(strings.Split(s, "\n"), func(l string) bool { return l == "" })
}

// combine computes the options of [Definition] and [Init]: %(...)s first, with
// what was given in brackets before everything, then <tags>.
func (c *config) combine(options, jail map[string]string) (map[string]text, error) {
	given := map[string]string{} // by the caller: wins everywhere
	for k, v := range jail {
		given[strings.ToLower(k)] = v
	}
	for k, v := range options {
		given[strings.ToLower(k)] = v
	}
	values := map[string]text{}
	for _, o := range definitionOptions {
		if _, ok := given[o]; ok {
			continue
		}
		v, ok, err := c.get("Definition", o, given)
		if err != nil {
			return nil, err
		}
		if ok {
			values[o] = v
		}
	}
	for k, v := range options {
		values[strings.ToLower(k)] = plain(v, Position{File: "[" + k + "=...]"})
	}
	for k := range c.sections["Init"] {
		if strings.HasPrefix(k, "known/") {
			continue
		}
		v, _, err := c.get("Init", k, nil)
		if err != nil {
			return nil, err
		}
		if values["known/"+k] = v; !has(options, k) {
			values[k] = v
		}
	}
	more := func(tag string) (text, bool) { return c.extended("Definition", tag, given) }
	return values, substituteTags(values, slices.Sorted(maps.Keys(values)), more)
}

func has(m map[string]string, key string) bool {
	for k := range m {
		if strings.EqualFold(k, key) {
			return true
		}
	}
	return false
}

// ParseUse splits what a jail's filter option says: a name and, in brackets,
// options, as in
//
//	sshd[mode=aggressive, publickey="any"]
func ParseUse(s string) (name string, options map[string]string, err error) {
	name, rest, ok := strings.Cut(strings.TrimSpace(s), "[")
	options = map[string]string{}
	if name == "" {
		return "", nil, fmt.Errorf("%q: want the name of a filter", s)
	}
	if !ok {
		return name, options, nil
	}
	rest, ok = strings.CutSuffix(strings.TrimSpace(rest), "]")
	if !ok {
		return "", nil, fmt.Errorf("%q: there is no ] at the end", s)
	}
	for {
		rest = strings.TrimLeft(rest, " \t\n,")
		if rest == "" {
			return name, options, nil
		}
		var key, value string
		if key, rest, ok = strings.Cut(rest, "="); !ok || strings.Trim(key, optionNameChars) != "" || key == "" {
			return "", nil, fmt.Errorf("%q: want name=value inside the brackets, have %q", s, clip(key))
		}
		if value, rest, err = optionValue(rest); err != nil {
			return "", nil, fmt.Errorf("%q: %w", s, err)
		}
		options[key] = strings.TrimSpace(value)
	}
}

const optionNameChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// optionValue reads a value in quotes, or up to a comma or the bracket that
// ends this group of options.
func optionValue(s string) (value, rest string, err error) {
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		end := strings.IndexByte(s[1:], s[0])
		if end < 0 {
			return "", "", fmt.Errorf("a quote is not closed")
		}
		value, rest = s[1:end+1], strings.TrimLeft(s[end+2:], " \t\n")
	} else {
		end := strings.IndexAny(s, ",]")
		if end < 0 {
			return s, "", nil
		}
		value, rest = s[:end], s[end:]
	}
	switch {
	case rest == "":
	case rest[0] == ',':
		rest = rest[1:]
	case rest[0] == ']':
		after := strings.TrimLeft(rest[1:], " \t\n")
		if after == "" || after[0] != '[' {
			return "", "", fmt.Errorf("unexpected %q", clip(rest))
		}
		rest = after[1:]
	default:
		return "", "", fmt.Errorf("unexpected %q", clip(rest))
	}
	return value, rest, nil
}
