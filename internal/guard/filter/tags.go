package filter

import (
	"fmt"
	"slices"
	"strings"
)

// The expressions that the tags of an address stand for, as fail2ban defines
// them: an IPv4-mapped IPv6 address counts as IPv4, and a name is taken where
// <HOST> allows one.
const (
	ip4Re  = `(?:::f{4,6}:)?(?P<ip4>(?:\d{1,3}\.){3}\d{1,3})`
	ip6Re  = `(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|::){1,7}(?:[0-9a-fA-F]{1,4}|(?<=:):))`
	dnsRe  = `(?P<dns>[\w\-.^_]*\w)`
	addrRe = `\[?(?:` + ip4Re + `|` + ip6Re + `)\]?`
	hostRe = `(?:` + addrRe + `|` + dnsRe + `)`
	cidrRe = `(?P<cidr>\d+)`
)

// tagRe returns the expression of a tag that stands for itself.
func tagRe(tag string) (string, bool) {
	switch tag {
	case "HOST":
		return hostRe, true
	case "IP4", "F-IP4/":
		return ip4Re, true
	case "IP6", "F-IP6/":
		return ip6Re, true
	case "ADDR", "F-ADDR/":
		return addrRe, true
	case "CIDR", "F-CIDR/":
		return cidrRe, true
	case "SUBNET", "F-SUBNET/":
		return `\[?(?:` + ip4Re + `|` + ip6Re + `)(?:/` + cidrRe + `)?\]?`, true
	case "DNS", "F-DNS/":
		return dnsRe, true
	case "F-ID/":
		return `(?P<fid>\S+)`, true
	case "F-PORT/":
		return `(?P<fport>\w+)`, true
	}
	return "", false
}

// An expansion is a pattern with its tags replaced, for whoever wants to know
// what became of which byte.
type expansion struct {
	b    strings.Builder
	from []int // by byte: where in the pattern it comes from
}

func (e *expansion) write(s string, at int) {
	e.b.WriteString(s)
	for range len(s) {
		e.from = append(e.from, at)
	}
}

// copied writes a piece of the pattern as it is.
func (e *expansion) copied(s string, at int) {
	e.b.WriteString(s)
	for i := range len(s) {
		e.from = append(e.from, at+i)
	}
}

// origin returns where in the pattern a byte of the expansion comes from.
func (e *expansion) origin(at int) int {
	if at < len(e.from) {
		return e.from[at]
	}
	if n := len(e.from); n > 0 {
		return e.from[n-1] + 1
	}
	return 0
}

// A strayTag is a tag that means nothing.
type strayTag struct {
	at   int // in the pattern
	name string
}

// expandTags replaces the tags of a pattern by groups. Tags that mean nothing
// stay as text, as in fail2ban, and are listed unless a backslash is before them.
func expandTags(re string) (*expansion, []strayTag) {
	var e expansion
	var stray []strayTag
	open := map[string]bool{}
	skipped, pos := 0, 0
	for {
		start := strings.IndexByte(re[pos:], '<')
		if start < 0 {
			break
		}
		start += pos
		e.copied(re[pos:start], pos)
		end := tagEnd(re[start:])
		if end < 0 {
			e.copied("<", start)
			pos = start + 1
			continue
		}
		tag := re[start+1 : start+end]
		pos = start + end + 1
		switch exp, ok := tagRe(tag); {
		case ok:
			e.write(exp, start)
		case tag == "SKIPLINES":
			e.write(fmt.Sprintf(`\n(?P<skiplines%d>(?:(?:.*\n)*?))`, skipped), start)
			skipped++
		default:
			exp, ok := customTag(tag, open)
			if e.write(exp, start); !ok && !escaped(re, start) {
				stray = append(stray, strayTag{start, tag})
			}
		}
	}
	e.copied(re[pos:], pos)
	return localFlags(&e), stray
}

// escaped reports whether a backslash takes the meaning from re[at], or re[at]
// names or refers to a group as in (?P<name> and (?<name>.
func escaped(re string, at int) bool {
	n := 0
	for n < at && re[at-1-n] == '\\' {
		n++
	}
	return n%2 == 1 || strings.HasSuffix(re[:at], "(?P") || strings.HasSuffix(re[:at], "(?")
}

// tagEnd returns where the tag that s begins with ends; -1 if it is none.
func tagEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '>':
			if i == 1 || s[1:i] == "/" {
				return -1
			}
			return i
		case c == '/' && (i == 1 || i+1 < len(s) && s[i+1] == '>'):
		case c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		default:
			return -1
		}
	}
	return -1
}

// customTag turns <F-NAME> and </F-NAME> into a group. It is not ok if the tag
// is none of these, or closes what is not open.
func customTag(tag string, open map[string]bool) (group string, ok bool) {
	name, closing := strings.CutPrefix(tag, "/")
	name, ok = strings.CutPrefix(name, "F-")
	if !ok || name == "" || name != strings.ToUpper(name) || strings.HasSuffix(name, "/") {
		return "<" + tag + ">", false
	}
	if closing {
		if open[name] {
			return ")", true
		}
		return "<" + tag + ">", false
	}
	open[name] = true
	switch name {
	case "ID":
		return "(?P<fid>", true
	case "PORT":
		return "(?P<fport>", true
	}
	return "(?P<" + strings.ToLower(name) + ">", true
}

// localFlags turns ((?i)x) and (?:(?i)x), which Python refuses by now, into (?i:x).
func localFlags(e *expansion) *expansion {
	re := e.b.String()
	var out expansion
	for i := 0; i < len(re); {
		if re[i] == '\\' && i+1 < len(re) {
			out.write(re[i:i+1], e.from[i])
			out.write(re[i+1:i+2], e.from[i+1])
			i += 2
			continue
		}
		if re[i] == '(' {
			rest := strings.TrimPrefix(re[i+1:], "?:")
			if flags, after, ok := strings.Cut(strings.TrimPrefix(rest, "(?"), ")"); ok && strings.HasPrefix(rest, "(?") && flags != "" && strings.Trim(flags, "aiLmsux") == "" {
				out.write("(?"+flags+":", e.from[i])
				i = len(re) - len(after)
				continue
			}
		}
		out.write(re[i:i+1], e.from[i])
		i++
	}
	return &out
}

// knownTags are those that a filter may use besides its own options.
var knownTags = [...]string{
	"HOST", "ADDR", "IP4", "IP6", "DNS", "CIDR", "SUBNET", "SKIPLINES", "F-ID", "F-USER", "F-ALT_USER", "F-PORT", "F-CONTENT", "F-NOFAIL",
	"F-MLFID", "F-MLFFORGET", "F-MLFGAINED", "F-ERROR", "F-RCPT", "F-ID/", "F-PORT/", "F-IP4/", "F-IP6/", "F-ADDR/", "F-CIDR/", "F-SUBNET/", "F-DNS/",
}

// about says what is wrong with a tag that means nothing in a pattern of d; ""
// if it may well be text of the log, as <NOSRV> is of HAProxy's: the names of
// options are written small, those of the language are known.
func (t strayTag) about(d *Definition) string {
	if name, ok := strings.CutPrefix(t.name, "/F-"); ok {
		return fmt.Sprintf("</F-%s> closes what is not open", name)
	}
	for option, value := range d.Options {
		if s := t.aboutOption(d, option, value); s != "" {
			return s
		}
	}
	s := fmt.Sprintf("<%s> means nothing", clip(t.name))
	if n := nearest(t.name, knownTags[:]); n != "" {
		return s + fmt.Sprintf(" (did you mean <%s>?)", n)
	}
	if t.name == strings.ToUpper(t.name) {
		return ""
	}
	if n := nearest(t.name, d.tags); n != "" {
		return s + fmt.Sprintf(" (did you mean <%s>?)", n)
	}
	return s + fmt.Sprintf(" (\\<%s> is the text itself)", clip(t.name))
}

// aboutOption says what <x-<option>> is about that became a tag for which there
// is no option, because the value is none of those that the filter knows.
func (t strayTag) aboutOption(d *Definition, option, value string) string {
	if value == "" {
		return ""
	}
	prefix, suffix, ok := strings.Cut(t.name, value)
	if !ok || prefix+suffix == "" {
		return ""
	}
	var values []string
	for _, n := range d.tags {
		v, ok := strings.CutPrefix(n, prefix)
		if v, ok2 := strings.CutSuffix(v, suffix); ok && ok2 && v != "" {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return ""
	}
	s := fmt.Sprintf("%s = %s: there is no <%s>", option, clip(value), clip(t.name))
	if n := nearest(value, values); n != "" {
		return s + fmt.Sprintf(" (did you mean %s?)", n)
	}
	slices.Sort(values)
	return s + fmt.Sprintf(" (there are %s)", strings.Join(slices.Compact(values), ", "))
}
