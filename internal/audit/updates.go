package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sekimori/internal/host"
)

func updateChecks() []Check {
	return []Check{
		{"upd-security", Updates, High, []string{"CIS Debian 12 1.2.2.1", "ANSSI BP-028 R61"}, (*view).securityUpdates},
		{"upd-eol", Updates, Critical, []string{"ANSSI BP-028 R61"}, (*view).endOfLife},
		{"upd-fresh", Updates, High, []string{"CIS Debian 12 1.2.2.1"}, (*view).oldLists},
		{"upd-nosecurity", Updates, High, []string{"CIS Debian 12 1.2.1.2", "Lynis PKGS-7388"}, (*view).noSecurityArchive},
		{"upd-auto", Updates, High, []string{"Lynis PKGS-7420", "ANSSI BP-028 R61"}, (*view).notAutomatic},
		{"upd-auto-works", Updates, High, []string{"ANSSI BP-028 R61"}, (*view).automaticFails},
		{"upd-kernel", Updates, High, []string{"Lynis KRNL-5830"}, (*view).oldKernel},
		{"upd-stale", Updates, High, []string{"needrestart(1)"}, (*view).staleProcesses},
		{"upd-held", Updates, Medium, []string{"apt-mark(8)"}, (*view).heldBack},
		{"upd-repos", Updates, Medium, []string{"CIS Debian 12 1.2.1.1", "sources.list(5)"}, (*view).uncheckedSources},
		{"upd-unsupported", Updates, Medium, []string{"check-support-status(1)"}, (*view).unsupported},
		{"upd-broken", Updates, Low, []string{"dpkg(1)"}, (*view).brokenPackages},
		{"upd-pending", Updates, Low, []string{"apt-get(8)"}, (*view).otherUpdates},
	}
}

const automatic = "updates: {automatic: security}"

// ageOf is a time ago in days, for evidence.
func (v *view) ageOf(t time.Time) string {
	return fmt.Sprintf("%s, %d days ago", t.UTC().Format("2006-01-02"), int(v.Now.Sub(t).Hours()/24))
}

func (v *view) securityUpdates() outcome {
	o := outcome{policy: []string{automatic}}
	if !v.s.Audited {
		return o
	}
	u := v.s.Updates
	o.miss(v.without(host.SectionUpdates)...)
	if !u.Known && len(o.unseen) == 0 {
		o.miss("which updates are to be had could not be told")
	}
	var names []string
	for _, p := range u.Pending {
		if p.Security && (p.Held == "" || p.Held == "phased") {
			names = append(names, fmt.Sprintf("%s %s -> %s", p.Name, p.Installed, p.Candidate))
		}
	}
	if len(names) == 0 {
		return o
	}
	o.add("%d packages have security updates", len(names))
	const most = 12
	for i, n := range names {
		if i == most {
			o.add("and %d more", len(names)-most)
			break
		}
		o.add("%s", n)
	}
	return o
}

func (v *view) endOfLife() outcome {
	var o outcome
	s := v.s.Updates.Support
	if s.Rolling || s.Release == "" || s.Ends.IsZero() && s.Long.IsZero() {
		return o
	}
	switch {
	case v.Now.Before(s.Ends):
	case !s.Long.IsZero() && v.Now.Before(s.Long):
		o.add("%s: full support ended %s, long-term support ends %s", s.Release, s.Ends.Format("2006-01-02"), s.Long.Format("2006-01-02"))
		o.atLeast(Low)
	case !s.Paid.IsZero() && v.Now.Before(s.Paid):
		end := s.Ends
		if s.Long.After(end) {
			end = s.Long
		}
		o.add("%s: support for everybody ended %s; for customers it ends %s", s.Release, end.Format("2006-01-02"), s.Paid.Format("2006-01-02"))
		if v.paidArchive() {
			o.atLeast(Info)
		} else {
			o.atLeast(High)
		}
	default:
		end := s.Ends
		if s.Long.After(end) {
			end = s.Long
		}
		o.add("%s: support ended %s", s.Release, v.ageOf(end))
		o.atLeast(Critical)
	}
	return o
}

// paidArchive reports whether lists of an archive for customers were fetched.
func (v *view) paidArchive() bool {
	return slices.ContainsFunc(v.s.Updates.Lists, func(l host.PackageList) bool {
		return strings.Contains(l.Origin, "UbuntuESM") || strings.Contains(strings.ToLower(l.Origin+l.Label), "freexian") || strings.Contains(strings.ToLower(l.Label), "elts")
	})
}

// oldLists finds that nobody has asked for updates lately: what is pending is
// then not known.
func (v *view) oldLists() outcome {
	o := outcome{policy: []string{automatic}}
	newest := time.Time{}
	for _, l := range v.s.Updates.Lists {
		if l.Fetched.After(newest) {
			newest = l.Fetched
		}
	}
	if r := v.s.Updates.Automatic.Refreshed; r.After(newest) {
		newest = r // a list that did not change is not written again
	}
	switch {
	case v.s.Updates.Manager == "" || !v.s.Audited:
	case len(v.s.Updates.Lists) == 0 && v.s.Updates.Manager == "apt":
		o.add("there are no package lists; nobody has run apt-get update")
	case !newest.IsZero() && v.Now.Sub(newest) > 7*24*time.Hour:
		o.add("the newest package list was fetched %s", v.ageOf(newest))
	}
	for _, l := range v.s.Updates.Lists {
		if !l.ValidUntil.IsZero() && v.Now.After(l.ValidUntil) {
			o.add("%s: valid until %s", base(l.Path), l.ValidUntil.UTC().Format("2006-01-02"))
		}
	}
	return o
}

// noSecurityArchive finds that the archive of security updates is not asked.
func (v *view) noSecurityArchive() outcome {
	var o outcome
	u := v.s.Updates
	if u.Manager != "apt" || (v.s.System.ID != "debian" && v.s.System.ID != "ubuntu") || len(u.Sources) == 0 {
		return o
	}
	for _, s := range u.Sources {
		if !s.Disabled && s.Type == "deb" && (strings.Contains(s.Suite, "security") || strings.Contains(s.URI, "security")) {
			return o
		}
		if !s.Disabled && (s.Suite == "sid" || s.Suite == "unstable") {
			return o // it has none
		}
	}
	if slices.ContainsFunc(u.Lists, func(l host.PackageList) bool { return l.Security }) {
		return o
	}
	o.add("no line of sources.list names a security archive; the %d sources are %s", len(u.Sources), few(sourceNames(u.Sources)))
	return o
}

func sourceNames(sources []host.PackageSource) []string {
	var names []string
	for _, s := range sources {
		if n := strings.TrimSpace(s.URI + " " + s.Suite); !s.Disabled && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

func (v *view) notAutomatic() outcome {
	o := outcome{policy: []string{automatic}}
	a := v.s.Updates.Automatic
	if v.s.Updates.Manager == "" || !v.s.Audited || v.s.Updates.Manager == "apk" || v.s.Updates.Manager == "pacman" {
		return o
	}
	if why := v.without(host.SectionUpdates); len(why) > 0 && a.Tool == "" {
		o.miss(why...)
		return o
	}
	switch {
	case a.Tool == "":
		o.add("nothing installs updates by itself (unattended-upgrades, dnf-automatic)")
	case !a.Install:
		o.add("%s is there, and not told to install: %s", a.Tool, few(a.Settings))
	case !a.Security:
		o.add("%s installs, but not the security updates: %s", a.Tool, few(a.Settings))
	case !a.Refresh:
		o.add("%s installs, but nothing fetches the lists: %s", a.Tool, few(a.Settings))
	}
	for _, t := range a.Timers {
		if len(o.evidence) == 0 && (strings.HasSuffix(t, " disabled") || strings.Contains(t, "masked")) {
			o.add("%s is to install updates, and %s", a.Tool, t)
		}
	}
	return o
}

func (v *view) automaticFails() outcome {
	o := outcome{policy: []string{automatic}}
	a := v.s.Updates.Automatic
	if a.Failure != "" {
		o.add("%s: %s", a.Tool, a.Failure)
	}
	if a.Install && !a.Ran.IsZero() && v.Now.Sub(a.Ran) > 4*24*time.Hour && v.upSince(4*24*time.Hour) {
		o.add("%s last ran %s", a.Tool, v.ageOf(a.Ran))
	}
	return o
}

// upSince reports whether the host has been up for some time, or that is unknown.
func (v *view) upSince(d time.Duration) bool {
	return v.s.System.Started.IsZero() || v.Now.Sub(v.s.System.Started) > d
}

func (v *view) oldKernel() outcome {
	var o outcome
	k := v.s.Updates.Kernel
	if k.Shared || len(k.Installed) == 0 || k.Running == "" {
		return o
	}
	newest := k.Installed[len(k.Installed)-1]
	same := newest.Release == k.Running
	switch {
	case same && (newest.Version == "" || k.Version == "" || newest.Version == k.Version):
	case same:
		o.add("running %s (%s), installed is %s", k.Running, k.Version, newest.Version)
	default:
		o.add("running %s, installed is %s", k.Running, newest.Release)
	}
	if len(o.evidence) == 0 && len(v.s.Updates.RebootRequired) > 0 {
		o.add("a reboot is asked for by %s", few(v.s.Updates.RebootRequired))
		o.atLeast(Medium)
	}
	return o
}

func (v *view) staleProcesses() outcome {
	var o outcome
	exposed := map[int]bool{}
	for _, k := range v.sockets {
		if v.world(k.Reach) || k.Reach.Verdict.String() == "some" {
			for _, pid := range k.Owners {
				exposed[pid] = true
			}
		}
	}
	worst := Low
	units := map[string]bool{}
	for _, p := range v.s.Updates.Stale {
		if exposed[p.PID] {
			worst = High
		} else if worst < Medium && p.User == "root" {
			worst = Medium
		}
		key := p.Unit + p.Name
		if units[key] {
			continue
		}
		units[key] = true
		what := "its own binary"
		if !p.Binary {
			what = few(p.Files)
		}
		name := p.Name
		if p.Unit != "" {
			name += " (" + p.Unit + ")"
		}
		o.add("%s, pid %d, still runs what was replaced: %s", name, p.PID, what)
	}
	if len(o.evidence) > 0 {
		o.atLeast(worst)
	}
	return o
}

func (v *view) heldBack() outcome {
	var o outcome
	for _, p := range v.s.Updates.Pending {
		if (p.Security || p.SecurityVersion != "") && p.Held != "" && p.Held != "phased" {
			o.add("%s %s -> %s is held back: %s", p.Name, p.Installed, p.Candidate, p.Held)
		}
	}
	if len(o.evidence) == 0 {
		var held []string
		for _, p := range v.s.Packages {
			if p.Held {
				held = append(held, p.Name)
			}
		}
		if len(held) > 0 {
			o.add("on hold: %s", few(held))
			o.atLeast(Info)
		}
	}
	return o
}

func (v *view) uncheckedSources() outcome {
	var o outcome
	for _, s := range v.s.Updates.Sources {
		if s.Unchecked != "" && !s.Disabled {
			o.add("%s:%d: %s: %s", s.File, s.Line, s.URI, s.Unchecked)
			o.atLeast(Medium)
			if strings.HasPrefix(s.URI, "http:") || strings.HasPrefix(s.URI, "ftp:") {
				o.atLeast(High)
			}
		}
	}
	return o
}

func (v *view) unsupported() outcome {
	var o outcome
	for _, p := range v.s.Updates.Unsupported {
		o.add("%s has no security support", p)
	}
	return o
}

func (v *view) brokenPackages() outcome {
	var o outcome
	for _, p := range v.s.Packages {
		if p.State != "" && p.State != "triggers-pending" && p.State != "triggers-awaited" {
			o.add("%s is %s", p.Name, p.State)
		}
	}
	return o
}

func (v *view) otherUpdates() outcome {
	var o outcome
	var names []string
	for _, p := range v.s.Updates.Pending {
		if !p.Security && p.Held == "" {
			names = append(names, p.Name)
		}
	}
	if len(names) > 0 {
		o.add("%d packages have newer versions: %s", len(names), few(names))
	}
	return o
}
