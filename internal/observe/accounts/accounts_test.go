package accounts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/host"
	"sekimori/internal/host/sshd"
	"sekimori/internal/observe/rootfs"
)

// tree makes a root: a text, or "-> target" for a link, by path; a name that ends
// with a slash is a directory.
func tree(t testing.TB, files map[string]string) rootfs.FS {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(target, at)
		} else if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(at, 0o755)
		} else {
			err = os.WriteFile(at, []byte(text), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return rootfs.FS{Source: root.FS().(rootfs.Source)}
}

const (
	hash = "$6$saltsalt$hunter2hunter2hunter2hunter2"
	key  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH9qvABNqgy9T4tVPunlzx9cat8IOJvbf3hh3P5j6uHu alice@laptop"
)

func hostTree(t testing.TB) rootfs.FS {
	f := tree(t, map[string]string{
		"etc/passwd":                       "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:A:/home/alice:/bin/sh\nbob:x:1001:1001::/home/bob:/usr/sbin/nologin\n\x00\xffrubbish\nold:" + hash + ":1002:1002::/home/old:/bin/gone\nfree::1003:1003::/nonexistent:\n+@nis\nlost:x:1004:1:::\nbad:x:no:1::/:/bin/sh\n",
		"etc/shadow":                       "root:!:20000:0:99999:7:::\nalice:" + hash + ":20000:0:90:7:14:20500:\nbob:*:20000::::::\nold:x:1::::::\nbroken\n",
		"etc/group":                        "root:x:0:\nsudo:x:27:alice,bob\nalice:x:1000:\nnonsense\n",
		"etc/gshadow":                      "sudo:" + hash + "::alice\n",
		"etc/login.defs":                   "# c\nPASS_MAX_DAYS 99999\nUMASK\t022\nENCRYPT_METHOD YESCRYPT\n",
		"etc/shells":                       "# c\n/bin/sh\n",
		"etc/nsswitch.conf":                "passwd: files [NOTFOUND=return] systemd sss\n",
		"bin/sh":                           "",
		"usr/sbin/nologin":                 "",
		"root/":                            "",
		"home/alice/.ssh/authorized_keys":  "# comment with hunter2\n\n" + key + "\ncommand=\"run --password hunter2 x\",from=\"192.0.2.0/24\" " + key + "\nhunter2 is no key\n",
		"home/old/.ssh/authorized_keys":    "-> ../../../etc/shadow",
		"home/bob/":                        "",
		"etc/ssh/sshd_config":              "Include /etc/ssh/sshd_config.d/*.conf\nSetEnv TOKEN=hunter2 A=b\n",
		"etc/ssh/sshd_config.d/a.conf":     "PasswordAuthentication no\nAuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u\n",
		"etc/ssh/ssh_host_ed25519_key":     "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n",
		"etc/ssh/ssh_host_ed25519_key.pub": key + "\n",
		"etc/ssh/ssh_host_rsa_key.pub":     "root:hunter2\n",
		"etc/ssh/keys/free":                key + "\n",
		"etc/ssh/moduli":                   "# c\n20230101 2 6 100 2047 2 FF\n20230101 2 6 100 3071 2 FF\n20230101 2 6 100 3071 5 FF\n",
		"usr/sbin/sshd":                    "\x00OpenSSH_2*,OpenSSH_3.0*\x00OpenSSH_9.2\x00\x01OpenSSH_9.2p1 Debian-2+deb12u10\x00",
		"etc/sudoers":                      "alice ALL=(root) NOPASSWD: /usr/bin/mysql --password=hunter2 x, /opt/run/*\n@includedir /etc/sudoers.d\n",
		"etc/sudoers.d/b":                  "%sudo ALL=(ALL) ALL\n",
		"usr/bin/mysql":                    "",
		"usr/bin/sudo":                     "",
		"etc/pam.d/sshd":                   "@include common-auth\naccount required pam_nologin.so # c\n",
		"etc/pam.d/common-auth":            "auth [success=1 default=ignore] pam_unix.so nullok \\\n  try_first_pass\n-auth optional pam_x.so password=hunter2\n",
		"var/lib/systemd/linger/alice":     "",
	})
	return f
}

func TestPeople(t *testing.T) {
	p := ReadPeople(hostTree(t))
	byName := map[string]host.Account{}
	for _, a := range p.Accounts {
		byName[a.Name] = a
	}
	if len(p.Accounts) != 6 {
		t.Fatalf("%d accounts: %+v", len(p.Accounts), p.Accounts)
	}
	none := host.Shadow{Changed: -1, Min: -1, Max: -1, Warn: -1, Inactive: -1, Expires: -1}
	with := func(change func(*host.Shadow)) host.Shadow { s := none; change(&s); return s }
	for name, want := range map[string]host.Shadow{
		"root":  {State: "locked", Changed: 20000, Max: 99999, Warn: 7, Inactive: -1, Expires: -1},
		"alice": {State: "password", Scheme: "6", Changed: 20000, Max: 90, Warn: 7, Inactive: 14, Expires: 20500},
		"bob":   with(func(s *host.Shadow) { s.State, s.Changed = "star", 20000 }),
		"old":   with(func(s *host.Shadow) { s.State, s.Scheme, s.InPasswd, s.Changed = "password", "6", true, 1 }),
		"free":  with(func(s *host.Shadow) { s.State = "empty" }),
		"lost":  with(func(s *host.Shadow) { s.State = "missing" }),
	} {
		if diff := cmp.Diff(want, byName[name].Shadow); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if a := byName["alice"]; !slices.Equal(a.Groups, []string{"alice", "sudo"}) || !slices.Equal(a.GIDs, []int{1000, 27}) || !a.Linger || a.HomeDir.Type != "dir" || a.Line != 2 {
		t.Errorf("alice: %+v", a)
	}
	if byName["old"].ShellRuns != "no" || byName["old"].LoginShell {
		t.Error("a shell that is not there can be run")
	}
	if i := slices.IndexFunc(p.Groups, func(g host.Group) bool { return g.Name == "sudo" }); i < 0 || !p.Groups[i].Password || len(p.Groups[i].Members) != 2 {
		t.Errorf("groups: %+v", p.Groups)
	}
	if p.Logins.Defs["UMASK"] != "022" || !slices.Equal(p.Logins.Sources, []string{"files", "systemd", "sss"}) || len(p.Logins.Shells) != 1 {
		t.Errorf("logins: %+v", p.Logins)
	}
	pam := []host.PAMLine{
		{Service: "sshd", Line: 1, Control: "include", Module: "common-auth"},
		{Service: "sshd", Line: 2, Type: "account", Control: "required", Module: "pam_nologin.so"},
		{Service: "common-auth", Line: 1, Type: "auth", Control: "[success=1 default=ignore]", Module: "pam_unix.so", Args: []string{"nullok", "try_first_pass"}},
		{Service: "common-auth", Line: 3, Type: "auth", Control: "optional", Module: "pam_x.so", Args: []string{"password=***"}},
	}
	if diff := cmp.Diff(pam, p.Logins.PAM); diff != "" {
		t.Errorf("PAM (-want +got):\n%s", diff)
	}
	if text := unseen(p.Unseen); !strings.Contains(text, "/etc/passwd:4:") || !strings.Contains(text, "NIS") || !strings.Contains(text, "/etc/shadow:5:") || !strings.Contains(text, "/etc/group:4:") {
		t.Errorf("what was not understood is not named:\n%s", text)
	}
}

func unseen(list []host.Unseen) string {
	var b strings.Builder
	for _, u := range list {
		b.WriteString(u.Section + ": " + u.Reason + "\n")
	}
	return b.String()
}

func TestDoors(t *testing.T) {
	f := hostTree(t)
	d := ReadDoors(t.Context(), f, host.System{ID: "debian", Hostname: "web1"}, ReadPeople(f), false)
	if d.SSH.Version != "OpenSSH_9.2p1 Debian-2+deb12u10" {
		t.Errorf("version %q", d.SSH.Version)
	}
	if diff := cmp.Diff(map[int]int{2048: 1, 3072: 2}, d.SSH.ModuliBits); diff != "" {
		t.Errorf("moduli (-want +got):\n%s", diff)
	}
	// The texts are enough to read the configuration again.
	if got := sshd.Read(d.SSH.Config, "/etc/ssh/sshd_config", sshd.Debian12()).Global().Value("passwordauthentication"); got != "no" {
		t.Errorf("read from the snapshot, passwords are %q", got)
	}
	files := map[string]host.KeyFile{}
	for _, k := range d.SSH.KeyFiles {
		files[k.Path] = k
	}
	alice := files["/home/alice/.ssh/authorized_keys"]
	entries := sshd.ParseAuthorizedKeys(alice.Text)
	if len(entries) != 3 || entries[0].Line != 3 || entries[1].Line != 4 || entries[1].Options.From == nil || *entries[1].Options.Command != "run --password ***" || entries[2].Err == "" {
		t.Errorf("alice's keys: %+v", entries)
	}
	chain := make([]string, 0, 5)
	for _, n := range alice.Chain {
		chain = append(chain, n.Path)
	}
	if diff := cmp.Diff([]string{"/home/alice/.ssh/authorized_keys", "/home/alice/.ssh", "/home/alice", "/home", "/"}, chain); diff != "" {
		t.Errorf("the way to them (-want +got):\n%s", diff)
	}
	if k := files["/home/alice/.ssh/authorized_keys2"]; !k.Missing {
		t.Errorf("a file that is not there: %+v", k)
	}
	if len(d.SSH.HostKeys) != 1 || d.SSH.HostKeys[0].Public != key || d.SSH.HostKeys[0].Private.Type != "file" {
		t.Errorf("host keys: %+v", d.SSH.HostKeys)
	}
	// Keys may stand elsewhere, and then an account needs no home.
	if k := files["/etc/ssh/keys/free"]; k.Accounts == nil || k.Missing || len(sshd.ParseAuthorizedKeys(k.Text)) != 1 {
		t.Errorf("keys outside the home: %+v", k)
	}
	paths := make([]string, 0, 2)
	for _, c := range d.Sudo.Commands {
		paths = append(paths, c.Path)
	}
	if !slices.Equal(paths, []string{"/opt/run", "/usr/bin/mysql"}) || !d.Sudo.Commands[0].Missing || len(d.Sudo.Files) != 3 {
		t.Errorf("sudo: %v, %d files", paths, len(d.Sudo.Files))
	}
}

// TestNoSecrets: what was planted in all of these files does not come through.
func TestNoSecrets(t *testing.T) {
	f := hostTree(t)
	p := ReadPeople(f)
	d := ReadDoors(t.Context(), f, host.System{ID: "debian", Hostname: "web1"}, p, false)
	s := &host.Snapshot{Schema: host.Schema, Accounts: p.Accounts, Groups: p.Groups, Logins: p.Logins, SSH: d.SSH, Sudo: d.Sudo, Unseen: append(p.Unseen, d.Unseen...)}
	var b strings.Builder
	if err := host.Write(&b, s); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "saltsalt", "PRIVATE KEY"} {
		if i := strings.Index(b.String(), secret); i >= 0 {
			t.Errorf("…%s…", b.String()[max(0, i-100):min(b.Len(), i+20)])
		}
	}
}

func TestSchemes(t *testing.T) {
	for field, want := range map[string][2]string{
		"":                            {"empty", ""},
		"*":                           {"star", ""},
		"!":                           {"locked", ""},
		"!!":                          {"locked", ""},
		"!*":                          {"locked", ""},
		"*LK*":                        {"star", ""},
		"$1$salt$hash":                {"password", "1"},
		"!$y$j9T$a$b":                 {"locked", "y"},
		"$2b$10$abc":                  {"password", "2b"},
		"$sha1$1$a$b":                 {"password", "sha1"},
		"$argon2id$v=19$a":            {"password", "argon2id"},
		"$5":                          {"star", ""},
		"ab1234567890.":               {"password", "des"},
		"_J9..CCCCXBrJUJV154M":        {"password", "bsdi"},
		"U6aMy0wojraho":               {"password", "des"},
		"NP":                          {"star", ""},
		"disabled":                    {"star", ""},
		"$<script>$x":                 {"star", ""},
		"$hunter2":                    {"star", ""},
		"$verylongnamethatisasecret$": {"star", ""},
	} {
		s := passwordState(field)
		if got := [2]string{s.State, s.Scheme}; got != want {
			t.Errorf("%q is %v, want %v", field, got, want)
		}
	}
}

// TestBadFiles: what is no file where one is expected is named and does not hang.
func TestBadFiles(t *testing.T) {
	f := tree(t, map[string]string{"etc/passwd/": "", "etc/shadow": "-> shadow", "etc/group": strings.Repeat("x", 100), "etc/ssh/sshd_config": "Include /etc/ssh/sshd_config\nInclude /etc/ssh/d/*\n", "etc/ssh/d": "-> /dev/null", "etc/sudoers": "@include /etc/sudoers\n"})
	p := ReadPeople(f)
	d := ReadDoors(t.Context(), f, host.System{}, p, false)
	text := unseen(append(p.Unseen, d.Unseen...))
	for _, want := range []string{"passwd", "shadow", "/etc/group:1"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not named:\n%s", want, text)
		}
	}
}

func FuzzAccounts(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/sh\n+\na:$6$x$y:1:2:::\n")
	f.Add("root:!$6$x$y:1:2:3:4:5:6:\nsudo:x:27:a,b\n")
	f.Add("auth [success=1] pam.so a \\\n b\n@include x\ncommand=\"a=\\\"b\",environment=\"TOKEN=x\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH9qvABNqgy9T4tVPunlzx9cat8IOJvbf3hh3P5j6uHu c\n")
	f.Fuzz(func(t *testing.T, text string) {
		n := newNotes(host.SectionAccounts)
		list := parsePasswd(text, n)
		groups := parseGroup(text, n)
		parseShadow(text, n)
		join(list, groups)
		if len(n.done()) > 20 {
			t.Error("too many notes")
		}
		loginDefs(text)
		passwdSources(text)
		parsePAM("x", text)
		maskConfig("", text)
		kept := keepKeys(text)
		if strings.Count(kept, "\n") < strings.Count(text, "\n") {
			t.Error("lines are lost")
		}
		// What is a key stays one, and the same.
		before, after := sshd.ParseAuthorizedKeys(text), sshd.ParseAuthorizedKeys(kept)
		keys := func(list []sshd.Entry) (out []string) {
			for _, e := range list {
				if e.Key.Type != "" {
					out = append(out, e.Key.Fingerprint())
				}
			}
			return out
		}
		if diff := cmp.Diff(keys(before), keys(after)); diff != "" {
			t.Errorf("%q becomes %q:\n%s", text, kept, diff)
		}
	})
}
