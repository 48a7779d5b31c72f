package sudoers

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	alice = User{Name: "alice", UID: 1000, GIDs: []int{1000, 27}, Groups: []string{"alice", "sudo"}}
	bob   = User{Name: "bob", UID: 1001, GIDs: []int{1001}, Groups: []string{"bob"}}
	web1  = Host{Names: []string{"web1"}, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.5/24")}}
)

func say(r Root) string {
	var out []string
	if r.Any {
		out = append(out, "any:"+string(r.Password))
	}
	if r.Unsure {
		out = append(out, "unsure")
	}
	if r.Which != "" {
		out = append(out, "password of "+r.Which)
	}
	for _, g := range r.Commands {
		text := g.Command + ":" + string(g.Password)
		if g.Unsure {
			text += ":unsure"
		}
		out = append(out, text)
	}
	return r.User + " " + strings.Join(out, ", ")
}

// TestRoots: who becomes root, and how.
func TestRoots(t *testing.T) {
	for text, want := range map[string]string{
		"root ALL=(ALL:ALL) ALL\n":                                     "",
		"%sudo ALL=(ALL:ALL) ALL\n":                                    "alice any:asked",
		"%sudo ALL=(ALL:ALL) NOPASSWD: ALL\n":                          "alice any:not-asked",
		"ALL ALL=ALL\n":                                                "alice any:asked; bob any:asked",
		"#1001 ALL=(root) ALL\n%#27 ALL=ALL\n":                         "alice any:asked; bob any:asked",
		"alice ALL=(ALL) ALL, !/bin/sh\n":                              "alice any:asked",
		"alice ALL=(ALL) ALL, !ALL\n":                                  "",
		"ALL, !bob ALL=ALL\n":                                          "alice any:asked",
		"!bob, ALL ALL=ALL\n":                                          "alice any:asked; bob any:asked",
		"alice ALL=(postgres) ALL\n":                                   "",
		"alice ALL=(ALL, !root) ALL\n":                                 "",
		"alice ALL=(!root, ALL) ALL\n":                                 "alice any:asked",
		"alice ALL=(:adm) ALL\n":                                       "",
		"alice ALL=() ALL\n":                                           "",
		"alice web1=ALL\nbob web2=ALL\n":                               "alice any:asked",
		"alice web*=ALL\nbob 192.0.2.0/24=ALL\n":                       "alice any:asked; bob any:asked",
		"alice 192.0.2.0/255.255.255.0=ALL\nbob 10.0.0.0/8=ALL\n":      "alice any:asked",
		"alice ALL=NOPASSWD: ALL\nalice ALL=ALL\n":                     "alice any:asked",
		"alice ALL=ALL\nalice ALL=NOPASSWD: ALL\n":                     "alice any:not-asked",
		"alice ALL=NOPASSWD: /bin/a, /bin/b, PASSWD: /bin/c -x\n":      "alice /bin/a:not-asked, /bin/b:not-asked, /bin/c -x:asked",
		"alice ALL=ALL, NOPASSWD: /bin/a\n":                            "alice any:asked, /bin/a:not-asked",
		"Defaults:alice !authenticate\n%sudo ALL=ALL\nbob ALL=ALL\n":   "alice any:not-asked; bob any:asked",
		"Defaults !authenticate\nalice ALL=PASSWD: ALL\n":              "alice any:asked",
		"Defaults exempt_group=sudo\nALL ALL=ALL\n":                    "alice any:not-asked; bob any:asked",
		"Defaults targetpw\nalice ALL=ALL\n":                           "alice any:asked, password of root",
		"Defaults runas_default=www\nalice ALL=ALL\n":                  "",
		"User_Alias A = %sudo, !alice : B = A, bob\nB ALL=ALL\n":       "bob any:asked",
		"Cmnd_Alias C = /bin/a, D\nCmnd_Alias D = /bin/b\nbob ALL=C\n": "bob /bin/a:asked, /bin/b:asked",
		"Runas_Alias R = root\nbob ALL=(R) ALL\n":                      "bob any:asked",
		"+admins ALL=ALL\n":                                            "alice any:asked, unsure; bob any:asked, unsure",
		"bob web1.example.org=ALL\n":                                   "bob any:asked, unsure",
		"bob ALL=ALL\n+bad ALL=!ALL\n":                                 "bob any:asked, unsure",
		"bob ALL=NOPASSWD: ALL\nfoo bar baz\n":                         "bob any:not-asked",
	} {
		p := Read(Files{"/etc/sudoers": text}, "", "web1")
		var got []string
		for _, r := range p.Roots([]User{{Name: "root"}, alice, bob}, web1) {
			got = append(got, say(r))
		}
		if s := strings.Join(got, "; "); s != want {
			t.Errorf("%q:\n got %q\nwant %q", text, s, want)
		}
	}
}

// TestLarge: a policy that asks for more work than there is time for ends, and
// nobody is called harmless.
func TestLarge(t *testing.T) {
	var b strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&b, "bob ALL=/bin/%d\n", i)
	}
	start := time.Now()
	p := Read(Files{"/etc/sudoers": b.String()}, "", "web1")
	read := time.Since(start)
	roots := p.Roots([]User{alice, bob}, web1)
	if len(roots) == 0 || !roots[len(roots)-1].Undecided {
		t.Errorf("%d roots, read in %v, all in %v", len(roots), read, time.Since(start))
	}
	t.Logf("read in %v, asked in %v", read, time.Since(start)-read)
}

// TestDocExample is the example of the package's documentation.
func TestDocExample(t *testing.T) {
	p := Read(Files{
		"/etc/sudoers":                     "%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
		"/etc/sudoers.d/90-cloud-init":     "# by cloud-init\nalice ALL=(ALL) NOPASSWD:ALL\n",
		"/etc/sudoers.d/10-not-read.rules": "bob ALL=ALL\n",
	}, "/etc/sudoers", "web1")
	var out strings.Builder
	for _, r := range p.Roots([]User{alice, bob}, web1) {
		fmt.Fprintln(&out, r.User, r.Any, r.Password, r.From)
	}
	if want := "alice true not-asked /etc/sudoers.d/90-cloud-init:2\n"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
	if len(p.Problems) != 1 || p.Problems[0].Kind != Remark || p.Problems[0].String() != "/etc/sudoers:2: /etc/sudoers.d/10-not-read.rules is not read: its name has a dot or ends in ~" {
		t.Errorf("problems %v", p.Problems)
	}
}

// FuzzRead: whatever the text, reading and asking end.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"", "alice ALL=(ALL:ALL) NOPASSWD: ALL, !/bin/sh \"\" : web = /a ^x$\n", "User_Alias A = B : B = A\nA ALL=ALL", "@include x\n#includedir d\n@includedir \"a b\"",
		"Defaults:a,!b x+=\"c d\", !y, z-=q\\\n w", "a ALL = sha256:abc /x, CWD=/ TIMEOUT=1d ALL\r\n", "\"\\\n", "%#1,%:x,+n,#2 fe80::1/64=list", "a ALL=^x\\#$ ^y$\n", "^)$\\a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := Read(Files{"/etc/sudoers": text, "/etc/d/x": text, "/etc/x": "bob ALL=ALL"}, "", "h")
		for _, r := range p.Roots([]User{alice, bob}, web1) {
			if !r.Any && len(r.Commands) == 0 {
				t.Errorf("%+v", r)
			}
		}
		for _, x := range p.Problems {
			if x.File == "" || x.Text == "" {
				t.Errorf("%+v", x)
			}
		}
	})
}
