package apt

import "strings"

// CompareVersions orders two Debian versions, deb-version(7): -1, 0 or 1. What is
// no version is compared all the same, as dpkg's own routine does.
func CompareVersions(a, b string) int {
	ae, a := epoch(a)
	be, b := epoch(b)
	if c := compareNumbers(ae, be); c != 0 {
		return c
	}
	av, ar := revision(a)
	bv, br := revision(b)
	if c := comparePart(av, bv); c != 0 {
		return c
	}
	return comparePart(ar, br)
}

func epoch(v string) (e, rest string) {
	if e, rest, ok := strings.Cut(v, ":"); ok {
		return e, rest
	}
	return "0", v
}

// revision splits at the last dash; no revision is the same as "0".
func revision(v string) (upstream, rev string) {
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return v[:i], v[i+1:]
	}
	return v, ""
}

// comparePart is verrevcmp of dpkg: by turns what is no digit, by order, and
// numbers.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !digit(a[0]) || b != "" && !digit(b[0]) {
			if x, y := order(a), order(b); x != y {
				return sign(x - y)
			}
			a, b = tail(a), tail(b)
		}
		x, restA := number(a)
		y, restB := number(b)
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
		a, b = restA, restB
	}
	return 0
}

// order puts ~ before the end, the end before letters, letters before the rest.
func order(s string) int {
	if s == "" || digit(s[0]) {
		return 0
	}
	c := s[0]
	switch {
	case c == '~':
		return -1
	case c|0x20 >= 'a' && c|0x20 <= 'z':
		return int(c)
	}
	return int(c) + 256
}

func tail(s string) string {
	if s == "" {
		return s
	}
	return s[1:]
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func number(s string) (n, rest string) {
	i := 0
	for i < len(s) && digit(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

// compareNumbers compares digits of any length.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return sign(len(a) - len(b))
	}
	return strings.Compare(a, b)
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
