package pyre

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// A Literals is a set of strings of which at least one occurs in every text
// that a pattern matches.
type Literals []string

const (
	// maxLiterals is how many alternatives one set may have.
	maxLiterals = 32
	// shortest is the least length of a literal that is worth looking for.
	shortest = 3
)

// Literals returns the most telling set of literals of re, in lower case: they
// are to be looked for without regard to the case of ASCII letters. It is nil
// if the pattern demands nothing that can be looked for.
//
// The literals are chosen so that none of them has two neighbouring characters
// both of which are no word characters: a date that was cut out of a line, at
// the boundaries of words, can then never have stood inside of one.
func (re *Regexp) Literals() Literals {
	sets := withExact(required(re.parsed()))
	var best Literals
	for _, s := range sets {
		if s = usable(s); s != nil && better(s, best) {
			best = s
		}
	}
	return best
}

// Required returns all the sets of literals of re: every text that it matches
// has one of each. They are as those of Literals, the most telling first.
func (re *Regexp) Required() []Literals {
	var out []Literals
	for _, s := range withExact(required(re.parsed())) {
		if s = usable(s); s == nil {
			continue
		}
		out = append(out, s)
		for i := len(out) - 1; i > 0 && better(out[i], out[i-1]); i-- {
			out[i], out[i-1] = out[i-1], out[i]
		}
	}
	return out
}

// Common returns a string that is in every text that re matches, exactly so; ""
// if none of at least four bytes is known. Like Literals, it is none that a date
// could have stood in.
func (re *Regexp) Common() string {
	tree := re.parsed()
	if folds(tree) {
		return ""
	}
	best := ""
	for _, set := range withExact(required(tree)) {
		if len(set) == 0 {
			continue
		}
		for _, part := range safeParts(set[0]) {
			for from := range part {
				for to := len(part); to-from > max(len(best), 3); to-- {
					if !slices.ContainsFunc(set, func(l string) bool { return !strings.Contains(l, part[from:to]) }) {
						best = part[from:to]
					}
				}
			}
		}
	}
	return best
}

// folds reports whether the case of letters does not matter anywhere in n.
func folds(n *node) bool { return n.fold || slices.ContainsFunc(n.subs, folds) }

// usable cuts each literal down to its longest part that may be looked for; nil
// if one is left too short.
func usable(s Literals) Literals {
	var out Literals
	for _, l := range s {
		part := ""
		for _, p := range safeParts(l) {
			if score(p) > score(part) {
				part = p
			}
		}
		if len(part) < shortest {
			return nil
		}
		if part = strings.ToLower(part); !slices.Contains(out, part) {
			out = append(out, part)
		}
	}
	return out
}

// safeParts splits between neighbouring characters that both are no word
// characters, and at everything that is not ASCII.
func safeParts(l string) []string {
	var parts []string
	from := 0
	for i := 1; i <= len(l); i++ {
		if i == len(l) || !asciiWord(l[i-1]) && !asciiWord(l[i]) || l[i-1] >= utf8.RuneSelf || l[i] >= utf8.RuneSelf {
			if p := l[from:i]; isASCII(p) {
				parts = append(parts, p)
			}
			from = i
		}
	}
	return parts
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func asciiWord(c byte) bool { return c < utf8.RuneSelf && isWord(rune(c)) }

// score says how telling a literal is: long ones are, and those that stand in
// every other line of a log are not.
func score(l string) int {
	if common(l) {
		return len(l) - 4
	}
	return len(l)
}

func common(l string) bool {
	switch strings.ToLower(strings.TrimSpace(l)) {
	case "from", "user", "for", "error", "client", "port", "info", "warning", "with", "http", "rhost=", "the",
		"[client", "[remote", "ruser=", "user=", "update", "query", "authentication failure;", "pam_unix":
		return true
	}
	return false
}

// Telling reports whether lines without any of s are worth telling apart: the
// literals are long, few, and no words that stand everywhere.
func (s Literals) Telling() bool {
	if len(s) == 0 || len(s) > 8 {
		return false
	}
	for _, l := range s {
		switch t := strings.ToLower(strings.TrimSpace(l)); {
		case t == "[client" || t == "[remote":
		case len(l) < 6 || common(l):
			return false
		}
	}
	return true
}

func better(a, b Literals) bool {
	if b == nil {
		return true
	}
	wa, wb := worst(a), worst(b)
	if wa != wb && min(wa, wb) < 6 {
		return wa > wb
	}
	return 2*wa-len(a) > 2*wb-len(b)
}

func worst(s Literals) int {
	w := 1 << 30
	for _, l := range s {
		w = min(w, score(l))
	}
	return w
}

// A need is what a part of a pattern demands of the text that it matches.
type need struct {
	// exact holds all texts it can match, if they are few; nil if not known.
	exact Literals
	sets  []Literals
}

func required(n *node) need {
	switch n.kind {
	case nEmpty, nAssert, nLook:
		return need{exact: Literals{""}}
	case nLit:
		// Literals are looked for without regard to case anyway; but not all
		// other cases of an ASCII letter are ASCII.
		if n.fold && (n.r >= utf8.RuneSelf || n.r == 'k' || n.r == 's' || n.r == 'K' || n.r == 'S') {
			return need{}
		}
		return need{exact: Literals{string(n.r)}}
	case nSet:
		return need{exact: few(n.set)}
	case nCat:
		return requiredCat(n.subs)
	case nAlt:
		return requiredAlt(n.subs)
	case nCond:
		return requiredAlt(n.subs)
	case nGroup, nAtomic:
		return required(n.subs[0])
	case nRepeat:
		sub := required(n.subs[0])
		switch {
		case n.min == 1 && n.max == 1:
			return sub
		case n.min == 0 && n.max == 1 && sub.exact != nil && len(sub.exact) < maxLiterals:
			return need{exact: append(Literals{""}, sub.exact...)}
		case n.min == 0:
			return need{}
		}
		return need{sets: withExact(sub)}
	}
	return need{}
}

// few lists the characters of a set if they are at most three and ASCII, such
// as [aA].
func few(s *charSet) Literals {
	if s.wide != -1 {
		return nil
	}
	var out Literals
	for c := range byte(utf8.RuneSelf) {
		if s.has(rune(c)) {
			if out = append(out, string(rune(c))); len(out) > 3 {
				return nil
			}
		}
	}
	return out
}

// withExact is what n demands when what surrounds it is unknown.
func withExact(n need) []Literals {
	if n.exact == nil {
		return n.sets
	}
	return append(n.sets[:len(n.sets):len(n.sets)], n.exact)
}

func requiredCat(subs []*node) need {
	run := Literals{""}
	exact := true
	var sets []Literals
	for _, s := range subs {
		sub := required(s)
		if joined := product(run, sub.exact); joined != nil {
			run = joined
			continue
		}
		exact = false
		sets = append(sets, run)
		if sub.exact != nil {
			run = sub.exact
			continue
		}
		sets = append(sets, sub.sets...)
		run = Literals{""}
	}
	if exact {
		return need{exact: run}
	}
	return need{sets: append(sets, run)}
}

// product joins every text of a with every one of b; nil if that is not known
// or too much.
func product(a, b Literals) Literals {
	if b == nil || len(a)*len(b) > maxLiterals {
		return nil
	}
	var out Literals
	for _, x := range a {
		for _, y := range b {
			if len(x)+len(y) > 200 {
				return nil
			}
			out = append(out, x+y)
		}
	}
	return out
}

func requiredAlt(subs []*node) need {
	exact, set := Literals{}, Literals{}
	for _, s := range subs {
		sub := required(s)
		if exact != nil && sub.exact != nil && len(exact)+len(sub.exact) <= maxLiterals {
			exact = append(exact, sub.exact...)
		} else {
			exact = nil
		}
		var best Literals
		for _, l := range withExact(sub) {
			if u := usable(l); u != nil && better(u, best) {
				best = u
			}
		}
		if set != nil && best != nil && len(set)+len(best) <= maxLiterals {
			set = append(set, best...)
		} else {
			set = nil
		}
	}
	switch {
	case exact != nil:
		return need{exact: exact}
	case set != nil:
		return need{sets: []Literals{set}}
	}
	return need{}
}
