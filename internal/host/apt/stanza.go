package apt

import (
	"bytes"
	"strings"
)

// A Stanza is a block of "Name: value" lines, deb822(5), by name as written, with
// the lines that continue a value.
type Stanza map[string]string

// maxValue bounds a value of several lines.
const maxValue = 64 << 10

// ParseStanzas reads a file of stanzas that are separated by empty lines. Lines
// that begin with # are comments. Line gives for each stanza where it begins.
func ParseStanzas(text string) (out []Stanza, line []int) {
	var s Stanza
	last, number := "", 0
	for l := range strings.Lines(text) {
		number++
		l = strings.TrimRight(l, "\r\n")
		switch {
		case strings.TrimSpace(l) == "":
			s = nil
			continue
		case l[0] == '#':
			continue
		case l[0] == ' ' || l[0] == '\t':
			if s != nil && last != "" && len(s[last]) < maxValue {
				s[last] += "\n" + strings.TrimSpace(l)
			}
			continue
		}
		name, value, ok := strings.Cut(l, ":")
		if !ok {
			continue
		}
		if s == nil {
			s = Stanza{}
			out, line = append(out, s), append(line, number)
		}
		last = name
		s[name] = strings.TrimSpace(value)
	}
	return out, line
}

// Field finds a field in the bytes of one stanza: the value's first line, nil
// where it is not there. Names are compared as written, which is how archives
// write them.
func Field(stanza []byte, name string) []byte {
	for rest := stanza; len(rest) > 0; {
		i := bytes.Index(rest, []byte(name))
		if i < 0 {
			return nil
		}
		end := i + len(name)
		if (i == 0 && len(rest) == len(stanza) || i > 0 && rest[i-1] == '\n') && end < len(rest) && rest[end] == ':' {
			value := rest[end+1:]
			if j := bytes.IndexByte(value, '\n'); j >= 0 {
				value = value[:j]
			}
			return bytes.TrimSpace(value)
		}
		rest = rest[i+1:]
	}
	return nil
}
