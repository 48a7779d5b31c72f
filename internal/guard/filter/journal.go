package filter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A JournalMatch says which entries of a journal are of a service: what the
// option journalmatch holds, with the meaning of journalctl's matches
// (sd_journal_add_match(3)). Several values of one field are alternatives,
// different fields must all be there, and + begins another alternative; so does
// another line.
//
// Fields whose names begin with _ are written by the journal. All others are
// written by whoever logs, who may be anybody.
type JournalMatch struct{ groups [][]journalTerm }

// A journalTerm is a field with its alternatives.
type journalTerm struct {
	field  string
	values []string
}

// ParseJournalMatch reads the lines of a journalmatch. No lines match every entry.
func ParseJournalMatch(lines []string) (*JournalMatch, error) {
	m := &JournalMatch{}
	for _, l := range lines {
		words, err := shellWords(l)
		if err != nil {
			return nil, fmt.Errorf("journalmatch %q: %w", clip(l), err)
		}
		var group []journalTerm
		for _, w := range append(words, "+") {
			if w == "+" {
				if len(group) > 0 {
					m.groups = append(m.groups, group)
				}
				group = nil
				continue
			}
			field, value, ok := strings.Cut(w, "=")
			if !ok || !isJournalField(field) {
				return nil, fmt.Errorf("journalmatch %q: want FIELD=value, have %q", clip(l), clip(w))
			}
			i := slices.IndexFunc(group, func(t journalTerm) bool { return t.field == field })
			if i < 0 {
				i, group = len(group), append(group, journalTerm{field: field})
			}
			group[i].values = append(group[i].values, value)
		}
	}
	return m, nil
}

// isJournalField reports whether a field of a journal may have that name.
func isJournalField(s string) bool {
	return s != "" && len(s) <= 64 && (s[0] < '0' || s[0] > '9') &&
		strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// Fields returns the names of the fields that matter, sorted.
func (m *JournalMatch) Fields() []string {
	var out []string
	for _, g := range m.groups {
		for _, t := range g {
			out = append(out, t.field)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Any reports whether every entry matches.
func (m *JournalMatch) Any() bool { return len(m.groups) == 0 }

// Forgeable reports whether an alternative asks for nothing that the journal
// itself has written, so that anybody who may log can meet it.
func (m *JournalMatch) Forgeable() bool {
	return m.Any() || slices.ContainsFunc(m.groups, func(g []journalTerm) bool {
		return !slices.ContainsFunc(g, func(t journalTerm) bool { return strings.HasPrefix(t.field, "_") })
	})
}

// Matches reports whether an entry matches that has the fields that has tells of.
func (m *JournalMatch) Matches(has func(field, value string) bool) bool {
	if m.Any() {
		return true
	}
	return slices.ContainsFunc(m.groups, func(g []journalTerm) bool {
		for _, t := range g {
			if !slices.ContainsFunc(t.values, func(v string) bool { return has(t.field, v) }) {
				return false
			}
		}
		return true
	})
}

// String writes m as a shell would hand it to journalctl.
func (m *JournalMatch) String() string {
	var groups []string
	for _, g := range m.groups {
		var terms []string
		for _, t := range g {
			for _, v := range t.values {
				terms = append(terms, shellWord(t.field+"="+v))
			}
		}
		groups = append(groups, strings.Join(terms, " "))
	}
	return strings.Join(groups, " + ")
}

// shellWord writes a word so that shellWords reads it again.
func shellWord(s string) string {
	if !strings.ContainsAny(s, " \t\r\n'\"\\") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shellWords splits s as a shell would, and Python's shlex.split does: words in
// quotes stay together, \ takes the next character as it is.
func shellWords(s string) ([]string, error) {
	var out []string
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == '\'' && c != '\'', quote == '"' && c != '"' && c != '\\':
			word.WriteByte(c)
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\':
			if i++; i == len(s) {
				return nil, errors.New("nothing follows the last \\")
			}
			if quote == '"' && s[i] != '"' && s[i] != '\\' {
				word.WriteByte('\\')
			}
			word.WriteByte(s[i])
			inWord = true
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			if inWord {
				out = append(out, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		out = append(out, word.String())
	}
	return out, nil
}

// Journal returns which entries of a journal the filter is about.
func (f *Filter) Journal() *JournalMatch { return f.journal }

// Entry reads an entry of a journal whose time is known. Filters whose
// journalmatch it does not meet do not see it; what they would have found, had
// they trusted it, is refused. Both results are valid until the next call.
func (r *Run) Entry(line []byte, seconds float64, has func(field, value string) bool) (hits, refused []Hit) {
	r.lines++
	_, r.long = trim(line)
	r.refused = r.refused[:0]
	if !r.candidates(line) {
		return nil, nil
	}
	for _, i := range r.touched {
		r.entry(i, line, seconds, r.masks[i], has)
		clear(r.masks[i])
	}
	for _, i := range r.set.always {
		r.entry(int32(i), line, seconds, nil, has)
	}
	return r.out, r.refused
}

func (r *Run) entry(i int32, line []byte, seconds float64, only []uint64, has func(field, value string) bool) {
	if r.set.filters[i].journal.Matches(has) {
		r.collect(i, r.sessions[i].lineAt(line, seconds, only))
		return
	}
	// In sessions of their own: what was forged must not end, or begin, one of
	// the service.
	if r.distrusted == nil {
		r.distrusted = make([]*Session, len(r.sessions))
	}
	if r.distrusted[i] == nil {
		s, err := r.set.filters[i].NewSession(r.sessions[i].set)
		if err != nil {
			return // not reached: the same settings did once
		}
		r.distrusted[i] = s
	}
	for _, m := range r.distrusted[i].lineAt(line, seconds, only) {
		r.refused = append(r.refused, Hit{int(i), m})
	}
}
