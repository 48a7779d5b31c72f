package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// Format returns the policy in canonical form: entries are indented by two
// blanks under their key, at least one blank follows a colon, one a comma, at least
// two stand before a comment, at most one line is empty, lines end with a line
// feed. More blanks behind a colon or before a comment stay: they make columns.
// The order of lines, what shares a line, quotes and comments stay as they are.
// Formatting what is formatted changes nothing.
func (f *File) Format() ([]byte, error) {
	out := format(f.src.lines)
	g, err := Parse(f.name, out)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: formatting it would break it: %w", f.name, err)
	case !reflect.DeepEqual(f.Policy, g.Policy) || !slices.Equal(comments(f.src.lines), comments(g.src.lines)):
		return nil, fmt.Errorf("%s: formatting it would change what it says; please report this policy", f.name)
	}
	return out, nil
}

// A level is a depth of block style: the column where it stands, and the one
// where it shall stand.
type level struct {
	from, to int
	seq      bool
}

type formatter struct {
	out    []string
	levels []level
	depth  int      // of brackets
	base   int      // indentation of the line where the outermost bracket opened
	held   []string // comments that wait for the indentation of what follows
	column []int    // where they stood
}

func format(lines []string) []byte {
	var f formatter
	for _, line := range lines {
		f.line(strings.TrimRight(line, " \t\r"))
	}
	f.release(0, 0)
	for len(f.out) > 0 && f.out[len(f.out)-1] == "" {
		f.out = f.out[:len(f.out)-1]
	}
	return []byte(strings.Join(f.out, "\n") + "\n")
}

func (f *formatter) line(line string) {
	toks := scanLine(line, f.depth)
	switch {
	case len(toks) == 0 && len(f.held) > 0:
		f.hold("", 0)
		return
	case len(toks) == 0:
		f.blank()
		return
	case toks[0].kind == comment && f.depth == 0:
		f.hold(toks[0].text, toks[0].column-1)
		return
	}
	column, indent := toks[0].column-1, 0
	if f.depth > 0 {
		closing := 0
		for closing < len(toks) && toks[closing].kind == closeBracket {
			closing++
		}
		indent = f.base + 2*max(f.depth-closing, 0)
	} else {
		indent = f.enter(column, toks)
		f.release(column, indent)
		f.base = indent
	}
	f.out = append(f.out, strings.Repeat(" ", indent)+spaced(toks))
	for _, t := range toks {
		switch t.kind {
		case openBracket:
			f.depth++
		case closeBracket:
			f.depth = max(f.depth-1, 0)
		}
	}
}

// enter finds the level of a line in block style, and the levels that it opens
// by the dashes it starts with.
func (f *formatter) enter(column int, toks []tok) int {
	seq := toks[0].kind == dash
	for len(f.levels) > 0 {
		top := f.levels[len(f.levels)-1]
		if top.from < column || top.from == column && (seq || !top.seq) {
			break
		}
		f.levels = f.levels[:len(f.levels)-1]
	}
	if len(f.levels) == 0 {
		f.levels = append(f.levels, level{from: column, seq: seq})
	} else if top := f.levels[len(f.levels)-1]; top.from < column || seq && !top.seq {
		f.levels = append(f.levels, level{column, top.to + 2, seq})
	}
	indent := f.levels[len(f.levels)-1].to
	for i := 0; i+1 < len(toks) && toks[i].kind == dash && toks[i+1].kind != comment; i++ {
		top := f.levels[len(f.levels)-1]
		f.levels = append(f.levels, level{toks[i+1].column - 1, top.to + 2, toks[i+1].kind == dash})
	}
	return indent
}

func (f *formatter) hold(text string, column int) {
	f.held, f.column = append(f.held, text), append(f.column, column)
}

// release writes the comments held: with what follows, unless they stand
// further in: then they belong to what was before.
func (f *formatter) release(column, indent int) {
	for i, text := range f.held {
		in := indent
		if f.column[i] > column {
			in = max(f.base, indent)
		}
		if text == "" {
			f.blank()
		} else {
			f.out = append(f.out, strings.Repeat(" ", in)+text)
		}
	}
	f.held, f.column = nil, nil
}

func (f *formatter) blank() {
	if len(f.out) > 0 && f.out[len(f.out)-1] != "" {
		f.out = append(f.out, "")
	}
}

// spaced writes the parts of a line with the blanks that belong between them.
func spaced(toks []tok) string {
	var b strings.Builder
	for i, t := range toks {
		if i > 0 {
			before := toks[i-1].kind
			gap := t.column - toks[i-1].column - utf8.RuneCountInString(toks[i-1].text)
			switch {
			case t.kind == comment:
				b.WriteString(strings.Repeat(" ", max(2, gap)))
			case before == openBracket || t.kind == closeBracket || t.kind == comma || t.kind == colon:
			case before == colon:
				b.WriteString(strings.Repeat(" ", max(1, gap)))
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString(t.text)
	}
	return b.String()
}

// comments returns the comments of a text, in order.
func comments(lines []string) []string {
	var cs []string
	depth := 0
	for _, line := range lines {
		for _, t := range scanLine(strings.TrimRight(line, " \t\r"), depth) {
			switch t.kind {
			case comment:
				cs = append(cs, t.text)
			case openBracket:
				depth++
			case closeBracket:
				depth = max(depth-1, 0)
			}
		}
	}
	return cs
}
