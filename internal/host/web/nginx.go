package web

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/host"
)

// Nginx reads an nginx configuration.
func Nginx(src Source, config string) host.WebServer {
	r := newReader(src, "nginx", config)
	n := nginx{reader: r, prefix: path.Dir(config)}
	for _, d := range n.file(config) {
		switch d.name {
		case "http":
			n.http(d.block)
		case "load_module":
			for _, m := range []string{"modsecurity", "coraza"} {
				if strings.Contains(d.arg(0), m) {
					r.out.Modules = append(r.out.Modules, m)
				}
			}
		}
	}
	return *r.out
}

type nginx struct {
	*reader
	prefix string // where relative names start
}

// file reads one file into directives, includes in place.
func (n *nginx) file(name string) []node {
	text, ok := n.text(name)
	if !ok {
		return nil
	}
	n.open = append(n.open, name)
	defer func() { n.open = n.open[:len(n.open)-1] }()
	l := &lexer{text: text, line: 1}
	return n.block(l, name, 0)
}

func (n *nginx) block(l *lexer, file string, depth int) []node {
	var out []node
	var d node
	for {
		t := l.next()
		switch t.kind {
		case 'w':
			if d.name == "" {
				d = node{name: t.text, file: file, line: t.line}
			} else if len(d.args) < 1000 {
				d.args = append(d.args, t.text)
			}
			continue
		case '{':
			if depth >= maxDepth {
				n.problem("%s:%d: blocks too deep", file, t.line)
				l.at = len(l.text)
				return out
			}
			if strings.HasSuffix(d.name, "_by_lua_block") {
				n.problem("%s: what a script decides is not known", d.at())
			}
			d.block = n.block(l, file, depth+1)
			if d.block == nil {
				d.block = []node{}
			}
		case 0:
			if depth > 0 {
				n.problem("%s: a block without an end", file)
			}
			return out
		case '}':
			return out
		}
		if d.name == "include" && d.block == nil {
			out = append(out, n.include(d)...)
		} else if d.name != "" && n.count() {
			out = append(out, d)
		}
		d = node{}
	}
}

func (n *nginx) include(d node) []node {
	pattern := d.arg(0)
	if !strings.HasPrefix(pattern, "/") {
		pattern = path.Join(n.prefix, pattern)
	}
	var out []node
	for _, name := range n.glob(pattern) {
		if path.Base(name) == "mime.types" {
			continue
		}
		out = append(out, n.file(name)...)
	}
	return out
}

// inherited is what a level hands down to those inside it.
type inherited struct {
	site host.WebSite
	auth *host.WebAuth
	// closed says that addresses or a password are asked for.
	closed bool
}

func (n *nginx) http(block []node) {
	var base inherited
	base.site.Tokens = true
	base.site.Protocols = []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
	n.settings(block, &base)
	for _, d := range block {
		if d.name == "server" && len(n.out.Sites) < maxSites {
			n.server(d, base)
		}
	}
}

// settings reads what is inherited by inner levels.
func (n *nginx) settings(block []node, in *inherited) {
	s := &in.site
	for _, d := range block {
		switch d.name {
		case "ssl_protocols":
			s.Protocols, s.ProtocolsFrom = d.args, d.at()
		case "ssl_ciphers":
			s.Ciphers = d.arg(0)
		case "ssl_certificate":
			s.Certificates = append(slices.Clone(s.Certificates), d.arg(0))
		case "ssl_certificate_key":
			s.Keys = append(slices.Clone(s.Keys), d.arg(0))
		case "ssl_verify_client":
			s.ClientAuth = map[string]string{"on": "require", "optional": "optional", "optional_no_ca": "optional"}[d.arg(0)]
		case "ssl_client_certificate", "ssl_trusted_certificate":
			if s.ClientCA == "" || d.name == "ssl_client_certificate" {
				s.ClientCA = d.arg(0)
			}
		case "ssl_verify_depth":
			s.ClientDepth, _ = strconv.Atoi(d.arg(0))
		case "server_tokens":
			s.Tokens = d.arg(0) == "on"
		case "add_header":
			s.HSTS = s.HSTS || strings.EqualFold(d.arg(0), "Strict-Transport-Security")
		case "modsecurity":
			if s.WAF = ""; d.arg(0) == "on" {
				s.WAF = "on"
			}
		case "auth_basic":
			in.auth = nil
			if d.arg(0) != "off" {
				in.auth = &host.WebAuth{Kind: "basic", File: d.file, Line: d.line}
				in.closed = true
			}
		case "deny":
			in.closed = in.closed || d.arg(0) == "all"
		case "auth_request", "auth_jwt":
			in.closed = true
		}
	}
	for _, d := range block {
		if d.name == "auth_basic_user_file" && in.auth != nil {
			a := *in.auth
			a.Passwords.Path = n.absolute(d.arg(0))
			in.auth = &a
		}
	}
}

func (n *nginx) absolute(name string) string {
	if name == "" || strings.HasPrefix(name, "/") {
		return name
	}
	return path.Join(n.prefix, name)
}

func (n *nginx) server(d node, in inherited) {
	s := &in.site
	s.File, s.Line = d.file, d.line
	in.site.Certificates = slices.Clone(s.Certificates)
	n.settings(d.block, &in)
	allTLS := false
	for _, c := range d.block {
		switch c.name {
		case "listen":
			if l, ok := nginxListen(c); ok && len(s.Listen) < maxPlaces {
				s.Listen = append(s.Listen, l)
			} else if strings.HasPrefix(c.arg(0), "$") {
				n.problem("%s: a listen with a variable", c.at())
			}
		case "ssl":
			allTLS = c.arg(0) == "on"
		case "server_name":
			for _, name := range c.args {
				if name != "_" && name != "" && len(s.Names) < maxPlaces {
					s.Names = append(s.Names, name)
				}
			}
		case "return":
			s.Redirect = s.Redirect || len(c.args) == 2 && strings.HasPrefix(c.args[1], "https://") && strings.HasPrefix(c.args[0], "30")
		case "rewrite":
			s.Redirect = s.Redirect || strings.HasPrefix(c.arg(1), "https://") && (c.arg(0) == "^" || strings.HasPrefix(c.arg(0), "^(") || strings.HasPrefix(c.arg(0), "^/(") || c.arg(0) == ".*")
		}
	}
	if len(s.Listen) == 0 {
		s.Listen = []host.WebListen{{Port: 80, Line: d.line}}
	}
	for i := range s.Listen {
		s.Listen[i].TLS = s.Listen[i].TLS || allTLS
	}
	if in.auth != nil {
		a := *in.auth
		a.Path = "/"
		s.Auth = append(s.Auth, a)
	}
	n.locations(d.block, in, s, "/", 0)
	n.out.Sites = append(n.out.Sites, *s)
}

// locations goes through the locations of a site, the outer ones first.
func (n *nginx) locations(block []node, in inherited, s *host.WebSite, at string, depth int) {
	for _, d := range block {
		switch d.name {
		case "autoindex":
			if d.arg(0) == "on" && len(s.AutoIndex) < maxPlaces {
				s.AutoIndex = append(s.AutoIndex, at)
			}
		case "stub_status", "status", "api", "vhost_traffic_status_display":
			if len(s.Pages) < maxPlaces {
				s.Pages = append(s.Pages, host.WebPage{Kind: "status", Path: at, File: d.file, Line: d.line, Restricted: in.closed})
			}
		case "return":
			if at == "/" && depth > 0 {
				s.Redirect = s.Redirect || len(d.args) == 2 && strings.HasPrefix(d.args[1], "https://") && strings.HasPrefix(d.args[0], "30")
			}
		case "if", "limit_except":
			n.locations(d.block, in, s, at, depth+1)
		case "location":
			inner := in
			inner.site = host.WebSite{}
			n.settings(d.block, &inner)
			place := d.arg(len(d.args) - 1)
			if len(d.args) == 0 {
				place = at
			}
			if inner.auth != nil && (in.auth == nil || *inner.auth != *in.auth) && len(s.Auth) < maxPlaces {
				a := *inner.auth
				a.Path = place
				s.Auth = append(s.Auth, a)
			}
			s.HSTS = s.HSTS || inner.site.HSTS
			n.locations(d.block, inner, s, place, depth+1)
		}
	}
}

// nginxListen reads: [address][:port] | port | unix:path, and parameters.
func nginxListen(d node) (host.WebListen, bool) {
	l := host.WebListen{Line: d.line, Port: 80}
	for _, a := range d.args[min(1, len(d.args)):] {
		l.TLS = l.TLS || a == "ssl" || a == "quic"
	}
	spec := d.arg(0)
	switch {
	case spec == "" || strings.HasPrefix(spec, "$"):
		return l, false
	case strings.HasPrefix(spec, "unix:"):
		l.Address, l.Port = strings.TrimPrefix(spec, "unix:"), 0
		return l, true
	}
	return l, splitListen(spec, &l)
}

// splitListen reads an address, a port, or both.
func splitListen(spec string, l *host.WebListen) bool {
	address, port := spec, ""
	switch i := strings.LastIndexByte(spec, ':'); {
	case strings.HasPrefix(spec, "["):
		end := strings.IndexByte(spec, ']')
		if end < 0 {
			return false
		}
		address, port = spec[1:end], strings.TrimPrefix(spec[end+1:], ":")
	case i >= 0:
		address, port = spec[:i], spec[i+1:]
	case strings.Trim(spec, "0123456789") == "":
		address, port = "", spec
	}
	if port != "" {
		p, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return false
		}
		l.Port = uint16(p)
	}
	l.Address = address
	return true
}
