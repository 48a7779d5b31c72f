package services

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs/roottest"
)

func TestCron(t *testing.T) {
	f := roottest.New(t, map[string]string{
		"etc/crontab":                     "SHELL=/bin/sh\n# c\n17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly\n@reboot bob /x --password hunter2 y\nbroken line\n1 2 3 4\n",
		"etc/cron.d/job":                  "*/5 * * * * www /bin/a\n",
		"etc/cron.d/.hidden":              "* * * * * root /bin/no\n",
		"var/spool/cron/crontabs/alice":   "0 3 * * 1-5 /home/alice/x\n",
		"etc/cron.daily/logrotate":        "#!/bin/sh\n",
		"etc/anacrontab":                  "START_HOURS_RANGE=3\n7 5 weekly run-parts /etc/cron.weekly\n",
		"var/spool/cron/atjobs/a00001019": "#!/bin/sh\nTOKEN=hunter2\n",
	})
	r := Read(t.Context(), f, []host.Account{{Name: "me", UID: os.Getuid()}}, false)
	if len(r.Unseen) > 0 {
		t.Error(r.Unseen)
	}
	want := []host.CronJob{
		{Line: 3, Kind: "cron", Schedule: "17 * * * *", User: "root", Command: "cd / && run-parts --report /etc/cron.hourly"},
		{Line: 4, Kind: "cron", Schedule: "@reboot", User: "bob", Command: "/x --password *** y"},
		{Line: 1, Kind: "cron", Schedule: "*/5 * * * *", User: "www", Command: "/bin/a"},
		{Line: 1, Kind: "cron", Schedule: "0 3 * * 1-5", User: "alice", Command: "/home/alice/x"},
		{Line: 2, Kind: "anacron", Schedule: "7", User: "root", Command: "run-parts /etc/cron.weekly"},
		{Kind: "periodic", Schedule: "daily", User: "root", Command: "/etc/cron.daily/logrotate"},
		{Kind: "at", User: "me"},
	}
	if diff := cmp.Diff(want, r.Startup.Cron, cmpopts.IgnoreFields(host.CronJob{}, "File")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInetd(t *testing.T) {
	f := roottest.New(t, map[string]string{
		"etc/services":      "telnet 23/tcp\ntftp 69/udp # x\nftp 21/tcp alias\n",
		"etc/inetd.conf":    "# c\ntelnet stream tcp nowait root.tty /usr/sbin/tcpd in.telnetd -h\n127.0.0.1:alias stream tcp6 nowait ftp /usr/sbin/ftpd ftpd --password x\nshort line\n",
		"etc/xinetd.d/tftp": "service tftp\n{\n socket_type = dgram\n user = nobody\n server = /usr/sbin/in.tftpd\n server_args = -s /srv\n disable = no\n}\nservice own {\n port = 9999\n disable = yes\n}\n",
		"etc/ld.so.preload": "/tmp/a.so /b.so\n",
		"etc/rc.local":      "#!/bin/sh\nx --token hunter2\n",
		"etc/init.d/ssh":    "",
		"etc/init.d/off":    "",
		"etc/rc2.d/S01ssh":  "-> ../init.d/ssh",
	})
	r := Read(t.Context(), f, nil, false)
	want := []host.InetdService{
		{File: "/etc/inetd.conf", Line: 2, Name: "telnet", Protocol: "tcp", Port: 23, User: "root", Argv: []string{"/usr/sbin/tcpd", "-h"}},
		{File: "/etc/inetd.conf", Line: 3, Name: "alias", Protocol: "tcp6", Port: 21, User: "ftp", Argv: []string{"/usr/sbin/ftpd", "--password", "***"}},
		{File: "/etc/xinetd.d/tftp", Line: 1, Name: "tftp", Protocol: "udp", Port: 69, User: "nobody", Argv: []string{"/usr/sbin/in.tftpd", "-s", "/srv"}},
		{File: "/etc/xinetd.d/tftp", Line: 9, Name: "own", Protocol: "tcp", Port: 9999, Disabled: true},
	}
	if diff := cmp.Diff(want, r.Startup.Inetd); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/tmp/a.so", "/b.so"}, r.Startup.Preload); diff != "" {
		t.Errorf("preload (-want +got):\n%s", diff)
	}
	if len(r.Startup.Scripts) != 1 || r.Startup.Scripts[0].Text != "#!/bin/sh\nx --token ***\n" {
		t.Errorf("scripts: %+v", r.Startup.Scripts)
	}
	if len(r.Units) != 2 || r.Units[0].State != "disabled" || r.Units[1].State != "enabled" || r.Units[1].Manager != "sysv" || r.Units[1].PulledBy[0] != "2" {
		t.Errorf("units: %+v", r.Units)
	}
}

func TestLogging(t *testing.T) {
	journal := make([]byte, 256)
	copy(journal, "LPKSHHRH")
	binary.LittleEndian.PutUint64(journal[184:], 1_700_000_000_000_000)
	f := roottest.New(t, map[string]string{
		"usr/lib/systemd/systemd-journald":                          "",
		"etc/systemd/journald.conf":                                 "[Journal]\nStorage=auto\n#SystemMaxUse=\nSystemMaxUse=1G\n",
		"etc/systemd/journald.conf.d/x.conf":                        "[Journal]\nStorage=volatile\n",
		"run/systemd/journald.conf.d/x.conf":                        "[Journal]\nStorage=none\n",
		"var/log/journal/abc/system.journal":                        string(journal),
		"var/log/auth.log":                                          "x",
		"usr/sbin/rsyslogd":                                         "",
		"etc/rsyslog.conf":                                          "module(load=\"imudp\")\ninput(type=\"imudp\" port=\"514\")\nauth,authpriv.*\t\t/var/log/auth.log\n*.*;auth,authpriv.none\t-/var/log/syslog\n*.* @@logs.example:6514\n*.* @10.0.0.1\naction(type=\"omfwd\" target=\"r.example\" port=\"10514\" protocol=\"TCP\")\n",
		"etc/logrotate.conf":                                        "weekly\nrotate 4\n",
		"etc/logrotate.d/rsyslog":                                   "/var/log/syslog\n/var/log/auth.log\n{\n rotate 12\n monthly\n postrotate\n  rotate 99\n endscript\n}\n/var/log/x { maxage 30\n}\n",
		"usr/sbin/auditd":                                           "",
		"etc/audit/rules.d/a.rules":                                 "# c\n-D\n-w /etc/passwd -p wa\n-a always,exit -F arch=b64 -S execve\n",
		"usr/sbin/chronyd":                                          "",
		"etc/chrony/chrony.conf":                                    "pool 2.debian.pool.ntp.org iburst\n# server x\nserver 192.0.2.1\n",
		"etc/systemd/system/multi-user.target.wants/chrony.service": "-> /usr/lib/systemd/system/chrony.service",
		"etc/localtime":                                             "-> /usr/share/zoneinfo/Asia/Tokyo",
	})
	l, notes := ReadLogging(f)
	if len(notes) > 0 {
		t.Error(notes)
	}
	j := l.Journal
	if j.Storage != "volatile" || j.From != "/etc/systemd/journald.conf.d/x.conf:2" || j.Persistent || j.Files != 1 || !j.Oldest.Equal(time.Unix(1_700_000_000, 0)) || j.Settings["SystemMaxUse"] != "1G" {
		t.Errorf("journal: %+v", j)
	}
	want := []host.LogDaemon{{Name: "rsyslog", Remote: []string{"tcp logs.example:6514", "udp 10.0.0.1", "tcp r.example:10514"}, Listens: []string{"imudp 514"}, Auth: []string{"/var/log/auth.log"}}}
	if diff := cmp.Diff(want, l.Daemons); diff != "" {
		t.Errorf("daemons (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(host.AuditDaemon{Present: true, Rules: 2, Exec: true}, l.Audit); diff != "" {
		t.Errorf("auditd (-want +got):\n%s", diff)
	}
	rotation := []host.Rotation{
		{File: "/etc/logrotate.d/rsyslog", Line: 1, Paths: []string{"/var/log/syslog", "/var/log/auth.log"}, Keep: 12, Period: "monthly"},
		{File: "/etc/logrotate.d/rsyslog", Line: 10, Paths: []string{"/var/log/x"}, Keep: 4, Period: "weekly"},
	}
	if diff := cmp.Diff(rotation, l.Rotation); diff != "" {
		t.Errorf("rotation (-want +got):\n%s", diff)
	}
	c, _ := ReadClock(f)
	if diff := cmp.Diff(host.Clock{Synchronized: "unknown", Zone: "Asia/Tokyo", Daemons: []host.TimeDaemon{{Name: "chrony", Enabled: true, Servers: []string{"2.debian.pool.ntp.org", "192.0.2.1"}}}}, c); diff != "" {
		t.Errorf("clock (-want +got):\n%s", diff)
	}
}

func TestWeb(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a.example"}, DNSNames: []string{"a.example"},
		NotBefore: time.Unix(1_700_000_000, 0), NotAfter: time.Unix(1_800_000_000, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	f := roottest.New(t, map[string]string{
		"etc/nginx/nginx.conf":     "http { server { listen 443 ssl; ssl_certificate c.pem; ssl_certificate_key /etc/ssl/k.pem; auth_basic x; auth_basic_user_file /etc/htpasswd; } }",
		"etc/nginx/c.pem":          string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		"etc/ssl/k.pem":            "-----BEGIN PRIVATE KEY-----\nhunter2",
		"etc/htpasswd":             "bob:hunter2",
		"etc/apache2/apache2.conf": "Include ${APACHE_CONFDIR}/ports.conf\nInclude nothing.conf\n",
		"etc/apache2/envvars":      "export APACHE_CONFDIR=/etc/apache2$SUFFIX\n",
		"etc/apache2/ports.conf":   "Listen 8080\n",
		"etc/postfix/main.cf":      "smtpd_tls_cert_file = /etc/none.pem\n",
	})
	servers, certificates, notes := ReadWeb(f)
	if len(servers) != 2 || servers[0].Sites[0].Auth[0].Passwords.Type != "file" || servers[1].Sites[0].Listen[0].Port != 8080 {
		t.Errorf("servers: %+v", servers)
	}
	if len(notes) != 1 || !strings.Contains(notes[0].Reason, "nothing.conf") {
		t.Errorf("unseen: %v", notes)
	}
	want := []host.Certificate{
		{
			Path: "/etc/nginx/c.pem", Subject: "CN=a.example", Issuer: "CN=a.example", Names: []string{"a.example"}, NotBefore: template.NotBefore.UTC(), NotAfter: template.NotAfter.UTC(),
			KeyType: "ECDSA", Bits: 256, Signature: "ECDSA-SHA256", SelfSigned: true, UsedBy: []string{"nginx"},
		},
		{Path: "/etc/none.pem", UsedBy: []string{"postfix"}},
	}
	if diff := cmp.Diff(want, certificates, cmpopts.IgnoreFields(host.Certificate{}, "Key", "Err")); diff != "" {
		t.Errorf("certificates (-want +got):\n%s", diff)
	}
	if certificates[0].Key.Type != "file" || certificates[1].Err == "" {
		t.Errorf("key %+v, error %q", certificates[0].Key, certificates[1].Err)
	}
}

func TestStates(t *testing.T) {
	got := parseStates("ssh.service loaded active running OpenBSD Secure Shell server\n● bad.service not-found inactive dead bad.service\n\n")
	if diff := cmp.Diff(map[string][2]string{"ssh.service": {"active", "running"}, "bad.service": {"inactive", "dead"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzServices(f *testing.F) {
	f.Add("SHELL=/bin/sh\n*/5 * * * * root a --password b\n@reboot x\n7 5 weekly y\n")
	f.Add("telnet stream tcp nowait root /usr/sbin/tcpd in.telnetd\nservice x\n{\n port = 1\n disable = yes\n}\n")
	f.Add("*.* @@h:1\naction(type=\"omfwd\" target=\"r\")\ninput(type=\"imtcp\" port=\"1\")\n/a {\n rotate 4\n daily\n}\ndestination d { network(\"x\" port(1)); };")
	f.Add("(type=\"omfwd\" target=\"r\")\ninput(type=\"imtcp\"\xeaport")
	f.Add("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\nserver x\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, j := range append(parseCrontab(text, ""), parseCrontab(text, "u")...) {
			if j.Line < 1 || j.Schedule == "" || j.User == "" {
				t.Errorf("%+v", j)
			}
		}
		parseAnacrontab(text)
		parseInetd("x", text, nil)
		parseXinetd("x", text, portNames{"a/tcp": 1})
		var d host.LogDaemon
		readRsyslog(text, &d)
		readSyslogNG(text, &d)
		parseRotation("x", text, host.Rotation{Keep: -1})
		timeServers(text)
		envvars(text)
		parseStates(text)
		var c host.Certificate
		parseCertificate([]byte(text), &c)
	})
}
