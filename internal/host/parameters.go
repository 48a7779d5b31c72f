package host

// KernelSetting is a kernel parameter that a file sets at boot.
type KernelSetting struct {
	// Name is with dots, as in [Snapshot.Sysctls]; a pattern (net.ipv4.conf.*.x)
	// as it is written.
	Name string `json:"name"`
	// Value is as written; Ignore is true where a leading "-" says that a failure
	// does not matter. Except is true for a line "-name", which takes the name out
	// of the patterns before it.
	Value  string `json:"value,omitempty"`
	Ignore bool   `json:"ignore,omitempty"`
	Except bool   `json:"except,omitempty"`
	File   string `json:"file"`
	Line   int    `json:"line"`
	// Overridden is true where a later line sets the same name again.
	Overridden bool `json:"overridden,omitempty"`
}

// KernelState is what the running kernel says about itself.
type KernelState struct {
	// Cmdline is /proc/cmdline, secrets masked.
	Cmdline string `json:"cmdline,omitempty"`
	// LSMs are the security modules in use: lockdown, apparmor, selinux, …
	LSMs []string `json:"lsms,omitempty"`
	// SELinux is enforcing, permissive, disabled (by its configuration) or "" where
	// it is not there.
	SELinux string `json:"selinux,omitempty"`
	// AppArmor is true where it is on; Profiles counts those loaded by mode:
	// enforce, complain, unconfined, kill.
	AppArmor bool           `json:"apparmor,omitempty"`
	Profiles map[string]int `json:"profiles,omitempty"`
	// Lockdown is none, integrity, confidentiality or "" if unknown.
	Lockdown string `json:"lockdown,omitempty"`
	// Tainted is /proc/sys/kernel/tainted.
	Tainted uint64 `json:"tainted,omitempty"`
	// Modules are the loaded modules; Hidden those that /sys/module has as loaded
	// and /proc/modules does not list.
	Modules []string `json:"modules,omitempty"`
	Hidden  []string `json:"hidden,omitempty"`
	// Vulnerabilities is /sys/devices/system/cpu/vulnerabilities by name.
	Vulnerabilities map[string]string `json:"vulnerabilities,omitempty"`
	// Blacklisted are modules that modprobe.d keeps from being loaded.
	Blacklisted []string `json:"blacklisted,omitempty"`
	// Virtual is what the host runs in: docker, lxc, podman, container, kvm,
	// vmware, hyperv, xen, …, "" for hardware or where it does not show. Container
	// is true for the former.
	Virtual   string `json:"virtual,omitempty"`
	Container bool   `json:"container,omitempty"`
}

// Mount is one mounted file system of the host's own mount namespace.
type Mount struct {
	Target string `json:"target"`
	Source string `json:"source,omitempty"`
	Type   string `json:"type"`
	// Options are those of the mount and of the file system: rw, nosuid, nodev, …
	Options []string `json:"options,omitempty"`
	// Configured is true where it is from fstab alone and nothing was seen mounted.
	Configured bool `json:"configured,omitempty"`
}
