//go:build linux

package sshd

import (
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sekimori/internal/lab"
)

// scene is a host on which alice logs in with her key; each test spoils it.
type scene struct {
	config  string
	account Account
	key     Key
	earlier int
	machine Machine
	conn    Connection
}

const ed25519Line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q alice@laptop"

func mustKey(t *testing.T, line string) Key {
	t.Helper()
	k, err := ParseKey(line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return k
}

// makeKey has ssh-keygen make a key, and gives its public line.
func makeKey(t *testing.T, kind, bits string) string {
	t.Helper()
	lab.Need(t, "ssh-keygen")
	file := filepath.Join(t.TempDir(), "k")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-C", "a b", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen -t %s: %v: %s", kind, err, out)
	}
	text, err := disk{}.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func newScene(t *testing.T) *scene {
	s := &scene{
		config: "UsePAM yes\nPasswordAuthentication no\n",
		account: Account{
			Name: "alice", UID: 1000, GIDs: []int{1000}, Groups: []string{"alice"}, Home: "/home/alice", Shell: "/bin/bash", ShellWorks: Yes,
			Shadow: Shadow{Known: true, Password: true, Changed: 20000, Max: 99999, Inactive: -1, Expires: -1},
		},
		machine: Machine{Version: Debian12(), Nologin: No, Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Groups: map[int]Group{1000: {GID: 1000, Primary: []int{1000}}}},
		conn:    Connection{User: "alice", Groups: []string{"alice"}, Addr: netip.MustParseAddr("203.0.113.1"), LocalPort: 22},
	}
	s.setKey(mustKey(t, ed25519Line), ed25519Line)
	return s
}

func (s *scene) setKey(k Key, line string) {
	s.key = k
	s.machine.KeyFiles = map[string]KeyFile{
		"/home/alice/.ssh/authorized_keys": {
			Entries: ParseAuthorizedKeys("# keys\n" + line + "\n"),
			Chain: []Node{
				{Path: "/home/alice/.ssh/authorized_keys", UID: 1000, GID: 1000, Mode: 0o600, Regular: true},
				{Path: "/home/alice/.ssh", UID: 1000, GID: 1000, Mode: 0o700},
				{Path: "/home/alice", UID: 1000, GID: 1000, Mode: 0o750},
				{Path: "/home", Mode: 0o755},
				{Path: "/", Mode: 0o755},
			},
		},
		"/home/alice/.ssh/authorized_keys2": {Missing: true},
	}
}

func (s *scene) login(t *testing.T) Login {
	t.Helper()
	c := Read(Files{"/etc/ssh/sshd_config": s.config}, "", Debian12())
	if c.Refused() {
		t.Fatalf("problems: %v", c.Problems)
	}
	return c.Effective(s.conn).KeyLogin(s.conn, s.account, s.key, s.earlier, s.machine)
}

func (s *scene) chain(i int) *Node {
	return &s.machine.KeyFiles["/home/alice/.ssh/authorized_keys"].Chain[i]
}

// TestLockOuts has the cases that sshd -t calls fine and that keep an operator
// out; each was seen to do so with OpenSSH 9.2.
func TestLockOuts(t *testing.T) {
	for _, test := range []struct {
		name, want string
		spoil      func(t *testing.T, s *scene)
	}{
		{"RequiredRSASize above the key", ReasonRSASize, func(t *testing.T, s *scene) {
			line := makeKey(t, "rsa", "2048")
			s.setKey(mustKey(t, line), line)
			s.config += "RequiredRSASize 3072\n"
		}},
		{"PubkeyAcceptedAlgorithms without ecdsa", ReasonAlgorithm, func(t *testing.T, s *scene) {
			line := makeKey(t, "ecdsa", "256")
			s.setKey(mustKey(t, line), line)
			s.config += "PubkeyAcceptedAlgorithms ssh-ed25519,rsa-sha2-512\n"
		}},
		{"authorized_keys is root's, 0600", ReasonUnreadable, func(_ *testing.T, s *scene) { s.chain(0).UID, s.chain(0).GID = 0, 0 }},
		{"locked password without UsePAM", ReasonLocked, func(_ *testing.T, s *scene) {
			s.config = "UsePAM no\n"
			s.account.Shadow.Locked = true
		}},
		{"password must be changed", ReasonPasswordAge, func(_ *testing.T, s *scene) { s.account.Shadow.Changed = 0 }},
		{"password past its age", ReasonPasswordAge, func(_ *testing.T, s *scene) { s.account.Shadow.Changed, s.account.Shadow.Max = 20000, 90 }},
		{"account expired", ReasonExpired, func(_ *testing.T, s *scene) { s.account.Shadow.Expires = 20000 }},
		{"an agent with two other keys", ReasonTries, func(_ *testing.T, s *scene) {
			s.config += "MaxAuthTries 2\n"
			s.earlier = 2
		}},
		{"AllowUsers without the user", ReasonNotAllowed, func(_ *testing.T, s *scene) { s.config += "AllowUsers bob carol\n" }},
		{"AuthorizedKeysFile moved", ReasonNoEntry, func(_ *testing.T, s *scene) {
			s.config += "AuthorizedKeysFile /etc/ssh/keys/%u\n"
			s.machine.KeyFiles["/etc/ssh/keys/alice"] = KeyFile{Missing: true}
		}},
		{"nologin", ReasonNologin, func(_ *testing.T, s *scene) { s.machine.Nologin = Yes }},
		{"shell missing", ReasonShell, func(_ *testing.T, s *scene) { s.account.ShellWorks = No }},
		// beyond the eleven
		{"home writable by everybody", ReasonModes, func(_ *testing.T, s *scene) { s.chain(2).Mode = 0o777 }},
		{"from= another address", ReasonKeyOptions, func(_ *testing.T, s *scene) { s.setKey(s.key, `from="10.0.0.0/8" `+ed25519Line) }},
		{"entry expired", ReasonKeyOptions, func(_ *testing.T, s *scene) { s.setKey(s.key, `expiry-time="20250101Z" `+ed25519Line) }},
		{"DenyGroups", ReasonNotAllowed, func(_ *testing.T, s *scene) { s.config += "DenyGroups a*\n" }},
		{"two methods", ReasonMethods, func(_ *testing.T, s *scene) { s.config += "AuthenticationMethods publickey,keyboard-interactive\n" }},
		{"a Match block turns keys off", ReasonPubkeyOff, func(_ *testing.T, s *scene) {
			s.config += "Match Address 203.0.113.0/24\nPubkeyAuthentication no\n"
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			if l := s.login(t); !l.Works() {
				t.Fatalf("the unspoilt scene: %+v", l)
			}
			test.spoil(t, s)
			l := s.login(t)
			if len(l.Blocked) != 1 || l.Blocked[0].ID != test.want {
				t.Errorf("blocked by %+v, want %s alone", l.Blocked, test.want)
			}
		})
	}
}

// TestNoLockOut has what looks like a lock-out and is none.
func TestNoLockOut(t *testing.T) {
	for name, spoil := range map[string]func(s *scene){
		"home writable by the private group": func(s *scene) { s.chain(2).Mode = 0o770 },
		"star in shadow without PAM":         func(s *scene) { s.config = "UsePAM no\n" },
		"locked password with PAM":           func(s *scene) { s.account.Shadow.Locked = true },
		"one other key, two tries":           func(s *scene) { s.config += "MaxAuthTries 2\n"; s.earlier = 1 },
		"open above the home":                func(s *scene) { s.chain(3).Mode = 0o777 },
		"StrictModes no":                     func(s *scene) { s.config += "StrictModes no\n"; s.chain(2).Mode = 0o777 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			spoil(s)
			if l := s.login(t); !l.Works() {
				t.Errorf("%+v", l)
			}
		})
	}
	s := newScene(t)
	s.chain(2).Mode = 0o770
	s.machine.Version.Vendor = "redhat"
	if l := s.login(t); len(l.Blocked) != 1 || l.Blocked[0].ID != ReasonModes {
		t.Errorf("a group that may write, without Debian's patch: %+v", l)
	}
}

// TestNotKnown: what was not looked at is never taken for good.
func TestNotKnown(t *testing.T) {
	for name, spoil := range map[string]func(s *scene){
		"nologin": func(s *scene) { s.machine.Nologin = "" },
		"shell":   func(s *scene) { s.account.ShellWorks = Unknown },
		"shadow":  func(s *scene) { s.account.Shadow = Shadow{} },
		"keys":    func(s *scene) { s.machine.KeyFiles = nil },
		"key":     func(s *scene) { s.key = Key{} },
	} {
		s := newScene(t)
		spoil(s)
		if l := s.login(t); l.Works() {
			t.Errorf("%s not known, and still: works", name)
		}
	}
}

func TestPasswordDoors(t *testing.T) {
	for config, want := range map[string]string{
		"":                                      "password",
		"UsePAM yes\nPasswordAuthentication no": "keyboard-interactive",
		"UsePAM no\nPasswordAuthentication no":  "",
		"UsePAM yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no":                       "",
		"AuthenticationMethods publickey,password":                                                     "",
		"PasswordAuthentication no\nMatch Group alice\nPasswordAuthentication yes":                     "password",
		"PasswordAuthentication no\nMatch Address 10.0.0.0/8\nPasswordAuthentication yes\nMatch all\n": "",
		"DenyUsers alice": "",
	} {
		s := newScene(t)
		c := Read(Files{"/etc/ssh/sshd_config": config}, "", Debian12())
		if got := strings.Join(c.Effective(s.conn).PasswordDoors(s.conn, false), " "); got != want {
			t.Errorf("%q: doors %q, want %q", config, got, want)
		}
	}
}

// TestCells: one Match block in which a password is good is found, whoever it
// is for.
func TestCells(t *testing.T) {
	c := Read(Files{
		"/etc/ssh/sshd_config":              "Include sshd_config.d/*.conf\nPort 22\nPort 2222\nPasswordAuthentication no\nMatch Address 10.0.0.0/8,!10.1.0.0/16\nPasswordAuthentication yes\nMatch LocalPort 2222 User bob\nPasswordAuthentication yes\n",
		"/etc/ssh/sshd_config.d/10-a.conf":  "Match Address 10.2.0.0/16\nPasswordAuthentication no\n",
		"/etc/ssh/sshd_config.d/20-b.conf":  "PermitRootLogin no\n",
		"/etc/ssh/sshd_config.d/00-a.local": "PermitRootLogin yes\n",
	}, "", Debian12())
	if len(c.Problems) > 0 {
		t.Fatal(c.Problems)
	}
	cells, limits, err := c.Cells(Population{Users: []Connection{{User: "alice"}, {User: "bob"}, {User: "nosuch", Unknown: true}}})
	if err != nil || len(limits) > 0 {
		t.Fatal(err, limits)
	}
	var open []string
	for _, cell := range cells {
		if cell.Effective.Value("permitrootlogin") != "no" {
			t.Errorf("PermitRootLogin %s", cell.Effective.Value("permitrootlogin"))
		}
		for _, conn := range cell.Connections {
			if cell.Effective.Bool("passwordauthentication") && conn.User != "nosuch" {
				open = append(open, conn.User+" "+conn.Addr.String()+" "+map[int]string{22: "22", 2222: "2222"}[conn.LocalPort])
			}
		}
	}
	slices.Sort(open)
	want := []string{
		"alice 10.0.0.0 22", "alice 10.0.0.0 2222", "bob 10.0.0.0 22", "bob 10.0.0.0 2222", "bob 10.1.0.0 2222",
		"bob 127.0.0.1 2222", "bob 2001:db8::1 2222", "bob 203.0.113.1 2222",
	}
	if !slices.Equal(open, want) {
		t.Errorf("password cells:\n%s\nwant\n%s", strings.Join(open, "\n"), strings.Join(want, "\n"))
	}
}

// TestKeygen compares type, length and fingerprint with ssh-keygen -l.
func TestKeygen(t *testing.T) {
	lab.Need(t, "ssh-keygen")
	for _, kind := range [][2]string{{"ed25519", "256"}, {"ecdsa", "256"}, {"ecdsa", "384"}, {"ecdsa", "521"}, {"rsa", "1024"}, {"rsa", "2048"}, {"rsa", "3071"}, {"dsa", "1024"}} {
		line := makeKey(t, kind[0], kind[1])
		k := mustKey(t, line)
		cmd := exec.Command("ssh-keygen", "-l", "-f", "-")
		cmd.Stdin = strings.NewReader(line)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		ours := strconv.Itoa(k.Bits) + " " + k.Fingerprint() + " " + k.Comment + " (" + k.Family() + ")"
		if theirs := strings.TrimSpace(string(out)); ours != theirs {
			t.Errorf("we say %q, ssh-keygen says %q", ours, theirs)
		}
	}
}
