package audit

import (
	"cmp"
	"slices"
	"time"

	"sekimori/internal/exposure"
	"sekimori/internal/firewall"
	"sekimori/internal/host"
)

// Input is what an audit is shown.
type Input struct {
	Snapshot *host.Snapshot
	// Rules are the loaded rules, Exposure what they mean for packets from outside.
	// Where Exposure is nil it is worked out from Rules; where both are, nothing is
	// known of either.
	Rules    *firewall.Ruleset
	Exposure *exposure.Host
	// Saved are the rules that will be loaded at the next boot, by file.
	Saved []SavedRules
	// Now is the time of the audit: ages are counted to it.
	Now time.Time
	// Only restricts the audit to some sections; none means all.
	Only []Section
}

// SavedRules is a file from which rules are loaded at boot.
type SavedRules struct {
	File string
	// Families are those that the file is about.
	Families []firewall.Family
	// Rules is nil where they could not be read, because of Err.
	Rules *firewall.Ruleset
	Err   string
}

// Check is one row of the table.
type Check struct {
	ID      string
	Section Section
	// Severity is the worst that it gives.
	Severity Severity
	// References are where the demand comes from: CIS (Debian 12 benchmark), ANSSI
	// BP-028, dev-sec, ssh-audit, an RFC, a CVE.
	References []string

	look func(*view) outcome
}

// outcome is what a check says.
type outcome struct {
	evidence []string
	// severity is what it is here, where it is not the check's own.
	severity *Severity
	policy   []string
	// unseen are the reasons for which it could not be asked, or not wholly.
	unseen []string
}

// Run carries out the checks.
func Run(in Input) Result {
	v := newView(in)
	var r Result
	blind := in.wants(Exposure) && len(v.blind) > 0
	for _, u := range v.unseen() {
		if in.wants(u.Section) {
			r.Unseen = append(r.Unseen, u)
		}
	}
	for _, c := range Checks() {
		if !in.wants(c.Section) {
			continue
		}
		o := c.look(v)
		for _, why := range o.unseen {
			u := Unseen{c.Section, why}
			if !slices.Contains(r.Unseen, u) {
				r.Unseen = append(r.Unseen, u)
			}
		}
		if len(o.evidence) == 0 {
			continue
		}
		f := Finding{c.ID, c.Section, c.Severity, o.evidence, c.References, o.policy}
		if o.severity != nil {
			f.Severity = *o.severity
		}
		r.Findings = append(r.Findings, f)
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	r.Grade = grade(r.Findings, blind)
	return r
}

func (in Input) wants(s Section) bool { return len(in.Only) == 0 || slices.Contains(in.Only, s) }

// grade sums up findings, worst first.
func grade(findings []Finding, blind bool) Grade {
	switch {
	case blind:
		return GradeUnknown
	case len(findings) == 0:
		return GradeA
	}
	return []Grade{GradeA, GradeB, GradeC, GradeD, GradeF}[findings[0].Severity]
}

// Checks is the table, by section.
func Checks() []Check {
	return slices.Concat(
		exposureChecks(), firewallChecks(), sshChecks(), accountChecks(), serviceChecks(), updateChecks(),
		kernelChecks(), loggingChecks(), webChecks(), integrityChecks(), compromiseChecks(),
	)
}
