package sshd

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// A Pos is a line of a file.
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// String gives FILE:LINE.
func (p Pos) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// A Kind says what a [Problem] means.
type Kind string

// What may be wrong with a configuration.
const (
	// Refused: sshd of this version does not start with it, or drops the
	// connection when it comes to that line. What runs now was read earlier.
	Refused Kind = "refused"
	// Unread: a part could not be looked at, or is larger than the bounds of
	// this package, so that no value is certain.
	Unread Kind = "unread"
	// Remark: sshd accepts it, and it does not do what it seems to do.
	Remark Kind = "remark"
)

// A Problem is something wrong with one line.
type Problem struct {
	Pos
	Kind Kind   `json:"kind"`
	Text string `json:"text"`
}

// String gives FILE:LINE: TEXT.
func (p Problem) String() string { return p.Pos.String() + ": " + p.Text }

// The bounds within which a configuration is read. A file of ordinary size has
// some kilobytes.
const (
	maxFile  = 4 << 20   // bytes of one file
	maxText  = 16 << 20  // bytes of all files
	maxLines = 1_000_000 // lines processed, included ones as often as they are
	maxDepth = 16        // of Include: SERVCONF_MAX_DEPTH
)

// A file is one that was read, cut into lines.
type file struct {
	name  string
	lines []*line
}

// A line is one directive.
type line struct {
	pos      Pos
	kw       *keyword
	word     string // the keyword as written
	vals     []string
	cond     condition
	includes []include
}

// An include is one argument of an Include line.
type include struct {
	selector string
	files    []*file
	loaded   bool
}

// A reader reads the files of one configuration.
type reader struct {
	src      Source
	table    table
	v        Version
	host     *names
	files    map[string]*file
	order    []string
	size     int
	problems []Problem
	seen     map[Problem]bool
}

func (r *reader) problem(pos Pos, kind Kind, format string, args ...any) {
	p := Problem{Pos: pos, Kind: kind, Text: fmt.Sprintf(format, args...)}
	if !r.seen[p] {
		r.seen[p] = true
		r.problems = append(r.problems, p)
	}
}

// open reads a file once. The result is nil where it could not be read, which
// is then a problem at pos.
func (r *reader) open(name string, pos Pos) *file {
	if f, ok := r.files[name]; ok {
		return f
	}
	r.files[name] = nil
	text, err := r.src.ReadFile(name)
	if err != nil {
		if _, dirErr := r.src.ReadDir(name); dirErr == nil {
			r.problem(pos, Remark, "%s is a directory; sshd reads nothing from it", name)
		} else if errors.Is(err, fs.ErrNotExist) {
			r.problem(pos, Refused, "%s cannot be opened: %v", name, err)
		} else {
			r.problem(pos, Unread, "%s: %v", name, err)
		}
		return nil
	}
	r.size += len(text)
	if len(text) > maxFile || r.size > maxText {
		r.problem(pos, Unread, "%s: larger than can be read here (%d bytes; at most %d of one file, %d in all)", name, len(text), maxFile, maxText)
		return nil
	}
	r.order = append(r.order, name)
	f := &file{name: name}
	r.files[name] = f
	for i, text := range logicalLines(string(text)) {
		if l := r.line(text, Pos{name, i + 1}); l != nil {
			f.lines = append(f.lines, l)
		}
	}
	return f
}

// line parses a line; nil is one without effect.
func (r *reader) line(text string, pos Pos) *line {
	if text == "" {
		return nil
	}
	text = text[:1] + strings.TrimRight(text[1:], blank+"\f")
	c := &cursor{rest: text}
	word, ok := c.next()
	if ok && word == "" {
		word, ok = c.next()
	}
	if !ok && strings.Contains(text, `"`) {
		r.problem(pos, Remark, "a quote is never closed; sshd ignores the whole line")
	}
	if !ok || word == "" || word[0] == '#' {
		return nil
	}
	if c.done || c.rest == "" {
		r.problem(pos, Refused, "no argument after keyword %q", word)
		return nil
	}
	kw := r.table[asciiLower(word)]
	if kw == nil {
		r.problem(pos, Refused, "bad configuration option %q", word)
		return nil
	}
	args, ok := splitArgs(c.rest)
	if !ok {
		r.problem(pos, Refused, "%s: invalid quotes", word)
		return nil
	}
	l := &line{pos: pos, kw: kw, word: word}
	in := &input{args: args, raw: c.rest, host: r.host, v: r.v}
	in.note = func(text string) { r.problem(pos, Remark, "%s: %s", word, text) }
	r.arguments(l, in)
	return l
}

func (r *reader) arguments(l *line, in *input) {
	var err error
	switch l.kw.name {
	case "match":
		l.cond, err = parseMatch(in)
	case "include":
		err = r.selectors(l, in)
	default:
		l.vals, err = l.kw.parse(in)
	}
	if err == nil && len(in.args) > 0 {
		err = errors.New("extra arguments at end of line")
	}
	if err != nil {
		r.problem(l.pos, Refused, "%s: %v", l.word, err)
	}
	if l.kw.retired {
		r.problem(l.pos, Remark, "%s: sshd ignores this keyword", l.word)
	}
	if in.v.release() < 807 && strings.ContainsAny(in.raw, `'\#`) {
		r.problem(l.pos, Unread, "%s: quotes, backslashes and comments within lines are not modelled for OpenSSH %s", l.word, in.v)
	}
}

func (r *reader) selectors(l *line, in *input) error {
	for _, arg := range in.rest() {
		if arg == "" {
			return errors.New("empty argument")
		}
		if arg[0] != '/' && arg[0] != '~' {
			arg = "/etc/ssh/" + arg
		}
		l.includes = append(l.includes, include{selector: arg})
	}
	if l.includes == nil {
		return errors.New("missing filename argument")
	}
	return nil
}

// load finds the files of one Include argument. As sshd does, it looks when the
// line is first processed, and remembers.
func (r *reader) load(inc *include, pos Pos) {
	if inc.loaded {
		return
	}
	inc.loaded = true
	if inc.selector[0] == '~' {
		r.problem(pos, Remark, "Include %s: sshd does not expand the tilde; nothing is included", inc.selector)
		return
	}
	names, err := glob(r.src, inc.selector)
	switch {
	case err != nil:
		r.problem(pos, Unread, "Include %s: %v", inc.selector, err)
	case len(names) == 0 && !strings.ContainsAny(inc.selector, "*?["):
		r.problem(pos, Remark, "Include %s: no such file; sshd goes on without it", inc.selector)
	}
	for _, n := range names {
		if f := r.open(n, pos); f != nil {
			inc.files = append(inc.files, f)
		}
	}
}

// A Config is a configuration that was read.
type Config struct {
	Version  Version
	Files    []string  // those read, in the order of their first use
	Problems []Problem // sorted by file and line

	root   *file
	global *pass
}

// Read reads a configuration, by default /etc/ssh/sshd_config, as sshd of that
// version does. It never fails: whatever is wrong is in Problems.
func Read(src Source, name string, v Version) *Config {
	if name == "" {
		name = "/etc/ssh/sshd_config"
	}
	v = v.orDefault()
	r := &reader{
		src: src, table: newTable(v), v: v, host: &names{src: src},
		files: map[string]*file{}, seen: map[Problem]bool{},
	}
	c := &Config{Version: v}
	c.root = r.open(name, Pos{name, 0})
	c.global = newPass(v, nil)
	c.global.reader = r
	c.global.active = true
	c.global.file(c.root, place{depth: 0})
	c.global.finish()
	c.Files = r.order
	c.Problems = r.problems
	slices.SortStableFunc(c.Problems, func(a, b Problem) int {
		if n := strings.Compare(a.File, b.File); n != 0 {
			return n
		}
		return a.Line - b.Line
	})
	return c
}

// Refused reports whether sshd would not start with this configuration.
func (c *Config) Refused() bool { return c.has(Refused) }

// Complete reports whether all of it could be read. If not, no effective value
// is certain.
func (c *Config) Complete() bool { return !c.has(Unread) }

func (c *Config) has(k Kind) bool {
	return slices.ContainsFunc(c.Problems, func(p Problem) bool { return p.Kind == k })
}
