package services

import (
	"encoding/binary"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekimori/internal/host"
	"sekimori/internal/host/systemd"
	"sekimori/internal/observe/rootfs"
)

// readConf reads one of systemd's own configurations with its drop-ins.
func readConf(f rootfs.FS, name string, n *rootfs.Notes) []systemd.Setting {
	var out []systemd.Setting
	main := []string{"etc/systemd/", "run/systemd/", "usr/local/lib/systemd/", "usr/lib/systemd/", "lib/systemd/"}
	for _, dir := range main {
		if f.Exists(dir + name) {
			out = append(out, systemd.Parse(systemd.Text{Path: "/" + dir + name, Text: n.Text(f, dir+name)})...)
			break
		}
	}
	dirs := make([]string, len(main))
	for i, dir := range main {
		dirs[i] = dir + name + ".d"
	}
	for _, file := range byBaseName(f, dirs, ".conf", n) {
		out = append(out, systemd.Parse(systemd.Text{Path: "/" + file, Text: n.Text(f, file)})...)
	}
	return out
}

// ReadLogging reads how the host keeps its logs.
func ReadLogging(f rootfs.FS) (host.Logging, []host.Unseen) {
	n := &rootfs.Notes{Section: host.SectionLogging}
	l := host.Logging{Journal: readJournal(f, n)}
	for _, d := range []struct{ name, program string }{{"rsyslog", "usr/sbin/rsyslogd"}, {"syslog-ng", "usr/sbin/syslog-ng"}, {"inetutils", "usr/sbin/syslogd"}, {"busybox", "sbin/syslogd"}} {
		if f.Exists(d.program) {
			l.Daemons = append(l.Daemons, readDaemon(f, d.name, n))
		}
	}
	for _, name := range []string{
		"auth.log", "secure", "syslog", "messages", "kern.log", "wtmp", "btmp", "lastlog", "faillog", "sudo.log", "audit/audit.log", "fail2ban.log",
		"wtmp.db", "lastlog2.db",
	} {
		if file, err := f.Look("var/log/" + name); err == nil {
			l.Files = append(l.Files, file)
		}
	}
	if f.Exists("usr/sbin/auditd") || f.Exists("sbin/auditd") {
		l.Audit = readAudit(f, n)
	}
	l.Rotation = readRotation(f, n)
	return l, n.List
}

// readJournal reads journald's settings, and what it has kept.
func readJournal(f rootfs.FS, n *rootfs.Notes) host.Journal {
	j := host.Journal{Present: f.Exists("usr/lib/systemd/systemd-journald") || f.Exists("lib/systemd/systemd-journald")}
	if !j.Present {
		return j
	}
	conf := readConf(f, "journald.conf", n)
	for _, key := range []string{
		"Compress", "Seal", "SystemMaxUse", "SystemKeepFree", "RuntimeMaxUse", "MaxRetentionSec", "MaxFileSec", "ForwardToSyslog", "RateLimitIntervalSec", "RateLimitBurst", "Audit", "ReadKMsg", "MaxLevelStore",
	} {
		if s, ok := systemd.Last(conf, "Journal", key); ok {
			if j.Settings == nil {
				j.Settings = map[string]string{}
			}
			j.Settings[key] = s.Value
		}
	}
	j.Storage = "auto"
	if s, ok := systemd.Last(conf, "Journal", "Storage"); ok {
		j.Storage, j.From = strings.ToLower(s.Value), s.File+":"+strconv.Itoa(s.Line)
	}
	const kept = "var/log/journal"
	j.Persistent = j.Storage == "persistent" || j.Storage == "auto" && f.Exists(kept)
	for _, id := range list(f, kept, n) {
		for _, name := range list(f, path.Join(kept, id), n) {
			if strings.HasSuffix(name, ".journal") && j.Files < 10_000 {
				journalFile(f, path.Join(kept, id, name), &j)
			}
		}
	}
	if s, ok := systemd.Last(readConf(f, "journal-upload.conf", n), "Upload", "URL"); ok {
		j.Upload = host.MaskText(s.Value)
	}
	return j
}

// journalFile takes one file's size and times: head_entry_realtime stands at 184,
// in microseconds, after the signature LPKSHHRH (journal-def.h of systemd).
func journalFile(f rootfs.FS, name string, j *host.Journal) {
	info, err := f.Look(name)
	if err != nil || info.Type != "file" {
		return
	}
	j.Files++
	j.Size += info.Size
	if info.Modified.After(j.Newest) {
		j.Newest = info.Modified
	}
	file, err := f.Open(name)
	if err != nil {
		return
	}
	defer file.Close()
	head := make([]byte, 192)
	if _, err := io.ReadFull(file, head); err != nil || string(head[:8]) != "LPKSHHRH" {
		return
	}
	us := binary.LittleEndian.Uint64(head[184:])
	if us == 0 || us > 1<<53 {
		return
	}
	if t := time.UnixMicro(int64(us)).UTC(); j.Oldest.IsZero() || t.Before(j.Oldest) {
		j.Oldest = t
	}
}

// readDaemon reads where a syslog daemon sends messages to, and where it takes
// them from.
func readDaemon(f rootfs.FS, name string, n *rootfs.Notes) host.LogDaemon {
	d := host.LogDaemon{Name: name}
	var files []string
	switch name {
	case "rsyslog":
		files = []string{"etc/rsyslog.conf"}
		for _, file := range list(f, "etc/rsyslog.d", n) {
			if strings.HasSuffix(file, ".conf") {
				files = append(files, "etc/rsyslog.d/"+file)
			}
		}
	case "syslog-ng":
		files = []string{"etc/syslog-ng/syslog-ng.conf"}
		for _, file := range list(f, "etc/syslog-ng/conf.d", n) {
			if strings.HasSuffix(file, ".conf") {
				files = append(files, "etc/syslog-ng/conf.d/"+file)
			}
		}
	case "inetutils":
		files = []string{"etc/syslog.conf"}
	}
	for _, file := range files {
		text := n.Text(f, file)
		if name == "syslog-ng" {
			readSyslogNG(text, &d)
		} else {
			readRsyslog(text, &d)
		}
	}
	return d
}

// maxTargets bounds what is kept of one daemon.
const maxTargets = 100

// readRsyslog reads the lines of rsyslog.conf(5) that matter: "selector @host",
// "selector @@host", omfwd actions, inputs, and the files of auth messages.
func readRsyslog(text string, d *host.LogDaemon) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		if line == "" || line[0] == '#' || len(d.Remote)+len(d.Listens)+len(d.Auth) > maxTargets {
			continue
		}
		lower := strings.ToLower(line)
		switch {
		case strings.Contains(lower, "omfwd") || strings.Contains(lower, "omrelp"):
			if target := parameter(line, "target"); target != "" {
				protocol := "udp"
				if strings.Contains(lower, "omrelp") {
					protocol = "relp"
				} else if p := parameter(line, "protocol"); p != "" {
					protocol = strings.ToLower(p)
				}
				d.Remote = append(d.Remote, protocol+" "+target+withPort(parameter(line, "port")))
			}
		case strings.HasPrefix(lower, "input(") && (strings.Contains(lower, "imudp") || strings.Contains(lower, "imtcp") || strings.Contains(lower, "imrelp")):
			d.Listens = append(d.Listens, parameter(line, "type")+" "+parameter(line, "port"))
		case strings.HasPrefix(lower, "$udpserverrun") || strings.HasPrefix(lower, "$inputtcpserverrun"):
			w := strings.Fields(line)
			d.Listens = append(d.Listens, strings.Join(w[:min(2, len(w))], " "))
		default:
			selector(line, d)
		}
	}
}

func withPort(port string) string {
	if port == "" {
		return ""
	}
	return ":" + port
}

// selector reads a line of the traditional form.
func selector(line string, d *host.LogDaemon) {
	w := strings.Fields(line)
	if len(w) < 2 || !strings.ContainsAny(w[0], ".") {
		return
	}
	target := w[len(w)-1]
	switch {
	case strings.HasPrefix(target, "@@"):
		d.Remote = append(d.Remote, "tcp "+strings.TrimLeft(target, "@"))
	case strings.HasPrefix(target, "@"):
		d.Remote = append(d.Remote, "udp "+strings.TrimLeft(target, "@"))
	case strings.HasPrefix(strings.TrimPrefix(target, "-"), "/") && (strings.Contains(w[0], "auth") || strings.HasPrefix(w[0], "*.")) && !strings.HasPrefix(w[0], "*.emerg"):
		if !strings.Contains(w[0], "auth,authpriv.none") && !strings.Contains(w[0], "authpriv.none") {
			d.Auth = append(d.Auth, strings.TrimPrefix(target, "-"))
		}
	}
}

// asciiLower is lower case byte by byte, so that places in the result are places in
// the text: strings.ToLower lengthens what is no UTF-8.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// parameter finds name="value" in a line of rsyslog's newer form.
func parameter(line, name string) string {
	lower := asciiLower(line)
	for from := 0; ; {
		i := strings.Index(lower[from:], name)
		if i < 0 {
			return ""
		}
		from += i + len(name)
		if i > 0 && (lower[from-len(name)-1] >= 'a' && lower[from-len(name)-1] <= 'z' || lower[from-len(name)-1] == '.') {
			continue // the end of a longer name
		}
		rest := strings.TrimLeft(line[from:], " \t")
		if rest, ok := strings.CutPrefix(rest, "="); ok {
			rest = strings.TrimLeft(rest, " \t")
			if rest, ok := strings.CutPrefix(rest, `"`); ok {
				value, _, _ := strings.Cut(rest, `"`)
				return value
			}
		}
	}
}

// readSyslogNG finds the network drivers of syslog-ng.conf(5).
func readSyslogNG(text string, d *host.LogDaemon) {
	for statement := range strings.SplitSeq(text, ";") {
		for _, driver := range []string{"network(", "syslog(", "tcp(", "udp("} {
			i := strings.Index(statement, driver)
			if i < 0 || i > 0 && statement[i-1] >= 'a' && statement[i-1] <= 'z' || len(d.Remote)+len(d.Listens) > maxTargets {
				continue
			}
			inside := strings.Join(strings.Fields(statement[i:min(len(statement), i+300)]), " ")
			if strings.Contains(statement[:i], "destination") {
				d.Remote = append(d.Remote, host.MaskText(inside))
			} else if strings.Contains(statement[:i], "source") {
				d.Listens = append(d.Listens, host.MaskText(inside))
			}
		}
	}
}

func readAudit(f rootfs.FS, n *rootfs.Notes) host.AuditDaemon {
	a := host.AuditDaemon{Present: true}
	files := []string{"etc/audit/audit.rules"}
	if names := list(f, "etc/audit/rules.d", n); len(names) > 0 {
		files = nil // from which the other is made
		for _, name := range names {
			if strings.HasSuffix(name, ".rules") {
				files = append(files, "etc/audit/rules.d/"+name)
			}
		}
	}
	for _, file := range files {
		for line := range strings.Lines(n.Text(f, file)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "-a") || strings.HasPrefix(line, "-A") || strings.HasPrefix(line, "-w") {
				a.Rules++
				a.Exec = a.Exec || strings.Contains(line, "execve")
			}
		}
	}
	return a
}

// readRotation reads logrotate's blocks, logrotate(8): what stands outside blocks
// is the default of those behind it.
func readRotation(f rootfs.FS, n *rootfs.Notes) []host.Rotation {
	files := []string{"etc/logrotate.conf"}
	for _, name := range list(f, "etc/logrotate.d", n) {
		files = append(files, "etc/logrotate.d/"+name)
	}
	defaults := host.Rotation{Keep: -1}
	var out []host.Rotation
	for i, file := range files {
		blocks, outside := parseRotation("/"+file, n.Text(f, file), defaults)
		if i == 0 {
			defaults = outside
		}
		if out = append(out, blocks...); len(out) > 2000 {
			return out[:2000]
		}
	}
	return out
}

func parseRotation(file, text string, defaults host.Rotation) (blocks []host.Rotation, outside host.Rotation) {
	var paths []string
	var block *host.Rotation
	script := false
	number, start := 0, 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		switch word, _, _ := strings.Cut(line, " "); word {
		case "postrotate", "prerotate", "firstaction", "lastaction", "preremove":
			script = true
		case "endscript":
			script = false
			continue
		}
		if script {
			continue
		}
		if block == nil && (line[0] == '/' || line[0] == '"' || line[0] == '{') {
			if len(paths) == 0 {
				start = number
			}
			before, _, opens := strings.Cut(line, "{")
			for p := range strings.FieldsSeq(before) {
				if len(paths) < 200 {
					paths = append(paths, strings.Trim(p, `"`))
				}
			}
			if opens {
				b := defaults
				b.File, b.Line, b.Paths = file, start, paths
				block, paths = &b, nil
			}
			continue
		}
		if line[0] == '}' {
			if block != nil && len(blocks) < 2000 {
				blocks = append(blocks, *block)
			}
			block = nil
			continue
		}
		to := &defaults
		if block != nil {
			to = block
		}
		rotationLine(line, to)
	}
	return blocks, defaults
}

func rotationLine(line string, r *host.Rotation) {
	w := strings.Fields(line)
	number := func() int {
		if len(w) < 2 {
			return 0
		}
		v, _ := strconv.Atoi(w[1])
		return v
	}
	switch w[0] {
	case "rotate":
		r.Keep = number()
	case "maxage":
		r.MaxAge = number()
	case "hourly", "daily", "weekly", "monthly", "yearly":
		r.Period = w[0]
	}
}

// ReadClock reads what keeps the time, apart from what the kernel tells.
func ReadClock(f rootfs.FS) (host.Clock, []host.Unseen) {
	n := &rootfs.Notes{Section: host.SectionClock}
	c := host.Clock{Synchronized: "unknown"}
	add := func(name, program string, units []string, servers []string) {
		if !f.Exists(program) {
			return
		}
		d := host.TimeDaemon{Name: name, Servers: servers}
		for _, u := range units {
			for _, at := range []string{"etc/systemd/system/multi-user.target.wants/", "etc/systemd/system/sysinit.target.wants/", "etc/runlevels/default/"} {
				if _, err := f.Source.Lstat(at + u); err == nil {
					d.Enabled = true
				}
			}
		}
		c.Daemons = append(c.Daemons, d)
	}
	var chrony []string
	for _, file := range []string{"etc/chrony/chrony.conf", "etc/chrony.conf"} {
		chrony = append(chrony, timeServers(n.Text(f, file))...)
	}
	for _, dir := range []string{"etc/chrony/conf.d", "etc/chrony/sources.d"} {
		for _, name := range list(f, dir, n) {
			chrony = append(chrony, timeServers(n.Text(f, dir+"/"+name))...)
		}
	}
	add("chrony", "usr/sbin/chronyd", []string{"chrony.service", "chronyd.service", "chronyd"}, chrony)
	ntp := append(timeServers(n.Text(f, "etc/ntpsec/ntp.conf")), timeServers(n.Text(f, "etc/ntp.conf"))...)
	switch {
	case f.Exists("etc/ntpsec"):
		add("ntpsec", "usr/sbin/ntpd", []string{"ntpsec.service"}, ntp)
	case f.Exists("etc/openntpd"):
		add("openntpd", "usr/sbin/ntpd", []string{"openntpd.service"}, timeServers(n.Text(f, "etc/openntpd/ntpd.conf")))
	default:
		add("ntp", "usr/sbin/ntpd", []string{"ntp.service", "ntpd.service", "ntpd"}, ntp)
	}
	add("ntpd-rs", "usr/bin/ntp-daemon", []string{"ntpd-rs.service"}, nil)
	conf := readConf(f, "timesyncd.conf", n)
	var own []string
	for _, key := range []string{"NTP", "FallbackNTP"} {
		for _, v := range systemd.All(conf, "Time", key) {
			own = append(own, strings.Fields(v)...)
		}
	}
	for _, program := range []string{"usr/lib/systemd/systemd-timesyncd", "lib/systemd/systemd-timesyncd"} {
		if len(c.Daemons) == 0 || c.Daemons[len(c.Daemons)-1].Name != "systemd-timesyncd" {
			add("systemd-timesyncd", program, []string{"systemd-timesyncd.service"}, own)
		}
	}
	if target, err := f.Source.ReadLink("etc/localtime"); err == nil {
		if _, zone, ok := strings.Cut(target, "zoneinfo/"); ok {
			c.Zone = zone
		}
	}
	if c.Zone == "" {
		c.Zone = strings.TrimSpace(n.Text(f, "etc/timezone"))
	}
	return c, n.List
}

// timeServers reads the server, pool and peer lines of chrony.conf(5) and ntp.conf(5).
func timeServers(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		if len(w) >= 2 && slices.Contains([]string{"server", "servers", "pool", "peer"}, w[0]) && len(out) < maxTargets {
			out = append(out, w[1])
		}
	}
	return out
}
