package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// Result is what [Read] gives.
type Result struct {
	// Sysctls are the parameters that an audit asks for beside those of packets.
	Sysctls  map[string]string
	Settings []host.KernelSetting
	Kernel   host.KernelState
	Mounts   []host.Mount
	Provider host.Provider
	Unseen   []host.Unseen
}

// Read reads all of it.
func Read(f rootfs.FS) Result {
	var r Result
	settings, kernel, mounts, provider := &notes{section: host.SectionSettings}, &notes{section: host.SectionKernel}, &notes{section: host.SectionMounts}, &notes{section: host.SectionProvider}
	r.Sysctls = readValues(f, settings)
	r.Settings = readSettings(f, settings)
	r.Provider = readProvider(f, provider)
	r.Kernel = readKernel(f, r.Provider, kernel)
	r.Mounts = readMounts(f, mounts)
	for _, n := range []*notes{settings, kernel, mounts, provider} {
		r.Unseen = append(r.Unseen, n.list...)
	}
	return r
}

const maxNotes = 20

// notes collects what could not be read of one section.
type notes struct {
	section string
	list    []host.Unseen
}

func (n *notes) add(format string, args ...any) {
	if len(n.list) < maxNotes {
		n.list = append(n.list, host.Unseen{Section: n.section, Reason: fmt.Sprintf(format, args...)})
	}
}

func (n *notes) err(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.add("%s", err)
	}
}

// text reads a small file, "" where it is not there.
func (n *notes) text(f rootfs.FS, name string) string {
	data, err := f.Read(name, 4<<20)
	n.err(err)
	return strings.ToValidUTF8(string(data), "\uFFFD")
}

func (n *notes) names(f rootfs.FS, dir string) []string {
	names, err := f.List(dir)
	n.err(err)
	return names
}

// proc reads a file of /proc or /sys, whose size is not known before.
func (n *notes) proc(f rootfs.FS, name string) string {
	data, err := f.Proc(name)
	n.err(err)
	return strings.ToValidUTF8(string(data), "\uFFFD")
}
