package updates

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
	"sekimori/internal/observe/rootfs/roottest"
)

// bzImage is the beginning of a kernel for x86.
func bzImage(version string) string {
	b := make([]byte, 0x210)
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x20e:], 0x10)
	return string(b) + version + "\x00"
}

func TestKernels(t *testing.T) {
	f := roottest.New(t, map[string]string{
		"boot/vmlinuz-6.1.0-9-amd64":      bzImage("6.1.0-9-amd64 (debian-kernel@lists.debian.org) #1 SMP Debian 6.1.27-1 (2023-05-08)"),
		"boot/vmlinuz-6.1.0-28-amd64":     bzImage("6.1.0-28-amd64 (x) #1 SMP Debian 6.1.119-1"),
		"boot/vmlinuz-6.1.0-28-amd64.old": bzImage("no"),
		"boot/vmlinuz-0-rescue-abc":       bzImage("6.1.0-28-rescue (x) #1"),
		"boot/vmlinux-5.10.0":             "no header",
		"proc/sys/kernel/osrelease":       "6.1.0-9-amd64\n",
		"proc/sys/kernel/version":         "#1 SMP Debian 6.1.27-1 (2023-05-08)\n",
		"run/reboot-required":             "",
		"run/reboot-required.pkgs":        "linux-image-6.1.0-28-amd64\nlibc6\nlibc6\n",
	})
	n := &rootfs.Notes{}
	k := readKernels(f, n)
	var got []string
	for _, i := range k.Installed {
		got = append(got, i.Release+" "+i.Version)
	}
	if diff := cmp.Diff([]string{"5.10.0 ", "6.1.0-9-amd64 #1 SMP Debian 6.1.27-1 (2023-05-08)", "6.1.0-28-amd64 #1 SMP Debian 6.1.119-1"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var u host.Updates
	readReboot(f, n, &u)
	if !u.RebootFlag || len(u.RebootRequired) != 2 || k.Running != "6.1.0-9-amd64" || len(n.List) > 0 {
		t.Errorf("%+v %+v %v", u, k, n.List)
	}
}

func TestSupport(t *testing.T) {
	f := roottest.New(t, map[string]string{
		"usr/share/distro-info/debian.csv": "version,codename,series,created,release,eol,eol-lts,eol-elts\n12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-06-10,2028-06-30,2033-06-30\n,Sid,sid,1993-08-16\n",
		"usr/share/distro-info/ubuntu.csv": "version,codename,series,created,release,eol,eol-server,eol-esm\n22.04 LTS,Jammy,jammy,2021-10-14,2022-04-21,2027-06-01,2027-06-01,2032-04-09\n",
	})
	for _, test := range []struct {
		id, version, more  string
		ends, long, source string
		rolling            bool
	}{
		{id: "debian", version: "12", ends: "2026-06-10", long: "2028-06-30", source: "/usr/share/distro-info/debian.csv"},
		{id: "debian", version: "11", ends: "2024-08-14", long: "2026-08-31", source: "built in"},
		{id: "debian", rolling: true, source: "/etc/os-release"},
		{id: "ubuntu", version: "22.04", ends: "2027-06-01", source: "/usr/share/distro-info/ubuntu.csv"},
		{id: "alpine", version: "3.20.3", ends: "2026-04-01", source: "built in"},
		{id: "rocky", version: "9.4", ends: "2032-05-31", source: "built in"},
		{id: "fedora", version: "41", more: "2025-11-19", ends: "2025-11-19", source: "/etc/os-release"},
		{id: "nobody", version: "1"},
	} {
		s := readSupport(f, map[string]string{"ID": test.id, "VERSION_ID": test.version, "SUPPORT_END": test.more}, &rootfs.Notes{})
		day := func(v time.Time) string {
			if v.IsZero() {
				return ""
			}
			return v.Format(time.DateOnly)
		}
		if day(s.Ends) != test.ends || day(s.Long) != test.long || s.Source != test.source || s.Rolling != test.rolling {
			t.Errorf("%s %s: %+v", test.id, test.version, s)
		}
	}
}

func TestAutomatic(t *testing.T) {
	files := map[string]string{
		"usr/bin/unattended-upgrade":                                     "",
		"usr/lib/systemd/system/apt-daily.timer":                         "",
		"usr/lib/systemd/system/apt-daily-upgrade.timer":                 "",
		"etc/systemd/system/timers.target.wants/apt-daily.timer":         "-> /usr/lib/systemd/system/apt-daily.timer",
		"etc/systemd/system/timers.target.wants/apt-daily-upgrade.timer": "-> /usr/lib/systemd/system/apt-daily-upgrade.timer",
		"etc/apt/apt.conf.d/20auto-upgrades":                             "APT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n",
		"etc/apt/apt.conf.d/50unattended-upgrades":                       "Unattended-Upgrade::Origins-Pattern { \"origin=Debian,codename=${distro_codename}-security,label=Debian-Security\"; };\n//Unattended-Upgrade::Automatic-Reboot \"true\";\n",
		"etc/apt/apt.conf.d/99off.dpkg-old":                              "APT::Periodic::Enable \"0\";\n",
		"var/log/unattended-upgrades/unattended-upgrades.log":            "2026-01-01 INFO All upgrades installed\n2026-01-02 06:00:00,000 ERROR Lock could not be acquired\n",
	}
	n := &rootfs.Notes{}
	f := roottest.New(t, files)
	a := aptAutomatic(f, readSetup(f, n).conf, n)
	if !a.Refresh || !a.Install || !a.Security || a.Reboots || !strings.Contains(a.Failure, "Lock could not") || len(n.List) > 0 {
		t.Errorf("%+v %v", a, n.List)
	}
	files["etc/systemd/system/apt-daily-upgrade.timer"] = "-> /dev/null"
	f = roottest.New(t, files)
	if a := aptAutomatic(f, readSetup(f, n).conf, n); a.Install || a.Security || !a.Refresh {
		t.Errorf("with its timer masked it installs: %+v", a)
	}
	f = roottest.New(t, map[string]string{
		"etc/dnf/automatic.conf":                                     "[commands]\nupgrade_type = security\napply_updates = yes\n[emitters]\nreboot = x\n",
		"usr/lib/systemd/system/dnf-automatic.timer":                 "",
		"etc/systemd/system/timers.target.wants/dnf-automatic.timer": "-> x",
		"etc/yum.repos.d/a.repo":                                     "[base]\nname=x\nbaseurl=https://u:hunter2@h/\ngpgcheck=0\n[off]\nmetalink=https://m\nenabled=0\ngpgcheck=1\n",
	})
	if a := dnfAutomatic(f, n); !a.Install || !a.Security || a.Reboots {
		t.Errorf("%+v", a)
	}
	want := []host.PackageSource{
		{File: "/etc/yum.repos.d/a.repo", Line: 1, Type: "yum", Suite: "base", URI: "https://h/", Unchecked: "gpgcheck=0"},
		{File: "/etc/yum.repos.d/a.repo", Line: 5, Type: "yum", Suite: "off", URI: "https://m", Disabled: true},
	}
	if diff := cmp.Diff(want, yumSources(f, n)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestApk(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	index := "P:a\nV:1.10-r0\n\nP:b\nV:1.0-r0\n\nP:b\nV:1.0_rc1-r9\n"
	if err := w.WriteHeader(&tar.Header{Name: "APKINDEX", Size: int64(len(index)), Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(index)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	z.Close()
	f := roottest.New(t, map[string]string{
		"lib/apk/db/installed":                   "P:a\nV:1.9-r3\nA:x86_64\no:src\nF:bin\nR:a\n\nP:b\nV:1.0-r0\nA:x86_64\n",
		"etc/apk/repositories":                   "# c\nhttps://dl.example/v3.20/main\n",
		"var/cache/apk/APKINDEX.0123abcd.tar.gz": b.String(),
	})
	r := Read(t.Context(), f, map[string]string{"ID": "alpine", "VERSION_ID": "3.20.1"})
	if diff := cmp.Diff([]host.PendingUpdate{{Name: "a", Arch: "x86_64", Installed: "1.9-r3", Candidate: "1.10-r0"}}, r.Updates.Pending); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !r.Updates.Known || r.Updates.Manager != "apk" || len(r.Packages) != 2 || r.Packages[0].Source != "src" || len(r.Unseen) > 0 {
		t.Errorf("%+v %v", r.Updates, r.Unseen)
	}
	order := []string{"1.0_alpha", "1.0_alpha2", "1.0_beta", "1.0_pre1", "1.0_rc1", "1.0", "1.0-r1", "1.0_p1", "1.0a", "1.0.1", "1.1", "1.9", "1.10", "2"}
	for i, a := range order {
		for j, b := range order {
			if got := compareApk(a, b); got != cmpInt(i, j) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
}

func cmpInt(a, b int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// TestUnread: lists that are missing or damaged make what is pending unknown.
func TestUnread(t *testing.T) {
	base := map[string]string{
		"var/lib/dpkg/status":     "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\nPackage: half\nStatus: install reinstreq half-installed\nArchitecture: amd64\nVersion: 1\n",
		"etc/apt/sources.list":    "deb [trusted=yes] http://u:hunter2@h/debian a main\n",
		"var/lib/dpkg/status.d/x": "",
	}
	r := Read(t.Context(), roottest.New(t, base), nil)
	if r.Updates.Known || len(r.Unseen) == 0 || strings.Contains(r.Unseen[0].Reason, "hunter2") {
		t.Errorf("nothing was fetched, and yet: known %v, unseen %v", r.Updates.Known, r.Unseen)
	}
	if len(r.Packages) != 2 || r.Packages[1].State != "half-installed" || r.Updates.Sources[0].Unchecked != "trusted=yes" || r.Updates.Sources[0].URI != "http://h/debian" {
		t.Errorf("%+v %+v", r.Packages, r.Updates.Sources)
	}
	base["var/lib/apt/lists/h_debian_dists_a_InRelease"] = "Origin: x\n"
	base["var/lib/apt/lists/h_debian_dists_a_main_binary-amd64_Packages.lz4"] = "no lz4"
	r = Read(t.Context(), roottest.New(t, base), nil)
	if r.Updates.Known || len(r.Unseen) != 1 || !strings.Contains(r.Unseen[0].Reason, "lz4") {
		t.Errorf("a damaged list: known %v, unseen %v", r.Updates.Known, r.Unseen)
	}
	base["var/lib/dpkg/status"] += "\n" + strings.Repeat("x", 4*maxStanza)
	if r = Read(t.Context(), roottest.New(t, base), nil); len(r.Unseen) < 2 {
		t.Errorf("a stanza without an end: unseen %v", r.Unseen)
	}
}

func TestCodeMaps(t *testing.T) {
	got := codeMaps([]byte("5581-5582 r--p 00000000 fe:00 10 /usr/bin/x\n5582-5583 r-xp 00001000 fe:00 10                         /usr/bin/x\n5583-5584 r-xp 00001000 fe:00 10 /usr/bin/x\n7f00-7f01 r-xp 00000000 fe:00 11 /usr/lib/a b.so (deleted)\n7f02-7f03 rwxp 00000000 00:00 0 \n7f04-7f05 r-xp 00000000 00:00 0 [vdso]\nshort\n"))
	want := []mapping{{"5582-5583", 10, "/usr/bin/x", false}, {"7f00-7f01", 11, "/usr/lib/a b.so", true}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mapping{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestStale: a program that was replaced while it runs, as by an update, and one
// that was not.
func TestStale(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	// Not in t.TempDir: below /tmp nothing is taken for a package's.
	dir, err := os.MkdirTemp(".", "stale")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	start := func(name string) host.Process {
		at, _ := filepath.Abs(filepath.Join(dir, name))
		if err := os.WriteFile(at, code, 0o755); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cmd := exec.CommandContext(ctx, at, "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cancel(); _ = cmd.Wait() })
		// Until it is the program itself, it is this test's.
		for range 1000 {
			if exe, _ := os.Readlink("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/exe"); exe == at {
				break
			}
			time.Sleep(time.Millisecond)
		}
		return host.Process{PID: cmd.Process.Pid, Name: name, Exe: at}
	}
	same, replaced := start("same"), start("replaced")
	if err := os.WriteFile(replaced.Exe+".new", code, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(replaced.Exe+".new", replaced.Exe); err != nil {
		t.Fatal(err)
	}
	replaced.Deleted = true
	f := rootfs.FS{Source: os.DirFS("/").(rootfs.Source)}
	got, err := Stale(t.Context(), f, []host.Process{same, replaced})
	if err != nil {
		t.Error(err)
	}
	want := []host.StaleProcess{{PID: replaced.PID, Name: "replaced", Exe: replaced.Exe, Binary: true}}
	if !replaceable(replaced.Exe) {
		want = nil // the module itself lies below /tmp
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzUpdates(f *testing.F) {
	f.Add("Package: a\nStatus: install ok installed\nVersion: 1:1.0-1\nDepends: a (>= 1),\n b\nPhased-Update-Percentage: 10\n\nPackage: b\n")
	f.Add("7f00-7f01 r-xp 00000000 fe:00 11 /usr/lib/a b.so (deleted)\n")
	f.Add("version,eol\n12,2026-01-01\n[a]\nbaseurl=http://u:p@h\n1.0_rc1-r1")
	f.Add(bzImage("6.1 #1"))
	f.Fuzz(func(t *testing.T, text string) {
		count := 0
		_ = eachStanza(strings.NewReader(text), func(b []byte) error {
			count++
			if len(b) == 0 || bytes.Contains(bytes.TrimSpace(b), []byte("\n\n")) {
				t.Errorf("%q is no stanza", b)
			}
			r, _ := parseRecord(b)
			w := &world{native: "amd64", parsed: nil}
			_ = w.group(r.arch)
			return nil
		})
		if count > strings.Count(text, "\n")+1 {
			t.Error("more stanzas than lines")
		}
		for _, m := range codeMaps([]byte(text)) {
			if m.inode == 0 || m.path[0] != '/' {
				t.Errorf("%+v", m)
			}
		}
		imageVersion([]byte(text))
		distroInfo(text, "12")
		parseRepo("x", text)
		ini(text, "a")
		lastFailure(text)
		a, b, _ := strings.Cut(text, "\n")
		if compareApk(a, b) != -compareApk(b, a) {
			t.Errorf("%q and %q do not turn around", a, b)
		}
		if n := phase(a, b, "id"); n < 0 || n > 100 {
			t.Errorf("phase %d", n)
		}
		r := repository{}
		r.readRelease([]byte(text))
	})
}
