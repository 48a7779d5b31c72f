package web

import (
	"path"
	"strings"

	"sekimori/internal/host"
)

// Lighttpd reads lighttpd's configuration: assignments, conditions on socket and
// host, includes. What its include_shell lines print is not known.
func Lighttpd(src Source, config string) host.WebServer {
	r := newReader(src, "lighttpd", config)
	l := lighttpd{reader: r}
	base := host.WebSite{File: config, Line: 1, Tokens: true, Protocols: []string{"TLSv1.2", "TLSv1.3"}, Listen: []host.WebListen{{Port: 80, Line: 1}}}
	l.site = &base
	l.file(config)
	r.out.Sites = append([]host.WebSite{base}, r.out.Sites...)
	return *r.out
}

type lighttpd struct {
	*reader
	site *host.WebSite // of the whole server
}

func (l *lighttpd) file(name string) {
	text, ok := l.text(name)
	if !ok {
		return
	}
	l.open = append(l.open, name)
	defer func() { l.open = l.open[:len(l.open)-1] }()
	// A condition on a socket opens a site of its own until its brace closes.
	type frame struct {
		site   *host.WebSite
		socket bool
	}
	stack := []frame{{site: l.site}}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || !l.count() {
			continue
		}
		here := stack[len(stack)-1].site
		for range strings.Count(line, "}") - strings.Count(line, "{") {
			if len(stack) > 1 {
				if f := stack[len(stack)-1]; f.socket && len(l.out.Sites) < maxSites {
					l.out.Sites = append(l.out.Sites, *f.site)
				}
				stack = stack[:len(stack)-1]
			}
		}
		if opened := strings.Count(line, "{") - strings.Count(line, "}"); opened > 0 {
			next := frame{site: here}
			if spec, ok := condition(line, `$SERVER["socket"]`); ok {
				s := host.WebSite{File: name, Line: number, Tokens: here.Tokens, Protocols: here.Protocols}
				w := host.WebListen{Port: 80, Line: number}
				if !splitListen(spec, &w) {
					l.problem("%s:%d: socket %s", name, number, spec)
				}
				s.Listen, next = []host.WebListen{w}, frame{site: &s, socket: true}
			} else if spec, ok := condition(line, `$HTTP["host"]`); ok && len(here.Names) < maxPlaces {
				here.Names = append(here.Names, spec)
			}
			if len(stack) >= maxDepth {
				l.problem("%s:%d: conditions too deep", name, number)
				return
			}
			for range opened {
				stack = append(stack, next)
				next.socket = false
			}
			if strings.HasSuffix(line, "{") {
				continue
			}
		}
		l.assignment(name, number, line, stack[len(stack)-1].site)
	}
}

// condition reads: $SERVER["socket"] == "…" {.
func condition(line, field string) (string, bool) {
	_, rest, ok := strings.Cut(line, field)
	if !ok {
		return "", false
	}
	_, rest, ok = strings.Cut(rest, `"`)
	value, _, ok2 := strings.Cut(rest, `"`)
	return value, ok && ok2
}

func (l *lighttpd) assignment(file string, line int, text string, s *host.WebSite) {
	if rest, ok := strings.CutPrefix(text, "include_shell"); ok {
		// Debian's own scripts only list files that are read here as well.
		if strings.Contains(rest, "include-conf-enabled") {
			for _, name := range l.glob(path.Join(path.Dir(l.out.Config), "conf-enabled/*.conf")) {
				l.file(name)
			}
			return
		}
		if !strings.Contains(rest, "use-ipv6") && !strings.Contains(rest, "create-mime") {
			l.problem("%s:%d: what a program prints is not known", file, line)
		}
		return
	}
	if rest, ok := strings.CutPrefix(text, "include"); ok {
		pattern := strings.Trim(strings.TrimSpace(rest), `"`)
		if !strings.HasPrefix(pattern, "/") {
			pattern = path.Join(path.Dir(l.out.Config), pattern)
		}
		for _, name := range l.glob(pattern) {
			l.file(name)
		}
		return
	}
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		return
	}
	key, value = strings.TrimSpace(strings.TrimRight(key, "+: ")), strings.TrimSpace(strings.TrimPrefix(value, ">"))
	plain := strings.Trim(value, `"`)
	on := plain == "enable"
	switch key {
	case "server.port":
		w := host.WebListen{Line: line}
		if splitListen(plain, &w) {
			s.Listen[0].Port = w.Port
		}
	case "server.bind":
		s.Listen[0].Address = plain
	case "server.tag":
		s.Tokens = plain != ""
	case "ssl.engine":
		s.Listen[0].TLS = on
	case "ssl.pemfile":
		s.Certificates = append(s.Certificates, plain)
	case "ssl.privkey":
		s.Keys = append(s.Keys, plain)
	case "ssl.cipher-list":
		s.Ciphers = plain
	case "ssl.verifyclient.activate":
		if on && s.ClientAuth == "" {
			s.ClientAuth = "optional"
		}
	case "ssl.verifyclient.enforce":
		if on {
			s.ClientAuth = "require"
		}
	case "ssl.ca-file", "ssl.verifyclient.ca-file":
		s.ClientCA = plain
	case "ssl.openssl.ssl-conf-cmd":
		if _, rest, ok := strings.Cut(value, `"MinProtocol"`); ok {
			_, rest, _ = strings.Cut(rest, `"`)
			least, _, _ := strings.Cut(rest, `"`)
			s.Protocols, s.ProtocolsFrom = nil, at(file, line)
			for _, p := range []string{"SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"} {
				if p >= least {
					s.Protocols = append(s.Protocols, p)
				}
			}
		}
	case "auth.require":
		kind := "basic"
		if strings.Contains(value, "digest") {
			kind = "digest"
		}
		place := "/"
		if _, rest, ok := strings.Cut(value, `"`); ok {
			place, _, _ = strings.Cut(rest, `"`)
		}
		s.Auth = append(s.Auth, host.WebAuth{Kind: kind, Path: place, File: file, Line: line})
	case "status.status-url", "status.statistics-url", "status.config-url":
		s.Pages = append(s.Pages, host.WebPage{Kind: "status", Path: plain, File: file, Line: line})
	case "dir-listing.activate", "server.dir-listing":
		if on {
			s.AutoIndex = append(s.AutoIndex, "/")
		}
	case "setenv.add-response-header":
		s.HSTS = s.HSTS || strings.Contains(value, "Strict-Transport-Security")
	}
}
