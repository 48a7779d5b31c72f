package machine

import (
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// readKernel reads what the running kernel says about its defences.
func readKernel(f rootfs.FS, p host.Provider, n *rootfs.Notes) host.KernelState {
	var k host.KernelState
	k.Cmdline = strings.Join(host.MaskArgs(append([]string{""}, strings.Fields(n.Proc(f, "proc/cmdline"))...))[1:], " ")
	if text := strings.TrimSpace(n.Proc(f, "sys/kernel/security/lsm")); text != "" {
		k.LSMs = strings.Split(text, ",")
	}
	k.SELinux = selinux(f, n)
	k.AppArmor = f.Line("sys/module/apparmor/parameters/enabled") == "Y"
	for line := range strings.Lines(n.Proc(f, "sys/kernel/security/apparmor/profiles")) {
		line = strings.TrimSpace(line)
		if i := strings.LastIndexByte(line, '('); i >= 0 && strings.HasSuffix(line, ")") {
			if k.Profiles == nil {
				k.Profiles = map[string]int{}
			}
			k.Profiles[line[i+1:len(line)-1]]++
		}
	}
	if _, rest, ok := strings.Cut(n.Proc(f, "sys/kernel/security/lockdown"), "["); ok {
		k.Lockdown, _, _ = strings.Cut(rest, "]")
	}
	k.Tainted, _ = strconv.ParseUint(f.Line("proc/sys/kernel/tainted"), 10, 64)
	k.Modules, k.Hidden = modules(f, n)
	for _, name := range n.Names(f, "sys/devices/system/cpu/vulnerabilities") {
		if k.Vulnerabilities == nil {
			k.Vulnerabilities = map[string]string{}
		}
		k.Vulnerabilities[name] = f.Line("sys/devices/system/cpu/vulnerabilities/" + name)
	}
	k.Blacklisted = blacklisted(f, n)
	k.Virtual, k.Container = virtual(f, p)
	return k
}

func selinux(f rootfs.FS, n *rootfs.Notes) string {
	switch f.Line("sys/fs/selinux/enforce") {
	case "1":
		return "enforcing"
	case "0":
		return "permissive"
	}
	for line := range strings.Lines(n.Text(f, "etc/selinux/config")) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "SELINUX="); ok {
			if v == "disabled" || !f.Exists("proc/version") {
				return v // of files alone, what it is to be
			}
			return "disabled"
		}
	}
	return ""
}

// modules gives those that are loaded, and those that only /sys tells of.
func modules(f rootfs.FS, n *rootfs.Notes) (loaded, hidden []string) {
	listed := map[string]bool{}
	text := n.Proc(f, "proc/modules")
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(line, " ")
		listed[name] = true
		loaded = append(loaded, name)
	}
	slices.Sort(loaded)
	if text == "" {
		return loaded, nil
	}
	for _, name := range n.Names(f, "sys/module") {
		// One that is being loaded at this moment is "coming".
		if !listed[name] && f.Line("sys/module/"+name+"/initstate") == "live" {
			hidden = append(hidden, name)
		}
	}
	return loaded, hidden
}

// blacklisted gives the modules that modprobe.d(5) keeps from being loaded: by
// "blacklist" (as an alias alone), or by an install line that does nothing.
func blacklisted(f rootfs.FS, n *rootfs.Notes) []string {
	var out []string
	for _, dir := range []string{"etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"} {
		for _, name := range n.Names(f, dir) {
			if !strings.HasSuffix(name, ".conf") {
				continue
			}
			for line := range strings.Lines(n.Text(f, dir+"/"+name)) {
				w := strings.Fields(line)
				switch {
				case len(w) == 2 && w[0] == "blacklist":
					out = append(out, w[1])
				case len(w) == 3 && w[0] == "install" && (strings.HasSuffix(w[2], "/true") || strings.HasSuffix(w[2], "/false")):
					out = append(out, w[1])
				}
			}
			if len(out) > 5000 {
				return out[:5000]
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// virtual says what the host runs in.
func virtual(f rootfs.FS, p host.Provider) (name string, container bool) {
	if data, err := f.Read("run/systemd/container", rootfs.Small); err == nil {
		return strings.TrimSpace(string(data)), true
	}
	if f.Exists(".dockerenv") {
		return "docker", true
	}
	if f.Exists("run/.containerenv") {
		return "podman", true
	}
	if data, err := f.Proc("proc/1/environ"); err == nil {
		for v := range strings.SplitSeq(string(data), "\x00") {
			if name, ok := strings.CutPrefix(v, "container="); ok && name != "" {
				return name, true
			}
		}
	}
	if f.Exists("proc/vz") && !f.Exists("proc/bc") {
		return "openvz", true
	}
	text := p.Vendor + " " + p.Product
	for _, v := range [...][2]string{
		{"KVM", "kvm"},
		{"QEMU", "kvm"},
		{"VMware", "vmware"},
		{"VirtualBox", "virtualbox"},
		{"Xen", "xen"},
		{"Microsoft Corporation Virtual", "hyperv"},
		{"Amazon EC2", "kvm"},
		{"Google Compute", "kvm"},
		{"OpenStack", "kvm"},
		{"Bochs", "kvm"},
		{"Parallels", "parallels"},
		{"Hetzner vServer", "kvm"},
		{"DigitalOcean Droplet", "kvm"},
	} {
		if strings.Contains(text, v[0]) {
			return v[1], false
		}
	}
	if hypervisor := f.Line("sys/hypervisor/type"); hypervisor != "" {
		return hypervisor, false
	}
	if data, err := f.Proc("proc/cpuinfo"); err == nil && strings.Contains(string(data), " hypervisor") {
		return "vm", false
	}
	return "", false
}
