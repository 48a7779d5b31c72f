package services

import (
	"path"
	"strconv"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// Bounds of what is kept of jobs.
const (
	maxJobs    = 20_000
	maxCommand = 8 << 10
)

// readCron reads the jobs of cron, anacron and at.
func readCron(f rootfs.FS, accounts []host.Account, n *rootfs.Notes) []host.CronJob {
	var out []host.CronJob
	add := func(jobs ...host.CronJob) {
		if len(out)+len(jobs) > maxJobs {
			n.Add("more than %d jobs, the rest was not read", maxJobs)
			jobs = jobs[:max(0, maxJobs-len(out))]
		}
		out = append(out, jobs...)
	}
	table := func(name, user string) {
		file, err := f.Look(name)
		if err != nil || file.Type != "file" {
			n.Err(err)
			return
		}
		for _, j := range parseCrontab(n.Text(f, name), user) {
			j.File = file
			add(j)
		}
	}
	table("etc/crontab", "")
	for _, name := range list(f, "etc/cron.d", n) {
		if !strings.HasPrefix(name, ".") {
			table("etc/cron.d/"+name, "")
		}
	}
	for _, dir := range []string{"var/spool/cron/crontabs", "var/spool/cron/tabs", "var/spool/cron", "etc/crontabs"} {
		for _, user := range list(f, dir, n) {
			if info, err := f.Look(dir + "/" + user); err == nil && info.Type == "file" && !strings.HasPrefix(user, ".") {
				table(dir+"/"+user, user)
			}
		}
	}
	if file, err := f.Look("etc/anacrontab"); err == nil && file.Type == "file" {
		for _, j := range parseAnacrontab(n.Text(f, "etc/anacrontab")) {
			j.File = file
			add(j)
		}
	}
	add(scripts(f, n)...)
	add(atJobs(f, accounts, n)...)
	return out
}

func list(f rootfs.FS, dir string, n *rootfs.Notes) []string {
	names, err := f.List(dir)
	n.Err(err)
	return names
}

// scripts are the files of the directories that run-parts goes through.
func scripts(f rootfs.FS, n *rootfs.Notes) []host.CronJob {
	var out []host.CronJob
	for _, period := range []string{"hourly", "daily", "weekly", "monthly", "yearly", "15min"} {
		for _, dir := range []string{"etc/cron." + period, "etc/periodic/" + period} {
			for _, name := range list(f, dir, n) {
				file, err := f.Look(path.Join(dir, name))
				if err != nil || file.Type != "file" || file.Mode&0o111 == 0 {
					continue
				}
				out = append(out, host.CronJob{File: file, Kind: "periodic", Schedule: period, User: "root", Command: file.Path})
			}
		}
	}
	return out
}

// atJobs are the files of at(1), each owned by whom it runs as. Their content is
// a copy of an environment, which is not kept.
func atJobs(f rootfs.FS, accounts []host.Account, n *rootfs.Notes) []host.CronJob {
	names := map[int]string{}
	for _, a := range accounts {
		if _, have := names[a.UID]; !have {
			names[a.UID] = a.Name
		}
	}
	var out []host.CronJob
	for _, dir := range []string{"var/spool/cron/atjobs", "var/spool/at", "var/spool/atjobs"} {
		for _, name := range list(f, dir, n) {
			file, err := f.Look(path.Join(dir, name))
			if err != nil || file.Type != "file" || strings.HasPrefix(name, ".") {
				continue
			}
			user := names[file.UID]
			if user == "" {
				user = strconv.Itoa(file.UID)
			}
			out = append(out, host.CronJob{File: file, Kind: "at", User: user})
		}
	}
	return out
}

// parseCrontab reads crontab(5). Where user is empty, each line names its own.
func parseCrontab(text, user string) []host.CronJob {
	var out []host.CronJob
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || assignment(line) {
			continue
		}
		fields := 5
		if line[0] == '@' {
			fields = 1
		}
		schedule, rest, ok := cutFields(line, fields)
		if !ok || line[0] != '@' && !strings.ContainsAny(line[:1], "0123456789*-/,~") {
			continue
		}
		job := host.CronJob{Line: number, Kind: "cron", Schedule: schedule, User: user}
		if user == "" {
			if job.User, rest, ok = cutFields(rest, 1); !ok {
				continue
			}
		}
		job.Command = short(rest)
		if out = append(out, job); len(out) > maxJobs {
			break
		}
	}
	return out
}

// short masks a command and cuts it to size. It is judged as it comes out here.
func short(command string) string {
	command = host.MaskCommand(command[:min(len(command), 2*maxCommand)])
	if len(command) > maxCommand {
		command = strings.ToValidUTF8(command[:maxCommand], "") + "…"
	}
	return command
}

// assignment reports whether a line of a crontab sets a variable.
func assignment(line string) bool {
	name, _, ok := strings.Cut(line, "=")
	name = strings.Trim(strings.TrimSpace(name), `"'`)
	return ok && name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// cutFields takes n words off a line, joined by one blank; ok is false where
// nothing follows them.
func cutFields(line string, n int) (head, rest string, ok bool) {
	var words []string
	rest = line
	for range n {
		rest = strings.TrimLeft(rest, " \t")
		i := strings.IndexAny(rest, " \t")
		if i <= 0 {
			return "", "", false
		}
		words, rest = append(words, rest[:i]), rest[i:]
	}
	rest = strings.TrimSpace(rest)
	return strings.Join(words, " "), rest, rest != ""
}

// parseAnacrontab reads anacrontab(5): a period in days, a delay, a name, a command.
func parseAnacrontab(text string) []host.CronJob {
	var out []host.CronJob
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || assignment(line) {
			continue
		}
		head, command, ok := cutFields(line, 3)
		if !ok || len(out) > maxJobs {
			continue
		}
		period, _, _ := strings.Cut(head, " ")
		out = append(out, host.CronJob{Line: number, Kind: "anacron", Schedule: period, User: "root", Command: short(command)})
	}
	return out
}
