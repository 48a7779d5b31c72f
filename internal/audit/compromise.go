package audit

import (
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/host/sshd"
)

func compromiseChecks() []Check {
	return []Check{
		{"ioc-memfd", Compromise, Critical, []string{"MITRE ATT&CK T1620", "memfd_create(2)"}, (*view).inMemory},
		{"ioc-deleted-exe", Compromise, Critical, []string{"MITRE ATT&CK T1070.004"}, (*view).deletedPrograms},
		{"ioc-exec-tmp", Compromise, Critical, []string{"MITRE ATT&CK T1059.004"}, (*view).runsFromTmp},
		{"ioc-interp-net", Compromise, Critical, []string{"MITRE ATT&CK T1059"}, (*view).interpreterOnTheNet},
		{"ioc-fake-kthread", Compromise, Critical, []string{"MITRE ATT&CK T1036.005"}, (*view).falseKernelThreads},
		{"ioc-argv", Compromise, High, []string{"MITRE ATT&CK T1036.005"}, (*view).falseNames},
		{"ioc-fanout", Compromise, Critical, []string{"MITRE ATT&CK T1110.003, T1046"}, (*view).fanOut},
		{"ioc-irc", Compromise, High, []string{"MITRE ATT&CK T1071"}, (*view).botPorts},
		{"ioc-miner", Compromise, Critical, []string{"MITRE ATT&CK T1496"}, (*view).miners},
		{"ioc-persist", Compromise, Critical, []string{"MITRE ATT&CK T1053.003, T1543.002"}, (*view).startsFromTmp},
		{"ioc-download", Compromise, Critical, []string{"MITRE ATT&CK T1105"}, (*view).downloadsAndRuns},
		{"ioc-authkeys", Compromise, Critical, []string{"MITRE ATT&CK T1098.004"}, (*view).knownBadKeys},
		{"ioc-syskeys", Compromise, High, []string{"MITRE ATT&CK T1136.001"}, (*view).systemAccountsWithKeys},
	}
}

// tmpPath reports whether a path is where anybody may put files.
func tmpPath(path string) bool {
	for _, d := range []string{"/tmp/", "/var/tmp/", "/dev/shm/", "/run/shm/", "/run/user/", "/run/lock/", "/var/lock/", "/var/crash/", "/dev/mqueue/"} {
		if strings.HasPrefix(path, d) {
			return true
		}
	}
	return false
}

// interpreter reports whether a program runs what it is given.
func interpreter(name string) bool {
	return interpreterName.MatchString(name)
}

// scriptOf is the script that an interpreter was given.
func scriptOf(p *host.Process) string {
	if p.Script != "" {
		return p.Script
	}
	for _, a := range p.Argv[min(1, len(p.Argv)):] {
		if !strings.HasPrefix(a, "-") {
			return a
		}
	}
	return ""
}

// own are the host's own processes, without the one that looked: those of
// containers have a root of their own, where /tmp is another place.
func (v *view) own() []host.Process {
	return slices.DeleteFunc(slices.Clone(v.s.Processes), func(p host.Process) bool {
		return p.Container != "" || p.PID == v.s.Observer
	})
}

// shown is a command line as evidence: its beginning, if it is long.
func shown(line string, limit int) string {
	if r := []rune(line); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return line
}

func describe(p *host.Process) string {
	user := p.User
	if user == "" {
		user = fmt.Sprint("uid ", p.UID)
	}
	text := fmt.Sprintf("pid %d, %s%s, %s", p.PID, p.Name, unitOf(p), user)
	if len(p.Argv) > 0 {
		text += ", command line: " + shown(strings.Join(p.Argv, " "), 100)
	}
	return text
}

func (v *view) processesKnown(o *outcome) {
	o.miss(v.without(host.SectionProcesses)...)
}

func (v *view) inMemory() outcome {
	var o outcome
	v.processesKnown(&o)
	for _, p := range v.own() {
		// runc and its like copy themselves into memory on purpose (CVE-2019-5736).
		if p.Memory && !slices.Contains([]string{"runc", "runc:[2:INIT]", "runc:[1:CHILD]", "crun", "youki", "systemd-executor", "(sd-executor)"}, p.Name) && !strings.Contains(p.Exe, "memfd:runc") && !strings.Contains(p.Exe, "systemd-executor") {
			o.add("%s: its program has no file (%s)", describe(&p), p.Exe)
		}
	}
	return o
}

// deletedPrograms finds programs whose file is gone. One that a package upgrade
// replaced is another matter: there is a new file at its path, of a package.
func (v *view) deletedPrograms() outcome {
	var o outcome
	stale := map[int]bool{}
	for _, p := range v.s.Updates.Stale {
		stale[p.PID] = p.Binary
	}
	for _, p := range v.own() {
		if !p.Deleted || p.Memory {
			continue
		}
		switch {
		case tmpPath(p.Exe) || strings.Contains(p.Exe, "/."):
			o.add("%s: %s was deleted", describe(&p), p.Exe)
			o.atLeast(Critical)
		case p.Package != "" || stale[p.PID] || systemDir(p.Exe):
			// an upgrade, most likely: told among the updates
		default:
			o.add("%s: %s was deleted", describe(&p), p.Exe)
			o.atLeast(Medium)
		}
	}
	return o
}

// sockets of a process, by pid: those that listen and those that it opened.
func (v *view) network() map[int]string {
	out := map[int]string{}
	for _, k := range v.s.Sockets {
		for _, pid := range k.Owners {
			out[pid] = fmt.Sprintf("listens on %d/%s", k.Local.Port(), k.Proto)
		}
	}
	for _, c := range v.s.Outbound {
		if c.PID != 0 && !c.Local {
			out[c.PID] = fmt.Sprintf("has %d connections to port %d/%s of %d hosts", c.Connections, c.Port, c.Proto, c.Peers)
		}
	}
	return out
}

// runsFromTmp finds programs that were started where anybody may write.
func (v *view) runsFromTmp() outcome {
	var o outcome
	net := v.network()
	for _, p := range v.own() {
		if !tmpPath(p.Exe) || p.Deleted || p.Memory {
			continue
		}
		text := fmt.Sprintf("%s: runs %s", describe(&p), p.Exe)
		if n := net[p.PID]; n != "" {
			o.add("%s, and %s", text, n)
			o.atLeast(Critical)
			continue
		}
		o.add("%s", text)
		if p.UID == 0 || strings.Contains(p.Exe, "/.") {
			o.atLeast(High)
		} else {
			o.atLeast(Medium)
		}
	}
	return o
}

// interpreterOnTheNet finds scripts from temporary places, or that are gone, which
// talk to the network.
func (v *view) interpreterOnTheNet() outcome {
	var o outcome
	net := v.network()
	for _, p := range v.own() {
		n := net[p.PID]
		if n == "" || p.Interpreter == "" && !interpreter(base(p.Exe)) {
			continue
		}
		switch {
		case tmpPath(p.Script):
			o.add("%s: the script %s %s", describe(&p), p.Script, n)
		case p.ScriptGone && p.Script != "":
			o.add("%s: the script %s is gone, and it %s", describe(&p), p.Script, n)
		case (tmpPath(p.Dir+"/") || p.DirGone) && (p.Script == "" || !systemDir(p.Script)):
			o.add("%s: works in %s and %s", describe(&p), p.Dir, n)
		case p.Inline && strings.Contains(n, "connections"):
			o.add("%s: a program from the command line %s", describe(&p), n)
			o.atLeast(High)
			continue
		default:
			continue
		}
		o.atLeast(Critical)
	}
	return o
}

// falseKernelThreads finds processes that look like threads of the kernel and have
// a program.
func (v *view) falseKernelThreads() outcome {
	var o outcome
	for _, p := range v.own() {
		argv := ""
		if len(p.Argv) > 0 {
			argv = p.Argv[0]
		}
		// systemd's own helpers are in round brackets, (sd-pam).
		if p.Exe != "" && (strings.HasPrefix(argv, "[") && strings.HasSuffix(strings.TrimSpace(argv), "]") || kernelThread.MatchString(p.Name)) {
			o.add("%s: runs %s", describe(&p), p.Exe)
		}
	}
	return o
}

// falseNames finds interpreters that call themselves a well-known daemon.
func (v *view) falseNames() outcome {
	var o outcome
	net := v.network()
	daemons := []string{"apache2", "httpd", "nginx", "sshd", "crond", "cron", "mysqld", "postgres", "syslogd", "rsyslogd", "ntpd", "exim", "named", "systemd", "init", "udevd", "dbus-daemon", "php-fpm"}
	for _, p := range v.own() {
		if len(p.Argv) == 0 || p.Interpreter == "" && !interpreter(base(p.Exe)) {
			continue
		}
		first, _, _ := strings.Cut(p.Argv[0], " ")
		name := strings.TrimSuffix(base(first), ":")
		if slices.Contains(daemons, name) && name != base(p.Exe) {
			o.add("%s: calls itself %s and is %s", describe(&p), p.Argv[0], p.Exe)
			if net[p.PID] != "" {
				o.atLeast(Critical)
			} else {
				o.atLeast(High)
			}
		}
	}
	return o
}

// The number of hosts and networks from which on connections to one port are a
// search for victims rather than somebody's work.
const (
	fanHosts    = 20
	fanNetworks = 12
)

// fanOut finds that this host tries many others' doors.
func (v *view) fanOut() outcome {
	o := outcome{policy: []string{"outbound: {default: allow, rules: [{allow: 22/tcp, rate: 10/min}]}"}}
	o.miss(v.without(host.SectionConnections)...)
	doors := []uint16{21, 22, 23, 25, 135, 139, 445, 1433, 2222, 2323, 3306, 3389, 5432, 5555, 5900, 6379, 7547, 8291, 37215}
	for _, c := range v.s.Outbound {
		if c.Local || c.Proto != "tcp" || !slices.Contains(doors, c.Port) || c.Peers < fanHosts || c.Networks < fanNetworks {
			continue
		}
		p := v.procs[c.PID]
		who := fmt.Sprintf("uid %d", c.UID)
		if p != nil {
			who = describe(p)
			if c.Port == 25 && slices.Contains([]string{"smtp", "exim4", "sendmail", "qmgr", "postfix", "master"}, programOf(p)) {
				continue
			}
			if slices.Contains([]string{"ansible", "ansible-playbook", "prometheus"}, programOf(p)) {
				continue
			}
		}
		o.add("%s: %d connections to port %d of %d hosts in %d networks, %d of them unanswered", who, c.Connections, c.Port, c.Peers, c.Networks, c.Opening)
		if c.Port == 22 || c.Opening*2 > c.Connections {
			o.atLeast(Critical)
		} else {
			o.atLeast(High)
		}
	}
	return o
}

// botPorts finds interpreters and unknown programs in chat networks from which
// bots are steered.
func (v *view) botPorts() outcome {
	var o outcome
	chats := []string{"irssi", "weechat", "weechat-headless", "znc", "hexchat", "thelounge"}
	for _, c := range v.s.Outbound {
		p := v.procs[c.PID]
		if c.Local || p == nil || !slices.Contains([]uint16{6660, 6666, 6667, 6668, 6669, 6697, 7000}, c.Port) || slices.Contains(chats, programOf(p)) || p.Container != "" {
			continue
		}
		if p.Interpreter != "" || interpreter(base(p.Exe)) || !systemDir(p.Exe) {
			o.add("%s: connected to port %d of %s", describe(p), c.Port, c.Sample)
		}
	}
	return o
}

func (v *view) miners() outcome {
	var o outcome
	for _, p := range v.own() {
		line := strings.Join(p.Argv, " ")
		if minerName.MatchString(programOf(&p)) || minerLine.MatchString(line) {
			o.add("%s", describe(&p))
		}
	}
	return o
}

// startsFromTmp finds jobs and units that run what lies where anybody may write.
func (v *view) startsFromTmp() outcome {
	var o outcome
	o.miss(v.without(host.SectionStartup)...)
	for _, j := range v.s.Startup.Cron {
		if word := tmpWord(j.Command); word != "" {
			o.add("%s: %s %s", position(j.File.Path, j.Line), j.User, shown(j.Command, 500))
		}
	}
	for _, u := range v.s.Units {
		for _, c := range u.Commands {
			if len(c.Argv) > 0 && (tmpPath(c.Argv[0]) || interpreter(base(c.Argv[0])) && len(c.Argv) > 1 && slices.ContainsFunc(c.Argv[1:2], tmpPath)) {
				o.add("%s: %s=%s", u.File.Path, c.Kind, strings.Join(c.Argv, " "))
			}
		}
	}
	return o
}

// tmpWord is the program of a command line that lies in a temporary place: the
// first word of a command, or what an interpreter is given.
func tmpWord(line string) string {
	for part := range strings.FieldsFuncSeq(line, func(r rune) bool { return strings.ContainsRune(";&|", r) }) {
		words := strings.Fields(part)
		for len(words) > 1 && (interpreter(base(words[0])) || slices.Contains([]string{"nohup", "exec", "sudo", "nice", "setsid", "timeout", "."}, base(words[0])) || strings.Contains(words[0], "=") || strings.HasPrefix(words[0], "-")) {
			words = words[1:]
		}
		if len(words) > 0 && tmpPath(words[0]) {
			return words[0]
		}
	}
	return ""
}

// downloadsAndRuns finds jobs that fetch a program and run it unseen.
func (v *view) downloadsAndRuns() outcome {
	var o outcome
	for _, j := range v.s.Startup.Cron {
		if fetchAndRun.MatchString(j.Command) {
			o.add("%s: %s %s", position(j.File.Path, j.Line), j.User, shown(j.Command, 500))
		}
	}
	for _, u := range v.s.Units {
		for _, c := range u.Commands {
			if line := strings.Join(c.Argv, " "); fetchAndRun.MatchString(line) {
				o.add("%s: %s=%s", u.File.Path, c.Kind, line)
			}
		}
	}
	for _, s := range v.s.Startup.Scripts {
		n := 0
		for line := range strings.Lines(s.Text) {
			n++
			if fetchAndRun.MatchString(line) && !strings.HasPrefix(strings.TrimSpace(line), "#") {
				o.add("%s: %s", position(s.Path, n), strings.TrimSpace(line))
			}
		}
	}
	return o
}

// knownBadKeys finds keys that known bots leave behind.
func (v *view) knownBadKeys() outcome {
	var o outcome
	for _, f := range v.s.SSH.KeyFiles {
		for _, e := range sshd.ParseAuthorizedKeys(f.Text) {
			comment := e.Key.Comment
			if strings.Contains(comment, "mdrfckr") || strings.Contains(comment, "rsa-key-20230629") {
				o.add("%s: a key with the comment %q, as a known bot leaves it", position(f.Path, e.Line), comment)
			}
		}
	}
	return o
}

// systemAccountsWithKeys finds accounts of services that somebody may log in to.
func (v *view) systemAccountsWithKeys() outcome {
	var o outcome
	for _, a := range v.s.Accounts {
		if a.UID == 0 || a.UID >= 1000 || !a.LoginShell || v.keysOf(a.Name) == 0 {
			continue
		}
		if slices.Contains([]string{"git", "gitea", "forgejo", "gitolite3", "backup", "borg", "postgres", "rancid"}, a.Name) {
			continue
		}
		o.add("%s (uid %d, shell %s) has %d keys", a.Name, a.UID, a.Shell, v.keysOf(a.Name))
	}
	return o
}
