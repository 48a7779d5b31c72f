package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Text writes who may reach one port. Asked is the source that was asked about,
// "" for all.
func (p Port) Text(w io.Writer, s Style, asked string, interfaces []string) error {
	var b strings.Builder
	head := p.Port
	if asked != "" {
		head += " from " + asked
	}
	b.WriteString(s.paint(bold, head) + "  " + s.verdict(p.Reach.Verdict, p.sentence(asked)) + "\n")
	switch {
	case len(p.Process) > 0:
		s.wrap(&b, "  ", printable(strings.Join(p.Process, "; ")))
	case !p.Listening && p.blind():
		b.WriteString("  whether anything listens could not be seen; the rules say who could reach it\n")
	case !p.Listening:
		b.WriteString("  nothing listens there now; the rules say who could reach it\n")
	}
	if len(p.Via) > 0 {
		s.wrap(&b, "  ", "what listens is also reached by way of "+strings.Join(p.Via, ", ")+", which has an answer of its own")
	}
	for _, f := range fromLines(p.Reach.From, interfaces) {
		b.WriteString("\n")
		s.wrap(&b, "  ", f.text(true, whole))
		ruleText(&b, s, "    ", f.because)
		for _, d := range f.depends {
			s.wrap(&b, "    ", "depends on "+printable(d))
		}
	}
	if len(p.Reach.Why) > 0 {
		b.WriteString("\n")
	}
	for _, why := range p.Reach.Why {
		if p.Reach.Verdict == Undecided && p.closedIn == "" {
			why = "undecided: " + why
		}
		s.wrap(&b, "  ", printable(why))
	}
	if len(p.Down)+len(p.Unseen) > 0 {
		b.WriteString("\n")
		downText(&b, s, p.Down)
		unseenText(&b, s, p.Unseen)
	}
	return flush(w, &b)
}

// blind reports whether the sockets could not be seen.
func (p Port) blind() bool {
	return slices.ContainsFunc(p.Unseen, func(u Unseen) bool { return u.Section == "sockets" })
}

// sentence is the verdict about one port in words.
func (p Port) sentence(asked string) string {
	would := ""
	if len(p.Process) == 0 && !p.Listening {
		would = "would be "
	}
	switch v := p.Reach.Verdict; {
	case p.closedIn != "":
		return "not reachable over " + p.closedIn + "; the rest is not known"
	case v == Undecided:
		return "could not be decided"
	case v == Nobody && asked != "":
		return "not reachable"
	case v == Nobody:
		return "not reachable from outside"
	case asked != "":
		return would + "reachable"
	case v == Anyone:
		return would + "open to anyone"
	}
	return would + "reachable from some addresses"
}

// ruleText writes place and text of a rule.
func ruleText(b *strings.Builder, s Style, indent string, r Rule) {
	if p := r.Place(); p != "" {
		s.wrap(b, indent, s.paint(dim, p+":")+" "+printable(r.Text))
		return
	}
	s.wrap(b, indent, printable(r.Text))
}

// shownMisses is the length up to which a run of rules that do not match is
// shown in full.
const shownMisses = 4

// noMatch is the effect of a rule that does not concern the packet.
const noMatch = "no match"

// Text writes the packet's way, rule by rule. Unless all is true, long runs of
// rules that do not match are counted, not shown.
func (t Trace) Text(w io.Writer, s Style, all bool) error {
	var b strings.Builder
	if t.Packet != "" {
		b.WriteString(s.paint(bold, printable(t.Packet)) + "\n")
	}
	hook, chain := "", ""
	for i := 0; i < len(t.Steps); {
		st := t.Steps[i]
		if st.Hook != hook {
			hook, chain = st.Hook, ""
			fmt.Fprintf(&b, "\n%s\n", s.paint(bold, hook))
		}
		if c := st.Table + " " + st.Chain; c != chain {
			chain = c
			if strings.TrimSpace(c) != "" {
				fmt.Fprintf(&b, "  %s\n", printable(c))
			}
		}
		n := missesFrom(t.Steps[i:])
		if !all && n > shownMisses {
			last := t.Steps[i+n-1]
			fmt.Fprintf(&b, "    %s\n", s.paint(dim, fmt.Sprintf("%4d … %d: %d rules that do not match", st.Rule, last.Rule, n)))
			i += n
			continue
		}
		stepText(&b, s, st)
		i++
	}
	b.WriteString("\n")
	verdict := strings.ToUpper(t.Verdict)
	switch t.Verdict {
	case "accept":
		verdict = s.paint(green, verdict)
	case "undecided":
		verdict = s.paint(yellow, verdict)
	default:
		verdict = s.paint(red, verdict)
	}
	s.wrap(&b, "", strings.TrimSpace(verdict+"  "+printable(t.Reason)))
	if len(t.Unseen) > 0 {
		b.WriteString("\n")
		unseenText(&b, s, t.Unseen)
	}
	return flush(w, &b)
}

// missesFrom counts the rules at the beginning, of one chain, that do not match.
func missesFrom(steps []Step) int {
	n := 0
	for n < len(steps) && steps[n].Effect == noMatch && steps[n].Rule > 0 &&
		steps[n].Table == steps[0].Table && steps[n].Chain == steps[0].Chain && steps[n].Hook == steps[0].Hook {
		n++
	}
	return n
}

// stepText writes one rule: number, text, and what it did. Long texts get the
// effect on a line of its own.
func stepText(b *strings.Builder, s Style, st Step) {
	number := ""
	if st.Rule > 0 {
		number = strconv.Itoa(st.Rule)
	}
	text := printable(strings.TrimPrefix(st.Text, "-A "+st.Chain+" "))
	effect := printable(st.Effect)
	const room = 54
	if st.Effect == noMatch {
		fmt.Fprintf(b, "    %s\n", s.paint(dim, fmt.Sprintf("%4s  %-*s  %s", number, room, cut(text, room), effect)))
		return
	}
	if len([]rune(text)) > room {
		fmt.Fprintf(b, "    %4s  %s\n    %4s  %*s  %s\n", number, text, "", room, "", s.paint(bold, effect))
		return
	}
	fmt.Fprintf(b, "    %4s  %-*s  %s\n", number, room, text, s.paint(bold, effect))
}

// Text writes the changes, those that open something first.
func (d Diff) Text(w io.Writer, s Style) error {
	var b strings.Builder
	switch {
	case d.Equal:
		text := "The two mean the same for every packet."
		if len(d.Unseen) > 0 {
			text = "The two mean the same for every " + otherFamily(d.Unseen[0].Section) + " packet; " + d.Unseen[0].notCompared() + "."
		}
		s.wrap(&b, "", s.paint(green, text))
	case len(d.Changes) == 0:
		b.WriteString(s.paint(yellow, "It could not be decided whether the two mean the same.") + "\n")
	}
	head := ""
	for _, c := range d.Changes {
		if h := strings.TrimSpace(fmt.Sprintf("%s -> %s  %s packets %s", c.From, c.To, c.Family, c.Way)); h != head {
			if head != "" {
				b.WriteString("\n")
			}
			head = h
			colour := yellow
			if c.To == "accept" {
				colour = red
			}
			b.WriteString(s.paint(colour, head) + "\n")
		}
		for _, box := range c.Packets {
			s.wrap(&b, "  ", printable(box))
		}
		if c.Example != "" {
			s.wrap(&b, "      ", s.paint(dim, "example:")+" "+printable(c.Example))
		}
		ruleLine(&b, s, "old:", c.OldRule)
		ruleLine(&b, s, "new:", c.NewRule)
	}
	for _, why := range d.Why {
		s.wrap(&b, "", "undecided: "+printable(why))
	}
	if len(d.Unseen) > 0 && !d.Equal {
		s.wrap(&b, "", d.Unseen[0].notCompared()+".")
	}
	return flush(w, &b)
}

// notCompared says so of a family. There is never more than one: two sides that
// are about nothing in common are not compared at all.
func (u Unseen) notCompared() string {
	return u.Section + " was not compared: " + printable(u.Reason)
}

func ruleLine(b *strings.Builder, s Style, name string, r Rule) {
	text := r.Text
	if p := r.Place(); p != "" {
		text = p + ": " + text
	}
	if text != "" {
		s.wrap(b, "      ", s.paint(dim, name)+"     "+printable(text))
	}
}
