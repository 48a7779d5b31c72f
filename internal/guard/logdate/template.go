package logdate

import (
	"fmt"
	"strings"

	"sekimori/internal/guard/pyre"
)

// bounds says where a template may match.
type bounds uint8

const (
	lineBegin bounds = 8
	lineEnd   bounds = 4
	wordBegin bounds = 2
	wordEnd   bounds = 1
)

type kind uint8

const (
	fields kind = iota // of strptime, in groups named after them
	epoch
	longEpoch
	tai64n
)

// A template finds one form of date.
type template struct {
	key     string // what makes it a duplicate of another one
	pattern string
	kind    kind
	group   int // holds the number of an epoch
	weight  float64
	quick   quick
	flags   bounds
	re      *pyre.Regexp
	fields  [26 + 26 + 1]int8 // group of each field, by fieldIndex
}

// begin is how a template may begin.
type begin uint8

const (
	anywhere begin = iota
	atWord
	atLine
)

const lnBeg = "{^LN-BEG}"

// maker builds templates for a given year.
type maker struct {
	year int
	made map[string]*template
}

// make builds the template of a pattern, once.
func (mk maker) make(pattern string) (*template, error) {
	if t := mk.made[pattern]; t != nil {
		return t, nil
	}
	t, err := mk.build(pattern)
	if err == nil {
		mk.made[pattern] = t
	}
	return t, err
}

func (mk maker) build(pattern string) (*template, error) {
	key := pattern
	if !strings.Contains(pattern, "%") {
		key = strings.ToUpper(pattern)
	}
	if strings.Contains(key, "EPOCH") {
		switch {
		case search(epochTag, pattern):
			k, re := epoch, shortEpochRe
			if strings.Contains(key, "LEPOCH") {
				k, re = longEpoch, longEpochRe
			}
			re = "(" + replaceAll(epochTag, pattern, "("+re+")") + ")"
			return mk.finish(&template{key: pattern, pattern: pattern, kind: k, group: 2}, re, atWord, true)
		case key == "EPOCH" || key == "LEPOCH":
			return mk.epoch(key, false)
		case key == lnBeg+"EPOCH" || key == "^EPOCH" || key == lnBeg+"LEPOCH" || key == "^LEPOCH":
			return mk.epoch(key, true)
		}
	}
	switch key {
	case "TAI64N":
		return mk.finish(&template{key: "TAI64N", pattern: "TAI64N", kind: tai64n, group: 1}, "@[0-9a-f]{24}", anywhere, true)
	case lnBeg + "TAI64N", "^TAI64N":
		return mk.finish(&template{key: lnBeg + "TAI64N", pattern: "TAI64N", kind: tai64n, group: 1}, "@[0-9a-f]{24}", atLine, true)
	}
	return mk.regular(pattern)
}

const (
	shortEpochRe = `\d{10,11}\b(?:\.\d{3,6})?`
	longEpochRe  = `\d{10,11}(?:\d{3}(?:\.\d{1,6}|\d{3})?)?`
)

func (mk maker) epoch(key string, line bool) (*template, error) {
	t := &template{key: "Epoch", pattern: key, kind: epoch, group: 1}
	re := shortEpochRe
	if strings.Contains(key, "LEPOCH") {
		t.key, t.kind, re = "LongEpoch", longEpoch, longEpochRe
	}
	if line {
		t.key = lnBeg + t.key
		return mk.finish(t, `((?P<square>(?<=^\[))?`+re+`)(?(square)(?=\]))`, atLine, true)
	}
	re = `((?:^|(?P<square>(?<=^\[))|(?P<selinux>(?<=\baudit\()))` + re + `)(?:(?(selinux)(?=:\d+\)))|(?(square)(?=\])))`
	return mk.finish(t, re, anywhere, true)
}

// regular builds a template out of tokens.
func (mk maker) regular(pattern string) (*template, error) {
	t := &template{key: pattern, pattern: pattern}
	from, end := atWord, true
	rest, unbound := strings.CutPrefix(pattern, "{UNB}")
	if unbound {
		from, end = anywhere, false
	} else if after, ok := strings.CutPrefix(rest, lnBeg); ok {
		rest, from = after, atLine
	}
	re, err := expandTokens(rest, mk.year)
	if err != nil {
		return nil, err
	}
	// Names of days and months are found in any case.
	if search(alphaToken, rest) {
		re = `(?iu)` + re
	}
	return mk.finish(t, re, from, end)
}

// finish adds what bounds a date, makes sure that the whole date is a group,
// and compiles.
func (mk maker) finish(t *template, re string, from begin, end bool) (*template, error) {
	re = strings.TrimSpace(re)
	flags := ""
	if i, j, ok := find(globalFlags, re, 0); ok {
		flags, re = re[i:j], re[:i]+re[j:]
	}
	boundBegin := from != anywhere && !search(noWordBegin, re)
	boundEnd := end && !search(noWordEnd, re)
	if !search(grouped, re) {
		re = groupWhole(re)
	}
	if boundBegin && from == atLine {
		t.flags |= lineBegin
		re = `^(?:\W{0,2})?` + re
	} else if boundBegin {
		t.flags |= wordBegin
		re = `(?=^|\b|\W)` + re
	}
	if boundEnd {
		t.flags |= wordEnd
		re += `(?=\b|\W|$)`
	}
	if search(lineBound, re) {
		t.flags |= lineBegin
	}
	if search(lineEndBound, re) {
		t.flags |= lineEnd
	}
	re = flags + stripStars(re)
	var err error
	if t.re, err = pyre.Compile(re, 0); err != nil {
		return nil, fmt.Errorf("date pattern %q: %w in %s", t.pattern, err, re)
	}
	if t.re.Groups() < 1 {
		return nil, fmt.Errorf("date pattern %q: no group holds the date", t.pattern)
	}
	t.weight, t.quick = 1, quickOf(t.key)
	if t.kind == fields {
		for c := byte('A'); c <= 'z'; c++ {
			if i := fieldIndex(c); i >= 0 {
				t.fields[i] = int8(t.re.Group(string(c)))
			}
		}
	}
	return t, nil
}

// fieldIndex numbers the letters; -1 for anything else.
func fieldIndex(c byte) int {
	switch {
	case 'a' <= c && c <= 'z':
		return int(c - 'a')
	case 'A' <= c && c <= 'Z':
		return 26 + int(c-'A')
	}
	return -1
}

// anchored returns the template of the same dates at the beginning of a line.
func (mk maker) anchored(t *template) (*template, error) { return mk.make(lnBeg + t.pattern) }

// inside returns t with its pattern put in the place of {DATE}.
func (mk maker) inside(t *template, around string) (*template, error) {
	bare := t.pattern
	if t.kind != fields {
		bare = t.key // a name: fail2ban wraps it, and looks for it as text
	}
	for _, cut := range []string{"{UNB}", lnBeg} {
		bare = strings.TrimPrefix(bare, cut)
	}
	return mk.make(replaceAll(dateTag, around, bare))
}

// The shapes that decide about the bounds of a pattern.
var (
	grouped      = pyre.MustCompile(`(?<!\(\?)(?<!\\)\((?!\?)`, 0)
	globalFlags  = pyre.MustCompile(`\(\?[a-z]+\)`, 0)
	noWordBegin  = pyre.MustCompile(`^\(*(?:\(\?\w+\))?(?:\^|\(*\*\*|\((?:\?:)?\^)`, 0)
	noWordEnd    = pyre.MustCompile(`(?<!\\)(?:\$\)?|\\b|\\s|\*\*\)*)$`, 0)
	lineBound    = pyre.MustCompile(`^(?:\(\?\w+\))?(?:\^|\((?:\?:)?\^(?!\|))`, 0)
	lineEndBound = pyre.MustCompile(`(?<![\\\|])(?:\$\)?)$`, 0)
	starsBegin   = pyre.MustCompile(`^\(*(?:\(\?\w+\))?\(*\*\*`, 0)
	starsEnd     = pyre.MustCompile(`(?<!\\)\*\*\)*$`, 0)
	alphaToken   = pyre.MustCompile(`(?<!%)%[aAbBpc]`, 0)
	epochTag     = pyre.MustCompile(`(?<!\\)\{L?EPOCH\}`, pyre.IgnoreCase)
	dateTag      = pyre.MustCompile(`(?<!\\)\{DATE\}`, pyre.IgnoreCase)
	wholeRe      = pyre.MustCompile(`^((?:\(\?\w+\))?\^?(?:\(\?\w+\))?)(.*?)(\$?)$`, 0)
)

func find(re *pyre.Regexp, s string, from int) (i, j int, ok bool) {
	m, budget := pyre.NewMachine(), 1_000_000
	if m.SearchFrom(re, []byte(s), from, &budget) != pyre.Matched {
		return 0, 0, false
	}
	i, j = m.Span(0)
	return i, j, true
}

func search(re *pyre.Regexp, s string) bool {
	_, _, ok := find(re, s, 0)
	return ok
}

func replaceAll(re *pyre.Regexp, s, by string) string {
	for from := 0; ; {
		i, j, ok := find(re, s, from)
		if !ok {
			return s
		}
		s = s[:i] + by + s[j:]
		from = i + len(by)
	}
}

// groupWhole makes a group of a pattern that has none, without its anchors.
func groupWhole(re string) string {
	m, budget := pyre.NewMachine(), 1_000_000
	if m.Search(wholeRe, []byte(re), &budget) != pyre.Matched {
		return "(" + re + ")"
	}
	_, a := m.Span(1)
	_, b := m.Span(2)
	return re[:a] + "(" + re[a:b] + ")" + re[b:]
}

// stripStars removes the ** that say "no word boundary here".
func stripStars(re string) string {
	if i, j, ok := find(starsBegin, re, 0); ok {
		re = strings.ReplaceAll(re[i:j], "**", "") + re[j:]
	}
	if i, j, ok := find(starsEnd, re, 0); ok {
		re = re[:i] + strings.ReplaceAll(re[i:j], "**", "")
	}
	return re
}
