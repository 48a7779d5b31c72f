package services

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"path"
	"slices"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/host/web"
	"sekimori/internal/observe/rootfs"
)

// source hands out files of a root to readers of languages.
type source struct{ files rootfs.FS }

// maxWebFile bounds one file of a web server's configuration.
const maxWebFile = 8 << 20

// ReadFile implements web.Source.
func (s source) ReadFile(name string) ([]byte, error) { return s.files.Read(name, maxWebFile) }

// ReadDir implements web.Source.
func (s source) ReadDir(name string) ([]string, error) {
	if _, err := s.files.Look(name); err != nil {
		return nil, err
	}
	return s.files.List(name)
}

// ReadWeb reads the configurations of web servers and the certificates that they,
// and mail servers, show.
func ReadWeb(f rootfs.FS) ([]host.WebServer, []host.Certificate, []host.Unseen) {
	n := &rootfs.Notes{Section: host.SectionWeb}
	src := source{f}
	var out []host.WebServer
	add := func(config string, read func(string) host.WebServer) {
		if !f.Exists(strings.TrimPrefix(config, "/")) {
			return
		}
		s := read(config)
		for _, p := range s.Problems {
			n.Add("%s: %s", s.Software, p)
		}
		lookPasswords(f, &s)
		out = append(out, s)
	}
	for _, c := range []string{"/etc/nginx/nginx.conf", "/usr/local/nginx/conf/nginx.conf", "/usr/local/etc/nginx/nginx.conf", "/usr/local/openresty/nginx/conf/nginx.conf"} {
		add(c, func(c string) host.WebServer { return web.Nginx(src, c) })
	}
	add("/etc/apache2/apache2.conf", func(c string) host.WebServer { return web.Apache(src, c, envvars(n.Text(f, "etc/apache2/envvars"))) })
	for _, c := range []string{"/etc/apache2/httpd.conf", "/etc/httpd/conf/httpd.conf", "/usr/local/apache2/conf/httpd.conf"} {
		add(c, func(c string) host.WebServer { return web.Apache(src, c, map[string]string{}) })
	}
	add("/etc/caddy/Caddyfile", func(c string) host.WebServer { return web.Caddy(src, c) })
	add("/etc/lighttpd/lighttpd.conf", func(c string) host.WebServer { return web.Lighttpd(src, c) })
	add("/etc/haproxy/haproxy.cfg", func(c string) host.WebServer { return web.HAProxy(src, c) })
	return out, certificates(f, out, n), n.List
}

// envvars reads the assignments of Debian's /etc/apache2/envvars, a shell script
// that exports constants.
func envvars(text string) map[string]string {
	out := map[string]string{"SUFFIX": ""}
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		if name, value, ok := strings.Cut(line, "="); ok && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == "" && len(out) < 500 {
			out[name] = strings.ReplaceAll(strings.Trim(value, `"'`), "$SUFFIX", "")
		}
	}
	return out
}

// lookPasswords looks at the files that hold passwords.
func lookPasswords(f rootfs.FS, s *host.WebServer) {
	for i := range s.Sites {
		for k := range s.Sites[i].Auth {
			p := &s.Sites[i].Auth[k].Passwords
			if p.Path == "" {
				continue
			}
			if file, err := f.Look(p.Path); err == nil {
				*p = file
			}
		}
	}
}

// Bounds of certificates.
const (
	maxCertificates = 500
	maxCertificate  = 1 << 20
)

// certificates reads the certificates that servers show: the first one of each file.
func certificates(f rootfs.FS, servers []host.WebServer, n *rootfs.Notes) []host.Certificate {
	type use struct{ keys, by []string }
	uses := map[string]*use{}
	add := func(file, key, by string) {
		if !strings.HasPrefix(file, "/") || strings.Contains(file, "$") {
			return
		}
		u := uses[file]
		if u == nil {
			u = &use{}
			uses[file] = u
		}
		if key != "" {
			u.keys = append(u.keys, key)
		}
		if !slices.Contains(u.by, by) {
			u.by = append(u.by, by)
		}
	}
	for _, s := range servers {
		for _, site := range s.Sites {
			for i, file := range site.Certificates {
				if s.Software == "nginx" && !strings.HasPrefix(file, "/") {
					file = path.Join(path.Dir(s.Config), file)
				}
				key := file // HAProxy and lighttpd keep both in one file
				if i < len(site.Keys) {
					key = site.Keys[i]
				}
				if s.Software == "nginx" && !strings.HasPrefix(key, "/") {
					key = path.Join(path.Dir(s.Config), key)
				}
				add(file, key, s.Software)
			}
		}
	}
	mailCertificates(f, n, add)
	var out []host.Certificate
	for file, u := range uses {
		if len(out) == maxCertificates {
			n.Add("more than %d certificates, the rest was not read", maxCertificates)
			break
		}
		slices.Sort(u.by)
		for _, c := range readCertificate(f, file) {
			c.UsedBy = u.by
			if len(u.keys) > 0 {
				c.Key, _ = f.Look(u.keys[0])
			}
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b host.Certificate) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// mailCertificates finds those of postfix and dovecot.
func mailCertificates(f rootfs.FS, n *rootfs.Notes, add func(file, key, by string)) {
	values := func(text string, names ...string) []string {
		out := make([]string, len(names))
		for line := range strings.Lines(text) {
			name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			for i, want := range names {
				if ok && strings.TrimSpace(name) == want {
					out[i] = strings.TrimLeft(strings.TrimSpace(value), "<")
				}
			}
		}
		return out
	}
	v := values(n.Text(f, "etc/postfix/main.cf"), "smtpd_tls_cert_file", "smtpd_tls_key_file", "smtpd_tls_chain_files")
	add(v[0], v[1], "postfix")
	add(v[2], "", "postfix")
	for _, file := range []string{"etc/dovecot/conf.d/10-ssl.conf", "etc/dovecot/dovecot.conf"} {
		v := values(n.Text(f, file), "ssl_cert", "ssl_key")
		add(v[0], v[1], "dovecot")
	}
}

// readCertificate reads the certificate that a file begins with; of a directory
// (HAProxy's crt), of each file in it.
func readCertificate(f rootfs.FS, name string) []host.Certificate {
	info, err := f.Look(name)
	if err == nil && info.Type == "dir" {
		var out []host.Certificate
		names, _ := f.List(name)
		for _, n := range names[:min(len(names), maxCertificates)] {
			if at := path.Join(name, n); !strings.HasSuffix(n, ".key") {
				if i, err := f.Look(at); err == nil && i.Type == "file" {
					out = append(out, readCertificate(f, at)...)
				}
			}
		}
		return out
	}
	c := host.Certificate{Path: name}
	data, err := f.Read(name, maxCertificate)
	if err != nil {
		c.Err = err.Error()
		return []host.Certificate{c}
	}
	parseCertificate(data, &c)
	return []host.Certificate{c}
}

func parseCertificate(data []byte, c *host.Certificate) {
	var block *pem.Block
	for rest := data; ; {
		if block, rest = pem.Decode(rest); block == nil {
			c.Err = "no certificate in it"
			return
		}
		if block.Type == "CERTIFICATE" || block.Type == "X509 CERTIFICATE" || block.Type == "TRUSTED CERTIFICATE" {
			break
		}
	}
	x, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		c.Err = err.Error()
		return
	}
	text := func(s string) string { return strings.ToValidUTF8(s[:min(len(s), 1024)], "\uFFFD") }
	c.Subject, c.Issuer = text(x.Subject.String()), text(x.Issuer.String())
	for _, n := range x.DNSNames[:min(len(x.DNSNames), 100)] {
		c.Names = append(c.Names, text(n))
	}
	for _, ip := range x.IPAddresses[:min(len(x.IPAddresses), 100)] {
		c.Names = append(c.Names, ip.String())
	}
	c.NotBefore, c.NotAfter = x.NotBefore.UTC(), x.NotAfter.UTC()
	c.Signature = x.SignatureAlgorithm.String()
	c.SelfSigned = string(x.RawSubject) == string(x.RawIssuer)
	switch k := x.PublicKey.(type) {
	case *rsa.PublicKey:
		c.KeyType, c.Bits = "RSA", k.N.BitLen()
	case *ecdsa.PublicKey:
		c.KeyType, c.Bits = "ECDSA", k.Curve.Params().BitSize
	case ed25519.PublicKey:
		c.KeyType, c.Bits = "Ed25519", 256
	default:
		c.KeyType = x.PublicKeyAlgorithm.String()
	}
}
