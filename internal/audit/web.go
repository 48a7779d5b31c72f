package audit

import (
	"slices"
	"strings"
	"time"

	"sekimori/internal/host"
)

func webChecks() []Check {
	return []Check{
		{"web-basic-http", Web, High, []string{"RFC 7617 section 4", "OWASP ASVS 9.1"}, (*view).basicInClear},
		{"web-admin", Web, Medium, []string{"OWASP WSTG-CONF-05"}, (*view).insidePages},
		{"web-basic", Web, Medium, []string{"RFC 7617 section 4"}, (*view).basicAuth},
		{"web-tls-min", Web, Medium, []string{"RFC 8996", "Lynis HTTP-6710"}, (*view).oldTLS},
		{"web-ciphers", Web, Medium, []string{"RFC 9325"}, (*view).weakTLSCiphers},
		{"web-cert", Web, Medium, []string{"Lynis CRYP-7902", "RFC 5280"}, (*view).certificates},
		{"web-key", Web, High, []string{"ANSSI BP-028 R50"}, (*view).tlsKeys},
		{"web-clientca", Web, Medium, []string{"RFC 8446 section 4.4.2"}, (*view).clientCertificates},
		{"web-passwords", Web, Medium, []string{"htpasswd(1)"}, (*view).passwordFiles},
		{"web-plain", Web, Low, []string{"RFC 6797"}, (*view).plainHTTP},
		{"web-index", Web, Low, []string{"OWASP WSTG-CONF-04"}, (*view).directoryListings},
		{"web-tokens", Web, Info, []string{"OWASP WSTG-INFO-02"}, (*view).versionTold},
		{"web-waf", Web, Info, []string{"Lynis HTTP-6643"}, (*view).noWAF},
	}
}

// sites goes through all sites of all web servers.
func (v *view) sites(each func(w host.WebServer, s host.WebSite)) {
	for _, w := range v.s.Web {
		for _, s := range w.Sites {
			each(w, s)
		}
	}
}

func place(s host.WebSite) string {
	at := host.PackageSource{File: s.File, Line: s.Line}
	name := few(s.Names)
	if name == "" {
		name = "the default site"
	}
	return name + " (" + position(at.File, at.Line) + ")"
}

// plain reports whether a site answers without TLS, other than to send on.
func plain(s host.WebSite) bool {
	return !s.Redirect && slices.ContainsFunc(s.Listen, func(l host.WebListen) bool {
		return !l.TLS && !strings.HasPrefix(l.Address, "/") && !strings.HasPrefix(l.Address, "unix:")
	})
}

// localOnly reports whether a site listens on loopback or a path alone.
func localOnly(s host.WebSite) bool {
	for _, l := range s.Listen {
		if !strings.HasPrefix(l.Address, "127.") && l.Address != "::1" && l.Address != "[::1]" && l.Address != "localhost" && !strings.HasPrefix(l.Address, "/") && !strings.HasPrefix(l.Address, "unix:") {
			return false
		}
	}
	return len(s.Listen) > 0
}

func (v *view) basicInClear() outcome {
	var o outcome
	v.sites(func(w host.WebServer, s host.WebSite) {
		for _, a := range s.Auth {
			if a.Kind == "basic" && plain(s) && !localOnly(s) {
				o.add("%s: %s asks for a password without TLS at %s", position(a.File, a.Line), w.Software, a.Path)
			}
		}
	})
	for _, w := range v.s.Web {
		if !w.Complete {
			for _, p := range w.Problems {
				o.miss(w.Software + ": " + p)
			}
		}
	}
	o.miss(v.without(host.SectionWeb)...)
	return o
}

func (v *view) basicAuth() outcome {
	var o outcome
	v.sites(func(w host.WebServer, s host.WebSite) {
		for _, a := range s.Auth {
			if s.ClientAuth != "require" && !localOnly(s) && (a.Kind != "basic" || !plain(s)) {
				o.add("%s: %s asks for a password alone (%s) at %s", position(a.File, a.Line), w.Software, a.Kind, a.Path)
			}
		}
	})
	return o
}

func (v *view) insidePages() outcome {
	var o outcome
	v.sites(func(w host.WebServer, s host.WebSite) {
		for _, p := range s.Pages {
			if !p.Restricted && !localOnly(s) && s.ClientAuth != "require" {
				o.add("%s: %s shows %s at %s to everybody", position(p.File, p.Line), w.Software, p.Kind, p.Path)
			}
		}
	})
	return o
}

func (v *view) oldTLS() outcome {
	var o outcome
	v.sites(func(w host.WebServer, s host.WebSite) {
		if !slices.ContainsFunc(s.Listen, func(l host.WebListen) bool { return l.TLS }) {
			return
		}
		for _, p := range s.Protocols {
			if slices.Contains([]string{"SSLv2", "SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1"}, p) {
				from := s.ProtocolsFrom
				if from == "" {
					from = "the default"
				}
				o.add("%s: %s takes %s (%s)", place(s), w.Software, p, from)
				if from == "the default" {
					o.atLeast(Low) // the TLS library of a distribution often refuses what is configured
				} else {
					o.atLeast(Medium)
				}
			}
		}
	})
	return o
}

func (v *view) weakTLSCiphers() outcome {
	var o outcome
	v.sites(func(w host.WebServer, s host.WebSite) {
		for item := range strings.FieldsFuncSeq(s.Ciphers, func(r rune) bool { return r == ':' || r == ' ' || r == ',' }) {
			upper := strings.ToUpper(item)
			if strings.HasPrefix(item, "!") || strings.HasPrefix(item, "-") {
				continue
			}
			for _, bad := range []string{"RC4", "3DES", "DES-CBC", "NULL", "EXP", "MD5", "ADH", "AECDH", "LOW", "EXPORT"} {
				if strings.Contains(upper, bad) && !strings.HasPrefix(upper, "EXPLICIT") {
					o.add("%s: %s has %s among its ciphers", place(s), w.Software, item)
					break
				}
			}
		}
	})
	return o
}

func (v *view) certificates() outcome {
	var o outcome
	for _, c := range v.s.Certificates {
		if len(c.UsedBy) == 0 {
			continue
		}
		who := few(c.UsedBy)
		switch {
		case c.Err != "":
			o.miss(c.Path + ": " + c.Err)
		case !c.NotAfter.IsZero() && v.Now.After(c.NotAfter):
			o.add("%s (%s) ended %s", c.Path, who, v.ageOf(c.NotAfter))
			o.atLeast(Medium)
		case !c.NotAfter.IsZero() && c.NotAfter.Sub(v.Now) < 10*24*time.Hour:
			o.add("%s (%s) ends %s", c.Path, who, c.NotAfter.UTC().Format("2006-01-02"))
			o.atLeast(Low)
		}
		if c.KeyType == "RSA" && c.Bits > 0 && c.Bits < 2048 {
			o.add("%s (%s): RSA of %d bits", c.Path, who, c.Bits)
			o.atLeast(Medium)
		}
		if sig := strings.ToUpper(c.Signature); strings.Contains(sig, "SHA1") || strings.Contains(sig, "MD5") {
			if !c.SelfSigned {
				o.add("%s (%s): signed with %s", c.Path, who, c.Signature)
				o.atLeast(Medium)
			}
		}
	}
	return o
}

func (v *view) tlsKeys() outcome {
	var o outcome
	for _, c := range v.s.Certificates {
		if c.Key.Type != "" && c.Key.Mode&0o006 != 0 {
			o.add("%s has mode %04o", c.Key.Path, c.Key.Mode)
		}
	}
	return o
}

// clientCertificates finds certificates of clients that are asked for and do not
// protect.
func (v *view) clientCertificates() outcome {
	var o outcome
	v.sites(func(w host.WebServer, s host.WebSite) {
		switch {
		case s.ClientAuth == "optional" && w.Software != "caddy":
			o.add("%s: %s asks for a client's certificate and lets those in that have none, unless the application looks", place(s), w.Software)
			o.atLeast(Low)
		case s.ClientAuth == "require" && s.ClientCA == "":
			o.add("%s: %s demands a client's certificate and names no authority for it", place(s), w.Software)
			o.atLeast(Medium)
		}
	})
	return o
}

func (v *view) passwordFiles() outcome {
	var o outcome
	v.sites(func(_ host.WebServer, s host.WebSite) {
		for _, a := range s.Auth {
			if f := a.Passwords; f.Type != "" && (f.Mode&0o004 != 0 || f.OthersWrite()) {
				o.add("%s has mode %04o (%s)", f.Path, f.Mode, position(a.File, a.Line))
			}
		}
	})
	return o
}

func (v *view) plainHTTP() outcome {
	var o outcome
	v.sites(func(w host.WebServer, s host.WebSite) {
		if plain(s) && !localOnly(s) {
			o.add("%s: %s answers without TLS and does not send on to it", place(s), w.Software)
		}
	})
	return o
}

func (v *view) directoryListings() outcome {
	var o outcome
	v.sites(func(w host.WebServer, s host.WebSite) {
		for _, p := range s.AutoIndex {
			o.add("%s: %s lists the directory %s", place(s), w.Software, p)
		}
	})
	return o
}

func (v *view) versionTold() outcome {
	var o outcome
	v.sites(func(w host.WebServer, s host.WebSite) {
		if s.Tokens {
			o.add("%s tells its version", w.Software)
		}
	})
	return o
}

func (v *view) noWAF() outcome {
	var o outcome
	some := false
	v.sites(func(w host.WebServer, s host.WebSite) {
		some = some || s.WAF == "on" || slices.Contains(w.Modules, "coraza")
	})
	if len(v.s.Web) > 0 && !some {
		var names []string
		for _, w := range v.s.Web {
			names = append(names, w.Software)
		}
		o.add("%s: neither ModSecurity nor Coraza looks at requests", few(names))
	}
	return o
}
