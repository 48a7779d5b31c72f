package logdate

import (
	"fmt"
	"strings"
)

// weekdays and months in the C locale, as Python's strptime compares them.
var (
	weekdays     = [...]string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	weekdayAbbrs = [...]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	months       = [...]string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}
	monthAbbrs   = [...]string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
)

const zoneAbbr = `[A-Z](?:[A-Z]{2,4})?`

// tokenRe returns the expression of the token %name, given the current year:
// %ExY takes years from 2000 to the decade that is three years ahead.
func tokenRe(name string, year int) (string, bool) {
	switch name {
	case "%":
		return "%", true
	case "ExY":
		return `(?P<Y>` + decades(year) + `\d)`, true
	case "c":
		return `(?P<a>mon|tue|wed|thu|fri|sat|sun)\s+(?P<b>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\s+` +
			`(?P<d>[1-2]\d|[0 ]?[1-9]|3[0-1])\s+(?P<H>[0-1]?\d|2[0-3]):(?P<M>[0-5]?\d):(?P<S>[0-5]?\d|6[0-1])\s+(?P<Y>\d{4})`, true
	case "x":
		return `(?P<m>0?[1-9]|1[0-2])/(?P<d>[1-2]\d|[0 ]?[1-9]|3[0-1])/(?P<y>\d\d)`, true
	case "X":
		return `(?P<H>[0-1]?\d|2[0-3]):(?P<M>[0-5]?\d):(?P<S>[0-5]?\d|6[0-1])`, true
	}
	for i := 0; i < len(tokens); i += 2 {
		if tokens[i] == name {
			return tokens[i+1], true
		}
	}
	return "", false
}

// tokens maps the other tokens to expressions: Python's, but where fail2ban
// has its own.
var tokens = [...]string{
	"d", `(?P<d>[1-2]\d|[0 ]?[1-9]|3[0-1])`,
	"f", `(?P<f>[0-9]{1,6})`,
	"H", `(?P<H>[0-1]?\d|2[0-3])`,
	"k", ` ?(?P<H>[0-2]?\d)`,
	"I", `(?P<I>1[0-2]|0[1-9]|[1-9])`,
	"l", ` ?(?P<I>1?\d)`,
	"G", `(?P<G>\d\d\d\d)`,
	"j", `(?P<j>36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9])`,
	"m", `(?P<m>0?[1-9]|1[0-2])`,
	"M", `(?P<M>[0-5]?\d)`,
	"S", `(?P<S>[0-5]?\d|6[0-1])`,
	"U", `(?P<U>5[0-3]|[0-4]\d|\d)`,
	"W", `(?P<W>5[0-3]|[0-4]\d|\d)`,
	"w", `(?P<w>[0-6])`,
	"u", `(?P<u>[1-7])`,
	"V", `(?P<V>5[0-3]|0[1-9]|[1-4]\d|\d)`,
	"y", `(?P<y>\d\d)`,
	"Y", `(?P<Y>\d{4})`,
	"a", `(?P<a>mon|tue|wed|thu|fri|sat|sun)`,
	"A", `(?P<A>wednesday|thursday|saturday|tuesday|monday|friday|sunday)`,
	"b", `(?P<b>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)`,
	"B", `(?P<B>september|february|november|december|january|october|august|march|april|june|july|may)`,
	"p", `(?P<p>am|pm)`,
	"Z", `(?P<Z>Z|[A-Z]{3,5})`,
	"z", `(?P<z>Z|UTC|GMT|[+-][01]\d(?::?\d{2})?)`,
	"ExZ", `(?P<Z>` + zoneAbbr + `)`,
	"Exz", `(?P<z>(?:` + zoneAbbr + `)?[+-][01]\d(?::?\d{2})?|` + zoneAbbr + `)`,
	"Exd", `(?P<d>[1-2]\d|0[1-9]|3[0-1])`,
	"Exm", `(?P<m>0[1-9]|1[0-2])`,
	"ExH", `(?P<H>[0-1]\d|2[0-3])`,
	"Exk", ` ?(?P<H>[0-1]?\d|2[0-3])`,
	"Exl", ` ?(?P<I>1[0-2]|\d)`,
	"ExM", `(?P<M>[0-5]\d)`,
	"ExS", `(?P<S>[0-5]\d|6[0-1])`,
	"Exy", `(?P<y>\d{2})`,
}

// decades is the expression of the first three digits of the years from 2000 to
// three years from now.
func decades(year int) string {
	var b strings.Builder
	for d := 200; d <= (max(year, 2001)+3)/10; d++ {
		if b.Len() > 0 {
			b.WriteByte('|')
		}
		fmt.Fprintf(&b, "%d", d)
	}
	return "(?:" + b.String() + ")"
}

// expandTokens replaces the tokens of a pattern by their expressions.
func expandTokens(pattern string, year int) (string, error) {
	var b strings.Builder
	for i := 0; i < len(pattern); {
		if pattern[i] != '%' {
			b.WriteByte(pattern[i])
			i++
			continue
		}
		name := token(pattern[i+1:])
		re, ok := tokenRe(name, year)
		if !ok || name == "" {
			return "", fmt.Errorf("date pattern %q: unknown token %q", pattern, clip(pattern[i:], 4))
		}
		b.WriteString(re)
		i += 1 + len(name)
	}
	return b.String(), nil
}

// token returns the name of the token that s begins with.
func token(s string) string {
	if len(s) >= 3 && s[:2] == "Ex" {
		if _, ok := tokenRe(s[:3], 2001); ok {
			return s[:3]
		}
	}
	return clip(s, 1)
}

func clip(s string, n int) string { return s[:min(n, len(s))] }

// defaults are the 17 templates that are tried if a filter names none.
var defaults = [...]string{
	`%ExY(?P<_sep>[-/.])%m(?P=_sep)%d(?:T|  ?)%H:%M:%S(?:[.,]%f)?(?:\s*%z)?`,
	`(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?`,
	`(?:%a )?%b %d %ExY %k:%M:%S(?:\.%f)?`,
	`%d(?P<_sep>[-/])%m(?P=_sep)(?:%ExY|%Exy) %k:%M:%S`,
	`%d(?P<_sep>[-/])%b(?P=_sep)%ExY[ :]?%H:%M:%S(?:\.%f)?(?: %z)?`,
	`%m/%d/%ExY:%H:%M:%S`,
	`%m-%d-%ExY %k:%M:%S(?:\.%f)?`,
	`EPOCH`,
	`{^LN-BEG}%H:%M:%S`,
	`^<%m/%d/%Exy@%H:%M:%S>`,
	`%Exy%Exm%Exd  ?%H:%M:%S`,
	`%b %d, %ExY %I:%M:%S %p`,
	`^%b-%d-%Exy %k:%M:%S`,
	`%ExY%Exm%Exd(?:T|  ?)%ExH%ExM%ExS(?:[.,]%f)?(?:\s*%z)?`,
	`(?:%Z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?`,
	`(?:%z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?`,
	`TAI64N`,
}
