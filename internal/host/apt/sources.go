package apt

import (
	"slices"
	"strings"
)

// A Source is one repository of sources.list(5), for one suite.
type Source struct {
	Line       int
	Type       string // deb or deb-src
	URI        string
	Suite      string // ends with a slash where there are no components
	Components []string
	Options    map[string]string // by name in lower case
	Disabled   bool
}

// maxSources bounds what one file may hold.
const maxSources = 5000

// ParseList reads the one-line style: type [options] uri suite [component...].
func ParseList(text string) []Source {
	var out []Source
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if tabbed, after, ok := strings.Cut(kind, "\t"); ok {
			kind, rest = tabbed, after+" "+rest
		}
		if kind != "deb" && kind != "deb-src" || len(out) == maxSources {
			continue
		}
		s := Source{Line: number, Type: kind, Options: map[string]string{}}
		if rest = strings.TrimSpace(rest); strings.HasPrefix(rest, "[") {
			inside, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				continue
			}
			for o := range strings.FieldsSeq(inside) {
				if name, value, ok := strings.Cut(o, "="); ok {
					s.Options[strings.ToLower(strings.TrimRight(name, "+-"))] = value
				}
			}
			rest = after
		}
		f := strings.Fields(rest)
		if len(f) < 2 {
			continue
		}
		s.URI, s.Suite, s.Components = f[0], f[1], f[2:]
		out = append(out, s)
	}
	return out
}

// ParseSources reads the deb822 style: one stanza stands for all combinations of
// its types, URIs and suites.
func ParseSources(text string) []Source {
	stanzas, lines := ParseStanzas(text)
	var out []Source
	for i, raw := range stanzas {
		fields := map[string]string{}
		for name, value := range raw {
			fields[strings.ToLower(name)] = value
		}
		options := map[string]string{}
		for field, option := range map[string]string{
			"architectures": "arch", "signed-by": "signed-by", "trusted": "trusted", "allow-insecure": "allow-insecure",
			"allow-weak": "allow-weak", "check-valid-until": "check-valid-until", "targets": "target",
		} {
			if v := fields[field]; v != "" {
				options[option] = strings.Join(strings.Fields(v), ",")
			}
		}
		if strings.Contains(options["signed-by"], "-----BEGIN") {
			options["signed-by"] = "embedded"
		}
		for kind := range strings.FieldsSeq(fields["types"]) {
			for uri := range strings.FieldsSeq(fields["uris"]) {
				for suite := range strings.FieldsSeq(fields["suites"]) {
					if len(out) == maxSources {
						return out
					}
					out = append(out, Source{
						Line: lines[i], Type: kind, URI: uri, Suite: suite, Components: strings.Fields(fields["components"]), Options: options,
						Disabled: slices.Contains([]string{"no", "false", "0", "off", "without", "disable"}, strings.ToLower(fields["enabled"])),
					})
				}
			}
		}
	}
	return out
}

// FileName is the name under which apt keeps what it fetched from an address:
// scheme, user and password left out, slashes turned into underscores.
func FileName(uri string) string {
	if _, rest, ok := strings.Cut(uri, "://"); ok {
		uri = rest
	} else if _, rest, ok := strings.Cut(uri, ":"); ok {
		uri = rest // file:/srv, copy:/srv
	}
	authority, path, slash := strings.Cut(uri, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	if slash {
		authority += "/" + path
	}
	var b strings.Builder
	for i := range len(authority) {
		c := authority[i]
		switch {
		case c == '/':
			b.WriteByte('_')
		case strings.IndexByte(`\|{}[]<>"^~_=!@#$%^&*`, c) >= 0 || c <= 0x20 || c >= 0x7f:
			const hex = "0123456789abcdef"
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
