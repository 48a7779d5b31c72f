package host_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sekimori/internal/host"
)

// secret is what must not come through.
const secret = "Hunter2-S3cr3t"

func TestMaskArgs(t *testing.T) {
	for _, test := range []struct{ in, want []string }{
		{[]string{"app", "--password=" + secret}, []string{"app", "--password=***"}},
		{[]string{"app", "--password", secret, "--port", "80"}, []string{"app", "--password", "***", "--port", "80"}},
		{[]string{"app", "--token", "--password", secret, "x"}, []string{"app", "--token", "***", "***", "x"}},
		{[]string{"app", "-p", secret}, []string{"app", "-p", "***"}},
		{[]string{"mysql", "-p" + secret, "db"}, []string{"mysql", "-p***", "db"}},
		{[]string{"app", "-port=80", "-path", "/x", "-pidfile", "/run/x", "-p=" + secret}, []string{"app", "-port=80", "-path", "/x", "-pidfile", "/run/x", "-p***"}},
		{[]string{"/usr/bin/redis-cli", "-a", secret, "-h", "h"}, []string{"/usr/bin/redis-cli", "-a", "***", "-h", "h"}},
		{[]string{"tar", "-a", "x"}, []string{"tar", "-a", "x"}},
		{[]string{"curl", "-u", "bob:" + secret, "https://h"}, []string{"curl", "-u", "bob:***", "https://h"}},
		{[]string{"curl", "--proxy-user=bob:" + secret, "--user", "bob"}, []string{"curl", "--proxy-user=***", "--user", "bob"}},
		{[]string{"sh", "-c", "curl -u bob:" + secret + " h"}, []string{"sh", "-c", "curl -u ***"}},
		{[]string{"sh", "-c", "ssh -u bob -p 22 h"}, []string{"sh", "-c", "ssh -u bob -p ***"}},
		{[]string{"env", "DB_PASSWORD=" + secret, "TOKEN=" + secret, "PATH=/bin"}, []string{"env", "DB_PASSWORD=***", "TOKEN=***", "PATH=/bin"}},
		{[]string{"docker", "run", "-e", "API_KEY=" + secret}, []string{"docker", "run", "-e", "API_KEY=***"}},
		{[]string{"java", "-Dspring.datasource.password=" + secret, "-Dport=80"}, []string{"java", "-Dspring.datasource.password=***", "-Dport=80"}},
		{[]string{"app", "postgres://user:" + secret + "@db/x?sslmode=off"}, []string{"app", "postgres://user:***@db/x?sslmode=off"}},
		{[]string{"app", "--dsn=amqp://u:p/" + secret + "@mq:5672/"}, []string{"app", "--dsn=amqp://u:***@mq:5672/"}},
		{[]string{"app", "https://" + secret + "@github.com/x"}, []string{"app", "https://***@github.com/x"}},
		{[]string{"app", "http://a:b@x/ http://host:80/a@b http://c:d@y"}, []string{"app", "http://a:***@x/ http://host:80/a@b http://c:***@y"}},
		{[]string{"app", "https://x/y?token=" + secret + "&a=1"}, []string{"app", "https://x/y?token=***"}},
		{[]string{"curl", "-H", "Authorization: Bearer " + secret}, []string{"curl", "-H", "Authorization:***"}},
		{[]string{"app", `{"user":"u","password":"` + secret + `"}`}, []string{"app", `{"user":"u","password":***`}},
		{[]string{"helm", "--set", "a=b,auth.password=" + secret}, []string{"helm", "--set", "a=b,auth.password=***"}},
		{[]string{"sh", "-c", "mysql -u root -p" + secret}, []string{"sh", "-c", "mysql -u root -p***"}},
		{[]string{"sh", "-c", "app --password " + secret + " run"}, []string{"sh", "-c", "app --password ***"}},
		{[]string{"sh", "-c", "sshpass -p " + secret + " ssh"}, []string{"sh", "-c", "sshpass -p ***"}},
		{[]string{"openssl", "-passin", "pass:" + secret}, []string{"openssl", "-p***", "***"}},
		{[]string{"app", "$6$rounds=5000$saltsalt$" + strings.Repeat("a", 30)}, []string{"app", "***"}},
		{[]string{"app", "bob:$2y$10$" + strings.Repeat("a", 30)}, []string{"app", "bob:***"}},
		{[]string{"app", "-----BEGIN OPENSSH PRIVATE KEY-----\nabc"}, []string{"app", "***"}},
		{[]string{"app", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc"}, []string{"app", "***"}},
		{[]string{"app", "ghp_" + strings.Repeat("A", 30), "task-sk-board"}, []string{"app", "***", "task-sk-board"}},
		{[]string{"postgres: app db 10.0.0.1(5432) idle"}, []string{"postgres: app db 10.0.0.1(5432) idle"}},
		// Names of files, and switches, are no secrets.
		{[]string{"app", "--password-file", "/run/secrets/x", "--token-path=/y"}, []string{"app", "--password-file", "/run/secrets/x", "--token-path=/y"}},
		{[]string{"sshd", "-D", "-o", "HostKey=/etc/ssh/key"}, []string{"sshd", "-D", "-o", "HostKey=/etc/ssh/key"}},
		{[]string{"nginx", "-g", "daemon off;"}, []string{"nginx", "-g", "daemon off;"}},
		{nil, []string{}},
	} {
		if diff := cmp.Diff(test.want, host.MaskArgs(test.in)); diff != "" {
			t.Errorf("MaskArgs(%q) (-want +got):\n%s", test.in, diff)
		}
	}
}

// TestMaskForms: whatever the name of the secret and the form in which it is
// given, it does not come through.
func TestMaskForms(t *testing.T) {
	names := []string{
		"password", "Password", "passwd", "pwd", "pass", "db-password", "dbPassword", "DB_PASS", "secret", "client_secret", "token", "auth-token", "apikey", "api-key", "API_KEY",
		"aws_secret_access_key", "private-key", "passphrase", "credentials", "cookie", "requirepass", "psk", "encryption_key", "bearer",
	}
	forms := []func(name string) []string{
		func(n string) []string { return []string{"--" + n + "=" + secret} },
		func(n string) []string { return []string{"--" + n, secret} },
		func(n string) []string { return []string{"-" + n, secret} },
		func(n string) []string { return []string{"-" + n + "=" + secret} },
		func(n string) []string { return []string{n + "=" + secret} },
		func(n string) []string { return []string{"-e", n + "=" + secret} },
		func(n string) []string { return []string{"-D" + n + "=" + secret} },
		func(n string) []string { return []string{n + ":" + secret} },
		func(n string) []string { return []string{`{"` + n + `": "` + secret + `"}`} },
		func(n string) []string { return []string{"a=1;" + n + "=" + secret + ";b=2"} },
		func(n string) []string { return []string{"https://h/?x=1&" + n + "=" + secret} },
		func(n string) []string { return []string{"-c", "exec app --" + n + " " + secret} },
		func(n string) []string { return []string{"-c", "exec app --" + n + "='" + secret + "'"} },
		func(n string) []string { return []string{"-c", n + "=" + secret + " app"} },
		func(n string) []string { return []string{"--" + n, "--" + n, secret} },
	}
	for _, n := range names {
		for i, form := range forms {
			argv := append([]string{"program"}, form(n)...)
			if got := strings.Join(host.MaskArgs(argv), " "); strings.Contains(got, secret) {
				t.Errorf("form %d of %s: %q", i, n, got)
			}
		}
	}
	for _, scheme := range []string{"http", "https", "postgres", "mysql", "redis", "amqp", "mongodb+srv", "ftp", "socks5"} {
		for _, form := range []string{"%s://u:%s@h", "%s://:%s@h:1/x", "--url=%s://u:%s@h/a?b=c", "%s://%s@h", "x %s://u:%s@h y"} {
			arg := fmt.Sprintf(form, scheme, secret)
			if got := strings.Join(host.MaskArgs([]string{"p", arg}), " "); strings.Contains(got, secret) {
				t.Errorf("%q gives %q", arg, got)
			}
		}
	}
}

// TestMaskTwice: what is masked stays as it is, and nothing grows.
func TestMaskTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.OneOf(
			rapid.SampledFrom([]string{"--password", "-p", "-px", "TOKEN=a", "a=b", "http://u:p@h", "://", "x:y", "key", "--", "-", "a b --token c", "$6$aaaaaaaaaaaaaaaaaaaaaaa"}),
			rapid.String(),
		)
		argv := rapid.SliceOf(word).Draw(t, "argv")
		once := host.MaskArgs(argv)
		if len(once) != len(argv) {
			t.Fatalf("%d arguments became %d", len(argv), len(once))
		}
		if diff := cmp.Diff(once, host.MaskArgs(once)); diff != "" {
			t.Fatalf("masked again it differs:\n%s", diff)
		}
	})
}

func FuzzMaskArgs(f *testing.F) {
	f.Add("mysql\x00-psecret\x00--password\x00x")
	f.Add("a\x00http://u:p@h/\x00TOKEN=1")
	f.Fuzz(func(t *testing.T, line string) {
		argv := strings.Split(line, "\x00")
		if got := host.MaskArgs(argv); len(got) != len(argv) {
			t.Errorf("%d arguments became %d", len(argv), len(got))
		}
	})
}
