package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"sekimori/packet"
)

// Lists returns every list of the policy as ranges: ascending, IPv4 before
// IPv6, joined where they touch. A list has what the lists that it names have.
//
// read returns the content of a file that an entry names; it is called once
// for each. Such a file has one address, prefix or range a line; blank lines,
// and what follows a #, do not count. The error is an *Error with all faults of
// all files.
func (f *File) Lists(read func(path string) ([]byte, error)) (map[string][]packet.AddrRange, error) {
	l := lister{file: f, read: read, files: map[string][]packet.AddrRange{}, done: map[string][]packet.AddrRange{}}
	for _, name := range sortedKeys(f.Policy.Lists) {
		l.list(name)
	}
	if len(l.problems) > 0 {
		return nil, &Error{l.problems}
	}
	return l.done, nil
}

type lister struct {
	file     *File
	read     func(path string) ([]byte, error)
	files    map[string][]packet.AddrRange
	done     map[string][]packet.AddrRange
	problems []Problem
}

// list resolves one list; that none contains itself has been checked.
func (l *lister) list(name string) []packet.AddrRange {
	if rs, ok := l.done[name]; ok {
		return rs
	}
	var rs []packet.AddrRange
	for i, e := range l.file.Policy.Lists[name] {
		switch {
		case e.File != "":
			rs = append(rs, l.fromFile(e.File, fmt.Sprintf("lists.%s[%d]", name, i))...)
		case looksLikeAddress(string(e.Text)):
			r, _ := parseAddresses(string(e.Text))
			rs = append(rs, r)
		default:
			rs = append(rs, l.list(string(e.Text))...)
		}
	}
	rs = join(rs)
	l.done[name] = rs
	return rs
}

func (l *lister) fromFile(path, at string) []packet.AddrRange {
	if rs, ok := l.files[path]; ok {
		return rs
	}
	text, err := l.read(path)
	if err != nil {
		s := l.file.span[at]
		l.problems = append(l.problems, l.file.src.problem(s.line, s.column, s.width, fmt.Sprintf("the list cannot be read: %v", err)))
	}
	rs, ps := parseList(path, string(text))
	l.problems = append(l.problems, ps...)
	l.files[path] = rs
	return rs
}

// parseList reads a file of addresses.
func parseList(path, text string) ([]packet.AddrRange, []Problem) {
	var rs []packet.AddrRange
	var ps []Problem
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		entry, _, _ := strings.Cut(line, "#")
		word := strings.TrimSpace(entry)
		if word == "" {
			continue
		}
		r, f := parseAddresses(word)
		if f == nil {
			rs = append(rs, r)
			continue
		}
		at := strings.Index(line, word)
		p := Problem{
			File: path, Line: n, Column: 1 + utf8.RuneCountInString(line[:at]), Message: f.message, source: line,
			Expected: "an address, a prefix or a range", width: utf8.RuneCountInString(word),
		}
		if f.near != "" {
			p.Hint = fmt.Sprintf("did you mean %s?", f.near)
		}
		ps = append(ps, p)
	}
	return rs, ps
}

// join sorts ranges and joins those that meet or touch.
func join(rs []packet.AddrRange) []packet.AddrRange {
	rs = slices.Clone(rs)
	slices.SortFunc(rs, func(a, b packet.AddrRange) int { return a.Lo.Compare(b.Lo) })
	var out []packet.AddrRange
	for _, r := range rs {
		if n := len(out); n > 0 {
			last := &out[n-1]
			next := last.Hi.Next() // not valid after the last address of a family
			if last.Hi.Is4() == r.Lo.Is4() && (!next.IsValid() || !next.Less(r.Lo)) {
				if last.Hi.Less(r.Hi) {
					last.Hi = r.Hi
				}
				continue
			}
		}
		out = append(out, r)
	}
	return out
}
