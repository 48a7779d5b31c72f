package filter

import (
	"bytes"
	"slices"
	"strings"
)

// find looks for failures in the line whose text without its date is buf.
func (s *Session) find(line []byte, from, to int, t stamp, only []uint64) []Match {
	if s.f.def.MaxLines > 1 {
		return s.findLines(line, from, to, t)
	}
	f := s.f
	early := len(f.ignore) > 0 && len(f.ignore) < len(f.fail)-2
	if early && s.ignored(s.buf) {
		return nil
	}
	content := s.buf
	if f.pref != nil {
		if !s.search(f.pref, s.buf) {
			return nil
		}
		content = s.prefixGroups(s.buf)
	}
	var first byte
	if len(content) > 0 {
		first = content[0]
	}
	for i, p := range f.fail {
		if only != nil && only[i>>6]&(1<<(i&63)) == 0 || !p.couldBegin(first) {
			continue
		}
		if !s.search(p, content) {
			continue
		}
		s.matched(i, p, content, line, from, to, &t)
		if s.done || !s.set.All {
			break
		}
	}
	return s.out
}

// couldBegin reports whether a text that begins with c is worth trying.
func (p *pattern) couldBegin(c byte) bool {
	if !p.re.Anchored() {
		return true
	}
	first := p.re.First()
	return first[c>>6]&(1<<(c&63)) != 0
}

// prefixGroups keeps the groups of prefregex and returns the content that the
// other patterns look at.
func (s *Session) prefixGroups(buf []byte) []byte {
	s.prefAt = s.prefAt[:0]
	content := buf
	for g, field := range s.f.pref.fields {
		a, b := s.m.Span(g)
		s.prefAt = append(s.prefAt, [2]int32{int32(a), int32(b)})
		if field != fieldContent || b <= a {
			continue
		}
		// The newline after it is there already in most cases.
		if content = buf[a : b+1]; buf[b] != '\n' {
			content = append(bytes.Clone(buf[a:b]), '\n')
		}
	}
	return content
}

// matched makes a record of what pattern i matched in content.
func (s *Session) matched(i int, p *pattern, content []byte, line []byte, from, to int, t *stamp) {
	s.done = false
	r := s.groups(p, content)
	if len(s.f.ignore) > 0 && s.ignored(content) {
		s.done = !s.set.All
		return
	}
	s.read(line, from, to, t)
	s.report(i, r, []string{string(line)}, t)
}

// groups collects the fields of the last match, over those of prefregex.
func (s *Session) groups(p *pattern, content []byte) *record {
	r := &record{values: make([]value, len(s.f.names))}
	if pref := s.f.pref; pref != nil {
		s.fill(r, pref, s.buf, s.prefAt)
		applyMerges(r, pref)
		r.values[fieldContent] = value{}
	}
	spans := s.spans[:0]
	for g := range p.fields {
		a, b := s.m.Span(g)
		spans = append(spans, [2]int32{int32(a), int32(b)})
	}
	s.spans = spans
	s.fill(r, p, content, spans)
	applyMerges(r, p)
	return r
}

func (s *Session) fill(r *record, p *pattern, text []byte, spans [][2]int32) {
	for g, field := range p.fields {
		if field < 0 {
			continue
		}
		a, b := spans[g][0], spans[g][1]
		if a < 0 {
			r.values[field] = value{}
			continue
		}
		r.values[field] = value{string(text[a:b]), true}
	}
}

func applyMerges(r *record, p *pattern) {
	for _, m := range p.merges {
		from := r.values[m.from]
		to := &r.values[m.to]
		switch {
		case m.tuple:
			*to = value{joinTuple(to.s, from.s), true}
		case from.s != "" && to.s == "":
			*to = value{from.s, true}
		}
	}
}

// joinTuple writes several values as one.
func joinTuple(a, b string) string {
	if strings.HasPrefix(a, "(") {
		return strings.TrimSuffix(a, ")") + ", " + b + ")"
	}
	return "(" + a + ", " + b + ")"
}

// ignored reports whether an ignoreregex matches.
func (s *Session) ignored(text []byte) bool {
	for _, p := range s.f.ignore {
		if s.search(p, text) {
			return true
		}
	}
	return false
}

// report turns a record into a Match, through the memory of its session if it
// belongs to one. It sets done if nothing else is to be tried on this line.
func (s *Session) report(i int, r *record, lines []string, t *stamp) {
	s.counts.Matched++
	if !t.dated {
		s.counts.Undated++
	}
	session := r.values[fieldSession]
	if session.set {
		r = s.mergeSession(session.s, r, lines)
		if r.truthy(fieldNofail) && !s.set.All {
			s.done = true
			return
		}
	} else {
		r.lines, r.lineCount = append(r.lines, lines...), r.lineCount+len(lines)
	}
	id, addr, ok := addressOf(r)
	if !ok {
		r.pending = true
		if !s.set.All {
			s.done = true
			return
		}
	}
	if session.set {
		r = r.clone()
	}
	s.out = append(s.out, Match{
		Pattern: i, ID: id, Addr: addr, Time: t.sec, Dated: t.dated,
		Pending: !ok, NoFailure: r.truthy(fieldNofail),
		Attempts: r.lineCount, Lines: r.lines, record: r, names: s.f.names,
	})
}

// What the flags of a line say about its session.
const (
	flagNofail = 1 << iota // the line is no failure
	flagForget             // the session ends
	flagHad                // there was no failure before
	flagGained             // the login succeeded
)

// mergeSession puts r together with what is known of its session and returns
// the result, which the memory shares.
func (s *Session) mergeSession(id string, r *record, lines []string) *record {
	flags := 0
	if r.truthy(fieldGained) {
		flags |= flagGained | flagNofail
		if !r.truthy(fieldNofail) {
			r.values[fieldNofail] = r.values[fieldGained]
		}
	} else if r.truthy(fieldNofail) {
		flags |= flagNofail
	}
	if r.truthy(fieldForget) {
		flags |= flagForget
	}
	r.values[fieldForget] = value{}
	var users []string
	known := s.sessions.get(id, s.lastDate)
	switch {
	case known != nil:
		users = known.addUser(r.values[fieldUser].s)
		if known.truthy(fieldNofail) || known.truthy(fieldGained) {
			flags |= flagHad
		}
		known.values[fieldNofail], known.values[fieldGained] = value{}, value{}
		if flags&flagGained != 0 {
			known.pending = false
		}
		if flags&flagHad == 0 && !known.pending {
			known.lines, known.lineCount = nil, 0
		}
		for i, v := range r.values {
			if v.set {
				known.values[i] = v
			}
		}
		r = known
		if flags&flagForget != 0 {
			s.sessions.remove(id)
		}
	case flags&flagForget == 0:
		users = r.addUser(r.values[fieldUser].s)
		s.sessions.put(id, r, s.lastDate)
	}
	if r.pending || len(users) > 1 {
		r.values[fieldNofail], r.values[fieldGained] = value{}, value{}
		flags &^= flagGained | flagNofail
	}
	r.pending = false
	switch {
	case flags&flagNofail == 0:
		count := r.helpCount + r.lineCount
		all := append(r.helping, r.lines...)
		if flags&flagGained == 0 {
			all, count = append(all, lines...), count+len(lines)
		}
		r.lines, r.lineCount, r.helping, r.helpCount = capLines(all), count, nil, 0
	case flags&(flagNofail|flagForget) == flagNofail:
		r.helping, r.helpCount = capLines(append(r.helping, lines...)), r.helpCount+len(lines)
	}
	return r
}

// maxEvidence bounds the lines that a record keeps.
const maxEvidence = 20

func capLines(l []string) []string {
	if len(l) > maxEvidence {
		return slices.Clone(l[len(l)-maxEvidence:])
	}
	return l
}

// maxUsers bounds the user names that a record keeps.
const maxUsers = 50

func (r *record) addUser(u string) []string {
	if u != "" && !slices.Contains(r.users, u) && len(r.users) < maxUsers {
		r.users = append(r.users, u)
	}
	return r.users
}

// findLines is find for patterns that span lines.
func (s *Session) findLines(line []byte, from, to int, t stamp) []Match {
	s.read(line, from, to, &t)
	add := tuple{string(line[:from]), string(line[from:to]), string(line[to:])}
	if !t.dated || from == to {
		add = tuple{"", t.text, string(line)}
	}
	s.pending = append(s.pending, add)
	if n := len(s.pending) - s.f.def.MaxLines; n > 0 {
		s.pending = slices.Delete(s.pending, 0, n)
	}
	org := slices.Clone(s.pending)
	s.join(org)
	if len(s.f.ignore) > 0 && len(s.f.ignore) < len(s.f.fail)-2 && s.ignored(s.buf) {
		return nil
	}
	if s.f.pref != nil {
		if !s.search(s.f.pref, s.buf) {
			return nil
		}
		content := s.prefixGroups(s.buf)
		if len(content) != len(s.buf) {
			s.pending = []tuple{{post: string(content[:len(content)-1])}}
		}
	}
	text := s.joined(s.pending)
	for i, p := range s.f.fail {
		if !s.search(p, text) {
			continue
		}
		s.done = false
		r := s.groups(p, text)
		matched, rest := s.split(p, text, org)
		if len(s.f.ignore) > 0 && s.ignored(s.joined(matched)) {
			s.pending = rest
			if !s.set.All {
				break
			}
			text = s.joined(s.pending)
			continue
		}
		s.pending = rest
		s.report(i, r, texts(matched), &t)
		if s.done || !s.set.All {
			break
		}
		text = s.joined(s.pending)
	}
	return s.out
}

func texts(ts []tuple) []string {
	var out []string
	for _, t := range ts {
		out = append(out, t.pre+t.date+t.post)
	}
	return out
}

func (s *Session) join(ts []tuple) {
	s.buf = s.buf[:0]
	for _, t := range ts {
		s.buf = append(append(append(s.buf, t.pre...), t.post...), '\n')
	}
}

func (s *Session) joined(ts []tuple) []byte {
	var b []byte
	for _, t := range ts {
		b = append(append(append(b, t.pre...), t.post...), '\n')
	}
	return b
}

// split divides the lines into those that the last match covers, without the
// ones that <SKIPLINES> passed over, and the others.
func (s *Session) split(p *pattern, text []byte, org []tuple) (matched, rest []tuple) {
	if len(org) <= 1 {
		return org, nil
	}
	a, b := s.m.Span(0)
	start := bytes.LastIndexByte(text[:min(a+1, len(text))], '\n') + 1
	end := len(text)
	if i := bytes.IndexByte(text[max(b-1, 0):], '\n'); i >= 0 {
		end = max(b-1, 0) + i + 1
	}
	n1 := min(bytes.Count(text[:start], []byte{'\n'}), len(org))
	n2 := min(bytes.Count(text[:end], []byte{'\n'}), len(org))
	n2 = max(n1, n2)
	matched = slices.Clone(org[n1:n2])
	rest = slices.Clone(org[:n1])
	at := 0
	for _, skipped := range s.skipped(p, text) {
		for i := at; i < len(matched); i++ {
			if matched[i].text() == skipped {
				rest = append(rest, matched[i])
				matched = slices.Delete(matched, i, i+1)
				at = i
				break
			}
		}
	}
	return matched, append(rest, org[n2:]...)
}

func (s *Session) skipped(p *pattern, text []byte) []string {
	var all string
	for _, g := range p.skips {
		if a, b := s.m.Span(g); a >= 0 {
			all += string(text[a:b])
		}
	}
	if all == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(all, "\n"), "\n")
}

// A cache remembers sessions, the oldest forgotten first.
type cache struct {
	m     map[string]*cached
	order []string
}

type cached struct {
	r       *record
	expires float64
}

func newCache() cache { return cache{m: map[string]*cached{}} }

func (c *cache) get(id string, now float64) *record {
	e := c.m[id]
	if e == nil {
		return nil
	}
	if e.expires <= now {
		c.remove(id)
		return nil
	}
	return e.r
}

func (c *cache) put(id string, r *record, now float64) {
	if len(c.m) >= sessionsKept {
		for len(c.order) > 0 {
			old := c.order[0]
			c.order = c.order[1:]
			e := c.m[old]
			delete(c.m, old)
			if e.expires > now && len(c.m) < sessionsKept {
				break
			}
		}
	}
	if c.m[id] == nil {
		c.order = append(c.order, id)
	}
	c.m[id] = &cached{r, now + sessionLifetime}
}

func (c *cache) remove(id string) {
	if c.m[id] == nil {
		return
	}
	delete(c.m, id)
	if i := slices.Index(c.order, id); i >= 0 {
		c.order = slices.Delete(c.order, i, i+1)
	}
}
