package report

import (
	"fmt"
	"strings"
	"time"

	"sekimori/internal/audit"
	"sekimori/internal/audit/words"
	"sekimori/internal/host"
)

// Finding is something weak that an audit found, with the words for it.
type Finding struct {
	ID         string       `json:"id"`
	Section    string       `json:"section"`
	Severity   string       `json:"severity"`
	Title      string       `json:"title"`
	Why        string       `json:"why"`
	Evidence   list[string] `json:"evidence"`
	Remedy     string       `json:"remedy"`
	References list[string] `json:"references"`
	// Policy are lines of the policy file that would cure it.
	Policy list[string] `json:"policy"`

	severity audit.Severity
}

// Audit is the answer of `sekimori audit`.
type Audit struct {
	// Grade is A, B, C, D, F, or ? while something about who reaches the host is
	// not known.
	Grade    string        `json:"grade"`
	Findings list[Finding] `json:"findings"`
	Unseen   list[Unseen]  `json:"unseen"`

	words *words.Table
	host  *host.Snapshot
}

// NewAudit is the answer about one host in the words of one language.
func NewAudit(r audit.Result, s *host.Snapshot, w *words.Table) Audit {
	a := Audit{Grade: string(r.Grade), words: w, host: s}
	for _, f := range r.Findings {
		e, _ := w.Entry(f.ID)
		a.Findings = append(a.Findings, Finding{
			ID: f.ID, Section: string(f.Section), Severity: f.Severity.String(), Title: e.Title, Why: e.Why,
			Evidence: clean(f.Evidence), Remedy: e.Remedy, References: f.References, Policy: f.Policy, severity: f.Severity,
		})
	}
	for _, u := range r.Unseen {
		a.Unseen = append(a.Unseen, Unseen{string(u.Section), printable(u.Reason)})
	}
	return a
}

// clean makes evidence fit for terminals and pages: it holds other people's words.
func clean(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = printable(l)
	}
	return out
}

// count gives the number of findings of a severity.
func (a Audit) count(s audit.Severity) int {
	n := 0
	for _, f := range a.Findings {
		if f.severity == s {
			n++
		}
	}
	return n
}

// counts is "2 critical, 1 high".
func (a Audit) counts() string {
	var parts []string
	for s := audit.Critical; ; s-- {
		if n := a.count(s); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, a.words.UI(s.String())))
		}
		if s == audit.Info {
			return strings.Join(parts, ", ")
		}
	}
}

// fact is one line about where a host stands.
type fact struct{ name, value, note string }

// facts say what host it is and where it stands.
func (a Audit) facts() []fact {
	s, w := a.host, a.words
	var out []fact
	add := func(name, value, note string) {
		if value != "" {
			out = append(out, fact{w.UI(name), printable(value), note})
		}
	}
	add("host", s.System.Hostname, "")
	add("system", s.System.PrettyName, "")
	add("kernelname", s.System.Kernel, "")
	var addresses []string
	for _, i := range s.Interfaces {
		for _, p := range i.Addresses {
			if !i.Loopback && !p.Prefix.Addr().IsLinkLocalUnicast() {
				addresses = append(addresses, fmt.Sprintf("%s (%s)", p.Prefix, i.Name))
			}
		}
	}
	add("addresses", few(addresses), "")
	for _, g := range s.Gateways() {
		text := fmt.Sprintf("%s (%s)", g.Addr, g.Name)
		note := ""
		if g.MAC != "" {
			text += ", " + g.MAC
			if g.Vendor != "" {
				text += ", " + g.Vendor
				note = w.UI("gateway.note")
			}
		}
		add("gateway", text, note)
	}
	var provider []string
	for _, p := range []string{s.Provider.Name, s.Provider.Type, s.Provider.Region, s.Provider.Zone, s.Provider.Vendor, s.Provider.Product} {
		if p != "" {
			provider = append(provider, p)
		}
	}
	add("provider", strings.Join(provider, ", "), "")
	add("time", s.Time.UTC().Format(time.RFC3339), "")
	return out
}
