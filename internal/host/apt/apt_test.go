package apt_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sekimori/internal/host/apt"
)

func Example() {
	fmt.Println(apt.CompareVersions("1:1.0~rc1-1", "1:1.0-1"), apt.CompareVersions("1.10", "1.9"))
	// Output: -1 1
}

// versions are such that each rule of the order decides somewhere.
func versions() []string {
	return []string{
		"0", "1", "1.0", "1.0-0", "1.0-1", "1.0-1.1", "1.0-1+b1", "1.0-1+deb12u1", "1.0-1~bpo12+1", "1.0~rc1-1", "1.0~~", "1.0~", "1.0a", "1.0+dfsg-1", "1.0.1", "1.00", "1.9", "1.10",
		"0:1.0", "1:0.5", "2", "2.0-rc1-1", "1.0-a", "1.0-A", "9.2p1-2+deb12u10", "1:9.2p1-2+deb12u9", "1.0-1ubuntu0.22.04.1", "1.0.", "20240101", "01",
	}
}

// TestCompareVersions: dpkg is the referee.
func TestCompareVersions(t *testing.T) {
	list := versions()
	for i, a := range list {
		for _, b := range list[i:] {
			want := 0
			switch {
			case dpkg(t, a, "lt", b):
				want = -1
			case dpkg(t, a, "gt", b):
				want = 1
			}
			if got, back := apt.CompareVersions(a, b), apt.CompareVersions(b, a); got != want || back != -want {
				t.Errorf("%s and %s: %d and %d, dpkg says %d", a, b, got, back, want)
			}
		}
	}
}

func dpkg(t *testing.T, a, op, b string) bool {
	t.Helper()
	err := exec.CommandContext(t.Context(), "dpkg", "--compare-versions", a, op, b).Run()
	if e, ok := err.(*exec.ExitError); ok && e.ExitCode() == 1 {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

// TestOrder: the order is one.
func TestOrder(t *testing.T) {
	word := rapid.StringMatching(`[0-9a-zA-Z.+~:-]{0,8}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c")
		if apt.CompareVersions(a, b) != -apt.CompareVersions(b, a) {
			t.Fatalf("%q and %q do not turn around", a, b)
		}
		if apt.CompareVersions(a, b) <= 0 && apt.CompareVersions(b, c) <= 0 && apt.CompareVersions(a, c) > 0 {
			t.Fatalf("%q, %q, %q go round", a, b, c)
		}
	})
}

func TestConf(t *testing.T) {
	c := apt.Conf{}
	c.Add(`APT::Periodic::Enable "1"; // c
# c
APT { Periodic { Update-Package-Lists "1"; } }; /* x */
Unattended-Upgrade::Origins-Pattern { "origin=Debian,label=Debian-Security"; "b"; };
Unattended-Upgrade::Origins-Pattern:: "c";
Acquire::GzipIndexes true
`)
	c.Add(`APT::Periodic::Enable "0"; #clear Acquire::GzipIndexes; A::B:: "x";`)
	for name, want := range map[string]string{"apt::periodic::enable": "0", "APT::Periodic::Update-Package-Lists": "1", "Acquire::GzipIndexes": "", "none": ""} {
		if got := c.Value(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if diff := cmp.Diff([]string{"origin=Debian,label=Debian-Security", "b", "c"}, c.List("Unattended-Upgrade::Origins-Pattern")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestConfInstalled: apt-config is the referee for the files of this machine's apt.
func TestConfInstalled(t *testing.T) {
	dir := t.TempDir()
	text := "A::B \"1\";\nA { C { \"x\"; \"y\"; }; D \"z\"; };\n// c\nA::C:: \"w\";\nE \"a b\"; /* no */ F::G \"2\";\nA::D \"over\";\n"
	if err := os.WriteFile(dir+"/conf", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "apt-config", "dump", "--no-empty")
	cmd.Env = []string{"APT_CONFIG=" + dir + "/conf", "PATH=/usr/bin:/bin"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	c := apt.Conf{}
	c.Add(text)
	seen := 0
	lists := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.Trim(strings.TrimSuffix(value, ";"), `"`)
		if !slices.Contains([]string{"A", "E", "F"}, name[:1]) || strings.HasPrefix(name, "APT") || strings.HasPrefix(name, "Acquire") {
			continue
		}
		seen++
		if list, ok := strings.CutSuffix(name, "::"); ok {
			lists[list] = append(lists[list], value)
			continue
		}
		if got := c.Value(name); got != value {
			t.Errorf("%s: we say %q, apt-config %q", name, got, value)
		}
	}
	for name, want := range lists {
		if diff := cmp.Diff(want, c.List(name)); diff != "" {
			t.Errorf("%s (-apt-config +ours):\n%s", name, diff)
		}
	}
	if seen < 6 {
		t.Errorf("apt-config printed only %d of them:\n%s", seen, out)
	}
}

func TestSources(t *testing.T) {
	list := apt.ParseList("# c\ndeb [arch=amd64 trusted=yes] http://a/debian bookworm main contrib # x\ndeb-src\thttp://b/ sid main\ndeb http://flat/ ./\nrpm x y\ndeb [x http://a b c\n")
	want := []apt.Source{
		{Line: 2, Type: "deb", URI: "http://a/debian", Suite: "bookworm", Components: []string{"main", "contrib"}, Options: map[string]string{"arch": "amd64", "trusted": "yes"}},
		{Line: 3, Type: "deb-src", URI: "http://b/", Suite: "sid", Components: []string{"main"}, Options: map[string]string{}},
		{Line: 4, Type: "deb", URI: "http://flat/", Suite: "./", Components: []string{}, Options: map[string]string{}},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	list = apt.ParseSources("# c\nTypes: deb deb-src\nURIs: http://a\nSuites: x y\nComponents: main\nSigned-By:\n -----BEGIN PGP\n .\nEnabled: no\n\nTypes: deb\nURIs: b\nSuites: c/\nTrusted: yes\n")
	if len(list) != 5 || !list[0].Disabled || list[0].Options["signed-by"] != "embedded" || list[3].Suite != "y" || list[4].Line != 11 || list[4].Options["trusted"] != "yes" || list[4].Disabled {
		t.Errorf("%+v", list)
	}
	for uri, want := range map[string]string{
		"http://deb.debian.org/debian/dists/a/": "deb.debian.org_debian_dists_a_", "https://u:p@h:8080/x_y~z": "h:8080_x%5fy%7ez", "copy:/srv/a": "_srv_a", "file:///srv": "_srv",
	} {
		if got := apt.FileName(uri); got != want {
			t.Errorf("%s is kept as %s, want %s", uri, got, want)
		}
	}
}

func TestPins(t *testing.T) {
	pins := apt.ParsePins("Explanation: x\nPackage: a b*\nPin: release a=stable, o=Debian\nPin-Priority: -1\n\nPackage: *\nPin: origin \"deb.example\"\nPin-Priority: 600\n\nPackage: /^lib/ src:glib\nPin: version 1.*\nPin-Priority: 1001\n\nPackage: x\nPin: release stable\n")
	if len(pins) != 3 || pins[0].General() || !pins[1].General() {
		t.Fatalf("%+v", pins)
	}
	stable := apt.Release{Origin: "Debian", Suite: "stable", Site: "deb.example"}
	for _, test := range []struct {
		got, want bool
		what      string
	}{
		{pins[0].Names("bc", "z"), true, "a shell's pattern"},
		{pins[0].Names("c", "a"), false, "another name"},
		{pins[2].Names("libc", "z"), true, "a regular expression"},
		{pins[2].Names("z", "glib"), true, "a source"},
		{pins[0].Matches("1", stable), true, "release"},
		{pins[0].Matches("1", apt.Release{Origin: "Debian", Suite: "sid"}), false, "another release"},
		{pins[1].Matches("1", stable), true, "origin"},
		{pins[2].Matches("1.5", stable), true, "version"},
		{pins[2].Matches("2", stable), false, "another version"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %v", test.what, test.got)
		}
	}
}

func TestRelations(t *testing.T) {
	got := apt.ParseRelations("a (>= 1:2), b | c:any (<< 3) , d (= 1) [amd64] <!nocheck>,, e")
	want := [][]apt.Relation{
		{{Name: "a", Op: ">=", Version: "1:2"}}, {{Name: "b"}, {Name: "c", Arch: "any", Op: "<<", Version: "3"}}, {{Name: "d", Op: "=", Version: "1"}}, {{Name: "e"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !want[0][0].Allows("1:2") || want[0][0].Allows("9") || !want[3][0].Allows("") {
		t.Error("conditions")
	}
}

func FuzzApt(f *testing.F) {
	f.Add("Package: a\nVersion: 1:1.0~rc1-1+b1\nDepends: a (>= 1) | b, c\n x\n\nPackage: b\n")
	f.Add("A { B \"x\"; C { \"y\"; }; };\n#clear A;\nD:: \"z\";")
	f.Add("deb [a=b] http://u:p@h/x suite comp\nTypes: deb\nURIs: x\nSuites: y\n\nPackage: *\nPin: release o=/x(/\nPin-Priority: 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		apt.ParseStanzas(text)
		c := apt.Conf{}
		c.Add(text)
		c.Value("a")
		apt.ParseList(text)
		for _, s := range apt.ParseSources(text) {
			if strings.Contains(apt.FileName(s.URI), "/") {
				t.Errorf("%q is kept in another directory", s.URI)
			}
		}
		for _, p := range apt.ParsePins(text) {
			p.Names("libc6", "glibc")
			p.Matches("1.0", apt.Release{Origin: "Debian", Suite: "stable"})
		}
		for _, g := range apt.ParseRelations(text) {
			if len(g) == 0 || g[0].Name == "" {
				t.Error("a group without a name")
			}
			g[0].Allows("1.0")
		}
		apt.Field([]byte(text), "Package")
		a, b, _ := strings.Cut(text, "\n")
		if apt.CompareVersions(a, b) != -apt.CompareVersions(b, a) {
			t.Errorf("%q and %q do not turn around", a, b)
		}
	})
}
