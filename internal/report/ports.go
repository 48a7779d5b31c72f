package report

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// heads are the titles of the groups of sockets, by verdict.
func (v Verdict) title() string {
	switch v {
	case Anyone:
		return "OPEN TO ANYONE"
	case Undecided:
		return "COULD NOT BE DECIDED"
	case Some:
		return "REACHABLE FROM SOME ADDRESSES"
	}
	return "NOT REACHABLE FROM OUTSIDE"
}

// Sort puts the sockets in the order in which they are shown: worst first, then
// by port.
func (p *Ports) Sort() {
	slices.SortStableFunc(p.Sockets, func(a, b Socket) int {
		return cmp.Or(
			cmp.Compare(a.Reach.Verdict.rank(), b.Reach.Verdict.rank()),
			cmp.Compare(a.Port, b.Port),
			cmp.Compare(a.Proto, b.Proto),
			cmp.Compare(a.Address, b.Address),
			cmp.Compare(a.PID, b.PID),
		)
	})
}

// Text writes the answer for people: one line per socket, and one more for each
// further group of sources. Interfaces are those that packets come in by.
func (p Ports) Text(w io.Writer, s Style, interfaces []string) error {
	var b strings.Builder
	for _, v := range []Verdict{Anyone, Undecided, Some, Nobody} {
		group := p.with(v)
		if len(group) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s (%d)\n", s.verdict(v, v.title()), len(group))
		var rows []row
		for _, k := range group {
			rows = append(rows, socketRows(k, interfaces)...)
		}
		s.table(&b, []column{{"PORT", 12}, {"ADDRESS", 22}, {"PROCESS", 18}, {"FROM", 30}, {"BECAUSE", 0}}, rows, true)
		b.WriteString("\n")
	}
	if len(p.Sockets) == 0 && !p.missed("sockets") {
		b.WriteString("Nothing listens here.\n\n")
	}
	downText(&b, s, p.Down)
	unseenText(&b, s, p.Unseen)
	return flush(w, &b)
}

// Short writes the answer in as few lines as will do, for a first look.
func (p Ports) Short(w io.Writer, s Style, interfaces []string) error {
	var b strings.Builder
	for _, v := range []Verdict{Anyone, Undecided, Some} {
		group := p.with(v)
		if len(group) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s\n", s.verdict(v, v.title()))
		if why := commonWhy(group); v == Undecided && why != nil {
			s.names(&b, group)
			for _, w := range why {
				s.wrap(&b, "    ", s.paint(dim, "because")+" "+printable(w))
			}
		} else {
			s.table(&b, []column{{"", 12}, {"", 28}, {"", 0}}, shortRows(group, interfaces), false)
		}
		b.WriteString("\n")
	}
	if group := p.with(Nobody); len(group) > 0 {
		fmt.Fprintf(&b, "%s\n", s.verdict(Nobody, Nobody.title()))
		s.names(&b, group)
		b.WriteString("\n")
	}
	if len(p.Sockets) == 0 && !p.missed("sockets") {
		b.WriteString("Nothing listens here.\n\n")
	}
	downText(&b, s, p.Down)
	unseenText(&b, s, p.Unseen)
	return flush(w, &b)
}

// names lists sockets by name alone.
func (s Style) names(b *strings.Builder, group []Socket) {
	var names []string
	for _, k := range group {
		n := k.Name()
		if k.Process != "" {
			n += " " + k.owner()
		}
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	s.wrap(b, "  ", strings.Join(names, ", "))
}

// commonWhy returns the reasons that all of several sockets share, as when the
// rules could not be read at all.
func commonWhy(group []Socket) []string {
	if len(group) < 2 {
		return nil
	}
	for _, k := range group {
		if len(k.Reach.From) > 0 || !slices.Equal(k.Reach.Why, group[0].Reach.Why) {
			return nil
		}
	}
	return group[0].Reach.Why
}

func (p Ports) with(v Verdict) []Socket {
	var out []Socket
	for _, k := range p.Sockets {
		if k.Reach.Verdict == v {
			out = append(out, k)
		}
	}
	return out
}

func (p Ports) missed(section string) bool {
	return slices.ContainsFunc(p.Unseen, func(u Unseen) bool { return u.Section == section })
}

// socketRows are the lines of one socket: its own, then one for each further
// group of sources and each thing that a group depends on.
func socketRows(k Socket, interfaces []string) []row {
	head := []string{k.Name(), k.place(), k.owner()}
	var rows []row
	add := func(who, why string) {
		rows = append(rows, row{append(slices.Clone(head), who, why), 4})
		head = []string{"", "", ""}
	}
	for _, f := range fromLines(k.Reach.From, interfaces) {
		add(f.text(k.both(), few), f.because.reason())
		for _, d := range f.depends {
			add("  depends on", printable(d))
		}
	}
	if n := len(k.Reach.Why); n > 0 {
		who, why := "undecided", printable(k.Reach.Why[0])
		if k.Reach.Verdict == Nobody {
			who = ""
		}
		if n > 1 {
			who += fmt.Sprintf(", %d reasons", n)
		}
		add(who, why)
	}
	if rows == nil {
		add("", "")
	}
	return rows
}

// shortRows has one line for each port, process and group of sources, whatever
// the number of sockets.
func shortRows(group []Socket, interfaces []string) []row {
	var rows []row
	for _, k := range group {
		var who []string
		groups := slices.Clone(k.Reach.From)
		for i := range groups {
			groups[i].Because = Rule{} // not shown here, so no reason for two lines
		}
		for _, f := range fromLines(groups, interfaces) {
			t := f.text(k.both(), few)
			if len(f.depends) > 0 {
				t += " (depends on " + printable(few(f.depends)) + ")"
			}
			who = append(who, t)
		}
		if k.Reach.Verdict == Undecided {
			who = append(who, "undecided: "+printable(few(k.Reach.Why)))
		}
		cells := []string{k.Name(), k.owner(), strings.Join(who, "; ")}
		if n := len(rows); n > 0 && slices.Equal(rows[n-1].cells, cells) {
			continue
		}
		rows = append(rows, row{cells, 3})
	}
	return rows
}

// both reports whether the socket takes packets of both families.
func (k Socket) both() bool { return k.Address == "*" }

func (k Socket) place() string {
	a := k.Address
	if ip, err := netip.ParseAddr(a); err == nil && ip.Is6() {
		a = "[" + a + "]"
	}
	if k.Interface != "" {
		a += "%" + k.Interface
	}
	return a
}

// owner names who listens: the process, the user where it is not root, the
// container; for a forwarded port where it leads.
func (k Socket) owner() string {
	switch {
	case !k.Listening && k.To != "":
		return printable("-> " + k.To)
	case k.Process == "" && k.PID == 0:
		if k.User != "" {
			return printable("? (" + k.User + ")")
		}
		return "?"
	}
	s := k.Process
	if s == "" {
		s = strconv.Itoa(k.PID)
	}
	if k.Container != "" {
		s += " in " + k.Container
	} else if k.User != "" && k.User != "root" && k.User != k.Process {
		s += " (" + k.User + ")"
	}
	return printable(s)
}

// downText writes that some interfaces are down.
func downText(b *strings.Builder, s Style, down []string) {
	if len(down) > 0 {
		s.wrap(b, "", "Down now, so that nobody comes by it: "+printable(whole(down)))
		b.WriteString("\n")
	}
}

// unseenText writes what could not be seen, one line for each reason.
func unseenText(b *strings.Builder, s Style, unseen []Unseen) {
	if len(unseen) == 0 {
		return
	}
	b.WriteString(s.paint(yellow, "COULD NOT BE SEEN") + "\n")
	var done []string
	for i, u := range unseen {
		if slices.Contains(done, u.Reason) {
			continue
		}
		done = append(done, u.Reason)
		var sections []string
		for _, o := range unseen[i:] {
			if o.Reason == u.Reason && !slices.Contains(sections, o.Section) {
				sections = append(sections, o.Section)
			}
		}
		s.wrap(b, "  ", printable(strings.Join(sections, ", ")+": "+u.Reason))
	}
	b.WriteString("\n")
}

// flush writes a text with one newline at its end.
func flush(w io.Writer, b *strings.Builder) error {
	if _, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n"); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
