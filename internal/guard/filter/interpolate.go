package filter

import (
	"fmt"
	"strings"
)

// maxDepth is how deep %(name)s may nest, as in Python.
const maxDepth = 10

// maxValue bounds what substitution may make of a value.
const maxValue = 1 << 20

// get returns the value of name in sec after substitution of %(...)s. Vars come
// before the section, the section before [DEFAULT]. The second result is false
// if there is no such option.
func (c *config) get(sec, name string, vars map[string]string) (string, bool, error) {
	o, ok := c.lookup(sec, name, vars)
	if !ok {
		return "", false, nil
	}
	var b strings.Builder
	if err := c.interpolate(&b, sec, o, vars, o.value, 1); err != nil {
		return "", true, err
	}
	return b.String(), true, nil
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

func (c *config) interpolate(b *strings.Builder, sec string, o option, vars map[string]string, rest string, depth int) error {
	if depth > maxDepth {
		return &Error{o.pos, fmt.Sprintf("%%(...)s nested deeper than %d: does it refer to itself?", maxDepth)}
	}
	for rest != "" {
		p := strings.IndexByte(rest, '%')
		if p < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:p])
		rest = rest[p:]
		switch {
		case strings.HasPrefix(rest, "%%"):
			b.WriteByte('%')
			rest = rest[2:]
		case strings.HasPrefix(rest, "%("):
			end := strings.Index(rest, ")s")
			if end < 3 || strings.IndexByte(rest[:end], ')') >= 0 {
				return &Error{o.pos, fmt.Sprintf("bad substitution %q: want %%(name)s", clip(rest))}
			}
			v, ok := c.reference(sec, rest[2:end], vars)
			if !ok {
				return &Error{o.pos, fmt.Sprintf("%%(%s)s: there is no such option in [%s] or [DEFAULT]", rest[2:end], sec)}
			}
			rest = rest[end+2:]
			if err := c.interpolate(b, sec, o, vars, v, depth+1); err != nil {
				return err
			}
		default:
			return &Error{o.pos, fmt.Sprintf("%q: %% must be doubled, or followed by (name)s", clip(rest))}
		}
		if b.Len() > maxValue {
			return &Error{o.pos, fmt.Sprintf("substitution makes more than %d bytes of it", maxValue)}
		}
	}
	return nil
}

// reference returns the raw value that %(name)s stands for: name, or
// section/name with known/ for what this section had before.
func (c *config) reference(sec, name string, vars map[string]string) (string, bool) {
	if o, ok := c.lookup(sec, name, vars); ok {
		return o.value, true
	}
	of, opt, ok := strings.Cut(name, "/")
	if !ok {
		return "", false
	}
	opt = strings.ToLower(opt)
	switch strings.ToLower(of) {
	case "default":
	case "known":
		if o, ok := c.known[sec][opt]; ok {
			return o.value, true
		}
	default:
		s, ok := c.sections[of]
		if !ok {
			return "", false
		}
		if o, ok := s[opt]; ok {
			return o.value, true
		}
	}
	o, ok := c.defaults[opt]
	return o.value, ok
}

// extended is get for names such as section/option, as <section/option> may
// ask for.
func (c *config) extended(sec, name string, vars map[string]string) (string, bool) {
	if of, opt, ok := strings.Cut(name, "/"); ok {
		tries := []string{of}
		switch strings.ToLower(of) {
		case "known":
			if o, ok := c.known[sec][strings.ToLower(opt)]; ok {
				var b strings.Builder
				if c.interpolate(&b, sec, o, nil, o.value, 1) == nil {
					return b.String(), true
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
func substituteTags(values map[string]string, names []string, more func(string) (string, bool)) error {
	for _, name := range names {
		counts := map[string]int{}
		v := values[name]
		from := 0
		for {
			start, end, ok := nextTag(v, from)
			if !ok {
				break
			}
			tag := v[start+1 : end-1]
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
				return fmt.Errorf("<%s> in %s refers to itself", tag, name)
			}
			v = strings.ReplaceAll(v, v[start:end], repl)
			if len(v) > maxValue {
				return fmt.Errorf("substitution of tags makes more than %d bytes of %s", maxValue, name)
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
