package apt

import "strings"

// Conf is apt.conf(5): values by the full name in lower case. A list's members
// stand under the name followed by "::", in order.
type Conf map[string][]string

// confReader reads tokens of the language.
type confReader struct {
	text string
	at   int
}

// maxDepth bounds nested blocks.
const maxDepth = 64

// Add reads one file on top of what was read before: `Name "value";`, blocks in
// braces, list members, #clear. It passes over what it does not understand.
func (c Conf) Add(text string) {
	r := &confReader{text: text}
	r.block(c, "", 0)
}

// Value gives the last value of a name, "" for none.
func (c Conf) Value(name string) string {
	v := c[strings.ToLower(name)]
	if len(v) == 0 {
		return ""
	}
	return v[len(v)-1]
}

// List gives the members of a list.
func (c Conf) List(name string) []string { return c[strings.ToLower(name)+"::"] }

func (r *confReader) block(c Conf, prefix string, depth int) {
	for {
		word, kind := r.next()
		switch {
		case kind == 0 || kind == '}':
			return
		case kind == ';':
			continue
		case kind == '"' && prefix != "": // a member of a list without a name
			c.add(strings.TrimSuffix(prefix, "::")+"::", word)
			continue
		case kind != 'w':
			continue
		case strings.EqualFold(word, "#clear"):
			r.clear(c)
			continue
		}
		r.value(c, prefix+strings.ToLower(word), depth)
	}
}

// value reads what follows a name: a value, a block, or both.
func (r *confReader) value(c Conf, name string, depth int) {
	for {
		word, kind := r.next()
		switch kind {
		case '"', 'w':
			c.add(name, word)
		case '{':
			if depth == maxDepth {
				r.at = len(r.text)
				return
			}
			r.block(c, strings.TrimSuffix(name, "::")+"::", depth+1)
		case ';', 0:
			return
		case '}':
			r.at-- // the semicolon is missing
			return
		}
	}
}

// maxValues bounds what one name may hold.
const maxValues = 10_000

func (c Conf) add(name, value string) {
	if strings.HasSuffix(name, "::") {
		if len(c[name]) < maxValues {
			c[name] = append(c[name], value)
		}
		return
	}
	c[name] = []string{value}
}

// clear forgets a name and all beneath it.
func (r *confReader) clear(c Conf) {
	for {
		word, kind := r.next()
		if kind != 'w' && kind != '"' {
			return
		}
		name := strings.ToLower(word)
		for k := range c {
			if k == name || strings.HasPrefix(k, strings.TrimSuffix(name, "::")+"::") {
				delete(c, k)
			}
		}
	}
}

// next gives a word ('w'), a quoted text ('"') or one of {};, 0 at the end.
func (r *confReader) next() (string, byte) {
	r.skip()
	if r.at >= len(r.text) {
		return "", 0
	}
	switch c := r.text[r.at]; c {
	case '{', '}', ';':
		r.at++
		return "", c
	case '"':
		start := r.at + 1
		end := strings.IndexByte(r.text[start:], '"')
		if end < 0 {
			r.at = len(r.text)
			return r.text[start:], '"'
		}
		r.at = start + end + 1
		return r.text[start : start+end], '"'
	}
	start := r.at
	for r.at < len(r.text) && !strings.ContainsRune(" \t\r\n{};\"", rune(r.text[r.at])) {
		r.at++
	}
	return r.text[start:r.at], 'w'
}

// skip passes over blanks and comments: //, /* */, and # unless a directive follows.
func (r *confReader) skip() {
	for r.at < len(r.text) {
		rest := r.text[r.at:]
		switch {
		case strings.ContainsRune(" \t\r\n", rune(rest[0])):
			r.at++
		case strings.HasPrefix(rest, "//"), rest[0] == '#' && !strings.HasPrefix(rest, "#clear") && !strings.HasPrefix(rest, "#include"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest) - 1
			}
			r.at += end + 1
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest, "*/")
			if end < 0 {
				end = len(rest) - 2
			}
			r.at += end + 2
		default:
			return
		}
	}
}
