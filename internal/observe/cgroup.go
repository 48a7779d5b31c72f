package observe

import (
	"strings"
)

// placement is what the cgroup of a process tells about it.
type placement struct {
	unit      string // ssh.service, session-3.scope
	user      bool   // a unit of a user's manager
	container string // the runtime's id
	runtime   string // as host.Container.Runtime
}

// parseCgroup reads the text of /proc/PID/cgroup (cgroups(7)): lines of
// hierarchy:controllers:path. On a pure version 2 system there is one; beside
// version 1 hierarchies the unified one may be empty, and each controller tells
// the same story, so that the first line that says something wins.
func parseCgroup(text string) placement {
	var out placement
	for line := range strings.Lines(text) {
		_, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		_, path, ok2 := strings.Cut(rest, ":")
		if !ok || !ok2 {
			continue
		}
		p := placementOf(path)
		if out.unit == "" {
			out.unit, out.user = p.unit, p.user
		}
		if out.container == "" {
			out.container, out.runtime = p.container, p.runtime
		}
	}
	return out
}

// placementOf reads one cgroup path.
func placementOf(path string) placement {
	var p placement
	for part := range strings.SplitSeq(path, "/") {
		// A cgroup namespace shows what is above as "..": nothing to learn.
		if part == "" || part == ".." {
			continue
		}
		if id, runtime := containerOf(part); id != "" {
			p.container, p.runtime = id, runtime
		}
		switch {
		case strings.HasSuffix(part, ".service"), strings.HasSuffix(part, ".scope"):
			p.user = p.user || strings.HasPrefix(p.unit, "user@")
			p.unit = part
		}
	}
	// The path names the runtime only by a parent directory.
	if p.container != "" && p.runtime == "" {
		p.runtime = runtimeAbove(path)
	}
	return p
}

// containerOf recognises the cgroup of one container by its name; the
// directories that runtimes make:
//
//	docker-ID.scope libpod-ID.scope crio-ID.scope cri-containerd-ID.scope nerdctl-ID.scope
//	docker/ID kubepods/…/ID lxc/NAME lxc.payload.NAME machine-NAME.scope systemd-nspawn@NAME.service
//
// The monitors beside them (libpod-conmon-ID, crio-conmon-ID, lxc.monitor.NAME)
// run on the host.
func containerOf(part string) (id, runtime string) {
	if name, ok := strings.CutPrefix(part, "lxc.payload."); ok {
		return name, "lxc"
	}
	if name, ok := strings.CutPrefix(part, "systemd-nspawn@"); ok {
		if name, ok = strings.CutSuffix(name, ".service"); ok {
			return name, "nspawn"
		}
	}
	name, scope := strings.CutSuffix(part, ".scope")
	if strings.Contains(name, "conmon-") {
		return "", ""
	}
	if isContainerID(name) {
		return name, ""
	}
	if i := strings.LastIndexByte(name, '-'); scope && i > 0 && isContainerID(name[i+1:]) {
		return name[i+1:], runtimeName(name[:i])
	}
	return "", ""
}

func runtimeName(prefix string) string {
	switch prefix {
	case "libpod":
		return "podman"
	case "crio":
		return "cri-o"
	case "cri-containerd", "nerdctl":
		return "containerd"
	}
	return prefix
}

// runtimeAbove guesses the runtime from the directories above the container's.
func runtimeAbove(path string) string {
	for _, r := range [...][2]string{
		{"libpod", "podman"}, {"crio", "cri-o"}, {"containerd", "containerd"}, {"docker", "docker"}, {"kubepods", ""}, {"lxc", "lxc"},
	} {
		if strings.Contains(path, r[0]) {
			return r[1]
		}
	}
	return ""
}

// isContainerID reports whether s is 64 hexadecimal digits, or 32 as ECS has
// them before a counter.
func isContainerID(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
