package audit

import "fmt"

// Severity says how bad a finding is.
type Severity uint8

// The severities. Critical: a stranger gets in, or is in. High: one step is
// missing, or what protects is not there. Medium: makes an attack easier or its
// harm larger. Low: good practice that is not followed. Info: good to know.
const (
	Info Severity = iota
	Low
	Medium
	High
	Critical
)

// severities are the names, by number.
func severities() []string { return []string{"info", "low", "medium", "high", "critical"} }

// String gives the severity's name.
func (s Severity) String() string {
	if names := severities(); int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("severity %d", s)
}

// MarshalText gives the name, for JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name.
func (s *Severity) UnmarshalText(text []byte) error {
	v, err := ParseSeverity(string(text))
	if err == nil {
		*s = v
	}
	return err
}

// ParseSeverity reads a severity's name.
func ParseSeverity(name string) (Severity, error) {
	for i, n := range severities() {
		if n == name {
			return Severity(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no severity: info, low, medium, high or critical", name)
}

// Grade sums up a result: the worst finding decides.
type Grade string

// The grades. GradeUnknown stands while something about who reaches the host
// could not be seen or decided.
const (
	GradeA       Grade = "A"
	GradeB       Grade = "B"
	GradeC       Grade = "C"
	GradeD       Grade = "D"
	GradeF       Grade = "F"
	GradeUnknown Grade = "?"
)

// Section is a part of the audit.
type Section string

// The sections, in the order in which they are shown.
const (
	Exposure   Section = "exposure"
	Firewall   Section = "firewall"
	SSH        Section = "ssh"
	Accounts   Section = "accounts"
	Services   Section = "services"
	Updates    Section = "updates"
	Kernel     Section = "kernel"
	Logging    Section = "logging"
	Web        Section = "web"
	Integrity  Section = "integrity"
	Compromise Section = "compromise"
)

// Sections are all sections, in the order in which they are shown.
func Sections() []Section {
	return []Section{Exposure, Firewall, SSH, Accounts, Services, Updates, Kernel, Logging, Web, Integrity, Compromise}
}

// Finding is something that a check found.
type Finding struct {
	// ID is the check's, by which package words has the words for people.
	ID       string
	Section  Section
	Severity Severity
	// Evidence are the facts, one a line, each of them true of the snapshot.
	Evidence []string
	// References are where the demand comes from.
	References []string
	// Policy are lines of the policy file that would cure it, each a YAML document
	// of its own that package policy understands as part of one.
	Policy []string
}

// Unseen is something that a section could not look at.
type Unseen struct {
	Section Section
	Reason  string
}

// Result is the outcome of an audit.
type Result struct {
	Grade Grade
	// Findings, worst first, then in the order of the table.
	Findings []Finding
	Unseen   []Unseen
}

// Worst is the severity of the worst finding; false if there is none.
func (r Result) Worst() (Severity, bool) {
	if len(r.Findings) == 0 {
		return 0, false
	}
	return r.Findings[0].Severity, true
}
