package report

import (
	"strings"
	"unicode/utf8"
)

// Style says how text is laid out.
type Style struct {
	// Colour allows ANSI colours.
	Colour bool
	// Width is the number of columns, 0 for 100.
	Width int
}

func (s Style) width() int {
	if s.Width <= 0 {
		return 100
	}
	return max(s.Width, 60)
}

// The colours, as ANSI SGR parameters.
const (
	red    = "1;31"
	yellow = "1;33"
	green  = "1;32"
	bold   = "1"
	dim    = "2"
)

func (s Style) paint(colour, text string) string {
	if !s.Colour || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (s Style) verdict(v Verdict, text string) string {
	switch v {
	case Anyone:
		return s.paint(red, text)
	case Undecided, Some:
		return s.paint(yellow, text)
	}
	return s.paint(green, text)
}

// printable replaces what a terminal would take as a command, and bytes that
// are no text: names of processes and comments of rules are other people's.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
}

// cut shortens text to n columns, the last of them an ellipsis.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	r := []rune(text)
	return strings.TrimRight(string(r[:max(n-1, 0)]), " ") + "…"
}

// column is one column of a table: no wider than most, as wide as its longest cell.
type column struct {
	head string
	most int
}

// A row is the cells of one line; colour paints the line where it is not "".
type row struct {
	cells []string
	// dimmed is the number of the first cell that is of less importance.
	dimmed int
}

// table lays out rows under a head, two columns indented. The last column takes
// what is left of the width.
func (s Style) table(b *strings.Builder, columns []column, rows []row, withHead bool) {
	widths := make([]int, len(columns))
	for i, c := range columns {
		if withHead {
			widths[i] = len(c.head)
		}
		for _, r := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r.cells[i]))
		}
		widths[i] = min(widths[i], max(c.most, len(c.head)))
	}
	used := 2
	for _, w := range widths[:len(widths)-1] {
		used += w + 2
	}
	widths[len(widths)-1] = max(s.width()-used, 16)
	if withHead {
		heads := make([]string, len(columns))
		for i, c := range columns {
			heads[i] = c.head
		}
		s.line(b, widths, row{heads, 0})
	}
	for _, r := range rows {
		s.line(b, widths, r)
	}
}

func (s Style) line(b *strings.Builder, widths []int, r row) {
	var line strings.Builder
	for i, c := range r.cells {
		c = cut(c, widths[i])
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2)
		if i == len(r.cells)-1 {
			pad = ""
		}
		if i >= r.dimmed {
			c = s.paint(dim, c)
		}
		line.WriteString(c + pad)
	}
	b.WriteString("  " + strings.TrimRight(line.String(), " ") + "\n")
}

// wrap breaks words into lines of the style's width behind an indent.
func (s Style) wrap(b *strings.Builder, indent, text string) {
	room := s.width() - utf8.RuneCountInString(indent)
	col := 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case col == 0:
			b.WriteString(indent)
		case col+1+n > room:
			b.WriteString("\n" + indent)
			col = 0
		default:
			b.WriteString(" ")
			col++
		}
		b.WriteString(word)
		col += n
	}
	if col > 0 {
		b.WriteString("\n")
	}
}
