package policy

import (
	"bytes"
	"maps"
	"slices"
)

// File is a policy with the text it was read from.
type File struct {
	Policy   Policy
	Warnings []Problem // what is allowed and hardly meant

	name string
	text []byte
	src  *source
	span map[string]span
	key  map[string]span
}

// Parse reads a policy; name is for messages alone. The error is an *Error
// with everything that is wrong: what is no YAML, what is none of the language,
// and what contradicts itself. Files larger than MaxSize are refused unread.
// The text is not kept.
func Parse(name string, text []byte) (*File, error) {
	src, ps := newSource(name, text)
	if len(ps) > 0 {
		return nil, sorted(ps)
	}
	text = slices.Clone(text)
	d := &decoder{src: src, spans: map[string]span{}, keys: map[string]span{}, unknown: map[string]bool{}}
	f := &File{name: name, text: text, src: src, span: d.spans, key: d.keys}
	// The YAML parser counts a line too many where \r\n ends a comment.
	d.decode(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), &f.Policy)
	c := &checker{d: d, p: &f.Policy, file: f}
	c.policy()
	if err := sorted(d.problems); err != nil {
		return nil, err
	}
	return f, nil
}

// Text returns the text of the policy as it was read.
func (f *File) Text() []byte { return slices.Clone(f.text) }

// Position returns the line and column of a value, both from 1. The path is
// made of keys and numbers from 0: inbound[2].from[0], ssh.users.
func (f *File) Position(path string) (line, column int, ok bool) {
	s, ok := f.span[path]
	return s.line, s.column, ok
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
