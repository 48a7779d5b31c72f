package audit

import (
	"slices"
	"strings"
)

// Suggest joins the policy lines of findings into the text of a policy file, each
// section once, worst finding first. It is "" where no finding has one.
func Suggest(findings []Finding) string {
	// A line is "section: {key: value, …}", "section: [item, …]" or "section: word",
	// as the checks of this package write it.
	type section struct {
		name  string
		open  string // "{", "[" or ""
		parts []string
	}
	var sections []*section
	find := func(name string) *section {
		for _, s := range sections {
			if s.name == name {
				return s
			}
		}
		s := &section{name: name}
		sections = append(sections, s)
		return s
	}
	for _, f := range findings {
		for _, line := range f.Policy {
			name, value, ok := strings.Cut(line, ": ")
			if !ok {
				continue
			}
			s := find(name)
			if value == "" || value[0] != '{' && value[0] != '[' {
				if s.parts == nil {
					s.parts = []string{value}
				}
				continue
			}
			s.open = value[:1]
			for _, part := range split(value[1 : len(value)-1]) {
				same := func(have string) bool { return partKey(have) == partKey(part) }
				if !slices.ContainsFunc(s.parts, same) {
					s.parts = append(s.parts, part)
				}
			}
		}
	}
	if len(sections) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("version: 1\n")
	for _, s := range sections {
		switch s.open {
		case "[":
			b.WriteString(s.name + ":\n")
			for _, p := range s.parts {
				b.WriteString("  - " + p + "\n")
			}
		case "{":
			b.WriteString(s.name + ": {" + strings.Join(s.parts, ", ") + "}\n")
		default:
			b.WriteString(s.name + ": " + s.parts[0] + "\n")
		}
	}
	return b.String()
}

// partKey is what two parts of a section may not both have: the key of a mapping,
// or what an inbound rule allows.
func partKey(part string) string {
	if rest, ok := strings.CutPrefix(part, "{allow: "); ok {
		end := strings.IndexAny(rest, ",}")
		return rest[:max(end, 0)]
	}
	key, _, _ := strings.Cut(part, ":")
	return key
}

// split cuts at the commas that stand in no bracket.
func split(text string) []string {
	var parts []string
	depth, begin := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, strings.TrimSpace(text[begin:i]))
				begin = i + 1
			}
		}
	}
	return append(parts, strings.TrimSpace(text[begin:]))
}
