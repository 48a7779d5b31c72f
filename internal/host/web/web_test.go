package web_test

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/host"
	"sekimori/internal/host/web"
)

// files is a Source in memory.
type files map[string]string

func (f files) ReadFile(name string) ([]byte, error) {
	text, ok := f[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}

func (f files) ReadDir(name string) ([]string, error) {
	var out []string
	for p := range f {
		if path.Dir(p) == name {
			out = append(out, path.Base(p))
		}
	}
	if out == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return out, nil
}

func Example() {
	s := web.Nginx(files{"/etc/nginx/nginx.conf": "http { server { listen 443 ssl; ssl_verify_client on; } }"}, "/etc/nginx/nginx.conf")
	fmt.Println(s.Sites[0].Listen[0].Port, s.Sites[0].Listen[0].TLS, s.Sites[0].ClientAuth)
	// Output: 443 true require
}

func listen(address string, port uint16, tls bool, line int) host.WebListen {
	return host.WebListen{Address: address, Port: port, TLS: tls, Line: line}
}

func TestNginx(t *testing.T) {
	const conf, site = "/etc/nginx/nginx.conf", "/etc/nginx/sites-enabled/a"
	got := web.Nginx(files{
		conf: `load_module modules/ngx_http_modsecurity_module.so; # c
http {
	ssl_protocols TLSv1.2 TLSv1.3;
	server_tokens off;
	include sites-enabled/*;
}`,
		site: `server { listen 80; listen [::]:80; server_name a.example b.example; return 301 https://$host$request_uri; }
server {
	listen 192.0.2.1:443 ssl http2;
	server_name a.example _;
	ssl_certificate /c.pem; ssl_certificate_key /k.pem;
	ssl_client_certificate ca.pem; ssl_verify_client optional; ssl_verify_depth 2;
	add_header Strict-Transport-Security "max-age=1; x";
	location / { autoindex on; }
	location ~ \.php$ { auth_basic "in { side"; auth_basic_user_file htpasswd; location /deep { stub_status; } }
	location = /status { stub_status; allow 127.0.0.1; deny all; }
	location /open { auth_basic off; stub_status; }
	modsecurity on;
}
server { listen unix:/run/n.sock; auth_basic "r"; location /sub { } }
server { }
`,
	}, conf)
	protocols := []string{"TLSv1.2", "TLSv1.3"}
	want := host.WebServer{
		Software: "nginx", Config: conf, Files: []string{conf, site}, Complete: true, Modules: []string{"modsecurity"},
		Sites: []host.WebSite{
			{Names: []string{"a.example", "b.example"}, File: site, Line: 1, Listen: []host.WebListen{listen("", 80, false, 1), listen("::", 80, false, 1)}, Redirect: true},
			{
				Names: []string{"a.example"}, File: site, Line: 2, Listen: []host.WebListen{listen("192.0.2.1", 443, true, 3)},
				Certificates: []string{"/c.pem"}, Keys: []string{"/k.pem"}, ClientAuth: "optional", ClientCA: "ca.pem", ClientDepth: 2, HSTS: true, WAF: "on", AutoIndex: []string{"/"},
				Auth: []host.WebAuth{{Kind: "basic", Path: `\.php$`, File: site, Line: 9, Passwords: host.File{Path: "/etc/nginx/htpasswd"}}},
				Pages: []host.WebPage{
					{Kind: "status", Path: "/deep", File: site, Line: 9, Restricted: true},
					{Kind: "status", Path: "/status", File: site, Line: 10, Restricted: true},
					{Kind: "status", Path: "/open", File: site, Line: 11},
				},
			},
			{File: site, Line: 14, Listen: []host.WebListen{listen("/run/n.sock", 0, false, 14)}, Auth: []host.WebAuth{{Kind: "basic", Path: "/", File: site, Line: 14}}},
			{File: site, Line: 15, Listen: []host.WebListen{listen("", 80, false, 15)}},
		},
	}
	for i := range want.Sites {
		want.Sites[i].Protocols, want.Sites[i].ProtocolsFrom = protocols, conf+":3"
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestApache(t *testing.T) {
	const conf, site = "/etc/apache2/apache2.conf", "/etc/apache2/sites-enabled/s.conf"
	got := web.Apache(files{
		conf: `ServerTokens Prod
LoadModule ssl_module /m/mod_ssl.so
LoadModule status_module /m/mod_status.so
Define PORT 8443
Listen 80
<IfModule ssl_module>
	Listen ${PORT}
</IfModule>
<IfModule mod_none.c>
	Listen 9999
</IfModule>
Listen 127.0.0.1:81
<Location "/server-status">
	SetHandler server-status
	Require local
</Location>
IncludeOptional sites-enabled/*.conf
IncludeOptional nothing/*.conf
`,
		site: `<VirtualHost *:80>
	ServerName a.example
	Redirect permanent / https://a.example/
</VirtualHost>
<VirtualHost _default_:${PORT} [::1]:8443>
	SSLEngine on
	SSLProtocol all -SSLv3 -TLSv1 \
		-TLSv1.1
	SSLCertificateFile ${CERTS}/c.pem
	SSLCertificateKeyFile k.pem
	SSLVerifyClient require
	SSLCACertificateFile /ca.pem
	<Directory "/srv/my www">
		Options +Indexes
		AuthType Basic
		AuthUserFile /etc/htpasswd
		Require valid-user
	</Directory>
	<Location /info>
		SetHandler server-info
		Require all granted
	</Location>
</VirtualHost>
`,
	}, conf, map[string]string{"CERTS": "/certs"})
	status := host.WebPage{Kind: "status", Path: "/server-status", File: conf, Line: 14, Restricted: true}
	all := []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
	want := host.WebServer{
		Software: "apache", Config: conf, Files: []string{conf, site}, Complete: true, Modules: []string{"status"},
		Sites: []host.WebSite{
			{Names: []string{"a.example"}, File: site, Line: 1, Listen: []host.WebListen{listen("*", 80, false, 1)}, Protocols: all, Redirect: true, Pages: []host.WebPage{status}},
			{
				File: site, Line: 5, Listen: []host.WebListen{listen("*", 8443, true, 5), listen("::1", 8443, true, 5)},
				Protocols: []string{"TLSv1.2", "TLSv1.3"}, ProtocolsFrom: site + ":7", Certificates: []string{"/certs/c.pem"}, Keys: []string{"/etc/apache2/k.pem"},
				ClientAuth: "require", ClientCA: "/ca.pem", AutoIndex: []string{"/srv/my www"},
				Auth:  []host.WebAuth{{Kind: "basic", Path: "/srv/my www", File: site, Line: 15, Passwords: host.File{Path: "/etc/htpasswd"}}},
				Pages: []host.WebPage{status, {Kind: "info", Path: "/info", File: site, Line: 20}},
			},
			{File: conf, Line: 1, Listen: []host.WebListen{listen("127.0.0.1", 81, false, 12)}, Protocols: all, Pages: []host.WebPage{status}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCaddy(t *testing.T) {
	const conf = "/etc/caddy/Caddyfile"
	got := web.Caddy(files{
		conf: `{
	admin off
}
(auth) {
	basic_auth /admin/* {
		bob $2a$14$abc
	}
}
a.example, b.example:8443 {
	import auth
	tls /c.pem /k.pem {
		protocols tls1.3
		client_auth {
			mode require_and_verify
			trusted_ca_cert_file /ca.pem
		}
	}
	header Strict-Transport-Security "max-age=1"
	file_server browse
}
http://c.example {
	handle /in {
		basic_auth {
			x y
		}
		metrics /metrics
	}
}
import sites/*
`,
		"/etc/caddy/sites/x": ":8080 {\n\trespond {env.X}\n}\n",
	}, conf)
	if !got.Complete || len(got.Sites) != 3 {
		t.Fatalf("%+v", got)
	}
	want := []host.WebSite{
		{
			Names: []string{"a.example", "b.example"}, File: conf, Line: 9, Listen: []host.WebListen{listen("", 443, true, 9), listen("", 8443, true, 9)}, Redirect: true,
			Protocols: []string{"TLSv1.3"}, ProtocolsFrom: conf + ":12", Certificates: []string{"/c.pem"}, Keys: []string{"/k.pem"}, ClientAuth: "require", ClientCA: "/ca.pem",
			HSTS: true, AutoIndex: []string{"/"}, Auth: []host.WebAuth{{Kind: "basic", Path: "/admin/*", File: conf, Line: 5}},
		},
		{
			Names: []string{"c.example"}, File: conf, Line: 21, Listen: []host.WebListen{listen("", 80, false, 21)}, Protocols: []string{"TLSv1.2", "TLSv1.3"},
			Auth: []host.WebAuth{{Kind: "basic", Path: "/in", File: conf, Line: 23}}, Pages: []host.WebPage{{Kind: "metrics", Path: "/metrics", File: conf, Line: 26, Restricted: true}},
		},
		{File: "/etc/caddy/sites/x", Line: 1, Listen: []host.WebListen{listen("", 8080, false, 1)}, Protocols: []string{"TLSv1.2", "TLSv1.3"}},
	}
	if diff := cmp.Diff(want, got.Sites); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLighttpd(t *testing.T) {
	const conf = "/etc/lighttpd/lighttpd.conf"
	got := web.Lighttpd(files{
		conf:                                "server.port = 8080\nserver.tag = \"\"\n# c\ninclude \"conf-enabled/*.conf\"\nauth.require = ( \"/x\" => ( \"method\" => \"basic\" ) )\ninclude_shell \"/bin/evil\"\n",
		"/etc/lighttpd/conf-enabled/a.conf": "$SERVER[\"socket\"] == \"[::]:443\" {\n ssl.engine = \"enable\"\n ssl.pemfile = \"/c.pem\"\n ssl.openssl.ssl-conf-cmd = (\"MinProtocol\" => \"TLSv1.1\")\n}\nstatus.status-url = \"/s\"\n",
	}, conf)
	a := "/etc/lighttpd/conf-enabled/a.conf"
	want := []host.WebSite{
		{
			File: conf, Line: 1, Listen: []host.WebListen{listen("", 8080, false, 1)}, Protocols: []string{"TLSv1.2", "TLSv1.3"},
			Auth: []host.WebAuth{{Kind: "basic", Path: "/x", File: conf, Line: 5}}, Pages: []host.WebPage{{Kind: "status", Path: "/s", File: a, Line: 6}},
		},
		{File: a, Line: 1, Listen: []host.WebListen{listen("::", 443, true, 1)}, Certificates: []string{"/c.pem"}, Protocols: []string{"TLSv1.1", "TLSv1.2", "TLSv1.3"}, ProtocolsFrom: a + ":4"},
	}
	if diff := cmp.Diff(want, got.Sites); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Complete || len(got.Problems) != 1 {
		t.Errorf("what a program prints is taken for known: %v", got.Problems)
	}
}

func TestHAProxy(t *testing.T) {
	const conf = "/etc/haproxy/haproxy.cfg"
	got := web.HAProxy(files{conf: `global
	ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
frontend web
	bind :80,:::80
	bind *:443 ssl crt /c.pem verify required ca-file /ca.pem
	http-request redirect scheme https unless { ssl_fc }
frontend old
	bind 192.0.2.1:8443 ssl crt /d no-tlsv13 ssl-min-ver TLSv1.0
listen stats
	bind /run/h.sock
	stats enable
	stats uri /st
backend b
	bind 1:1
`}, conf)
	want := []host.WebSite{
		{
			Names: []string{"web"}, File: conf, Line: 3, Listen: []host.WebListen{listen("", 80, false, 4), listen("::", 80, false, 4), listen("*", 443, true, 5)},
			Protocols: []string{"TLSv1.2", "TLSv1.3"}, ProtocolsFrom: conf + ":2", Certificates: []string{"/c.pem"}, ClientAuth: "require", ClientCA: "/ca.pem", Redirect: true,
		},
		{Names: []string{"old"}, File: conf, Line: 7, Listen: []host.WebListen{listen("192.0.2.1", 8443, true, 8)}, Protocols: []string{"TLSv1", "TLSv1.1", "TLSv1.2"}, ProtocolsFrom: conf + ":8", Certificates: []string{"/d"}},
		{
			Names: []string{"stats"}, File: conf, Line: 9, Listen: []host.WebListen{listen("/run/h.sock", 0, false, 10)}, Protocols: []string{"TLSv1.2", "TLSv1.3"}, ProtocolsFrom: conf + ":2",
			Pages: []host.WebPage{{Kind: "stats", Path: "/st", File: conf, Line: 12}},
		},
	}
	if diff := cmp.Diff(want, got.Sites); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLoops: a file that includes itself, or cannot be read, is named.
func TestLoops(t *testing.T) {
	for name, got := range map[string]host.WebServer{
		"nginx":    web.Nginx(files{"/a": "http { include /a; server { include /none; } }"}, "/a"),
		"apache":   web.Apache(files{"/a": "Include /a\nInclude /none\n<VirtualHost *:80>\n"}, "/a", nil),
		"caddy":    web.Caddy(files{"/a": "import /a\n:80 {\nimport /none\n}\n"}, "/a"),
		"lighttpd": web.Lighttpd(files{"/a": "include \"/a\"\ninclude \"/none\"\n"}, "/a"),
		"haproxy":  web.HAProxy(files{}, "/a"),
	} {
		if got.Complete || len(got.Problems) == 0 {
			t.Errorf("%s: complete, with problems %q", name, got.Problems)
		}
	}
}

func fuzz(f *testing.F, read func(web.Source, string) host.WebServer, seeds ...string) {
	for _, s := range seeds {
		f.Add(s, "server { listen 80; }")
	}
	f.Fuzz(func(t *testing.T, main, other string) {
		s := read(files{"/etc/x/main": main, "/etc/x/other": other, "/etc/x/d/a": other}, "/etc/x/main")
		for _, site := range s.Sites {
			if site.Line < 1 || site.File == "" {
				t.Errorf("a site at %s:%d", site.File, site.Line)
			}
		}
		if s.Complete != (len(s.Problems) == 0) {
			t.Errorf("complete is %v with problems %v", s.Complete, s.Problems)
		}
		if len(strings.Join(s.Problems, "")) > 1<<22 {
			t.Error("long problems")
		}
	})
}

func FuzzNginx(f *testing.F) {
	fuzz(f, web.Nginx, "http { include other; include d/*; server { listen [::]:443 ssl; location / { auth_basic \"x\"; stub_status; } } }", "http{server{listen $x;if ($a ~ \"b{2}\"){return 301 https://x;}}}")
}

func FuzzApache(f *testing.F) {
	fuzz(f, func(s web.Source, name string) host.WebServer {
		return web.Apache(s, name, map[string]string{"A": "${A}"})
	},
		"Include other\nDefine B ${A}x\n<VirtualHost *:80 ${B}>\nSSLProtocol all -SSLv3\n<Location />\nAuthType Basic\n</Location>\n</VirtualHost>\n")
}

func FuzzCaddy(f *testing.F) {
	fuzz(f, web.Caddy, "{\n}\n(s) {\n basic_auth\n}\na.example, :80 {\n import s\n import other\n tls {\n client_auth\n }\n}\n")
}

func FuzzLighttpd(f *testing.F) {
	fuzz(f, web.Lighttpd, "server.port = 1\ninclude \"other\"\n$SERVER[\"socket\"] == \":443\" {\n ssl.engine = \"enable\"\n}\n")
}

func FuzzHAProxy(f *testing.F) {
	fuzz(f, web.HAProxy, "global\n ssl-default-bind-options no-tlsv10\nfrontend f\n bind :::443 ssl crt x verify required\n stats auth a:b\n")
}
