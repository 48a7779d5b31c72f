package report

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// from is what one line says about who may come.
type from struct {
	// who and but are the sources and their exceptions, as people write them; a
	// sentence in who stands alone.
	who, but   []string
	interfaces []string
	depends    []string
	because    Rule
	v4, v6     bool
	anyone     bool
}

// fromLines merges the groups of an answer into as few lines as say the same:
// over interfaces, then over families. Known are all interfaces that packets
// come in by; a line that holds on each of them names none.
func fromLines(groups []Group, known []string) []from {
	var lines []from
	for _, g := range groups {
		f := describe(g)
		i := slices.IndexFunc(lines, func(l from) bool { return l.same(f) && l.v4 == f.v4 && l.v6 == f.v6 })
		if i < 0 {
			lines = append(lines, f)
			continue
		}
		if !slices.Contains(lines[i].interfaces, g.Interface) {
			lines[i].interfaces = append(lines[i].interfaces, g.Interface)
		}
	}
	lines = mergeFamilies(lines)
	for i := range lines {
		l := &lines[i]
		slices.Sort(l.interfaces)
		if len(known) > 0 && covers(l.interfaces, known) {
			l.interfaces = nil
		}
	}
	slices.SortStableFunc(lines, func(a, b from) int {
		return cmp.Or(-compareBool(a.anyone, b.anyone), compareBool(a.v6, b.v6))
	})
	return lines
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func covers(list, all []string) bool {
	return !slices.ContainsFunc(all, func(n string) bool { return !slices.Contains(list, n) })
}

// same reports whether two lines differ at most in interfaces and family.
func (f from) same(g from) bool {
	return slices.Equal(f.who, g.who) && slices.Equal(f.but, g.but) && f.because == g.because && slices.Equal(f.depends, g.depends)
}

// mergeFamilies makes one line of two that say "anyone" about IPv4 and IPv6.
// The rules may differ by family only in their place: then the IPv4 one stands.
func mergeFamilies(lines []from) []from {
	var out []from
	for _, l := range lines {
		i := slices.IndexFunc(out, func(o from) bool {
			return o.anyone && l.anyone && slices.Equal(o.who, l.who) && slices.Equal(o.but, l.but) && o.v4 != l.v4 && o.v6 != l.v6 &&
				covers(o.interfaces, l.interfaces) && covers(l.interfaces, o.interfaces) &&
				slices.Equal(o.depends, l.depends) && o.because.Text == l.because.Text
		})
		if i < 0 {
			out = append(out, l)
			continue
		}
		out[i].v4, out[i].v6 = true, true
	}
	return out
}

func describe(g Group) from {
	f := from{interfaces: []string{g.Interface}, because: g.Because}
	if !g.Certain {
		f.depends = g.Depends
		if len(f.depends) == 0 {
			f.depends = []string{"a match without a fixed answer"}
		}
	}
	for _, s := range g.Sources {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			continue
		}
		if p.Addr().Is4() {
			f.v4 = true
		} else {
			f.v6 = true
		}
		f.anyone = f.anyone || p.Bits() == 0
	}
	f.who, f.but = plain(g.Sources), plain(g.Except)
	if f.anyone {
		f.who = []string{"anyone"}
	}
	if g.Group != "" { // the sources are the interface's own networks
		f.who, f.but = []string{"neighbours, by " + plain([]string{g.Group})[0]}, nil
	}
	return f
}

// plain writes prefixes of one address as the address.
func plain(prefixes []string) []string {
	out := make([]string, len(prefixes))
	for i, s := range prefixes {
		out[i] = s
		if p, err := netip.ParsePrefix(s); err == nil && p.IsSingleIP() {
			out[i] = p.Addr().String()
		}
	}
	return out
}

// few names the first of a list and counts the rest.
func few(list []string) string {
	const shown = 2
	if len(list) <= shown+1 {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:shown], ", ") + " and " + strconv.Itoa(len(list)-shown) + " more"
}

// whole names all of a list.
func whole(list []string) string { return strings.Join(list, ", ") }

// text is the line's cell: who, of which family, on which interfaces. Both says
// that the socket takes packets of both families; sources how to write those.
func (f from) text(both bool, sources func([]string) string) string {
	s := sources(f.who)
	if len(f.but) > 0 {
		s += " but " + sources(f.but)
	}
	if f.anyone && both && f.v4 != f.v6 {
		s += map[bool]string{true: " (IPv4)", false: " (IPv6)"}[f.v4]
	}
	if n := len(f.interfaces); n > 0 && f.interfaces[0] != "" {
		s += " on " + sources(f.interfaces)
	}
	return s
}

// reason is the deciding rule in short: chain, number, text.
func (r Rule) reason() string {
	text := printable(r.Text)
	switch {
	case r.Chain == "":
		return text
	case r.Rule == 0:
		return r.Chain + ": " + text
	}
	return r.Chain + " " + strconv.Itoa(r.Rule) + ": " + strings.TrimPrefix(text, "-A "+r.Chain+" ")
}
