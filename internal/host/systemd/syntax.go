package systemd

import "strings"

// A Text is a file with what stands in it.
type Text struct {
	Path string
	Text string
}

// A Setting is one assignment.
type Setting struct {
	Section string
	Key     string
	Value   string
	File    string
	Line    int
}

// maxLine bounds a logical line, as LONG_LINE_MAX does in systemd.
const maxLine = 1 << 20

// Parse reads the assignments of a file: lines that begin with # or ; are
// comments, also between lines that a backslash joins; section names stand in
// brackets. What is no assignment is passed over, as systemd does.
func Parse(t Text) []Setting {
	var out []Setting
	var joined strings.Builder
	section, start, number := "", 0, 0
	flush := func() {
		line := strings.TrimSpace(joined.String())
		joined.Reset()
		switch {
		case line == "":
		case line[0] == '[' && line[len(line)-1] == ']':
			section = line[1 : len(line)-1]
		default:
			if key, value, ok := strings.Cut(line, "="); ok {
				out = append(out, Setting{section, strings.TrimSpace(key), strings.TrimSpace(value), t.Path, start})
			}
		}
	}
	for line := range strings.Lines(t.Text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		if trimmed := strings.TrimLeft(line, " \t\r"); trimmed != "" && (trimmed[0] == '#' || trimmed[0] == ';') {
			continue
		}
		if joined.Len() == 0 {
			start = number
		}
		if rest, ok := strings.CutSuffix(line, `\`); ok && joined.Len()+len(rest) < maxLine {
			joined.WriteString(rest)
			joined.WriteByte(' ')
			continue
		}
		joined.WriteString(line)
		flush()
	}
	flush()
	return out
}

// Last gives the value that holds of a setting of which the last one counts; an
// empty assignment takes it back.
func Last(list []Setting, section, key string) (s Setting, ok bool) {
	for _, e := range list {
		if e.Section == section && e.Key == key {
			s, ok = e, e.Value != ""
		}
	}
	return s, ok
}

// All gives the values of a setting that adds up; an empty assignment takes all
// before it back.
func All(list []Setting, section, key string) []string {
	var out []string
	for _, e := range list {
		switch {
		case e.Section != section || e.Key != key:
		case e.Value == "":
			out = nil
		default:
			out = append(out, e.Value)
		}
	}
	return out
}

// Bool reads a boolean as systemd does; ok is false for another word.
func Bool(value string) (v, ok bool) {
	switch strings.ToLower(value) {
	case "1", "yes", "y", "true", "t", "on":
		return true, true
	case "0", "no", "n", "false", "f", "off":
		return false, true
	}
	return false, false
}

// Words splits a value into words: blanks separate, quotes hold together, a
// backslash takes the next character as it is (extract_first_word without
// unescaping of numbers).
func Words(value string) []string {
	var out []string
	var word strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '\\' && i+1 < len(value):
			i++
			word.WriteByte(value[i])
			in = true
		case quote != 0:
			if c == quote {
				quote = 0
			} else {
				word.WriteByte(c)
			}
		case c == '"' || c == '\'':
			quote, in = c, true
		case c == ' ' || c == '\t':
			if in {
				out = append(out, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if in {
		out = append(out, word.String())
	}
	return out
}
