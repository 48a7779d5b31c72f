package services

import (
	"context"
	"path"
	"strings"
	"time"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
	"sekimori/internal/run"
)

// Result is what [Read] gives.
type Result struct {
	Units   []host.Unit
	Startup host.Startup
	Unseen  []host.Unseen
}

// Read reads what the host starts. Live says that the files are those of the
// machine this runs on, whose systemd may be asked for states as well.
func Read(ctx context.Context, f rootfs.FS, accounts []host.Account, live bool) Result {
	var r Result
	units, startup := &rootfs.Notes{Section: host.SectionUnits}, &rootfs.Notes{Section: host.SectionStartup}
	r.Startup.Init = initName(f)
	if f.Exists("usr/lib/systemd/systemd") || f.Exists("lib/systemd/systemd") {
		set := scan(ctx, f, systemPlaces(), units)
		r.Units = set.read(readPresets(f, "system-preset", units))
		r.Startup.Target = target(set)
		user := scan(ctx, f, userPlaces(), units)
		for _, u := range user.read(readPresets(f, "user-preset", units)) {
			u.User = true
			r.Units = append(r.Units, u)
		}
		r.Units = append(r.Units, ownUnits(ctx, f, accounts, units)...)
		if live && f.Exists("run/systemd/system") {
			r.Startup.Running = states(ctx, r.Units, units)
		}
	} else if f.Exists("etc/runlevels") {
		r.Units = readOpenRC(f, units)
	} else if f.Exists("etc/init.d") {
		r.Units = readSysV(f, units)
	}
	r.Startup.Inetd = readInetd(f, startup)
	r.Startup.Cron = readCron(f, accounts, startup)
	r.Startup.Scripts = readScripts(f, startup)
	r.Startup.Preload = strings.FieldsFunc(startup.Text(f, "etc/ld.so.preload"), func(c rune) bool { return strings.ContainsRune(" \t\n:", c) })
	r.Unseen = append(units.List, startup.List...)
	return r
}

// initName names the first process; of files alone, the one that would be.
func initName(f rootfs.FS) string {
	switch comm := f.Line("proc/1/comm"); {
	case comm == "systemd":
		return "systemd"
	case comm == "init" && f.Exists("run/openrc"):
		return "openrc"
	case comm == "init" && f.Exists("etc/inittab"):
		return "sysv"
	case comm != "":
		return ""
	}
	for _, guess := range []struct{ file, name string }{
		{"usr/lib/systemd/systemd", "systemd"},
		{"lib/systemd/systemd", "systemd"},
		{"sbin/openrc", "openrc"},
		{"usr/sbin/openrc", "openrc"},
		{"etc/inittab", "sysv"},
	} {
		if f.Exists(guess.file) {
			return guess.name
		}
	}
	return ""
}

// target follows default.target.
func target(s *unitSet) string {
	files := s.units["default.target"]
	if len(files) == 0 {
		return ""
	}
	if files[0].link {
		return path.Base(files[0].target)
	}
	return "default.target"
}

// askTime is what systemd gets to answer.
const askTime = 5 * time.Second

// states asks systemd how the units are at this moment.
func states(ctx context.Context, units []host.Unit, n *rootfs.Notes) bool {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	out, err := run.Command{Argv: []string{"systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager"}, Env: []string{"LC_ALL=C", "SYSTEMD_COLORS=0"}, Limit: 16 << 20}.Output(ctx)
	if err != nil {
		n.Add("ask systemd: %s", err)
		return false
	}
	active := parseStates(string(out))
	for i := range units {
		u := &units[i]
		if s, ok := active[u.Name]; ok && !u.User {
			u.Active, u.Sub = s[0], s[1]
		}
	}
	return true
}

// parseStates reads lines of UNIT LOAD ACTIVE SUB DESCRIPTION.
func parseStates(text string) map[string][2]string {
	out := map[string][2]string{}
	for line := range strings.Lines(text) {
		if w := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "● ")); len(w) >= 4 {
			out[w[0]] = [2]string{w[2], w[3]}
		}
	}
	return out
}

// readScripts lists what runs at boot or at each login.
func readScripts(f rootfs.FS, n *rootfs.Notes) []host.TextFile {
	var out []host.TextFile
	for _, name := range []string{"etc/rc.local", "etc/rc.d/rc.local"} {
		if !f.Exists(name) {
			continue
		}
		t := f.Text(name, 256<<10)
		var b strings.Builder
		for line := range strings.Lines(t.Text) {
			b.WriteString(host.MaskText(strings.TrimSuffix(line, "\n")) + "\n")
		}
		t.Text = b.String()
		if t.Err != "" {
			n.Add("%s", t.Err)
		}
		out = append(out, t)
	}
	files := []string{"etc/profile", "etc/bash.bashrc", "etc/bashrc", "etc/zsh/zshrc", "root/.bashrc", "root/.profile", "root/.bash_profile", "root/.zshrc"}
	for _, dir := range []string{"etc/profile.d", "etc/local.d", "etc/update-motd.d"} {
		for _, name := range list(f, dir, n) {
			files = append(files, dir+"/"+name)
		}
	}
	for _, name := range files {
		if file, err := f.Look(name); err == nil && file.Type == "file" {
			out = append(out, host.TextFile{File: file})
		}
	}
	return out
}
