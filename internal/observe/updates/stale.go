package updates

import (
	"bytes"
	"context"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// Bounds of what is read of one process, and kept of it.
const (
	maxMaps       = 8 << 20
	maxStaleFiles = 20
	staleWorkers  = 4
)

// Stale finds the processes that run code that was replaced on disk, as needrestart
// does: a binary that was deleted, or a mapped file with code that is not the one
// that stands at its path any more. What lies where packages have no files does
// not count: it is for those to judge who look for signs of compromise.
func Stale(ctx context.Context, f rootfs.FS, processes []host.Process) ([]host.StaleProcess, error) {
	found := make([]*host.StaleProcess, len(processes))
	s := &staleReader{files: f, paths: map[string]identity{}}
	var next atomic.Int64
	var wait sync.WaitGroup
	for range staleWorkers {
		wait.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(processes) {
					return
				}
				found[i] = s.process(processes[i])
			}
		})
	}
	wait.Wait()
	var out []host.StaleProcess
	for _, p := range found {
		if p != nil {
			out = append(out, *p)
		}
	}
	return out, ctx.Err()
}

// identity is what stands at a path now.
type identity struct {
	rootfs.Identity
	known bool
}

// staleReader remembers what stands at paths: thousands of processes map the
// same libraries.
type staleReader struct {
	files rootfs.FS
	mu    sync.Mutex
	paths map[string]identity // guarded by mu
}

func (s *staleReader) process(p host.Process) *host.StaleProcess {
	out := host.StaleProcess{PID: p.PID, Name: p.Name, Exe: p.Exe, User: p.User, Unit: p.Unit, UserUnit: p.UserUnit}
	out.Binary = p.Deleted && replaceable(p.Exe)
	dir := "proc/" + strconv.Itoa(p.PID)
	for _, m := range codeMaps(s.maps(dir)) {
		if !replaceable(m.path) || m.path == p.Exe && out.Binary || slices.Contains(out.Files, m.path) {
			continue
		}
		if !m.deleted && !s.replaced(dir, m, p.Container != "") {
			continue
		}
		if m.path == p.Exe {
			out.Binary = true
		} else if len(out.Files) < maxStaleFiles {
			out.Files = append(out.Files, m.path)
		}
	}
	if !out.Binary && len(out.Files) == 0 {
		return nil
	}
	slices.Sort(out.Files)
	return &out
}

func (s *staleReader) maps(dir string) []byte {
	data, _ := s.files.Head(dir+"/maps", maxMaps) // gone, or not ours
	return data
}

// mapping is a piece of a file with code in a process's memory.
type mapping struct {
	span    string // as map_files names it
	inode   uint64
	path    string
	deleted bool
}

// codeMaps reads /proc/PID/maps: address perms offset dev inode path.
func codeMaps(text []byte) []mapping {
	var out []mapping
	for line := range bytes.Lines(text) {
		var f [5][]byte
		rest := bytes.TrimRight(line, "\n")
		ok := true
		for i := range f {
			rest = bytes.TrimLeft(rest, " ")
			j := bytes.IndexByte(rest, ' ')
			if j < 0 {
				ok = i == 4
				f[i], rest = rest, nil
				break
			}
			f[i], rest = rest[:j], rest[j:]
		}
		name := bytes.TrimLeft(rest, " ")
		if !ok || len(f[1]) < 3 || f[1][2] != 'x' || len(name) == 0 || name[0] != '/' {
			continue
		}
		inode, err := strconv.ParseUint(string(f[4]), 10, 64)
		if err != nil || inode == 0 {
			continue
		}
		m := mapping{span: string(f[0]), inode: inode}
		m.path, m.deleted = strings.CutSuffix(string(name), " (deleted)")
		if n := len(out); n > 0 && out[n-1].path == m.path && out[n-1].inode == m.inode {
			continue
		}
		out = append(out, m)
	}
	return out
}

// replaced reports whether another file stands at the path of a mapping. On file
// systems such as overlayfs and btrfs the numbers in maps are others than stat's;
// the link in map_files leads to the file itself then.
func (s *staleReader) replaced(dir string, m mapping, elsewhere bool) bool {
	now := s.at(m.path)
	if elsewhere {
		now = s.look(dir + "/root" + m.path)
	}
	if !now.known || now.Inode == m.inode {
		return false // what is not there any more would be marked as deleted
	}
	then := s.look(dir + "/map_files/" + m.span)
	return then.known && then.Identity != now.Identity
}

func (s *staleReader) at(name string) identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, have := s.paths[name]
	if !have {
		id = s.look(name[1:])
		s.paths[name] = id
	}
	return id
}

func (s *staleReader) look(name string) identity {
	info, err := s.files.Source.Stat(name)
	if err != nil {
		return identity{}
	}
	id, ok := rootfs.Identify(info)
	return identity{id, ok}
}

// replaceable reports whether packages may have files at a place.
func replaceable(name string) bool {
	if !path.IsAbs(name) {
		return false
	}
	for _, dir := range [...]string{"/memfd:", "/SYSV", "/dev/", "/tmp/", "/var/tmp/", "/run/", "/var/run/", "/[aio]", "/drm", "/i915", "/anon_hugepage", "/var/lib/docker/tmp/", "/proc/"} {
		if strings.HasPrefix(name, dir) {
			return false
		}
	}
	return true
}
