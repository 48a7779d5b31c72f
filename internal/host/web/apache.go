package web

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/host"
)

// Apache reads a configuration of Apache httpd. Values that Debian keeps in
// /etc/apache2/envvars are given as variables.
func Apache(src Source, config string, variables map[string]string) host.WebServer {
	r := newReader(src, "apache", config)
	a := apache{reader: r, root: path.Dir(config), vars: map[string]string{}, modules: map[string]bool{}}
	for _, m := range []string{"core", "so", "http", "unixd", "log_config", "version", "watchdog"} {
		a.modules[m] = true
	}
	maps.Copy(a.vars, variables)
	a.evaluate(a.file(config))
	return *r.out
}

type apache struct {
	*reader
	root    string
	vars    map[string]string
	modules map[string]bool
}

// file reads one file: directives by line, sections between <Name …> and </Name>.
func (a *apache) file(name string) []node {
	text, ok := a.text(name)
	if !ok {
		return nil
	}
	a.open = append(a.open, name)
	defer func() { a.open = a.open[:len(a.open)-1] }()
	var stack [][]node
	var heads []node
	var here []node
	number, start, joined := 0, 0, ""
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if joined == "" {
			start = number
		}
		if rest, ok := strings.CutSuffix(line, `\`); ok && len(joined) < 1<<16 {
			joined += rest + " "
			continue
		}
		line, joined = strings.TrimSpace(joined+line), ""
		if line == "" || line[0] == '#' || !a.count() {
			continue
		}
		switch {
		case strings.HasPrefix(line, "</"):
			if len(heads) == 0 {
				a.problem("%s:%d: %s ends nothing", name, start, line)
				continue
			}
			d := heads[len(heads)-1]
			d.block, here = here, stack[len(stack)-1]
			heads, stack = heads[:len(heads)-1], stack[:len(stack)-1]
			here = append(here, d)
		case line[0] == '<':
			if len(heads) >= maxDepth {
				a.problem("%s:%d: sections too deep", name, start)
				return nil
			}
			words := apacheWords(strings.TrimSuffix(line[1:], ">"))
			if len(words) == 0 {
				continue
			}
			heads = append(heads, node{name: strings.ToLower(words[0]), args: words[1:], file: name, line: start})
			stack, here = append(stack, here), nil
		default:
			words := apacheWords(line)
			d := node{name: strings.ToLower(words[0]), args: words[1:], file: name, line: start}
			if d.name == "include" || d.name == "includeoptional" {
				here = append(here, a.include(d)...)
				continue
			}
			if d.name == "define" && len(d.args) > 0 {
				a.vars[d.args[0]] = a.expand(d.arg(1))
			}
			if d.name == "serverroot" {
				a.root = a.expand(d.arg(0))
			}
			if d.name == "loadmodule" {
				a.modules[strings.TrimSuffix(d.arg(0), "_module")] = true
			}
			here = append(here, d)
		}
	}
	for len(heads) > 0 {
		a.problem("%s: a section without an end", heads[len(heads)-1].at())
		here = append(stack[len(stack)-1], node{name: heads[len(heads)-1].name, args: heads[len(heads)-1].args, block: here, file: name, line: heads[len(heads)-1].line})
		heads, stack = heads[:len(heads)-1], stack[:len(stack)-1]
	}
	return here
}

// apacheWords splits a line at blanks; quotes hold together.
func apacheWords(line string) []string {
	var out []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if q := line[0]; q == '"' || q == '\'' {
			word, rest, ok := strings.Cut(line[1:], string(q))
			if !ok {
				return append(out, word)
			}
			out, line = append(out, word), rest
			continue
		}
		i := strings.IndexAny(line, " \t")
		if i < 0 {
			return append(out, line)
		}
		out, line = append(out, line[:i]), line[i:]
	}
	return out
}

// expand puts in variables; one that is not known stays as it is.
func (a *apache) expand(s string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, "${")
		b.WriteString(before)
		if !ok || b.Len() > 1<<12 {
			return b.String()
		}
		name, rest, ok := strings.Cut(after, "}")
		value, known := a.vars[name]
		switch {
		case !ok:
			b.WriteString("${" + after)
			return b.String()
		case known:
			b.WriteString(value)
		default:
			b.WriteString("${" + name + "}")
		}
		s = rest
	}
}

func (a *apache) include(d node) []node {
	pattern := a.expand(d.arg(0))
	if !strings.HasPrefix(pattern, "/") {
		pattern = path.Join(a.root, pattern)
	}
	var out []node
	for _, name := range a.glob(pattern) {
		if names, err := a.src.ReadDir(name); err == nil {
			slices.Sort(names)
			for _, n := range names {
				out = append(out, a.file(path.Join(name, n))...)
			}
			continue
		}
		if _, err := a.src.ReadFile(name); err != nil && d.name == "includeoptional" {
			continue
		}
		out = append(out, a.file(name)...)
	}
	return out
}

// flat resolves sections that only say whether their content counts.
func (a *apache) flat(list []node) []node {
	var out []node
	for _, d := range list {
		switch d.name {
		case "ifmodule":
			name, not := strings.CutPrefix(d.arg(0), "!")
			name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(name, "mod_"), ".c"), "_module")
			if a.modules[name] != not {
				out = append(out, a.flat(d.block)...)
			}
		case "ifdefine":
			name, not := strings.CutPrefix(d.arg(0), "!")
			if _, defined := a.vars[name]; defined != not {
				out = append(out, a.flat(d.block)...)
			}
		case "ifversion", "if", "elseif", "else":
			out = append(out, a.flat(d.block)...) // may count
		case "macro", "use":
			a.problem("%s: macros are not followed", d.at())
		default:
			out = append(out, d)
		}
	}
	return out
}

// evaluate turns directives into sites.
func (a *apache) evaluate(list []node) {
	list = a.flat(list)
	base := host.WebSite{Tokens: true, Protocols: []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}}
	a.settings(list, &base)
	for _, m := range []string{"status", "info", "security2", "auth_basic"} {
		if a.modules[m] {
			a.out.Modules = append(a.out.Modules, m)
		}
	}
	var listens []host.WebListen
	var taken []uint16
	for _, d := range list {
		if d.name == "listen" && len(listens) < maxPlaces {
			l := host.WebListen{Port: 80, Line: d.line, TLS: strings.EqualFold(d.arg(1), "https")}
			if splitListen(a.expand(d.arg(0)), &l) {
				listens = append(listens, l)
			} else {
				a.problem("%s: Listen %s", d.at(), d.arg(0))
			}
		}
	}
	for _, d := range list {
		if d.name != "virtualhost" || len(a.out.Sites) >= maxSites {
			continue
		}
		s := base
		s.Certificates, s.Keys, s.Auth, s.Pages = slices.Clone(base.Certificates), slices.Clone(base.Keys), slices.Clone(base.Auth), slices.Clone(base.Pages)
		s.AutoIndex = slices.Clone(base.AutoIndex)
		s.File, s.Line = d.file, d.line
		tls := a.settings(a.flat(d.block), &s)
		for _, arg := range d.args {
			l := host.WebListen{Line: d.line, TLS: tls}
			if spec := a.expand(arg); splitListen(spec, &l) && len(s.Listen) < maxPlaces {
				if l.Address == "_default_" {
					l.Address = "*"
				}
				s.Listen = append(s.Listen, l)
				taken = append(taken, l.Port)
			} else {
				a.problem("%s: VirtualHost %s", d.at(), spec)
			}
		}
		a.out.Sites = append(a.out.Sites, s)
	}
	// What no virtual host answers, the server itself does.
	own := slices.DeleteFunc(listens, func(l host.WebListen) bool { return slices.Contains(taken, l.Port) })
	if len(own) > 0 {
		base.File, base.Line, base.Listen = a.out.Config, 1, own
		a.out.Sites = append(a.out.Sites, base)
	}
}

// settings reads the directives of a server or a virtual host into a site, and
// whether TLS is on.
func (a *apache) settings(list []node, s *host.WebSite) (tls bool) {
	for _, d := range list {
		switch d.name {
		case "servername", "serveralias":
			for _, n := range d.args {
				if len(s.Names) < maxPlaces {
					s.Names = append(slices.Clone(s.Names), a.expand(n))
				}
			}
		case "sslengine":
			tls = strings.EqualFold(d.arg(0), "on")
		case "sslprotocol":
			s.Protocols, s.ProtocolsFrom = apacheProtocols(d.args), d.at()
		case "sslciphersuite":
			s.Ciphers = d.arg(len(d.args) - 1)
		case "sslcertificatefile":
			s.Certificates = append(s.Certificates, a.absolute(d.arg(0)))
		case "sslcertificatekeyfile":
			s.Keys = append(s.Keys, a.absolute(d.arg(0)))
		case "sslverifyclient":
			s.ClientAuth = clientAuth(d.arg(0))
		case "sslcacertificatefile", "sslcacertificatepath":
			s.ClientCA = a.absolute(d.arg(0))
		case "sslverifydepth":
			s.ClientDepth, _ = strconv.Atoi(d.arg(0))
		case "servertokens":
			s.Tokens = !strings.HasPrefix(strings.ToLower(d.arg(0)), "prod")
		case "header":
			s.HSTS = s.HSTS || slices.ContainsFunc(d.args, func(w string) bool { return strings.EqualFold(w, "Strict-Transport-Security") })
		case "secruleengine":
			s.WAF = map[string]string{"on": "on", "detectiononly": "detect"}[strings.ToLower(d.arg(0))]
		case "redirect", "redirectpermanent", "redirectmatch":
			if i := slices.IndexFunc(d.args, func(w string) bool { return strings.HasPrefix(w, "https://") }); i > 0 {
				from := d.args[i-1]
				s.Redirect = s.Redirect || from == "/" || from == "^" || strings.HasPrefix(from, "^/(") || strings.HasPrefix(from, "^(")
			}
		case "rewriterule":
			s.Redirect = s.Redirect || strings.HasPrefix(d.arg(1), "https://") && strings.ContainsAny(d.arg(2), "RL")
		case "location", "locationmatch", "directory", "directorymatch", "proxy", "files", "filesmatch":
			a.place(d, s)
		}
	}
	return tls
}

func (a *apache) absolute(name string) string {
	if name = a.expand(name); strings.HasPrefix(name, "/") || name == "" {
		return name
	}
	return path.Join(a.root, name)
}

func clientAuth(word string) string {
	switch strings.ToLower(word) {
	case "require":
		return "require"
	case "optional", "optional_no_ca":
		return "optional"
	}
	return ""
}

// apacheProtocols works out SSLProtocol: names are set, + adds, - takes away.
func apacheProtocols(args []string) []string {
	all := []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
	var on []string
	for _, w := range args {
		name := strings.TrimLeft(w, "+-")
		var which []string
		for _, p := range append([]string{"SSLv3"}, all...) {
			if strings.EqualFold(p, name) || strings.EqualFold(name, "all") && p != "SSLv3" {
				which = append(which, p)
			}
		}
		switch w[:min(1, len(w))] {
		case "-":
			on = slices.DeleteFunc(on, func(p string) bool { return slices.Contains(which, p) })
		case "+":
			on = append(on, which...)
		default:
			on = which
		}
	}
	slices.Sort(on)
	return slices.Compact(on)
}

// place reads a section that is about a part of the site.
func (a *apache) place(d node, s *host.WebSite) {
	block := a.flat(d.block)
	at := a.expand(d.arg(len(d.args) - 1))
	if len(d.args) == 0 {
		return
	}
	auth := host.WebAuth{Path: at, File: d.file, Line: d.line}
	restricted := false
	for _, c := range block {
		switch c.name {
		case "authtype":
			if kind := strings.ToLower(c.arg(0)); kind == "basic" || kind == "digest" {
				auth.Kind, auth.Line = kind, c.line
			}
		case "authuserfile":
			auth.Passwords.Path = a.absolute(c.arg(0))
		case "require":
			restricted = restricted || !(strings.EqualFold(c.arg(0), "all") && strings.EqualFold(c.arg(1), "granted"))
		case "sslverifyclient":
			restricted = restricted || strings.EqualFold(c.arg(0), "require")
		case "deny":
			restricted = restricted || strings.EqualFold(c.arg(1), "all")
		}
	}
	for _, c := range block {
		switch c.name {
		case "sethandler":
			kind := map[string]string{"server-status": "status", "server-info": "info", "balancer-manager": "balancer", "ldap-status": "status"}[strings.ToLower(c.arg(0))]
			if kind != "" && len(s.Pages) < maxPlaces {
				s.Pages = append(s.Pages, host.WebPage{Kind: kind, Path: at, File: c.file, Line: c.line, Restricted: restricted})
			}
		case "options":
			for _, o := range c.args {
				if (strings.EqualFold(o, "Indexes") || strings.EqualFold(o, "+Indexes")) && len(s.AutoIndex) < maxPlaces {
					s.AutoIndex = append(s.AutoIndex, at)
				}
			}
		case "header":
			s.HSTS = s.HSTS || slices.ContainsFunc(c.args, func(w string) bool { return strings.EqualFold(w, "Strict-Transport-Security") })
		}
	}
	if auth.Kind != "" && len(s.Auth) < maxPlaces {
		s.Auth = append(s.Auth, auth)
	}
}
