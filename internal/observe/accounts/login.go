package accounts

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// readLogins reads what decides about logins beside the accounts.
func readLogins(f rootfs.FS, n *notes) host.LoginRules {
	r := host.LoginRules{Nologin: f.Exists("etc/nologin") || f.Exists("run/nologin") || f.Exists("var/run/nologin")}
	optional := func(name string) string {
		data, err := f.Read(name, rootfs.Small)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			n.err(err)
		}
		return clean(string(data))
	}
	for _, line := range lines(optional("etc/shells")) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "/") {
			r.Shells = append(r.Shells, line)
		}
	}
	r.Defs = loginDefs(optional("etc/login.defs"))
	r.Sources = passwdSources(optional("etc/nsswitch.conf"))
	for _, name := range []string{"passwd", "passwd-", "shadow", "shadow-", "group", "group-", "gshadow", "gshadow-", "security/opasswd"} {
		if file, err := f.Look("etc/" + name); err == nil {
			r.Files = append(r.Files, file)
		}
	}
	r.PAM = readPAM(f, n)
	return r
}

// loginDefs reads login.defs(5): a keyword and its value on each line; the last
// of several counts.
func loginDefs(text string) map[string]string {
	out := map[string]string{}
	for _, line := range lines(text) {
		line = strings.TrimSpace(line)
		i := strings.IndexAny(line, " \t=")
		if line == "" || line[0] == '#' || i <= 0 {
			continue
		}
		out[line[:i]] = strings.Trim(strings.TrimLeft(line[i:], " \t="), ` "`)
	}
	return out
}

// passwdSources gives the sources of nsswitch.conf(5) for accounts, without the
// actions in brackets.
func passwdSources(text string) []string {
	for _, line := range lines(text) {
		line, _, _ = strings.Cut(line, "#")
		database, sources, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(database) != "passwd" {
			continue
		}
		return slices.DeleteFunc(strings.Fields(sources), func(s string) bool { return strings.ContainsAny(s, "[]=") })
	}
	return nil
}

// Bounds of PAM's files: services include each other.
const (
	maxPAMFiles = 64
	maxPAMLines = 2000
)

// readPAM reads the services by which people become somebody, and what these
// include, each file once.
func readPAM(f rootfs.FS, n *notes) []host.PAMLine {
	var out []host.PAMLine
	open := []string{"sshd", "sudo", "sudo-i", "su", "su-l", "login", "other"}
	done := map[string]bool{}
	for len(open) > 0 && len(done) < maxPAMFiles {
		service := open[0]
		open = open[1:]
		if done[service] || strings.ContainsAny(service, "/\x00") {
			continue
		}
		done[service] = true
		data, err := pamFile(f, service)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				n.err(err)
			}
			continue
		}
		list := parsePAM(service, clean(string(data)))
		for _, l := range list {
			if l.Control == "include" || l.Control == "substack" {
				open = append(open, l.Module)
			}
		}
		if out = append(out, list...); len(out) > maxPAMLines {
			n.add("/etc/pam.d: more than %d lines", maxPAMLines)
			return out[:maxPAMLines]
		}
	}
	return out
}

func pamFile(f rootfs.FS, service string) ([]byte, error) {
	data, err := f.Read("etc/pam.d/"+service, rootfs.Small)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = f.Read("usr/lib/pam.d/"+service, rootfs.Small)
	}
	return data, err
}

// parsePAM reads one service, pam.conf(5): a backslash joins lines, a bracket
// holds a control of several words.
func parsePAM(service, text string) []host.PAMLine {
	var out []host.PAMLine
	joined, start := "", 0
	for number, line := range lines(text) {
		if joined == "" {
			start = number
		}
		line, _, _ = strings.Cut(line, "#")
		if rest, ok := strings.CutSuffix(line, "\\"); ok && len(joined) < 1<<16 {
			joined += rest + " "
			continue
		}
		if l, ok := pamLine(service, start, joined+line); ok {
			out = append(out, l)
		}
		joined = ""
	}
	if l, ok := pamLine(service, start, joined); ok {
		out = append(out, l)
	}
	return out
}

func pamLine(service string, number int, line string) (host.PAMLine, bool) {
	l := host.PAMLine{Service: service, Line: number}
	words := strings.Fields(line)
	if len(words) == 2 && words[0] == "@include" {
		l.Control, l.Module = "include", words[1]
		return l, true
	}
	if len(words) < 3 {
		return l, false
	}
	// A leading "-" says that a missing module does not matter.
	l.Type, words = strings.ToLower(strings.TrimPrefix(words[0], "-")), words[1:]
	end := 1
	if strings.HasPrefix(words[0], "[") {
		for end < len(words) && !strings.HasSuffix(words[end-1], "]") {
			end++
		}
	}
	if end >= len(words) {
		return l, false
	}
	l.Control, l.Module = strings.Join(words[:end], " "), words[end]
	if end+1 < len(words) {
		l.Args = host.MaskArgs(words[end:])[1:]
	}
	return l, true
}
