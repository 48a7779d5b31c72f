package updates

import (
	"bytes"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"sekimori/internal/host"
	"sekimori/internal/host/apt"
	"sekimori/internal/observe/rootfs"
)

// aptAutomatic reads what apt does by itself: its timers or its cron job read
// APT::Periodic and start unattended-upgrades.
func aptAutomatic(f rootfs.FS, conf apt.Conf, n *rootfs.Notes) host.AutomaticUpdates {
	var a host.AutomaticUpdates
	if f.Exists("usr/bin/unattended-upgrade") {
		a.Tool = "unattended-upgrades"
	}
	a.Timers = timers(f, "apt-daily.timer", "apt-daily-upgrade.timer")
	starts := len(a.Timers) == 0 && f.Exists("etc/cron.daily/apt-compat")
	refresh, install := starts, starts
	for _, t := range a.Timers {
		refresh = refresh || t == "apt-daily.timer enabled"
		install = install || t == "apt-daily-upgrade.timer enabled"
	}
	enabled := conf.Value("APT::Periodic::Enable") != "0"
	a.Refresh = refresh && enabled && periodic(conf.Value("APT::Periodic::Update-Package-Lists"))
	a.Install = install && enabled && a.Tool != "" && periodic(conf.Value("APT::Periodic::Unattended-Upgrade"))
	for _, name := range []string{
		"APT::Periodic::Enable", "APT::Periodic::Update-Package-Lists", "APT::Periodic::Unattended-Upgrade", "APT::Periodic::Download-Upgradeable-Packages",
		"Unattended-Upgrade::Automatic-Reboot", "Unattended-Upgrade::Automatic-Reboot-Time", "Unattended-Upgrade::DevRelease",
	} {
		if v := conf.Value(name); v != "" {
			a.Settings = append(a.Settings, name+" "+v)
		}
	}
	for _, name := range []string{"Unattended-Upgrade::Origins-Pattern", "Unattended-Upgrade::Allowed-Origins", "Unattended-Upgrade::Package-Blacklist"} {
		for _, v := range conf.List(name) {
			a.Settings = append(a.Settings, name+":: "+v)
			a.Security = a.Security || !strings.Contains(name, "Blacklist") && securityPattern(v)
		}
	}
	a.Security = a.Security && a.Install
	a.Reboots = conf.Value("Unattended-Upgrade::Automatic-Reboot") != "" && !off(conf.Value("Unattended-Upgrade::Automatic-Reboot"))
	a.Refreshed = newest(f, "var/lib/apt/periodic/update-success-stamp", "var/lib/apt/periodic/update-stamp")
	a.Ran = newest(f, "var/lib/apt/periodic/unattended-upgrades-stamp", "var/lib/apt/periodic/upgrade-stamp")
	a.Failure = lastFailure(tail(f, "var/log/unattended-upgrades/unattended-upgrades.log", n))
	return a
}

// periodic reports whether a setting of APT::Periodic is on: "always", or a
// number of days or another span above zero.
func periodic(v string) bool {
	number := strings.TrimRight(v, "smhd")
	n, err := strconv.ParseFloat(number, 64)
	return v == "always" || err == nil && n > 0
}

// securityPattern reports whether a pattern of unattended-upgrades takes in the
// security archive: by label, by suite or code name, or everything.
func securityPattern(v string) bool {
	l := strings.ToLower(v)
	return strings.Contains(l, "security") || l == "*:*" || l == "origin=*" || strings.Contains(l, "ubuntuesm")
}

// timers gives the state of timers that exist, by the link that enables them.
func timers(f rootfs.FS, names ...string) []string {
	var out []string
	for _, name := range names {
		if !f.Exists("usr/lib/systemd/system/"+name) && !f.Exists("lib/systemd/system/"+name) && !f.Exists("etc/systemd/system/"+name) {
			continue
		}
		state := "disabled"
		if _, err := f.Source.Lstat("etc/systemd/system/timers.target.wants/" + name); err == nil {
			state = "enabled"
		}
		if target, err := f.Source.ReadLink("etc/systemd/system/" + name); err == nil && target == "/dev/null" {
			state = "masked"
		}
		out = append(out, name+" "+state)
	}
	return out
}

// newest is when the first of the files that is there was changed.
func newest(f rootfs.FS, names ...string) time.Time {
	for _, name := range names {
		if info, err := f.Look(name); err == nil {
			return info.Modified
		}
	}
	return time.Time{}
}

// logTail is how much of the end of a log is looked at.
const logTail = 128 << 10

// tail reads the end of a log, from the beginning of a line.
func tail(f rootfs.FS, name string, n *rootfs.Notes) string {
	file, err := f.Open(name)
	if err != nil {
		n.Err(err)
		return ""
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	var data []byte
	if at, ok := file.(io.ReaderAt); ok && info.Size() > logTail {
		data = make([]byte, logTail)
		m, _ := at.ReadAt(data, info.Size()-logTail)
		_, data, _ = bytes.Cut(data[:m], []byte("\n"))
	} else {
		data, err = io.ReadAll(io.LimitReader(file, logTail))
		n.Err(ignore(err, fs.ErrNotExist))
	}
	return strings.ToValidUTF8(string(data), "\uFFFD")
}

func ignore(err, what error) error {
	if err == what {
		return nil
	}
	return err
}

// lastFailure gives the last line about an error that no success follows.
func lastFailure(log string) string {
	failure := ""
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		switch {
		case strings.Contains(line, " ERROR "), strings.HasPrefix(line, "Traceback"), strings.Contains(line, "CRITICAL"):
			failure = line[:min(len(line), 300)]
		case strings.Contains(line, "All upgrades installed"), strings.Contains(line, "No packages found that can be upgraded"), strings.Contains(line, "Packages that were upgraded"):
			failure = ""
		}
	}
	return strings.ToValidUTF8(failure, "")
}

// dnfAutomatic reads dnf-automatic's configuration, an INI file.
func dnfAutomatic(f rootfs.FS, n *rootfs.Notes) host.AutomaticUpdates {
	var a host.AutomaticUpdates
	for _, file := range []string{"etc/dnf/automatic.conf", "etc/dnf/dnf5-plugins/automatic.conf", "usr/share/dnf5/dnf5-plugins/automatic.conf"} {
		text := n.Text(f, file)
		if text == "" {
			continue
		}
		a.Tool = "dnf-automatic"
		values := ini(text, "commands")
		for _, name := range []string{"apply_updates", "upgrade_type", "reboot"} {
			if v := values[name]; v != "" {
				a.Settings = append(a.Settings, name+" "+v)
			}
		}
		a.Install = !off(orZero(values["apply_updates"]))
		a.Security = a.Install
		a.Reboots = values["reboot"] != "" && values["reboot"] != "never"
		break
	}
	a.Timers = timers(f, "dnf-automatic.timer", "dnf-automatic-install.timer", "dnf-automatic-download.timer", "dnf5-automatic.timer", "dnf-makecache.timer")
	runs := false
	for _, t := range a.Timers {
		name, state, _ := strings.Cut(t, " ")
		if state != "enabled" {
			continue
		}
		runs = runs || name != "dnf-makecache.timer" && name != "dnf-automatic-download.timer"
		a.Refresh = true
		// This one installs whatever the configuration says.
		a.Install = a.Install || name == "dnf-automatic-install.timer"
	}
	a.Install, a.Security = a.Install && runs, a.Install && runs
	return a
}

// ini reads one section of an INI file.
func ini(text, section string) map[string]string {
	out := map[string]string{}
	in := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			in = strings.TrimSuffix(line[1:], "]") == section
		case in:
			if k, v, ok := strings.Cut(line, "="); ok {
				out[strings.TrimSpace(k)] = strings.TrimSpace(v)
			}
		}
	}
	return out
}
