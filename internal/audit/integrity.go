package audit

import (
	"slices"
	"strconv"
	"strings"
)

func integrityChecks() []Check {
	return []Check{
		{"int-preload", Integrity, Critical, []string{"MITRE ATT&CK T1574.006"}, (*view).preload},
		{"int-pkg", Integrity, Critical, []string{"CIS Debian 12 6.3", "debsums(1)"}, (*view).changedFiles},
		{"int-ww", Integrity, High, []string{"CIS Debian 12 7.1.11", "ANSSI BP-028 R54"}, (*view).writableFiles},
		{"int-suid", Integrity, High, []string{"CIS Debian 12 7.1.13", "dev-sec os-06", "ANSSI BP-028 R56"}, (*view).setID},
		{"int-unit", Integrity, High, []string{"systemd.unit(5)"}, (*view).writableUnits},
		{"int-odd", Integrity, High, []string{"MITRE ATT&CK T1036.005"}, (*view).oddFiles},
		{"int-cron", Integrity, High, []string{"CIS Debian 12 2.4.1"}, (*view).cronFiles},
		{"int-module", Integrity, Critical, []string{"MITRE ATT&CK T1014"}, (*view).hiddenModules},
		{"int-base", Integrity, Info, []string{"CIS Debian 12 6.3", "ANSSI BP-028 R76", "Lynis FINT-4350"}, (*view).noBaseline},
	}
}

// position is FILE:LINE.
func position(file string, line int) string {
	if line == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}

// preload finds libraries that are forced into programs.
func (v *view) preload() outcome {
	var o outcome
	usual := func(lib string) bool {
		for _, l := range []string{"libjemalloc", "libtcmalloc", "libsnoopy", "libeatmydata", "libgtk3-nocsd", "libfaketime", "libhardened_malloc", "libmimalloc", "libfakeroot", "libasan"} {
			if strings.HasPrefix(base(lib), l) && !tmpPath(lib) {
				return true
			}
		}
		return false
	}
	for _, lib := range v.s.Startup.Preload {
		if !usual(lib) {
			o.add("/etc/ld.so.preload: %s", lib)
			o.atLeast(Critical)
		}
	}
	for _, u := range v.s.Units {
		for _, lib := range u.Preload {
			if !usual(lib) {
				o.add("%s: %s", u.Name, lib)
				o.atLeast(High)
			}
		}
	}
	for _, p := range v.s.Processes {
		for _, lib := range p.Preload {
			if !usual(lib) && p.Container == "" {
				o.add("%s, pid %d: %s", processName(&p), p.PID, lib)
				if tmpPath(lib) {
					o.atLeast(Critical)
				} else {
					o.atLeast(High)
				}
			}
		}
	}
	return o
}

// changedFiles finds programs and libraries that are not what their packages
// brought.
func (v *view) changedFiles() outcome {
	var o outcome
	if !v.s.Integrity.Checked {
		return o
	}
	for _, c := range v.s.Integrity.Changed {
		where := c.Path + " of " + c.Package
		program := slices.ContainsFunc([]string{"/bin/", "/sbin/", "/lib/", "/lib64/", "/libexec/"}, func(d string) bool { return strings.Contains(c.Path, d) })
		switch {
		case c.Config || strings.HasPrefix(c.Path, "/usr/share/doc") || strings.HasPrefix(c.Path, "/usr/share/man") || strings.HasPrefix(c.Path, "/usr/share/locale"):
		case c.What == "unreadable":
			o.miss(where + ": " + c.Err)
		case c.What == "content" && program:
			o.add("%s: its content was changed %s", where, c.File.Modified.UTC().Format("2006-01-02 15:04"))
			o.atLeast(Critical)
		case c.What == "missing" && program:
			o.add("%s is gone", where)
			o.atLeast(Medium)
		case c.What == "content":
			o.add("%s: its content was changed", where)
			o.atLeast(Medium)
		case c.What == "mode" || c.What == "owner" || c.What == "type":
			o.add("%s: its %s was changed", where, c.What)
			o.atLeast(Low)
		}
	}
	return o
}

func (v *view) writableFiles() outcome {
	var o outcome
	for _, f := range v.s.Integrity.Writable {
		if f.Type == "dir" && f.Mode&0o1000 != 0 && !systemDir(f.Path+"/") && !strings.HasPrefix(f.Path, "/etc") {
			continue
		}
		o.add("%s has mode %04o", f.Path, f.Mode)
	}
	return o
}

// setID finds programs that run with their owner's rights and that no package
// brought.
func (v *view) setID() outcome {
	var o outcome
	if len(v.s.Packages) == 0 {
		return o // whose files they are is not known
	}
	for _, f := range v.s.Integrity.SetID {
		switch {
		case f.Package != "" || strings.HasPrefix(f.Path, "/snap/") || strings.Contains(f.Path, "/overlay2/") || strings.Contains(f.Path, "/containers/"):
			continue
		case strings.HasPrefix(f.Path, "/usr/local/") && f.Mode&0o4000 == 0:
			continue // set-group-id directories and tools of the site
		}
		kind := "set-group-id"
		if f.Mode&0o4000 != 0 {
			kind = "set-user-id " + strconv.Itoa(f.UID)
		}
		o.add("%s: %s, of no package", f.Path, kind)
		switch {
		case f.Mode&0o4000 != 0 && f.UID == 0 && (tmpPath(f.Path) || strings.HasPrefix(f.Path, "/home/")):
			o.atLeast(Critical)
		case f.Mode&0o4000 != 0:
			o.atLeast(High)
		default:
			o.atLeast(Medium)
		}
	}
	return o
}

// writableUnits finds units whose file others may change.
func (v *view) writableUnits() outcome {
	var o outcome
	for _, u := range v.s.Units {
		if u.User || u.File.Type != "file" {
			continue
		}
		if u.File.UID != 0 {
			o.add("%s belongs to uid %d", u.File.Path, u.File.UID)
		}
		if u.File.OthersWrite() || u.File.GroupWrites() && u.File.GID != 0 {
			o.add("%s has mode %04o", u.File.Path, u.File.Mode)
		}
	}
	return o
}

func (v *view) oddFiles() outcome {
	var o outcome
	for _, f := range v.s.Integrity.Odd {
		switch {
		case f.Type == "device" || f.Type == "char":
			o.add("%s is a device", f.Path)
			o.atLeast(High)
		case f.Mode&0o4000 != 0:
			o.add("%s has set-user-id %d", f.Path, f.UID)
			o.atLeast(Critical)
		case f.Mode&0o111 != 0 && strings.HasPrefix(f.Path, "/dev/"):
			o.add("%s can be executed (mode %04o, uid %d, %s)", f.Path, f.Mode, f.UID, f.Modified.UTC().Format("2006-01-02"))
			o.atLeast(High)
		case f.Mode&0o111 != 0 && strings.Contains(f.Path, "/."):
			o.add("%s can be executed (mode %04o, uid %d, %s)", f.Path, f.Mode, f.UID, f.Modified.UTC().Format("2006-01-02"))
			o.atLeast(Medium)
		}
	}
	return o
}

func (v *view) cronFiles() outcome {
	var o outcome
	seen := map[string]bool{}
	for _, j := range v.s.Startup.Cron {
		f := j.File
		if seen[f.Path] || f.Type == "link" {
			continue
		}
		seen[f.Path] = true
		spool := strings.Contains(f.Path, "/spool/")
		if f.OthersWrite() || f.GroupWrites() && f.GID != 0 && !spool {
			o.add("%s has mode %04o", f.Path, f.Mode)
		}
		if f.UID != 0 && !spool {
			o.add("%s belongs to uid %d", f.Path, f.UID)
		}
	}
	return o
}

func (v *view) hiddenModules() outcome {
	var o outcome
	for _, m := range v.s.Kernel.Hidden {
		o.add("module %s is loaded and not listed in /proc/modules", m)
	}
	return o
}

func (v *view) noBaseline() outcome {
	var o outcome
	if len(v.s.Packages) == 0 {
		return o
	}
	for _, p := range v.s.Packages {
		if slices.Contains([]string{"aide", "tripwire", "samhain", "ossec-hids", "wazuh-agent", "osquery", "auditbeat"}, p.Name) {
			return o
		}
	}
	if !v.s.Integrity.Checked {
		o.add("no tool that compares files with a baseline is installed; files of packages were not compared (--deep)")
	}
	return o
}
