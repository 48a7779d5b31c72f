package source

import (
	"bytes"
	"encoding/json"
	"errors"
)

// strayEntries finds entries of a journal in a log of lines. What is a log of a
// journal is known by how it begins: behind lines of text, entries would be taken
// for text that says nothing, or for failures that the journal does not vouch for.
type strayEntries struct {
	r      *Reader
	inside bool // of an entry of an export
}

var errStray = errors.New("an entry of a journal among lines of text: give it as a log of its own")

// of reports whether a line is of an entry, and counts entries.
func (s *strayEntries) of(l []byte) bool {
	if len(l) == 0 {
		s.inside = false
		return false
	}
	switch c := l[0]; {
	case c == '{' && jsonEntry(l):
		s.r.bad(s.r.num, errStray)
		return true
	case c != '_' && !s.inside:
		return false
	case exportBegins(l):
		if !s.inside {
			s.r.bad(s.r.num, errStray)
		}
		s.inside = true
		return true
	}
	return s.inside && exportField(l)
}

// exportBegins reports whether b begins with what an exported entry begins with.
func exportBegins(b []byte) bool {
	return bytes.HasPrefix(b, []byte("__CURSOR=")) || bytes.HasPrefix(b, []byte("__REALTIME_TIMESTAMP="))
}

// exportField reports whether a line is NAME=value.
func exportField(l []byte) bool {
	name, _, ok := bytes.Cut(l, []byte("="))
	for _, c := range name {
		ok = ok && (c == '_' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9')
	}
	return ok && len(name) > 0
}

// jsonEntry reports whether a line is an entry, and not one of a program that
// logs in JSON and was sent such words.
func jsonEntry(l []byte) bool {
	if !bytes.Contains(l, []byte(`"__REALTIME_TIMESTAMP"`)) && !bytes.Contains(l, []byte(`"__CURSOR"`)) {
		return false
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(l, &fields) != nil {
		return false
	}
	return fields["__REALTIME_TIMESTAMP"] != nil || fields["__CURSOR"] != nil
}
