package filter

import (
	"fmt"
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

// expandTags replaces the tags of a pattern by groups. Tags that mean nothing
// stay as text, as in fail2ban.
func expandTags(re string) string {
	var b strings.Builder
	open := map[string]bool{}
	skipped := 0
	for {
		start := strings.IndexByte(re, '<')
		if start < 0 {
			break
		}
		b.WriteString(re[:start])
		re = re[start:]
		end := tagEnd(re)
		if end < 0 {
			b.WriteByte('<')
			re = re[1:]
			continue
		}
		tag := re[1:end]
		re = re[end+1:]
		switch exp, ok := tagRe(tag); {
		case ok:
			b.WriteString(exp)
		case tag == "SKIPLINES":
			fmt.Fprintf(&b, `\n(?P<skiplines%d>(?:(?:.*\n)*?))`, skipped)
			skipped++
		default:
			b.WriteString(customTag(tag, open))
		}
	}
	b.WriteString(re)
	return localFlags(b.String())
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

// customTag turns <F-NAME> and </F-NAME> into a group.
func customTag(tag string, open map[string]bool) string {
	name, closing := strings.CutPrefix(tag, "/")
	name, ok := strings.CutPrefix(name, "F-")
	if !ok || name == "" || name != strings.ToUpper(name) || strings.HasSuffix(name, "/") {
		return "<" + tag + ">"
	}
	if closing {
		if open[name] {
			return ")"
		}
		return "<" + tag + ">"
	}
	open[name] = true
	switch name {
	case "ID":
		return "(?P<fid>"
	case "PORT":
		return "(?P<fport>"
	}
	return "(?P<" + strings.ToLower(name) + ">"
}

// localFlags turns ((?i)x) and (?:(?i)x), which Python refuses by now, into (?i:x).
func localFlags(re string) string {
	var b strings.Builder
	for i := 0; i < len(re); {
		if re[i] == '\\' && i+1 < len(re) {
			b.WriteString(re[i : i+2])
			i += 2
			continue
		}
		if re[i] == '(' {
			rest := strings.TrimPrefix(re[i+1:], "?:")
			if flags, after, ok := strings.Cut(strings.TrimPrefix(rest, "(?"), ")"); ok && strings.HasPrefix(rest, "(?") && flags != "" && strings.Trim(flags, "aiLmsux") == "" {
				b.WriteString("(?" + flags + ":")
				i = len(re) - len(after)
				continue
			}
		}
		b.WriteByte(re[i])
		i++
	}
	return b.String()
}
