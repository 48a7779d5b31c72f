package observe

import (
	"maps"
	"path"
	"slices"
	"strings"

	"sekimori/internal/host"
)

// join fills in what takes two parts to know: whose package a program is, which
// daemon runs, that the kernel is not the host's own.
func join(s *host.Snapshot, values map[string]string) {
	if s.Sysctls == nil && len(values) > 0 {
		s.Sysctls = map[string]string{}
	}
	maps.Copy(s.Sysctls, values)
	for _, p := range s.Packages {
		switch p.Name {
		case "openssh-server", "openssh-server-common", "openssh":
			if s.SSH.Binary != "" && s.SSH.Package == "" {
				s.SSH.Package, s.SSH.PackageVersion = p.Name, p.Version
			}
		case "sudo", "sudo-rs", "doas", "opendoas":
			if base := path.Base(s.Sudo.Binary.Path); s.Sudo.Binary.Path != "" && strings.Contains(p.Name, base) {
				s.Sudo.Package, s.Sudo.PackageVersion = p.Name, p.Version
			}
		}
	}
	s.Updates.Kernel.Shared = s.Kernel.Container
	runningSSH(s)
	runningDaemons(s)
}

// runningSSH finds the sshd that listens.
func runningSSH(s *host.Snapshot) {
	pids := map[int]bool{}
	for _, k := range s.Sockets {
		for _, pid := range k.Owners {
			pids[pid] = k.Proto == "tcp" || pids[pid]
		}
	}
	for _, p := range s.Processes {
		if p.Name != "sshd" || !pids[p.PID] || p.Container != "" {
			continue
		}
		s.SSH.Running = p.PID
		s.SSH.RunningArgs = sshdArgs(p.Argv)
		return
	}
}

// sshdArgs gives the arguments that change sshd's configuration. sshd writes over
// its title: "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups".
func sshdArgs(argv []string) []string {
	words := strings.Fields(strings.Join(argv, " "))
	if end := slices.Index(words, "[listener]"); end >= 0 {
		words = words[:end]
	}
	var out []string
	for i := 1; i < len(words); i++ {
		w := words[i]
		if len(w) < 2 || w[0] != '-' || !strings.ContainsAny(w[1:2], "fopbhC") {
			continue
		}
		if len(w) == 2 && i+1 < len(words) {
			i++
			w += " " + words[i]
		}
		out = append(out, w)
	}
	return out
}

// runningDaemons says of log and time daemons whether a process of theirs was seen.
func runningDaemons(s *host.Snapshot) {
	running := map[string]bool{}
	for _, p := range s.Processes {
		if p.Container == "" && p.Exe != "" {
			running[path.Base(p.Exe)] = true
		}
	}
	programs := map[string][]string{
		"rsyslog": {"rsyslogd"}, "syslog-ng": {"syslog-ng"}, "busybox": {"syslogd"}, "inetutils": {"syslogd"},
		"chrony": {"chronyd"}, "ntpsec": {"ntpd"}, "ntp": {"ntpd"}, "openntpd": {"ntpd"}, "systemd-timesyncd": {"systemd-timesyncd"}, "ntpd-rs": {"ntp-daemon"},
	}
	is := func(name string) bool {
		return slices.ContainsFunc(programs[name], func(p string) bool { return running[p] })
	}
	for i := range s.Logging.Daemons {
		s.Logging.Daemons[i].Running = is(s.Logging.Daemons[i].Name)
	}
	for i := range s.Clock.Daemons {
		s.Clock.Daemons[i].Running = is(s.Clock.Daemons[i].Name)
	}
	s.Logging.Audit.Running = running["auditd"]
}
