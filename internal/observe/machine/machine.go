package machine

import (
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
	settings, kernel, mounts, provider := &rootfs.Notes{Section: host.SectionSettings}, &rootfs.Notes{Section: host.SectionKernel}, &rootfs.Notes{Section: host.SectionMounts}, &rootfs.Notes{Section: host.SectionProvider}
	r.Sysctls = readValues(f, settings)
	r.Settings = readSettings(f, settings)
	r.Provider = readProvider(f, provider)
	r.Kernel = readKernel(f, r.Provider, kernel)
	r.Mounts = readMounts(f, mounts)
	for _, n := range []*rootfs.Notes{settings, kernel, mounts, provider} {
		r.Unseen = append(r.Unseen, n.List...)
	}
	return r
}
