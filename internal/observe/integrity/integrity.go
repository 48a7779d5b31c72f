// Package integrity reads whether the files of packages are what their packages
// brought, which files give rights, and which lie where none belong. Quick looks at
// names and modes in the directories of programs and of what the system runs; Deep
// reads all files of packages and walks the whole disk, file systems of networks,
// of the kernel and of containers left out.
package integrity

import (
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"sekimori/internal/host"
	"sekimori/internal/observe/pkgdb"
	"sekimori/internal/observe/rootfs"
)

// Bounds of what is kept and read.
const (
	maxChanged = 5000
	maxKept    = 2000
	maxHashed  = 16 << 30 // of one file
	hashers    = 2
	maxNotes   = 20
)

// Read reads what is asked for. Mounts are the file systems of the host, so that
// those of networks are not walked.
func Read(ctx context.Context, f rootfs.FS, mounts []host.Mount, deep bool) (host.Integrity, []host.Unseen) {
	s := &scanner{files: f, skip: skipped(mounts), deep: deep}
	s.quick(ctx)
	if deep {
		s.walk(ctx, ".", 0, maxWalkDepth, s.everywhere)
		s.out.Walked = true
		s.compare(ctx)
	}
	if s.closed > 0 {
		s.note("%d directories may not be listed, such as /%s (needs root)", s.closed, s.first)
	}
	s.sort()
	return s.out, s.unseen
}

type scanner struct {
	files  rootfs.FS
	deep   bool
	skip   map[string]bool
	out    host.Integrity
	unseen []host.Unseen
	count  int
	// closed counts the directories that may not be listed; first is one of them.
	closed int
	first  string
}

func (s *scanner) note(format string, args ...any) {
	if len(s.unseen) < maxNotes {
		s.unseen = append(s.unseen, host.Unseen{Section: host.SectionIntegrity, Reason: fmt.Sprintf(format, args...)})
	}
}

func (s *scanner) sort() {
	slices.SortFunc(s.out.SetID, func(a, b host.SetIDFile) int { return strings.Compare(a.Path, b.Path) })
	s.out.SetID = slices.CompactFunc(s.out.SetID, func(a, b host.SetIDFile) bool { return a.Path == b.Path })
	for _, list := range []*[]host.File{&s.out.Writable, &s.out.Odd} {
		slices.SortFunc(*list, func(a, b host.File) int { return strings.Compare(a.Path, b.Path) })
		*list = slices.CompactFunc(*list, func(a, b host.File) bool { return a.Path == b.Path })
	}
	slices.SortFunc(s.out.Changed, func(a, b host.ChangedFile) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Package, b.Package))
	})
	slices.Sort(s.out.Unverifiable)
	s.out.Unverifiable = slices.Compact(s.out.Unverifiable)
}

// compare reads the files of all packages.
func (s *scanner) compare(ctx context.Context) {
	s.out.Checked = true
	work := make(chan pkgdb.Sum, 256)
	results := make(chan outcome, 256)
	var wait sync.WaitGroup
	for range hashers {
		wait.Go(func() {
			buf := make([]byte, 256<<10)
			for sum := range work {
				results <- s.check(sum, buf)
			}
		})
	}
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		for r := range results {
			s.out.Files++
			s.out.Bytes += r.size
			if r.change.What != "" && len(s.out.Changed) < maxChanged {
				s.out.Changed = append(s.out.Changed, r.change)
			}
		}
	}()
	seen := map[string]bool{}
	none, err := pkgdb.Sums(ctx, s.files, func(sum pkgdb.Sum) error {
		// A package of two architectures brings the same file twice.
		if key := sum.Path + " " + sum.Digest; seen[key] {
			return nil
		} else {
			seen[key] = true
		}
		select {
		case work <- sum:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(work)
	wait.Wait()
	close(results)
	<-collected
	if err != nil {
		s.note("compare the files of packages: %s", err)
	}
	if len(s.out.Changed) == maxChanged {
		s.note("more than %d files are not what their packages brought", maxChanged)
	}
	s.out.Unverifiable = none
}

type outcome struct {
	change host.ChangedFile
	size   int64
}

// check compares one file.
func (s *scanner) check(sum pkgdb.Sum, buf []byte) outcome {
	o := outcome{change: host.ChangedFile{Path: sum.Path, Package: sum.Package, Manager: sum.Manager, Config: sum.Config}}
	c := &o.change
	info, err := s.files.Look(sum.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if !sum.Optional && !sum.Config {
			c.What = "missing"
		}
		return o
	case err != nil:
		c.What, c.Err = "unreadable", err.Error()
		return o
	case info.Type != "file":
		c.What, c.File = "type", info
		return o
	}
	digest, size, err := s.digest(sum, buf)
	o.size = size
	switch {
	case err != nil:
		c.What, c.Err = "unreadable", err.Error()
	case !strings.EqualFold(digest, sum.Digest):
		c.What, c.File = "content", info
	case sum.Mode >= 0 && int(info.Mode) != sum.Mode:
		c.What, c.File = "mode", info
	}
	return o
}

func (s *scanner) digest(sum pkgdb.Sum, buf []byte) (string, int64, error) {
	var h hash.Hash
	switch sum.Algorithm {
	case "md5":
		h = md5.New() // what dpkg has; it finds what was changed, not who is clever
	case "sha1":
		h = sha1.New()
	case "sha256":
		h = sha256.New()
	case "sha512":
		h = sha512.New()
	default:
		return "", 0, fmt.Errorf("digests of kind %s", sum.Algorithm)
	}
	file, err := s.files.Open(sum.Path)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	size, err := io.CopyBuffer(struct{ io.Writer }{h}, io.LimitReader(file, maxHashed), buf)
	return hex.EncodeToString(h.Sum(nil)), size, err
}
