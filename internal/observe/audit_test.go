//go:build unix

package observe

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// TestPartThatHangs: a part that does not come back is named, and the others are
// kept, wherever they stand in the list.
func TestPartThatHangs(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	c := &collector{files: rootfs.FS{Source: root.FS().(rootfs.Source)}, snap: &host.Snapshot{Schema: host.Schema}}
	never := make(chan found)
	done := func(name string) chan found {
		ch := make(chan found, 1)
		ch <- func(s *host.Snapshot) []host.Unseen {
			s.Accounts = append(s.Accounts, host.Account{Name: name})
			return nil
		}
		return ch
	}
	late := make(chan time.Time)
	close(late)
	ctx, cancel := context.WithCancel(t.Context())
	a := &audit{
		parts:    []part{{sections: []string{"first"}}, {sections: []string{"hangs", "too"}}, {sections: []string{"third"}}},
		results:  []chan found{done("a"), never, done("b")},
		deadline: late, outer: ctx, ctx: ctx, cancel: cancel,
	}
	a.finish(c)
	if len(c.snap.Accounts) == 0 || c.snap.Accounts[len(c.snap.Accounts)-1].Name != "b" || !c.snap.Audited {
		t.Errorf("what the others found: %+v", c.snap.Accounts)
	}
	if !c.snap.Misses("hangs") || !c.snap.Misses("too") || c.snap.Misses("third") || c.snap.Misses("first") {
		t.Errorf("unseen: %v", c.snap.Unseen)
	}
}

// TestHostileRoot: an image with pipes, loops and directories where files are
// expected is read to its end, and what could not be read is named.
func TestHostileRoot(t *testing.T) {
	dir := t.TempDir()
	mkdir := func(name string) {
		if err := os.MkdirAll(dir+"/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{
		"proc/1", "proc/2/environ", "etc/ssh", "etc/apt", "etc/nginx", "etc/cron.d", "etc/systemd/system", "var/lib/dpkg/info", "var/lib/apt/lists", "boot", "root/.ssh", "etc/sysctl.d",
		"usr/lib/systemd/system", "etc/passwd-", "etc/group", "var/log/journal/x", "etc/logrotate.d", "etc/haproxy",
	} {
		mkdir(d)
	}
	for _, p := range []string{
		"etc/passwd", "etc/shadow", "etc/ssh/sshd_config", "etc/sudoers", "etc/apt/sources.list", "etc/nginx/nginx.conf", "etc/cron.d/x", "etc/systemd/system/x.service", "var/lib/dpkg/status",
		"proc/1/status", "proc/1/stat", "proc/1/environ", "proc/1/cmdline", "proc/1/maps", "boot/vmlinuz-1", "etc/sysctl.d/x.conf", "usr/lib/systemd/systemd", "etc/os-release", "var/log/journal/x/a.journal", "etc/logrotate.d/x",
		"etc/fstab", "etc/machine-id", "etc/localtime",
	} {
		if err := syscall.Mkfifo(dir+"/"+p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"etc/crontab": "crontab", "etc/inetd.conf": "/dev/zero", "etc/ld.so.preload": "../../../../../../etc/passwd", "etc/haproxy/haproxy.cfg": "/proc/kcore"} {
		if err := os.Symlink(target, dir+"/"+link); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	s, err := Host(t.Context(), Options{Root: root.FS().(rootfs.Source), Audit: true, Deep: true})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := host.Write(&b, s); err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{host.SectionAccounts, host.SectionSudo, host.SectionSSH, host.SectionUpdates, host.SectionWeb, host.SectionSettings, host.SectionLogging, host.SectionIntegrity} {
		if !s.Misses(section) {
			t.Errorf("%s: nothing could be read, and nothing is said", section)
		}
	}
}
