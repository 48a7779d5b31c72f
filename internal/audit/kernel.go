package audit

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/host"
)

func kernelChecks() []Check {
	checks := []Check{
		{"sys-cpu", Kernel, Medium, []string{"Linux Documentation/admin-guide/hw-vuln"}, (*view).cpuHoles},
		{"sys-mac", Kernel, Medium, []string{"CIS Debian 12 1.3.1", "ANSSI BP-028 R37"}, (*view).mandatoryAccess},
		{"sys-persist", Kernel, Medium, []string{"sysctl.d(5)"}, (*view).sysctlDrift},
		{"sys-rpfilter", Kernel, Low, []string{"CIS Debian 12 3.3.7", "RFC 3704"}, (*view).reversePath},
		{"sys-forward", Kernel, Low, []string{"CIS Debian 12 3.3.1"}, (*view).needlessForwarding},
		{"sys-mounts", Kernel, Low, []string{"CIS Debian 12 1.1.2", "ANSSI BP-028 R28"}, (*view).mountOptions},
		{"sys-coredump", Kernel, Low, []string{"CIS Debian 12 1.5.4"}, (*view).coreDumps},
		{"sys-taint", Kernel, Low, []string{"Linux Documentation/admin-guide/tainted-kernels"}, (*view).tainted},
	}
	for _, p := range parameters() {
		checks = append(checks, Check{p.id, Kernel, p.severity, p.references, func(v *view) outcome { return v.parameter(p) }})
	}
	return checks
}

// parameter is a kernel parameter that should have one of some values. What is
// known to break hosts (rp_filter 1 where there are two ways, accept_ra 0 with
// autoconfigured addresses, module blacklists) is not among them.
type parameter struct {
	id         string
	severity   Severity
	references []string
	// names may hold one *, for every interface; good are the values that are fine.
	names []string
	good  []string
}

func parameters() []parameter {
	return []parameter{
		{"sys-redirect", Low, []string{"CIS Debian 12 3.3.5, 3.3.6", "ANSSI BP-028 R12"}, []string{"net.ipv4.conf.*.accept_redirects", "net.ipv6.conf.*.accept_redirects"}, []string{"0"}},
		{"sys-sendredirect", Low, []string{"CIS Debian 12 3.3.2", "ANSSI BP-028 R12"}, []string{"net.ipv4.conf.*.send_redirects"}, []string{"0"}},
		{"sys-srcroute", Medium, []string{"CIS Debian 12 3.3.8", "ANSSI BP-028 R12"}, []string{"net.ipv4.conf.all.accept_source_route", "net.ipv6.conf.all.accept_source_route"}, []string{"0", "-1"}},
		{"sys-syncookies", Medium, []string{"CIS Debian 12 3.3.10", "ANSSI BP-028 R12"}, []string{"net.ipv4.tcp_syncookies"}, []string{"1", "2"}},
		{"sys-martians", Info, []string{"CIS Debian 12 3.3.9"}, []string{"net.ipv4.conf.all.log_martians"}, []string{"1"}},
		{"sys-broadcast", Medium, []string{"CIS Debian 12 3.3.4"}, []string{"net.ipv4.icmp_echo_ignore_broadcasts"}, []string{"1"}},
		{"sys-aslr", High, []string{"CIS Debian 12 1.5.1", "ANSSI BP-028 R9"}, []string{"kernel.randomize_va_space"}, []string{"2"}},
		{"sys-kptr", Low, []string{"ANSSI BP-028 R9"}, []string{"kernel.kptr_restrict"}, []string{"1", "2"}},
		{"sys-dmesg", Low, []string{"ANSSI BP-028 R9"}, []string{"kernel.dmesg_restrict"}, []string{"1"}},
		{"sys-ptrace", Low, []string{"CIS Debian 12 1.5.2", "ANSSI BP-028 R11"}, []string{"kernel.yama.ptrace_scope"}, []string{"1", "2", "3"}},
		{"sys-bpf", Low, []string{"ANSSI BP-028 R9"}, []string{"kernel.unprivileged_bpf_disabled"}, []string{"1", "2"}},
		{"sys-bpfjit", Info, []string{"ANSSI BP-028 R12"}, []string{"net.core.bpf_jit_harden"}, []string{"1", "2"}},
		{"sys-sysrq", Info, []string{"ANSSI BP-028 R9"}, []string{"kernel.sysrq"}, []string{"0", "4", "16", "20", "176", "438"}},
		{"sys-perf", Info, []string{"ANSSI BP-028 R9"}, []string{"kernel.perf_event_paranoid"}, []string{"2", "3", "4"}},
		{"sys-dumpable", Medium, []string{"CIS Debian 12 1.5.4", "ANSSI BP-028 R14"}, []string{"fs.suid_dumpable"}, []string{"0", "2"}},
		{"sys-protected", Medium, []string{"ANSSI BP-028 R14"}, []string{"fs.protected_hardlinks", "fs.protected_symlinks"}, []string{"1"}},
		{"sys-fifos", Low, []string{"ANSSI BP-028 R14"}, []string{"fs.protected_fifos", "fs.protected_regular"}, []string{"1", "2"}},
		{"sys-mmap", Low, []string{"ANSSI BP-028 R9"}, []string{"vm.mmap_min_addr"}, []string{"32768", "65536"}},
		{"sys-userns", Info, []string{"ANSSI BP-028 R23"}, []string{"kernel.unprivileged_userns_clone"}, []string{"0"}},
	}
}

// named are the parameters whose names match a pattern, in order; those of
// loopback are left out.
func (v *view) named(pattern string) []string {
	var names []string
	for name := range v.s.Sysctls {
		if ok, _ := path.Match(strings.ReplaceAll(pattern, ".", "/"), strings.ReplaceAll(strings.ReplaceAll(name, "/", "|"), ".", "/")); ok && !strings.Contains(name, ".lo.") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (v *view) parameter(p parameter) outcome {
	var o outcome
	if !v.s.Audited {
		return o
	}
	for _, pattern := range p.names {
		for _, name := range v.named(pattern) {
			value := v.s.Sysctls[name]
			if slices.Contains(p.good, value) || v.harmless(name) {
				continue
			}
			o.add("%s = %s", name, value)
		}
	}
	// In a container these are its host's, or not to be set.
	if v.s.Kernel.Container && len(o.evidence) > 0 && !strings.HasPrefix(p.names[0], "net.") {
		o.atLeast(Info)
	}
	return o
}

// harmless reports whether another parameter makes one without effect: of
// accept_redirects and send_redirects, of a router, "all" and the interface's own
// must agree (ip-sysctl: IN_DEV_RX_REDIRECTS); what is only the default of
// interfaces to come says nothing of those that are there.
func (v *view) harmless(name string) bool {
	parts := strings.Split(name, ".")
	if len(parts) != 5 || parts[2] != "conf" {
		return false
	}
	which := parts[4]
	all := v.s.Sysctls["net."+parts[1]+".conf.all."+which]
	forwards := v.s.Sysctls["net.ipv4.ip_forward"] == "1"
	switch {
	case parts[3] == "default":
		return true
	case which == "send_redirects":
		// sent by a router only
		return !forwards || parts[3] == "all" && v.eachInterface("net.ipv4.conf.*.send_redirects", "0")
	case which == "accept_redirects" && parts[1] == "ipv4":
		// a host takes them if one of the two says so, a router if both do
		if parts[3] == "all" {
			return forwards && v.eachInterface("net.ipv4.conf.*.accept_redirects", "0")
		}
		return forwards && all == "0"
	case which == "accept_redirects" && parts[1] == "ipv6":
		return parts[3] == "all" || v.s.Sysctls["net.ipv6.conf.all.forwarding"] == "1" || v.s.Sysctls["net.ipv6.conf."+parts[3]+".disable_ipv6"] == "1"
	}
	return false
}

// eachInterface reports whether a parameter has a value on all interfaces.
func (v *view) eachInterface(pattern, value string) bool {
	for _, name := range v.named(pattern) {
		if parts := strings.Split(name, "."); parts[3] != "all" && parts[3] != "default" && v.s.Sysctls[name] != value {
			return false
		}
	}
	return true
}

// reversePath finds interfaces that take packets from any source. Strict filtering
// is not asked for: with two ways out it drops what should pass.
func (v *view) reversePath() outcome {
	var o outcome
	if !v.s.Audited {
		return o
	}
	all, known := v.s.Sysctls["net.ipv4.conf.all.rp_filter"]
	if !known || all != "0" {
		return o
	}
	for _, i := range v.s.Interfaces {
		if i.Loopback || v.inner[i.Name] {
			continue
		}
		if value := v.s.Sysctls["net.ipv4.conf."+strings.ReplaceAll(i.Name, ".", "/")+".rp_filter"]; value == "0" {
			o.add("net.ipv4.conf.%s.rp_filter = 0", i.Name)
		}
	}
	return o
}

// needlessForwarding finds a host that forwards although nothing is behind it.
func (v *view) needlessForwarding() outcome {
	var o outcome
	if !v.s.Audited || len(v.s.Containers) > 0 || v.wireguard() {
		return o
	}
	for _, i := range v.s.Interfaces {
		if !i.Loopback && (v.inner[i.Name] || i.Kind != "" && i.Kind != "vlan" && i.Kind != "bond" && i.Kind != "veth") {
			return o // guests, tunnels, networks of its own
		}
	}
	for _, name := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		if v.s.Sysctls[name] == "1" {
			o.add("%s = 1, and there is nothing behind this host", name)
		}
	}
	return o
}

// sysctlDrift finds parameters that files set to another value than the one that
// holds.
func (v *view) sysctlDrift() outcome {
	var o outcome
	guarded := map[string]bool{}
	for _, p := range parameters() {
		for _, n := range p.names {
			for _, name := range v.named(n) {
				guarded[name] = true
			}
		}
	}
	for _, s := range v.s.Settings {
		now, known := v.s.Sysctls[s.Name]
		if !known || s.Overridden || s.Except || !guarded[s.Name] || strings.TrimSpace(s.Value) == now {
			continue
		}
		if _, err := strconv.Atoi(strings.TrimSpace(s.Value)); err != nil {
			continue
		}
		o.add("%s:%d: %s = %s, and it is %s now", s.File, s.Line, s.Name, s.Value, now)
	}
	return o
}

func (v *view) cpuHoles() outcome {
	var o outcome
	for name, state := range v.s.Kernel.Vulnerabilities {
		if strings.HasPrefix(state, "Vulnerable") {
			o.add("%s: %s", name, state)
		}
	}
	slices.Sort(o.evidence)
	if len(o.evidence) > 0 && (v.s.Kernel.Virtual != "" || v.s.Kernel.Container) {
		o.atLeast(Low) // what protects may be the host's below
	}
	if strings.Contains(" "+v.s.Kernel.Cmdline+" ", " mitigations=off ") {
		o.add("the kernel was started with mitigations=off")
		o.atLeast(Medium)
	}
	return o
}

func (v *view) mandatoryAccess() outcome {
	var o outcome
	k := v.s.Kernel
	if !v.s.Audited || k.Container || v.s.EUID == -1 {
		return o // what is in force only a running kernel tells
	}
	if why := v.without(host.SectionKernel); len(why) > 0 && len(k.LSMs) == 0 {
		o.miss(why...)
		return o
	}
	switch {
	case k.SELinux == "enforcing", k.AppArmor && k.Profiles["enforce"] > 0:
	case k.SELinux == "permissive":
		o.add("SELinux is permissive: it writes down what it would refuse, and refuses nothing")
	case k.AppArmor:
		if _, counted := k.Profiles["enforce"]; counted || len(k.Profiles) > 0 || v.s.EUID == 0 {
			o.add("AppArmor is on and enforces no profile")
		}
	default:
		o.add("neither AppArmor nor SELinux is on (active: %s)", few(k.LSMs))
	}
	if len(o.evidence) > 0 && len(k.LSMs) == 0 && k.SELinux == "" && !k.AppArmor {
		o.atLeast(Low)
	}
	return o
}

func (v *view) mountOptions() outcome {
	var o outcome
	for _, m := range v.s.Mounts {
		var want []string
		switch m.Target {
		case "/tmp", "/var/tmp", "/dev/shm", "/run/shm":
			want = []string{"nosuid", "nodev"}
		case "/proc":
			continue
		}
		for _, w := range want {
			if !slices.Contains(m.Options, w) {
				o.add("%s (%s) is mounted without %s", m.Target, m.Type, w)
			}
		}
	}
	if v.s.Kernel.Container && len(o.evidence) > 0 {
		o.atLeast(Info)
	}
	return o
}

// coreDumps finds that memory of crashed programs is piped to something that is
// not the system's own collector.
func (v *view) coreDumps() outcome {
	var o outcome
	pattern, ok := v.s.Sysctls["kernel.core_pattern"]
	if !ok || !strings.HasPrefix(pattern, "|") {
		return o
	}
	for _, known := range []string{"systemd-coredump", "apport", "abrt-hook-ccpp", "/bin/false", "/bin/true"} {
		if strings.Contains(pattern, known) {
			return o
		}
	}
	o.add("kernel.core_pattern = %s", pattern)
	if tmpPath(strings.TrimPrefix(pattern, "|")) {
		o.atLeast(Critical)
	}
	return o
}

// tainted finds modules that were forced or come from nowhere.
func (v *view) tainted() outcome {
	var o outcome
	t := v.s.Kernel.Tainted
	for _, b := range []struct {
		bit  uint
		what string
	}{
		{1, "a module was loaded by force"},
		{13, "a module without a valid signature was loaded"},
		{3, "a module was removed by force"},
	} {
		if t&(1<<b.bit) != 0 {
			o.add("tainted (%d): %s", t, b.what)
		}
	}
	return o
}
