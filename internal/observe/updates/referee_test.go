package updates_test

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
	"sekimori/internal/observe/updates"
)

var (
	universes = flag.Int("apt.universes", 4, "how many random sets of packages to put to apt-get")
	seed      = flag.Uint64("apt.seed", 1, "the first of them")
)

// repo is a suite that is to be had: its Release fields and its packages.
type repo struct {
	suite, label, codename, version string
	extra                           string
	packages                        []string // stanzas
}

// universe is a host with packages, and what is offered to it.
type universe struct {
	status      []string
	repos       []repo
	preferences string
	conf        string
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// build writes the universe into a root of its own and lets apt-get fetch the
// lists, as on a host.
func (u universe) build(t *testing.T) (dir string, options []string) {
	t.Helper()
	dir = t.TempDir()
	var sources strings.Builder
	for i, r := range u.repos {
		at := filepath.Join(dir, "srv", fmt.Sprint("repo_", i))
		text := strings.Join(r.packages, "\n")
		write(t, filepath.Join(at, "dists", r.suite, "main/binary-amd64/Packages"), text)
		release := fmt.Sprintf("Origin: %s\nLabel: %s\nSuite: %s\nCodename: %s\nVersion: %s\n%sDate: %s\nArchitectures: amd64\nComponents: main\nSHA256:\n %x %d main/binary-amd64/Packages\n",
			r.label, r.label, r.suite, r.codename, r.version, r.extra, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Format(time.RFC1123), sha256.Sum256([]byte(text)), len(text))
		write(t, filepath.Join(at, "dists", r.suite, "Release"), release)
		fmt.Fprintf(&sources, "deb [trusted=yes] copy:%s %s main\n", at, r.suite)
	}
	write(t, filepath.Join(dir, "etc/apt/sources.list"), sources.String())
	write(t, filepath.Join(dir, "etc/apt/preferences"), u.preferences)
	write(t, filepath.Join(dir, "etc/apt/apt.conf.d/10own"), u.conf)
	write(t, filepath.Join(dir, "etc/machine-id"), "0123456789abcdef0123456789abcdef\n")
	write(t, filepath.Join(dir, "var/lib/dpkg/arch"), "amd64\n")
	write(t, filepath.Join(dir, "var/lib/dpkg/status"), strings.Join(u.status, "\n"))
	for _, d := range []string{"var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "etc/apt/sources.list.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d", "var/log/apt"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	main := filepath.Join(dir, "apt.conf")
	write(t, main, fmt.Sprintf(`Dir "%s"; Dir::State::status "%s"; Dir::Etc "etc/apt"; Dir::Bin::methods "/usr/lib/apt/methods"; APT::Architecture "amd64"; APT::Architectures { "amd64"; };
APT::Sandbox::User ""; APT::Machine-ID "0123456789abcdef0123456789abcdef"; Debug::NoLocking "1"; Acquire::Languages "none"; Dir::Log ""; Acquire::Check-Date "0";`,
		dir, filepath.Join(dir, "var/lib/dpkg/status")))
	options = append(os.Environ(), "APT_CONFIG="+main, "LC_ALL=C", "HOME="+dir)
	apt(t, options, "update")
	return dir, options
}

func apt(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "apt-get", append([]string{"-q", "-o", "APT::Get::Show-User-Simulation-Note=0"}, args...)...)
	cmd.Env = env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("apt-get %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

var instLine = regexp.MustCompile(`(?m)^Inst (\S+) (?:\[(\S+)\] )?\((\S+) (.*) \[(\S+)\]\)`)

// lines gives what apt-get would do, and what we say it would, in one form.
func theirs(out string) []string {
	var list []string
	for _, m := range instLine.FindAllStringSubmatch(out, -1) {
		if m[2] == "" {
			list = append(list, "new "+m[1])
			continue
		}
		list = append(list, fmt.Sprintf("%s %s -> %s %s", m[1], m[2], m[3], m[4]))
	}
	for _, m := range regexp.MustCompile(`(?m)^Remv (\S+)`).FindAllStringSubmatch(out, -1) {
		list = append(list, "remove "+m[1])
	}
	slices.Sort(list)
	return list
}

func ours(u host.Updates) []string {
	var list []string
	for _, p := range u.Pending {
		if p.Held == "" {
			list = append(list, fmt.Sprintf("%s %s -> %s %s", p.Name, p.Installed, p.Candidate, strings.Join(p.Origins, ", ")))
		}
	}
	for _, p := range u.New {
		list = append(list, "new "+p)
	}
	for _, p := range u.Removed {
		list = append(list, "remove "+p)
	}
	slices.Sort(list)
	return list
}

func read(t *testing.T, dir string) host.Updates {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	r := updates.Read(t.Context(), rootfs.FS{Source: root.FS().(rootfs.Source)}, map[string]string{"ID": "debian", "VERSION_ID": "12"})
	if !r.Updates.Known || len(r.Unseen) > 0 {
		t.Fatalf("known %v, unseen %v", r.Updates.Known, r.Unseen)
	}
	return r.Updates
}

func have(name, version, more string) string {
	return fmt.Sprintf("Package: %s\nStatus: install ok installed\nArchitecture: amd64\nMaintainer: m\nVersion: %s\nDescription: d\n%s", name, version, more)
}

func offer(name, version, more string) string {
	return fmt.Sprintf("Package: %s\nArchitecture: amd64\nMaintainer: m\nVersion: %s\nFilename: pool/%s_%s.deb\nSize: 1\nSHA256: %x\nDescription: d\n%s",
		name, version, name, version, sha256.Sum256([]byte(name+version)), more)
}

// known is a universe with each of the things that decide, once.
func known() universe {
	stable := repo{suite: "stable", label: "Debian", codename: "bookworm", version: "12.9"}
	security := repo{suite: "stable-security", label: "Debian-Security", codename: "bookworm-security", version: "12"}
	backports := repo{suite: "stable-backports", label: "Debian Backports", codename: "bookworm-backports", extra: "NotAutomatic: yes\nButAutomaticUpgrades: yes\n"}
	experimental := repo{suite: "experimental", label: "Debian", codename: "rc-buggy", extra: "NotAutomatic: yes\n"}
	var u universe
	add := func(name, version, more string) { u.status = append(u.status, have(name, version, more)) }
	add("base", "1.0", "")
	stable.packages = append(stable.packages, offer("base", "1.0", ""), offer("base", "1.1", ""))
	add("same", "1.0", "")
	stable.packages = append(stable.packages, offer("same", "1.0", ""))
	add("newer-here", "2.0", "")
	stable.packages = append(stable.packages, offer("newer-here", "1.0", ""))
	add("secure", "1.0", "")
	stable.packages = append(stable.packages, offer("secure", "1.0+deb1", ""))
	security.packages = append(security.packages, offer("secure", "1.0+deb1", ""))
	add("between", "1.0", "")
	security.packages = append(security.packages, offer("between", "1.0+deb1", ""))
	stable.packages = append(stable.packages, offer("between", "1.5", ""))
	add("from-backports", "1.0~bpo1", "")
	stable.packages = append(stable.packages, offer("from-backports", "0.9", ""))
	backports.packages = append(backports.packages, offer("from-backports", "1.0~bpo2", ""))
	add("not-backports", "1.0", "")
	stable.packages = append(stable.packages, offer("not-backports", "1.0", ""))
	backports.packages = append(backports.packages, offer("not-backports", "2.0~bpo1", ""))
	add("experimental-too", "1.0", "")
	experimental.packages = append(experimental.packages, offer("experimental-too", "3.0", ""))
	add("pinned", "1.0", "")
	security.packages = append(security.packages, offer("pinned", "1.1", ""))
	add("down", "3.0", "")
	stable.packages = append(stable.packages, offer("down", "2.0", ""))
	u.status = append(u.status, strings.Replace(have("held", "1.0", ""), "install ok", "hold ok", 1))
	stable.packages = append(stable.packages, offer("held", "1.1", ""))
	u.status = append(u.status, strings.Replace(have("removed", "1.0", ""), "install ok installed", "deinstall ok config-files", 1))
	stable.packages = append(stable.packages, offer("removed", "1.1", ""))
	// A new ABI: the meta package needs a package that is not there yet.
	add("linux-image", "6.1.1", "Depends: linux-image-1\n")
	add("linux-image-1", "6.1.1", "")
	security.packages = append(security.packages, offer("linux-image", "6.1.2", "Depends: linux-image-2\n"), offer("linux-image-2", "6.1.2", "Recommends: firmware, nowhere\n"))
	stable.packages = append(stable.packages, offer("firmware", "1", ""))
	// What it needs cannot be had.
	add("stuck", "1.0", "")
	stable.packages = append(stable.packages, offer("stuck", "1.1", "Depends: missing-lib (>= 2)\n"), offer("missing-lib", "1", ""))
	// What is installed needs the old one.
	add("lib", "1.0", "")
	add("lib-user", "1.0", "Depends: lib (= 1.0)\n")
	stable.packages = append(stable.packages, offer("lib", "1.1", ""))
	add("lib2", "1.0", "")
	add("lib2-user", "1.0", "Depends: lib2 (= 1.0)\n")
	stable.packages = append(stable.packages, offer("lib2", "1.1", ""), offer("lib2-user", "1.0", "Depends: lib2 (= 1.0)\n"))
	add("lib3", "1.0", "")
	add("lib3-user", "1.0", "Depends: lib3 (<< 1.1)\n")
	add("lib3-user-user", "1.0", "Depends: lib3-user\n")
	stable.packages = append(stable.packages, offer("lib3", "1.1", ""), offer("lib3-user", "1.0", "Depends: lib3 (<< 1.1)\n"), offer("lib3-user-user", "1.0", "Depends: lib3-user\n"))
	// Alternatives, and virtual packages.
	add("app", "1.0", "")
	stable.packages = append(stable.packages, offer("app", "1.1", "Depends: nothing-like-it | second, mail-transport\n"), offer("second", "1", ""), offer("postfix", "3", "Provides: mail-transport (= 3)\n"))
	// What is recommended anew comes along; what was recommended before does not.
	add("rec", "1.0", "Recommends: old-friend\n")
	stable.packages = append(stable.packages, offer("rec", "1.1", "Recommends: old-friend, new-friend\n"), offer("old-friend", "1", ""), offer("new-friend", "1", ""))
	// A library takes another's place.
	add("libt", "1.0", "")
	add("tool", "1.0", "Depends: libt\n")
	stable.packages = append(stable.packages, offer("tool", "1.1", "Depends: libt64\n"), offer("libt64", "1.1", "Breaks: libt (<< 1.1)\nReplaces: libt\n"))
	for i := range 40 {
		name := fmt.Sprint("phased", i)
		add(name, "1.0", "")
		stable.packages = append(stable.packages, offer(name, fmt.Sprint("1.", i), fmt.Sprintf("Phased-Update-Percentage: %d\nSource: src%d (%d.1)\n", 5+i*2, i/2, i)))
	}
	u.repos = []repo{stable, security, backports, experimental}
	u.preferences = "Package: pinned\nPin: release a=stable-security\nPin-Priority: -1\n\nPackage: down\nPin: release n=bookworm\nPin-Priority: 1001\n\nPackage: *\nPin: release a=experimental\nPin-Priority: 50\n"
	return u
}

// TestDistUpgrade: line by line what apt-get says of a host with each of the
// things that decide.
func TestDistUpgrade(t *testing.T) {
	dir, env := known().build(t)
	want := theirs(apt(t, env, "-s", "dist-upgrade"))
	got := read(t, dir)
	if diff := cmp.Diff(want, ours(got)); diff != "" {
		t.Errorf("(-apt-get +sekimori):\n%s", diff)
	}
	if len(want) < 20 {
		t.Errorf("apt-get names only %d packages", len(want))
	}
	held := map[string]string{}
	security := map[string]string{}
	for _, p := range got.Pending {
		if p.Held != "" && !strings.HasPrefix(p.Name, "phased") {
			held[p.Name] = p.Held
		}
		if p.Security {
			security[p.Name] = p.SecurityVersion
		}
	}
	if diff := cmp.Diff(map[string]string{"held": "hold", "pinned": "pin", "stuck": "dependencies"}, held); diff != "" {
		t.Errorf("held back (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"secure": "", "between": "1.0+deb1", "pinned": "1.1", "linux-image": ""}, security); diff != "" {
		t.Errorf("security (-want +got):\n%s", diff)
	}
}

// TestRandomUpgrades: the same for random sets of packages.
func TestRandomUpgrades(t *testing.T) {
	for i := range *universes {
		n := *seed + uint64(i)
		dir, env := random(rand.New(rand.NewPCG(n, 2))).build(t)
		if diff := cmp.Diff(theirs(apt(t, env, "-s", "dist-upgrade")), ours(read(t, dir))); diff != "" {
			t.Errorf("universe %d (-apt-get +sekimori):\n%s", n, diff)
		}
	}
}

// random makes a consistent host: what is installed fits together.
func random(r *rand.Rand) universe {
	var u universe
	repos := []repo{
		{suite: "stable", label: "Debian", codename: "bookworm", version: "12.9"},
		{suite: "stable-security", label: "Debian-Security", codename: "bookworm-security", version: "12"},
		{suite: "stable-updates", label: "Debian", codename: "bookworm-updates", version: "12-updates"},
		{suite: "stable-backports", label: "Debian Backports", codename: "bookworm-backports", extra: "NotAutomatic: yes\nButAutomaticUpgrades: yes\n"},
	}
	versions := []string{"1.0", "1.0-1", "1.0-1+deb12u1", "1.0~rc1", "1:0.9", "1.10", "1.9", "1.0+b1", "1.0a", "2.0~bpo1", "2", "1.0-1.1"}
	version := func() string { return versions[r.IntN(len(versions))] }
	const count = 60
	name := func(i int) string { return fmt.Sprint("p", i) }
	offered := map[string]bool{}
	for i := range count {
		if r.IntN(4) > 0 { // installed
			text := have(name(i), version(), "")
			if r.IntN(12) == 0 {
				text = strings.Replace(text, "install ok", "hold ok", 1)
			}
			u.status = append(u.status, text)
		}
		for range r.IntN(4) {
			v, k := version(), r.IntN(len(repos))
			if offered[name(i)+v] {
				continue // the same version twice would be two builds of it
			}
			offered[name(i)+v] = true
			// Needs go upwards, so that they have an end.
			more := ""
			if r.IntN(3) == 0 && i+1 < count {
				j := i + 1 + r.IntN(count-i-1)
				more = fmt.Sprintf("Depends: %s\n", name(j))
				if r.IntN(2) == 0 {
					more = fmt.Sprintf("Depends: %s | %s\n", name(j), name(min(count-1, j+1)))
				}
			}
			repos[k].packages = append(repos[k].packages, offer(name(i), v, more))
		}
	}
	for k := range repos {
		repos[k].packages = append(repos[k].packages, offer(fmt.Sprint("only", k), "1", ""))
	}
	u.repos = repos
	pins := map[string]int{}
	for range r.IntN(5) {
		pins[name(r.IntN(count))] = []int{-1, 100, 500, 990, 1001}[r.IntN(5)]
	}
	for _, p := range slices.Sorted(maps.Keys(pins)) {
		u.preferences += fmt.Sprintf("Package: %s\nPin: release a=%s\nPin-Priority: %d\n\n", p, repos[r.IntN(len(repos))].suite, pins[p])
	}
	if r.IntN(3) == 0 {
		u.conf = "APT::Default-Release \"stable\";\n"
	}
	return u
}
