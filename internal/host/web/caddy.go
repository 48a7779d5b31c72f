package web

import (
	"path"
	"strconv"
	"strings"

	"sekimori/internal/host"
)

// Caddy reads a Caddyfile. Snippets and imports of files are followed; a
// configuration in JSON is not read.
func Caddy(src Source, config string) host.WebServer {
	r := newReader(src, "caddy", config)
	c := caddy{reader: r, snippets: map[string][]node{}}
	for _, d := range c.file(config, 0) {
		c.site(d)
	}
	return *r.out
}

type caddy struct {
	*reader
	snippets map[string][]node
}

func (c *caddy) file(name string, depth int) []node {
	text, ok := c.text(name)
	if !ok {
		return nil
	}
	c.open = append(c.open, name)
	defer func() { c.open = c.open[:len(c.open)-1] }()
	l := &lexer{text: text, line: 1, lines: true}
	return c.block(l, name, depth)
}

// block reads directives: a line each, with a block where it ends with a brace.
func (c *caddy) block(l *lexer, file string, depth int) []node {
	var out []node
	var d node
	flush := func() {
		if d.name == "" && d.block == nil {
			return
		}
		switch {
		case d.name == "import":
			out = append(out, c.imported(d, depth)...)
		case strings.HasPrefix(d.name, "(") && strings.HasSuffix(d.name, ")"):
			c.snippets[strings.Trim(d.name, "()")] = d.block
		case c.count():
			out = append(out, d)
		}
		d = node{}
	}
	for {
		switch t := l.next(); t.kind {
		case 'w':

			if d.name == "" {
				d = node{name: t.text, file: file, line: t.line}
			} else if len(d.args) < 1000 {
				d.args = append(d.args, t.text)
			}
		case '{':
			if depth >= maxDepth {
				c.problem("%s:%d: blocks too deep", file, t.line)
				l.at = len(l.text)
				return out
			}
			if d.name == "" {
				d.file, d.line = file, t.line
			}
			d.block = c.block(l, file, depth+1)
			if d.block == nil {
				d.block = []node{}
			}
			flush()
		case '\n':
			if last := d.arg(len(d.args) - 1); depth == 0 && (strings.HasSuffix(last, ",") || len(d.args) == 0 && strings.HasSuffix(d.name, ",")) {
				continue
			}
			flush()
		case '}', 0:
			flush()
			return out
		}
	}
}

func (c *caddy) imported(d node, depth int) []node {
	name := d.arg(0)
	if block, ok := c.snippets[name]; ok {
		for range block {
			if !c.count() {
				return nil
			}
		}
		return block
	}
	if strings.HasSuffix(name, "*") && !strings.HasPrefix(path.Base(name), ".") && !strings.HasPrefix(name, "/") || !strings.HasPrefix(name, "/") {
		name = path.Join(path.Dir(d.file), name)
	}
	var out []node
	for _, n := range c.glob(name) {
		out = append(out, c.file(n, depth)...)
	}
	return out
}

// site turns one block of the top level into a site.
func (c *caddy) site(d node) {
	if d.name == "" {
		return // global options
	}
	if len(c.out.Sites) >= maxSites {
		return
	}
	s := host.WebSite{File: d.file, Line: d.line, Protocols: []string{"TLSv1.2", "TLSv1.3"}, Tokens: false}
	for _, a := range append([]string{d.name}, d.args...) {
		if a = strings.Trim(a, ","); a == "" {
			continue
		}
		name, l := caddyAddress(a)
		l.Line = d.line
		if name != "" && len(s.Names) < maxPlaces {
			s.Names = append(s.Names, name)
		}
		s.Listen = append(s.Listen, l)
		// Of a name without a scheme, port 80 sends on to HTTPS by itself.
		s.Redirect = s.Redirect || l.TLS && !strings.Contains(a, "://") && !strings.Contains(a, ":")
	}
	c.directives(d.block, &s, "/", false)
	c.out.Sites = append(c.out.Sites, s)
}

// caddyAddress reads [scheme://][host][:port][path]. HTTPS is what Caddy does of
// itself, except where scheme or port say otherwise.
func caddyAddress(a string) (name string, l host.WebListen) {
	scheme, rest, ok := strings.Cut(a, "://")
	if !ok {
		scheme, rest = "", a
	}
	rest, _, _ = strings.Cut(rest, "/")
	name = rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		if p, err := strconv.ParseUint(rest[i+1:], 10, 16); err == nil {
			l.Port = uint16(p)
		}
		name = rest[:i]
	}
	switch {
	case scheme == "http" || scheme == "" && (l.Port == 80 || name == ""):
		l.TLS = scheme == "" && l.Port == 443
	default:
		l.TLS = true
	}
	if l.Port == 0 {
		l.Port = 80
		if l.TLS {
			l.Port = 443
		}
	}
	return name, l
}

func (c *caddy) directives(list []node, s *host.WebSite, at string, closed bool) {
	for _, d := range list {
		switch d.name {
		case "tls":
			c.tls(d, s)
		case "bind":
			for i := range s.Listen {
				s.Listen[i].Address = d.arg(0)
			}
		case "basic_auth", "basicauth":
			place := at
			if strings.HasPrefix(d.arg(0), "/") {
				place = d.arg(0)
			}
			if len(s.Auth) < maxPlaces {
				s.Auth = append(s.Auth, host.WebAuth{Kind: "basic", Path: place, File: d.file, Line: d.line})
			}
			closed = closed || place == at
		case "forward_auth":
			closed = true
		case "file_server":
			for _, a := range d.args {
				if a == "browse" && len(s.AutoIndex) < maxPlaces {
					s.AutoIndex = append(s.AutoIndex, at)
				}
			}
			for _, b := range d.block {
				if b.name == "browse" && len(s.AutoIndex) < maxPlaces {
					s.AutoIndex = append(s.AutoIndex, at)
				}
			}
		case "metrics":
			if len(s.Pages) < maxPlaces {
				s.Pages = append(s.Pages, host.WebPage{Kind: "metrics", Path: d.arg(0), File: d.file, Line: d.line, Restricted: closed})
			}
		case "header":
			for _, w := range append(d.args, names(d.block)...) {
				s.HSTS = s.HSTS || strings.EqualFold(strings.TrimLeft(w, "+>?"), "Strict-Transport-Security")
			}
		case "redir":
			s.Redirect = s.Redirect || strings.HasPrefix(d.arg(0), "https://")
		case "coraza_waf":
			s.WAF = "on"
		case "handle", "handle_path", "route":
			place := at
			if strings.HasPrefix(d.arg(0), "/") {
				place = d.arg(0)
			}
			c.directives(d.block, s, place, closed)
		}
	}
}

func names(list []node) []string {
	out := make([]string, 0, len(list))
	for _, n := range list {
		out = append(out, n.name)
	}
	return out
}

// tls reads the tls directive: certificate and key, protocols, client_auth.
func (c *caddy) tls(d node, s *host.WebSite) {
	if len(d.args) == 2 && strings.HasPrefix(d.arg(0), "/") {
		s.Certificates, s.Keys = append(s.Certificates, d.arg(0)), append(s.Keys, d.arg(1))
	}
	for _, b := range d.block {
		switch b.name {
		case "protocols":
			all := []string{"tls1.2", "tls1.3"}
			s.Protocols, s.ProtocolsFrom = nil, b.at()
			for _, p := range all {
				if p >= b.arg(0) && (b.arg(1) == "" || p <= b.arg(1)) {
					s.Protocols = append(s.Protocols, "TLSv"+strings.TrimPrefix(p, "tls"))
				}
			}
		case "ciphers":
			s.Ciphers = strings.Join(b.args, ":")
		case "client_auth":
			s.ClientAuth = "require"
			for _, m := range b.block {
				switch m.name {
				case "mode":
					if m.arg(0) != "require_and_verify" {
						s.ClientAuth = "optional"
					}
				case "trusted_ca_cert_file", "trust_pool", "trusted_leaf_cert_file":
					s.ClientCA = m.arg(len(m.args) - 1)
				}
			}
		}
	}
}
