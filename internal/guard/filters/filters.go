// Package filters holds the filters that come with sekimori: who attacks which
// service, in fail2ban's format and our own words.
//
// They are written for hostile lines. The address to blame stands where the
// service itself writes it; where a user name or path of the peer comes before,
// the pattern reaches to the end of the line, so that nothing inside can pass
// for what follows. Names are not looked up: a line that has only a name finds
// nobody. Each filter has samples, matching and not, which are its test.
//
//	d, err := filter.Load(filters.FS(), "sshd", map[string]string{"mode": "aggressive"})
package filters

import (
	"embed"
	"io/fs"
	"slices"
	"strings"
)

//go:embed filter.d
var files embed.FS

// FS returns the filters as a directory laid out like /etc/fail2ban: each is
// filter.d/NAME.conf.
func FS() fs.FS { return files }

// An Entry describes a filter.
type Entry struct {
	Name  string
	Title string   // the service, for people
	Logs  []string // where Linux distributions keep its log, as globs
	Modes []string // besides normal
}

// entries are sorted by name.
var entries = [...]Entry{
	{"apache", "Apache httpd", []string{"/var/log/apache2/error.log", "/var/log/apache2/access.log", "/var/log/httpd/error_log", "/var/log/httpd/access_log"}, []string{"probing", "aggressive"}},
	{"caddy", "Caddy", []string{"/var/log/caddy/*.log"}, nil},
	{"cockpit", "Cockpit", []string{"/var/log/auth.log", "/var/log/secure"}, nil},
	{"dovecot", "Dovecot", []string{"/var/log/mail.log", "/var/log/maillog"}, []string{"aggressive"}},
	{"dropbear", "Dropbear", []string{"/var/log/auth.log", "/var/log/secure"}, nil},
	{"exim", "Exim", []string{"/var/log/exim4/mainlog", "/var/log/exim/main.log"}, []string{"aggressive"}},
	{"gitea", "Gitea and Forgejo", []string{"/var/log/gitea/gitea.log", "/var/lib/gitea/log/gitea.log", "/var/lib/forgejo/log/forgejo.log"}, nil},
	{"grafana", "Grafana", []string{"/var/log/grafana/grafana.log"}, nil},
	{"haproxy", "HAProxy", []string{"/var/log/haproxy.log"}, []string{"aggressive"}},
	{"mysql", "MySQL and MariaDB", []string{"/var/log/mysql/error.log", "/var/log/mariadb/mariadb.log"}, nil},
	{"named", "BIND", []string{"/var/log/named/*.log", "/var/log/syslog", "/var/log/messages"}, nil},
	{"nextcloud", "Nextcloud", []string{"/var/log/nextcloud/nextcloud.log", "/var/www/nextcloud/data/nextcloud.log"}, nil},
	{"nginx", "nginx", []string{"/var/log/nginx/error.log", "/var/log/nginx/access.log"}, []string{"probing", "aggressive"}},
	{"openvpn", "OpenVPN", []string{"/var/log/openvpn/*.log", "/var/log/syslog"}, nil},
	{"pam", "PAM, whatever the service", []string{"/var/log/auth.log", "/var/log/secure"}, nil},
	{"phpmyadmin", "phpMyAdmin", []string{"/var/log/auth.log", "/var/log/secure"}, nil},
	{"postfix", "Postfix", []string{"/var/log/mail.log", "/var/log/maillog"}, []string{"auth", "rbl", "ddos", "errors", "more", "extra", "aggressive"}},
	{"postgresql", "PostgreSQL", []string{"/var/log/postgresql/*.log"}, nil},
	{"proftpd", "ProFTPD", []string{"/var/log/proftpd/proftpd.log", "/var/log/auth.log"}, nil},
	{"proxmox", "Proxmox", []string{"/var/log/daemon.log", "/var/log/syslog"}, nil},
	{"pureftpd", "Pure-FTPd", []string{"/var/log/syslog", "/var/log/messages"}, nil},
	{"redis", "Redis and Valkey", []string{"/var/log/redis/*.log", "/var/log/valkey/*.log"}, nil},
	{"roundcube", "Roundcube", []string{"/var/log/roundcube/errors.log", "/var/log/roundcube/userlogins.log", "/var/log/roundcubemail/errors"}, nil},
	{"sshd", "OpenSSH", []string{"/var/log/auth.log", "/var/log/secure"}, []string{"ddos", "extra", "aggressive"}},
	{"sudo", "sudo and su", []string{"/var/log/auth.log", "/var/log/secure"}, nil},
	{"traefik", "Traefik", []string{"/var/log/traefik/access.log"}, []string{"ddos", "aggressive"}},
	{"vaultwarden", "Vaultwarden and Bitwarden", []string{"/var/log/vaultwarden.log", "/var/lib/vaultwarden/vaultwarden.log"}, nil},
	{"vsftpd", "vsftpd", []string{"/var/log/vsftpd.log", "/var/log/auth.log"}, nil},
	{"wordpress", "WordPress", []string{"/var/log/auth.log", "/var/log/syslog"}, nil},
	{"xrdp", "xrdp", []string{"/var/log/xrdp-sesman.log"}, nil},
}

// All returns the filters, sorted by name.
func All() []Entry { return slices.Clone(entries[:]) }

// Find returns the filter of that name.
func Find(name string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(entries[:], name, func(e Entry, n string) int { return strings.Compare(e.Name, n) })
	if !ok {
		return Entry{}, false
	}
	return entries[i], true
}
