package filter

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"
)

// A Position is a place in a configuration file.
type Position struct {
	File string // relative to the directory that was read
	Line int    // from 1; 0 for the file as a whole
}

// String returns "file:line".
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// An Error says what is wrong with a filter or jail, and where.
type Error struct {
	Pos Position
	Msg string
}

// Error returns "file:line: what is wrong".
func (e *Error) Error() string { return e.Pos.String() + ": " + e.Msg }

// An Errors holds everything that is wrong, in the order in which it was found.
type Errors []*Error

// Error returns one line for each.
func (e Errors) Error() string {
	var b strings.Builder
	for i, err := range e {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(err.Error())
	}
	return b.String()
}

// An option is a value as it stands in a file.
type option struct {
	value string
	pos   Position
	// lines are the numbers of the lines of the file that the lines of value are;
	// none if the value is not of a file.
	lines []int
}

// text returns the value with the places of its lines.
func (o option) text() text {
	if len(o.lines) == 0 {
		return plain(o.value, o.pos)
	}
	var w written
	n := 0
	for l := range strings.SplitAfterSeq(o.value, "\n") {
		if l != "" {
			w.mark(Position{o.pos.File, o.lines[min(n, len(o.lines)-1)]})
			w.b.WriteString(l)
		}
		n++
	}
	return w.text()
}

type section map[string]option

// An iniFile is one file, read as Python's configparser reads it with ';' as
// the prefix of comments at the end of a line.
type iniFile struct {
	sections map[string]section
	order    []string
	defaults section
}

// maxFile bounds how much of a configuration file is read.
const maxFile = 4 << 20

// An iniReader holds the state between the lines of a file.
type iniReader struct {
	out     *iniFile
	name    string
	section section
	secName string
	option  string
	lines   []string // of the value being read
	nums    []int    // of these lines
	pos     Position
	indent  int
	errs    Errors
}

func parseINI(name string, data []byte) (*iniFile, Errors) {
	r := &iniReader{out: &iniFile{sections: map[string]section{}, defaults: section{}}, name: name}
	if len(data) > maxFile {
		return r.out, Errors{{Position{name, 0}, fmt.Sprintf("larger than %d bytes", maxFile)}}
	}
	text := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	for i, line := range strings.Split(text, "\n") {
		r.line(line, i+1)
	}
	r.flush()
	return r.out, r.errs
}

func (r *iniReader) fail(line int, format string, args ...any) {
	r.errs = append(r.errs, &Error{Position{r.name, line}, fmt.Sprintf(format, args...)})
}

// flush stores the value that has been collected.
func (r *iniReader) flush() {
	if r.option != "" {
		v := strings.TrimRightFunc(strings.Join(r.lines, "\n"), unicode.IsSpace)
		r.section[r.option] = option{v, r.pos, r.nums}
	}
	r.option, r.lines, r.nums = "", nil, nil
}

func (r *iniReader) line(line string, num int) {
	value, comment := stripComment(line)
	if value == "" {
		if !comment && r.option != "" {
			r.lines, r.nums = append(r.lines, ""), append(r.nums, num)
		}
		return
	}
	indent := len(line) - len(strings.TrimLeftFunc(line, unicode.IsSpace))
	if r.option != "" && indent > r.indent {
		r.lines, r.nums = append(r.lines, value), append(r.nums, num)
		return
	}
	r.indent = indent
	r.flush()
	if end := strings.LastIndexByte(value, ']'); value[0] == '[' && end > 1 {
		r.open(value[1:end], num)
		return
	}
	if r.section == nil {
		r.fail(num, "%q stands before any [section]", clip(value))
		return
	}
	at := strings.IndexAny(value, "=:")
	if at < 0 {
		r.fail(num, "%q is neither [section] nor name = value", clip(value))
		return
	}
	name := strings.ToLower(strings.TrimSpace(value[:at]))
	switch _, dup := r.section[name]; {
	case name == "":
		r.fail(num, "a value without a name")
	case dup:
		r.fail(num, "%s is given twice in [%s]", name, r.secName)
	default:
		r.option, r.lines, r.nums, r.pos = name, []string{strings.TrimSpace(value[at+1:])}, []int{num}, Position{r.name, num}
	}
}

func (r *iniReader) open(name string, num int) {
	r.secName = name
	if name == "DEFAULT" {
		r.section = r.out.defaults
		return
	}
	if _, dup := r.out.sections[name]; dup {
		r.fail(num, "section [%s] is given twice", name)
	}
	r.section = section{}
	r.out.sections[name] = r.section
	r.out.order = append(r.out.order, name)
}

// stripComment removes what is a comment, and surrounding space.
func stripComment(line string) (value string, comment bool) {
	trimmed := strings.TrimSpace(line)
	if strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";") {
		return "", true
	}
	for i := 0; i < len(line); i++ {
		if line[i] == ';' && (i == 0 || unicode.IsSpace(rune(line[i-1]))) {
			return strings.TrimSpace(line[:i]), true
		}
	}
	return trimmed, false
}

// clip shortens a piece of somebody's file for an error message.
func clip(s string) string {
	if len(s) > 60 {
		return s[:57] + "..."
	}
	return s
}

// A config is several files on top of each other.
type config struct {
	sections map[string]section
	known    map[string]section // what was replaced, by section
	defaults section
	order    []string
	files    []string // in the order in which they count
}

// readConfig reads NAME.conf, NAME.d/*.conf, NAME.local and NAME.d/*.local with
// everything that they include.
func readConfig(fsys fs.FS, name string) (*config, error) {
	var roots []string
	conf, _ := fs.Glob(fsys, name+".d/*.conf")
	local, _ := fs.Glob(fsys, name+".d/*.local")
	roots = append(roots, name+".conf")
	roots = append(roots, conf...)
	roots = append(roots, name+".local")
	roots = append(roots, local...)
	roots = slices.DeleteFunc(roots, func(f string) bool { return !exists(fsys, f) })
	if len(roots) == 0 {
		return nil, Errors{{Position{name + ".conf", 0}, "no such file"}}
	}
	inc := &includer{fsys: fsys, parsed: map[string]*iniFile{}}
	files := inc.expand(roots, nil)
	c := &config{sections: map[string]section{}, known: map[string]section{}, defaults: section{}, files: files}
	for _, f := range files {
		if p := inc.parsed[f]; p != nil {
			c.merge(p)
		}
	}
	if len(inc.errs) > 0 {
		return c, inc.errs
	}
	return c, nil
}

func exists(fsys fs.FS, name string) bool {
	st, err := fs.Stat(fsys, name)
	return err == nil && !st.IsDir()
}

// An includer lists files with what they include, each one read once.
type includer struct {
	fsys   fs.FS
	parsed map[string]*iniFile
	errs   Errors
}

// maxIncludes bounds how many files one configuration may consist of.
const maxIncludes = 500

func (i *includer) expand(names, seen []string) []string {
	var withLocal []string
	for _, n := range names {
		withLocal = append(withLocal, n)
		local := strings.TrimSuffix(n, path.Ext(n)) + ".local"
		if !slices.Contains(names, local) && exists(i.fsys, local) {
			withLocal = append(withLocal, local)
		}
	}
	var out []string
	for _, n := range withLocal {
		out = append(out, i.withIncludes(n, seen)...)
		if len(out) > maxIncludes {
			i.errs = append(i.errs, &Error{Position{n, 0}, fmt.Sprintf("more than %d files are included", maxIncludes)})
			break
		}
	}
	return out
}

func (i *includer) withIncludes(name string, seen []string) []string {
	f := i.read(name)
	if f == nil {
		return nil
	}
	seen = append(seen[:len(seen):len(seen)], name)
	var before, after []string
	for opt, list := range map[string]*[]string{"before": &before, "after": &after} {
		o, ok := f.sections["INCLUDES"][opt]
		if !ok {
			continue
		}
		for inc := range strings.SplitSeq(o.value, "\n") {
			if inc = strings.TrimSpace(inc); inc == "" {
				continue
			}
			p := path.Join(path.Dir(name), inc)
			switch {
			case path.IsAbs(inc) || !fs.ValidPath(p):
				i.errs = append(i.errs, &Error{o.pos, fmt.Sprintf("%s = %s lies outside of this configuration", opt, inc)})
			case slices.Contains(seen, p):
				i.errs = append(i.errs, &Error{o.pos, fmt.Sprintf("%s = %s goes in circles: %s", opt, inc, strings.Join(append(seen, p), " -> "))})
			default:
				*list = append(*list, i.expand([]string{p}, seen)...)
			}
		}
	}
	return append(append(before, name), after...)
}

// read parses a file once; nil if it does not exist, as for *.local.
func (i *includer) read(name string) *iniFile {
	if f, ok := i.parsed[name]; ok {
		return f
	}
	if !exists(i.fsys, name) {
		i.parsed[name] = nil
		return nil
	}
	data, err := readFile(i.fsys, name)
	if err != nil {
		i.errs = append(i.errs, &Error{Position{name, 0}, err.Error()})
		i.parsed[name] = nil
		return nil
	}
	f, errs := parseINI(name, data)
	i.errs = append(i.errs, errs...)
	i.parsed[name] = f
	return f
}

// readFile reads a file. Opening a pipe would wait for whoever writes to it.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	if st, err := fs.Stat(fsys, name); err == nil && st.Mode()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeIrregular) != 0 {
		return nil, errors.New("a pipe or a socket, not a file")
	}
	return fs.ReadFile(fsys, name)
}

// merge lays f over c. What it replaces stays available as known/NAME.
func (c *config) merge(f *iniFile) {
	maps.Copy(c.defaults, f.defaults)
	for _, name := range f.order {
		s := f.sections[name]
		if base, cond, ok := strings.Cut(name, "?"); ok && base != "" && cond != "" {
			name = base
			conditional := section{}
			for k, v := range s {
				conditional[k+"?"+cond] = v
			}
			s = conditional
		}
		old, ok := c.sections[name]
		if !ok {
			c.order = append(c.order, name)
			c.sections[name] = section{}
			maps.Copy(c.sections[name], s)
			continue
		}
		if c.known[name] == nil {
			c.known[name] = section{}
		}
		for k, v := range s {
			if was, ok := old[k]; ok {
				c.known[name][k] = was
			}
			old[k] = v
		}
	}
}
