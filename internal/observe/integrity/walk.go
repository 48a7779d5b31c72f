package integrity

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"sekimori/internal/host"
)

// Bounds of walks.
const (
	maxWalkDepth  = 64
	maxQuickFiles = 60_000
	maxDeepFiles  = 20_000_000
)

// skipped are the places that a walk does not enter: what is mounted there is not
// of this host's disks, or belongs to containers.
func skipped(mounts []host.Mount) map[string]bool {
	out := map[string]bool{
		"proc": true, "sys": true, "run": true, "var/lib/docker": true, "var/lib/containers/storage": true, "var/lib/containerd": true,
		"var/lib/lxcfs": true, "var/lib/kubelet/pods": true, "snap": true,
	}
	for _, m := range mounts {
		switch t := m.Type; {
		case strings.HasPrefix(t, "nfs"), strings.HasPrefix(t, "fuse"), t == "cifs", t == "smb3", t == "9p", t == "autofs", t == "ceph", t == "glusterfs", t == "afs",
			t == "virtiofs", t == "proc", t == "sysfs", t == "cgroup", t == "cgroup2", t == "squashfs", t == "iso9660", t == "tracefs", t == "debugfs", t == "bpf":
			if m.Target != "/" {
				out[strings.TrimPrefix(m.Target, "/")] = true
			}
		}
	}
	return out
}

// quick looks at the directories of programs, of what the system runs by itself,
// and at those where anybody may write.
func (s *scanner) quick(ctx context.Context) {
	for _, dir := range []string{"usr/bin", "usr/sbin", "bin", "sbin", "usr/local/bin", "usr/local/sbin", "opt"} {
		s.walkDir(ctx, dir, 1, s.program)
	}
	for _, dir := range []string{"usr/lib", "usr/libexec"} {
		s.walkDir(ctx, dir, 2, s.program)
	}
	for _, dir := range []string{
		"etc/systemd", "etc/cron.d", "etc/cron.hourly", "etc/cron.daily", "etc/cron.weekly", "etc/cron.monthly", "etc/init.d", "etc/profile.d", "etc/pam.d",
		"etc/sudoers.d", "etc/ssh", "etc/ld.so.conf.d", "etc/apt", "etc/udev", "etc/security", "var/spool/cron", "etc/nginx", "etc/apache2",
	} {
		s.walkDir(ctx, dir, 3, s.system)
	}
	s.walkDir(ctx, "etc", 1, s.system)
	for _, dir := range []string{"tmp", "var/tmp", "dev/shm"} {
		s.walkDir(ctx, dir, 3, s.temporary)
	}
	s.walkDir(ctx, "dev", 3, s.device)
}

func (s *scanner) walkDir(ctx context.Context, dir string, depth int, each func(host.File)) {
	resolved, err := s.files.Resolve(dir)
	if err != nil || resolved != dir && (dir == "bin" || dir == "sbin" || dir == "usr/sbin") {
		return // merged into /usr, which is looked at
	}
	if file, err := s.files.LookLink(resolved); err == nil {
		each(file)
	}
	s.walk(ctx, resolved, 0, depth, each)
}

// walk goes through a directory, links not followed.
func (s *scanner) walk(ctx context.Context, dir string, depth, limit int, each func(host.File)) {
	if depth >= limit || s.skip[dir] || ctx.Err() != nil {
		return
	}
	entries, err := s.files.Names(dir)
	if err != nil {
		switch {
		case errors.Is(err, fs.ErrPermission):
			if s.closed++; s.closed == 1 {
				s.first = dir
			}
		case !errors.Is(err, fs.ErrNotExist):
			s.note("%s", err)
		}
		return
	}
	most := maxQuickFiles
	if s.deep {
		most = maxDeepFiles
	}
	for _, e := range entries {
		if s.count++; s.count > most {
			if s.count == most+1 {
				s.note("more than %d files, the rest was not looked at", most)
			}
			return
		}
		if e.Type()&fs.ModeSymlink != 0 {
			continue
		}
		at := path.Join(dir, e.Name())
		file, err := s.files.LookLink(at)
		if err != nil {
			continue // gone meanwhile
		}
		each(file)
		if e.IsDir() {
			s.walk(ctx, at, depth+1, limit, each)
		}
	}
}

func (s *scanner) setID(f host.File) {
	if f.Type == "file" && f.Mode&0o6000 != 0 && f.Mode&0o111 != 0 && len(s.out.SetID) < maxKept {
		s.out.SetID = append(s.out.SetID, host.SetIDFile{File: f})
	}
}

func (s *scanner) writable(f host.File) {
	open := f.OthersWrite() && (f.Type == "file" || f.Type == "dir" && f.Mode&0o1000 == 0)
	if open && len(s.out.Writable) < maxKept {
		s.out.Writable = append(s.out.Writable, f)
	}
}

// program looks at what lies among programs, system at what the system reads.
func (s *scanner) program(f host.File) { s.setID(f); s.writable(f) }

func (s *scanner) system(f host.File) { s.writable(f) }

// everywhere is for the walk of all disks: what gives rights, wherever it is.
func (s *scanner) everywhere(f host.File) { s.setID(f) }

// temporary looks at places where anybody may write: programs and devices do not
// belong there.
func (s *scanner) temporary(f host.File) {
	s.setID(f)
	odd := f.Type == "file" && f.Mode&0o111 != 0 || f.Type == "device" || f.Type == "char"
	if odd && len(s.out.Odd) < maxKept {
		s.out.Odd = append(s.out.Odd, f)
	}
}

// device looks at /dev: regular files do not belong there, but for those of shared
// memory and of a few daemons.
func (s *scanner) device(f host.File) {
	if f.Type != "file" || strings.HasPrefix(f.Path, "/dev/shm/") || strings.HasPrefix(f.Path, "/dev/mqueue/") || strings.HasPrefix(f.Path, "/dev/.udev/") || strings.HasPrefix(f.Path, "/dev/.lxc") {
		return
	}
	if len(s.out.Odd) < maxKept {
		s.out.Odd = append(s.out.Odd, f)
	}
}
