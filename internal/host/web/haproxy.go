package web

import (
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/host"
)

// HAProxy reads haproxy.cfg: sections of lines, of which frontends and listens
// have sockets.
func HAProxy(src Source, config string) host.WebServer {
	r := newReader(src, "haproxy", config)
	text, ok := r.text(config)
	if !ok {
		return *r.out
	}
	h := haproxy{reader: r, protocols: []string{"TLSv1.2", "TLSv1.3"}}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, " #")
		if w := strings.Fields(line); len(w) > 0 && w[0][0] != '#' && r.count() {
			h.line(w, config, number)
		}
	}
	h.end()
	return *r.out
}

type haproxy struct {
	*reader
	section   string
	site      *host.WebSite
	protocols []string
	from      string
}

func (h *haproxy) end() {
	if h.site != nil && len(h.out.Sites) < maxSites {
		h.out.Sites = append(h.out.Sites, *h.site)
	}
	h.site = nil
}

func (h *haproxy) line(w []string, file string, number int) {
	switch w[0] {
	case "global", "defaults", "frontend", "backend", "listen", "userlist", "peers", "resolvers", "mailers", "program", "cache", "ring", "crt-store", "traces", "http-errors":
		h.end()
		h.section = w[0]
		if w[0] == "frontend" || w[0] == "listen" {
			h.site = &host.WebSite{File: file, Line: number, Protocols: h.protocols, ProtocolsFrom: h.from}
			if len(w) > 1 {
				h.site.Names = []string{w[1]}
			}
			if len(w) > 2 {
				h.bind([]string{"bind", w[2]}, file, number)
			}
		}
		return
	}
	if h.section == "global" && w[0] == "ssl-default-bind-options" {
		h.options(w[1:], &h.protocols, &h.from, file, number)
	}
	if h.site == nil {
		return
	}
	text := strings.Join(w, " ")
	switch w[0] {
	case "bind":
		h.bind(w, file, number)
	case "http-request":
		if strings.Contains(text, "auth") && (w[1] == "auth" || strings.Contains(text, "http_auth")) && len(h.site.Auth) < maxPlaces {
			h.site.Auth = append(h.site.Auth, host.WebAuth{Kind: "basic", Path: "/", File: file, Line: number})
		}
		h.site.Redirect = h.site.Redirect || strings.Contains(text, "redirect scheme https")
	case "redirect":
		h.site.Redirect = h.site.Redirect || strings.Contains(text, "scheme https")
	case "stats":
		if len(w) > 2 && w[1] == "uri" || len(w) > 1 && w[1] == "enable" {
			path := "/haproxy?stats"
			if w[1] == "uri" {
				path = w[2]
			}
			h.site.Pages = slices.DeleteFunc(h.site.Pages, func(p host.WebPage) bool { return p.Kind == "stats" })
			h.site.Pages = append(h.site.Pages, host.WebPage{Kind: "stats", Path: path, File: file, Line: number})
		}
		if len(w) > 1 && w[1] == "auth" {
			for i := range h.site.Pages {
				h.site.Pages[i].Restricted = true
			}
			if len(h.site.Auth) < maxPlaces {
				h.site.Auth = append(h.site.Auth, host.WebAuth{Kind: "basic", Path: "stats", File: file, Line: number})
			}
		}
	case "http-response":
		h.site.HSTS = h.site.HSTS || strings.Contains(text, "Strict-Transport-Security")
	case "filter":
		if strings.Contains(text, "coraza") || strings.Contains(text, "modsecurity") {
			h.site.WAF = "on"
		}
	}
}

// options reads no-tlsv10 and its like, ssl-min-ver and ssl-max-ver.
func (h *haproxy) options(words []string, protocols *[]string, from *string, file string, number int) {
	all := []string{"SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
	on := slices.Clone(all)
	set := false
	for i, w := range words {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch {
		case w == "ssl-min-ver":
			on, set = slices.DeleteFunc(on, func(p string) bool { return p < next }), true
		case w == "ssl-max-ver":
			on, set = slices.DeleteFunc(on, func(p string) bool { return p > next }), true
		case strings.HasPrefix(w, "no-tlsv1") && len(w) == len("no-tlsv1x"):
			on, set = slices.DeleteFunc(on, func(p string) bool { return p == "TLSv1."+w[len(w)-1:] }), true
		case w == "no-sslv3":
			on, set = slices.DeleteFunc(on, func(p string) bool { return p == "SSLv3" }), true
		}
	}
	if !set {
		return
	}
	for i, p := range on {
		if p == "TLSv1.0" {
			on[i] = "TLSv1"
		}
	}
	*protocols, *from = on, at(file, number)
}

// bind reads: bind [address]:port[,…] [ssl] [crt FILE] [verify required] [ca-file FILE].
func (h *haproxy) bind(w []string, file string, number int) {
	if len(w) < 2 {
		return
	}
	s := h.site
	tls := slices.Contains(w, "ssl")
	for spec := range strings.SplitSeq(w[1], ",") {
		l := host.WebListen{Line: number, TLS: tls}
		for _, prefix := range []string{"ipv4@", "ipv6@", "quic4@", "quic6@"} {
			spec = strings.TrimPrefix(spec, prefix)
		}
		if i := strings.LastIndexByte(spec, ':'); i > 0 && strings.Count(spec, ":") > 1 && spec[0] != '[' {
			spec = "[" + spec[:i] + "]" + spec[i:] // :::443 is the address :: and a port
		}
		if strings.HasPrefix(spec, "/") || strings.HasPrefix(spec, "unix@") {
			l.Address = strings.TrimPrefix(spec, "unix@")
		} else if !splitListen(spec, &l) {
			h.problem("%s: bind %s", at(file, number), spec)
			continue
		}
		if len(s.Listen) < maxPlaces {
			s.Listen = append(s.Listen, l)
		}
	}
	for i := 2; i+1 < len(w); i++ {
		switch w[i] {
		case "crt":
			s.Certificates = append(s.Certificates, w[i+1])
		case "ca-file":
			s.ClientCA = w[i+1]
		case "ciphers":
			s.Ciphers = w[i+1]
		case "verify":
			s.ClientAuth = map[string]string{"required": "require", "optional": "optional"}[w[i+1]]
		}
	}
	h.options(w[2:], &s.Protocols, &s.ProtocolsFrom, file, number)
}

func at(file string, line int) string { return fmt.Sprintf("%s:%d", file, line) }
