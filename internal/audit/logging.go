package audit

import (
	"slices"
	"strings"
	"time"

	"sekimori/internal/host"
)

func loggingChecks() []Check {
	return []Check{
		{"log-none", Logging, High, []string{"CIS Debian 12 6.1", "ANSSI BP-028 R71"}, (*view).noLog},
		{"log-persist", Logging, Medium, []string{"CIS Debian 12 6.1.2.4"}, (*view).volatileLog},
		{"log-silent", Logging, High, []string{"ANSSI BP-028 R71"}, (*view).silentLog},
		{"log-perms", Logging, Medium, []string{"CIS Debian 12 6.1.4.1", "Lynis FILE-7524"}, (*view).readableLogs},
		{"log-listen", Logging, Medium, []string{"CIS Debian 12 6.1.3.7"}, (*view).logListens},
		{"log-forward", Logging, Info, []string{"CIS Debian 12 6.1.2.1", "Lynis LOGG-2154", "ANSSI BP-028 R71"}, (*view).onlyHere},
		{"log-retention", Logging, Low, []string{"ANSSI BP-028 R71"}, (*view).shortLog},
		{"log-trunc", Logging, Medium, []string{"Lynis LOGG-2190"}, (*view).emptyLogs},
		{"time-sync", Logging, Medium, []string{"CIS Debian 12 2.3", "ANSSI BP-028 R71"}, (*view).clockDrifts},
		{"time-two", Logging, Low, []string{"CIS Debian 12 2.3.1.1"}, (*view).severalClocks},
		{"audit-exec", Logging, Info, []string{"ANSSI BP-028 R73", "CIS Debian 12 6.2"}, (*view).noAuditd},
	}
}

// logKnown reports whether logging was looked at.
func (v *view) logKnown(o *outcome) bool {
	if !v.s.Audited {
		return false
	}
	why := v.without(host.SectionLogging)
	o.miss(why...)
	return len(why) == 0
}

func (v *view) logDaemonRuns() bool {
	return slices.ContainsFunc(v.s.Logging.Daemons, func(d host.LogDaemon) bool { return d.Running || v.s.EUID == -1 })
}

func (v *view) noLog() outcome {
	var o outcome
	if !v.logKnown(&o) || v.s.Kernel.Container {
		return o
	}
	j := v.s.Logging.Journal
	if (!j.Present || j.Storage == "none") && !v.logDaemonRuns() {
		o.add("neither a journal nor a syslog daemon keeps anything (journal present: %t, Storage=%s; syslog daemons: %d)", j.Present, j.Storage, len(v.s.Logging.Daemons))
	}
	return o
}

func (v *view) volatileLog() outcome {
	var o outcome
	if !v.logKnown(&o) || v.s.Kernel.Container {
		return o
	}
	j := v.s.Logging.Journal
	if j.Present && j.Storage != "none" && !j.Persistent && !v.logDaemonRuns() {
		o.add("the journal is kept in memory (Storage=%s %s), and no syslog daemon writes to disk", j.Storage, j.From)
	}
	return o
}

// authLog reports whether a file is one that logins are written to.
func authLog(path string) bool { return base(path) == "auth.log" || base(path) == "secure" }

// silentLog finds that nothing has been written for a day on a host that is up.
func (v *view) silentLog() outcome {
	var o outcome
	if v.s.EUID == -1 || !v.s.Audited || !v.upSince(24*time.Hour) || v.s.Kernel.Container {
		return o
	}
	newest, what := v.s.Logging.Journal.Newest, "the journal"
	for _, f := range v.s.Logging.Files {
		if (authLog(f.Path) || base(f.Path) == "syslog" || base(f.Path) == "messages") && f.Modified.After(newest) {
			newest, what = f.Modified, f.Path
		}
	}
	if !newest.IsZero() && v.Now.Sub(newest) > 24*time.Hour {
		o.add("%s was last written %s", what, v.ageOf(newest))
	}
	return o
}

func (v *view) readableLogs() outcome {
	var o outcome
	for _, f := range v.s.Logging.Files {
		name := base(f.Path)
		switch {
		case f.OthersWrite():
			o.add("%s has mode %04o", f.Path, f.Mode)
		case f.Mode&0o004 != 0 && (authLog(f.Path) || name == "btmp" || name == "audit.log"):
			o.add("%s has mode %04o: people type passwords where names are asked for", f.Path, f.Mode)
		}
	}
	return o
}

// logListens finds a syslog daemon that takes what anybody sends.
func (v *view) logListens() outcome {
	var o outcome
	for _, d := range v.s.Logging.Daemons {
		for _, l := range d.Listens {
			if !strings.Contains(l, "127.0.0.1") && !strings.Contains(l, "::1") && !strings.Contains(l, "/") {
				o.add("%s takes messages of others: %s", d.Name, l)
			}
		}
	}
	for _, k := range v.sockets {
		if len(o.evidence) > 0 && k.Local.Port() == 514 && !v.world(k.Reach) {
			o.atLeast(Low)
		}
	}
	return o
}

func (v *view) onlyHere() outcome {
	var o outcome
	if !v.logKnown(&o) || v.s.Logging.Journal.Upload != "" {
		return o
	}
	for _, d := range v.s.Logging.Daemons {
		if len(d.Remote) > 0 {
			return o
		}
	}
	if v.s.Logging.Journal.Present || len(v.s.Logging.Daemons) > 0 {
		o.add("no log is sent to another host")
	}
	return o
}

// shortLog finds logs that are gone before anybody looks: abuse reports arrive
// weeks later.
func (v *view) shortLog() outcome {
	var o outcome
	const enough = 28
	days := map[string]int{"hourly": 0, "daily": 1, "weekly": 7, "monthly": 30, "yearly": 365}
	for _, r := range v.s.Logging.Rotation {
		auth := slices.ContainsFunc(r.Paths, authLog)
		length := days[r.Period] * max(r.Keep, 0)
		if auth && r.Keep >= 0 && r.Period != "" && length < enough {
			o.add("%s:%d: logins are kept %d days (%s, rotate %d)", r.File, r.Line, length, r.Period, r.Keep)
		}
	}
	if age := v.s.Logging.Journal.Settings["MaxRetentionSec"]; age != "" && age != "0" {
		o.add("journald.conf: MaxRetentionSec=%s", age)
	}
	return o
}

// emptyLogs finds records of logins that somebody has emptied.
func (v *view) emptyLogs() outcome {
	var o outcome
	if v.s.EUID == -1 || !v.upSince(24*time.Hour) || v.s.System.Started.IsZero() {
		return o
	}
	for _, f := range v.s.Logging.Files {
		if base(f.Path) == "wtmp" && f.Size == 0 && f.Type == "file" && f.Modified.After(v.s.System.Started) {
			o.add("%s is empty, although this host was booted %s; last written %s", f.Path, v.s.System.Started.UTC().Format("2006-01-02"), f.Modified.UTC().Format("2006-01-02 15:04"))
		}
		if f.Type == "char" || f.Type == "link" && f.Target == "/dev/null" {
			o.add("%s leads to %s: what is logged there is lost", f.Path, f.Target)
		}
	}
	return o
}

func (v *view) clockDrifts() outcome {
	var o outcome
	if !v.s.Audited || v.s.Kernel.Container || len(v.without(host.SectionClock)) > 0 {
		o.miss(v.without(host.SectionClock)...)
		return o
	}
	running := slices.ContainsFunc(v.s.Clock.Daemons, func(d host.TimeDaemon) bool { return d.Running || v.s.EUID == -1 && d.Enabled })
	switch {
	case v.s.Clock.Synchronized == "no" && !running:
		o.add("the kernel says that the clock is not synchronized, and no program sets it")
	case v.s.Clock.Synchronized == "no":
		o.add("the kernel says that the clock is not synchronized")
		o.atLeast(Low)
	case v.s.Clock.Synchronized == "unknown" && !running && v.s.EUID == -1:
		o.add("no program that sets the clock is enabled")
	}
	return o
}

func (v *view) severalClocks() outcome {
	var o outcome
	var names []string
	for _, d := range v.s.Clock.Daemons {
		if d.Running {
			names = append(names, d.Name)
		}
	}
	if len(names) > 1 {
		o.add("%s all set the clock", strings.Join(names, " and "))
	}
	return o
}

func (v *view) noAuditd() outcome {
	var o outcome
	if !v.logKnown(&o) {
		return o
	}
	a := v.s.Logging.Audit
	switch {
	case !a.Present:
		o.add("auditd is not installed")
	case !a.Exec:
		o.add("auditd has %d rules, and none is about execve", a.Rules)
	}
	return o
}
