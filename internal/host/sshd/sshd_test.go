package sshd

import (
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestDocExample is the example of the package's documentation.
func TestDocExample(t *testing.T) {
	c := Read(Files{
		"/etc/ssh/sshd_config":                         "Include /etc/ssh/sshd_config.d/*.conf\nPasswordAuthentication no\n",
		"/etc/ssh/sshd_config.d/50-cloud-init.conf":    "PasswordAuthentication yes\n",
		"/etc/ssh/sshd_config.d/99-hardening.conf":     "PasswordAuthentication no\n",
		"/etc/ssh/sshd_config.d/00-hardening.conf.bak": "PasswordAuthentication no\n",
	}, "/etc/ssh/sshd_config", Debian12())
	s := c.Effective(Connection{User: "alice"}).Setting("passwordauthentication")
	if len(c.Problems) > 0 || s.Values[0] != "yes" || s.From[0].String() != "/etc/ssh/sshd_config.d/50-cloud-init.conf:1" {
		t.Errorf("%+v, problems %v", s, c.Problems)
	}
}

// TestProblems: each thing wrong is named with its line and its kind.
func TestProblems(t *testing.T) {
	long := strings.Repeat("x", 10<<20)
	for name, test := range map[string]struct {
		files Files
		want  string
		kind  Kind
	}{
		"loop":             {Files{"/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config\nInclude /etc/ssh/sshd_config\n"}, "/etc/ssh/sshd_config:1: too many recursive", Refused},
		"two files loop":   {Files{"/etc/ssh/sshd_config": "Include a\n", "/etc/ssh/a": "\nInclude sshd_config\n"}, "/etc/ssh/sshd_config:1: too many recursive", Refused},
		"long line":        {Files{"/etc/ssh/sshd_config": "Banner " + long}, "/etc/ssh/sshd_config:0: /etc/ssh/sshd_config: larger than can be read", Unread},
		"missing":          {Files{}, "/etc/ssh/sshd_config:0: /etc/ssh/sshd_config cannot be opened", Refused},
		"rubbish":          {Files{"/etc/ssh/sshd_config": "\xff\xfe\x80 \x01\x02\nPort 22\n"}, "/etc/ssh/sshd_config:1: bad configuration option", Refused},
		"quote":            {Files{"/etc/ssh/sshd_config": "Port 22\r\nBanner \"x\r\n"}, "/etc/ssh/sshd_config:2: Banner: invalid quotes", Refused},
		"lost quote":       {Files{"/etc/ssh/sshd_config": "\nPassword\"Authentication no\n"}, "/etc/ssh/sshd_config:2: a quote is never closed", Remark},
		"global in Match":  {Files{"/etc/ssh/sshd_config": "Match User a\nCiphers aes128-ctr\n"}, "/etc/ssh/sshd_config:2: Ciphers is not allowed within a Match block", Refused},
		"missing include":  {Files{"/etc/ssh/sshd_config": "Include gone.conf\n"}, "/etc/ssh/sshd_config:1: Include /etc/ssh/gone.conf: no such file", Remark},
		"a retired word":   {Files{"/etc/ssh/sshd_config": "UseLogin yes\n"}, "/etc/ssh/sshd_config:1: UseLogin: sshd ignores", Remark},
		"upper-case YES":   {Files{"/etc/ssh/sshd_config": "PermitUserEnvironment YES\n"}, `/etc/ssh/sshd_config:1: PermitUserEnvironment: "YES" is taken for the name`, Remark},
		"subsystem, twice": {Files{"/etc/ssh/sshd_config": "Subsystem sftp internal-sftp\nSubsystem sftp internal-sftp\n"}, `/etc/ssh/sshd_config:2: subsystem "sftp" is already defined`, Refused},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			c := Read(test.files, "", Debian12())
			c.Effective(Connection{User: "a"})
			for _, p := range c.Problems {
				if strings.HasPrefix(p.String(), test.want) && p.Kind == test.kind {
					t.Logf("took %v", time.Since(start)) // that it ends is what is tested
					return
				}
			}
			t.Errorf("problems %.300v, want %s (%s)", c.Problems, test.want, test.kind)
		})
	}
}

// denied is a source in which one file cannot be looked at.
type denied struct{ Files }

func (d denied) ReadFile(name string) ([]byte, error) {
	if strings.HasSuffix(name, "secret.conf") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return d.Files.ReadFile(name)
}

func TestUnread(t *testing.T) {
	files := Files{"/etc/ssh/sshd_config": "Include d/*.conf\n", "/etc/ssh/d/secret.conf": "PasswordAuthentication yes\n"}
	c := Read(denied{files}, "", Debian12())
	if c.Complete() || c.Refused() {
		t.Errorf("problems %v", c.Problems)
	}
}

// TestWide: 2^16 ways through files that include each other twice end soon.
func TestWide(t *testing.T) {
	files := Files{"/etc/ssh/sshd_config": "Include 0 0\n"}
	for i := range 15 {
		files["/etc/ssh/"+string(rune('a'+i))] = "Include " + string(rune('b'+i)) + " " + string(rune('b'+i)) + "\n" + strings.Repeat("Port 22\n", 200)
	}
	files["/etc/ssh/0"] = "Include a a\n"
	start := time.Now()
	c := Read(files, "", Debian12())
	if c.Complete() {
		t.Errorf("complete %v after %v", c.Complete(), time.Since(start))
	}
}

// TestNextVersion: what the next release refuses.
func TestNextVersion(t *testing.T) {
	files := Files{"/etc/ssh/sshd_config": "KexAlgorithms curve25519-sha256,gss-group16-sha512-\n"}
	if c := Read(files, "", Debian12()); c.Refused() {
		t.Error(c.Problems)
	}
	if c := Read(files, "", Version{Major: 10, Minor: 6, Vendor: "debian"}); !c.Refused() {
		t.Error("10.6 takes gss-* in KexAlgorithms")
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]string{
		"OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 27 Jan 2026": "9.2 debian", "1:9.2p1-2+deb12u10": "9.2 debian",
		"SSH-2.0-OpenSSH_8.7": "8.7 ", "9.6p1 Ubuntu-3ubuntu13": "9.6 debian", "8.7p1-38.el9": "8.7 redhat", "OpenSSH_10.0p2": "10.0 ",
	} {
		v, err := ParseVersion(text)
		if got := v.String() + " " + v.Vendor; err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	if _, err := ParseVersion("dropbear_2022"); err == nil {
		t.Error("dropbear has a version of OpenSSH")
	}
}

func TestAuthorizedKeys(t *testing.T) {
	key := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q me"
	for line, want := range map[string]string{
		key: "ok", "restrict,pty " + key: "ok", `command="echo \"a b\"",no-pty ` + key: "ok", `from="10.0.0.0/8,!10.1.0.0/16" ` + key: "ok",
		"ptyx " + key: "unknown key option", `command="x ` + key: "invalid key option", "pty, " + key: "unexpected end", `command="a",command="b" ` + key: "multiple",
		`expiry-time="2025" ` + key: "invalid expires", `permitopen="x" ` + key: "invalid permission port", "garbage": "one word", "ssh-ed25519 !!!! x": "base64",
		"ssh-rsa " + strings.Fields(key)[1] + " x": "the line says ssh-rsa", "ssh-foo AAAA": "unknown type",
	} {
		entries := ParseAuthorizedKeys("\n# c\n  " + line + "\r\n")
		if len(entries) != 1 || entries[0].Line != 3 {
			t.Fatalf("%q: %+v", line, entries)
		}
		if got := entries[0].Err; want == "ok" && got != "" || want != "ok" && !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	e := ParseAuthorizedKeys(`restrict,pty,environment="A=1",permitlisten="80" ` + key)[0]
	if o := e.Options; !o.Restrict || !o.PTY || o.PortForwarding || o.PermitListen[0] != "*:80" || e.Key.Comment != "me" {
		t.Errorf("%+v", e)
	}
}

func TestAddrList(t *testing.T) {
	for _, test := range []struct {
		addr, list string
		want       verdict
	}{
		{"10.1.2.3", "10.0.0.0/8", matched},
		{"10.1.2.3", "!10.1.0.0/16,10.0.0.0/8", negated},
		{"10.1.2.3", "10.0.0.1/8", malformed},
		{"10.1.2.3", "10.*", matched},
		{"10.1.2.3", "a,,b", malformed},
		{"2001:db8::1", "2001:db8::/32", matched},
		{"127.0.0.1", "127.1", matched},
		{"0.0.0.10", "10", matched},
		{"10.1.2.3", "10.0.0.0/129", unmatched},
		{"10.1.2.3", "10.0.0.0/33", malformed},
		{"::1", "0.0.0.0/0", unmatched},
	} {
		if got := addrList(netip.MustParseAddr(test.addr), test.list); got != test.want {
			t.Errorf("%s in %s: %d, want %d", test.addr, test.list, got, test.want)
		}
	}
}

// FuzzRead: whatever the text, reading ends, and says the same twice.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"", "Port 22\nMatch User a*,!b Address 10.0.0.0/8\nPasswordAuthentication no\nMatch all\nX11Forwarding yes\n", "Include *\n", "Include a b \"c d\"",
		"AuthenticationMethods any any\nSubsystem a b\nMatch all", "Ciphers -*\nMACs ^,\nKexAlgorithms +a,,b", "ListenAddress [::1]:22 rdomain x", "Port\x0022\nPort \"2",
		"MaxStartups 1:2:3\nRekeyLimit 1.5e 1w\nIPQoS 0x 1\nStreamLocalBindMask 8", "PermitOpen [::1]:* a:b\nPermitListen 1 2",
	} {
		f.Add(seed, 902)
	}
	f.Add("Match User=a version 10*\nPerSourcePenalties crash:1 min:5s", 1000)
	f.Fuzz(func(t *testing.T, text string, release int) {
		v := Version{Major: 8 + release/100%4, Minor: release % 10, Vendor: "debian"}
		files := Files{"/etc/ssh/sshd_config": text, "/etc/ssh/a": text, "/etc/passwd": text, "/etc/services": text}
		conn := Connection{User: "a", Groups: []string{"b"}, Addr: netip.MustParseAddr("10.0.0.1"), LocalPort: 22}
		c := Read(files, "", v)
		e := c.Effective(conn)
		e.PasswordDoors(conn, true)
		if d := Read(files, "", v).Effective(conn).Compare(c.Effective(conn).dump()); len(d) > 0 {
			t.Errorf("not the same twice: %v", d)
		}
		if _, _, err := c.Cells(Population{Users: []Connection{conn}}); err != nil && c.Complete() && len(text) < 1000 {
			t.Error(err)
		}
	})
}

// dump is what sshd -T would print.
func (e *Effective) dump() map[string][]string {
	out := map[string][]string{}
	for _, n := range e.Names() {
		if lines := e.printed(n); lines != nil {
			out[n] = lines
		}
	}
	return out
}

func FuzzAuthorizedKeys(f *testing.F) {
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q me")
	f.Add("restrict,command=\"a \\\" b\",from=\"*,!10.*\" ssh-rsa AAAAB3NzaC1yc2E= x\n#\n\x00")
	f.Add("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAAAA")
	f.Add("ssh-rsa-cert-v01@openssh.com AAAAHHNzaC1yc2EtY2VydC12MDFAb3BlbnNzaC5jb20AAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		for _, e := range ParseAuthorizedKeys(text) {
			if e.Err == "" && (e.Key.Bits == 0 || e.Key.Fingerprint() == "" || e.Key.Family() == "") {
				t.Errorf("%+v", e)
			}
			e.Options.Expires(time.UTC)
			e.Options.Allows(&Connection{Addr: netip.MustParseAddr("::1")})
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"))
	f.Add([]byte("\x00\x00\x00\x07ssh-rsa\x00\x00\x00\x01\x03\x00\x00\x00\x01\x05"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, blob []byte) {
		k, err := parseBlob(blob)
		if err == nil && (k.Bits == 0 || k.Type == "") {
			t.Errorf("%+v", k)
		}
		if errors.Is(err, errShort) && len(blob) > 1<<20 {
			return
		}
	})
}
