package sshd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ParseDump reads the output of sshd -T or sshd -G. Keywords and values are in
// lower or mixed case, by release; so is what it gives not to be relied on
// before [Compare] has folded it.
func ParseDump(text string) map[string][]string {
	dump := map[string][]string{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if key != "" {
			key = asciiLower(key)
			dump[key] = append(dump[key], value)
		}
	}
	return dump
}

// A Disagreement is a keyword for which sshd says another value than we do.
type Disagreement struct {
	Keyword string `json:"keyword"`
	Ours    string `json:"ours"`
	Theirs  string `json:"theirs"`
}

// String gives the keyword and both values.
func (d Disagreement) String() string {
	return fmt.Sprintf("%s: we say %q, sshd says %q", d.Keyword, d.Ours, d.Theirs)
}

// Compare puts our reading beside what sshd said for the same connection.
// Case, the order of sockets and subsystems, and synonyms such as true for yes
// do not matter. A keyword that one side does not have at all is a
// disagreement, unless it is one that sshd prints only when it is set.
func (e *Effective) Compare(dump map[string][]string) []Disagreement {
	names := map[string]bool{}
	for n := range e.settings {
		names[n] = true
	}
	for n := range dump {
		names[n] = true
	}
	var out []Disagreement
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if n == "debianbanner" && dump[n] == nil {
			continue // Debian 12 has it and does not print it
		}
		ours, theirs := fold(n, e.printed(n)), fold(n, dump[n])
		if ours != theirs {
			out = append(out, Disagreement{n, ours, theirs})
		}
	}
	return out
}

// printed gives the lines of a keyword as sshd -T prints them.
func (e *Effective) printed(name string) []string {
	vals := e.Values(name)
	switch {
	case len(vals) == 0:
		return nil
	case slices.Contains(algorithmKeywords(), name):
		return []string{strings.Join(vals, ",")}
	case printsLines(name):
		return vals
	}
	return []string{strings.Join(vals, " ")}
}

func printsLines(name string) bool {
	switch name {
	case "port", "listenaddress", "hostkey", "hostcertificate", "subsystem", "acceptenv", "setenv", "allowusers", "denyusers", "allowgroups", "denygroups":
		return true
	}
	return false
}

func fold(name string, lines []string) string {
	out := make([]string, len(lines))
	for i, l := range lines {
		l = strings.TrimSpace(asciiLower(l))
		switch l {
		case "true":
			l = "yes"
		case "false":
			l = "no"
		case "without-password":
			l = "prohibit-password"
		case "(null)":
			l = "none"
		}
		if strings.HasPrefix(l, "//") {
			l = l[1:] // a relative path, and a daemon started in /
		}
		out[i] = l
	}
	if name == "listenaddress" || name == "subsystem" {
		slices.Sort(out)
	}
	text := strings.Join(out, "\n")
	if text == "none" && (name == "channeltimeout" || name == "logverbose") {
		return ""
	}
	return text
}
