package machine

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// valueNames are the parameters that an audit asks for, below /proc/sys.
func valueNames() []string {
	return []string{
		"kernel/kptr_restrict", "kernel/dmesg_restrict", "kernel/yama/ptrace_scope", "kernel/unprivileged_bpf_disabled", "kernel/sysrq", "kernel/randomize_va_space",
		"kernel/kexec_load_disabled", "kernel/perf_event_paranoid", "kernel/modules_disabled", "kernel/unprivileged_userns_clone", "kernel/io_uring_disabled",
		"kernel/core_pattern", "kernel/core_uses_pid", "kernel/apparmor_restrict_unprivileged_userns", "kernel/panic_on_oops", "kernel/ctrl-alt-del",
		"fs/suid_dumpable", "fs/protected_hardlinks", "fs/protected_symlinks", "fs/protected_fifos", "fs/protected_regular",
		"net/core/bpf_jit_harden", "net/ipv4/icmp_ignore_bogus_error_responses", "net/ipv4/tcp_rfc1337", "net/ipv4/tcp_timestamps",
		"user/max_user_namespaces", "vm/mmap_min_addr", "vm/mmap_rnd_bits", "vm/unprivileged_userfaultfd", "dev/tty/ldisc_autoload",
	}
}

// readValues reads the parameters that are there.
func readValues(f rootfs.FS, n *rootfs.Notes) map[string]string {
	out := map[string]string{}
	for _, name := range valueNames() {
		data, err := f.Proc("proc/sys/" + name)
		switch {
		case err == nil:
			out[strings.ReplaceAll(name, "/", ".")] = strings.TrimSpace(string(data))
		case !errors.Is(err, fs.ErrNotExist):
			n.Err(err)
		}
	}
	return out
}

// maxSettings bounds the lines of all files.
const maxSettings = 20_000

// readSettings reads sysctl.d(5) in the order in which it is applied.
func readSettings(f rootfs.FS, n *rootfs.Notes) []host.KernelSetting {
	files := map[string]string{}
	for _, dir := range []string{"etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d"} {
		for _, name := range n.Names(f, dir) {
			if _, have := files[name]; !have && strings.HasSuffix(name, ".conf") {
				files[name] = path.Join(dir, name)
			}
		}
	}
	order := make([]string, 0, len(files))
	for name := range files {
		order = append(order, name)
	}
	slices.Sort(order)
	linked := false
	var out []host.KernelSetting
	for _, name := range order {
		at, err := f.Resolve(files[name])
		if err != nil || at == "dev/null" {
			n.Err(err)
			continue
		}
		linked = linked || at == "etc/sysctl.conf"
		out = append(out, parseSettings("/"+files[name], n.Text(f, files[name]))...)
	}
	// sysctl(8) takes this one last; systemd only where a link leads to it.
	if !linked && !f.Exists("usr/lib/systemd/systemd-sysctl") && !f.Exists("lib/systemd/systemd-sysctl") {
		out = append(out, parseSettings("/etc/sysctl.conf", n.Text(f, "etc/sysctl.conf"))...)
	}
	if len(out) > maxSettings {
		n.Add("more than %d lines set kernel parameters, the rest was not read", maxSettings)
		out = out[:maxSettings]
	}
	last := map[string]int{}
	for i, s := range out {
		if s.Except {
			continue
		}
		if before, have := last[s.Name]; have {
			out[before].Overridden = true
		}
		last[s.Name] = i
	}
	return out
}

// parseSettings reads one file of sysctl.d(5).
func parseSettings(file, text string) []host.KernelSetting {
	var out []host.KernelSetting
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		s := host.KernelSetting{File: file, Line: number, Value: strings.TrimSpace(value)}
		if rest, dash := strings.CutPrefix(name, "-"); dash {
			name, s.Ignore = strings.TrimSpace(rest), ok
			s.Except = !ok
		} else if !ok {
			continue
		}
		if s.Name = settingName(name); s.Name != "" && len(out) <= maxSettings {
			out = append(out, s)
		}
	}
	return out
}

// settingName gives a name with dots: whichever of dot and slash comes first
// separates, the other one stands for itself.
func settingName(name string) string {
	i := strings.IndexAny(name, "./")
	if i < 0 || name[i] == '.' {
		return name
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '/':
			return '.'
		case '.':
			return '/'
		}
		return r
	}, name)
}
