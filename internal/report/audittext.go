package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"sekimori/internal/audit"
	"sekimori/internal/audit/words"
)

// shownEvidence is how many lines of evidence a screen has for one finding.
const shownEvidence = 8

// Text writes the whole audit, worst first.
func (a Audit) Text(w io.Writer, s Style) error {
	var b strings.Builder
	a.gradeText(&b, s)
	a.placeText(&b, s)
	for _, f := range a.Findings {
		a.findingText(&b, s, f)
	}
	if len(a.Findings) == 0 {
		s.wide(&b, "", a.words.UI("nothing"))
		b.WriteString("\n")
	}
	a.unseenText(&b, s)
	return flush(w, &b)
}

// Short writes the worst findings in a few lines, for a first look.
func (a Audit) Short(w io.Writer, s Style) error {
	var b strings.Builder
	a.gradeText(&b, s)
	const most = 10
	shown := 0
	for _, f := range a.Findings {
		if f.severity < audit.Medium || shown == most {
			break
		}
		shown++
		fmt.Fprintf(&b, "  %s  %s %s\n", s.severity(f.severity, pad(a.words.UI(f.Severity), 8)), s.paint(bold, f.Title), s.paint(dim, f.ID))
		for i, e := range f.Evidence {
			if i == 2 {
				fmt.Fprintf(&b, "            %s\n", s.paint(dim, fmt.Sprintf(a.words.UI("more"), len(f.Evidence)-i)))
				break
			}
			fmt.Fprintf(&b, "            %s\n", s.paint(dim, cut(e, s.width()-12)))
		}
	}
	if rest := len(a.Findings) - shown; rest > 0 && shown > 0 {
		fmt.Fprintf(&b, "  %s\n", s.paint(dim, fmt.Sprintf(a.words.UI("more"), rest)+": "+a.words.UI("show")))
	} else if rest > 0 {
		fmt.Fprintf(&b, "  %s: %d; %s\n", a.words.UI("lesser"), rest, a.words.UI("show"))
	}
	b.WriteString("\n")
	if a.Grade == string(audit.GradeUnknown) {
		a.unseenText(&b, s)
	}
	return flush(w, &b)
}

func (a Audit) gradeText(b *strings.Builder, s Style) {
	colour := map[string]string{"A": green, "B": green, "C": yellow, "D": red, "F": red}[a.Grade]
	if colour == "" {
		colour = yellow
	}
	fmt.Fprintf(b, "%s  %s\n", s.paint(colour, a.words.UI("grade")+" "+a.Grade), a.words.UI("grade."+a.Grade))
	if c := a.counts(); c != "" {
		fmt.Fprintf(b, "%s\n", c)
	}
	b.WriteString("\n")
}

func (a Audit) placeText(b *strings.Builder, s Style) {
	facts := a.facts()
	most := 0
	for _, f := range facts {
		most = max(most, columnsOf(f.name))
	}
	fmt.Fprintf(b, "%s\n", s.paint(bold, strings.ToUpper(a.words.UI("place"))))
	for _, f := range facts {
		line := f.value
		if f.note != "" {
			line += " (" + f.note + ")"
		}
		s.hang(b, "  "+pad(f.name, most)+"  ", line)
	}
	b.WriteString("\n")
}

func (a Audit) findingText(b *strings.Builder, s Style, f Finding) {
	fmt.Fprintf(b, "%s  %s\n", s.severity(f.severity, strings.ToUpper(a.words.UI(f.Severity))), s.paint(bold, f.Title))
	fmt.Fprintf(b, "  %s\n", s.paint(dim, f.ID+" · "+a.words.UI(f.Section)))
	if f.severity >= audit.Medium {
		s.wide(b, "  ", f.Why)
	}
	for i, e := range f.Evidence {
		if i == shownEvidence {
			fmt.Fprintf(b, "    %s\n", s.paint(dim, fmt.Sprintf(a.words.UI("more"), len(f.Evidence)-i)))
			break
		}
		s.hang(b, "    - ", e)
	}
	if f.severity > audit.Info {
		s.hang(b, "  "+s.paint(green, "→")+" ", f.Remedy)
	}
	b.WriteString("\n")
}

func (a Audit) unseenText(b *strings.Builder, s Style) {
	if len(a.Unseen) == 0 {
		return
	}
	fmt.Fprintf(b, "%s\n", s.paint(yellow, strings.ToUpper(a.words.UI("unseen"))))
	var done []string
	for i, u := range a.Unseen {
		if slices.Contains(done, u.Reason) {
			continue
		}
		done = append(done, u.Reason)
		var sections []string
		for _, o := range a.Unseen[i:] {
			if o.Reason == u.Reason && !slices.Contains(sections, a.words.UI(o.Section)) {
				sections = append(sections, a.words.UI(o.Section))
			}
		}
		s.hang(b, "  ", strings.Join(sections, ", ")+": "+u.Reason)
	}
	s.wide(b, "  ", a.words.UI("unseen.text"))
	b.WriteString("\n")
}

func (s Style) severity(v audit.Severity, text string) string {
	switch v {
	case audit.Critical, audit.High:
		return s.paint(red, text)
	case audit.Medium:
		return s.paint(yellow, text)
	}
	return s.paint(dim, text)
}

// Explain writes the long form of one check.
func Explain(w io.Writer, s Style, c audit.Check, a *words.Table) error {
	e, _ := a.Entry(c.ID)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", s.paint(bold, c.ID))
	s.wide(&b, "", e.Title)
	fmt.Fprintf(&b, "%s · %s\n\n", a.UI(string(c.Section)), s.severity(c.Severity, a.UI(c.Severity.String())))
	s.wide(&b, "", e.Why)
	b.WriteString("\n")
	for paragraph := range strings.Lines(e.Long) {
		if p := strings.TrimSpace(paragraph); p != "" {
			s.wide(&b, "", p)
		}
	}
	if e.Long != "" {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s\n", s.paint(bold, a.UI("remedy")))
	s.wide(&b, "  ", e.Remedy)
	fmt.Fprintf(&b, "\n%s\n", s.paint(bold, a.UI("references")))
	for _, r := range c.References {
		fmt.Fprintf(&b, "  %s\n", r)
	}
	return flush(w, &b)
}

// CheckList writes one line for each check, by section.
func CheckList(w io.Writer, s Style, checks []audit.Check, a *words.Table) error {
	var b strings.Builder
	var section audit.Section
	for _, c := range checks {
		if c.Section != section {
			section = c.Section
			fmt.Fprintf(&b, "%s%s\n", map[bool]string{true: "\n"}[b.Len() > 0], s.paint(bold, a.UI(string(section))))
		}
		e, _ := a.Entry(c.ID)
		fmt.Fprintf(&b, "  %s %s %s\n", pad(c.ID, 18), s.severity(c.Severity, pad(a.UI(c.Severity.String()), 8)), e.Title)
	}
	fmt.Fprintf(&b, "\n%d %s\n", len(checks), a.UI("listed"))
	return flush(w, &b)
}

// wideRune reports whether a rune takes two columns (East Asian Width, UAX #11).
func wideRune(r rune) bool {
	return r >= 0x1100 && r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 ||
		r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe4f || r >= 0xff00 && r <= 0xff60 || r >= 0xffe0 && r <= 0xffe6 || r >= 0x20000 && r <= 0x3fffd
}

// columnsOf is the width of a text on a terminal, escape sequences not counted.
func columnsOf(text string) int {
	n, escape := 0, false
	for _, r := range text {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case wideRune(r):
			n += 2
		default:
			n++
		}
	}
	return n
}

func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-columnsOf(text)))
}

// wide breaks text into lines of the style's width behind an indent: between
// words, and between characters of scripts that have no blanks.
func (s Style) wide(b *strings.Builder, indent, text string) { s.fold(b, indent, indent, text) }

// hang is wide with another beginning of the first line.
func (s Style) hang(b *strings.Builder, first, text string) {
	s.fold(b, first, strings.Repeat(" ", columnsOf(first)), text)
}

func (s Style) fold(b *strings.Builder, first, indent, text string) {
	room := s.width() - columnsOf(first)
	b.WriteString(first)
	col := 0
	for _, piece := range pieces(text) {
		n := columnsOf(piece)
		if blank := strings.TrimLeft(piece, " "); col > 0 && col+n > room {
			b.WriteString("\n" + indent)
			piece, n, col = blank, columnsOf(blank), 0
		}
		if col == 0 {
			piece = strings.TrimLeft(piece, " ")
			n = columnsOf(piece)
		}
		b.WriteString(piece)
		col += n
	}
	b.WriteString("\n")
}

// pieces cuts text where a line may end: before a blank, and around each wide
// character, but never before a mark that closes.
func pieces(text string) []string {
	var out []string
	begin := 0
	last := rune(0)
	for i, r := range text {
		closing := strings.ContainsRune("、。，．・）」』】〉》！？ー：；", r)
		opening := strings.ContainsRune("（「『【〈《", last)
		if i > begin && !closing && !opening && (r == ' ' || wideRune(r) || wideRune(last)) && last != ' ' {
			out = append(out, text[begin:i])
			begin = i
		}
		last = r
	}
	if begin < len(text) && utf8.ValidString(text) {
		out = append(out, text[begin:])
	} else if begin < len(text) {
		out = append(out, printable(text[begin:]))
	}
	return out
}
