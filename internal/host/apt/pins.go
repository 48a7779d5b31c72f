package apt

import (
	"path"
	"regexp"
	"strconv"
	"strings"
)

// A Pin is one record of apt_preferences(5).
type Pin struct {
	Packages []string // patterns; "*" alone is for all that have no record of their own
	// Kind is version, release or origin, Value what follows it.
	Kind     string
	Value    string
	Priority int
	Line     int
}

// A Release is what a pin may ask about the place that a version is to be had from.
type Release struct {
	Origin, Label, Suite, Codename, Version, Component, Arch, Site string
}

// ParsePins reads preferences. Records without a pin or a number are passed over.
func ParsePins(text string) []Pin {
	stanzas, lines := ParseStanzas(text)
	var out []Pin
	for i, s := range stanzas {
		fields := map[string]string{}
		for name, value := range s {
			fields[strings.ToLower(name)] = value
		}
		n, err := strconv.Atoi(fields["pin-priority"])
		kind, value, _ := strings.Cut(fields["pin"], " ")
		if err != nil || kind == "" || fields["package"] == "" {
			continue
		}
		out = append(out, Pin{
			Packages: strings.Fields(fields["package"]), Kind: strings.ToLower(kind), Value: strings.TrimSpace(value), Priority: n, Line: lines[i],
		})
	}
	return out
}

// General reports whether the record is for all packages.
func (p Pin) General() bool { return len(p.Packages) == 1 && p.Packages[0] == "*" }

// Names reports whether the record names a package: by name, by a pattern of a
// shell or /regular expression/, or by its source as src:NAME.
func (p Pin) Names(name, source string) bool {
	for _, pattern := range p.Packages {
		subject := name
		if rest, ok := strings.CutPrefix(pattern, "src:"); ok {
			pattern, subject = rest, source
		}
		pattern, _, _ = strings.Cut(pattern, ":") // an architecture
		if len(pattern) > 2 && pattern[0] == '/' && pattern[len(pattern)-1] == '/' {
			if re, err := regexp.Compile("(?i)" + pattern[1:len(pattern)-1]); err == nil && re.MatchString(subject) {
				return true
			}
			continue
		}
		if ok, err := path.Match(pattern, subject); ok && err == nil {
			return true
		}
	}
	return false
}

// Matches reports whether the record is about a version from a place.
func (p Pin) Matches(version string, r Release) bool {
	switch p.Kind {
	case "version":
		ok, err := path.Match(p.Value, version)
		return ok && err == nil
	case "origin":
		want := strings.Trim(p.Value, `"`)
		ok, err := path.Match(want, r.Site)
		return want == r.Site || ok && err == nil
	case "release":
		return r.matches(p.Value)
	}
	return false
}

// matches is debReleaseFile's: each condition that is written must hold; a word
// without a letter is a version, an archive or a code name.
func (r Release) matches(conditions string) bool {
	is := func(want, have string) bool {
		want = strings.TrimSpace(want)
		if len(want) > 2 && want[0] == '/' && want[len(want)-1] == '/' {
			re, err := regexp.Compile("(?i)" + want[1:len(want)-1])
			return err == nil && re.MatchString(have)
		}
		ok, err := path.Match(strings.ToLower(want), strings.ToLower(have))
		return ok && err == nil
	}
	if !strings.Contains(conditions, "=") {
		return is(conditions, r.Suite) || is(conditions, r.Codename) || is(conditions, r.Version)
	}
	for c := range strings.SplitSeq(conditions, ",") {
		key, want, _ := strings.Cut(strings.TrimSpace(c), "=")
		have, ok := map[string]string{
			"o": r.Origin, "l": r.Label, "a": r.Suite, "n": r.Codename, "v": r.Version, "c": r.Component, "b": r.Arch,
		}[strings.TrimSpace(key)]
		if !ok || !is(want, have) {
			return false
		}
	}
	return true
}
