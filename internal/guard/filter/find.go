package filter

import (
	"bytes"
	"math/bits"
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
	for w, mask := range f.begins.of(content) {
		if only != nil {
			mask &= only[w]
		}
		for ; mask != 0; mask &= mask - 1 {
			i := w<<6 + bits.TrailingZeros64(mask)
			if !s.search(f.fail[i], content) {
				continue
			}
			s.matched(i, f.fail[i], content, line, from, to, &t)
			if s.done || !s.set.All {
				return s.out
			}
		}
	}
	return s.out
}

// prefixGroups keeps the groups of prefregex and returns the content that the
// other patterns look at.
func (s *Session) prefixGroups(buf []byte) []byte {
	s.prefAt = s.prefAt[:0]
	content := buf
	for _, u := range s.f.pref.uses {
		a, b := s.m.Span(u.group)
		s.prefAt = append(s.prefAt, [2]int32{int32(a), int32(b)})
		if u.field != fieldContent || b <= a {
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
	// One copy of the line is evidence and home of all fields.
	src := source{text: s.evidence.keep(line), from: from, cut: to - from}
	src.at = cap(s.buf) - cap(content) // content is part of buf, or a copy
	if src.at < 0 || src.at+len(content) > len(s.buf) || len(content) > 0 && &s.buf[src.at] != &content[0] {
		src.at = -1
	}
	r := s.groups(p, content, &src)
	if len(s.f.ignore) > 0 && s.ignored(content) {
		s.done = !s.set.All
		return
	}
	if !s.read(line, from, to, t) {
		s.done = true
		return
	}
	s.line1[0] = src.text
	s.report(i, r, s.line1[:], t)
}

// A source gives pieces of buf as pieces of the line that it was made from.
type source struct {
	text      string
	from, cut int // the date that buf lacks
	at        int // where content begins in buf; -1 if it is not part of it
}

// piece returns buf[a:b], which does not reach over the date, without the
// newline that buf may have at the end.
func (src *source) piece(a, b int) string {
	if a >= src.from {
		a, b = a+src.cut, b+src.cut
	}
	return src.text[min(a, len(src.text)):min(b, len(src.text))]
}

// groups collects the fields of the last match, over those of prefregex.
func (s *Session) groups(p *pattern, content []byte, src *source) *record {
	r := s.newRecord(len(s.f.names))
	if pref := s.f.pref; pref != nil {
		for i, u := range pref.uses {
			fill(r, u.field, s.buf, int(s.prefAt[i][0]), int(s.prefAt[i][1]), src, 0)
		}
		applyMerges(r, pref)
		r.unset(fieldContent)
	}
	at := 0
	if src != nil {
		if at = src.at; at < 0 {
			src, at = nil, 0
		}
	}
	for _, u := range p.uses {
		a, b := s.m.Span(u.group)
		fill(r, u.field, content, a, b, src, at)
	}
	applyMerges(r, p)
	return r
}

// fill sets a field to text[a:b], of which src knows what begins at base. A group
// that took no part leaves what prefregex found, as in fail2ban 1.1.1; before, it
// took that away.
func fill(r *record, field int, text []byte, a, b int, src *source, base int) {
	switch {
	case a < 0:
	case src == nil, a+base < src.from && b+base > src.from:
		r.set(field, string(text[a:b]))
	default:
		r.set(field, src.piece(a+base, b+base))
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
	inSession := r.has(fieldSession)
	if inSession {
		r = s.mergeSession(r.values[fieldSession], r, lines)
		if r.truthy(fieldNofail) && !s.set.All {
			s.done = true
			return
		}
	} else {
		r.lines, r.lineCount = append(r.lines, lines...), r.lineCount+len(lines)
		s.retire(r)
	}
	id, addr, ok := addressOf(r)
	if !ok {
		r.pending = true
		if !s.set.All {
			s.done = true
			return
		}
	}
	if inSession && s.set.All {
		r = r.clone() // the next pattern may change it
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
			r.set(fieldNofail, r.values[fieldGained])
		}
	} else if r.truthy(fieldNofail) {
		flags |= flagNofail
	}
	if r.truthy(fieldForget) {
		flags |= flagForget
	}
	r.unset(fieldForget)
	var users []string
	entry := s.sessions.get(id, s.lastDate)
	switch {
	case entry != nil:
		known := entry.r
		users = known.addUser(r.values[fieldUser])
		if known.truthy(fieldNofail) || known.truthy(fieldGained) {
			flags |= flagHad
		}
		known.unset(fieldNofail)
		known.unset(fieldGained)
		if flags&flagGained != 0 {
			known.pending = false
		}
		if flags&flagHad == 0 && !known.pending {
			known.lines, known.lineCount = known.lines[:0], 0
		}
		known.update(r)
		s.retire(r)
		r = known
		if flags&flagForget != 0 {
			s.sessions.unlink(entry)
			s.retire(r)
		}
	case flags&flagForget == 0:
		users = r.addUser(r.values[fieldUser])
		if old := s.sessions.put(id, r, s.lastDate); old != nil {
			s.retire(old)
		}
	default:
		s.retire(r) // of a session that is not known, and ends
	}
	if r.pending || len(users) > 1 {
		r.unset(fieldNofail)
		r.unset(fieldGained)
		flags &^= flagGained | flagNofail
	}
	r.pending = false
	switch {
	case flags&flagNofail == 0:
		if len(r.helping) > 0 {
			r.lines, r.helping = append(r.helping, r.lines...), r.lines[:0]
		}
		r.lineCount, r.helpCount = r.helpCount+r.lineCount, 0
		if flags&flagGained == 0 {
			r.lines, r.lineCount = append(r.lines, lines...), r.lineCount+len(lines)
		}
		r.lines = capLines(r.lines)
	case flags&(flagNofail|flagForget) == flagNofail:
		r.helping, r.helpCount = capLines(append(r.helping, lines...)), r.helpCount+len(lines)
	}
	return r
}

// findLines is find for patterns that span lines.
func (s *Session) findLines(line []byte, from, to int, t stamp) []Match {
	if !s.read(line, from, to, &t) {
		return nil
	}
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
		r := s.groups(p, text, nil)
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
	var all strings.Builder
	for _, g := range p.skips {
		if a, b := s.m.Span(g); a >= 0 {
			all.Write(text[a:b])
		}
	}
	if all.Len() == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(all.String(), "\n"), "\n")
}
