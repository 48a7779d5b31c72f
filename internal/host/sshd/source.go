package sshd

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sekimori/internal/host/files"
)

// Source hands out the files that are read, and Files is one in memory.
type (
	Source = files.Source
	Files  = files.Map
)

// maxMatches bounds what one Include line may bring in.
const maxMatches = 10_000

var errTooMany = errors.New("too many files match")

// glob is glob(3) without flags: *, ? and bracket expressions, a backslash that
// quotes, no wildcard for a leading dot, results in the order of their bytes.
// A directory that cannot be listed is an error here, and an empty one for
// glob(3): the difference is the reader's to report.
func glob(src Source, pattern string) ([]string, error) {
	found := []string{"/"}
	parts := strings.Split(strings.TrimPrefix(pattern, "/"), "/")
	for i, part := range parts {
		if part == "" {
			continue
		}
		var next []string
		for _, dir := range found {
			names, err := globIn(src, dir, part, i == len(parts)-1)
			if err != nil {
				return nil, err
			}
			for _, n := range names {
				next = append(next, path.Join(dir, n))
			}
			if len(next) > maxMatches {
				return nil, errTooMany
			}
		}
		found = next
	}
	slices.Sort(found)
	return found, nil
}

func globIn(src Source, dir, part string, last bool) ([]string, error) {
	if !strings.ContainsAny(part, `*?[\`) && !last {
		return []string{part}, nil // whether it exists shows below it
	}
	names, err := src.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return slices.DeleteFunc(names, func(n string) bool { return !fnmatch(part, n) }), nil
}

// fnmatch is fnmatch(3) with FNM_PERIOD, for one component of a path. It takes
// time in proportion to the product of both lengths at most.
func fnmatch(pattern, name string) bool {
	if strings.HasPrefix(name, ".") && !strings.HasPrefix(strings.TrimPrefix(pattern, `\`), ".") {
		return false
	}
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		if p < len(pattern) && pattern[p] == '*' {
			star, mark = p, n
			p++
			continue
		}
		if width, ok := fnmatchOne(pattern[p:], name[n]); ok {
			p += width
			n++
			continue
		}
		if star < 0 {
			return false
		}
		mark++
		p, n = star+1, mark
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// fnmatchOne matches one byte against the head of a pattern, and says how long
// that head is.
func fnmatchOne(pattern string, c byte) (width int, ok bool) {
	if pattern == "" {
		return 0, false
	}
	switch pattern[0] {
	case '?':
		return 1, true
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
		return 1, c == '\\'
	case '[':
		if width, ok, closed := bracket(pattern, c); closed {
			return width, ok
		}
	}
	return 1, pattern[0] == c
}

// bracket matches a bracket expression; closed is false where there is no
// closing bracket, so that the opening one is an ordinary character.
func bracket(pattern string, c byte) (width int, ok, closed bool) {
	i := 1
	negate := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if negate {
		i++
	}
	for first := true; i < len(pattern); first = false {
		if pattern[i] == ']' && !first {
			return i + 1, ok != negate, true
		}
		lo := pattern[i]
		if lo == '\\' && i+1 < len(pattern) {
			i++
			lo = pattern[i]
		}
		i++
		hi := lo
		if i+1 < len(pattern) && pattern[i] == '-' && pattern[i+1] != ']' {
			hi = pattern[i+1]
			i += 2
		}
		ok = ok || lo <= c && c <= hi
	}
	return 0, false, false
}
