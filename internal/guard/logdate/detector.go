package logdate

import (
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/guard/pyre"
)

// Options are what a Detector depends on besides its patterns.
type Options struct {
	// Year is the current one: dates of later decades are no dates.
	Year int
	// Library, if set, keeps compiled templates from one New to the next.
	Library *Library
}

// A Library holds templates that have been compiled. It is not for use by two
// goroutines at the same time.
type Library struct{ makers map[int]maker }

func (l *Library) maker(year int) maker {
	if l == nil {
		return maker{year, map[string]*template{}}
	}
	if _, ok := l.makers[year]; !ok {
		if l.makers == nil {
			l.makers = map[int]maker{}
		}
		l.makers[year] = maker{year, map[string]*template{}}
	}
	return l.makers[year]
}

// A used template is a template with what a Detector has learnt about it.
type used struct {
	*template
	hits     int  // of this detector
	tried    int  // matches, also those that were not chosen
	recent   bool // was ever chosen
	distance int  // where it matched last
}

func (u *used) share() float64 {
	return float64(u.hits) * u.weight / float64(max(1, u.distance))
}

// far stands for a position beyond every line.
const far = 1 << 30

// A Detector finds dates with a list of templates. It learns from what it
// finds: one Detector per log, not for use by two goroutines at the same time.
type Detector struct {
	templates []*used
	last      int // index of the template that matched last
	// where that was, with the bytes around and at the ends; -1 for none
	pos, end                    int
	before, first, final, after int
	unused                      int // index of the first template without a hit
	line                        []byte
	year                        int
	// read is the date itself if it was read by hand.
	byHand  civil
	hasRead bool
	found   *template
	spans   [64][2]int32
	reader
}

// New returns a Detector for the datepattern lines of a filter; none means the
// default templates.
func New(patterns []string, o Options) (*Detector, error) {
	d := &Detector{year: o.Year, last: far, pos: 1, end: far, before: -1, first: -1, final: -1, after: -1}
	mk := o.Library.maker(o.Year)
	if len(patterns) == 0 {
		patterns = []string{"{DEFAULT}"}
	}
	for _, p := range patterns {
		if err := d.add(mk, p); err != nil {
			return nil, err
		}
	}
	if len(d.templates) == 0 {
		return nil, fmt.Errorf("date pattern %q: no template", patterns)
	}
	return d, nil
}

func (d *Detector) add(mk maker, pattern string) error {
	key := pattern
	if !strings.Contains(pattern, "%") {
		key = strings.ToUpper(pattern)
	}
	switch {
	case key == "{DEFAULT}", key == lnBeg:
		all, err := mk.defaultTemplates()
		if err != nil {
			return err
		}
		for _, t := range all {
			if key == "{DEFAULT}" || t.flags&lineBegin != 0 {
				d.append(t)
			}
		}
		return nil
	case strings.Contains(key, "{DATE}"):
		for _, p := range defaults {
			t, err := mk.make(p)
			if err == nil {
				t, err = mk.inside(t, pattern)
			}
			if err != nil {
				return err
			}
			d.append(t)
		}
		return nil
	case key == "{NONE}":
		pattern = "{UNB}^"
	}
	t, err := mk.make(pattern)
	if err != nil {
		return err
	}
	d.append(t)
	return nil
}

func (d *Detector) append(t *template) {
	if !slices.ContainsFunc(d.templates, func(u *used) bool { return u.key == t.key }) {
		d.templates = append(d.templates, &used{template: t, distance: far})
	}
}

// defaultTemplates are those that are not anchored, preceded by their anchored
// forms, which count a hundredfold.
func (mk maker) defaultTemplates() ([]*template, error) {
	var anchored, plain []*template
	for _, p := range defaults {
		t, err := mk.make(p)
		if err != nil {
			return nil, err
		}
		plain = append(plain, t)
		if strings.HasPrefix(p, lnBeg) || strings.HasPrefix(p, "^") {
			continue
		}
		a, err := mk.anchored(t)
		if err != nil {
			return nil, err
		}
		a100 := *a
		a100.weight = 100
		anchored = append(anchored, &a100)
	}
	return append(anchored, plain...), nil
}

// Anchored reports whether dates are only looked for at the beginning of lines,
// behind at most two characters that are not part of a word.
func (d *Detector) Anchored() bool {
	for _, u := range d.templates {
		if u.flags&lineBegin == 0 {
			return false
		}
	}
	return true
}

// Find looks for a date and returns where it stands; from == to if there is a
// date in principle, but of no length, as with the pattern {NONE}. The line
// must not change until Read.
func (d *Detector) Find(m *pyre.Machine, line []byte, budget *int) (from, to int, ok bool) {
	d.line, d.found, d.hasRead = line, nil, false
	if d.last < len(d.templates) {
		if u := d.templates[d.last]; u.quick != quickNone {
			if end, v := d.fast(u.template, line); end > 0 {
				u.hits++
				u.distance = 0
				d.found, d.byHand, d.hasRead = u.template, v, true
				d.pos, d.before, d.first = 0, -1, int(line[0])
				d.end, d.final, d.after = end, int(line[end-1]), int(line[end])
				return 0, end, true
			}
		}
	}
	i := d.choose(m, line, budget)
	if i < 0 {
		return 0, 0, false
	}
	u := d.templates[i]
	pos, end := int(d.spans[0][0]), int(d.spans[0][1])
	u.hits++
	u.recent, u.distance = true, pos
	if d.unused == i {
		d.unused++
	}
	d.pos, d.end = pos, end
	d.before, d.first = byteAt(line, pos-1), byteAt(line, pos)
	d.final, d.after = byteAt(line, end-1), byteAt(line, end)
	if i > 0 && i != d.last {
		i = d.reorder(i)
	}
	d.last = i
	d.found = u.template
	return int(d.spans[1][0]), int(d.spans[1][1]), true
}

func byteAt(b []byte, i int) int {
	if i < 0 || i >= len(b) {
		return -1
	}
	return int(b[i])
}

// try runs one template and keeps its groups.
func (d *Detector) try(m *pyre.Machine, u *used, line []byte, from int, budget *int) bool {
	if m.SearchFrom(u.re, line, from, budget) != pyre.Matched {
		return false
	}
	u.tried++
	for g := range min(u.re.Groups()+1, len(d.spans)) {
		a, b := m.Span(g)
		d.spans[g] = [2]int32{int32(a), int32(b)}
	}
	return true
}

// choose finds the template that fits best, the last one first.
func (d *Detector) choose(m *pyre.Machine, line []byte, budget *int) int {
	skip, best := -1, -1
	bestPos := far
	var bestSpans [64][2]int32
	if d.last < len(d.templates) {
		u := d.templates[d.last]
		var ok bool
		switch {
		case u.flags&(lineBegin|lineEnd) != 0:
			ok, skip = d.try(m, u, line, 0, budget), d.last
		case d.sameBounds(line):
			end := min(d.end, len(line))
			ok = d.pos <= end && d.try(m, u, line[:end], d.pos, budget)
		default:
			ok, skip = d.try(m, u, line, 0, budget), d.last
		}
		if ok {
			pos, end := int(d.spans[0][0]), int(d.spans[0][1])
			if len(d.templates) == 1 || u.flags&(lineBegin|lineEnd) != 0 || pos == d.pos && end == d.end {
				return d.last
			}
			best, bestPos, bestSpans = d.last, pos, d.spans
		}
	}
	for i, u := range d.templates {
		if i == skip || !d.try(m, u, line, 0, budget) {
			continue
		}
		pos := int(d.spans[0][0])
		switch {
		case i+1 == len(d.templates),
			u.flags&(lineBegin|lineEnd) != 0,
			pos == 0 && u.hits > 0 && d.templates[i+1].tried == 0:
			return i
		case pos > u.distance || pos > d.pos:
			// Perhaps a date in the message: keep it, look further.
			if pos < bestPos {
				best, bestPos, bestSpans = i, pos, d.spans
			}
			continue
		}
		return i
	}
	if best >= 0 {
		d.spans = bestSpans
	}
	return best
}

// sameBounds reports whether at the place of the last date there may be one
// again: the bytes around are the same, or those at its ends are the same
// punctuation.
func (d *Detector) sameBounds(line []byte) bool {
	left := byteAt(line, d.pos-1) == d.before || byteAt(line, d.pos) == d.first && !alnum(d.first)
	right := byteAt(line, d.end) == d.after || byteAt(line, d.end-1) == d.final && !alnum(d.final)
	return left && right
}

func alnum(b int) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || b >= 0x80
}

// reorder moves the template up in the list if it has earned it, and returns
// where it stands then.
func (d *Detector) reorder(num int) int {
	u := d.templates[num]
	pos := num / 2
	if d.unused < num {
		pos = d.unused
	}
	movable := func(p int) bool { return u.share() > d.templates[p].share() || !d.templates[p].recent }
	if !movable(pos) {
		if pos == num-1 {
			return num
		}
		if pos = num - 1; !movable(pos) {
			return num
		}
	}
	copy(d.templates[pos+1:num+1], d.templates[pos:num])
	d.templates[pos] = u
	for d.unused < len(d.templates) && d.templates[d.unused].hits > 0 {
		d.unused++
	}
	return pos
}

// Composed reports whether New cannot fail for patterns that Check has passed:
// around {DATE} stands nothing that one of the default templates could clash
// with, such as groups, fields of its own and counted repetitions.
func Composed(patterns []string) bool {
	return !slices.ContainsFunc(patterns, func(p string) bool {
		i, j, ok := find(dateTag, p, 0)
		if !ok {
			return false
		}
		around := strings.TrimPrefix(p[:i], lnBeg) + p[j:]
		return strings.ContainsAny(around, "{%?") || backref(around)
	})
}

// backref reports whether a group is referred to by its number.
func backref(p string) bool {
	for i := 0; i+1 < len(p); i++ {
		if p[i] == '\\' {
			if p[i+1] >= '1' && p[i+1] <= '9' {
				return true
			}
			i++
		}
	}
	return false
}

// Check reports what is wrong with the datepattern lines of a filter.
func Check(patterns []string) error {
	mk := (*Library)(nil).maker(2026)
	for _, p := range patterns {
		if p == lnBeg || strings.EqualFold(p, "{DEFAULT}") || strings.EqualFold(p, "{NONE}") {
			continue
		}
		if i, j, ok := find(dateTag, p, 0); ok {
			p = p[:i] + "%H" + p[j:]
		}
		if _, err := mk.make(p); err != nil {
			return err
		}
	}
	return nil
}
