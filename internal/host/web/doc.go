// Package web reads the configurations of web servers, as far as they decide who
// may come in and how: nginx, Apache httpd, Caddy, lighttpd and HAProxy. It is pure:
// files arrive as a [Source], and what is meant comes out as host.WebServer.
//
//	s := web.Nginx(files, "/etc/nginx/nginx.conf")
//	s.Sites[0].Listen // [{Port: 443, TLS: true}]
//
// These languages can compute (variables, maps, conditions, scripts). What is not
// understood and may matter is named in Problems, and Complete is false then;
// directives that have nothing to do with access are passed over.
package web
