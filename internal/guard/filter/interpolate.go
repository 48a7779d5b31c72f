package filter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxDepth is how deep %(name)s may nest, as in Python.
const maxDepth = 10

// maxValue bounds what substitution may make of a value.
const maxValue = 1 << 20

// get returns the value of name in sec after substitution of %(...)s. Vars come
// before the section, the section before [DEFAULT]. The second result is false
// if there is no such option.
func (c *config) get(sec, name string, vars map[string]string) (text, bool, error) {
	o, ok := c.lookup(sec, name, vars)
	if !ok {
		return text{}, false, nil
	}
	var w written
	if err := c.interpolate(&w, sec, o, vars, 1); err != nil {
		return text{}, true, err
	}
	return w.text(), true, nil
}

func (c *config) lookup(sec, name string, vars map[string]string) (option, bool) {
	name = strings.ToLower(name)
	if v, ok := vars[name]; ok {
		return option{value: v, pos: Position{File: "[" + sec + "] " + name}}, true
	}
	if name == "__name__" {
		return option{value: sec}, true
	}
	if o, ok := c.sections[sec][name]; ok {
		return o, true
	}
	o, ok := c.defaults[name]
	return o, ok
}

// interpolate writes the value of o with what its %(...)s stand for.
func (c *config) interpolate(w *written, sec string, o option, vars map[string]string, depth int) error {
	t := o.text()
	at := func(i int) Position {
		if p, ok := t.position(i); ok {
			return p
		}
		return o.pos
	}
	if depth > maxDepth {
		return &Error{o.pos, fmt.Sprintf("%%(...)s nested deeper than %d: does it refer to itself?", maxDepth)}
	}
	for from := 0; from < len(t.s); {
		p := strings.IndexByte(t.s[from:], '%')
		if p < 0 {
			w.piece(t, from, len(t.s))
			break
		}
		w.piece(t, from, from+p)
		from += p
		rest := t.s[from:]
		switch {
		case strings.HasPrefix(rest, "%%"):
			w.piece(t, from, from+1)
			from += 2
		case strings.HasPrefix(rest, "%("):
			end := strings.Index(rest, ")s")
			if end < 3 || strings.IndexByte(rest[:end], ')') >= 0 {
				return &Error{at(from), fmt.Sprintf("bad substitution %q: want %%(name)s", clip(rest))}
			}
			inner, ok := c.reference(sec, rest[2:end], vars)
			if !ok {
				return &Error{at(from), c.noSuch(sec, rest[2:end])}
			}
			from += end + 2
			if err := c.interpolate(w, sec, inner, vars, depth+1); err != nil {
				return err
			}
		default:
			return &Error{at(from), fmt.Sprintf("%q: %% must be doubled, or followed by (name)s", clip(rest))}
		}
		if w.Len() > maxValue {
			return &Error{o.pos, fmt.Sprintf("substitution makes more than %d bytes of it", maxValue)}
		}
	}
	return nil
}

// noSuch says that an option does not exist, with the near miss.
func (c *config) noSuch(sec, name string) string {
	s := fmt.Sprintf("%%(%s)s: there is no such option in [%s] or [DEFAULT]", name, sec)
	if n := nearest(name, c.names(sec)); n != "" {
		s += fmt.Sprintf(" (did you mean %%(%s)s?)", n)
	}
	return s
}

// names returns the options of a section and of [DEFAULT], sorted.
func (c *config) names(sec string) []string {
	names := slices.Collect(maps.Keys(c.sections[sec]))
	names = slices.AppendSeq(names, maps.Keys(c.defaults))
	slices.Sort(names)
	return slices.Compact(names)
}

// reference returns what %(name)s stands for, before substitution: name, or
// section/name with known/ for what this section had before.
func (c *config) reference(sec, name string, vars map[string]string) (option, bool) {
	if o, ok := c.lookup(sec, name, vars); ok {
		return o, true
	}
	of, opt, ok := strings.Cut(name, "/")
	if !ok {
		return option{}, false
	}
	opt = strings.ToLower(opt)
	switch strings.ToLower(of) {
	case "default":
	case "known":
		if o, ok := c.known[sec][opt]; ok {
			return o, true
		}
	default:
		s, ok := c.sections[of]
		if !ok {
			return option{}, false
		}
		if o, ok := s[opt]; ok {
			return o, true
		}
	}
	o, ok := c.defaults[opt]
	return o, ok
}

// extended is get for names such as section/option, as <section/option> may
// ask for.
func (c *config) extended(sec, name string, vars map[string]string) (text, bool) {
	if of, opt, ok := strings.Cut(name, "/"); ok {
		tries := []string{of}
		switch strings.ToLower(of) {
		case "known":
			if o, ok := c.known[sec][strings.ToLower(opt)]; ok {
				var w written
				if c.interpolate(&w, sec, o, nil, 1) == nil {
					return w.text(), true
				}
			}
			tries = []string{sec}
		case "default":
			tries = []string{"DEFAULT"}
		}
		for _, s := range tries {
			if _, ok := c.sections[s]; !ok && s != "DEFAULT" {
				continue
			}
			if v, ok, err := c.get(s, opt, nil); ok && err == nil {
				return v, true
			}
		}
	}
	v, ok, err := c.get(sec, name, vars)
	return v, ok && err == nil
}

// maxTagRepeat is how often one tag may be put into one value.
const maxTagRepeat = 25

// substituteTags replaces <name> in all values by the value of that name, from
// the values themselves or from more, until nothing is left to replace. Tags
// that nobody knows stay as they are: <HOST> is one.
func substituteTags(values map[string]text, names []string, more func(string) (text, bool)) error {
	for _, name := range names {
		counts := map[string]int{}
		v := values[name]
		from := 0
		for {
			start, end, ok := nextTag(v.s, from)
			if !ok {
				break
			}
			tag := v.s[start+1 : end-1]
			repl, known := values[tag]
			if !known {
				repl, known = more(tag)
			}
			if !known {
				from = end
				continue
			}
			counts[tag]++
			if tag == name || counts[tag] > maxTagRepeat {
				pos, _ := v.position(start)
				return &Error{pos, fmt.Sprintf("<%s> in %s refers to itself", tag, name)}
			}
			v = v.replaceAll(v.s[start:end], repl)
			if len(v.s) > maxValue {
				pos, _ := v.position(0)
				return &Error{pos, fmt.Sprintf("substitution of tags makes more than %d bytes of %s", maxValue, name)}
			}
			// What was put in may complete a tag that began before: <a-<b>>.
			from = 0
		}
		values[name] = v
	}
	return nil
}

// nextTag finds the next <tag> from a position: no space and no angle inside.
func nextTag(s string, from int) (start, end int, ok bool) {
	open := -1
	for i := from; i < len(s); i++ {
		switch s[i] {
		case '<':
			open = i
		case ' ':
			open = -1
		case '>':
			if open >= 0 && i > open+1 {
				return open, i + 1, true
			}
			open = -1
		}
	}
	return 0, 0, false
}
